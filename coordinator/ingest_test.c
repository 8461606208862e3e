#include "airlore/testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_fixture.h"

#define SPACE 20u

/* Collects what the stream answers. */
struct seen {
    struct al_ingest_result r[4096];
    char ids[4096][64];
    size_t n;
    size_t groups;
    size_t stop_after; /* 0: never */
};

static enum al_code collect(void *u, const struct al_ingest_result *r, size_t n,
                            const struct al_token *t, struct al_err *err)
{
    struct seen *s = u;
    (void)t;
    for (size_t i = 0; i < n && s->n < AL_ARRAY_LEN(s->r); i++) {
        s->r[s->n] = r[i];
        snprintf(s->ids[s->n], sizeof s->ids[0], AL_STR_FMT, AL_STR_ARG(r[i].id));
        s->n++;
    }
    s->groups++;
    if (s->stop_after && s->n >= s->stop_after)
        return AL_FAIL(err, AL_CANCELLED, "the client has gone");
    return AL_OK;
}

static struct al_ingest *start(struct core *c, struct seen *s, bool delete_missing, bool dry_run)
{
    struct al_err err = {0};
    struct al_ingest *g = NULL;
    struct al_ingest_options opt = {
        .router = &c->router,
        .embedder = c->embedder,
        .clock = al_clock_system(),
        .target = {.space = SPACE,
                   .visibility = AL_VIS_TEAM,
                   .team = "t",
                   .deployment = "",
                   .source = AL_STR_INIT("folder")},
        .delete_missing = delete_missing,
        .dry_run = dry_run,
        .on_results = collect,
        .u = s,
    };
    AL_CHECK_OK(al_ingest_start(&opt, &g, &err), err);
    return g;
}

static void add(struct al_ingest *g, const char *id, const char *text, uint64_t sequence)
{
    struct al_err err = {0};
    struct al_item it = {.id = al_str_c(id), .content = al_str_c(text)};
    AL_CHECK_OK(al_ingest_add(g, &it, sequence, &err), err);
}

static struct al_ingest_summary finish(struct core *c, struct al_ingest *g, bool complete)
{
    struct al_err err = {0};
    struct al_ingest_summary sum;
    struct al_token t;
    AL_CHECK_OK(al_ingest_finish(g, complete, &c->arena, &sum, &t, &err), err);
    AL_CHECK_OK(al_token_wait(&c->router, &t, AL_DEADLINE_NONE, &err), err);
    al_ingest_destroy(g);
    return sum;
}

static struct al_ingest_summary load(struct core *c, struct seen *s, size_t n, const char *text,
                                     bool delete_missing)
{
    struct al_ingest *g = start(c, s, delete_missing, false);
    for (size_t i = 0; i < n; i++) {
        char id[32];
        snprintf(id, sizeof id, "item-%zu", i);
        add(g, id, text, i + 1);
    }
    return finish(c, g, true);
}

static void test_insert_skip_update_and_answers_in_order(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    core_open(&c, 2);
    struct al_ingest_summary sum = load(&c, s, 1000, "a pool limits the tasks", false);
    assert_int_equal(sum.inserted, 1000);
    assert_int_equal(s->n, 1000);
    assert_true(s->groups < 1000); /* one sync serves many */
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(s->r[i].sequence, i + 1);
    sum = load(&c, s, 1000, "a pool limits the tasks", false);
    assert_int_equal(sum.skipped, 1000);
    assert_int_equal(sum.inserted + sum.updated + sum.failed, 0);
    sum = load(&c, s, 10, "a pool of one serializes", false);
    assert_int_equal(sum.updated, 10);
    core_reopen(&c);
    sum = load(&c, s, 10, "a pool of one serializes", false);
    assert_int_equal(sum.skipped, 10);
    core_close(&c);
    free(s);
}

