#include "ratelimit.h"

#include <pthread.h>
#include <string.h>

#define DAY_MS (24ull * 60 * 60 * 1000)
#define SLOTS 6u /* of ten seconds: the last minute */
#define SLOT_NS (10ull * 1000 * 1000 * 1000)
#define NS_PER_S 1e9

/* Counts of the last minute. */
struct minute {
    uint64_t slot[SLOTS];
    uint64_t at; /* number of the newest slot since the clock's beginning */
};

struct bucket {
    char name[AL_RESOURCE_NAME_MAX];
    double calls; /* tokens */
    uint64_t calls_filled_ns;
    uint64_t items_free_ns; /* when the next item is due */
    uint64_t day;
    uint64_t bytes;
    uint32_t concurrent;
    struct minute calls_made;
    struct minute items_made;
};

struct al_ratelimit {
    struct al_ratelimit_options opt; /* immutable after create */
    pthread_mutex_t mu;
    struct bucket *buckets; /* guarded by mu; sorted by name; as many as keys and their owners */
    size_t n;
    size_t cap;
};

enum al_code al_ratelimit_create(const struct al_ratelimit_options *opt, struct al_ratelimit **ret,
                                 struct al_err *err)
{
    struct al_ratelimit *r = al_mem_zalloc(opt->mem, sizeof *r);
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rate limit: out of memory");
    r->opt = *opt;
    pthread_mutex_init(&r->mu, NULL);
    *ret = r;
    return AL_OK;
}

void al_ratelimit_destroy(struct al_ratelimit *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mu);
    al_mem_free(r->opt.mem, r->buckets);
    al_mem_free(r->opt.mem, r);
}

/* ---- buckets; mu held ---- */

