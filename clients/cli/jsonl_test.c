#include "jsonl.h"

#include <stdlib.h>

#include "airlore/testing.h"

static struct al_cli_jsonl *reader(FILE *f)
{
    struct al_cli_jsonl *r = malloc(sizeof *r);
    assert_non_null(r);
    al_cli_jsonl_init(r, f);
    return r;
}

static void test_lines(void **state)
{
    (void)state;
    char text[] = "{\"a\":1}\n\n  \t\n{\"b\":2}\r\nx\0y\nlast";
    FILE *f = fmemopen(text, sizeof text - 1, "r");
    struct al_cli_jsonl *r = reader(f);
    struct al_str line;
    bool whole;
    static const struct {
        uint64_t number;
        struct al_str text;
    } want[] = {{1, AL_STR_INIT("{\"a\":1}")},
                {4, AL_STR_INIT("{\"b\":2}")},
                {5, AL_STR_INIT("x\0y")},
                {6, AL_STR_INIT("last")}};
    for (size_t i = 0; i < AL_ARRAY_LEN(want); i++) {
        assert_true(al_cli_jsonl_next(r, &line, &whole));
        assert_true(whole);
        assert_int_equal(r->number, want[i].number);
        assert_true(al_str_eq(line, want[i].text));
    }
    assert_false(al_cli_jsonl_next(r, &line, &whole));
    assert_false(r->is_error);
    assert_int_equal(r->bytes, sizeof text - 1);
    al_cli_jsonl_fini(r);
    free(r);
    fclose(f);
}

static void test_a_line_too_long_is_cut_and_the_next_one_read(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    static char block[1 << 20];
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 17; i++)
        fwrite(block, 1, sizeof block, f);
    fputs("\nnext\n", f);
    rewind(f);
    struct al_cli_jsonl *r = reader(f);
    struct al_str line;
    bool whole;
    assert_true(al_cli_jsonl_next(r, &line, &whole));
    assert_false(whole);
    assert_true(line.n <= AL_JSONL_LINE_BYTES_MAX);
    assert_true(al_cli_jsonl_next(r, &line, &whole));
    assert_true(whole && al_str_is(line, "next"));
    assert_int_equal(r->number, 2);
    al_cli_jsonl_fini(r);
    free(r);
    fclose(f);
}

static void test_reading_a_folder_is_an_error(void **state)
{
    (void)state;
    FILE *f = fopen("/", "r");
    assert_non_null(f);
    struct al_cli_jsonl *r = reader(f);
    struct al_str line;
    bool whole;
    assert_false(al_cli_jsonl_next(r, &line, &whole));
    assert_true(r->is_error);
    al_cli_jsonl_fini(r);
    free(r);
    fclose(f);
}

static const struct {
    const char *line;
    const char *reason; /* NULL: an item */
} cases[] = {
    {"{\"id\":\"a\",\"text\":\"b\"}", NULL},
    {"{\"id\":\"d/2 "
     "\xc3\xbc\",\"text\":\"b\",\"tags\":[\"x\",\"y\"],\"metadata\":{\"airflow\":\"3.1\"}}",
     NULL},
    {"{\"id\":\"a\",\"text\":\"b\",\"title\":null,\"tags\":null,\"metadata\":null}", NULL},
    {"{\"id\":\"a\",\"vector\":[1,2.5,-3]}", NULL},
    {"{\"id\":\"a\",\"text\":\"\"}", NULL},
    {"{\"id\":\"a\",\"text\":\"b\",\"format\":\"md\"}", NULL},
    {"{\"id\":\"a\",\"text\":\"b\",\"unknown\":[{}]}", NULL},
    {"{\"id\":\"a\",\"text\":\"b\",\"update_time\":\"2026-11-21T09:30:00.5Z\"}", NULL},
    {"{\"id\":", "BAD_JSON"},
    {"[1]", "BAD_JSON"},
    {"\"text\"", "BAD_JSON"},
    {"{} {}", "BAD_JSON"},
    {"\xff\xfe", "BAD_JSON"},
    {"{\"id\":\"\xff\",\"text\":\"b\"}", "BAD_JSON"},
    {"{\"id\":\"a\\u0000b\",\"text\":\"b\"}", "BAD_JSON"},
    {"{\"text\":\"b\"}", "REQUIRED"},
    {"{\"id\":\"\",\"text\":\"b\"}", "REQUIRED"},
    {"{\"id\":\"a\"}", "REQUIRED"},
    {"{\"id\":7,\"text\":\"b\"}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"text\":7}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"text\":\"b\",\"tags\":\"x\"}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"text\":\"b\",\"tags\":[1]}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"text\":\"b\",\"metadata\":[]}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"vector\":[]}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"vector\":[\"x\"]}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"vector\":[1e300]}", "BAD_FORMAT"},
    {"{\"id\":\"a\",\"text\":\"b\",\"format\":\"exe\"}", "MEDIA_TYPE_UNSUPPORTED"},
    {"{\"id\":\"a\",\"text\":\"b\",\"update_time\":\"yesterday\"}", "BAD_TIME"},
};

