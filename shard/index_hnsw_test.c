/* What is below our HNSW: codes and kernels, on every instruction set that this machine has. */
#include "index_hnsw.h"

#include <math.h>
#include <stdlib.h>

#include "airlore/random.h"
#include "airlore/testing.h"
#include "dot.h"

#define KERNELS_MAX 8u
#define PAIRS 60000u
#define DIM_MAX 4096u

static struct al_seeded_random seeded;

static uint64_t below(uint64_t n)
{
    return al_random_below(&seeded.random, n);
}

static int setup(void **state)
{
    (void)state;
    al_seeded_random_init(&seeded, 11);
    return 0;
}

struct pair {
    int8_t q[DIM_MAX] __attribute__((aligned(64)));
    uint8_t codes[8 * DIM_MAX];
};

static uint32_t distance_by_hand(const struct al_code_query *q, const uint8_t *code)
{
    int64_t dot = 0;
    for (uint32_t i = 0; i < q->dim; i++)
        dot += (int64_t)q->v[i] * ((int64_t)code[i] - 128);
    return (uint32_t)((int64_t)AL_DISTANCE_BASE - dot);
}

/* All kernels on n codes of p, in an order of their own. */
static void check_kernels(struct pair *p, uint32_t dim, uint32_t n)
{
    const struct al_kernels *all[KERNELS_MAX];
    size_t n_kernels = al_kernels_all(all, KERNELS_MAX);
    struct al_code_query q = {p->q, dim, 0};
    uint32_t ids[8];
    uint32_t got[8];
    for (uint32_t i = 0; i < dim; i++)
        q.sum += p->q[i];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = n - 1 - i;
    assert_true(n_kernels > 0);
    for (size_t k = 0; k < n_kernels; k++) {
        all[k]->distances(&q, p->codes, ids, n, got);
        for (uint32_t i = 0; i < n; i++)
            if (got[i] != distance_by_hand(&q, p->codes + (size_t)ids[i] * dim))
                fail_msg("%s: dim %u: a distance differs", all[k]->name, dim);
        all[k]->distances(&q, p->codes, NULL, n, got);
        for (uint32_t i = 0; i < n; i++)
            if (got[i] != distance_by_hand(&q, p->codes + (size_t)i * dim))
                fail_msg("%s: dim %u: a distance differs", all[k]->name, dim);
    }
}

static void test_kernels_agree_on_random_pairs(void **state)
{
    (void)state;
    struct pair *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    assert_non_null(p);
    for (uint32_t done = 0; done < PAIRS;) {
        uint32_t dim = 64 * (1 + (uint32_t)below(done % 100 == 0 ? DIM_MAX / 64 : 12));
        uint32_t n = 1 + (uint32_t)below(8);
        for (uint32_t i = 0; i < dim; i++)
            p->q[i] = (int8_t)((int)below(255) - 127);
        for (uint32_t i = 0; i < n * dim; i++)
            p->codes[i] = (uint8_t)(1 + below(255));
        check_kernels(p, dim, n);
        done += n;
    }
    free(p);
}

static void test_kernels_agree_on_extremes(void **state)
{
    (void)state;
    static const int values[] = {-127, 127, 0, -1, 1};
    struct pair *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    assert_non_null(p);
    for (uint32_t dim = 64; dim <= DIM_MAX; dim *= 2)
        for (size_t a = 0; a < AL_ARRAY_LEN(values); a++)
            for (size_t b = 0; b < AL_ARRAY_LEN(values); b++) {
                for (uint32_t i = 0; i < dim; i++) {
                    p->q[i] = (int8_t)values[a];
                    p->codes[i] = (uint8_t)(128 + values[b]);
                    p->codes[dim + i] = (uint8_t)(128 + (i % 2 ? values[b] : -values[b]));
                }
                check_kernels(p, dim, 2);
            }
    free(p);
}

/* ---- codes ---- */

static float gauss(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)below(1u << 20) / (double)(1u << 20);
    return (float)(sum - 6.0);
}

/* Rows with a few large leading dimensions, as embeddings have. */
static void leading(float *row, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) {
        row[i] = gauss() / (1.0f + (float)i * 0.3f);
        norm += (double)row[i] * (double)row[i];
    }
    for (uint32_t i = 0; i < dim; i++)
        row[i] = (float)((double)row[i] / sqrt(norm > 0 ? norm : 1));
}

