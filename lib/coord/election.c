#include "airlore/election.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define TRIES 5
#define ARENA_LIMIT ((size_t)64 << 10)
#define POLL_NS 50000000L /* how late a deadline of a clock that moves by hand is seen */

struct al_coord_compare al_fence_guard(const struct al_fence *f)
{
    return al_coord_if_create(al_str_c(f->key), AL_COORD_EQUAL, f->revision);
}

static void take_fence(struct al_fence *f, struct al_str key, int64_t revision)
{
    snprintf(f->key, sizeof f->key, AL_STR_FMT, AL_STR_ARG(key));
    f->revision = revision;
}

enum al_code al_election_try(struct al_coord *c, const struct al_coord_op *put,
                             uint64_t deadline_ns, struct al_arena *a, struct al_election *ret,
                             struct al_err *err)
{
    if (put->kind != AL_COORD_PUT || put->key.n >= AL_FENCE_KEY_BYTES_MAX || put->lease == 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "election: a put with a lease and a key below %u bytes is needed",
                       AL_FENCE_KEY_BYTES_MAX);
    struct al_coord_compare is_free = al_coord_if_absent(put->key);
    struct al_coord_op get = al_coord_get(put->key);
    struct al_coord_txn txn = {.compares = &is_free,
                               .n_compares = 1,
                               .then_ops = put,
                               .n_then = 1,
                               .else_ops = &get,
                               .n_else = 1};
    struct al_coord_result res;
    enum al_code code = AL_UNKNOWN;
    for (int i = 0; i < TRIES && code == AL_UNKNOWN; i++)
        code = al_coord_txn(c, &txn, deadline_ns, a, &res, err);
    if (code != AL_OK)
        return code;
    *ret = (struct al_election){.is_won = res.succeeded};
    if (res.succeeded) {
        take_fence(&ret->fence, put->key, res.revision);
        return AL_OK;
    }
    ret->holder = res.answers[0].kvs[0]; /* the key exists: the compare failed */
    ret->is_won = ret->holder.lease == put->lease;
    if (ret->is_won)
        take_fence(&ret->fence, put->key, ret->holder.create_revision);
    return AL_OK;
}

/* ---- waiting for the key ---- */

struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t changed; /* with mu */
    bool is_free;           /* guarded by mu: the key may have been given up */
    struct al_clock *clock;
    uint64_t deadline_ns;
};

static void on_change(void *u, const struct al_coord_event *events, size_t n)
{
    struct waiter *w = u;
    for (size_t i = 0; i < n; i++) {
        if (events[i].kind == AL_COORD_EVENT_PUT || events[i].kind == AL_COORD_EVENT_SYNCED)
            continue;
        pthread_mutex_lock(&w->mu);
        w->is_free = true;
        pthread_cond_signal(&w->changed);
        pthread_mutex_unlock(&w->mu);
    }
}

/* Until the key is given up; false at the deadline. */
static bool wait_free(struct waiter *w)
{
    bool is_late = false;
    pthread_mutex_lock(&w->mu);
    while (!w->is_free && !is_late) {
        struct timespec t;
        AL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
        t.tv_nsec += POLL_NS;
        t.tv_sec += t.tv_nsec / 1000000000L;
        t.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&w->changed, &w->mu, &t);
        pthread_mutex_unlock(&w->mu);
        is_late = al_clock_has_passed(w->clock, w->deadline_ns);
        pthread_mutex_lock(&w->mu);
    }
    bool is_free = w->is_free;
    w->is_free = false;
    pthread_mutex_unlock(&w->mu);
    return is_free;
}

static enum al_code campaign(struct al_coord *c, const struct al_coord_op *put, struct waiter *w,
                             struct al_election *ret, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    enum al_code code = al_election_try(c, put, w->deadline_ns, &a, ret, err);
    uint64_t watch = 0;
    if (code == AL_OK && !ret->is_won) {
        struct al_coord_watcher what = {put->key, ret->holder.mod_revision + 1, on_change, w};
        code = al_coord_watch(c, &what, &watch, err);
    }
    while (code == AL_OK && !ret->is_won) {
        if (!wait_free(w))
            code = AL_FAIL(err, AL_DEADLINE_EXCEEDED, "election: another leads");
        al_arena_reset(&a);
        if (code == AL_OK)
            code = al_election_try(c, put, w->deadline_ns, &a, ret, err);
    }
    if (watch)
        al_coord_unwatch(c, watch);
    al_arena_fini(&a);
    return code;
}

enum al_code al_election_campaign(struct al_coord *c, struct al_clock *clock,
                                  const struct al_coord_op *put, uint64_t deadline_ns,
                                  struct al_fence *ret, struct al_err *err)
{
    struct waiter w = {.clock = clock, .deadline_ns = deadline_ns};
    pthread_condattr_t attr;
    AL_ASSERT(pthread_condattr_init(&attr) == 0);
    AL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AL_ASSERT(pthread_mutex_init(&w.mu, NULL) == 0);
    AL_ASSERT(pthread_cond_init(&w.changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
    struct al_election e = {.is_won = false};
    enum al_code code = campaign(c, put, &w, &e, err);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.mu);
    if (code == AL_OK)
        *ret = e.fence;
    return code;
}

enum al_code al_election_resign(struct al_coord *c, const struct al_fence *f, uint64_t deadline_ns,
                                struct al_err *err)
{
    struct al_coord_compare guard = al_fence_guard(f);
    struct al_coord_op drop = al_coord_delete(al_str_c(f->key));
    struct al_coord_txn txn = {.compares = &guard, .n_compares = 1, .then_ops = &drop, .n_then = 1};
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_LIMIT);
    struct al_coord_result res;
    enum al_code code = AL_UNKNOWN;
    for (int i = 0; i < TRIES && code == AL_UNKNOWN; i++)
        code = al_coord_txn(c, &txn, deadline_ns, &a, &res, err);
    al_arena_fini(&a);
    return code;
}
