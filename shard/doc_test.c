#include "airlore/doc.h"
#include "airlore/testing.h"

static const struct al_str tags[] = {{"dag", 3}, {"\xea\xb0\x80", 3}};
static const struct al_kv meta[] = {{{"airflow", 7}, {">=2.4,<3", 8}}, {{"author", 6}, {"", 0}}};
static const struct al_chunk chunks[] = {
    {0, 5, {"Top", 3}}, {5, 5, {"", 0}}, {5, 11, {"Top > Sub", 9}}};

static struct al_doc sample(void)
{
    struct al_doc d = {.space = 0x01020304,
                       .id = AL_STR("docs/a.md"),
                       .docno = 0x1122334455667788,
                       .visibility = AL_VIS_COMMUNITY,
                       .team = AL_STR("data"),
                       .deployment = AL_STR("prod"),
                       .kind = AL_STR("doc"),
                       .title = AL_STR("Title"),
                       .url = AL_STR("http://x"),
                       .version = AL_STR("2.9"),
                       .lang = AL_STR("en"),
                       .source = AL_STR("src"),
                       .media_type = AL_STR("text/markdown"),
                       .revision = 5,
                       .redactions = 300,
                       .embedder_id = AL_STR("emb-1"),
                       .analyzer_version = 3,
                       .created_ms = 1700000000000,
                       .updated_ms = 1700000000001,
                       .tags = tags,
                       .n_tags = 2,
                       .meta = meta,
                       .n_meta = 2,
                       .body = AL_STR("hello world"),
                       .chunks = chunks,
                       .n_chunks = 3};
    for (size_t i = 0; i < 32; i++)
        d.content_hash[i] = (uint8_t)i;
    return d;
}

static void assert_attributes(const struct al_doc *a, const struct al_doc *b)
{
    assert_int_equal(a->space, b->space);
    assert_int_equal(a->docno, b->docno);
    assert_int_equal(a->visibility, b->visibility);
    const struct al_str *const x[] = {&a->id,     &a->team,       &a->deployment, &a->kind,
                                      &a->title,  &a->url,        &a->version,    &a->lang,
                                      &a->source, &a->embedder_id};
    const struct al_str *const y[] = {&b->id,     &b->team,       &b->deployment, &b->kind,
                                      &b->title,  &b->url,        &b->version,    &b->lang,
                                      &b->source, &b->embedder_id};
    for (size_t i = 0; i < AL_ARRAY_LEN(x); i++)
        assert_true(al_str_eq(*x[i], *y[i]));
    assert_true(al_str_eq(a->media_type, b->media_type));
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->redactions, b->redactions);
    assert_int_equal(a->analyzer_version, b->analyzer_version);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->updated_ms, b->updated_ms);
    assert_memory_equal(a->content_hash, b->content_hash, 32);
    assert_int_equal(a->n_tags, b->n_tags);
    for (size_t i = 0; i < a->n_tags; i++)
        assert_true(al_str_eq(a->tags[i], b->tags[i]));
    assert_int_equal(a->n_meta, b->n_meta);
    for (size_t i = 0; i < a->n_meta; i++) {
        assert_true(al_str_eq(a->meta[i].key, b->meta[i].key));
        assert_true(al_str_eq(a->meta[i].value, b->meta[i].value));
    }
    assert_int_equal(a->n_chunks, b->n_chunks);
}

struct coded {
    struct al_buf b;
    struct al_arena a;
};

static void code(struct coded *c, const struct al_doc *d)
{
    al_buf_init(&c->b, NULL, 0);
    al_arena_init(&c->a, NULL, 1u << 20);
    al_doc_encode(d, &c->b);
    struct al_err err;
    AL_CHECK_OK(al_buf_status(&c->b, &err), err);
}

