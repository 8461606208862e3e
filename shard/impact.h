/* impact.h - how much a posting can score, known before the query is.
 *
 * The score of a posting is weight * tf / (tf + k1 * (1 - b + b * length / mean length)): it grows
 * with tf and falls with the length, whatever weight, k1, b and mean length a query brings. So the
 * best of a set of postings is one of its Pareto front: the pairs (tf, length) that no other pair
 * of the set beats in both. A front is kept for each block and list, of a few pairs of a byte each;
 * lengths are rounded down, counts of 255 and more stand for any count, and neighbours are merged
 * into (larger tf, smaller length) where there are too many: a bound stays a bound.
 *
 * Thread: functions of their input.
 */
#ifndef AIRLORE_SHARD_IMPACT_H
#define AIRLORE_SHARD_IMPACT_H

#include <stdint.h>

#define AL_FRONT_MAX 7u
#define AL_IMPACT_TF_ANY 255u

/* On disk as it is. */
struct al_impact {
    uint8_t tf;
    uint8_t length; /* code */
};

/* The largest code whose length is not above n; and that length. */
uint8_t al_length_code(uint32_t n);
uint32_t al_length_of_code(uint8_t code);

/* Pairs in ascending order of both. */
struct al_front {
    uint32_t n;
    struct al_impact pairs[AL_FRONT_MAX];
};

/* What a front is made from: the largest count for each length code. Zeroed is empty. */
struct al_impacts {
    uint8_t tf[256];
};

static inline void al_impacts_add(struct al_impacts *m, uint32_t tf, uint8_t length_code)
{
    uint8_t t = tf < AL_IMPACT_TF_ANY ? (uint8_t)tf : AL_IMPACT_TF_ANY;
    if (t > m->tf[length_code])
        m->tf[length_code] = t;
}

/* Add all pairs of a front. */
void al_impacts_add_front(struct al_impacts *m, const struct al_front *f);

/* The front; not empty when m is not. */
struct al_front al_impacts_front(const struct al_impacts *m);

/* Whether the front bounds a posting: some pair has at least its tf at no greater length. */
int al_front_covers(const struct al_impact *pairs, uint32_t n, uint32_t tf, uint32_t length);

#endif
