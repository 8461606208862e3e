#include "airlore/filter.h"

#include "airlore/testing.h"

static const struct al_str tags[] = {{"postgres", 8}, {"k8s-operator", 12}};
static const struct al_kv meta[] = {
    {{"airflow", 7}, {">=2.4,<3", 8}},
    {{"stars", 5}, {"12", 2}},
    {{"owner", 5}, {"data-platform", 13}},
    {{"my key", 6}, {"x", 1}},
};

static struct al_doc sample(void)
{
    return (struct al_doc){
        .space = 1,
        .id = AL_STR("guide/pools.md"),
        .visibility = AL_VIS_TEAM,
        .team = AL_STR("data"),
        .deployment = AL_STR(""),
        .kind = AL_STR("doc"),
        .title = AL_STR("Pools and \"slots\" \xed\x92\x80"),
        .url = AL_STR("https://example.org/pools"),
        .version = AL_STR("2.10.1"),
        .lang = AL_STR("en"),
        .source = AL_STR(""),
        .created_ms = 1767225600000u, /* 2026-01-01T00:00:00Z */
        .updated_ms = 1772368200000u, /* 2026-03-01T12:30:00Z */
        .tags = tags,
        .n_tags = AL_ARRAY_LEN(tags),
        .meta = meta,
        .n_meta = AL_ARRAY_LEN(meta),
    };
}

static const struct {
    const char *text;
    bool matches;
} matches[] = {
    {"", true},
    {"  \n\t ", true},
    {"kind = \"doc\"", true},
    {"kind=doc", true},
    {"kind = 'doc'", true},
    {"kind = Doc", false},
    {"kind != \"doc\"", false},
    {"kind != code", true},
    {"id = \"guide/*\"", true},
    {"id = \"guid\\*\"", false},
    {"id = \"other/*\"", false},
    {"id != \"guide/*\"", false},
    {"id > \"guide\" AND id < \"guidf\"", true},
    {"title:slots", true},
    {"title:\"\\\"slots\\\"\"", true},
    {"title:\"\xed\x92\x80\"", true},
    {"title:\xed\x92\x80", true},
    {"title:Slots", false},
    {"url:example.org", true},
    {"url = https://example.org/pools", true},
    {"lang = en", true},
    {"team = data", true},
    {"deployment = prod", false},
    {"deployment != prod", true}, /* missing */
    {"NOT deployment = prod", true},
    {"deployment = *", false},
    {"deployment != *", true},
    {"source:*", false},
    {"source < \"z\"", false}, /* missing */
    {"scope = team", true},
    {"scope = community", false},
    {"scope != community", true},
    {"scope:team", true},
    {"tags:postgres", true},
    {"tags:postgre", false}, /* an element, not a part of one */
    {"tags:\"k8s-*\"", true},
    {"tags = postgres", true},
    {"tags != postgres", false},
    {"tags != mysql", true},
    {"tags:*", true},
    {"created = \"2026-01-01T00:00:00Z\"", true},
    {"created >= \"2026-01-01\"", true},
    {"created > 2026-01-01T00:00:00Z", false},
    {"updated >= \"2026-03-01T21:30:00+09:00\"", true},
    {"updated > \"2026-03-01T21:30:00+09:00\"", false},
    {"updated < 2027-01-01 AND created != 2026-01-02", true},
    {"created:*", true},
    {"create_time >= \"2026-01-01\" AND update_time >= \"2026-03-01T21:30:00+09:00\"", true},
    {"language = en AND topics:postgres", true}, /* the names of the contract */
    {"author = ann", false},
    {"NOT quality > 0.5 AND operators != *", true},
    {"version = \"2.10.1\"", true},
    {"version = \"2.10.1.0\"", true},
    {"version > \"2.9\"", true},
    {"version < \"2.10.1rc1\"", false},
    {"version = \"2.10.*\"", true},
    {"version:10", true},
    {"airflow >= \"3.0\"", false},
    {"airflow < \"3.0\"", true},
    {"airflow = \"2.9\"", true},
    {"airflow = \"2.*\"", true},
    {"airflow = 3.*", false},
    {"airflow != \"2.9\"", true},  /* some version of the range is another one */
    {"airflow != \"2.*\"", false}, /* none is outside */
    {"NOT airflow = \"2.9\"", false},
    {"airflow <= 2.3", false},
    {"airflow:\"2.4\"", true},
    {"metadata.airflow >= \"2.9.3\"", true},
    {"metadata.stars > 9", true}, /* numbers, not texts */
    {"metadata.stars > \"9\"", true},
    {"metadata.stars = 12.0", true},
    {"metadata.stars < 1e2", true},
    {"metadata.stars > abc", false},
    {"metadata.owner = \"data-*\"", true},
    {"metadata.owner:platform", true},
    {"metadata.owner > 5", true}, /* text against text */
    {"metadata.\"my key\" = x", true},
    {"metadata.absent = x", false},
    {"metadata.absent != x", true},
    {"metadata.absent:*", false},
    {"kind = doc AND lang = en", true},
    {"kind = doc AND lang = ko", false},
    {"kind = code OR lang = en", true},
    {"kind = doc OR lang = ko AND lang = fr", true}, /* AND binds stronger */
    {"(kind = doc OR lang = ko) AND lang = fr", false},
    {"-kind = code", true},
    {"- (kind = doc)", false},
    {"NOT NOT kind = doc", true},
    {"NOT (kind = code OR lang = ko)", true},
    {"kind = doc AND NOT tags:mysql AND airflow >= \"2.5\"", true},
    {"kind = \"doc\" AND airflow >= \"3.0\" AND (tags:\"postgres\" OR NOT lang = \"ko\")", false},
};

