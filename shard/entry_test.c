/* Log entries, and the keys and small values of the store. */
#include "entry.h"

#include "airlore/testing.h"
#include "crc32c.h"

#define DIM 2u

static const float vectors[] = {1, 0, 0, 1};
static const struct al_chunk chunks[] = {{0, 2, {"h", 1}}, {2, 4, {"", 0}}};

static struct al_doc sample(void)
{
    return (struct al_doc){.space = 9,
                           .id = AL_STR("d"),
                           .visibility = AL_VIS_TEAM,
                           .body = AL_STR("text"),
                           .chunks = chunks,
                           .n_chunks = 2,
                           .vectors = vectors};
}

static const uint8_t write_id[AL_WRITE_ID_BYTES] = {1, 2, 3};

struct coded {
    struct al_buf b;
    struct al_arena a;
};

static void code_ops(struct coded *c, const struct al_op *ops, size_t n)
{
    struct al_err err;
    al_buf_init(&c->b, NULL, 0);
    al_arena_init(&c->a, NULL, 1u << 20);
    al_entry_encode(ops, n, DIM, write_id, &c->b);
    AL_CHECK_OK(al_entry_seal(&c->b, 42, 7, 1000, &err), err);
}

static void code_sample(struct coded *c)
{
    struct al_doc d = sample();
    const struct al_op ops[] = {
        {.kind = AL_OP_PUT_DOC, .doc = &d, .condition = AL_IF_VERSION, .version = 300},
        {.kind = AL_OP_DELETE_DOC, .space = 3, .id = AL_STR("gone")},
        {.kind = AL_OP_PUT_ROW, .table = 4, .space = 5, .id = AL_STR("k"), .value = AL_STR("v")},
        {.kind = AL_OP_DELETE_ROW, .table = 6, .id = AL_STR("r"), .condition = AL_IF_ABSENT},
    };
    code_ops(c, ops, AL_ARRAY_LEN(ops));
}

static void uncode(struct coded *c)
{
    al_buf_fini(&c->b);
    al_arena_fini(&c->a);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct coded c;
    struct al_entry e;
    struct al_err err;
    code_sample(&c);
    AL_CHECK_OK(al_entry_decode(al_buf_view(&c.b), 42, &c.a, &e, &err), err);
    assert_int_equal(e.epoch, 7);
    assert_int_equal(e.time_ms, 1000);
    assert_memory_equal(e.write_id, write_id, sizeof(write_id));
    assert_int_equal(e.n_ops, 4);
    const struct al_entry_op *doc = &e.ops[0];
    assert_int_equal(doc->kind, AL_OP_PUT_DOC);
    assert_int_equal(doc->condition, AL_IF_VERSION);
    assert_int_equal(doc->version, 300);
    assert_int_equal(doc->space, 9);
    assert_int_equal(doc->n_chunks, 2);
    assert_int_equal(doc->dim, DIM);
    assert_int_equal(doc->vectors.n, sizeof(vectors));
    assert_memory_equal(doc->vectors.p, vectors, sizeof(vectors));
    struct al_doc d;
    AL_CHECK_OK(al_doc_decode(doc->value, &c.a, &d, &err), err);
    assert_true(al_str_is(d.body, "text"));
    assert_int_equal(e.ops[1].space, 3);
    assert_true(al_str_is(e.ops[1].id, "gone"));
    assert_int_equal(e.ops[2].table, 4);
    assert_int_equal(e.ops[2].space, 5);
    assert_true(al_str_is(e.ops[2].value, "v"));
    assert_int_equal(e.ops[3].condition, AL_IF_ABSENT);
    uncode(&c);
}

static void test_no_op(void **state)
{
    (void)state;
    struct coded c;
    struct al_entry e;
    struct al_err err;
    code_ops(&c, NULL, 0);
    AL_CHECK_OK(al_entry_decode(al_buf_view(&c.b), 42, &c.a, &e, &err), err);
    assert_int_equal(e.n_ops, 0);
    assert_int_equal(c.b.n, 1 + 8 + 16 + 8 + 4 + 4);
    uncode(&c);
}

