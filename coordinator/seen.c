#include <string.h>
#include <xxhash.h>

#include "ingest_int.h"

/* Open addressing over 128-bit hashes; at two thirds full it doubles. Two ids of one hash would
 * keep a document from being deleted as missing: with 4 million ids the chance is below 1e-25. */
struct al_seen {
    size_t n;
    size_t cap; /* a power of two */
    XXH128_hash_t slots[];
};

static bool is_free(XXH128_hash_t h)
{
    return h.low64 == 0 && h.high64 == 0;
}

static XXH128_hash_t hash_of(struct al_str id)
{
    XXH128_hash_t h = XXH3_128bits(id.p, id.n);
    if (is_free(h))
        h.low64 = 1;
    return h;
}

static size_t place(const struct al_seen *s, XXH128_hash_t h)
{
    size_t i = (size_t)h.low64 & (s->cap - 1);
    while (!is_free(s->slots[i]) && memcmp(&s->slots[i], &h, sizeof h) != 0)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static struct al_seen *make(struct al_mem *mem, size_t cap)
{
    struct al_seen *s = al_mem_zalloc(mem, sizeof *s + cap * sizeof s->slots[0]);
    if (s)
        s->cap = cap;
    return s;
}

enum al_code al_seen_add(struct al_seen **s, struct al_mem *mem, struct al_str id,
                         struct al_err *err)
{
    if (!*s && !(*s = make(mem, 1024)))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    if ((*s)->n >= AL_INGEST_PRESENT_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "ingest: more than %u items in a stream that deletes what is missing",
                         AL_INGEST_PRESENT_MAX);
    if ((*s)->n * 3 >= (*s)->cap * 2) {
        struct al_seen *big = make(mem, (*s)->cap * 2);
        if (!big)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
        for (size_t i = 0; i < (*s)->cap; i++) {
            if (!is_free((*s)->slots[i]))
                big->slots[place(big, (*s)->slots[i])] = (*s)->slots[i];
        }
        big->n = (*s)->n;
        al_mem_free(mem, *s);
        *s = big;
    }
    XXH128_hash_t h = hash_of(id);
    size_t i = place(*s, h);
    (*s)->n += is_free((*s)->slots[i]);
    (*s)->slots[i] = h;
    return AL_OK;
}

bool al_seen_has(const struct al_seen *s, struct al_str id)
{
    return s && !is_free(s->slots[place(s, hash_of(id))]);
}

void al_seen_destroy(struct al_seen *s, struct al_mem *mem)
{
    al_mem_free(mem, s);
}
