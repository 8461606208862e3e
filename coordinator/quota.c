#include "quota.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define ARENA_LIMIT ((size_t)4 << 20)
#define SETTLE_S 2 /* how long what is on its way is waited for before a refusal */

struct al_storage_quota {
    struct al_storage_quota_options opt; /* immutable after create */
    pthread_mutex_t mu;
    pthread_cond_t released;      /* with mu */
    struct al_storage_hold *held; /* guarded by mu; sums by space, those of spaces with a quota */
    size_t n;
    size_t cap;
};

enum al_code al_storage_quota_create(const struct al_storage_quota_options *opt,
                                     struct al_storage_quota **ret, struct al_err *err)
{
    struct al_storage_quota *q = al_mem_zalloc(opt->mem, sizeof *q);
    if (!q)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "quota: out of memory");
    q->opt = *opt;
    pthread_mutex_init(&q->mu, NULL);
    pthread_condattr_t attr;
    AL_ASSERT(pthread_condattr_init(&attr) == 0);
    AL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AL_ASSERT(pthread_cond_init(&q->released, &attr) == 0);
    pthread_condattr_destroy(&attr);
    *ret = q;
    return AL_OK;
}

void al_storage_quota_destroy(struct al_storage_quota *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->released);
    pthread_mutex_destroy(&q->mu);
    al_mem_free(q->opt.mem, q->held);
    al_mem_free(q->opt.mem, q);
}

enum al_code al_storage_use(const struct al_router *r, const uint32_t *spaces, size_t n_spaces,
                            struct al_space_use *ret, struct al_err *err)
{
    struct al_space_use sum = {0};
    for (size_t i = 0; i < r->n_shards; i++) {
        struct al_space_use u = {0};
        AL_TRY(r->shards[i]->ops->get_use(r->shards[i], spaces, n_spaces, &u, err));
        sum.docs += u.docs;
        sum.chunks += u.chunks;
        sum.bytes += u.bytes;
    }
    *ret = sum;
    return AL_OK;
}

/* mu held. */
static struct al_storage_hold *held_of(struct al_storage_quota *q, uint32_t space)
{
    for (size_t i = 0; i < q->n; i++) {
        if (q->held[i].space == space)
            return &q->held[i];
    }
    return NULL;
}

/* What the document takes besides what it replaces. */
static enum al_code growth(struct al_storage_quota *q, const struct al_doc *d,
                           struct al_storage_hold *ret, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, q->opt.mem, 0);
    al_doc_encode(d, &b);
    enum al_code c = al_buf_status(&b, err);
    uint64_t bytes = b.n;
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    struct al_shard_port *p =
        q->opt.router->shards[al_router_of_doc(q->opt.router, d->space, d->id)];
    struct al_err e = {0};
    uint64_t old = 0;
    c = p->ops->get_bytes(p, d->space, d->id, &old, &e);
    if (c != AL_OK && c != AL_NOT_FOUND) {
        if (err)
            *err = e;
        return c;
    }
    *ret = (struct al_storage_hold){
        .space = d->space, .items = c == AL_NOT_FOUND, .bytes = bytes > old ? bytes - old : 0};
    return AL_OK;
}

/* mu held: is anything on its way that counts for one of the owners? */
static bool is_unsettled(struct al_storage_quota *q, const struct al_space_owner *owners, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < owners[i].n_spaces; k++) {
            if (held_of(q, owners[i].spaces[k]))
                return true;
        }
    }
    return false;
}

