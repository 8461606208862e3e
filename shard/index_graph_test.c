/* Our graph: built by one thread or many, searched with every kernel and from many threads, under
 * filters for and against the query. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"
#include "huge.h"
#include "index_hnsw.h"

#define N 8000u
#define DIM 24u
#define N_CLUSTERS 100u
#define N_QUERIES 60u
#define K 10u
#define THREADS 4u

static struct {
    float *rows;
    float *queries;
    struct al_index *exact;
    struct al_index *ix;
} w;

static float noise(struct al_seeded_random *r)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (double)al_random_below(&r->random, 2001) / 1000.0 - 1.0;
    return (float)sum;
}

static void point(struct al_seeded_random *r, const float *centre, float scale, float *ret)
{
    double sum = 0;
    for (uint32_t i = 0; i < DIM; i++) {
        ret[i] = (centre ? centre[i] : 0) + noise(r) * scale;
        sum += (double)ret[i] * (double)ret[i];
    }
    for (uint32_t i = 0; i < DIM; i++)
        ret[i] = (float)((double)ret[i] / sqrt(sum));
}

static struct al_index *build(const struct al_index_factory *f, const float *rows, uint32_t n,
                              uint32_t threads)
{
    struct al_index *ix = NULL;
    struct al_err e = {0};
    struct al_index_source src = {.rows = rows, .n_rows = n, .dim = DIM, .n_threads = threads};
    AL_CHECK_OK(f->build(&src, &ix, &e), e);
    return ix;
}

static int setup(void **state)
{
    (void)state;
    struct al_seeded_random r;
    float centres[N_CLUSTERS][DIM];
    al_seeded_random_init(&r, 5);
    w.rows = calloc((size_t)N * DIM, sizeof *w.rows);
    w.queries = calloc((size_t)N_QUERIES * DIM, sizeof *w.queries);
    assert_true(w.rows && w.queries);
    for (uint32_t i = 0; i < N_CLUSTERS; i++)
        point(&r, NULL, 1, centres[i]);
    for (uint32_t i = 0; i < N; i++)
        point(&r, centres[al_random_below(&r.random, N_CLUSTERS)], 0.15f, w.rows + (size_t)i * DIM);
    for (uint32_t i = 0; i < N_QUERIES; i++)
        point(&r, centres[al_random_below(&r.random, N_CLUSTERS)], 0.15f,
              w.queries + (size_t)i * DIM);
    w.exact = build(al_index_flat(), w.rows, N, 1);
    w.ix = build(al_index_hnsw(), w.rows, N, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    w.exact->ops->destroy(w.exact);
    w.ix->ops->destroy(w.ix);
    free(w.rows);
    free(w.queries);
    return 0;
}

struct found {
    uint32_t n;
    uint32_t rows[K];
    float scores[K];
    struct al_index_work work;
};

static struct found search(const struct al_index *ix, uint32_t query, uint32_t ef,
                           const uint8_t *allowed)
{
    struct found f = {0};
    struct al_err e = {0};
    struct al_index_query q = {.vector = w.queries + (size_t)query * DIM,
                               .k = K,
                               .ef = ef,
                               .allowed = allowed,
                               .ret_work = &f.work};
    AL_CHECK_OK(ix->ops->search(ix, &q, f.rows, f.scores, &f.n, &e), e);
    return f;
}

static double recall(const struct al_index *ix, uint32_t ef, const uint8_t *allowed)
{
    size_t hits = 0;
    size_t all = 0;
    for (uint32_t q = 0; q < N_QUERIES; q++) {
        struct found want = search(w.exact, q, 0, allowed);
        struct found got = search(ix, q, ef, allowed);
        assert_int_equal(got.n, want.n); /* as many as there are, up to k */
        for (uint32_t i = 0; i < got.n; i++) {
            assert_true(!allowed || (allowed[got.rows[i] / 8] >> got.rows[i] % 8 & 1));
            for (uint32_t k = 0; k < want.n; k++)
                hits += got.rows[i] == want.rows[k];
        }
        all += want.n;
    }
    return (double)hits / (double)all;
}

