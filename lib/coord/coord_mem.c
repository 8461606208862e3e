#include "airlore/coord_mem.h"

#include <string.h>
#include <time.h>

#include "airlore/pool.h"
#include "mem_store.h"

#define STORE_BYTES_DEFAULT ((size_t)64 << 20)
#define HISTORY_EVENTS_DEFAULT 4096u
#define REVISIONS_A_MS_LOG2 20
#define RETRY_NS 50000000ULL /* when memory was out */
#define NS_A_SECOND 1000000000ULL
#define KEEPALIVES_A_TTL 3u

static struct al_mem_handle *handle_of(struct al_coord *c)
{
    return (struct al_mem_handle *)(void *)c;
}

static enum al_code unavailable(struct al_err *err, const char *why)
{
    return AL_FAIL_R(err, AL_UNAVAILABLE, "COORD_UNAVAILABLE", "coordination: %s", why);
}

/* ---- leases ---- */

/* false: memory is out, its keys are deleted later. */
static bool end_lease(struct al_mem_store *s, size_t at)
{
    s->leases[at].is_dead = true;
    if (al_mem_store_drop_lease_keys(s, s->leases[at].id, NULL) != AL_OK)
        return false;
    s->leases[at] = s->leases[--s->n_leases];
    return true;
}

static void end_leases(struct al_mem_store *s, uint64_t now_ns, bool *ret_short)
{
    for (size_t i = 0; i < s->n_leases;) {
        bool is_over = s->leases[i].is_dead || s->leases[i].expires_ns <= now_ns;
        bool is_gone = is_over && end_lease(s, i);
        *ret_short = *ret_short || (is_over && !is_gone);
        i += !is_gone;
    }
}

static void keep_alive(struct al_mem_handle *h, uint64_t now_ns)
{
    for (size_t i = 0; i < h->store->n_leases; i++) {
        struct al_mem_lease *l = &h->store->leases[i];
        if (l->owner != h || l->is_dead || now_ns < l->sent_ns + l->ttl_ns / KEEPALIVES_A_TTL)
            continue;
        l->sent_ns = now_ns;
        l->expires_ns = now_ns + l->ttl_ns;
    }
}

/* When the handle's thread has to look again at leases. */
static uint64_t next_due_ns(const struct al_mem_handle *h)
{
    uint64_t due = AL_DEADLINE_NONE;
    for (size_t i = 0; i < h->store->n_leases; i++) {
        const struct al_mem_lease *l = &h->store->leases[i];
        uint64_t at = l->owner == h ? l->sent_ns + l->ttl_ns / KEEPALIVES_A_TTL : l->expires_ns;
        due = at < due ? at : due;
    }
    return due;
}

static enum al_code mem_lease_grant(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                    struct al_err *err)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    if (ttl_s < AL_MEM_LEASE_TTL_S_MIN)
        ttl_s = AL_MEM_LEASE_TTL_S_MIN;
    uint64_t now = al_clock_mono_ns(s->clock);
    pthread_mutex_lock(&s->mu);
    enum al_code code = AL_OK;
    if (h->is_cut_off)
        code = unavailable(err, "cut off");
    else if (s->n_leases >= AL_MEM_LEASES_MAX)
        code = AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "NO_SPACE",
                         "coordination: %u leases, the most allowed", AL_MEM_LEASES_MAX);
    else if (al_mem_grow(s->mem, (void **)&s->leases, &s->leases_cap, s->n_leases + 1,
                         sizeof *s->leases) != AL_OK)
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordination: out of memory");
    if (code == AL_OK) {
        uint64_t ttl_ns = ttl_s * NS_A_SECOND;
        s->leases[s->n_leases++] = (struct al_mem_lease){.id = ++s->next_lease,
                                                         .owner = h,
                                                         .ttl_ns = ttl_ns,
                                                         .expires_ns = now + ttl_ns,
                                                         .sent_ns = now};
        *ret = s->next_lease;
        pthread_cond_broadcast(&s->wake);
    }
    pthread_mutex_unlock(&s->mu);
    return code;
}

