#include "ratelimit.h"

#include <pthread.h>
#include <string.h>

#define DAY_MS (24ull * 60 * 60 * 1000)

struct bucket {
    char id[24];
    double tokens;
    uint64_t filled_ns;
    uint64_t day;
    uint64_t bytes;
};

struct al_ratelimit {
    struct al_quota defaults;
    struct al_clock *clock;
    struct al_mem *mem;
    pthread_mutex_t mu;
    struct bucket *buckets; /* guarded by mu; sorted by id; as many as there are keys */
    size_t n;
    size_t cap;
};

enum al_code al_ratelimit_create(const struct al_quota *defaults, struct al_clock *clock,
                                 struct al_mem *mem, struct al_ratelimit **ret, struct al_err *err)
{
    struct al_ratelimit *r = al_mem_zalloc(mem, sizeof *r);
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rate limit: out of memory");
    r->defaults = *defaults;
    r->clock = clock;
    r->mem = mem;
    pthread_mutex_init(&r->mu, NULL);
    *ret = r;
    return AL_OK;
}

void al_ratelimit_destroy(struct al_ratelimit *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mu);
    al_mem_free(r->mem, r->buckets);
    al_mem_free(r->mem, r);
}

static double bucket_size(uint32_t per_minute)
{
    double size = (double)per_minute / 10;
    return size < 10 ? 10 : size;
}

static struct bucket *find(struct al_ratelimit *r, const char *id, uint32_t per_minute)
{
    size_t lo = 0;
    size_t hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(r->buckets[mid].id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < r->n && strcmp(r->buckets[lo].id, id) == 0)
        return &r->buckets[lo];
    void *p = r->buckets;
    if (al_mem_grow(r->mem, &p, &r->cap, r->n + 1, sizeof *r->buckets) != AL_OK)
        return NULL;
    r->buckets = p;
    memmove(&r->buckets[lo + 1], &r->buckets[lo], (r->n - lo) * sizeof *r->buckets);
    r->n++;
    struct bucket *b = &r->buckets[lo];
    *b =
        (struct bucket){.tokens = bucket_size(per_minute), .filled_ns = al_clock_mono_ns(r->clock)};
    memcpy(b->id, id, strnlen(id, sizeof b->id - 1));
    return b;
}

enum al_code al_ratelimit_request(struct al_ratelimit *r, const struct al_key *k,
                                  struct al_err *err)
{
    uint32_t rate = k->quota.requests_per_minute ? k->quota.requests_per_minute
                                                 : r->defaults.requests_per_minute;
    if (!rate)
        return AL_OK;
    double wait_s = 0;
    pthread_mutex_lock(&r->mu);
    struct bucket *b = find(r, k->id, rate);
    if (b) {
        uint64_t now = al_clock_mono_ns(r->clock);
        double per_second = (double)rate / 60;
        double size = bucket_size(rate);
        b->tokens += (double)(now - b->filled_ns) / 1e9 * per_second;
        b->tokens = b->tokens > size ? size : b->tokens;
        b->filled_ns = now;
        if (b->tokens >= 1)
            b->tokens -= 1;
        else
            wait_s = (1 - b->tokens) / per_second;
    }
    pthread_mutex_unlock(&r->mu);
    if (!b)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rate limit: out of memory");
    if (wait_s > 0)
        return al_err_retry_after(err, (uint64_t)(wait_s * 1000) + 1,
                                  AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED",
                                            "key: more than %u requests a minute; again in %.1f s",
                                            rate, wait_s));
    return AL_OK;
}

enum al_code al_ratelimit_bytes(struct al_ratelimit *r, const struct al_key *k, uint64_t bytes,
                                struct al_err *err)
{
    uint64_t limit = k->quota.ingest_bytes_per_day ? k->quota.ingest_bytes_per_day
                                                   : r->defaults.ingest_bytes_per_day;
    if (!limit)
        return AL_OK;
    uint64_t now_ms = al_clock_wall_ms(r->clock);
    uint64_t day = now_ms / DAY_MS;
    bool ok = false;
    pthread_mutex_lock(&r->mu);
    struct bucket *b = find(r, k->id,
                            k->quota.requests_per_minute ? k->quota.requests_per_minute
                                                         : r->defaults.requests_per_minute);
    if (b) {
        b->bytes = b->day == day ? b->bytes : 0;
        b->day = day;
        ok = bytes <= limit && b->bytes <= limit - bytes;
        b->bytes += ok ? bytes : 0;
    }
    pthread_mutex_unlock(&r->mu);
    if (ok)
        return AL_OK;
    enum al_code code = AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                                  "key: more than %llu bytes a day; again after midnight UTC",
                                  (unsigned long long)limit);
    /* one that is larger than a whole day's quota never passes */
    return bytes > limit ? code : al_err_retry_after(err, DAY_MS - now_ms % DAY_MS, code);
}