/* mu held: does one more fit? Says no without counting it. */
static enum al_code check(struct al_storage_quota *q, const struct al_space_owner *o,
                          const struct al_storage_hold *want, struct al_metric **ret_refused_by,
                          struct al_err *err)
{
    const struct al_quota *limit = &o->scope.quota;
    struct al_space_use use = {0};
    AL_TRY(al_storage_use(q->opt.router, o->spaces, o->n_spaces, &use, err));
    for (size_t i = 0; i < o->n_spaces; i++) {
        const struct al_storage_hold *h = held_of(q, o->spaces[i]);
        use.docs += h ? h->items : 0;
        use.bytes += h ? h->bytes : 0;
    }
    if ((limit->set & AL_QUOTA_ITEMS) && want->items && use.docs >= limit->max_items) {
        *ret_refused_by = q->opt.metrics.items;
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                         "%s: its quota of %llu items is used up", o->scope.name,
                         (unsigned long long)limit->max_items);
    }
    if ((limit->set & AL_QUOTA_BYTES) && want->bytes &&
        (use.bytes >= limit->max_bytes || want->bytes > limit->max_bytes - use.bytes)) {
        *ret_refused_by = q->opt.metrics.bytes;
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                         "%s: %llu bytes more are beyond its quota of %llu", o->scope.name,
                         (unsigned long long)want->bytes, (unsigned long long)limit->max_bytes);
    }
    return AL_OK;
}

/* mu held. */
static enum al_code add(struct al_storage_quota *q, const struct al_storage_hold *want,
                        struct al_err *err)
{
    struct al_storage_hold *h = held_of(q, want->space);
    if (!h) {
        if (al_mem_grow(q->opt.mem, (void **)&q->held, &q->cap, q->n + 1, sizeof *q->held) != AL_OK)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "quota: out of memory");
        h = &q->held[q->n++];
        *h = (struct al_storage_hold){.space = want->space};
    }
    h->items += want->items;
    h->bytes += want->bytes;
    return AL_OK;
}

static enum al_code hold(struct al_storage_quota *q, const struct al_doc *d,
                         const struct al_space_owner *owners, size_t n, struct al_storage_hold *ret,
                         struct al_err *err)
{
    struct al_storage_hold want = {0};
    AL_TRY(growth(q, d, &want, err));
    struct timespec until;
    AL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += SETTLE_S;
    pthread_mutex_lock(&q->mu);
    struct al_metric *refused_by;
    enum al_code c;
    do { /* between its commit and its release an item counts twice: look again when it is settled
          */
        c = AL_OK;
        refused_by = NULL;
        for (size_t i = 0; c == AL_OK && i < n; i++)
            c = check(q, &owners[i], &want, &refused_by, err);
    } while (c == AL_RESOURCE_EXHAUSTED && is_unsettled(q, owners, n) &&
             pthread_cond_timedwait(&q->released, &q->mu, &until) == 0);
    if (c == AL_OK)
        c = add(q, &want, err);
    pthread_mutex_unlock(&q->mu);
    al_metric_add(refused_by, 1);
    if (c == AL_OK)
        *ret = want;
    return c;
}

enum al_code al_storage_quota_hold(struct al_storage_quota *q, const struct al_doc *d,
                                   struct al_storage_hold *ret, struct al_err *err)
{
    *ret = (struct al_storage_hold){0};
    struct al_arena a;
    struct al_space_owner *owners = NULL;
    size_t n = 0;
    al_arena_init(&a, q->opt.mem, ARENA_LIMIT);
    enum al_code c = al_directory_storage_quotas(q->opt.directory, d->space, &a, &owners, &n, err);
    if (c == AL_OK && n > 0)
        c = hold(q, d, owners, n, ret, err);
    al_arena_fini(&a);
    return c;
}

void al_storage_quota_release(struct al_storage_quota *q, struct al_storage_hold *h)
{
    if (!h->items && !h->bytes)
        return;
    pthread_mutex_lock(&q->mu);
    struct al_storage_hold *sum = held_of(q, h->space);
    AL_ASSERT(sum && sum->items >= h->items && sum->bytes >= h->bytes);
    sum->items -= h->items;
    sum->bytes -= h->bytes;
    if (!sum->items && !sum->bytes)
        *sum = q->held[--q->n];
    pthread_cond_broadcast(&q->released);
    pthread_mutex_unlock(&q->mu);
    *h = (struct al_storage_hold){0};
}
