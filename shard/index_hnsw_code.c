/* Rotation and quantiser of the codes. */
#include "index_hnsw_code.h"

#include <math.h>
#include <string.h>

#if defined(__clang__) /* the other compiler fuses nothing in its strict mode */
#pragma STDC FP_CONTRACT OFF
#endif

#define LANES 8u
#define BLOCK_MAX 1024u
#define SAMPLE_ROWS 2048u
#define CLIPPED_ONE_IN 131072u
#define BINS 4096u
#define SIGN_BIT 0x80000000u
#define CODE_MAX 127.0f

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), may_alias));

/* The same source is compiled twice, for this machine's wide registers and for any machine. */
#define BODY static inline __attribute__((always_inline))

uint32_t al_code_dim_of(uint32_t dim)
{
    return (dim + 63u) / 64u * 64u;
}

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

enum al_code al_coder_init(struct al_coder *c, uint32_t dim, float scale, struct al_mem *mem,
                           struct al_err *err)
{
    uint32_t code_dim = al_code_dim_of(dim);
    uint32_t block = code_dim & (~code_dim + 1);
    uint32_t *signs = al_mem_array(mem, dim, sizeof *signs);
    if (!signs)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    for (uint32_t i = 0; i < dim; i++) /* part of the format: the same for ever */
        signs[i] = mix(i) >> 63 ? SIGN_BIT : 0;
    *c = (struct al_coder){dim, code_dim, block > BLOCK_MAX ? BLOCK_MAX : block, scale, signs, mem};
    return AL_OK;
}

void al_coder_fini(struct al_coder *c)
{
    al_mem_free(c->mem, c->signs);
    c->signs = NULL;
}

/* ---- rotation ---- */

/* The steps of the Hadamard matrix within one register. */
BODY void within(lanes *at)
{
    lanes v = *at;
    const lanes odd1 = {1, -1, 1, -1, 1, -1, 1, -1};
    const lanes odd2 = {1, 1, -1, -1, 1, 1, -1, -1};
    const lanes odd4 = {1, 1, 1, 1, -1, -1, -1, -1};
    v = v * odd1 + __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
    v = v * odd2 + __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
    *at = v * odd4 + __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
}

BODY void hadamard(float *block, size_t n)
{
    lanes *v = (lanes *)(void *)block;
    n /= LANES;
    for (size_t i = 0; i < n; i++)
        within(&v[i]);
    for (size_t half = 1; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t k = i; k < i + half; k++) {
                lanes a = v[k];
                lanes b = v[k + half];
                v[k] = a + b;
                v[k + half] = a - b;
            }
}

BODY float flipped(float x, uint32_t sign)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits ^= sign;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Dimension i goes to place i / n_blocks of block i % n_blocks. */
BODY void rotate_body(const struct al_coder *c, const float *row, float *ret)
{
    uint32_t n_blocks = c->code_dim / c->block;
    if (c->dim < c->code_dim)
        memset(ret, 0, c->code_dim * sizeof *ret);
    if (n_blocks == 1) {
        for (uint32_t i = 0; i < c->dim; i++)
            ret[i] = flipped(row[i], c->signs[i]);
    } else {
        for (uint32_t b = 0; b < n_blocks; b++)
            for (uint32_t i = b, at = b * c->block; i < c->dim; i += n_blocks, at++)
                ret[at] = flipped(row[i], c->signs[i]);
    }
    for (uint32_t b = 0; b < n_blocks; b++)
        hadamard(ret + (size_t)b * c->block, c->block);
}

/* ---- quantiser ---- */

/* Not a number fails both comparisons and becomes the lower bound. */
BODY int32_t rounded(float x)
{
    x = x >= -CODE_MAX ? x : -CODE_MAX;
    x = x <= CODE_MAX ? x : CODE_MAX;
    return (int32_t)(x + (x < 0 ? -0.5f : 0.5f));
}

BODY void encode_body(const struct al_coder *c, const float *row, float *buf, uint8_t *ret)
{
    rotate_body(c, row, buf);
    for (uint32_t i = 0; i < c->code_dim; i++)
        ret[i] = (uint8_t)(rounded(buf[i] * c->scale) + 128);
}