static void test_matches(void **state)
{
    (void)state;
    const struct al_doc d = sample();
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    for (size_t i = 0; i < AL_ARRAY_LEN(matches); i++) {
        const struct al_filter *f = NULL;
        struct al_err e = {0};
        if (al_filter_compile(al_str_c(matches[i].text), &a, &f, &e) != AL_OK)
            fail_msg("case '%s': %s", matches[i].text, e.msg);
        AL_CHECK(matches[i].text, al_filter_match(f, &d) == matches[i].matches);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
}

static void test_errors_name_the_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned column;
        const char *expected; /* in the message */
    } cases[] = {
        {"kind", 5, "operator"},
        {"kind =", 7, "value"},
        {"kind = doc lang = en", 12, "AND, OR"},
        {"kind = doc and lang = en", 12, "AND, OR"},
        {"kind = doc AND", 15, "field"},
        {"kind = doc OR OR", 15, "field"},
        {"color = red", 1, "field"},
        {"kind = doc AND color = red", 16, "field"},
        {"(kind = doc", 1, "')'"},
        {"kind = doc)", 11, "no ')'"},
        {"(kind = doc lang = en)", 13, "AND, OR or ')'"},
        {"()", 2, "field"},
        {"kind = \"doc", 8, "end of this quoted text"},
        {"kind = \"d\\x\"", 10, "\\"},
        {"title:\"\xed\x92\x80\" AND x = 1", 15, "field"}, /* characters, not bytes */
        {"kind == doc", 7, "value"},
        {"kind = AND", 8, "quotes"},
        {"kind ~ doc", 6, "operator"},
        {"scope = everyone", 9, "deployment, team, community"},
        {"scope < team", 9, "scope"},
        {"tags > x", 8, "tags"},
        {"created = yesterday", 11, "time"},
        {"created = 2026-13-01", 11, "time"},
        {"created:2026-01-01", 9, "comparison"},
        {"created > \"2026*\"", 11, "time"},
        {"airflow >= latest", 12, "version"},
        {"airflow = \"2.1*\"", 11, "version"},
        {"airflow >= \"2.*\"", 12, "version"},
        {"kind < \"a*\"", 8, "without '*'"},
        {"kind > *", 8, "'*'"},
        {"metadata.", 10, "key"},
        {"metadata = x", 1, "field"},
        {"metadata.\"\" = x", 10, "key"},
        {"kind = \"a\tb\"", 10, "control"},
        {"=", 1, "field"},
        {"\"kind\" = doc", 1, "field"},
        {"kind = @@ $", 11, "AND, OR"},
    };
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const struct al_filter *f = NULL;
        struct al_err e = {0};
        char column[32];
        enum al_code c = al_filter_compile(al_str_c(cases[i].text), &a, &f, &e);
        snprintf(column, sizeof column, "column %u:", cases[i].column);
        if (c != AL_INVALID_ARGUMENT || strcmp(e.reason, "BAD_FILTER") != 0 ||
            !strstr(e.msg, column) || !strstr(e.msg, cases[i].expected))
            fail_msg("case '%s': code %d, message '%s'", cases[i].text, (int)c, e.msg);
        assert_null(f);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
}

