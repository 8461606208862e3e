#include "directory_cache.h"

#include <string.h>

static int cmp_team(const void *x, const char *a, const char *b)
{
    (void)b;
    return strcmp(((const struct al_team *)x)->name, a);
}

static int cmp_deployment(const void *x, const char *a, const char *b)
{
    const struct al_deployment *d = x;
    int c = strcmp(d->team, a);
    return c ? c : strcmp(d->name, b);
}

static int cmp_key(const void *x, const char *a, const char *b)
{
    (void)b;
    return strcmp(((const struct al_key_row *)x)->key.id, a);
}

/* Position of the first element not below (a, b); *ret_found whether it is equal. */
static size_t lower_bound(const void *base, size_t n, size_t size,
                          int (*cmp)(const void *x, const char *a, const char *b),
                          const char *const name[2], bool *ret_found)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cmp((const char *)base + mid * size, name[0], name[1]) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = lo < n && cmp((const char *)base + lo * size, name[0], name[1]) == 0;
    return lo;
}

struct al_team *al_cache_team(struct al_directory *d, const char *name)
{
    bool found;
    size_t i = lower_bound(d->teams, d->n_teams, sizeof *d->teams, cmp_team,
                           (const char *const[]){name, ""}, &found);
    return found ? &d->teams[i] : NULL;
}

struct al_deployment *al_cache_deployment(struct al_directory *d, const char *team,
                                          const char *name)
{
    bool found;
    size_t i = lower_bound(d->deployments, d->n_deployments, sizeof *d->deployments, cmp_deployment,
                           (const char *const[]){team, name}, &found);
    return found ? &d->deployments[i] : NULL;
}

struct al_key_row *al_cache_key(struct al_directory *d, const char *id)
{
    bool found;
    size_t i = lower_bound(d->keys, d->n_keys, sizeof *d->keys, cmp_key,
                           (const char *const[]){id, ""}, &found);
    return found ? &d->keys[i] : NULL;
}

struct array {
    void **p;
    size_t *n;
    size_t *cap;
    size_t size;
};

static enum al_code open_gap(struct al_directory *d, const struct array *arr, size_t at,
                             struct al_err *err)
{
    if (al_mem_grow(d->opt.mem, arr->p, arr->cap, *arr->n + 1, arr->size) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "directory: out of memory");
    char *base = *arr->p;
    memmove(base + (at + 1) * arr->size, base + at * arr->size, (*arr->n - at) * arr->size);
    ++*arr->n;
    return AL_OK;
}

enum al_code al_cache_put_team(struct al_directory *d, const struct al_team *t, struct al_err *err)
{
    bool found;
    size_t i = lower_bound(d->teams, d->n_teams, sizeof *d->teams, cmp_team,
                           (const char *const[]){t->name, ""}, &found);
    if (!found) {
        void *p = d->teams;
        struct array arr = {&p, &d->n_teams, &d->cap_teams, sizeof *d->teams};
        AL_TRY(open_gap(d, &arr, i, err));
        d->teams = p;
    }
    d->teams[i] = *t;
    return AL_OK;
}

enum al_code al_cache_put_deployment(struct al_directory *d, const struct al_deployment *x,
                                     struct al_err *err)
{
    bool found;
    size_t i = lower_bound(d->deployments, d->n_deployments, sizeof *d->deployments, cmp_deployment,
                           (const char *const[]){x->team, x->name}, &found);
    if (!found) {
        void *p = d->deployments;
        struct array arr = {&p, &d->n_deployments, &d->cap_deployments, sizeof *d->deployments};
        AL_TRY(open_gap(d, &arr, i, err));
        d->deployments = p;
    }
    d->deployments[i] = *x;
    return AL_OK;
}

enum al_code al_cache_put_key(struct al_directory *d, const struct al_key_row *k,
                              struct al_err *err)
{
    struct al_key_row copy = *k;
    copy.key.readable = NULL;
    if (k->key.n_readable) {
        copy.key.readable = al_mem_array(d->opt.mem, k->key.n_readable, sizeof *copy.key.readable);
        if (!copy.key.readable)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "directory: out of memory");
        memcpy(copy.key.readable, k->key.readable, k->key.n_readable * sizeof *copy.key.readable);
    }
    bool found;
    size_t i = lower_bound(d->keys, d->n_keys, sizeof *d->keys, cmp_key,
                           (const char *const[]){k->key.id, ""}, &found);
    if (found) {
        al_mem_free(d->opt.mem, d->keys[i].key.readable);
        d->keys[i] = copy;
        return AL_OK;
    }
    void *p = d->keys;
    struct array arr = {&p, &d->n_keys, &d->cap_keys, sizeof *d->keys};
    enum al_code c = open_gap(d, &arr, i, err);
    if (c != AL_OK) {
        al_mem_free(d->opt.mem, copy.key.readable);
        return c;
    }
    d->keys = p;
    d->keys[i] = copy;
    return AL_OK;
}

void al_cache_fini(struct al_directory *d)
{
    for (size_t i = 0; i < d->n_keys; i++)
        al_mem_free(d->opt.mem, d->keys[i].key.readable);
    al_mem_free(d->opt.mem, d->keys);
    al_mem_free(d->opt.mem, d->deployments);
    al_mem_free(d->opt.mem, d->teams);
}
