/* What holds for every format: bytes, encodings, metadata, limits, faults. */
#include "airlore/document.h"

#include <stdlib.h>

#include "airlore/testing.h"
#include "text_fill.h"

#define LIMIT ((size_t)256 << 20)

static enum al_code read_as(enum al_format format, struct al_str bytes, struct al_arena *a,
                            struct al_document *d, struct al_err *err)
{
    struct al_document_options opt = {.format = format, .path = AL_STR("dir/my-file.x")};
    al_arena_init(a, NULL, LIMIT);
    return al_document_read(&opt, bytes, a, d, err);
}

static void read_ok(enum al_format format, struct al_str bytes, struct al_arena *a,
                    struct al_document *d)
{
    struct al_err err = {0};
    AL_CHECK_OK(read_as(format, bytes, a, d, &err), err);
}

static struct al_str meta(const struct al_document *d, const char *key)
{
    for (size_t i = 0; i < d->n_meta; i++)
        if (al_str_is(d->meta[i].key, key))
            return d->meta[i].value;
    return (struct al_str){"", 0};
}

static bool has_tag(const struct al_document *d, const char *tag)
{
    for (size_t i = 0; i < d->n_tags; i++)
        if (al_str_is(d->tags[i], tag))
            return true;
    return false;
}

static void test_formats_of_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum al_format format;
    } paths[] = {
        {"a/b.md", AL_FORMAT_MARKDOWN},   {"B.MD", AL_FORMAT_MARKDOWN},
        {"x.rst", AL_FORMAT_RST},         {"x.html", AL_FORMAT_HTML},
        {"x.htm", AL_FORMAT_HTML},        {"d/x.py", AL_FORMAT_PYTHON},
        {"x.ipynb", AL_FORMAT_NOTEBOOK},  {"README.txt", AL_FORMAT_TEXT},
        {"x.png", AL_FORMAT_UNKNOWN},     {"Makefile", AL_FORMAT_UNKNOWN},
        {".md", AL_FORMAT_UNKNOWN},       {"", AL_FORMAT_UNKNOWN},
        {"a.md/file", AL_FORMAT_UNKNOWN}, {"x.tar.gz", AL_FORMAT_UNKNOWN},
    };
    static const struct {
        const char *type;
        enum al_format format;
    } types[] = {
        {"text/markdown; charset=utf-8", AL_FORMAT_MARKDOWN},
        {"markdown", AL_FORMAT_MARKDOWN},
        {"TEXT/HTML", AL_FORMAT_HTML},
        {"text/x-rst", AL_FORMAT_RST},
        {"text/x-python", AL_FORMAT_PYTHON},
        {"application/x-ipynb+json", AL_FORMAT_NOTEBOOK},
        {" text/plain ", AL_FORMAT_TEXT},
        {"application/json", AL_FORMAT_TEXT},
        {"image/png", AL_FORMAT_UNKNOWN},
        {"", AL_FORMAT_UNKNOWN},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(paths); i++)
        AL_CHECK(paths[i].path, al_format_of_path(al_str_c(paths[i].path)) == paths[i].format);
    for (size_t i = 0; i < AL_ARRAY_LEN(types); i++)
        AL_CHECK(types[i].type,
                 al_format_of_media_type(al_str_c(types[i].type)) == types[i].format);
}

static void test_formats_of_contents(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        enum al_format format;
    } cases[] = {
        {"<!DOCTYPE html><p>x", AL_FORMAT_HTML},
        {"\xEF\xBB\xBF\n <HTML lang=en>", AL_FORMAT_HTML},
        {"{\"cells\": [], \"nbformat\": 4}", AL_FORMAT_NOTEBOOK},
        {"{\"cells\": []}", AL_FORMAT_TEXT},
        {"about <html> and \"nbformat\" and \"cells\"", AL_FORMAT_TEXT},
        {"# a heading", AL_FORMAT_TEXT},
        {"", AL_FORMAT_TEXT},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].content,
                 al_format_of_content(al_str_c(cases[i].content)) == cases[i].format);
    static const enum al_format all[] = {AL_FORMAT_TEXT, AL_FORMAT_MARKDOWN, AL_FORMAT_RST,
                                         AL_FORMAT_HTML, AL_FORMAT_PYTHON,   AL_FORMAT_NOTEBOOK};
    for (size_t i = 0; i < AL_ARRAY_LEN(all); i++)
        assert_int_equal(al_format_of_media_type(al_format_media_type(all[i])), all[i]);
    assert_int_equal(al_format_media_type(AL_FORMAT_UNKNOWN).n, 0);
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_str in;
        const char *body;
    } cases[] = {
        {"plain", {"a\nb", 3}, "a\nb"},
        {"byte order mark",
         {"\xEF\xBB\xBF"
          "a",
          4},
         "a"},
        {"CRLF", {"a\r\nb\r\n", 6}, "a\nb\n"},
        {"CR", {"a\rb", 3}, "a\nb"},
        {"UTF-16 little endian",
         {"\xFF\xFE"
          "a\0\xAC\x20",
          6},
         "a\xE2\x82\xAC"},
        {"UTF-16 big endian", {"\xFE\xFF\0a\x20\xAC", 6}, "a\xE2\x82\xAC"},
        {"UTF-16 pair", {"\xFF\xFE\x3D\xD8\x00\xDE", 6}, "\xF0\x9F\x98\x80"},
        {"UTF-16 lone surrogate",
         {"\xFF\xFE\x3D\xD8"
          "a\0",
          6},
         "\xEF\xBF\xBD"
         "a"},
        {"UTF-16 odd",
         {"\xFF\xFE"
          "a\0b",
          5},
         "a\xEF\xBF\xBD"},
        {"one malformed byte", {"caf\xE9 au lait", 12}, "caf\xEF\xBF\xBD au lait"},
        {"empty", {"", 0}, ""},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        struct al_document d;
        read_ok(AL_FORMAT_TEXT, cases[i].in, &a, &d);
        if (!al_str_is(d.body, cases[i].body))
            fail_msg("case '%s': body '" AL_STR_FMT "'", cases[i].name, AL_STR_ARG(d.body));
        al_arena_fini(&a);
    }
}

