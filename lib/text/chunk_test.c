/* How a body is cut. */
#include <stdlib.h>

#include "airlore/document.h"
#include "airlore/embedder.h"
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

/* ---- the other chunkers ---- */

static struct al_embedder *embedder;

static void cut_with(struct cut *c, enum al_chunker chunker, enum al_format format,
                     struct al_str text, uint32_t max)
{
    struct al_document_options opt = {
        .format = format, .chunk_bytes_max = max, .chunker = chunker, .embedder = embedder};
    struct al_err err = {0};
    al_arena_init(&c->a, NULL, LIMIT);
    AL_CHECK_OK(al_document_read(&opt, text, &c->a, &c->d, &err), err);
}

static int open_embedder(void **state)
{
    (void)state;
    return al_embedder_open(al_embedder_builtin(), NULL, &embedder, NULL) == AL_OK ? 0 : -1;
}

static int close_embedder(void **state)
{
    (void)state;
    al_embedder_destroy(embedder);
    return 0;
}

/* Whatever the text: everything is in exactly one chunk, none is too long, order is kept. */
static void test_every_chunker_covers_every_text(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    static const char *const parts[] = {"Pools limit how many tasks run. ",
                                        "A pool has slots.\n",
                                        "\n\n",
                                        "# Heading\n\n",
                                        "    code()\n",
                                        "\xec\x95\xbd\xeb\xac\xbc",
                                        " ",
                                        "- item one\n",
                                        "averylongwordwithoutanyborderwhatsoeverinit",
                                        "Sensors wait? Yes! They do. ",
                                        "\t",
                                        "| a | b |\n"};
    uint64_t x = 12345;
    for (int i = 0; i < 3000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        al_buf_cstr(&b, parts[(x >> 33) % AL_ARRAY_LEN(parts)]);
    }
    static const uint32_t sizes[] = {64, 100, 777, 2000};
    for (int chunker = AL_CHUNKER_DOCUMENT; chunker <= AL_CHUNKER_SEMANTIC; chunker++) {
        for (size_t i = 0; i < AL_ARRAY_LEN(sizes); i++) {
            for (int f = AL_FORMAT_TEXT; f <= AL_FORMAT_MARKDOWN; f++) {
                struct cut c;
                cut_with(&c, (enum al_chunker)chunker, (enum al_format)f, al_buf_view(&b),
                         sizes[i]);
                check_cover(al_chunker_name((enum al_chunker)chunker), &c, sizes[i]);
                al_arena_fini(&c.a);
            }
        }
        struct cut c;
        cut_with(&c, (enum al_chunker)chunker, AL_FORMAT_TEXT, AL_STR("  \n \n"), 100);
        assert_int_equal(c.d.n_chunks, 0);
        al_arena_fini(&c.a);
    }
    al_buf_fini(&b);
}

static void test_fixed_goes_over_headings(void **state)
{
    (void)state;
    struct cut c;
    cut_with(
        &c, AL_CHUNKER_FIXED, AL_FORMAT_MARKDOWN,
        AL_STR("# One\n\naaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk\n\n# Two\n\nllll "
               "mmmm nnnn oooo pppp qqqq rrrr ssss tttt uuuu vvvv wwww\n"),
        64);
    assert_int_equal(c.d.n_chunks, 3);
    assert_true(
        al_str_is(chunk(&c, 0), "One\n\naaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk"));
    assert_true(al_str_is(c.d.chunks[0].heading, "One"));
    assert_true(al_str_is(c.d.chunks[2].heading, "Two"));
    al_arena_fini(&c.a);
}

static void test_recursive_keeps_paragraphs(void **state)
{
    (void)state;
    struct cut c;
    cut_with(
        &c, AL_CHUNKER_RECURSIVE, AL_FORMAT_TEXT,
        AL_STR("First paragraph of some words.\n\nSecond one.\n\nA third paragraph that is on two "
               "lines,\nand this is the second of them, so that it is too large.\n"),
        64);
    assert_int_equal(c.d.n_chunks, 3);
    assert_true(al_str_is(chunk(&c, 0), "First paragraph of some words.\n\nSecond one."));
    assert_true(al_str_is(chunk(&c, 1), "A third paragraph that is on two lines,"));
    al_arena_fini(&c.a);
}

