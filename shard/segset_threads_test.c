/* Searches from many threads while one adds, removes, builds and swaps: each sees a set that makes
 * sense. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "segset_fixture.h"

#define N 200u
#define N_READERS 3
#define N_ROUNDS 6

static struct fix f;
static struct al_segset *g;
static atomic_bool stop;
static atomic_uint n_searches;
static atomic_uint n_wrong;

struct reader {
    pthread_t thread;
    unsigned seed;
};

/* Documents with an even number stay from first to last, so that every search must find them all.
 */
static bool stays(size_t i)
{
    return i % 2 == 0;
}

static size_t expected_kept;

static void check_legs(const struct al_leg_query *q, struct al_arena *a)
{
    struct al_candidates got;
    struct al_err e = {0};
    if (al_segset_legs(g, q, a, &got, &e) != AL_OK) {
        atomic_fetch_add(&n_wrong, 1);
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < got.n_vector; i++) {
        const struct al_candidate *c = &got.vector[i];
        size_t at = (size_t)(c->docno >> 20) - 1;
        kept += at < N && stays(at);
        bool ordered = i == 0 || c->vector_score <= c[-1].vector_score;
        bool known = at >= N || al_str_eq(c->id, f.docs[at].doc.id);
        if (!ordered || !known)
            atomic_fetch_add(&n_wrong, 1);
    }
    if (kept != expected_kept)
        atomic_fetch_add(&n_wrong, 1);
}

static void *read_all(void *u)
{
    static const uint32_t spaces[] = {10, 20, 30, 40, 50, 60};
    struct reader *r = u;
    struct al_str terms[] = {AL_STR("pool"), AL_STR("dag")};
    const float weights[] = {1, 2};
    struct al_leg_query q = {.spaces = spaces,
                             .n_spaces = 6,
                             .vector = f.docs[r->seed].doc.vectors,
                             .terms = terms,
                             .n_terms = 2,
                             .term_weights = weights,
                             .avg_terms = 10,
                             .k1 = 0.9f,
                             .b = 0.4f,
                             .depth = 5000,
                             .exact = true,
                             .deadline_ns = AL_DEADLINE_NONE};
    while (!atomic_load(&stop)) {
        struct al_arena a;
        struct al_err e = {0};
        struct al_term_stats st;
        struct al_segset_status status;
        al_arena_init(&a, NULL, 64u << 20);
        check_legs(&q, &a);
        struct al_candidate c = {.docno = f.docs[r->seed].doc.docno,
                                 .space = f.docs[r->seed].doc.space};
        struct al_candidate *one[] = {&c};
        if (al_segset_stats(g, spaces, 6, terms, 2, &a, &st, &e) != AL_OK ||
            st.df[0] > st.n_chunks || al_segset_score(g, &q, one, 1, &e) != AL_OK || !c.has_text)
            atomic_fetch_add(&n_wrong, 1);
        al_segset_get_status(g, &status);
        al_arena_fini(&a);
        atomic_fetch_add(&n_searches, 1);
    }
    return NULL;
}

static void wait_for_searches(unsigned more)
{
    unsigned until = atomic_load(&n_searches) + more;
    while (atomic_load(&n_searches) < until && atomic_load(&n_wrong) == 0)
        (void)sched_yield();
}

static enum al_code each_unlocked(void *u, uint64_t first, uint64_t last,
                                  enum al_code (*visit)(void *v, const struct al_doc *d,
                                                        struct al_err *err),
                                  void *v, struct al_err *err)
{
    return fix_each(u, first, last, visit, v, err);
}

static void write_all(void)
{
    struct al_doc_source src = {each_unlocked, &f};
    for (uint64_t round = 0; round < N_ROUNDS; round++) {
        uint64_t last = N * (round + 1) / N_ROUNDS;
        struct al_built *b = NULL;
        struct al_err e = {0};
        for (size_t i = 0; i < N; i++)
            if (!stays(i) && i % N_ROUNDS == round) {
                (void)al_segset_remove(g, f.docs[i].doc.space, f.docs[i].doc.docno);
                f.docs[i].live = false;
            }
        wait_for_searches(2);
        AL_CHECK_OK(al_segset_build(g, &src, round % 2 ? 0 : N * round / N_ROUNDS, last, NULL, NULL,
                                    &b, &e),
                    e);
        if (round == 3) {
            al_segset_discard(b);
            continue;
        }
        AL_CHECK_OK(al_segset_swap(g, b, &e), e);
        wait_for_searches(2);
        AL_CHECK_OK(al_segset_sweep(g, &e), e);
        for (uint64_t i = 0; i < 5; i++)
            fix_put(g, fix_add_doc(&f, N + 1 + round * 5 + i, "static-256"));
    }
}

static void test_searches_see_a_whole_set(void **state)
{
    (void)state;
    struct reader readers[N_READERS];
    fix_init(&f, 41, N);
    struct al_segset_options opt = fix_options(&f);
    g = fix_create(&opt);
    for (size_t i = 0; i < N; i++) {
        fix_put(g, &f.docs[i]);
        for (uint32_t k = 0; stays(i) && k < f.docs[i].doc.n_chunks; k++)
            expected_kept += fix_has_vector(&f.docs[i], k);
    }
    for (unsigned i = 0; i < N_READERS; i++) {
        readers[i].seed = i * 20;
        while (f.docs[readers[i].seed].doc.n_chunks == 0)
            readers[i].seed += 2;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    write_all();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < N_READERS; i++)
        pthread_join(readers[i].thread, NULL);
    assert_int_equal(atomic_load(&n_wrong), 0);
    assert_true(atomic_load(&n_searches) > 10);
    fix_compare(&f, g, "in the end", 20);
    al_segset_destroy(g);
    fix_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searches_see_a_whole_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
