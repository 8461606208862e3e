#include "overlay.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum al_code al_overlay_init(struct al_overlay *o, struct al_arena *a, size_t n_buckets,
                             struct al_err *err)
{
    o->a = a;
    o->n_buckets = n_buckets;
    o->buckets = al_arena_array(a, n_buckets, sizeof(struct al_overlay_item *));
    if (!o->buckets)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    return AL_OK;
}

static size_t bucket_of(const struct al_overlay *o, enum al_family f, struct al_str key)
{
    return (size_t)XXH3_64bits_withSeed(key.p, key.n, (XXH64_hash_t)f) & (o->n_buckets - 1);
}

struct al_overlay_item *al_overlay_find(const struct al_overlay *o, enum al_family f,
                                        struct al_str key)
{
    for (struct al_overlay_item *i = o->buckets[bucket_of(o, f, key)]; i; i = i->next) {
        if (i->family == f && al_str_eq(i->key, key))
            return i;
    }
    return NULL;
}

struct al_overlay_item *al_overlay_add(struct al_overlay *o, enum al_family f, struct al_str key)
{
    struct al_overlay_item *i = al_arena_zalloc(o->a, sizeof(*i));
    if (!i || al_arena_str(o->a, key, &i->key, NULL) != AL_OK)
        return NULL;
    i->family = f;
    size_t b = bucket_of(o, f, key);
    i->next = o->buckets[b];
    o->buckets[b] = i;
    return i;
}