static enum al_code parse(struct al_str line, struct al_arena *a, Airlore__V1__IngestItem **ret,
                          struct al_err *err)
{
    json_t *o = NULL;
    AL_TRY(al_cli_jsonl_object(line, &o, err));
    enum al_code code = al_cli_jsonl_item(o, a, ret, err);
    json_decref(o);
    return code;
}

static void test_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, 1 << 20);
        Airlore__V1__IngestItem *item = NULL;
        struct al_err err = {.code = AL_OK};
        enum al_code code = parse(al_str_c(cases[i].line), &a, &item, &err);
        AL_CHECK(cases[i].line, (code == AL_OK) == (cases[i].reason == NULL));
        AL_CHECK(cases[i].line, code == AL_OK || strcmp(err.reason, cases[i].reason) == 0);
        AL_CHECK(cases[i].line, (item != NULL) == (code == AL_OK));
        al_arena_fini(&a);
    }
}

static void test_an_item_has_it_all(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__IngestItem *item = NULL;
    struct al_err err;
    AL_CHECK_OK(
        parse(AL_STR("{\"id\":\"i\",\"text\":\"t\",\"title\":\"T\",\"kind\":\"note\",\"url\":\"u\","
                     "\"version\":\"v\",\"tags\":[\"p\",\"q\"],\"format\":\"rst\","
                     "\"metadata\":{\"a\":\"s\",\"b\":[1,{\"c\":true}],\"n\":3},"
                     "\"vector\":[0.5,2]}"),
              &a, &item, &err),
        err);
    if (!item) {
        fail();
        return;
    }
    assert_string_equal(item->id, "i");
    assert_int_equal(item->content_case, AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT);
    assert_string_equal(item->text, "t");
    assert_string_equal(item->title, "T");
    assert_string_equal(item->kind, "note");
    assert_string_equal(item->url, "u");
    assert_string_equal(item->version, "v");
    assert_string_equal(item->media_type, "text/x-rst");
    assert_int_equal(item->n_tags, 2);
    assert_string_equal(item->tags[1], "q");
    assert_int_equal(item->n_metadata, 3);
    assert_string_equal(item->metadata[0]->value, "s");
    assert_string_equal(item->metadata[1]->value, "[1,{\"c\":true}]");
    assert_string_equal(item->metadata[2]->value, "3");
    assert_int_equal(item->n_vector, 2);
    assert_true(item->vector[0] > 0.49f && item->vector[0] < 0.51f);
    al_arena_fini(&a);
}

