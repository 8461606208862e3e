/* What each reader makes of its markup. */
#include "airlore/document.h"
#include "airlore/testing.h"
#include "text_fill.h"

static const struct {
    const char *name;
    enum al_format format;
    const char *in;
    const char *body;
} cases[] = {
    {"markdown: paragraphs", AL_FORMAT_MARKDOWN, "one\ntwo\n\nthree", "one two\n\nthree\n\n"},
    {"markdown: headings", AL_FORMAT_MARKDOWN, "# A *b* `c`\n\nx\n\nD\n---\n\ny",
     "A b c\n\nx\n\nD\n\ny\n\n"},
    {"markdown: inline", AL_FORMAT_MARKDOWN,
     "**a** _b_ `c*d` [e](f \"g\") ![h](i) <j@k.l> &amp; \\*", "a b c*d e h j@k.l & *\n\n"},
    {"markdown: code", AL_FORMAT_MARKDOWN, "x\n\n```python\ndef f():\n\n    return 1\n```\ny",
     "x\n\n```python\ndef f():\n\n    return 1\n```\n\ny\n\n"},
    {"markdown: code with a fence in it", AL_FORMAT_MARKDOWN, "~~~\n```\na\n```\n~~~",
     "````\n```\na\n```\n````\n\n"},
    {"markdown: lists", AL_FORMAT_MARKDOWN, "- a\n- b\n  - c\n\n3. d\n4. e\n\nf",
     "- a\n- b\n  - c\n\n3. d\n4. e\n\nf\n\n"},
    {"markdown: table", AL_FORMAT_MARKDOWN, "|a|b|\n|-|-|\n|*c*|`d`|\n", "a | b\nc | d\n\n"},
    {"markdown: HTML", AL_FORMAT_MARKDOWN, "<div>a <b>c</b></div>\n\n<!-- no -->\n\nd <br> e",
     "a c\n\nd  e\n\n"},
    {"markdown: quote", AL_FORMAT_MARKDOWN, "> a\n> b\n\nc", "a b\n\nc\n\n"},

    {"rst: headings", AL_FORMAT_RST, "===\nTop\n===\n\nx\n\nSub ``c``\n-------\n\ny",
     "Top\n\nx\n\nSub c\n\ny\n\n"},
    {"rst: inline", AL_FORMAT_RST,
     "**a** *b* ``c*`` :ref:`d <e>` :class:`~f.g` `h <https://i.j>`__ `k`_ l\\ m",
     "a b c* d f.g h k lm\n\n"},
    {"rst: role over two lines", AL_FORMAT_RST, "see :ref:`the\nscheduler <x>`.",
     "see the scheduler.\n\n"},
    {"rst: code block", AL_FORMAT_RST,
     ".. code-block:: python\n   :linenos:\n\n   if a:\n       b\n\nc",
     "```python\nif a:\n    b\n```\n\nc\n\n"},
    {"rst: literal block", AL_FORMAT_RST, "Run::\n\n    a\n     b\n\nc",
     "Run:\n\n```\na\n b\n```\n\nc\n\n"},
    {"rst: literal block alone", AL_FORMAT_RST, "::\n\n  a\n", "```\na\n```\n\n"},
    {"rst: note", AL_FORMAT_RST, ".. note:: one\n   two\n\n   three\n\nb",
     "Note: one two\n\nthree\n\nb\n\n"},
    {"rst: warning", AL_FORMAT_RST, ".. warning::\n\n  one\n", "Warning: one\n\n"},
    {"rst: version", AL_FORMAT_RST, ".. versionadded:: 2.4\n\na", "Added in version 2.4\n\na\n\n"},
    {"rst: dropped", AL_FORMAT_RST,
     ".. toctree::\n   :hidden:\n\n   a\n   b\n\n.. include:: x.rst\n\n.. figure:: y.png\n\n   "
     "z\n\nend",
     "end\n\n"},
    {"rst: comments and targets", AL_FORMAT_RST,
     " .. Licensed to the Apache Software Foundation\n    under one\n\n.. _target:\n\n.. a "
     "comment\n   "
     "more\n\ntext\n\n.. _link: https://a.b\n",
     "text\n\n"},
    {"rst: unknown directive", AL_FORMAT_RST, ".. grid:: 2\n\n   inside\n", "2\n\ninside\n\n"},
    {"rst: lists", AL_FORMAT_RST, "* a\n  more\n* b\n\n  * c\n\n1. d\n#. e\n",
     "- a more\n- b\n\n  - c\n1. d\n- e\n\n"},
    {"rst: grid table", AL_FORMAT_RST, "+---+---+\n| a | b |\n+===+===+\n| c | d |\n+---+---+\n\ne",
     "a | b\nc | d\n\ne\n\n"},
    {"rst: simple table", AL_FORMAT_RST, "===  ===\na    b\n===  ===\nc    d\n===  ===\n\ne",
     "a | b\nc | d\n\ne\n\n"},
    {"rst: definition", AL_FORMAT_RST, "term\n  meaning\n\nb", "term\nmeaning\n\nb\n\n"},

    {"html: page", AL_FORMAT_HTML,
     "<html><head><title>T</title><script>if (a<b) x</script></head><body><nav>n</nav><h1>A</h1>"
     "<p>b <i>c</i><p>d &lt; e<footer>f</footer>",
     "A\n\nb c\n\nd < e\n\n"},
    {"html: list", AL_FORMAT_HTML, "<ul><li>a<li>b<ul><li>c</ul></ul>d", "- a\n- b\n  - c\n\nd"},
    {"html: table", AL_FORMAT_HTML, "<table><tr><th>a<th>b<tr><td>c<td>d</table>",
     "a | b\nc | d\n\n"},
    {"html: code", AL_FORMAT_HTML, "<pre class=\"language-python\">if a:\n    b &amp; c</pre>",
     "```python\nif a:\n    b & c\n```\n\n"},
    {"html: wrong nesting", AL_FORMAT_HTML, "<b>a<i>b</b>c</i>d", "abcd"},
    {"html: less than", AL_FORMAT_HTML, "1 < 2 <3", "1 < 2 <3"},
    {"html: comment", AL_FORMAT_HTML, "a<!-- <p>x -->b<!-->c", "abc"},

    {"python", AL_FORMAT_PYTHON,
     "# Licensed to the Apache Software Foundation (ASF)\n# under one\n\nx = 1\n", "x = 1\n"},
    {"python: own comment stays", AL_FORMAT_PYTHON, "# about x\nx = 1\n", "# about x\nx = 1\n"},

    {"notebook", AL_FORMAT_NOTEBOOK,
     "{\"cells\":[{\"cell_type\":\"markdown\",\"source\":[\"# T\\n\",\"\\n\",\"a "
     "*b*\"]},{\"cell_type\":"
     "\"code\",\"source\":\"x = "
     "1\\n\",\"outputs\":[{\"text\":\"no\"}]},{\"cell_type\":\"raw\",\"source\":"
     "\"r\"}],\"metadata\":{\"kernelspec\":{\"language\":\"julia\"}}}",
     "T\n\na b\n\n```julia\nx = 1\n```\n\nr\n\n"},

    {"text", AL_FORMAT_TEXT, "a\n  b\n\n# c", "a\n  b\n\n# c"},
    {"unknown", AL_FORMAT_UNKNOWN, "a *b*", "a *b*"},
};

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_document_options opt = {.format = cases[i].format};
        struct al_arena a;
        struct al_document d;
        struct al_err err = {0};
        al_arena_init(&a, NULL, (size_t)64 << 20);
        AL_CHECK_OK(al_document_read(&opt, al_str_c(cases[i].in), &a, &d, &err), err);
        if (!al_str_is(d.body, cases[i].body))
            fail_msg("case '%s': body '" AL_STR_FMT "'", cases[i].name, AL_STR_ARG(d.body));
        al_arena_fini(&a);
    }
}

