#include "airlore/analyzer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "airlore/testing.h"
#include "text_fill.h"

#define OUT_MAX 4096u

/* Terms of a text, joined by spaces. */
struct joined {
    char p[OUT_MAX];
    size_t n;
    uint32_t last_position;
    uint32_t last_start;
    bool ordered;
};

static void join(void *u, const struct al_term *t)
{
    struct joined *j = u;
    if (j->n + t->term.n + 1 >= OUT_MAX)
        return;
    if (j->n > 0)
        j->p[j->n++] = ' ';
    memcpy(j->p + j->n, t->term.p, t->term.n);
    j->n += t->term.n;
    j->p[j->n] = '\0';
    j->ordered = j->ordered && t->position >= j->last_position && t->start >= j->last_start &&
                 t->end > t->start && t->term.n <= AL_TERM_BYTES_MAX && t->term.n > 0;
    j->last_position = t->position;
    j->last_start = t->start;
}

static struct al_analyzer *analyzer(void)
{
    struct al_err err = {0};
    struct al_analyzer *a = NULL;
    AL_CHECK_OK(al_analyzer_create(NULL, &a, &err), err);
    return a;
}

static const struct {
    const char *name;
    const char *in;
    const char *out;
} cases[] = {
    {"empty", "", ""},
    {"stop words", "The task of the DAG", "task dag"},
    {"all 33 stop words",
     "a an and are as at be but by for if in into is it no not of on or such that the their then "
     "there these they this to was will with",
     ""},
    {"stems", "running scheduled retries", "run schedul retri"},
    {"snake", "task_instance", "task_instance task instanc"},
    {"camel", "BashOperator", "bashoperator bash oper"},
    {"acronym", "HTTPServerError", "httpservererror http server error"},
    {"acronym at the end", "parseXML", "parsexml pars xml"},
    {"dotted", "airflow.models.DAG", "airflow.models.dag airflow model dag"},
    {"dotted with parts of parts", "core.sql_alchemy_conn",
     "core.sql_alchemy_conn core sql_alchemy_conn sql alchemi conn"},
    {"number", "2.10.3", "2 10 3"},
    {"number and letters", "v2.10", "v2.10 v2 v 2 10"},
    {"digits in a word", "s3key", "s3key s 3 key"},
    {"a dot at the end", "done.", "done"},
    {"two dots", "a..b", "b"},
    {"underscores", "__init__ _ __ _x", "init x"},
    {"upper case snake", "AIRFLOW__CORE__PARALLELISM",
     "airflow__core__parallelism airflow core parallel"},
    {"a stop word as a piece", "not_null", "not_null null"},
    {"punctuation", "a-b/c,d;e:f", "b c d e f"},
    {"accents", "caf\xC3\xA9 na\xC3\xAFve r\xC3\xA9sum\xC3\xA9s", "cafe naiv resum"},
    {"accents, decomposed", "cafe\xCC\x81s", "cafe"},
    {"accents in an identifier", "Caf\xC3\xA9Operator", "cafeoperator cafe oper"},
    {"full-width letters", "\xEF\xBC\xA4\xEF\xBC\xA1\xEF\xBC\xA7", "dag"},
    {"Cyrillic", "\xD0\x97\xD0\xB0\xD0\xB4\xD0\xB0\xD1\x87\xD0\xB0",
     "\xD0\xB7\xD0\xB0\xD0\xB4\xD0\xB0\xD1\x87\xD0\xB0"},
    {"Hangul, three", "\xEC\x97\x90\xEC\x96\xB4\xED\x94\x8C",
     "\xEC\x97\x90\xEC\x96\xB4 \xEC\x96\xB4\xED\x94\x8C \xEC\x97\x90\xEC\x96\xB4\xED\x94\x8C"},
    {"Hangul, two", "\xEC\x9E\x91\xEC\x97\x85", "\xEC\x9E\x91\xEC\x97\x85"},
    {"Hangul, one", "\xED\x81\xB0", "\xED\x81\xB0"},
    {"Hangul behind Latin", "DAG\xEB\xA5\xBC", "dag \xEB\xA5\xBC"},
    {"Hangul as Jamo", "\xE1\x84\x8C\xE1\x85\xA1\xE1\x86\xA8\xE1\x84\x8B\xE1\x85\xA5\xE1\x86\xB8",
     "\xEC\x9E\x91\xEC\x97\x85"},
    {"Han", "\xE8\xB0\x83\xE5\xBA\xA6\xE5\x99\xA8",
     "\xE8\xB0\x83\xE5\xBA\xA6 \xE5\xBA\xA6\xE5\x99\xA8"},
    {"Han, one", "\xE6\xB1\xA0", "\xE6\xB1\xA0"},
    {"Kana", "\xE3\x82\xBF\xE3\x82\xB9\xE3\x82\xAF",
     "\xE3\x82\xBF\xE3\x82\xB9 \xE3\x82\xB9\xE3\x82\xAF"},
    {"Thai", "\xE0\xB8\x87\xE0\xB8\xB2\xE0\xB8\x99", "\xE0\xB8\x87\xE0\xB8\xB2\xE0\xB8\x99"},
    {"malformed separates",
     "foo\xFF"
     "bar\xC3",
     "foo bar"},
    {"NUL separates", "", ""},
};