static void uncode(struct coded *c)
{
    al_buf_fini(&c->b);
    al_arena_fini(&c->a);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    struct al_doc got;
    struct al_err err;
    code(&c, &d);
    AL_CHECK_OK(al_doc_decode(al_buf_view(&c.b), &c.a, &got, &err), err);
    assert_attributes(&got, &d);
    assert_true(al_str_eq(got.body, d.body));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got.chunks[i].start, chunks[i].start);
        assert_int_equal(got.chunks[i].end, chunks[i].end);
        assert_true(al_str_eq(got.chunks[i].heading, chunks[i].heading));
    }
    assert_null(got.vectors);
    struct al_doc attributes;
    AL_CHECK_OK(al_doc_decode_attributes(al_buf_view(&c.b), &c.a, &attributes, &err), err);
    assert_attributes(&attributes, &d);
    assert_int_equal(attributes.body.n, 0);
    assert_null(attributes.chunks);
    struct al_buf again;
    al_buf_init(&again, NULL, 0);
    al_doc_encode_attributes(&attributes, &again);
    assert_memory_equal(again.p, c.b.p, again.n);
    al_buf_fini(&again);
    uncode(&c);
}

/* The bytes on disk: changing them needs a new format number. */
static void test_golden_bytes(void **state)
{
    (void)state;
    static const char golden[] =
        "\x02\x07\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0";
    struct al_doc d = {.space = 7,
                       .id = AL_STR("i"),
                       .docno = 2,
                       .created_ms = 3,
                       .updated_ms = 4,
                       .visibility = AL_VIS_TEAM,
                       .analyzer_version = 1,
                       .title = AL_STR("T"),
                       .media_type = AL_STR("m"),
                       .revision = 9,
                       .redactions = 6,
                       .tags = tags,
                       .n_tags = 1,
                       .body = AL_STR("hello"),
                       .chunks = chunks,
                       .n_chunks = 1};
    static const char tail[] = "\x01\0\0\0\x09\0\0\0\0\0\0\0" /* chunks, revision */
                               "\x02\x01\0\0\0"               /* visibility, analyzer */
                               "\x01i\0\0\0\x01T\0\0\0\0\0"   /* texts */
                               "\x01m\x06"                    /* media type, redactions */
                               "\x01\x03"
                               "dag\0" /* tags, metadata */
                               "\0\x05\x03Top\x05hello";
    struct coded c;
    code(&c, &d);
    size_t n = sizeof(golden) - 1;
    assert_memory_equal(c.b.p, golden, n);
    /* content hash, then the hash of embedder and analyzer */
    assert_int_equal(c.b.n, n + 32 + 8 + sizeof(tail) - 1);
    assert_memory_equal(c.b.p + n + 40, tail, sizeof(tail) - 1);
    static const uint8_t maker[8] = {0x03, 0x67, 0x6f, 0x82, 0xcc, 0xb0, 0xc5, 0x4d};
    assert_memory_equal(c.b.p + n + 32, maker, 8);
    uncode(&c);
}

/* What an earlier version stored is read, and changed in place where that has a meaning. */
static void test_format_1(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    struct al_buf old;
    struct al_doc got;
    struct al_err err;
    d.media_type = AL_STR("");
    d.redactions = 0;
    code(&c, &d);
    size_t gap = al_str_find(al_buf_view(&c.b), AL_STR("emb-1"), 0) + 5;
    al_buf_init(&old, NULL, 0);
    al_buf_char(&old, 1);
    al_buf_add(&old, c.b.p + 1, 72);
    al_buf_add(&old, c.b.p + 81, gap - 81);
    al_buf_add(&old, c.b.p + gap + 2, c.b.n - gap - 2);
    AL_CHECK_OK(al_doc_decode(al_buf_view(&old), &c.a, &got, &err), err);
    d.revision = 1;
    assert_attributes(&got, &d);
    assert_true(al_str_eq(got.body, d.body));
    al_doc_patch(old.p, &(struct al_doc_head){.docno = 5, .created_ms = 6, .revision = 8});
    AL_CHECK_OK(al_doc_decode(al_buf_view(&old), &c.a, &got, &err), err);
    assert_int_equal(got.docno, 5);
    assert_int_equal(got.revision, 1);
    assert_int_equal(got.visibility, d.visibility);
    al_buf_fini(&old);
    uncode(&c);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    code(&c, &d);
    for (size_t n = 0; n < c.b.n; n++) {
        struct al_doc got;
        struct al_err err;
        assert_int_equal(al_doc_decode((struct al_str){c.b.p, n}, &c.a, &got, &err), AL_DATA_LOSS);
    }
    al_buf_char(&c.b, 'x'); /* nor may anything follow */
    struct al_doc got;
    struct al_err err;
    assert_int_equal(al_doc_decode(al_buf_view(&c.b), &c.a, &got, &err), AL_DATA_LOSS);
    uncode(&c);
}

