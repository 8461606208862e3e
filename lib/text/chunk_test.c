/* How a body is cut. */
#include <stdlib.h>

#include "airlore/document.h"
#include "airlore/testing.h"
#include "text_fill.h"

#define LIMIT ((size_t)64 << 20)

struct cut {
    struct al_arena a;
    struct al_document d;
};

static void cut(struct cut *c, enum al_format format, struct al_str text, uint32_t max)
{
    struct al_document_options opt = {.format = format, .chunk_bytes_max = max};
    struct al_err err = {0};
    al_arena_init(&c->a, NULL, LIMIT);
    AL_CHECK_OK(al_document_read(&opt, text, &c->a, &c->d, &err), err);
}

static struct al_str chunk(const struct cut *c, size_t i)
{
    const struct al_chunk *k = &c->d.chunks[i];
    return al_str_sub(c->d.body, k->start, k->end - k->start);
}

/* Everything but white space is in exactly one chunk, in order, and none is too long. */
static void check_cover(const char *name, const struct cut *c, uint32_t max)
{
    size_t black = 0;
    size_t in_chunks = 0;
    uint32_t last = 0;
    for (size_t i = 0; i < c->d.body.n; i++)
        black += (unsigned char)c->d.body.p[i] > ' ';
    for (size_t i = 0; i < c->d.n_chunks; i++) {
        const struct al_chunk *k = &c->d.chunks[i];
        AL_CHECK(name, k->start >= last && k->end > k->start && k->end - k->start <= max);
        AL_CHECK(name, al_str_is_utf8(chunk(c, i)));
        for (uint32_t at = k->start; at < k->end; at++)
            in_chunks += (unsigned char)c->d.body.p[at] > ' ';
        last = k->end;
    }
    AL_CHECK(name, black == in_chunks);
}

static void test_small_sections_are_packed(void **state)
{
    (void)state;
    struct cut c;
    cut(&c, AL_FORMAT_MARKDOWN,
        AL_STR("# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n\n# D\n\nfour\n"), 0);
    assert_int_equal(c.d.n_chunks, 1);
    assert_true(al_str_is(c.d.chunks[0].heading, "A"));
    assert_true(al_str_is(chunk(&c, 0), "A\n\none\n\nB\n\ntwo\n\nC\n\nthree\n\nD\n\nfour"));
    al_arena_fini(&c.a);
    cut(&c, AL_FORMAT_MARKDOWN,
        AL_STR("# A\n\n## B\n\nA text of some more words about B, to fill it.\n\n## C\n\nA text of "
               "some more words about C, to fill it.\n"),
        64);
    assert_int_equal(c.d.n_chunks, 2);
    assert_true(al_str_is(c.d.chunks[0].heading, "A > B")); /* a heading alone joins the next */
    assert_true(al_str_starts(chunk(&c, 0), AL_STR("A\n\nB\n\nA text")));
    assert_true(al_str_is(c.d.chunks[1].heading, "A > C"));
    assert_true(al_str_starts(chunk(&c, 1), AL_STR("C\n\nA text")));
    al_arena_fini(&c.a);
}

static void test_borders(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *first;
    } cases[] = {
        {"blank line",
         "Aaaa aaaa. Aaaa aaaa aaaa aaa.\n\nBbbb bbbb. Bbbb\nbbbb bbbb bbbb bbbb bbbb.",
         "Aaaa aaaa. Aaaa aaaa aaaa aaa."},
        {"line", "Aaaa aaaa aaaa aaaa aaaa aaaa\nbbbb bbbb. Bbbb bbbb bbbb bbbb bbbb bbbb bbbb.",
         "Aaaa aaaa aaaa aaaa aaaa aaaa"},
        {"sentence",
         "Aaaa aaaa aaaa aaaa aaaa aaaa aaa. Bbbb bbbb bbbb bbbb bbbb bbbb bbbb bbbb bbbb.",
         "Aaaa aaaa aaaa aaaa aaaa aaaa aaa."},
        {"word", "aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa",
         "aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa aaaa"},
        {"anywhere",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct cut c;
        cut(&c, AL_FORMAT_TEXT, al_str_c(cases[i].text), 64);
        check_cover(cases[i].name, &c, 64);
        struct al_str first = chunk(&c, 0);
        if (!al_str_is(first, cases[i].first))
            fail_msg("case '%s': first chunk '" AL_STR_FMT "'", cases[i].name, AL_STR_ARG(first));
        al_arena_fini(&c.a);
    }
}

