#include "airlore/snippet.h"

#include <stdlib.h>

#include "airlore/testing.h"
#include "text_fill.h"

#define LIMIT ((size_t)64 << 20)

struct fixture {
    struct al_arena a;
    struct al_analyzer *an;
};

static void setup(struct fixture *f)
{
    struct al_err err = {0};
    f->an = NULL;
    al_arena_init(&f->a, NULL, LIMIT);
    AL_CHECK_OK(al_analyzer_create(NULL, &f->an, &err), err);
}

static void teardown(struct fixture *f)
{
    al_analyzer_destroy(f->an);
    al_arena_fini(&f->a);
}

static struct al_snippet make(struct fixture *f, const char *text, const char *const *words,
                              size_t n, size_t max)
{
    struct al_str terms[8];
    struct al_snippet s = {0};
    struct al_err err = {0};
    for (size_t i = 0; i < n; i++)
        terms[i] = al_str_c(words[i]);
    AL_CHECK_OK(al_snippet_make(f->an, al_str_c(text), terms, n, max, &f->a, &s, &err), err);
    return s;
}

static const char *const text =
    "Airflow runs tasks. The first part of this text is about nothing in particular, and it goes "
    "on "
    "for a while with words. It has many sentences. None of them matters here. "
    "Pools limit how many tasks of a kind run at once. A task that finds no free slot waits. "
    "The last part is again about nothing. It ends here, after some more words that say little.";

static void test_window_of_most_terms(void **state)
{
    (void)state;
    static const char *const words[] = {"pool", "slot", "task"};
    struct fixture f;
    setup(&f);
    struct al_snippet s = make(&f, text, words, 3, 120);
    assert_true(s.text.n <= 120);
    assert_true(al_str_starts(s.text, AL_STR("Pools limit how many tasks")));
    assert_true(s.text.p == text + s.offset);
    assert_int_equal(s.n_highlights, 4); /* Pools tasks task slot */
    for (size_t i = 0; i < s.n_highlights; i++) {
        struct al_span h = s.highlights[i];
        assert_true(h.start < h.end && h.end <= s.text.n);
        assert_true(i == 0 || h.start >= s.highlights[i - 1].end);
    }
    struct al_span first = s.highlights[0];
    assert_true(al_str_is(al_str_sub(s.text, first.start, first.end - first.start), "Pools"));
    teardown(&f);
}

static void test_without_hits_the_beginning(void **state)
{
    (void)state;
    static const char *const words[] = {"nowher"};
    struct fixture f;
    setup(&f);
    struct al_snippet s = make(&f, text, words, 1, 100);
    assert_int_equal(s.offset, 0);
    assert_true(s.text.n > 0 && s.text.n <= 100);
    assert_int_equal(s.n_highlights, 0);
    s = make(&f, "", words, 1, 100);
    assert_int_equal(s.text.n, 0);
    s = make(&f, "short text", words, 0, 100);
    assert_true(al_str_is(s.text, "short text"));
    teardown(&f);
}

static void test_identifiers_and_korean(void **state)
{
    (void)state;
    static const char *const words[] = {"instanc"};
    static const char *const korean[] = {"\xEC\x9E\x91\xEC\x97\x85"};
    struct fixture f;
    setup(&f);
    struct al_snippet s = make(&f, "the task_instance row", words, 1, 100);
    assert_int_equal(s.n_highlights, 1); /* the whole token */
    assert_int_equal(s.highlights[0].start, 4);
    assert_int_equal(s.highlights[0].end, 17);
    s = make(&f, "\xEC\x9E\x91\xEC\x97\x85\xEC\x9D\x84 \xED\x95\x9C\xEB\x8B\xA4", korean, 1, 100);
    assert_int_equal(s.n_highlights, 1);
    assert_int_equal(s.highlights[0].end, 9);
    teardown(&f);
}

/* Any size, any place of the hit: inside the limit and at characters' borders. */
static void test_borders(void **state)
{
    (void)state;
    static const char *const words[] = {"x"};
    static const char *const fills[] = {"a ", "a", "\xEC\x9E\x91", "\xEC\x9E\x91 ", "A b. ", "\n"};
    struct fixture f;
    char *buf = malloc(4096);
    assert_non_null(buf);
    setup(&f);
    for (size_t i = 0; i < AL_ARRAY_LEN(fills); i++)
        for (size_t place = 0; place < 2000; place += 173) {
            size_t n = 0;
            size_t unit = strlen(fills[i]);
            while (n < place)
                memcpy(buf + n, fills[i], unit), n += unit;
            memcpy(buf + n, " x ", 3);
            n += 3;
            while (n < 2500)
                memcpy(buf + n, fills[i], unit), n += unit;
            buf[n] = '\0';
            for (size_t max = 100; max <= 700; max += 150) {
                struct al_snippet s = make(&f, buf, words, 1, max);
                AL_CHECK(fills[i], s.text.n <= max && al_str_is_utf8(s.text));
                AL_CHECK(fills[i], s.n_highlights == 1);
                AL_CHECK(fills[i], s.text.p[s.highlights[0].start] == 'x');
            }
        }
    teardown(&f);
    free(buf);
}

