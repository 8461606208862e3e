/* The applier: writes that wait become one batch with one sync. While this replica is alone in the
 * in-sync set, entries and their effects share the batch. */
#include <inttypes.h>
#include <string.h>

#include "shard_impl.h"

#define BEHIND_FACTOR \
    4u /* the applier waits when the growing segment is so many times over its size */
#define WAIT_NS 1000000000ull

/* ---- requests ---- */

void al_write_req_free(struct al_write_req *req)
{
    if (!req)
        return;
    al_buf_fini(&req->entry);
    al_mem_free(req->mem, req);
}

static void answer(struct al_shard *s, struct al_write_req *group)
{
    struct al_write_req *free_list = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct al_write_req *r = group; r;) {
        struct al_write_req *next = r->next;
        r->state = AL_WRITE_DONE;
        if (r->abandoned) {
            r->next = free_list;
            free_list = r;
        }
        r = next;
    }
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
    while (free_list) {
        struct al_write_req *next = free_list->next;
        al_write_req_free(free_list);
        free_list = next;
    }
}

static void fail_one(struct al_write_req *r, const struct al_err *e)
{
    r->code = e->code;
    r->err = *e;
}

/* All that have no answer of their own yet. */
static void fail_rest(struct al_write_req *group, const struct al_err *e)
{
    for (struct al_write_req *r = group; r; r = r->next) {
        if (r->code == AL_OK)
            fail_one(r, e);
    }
}

/* ---- building the batch ---- */

/* Another write of this id came first. */
static void repeat(struct al_write_req *r, const struct al_write_req *first, uint64_t index,
                   const enum al_outcome *outcomes)
{
    r->repeated = true;
    r->index = first ? first->index : index;
    memcpy(r->outcomes, first ? first->outcomes : outcomes, r->n_ops * sizeof(*r->outcomes));
}

static enum al_code append_entry(struct al_apply *x, struct al_write_req *r, uint64_t now_ms,
                                 struct al_err *err)
{
    struct al_shard *s = x->s;
    bool tail_has_it = false;
    AL_TRY(al_repl_propose(s->repl, r->write_id, &r->index, &tail_has_it, err));
    AL_ASSERT(!tail_has_it); /* in this group: found in the overlay before */
    AL_TRY(al_entry_seal(&r->entry, r->index, al_repl_epoch(s->repl), now_ms, err));
    struct al_entry e;
    AL_TRY(al_entry_decode(al_buf_view(&r->entry), r->index, &x->a, &e, err));
    struct al_key k = al_key_u64(r->index);
    x->store->ops->batch_put(x->batch, AL_FAMILY_LOG, al_key_view(&k), al_buf_view(&r->entry));
    AL_TRY(al_apply_entry(x, r->index, &e, r->outcomes, err));
    return al_apply_note_write_id(x, r, err);
}

/* *ret_n: entries appended. An error is one of the whole group. */
static enum al_code build_batch(struct al_apply *x, struct al_write_req *group, size_t *ret_n,
                                struct al_err *err)
{
    struct al_shard *s = x->s;
    enum al_outcome *outcomes = al_arena_array(&x->a, AL_ENTRY_OPS_MAX, sizeof(*outcomes));
    if (!outcomes)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    *ret_n = 0;
    for (struct al_write_req *r = group; r; r = r->next) {
        uint64_t now_ms = al_clock_wall_ms(s->opt.clock);
        const struct al_write_req *first = NULL;
        uint64_t index = 0;
        struct al_err e = {0};
        enum al_code code = al_apply_find_write_id(x, r, now_ms, &first, &index, outcomes, &e);
        if (code == AL_OK) {
            repeat(r, first, index, outcomes);
        } else if (code == AL_ALREADY_EXISTS) {
            fail_one(r, &e);
        } else if (code == AL_NOT_FOUND) {
            AL_TRY(append_entry(x, r, now_ms, err));
            (*ret_n)++;
        } else {
            if (err)
                *err = e;
            return code;
        }
    }
    return AL_OK;
}

/* ---- writing it ---- */

static void committed(struct al_shard *s, struct al_apply *x, struct al_write_req *group)
{
    struct al_repl_effects fx;
    al_repl_persisted(s->repl, al_repl_generation(s->repl), al_repl_last(s->repl), &fx);
    AL_ASSERT(al_repl_commit(s->repl) == al_repl_last(s->repl)); /* alone */
    al_repl_applied(s->repl, al_repl_commit(s->repl));
    for (struct al_write_req *r = group; r; r = r->next) {
        if (r->code == AL_OK && !r->repeated)
            al_shard_log_grew(s, r->index, r->entry.n);
    }
    struct al_err e = {0};
    if (al_apply_segments(x, &e) != AL_OK) {
        al_err_prefix(&e, "written, but not searchable until a restart");
        al_shard_set_read_only(s, &e);
    }
}