static struct al_str meta(const struct al_document *d, const char *key)
{
    for (size_t i = 0; i < d->n_meta; i++)
        if (al_str_is(d->meta[i].key, key))
            return d->meta[i].value;
    return (struct al_str){"", 0};
}

static void read_ok(enum al_format format, const char *text, struct al_arena *a,
                    struct al_document *d)
{
    struct al_document_options opt = {.format = format};
    struct al_err err = {0};
    al_arena_init(a, NULL, (size_t)64 << 20);
    AL_CHECK_OK(al_document_read(&opt, al_str_c(text), a, d, &err), err);
}

static void test_python_metadata(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_document d;
    read_ok(
        AL_FORMAT_PYTHON,
        "\"\"\"\nLoad the rates.\n\nMore.\n\"\"\"\nfrom airflow.sdk import DAG, dag, task\n"
        "with DAG(dag_id='one', schedule=None):\n    a = BashOperator(task_id='x')\n"
        "    b = sensors.FileSensor(task_id='y')\n    c = BashOperator.partial().expand(z=[1])\n"
        "DAG('two')\n"
        "@dag(schedule=None)\ndef three():\n    @task.branch\n    def t(): pass\n    t()\n"
        "@dag('four')\ndef f(): pass\n",
        &a, &d);
    assert_true(al_str_is(d.title, "Load the rates."));
    assert_true(al_str_is(meta(&d, "operators"), "BashOperator, FileSensor, @task.branch"));
    assert_true(al_str_is(meta(&d, "dag_ids"), "one, two, three, four"));
    assert_true(al_str_is(meta(&d, "airflow"), ">=3.0"));
    al_arena_fini(&a);
    read_ok(AL_FORMAT_PYTHON, "def broken(:\n  )x = [\n", &a, &d); /* still a document */
    assert_int_equal(d.n_chunks, 1);
    al_arena_fini(&a);
}