static size_t place_of(const struct al_ratelimit *r, const char *name)
{
    size_t lo = 0;
    size_t hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(r->buckets[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct bucket *look_up(struct al_ratelimit *r, const char *name)
{
    size_t at = place_of(r, name);
    return at < r->n && strcmp(r->buckets[at].name, name) == 0 ? &r->buckets[at] : NULL;
}

/* Make room for all scopes first, so that no bucket moves while a call is looked at. */
static enum al_code make_buckets(struct al_ratelimit *r, const struct al_credential *c,
                                 struct al_err *err)
{
    for (size_t i = 0; i < c->n_scopes; i++) {
        size_t at = place_of(r, c->scopes[i].name);
        if (at < r->n && strcmp(r->buckets[at].name, c->scopes[i].name) == 0)
            continue;
        void *p = r->buckets;
        if (al_mem_grow(r->opt.mem, &p, &r->cap, r->n + 1, sizeof *r->buckets) != AL_OK)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rate limit: out of memory");
        r->buckets = p;
        memmove(&r->buckets[at + 1], &r->buckets[at], (r->n - at) * sizeof *r->buckets);
        r->n++;
        r->buckets[at] = (struct bucket){.calls = -1};
        memcpy(r->buckets[at].name, c->scopes[i].name, sizeof r->buckets[at].name);
    }
    return AL_OK;
}

static void turn(struct minute *m, uint64_t now_ns)
{
    uint64_t at = now_ns / SLOT_NS;
    if (at - m->at >= SLOTS)
        memset(m->slot, 0, sizeof m->slot);
    for (; m->at < at && at - m->at < SLOTS; m->at++)
        m->slot[(m->at + 1) % SLOTS] = 0;
    m->at = at;
}

static void count(struct minute *m, uint64_t now_ns)
{
    turn(m, now_ns);
    m->slot[m->at % SLOTS]++;
}

static double per_second(struct minute *m, uint64_t now_ns)
{
    uint64_t sum = 0;
    turn(m, now_ns);
    for (size_t i = 0; i < SLOTS; i++)
        sum += m->slot[i];
    return (double)sum / 60;
}

/* ---- calls ---- */

struct rate {
    bool is_set;
    double per_second;
    double size;
};

static struct rate rate_of(const struct al_ratelimit *r, const struct al_credential *c, size_t i)
{
    const struct al_quota *q = &c->scopes[i].quota;
    if (q->set & AL_QUOTA_CALLS_PER_SECOND) {
        double burst = 2 * q->calls_per_second;
        return (struct rate){true, q->calls_per_second,
                             q->calls_per_second > 0 && burst < 1 ? 1 : burst};
    }
    if (i > 0 || !(r->opt.defaults.set & AL_QUOTA_CALLS_PER_SECOND))
        return (struct rate){.is_set = false};
    double rate = r->opt.defaults.calls_per_second;
    return (struct rate){true, rate, 6 * rate < 10 ? 10 : 6 * rate};
}

/* Whether the scope lets one more call begin; takes nothing. */
static enum al_code look(struct al_ratelimit *r, const struct al_credential *c, size_t i,
                         uint64_t now_ns, struct al_err *err)
{
    struct bucket *b = look_up(r, c->scopes[i].name);
    const struct al_quota *q = &c->scopes[i].quota;
    struct rate rate = rate_of(r, c, i);
    AL_ASSERT(b);
    if ((q->set & AL_QUOTA_CONCURRENT_CALLS) && b->concurrent >= q->max_concurrent_calls) {
        al_metric_add(r->opt.metrics.concurrent, 1);
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                         "%s: %u calls at the same time, the quota", b->name,
                         q->max_concurrent_calls);
    }
    if (!rate.is_set)
        return AL_OK;
    double tokens = b->calls < 0 ? rate.size
                                 : b->calls + (double)(now_ns - b->calls_filled_ns) / NS_PER_S *
                                                  rate.per_second;
    b->calls = tokens > rate.size ? rate.size : tokens;
    b->calls_filled_ns = now_ns;
    if (b->calls >= 1)
        return AL_OK;
    al_metric_add(r->opt.metrics.calls, 1);
    if (rate.per_second <= 0)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED",
                         "%s: its quota allows no calls", b->name);
    double wait_s = (1 - b->calls) / rate.per_second;
    return al_err_retry_after(err, wait_s < 86400 ? (uint64_t)(wait_s * 1000) + 1 : DAY_MS,
                              AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED",
                                        "%s: more than %g calls a second; again in %.1f s", b->name,
                                        rate.per_second, wait_s));
}

static enum al_code enter(struct al_ratelimit *r, const struct al_credential *c, struct al_err *err)
{
    uint64_t now = al_clock_mono_ns(r->opt.clock);
    AL_TRY(make_buckets(r, c, err));
    for (size_t i = 0; i < c->n_scopes; i++)
        AL_TRY(look(r, c, i, now, err));
    for (size_t i = 0; i < c->n_scopes; i++) {
        struct bucket *b = look_up(r, c->scopes[i].name);
        if (rate_of(r, c, i).is_set)
            b->calls -= 1;
        b->concurrent++;
        count(&b->calls_made, now);
    }
    return AL_OK;
}

enum al_code al_ratelimit_enter(struct al_ratelimit *r, const struct al_credential *c,
                                struct al_err *err)
{
    pthread_mutex_lock(&r->mu);
    enum al_code code = enter(r, c, err);
    pthread_mutex_unlock(&r->mu);
    return code;
}

void al_ratelimit_leave(struct al_ratelimit *r, const struct al_credential *c)
{
    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < c->n_scopes; i++) {
        struct bucket *b = look_up(r, c->scopes[i].name);
        AL_ASSERT(b && b->concurrent > 0);
        b->concurrent--;
    }
    pthread_mutex_unlock(&r->mu);
}

/* ---- what is taken in ---- */

