#include "postings_pack.h"

#include <string.h>

typedef uint32_t lanes __attribute__((vector_size(16)));
typedef uint32_t loose_lanes __attribute__((vector_size(16), aligned(1), may_alias));

#define GROUPS (AL_PACK_N / 4)

unsigned al_pack_width(const uint32_t v[AL_PACK_N])
{
    uint32_t any = 0;
    for (unsigned i = 0; i < AL_PACK_N; i++)
        any |= v[i];
    return any ? 32u - (unsigned)__builtin_clz(any) : 0;
}

void al_pack(const uint32_t v[AL_PACK_N], unsigned bits, uint8_t *out)
{
    uint32_t words[AL_PACK_N] = {0};
    for (unsigned i = 0; i < AL_PACK_N; i++) {
        unsigned bit = i / 4 * bits;
        unsigned at = bit / 32 * 4 + i % 4;
        words[at] |= v[i] << bit % 32;
        if (bit % 32 + bits > 32)
            words[at + 4] |= v[i] >> (32 - bit % 32);
    }
    for (uint32_t i = 0; i < bits * 4; i++)
        for (unsigned k = 0; k < 4; k++)
            out[i * 4 + k] = (uint8_t)(words[i] >> (8 * k));
}

/* With bits known, all shifts are constants. */
__attribute__((always_inline)) static inline void unpack_bits(const uint8_t *in, unsigned bits,
                                                              uint32_t *out)
{
    const loose_lanes *from = (const loose_lanes *)(const void *)in;
    loose_lanes *to = (loose_lanes *)(void *)out;
    uint32_t mask = bits == 32 ? UINT32_MAX : ((uint32_t)1 << bits) - 1;
#pragma GCC unroll 32
    for (unsigned k = 0; k < GROUPS; k++) {
        unsigned bit = k * bits;
        unsigned shift = bit % 32;
        lanes x = from[bit / 32] >> shift;
        if (shift + bits > 32)
            x |= from[bit / 32 + 1] << (32 - shift);
        to[k] = x & mask;
    }
}

#define CASE(bits_)                  \
    case bits_:                      \
        unpack_bits(in, bits_, out); \
        return
#define CASES4(first_)  \
    CASE(first_);       \
    CASE((first_) + 1); \
    CASE((first_) + 2); \
    CASE((first_) + 3)
#define UNPACK_BODY                              \
    switch (bits) {                              \
        CASES4(1);                               \
        CASES4(5);                               \
        CASES4(9);                               \
        CASES4(13);                              \
        CASES4(17);                              \
        CASES4(21);                              \
        CASES4(25);                              \
        CASES4(29);                              \
    default:                                     \
        memset(out, 0, AL_PACK_N * sizeof *out); \
    }

/* Running sums of four numbers and the sum before, group by group. */
#define SUM_BODY                                           \
    loose_lanes *v = (loose_lanes *)(void *)rows;          \
    const lanes zero = {0};                                \
    lanes last = zero + before;                            \
    for (unsigned k = 0; k < GROUPS; k++) {                \
        lanes x = v[k] + 1;                                \
        x += __builtin_shufflevector(zero, x, 0, 4, 5, 6); \
        x += __builtin_shufflevector(zero, x, 0, 0, 4, 5); \
        x += last;                                         \
        v[k] = x;                                          \
        last = __builtin_shufflevector(x, x, 3, 3, 3, 3);  \
    }

static void unpack_any(const uint8_t *in, unsigned bits, uint32_t *out)
{
    UNPACK_BODY
}

static void sum_any(uint32_t *rows, uint32_t before)
{
    SUM_BODY
}

#if defined(__x86_64__) && !defined(AL_PORTABLE)
__attribute__((target("avx2"))) static void unpack_avx2(const uint8_t *in, unsigned bits,
                                                        uint32_t *out)
{
    UNPACK_BODY
}

__attribute__((target("avx2"))) static void sum_avx2(uint32_t *rows, uint32_t before)
{
    SUM_BODY
}
#endif

void al_unpack(const uint8_t *in, unsigned bits, uint32_t out[AL_PACK_N])
{
#if defined(__x86_64__) && !defined(AL_PORTABLE)
    if (__builtin_cpu_supports("avx2")) {
        unpack_avx2(in, bits, out);
        return;
    }
#endif
    unpack_any(in, bits, out);
}

void al_unpack_sum(uint32_t rows[AL_PACK_N], uint32_t before)
{
#if defined(__x86_64__) && !defined(AL_PORTABLE)
    if (__builtin_cpu_supports("avx2")) {
        sum_avx2(rows, before);
        return;
    }
#endif
    sum_any(rows, before);
}

uint32_t al_unpack_one(const uint8_t *in, unsigned bits, unsigned i)
{
    if (bits == 0)
        return 0;
    unsigned bit = i / 4 * bits;
    const uint8_t *p = in + (size_t)(bit / 32) * 16 + (size_t)(i % 4) * 4;
    uint32_t low;
    uint32_t high = 0;
    memcpy(&low, p, sizeof low);
    if (bit % 32 + bits > 32)
        memcpy(&high, p + 16, sizeof high);
    uint64_t both = (uint64_t)high << 32 | low;
    return (uint32_t)(both >> bit % 32 & (((uint64_t)1 << bits) - 1));
}
