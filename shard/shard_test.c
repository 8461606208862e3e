/* What a shard does when nothing fails. */
#include <pthread.h>

#include "shard_fixture.h"
#include "vector_index.h"

struct fx {
    char dir[256];
    struct al_shard_options o;
    struct al_shard *s;
    struct al_arena a;
};

static void setup(struct fx *f, const struct al_store_factory *store)
{
    memset(f, 0, sizeof(*f));
    al_test_dir(f->dir, sizeof(f->dir));
    f->o = fx_options(f->dir);
    f->o.store = store;
    al_arena_init(&f->a, NULL, 64u << 20);
    f->s = fx_open(&f->o);
}

static void reopen(struct fx *f)
{
    al_shard_destroy(f->s);
    f->s = fx_open(&f->o);
}

static void teardown(struct fx *f)
{
    al_shard_destroy(f->s);
    al_arena_fini(&f->a);
}

static const struct al_store_factory *stores[2];
#define EACH_STORE(i_) for (size_t i_ = 0; i_ < AL_ARRAY_LEN(stores); i_++)

static void test_upsert_outcomes(void **state)
{
    (void)state;
    EACH_STORE(i)
    {
        struct fx f;
        setup(&f, stores[i]);
        assert_int_equal(fx_put(f.s, &f.a, "a", 1, 2), AL_OUTCOME_INSERTED);
        assert_int_equal(fx_put(f.s, &f.a, "a", 1, 2), AL_OUTCOME_SKIPPED);
        assert_int_equal(fx_put(f.s, &f.a, "a", 2, 3), AL_OUTCOME_UPDATED);
        assert_int_equal(fx_put(f.s, &f.a, "b", 3, 1), AL_OUTCOME_INSERTED);
        assert_int_equal(fx_delete(f.s, &f.a, "b"), AL_OUTCOME_DELETED);
        assert_int_equal(fx_delete(f.s, &f.a, "b"), AL_OUTCOME_ABSENT);
        uint32_t seed = 0;
        assert_true(fx_has(f.s, "a", &seed));
        assert_int_equal(seed, 2);
        assert_false(fx_has(f.s, "b", NULL));
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        assert_int_equal(st.n_docs, 1);
        assert_int_equal(st.n_chunks, 3);
        assert_int_equal(st.applied_index, 7); /* a no-op and six writes */
        assert_int_equal(st.epoch, 1);
        fx_verify(f.s);
        reopen(&f);
        assert_true(fx_has(f.s, "a", &seed));
        assert_false(fx_has(f.s, "b", NULL));
        al_shard_get_status(f.s, &st);
        assert_int_equal(st.n_docs, 1);
        assert_int_equal(st.applied_index, 8);
        assert_int_equal(st.epoch, 2);
        fx_verify(f.s);
        teardown(&f);
    }
}

static void test_many_ops_in_one_entry_see_each_other(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    struct al_doc d1 = fx_doc(&f.a, "x", 1, 1);
    struct al_doc d2 = fx_doc(&f.a, "x", 2, 2);
    const struct al_op ops[] = {
        {.kind = AL_OP_PUT_DOC, .doc = &d1},
        {.kind = AL_OP_PUT_DOC, .doc = &d1},
        {.kind = AL_OP_PUT_DOC, .doc = &d2},
        {.kind = AL_OP_PUT_DOC, .doc = &d1, .condition = AL_IF_ABSENT},
        {.kind = AL_OP_DELETE_DOC, .space = FX_SPACE, .id = d1.id},
        {.kind = AL_OP_PUT_DOC, .doc = &d1, .condition = AL_IF_ABSENT},
        {.kind = AL_OP_PUT_ROW, .table = 1, .id = AL_STR("k"), .value = AL_STR("1")},
        {.kind = AL_OP_PUT_ROW, .table = 1, .id = AL_STR("k"), .value = AL_STR("2")},
    };
    const enum al_outcome want[] = {AL_OUTCOME_INSERTED,  AL_OUTCOME_SKIPPED, AL_OUTCOME_UPDATED,
                                    AL_OUTCOME_CONDITION, AL_OUTCOME_DELETED, AL_OUTCOME_INSERTED,
                                    AL_OUTCOME_INSERTED,  AL_OUTCOME_UPDATED};
    uint8_t id[16] = {0};
    struct al_write_result r;
    struct al_err err;
    AL_CHECK_OK(al_shard_write(f.s, ops, AL_ARRAY_LEN(ops), id, AL_DEADLINE_NONE, &f.a, &r, &err),
                err);
    for (size_t i = 0; i < AL_ARRAY_LEN(ops); i++)
        assert_int_equal(r.outcomes[i], want[i]);
    uint32_t seed = 0;
    assert_true(fx_has(f.s, "x", &seed));
    assert_int_equal(seed, 1);
    fx_verify(f.s);
    teardown(&f);
}