static void check_recall(const struct al_index *ix, const char *what)
{
    double r = recall(ix, 0, NULL);
    if (r < 0.95)
        fail_msg("%s: recall %.4f", what, r);
}

/* Rows that links lead to from one of them. */
static uint32_t reachable(struct al_index *ix)
{
    struct al_hnsw *h = (struct al_hnsw *)ix;
    struct al_hnsw_view v = al_hnsw_view(h);
    uint32_t *queue = calloc(ix->n_rows, sizeof *queue);
    uint8_t *seen = calloc(ix->n_rows, 1);
    uint32_t n = 0;
    uint32_t most = 0;
    assert_true(queue && seen);
    for (uint32_t e = 0; e < h->n_entries; e++) { /* which one it is is the build's affair */
        memset(seen, 0, ix->n_rows);
        n = 0;
        queue[n++] = v.entries[e];
        seen[v.entries[e]] = 1;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < AL_HNSW_LINKS; k++) {
                uint32_t to = v.links[(size_t)queue[i] * AL_HNSW_LINKS + k];
                if (to == AL_HNSW_NONE)
                    break;
                if (!seen[to]) {
                    seen[to] = 1;
                    queue[n++] = to;
                }
            }
        most = n > most ? n : most;
        if (most == ix->n_rows)
            break;
    }
    free(queue);
    free(seen);
    return most;
}

static void test_every_row_can_be_reached(void **state)
{
    (void)state;
    assert_int_equal(reachable(w.ix), N);
    check_recall(w.ix, "one thread");
}

static void test_many_threads_build_as_good_a_graph(void **state)
{
    (void)state;
    struct al_index *ix = build(al_index_hnsw(), w.rows, N, THREADS);
    struct al_index *again = NULL;
    struct al_buf bytes;
    struct al_err e = {0};
    check_recall(ix, "many threads");
    assert_int_equal(reachable(ix), N);
    al_buf_init(&bytes, NULL, 0);
    AL_CHECK_OK(ix->ops->save(ix, &bytes, &e), e);
    struct al_index_source src = {.rows = w.rows, .n_rows = N, .dim = DIM};
    AL_CHECK_OK(al_index_hnsw()->load(al_buf_view(&bytes), &src, &again, &e), e);
    again->ops->destroy(again);
    ix->ops->destroy(ix);
    al_buf_fini(&bytes);
}

/* Rows of which many are equal: they must not cut each other off. */
static void test_equal_rows_do_not_hide_others(void **state)
{
    (void)state;
    enum { SAME = 3000, ALL = 6000 };
    float *rows = calloc((size_t)ALL * DIM, sizeof *rows);
    assert_non_null(rows);
    memcpy(rows, w.rows, (size_t)ALL * DIM * sizeof *rows);
    for (uint32_t i = 0; i < SAME; i++)
        memcpy(rows + (size_t)i * 2 * DIM, w.queries, DIM * sizeof *rows);
    struct al_index *ix = build(al_index_hnsw(), rows, ALL, 1);
    assert_int_equal(reachable(ix), ALL);
    struct al_index *exact = build(al_index_flat(), rows, ALL, 1);
    size_t hits = 0;
    for (uint32_t q = 1; q < N_QUERIES; q++) {
        struct found want = search(exact, q, 0, NULL);
        struct found got = search(ix, q, 0, NULL);
        assert_int_equal(got.n, K);
        for (uint32_t i = 0; i < K; i++) /* by score: which of equal ones is no matter */
            hits += got.scores[i] >= want.scores[i];
    }
    assert_true(hits >= (size_t)(0.95 * (N_QUERIES - 1) * K));
    ix->ops->destroy(ix);
    exact->ops->destroy(exact);
    free(rows);
}

