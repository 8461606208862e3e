/* One suite for every back end of the vector index port; HNSW is held to a recall bound against the
 * exact one. */
#include "vector_index.h"

#include <math.h>
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"
#include "dot.h"

#define N 5000u
#define DIM 48u
#define N_CLUSTERS 60u
#define N_QUERIES 200u
#define K 10u

struct world {
    struct al_seeded_random random;
    float *rows;
    float *queries;
};

static struct world w;

static float noise(float scale)
{
    double sum = 0; /* near enough to normal */
    for (int i = 0; i < 6; i++)
        sum += (double)al_random_below(&w.random.random, 2001) / 1000.0 - 1.0;
    return (float)sum * scale;
}

static void normalize(float *v)
{
    double sum = 0;
    for (uint32_t i = 0; i < DIM; i++)
        sum += (double)v[i] * (double)v[i];
    for (uint32_t i = 0; i < DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

static void near_cluster(const float *centres, float *v)
{
    const float *c = centres + al_random_below(&w.random.random, N_CLUSTERS) * DIM;
    for (uint32_t i = 0; i < DIM; i++)
        v[i] = c[i] + noise(0.12f);
    normalize(v);
}

static int setup(void **state)
{
    (void)state;
    al_seeded_random_init(&w.random, 77);
    w.rows = calloc((size_t)N * DIM, sizeof(float));
    w.queries = calloc((size_t)N_QUERIES * DIM, sizeof(float));
    float *centres = calloc((size_t)N_CLUSTERS * DIM, sizeof(float));
    assert_true(w.rows && w.queries && centres);
    for (uint32_t i = 0; i < N_CLUSTERS; i++) {
        for (uint32_t k = 0; k < DIM; k++)
            centres[(size_t)i * DIM + k] = noise(1);
        normalize(centres + (size_t)i * DIM);
    }
    for (uint32_t i = 0; i < N; i++)
        near_cluster(centres, w.rows + (size_t)i * DIM);
    for (uint32_t i = 0; i < N_QUERIES; i++)
        near_cluster(centres, w.queries + (size_t)i * DIM);
    free(centres);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(w.rows);
    free(w.queries);
    return 0;
}

/* The back ends under test. */
static const struct al_index_factory *factory_of(void **state)
{
    return *state;
}

static struct al_index_source source_of(uint32_t n)
{
    return (struct al_index_source){.rows = w.rows, .n_rows = n, .dim = DIM};
}

static struct al_index *build(const struct al_index_factory *f, uint32_t n)
{
    struct al_index *ix = NULL;
    struct al_err e = {0};
    struct al_index_source src = source_of(n);
    AL_CHECK_OK(f->build(&src, &ix, &e), e);
    assert_int_equal(ix->n_rows, n);
    assert_int_equal(ix->dim, DIM);
    return ix;
}

static uint32_t search(const struct al_index *ix, const float *v, uint32_t k,
                       const uint8_t *allowed, uint32_t *rows, float *scores)
{
    struct al_index_query q = {.vector = v, .k = k, .allowed = allowed};
    struct al_err e = {0};
    uint32_t n = UINT32_MAX;
    AL_CHECK_OK(ix->ops->search(ix, &q, rows, scores, &n, &e), e);
    assert_true(n <= k);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(rows[i] < ix->n_rows);
        float want = al_dot(v, w.rows + (size_t)rows[i] * DIM, DIM);
        assert_memory_equal(&scores[i], &want, sizeof want);
        assert_true(i == 0 || scores[i] <= scores[i - 1]);
        for (uint32_t k2 = 0; k2 < i; k2++)
            assert_true(rows[k2] != rows[i]);
    }
    return n;
}

static void test_recall_against_exact(void **state)
{
    struct al_index *exact = build(al_index_flat(), N);
    struct al_index *ix = build(factory_of(state), N);
    uint32_t rows[K];
    uint32_t want[K];
    float scores[K];
    size_t hits = 0;
    for (uint32_t i = 0; i < N_QUERIES; i++) {
        const float *v = w.queries + (size_t)i * DIM;
        assert_int_equal(search(exact, v, K, NULL, want, scores), K);
        uint32_t n = search(ix, v, K, NULL, rows, scores);
        for (uint32_t k = 0; k < n; k++)
            for (uint32_t k2 = 0; k2 < K; k2++)
                hits += rows[k] == want[k2];
    }
    double recall = (double)hits / (N_QUERIES * K);
    if (recall < 0.95)
        fail_msg("%s: recall %.4f", factory_of(state)->name, recall);
    exact->ops->destroy(exact);
    ix->ops->destroy(ix);
}

static uint32_t count(const uint8_t *allowed)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < N; i++)
        n += allowed[i / 8] >> i % 8 & 1;
    return n;
}

