#include "index_hnsw_kernels.h"

#define STEP 64u

static inline const uint8_t *code_at(const struct al_code_query *q, const uint8_t *codes,
                                     const uint32_t *ids, uint32_t i)
{
    return codes + (size_t)(ids ? ids[i] : i) * q->dim;
}

/* ---- any machine ---- */

static void distances_any(const struct al_code_query *q, const uint8_t *codes, const uint32_t *ids,
                          uint32_t n, uint32_t *ret)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *c = code_at(q, codes, ids, i);
        int32_t dot = 0;
        for (uint32_t k = 0; k < q->dim; k++)
            dot += (int32_t)q->v[k] * ((int32_t)c[k] - 128);
        ret[i] = AL_DISTANCE_BASE - (uint32_t)dot;
    }
}

static const struct al_kernels kernels_any = {"any", distances_any};

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- AVX2 ----
 *
 * maddubs wants one operand without sign: |query| * (code with the query's sign). Both are within
 * +-127, so that the sum of two products fits 16 bits. */

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i madd_avx2(__m256i sum, const uint8_t *code, __m256i q, __m256i abs_q)
{
    __m256i c = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)code),
                                 _mm256_set1_epi8((char)0x80));
    __m256i pairs = _mm256_maddubs_epi16(abs_q, _mm256_sign_epi8(c, q));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 static inline __m128i total_avx2(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

AVX2 static void distances_avx2(const struct al_code_query *q, const uint8_t *codes,
                                const uint32_t *ids, uint32_t n, uint32_t *ret)
{
    const __m128i base = _mm_set1_epi32((int)AL_DISTANCE_BASE);
    const __m256i zero = _mm256_setzero_si256();
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint8_t *c0 = code_at(q, codes, ids, i);
        const uint8_t *c1 = code_at(q, codes, ids, i + 1);
        const uint8_t *c2 = code_at(q, codes, ids, i + 2);
        const uint8_t *c3 = code_at(q, codes, ids, i + 3);
        __m256i s0 = zero;
        __m256i s1 = zero;
        __m256i s2 = zero;
        __m256i s3 = zero;
        for (uint32_t k = 0; k < q->dim; k += STEP / 2) {
            __m256i v = _mm256_load_si256((const __m256i *)(const void *)(q->v + k));
            __m256i abs_v = _mm256_abs_epi8(v);
            s0 = madd_avx2(s0, c0 + k, v, abs_v);
            s1 = madd_avx2(s1, c1 + k, v, abs_v);
            s2 = madd_avx2(s2, c2 + k, v, abs_v);
            s3 = madd_avx2(s3, c3 + k, v, abs_v);
        }
        _mm_storeu_si128((__m128i *)(void *)(ret + i),
                         _mm_sub_epi32(base, total_avx2(s0, s1, s2, s3)));
    }
    for (; i < n; i++) {
        const uint8_t *c = code_at(q, codes, ids, i);
        __m256i s = zero;
        for (uint32_t k = 0; k < q->dim; k += STEP / 2) {
            __m256i v = _mm256_load_si256((const __m256i *)(const void *)(q->v + k));
            s = madd_avx2(s, c + k, v, _mm256_abs_epi8(v));
        }
        ret[i] = AL_DISTANCE_BASE - (uint32_t)_mm_cvtsi128_si32(total_avx2(s, zero, zero, zero));
    }
}

static const struct al_kernels kernels_avx2 = {"avx2", distances_avx2};

/* ---- AVX-512 with VNNI ----
 *
 * dpbusd takes the code without sign as it is; 128 * sum of the query is taken off at the end. */

#define VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

VNNI static inline __m256i half_vnni(__m512i v)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

VNNI static inline __m128i total_vnni(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(half_vnni(a), half_vnni(b)),
                                  _mm256_hadd_epi32(half_vnni(c), half_vnni(d)));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

VNNI static void distances_vnni(const struct al_code_query *q, const uint8_t *codes,
                                const uint32_t *ids, uint32_t n, uint32_t *ret)
{
    const uint32_t offset = AL_DISTANCE_BASE + 128u * (uint32_t)q->sum;
    const __m128i base = _mm_set1_epi32((int)offset);
    const __m512i zero = _mm512_setzero_si512();
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint8_t *c0 = code_at(q, codes, ids, i);
        const uint8_t *c1 = code_at(q, codes, ids, i + 1);
        const uint8_t *c2 = code_at(q, codes, ids, i + 2);
        const uint8_t *c3 = code_at(q, codes, ids, i + 3);
        __m512i s0 = zero;
        __m512i s1 = zero;
        __m512i s2 = zero;
        __m512i s3 = zero;
        for (uint32_t k = 0; k < q->dim; k += STEP) {
            __m512i v = _mm512_load_si512(q->v + k);
            s0 = _mm512_dpbusd_epi32(s0, _mm512_loadu_si512(c0 + k), v);
            s1 = _mm512_dpbusd_epi32(s1, _mm512_loadu_si512(c1 + k), v);
            s2 = _mm512_dpbusd_epi32(s2, _mm512_loadu_si512(c2 + k), v);
            s3 = _mm512_dpbusd_epi32(s3, _mm512_loadu_si512(c3 + k), v);
        }
        _mm_storeu_si128((__m128i *)(void *)(ret + i),
                         _mm_sub_epi32(base, total_vnni(s0, s1, s2, s3)));
    }
    for (; i < n; i++) {
        const uint8_t *c = code_at(q, codes, ids, i);
        __m512i s = zero;
        for (uint32_t k = 0; k < q->dim; k += STEP)
            s = _mm512_dpbusd_epi32(s, _mm512_loadu_si512(c + k), _mm512_load_si512(q->v + k));
        ret[i] = offset - (uint32_t)_mm512_reduce_add_epi32(s);
    }
}

static const struct al_kernels kernels_vnni = {"avx512-vnni", distances_vnni};
#endif

/* ---- choice ---- */

size_t al_kernels_all(const struct al_kernels **ret, size_t n)
{
    size_t have = 0;
    if (have < n)
        ret[have++] = &kernels_any;
#if defined(__x86_64__)
    if (have < n && __builtin_cpu_supports("avx2"))
        ret[have++] = &kernels_avx2;
    if (have < n && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        ret[have++] = &kernels_vnni;
#endif
    return have;
}

const struct al_kernels *al_kernels_best(void)
{
    const struct al_kernels *all[3];
    return all[al_kernels_all(all, 3) - 1];
}