static void test_changed_bytes_never_crash(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    code(&c, &d);
    for (size_t n = 0; n < c.b.n; n++) {
        for (unsigned v = 0; v < 256; v += 15) {
            char was = c.b.p[n];
            c.b.p[n] = (char)v;
            struct al_doc got;
            struct al_err err;
            enum al_code code_got = al_doc_decode(al_buf_view(&c.b), &c.a, &got, &err);
            assert_true(code_got == AL_OK || code_got == AL_DATA_LOSS ||
                        (n == 0 && code_got == AL_FAILED_PRECONDITION));
            for (size_t k = 0; code_got == AL_OK && k < got.n_chunks; k++)
                assert_true(got.chunks[k].end <= got.body.n);
            c.b.p[n] = was;
            al_arena_reset(&c.a);
        }
    }
    c.b.p[0] = 3;
    struct al_doc got;
    struct al_err err;
    assert_int_equal(al_doc_decode(al_buf_view(&c.b), &c.a, &got, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "FORMAT_TOO_NEW");
    uncode(&c);
}

static void test_head(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    struct al_doc_head h;
    struct al_doc_head other;
    struct al_err err;
    code(&c, &d);
    AL_CHECK_OK(al_doc_peek(al_buf_view(&c.b), &h, &err), err);
    assert_int_equal(h.docno, d.docno);
    assert_int_equal(h.n_chunks, 3);
    al_doc_patch(
        c.b.p, &(struct al_doc_head){.docno = 5, .created_ms = 6, .updated_ms = 7, .revision = 8});
    AL_CHECK_OK(al_doc_peek(al_buf_view(&c.b), &other, &err), err);
    assert_int_equal(other.docno, 5);
    assert_int_equal(other.created_ms, 6);
    assert_int_equal(other.updated_ms, 7);
    assert_int_equal(other.revision, 8);
    assert_memory_equal(other.content_hash, d.content_hash, 32);
    assert_int_equal(other.maker, h.maker);
    uncode(&c);
    d.analyzer_version++;
    code(&c, &d);
    AL_CHECK_OK(al_doc_peek(al_buf_view(&c.b), &other, &err), err);
    assert_int_not_equal(other.maker, h.maker);
    uncode(&c);
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct coded c;
    code(&c, &d);
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_arena a;
        struct al_doc got;
        struct al_err err;
        al_fault_mem_init(&m, n, false);
        al_arena_init(&a, &m.mem, 1u << 20);
        enum al_code got_code = al_doc_decode(al_buf_view(&c.b), &a, &got, &err);
        assert_int_equal(got_code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_arena_fini(&a);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
    uncode(&c);
}

static void test_check(void **state)
{
    (void)state;
    static char big[AL_DOC_TEXT_BYTES_MAX + 1];
    static const struct al_str many_tags[AL_DOC_TAGS_MAX + 1];
    static const struct al_chunk beyond[] = {{0, 12, {"", 0}}};
    static const struct al_chunk backwards[] = {{5, 6, {"", 0}}, {4, 6, {"", 0}}};
    static const struct al_chunk inside_out[] = {{5, 4, {"", 0}}};
    static const float unit[] = {1, 0, 0, 0, 0, 1};
    static const float not_unit[] = {1, 0, 0, 0, 0, 2};
    static const float infinite[] = {1, 0, 0, 0, 0, __builtin_inff()};
#define CASE(name_, reason_, ...)                                         \
    do {                                                                  \
        struct al_doc d = sample();                                       \
        struct al_err err = {0};                                          \
        __VA_ARGS__;                                                      \
        enum al_code code_ = al_doc_check(&d, 2, &err);                   \
        const char *reason = (reason_);                                   \
        AL_CHECK(name_, code_ == (reason ? AL_INVALID_ARGUMENT : AL_OK)); \
        AL_CHECK(name_, !reason || strcmp(err.reason, reason) == 0);      \
    } while (0)
    CASE("good", NULL, d.vectors = unit);
    CASE("no vectors", NULL, d.vectors = NULL);
    CASE("no id", "BAD_FORMAT", d.id.n = 0);
    CASE("long id", "BAD_FORMAT", d.id = ((struct al_str){big, AL_DOC_ID_BYTES_MAX + 1}));
    CASE("visibility", "BAD_ENUM", d.visibility = 0);
    CASE("long title", "TOO_LARGE", d.title = ((struct al_str){big, sizeof(big)}));
    CASE("tags", "TOO_LARGE", d.tags = many_tags; d.n_tags = AL_DOC_TAGS_MAX + 1);
    CASE("meta", "TOO_LARGE", d.n_meta = AL_DOC_META_MAX + 1);
    CASE("chunks", "TOO_LARGE", d.n_chunks = AL_DOC_CHUNKS_MAX + 1);
    CASE("body", "TOO_LARGE", d.body.n = AL_DOC_BODY_BYTES_MAX + 1);
    CASE("chunk beyond", "OUT_OF_RANGE", d.chunks = beyond; d.n_chunks = 1);
    CASE("chunk backwards", "OUT_OF_RANGE", d.chunks = backwards; d.n_chunks = 2);
    CASE("chunk inside out", "OUT_OF_RANGE", d.chunks = inside_out; d.n_chunks = 1);
    CASE("not unit", "OUT_OF_RANGE", d.vectors = not_unit);
    CASE("infinite", "NOT_FINITE", d.vectors = infinite);
#undef CASE
}

static void test_chunk_text(void **state)
{
    (void)state;
    struct al_doc d = sample();
    struct al_arena a;
    struct al_str text;
    struct al_err err;
    al_arena_init(&a, NULL, 1u << 16);
    AL_CHECK_OK(al_doc_chunk_text(&d, 0, &a, &text, &err), err);
    assert_true(al_str_is(text, "Title\nTop\nhello"));
    AL_CHECK_OK(al_doc_chunk_text(&d, 1, &a, &text, &err), err);
    assert_true(al_str_is(text, "Title"));
    d.title.n = 0;
    AL_CHECK_OK(al_doc_chunk_text(&d, 2, &a, &text, &err), err);
    assert_true(al_str_is(text, "Top > Sub\n world"));
    al_arena_fini(&a);
}

static void test_slots(void **state)
{
    (void)state;
    unsigned quarter[4] = {0};
    for (unsigned i = 0; i < 4000; i++) {
        char id[16];
        int n = snprintf(id, sizeof(id), "doc-%u", i);
        quarter[al_doc_slot(i % 3, (struct al_str){id, (size_t)n}) >> 14]++;
    }
    for (size_t i = 0; i < 4; i++)
        assert_in_range(quarter[i], 850, 1150);
    assert_int_not_equal(al_doc_slot(1, AL_STR("a")), al_doc_slot(2, AL_STR("a")));
    assert_int_equal(al_doc_slot(7, AL_STR("docs/a.md")), 31806); /* never changes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_format_1),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_changed_bytes_never_crash),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_chunk_text),
        cmocka_unit_test(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