static void test_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *in;
        const char *out; /* joined by '#' */
    } cases[] = {
        {"empty", "", ""},
        {"three", "One is here. Two! Three? yes", "One is here.#Two!#Three? yes"},
        {"version", "Airflow 2.10.3 is out. See airflow.cfg for more.",
         "Airflow 2.10.3 is out.#See airflow.cfg for more."},
        {"abbreviation", "Use e.g. Celery. It works.", "Use e.g. Celery.#It works."},
        {"lower case goes on", "It is v. good. really", "It is v. good. really"},
        {"quotes", "He said \"Stop.\" Then (it ended.) Yes.",
         "He said \"Stop.\"#Then (it ended.)#Yes."},
        {"heading and paragraph", "Title\n\nText a. Text\nb.", "Title#Text a.#Text\nb."},
        {"list", "Intro:\n- one. One\n- two\n  more\n3. three\n\nEnd.",
         "Intro:#- one. One#- two\n  more#3. three#End."},
        {"table", "a | b\nc | d. D\n", "a | b#c | d. D"},
        {"code", "Run.\n\n```python\na. B\n\nc. D\n```\n\nEnd.",
         "Run.#```python\na. B\n\nc. D\n```#End."},
        {"code not closed", "```\na. B", "```\na. B"},
        {"Korean", "\xEC\x9E\x91\xEC\x97\x85\xEC\x9D\xB4\xEB\x8B\xA4. \xEB\x81\x9D.",
         "\xEC\x9E\x91\xEC\x97\x85\xEC\x9D\xB4\xEB\x8B\xA4.#\xEB\x81\x9D."},
        {"Japanese", "\xE7\xB5\x82\xE3\x80\x82\xE6\xAC\xA1",
         "\xE7\xB5\x82\xE3\x80\x82#\xE6\xAC\xA1"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_span *spans = NULL;
        size_t n = 0;
        struct al_buf b;
        struct al_str in = al_str_c(cases[i].in);
        al_buf_init(&b, NULL, 0);
        assert_int_equal(al_sentences(in, &f.a, &spans, &n, NULL), AL_OK);
        for (size_t k = 0; k < n; k++) {
            if (k > 0)
                al_buf_char(&b, '#');
            al_buf_str(&b, al_str_sub(in, spans[k].start, spans[k].end - spans[k].start));
        }
        if (!al_str_is(al_buf_view(&b), cases[i].out))
            fail_msg("case '%s': '" AL_STR_FMT "'", cases[i].name, AL_STR_ARG(al_buf_view(&b)));
        al_buf_fini(&b);
    }
    teardown(&f);
}

static void test_limits(void **state)
{
    (void)state;
    struct fixture f;
    struct al_span *spans = NULL;
    size_t n = 0;
    char *many = malloc(60000);
    assert_non_null(many);
    setup(&f);
    (void)text_fill(many, 60000, "Abc.  ");
    assert_int_equal(al_sentences((struct al_str){many, 60000}, &f.a, &spans, &n, NULL), AL_OK);
    assert_int_equal(n, 4096);
    for (size_t limit = 1; limit < 200; limit += 16) {
        struct al_arena small;
        struct al_snippet s = {0};
        struct al_str term = AL_STR("abc");
        al_arena_init(&small, NULL, limit);
        assert_int_equal(
            al_snippet_make(f.an, (struct al_str){many, 600}, &term, 1, 200, &small, &s, NULL),
            AL_RESOURCE_EXHAUSTED);
        assert_null(s.text.p);
        spans = NULL;
        assert_int_equal(al_sentences((struct al_str){many, 600}, &small, &spans, &n, NULL),
                         AL_RESOURCE_EXHAUSTED);
        assert_null(spans);
        al_arena_fini(&small);
    }
    teardown(&f);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_of_most_terms),
        cmocka_unit_test(test_without_hits_the_beginning),
        cmocka_unit_test(test_identifiers_and_korean),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("text.snippet", tests, NULL, NULL);
}