static void test_a_thread_is_one_text(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__IngestItem *item = NULL;
    struct al_err err;
    AL_CHECK_OK(parse(AL_STR("{\"id\":\"q1\",\"title\":\"T\",\"question\":\"why?\","
                             "\"answers\":[{\"text\":\"because\",\"score\":3},\"so\"],"
                             "\"link\":\"https://x.example/1\"}"),
                      &a, &item, &err),
                err);
    if (!item) {
        fail();
        return;
    }
    assert_string_equal(item->text, "why?\n\nAnswer:\n\nbecause\n\nAnswer:\n\nso");
    assert_string_equal(item->kind, "thread");
    assert_string_equal(item->url, "https://x.example/1");
    assert_int_equal(
        parse(AL_STR("{\"id\":\"q\",\"question\":\"why?\",\"answers\":[7]}"), &a, &item, &err),
        AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_FORMAT");
    assert_int_equal(parse(AL_STR("{\"id\":\"q\",\"question\":\"why?\"}"), &a, &item, &err),
                     AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "REQUIRED");
    al_arena_fini(&a);
}

static void test_deep_nesting_is_no_crash(void **state)
{
    (void)state;
    static char deep[100000 + 20];
    for (int kind = 0; kind < 2; kind++) {
        size_t n = 0;
        if (kind)
            n = (size_t)snprintf(deep, sizeof deep, "{\"id\":");
        memset(deep + n, '[', 100000);
        json_t *o = NULL;
        struct al_err err;
        assert_int_equal(al_cli_jsonl_object((struct al_str){deep, n + 100000}, &o, &err),
                         AL_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "BAD_JSON");
        assert_null(o);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    const char *line =
        "{\"id\":\"i\",\"text\":\"t\",\"tags\":[\"p\"],\"metadata\":{\"a\":1},\"vector\":[1],"
        "\"create_time\":\"2026-01-01T00:00:00Z\",\"format\":\"md\"}";
    json_t *o = NULL;
    assert_int_equal(al_cli_jsonl_object(al_str_c(line), &o, NULL), AL_OK);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_arena a;
        al_arena_init(&a, &fm.mem, 400); /* small blocks cannot be had: the limit fails, too */
        Airlore__V1__IngestItem *item = NULL;
        enum al_code code = al_cli_jsonl_item(o, &a, &item, NULL);
        assert_true(code == AL_RESOURCE_EXHAUSTED && !item);
        al_arena_fini(&a);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
    size_t limit = 64;
    for (;; limit += 16) { /* every size up to the one that is enough */
        struct al_arena a;
        al_arena_init(&a, NULL, limit);
        Airlore__V1__IngestItem *item = NULL;
        enum al_code code = al_cli_jsonl_item(o, &a, &item, NULL);
        assert_true(code == AL_OK ? item != NULL : code == AL_RESOURCE_EXHAUSTED && !item);
        al_arena_fini(&a);
        if (code == AL_OK)
            break;
        assert_true(limit < 65536);
    }
    json_decref(o);
}

static void test_an_unanswered_thread_is_marked(void **state)
{
    (void)state;
    struct al_arena a;
    Airlore__V1__IngestItem *item = NULL;
    struct al_err err;
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(
        parse(AL_STR("{\"id\":\"q\",\"question\":\"why?\",\"answers\":[],\"tags\":[\"x\"]}"), &a,
              &item, &err),
        err);
    assert_int_equal(item->n_tags, 2);
    assert_string_equal(item->tags[1], "unanswered");
    assert_int_equal(item->n_metadata, 1);
    assert_string_equal(item->metadata[0]->key, "answered");
    assert_string_equal(item->metadata[0]->value, "false");
    AL_CHECK_OK(
        parse(AL_STR("{\"id\":\"q\",\"question\":\"why?\",\"answers\":[\"so\"]}"), &a, &item, &err),
        err);
    assert_int_equal(item->n_tags, 0);
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_line_too_long_is_cut_and_the_next_one_read),
        cmocka_unit_test(test_reading_a_folder_is_an_error),
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_an_item_has_it_all),
        cmocka_unit_test(test_a_thread_is_one_text),
        cmocka_unit_test(test_an_unanswered_thread_is_marked),
        cmocka_unit_test(test_deep_nesting_is_no_crash),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