static void check_same(const struct found *a, const struct found *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->rows, b->rows, a->n * sizeof a->rows[0]);
    assert_memory_equal(a->scores, b->scores, a->n * sizeof a->scores[0]);
    assert_int_equal(a->work.n_distances, b->work.n_distances);
    assert_int_equal(a->work.n_hops, b->work.n_hops);
}

static void test_all_kernels_find_the_same(void **state)
{
    (void)state;
    const struct al_kernels *all[8];
    size_t n = al_kernels_all(all, 8);
    struct al_hnsw *h = (struct al_hnsw *)w.ix;
    const struct al_kernels *best = h->kernels;
    for (uint32_t q = 0; q < N_QUERIES; q++) {
        h->kernels = best;
        struct found want = search(w.ix, q, 1 + q, NULL);
        for (size_t i = 0; i < n; i++) {
            h->kernels = all[i];
            struct found got = search(w.ix, q, 1 + q, NULL);
            check_same(&got, &want);
        }
    }
    h->kernels = best;
}

static void *search_all(void *u)
{
    struct found *f = u;
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t q = 0; q < N_QUERIES; q++)
            f[q] = search(w.ix, q, 0, NULL);
    return NULL;
}

static void test_threads_search_alike(void **state)
{
    (void)state;
    static struct found f[THREADS][N_QUERIES];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search_all, f[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t q = 0; q < N_QUERIES; q++) {
        struct found want = search(w.ix, q, 0, NULL);
        for (size_t i = 0; i < THREADS; i++)
            check_same(&f[i][q], &want);
    }
}

/* Served from the bytes, then from a copy: no search sees a difference, however they meet. */
static void test_copy_to_large_pages(void **state)
{
    (void)state;
    struct al_index *ix = NULL;
    struct al_buf bytes;
    struct al_err e = {0};
    struct al_index_source src = {.rows = w.rows, .n_rows = N, .dim = DIM};
    static struct found f[N_QUERIES];
    pthread_t thread;
    al_buf_init(&bytes, NULL, 0);
    AL_CHECK_OK(w.ix->ops->save(w.ix, &bytes, &e), e);
    AL_CHECK_OK(al_index_hnsw()->load(al_buf_view(&bytes), &src, &ix, &e), e);
    uint64_t served = ix->ops->memory_bytes(ix);
    assert_true(served < bytes.n);
    assert_int_equal(ix->ops->copy(ix, bytes.n - 1), 0);
    struct al_index *was = w.ix;
    w.ix = ix;
    assert_int_equal(pthread_create(&thread, NULL, search_all, f), 0);
    uint64_t copied = ix->ops->copy(ix, bytes.n);
    pthread_join(thread, NULL);
    w.ix = was;
    assert_int_equal(copied, al_huge_offered() ? bytes.n : 0);
    assert_int_equal(ix->ops->copy(ix, 0), copied); /* once is enough */
    assert_true(ix->ops->memory_bytes(ix) >= served + copied);
    for (uint32_t q = 0; q < N_QUERIES; q++) {
        struct found want = search(w.ix, q, 0, NULL);
        struct found got = search(ix, q, 0, NULL);
        check_same(&got, &want);
        check_same(&f[q], &want);
    }
    ix->ops->destroy(ix);
    al_buf_fini(&bytes);
}

/* ---- filters ---- */

static void allow(uint8_t *allowed, uint32_t row)
{
    allowed[row / 8] = (uint8_t)(allowed[row / 8] | 1u << row % 8);
}

static float dot(const float *a, const float *b)
{
    float sum = 0;
    for (uint32_t i = 0; i < DIM; i++)
        sum += a[i] * b[i];
    return sum;
}

/* How often each plan is taken by the queries. */
static void count_plans(const uint8_t *allowed, uint32_t ef, size_t plans[AL_PLAN_RESCUED + 1])
{
    memset(plans, 0, (AL_PLAN_RESCUED + 1) * sizeof *plans);
    for (uint32_t q = 0; q < N_QUERIES; q++)
        plans[search(w.ix, q, ef, allowed).work.plan]++;
}