static void test_terms(void **state)
{
    (void)state;
    struct al_analyzer *a = analyzer();
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct joined j = {.ordered = true};
        al_analyzer_run(a, al_str_c(cases[i].in), join, &j);
        if (strcmp(j.p, cases[i].out) != 0)
            fail_msg("case '%s': got '%s', not '%s'", cases[i].name, j.p, cases[i].out);
        AL_CHECK(cases[i].name, j.ordered);
    }
    al_analyzer_destroy(a);
}

struct spans {
    uint32_t start[16];
    uint32_t end[16];
    uint32_t position[16];
    size_t n;
};

static void keep_span(void *u, const struct al_term *t)
{
    struct spans *s = u;
    if (s->n < 16) {
        s->start[s->n] = t->start;
        s->end[s->n] = t->end;
        s->position[s->n] = t->position;
    }
    s->n++;
}

static void test_spans_and_positions(void **state)
{
    (void)state;
    struct al_analyzer *a = analyzer();
    struct spans s = {.n = 0};
    al_analyzer_run(a, AL_STR("the task_id, \xE6\xB1\xA0\xE5\xAD\x90\xE6\xB1\xA0"), keep_span, &s);
    assert_int_equal(s.n, 5); /* task_id task id, two bigrams */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s.start[i], 4);
        assert_int_equal(s.end[i], 11);
        assert_int_equal(s.position[i], 1); /* the stop word counts */
    }
    assert_int_equal(s.start[3], 13);
    assert_int_equal(s.end[3], 19);
    assert_int_equal(s.start[4], 16);
    assert_int_equal(s.end[4], 22);
    assert_int_equal(s.position[4], 3);
    al_analyzer_destroy(a);
}

static void test_long_terms_are_cut_at_characters(void **state)
{
    (void)state;
    struct al_analyzer *a = analyzer();
    char text[3000];
    struct joined j = {.ordered = true};
    memset(text, 'x', 200);
    al_analyzer_run(a, (struct al_str){text, 200}, join, &j);
    assert_int_equal(j.n, AL_TERM_BYTES_MAX);
    j = (struct joined){.ordered = true};
    al_analyzer_run(a, text_fill(text, sizeof(text), "\xEA\xB0\x80"), join, &j);
    assert_true(j.ordered);
    assert_true(al_str_is_utf8((struct al_str){j.p, j.n}));
    j = (struct joined){.ordered = true};
    al_analyzer_run(a, text_fill(text, sizeof(text), "\xC3\xA9"), join, &j);
    assert_true(j.ordered && al_str_is_utf8((struct al_str){j.p, j.n}));
    al_analyzer_destroy(a);
}

static void count(void *u, const struct al_term *t)
{
    (void)t;
    ++*(size_t *)u;
}

/* A megabyte without a space must take time in proportion, not squared: it finishes. */
static void test_one_long_line(void **state)
{
    (void)state;
    static const char *const fills[] = {
        "x",    "xY", "x_", "x.", "\xC3\xA9", "xxxxxxxx\xC3\xA9", "\xED\x95\x9C", "\xE6\xB1\xA0",
        "\xFF", "9"};
    size_t max = 1u << 20;
    char *text = malloc(max);
    struct al_analyzer *a = analyzer();
    assert_non_null(text);
    for (size_t i = 0; i < AL_ARRAY_LEN(fills); i++) {
        size_t total = 0;
        al_analyzer_run(a, text_fill(text, max, fills[i]), count, &total);
        AL_CHECK(fills[i], total > 0 || fills[i][0] == '\xFF');
    }
    al_analyzer_destroy(a);
    free(text);
}

struct pool_user {
    pthread_t thread;
    size_t n_good;
};