static void test_html_metadata(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_document d;
    read_ok(AL_FORMAT_HTML,
            "<title> The title </title><meta name=author content='A. B.'><meta name=keywords "
            "content='x, y'><h2>H</h2><a href='https://a.b/c'>d</a>",
            &a, &d);
    assert_true(al_str_is(d.title, "The title"));
    assert_true(al_str_is(meta(&d, "author"), "A. B."));
    assert_true(al_str_is(meta(&d, "links"), "https://a.b/c"));
    assert_int_equal(d.n_tags, 2);
    assert_true(al_str_is(d.chunks[0].heading, "H"));
    al_arena_fini(&a);
}

static void test_nesting_is_limited(void **state)
{
    (void)state;
    char text[3000];
    size_t n = text_fill(text, (size_t)201 * 5, "<div>").n;
    struct al_document_options opt = {.format = AL_FORMAT_HTML, .path = AL_STR("deep.html")};
    struct al_arena a;
    struct al_document d;
    struct al_err err = {0};
    al_arena_init(&a, NULL, (size_t)64 << 20);
    assert_int_equal(al_document_read(&opt, (struct al_str){text, n - 5}, &a, &d, &err), AL_OK);
    enum al_code code = al_document_read(&opt, (struct al_str){text, n}, &a, &d, &err);
    assert_int_equal(code, AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "CONTENT_UNREADABLE");
    assert_non_null(strstr(err.msg, "deep.html"));
    err = (struct al_err){0};
    memset(text, '>', sizeof(text));
    opt.format = AL_FORMAT_MARKDOWN;
    code = al_document_read(&opt, (struct al_str){text, 201}, &a, &d, &err);
    assert_int_equal(code, AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "CONTENT_UNREADABLE");
    err = (struct al_err){0};
    memset(text, '[', sizeof(text));
    opt.format = AL_FORMAT_NOTEBOOK;
    code = al_document_read(&opt, (struct al_str){text, 3000}, &a, &d, &err);
    assert_int_equal(code, AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "CONTENT_UNREADABLE");
    al_arena_fini(&a);
}

/* Markup whose tree outgrows its text: no retry helps. */
static void test_tree_is_limited(void **state)
{
    (void)state;
    static char text[1 << 17];
    struct al_document_options opt = {.format = AL_FORMAT_MARKDOWN, .path = AL_STR("tree.md")};
    struct al_arena a;
    struct al_document d;
    struct al_err err = {0};
    memset(text, '[', sizeof(text));
    al_arena_init(&a, NULL, (size_t)64 << 20);
    enum al_code code = al_document_read(&opt, (struct al_str){text, sizeof text}, &a, &d, &err);
    assert_int_equal(code, AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "CONTENT_UNREADABLE");
    assert_non_null(strstr(err.msg, "too much Markdown"));
    al_arena_fini(&a);
}

static void test_bad_notebooks(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x", "{", "[]", "{}", "{\"cells\":1}", "{\"cells\":[}", "{\"a\":1,\"a\":2}", "\"\\ud800\""};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++) {
        struct al_document_options opt = {.format = AL_FORMAT_NOTEBOOK, .path = AL_STR("n.ipynb")};
        struct al_arena a;
        struct al_document d;
        struct al_err err = {0};
        al_arena_init(&a, NULL, (size_t)64 << 20);
        enum al_code code = al_document_read(&opt, al_str_c(texts[i]), &a, &d, &err);
        AL_CHECK(texts[i], code == AL_INVALID_ARGUMENT);
        AL_CHECK(texts[i], strcmp(err.reason, "CONTENT_UNREADABLE") == 0);
        al_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),          cmocka_unit_test(test_python_metadata),
        cmocka_unit_test(test_html_metadata),   cmocka_unit_test(test_nesting_is_limited),
        cmocka_unit_test(test_tree_is_limited), cmocka_unit_test(test_bad_notebooks),
    };
    return cmocka_run_group_tests_name("text.formats", tests, NULL, NULL);
}