/* Two subjects without a blank line or heading between them: the cut is where the subject changes,
 * though more sentences would fit. */
static void test_semantic_cuts_where_the_subject_changes(void **state)
{
    (void)state;
    struct al_str first = AL_STR(
        "The scheduler starts task instances when their dependencies are met. The scheduler reads "
        "serialized DAGs from the database. The executor runs the queued task instances on "
        "workers. ");
    struct al_str second = AL_STR(
        "Bake the bread in a hot oven until the crust is brown. Knead the dough with flour, water, "
        "salt and yeast. Let the dough rise in a warm kitchen before baking the bread. ");
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_buf_str(&b, first);
    al_buf_str(&b, second);
    struct cut c;
    cut_with(&c, AL_CHUNKER_SEMANTIC, AL_FORMAT_TEXT, al_buf_view(&b), (uint32_t)first.n + 120);
    assert_int_equal(c.d.n_chunks, 2);
    assert_true(al_str_starts(chunk(&c, 1), AL_STR("Bake the bread")));
    al_arena_fini(&c.a);
    cut_with(&c, AL_CHUNKER_DOCUMENT, AL_FORMAT_TEXT, al_buf_view(&b), (uint32_t)first.n + 120);
    assert_false(al_str_starts(chunk(&c, 1), AL_STR("Bake the bread")));
    al_arena_fini(&c.a);
    al_buf_fini(&b);
}

static void test_semantic_needs_an_embedder(void **state)
{
    (void)state;
    struct al_document_options opt = {.format = AL_FORMAT_TEXT, .chunker = AL_CHUNKER_SEMANTIC};
    struct al_document d;
    struct al_arena a;
    al_arena_init(&a, NULL, LIMIT);
    assert_int_equal(al_document_read(&opt, AL_STR("text"), &a, &d, NULL), AL_FAILED_PRECONDITION);
    al_arena_fini(&a);
}

static void test_chunkers_without_memory(void **state)
{
    (void)state;
    for (int chunker = AL_CHUNKER_FIXED; chunker <= AL_CHUNKER_SEMANTIC; chunker++) {
        for (size_t n = 0;; n++) {
            struct al_fault_mem fm;
            struct al_arena a;
            struct al_document d = {.n_chunks = 77};
            struct al_document_options opt = {.format = AL_FORMAT_MARKDOWN,
                                              .chunk_bytes_max = 64,
                                              .chunker = (enum al_chunker)chunker,
                                              .embedder = embedder};
            al_fault_mem_init(&fm, n, true);
            al_arena_init(&a, &fm.mem, LIMIT);
            enum al_code code = al_document_read(
                &opt,
                AL_STR(
                    "# A\n\nOne sentence. Two sentences. Three of them, and more words to cut.\n"),
                &a, &d, NULL);
            al_arena_fini(&a);
            assert_int_equal(fm.live, 0);
            if (!fm.fired) {
                assert_int_equal(code, AL_OK);
                break;
            }
            assert_true(code != AL_OK && d.n_chunks == 77);
        }
    }
}

static void test_names_of_chunkers(void **state)
{
    (void)state;
    enum al_chunker c = AL_CHUNKER_DOCUMENT;
    assert_true(al_chunker_of_name(AL_STR("semantic"), &c));
    assert_int_equal(c, AL_CHUNKER_SEMANTIC);
    assert_false(al_chunker_of_name(AL_STR("other"), &c));
    assert_string_equal(al_chunker_name(AL_CHUNKER_RECURSIVE), "recursive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_sections_are_packed),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_cover),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_python_by_definitions),
        cmocka_unit_test(test_every_chunker_covers_every_text),
        cmocka_unit_test(test_fixed_goes_over_headings),
        cmocka_unit_test(test_recursive_keeps_paragraphs),
        cmocka_unit_test(test_semantic_cuts_where_the_subject_changes),
        cmocka_unit_test(test_semantic_needs_an_embedder),
        cmocka_unit_test(test_chunkers_without_memory),
        cmocka_unit_test(test_names_of_chunkers),
    };
    return cmocka_run_group_tests_name("text.chunk", tests, open_embedder, close_embedder);
}