static void test_bad_items_fail_alone(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    core_open(&c, 1);
    struct al_ingest *g = start(&c, s, false, false);
    char long_id[600];
    memset(long_id, 'x', sizeof long_id);
    long_id[599] = '\0';
    struct al_err err = {0};
    struct al_item binary = {.id = AL_STR_INIT("bin"),
                             .content = AL_STR_INIT("\x00\x01\xff\xfe garbage")};
    add(g, "ok-1", "fine", 1);
    add(g, "", "no id", 2);
    add(g, long_id, "long id", 3);
    add(g, "empty", "   ", 4);
    AL_CHECK_OK(al_ingest_add(g, &binary, 5, &err), err);
    add(g, "ok-2", "fine too", 6);
    struct al_ingest_summary sum = finish(&c, g, true);
    static const char *const reasons[] = {
        NULL, "BAD_FORMAT", "BAD_FORMAT", "CONTENT_EMPTY", "CONTENT_UNREADABLE", NULL};
    assert_int_equal(sum.inserted, 2);
    assert_int_equal(sum.failed, 4);
    for (size_t i = 0; i < AL_ARRAY_LEN(reasons); i++) {
        if (!reasons[i])
            assert_int_equal(s->r[i].error.code, AL_OK);
        else
            assert_string_equal(s->r[i].error.reason, reasons[i]);
    }
    core_close(&c);
    free(s);
}