static enum al_code write_batch(struct al_shard *s, struct al_apply *x, struct al_err *err)
{
    al_shard_trim_log(s, x->batch);
    al_shard_put_u64(x->store, x->batch, "applied", al_repl_last(s->repl));
    uint64_t start = al_clock_mono_ns(s->opt.clock);
    enum al_code code = x->store->ops->write(x->store, x->batch, true, err);
    al_metric_observe(s->sync_seconds, (double)(al_clock_mono_ns(s->opt.clock) - start) / 1e9);
    al_metric_add(s->groups, 1);
    return code;
}

/* The write failed: x moves to the shard until it is known what is on disk. */
static void settle(struct al_shard *s, struct al_apply *x, struct al_write_req *group,
                   struct al_err *e)
{
    al_log_err(s->opt.log, AL_LOG_ERROR, "shard.write.failed", e);
    x->store->ops->batch_destroy(x->batch);
    x->batch = NULL;
    x->store = NULL;
    s->unsettled = *x;
    s->has_unsettled = true;
    s->unsettled_index = al_repl_last(s->repl);
    s->unsettled_epoch = al_repl_epoch(s->repl);
    memset(x, 0, sizeof(*x));
    bool present = false;
    struct al_err reopen = {0};
    enum al_code code = al_shard_reopen(s, &present, &reopen);
    if (code == AL_OK && present)
        return; /* all of it is there: the answers stand */
    if (code == AL_OK && e->code == AL_RESOURCE_EXHAUSTED) {
        fail_rest(group, e); /* nothing of it is there */
        return;
    }
    struct al_err unknown = {0};
    (void)AL_FAIL_R(&unknown, AL_UNKNOWN, "OUTCOME_UNKNOWN", "write: %s", e->msg);
    fail_rest(group, &unknown);
}

/* Nothing was written, but indexes were given out and counts changed: read them again. */
static void roll_back(struct al_shard *s, struct al_err *e)
{
    if (e->code == AL_DATA_LOSS)
        al_shard_set_read_only(s, e);
    bool present = false;
    struct al_err ignored = {0};
    if (al_shard_reopen(s, &present, &ignored) != AL_OK)
        al_log_err(s->opt.log, AL_LOG_ERROR, "shard.reopen.failed", &ignored);
}

static void run_group(struct al_shard *s, struct al_write_req *group)
{
    struct al_err e = {0};
    struct al_store *store = NULL;
    struct al_apply x;
    enum al_code code = al_shard_acquire_store(s, &store, &e);
    if (code == AL_OK) {
        code = al_apply_init(&x, s, store, &e);
        if (code != AL_OK)
            al_shard_release_store(s);
    }
    if (code != AL_OK) {
        fail_rest(group, &e);
        return;
    }
    size_t n = 0;
    code = build_batch(&x, group, &n, &e);
    bool built = code == AL_OK;
    if (built && n)
        code = write_batch(s, &x, &e);
    al_shard_release_store(s); /* only this thread replaces it, under apply_lock */
    if (code == AL_OK) {
        if (n)
            committed(s, &x, group);
        al_metric_add(s->writes, n);
    } else if (built) {
        settle(s, &x, group, &e);
    } else {
        al_apply_fini(&x);
        roll_back(s, &e);
        fail_rest(group, &e);
        return;
    }
    al_apply_fini(&x);
}

/* ---- before a group ---- */

static enum al_code check_space(struct al_shard *s, struct al_err *err)
{
    uint64_t free_bytes = 0;
    AL_TRY(s->opt.disk->ops->free_bytes(s->opt.disk, s->dir, &free_bytes, err));
    if (free_bytes < s->opt.min_free_bytes)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL",
                         "shard: %" PRIu64 " MiB free on disk, %" PRIu64 " needed",
                         free_bytes >> 20, s->opt.min_free_bytes >> 20);
    return AL_OK;
}

/* A shard that is read-only for a cause that may pass tries again, once a second. */
static enum al_code check_writable(struct al_shard *s, struct al_err *err)
{
    pthread_mutex_lock(&s->lock);
    bool read_only = s->read_only;
    bool may_recover = s->may_recover;
    if (read_only && !may_recover)
        (void)AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "shard: read-only: %s", s->why);
    pthread_mutex_unlock(&s->lock);
    if (!read_only)
        return AL_OK;
    if (!may_recover)
        return AL_DATA_LOSS;
    if (!al_clock_has_passed(s->opt.clock, s->reopen_after_ns))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "SHARD_UNAVAILABLE",
                         "shard: the store could not be opened");
    bool present = false;
    return al_shard_reopen(s, &present, err);
}

/* ---- the thread ---- */