static void test_bitmap_never_leaks(void **state)
{
    static const uint32_t one_in[] = {1, 2, 10, 100, 2000};
    struct al_index *ix = build(factory_of(state), N);
    uint8_t allowed[(N + 7) / 8];
    uint32_t rows[200];
    float scores[200];
    for (size_t c = 0; c < AL_ARRAY_LEN(one_in); c++) {
        memset(allowed, 0, sizeof allowed);
        for (uint32_t i = 0; i < N; i++)
            if (al_random_below(&w.random.random, one_in[c]) == 0)
                allowed[i / 8] = (uint8_t)(allowed[i / 8] | 1u << i % 8);
        for (uint32_t q = 0; q < 50; q++) {
            uint32_t k = 1 + (uint32_t)al_random_below(&w.random.random, 200);
            uint32_t n = search(ix, w.queries + (size_t)q * DIM, k, allowed, rows, scores);
            if (ix->plans)
                assert_int_equal(n, k < count(allowed) ? k : count(allowed));
            for (uint32_t i = 0; i < n; i++)
                assert_true(allowed[rows[i] / 8] >> rows[i] % 8 & 1);
        }
    }
    memset(allowed, 0, sizeof allowed);
    assert_int_equal(search(ix, w.queries, 10, allowed, rows, scores), 0);
    ix->ops->destroy(ix);
}

static void test_few_rows(void **state)
{
    uint32_t rows[20];
    float scores[20];
    for (uint32_t n = 1; n < 20; n++) {
        struct al_index *ix = build(factory_of(state), n);
        uint32_t found = search(ix, w.queries, 20, NULL, rows, scores);
        assert_int_equal(found, n);
        assert_true(ix->ops->memory_bytes(ix) > 0);
        ix->ops->destroy(ix);
    }
}

static void test_equal_rows(void **state)
{
    struct al_index *ix = NULL;
    struct al_err e = {0};
    float *same = calloc((size_t)600 * DIM, sizeof *same);
    uint32_t rows[30];
    float scores[30];
    uint32_t n;
    assert_non_null(same);
    for (uint32_t i = 0; i < 600; i++)
        same[(size_t)i * DIM] = 1;
    struct al_index_source src = {.rows = same, .n_rows = 600, .dim = DIM};
    AL_CHECK_OK(factory_of(state)->build(&src, &ix, &e), e);
    struct al_index_query q = {.vector = same, .k = 30};
    AL_CHECK_OK(ix->ops->search(ix, &q, rows, scores, &n, &e), e);
    assert_true(n > 0);
    ix->ops->destroy(ix);
    free(same);
}

static void test_build_is_deterministic_and_saved_equals_loaded(void **state)
{
    struct al_index *ix = build(factory_of(state), 1500);
    struct al_index *again = build(factory_of(state), 1500);
    struct al_index *loaded = NULL;
    struct al_index_source src = source_of(1500);
    struct al_buf a;
    struct al_buf b;
    struct al_err e = {0};
    uint32_t rows[2][50];
    float scores[2][50];
    al_buf_init(&a, NULL, 0);
    al_buf_init(&b, NULL, 0);
    AL_CHECK_OK(ix->ops->save(ix, &a, &e), e);
    AL_CHECK_OK(again->ops->save(again, &b, &e), e);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    AL_CHECK_OK(factory_of(state)->load(al_buf_view(&a), &src, &loaded, &e), e);
    for (uint32_t q = 0; q < 50; q++) {
        const float *v = w.queries + (size_t)q * DIM;
        uint32_t n = search(ix, v, 50, NULL, rows[0], scores[0]);
        assert_int_equal(search(loaded, v, 50, NULL, rows[1], scores[1]), n);
        assert_memory_equal(rows[0], rows[1], n * sizeof rows[0][0]);
    }
    al_buf_reset(&b);
    AL_CHECK_OK(loaded->ops->save(loaded, &b, &e), e);
    assert_memory_equal(a.p, b.p, a.n);
    ix->ops->destroy(ix);
    again->ops->destroy(again);
    loaded->ops->destroy(loaded);
    al_buf_fini(&a);
    al_buf_fini(&b);
}

/* Load from bytes in a block of just their size, so that a read beyond them is seen. */
static enum al_code load_copy(const struct al_index_factory *f, const char *p, size_t n,
                              uint32_t n_rows)
{
    struct al_index *ix = NULL;
    struct al_index_source src = source_of(n_rows);
    struct al_err e = {0};
    uint32_t rows[20];
    float scores[20];
    char *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    enum al_code c = f->load((struct al_str){copy, n}, &src, &ix, &e);
    if (c == AL_OK) { /* other links, but none out of bounds: it must still be safe to use */
        (void)search(ix, w.queries, 20, NULL, rows, scores);
        ix->ops->destroy(ix);
    } else {
        assert_int_equal(c, AL_DATA_LOSS);
        assert_null(ix);
    }
    free(copy); /* borrowed until here */
    return c;
}