/* Each limit of the contract, one below and one above. */
static void test_limits_of_items(void **state)
{
    (void)state;
    static char text[16384];
    static struct al_str tags[65];
    static struct al_kv meta[65];
    static char keys[65][8];
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    memset(text, 't', sizeof text);
    for (size_t i = 0; i < 65; i++) {
        snprintf(keys[i], sizeof keys[i], "k%zu", i);
        tags[i] = (struct al_str){keys[i], strlen(keys[i])};
        meta[i] = (struct al_kv){tags[i], AL_STR("v")};
    }
    static const struct al_str long_tag = {text, 129};
    static const struct al_str fit_tag = {text, 128};
    static const struct al_kv bad_key = {{"a b", 3}, {"v", 1}};
    static const struct al_kv no_key = {{"", 0}, {"v", 1}};
    static const struct al_kv long_key = {{text, 65}, {"v", 1}};
    static const struct al_kv long_value = {{"k", 1}, {text, 4097}};
    static const struct al_kv fit_meta = {{"A-b_c.9", 7}, {text, 4096}};
    const struct {
        const char *name;
        struct al_item it;
        const char *reason; /* NULL: stored */
    } cases[] = {
        {"id of 512", {.id = {text, 512}}, NULL},
        {"id of 513", {.id = {text, 513}}, "BAD_FORMAT"},
        {"id with a line end", {.id = AL_STR("a\nb")}, "BAD_FORMAT"},
        {"id with DEL", {.id = AL_STR("a\x7f")}, "BAD_FORMAT"},
        {"title of 1,024", {.title = {text, 1024}}, NULL},
        {"title of 1,025", {.title = {text, 1025}}, "TOO_LARGE"},
        {"url of 2,048", {.url = {text, 2048}}, NULL},
        {"url of 2,049", {.url = {text, 2049}}, "TOO_LARGE"},
        {"version of 128", {.version = {text, 128}}, NULL},
        {"version of 129", {.version = {text, 129}}, "TOO_LARGE"},
        {"checksum of 128", {.checksum = {text, 128}}, NULL},
        {"checksum of 129", {.checksum = {text, 129}}, "TOO_LARGE"},
        {"kind of 32", {.kind = {text, 32}}, NULL},
        {"kind of 33", {.kind = {text, 33}}, "BAD_FORMAT"},
        {"kind in capitals", {.kind = AL_STR("Doc")}, "BAD_FORMAT"},
        {"kind with a number first", {.kind = AL_STR("1doc")}, "BAD_FORMAT"},
        {"64 tags", {.tags = tags, .n_tags = 64}, NULL},
        {"65 tags", {.tags = tags, .n_tags = 65}, "TOO_MANY"},
        {"tag of 128", {.tags = &fit_tag, .n_tags = 1}, NULL},
        {"tag of 129", {.tags = &long_tag, .n_tags = 1}, "TOO_LARGE"},
        {"64 entries", {.meta = meta, .n_meta = 64}, NULL},
        {"65 entries", {.meta = meta, .n_meta = 65}, "TOO_MANY"},
        {"largest entry", {.meta = &fit_meta, .n_meta = 1}, NULL},
        {"key with a space", {.meta = &bad_key, .n_meta = 1}, "BAD_FORMAT"},
        {"empty key", {.meta = &no_key, .n_meta = 1}, "BAD_FORMAT"},
        {"key of 65", {.meta = &long_key, .n_meta = 1}, "BAD_FORMAT"},
        {"value of 4,097", {.meta = &long_value, .n_meta = 1}, "TOO_LARGE"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_item it = cases[i].it;
        struct al_target to = {
            .space = SPACE, .visibility = AL_VIS_TEAM, .team = "t", .deployment = ""};
        struct al_doc d;
        uint32_t n;
        it.id = it.id.p ? it.id : AL_STR("x");
        it.content = AL_STR("some text");
        enum al_code code = al_item_prepare(&it, &to, c.embedder, 1, &c.arena, &d, &n, &err);
        AL_CHECK(cases[i].name, code == (cases[i].reason ? AL_INVALID_ARGUMENT : AL_OK));
        if (cases[i].reason)
            AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
    }
    core_close(&c);
}

/* Which reader, and what is said of it afterwards: by type, else by name, else by content. */
static void test_media_types(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    static const struct {
        const char *id;
        enum al_format format;
        const char *content;
        const char *type;
        const char *body; /* what a reader of that type makes of it */
    } cases[] = {
        {"a.md", AL_FORMAT_UNKNOWN, "# T\n\nsome *text*", "text/markdown", "some text"},
        {"a.md", AL_FORMAT_TEXT, "# T\n\nsome *text*", "text/plain", "some *text*"},
        {"a.txt", AL_FORMAT_HTML, "<p>some <b>text</b>", "text/html", "some text"},
        {"a", AL_FORMAT_UNKNOWN, "<html><p>some <b>text</b>", "text/html", "some text"},
        {"a", AL_FORMAT_UNKNOWN, "some *text*", "text/plain", "some *text*"},
        {"a.py", AL_FORMAT_UNKNOWN, "x = 'some text'", "text/x-python", "x = 'some text'"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_item it = {.id = al_str_c(cases[i].id),
                             .content = al_str_c(cases[i].content),
                             .format = cases[i].format};
        struct al_target to = {
            .space = SPACE, .visibility = AL_VIS_TEAM, .team = "t", .deployment = ""};
        struct al_doc d;
        uint32_t n;
        AL_CHECK_OK(al_item_prepare(&it, &to, c.embedder, 1, &c.arena, &d, &n, &err), err);
        assert_true(al_str_is(d.media_type, cases[i].type));
        AL_CHECK(cases[i].content, al_str_find(d.body, al_str_c(cases[i].body), 0) != SIZE_MAX);
    }
    core_close(&c);
}

/* A vector of one's own: one chunk, whatever the text, also without any. */
static void test_own_vectors(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    uint32_t dim = al_embedder_dim(c.embedder);
    float *v = al_arena_array(&c.arena, dim, sizeof *v);
    char *text = al_arena_alloc(&c.arena, 70000);
    assert_non_null(v);
    assert_non_null(text);
    for (size_t i = 0; i < 70000; i++)
        text[i] = "some words of text.\n\n"[i % 21];
    v[0] = 3;
    const struct {
        const char *name;
        size_t n_text;
        size_t n_vector;
        float first;
        const char *reason;
    } cases[] = {
        {"no text", 0, dim, 3, NULL},
        {"short", 20, dim, 3, NULL},
        {"64 KiB", 65500, dim, 3, NULL},
        {"more", 70000, dim, 3, "TOO_LARGE"},
        {"too short a vector", 20, dim - 1, 3, "DIMENSION_MISMATCH"},
        {"all zeros", 20, dim, 0, "NOT_FINITE"},
        {"not a number", 20, dim, NAN, "NOT_FINITE"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_item it = {.id = AL_STR("v"),
                             .content = {text, cases[i].n_text},
                             .vector = v,
                             .n_vector = cases[i].n_vector};
        struct al_target to = {
            .space = SPACE, .visibility = AL_VIS_TEAM, .team = "t", .deployment = ""};
        struct al_doc d;
        uint32_t n;
        v[0] = cases[i].first;
        enum al_code code = al_item_prepare(&it, &to, c.embedder, 1, &c.arena, &d, &n, &err);
        AL_CHECK(cases[i].name, code == (cases[i].reason ? AL_INVALID_ARGUMENT : AL_OK));
        if (cases[i].reason) {
            AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
            continue;
        }
        assert_int_equal(d.n_chunks, 1);
        assert_int_equal(d.chunks[0].end, d.body.n);
        assert_true(d.vectors[0] == 1.0f);
        static const uint8_t no_write_id[16];
        struct al_write_result res;
        struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
        AL_CHECK_OK(c.port[0]->ops->write(c.port[0], &op, 1, no_write_id, AL_DEADLINE_NONE,
                                          &c.arena, &res, &err),
                    err);
    }
    core_close(&c);
}

static void test_what_disappeared_is_deleted_when_asked(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    core_open(&c, 2);
    load(&c, s, 600, "text", false);
    core_put(&c, SPACE, "other-source", "", "text"); /* has no source: stays */
    struct al_ingest *g = start(&c, s, true, false);
    for (size_t i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof id, "item-%zu", i);
        AL_CHECK_OK(al_ingest_present(g, al_str_c(id), &err), err);
    }
    add(g, "item-100", "new text", 1);
    struct al_ingest_summary sum = finish(&c, g, true);
    assert_int_equal(sum.deleted, 499);
    assert_int_equal(sum.updated, 1);
    g = start(&c, s, true, false); /* a stream that broke off deletes nothing */
    sum = finish(&c, g, false);
    assert_int_equal(sum.deleted, 0);
    struct al_shard_status st;
    uint64_t docs = 0;
    for (size_t i = 0; i < 2; i++) {
        al_shard_get_status(c.shard[i], &st);
        docs += st.n_docs;
    }
    assert_int_equal(docs, 102);
    core_close(&c);
    free(s);
}

static void test_a_dry_run_says_and_does_nothing(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    core_open(&c, 1);
    struct al_ingest *g = start(&c, s, false, true);
    add(g, "x", "text", 1);
    struct al_ingest_summary sum = finish(&c, g, true);
    assert_int_equal(sum.inserted, 1);
    struct al_shard_status st;
    al_shard_get_status(c.shard[0], &st);
    assert_int_equal(st.n_docs, 0);
    core_close(&c);
    free(s);
}

static void test_a_client_that_goes_away_ends_the_stream(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    core_open(&c, 1);
    s->stop_after = 20;
    struct al_ingest *g = start(&c, s, false, false);
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < 100000; i++) {
        char id[32];
        snprintf(id, sizeof id, "item-%zu", i);
        struct al_item it = {.id = al_str_c(id), .content = AL_STR("text")};
        code = al_ingest_add(g, &it, i, &err);
    }
    assert_int_equal(code, AL_CANCELLED);
    al_ingest_destroy(g);
    core_close(&c);
    free(s);
}

static void test_secrets_are_not_stored(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    core_open(&c, 1);
    struct al_ingest *g = start(&c, s, false, false);
    struct al_kv meta[] = {{AL_STR("note"), AL_STR("password=hunter2hunter2")}};
    struct al_item it = {
        .id = AL_STR_INIT("s"),
        .title = AL_STR_INIT("token=ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        .content = AL_STR_INIT("use token=ghp_0123456789abcdefghijABCDEFGHIJ012345 to fetch"),
        .url = AL_STR_INIT("https://user:s3cretPassw0rd@host.example/x"),
        .meta = meta,
        .n_meta = 1};
    AL_CHECK_OK(al_ingest_add(g, &it, 1, &err), err);
    finish(&c, g, true);
    assert_true(s->r[0].redactions >= 3);
    struct al_doc d;
    AL_CHECK_OK(al_shard_get_doc(c.shard[0], SPACE, AL_STR("s"), false, &c.arena, &d, &err), err);
    struct al_buf all;
    al_buf_init(&all, NULL, 0);
    al_doc_encode(&d, &all);
    assert_true(al_str_find(al_buf_view(&all), AL_STR("ghp_0123456789"), 0) == SIZE_MAX);
    assert_true(al_str_find(al_buf_view(&all), AL_STR("s3cretPassw0rd"), 0) == SIZE_MAX);
    assert_true(al_str_find(al_buf_view(&all), AL_STR("hunter2"), 0) == SIZE_MAX);
    al_buf_fini(&all);
    core_close(&c);
    free(s);
}

static void test_the_last_version_in_a_stream_wins(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    struct al_doc d;
    core_open(&c, 1);
    for (int round = 0; round < 20; round++) {
        load(&c, s, 1, "first text", false);
        struct al_ingest *g = start(&c, s, false, false);
        add(g, "item-0", "second text", 1);
        add(g, "item-0", "first text",
            2); /* equal to what is stored, while the second is under way */
        finish(&c, g, true);
        AL_CHECK_OK(
            al_shard_get_doc(c.shard[0], SPACE, AL_STR("item-0"), false, &c.arena, &d, &err), err);
        assert_true(al_str_find(d.body, AL_STR("first"), 0) != SIZE_MAX);
    }
    core_close(&c);
    free(s);
}

static void test_items_that_come_while_it_stops_are_freed(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    size_t n = (size_t)400 << 10;
    char *text = malloc(n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 7 ? 'w' : ' ';
    text[n] = '\0';
    for (int round = 0; round < 5; round++) {
        struct seen *s = calloc(1, sizeof *s);
        s->stop_after = 1;
        struct al_ingest *g = start(&c, s, false, false);
        char id[32];
        snprintf(id, sizeof id, "small-%d", round);
        add(g, id, "small", 1);
        /* its answer stops the committer, which frees the second, while the third is prepared */
        struct al_item it = {.id = AL_STR("second"), .content = AL_STR("small")};
        enum al_code code = al_ingest_add(g, &it, 2, &err);
        it = (struct al_item){.id = AL_STR("large"), .content = {text, n}};
        if (code == AL_OK)
            code = al_ingest_add(g, &it, 3, &err);
        assert_true(code == AL_OK || code == AL_CANCELLED);
        al_ingest_destroy(g); /* the leak checker looks on */
        free(s);
    }
    free(text);
    core_close(&c);
}

static void test_refused_items_are_answered_in_their_turn(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    struct al_err why = {0};
    core_open(&c, 1);
    (void)!AL_FAIL_R(&why, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", "key: too much");
    struct al_ingest *g = start(&c, s, false, false);
    struct al_item it = {.id = AL_STR("b"), .content = AL_STR("text")};
    add(g, "a", "text", 1);
    AL_CHECK_OK(al_ingest_refuse(g, &it, 2, &why, &err), err);
    add(g, "c", "text", 3);
    struct al_ingest_summary sum = finish(&c, g, true);
    assert_int_equal(sum.inserted, 2);
    assert_int_equal(sum.failed, 1);
    assert_int_equal(sum.bytes, 12); /* of what was received */
    assert_string_equal(s->ids[1], "b");
    assert_string_equal(s->r[1].error.reason, "QUOTA_EXCEEDED");
    core_close(&c);
    free(s);
}

static void test_a_new_checksum_reaches_the_document(void **state)
{
    (void)state;
    struct core c;
    struct seen *s = calloc(1, sizeof *s);
    struct al_err err = {0};
    core_open(&c, 1);
    struct al_ingest *g = start(&c, s, false, false);
    struct al_item it = {
        .id = AL_STR("a"), .content = AL_STR("same text"), .checksum = AL_STR("v1")};
    AL_CHECK_OK(al_ingest_add(g, &it, 1, &err), err);
    it.checksum = AL_STR("v2");
    AL_CHECK_OK(al_ingest_add(g, &it, 2, &err), err);
    finish(&c, g, true);
    struct al_doc d;
    AL_CHECK_OK(al_shard_get_doc(c.shard[0], SPACE, AL_STR("a"), false, &c.arena, &d, &err), err);
    bool found = false;
    for (size_t i = 0; i < d.n_meta; i++)
        found = found ||
                (al_str_is(d.meta[i].key, "source_checksum") && al_str_is(d.meta[i].value, "v2"));
    assert_true(found);
    core_close(&c);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_skip_update_and_answers_in_order),
        cmocka_unit_test(test_bad_items_fail_alone),
        cmocka_unit_test(test_limits_of_items),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_own_vectors),
        cmocka_unit_test(test_what_disappeared_is_deleted_when_asked),
        cmocka_unit_test(test_a_dry_run_says_and_does_nothing),
        cmocka_unit_test(test_a_client_that_goes_away_ends_the_stream),
        cmocka_unit_test(test_secrets_are_not_stored),
        cmocka_unit_test(test_the_last_version_in_a_stream_wins),
        cmocka_unit_test(test_items_that_come_while_it_stops_are_freed),
        cmocka_unit_test(test_refused_items_are_answered_in_their_turn),
        cmocka_unit_test(test_a_new_checksum_reaches_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