static void test_what_is_no_text(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct al_str in;
    } cases[] = {
        {"NUL", {"a\0b", 3}},
        {"binary", {"\x89PNG\r\n\x1A\n\0\0\0\rIHDR", 16}},
        {"malformed", {"\xFF\xFF\xE9\x80 abc", 8}},
        {"UTF-16 NUL", {"\xFF\xFE\0\0", 4}},
    };
    for (size_t f = AL_FORMAT_UNKNOWN; f <= AL_FORMAT_NOTEBOOK; f++)
        for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
            struct al_arena a;
            struct al_document d = {.n_chunks = 77};
            struct al_err err = {0};
            enum al_code code = read_as((enum al_format)f, cases[i].in, &a, &d, &err);
            AL_CHECK(cases[i].name, code == AL_INVALID_ARGUMENT);
            AL_CHECK(cases[i].name, strcmp(err.reason, "CONTENT_UNREADABLE") == 0);
            AL_CHECK(cases[i].name, strstr(err.msg, "my-file.x") != NULL);
            AL_CHECK(cases[i].name, d.n_chunks == 77); /* untouched */
            al_arena_fini(&a);
        }
}

static void test_empty_documents(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "   ", "\xEF\xBB\xBF"};
    for (size_t f = AL_FORMAT_UNKNOWN; f <= AL_FORMAT_NOTEBOOK; f++)
        for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++) {
            struct al_arena a;
            struct al_document d;
            read_ok((enum al_format)f, al_str_c(texts[i]), &a, &d);
            assert_int_equal(d.n_chunks, 0);
            assert_true(al_str_is(d.title, "my-file"));
            al_arena_fini(&a);
        }
}

static void test_titles(void **state)
{
    (void)state;
    struct al_document_options opt = {.format = AL_FORMAT_MARKDOWN, .title = AL_STR("Given")};
    struct al_arena a;
    struct al_document d;
    struct al_err err = {0};
    al_arena_init(&a, NULL, LIMIT);
    AL_CHECK_OK(al_document_read(&opt, AL_STR("# Own\n\ntext"), &a, &d, &err), err);
    assert_true(al_str_is(d.title, "Given"));
    opt.title = (struct al_str){"", 0};
    AL_CHECK_OK(al_document_read(&opt, AL_STR("# Own\n\ntext"), &a, &d, &err), err);
    assert_true(al_str_is(d.title, "Own"));
    AL_CHECK_OK(al_document_read(&opt, AL_STR("first words\nmore"), &a, &d, &err), err);
    assert_true(al_str_is(d.title, "first words more"));
    opt.path = AL_STR("a/b/the-name.md");
    AL_CHECK_OK(al_document_read(&opt, AL_STR("first words\nmore"), &a, &d, &err), err);
    assert_true(al_str_is(d.title, "the-name"));
    al_arena_fini(&a);
}

