#include "airlore/source_stackexchange.h"

#include "airlore/testing.h"

static char dir[300];
static char path[600];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

static void put(const char *name, const char *xml)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(xml, f);
    fclose(f);
}

static const char posts[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<posts>\n"
    "<row Id=\"1\" PostTypeId=\"1\" AcceptedAnswerId=\"5\" "
    "CreationDate=\"2020-01-02T03:04:05.678\" Score=\"-3\" "
    "Title=\"How &lt;b&gt; &amp; pools\" Tags=\"&lt;airflow&gt;&lt;python&gt;\" "
    "Body=\"&lt;p&gt;Why?&lt;/p&gt;\" "
    "OwnerUserId=\"9\" ContentLicense=\"CC BY-SA 4.0\" />\n"
    "<row Id=\"2\" PostTypeId=\"1\" Title=\"Other\" Tags=\"|java|\" Body=\"x\" Score=\"1\" />\n"
    "<row Id=\"3\" PostTypeId=\"2\" ParentId=\"1\" Score=\"50\" "
    "Body=\"&lt;p&gt;popular&lt;/p&gt;\" />\n"
    "<row Id=\"4\" PostTypeId=\"2\" ParentId=\"2\" Score=\"5\" Body=\"java answer\" />\n"
    "<row Id=\"5\" PostTypeId=\"2\" ParentId=\"1\" Score=\"7\" "
    "Body=\"&lt;p&gt;accepted&lt;/p&gt;\" />\n"
    "<row Id=\"6\" PostTypeId=\"1\" Title=\"Nobody knows\" Tags=\"|airflow|\" Body=\"silence\" />\n"
    "<row Id=\"7\" PostTypeId=\"2\" ParentId=\"99\" Body=\"no question\" />\n"
    "<row Id=\"8\" PostTypeId=\"5\" Body=\"a wiki\" />\n"
    "</posts>\n";

static const char *meta(const struct al_source_entry *e, const char *key)
{
    for (size_t i = 0; i < e->n_meta; i++) {
        if (strcmp(e->meta[i].key, key) == 0)
            return e->meta[i].value;
    }
    return "";
}

static void test_threads(void **state)
{
    (void)state;
    static const char *const tags[] = {"Airflow"};
    struct al_stackexchange_options opt = {.tags = tags, .n_tags = 1};
    struct al_source *s = NULL;
    struct al_source_entry e;
    struct al_arena a;
    struct al_err err;
    bool end = false;
    put("airflow.stackexchange.com-Posts.xml", posts);
    al_arena_init(&a, NULL, (size_t)64 << 20);
    AL_CHECK_OK(al_stackexchange_open(path, &opt, &s, &err), err);
    AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
    assert_string_equal(e.id, "airflow.stackexchange.com/questions/1");
    assert_string_equal(e.url, "https://airflow.stackexchange.com/questions/1");
    assert_string_equal(e.kind, "thread");
    assert_string_equal(e.title, "How <b> & pools");
    assert_true(al_str_is(e.content, "<h1>How &lt;b&gt; &amp; pools</h1>\n<p>Why?</p>\n"
                                     "<h2>Accepted answer, score 7</h2>\n<p>accepted</p>\n"
                                     "<h2>Answer, score 50</h2>\n<p>popular</p>"));
    assert_int_equal(e.n_tags, 2);
    assert_string_equal(e.tags[0], "airflow");
    assert_string_equal(meta(&e, "answered"), "true");
    assert_string_equal(meta(&e, "accepted"), "true");
    assert_string_equal(meta(&e, "score"), "-3");
    assert_string_equal(meta(&e, "license"), "CC BY-SA 4.0");
    assert_int_equal(e.created_s, 1577934245);
    AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
    assert_string_equal(e.title, "Nobody knows");
    assert_string_equal(e.tags[0], "unanswered");
    assert_string_equal(meta(&e, "answered"), "false");
    AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
    assert_true(end);
    al_source_close(s);
    al_arena_fini(&a);
}

static enum al_code drain(const struct al_stackexchange_options *opt, size_t *n, struct al_err *err)
{
    struct al_source *s = NULL;
    struct al_arena a;
    *n = 0;
    AL_TRY(al_stackexchange_open(path, opt, &s, err));
    al_arena_init(&a, NULL, (size_t)64 << 20);
    enum al_code code = AL_OK;
    for (bool end = false; code == AL_OK;) {
        struct al_source_entry e;
        code = al_source_next(s, &a, &e, &end, err);
        if (code != AL_OK || end)
            break;
        ++*n;
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    al_source_close(s);
    return code;
}

/* The best five of many, the accepted one first though it came last. */
static void test_many_answers(void **state)
{
    (void)state;
    struct al_buf b;
    struct al_source *s = NULL;
    struct al_source_entry e;
    struct al_arena a;
    struct al_err err;
    bool end = false;
    al_buf_init(&b, NULL, 0);
    al_buf_cstr(&b,
                "<posts><row Id='1' PostTypeId='1' AcceptedAnswerId='101' Title='T' Body='Q'/>");
    for (int i = 2; i <= 101; i++)
        al_buf_printf(&b, "<row Id='%d' PostTypeId='2' ParentId='1' Score='%d' Body='A%d'/>", i,
                      (i * 37) % 101, i);
    al_buf_cstr(&b, "</posts>");
    put("Posts.xml", b.p);
    al_arena_init(&a, NULL, (size_t)64 << 20);
    AL_CHECK_OK(al_stackexchange_open(path, NULL, &s, &err), err);
    AL_CHECK_OK(al_source_next(s, &a, &e, &end, &err), err);
    assert_true(al_str_is(e.content,
                          "<h1>T</h1>\nQ\n<h2>Accepted answer, score 0</h2>\nA101\n"
                          "<h2>Answer, score 100</h2>\nA30\n<h2>Answer, score 99</h2>\nA60\n"
                          "<h2>Answer, score 98</h2>\nA90\n<h2>Answer, score 97</h2>\nA19"));
    al_source_close(s);
    al_arena_fini(&a);
    al_buf_fini(&b);
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *xml;
        enum al_code code;
        const char *reason;
        size_t n;
    } cases[] = {
        {"empty", "", AL_INVALID_ARGUMENT, "BAD_XML", 0},
        {"other", "<users><row Id='1'/></users>", AL_INVALID_ARGUMENT, "BAD_DUMP", 0},
        {"cut", "<posts><row Id='1' PostTypeId='1' Title='T' Body='B'/>", AL_INVALID_ARGUMENT,
         "BAD_XML", 0},
        {"cut in a row", "<posts><row Id='1' PostTypeId='1' Title='T", AL_INVALID_ARGUMENT,
         "BAD_XML", 0},
        {"entities",
         "<!DOCTYPE p [<!ENTITY a 'x'>]><posts><row Id='1' PostTypeId='1' Body='&a;'/></posts>",
         AL_INVALID_ARGUMENT, "BAD_XML", 0},
        {"no numbers",
         "<posts><row Id='x' PostTypeId='1'/><row PostTypeId='1'/><row Id='-1' "
         "PostTypeId='1'/></posts>",
         AL_OK, NULL, 0},
        {"huge numbers",
         "<posts><row Id='18446744073709551615' PostTypeId='1' Score='99999999999999' "
         "AcceptedAnswerId='x'/></posts>",
         AL_OK, NULL, 1},
        {"ids that go down",
         "<posts><row Id='9' PostTypeId='1' Body='a'/><row Id='3' PostTypeId='1' Body='b'/>"
         "<row Id='4' PostTypeId='2' ParentId='9' Body='c'/></posts>",
         AL_OK, NULL, 2},
        {"odd tags", "<posts><row Id='1' PostTypeId='1' Tags='&lt;&lt;||&gt;' Body='a'/></posts>",
         AL_OK, NULL, 1},
        {"no posts", "<posts/>", AL_OK, NULL, 0},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {.reason = ""};
        size_t n;
        put("Posts.xml", cases[i].xml);
        AL_CHECK(cases[i].name, drain(NULL, &n, &err) == cases[i].code);
        AL_CHECK(cases[i].name, n == cases[i].n);
        AL_CHECK(cases[i].name, !cases[i].reason || strcmp(err.reason, cases[i].reason) == 0);
    }
    put("bad-Posts.7z", "7z\xbc\xaf\x27\x1c rubbish");
    size_t n;
    struct al_err err;
    assert_int_equal(drain(NULL, &n, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_ARCHIVE");
}

static void test_limits(void **state)
{
    (void)state;
    struct al_err err;
    size_t n;
    put("Posts.xml", posts);
    struct al_stackexchange_options few = {.threads_max = 2};
    assert_int_equal(drain(&few, &n, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_MANY");
    struct al_stackexchange_options small = {.spill_bytes_max = 100};
    assert_int_equal(drain(&small, &n, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_LARGE");
}

static void test_failing_memory(void **state)
{
    (void)state;
    put("Posts.xml", posts);
    for (size_t i = 0;; i++) {
        struct al_fault_mem fm;
        size_t n;
        al_fault_mem_init(&fm, i, false);
        struct al_stackexchange_options opt = {.mem = &fm.mem};
        enum al_code code = drain(&opt, &n, NULL);
        assert_int_equal(fm.live, 0);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        if (!fm.fired)
            return;
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_true(al_stackexchange_is_name("a/Posts.xml"));
    assert_true(al_stackexchange_is_name("stackoverflow.com-Posts.7z"));
    assert_false(al_stackexchange_is_name("Comments.xml"));
    assert_false(al_stackexchange_is_name("Posts.xml.md"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_many_answers),
        cmocka_unit_test(test_hostile),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_failing_memory), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
