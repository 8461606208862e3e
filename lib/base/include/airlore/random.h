/* airlore/random.h - the random port.
 *
 * Thread: the system source any thread; a seeded one is confined to one thread.
 */
#ifndef AIRLORE_RANDOM_H
#define AIRLORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct al_random {
    void (*fill)(struct al_random *r, void *p, size_t n);
};

/* The kernel's generator (getrandom): fit for keys. Shared, never freed. */
struct al_random *al_random_system(void);

/* n random bytes. Never fails (aborts if the kernel has none). */
void al_random_fill(struct al_random *r, void *p, size_t n);

/* 64 random bits. */
uint64_t al_random_u64(struct al_random *r);

/* Uniform in [0, bound), bound > 0. */
uint64_t al_random_below(struct al_random *r, uint64_t bound);

/* A reproducible generator (xoshiro256**, Blackman and Vigna 2018; seeded by splitmix64). Not for
 * keys. */
struct al_seeded_random {
    struct al_random random;
    uint64_t s[4];
};

/* Start from a seed. */
void al_seeded_random_init(struct al_seeded_random *r, uint64_t seed);

/* A UUID, version 7 (RFC 9562): wall_ms and random bits; 36 characters and NUL into buf[37]. */
void al_random_uuid(struct al_random *r, uint64_t wall_ms, char buf[37]);

#endif
