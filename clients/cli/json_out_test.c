#include "json_out.h"

#include <stdlib.h>

#include "airlore/testing.h"
#include "airlore/v1/admin.pb-c.h"
#include "airlore/v1/knowledge.pb-c.h"
#include "progress.h"

static char *dump(json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_non_null(text);
    json_decref(v);
    return text;
}

static void expect(json_t *v, const char *want)
{
    char *got = dump(v);
    assert_string_equal(got, want);
    free(got);
}

static void test_a_message(void **state)
{
    (void)state;
    Airlore__V1__Owner owner = AIRLORE__V1__OWNER__INIT;
    owner.team = (char *)(uintptr_t) "t";
    Airlore__V1__AskSource s = AIRLORE__V1__ASK_SOURCE__INIT;
    s.n = 3;
    s.id = (char *)(uintptr_t) "d/2 \xc3\xbc";
    s.scope = AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM;
    s.owner = &owner;
    s.relevance = 0.5;
    char *path[] = {(char *)(uintptr_t) "A", (char *)(uintptr_t) "B"};
    s.n_heading_path = 2;
    s.heading_path = path;
    expect(
        al_cli_json_of(&s.base),
        "{\"chunk\":0,\"heading_path\":[\"A\",\"B\"],\"id\":\"d/2 \xc3\xbc\",\"kind\":\"\",\"n\":3,"
        "\"owner\":{\"deployment\":\"\",\"pseudonym\":\"\",\"team\":\"t\"},\"relevance\":0.5,"
        "\"scope\":\"team\",\"snippet\":\"\",\"space\":\"\",\"stale\":\"\",\"title\":\"\",\"url\":"
        "\"\","
        "\"version\":\"\"}");
}

static void test_optional_fields_maps_and_times(void **state)
{
    (void)state;
    Airlore__V1__Quota q = AIRLORE__V1__QUOTA__INIT;
    q._max_items_case = AIRLORE__V1__QUOTA___MAX_ITEMS_MAX_ITEMS;
    q.max_items = 0;
    expect(al_cli_json_of(&q.base), "{\"etag\":\"\",\"max_items\":0,\"name\":\"\"}");

    Airlore__V1__RuntimeVersions v = AIRLORE__V1__RUNTIME_VERSIONS__INIT;
    Airlore__V1__RuntimeVersions__ProvidersEntry e =
        AIRLORE__V1__RUNTIME_VERSIONS__PROVIDERS_ENTRY__INIT;
    Airlore__V1__RuntimeVersions__ProvidersEntry *entries[] = {&e};
    e.key = (char *)(uintptr_t) "p";
    e.value = (char *)(uintptr_t) "1.0";
    v.n_providers = 1;
    v.providers = entries;
    expect(al_cli_json_of(&v.base),
           "{\"airflow\":\"\",\"providers\":{\"p\":\"1.0\"},\"python\":\"\"}");

    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    at.seconds = 1795253400;
    at.nanos = 123000000;
    Airlore__V1__RevokeKeyResponse r = AIRLORE__V1__REVOKE_KEY_RESPONSE__INIT;
    Airlore__V1__Key key = AIRLORE__V1__KEY__INIT;
    Airlore__V1__Role roles[] = {AIRLORE__V1__ROLE__ROLE_READER, AIRLORE__V1__ROLE__ROLE_ADMIN};
    key.revoke_time = &at;
    key.n_roles = 2;
    key.roles = roles;
    r.key = &key;
    json_t *doc = al_cli_json_of(&r.base);
    char buf[64];
    assert_string_equal(al_cli_json_at(doc, "key.revoke_time", buf, sizeof buf),
                        "2026-11-21T09:30:00.123Z");
    assert_string_equal(al_cli_json_at(doc, "key.roles", buf, sizeof buf), "reader, admin");
    assert_string_equal(al_cli_json_at(doc, "key.nothing.there", buf, sizeof buf), "");
    json_decref(doc);
}