static void test_front_matter(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_document d;
    read_ok(AL_FORMAT_MARKDOWN,
            AL_STR("---\ntitle: \"A: title\"\ntags: [xcom, 'two words']\nairflow: '>=2.4'\n"
                   "author:\n  - Ann\n  - Bob\ndate: 2026-11-21\nlanguage: ko-KR\nkind: doc\n"
                   "nested: {a: {b: c}}\n---\n\n# Heading\n\nBody text.\n"),
            &a, &d);
    assert_true(al_str_is(d.title, "A: title"));
    assert_true(has_tag(&d, "xcom") && has_tag(&d, "two words"));
    assert_true(al_str_is(meta(&d, "airflow"), ">=2.4"));
    assert_true(al_str_is(meta(&d, "author"), "Ann, Bob"));
    assert_true(al_str_is(meta(&d, "date"), "2026-11-21"));
    assert_true(al_str_is(meta(&d, "kind"), "doc"));
    assert_true(al_str_is(d.lang, "ko"));
    assert_int_equal(meta(&d, "nested").n, 0);
    assert_true(al_str_is(d.body, "Heading\n\nBody text.\n\n"));
    al_arena_fini(&a);
    read_ok(AL_FORMAT_MARKDOWN, AL_STR("---\na: [b\n---\ntext\n"), &a, &d); /* no YAML */
    assert_true(al_str_find(d.body, AL_STR("text"), 0) != SIZE_MAX);
    al_arena_fini(&a);
    read_ok(AL_FORMAT_MARKDOWN, AL_STR("---\n\nA rule above.\n"), &a, &d);
    assert_true(al_str_is(d.body, "A rule above.\n\n"));
    al_arena_fini(&a);
}

static void test_found_metadata(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_document d;
    read_ok(AL_FORMAT_MARKDOWN,
            AL_STR("# Scheduler and pools\n\nThe scheduler of Airflow 2.9 starts tasks; needs "
                   "apache-airflow>=3.0 here. Pools limit the scheduler. A pool has slots, and "
                   "every pool is known to it.\n\nSee <https://example.com/a> and "
                   "https://example.com/b?c=d, or [this](../pools.md).\n\n```python\nx = 1\n```\n"),
            &a, &d);
    assert_true(has_tag(&d, "scheduler") && has_tag(&d, "pools") && !has_tag(&d, "celery"));
    assert_true(al_str_is(meta(&d, "airflow"), "2.9, >=3.0"));
    assert_true(al_str_is(meta(&d, "links"),
                          "https://example.com/a ../pools.md https://example.com/b?c=d"));
    assert_true(al_str_is(d.lang, "en"));
    struct al_str quality = meta(&d, "quality");
    char good[5] = "";
    assert_int_equal(quality.n, 4);
    memcpy(good, quality.p, 4);
    assert_int_equal(good[0], '0');
    al_arena_fini(&a);
    read_ok(AL_FORMAT_TEXT, AL_STR("TODO"), &a, &d);
    assert_true(al_str_cmp(meta(&d, "quality"), al_str_c(good)) < 0);
    al_arena_fini(&a);
    read_ok(AL_FORMAT_TEXT,
            AL_STR("\xEC\x97\x90\xEC\x96\xB4\xED\x94\x8C\xEB\xA1\x9C\xEC\x9A\xB0\xEB\x8A\x94 "
                   "\xEC\x9E\x91\xEC\x97\x85\xEC\x9D\x84 \xEC\x8B\xA4\xED\x96\x89\xED\x95\x98"
                   "\xEB\x8A\x94 \xED\x94\x8C\xEB\x9E\xAB\xED\x8F\xBC\xEC\x9E\x85\xEB\x8B\x88"
                   "\xEB\x8B\xA4. \xEC\x8A\xA4\xEC\xBC\x80\xEC\xA4\x84\xEB\x9F\xAC\xEA\xB0\x80 "
                   "\xEC\x9E\x91\xEC\x97\x85\xEC\x9D\x84 \xEC\x8B\x9C\xEC\x9E\x91\xED\x95\xA9"
                   "\xEB\x8B\x88\xEB\x8B\xA4."),
            &a, &d);
    assert_true(al_str_is(d.lang, "ko"));
    al_arena_fini(&a);
}

/* A head, and a unit repeated to n bytes behind it. */
static struct al_str repeated(const char *head, const char *unit, size_t n)
{
    size_t head_n = strlen(head);
    char *p = malloc(head_n + n);
    assert_non_null(p);
    if (head_n > 0)
        (void)text_fill(p, head_n, head);
    return (struct al_str){p, head_n + text_fill(p + head_n, n, unit).n};
}