BODY int32_t encode_query_body(const struct al_coder *c, const float *query, float *buf,
                               int8_t *ret)
{
    float largest = 0;
    int32_t sum = 0;
    rotate_body(c, query, buf);
    for (uint32_t i = 0; i < c->code_dim; i++) {
        float x = buf[i] < 0 ? -buf[i] : buf[i];
        largest = x > largest ? x : largest;
    }
    float scale = largest > 0 && largest <= 1e30f ? CODE_MAX / largest : 0;
    for (uint32_t i = 0; i < c->code_dim; i++) {
        int32_t code = rounded(buf[i] * scale);
        ret[i] = (int8_t)code;
        sum += code;
    }
    return sum;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
AVX2 static void rotate_avx2(const struct al_coder *c, const float *row, float *ret)
{
    rotate_body(c, row, ret);
}
AVX2 static void encode_avx2(const struct al_coder *c, const float *row, float *buf, uint8_t *ret)
{
    encode_body(c, row, buf, ret);
}
AVX2 static int32_t encode_query_avx2(const struct al_coder *c, const float *query, float *buf,
                                      int8_t *ret)
{
    return encode_query_body(c, query, buf, ret);
}
#endif

void al_coder_rotate(const struct al_coder *c, const float *row, float *ret)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        rotate_avx2(c, row, ret);
        return;
    }
#endif
    rotate_body(c, row, ret);
}

void al_coder_encode(const struct al_coder *c, const float *row, float *buf, uint8_t *ret)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        encode_avx2(c, row, buf, ret);
        return;
    }
#endif
    encode_body(c, row, buf, ret);
}

int32_t al_coder_encode_query(const struct al_coder *c, const float *query, float *buf, int8_t *ret)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return encode_query_avx2(c, query, buf, ret);
#endif
    return encode_query_body(c, query, buf, ret);
}

/* ---- scale ---- */

/* Row of sample i of n. */
static const float *sample_row(const struct al_coder *c, const float *rows, uint32_t n_rows,
                               uint32_t i, uint32_t n)
{
    return rows + (size_t)((uint64_t)i * n_rows / n) * c->dim;
}

/* Count the sampled values by size; returns how many there are. */
static uint64_t count_bins(const struct al_coder *c, const float *rows, uint32_t n_rows,
                           float largest, float *buf, uint32_t *bins)
{
    uint32_t n = n_rows < SAMPLE_ROWS ? n_rows : SAMPLE_ROWS;
    for (uint32_t i = 0; i < n; i++) {
        al_coder_rotate(c, sample_row(c, rows, n_rows, i, n), buf);
        for (uint32_t k = 0; k < c->code_dim; k++) {
            float at = fabsf(buf[k]) / largest * (float)BINS;
            if (at >= 0) /* false for what is not a number */
                bins[at < (float)BINS ? (uint32_t)at : BINS - 1]++;
        }
    }
    return (uint64_t)n * c->code_dim;
}

void al_coder_fit(struct al_coder *c, const float *rows, uint32_t n_rows, float *buf)
{
    uint32_t bins[BINS] = {0};
    uint32_t n = n_rows < SAMPLE_ROWS ? n_rows : SAMPLE_ROWS;
    float largest = 0;
    for (uint32_t i = 0; i < n; i++) {
        al_coder_rotate(c, sample_row(c, rows, n_rows, i, n), buf);
        for (uint32_t k = 0; k < c->code_dim; k++)
            if (fabsf(buf[k]) > largest && fabsf(buf[k]) <= 1e30f)
                largest = fabsf(buf[k]);
    }
    c->scale = 1;
    if (!(largest > 1e-30f))
        return;
    uint64_t may_clip = count_bins(c, rows, n_rows, largest, buf, bins) / CLIPPED_ONE_IN;
    uint32_t bin = BINS;
    for (uint64_t above = 0; bin > 1 && above + bins[bin - 1] <= may_clip; bin--)
        above += bins[bin - 1];
    c->scale = CODE_MAX / (largest * (float)bin / (float)BINS);
}