static void *use_pool(void *arg)
{
    struct pool_user *user = arg;
    for (int i = 0; i < 200; i++) {
        struct al_analyzer *a = NULL;
        struct joined j = {.ordered = true};
        if (al_analyzer_acquire(&a, NULL) != AL_OK)
            return NULL;
        al_analyzer_run(a, AL_STR("Scheduling TaskInstances"), join, &j);
        al_analyzer_release(a);
        user->n_good += strcmp(j.p, "schedul taskinstances task instanc") == 0;
    }
    return NULL;
}

/* What a visit saw of the terms that are wanted. */
struct found {
    const struct al_str *wanted;
    size_t n_wanted;
    size_t n;
    uint64_t hash; /* of terms and places, in order */
};

static void look(void *u, const struct al_term *t)
{
    struct found *f = u;
    for (size_t i = 0; i < f->n_wanted; i++) {
        if (!al_str_eq(f->wanted[i], t->term))
            continue;
        f->n++;
        f->hash = f->hash * 1099511628211u + t->start;
        f->hash = f->hash * 1099511628211u + t->end;
        f->hash = f->hash * 1099511628211u + t->position;
        for (size_t k = 0; k < t->term.n; k++)
            f->hash = f->hash * 1099511628211u + (unsigned char)t->term.p[k];
    }
}

struct terms {
    char bytes[4096][AL_TERM_BYTES_MAX];
    struct al_str v[4096];
    size_t n;
};

static void keep_term(void *u, const struct al_term *t)
{
    struct terms *x = u;
    if (x->n == AL_ARRAY_LEN(x->v))
        return;
    memcpy(x->bytes[x->n], t->term.p, t->term.n);
    x->v[x->n] = (struct al_str){x->bytes[x->n], t->term.n};
    x->n++;
}

/* Each of the text's terms alone, and all of them: found as a whole visit finds them. */
static void same_as_run(struct al_analyzer *a, struct al_str text, struct terms *x)
{
    x->n = 0;
    al_analyzer_run(a, text, keep_term, x);
    for (size_t i = 0; i <= x->n; i++) {
        struct found all = {.wanted = &x->v[i], .n_wanted = 1};
        if (i == x->n)
            all = (struct found){.wanted = x->v, .n_wanted = x->n};
        struct found some = all;
        al_analyzer_run(a, text, look, &all);
        al_analyzer_find(a, text, some.wanted, some.n_wanted, look, &some);
        if (some.n != all.n || some.hash != all.hash || (x->n && !all.n))
            fail_msg("term " AL_STR_FMT " of " AL_STR_FMT, AL_STR_ARG(*all.wanted),
                     AL_STR_ARG(text));
    }
}

static void test_find_passes_over_nothing_wanted(void **state)
{
    (void)state;
    static const char *const ends[] = {"",    "y",   "ying", "ies", "ied",  "ied's", "s",   "ss",
                                       "ed",  "ing", "ly",   "er",  "sses", "ee",    "eed", "ation",
                                       "Ing", "_x",  ".y",   "1",   "e",    "us",    "ily", "ys"};
    struct al_analyzer *a = analyzer();
    struct terms *x = malloc(sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        same_as_run(a, al_str_c(cases[i].in), x);
    for (int first = 'a'; first <= 'z'; first++) {
        for (int second = 'a'; second <= 'z'; second++) {
            char text[1024];
            size_t n = 0;
            for (size_t e = 0; e < AL_ARRAY_LEN(ends); e++)
                n += (size_t)snprintf(text + n, sizeof text - n, "%c%s %c%c%s ", first, ends[e],
                                      first - 32, second, ends[e]);
            same_as_run(a, (struct al_str){text, n}, x);
        }
    }
    struct found none = {.n_wanted = 0};
    al_analyzer_find(a, AL_STR("some words"), NULL, 0, look, &none);
    assert_int_equal(none.n, 0);
    free(x);
    al_analyzer_destroy(a);
}

static void test_pool_serves_threads(void **state)
{
    (void)state;
    struct pool_user users[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&users[i].thread, NULL, use_pool, &users[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
        assert_int_equal(users[i].n_good, 200);
    }
    al_analyzer_release(NULL);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_analyzer *a = NULL;
        al_fault_mem_init(&fm, n, false);
        enum al_code code = al_analyzer_create(&fm.mem, &a, NULL);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !a : code == AL_OK && a);
        al_analyzer_destroy(a);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_spans_and_positions),
        cmocka_unit_test(test_long_terms_are_cut_at_characters),
        cmocka_unit_test(test_one_long_line),
        cmocka_unit_test(test_find_passes_over_nothing_wanted),
        cmocka_unit_test(test_pool_serves_threads),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("text.analyzer", tests, NULL, NULL);
}