static void test_rotation_keeps_inner_products(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 3, 63, 64, 65, 100, 128, 256, 300, 384, 768, 1536, 4096};
    float *a = aligned_alloc(64, DIM_MAX * sizeof(float));
    float *b = aligned_alloc(64, DIM_MAX * sizeof(float));
    float *ra = aligned_alloc(64, DIM_MAX * sizeof(float));
    float *rb = aligned_alloc(64, DIM_MAX * sizeof(float));
    assert_true(a && b && ra && rb);
    for (size_t c = 0; c < AL_ARRAY_LEN(dims); c++) {
        struct al_coder coder;
        struct al_err e = {0};
        AL_CHECK_OK(al_coder_init(&coder, dims[c], 1, NULL, &e), e);
        assert_int_equal(coder.code_dim % 64, 0);
        assert_int_equal(coder.code_dim % coder.block, 0);
        leading(a, dims[c]);
        leading(b, dims[c]);
        al_coder_rotate(&coder, a, ra);
        al_coder_rotate(&coder, b, rb);
        double want = 0;
        double got = 0;
        for (uint32_t i = 0; i < dims[c]; i++)
            want += (double)a[i] * (double)b[i];
        for (uint32_t i = 0; i < coder.code_dim; i++)
            got += (double)ra[i] * (double)rb[i];
        got /= coder.block; /* the matrix is not normalized */
        if (fabs(got - want) > 1e-5)
            fail_msg("dim %u: %f, not %f", dims[c], got, want);
        al_coder_fini(&coder);
    }
    free(a);
    free(b);
    free(ra);
    free(rb);
}

/* The error of an inner product by codes is small whatever the dimension, and large dimensions
 * are not clipped away. */
static void test_codes_are_faithful(void **state)
{
    (void)state;
    static const uint32_t dims[] = {8, 48, 100, 256, 300, 384, 768};
    enum { ROWS = 300 };
    for (size_t c = 0; c < AL_ARRAY_LEN(dims); c++) {
        uint32_t dim = dims[c];
        struct al_coder coder;
        struct al_err e = {0};
        AL_CHECK_OK(al_coder_init(&coder, dim, 1, NULL, &e), e);
        float *rows = calloc((size_t)ROWS * dim, sizeof *rows);
        float *buf = aligned_alloc(64, coder.code_dim * sizeof *buf);
        uint8_t *code = aligned_alloc(64, coder.code_dim);
        int8_t *query = aligned_alloc(64, coder.code_dim);
        assert_true(rows && buf && code && query);
        for (uint32_t i = 0; i < ROWS; i++)
            leading(rows + (size_t)i * dim, dim);
        al_coder_fit(&coder, rows, ROWS, buf);
        const float *q = rows + (size_t)(ROWS - 1) * dim;
        int32_t sum = al_coder_encode_query(&coder, q, buf, query);
        double largest = 0;
        for (uint32_t i = 0; i < coder.code_dim; i++)
            largest = fabs((double)buf[i]) > largest ? fabs((double)buf[i]) : largest;
        double unit = 127.0 / largest * (double)coder.scale * coder.block;
        for (uint32_t i = 0; i < ROWS; i++) {
            al_coder_encode(&coder, rows + (size_t)i * dim, buf, code);
            struct al_code_query cq = {query, coder.code_dim, sum};
            uint32_t distance;
            al_kernels_best()->distances(&cq, code, NULL, 1, &distance);
            double got = ((double)AL_DISTANCE_BASE - (double)distance) / unit;
            double want = (double)al_dot(q, rows + (size_t)i * dim, dim);
            if (fabs(got - want) > 0.02)
                fail_msg("dim %u: %f, not %f", dim, got, want);
        }
        al_coder_fini(&coder);
        free(rows);
        free(buf);
        free(code);
        free(query);
    }
}

static void test_odd_numbers_have_codes(void **state)
{
    (void)state;
    struct al_coder coder;
    struct al_err e = {0};
    float row[64] __attribute__((aligned(64))) = {0};
    float buf[64] __attribute__((aligned(64)));
    uint8_t code[64];
    int8_t query[64];
    static const float odd[] = {0, NAN, INFINITY, -INFINITY, 3e38f, 1e-45f};
    AL_CHECK_OK(al_coder_init(&coder, 64, 1, NULL, &e), e);
    for (size_t i = 0; i < AL_ARRAY_LEN(odd); i++) {
        row[5] = odd[i];
        al_coder_fit(&coder, row, 1, buf);
        assert_true(isfinite(coder.scale) && coder.scale > 0);
        al_coder_encode(&coder, row, buf, code);
        (void)al_coder_encode_query(&coder, row, buf, query);
        for (size_t k = 0; k < 64; k++)
            assert_true(code[k] >= 1 && query[k] >= -127);
    }
    al_coder_fini(&coder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_agree_on_random_pairs),
        cmocka_unit_test(test_kernels_agree_on_extremes),
        cmocka_unit_test(test_rotation_keeps_inner_products),
        cmocka_unit_test(test_codes_are_faithful),
        cmocka_unit_test(test_odd_numbers_have_codes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