static enum al_code mem_lease_revoke(struct al_coord *c, uint64_t lease, struct al_err *err)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    enum al_code code = AL_OK;
    struct al_mem_lease *l = al_mem_store_lease(s, lease);
    if (h->is_cut_off)
        code = unavailable(err, "cut off");
    else if (!l)
        code = AL_FAIL_R(err, AL_NOT_FOUND, "LEASE_NOT_FOUND", "coordination: lease %llx is gone",
                         (unsigned long long)lease);
    else
        (void)!end_lease(s, (size_t)(l - s->leases));
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->mu);
    return code;
}

static uint64_t mem_lease_deadline(struct al_coord *c, uint64_t lease)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    struct al_mem_lease *l = al_mem_store_lease(s, lease);
    uint64_t at = l && l->owner == h ? l->sent_ns + l->ttl_ns : 0;
    pthread_mutex_unlock(&s->mu);
    return at;
}

/* ---- transactions ---- */

/* The fault that this transaction meets; 0: none. */
static int take_fault(struct al_mem_handle *h, bool writes)
{
    if (!h->has_fault || !writes)
        return 0;
    if (h->fault_in-- > 0)
        return 0;
    h->has_fault = false;
    return (int)h->fault;
}

static enum al_code outcome_unknown(struct al_err *err)
{
    return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "coordination: no answer came");
}

static enum al_code mem_txn(struct al_coord *c, const struct al_coord_txn *txn,
                            uint64_t deadline_ns, struct al_arena *a, struct al_coord_result *ret,
                            struct al_err *err)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    uint64_t now = al_clock_mono_ns(s->clock);
    if (deadline_ns <= now && deadline_ns != AL_DEADLINE_NONE)
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "coordination: the deadline has passed");
    pthread_mutex_lock(&s->mu);
    bool is_short = false;
    end_leases(s, now, &is_short);
    int fault = take_fault(h, al_coord_txn_writes(txn));
    enum al_code code;
    if (h->is_cut_off || fault == AL_COORD_MEM_UNAVAILABLE) {
        code = unavailable(err, "no connection");
    } else if (fault == AL_COORD_MEM_UNKNOWN_LOST) {
        code = outcome_unknown(err);
    } else {
        struct al_coord_result res;
        code = al_mem_store_txn(s, txn, a, &res, err);
        if (code == AL_OK && fault == AL_COORD_MEM_UNKNOWN_APPLIED)
            code = outcome_unknown(err);
        else if (code == AL_OK)
            *ret = res;
    }
    pthread_mutex_unlock(&s->mu);
    return code;
}

static enum al_code mem_compact(struct al_coord *c, int64_t revision, struct al_err *err)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    enum al_code code = AL_OK;
    if (h->is_cut_off)
        code = unavailable(err, "cut off");
    else if (revision > s->revision || revision <= s->compacted)
        code = AL_FAIL(err, AL_OUT_OF_RANGE,
                       "coordination: compaction to %lld: in the future or done already",
                       (long long)revision);
    else
        s->compacted = revision;
    if (code == AL_OK)
        al_mem_store_forget(s, revision);
    pthread_mutex_unlock(&s->mu);
    return code;
}

static void mem_limits(struct al_coord *c, struct al_coord_limits *ret)
{
    (void)c;
    *ret = (struct al_coord_limits){.request_bytes_max = AL_MEM_REQUEST_BYTES_MAX,
                                    .ops_max = AL_MEM_OPS_MAX,
                                    .lease_ttl_s_min = AL_MEM_LEASE_TTL_S_MIN};
}

/* ---- a handle's thread ---- */

static void wait_ns(struct al_mem_store *s, uint64_t ns)
{
    struct timespec t;
    AL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    uint64_t until = (uint64_t)t.tv_sec * NS_A_SECOND + (uint64_t)t.tv_nsec + ns;
    t.tv_sec = (time_t)(until / NS_A_SECOND);
    t.tv_nsec = (long)(until % NS_A_SECOND);
    pthread_cond_timedwait(&s->wake, &s->mu, &t);
}