static void test_conditions_and_rows(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    struct al_op put = {.kind = AL_OP_PUT_ROW,
                        .table = 2,
                        .space = FX_SPACE,
                        .id = AL_STR("job/1"),
                        .value = AL_STR("new"),
                        .condition = AL_IF_ABSENT};
    struct al_write_result first = fx_write(f.s, &f.a, &put, 0);
    assert_int_equal(first.outcomes[0], AL_OUTCOME_INSERTED);
    assert_int_equal(fx_write(f.s, &f.a, &put, 0).outcomes[0], AL_OUTCOME_CONDITION);
    put.condition = AL_IF_VERSION;
    put.version = first.index;
    put.value = AL_STR("second");
    struct al_write_result second = fx_write(f.s, &f.a, &put, 0);
    assert_int_equal(second.outcomes[0], AL_OUTCOME_UPDATED);
    assert_int_equal(fx_write(f.s, &f.a, &put, 0).outcomes[0], AL_OUTCOME_CONDITION);
    struct al_str value;
    uint64_t version = 0;
    struct al_err err;
    AL_CHECK_OK(al_shard_get_row(f.s, 2, FX_SPACE, AL_STR("job/1"), &f.a, &value, &version, &err),
                err);
    assert_true(al_str_is(value, "second"));
    assert_int_equal(version, second.index);
    assert_int_equal(
        al_shard_get_row(f.s, 3, FX_SPACE, AL_STR("job/1"), &f.a, &value, &version, &err),
        AL_NOT_FOUND);
    struct al_op gone = {.kind = AL_OP_DELETE_ROW,
                         .table = 2,
                         .space = FX_SPACE,
                         .id = AL_STR("job/1"),
                         .condition = AL_IF_VERSION,
                         .version = first.index};
    assert_int_equal(fx_write(f.s, &f.a, &gone, 0).outcomes[0], AL_OUTCOME_CONDITION);
    gone.version = second.index;
    assert_int_equal(fx_write(f.s, &f.a, &gone, 0).outcomes[0], AL_OUTCOME_DELETED);
    assert_int_equal(fx_write(f.s, &f.a, &gone, 0).outcomes[0], AL_OUTCOME_CONDITION);
    gone.condition = AL_IF_ANY;
    assert_int_equal(fx_write(f.s, &f.a, &gone, 0).outcomes[0], AL_OUTCOME_ABSENT);
    teardown(&f);
}

static void test_scan_rows(void **state)
{
    (void)state;
    EACH_STORE(i)
    {
        struct fx f;
        setup(&f, stores[i]);
        const char *keys[] = {"a/1", "a/2", "a/3", "b/1", "a"};
        for (size_t k = 0; k < AL_ARRAY_LEN(keys); k++)
            assert_int_equal(fx_put_row(f.s, &f.a, keys[k], keys[k]), AL_OUTCOME_INSERTED);
        static const struct {
            const char *prefix;
            const char *after;
            uint32_t limit;
            const char *want;
        } cases[] = {
            {"a/", "", 10, "a/1 a/2 a/3 "},
            {"a/", "a/1", 10, "a/2 a/3 "},
            {"a/", "a/1", 1, "a/2 "},
            {"", "", 10, "a a/1 a/2 a/3 b/1 "},
            {"", "a/25", 10, "a/3 b/1 "},
            {"c", "", 10, ""},
            {"a/", "b", 10, ""},
            {"b", "a/2", 10, "b/1 "},
            {"a", "", 0, ""},
        };
        for (size_t c = 0; c < AL_ARRAY_LEN(cases); c++) {
            struct al_row *rows = NULL;
            size_t n = 0;
            struct al_err err;
            AL_CHECK_OK(al_shard_scan_rows(f.s, 2, FX_SPACE, al_str_c(cases[c].prefix),
                                           al_str_c(cases[c].after), cases[c].limit, &f.a, &rows,
                                           &n, &err),
                        err);
            char got[200] = "";
            for (size_t k = 0; k < n; k++) {
                size_t at = strlen(got);
                snprintf(got + at, sizeof(got) - at, AL_STR_FMT " ", AL_STR_ARG(rows[k].key));
                assert_true(al_str_eq(rows[k].key, rows[k].value));
                assert_true(rows[k].version > 0);
                assert_int_equal(rows[k].space, FX_SPACE);
            }
            assert_string_equal(got, cases[c].want);
        }
        teardown(&f);
    }
}