static enum al_code compile(const char *text, size_t n, struct al_arena *a)
{
    const struct al_filter *f;
    struct al_err e = {0};
    enum al_code c = al_filter_compile((struct al_str){text, n}, a, &f, &e);
    if (c != AL_OK)
        assert_string_equal(e.reason, "BAD_FILTER");
    return c;
}

static void test_limits(void **state)
{
    (void)state;
    char text[16384];
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    for (unsigned n = 60; n <= 70; n++) { /* comparisons */
        size_t at = 0;
        for (unsigned i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%skind=a", i ? " OR " : "");
        assert_int_equal(compile(text, at, &a), n <= 64 ? AL_OK : AL_INVALID_ARGUMENT);
    }
    for (unsigned n = 10; n <= 40; n++) { /* depth, of both kinds */
        size_t at = 0;
        for (unsigned i = 0; i < n; i++)
            text[at++] = i % 2 ? '(' : '-';
        at += (size_t)snprintf(text + at, sizeof text - at, "kind=a");
        for (unsigned i = 0; i < n; i++)
            if (i % 2)
                text[at++] = ')';
        assert_int_equal(compile(text, at, &a), n <= 16 ? AL_OK : AL_INVALID_ARGUMENT);
    }
    for (size_t n = 8186; n <= 8196; n++) { /* bytes */
        memset(text, ' ', sizeof text);
        snprintf(text, sizeof text, "kind=a");
        text[6] = ' ';
        assert_int_equal(compile(text, n, &a), n <= 8192 ? AL_OK : AL_INVALID_ARGUMENT);
    }
    memset(text, '(', sizeof text);
    assert_int_equal(compile(text, 8192, &a), AL_INVALID_ARGUMENT);
    assert_int_equal(compile("kind=\"\xff\"", 8, &a), AL_INVALID_ARGUMENT);
    assert_int_equal(compile("kind=\"a\0b\"", 10, &a), AL_INVALID_ARGUMENT);
    al_arena_fini(&a);
}

static void test_memory_limit_is_an_error(void **state)
{
    (void)state;
    static const char text[] =
        "NOT (kind = \"doc\" AND airflow >= \"3.0\") OR metadata.\"a b\" = \"c\" OR title:x";
    for (size_t limit = 1;; limit++) {
        struct al_arena a;
        const struct al_filter *f = NULL;
        struct al_err e = {0};
        al_arena_init(&a, NULL, limit);
        enum al_code c = al_filter_compile(al_str_c(text), &a, &f, &e);
        al_arena_fini(&a);
        if (c == AL_OK)
            break;
        assert_int_equal(c, AL_RESOURCE_EXHAUSTED);
        assert_null(f);
        assert_true(limit < 100000);
    }
}

static void test_range_that_is_no_version(void **state)
{
    (void)state;
    const struct al_kv any[] = {{AL_STR("airflow"), AL_STR("latest")}};
    struct al_doc d = sample();
    struct al_arena a;
    const struct al_filter *f;
    d.meta = any;
    d.n_meta = 1;
    al_arena_init(&a, NULL, 1u << 20);
    assert_int_equal(al_filter_compile(AL_STR("airflow >= 1"), &a, &f, NULL), AL_OK);
    assert_false(al_filter_match(f, &d));
    assert_int_equal(al_filter_compile(AL_STR("airflow != 1"), &a, &f, NULL), AL_OK);
    assert_true(al_filter_match(f, &d));
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_errors_name_the_column),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory_limit_is_an_error),
        cmocka_unit_test(test_range_that_is_no_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