/* Texts that parsers of the naive kind take minutes or their whole stack for. */
static void test_deep_and_long(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum al_format format;
        const char *head;
        const char *unit;
    } cases[] = {
        {"brackets", AL_FORMAT_MARKDOWN, "", "["},
        {"images", AL_FORMAT_MARKDOWN, "", "!["},
        {"quotes", AL_FORMAT_MARKDOWN, "", ">"},
        {"lists", AL_FORMAT_MARKDOWN, "", "* "},
        {"stars", AL_FORMAT_MARKDOWN, "", "*a "},
        {"blank lines in a list", AL_FORMAT_MARKDOWN, "* * * * * * * * * * a\n", "\n"},
        {"backquotes", AL_FORMAT_RST, "", "`a "},
        {"stars in rst", AL_FORMAT_RST, "", "*a "},
        {"one line", AL_FORMAT_MARKDOWN, "", "a"},
        {"one line of rst", AL_FORMAT_RST, "", "a"},
        {"div", AL_FORMAT_HTML, "", "<div>"},
        {"b", AL_FORMAT_HTML, "", "<b x>"},
        {"adoption", AL_FORMAT_HTML, "", "<a><b></a>"},
        {"open comment", AL_FORMAT_HTML, "", "<!--"},
        {"parentheses", AL_FORMAT_PYTHON, "", "("},
        {"comments", AL_FORMAT_PYTHON, "", "#\n"},
        {"open string", AL_FORMAT_PYTHON, "", "\"\"\"a"},
        {"arrays", AL_FORMAT_NOTEBOOK, "", "["},
        {"objects", AL_FORMAT_NOTEBOOK, "", "{\"a\":"},
        {"cells", AL_FORMAT_NOTEBOOK, "{\"cells\":[", "[],"},
        {"one line of text", AL_FORMAT_TEXT, "", "a"},
        {"no spaces", AL_FORMAT_TEXT, "", "\xED\x95\x9C"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        struct al_document d;
        struct al_err err = {0};
        struct al_str text = repeated(cases[i].head, cases[i].unit, (size_t)1 << 18);
        enum al_code code = read_as(cases[i].format, text, &a, &d, &err);
        AL_CHECK(cases[i].name,
                 code == AL_OK || code == AL_RESOURCE_EXHAUSTED || code == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name,
                 code != AL_INVALID_ARGUMENT || strcmp(err.reason, "CONTENT_UNREADABLE") == 0);
        al_arena_fini(&a);
        free((void *)(uintptr_t)text.p);
    }
}

static const struct {
    enum al_format format;
    const char *text;
} samples[] = {
    {AL_FORMAT_TEXT, "A line.\n\nAnother line of a text.\n"},
    {AL_FORMAT_MARKDOWN,
     "---\ntags: [a]\n---\n# T\n\nText *a* [b](c).\n\n- x\n- y\n\n|a|b|\n|-|-|\n"
     "|1|2|\n\n```py\nx\n```\n"},
    {AL_FORMAT_RST,
     "T\n=\n\nText ``a`` :ref:`b <c>`.\n\n.. note:: x\n\n::\n\n  code\n\n- a\n- b\n"},
    {AL_FORMAT_HTML, "<title>T</title><h1>H</h1><p>a <a href=b>c</a><ul><li>d</ul><pre>e</pre>"},
    {AL_FORMAT_PYTHON, "\"\"\"Doc.\"\"\"\nimport a\n\nwith DAG('x') as d:\n    BashOperator()\n\n"
                       "def f():\n    pass\n"},
    {AL_FORMAT_NOTEBOOK, "{\"cells\":[{\"cell_type\":\"markdown\",\"source\":[\"# T\\n\",\"x\"]},"
                         "{\"cell_type\":\"code\",\"source\":\"y = 1\"}]}"},
};

/* Every size of arena too small gives the same answer and leaks nothing. */
static void test_arena_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(samples); i++) {
        struct al_document_options opt = {.format = samples[i].format};
        bool done = false;
        for (size_t limit = 1; !done; limit += limit / 24 + 64) {
            struct al_arena a;
            struct al_document d = {.n_chunks = 77};
            al_arena_init(&a, NULL, limit);
            enum al_code code = al_document_read(&opt, al_str_c(samples[i].text), &a, &d, NULL);
            done = code == AL_OK;
            assert_true(done || (code == AL_RESOURCE_EXHAUSTED && d.n_chunks == 77));
            assert_true(limit < LIMIT);
            al_arena_fini(&a);
        }
    }
}

/* The same by failing each allocation of the arena. */
static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(samples); i++) {
        struct al_document_options opt = {.format = samples[i].format};
        bool fired = true;
        for (size_t n = 0; fired; n++) {
            struct al_fault_mem fm;
            struct al_arena a;
            struct al_document d;
            al_fault_mem_init(&fm, n, true);
            al_arena_init(&a, &fm.mem, LIMIT);
            enum al_code code = al_document_read(&opt, al_str_c(samples[i].text), &a, &d, NULL);
            fired = fm.fired;
            assert_int_equal(code, fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
            al_arena_fini(&a);
            assert_int_equal(fm.live, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_of_names), cmocka_unit_test(test_formats_of_contents),
        cmocka_unit_test(test_encodings),        cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_empty_documents),  cmocka_unit_test(test_titles),
        cmocka_unit_test(test_front_matter),     cmocka_unit_test(test_found_metadata),
        cmocka_unit_test(test_deep_and_long),    cmocka_unit_test(test_arena_limits),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("text.document", tests, NULL, NULL);
}
