/* index_hnsw_kernels.h - distances between codes.
 *
 * A distance is 2^30 - sum(query[i] * (code[i] - 128)): smaller is nearer, never negative. Every
 * kernel gives the same integers for codes in [1, 255] and queries in [-127, 127].
 *
 * Thread: any thread (pure; the choice is made once).
 */
#ifndef AIRLORE_SHARD_INDEX_HNSW_KERNELS_H
#define AIRLORE_SHARD_INDEX_HNSW_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define AL_DISTANCE_BASE 0x40000000u

struct al_code_query {
    const int8_t *v; /* dim values, 64-byte aligned */
    uint32_t dim;    /* a multiple of 64 */
    int32_t sum;     /* of the values */
};

struct al_kernels {
    const char *name;
    /* Distances of the codes with the given numbers (NULL: the first n) in an array of codes. */
    void (*distances)(const struct al_code_query *q, const uint8_t *codes, const uint32_t *ids,
                      uint32_t n, uint32_t *ret);
};

/* The fastest that this machine runs. */
const struct al_kernels *al_kernels_best(void);

/* All that this machine runs, the portable one first; up to n of them, the number returned. */
size_t al_kernels_all(const struct al_kernels **ret, size_t n);

#endif