static void test_plans_for_random_filters(void **state)
{
    (void)state;
    static const struct {
        uint32_t one_in;
        uint32_t ef;
        enum al_index_plan plan;
    } cases[] = {{5000, 64, AL_PLAN_SCAN},
                 {100, 64, AL_PLAN_SCAN},
                 {10, 64, AL_PLAN_SCAN},
                 {2, 32, AL_PLAN_THROUGH},
                 {2, 64, AL_PLAN_THROUGH}};
    struct al_seeded_random r;
    uint8_t allowed[N / 8 + 1];
    size_t plans[AL_PLAN_RESCUED + 1];
    al_seeded_random_init(&r, 8);
    for (size_t c = 0; c < AL_ARRAY_LEN(cases); c++) {
        memset(allowed, 0, sizeof allowed);
        for (uint32_t i = 0; i < N; i++)
            if (al_random_below(&r.random, cases[c].one_in) == 0)
                allow(allowed, i);
        count_plans(allowed, cases[c].ef, plans);
        assert_true(plans[cases[c].plan] > N_QUERIES * 9 / 10);
        assert_true(recall(w.ix, cases[c].ef, allowed) >= 0.95);
    }
    count_plans(NULL, 64, plans);
    assert_int_equal(plans[AL_PLAN_GRAPH], N_QUERIES);
}

/* The row that is least like the query. */
static const float *opposite_of(uint32_t query)
{
    const float *q = w.queries + (size_t)query * DIM;
    const float *least = w.rows;
    for (uint32_t i = 0; i < N; i++)
        if (dot(q, w.rows + (size_t)i * DIM) < dot(q, least))
            least = w.rows + (size_t)i * DIM;
    return least;
}

/* Allowed is a topic that is not the query's: a walk gets lost, and is rescued. */
static void test_plans_for_filters_against_the_query(void **state)
{
    (void)state;
    uint8_t allowed[N / 8 + 1];
    size_t plans[AL_PLAN_RESCUED + 1] = {0};
    size_t hits = 0;
    for (uint32_t q = 0; q < N_QUERIES; q++) {
        const float *topic = opposite_of(q);
        memset(allowed, 0, sizeof allowed);
        for (uint32_t i = 0; i < N; i++)
            if (dot(topic, w.rows + (size_t)i * DIM) > 0)
                allow(allowed, i);
        struct found want = search(w.exact, q, 0, allowed);
        struct found got = search(w.ix, q, 32, allowed);
        assert_int_equal(got.n, want.n);
        for (uint32_t i = 0; i < got.n; i++) {
            assert_true(allowed[got.rows[i] / 8] >> got.rows[i] % 8 & 1);
            for (uint32_t k = 0; k < want.n; k++)
                hits += got.rows[i] == want.rows[k];
        }
        plans[got.work.plan]++;
        assert_true(got.work.n_distances < 4 * (uint64_t)N); /* whatever happens, it ends */
    }
    assert_true(plans[AL_PLAN_HOP] + plans[AL_PLAN_RESCUED] > N_QUERIES / 2);
    assert_true(hits >= (size_t)(0.95 * N_QUERIES * K));
}

static void test_a_narrow_beam_still_fills_the_list(void **state)
{
    (void)state;
    assert_true(recall(w.ix, 1, NULL) > 0.5); /* recall() wants k rows of each */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_can_be_reached),
        cmocka_unit_test(test_many_threads_build_as_good_a_graph),
        cmocka_unit_test(test_equal_rows_do_not_hide_others),
        cmocka_unit_test(test_all_kernels_find_the_same),
        cmocka_unit_test(test_threads_search_alike),
        cmocka_unit_test(test_copy_to_large_pages),
        cmocka_unit_test(test_plans_for_random_filters),
        cmocka_unit_test(test_plans_for_filters_against_the_query),
        cmocka_unit_test(test_a_narrow_beam_still_fills_the_list),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
