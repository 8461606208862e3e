#include "airlore/testing.h"

#include <string.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_fixture.h"

#define SPACE_A 20u
#define SPACE_B 21u
static const uint32_t A[] = {SPACE_A};
static const uint32_t B[] = {SPACE_B};
static const uint32_t BOTH[] = {SPACE_A, SPACE_B};

static const char *const WORDS[] = {
    "scheduler", "executor", "worker",    "sensor",   "pool",     "queue",  "database", "migrate",
    "pod",       "image",    "retry",     "timeout",  "backfill", "asset",  "xcom",     "secret",
    "log",       "trigger",  "partition", "upstream", "cluster",  "memory", "lease",    "token"};

static void fill(struct core *c, size_t n, uint64_t seed)
{
    struct al_seeded_random r;
    al_seeded_random_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        char id[32];
        char text[600];
        size_t at = 0;
        size_t words = 5 + al_random_below(&r.random, 30);
        for (size_t w = 0; w < words; w++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s ",
                                   WORDS[al_random_below(&r.random, AL_ARRAY_LEN(WORDS))]);
        snprintf(id, sizeof id, "doc-%zu", i);
        core_put(c, i % 3 ? SPACE_A : SPACE_B, id, "", text);
    }
}

static void same_hits(const char *what, const struct al_query_result *x,
                      const struct al_query_result *y)
{
    AL_CHECK(what, x->n_hits == y->n_hits);
    for (size_t i = 0; i < x->n_hits; i++) {
        AL_CHECK(what, al_str_eq(x->hits[i].doc->id, y->hits[i].doc->id));
        AL_CHECK(what, x->hits[i].score == y->hits[i].score);
        AL_CHECK(what, x->hits[i].text_score == y->hits[i].text_score);
        AL_CHECK(what, x->hits[i].vector_score == y->hits[i].vector_score);
        AL_CHECK(what, x->hits[i].text_rank == y->hits[i].text_rank);
    }
}

static void test_ranking_does_not_depend_on_the_number_of_shards(void **state)
{
    (void)state;
    static const char *const queries[] = {"scheduler queue", "pod image retry timeout", "xcom",
                                          "database migrate partition lease token", "nothing here"};
    struct core one;
    struct core four;
    core_open(&one, 1);
    core_open(&four, 4);
    fill(&one, 300, 5);
    fill(&four, 300, 5);
    for (size_t i = 0; i < AL_ARRAY_LEN(queries); i++) {
        for (enum al_search_mode m = AL_MODE_HYBRID; m <= AL_MODE_TEXT; m++) {
            struct al_query_result x = core_search(&one, queries[i], m, 20, BOTH, 2);
            struct al_query_result y = core_search(&four, queries[i], m, 20, BOTH, 2);
            same_hits(queries[i], &x, &y);
        }
    }
    core_close(&one);
    core_close(&four);
}

static void test_scores_do_not_depend_on_what_others_own(void **state)
{
    (void)state;
    struct core alone;
    struct core crowd;
    core_open(&alone, 2);
    core_open(&crowd, 2);
    const char *text = "a sensor in reschedule mode frees the worker slot";
    core_put(&alone, SPACE_A, "mine", "", text);
    core_put(&crowd, SPACE_A, "mine", "", text);
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        core_put(&crowd, SPACE_B, id, "", "sensor sensor worker slot secret");
    }
    struct al_query_result x = core_search(&alone, "sensor slot", AL_MODE_HYBRID, 10, A, 1);
    struct al_query_result y = core_search(&crowd, "sensor slot", AL_MODE_HYBRID, 10, A, 1);
    assert_int_equal(x.n_hits, 1);
    same_hits("alone", &x, &y);
    core_close(&alone);
    core_close(&crowd);
}

static void test_a_space_that_is_not_readable_is_never_seen(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    core_put(&c, SPACE_A, "a", "", "zebrafish warehouse");
    core_put(&c, SPACE_B, "b", "", "zebrafish aquarium");
    for (enum al_search_mode m = AL_MODE_HYBRID; m <= AL_MODE_TEXT; m++) {
        struct al_query_result r = core_search(&c, "zebrafish", m, 10, B, 1);
        assert_int_equal(r.n_hits, 1);
        assert_true(al_str_is(r.hits[0].doc->id, "b"));
        assert_int_equal(core_search(&c, "zebrafish", m, 10, BOTH, 2).n_hits, 2);
        assert_int_equal(core_search(&c, "zebrafish", m, 10, NULL, 0).n_hits, 0);
    }
    core_close(&c);
}

static void test_a_document_is_found_once_with_its_best_chunk(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    struct al_buf text;
    al_buf_init(&text, NULL, 0);
    for (int i = 0; i < 60; i++)
        al_buf_cstr(
            &text,
            "Ordinary words about the scheduler and its pool of workers fill this page.\n\n");
    al_buf_cstr(&text, "The quokka partition is pruned at midnight.\n");
    core_put(&c, SPACE_A, "long", "", text.p);
    struct al_query_result r = core_search(&c, "quokka partition pruned", AL_MODE_HYBRID, 10, A, 1);
    assert_int_equal(r.n_hits, 1);
    const struct al_hit *h = &r.hits[0];
    assert_true(h->chunk > 0);
    assert_true(al_str_find(h->text, AL_STR("quokka"), 0) != SIZE_MAX);
    assert_int_equal(h->doc->body.n, 0); /* a hit does not carry the whole document */
    assert_true(al_str_find(h->snippet.text, AL_STR("quokka"), 0) != SIZE_MAX);
    assert_true(h->snippet.n_highlights > 0);
    al_buf_fini(&text);
    core_close(&c);
}

