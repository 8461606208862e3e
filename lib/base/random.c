#include "airlore/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "airlore/err.h"

static void system_fill(struct al_random *r, void *p, size_t n)
{
    (void)r;
    uint8_t *out = p;
    while (n) {
        ssize_t got = getrandom(out, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        AL_ASSERT(got > 0);
        out += got;
        n -= (size_t)got;
    }
}

struct al_random *al_random_system(void)
{
    static struct al_random system = {system_fill};
    return &system;
}

void al_random_fill(struct al_random *r, void *p, size_t n)
{
    r->fill(r, p, n);
}

uint64_t al_random_u64(struct al_random *r)
{
    uint64_t v;
    r->fill(r, &v, sizeof v);
    return v;
}

uint64_t al_random_below(struct al_random *r, uint64_t bound)
{
    AL_ASSERT(bound > 0);
    uint64_t skip = -bound % bound; /* 2^64 mod bound: the values that would favour small results */
    uint64_t v;
    do {
        v = al_random_u64(r);
    } while (v < skip);
    return v % bound;
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

static uint64_t xoshiro_next(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(struct al_random *r, void *p, size_t n)
{
    struct al_seeded_random *seeded = (struct al_seeded_random *)(void *)r;
    uint8_t *out = p;
    while (n) {
        uint64_t v = xoshiro_next(seeded->s);
        size_t part = n < sizeof v ? n : sizeof v;
        for (size_t i = 0; i < part; i++)
            out[i] = (uint8_t)(v >> (8 * i)); /* the same bytes on every machine */
        out += part;
        n -= part;
    }
}

void al_seeded_random_init(struct al_seeded_random *r, uint64_t seed)
{
    r->random = (struct al_random){seeded_fill};
    for (size_t i = 0; i < AL_ARRAY_LEN(r->s); i++) { /* splitmix64 */
        seed += 0x9E3779B97F4A7C15ULL;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        r->s[i] = z ^ (z >> 31);
    }
}

void al_random_uuid(struct al_random *r, uint64_t wall_ms, char buf[37])
{
    uint8_t u[16];
    al_random_fill(r, u, sizeof u);
    for (unsigned i = 0; i < 6; i++)
        u[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    u[6] = (uint8_t)((u[6] & 0x0F) | 0x70); /* version 7 */
    u[8] = (uint8_t)((u[8] & 0x3F) | 0x80); /* the variant of RFC 9562 */
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < sizeof u; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            buf[n++] = '-';
        buf[n++] = hex[u[i] >> 4];
        buf[n++] = hex[u[i] & 15];
    }
    buf[n] = '\0';
}