static void test_damaged_bytes_are_refused_or_harmless(void **state)
{
    const struct al_index_factory *f = factory_of(state);
    struct al_index *ix = build(f, 70);
    struct al_buf b;
    struct al_err e = {0};
    al_buf_init(&b, NULL, 0);
    AL_CHECK_OK(ix->ops->save(ix, &b, &e), e);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(load_copy(f, b.p, n, 70), AL_DATA_LOSS);
    assert_int_equal(load_copy(f, b.p, b.n, 70), AL_OK);
    assert_int_equal(load_copy(f, b.p, b.n, 69), AL_DATA_LOSS);
    assert_int_equal(load_copy(f, b.p, b.n, 71), AL_DATA_LOSS);
    size_t refused = 0;
    for (int i = 0; i < 2000; i++) {
        size_t at = al_random_below(&w.random.random, i % 4 ? b.n : 90 < b.n ? 90 : b.n);
        char was = b.p[at];
        b.p[at] = (char)(was ^ (char)(1 + al_random_below(&w.random.random, 255)));
        refused += load_copy(f, b.p, b.n, 70) != AL_OK;
        b.p[at] = was;
    }
    assert_true(refused > 500);
    al_buf_char(&b, 0);
    assert_int_equal(load_copy(f, b.p, b.n, 70), AL_DATA_LOSS);
    al_buf_fini(&b);
    ix->ops->destroy(ix);
}

static bool cancel_soon(void *u)
{
    return ++*(int *)u > 3;
}

static bool cancel_now(void *u)
{
    (void)u;
    return true;
}

static void test_cancel_and_bad_arguments(void **state)
{
    struct al_index *ix = NULL;
    struct al_err e = {0};
    int polls = 0;
    struct al_index_source src = source_of(N);
    src.cancel = cancel_now;
    assert_int_equal(factory_of(state)->build(&src, &ix, &e), AL_CANCELLED);
    assert_null(ix);
    src.cancel = cancel_soon;
    src.cancel_u = &polls;
    if (strcmp(factory_of(state)->name, "flat") != 0)
        assert_int_equal(factory_of(state)->build(&src, &ix, &e), AL_CANCELLED);
    ix = build(factory_of(state), 10);
    struct al_index_query q = {.vector = w.queries};
    uint32_t n = 0;
    assert_int_equal(ix->ops->search(ix, &q, NULL, NULL, &n, &e), AL_INVALID_ARGUMENT);
    ix->ops->destroy(ix);
}

static void test_memory_faults(void **state)
{
    for (size_t i = 0;; i++) {
        struct al_fault_mem fm;
        struct al_index *ix = NULL;
        struct al_err e = {0};
        al_fault_mem_init(&fm, i, false);
        struct al_index_source src = source_of(20);
        src.mem = &fm.mem;
        enum al_code c = factory_of(state)->build(&src, &ix, &e);
        assert_int_equal(c, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        if (ix)
            ix->ops->destroy(ix);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
}

static void test_dot_is_exact_in_its_order(void **state)
{
    (void)state;
    float a[131];
    float b[131];
    for (uint32_t i = 0; i < 131; i++) {
        a[i] = noise(1);
        b[i] = noise(1);
    }
    for (uint32_t dim = 0; dim <= 131; dim++) {
        double want = 0;
        for (uint32_t i = 0; i < dim; i++)
            want += (double)a[i] * (double)b[i];
        float got = al_dot(a, b, dim);
        float turned = al_dot(b, a, dim);
        assert_true(fabs((double)got - want) < 1e-4);
        assert_memory_equal(&got, &turned, sizeof got);
    }
}

#define SUITE(factory_)                                                                           \
    cmocka_unit_test_prestate(test_recall_against_exact, factory_),                               \
        cmocka_unit_test_prestate(test_bitmap_never_leaks, factory_),                             \
        cmocka_unit_test_prestate(test_few_rows, factory_),                                       \
        cmocka_unit_test_prestate(test_equal_rows, factory_),                                     \
        cmocka_unit_test_prestate(test_build_is_deterministic_and_saved_equals_loaded, factory_), \
        cmocka_unit_test_prestate(test_damaged_bytes_are_refused_or_harmless, factory_),          \
        cmocka_unit_test_prestate(test_cancel_and_bad_arguments, factory_),                       \
        cmocka_unit_test_prestate(test_memory_faults, factory_)

int main(void)
{
    void *flat = (void *)(uintptr_t)al_index_flat();
    void *hnsw = (void *)(uintptr_t)al_index_hnsw();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot_is_exact_in_its_order),
        SUITE(flat),
        SUITE(hnsw),
#ifndef AL_NO_FAISS
        SUITE((void *)(uintptr_t)al_index_faiss()),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