static void test_bad_queries_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    float nan_vector[256] = {NAN};
    float zero_vector[256] = {0};
    float short_vector[3] = {1, 0, 0};
    const struct {
        const char *name;
        struct al_query q;
        const char *reason;
    } cases[] = {
        {"k 0", {.k = 0}, "K_OUT_OF_RANGE"},
        {"k large", {.k = 1001}, "K_OUT_OF_RANGE"},
        {"weight", {.k = 1, .vector_weight = 1.5f}, "OUT_OF_RANGE"},
        {"min score", {.k = 1, .min_score = NAN}, "OUT_OF_RANGE"},
        {"filter", {.k = 1, .filter = AL_STR_INIT("kind = = \"x\"")}, "BAD_FILTER"},
        {"dim", {.k = 1, .vector = short_vector, .n_vector = 3}, "DIMENSION_MISMATCH"},
        {"nan", {.k = 1, .vector = nan_vector, .n_vector = 256}, "NOT_FINITE"},
        {"zero", {.k = 1, .vector = zero_vector, .n_vector = 256}, "NOT_FINITE"},
        {"text",
         {.k = 1, .text = {(const char *)zero_vector, AL_QUERY_TEXT_BYTES_MAX + 1}},
         "TOO_LARGE"},
    };
    struct al_query_context ctx = {&c.router, c.embedder, NULL};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        struct al_query q = cases[i].q;
        struct al_query_result r;
        q.mode = AL_MODE_HYBRID;
        q.deadline_ns = AL_DEADLINE_NONE;
        AL_CHECK(cases[i].name, al_query_run(&ctx, &q, &c.arena, &r, &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
        AL_CHECK(cases[i].name, err.msg[0] != '\0');
    }
    core_close(&c);
}

static void test_a_query_runs_out_of_memory_cleanly(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 2);
    fill(&c, 40, 9);
    struct al_query q = {.text = AL_STR_INIT("scheduler pool retry"),
                         .k = 10,
                         .mode = AL_MODE_HYBRID,
                         .explain = true,
                         .vector_weight = NAN,
                         .spaces = BOTH,
                         .n_spaces = 2,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&c.router, c.embedder, NULL};
    enum al_code code = AL_RESOURCE_EXHAUSTED;
    size_t refused = 0;
    for (size_t limit = 64; code != AL_OK; limit += 1 + limit / 6) {
        struct al_arena a;
        struct al_err err = {0};
        struct al_query_result r;
        al_arena_init(&a, NULL, limit);
        code = al_query_run(&ctx, &q, &a, &r, &err);
        assert_true(code == AL_OK || code == AL_RESOURCE_EXHAUSTED);
        refused += code != AL_OK;
        al_arena_fini(&a);
        assert_true(limit < (size_t)1 << 30);
    }
    assert_true(refused > 10);
    core_close(&c);
}

static void test_large_documents_do_not_use_up_the_request(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    char *body = malloc(300001);
    assert_non_null(body);
    memset(body, 'x', 300000);
    for (size_t i = 0; i < 300000; i += 8)
        body[i] = ' ';
    memcpy(body, "quokka ", 7);
    body[300000] = '\0';
    for (int i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof id, "big-%d", i);
        core_put(&c, SPACE_A, id, "", body);
    }
    free(body);
    struct al_arena small; /* less than the ten documents together */
    al_arena_init(&small, NULL, (size_t)2 << 20);
    struct al_query q = {.text = AL_STR("quokka"),
                         .k = 10,
                         .mode = AL_MODE_TEXT,
                         .vector_weight = NAN,
                         .spaces = A,
                         .n_spaces = 1,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&c.router, c.embedder, NULL};
    struct al_query_result r;
    AL_CHECK_OK(al_query_run(&ctx, &q, &small, &r, &err), err);
    assert_int_equal(r.n_hits, 10);
    al_arena_fini(&small);
    core_close(&c);
}

static void test_terms_are_explained_best_first(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    core_put(&c, SPACE_A, "a", "", "pool pool quokka");
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        core_put(&c, SPACE_A, id, "", "pool");
    }
    struct al_query q = {.text = AL_STR("pool quokka"),
                         .k = 1,
                         .mode = AL_MODE_TEXT,
                         .vector_weight = NAN,
                         .explain = true,
                         .spaces = A,
                         .n_spaces = 1,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&c.router, c.embedder, NULL};
    struct al_query_result r;
    AL_CHECK_OK(al_query_run(&ctx, &q, &c.arena, &r, &err), err);
    assert_int_equal(r.hits[0].n_terms, 2);
    assert_true(al_str_is(r.hits[0].terms[0].term, "quokka"));
    assert_true(r.hits[0].terms[0].score >= r.hits[0].terms[1].score);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranking_does_not_depend_on_the_number_of_shards),
        cmocka_unit_test(test_scores_do_not_depend_on_what_others_own),
        cmocka_unit_test(test_a_space_that_is_not_readable_is_never_seen),
        cmocka_unit_test(test_a_document_is_found_once_with_its_best_chunk),
        cmocka_unit_test(test_bad_queries_are_refused_with_a_reason),
        cmocka_unit_test(test_a_query_runs_out_of_memory_cleanly),
        cmocka_unit_test(test_large_documents_do_not_use_up_the_request),
        cmocka_unit_test(test_terms_are_explained_best_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