/* Sleep until a lease is due, something changes, or (memory was out) a moment has passed. */
static void wait_for_work(struct al_mem_handle *h, uint64_t now_ns, bool is_short)
{
    uint64_t due = h->is_cut_off ? AL_DEADLINE_NONE : next_due_ns(h);
    if (is_short)
        wait_ns(h->store, RETRY_NS);
    else if (due == AL_DEADLINE_NONE)
        pthread_cond_wait(&h->store->wake, &h->store->mu);
    else if (due > now_ns)
        wait_ns(h->store, due - now_ns);
}

/* One pass. The clock was read, without the lock, after `round` was: what is settled is settled at
 * that time or later. */
static void work(struct al_mem_handle *h, uint64_t now_ns, uint64_t round)
{
    struct al_mem_store *s = h->store;
    bool is_short = false;
    if (!h->is_cut_off) {
        end_leases(s, now_ns, &is_short);
        keep_alive(h, now_ns);
        while (!h->is_closing && !h->is_cut_off && al_mem_watch_deliver(h, &is_short))
            ;
    }
    if (h->settled != round) {
        h->settled = round;
        pthread_cond_broadcast(&s->idle);
        return; /* look at the clock again before sleeping: it may have moved */
    }
    bool has_news = !h->is_cut_off && !is_short && al_mem_watch_is_due(h);
    if (!h->is_closing && s->settle_round == round && !has_news)
        wait_for_work(h, now_ns, is_short);
}

static void *handle_main(void *u)
{
    struct al_mem_handle *h = u;
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    while (!h->is_closing) {
        uint64_t round = s->settle_round;
        pthread_mutex_unlock(&s->mu);
        uint64_t now = al_clock_mono_ns(s->clock);
        pthread_mutex_lock(&s->mu);
        work(h, now, round);
    }
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

void al_coord_mem_settle(struct al_coord *c)
{
    struct al_mem_store *s = handle_of(c)->store;
    pthread_mutex_lock(&s->mu);
    uint64_t round = ++s->settle_round;
    pthread_cond_broadcast(&s->wake);
    for (;;) {
        bool is_done = true;
        for (struct al_mem_handle *h = s->handles; h && is_done; h = h->next)
            is_done = h->is_cut_off || h->is_closing ||
                      (h->settled >= round && !h->calling && !al_mem_watch_is_due(h));
        if (is_done)
            break;
        pthread_cond_wait(&s->idle, &s->mu);
    }
    pthread_mutex_unlock(&s->mu);
}

/* ---- faults ---- */

void al_coord_mem_fail_txn(struct al_coord *c, uint64_t nth, enum al_coord_mem_fault fault)
{
    struct al_mem_handle *h = handle_of(c);
    pthread_mutex_lock(&h->store->mu);
    h->has_fault = true;
    h->fault_in = nth;
    h->fault = fault;
    pthread_mutex_unlock(&h->store->mu);
}

void al_coord_mem_set_cut_off(struct al_coord *c, bool cut_off)
{
    struct al_mem_handle *h = handle_of(c);
    pthread_mutex_lock(&h->store->mu);
    h->is_cut_off = cut_off;
    while (cut_off && h->calling)
        pthread_cond_wait(&h->store->idle, &h->store->mu);
    pthread_cond_broadcast(&h->store->wake);
    pthread_cond_broadcast(&h->store->idle);
    pthread_mutex_unlock(&h->store->mu);
}

void al_coord_mem_expire(struct al_coord *c, uint64_t lease)
{
    struct al_mem_store *s = handle_of(c)->store;
    pthread_mutex_lock(&s->mu);
    struct al_mem_lease *l = al_mem_store_lease(s, lease);
    if (l)
        (void)!end_lease(s, (size_t)(l - s->leases));
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->mu);
}

/* ---- opening and closing ---- */

static void store_destroy(struct al_mem_store *s)
{
    al_mem_store_fini(s);
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mu);
    al_mem_free(s->mem, s);
}