static void test_text_is_always_valid(void **state)
{
    (void)state;
    static const struct {
        struct al_str in;
        const char *want;
    } cases[] = {{AL_STR_INIT(""), "\"\""},
                 {AL_STR_INIT("a\"b"), "\"a\\\"b\""},
                 {AL_STR_INIT("a\xff"
                              "b"),
                  "\"a\xef\xbf\xbd"
                  "b\""},
                 {AL_STR_INIT("\xc3\xbc\xff\xec\x9d\xb4"), "\"\xc3\xbc\xef\xbf\xbd\xec\x9d\xb4\""},
                 {AL_STR_INIT("a\0b"), "\"a\xef\xbf\xbd"
                                       "b\""},
                 {AL_STR_INIT("\xf0\x9f\x98"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char *got = dump(al_cli_json_text(cases[i].in));
        AL_CHECK(cases[i].want, strcmp(got, cases[i].want) == 0);
        free(got);
    }
}

static void test_enum_words(void **state)
{
    (void)state;
    int v = -1;
    assert_true(al_cli_enum(&airlore__v1__role__descriptor, "contributor", &v));
    assert_int_equal(v, AIRLORE__V1__ROLE__ROLE_CONTRIBUTOR);
    assert_false(al_cli_enum(&airlore__v1__role__descriptor, "unspecified", &v));
    assert_false(al_cli_enum(&airlore__v1__role__descriptor, "Contributor", &v));
    char words[100];
    al_cli_enum_words(&airlore__v1__role__descriptor, words, sizeof words);
    assert_string_equal(words, "reader, contributor, reviewer, admin");
    al_cli_enum_words(&airlore__v1__role__descriptor, words, 10);
    assert_true(strlen(words) < 10);
}

static void test_table(void **state)
{
    (void)state;
    static const struct al_cli_column columns[] = {{"ID", "id"}, {"N", "a.n"}, {"LAST", "last"}};
    json_t *rows = json_loads("[{\"id\":\"x\",\"a\":{\"n\":12},\"last\":true},"
                              "{\"id\":\"longer\",\"last\":\"\\u001b[2J\"}]",
                              0, NULL);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    al_cli_table(f, rows, columns, AL_ARRAY_LEN(columns), false);
    al_cli_pairs(f, json_array_get(rows, 0), false);
    fclose(f);
    assert_string_equal(text, "ID      N   LAST\n"
                              "x       12  yes\n"
                              "longer      [2J\n"
                              "id    x\n"
                              "a     n=12\n"
                              "last  yes\n");
    free(text);
    json_decref(rows);
}

static void test_progress_line(void **state)
{
    (void)state;
    static const struct {
        uint64_t items, total_items, bytes, total_bytes, ms;
        int width;
        const char *want;
    } cases[] = {
        {0, 0, 0, 0, 0, 80, "0  0/s  0.0 MB/s"},
        {1500, 3000, 500, 1000, 2000, 80,
         "[########........] 1,500/3,000  750/s  0.0 MB/s  2 s left"},
        {3000, 3000, 1000, 1000, 2000, 80, "[################] 3,000/3,000  1500/s  0.0 MB/s"},
        {10, 0, 1000000, 100000000, 1000, 80,
         "[#...............] 10  10/s  1.0 MB/s  1:39 min left"},
        {9, 5, 9, 5, 1000, 80, "[################] 9/5  9/s  0.0 MB/s"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_cli_progress p;
        al_cli_progress_init(&p, false, false);
        al_cli_progress_total(&p, cases[i].total_items, cases[i].total_bytes);
        al_cli_progress_add(&p, cases[i].items, cases[i].bytes);
        char text[200];
        al_cli_progress_text(&p, cases[i].ms * 1000000, cases[i].width, text, sizeof text);
        if (strcmp(text, cases[i].want) != 0)
            fail_msg("'%s' is not '%s'", text, cases[i].want);
        al_cli_progress_fini(&p);
    }
    char number[32];
    assert_string_equal(al_cli_number(0, number, sizeof number), "0");
    assert_string_equal(al_cli_number(999, number, sizeof number), "999");
    assert_string_equal(al_cli_number(UINT64_MAX, number, sizeof number),
                        "18,446,744,073,709,551,615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message),
        cmocka_unit_test(test_optional_fields_maps_and_times),
        cmocka_unit_test(test_text_is_always_valid),
        cmocka_unit_test(test_enum_words),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_progress_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