/* The bytes on disk: changing them needs a new format number. */
static void test_golden_bytes(void **state)
{
    (void)state;
    struct al_op op = {.kind = AL_OP_PUT_ROW,
                       .table = 4,
                       .space = 5,
                       .id = AL_STR("k"),
                       .value = AL_STR("v"),
                       .condition = AL_IF_VERSION,
                       .version = 300};
    static const char golden[] = "\x01\x07\0\0\0\0\0\0\0"
                                 "\x01\x02\x03\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                 "\xe8\x03\0\0\0\0\0\0\x01\0\0\0"
                                 "\x03\x02\xac\x02\x04\x05\0\0\0\x01k\x01v";
    struct coded c;
    code_ops(&c, &op, 1);
    assert_int_equal(c.b.n, sizeof(golden) - 1 + 4);
    assert_memory_equal(c.b.p, golden, sizeof(golden) - 1);
    uncode(&c);
}

static void test_every_damage_is_found(void **state)
{
    (void)state;
    struct coded c;
    struct al_entry e;
    struct al_err err;
    code_sample(&c);
    for (size_t n = 0; n < c.b.n; n++)
        assert_int_equal(al_entry_decode((struct al_str){c.b.p, n}, 42, &c.a, &e, &err),
                         AL_DATA_LOSS);
    for (size_t bit = 8; bit < c.b.n * 8; bit++) { /* any one bit behind the format */
        c.b.p[bit / 8] = (char)(c.b.p[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(al_entry_decode(al_buf_view(&c.b), 42, &c.a, &e, &err), AL_DATA_LOSS);
        c.b.p[bit / 8] = (char)(c.b.p[bit / 8] ^ (1 << bit % 8));
    }
    assert_int_equal(al_entry_decode(al_buf_view(&c.b), 43, &c.a, &e, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "DATA_CORRUPT");
    c.b.p[0] = 9;
    assert_int_equal(al_entry_decode(al_buf_view(&c.b), 42, &c.a, &e, &err),
                     AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "FORMAT_TOO_NEW");
    assert_int_equal(al_entry_check_format(al_buf_view(&c.b), 42, &err), AL_FAILED_PRECONDITION);
    c.b.p[0] = 1;
    AL_CHECK_OK(al_entry_check_format(al_buf_view(&c.b), 42, &err), err);
    AL_CHECK_OK(al_entry_check_format(AL_STR(""), 42, &err), err); /* damaged, but not newer */
    uncode(&c);
}

/* A right checksum over nonsense: what a writer of ours with a bug could leave. */
static void test_nonsense_with_a_right_checksum(void **state)
{
    (void)state;
    struct coded c;
    code_sample(&c);
    size_t n = c.b.n - 4;
    for (size_t at = 33; at < n; at++) {
        for (unsigned v = 0; v < 256; v += 51) {
            struct al_buf b;
            struct al_entry e;
            struct al_err err;
            al_buf_init(&b, NULL, 0);
            al_buf_add(&b, c.b.p, n);
            b.p[at] = (char)v;
            AL_CHECK_OK(al_entry_seal(&b, 42, 7, 1000, &err), err);
            enum al_code code = al_entry_decode(al_buf_view(&b), 42, &c.a, &e, &err);
            assert_true(code == AL_OK || code == AL_DATA_LOSS);
            al_buf_fini(&b);
            al_arena_reset(&c.a);
        }
    }
    uncode(&c);
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct coded c;
    code_sample(&c);
    struct al_doc d = sample();
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_arena a;
        struct al_buf b;
        struct al_entry e;
        struct al_err err;
        al_fault_mem_init(&m, n, false);
        al_arena_init(&a, &m.mem, 1u << 20);
        al_buf_init(&b, &m.mem, 0);
        enum al_code code = al_entry_decode(al_buf_view(&c.b), 42, &a, &e, &err);
        if (code == AL_OK) {
            al_entry_encode(&op, 1, DIM, write_id, &b);
            code = al_entry_seal(&b, 1, 1, 1, &err);
        }
        assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_arena_fini(&a);
        al_buf_fini(&b);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
    uncode(&c);
}

static void test_crc32c(void **state)
{
    (void)state;
    uint8_t bytes[48] = {0};
    assert_int_equal(al_crc32c(0, bytes, 32), 0x8A9136AA); /* RFC 3720, B.4 */
    memset(bytes, 0xFF, 32);
    assert_int_equal(al_crc32c(0, bytes, 32), 0x62A8AB43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(al_crc32c(0, bytes, 32), 0x46DD794E);
    assert_int_equal(al_crc32c(0, "123456789", 9), 0xE3069283);
    for (size_t cut = 0; cut <= 32; cut++) /* in parts */
        assert_int_equal(al_crc32c(al_crc32c(0, bytes, cut), bytes + cut, 32 - cut), 0x46DD794E);
}

static void test_keys(void **state)
{
    (void)state;
    struct al_key a = al_key_u64(255);
    struct al_key b = al_key_u64(256);
    assert_true(al_str_cmp(al_key_view(&a), al_key_view(&b)) < 0);
    uint64_t n = 0;
    assert_true(al_key_u64_parse(al_key_view(&b), &n));
    assert_int_equal(n, 256);
    assert_false(al_key_u64_parse(AL_STR("short"), &n));
    struct al_key k = al_key_doc(0x01020304, AL_STR("some id"));
    uint16_t slot = 0;
    uint32_t space = 0;
    struct al_str id;
    assert_true(al_key_doc_parse(al_key_view(&k), &slot, &space, &id));
    assert_int_equal(slot, al_doc_slot(0x01020304, AL_STR("some id")));
    assert_int_equal(space, 0x01020304);
    assert_true(al_str_is(id, "some id"));
    assert_false(al_key_doc_parse(AL_STR("12345"), &slot, &space, &id));
    k = al_key_write_time(77, write_id);
    uint8_t got[AL_WRITE_ID_BYTES];
    assert_true(al_key_write_time_parse(al_key_view(&k), &n, got));
    assert_int_equal(n, 77);
    assert_memory_equal(got, write_id, sizeof(got));
    k = al_key_write_id(write_id);
    assert_false(al_key_write_time_parse(al_key_view(&k), &n, got));
}

static void test_chunk_rows(void **state)
{
    (void)state;
    struct al_chunk_row row = {.space = 3,
                               .id = AL_STR("d"),
                               .n_chunks = 2,
                               .dim = 2,
                               .vectors = {(const char *)vectors, sizeof(vectors)}};
    struct al_buf b;
    struct al_arena a;
    struct al_chunk_row got;
    struct al_err err;
    const float *v = NULL;
    al_buf_init(&b, NULL, 0);
    al_arena_init(&a, NULL, 1u << 16);
    al_chunk_row_encode(&row, &b);
    AL_CHECK_OK(al_chunk_row_decode(al_buf_view(&b), &got, &err), err);
    AL_CHECK_OK(al_chunk_row_vectors(&got, &a, &v, &err), err);
    assert_memory_equal(v, vectors, sizeof(vectors));
    assert_int_equal(got.space, 3);
    assert_true(al_str_is(got.id, "d"));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(al_chunk_row_decode((struct al_str){b.p, n}, &got, &err), AL_DATA_LOSS);
    b.p[0] = 2;
    assert_int_equal(al_chunk_row_decode(al_buf_view(&b), &got, &err), AL_FAILED_PRECONDITION);
    al_buf_fini(&b);
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_op),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_every_damage_is_found),
        cmocka_unit_test(test_nonsense_with_a_right_checksum),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_chunk_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