/* Out of the list; true when it was the last. */
static bool leave(struct al_mem_handle *h)
{
    struct al_mem_store *s = h->store;
    struct al_mem_handle **at = &s->handles;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    for (size_t i = 0; i < s->n_leases; i++) {
        if (s->leases[i].owner == h)
            s->leases[i].owner = NULL;
    }
    pthread_cond_broadcast(&s->wake);
    pthread_cond_broadcast(&s->idle);
    return !s->handles;
}

static void mem_close(struct al_coord *c)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    h->is_closing = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->mu);
    pthread_join((pthread_t)h->thread, NULL);
    pthread_mutex_lock(&s->mu);
    struct al_mem_watch *w = h->watches;
    bool is_last = leave(h);
    pthread_mutex_unlock(&s->mu);
    while (w) {
        struct al_mem_watch *next = w->next;
        al_mem_free(s->mem, w);
        w = next;
    }
    al_mem_free(s->mem, h);
    if (is_last)
        store_destroy(s);
}

static const struct al_coord_ops mem_ops = {
    .txn = mem_txn,
    .lease_grant = mem_lease_grant,
    .lease_revoke = mem_lease_revoke,
    .lease_deadline = mem_lease_deadline,
    .watch = al_mem_watch_add,
    .unwatch = al_mem_watch_remove,
    .compact = mem_compact,
    .limits = mem_limits,
    .close = mem_close,
};

static enum al_code handle_open(struct al_mem_store *s, struct al_coord **ret, struct al_err *err)
{
    struct al_mem_handle *h = al_mem_zalloc(s->mem, sizeof *h);
    if (!h)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordination: out of memory");
    h->coord.ops = &mem_ops;
    h->store = s;
    pthread_mutex_lock(&s->mu);
    h->settled = s->settle_round;
    enum al_code c = al_thread_start("al-coord", handle_main, h, &h->thread, err);
    if (c == AL_OK) {
        h->next = s->handles;
        s->handles = h;
    }
    pthread_mutex_unlock(&s->mu);
    if (c != AL_OK)
        al_mem_free(s->mem, h);
    else
        *ret = &h->coord;
    return c;
}

static void init_sync(struct al_mem_store *s)
{
    pthread_condattr_t attr;
    AL_ASSERT(pthread_condattr_init(&attr) == 0);
    AL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AL_ASSERT(pthread_mutex_init(&s->mu, NULL) == 0);
    AL_ASSERT(pthread_cond_init(&s->wake, &attr) == 0);
    AL_ASSERT(pthread_cond_init(&s->idle, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

enum al_code al_coord_mem_open(const struct al_coord_mem_options *opt, struct al_coord **ret,
                               struct al_err *err)
{
    static const struct al_coord_mem_options defaults;
    if (!opt)
        opt = &defaults;
    struct al_mem_store *s = al_mem_zalloc(opt->mem, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordination: out of memory");
    s->mem = opt->mem ? opt->mem : al_mem_std();
    s->clock = opt->clock ? opt->clock : al_clock_system();
    s->store_bytes_max = opt->store_bytes_max ? opt->store_bytes_max : STORE_BYTES_DEFAULT;
    s->history_events_max =
        opt->history_events_max ? opt->history_events_max : HISTORY_EVENTS_DEFAULT;
    s->revision = opt->first_revision;
    if (s->revision <= 0)
        s->revision = (int64_t)(al_clock_wall_ms(s->clock) << REVISIONS_A_MS_LOG2) + 1;
    s->next_lease = (uint64_t)s->revision; /* unlike those of an earlier process */
    init_sync(s);
    enum al_code c = handle_open(s, ret, err);
    if (c != AL_OK)
        store_destroy(s);
    return c;
}

enum al_code al_coord_mem_join(struct al_coord *other, struct al_coord **ret, struct al_err *err)
{
    AL_ASSERT(other->ops == &mem_ops);
    return handle_open(handle_of(other)->store, ret, err);
}