static void test_list_pages(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    for (unsigned i = 0; i < 50; i++) {
        struct al_doc d = fx_doc(&f.a, al_arena_printf(&f.a, "doc-%02u", i), i, 1);
        d.space = i % 5 == 0 ? 9 : FX_SPACE;
        d.kind = i % 2 ? AL_STR("odd") : AL_STR("even");
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
        (void)fx_write(f.s, &f.a, &op, 0);
    }
    struct al_err err;
    const struct al_filter *odd = NULL;
    AL_CHECK_OK(al_filter_compile(AL_STR("kind = \"odd\""), &f.a, &odd, &err), err);
    const uint32_t spaces[] = {FX_SPACE, 9};
    static const struct {
        const char *name;
        size_t n_spaces;
        bool odd;
        const char *source;
        uint32_t limit;
        size_t want;
    } cases[] = {
        {"all", 2, false, "", 1000, 50},
        {"pages of 7", 2, false, "", 7, 50},
        {"pages of 1", 2, false, "", 1, 50},
        {"one space", 1, false, "", 7, 40},
        {"filtered", 1, true, "", 3, 20},
        {"source", 2, true, "src", 10, 25},
        {"no such source", 2, false, "other", 10, 0},
        {"no space", 0, false, "", 10, 0},
    };
    for (size_t c = 0; c < AL_ARRAY_LEN(cases); c++) {
        struct al_list_query q = {.spaces = spaces,
                                  .n_spaces = cases[c].n_spaces,
                                  .filter = cases[c].odd ? odd : NULL,
                                  .source = al_str_c(cases[c].source),
                                  .limit = cases[c].limit};
        size_t n = 0;
        bool seen[50] = {false};
        do {
            struct al_doc_page page;
            AL_CHECK_OK(al_shard_list_docs(f.s, &q, &f.a, &page, &err), err);
            AL_CHECK(cases[c].name, page.n_docs <= cases[c].limit);
            for (size_t i = 0; i < page.n_docs; i++) {
                uint64_t number = 0;
                struct al_str id = page.docs[i].id;
                AL_CHECK(cases[c].name, al_str_u64(al_str_sub(id, 4, 2), &number));
                AL_CHECK(cases[c].name, !seen[number]);
                AL_CHECK(cases[c].name, page.docs[i].body.n == 0 && page.docs[i].n_tags == 1);
                seen[number] = true;
                n++;
            }
            q.after = page.after;
        } while (q.after.n);
        AL_CHECK(cases[c].name, n == cases[c].want);
    }
    struct al_doc_page page;
    struct al_list_query bad = {.spaces = spaces, .n_spaces = 1, .limit = 0};
    assert_int_equal(al_shard_list_docs(f.s, &bad, &f.a, &page, &err), AL_INVALID_ARGUMENT);
    bad.limit = 1001;
    assert_int_equal(al_shard_list_docs(f.s, &bad, &f.a, &page, &err), AL_INVALID_ARGUMENT);
    teardown(&f);
}

