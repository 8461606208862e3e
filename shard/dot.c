#include "dot.h"

#if defined(__clang__) /* the other compiler fuses nothing in its strict mode */
#pragma STDC FP_CONTRACT OFF
#endif

#define LANES ((size_t)8)
#define STEP (4 * LANES)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float loose_lanes
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

#define LOAD(p_) (*(const loose_lanes *)(p_))

/* The same source is compiled twice, for this machine's wide registers and for any machine. */
#define DOT_BODY                                                                           \
    lanes s0 = {0};                                                                        \
    lanes s1 = {0};                                                                        \
    lanes s2 = {0};                                                                        \
    lanes s3 = {0};                                                                        \
    size_t i = 0;                                                                          \
    for (; i + STEP <= dim; i += STEP) {                                                   \
        s0 += LOAD(a + i) * LOAD(b + i);                                                   \
        s1 += LOAD(a + i + LANES) * LOAD(b + i + LANES);                                   \
        s2 += LOAD(a + i + 2 * LANES) * LOAD(b + i + 2 * LANES);                           \
        s3 += LOAD(a + i + 3 * LANES) * LOAD(b + i + 3 * LANES);                           \
    }                                                                                      \
    s0 = (s0 + s1) + (s2 + s3);                                                            \
    float sum = ((s0[0] + s0[4]) + (s0[1] + s0[5])) + ((s0[2] + s0[6]) + (s0[3] + s0[7])); \
    for (; i < dim; i++)                                                                   \
        sum += a[i] * b[i];                                                                \
    return sum;

#if defined(__x86_64__)
__attribute__((target("avx2"))) static float dot_avx2(const float *a, const float *b, size_t dim)
{
    DOT_BODY
}
#endif

static float dot_any(const float *a, const float *b, size_t dim)
{
    DOT_BODY
}

float al_dot(const float *a, const float *b, size_t dim)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return dot_avx2(a, b, dim);
#endif
    return dot_any(a, b, dim);
}
