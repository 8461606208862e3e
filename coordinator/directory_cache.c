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

static int cmp_quota(const void *x, const char *a, const char *b)
{
    (void)b;
    return strcmp(((const struct al_quota_row *)x)->scope.name, a);
}

/* a: "1" or "2" for the match, then the text; b: the key's id */
static int cmp_cert(const void *x, const char *a, const char *b)
{
    const struct al_cert_row *c = x;
    int d = (int)c->match - (a[0] - '0');
    d = d ? d : strcmp(c->text, a + 1);
    return d ? d : strcmp(c->id, b);
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

struct al_quota_row *al_cache_quota(struct al_directory *d, const char *name)
{
    bool found;
    size_t i = lower_bound(d->quotas, d->n_quotas, sizeof *d->quotas, cmp_quota,
                           (const char *const[]){name, ""}, &found);
    return found ? &d->quotas[i] : NULL;
}

enum al_code al_cache_put_quota(struct al_directory *d, const struct al_quota_row *q,
                                struct al_err *err)
{
    atomic_fetch_add(&d->generation, 1);
    bool found;
    size_t i = lower_bound(d->quotas, d->n_quotas, sizeof *d->quotas, cmp_quota,
                           (const char *const[]){q->scope.name, ""}, &found);
    if (!found) {
        void *p = d->quotas;
        struct array arr = {&p, &d->n_quotas, &d->cap_quotas, sizeof *d->quotas};
        AL_TRY(open_gap(d, &arr, i, err));
        d->quotas = p;
    }
    d->quotas[i] = *q;
    return AL_OK;
}

/* ---- certificates: where the keys are that are some ---- */

static size_t cert_place(struct al_directory *d, enum al_certificate_match match, const char *text,
                         const char *id, bool *ret_found)
{
    char name[AL_CERTIFICATE_TEXT_MAX + 2];
    name[0] = (char)('0' + (int)match);
    size_t n = strnlen(text, AL_CERTIFICATE_TEXT_MAX);
    memcpy(name + 1, text, n);
    name[n + 1] = '\0';
    return lower_bound(d->certs, d->n_certs, sizeof *d->certs, cmp_cert,
                       (const char *const[]){name, id}, ret_found);
}

const struct al_cert_row *al_cache_next_cert(struct al_directory *d,
                                             enum al_certificate_match match, const char *text,
                                             size_t *at)
{
    bool found;
    if (*at == 0)
        *at = cert_place(d, match, text, "", &found) + 1;
    if (*at > d->n_certs)
        return NULL;
    const struct al_cert_row *c = &d->certs[*at - 1];
    if (c->match != match || strcmp(c->text, text) != 0)
        return NULL;
    ++*at;
    return c;
}

static enum al_code put_cert(struct al_directory *d, const struct al_key *k, struct al_err *err)
{
    bool found;
    size_t i = cert_place(d, k->match, k->certificate, k->id, &found);
    if (found)
        return AL_OK;
    void *p = d->certs;
    struct array arr = {&p, &d->n_certs, &d->cap_certs, sizeof *d->certs};
    AL_TRY(open_gap(d, &arr, i, err));
    d->certs = p;
    struct al_cert_row *c = &d->certs[i];
    *c = (struct al_cert_row){.match = k->match};
    memcpy(c->text, k->certificate, sizeof c->text);
    memcpy(c->id, k->id, sizeof c->id);
    return AL_OK;
}

/* ---- dropping ---- */

static void close_gap(void *base, size_t *n, size_t size, size_t at)
{
    char *p = base;
    --*n;
    memmove(p + at * size, p + (at + 1) * size, (*n - at) * size);
}

void al_cache_drop_team(struct al_directory *d, const char *name)
{
    struct al_team *t = al_cache_team(d, name);
    if (t)
        close_gap(d->teams, &d->n_teams, sizeof *t, (size_t)(t - d->teams));
}

void al_cache_drop_deployment(struct al_directory *d, const char *team, const char *name)
{
    struct al_deployment *x = al_cache_deployment(d, team, name);
    if (x)
        close_gap(d->deployments, &d->n_deployments, sizeof *x, (size_t)(x - d->deployments));
}

void al_cache_drop_quota(struct al_directory *d, const char *name)
{
    atomic_fetch_add(&d->generation, 1);
    struct al_quota_row *q = al_cache_quota(d, name);
    if (q)
        close_gap(d->quotas, &d->n_quotas, sizeof *q, (size_t)(q - d->quotas));
}

void al_cache_drop_key(struct al_directory *d, const char *id)
{
    atomic_fetch_add(&d->generation, 1);
    struct al_key_row *k = al_cache_key(d, id);
    if (!k)
        return;
    bool found = false;
    size_t i = k->key.match ? cert_place(d, k->key.match, k->key.certificate, id, &found) : 0;
    if (found)
        close_gap(d->certs, &d->n_certs, sizeof *d->certs, i);
    al_mem_free(d->opt.mem, k->key.readable);
    close_gap(d->keys, &d->n_keys, sizeof *k, (size_t)(k - d->keys));
}

enum al_code al_cache_put_key(struct al_directory *d, const struct al_key_row *k,
                              struct al_err *err)
{
    atomic_fetch_add(&d->generation, 1);
    struct al_key_row copy = *k;
    copy.key.readable = NULL;
    if (k->key.match) /* one that leads nowhere, should the rest fail, does no harm */
        AL_TRY(put_cert(d, &k->key, err));
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
    al_mem_free(d->opt.mem, d->certs);
    al_mem_free(d->opt.mem, d->quotas);
    al_mem_free(d->opt.mem, d->keys);
    al_mem_free(d->opt.mem, d->deployments);
    al_mem_free(d->opt.mem, d->teams);
}