static struct al_write_req *take_group(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->queue_head && !s->stop)
        pthread_cond_wait(&s->work, &s->lock);
    struct al_write_req *group = s->queue_head;
    struct al_write_req *last = NULL;
    size_t n = 0;
    size_t bytes = 0;
    for (struct al_write_req *r = group; r; r = r->next) {
        if (n == AL_SHARD_GROUP_MAX || (n && bytes + r->entry.n > AL_SHARD_GROUP_BYTES_MAX))
            break;
        r->state = AL_WRITE_TAKEN;
        bytes += r->entry.n;
        last = r;
        n++;
    }
    if (last) {
        s->queue_head = last->next;
        if (!s->queue_head)
            s->queue_tail = NULL;
        last->next = NULL;
        s->n_queued -= n;
        s->queued_bytes -= bytes;
    }
    pthread_mutex_unlock(&s->lock);
    return group;
}

/* Sealing is behind: writers wait rather than memory grows. */
static void wait_for_upkeep(struct al_shard *s)
{
    uint64_t bound = (uint64_t)s->opt.seal_rows * BEHIND_FACTOR;
    while (s->has_upkeep && al_segset_growing_rows(s->segs) > bound) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += (time_t)(WAIT_NS / 1000000000ull);
        pthread_mutex_lock(&s->lock);
        bool runs = s->upkeep_runs && !s->stop;
        if (runs)
            pthread_cond_timedwait(&s->upkeep, &s->lock, &t);
        pthread_mutex_unlock(&s->lock);
        if (!runs)
            return;
    }
}

/* Sealing fails again and again: memory is kept in bounds. */
static enum al_code check_behind(struct al_shard *s, struct al_err *err)
{
    uint64_t rows = al_segset_growing_rows(s->segs);
    if (s->has_upkeep && rows > 2ull * BEHIND_FACTOR * s->opt.seal_rows)
        return al_err_retry_after(err, AL_SHARD_RETRY_SEAL_MS,
                                  AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                            "shard: %" PRIu64 " chunks wait to be sealed", rows));
    return AL_OK;
}

void *al_shard_applier(void *u)
{
    struct al_shard *s = u;
    struct al_write_req *group;
    while ((group = take_group(s))) {
        wait_for_upkeep(s);
        struct al_err e = {0};
        pthread_mutex_lock(&s->apply_lock);
        enum al_code code = check_writable(s, &e);
        if (code == AL_OK)
            code = check_space(s, &e);
        if (code == AL_OK)
            code = check_behind(s, &e);
        if (code == AL_OK)
            run_group(s, group);
        else
            fail_rest(group, &e);
        al_shard_publish(s);
        bool seal = al_segset_growing_rows(s->segs) >= s->opt.seal_rows;
        pthread_mutex_unlock(&s->apply_lock);
        answer(s, group);
        if (seal)
            al_shard_wake_upkeep(s);
    }
    return NULL;
}

/* ---- what a crash left ---- */

static enum al_code apply_from_log(struct al_apply *x, uint64_t index, struct al_err *err)
{
    struct al_key k = al_key_u64(index);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&x->a), 0);
    AL_TRY(x->store->ops->get(x->store, AL_FAMILY_LOG, al_key_view(&k), &b, err));
    struct al_entry e;
    AL_TRY(al_entry_decode(al_buf_view(&b), index, &x->a, &e, err));
    enum al_outcome *outcomes = al_arena_array(&x->a, e.n_ops, sizeof(*outcomes));
    if (!outcomes)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    return al_apply_entry(x, index, &e, outcomes, err);
}

static enum al_code apply_range(struct al_shard *s, uint64_t first, uint64_t last,
                                struct al_err *err)
{
    struct al_apply x;
    AL_TRY(al_apply_init(&x, s, s->store, err));
    enum al_code code = AL_OK;
    uint64_t index = first;
    for (; index <= last && code == AL_OK; index++) {
        if (al_arena_used(&x.a) > AL_SHARD_GROUP_BYTES_MAX)
            break;
        code = apply_from_log(&x, index, err);
    }
    if (code == AL_OK) {
        al_shard_put_u64(s->store, x.batch, "applied", index - 1);
        code = s->store->ops->write(s->store, x.batch, false, err);
    }
    if (code == AL_OK)
        code = al_apply_segments(&x, err);
    al_apply_fini(&x);
    if (code == AL_OK)
        al_repl_applied(s->repl, index - 1);
    return code;
}

enum al_code al_shard_apply_rest(struct al_shard *s, struct al_err *err)
{
    while (al_repl_applied_index(s->repl) < al_repl_commit(s->repl))
        AL_TRY(apply_range(s, al_repl_applied_index(s->repl) + 1, al_repl_commit(s->repl), err));
    al_shard_publish(s);
    return AL_OK;
}