static bool byte_limit(const struct al_ratelimit *r, const struct al_credential *c, size_t i,
                       uint64_t *ret)
{
    const struct al_quota *q = &c->scopes[i].quota;
    bool own = q->set & AL_QUOTA_INGEST_BYTES;
    /* an explicit 0 means the server's default, as the contract says */
    if (own && q->ingest_bytes_per_day) {
        *ret = q->ingest_bytes_per_day;
        return true;
    }
    *ret = r->opt.defaults.ingest_bytes_per_day;
    return i == 0 && (r->opt.defaults.set & AL_QUOTA_INGEST_BYTES);
}

static enum al_code take_bytes(struct al_ratelimit *r, const struct al_credential *c,
                               uint64_t bytes, struct al_err *err)
{
    uint64_t now_ms = al_clock_wall_ms(r->opt.clock);
    uint64_t day = now_ms / DAY_MS;
    AL_TRY(make_buckets(r, c, err));
    for (size_t i = 0; i < c->n_scopes; i++) {
        struct bucket *b = look_up(r, c->scopes[i].name);
        uint64_t limit = 0;
        b->bytes = b->day == day ? b->bytes : 0;
        b->day = day;
        if (!byte_limit(r, c, i, &limit) || (bytes <= limit && b->bytes <= limit - bytes))
            continue;
        al_metric_add(r->opt.metrics.ingest_bytes, 1);
        enum al_code code = AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                                      "%s: more than %llu bytes a day; again after midnight UTC",
                                      b->name, (unsigned long long)limit);
        /* one that is larger than a whole day's quota never passes */
        return bytes > limit ? code : al_err_retry_after(err, DAY_MS - now_ms % DAY_MS, code);
    }
    for (size_t i = 0; i < c->n_scopes; i++) {
        struct bucket *b = look_up(r, c->scopes[i].name);
        b->bytes = b->bytes > UINT64_MAX - bytes ? UINT64_MAX : b->bytes + bytes;
    }
    return AL_OK;
}

enum al_code al_ratelimit_bytes(struct al_ratelimit *r, const struct al_credential *c,
                                uint64_t bytes, struct al_err *err)
{
    pthread_mutex_lock(&r->mu);
    enum al_code code = take_bytes(r, c, bytes, err);
    pthread_mutex_unlock(&r->mu);
    return code;
}

uint64_t al_ratelimit_item(struct al_ratelimit *r, const struct al_credential *c)
{
    uint64_t now = al_clock_mono_ns(r->opt.clock);
    uint64_t wait_ns = 0;
    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < c->n_scopes; i++) {
        struct bucket *b = look_up(r, c->scopes[i].name);
        const struct al_quota *q = &c->scopes[i].quota;
        if (!b)
            continue;
        count(&b->items_made, now);
        if (!(q->set & AL_QUOTA_ITEMS_PER_SECOND))
            continue;
        double gap = q->items_per_second > 0 ? NS_PER_S / q->items_per_second : 60 * NS_PER_S;
        if (b->items_free_ns < now)
            b->items_free_ns = now;
        b->items_free_ns += (uint64_t)(gap > 60 * NS_PER_S ? 60 * NS_PER_S : gap);
        if (b->items_free_ns - now > wait_ns)
            wait_ns = b->items_free_ns - now;
    }
    pthread_mutex_unlock(&r->mu);
    return wait_ns / 1000000;
}

void al_ratelimit_use(struct al_ratelimit *r, const char *scope, struct al_rate_use *ret)
{
    uint64_t now = al_clock_mono_ns(r->opt.clock);
    uint64_t day = al_clock_wall_ms(r->opt.clock) / DAY_MS;
    *ret = (struct al_rate_use){0};
    pthread_mutex_lock(&r->mu);
    struct bucket *b = look_up(r, scope);
    if (b) {
        ret->calls_per_second = per_second(&b->calls_made, now);
        ret->items_per_second = per_second(&b->items_made, now);
        ret->concurrent_calls = b->concurrent;
        ret->ingest_bytes_today = b->day == day ? b->bytes : 0;
    }
    pthread_mutex_unlock(&r->mu);
}