static void test_write_ids_repeat_the_first_answer(void **state)
{
    (void)state;
    EACH_STORE(i)
    {
        struct fx f;
        setup(&f, stores[i]);
        struct al_fake_clock clock;
        al_fake_clock_init(&clock, 1700000000000);
        al_shard_destroy(f.s);
        f.o.clock = &clock.clock;
        f.s = fx_open(&f.o);
        struct al_doc d = fx_doc(&f.a, "w", 1, 1);
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
        struct al_write_result one = fx_write(f.s, &f.a, &op, 77);
        assert_false(one.repeated);
        assert_int_equal(fx_delete(f.s, &f.a, "w"), AL_OUTCOME_DELETED);
        for (int round = 0; round < 2; round++) {
            struct al_write_result two = fx_write(f.s, &f.a, &op, 77);
            assert_true(two.repeated);
            assert_int_equal(two.index, one.index);
            assert_int_equal(two.outcomes[0], AL_OUTCOME_INSERTED);
            assert_false(fx_has(f.s, "w", NULL));
            reopen(&f);
        }
        const struct al_op both[] = {op, op};
        uint8_t id[16];
        fx_write_id(77, id);
        struct al_write_result r;
        struct al_err err;
        assert_int_equal(al_shard_write(f.s, both, 2, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                         AL_ALREADY_EXISTS);
        assert_string_equal(err.reason, "ID_REUSED");
        al_fake_clock_step_ms(&clock, 24ull * 3600 * 1000 + 1);
        struct al_write_result later = fx_write(f.s, &f.a, &op, 77);
        assert_false(later.repeated); /* its time was over */
        assert_true(fx_has(f.s, "w", NULL));
        (void)fx_write(f.s, &f.a, &op, 78); /* drops what is over, not what was renewed */
        assert_true(fx_write(f.s, &f.a, &op, 77).repeated);
        teardown(&f);
    }
}

static void test_created_time_is_kept(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    struct al_doc d = fx_doc(&f.a, "t", 1, 1);
    d.created_ms = 1000;
    d.updated_ms = 1000;
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_write_result r = fx_write(f.s, &f.a, &op, 0);
    d.created_ms = 2000;
    d.updated_ms = 2000;
    d.content_hash[0] ^= 1;
    (void)fx_write(f.s, &f.a, &op, 0);
    struct al_doc got;
    struct al_err err;
    AL_CHECK_OK(al_shard_get_doc(f.s, FX_SPACE, AL_STR("t"), false, &f.a, &got, &err), err);
    assert_int_equal(got.created_ms, 1000);
    assert_int_equal(got.updated_ms, 2000);
    assert_int_equal(got.docno, (r.index + 1) << 20);
    assert_null(got.vectors);
    uint8_t hash[32];
    AL_CHECK_OK(al_shard_get_hash(f.s, FX_SPACE, AL_STR("t"), hash, &err), err);
    assert_memory_equal(hash, d.content_hash, 32);
    assert_int_equal(al_shard_get_hash(f.s, FX_SPACE, AL_STR("u"), hash, &err), AL_NOT_FOUND);
    teardown(&f);
}

static uint64_t revision_of(struct fx *f, const char *id)
{
    struct al_doc got;
    struct al_err err;
    AL_CHECK_OK(al_shard_get_doc(f->s, FX_SPACE, al_str_c(id), false, &f->a, &got, &err), err);
    return got.revision;
}

/* Times it was stored: grows with every version, is kept on disk, begins anew with another document
 * of that name. */
static void test_revisions(void **state)
{
    (void)state;
    static const uint8_t no_write_id[16];
    struct fx f;
    struct al_err err;
    struct al_write_result r;
    setup(&f, stores[1]);
    assert_int_equal(fx_put(f.s, &f.a, "t", 1, 1), AL_OUTCOME_INSERTED);
    assert_int_equal(revision_of(&f, "t"), 1);
    assert_int_equal(fx_put(f.s, &f.a, "t", 1, 1), AL_OUTCOME_SKIPPED);
    assert_int_equal(revision_of(&f, "t"), 1);
    assert_int_equal(fx_put(f.s, &f.a, "t", 2, 1), AL_OUTCOME_UPDATED);
    reopen(&f);
    assert_int_equal(fx_put(f.s, &f.a, "t", 3, 1), AL_OUTCOME_UPDATED);
    assert_int_equal(revision_of(&f, "t"), 3);
    /* deleted and put by one entry: stored once more, by force */
    struct al_doc d = fx_doc(&f.a, "t", 3, 1);
    d.revision = 77; /* what the writer says does not count */
    struct al_op force[] = {
        {.kind = AL_OP_DELETE_DOC, .space = FX_SPACE, .id = AL_STR("t")},
        {.kind = AL_OP_PUT_DOC, .doc = &d},
    };
    AL_CHECK_OK(al_shard_write(f.s, force, 2, no_write_id, AL_DEADLINE_NONE, &f.a, &r, &err), err);
    assert_int_equal(revision_of(&f, "t"), 4);
    assert_int_equal(fx_delete(f.s, &f.a, "t"), AL_OUTCOME_DELETED);
    assert_int_equal(fx_put(f.s, &f.a, "t", 4, 1), AL_OUTCOME_INSERTED);
    assert_int_equal(revision_of(&f, "t"), 1);
    fx_verify(f.s);
    teardown(&f);
}

static void test_bad_input_is_refused(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    struct al_doc good = fx_doc(&f.a, "g", 1, 1);
    struct al_doc nan = fx_doc(&f.a, "g", 1, 1);
    ((float *)(uintptr_t)nan.vectors)[0] = 0.0f / 1.0f;
    ((float *)(uintptr_t)nan.vectors)[3] = __builtin_nanf("");
    struct al_doc long_id = good;
    long_id.id.p = al_arena_zalloc(&f.a, 513);
    long_id.id.n = 513;
    const struct {
        const char *name;
        struct al_op op;
        const char *reason;
    } cases[] = {
        {"nan", {.kind = AL_OP_PUT_DOC, .doc = &nan}, "NOT_FINITE"},
        {"long id", {.kind = AL_OP_PUT_DOC, .doc = &long_id}, "BAD_FORMAT"},
        {"no document", {.kind = AL_OP_PUT_DOC}, "BAD_ENUM"},
        {"no kind", {.doc = &good}, "BAD_ENUM"},
        {"table 0", {.kind = AL_OP_PUT_ROW, .id = AL_STR("k")}, "OUT_OF_RANGE"},
        {"empty key", {.kind = AL_OP_PUT_ROW, .table = 1}, "BAD_FORMAT"},
        {"empty id", {.kind = AL_OP_DELETE_DOC}, "BAD_FORMAT"},
        {"condition", {.kind = AL_OP_PUT_DOC, .doc = &good, .condition = 9}, "BAD_ENUM"},
    };
    uint8_t id[16] = {0};
    struct al_write_result r;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        AL_CHECK(cases[i].name, al_shard_write(f.s, &cases[i].op, 1, id, AL_DEADLINE_NONE, &f.a, &r,
                                               &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
    }
    struct al_err err;
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &good};
    assert_int_equal(al_shard_write(f.s, &op, 0, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                     AL_INVALID_ARGUMENT);
    assert_int_equal(al_shard_write(f.s, &op, 1, id, 0, &f.a, &r, &err), AL_DEADLINE_EXCEEDED);
    al_shard_close(f.s);
    assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err),
                     AL_UNAVAILABLE);
    struct al_doc d;
    assert_int_equal(al_shard_get_doc(f.s, 1, AL_STR("g"), false, &f.a, &d, &err), AL_UNAVAILABLE);
    teardown(&f);
}