static void test_cover(void **state)
{
    (void)state;
    static const char *const units[] = {
        "word ", "A sentence. ", "line\n",           "para\n\n",
        "x",     "\xED\x95\x9C", "\xF0\x9F\x98\x80", "# head\n\ntext\n\n"};
    static const uint32_t sizes[] = {64, 100, 2000};
    char *text = malloc(20000);
    assert_non_null(text);
    for (size_t i = 0; i < AL_ARRAY_LEN(units); i++)
        for (size_t k = 0; k < AL_ARRAY_LEN(sizes); k++)
            for (enum al_format f = AL_FORMAT_TEXT; f <= AL_FORMAT_PYTHON; f++) {
                struct cut c;
                cut(&c, f, text_fill(text, 20000, units[i]), sizes[k]);
                assert_true(c.d.n_chunks > 0);
                check_cover(units[i], &c, sizes[k]);
                al_arena_fini(&c.a);
            }
    free(text);
}

static void test_too_many(void **state)
{
    (void)state;
    struct al_document_options opt = {.format = AL_FORMAT_TEXT,
                                      .path = AL_STR("big.txt"),
                                      .chunk_bytes_max = 64,
                                      .chunks_max = 3};
    char text[64 * 4];
    struct al_arena a;
    struct al_document d;
    struct al_err err = {0};
    memset(text, 'x', sizeof(text));
    al_arena_init(&a, NULL, LIMIT);
    assert_int_equal(al_document_read(&opt, (struct al_str){text, (size_t)64 * 3}, &a, &d, &err),
                     AL_OK);
    assert_int_equal(d.n_chunks, 3);
    enum al_code code = al_document_read(&opt, (struct al_str){text, (size_t)64 * 4}, &a, &d, &err);
    assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "TOO_MANY_CHUNKS");
    assert_non_null(strstr(err.msg, "big.txt"));
    al_arena_fini(&a);
}

static void test_python_by_definitions(void **state)
{
    (void)state;
    struct cut c;
    cut(&c, AL_FORMAT_PYTHON,
        AL_STR(
            "\"\"\"Loads the rates every day.\"\"\"\nimport os\n\n\n"
            "# about first\n@task\ndef first():\n    return os.environ['A']\n\n\n"
            "class Second:\n    def one(self):\n        return 'a longer text to fill the "
            "class'\n\n"
            "    def two(self):\n        return 'a longer text to fill the class'\n\n\nfirst()\n"),
        100);
    check_cover("python", &c, 100);
    assert_int_equal(c.d.n_chunks, 4);
    assert_true(al_str_starts(chunk(&c, 0), AL_STR("\"\"\"Loads")));
    assert_true(al_str_starts(chunk(&c, 1), AL_STR("# about first\n@task\ndef first")));
    assert_true(al_str_is(c.d.chunks[1].heading, "first"));
    assert_true(al_str_starts(chunk(&c, 2), AL_STR("class Second:\n    def one")));
    assert_true(al_str_is(c.d.chunks[2].heading, "Second > one"));
    assert_true(al_str_starts(chunk(&c, 3), AL_STR("    def two")));
    al_arena_fini(&c.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_sections_are_packed),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_cover),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_python_by_definitions),
    };
    return cmocka_run_group_tests_name("text.chunk", tests, NULL, NULL);
}