static void test_what_was_opened_must_fit(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[1]);
    struct al_shard *other = NULL;
    struct al_err err;
    assert_int_equal(al_shard_open(&f.o, &other, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "IN_USE");
    assert_non_null(strstr(err.msg, "is in use by another airlored"));
    al_shard_destroy(f.s);
    f.s = NULL;
    f.o.dim = 16;
    assert_int_equal(al_shard_open(&f.o, &other, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "EMBEDDER_MISMATCH");
    f.o.dim = FX_DIM;
    f.o.slot_first = 5;
    f.o.slot_last = 5;
    f.s = fx_open(&f.o);
    struct al_doc d = fx_doc(&f.a, "elsewhere", 1, 1);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    uint8_t id[16] = {0};
    struct al_write_result r;
    assert_int_not_equal(al_doc_slot(d.space, d.id), 5);
    assert_int_equal(al_shard_write(f.s, &op, 1, id, AL_DEADLINE_NONE, &f.a, &r, &err), AL_ABORTED);
    assert_string_equal(err.reason, "EPOCH_STALE");
    teardown(&f);
}

static void test_another_embedder_makes_stale_documents(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    for (unsigned i = 0; i < 10; i++)
        (void)fx_put(f.s, &f.a, al_arena_printf(&f.a, "d%u", i), i, 1);
    struct al_err err;
    AL_CHECK_OK(al_shard_compact(f.s, false, NULL, NULL, &err), err);
    (void)fx_put(f.s, &f.a, "more", 99, 1);
    f.o.embedder_id = "other-8";
    reopen(&f);
    struct al_shard_status st;
    al_shard_get_status(f.s, &st);
    assert_int_equal(st.stale_docs, 11);
    struct al_doc d = fx_doc(&f.a, "d3", 3, 1);
    d.embedder_id = AL_STR("other-8"); /* same content, new vectors */
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    assert_int_equal(fx_write(f.s, &f.a, &op, 0).outcomes[0], AL_OUTCOME_UPDATED);
    assert_int_equal(fx_write(f.s, &f.a, &op, 0).outcomes[0], AL_OUTCOME_SKIPPED);
    al_shard_get_status(f.s, &st);
    assert_int_equal(st.stale_docs, 10);
    fx_verify(f.s);
    teardown(&f);
}

static void test_seal_merge_reopen(void **state)
{
    (void)state;
    EACH_STORE(i)
    {
        struct fx f;
        setup(&f, stores[i]);
        struct al_err err;
        for (unsigned round = 0; round < 4; round++) {
            for (unsigned k = 0; k < 30; k++) {
                unsigned n = round * 20 + k; /* ten of each round replace older ones */
                (void)fx_put(f.s, &f.a, al_arena_printf(&f.a, "d%u", n), n + 1000 * round,
                             1 + n % 3);
            }
            (void)fx_delete(f.s, &f.a, al_arena_printf(&f.a, "d%u", round * 20));
            AL_CHECK_OK(al_shard_compact(f.s, false, NULL, NULL, &err), err);
            fx_verify(f.s);
            if (round % 2)
                reopen(&f);
        }
        struct al_shard_status before;
        al_shard_get_status(f.s, &before);
        assert_int_equal(before.growing_rows, 0);
        assert_true(before.n_segments >= 1);
        reopen(&f);
        fx_verify(f.s);
        for (unsigned n = 0; n < 90; n++)
            assert_int_equal(fx_has(f.s, al_arena_printf(&f.a, "d%u", n), NULL),
                             n % 20 != 0 || n == 80);
        AL_CHECK_OK(al_shard_compact(f.s, true, NULL, NULL, &err), err);
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        assert_int_equal(st.n_segments, 1);
        assert_int_equal(st.n_tombstones, 0);
        assert_int_equal(st.n_docs, before.n_docs);
        assert_int_equal(st.n_chunks, before.n_chunks);
        fx_verify(f.s);
        reopen(&f);
        fx_verify(f.s);
        teardown(&f);
    }
}

static bool stop_at_once(void *u, double done)
{
    (void)done;
    ++*(int *)u;
    return false;
}

static void test_compact_and_verify_can_be_cancelled(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    (void)fx_put(f.s, &f.a, "d", 1, 1);
    int calls = 0;
    struct al_err err;
    struct al_verify_report r;
    assert_int_equal(al_shard_compact(f.s, true, stop_at_once, &calls, &err), AL_CANCELLED);
    assert_int_equal(al_shard_verify(f.s, &f.a, stop_at_once, &calls, &r, &err), AL_CANCELLED);
    assert_int_equal(calls, 2);
    fx_verify(f.s);
    AL_CHECK_OK(al_shard_compact(f.s, true, NULL, NULL, &err), err);
    fx_verify(f.s);
    teardown(&f);
}

/* ---- concurrency ---- */

#define WRITERS 8
#define WRITES 60

struct writer {
    pthread_t thread;
    struct fx *f;
    unsigned number;
    unsigned acked;
};

static void *write_some(void *u)
{
    struct writer *w = u;
    struct al_arena a;
    al_arena_init(&a, NULL, 8u << 20);
    for (unsigned i = 0; i < WRITES; i++) {
        char id[32];
        snprintf(id, sizeof(id), "w%u-%u", w->number, i % 40);
        struct al_doc d = fx_doc(&a, id, w->number * 1000 + i, 1 + i % 3);
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
        uint8_t write_id[16];
        fx_write_id(w->number * 100000 + i + 1, write_id);
        struct al_write_result r;
        w->acked +=
            al_shard_write(w->f->s, &op, 1, write_id, AL_DEADLINE_NONE, &a, &r, NULL) == AL_OK;
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return NULL;
}

static void test_concurrent_writers_share_syncs(void **state)
{
    (void)state;
    EACH_STORE(i)
    {
        struct fx f;
        setup(&f, stores[i]);
        al_shard_destroy(f.s);
        struct al_metrics *m = NULL;
        struct al_err err;
        AL_CHECK_OK(al_metrics_create(NULL, &m, &err), err);
        f.o.metrics = m;
        f.o.background = true; /* seals and merges meanwhile */
        f.s = fx_open(&f.o);
        struct writer w[WRITERS];
        for (unsigned k = 0; k < WRITERS; k++) {
            w[k] = (struct writer){.f = &f, .number = k};
            assert_int_equal(pthread_create(&w[k].thread, NULL, write_some, &w[k]), 0);
        }
        for (unsigned k = 0; k < WRITERS; k++) {
            pthread_join(w[k].thread, NULL);
            assert_int_equal(w[k].acked, WRITES);
        }
        struct al_metric *writes = NULL;
        struct al_metric *groups = NULL;
        AL_CHECK_OK(al_metrics_counter(m, "airlore_shard_writes_total", "Log entries written.",
                                       "shard=\"3\"", &writes, &err),
                    err);
        AL_CHECK_OK(al_metrics_counter(m, "airlore_shard_groups_total",
                                       "Batches written: entries that shared one sync.",
                                       "shard=\"3\"", &groups, &err),
                    err);
        assert_int_equal((int)al_metric_value(writes), WRITERS * WRITES);
        assert_true(al_metric_value(groups) <= al_metric_value(writes));
        struct al_shard_status st;
        al_shard_get_status(f.s, &st);
        assert_int_equal(st.n_docs, WRITERS * 40);
        assert_int_equal(st.applied_index, WRITERS * WRITES + 2); /* and the no-ops of two epochs */
        fx_verify(f.s);
        reopen(&f);
        for (unsigned k = 0; k < WRITERS; k++) {
            for (unsigned n = 0; n < 40; n++) {
                uint32_t seed = 0;
                char id[32];
                snprintf(id, sizeof(id), "w%u-%u", k, n);
                assert_true(fx_has(f.s, id, &seed));
                assert_int_equal(seed, k * 1000 + (n < WRITES - 40 ? n + 40 : n));
            }
        }
        fx_verify(f.s);
        al_shard_destroy(f.s);
        f.s = NULL;
        al_metrics_destroy(m);
        teardown(&f);
    }
}

static void test_wait(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    (void)fx_put(f.s, &f.a, "d", 1, 1);
    struct al_err err;
    AL_CHECK_OK(al_shard_wait(f.s, 2, 0, &err), err);
    uint64_t soon = al_clock_deadline(al_clock_system(), 5);
    assert_int_equal(al_shard_wait(f.s, 3, soon, &err), AL_DEADLINE_EXCEEDED);
    teardown(&f);
}

static void test_the_log_is_kept_within_bounds(void **state)
{
    (void)state;
    struct fx f;
    setup(&f, stores[0]);
    size_t n = (size_t)1 << 20;
    char *value = al_arena_alloc(&f.a, n);
    assert_non_null(value);
    memset(value, 'v', n);
    for (unsigned i = 0; i < 90; i++) { /* more than the 64 MiB that are kept */
        struct al_op op = {
            .kind = AL_OP_PUT_ROW, .table = 1, .id = AL_STR("k"), .value = {value, n}};
        (void)fx_write(f.s, &f.a, &op, i + 1);
    }
    for (int round = 0; round < 2; round++) {
        struct al_verify_report r;
        struct al_err err;
        AL_CHECK_OK(al_shard_verify(f.s, &f.a, NULL, NULL, &r, &err), err);
        assert_int_equal(r.n_problems, 0);
        assert_in_range(r.log_checked, 40, 66);
        struct al_op op = {
            .kind = AL_OP_PUT_ROW, .table = 1, .id = AL_STR("k"), .value = {value, n}};
        assert_true(fx_write(f.s, &f.a, &op, 2).repeated); /* write ids outlive the entries */
        reopen(&f);
    }
    teardown(&f);
}

int main(void)
{
    stores[0] = al_store_mem();
    stores[1] = al_store_rocksdb();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upsert_outcomes),
        cmocka_unit_test(test_many_ops_in_one_entry_see_each_other),
        cmocka_unit_test(test_conditions_and_rows),
        cmocka_unit_test(test_scan_rows),
        cmocka_unit_test(test_list_pages),
        cmocka_unit_test(test_write_ids_repeat_the_first_answer),
        cmocka_unit_test(test_created_time_is_kept),
        cmocka_unit_test(test_revisions),
        cmocka_unit_test(test_bad_input_is_refused),
        cmocka_unit_test(test_what_was_opened_must_fit),
        cmocka_unit_test(test_another_embedder_makes_stale_documents),
        cmocka_unit_test(test_seal_merge_reopen),
        cmocka_unit_test(test_compact_and_verify_can_be_cancelled),
        cmocka_unit_test(test_concurrent_writers_share_syncs),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_the_log_is_kept_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
