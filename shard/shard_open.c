/* Open and recover, reopen after a failed write, close. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "airlore/pool.h"
#include "shard_impl.h"

#define SEAL_ROWS 10000u
#define MERGE_FACTOR 8u
#define SCAN_ROWS 2000u
#define MIN_FREE_BYTES (256ull << 20)
#define WRITE_ID_TTL_MS (24ull * 3600 * 1000)
#define REOPEN_AFTER_MS 1000u
#define MARK_TEXT "airlore-shard 1\n"

/* ---- flags ---- */

enum al_code al_shard_check_open(struct al_shard *s, struct al_err *err)
{
    pthread_mutex_lock(&s->lock);
    bool closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    if (closed)
        return AL_FAIL(err, AL_UNAVAILABLE, "shard %u: is closed", s->opt.id.v);
    return AL_OK;
}

static void set_read_only(struct al_shard *s, const struct al_err *why, bool may_recover)
{
    pthread_mutex_lock(&s->lock);
    bool news = !s->read_only;
    if (news || (s->may_recover && !may_recover)) {
        s->read_only = true;
        s->may_recover = may_recover;
        snprintf(s->why, sizeof(s->why), "%.199s", why->msg);
    }
    pthread_mutex_unlock(&s->lock);
    if (news)
        al_log_err(s->opt.log, AL_LOG_ERROR, "shard.read_only", why);
}

void al_shard_set_read_only(struct al_shard *s, const struct al_err *why)
{
    set_read_only(s, why, false);
}

enum al_code al_shard_note(struct al_shard *s, enum al_code code, const struct al_err *err)
{
    if (code == AL_DATA_LOSS && err)
        al_shard_set_read_only(s, err);
    return code;
}

/* ---- the store ---- */

enum al_code al_shard_acquire_store(struct al_shard *s, struct al_store **ret, struct al_err *err)
{
    pthread_rwlock_rdlock(&s->store_lock);
    if (s->store) {
        *ret = s->store;
        return AL_OK;
    }
    pthread_rwlock_unlock(&s->store_lock);
    return AL_FAIL_R(err, AL_UNAVAILABLE, "SHARD_UNAVAILABLE",
                     "shard %u: the store could not be opened", s->opt.id.v);
}

void al_shard_release_store(struct al_shard *s)
{
    pthread_rwlock_unlock(&s->store_lock);
}

static enum al_code visit_segment(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    bool *found = u;
    (void)err;
    *found = *found || al_str_ends(al_str_c(e->name), AL_STR(".seg"));
    return AL_OK;
}

static enum al_code open_store(struct al_shard *s, bool salvage, struct al_err *err)
{
    struct al_store_options opt = {.dir = s->store_dir,
                                   .salvage = salvage,
                                   .must_exist = s->had_store,
                                   .mem = s->opt.mem,
                                   .log = s->opt.log};
    return s->opt.store->open(&opt, &s->store, err);
}

/* Whether there was a store before: the mark says so, or the segments, which are made from it. */
static enum al_code look_for_mark(struct al_shard *s, struct al_err *err)
{
    struct al_disk *d = s->opt.disk;
    struct al_err e = {0};
    uint64_t n = 0;
    enum al_code code = d->ops->size(d, s->mark_path, &n, &e);
    if (code != AL_OK && code != AL_NOT_FOUND) {
        if (err)
            *err = e;
        return code;
    }
    s->has_mark = code == AL_OK;
    s->had_store = s->has_mark || s->opt.must_exist;
    if (s->had_store)
        return AL_OK;
    return d->ops->list(d, s->segment_dir, visit_segment, &s->had_store, err);
}

/* Before the first write is taken: from now on a store that is not there was lost. */
static enum al_code leave_mark(struct al_shard *s, struct al_err *err)
{
    s->had_store = true;
    if (s->has_mark)
        return AL_OK;
    AL_TRY(al_disk_write_file(s->opt.disk, s->mark_path, AL_STR(MARK_TEXT), 0600, err));
    s->has_mark = true;
    return AL_OK;
}

/* A damaged store is opened for what can be read of it. */
static enum al_code open_store_somehow(struct al_shard *s, struct al_err *err)
{
    struct al_err e = {0};
    enum al_code code = open_store(s, false, &e);
    if (code == AL_DATA_LOSS) {
        al_shard_set_read_only(s, &e);
        struct al_err ignored = {0};
        if (open_store(s, true, &ignored) == AL_OK)
            return AL_OK;
    }
    if (code != AL_OK && err)
        *err = e;
    return code;
}

/* ---- reopen ---- */

static enum al_code load_state(struct al_shard *s, struct al_err *err)
{
    AL_TRY(al_shard_load_format(s, err));
    AL_TRY(al_shard_load_log(s, err));
    return al_shard_load_counts(s, err);
}

static bool is_read_only_for_good(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    bool yes = s->read_only && !s->may_recover;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

static enum al_code settle_unsettled(struct al_shard *s, bool *ret_present, struct al_err *err)
{
    *ret_present = false;
    if (!s->has_unsettled)
        return AL_OK;
    *ret_present = al_repl_epoch_at(s->repl, s->unsettled_index) == s->unsettled_epoch;
    enum al_code code = *ret_present ? al_apply_segments(&s->unsettled, err) : AL_OK;
    al_apply_fini(&s->unsettled);
    s->has_unsettled = false;
    return code;
}

static enum al_code reopen_store(struct al_shard *s, bool *ret_present, struct al_err *err)
{
    if (s->store)
        s->store->ops->destroy(s->store);
    s->store = NULL;
    AL_TRY(open_store(s, false, err));
    AL_TRY(load_state(s, err));
    AL_TRY(settle_unsettled(s, ret_present, err));
    if (is_read_only_for_good(s))
        return AL_OK;
    AL_TRY(leave_mark(s, err));
    AL_TRY(al_shard_begin_epoch(s, err));
    return al_shard_apply_rest(s, err);
}

enum al_code al_shard_reopen(struct al_shard *s, bool *ret_present, struct al_err *err)
{
    struct al_err e = {0};
    *ret_present = false;
    atomic_store(&s->cancel, true); /* long readers let the store go */
    pthread_rwlock_wrlock(&s->store_lock);
    atomic_store(&s->cancel, false);
    enum al_code code = reopen_store(s, ret_present, &e);
    if (code != AL_OK) {
        s->reopen_after_ns = al_clock_deadline(s->opt.clock, REOPEN_AFTER_MS);
        struct al_err ignored = {0};
        if (!s->store && open_store(s, true, &ignored) != AL_OK)
            s->store = NULL;
    }
    pthread_rwlock_unlock(&s->store_lock);
    if (code != AL_OK) {
        set_read_only(s, &e, code != AL_DATA_LOSS);
        if (err)
            *err = e;
        return code;
    }
    pthread_mutex_lock(&s->lock);
    if (s->may_recover) {
        s->read_only = false;
        s->may_recover = false;
        s->why[0] = 0;
    }
    pthread_mutex_unlock(&s->lock);
    al_log(s->opt.log, AL_LOG_WARN, "shard.reopened", AL_U64("shard", s->opt.id.v));
    return AL_OK;
}

/* ---- open ---- */

static void fill_defaults(struct al_shard_options *o)
{
    if (!o->seal_rows)
        o->seal_rows = SEAL_ROWS;
    if (!o->merge_factor)
        o->merge_factor = MERGE_FACTOR;
    if (!o->scan_rows_max)
        o->scan_rows_max = SCAN_ROWS;
    if (!o->min_free_bytes)
        o->min_free_bytes = MIN_FREE_BYTES;
    if (!o->write_id_ttl_ms)
        o->write_id_ttl_ms = WRITE_ID_TTL_MS;
    if (!o->disk)
        o->disk = al_disk_system();
    if (!o->clock)
        o->clock = al_clock_system();
    if (!o->mem)
        o->mem = al_mem_std();
#ifndef AL_SHARD_NO_ROCKSDB
    if (!o->store)
        o->store = al_store_rocksdb();
#endif
}

static enum al_code join_path(struct al_mem *mem, const char *dir, const char *name, char **ret,
                              struct al_err *err)
{
    size_t n = strlen(dir) + 1 + strlen(name) + 1;
    char *p = al_mem_alloc(mem, n);
    if (!p)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    snprintf(p, n, "%s%s%s", dir, name[0] ? "/" : "", name);
    *ret = p;
    return AL_OK;
}

static void init_locks(struct al_shard *s)
{
    pthread_mutex_init(&s->upkeep_lock, NULL);
    pthread_mutex_init(&s->apply_lock, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_rwlockattr_t rw;
    pthread_rwlockattr_init(&rw);
    pthread_rwlockattr_setkind_np(&rw, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->store_lock, &rw);
    pthread_rwlockattr_destroy(&rw);
    pthread_condattr_t c;
    pthread_condattr_init(&c);
    pthread_condattr_setclock(&c, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &c);
    pthread_cond_init(&s->done, &c);
    pthread_cond_init(&s->upkeep, &c);
    pthread_condattr_destroy(&c);
    s->has_locks = true;
}

static enum al_code check_options(const struct al_shard_options *o, struct al_err *err)
{
    if (!o->store || !o->dir || !o->dir[0] || !o->embedder_id || o->dim == 0 || o->dim > 65536 ||
        o->slot_first > o->slot_last || o->merge_factor == 1)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "shard %u: bad options", o->id.v);
    return AL_OK;
}

static enum al_code alloc_shard(const struct al_shard_options *opt, struct al_shard **ret,
                                struct al_err *err)
{
    struct al_shard_options o = *opt;
    fill_defaults(&o);
    AL_TRY(check_options(&o, err));
    AL_AUTO(al_shard) s = al_mem_zalloc(o.mem, sizeof(*s));
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    s->opt = o;
    init_locks(s);
    AL_TRY(join_path(o.mem, opt->dir, "", &s->dir, err));
    AL_TRY(join_path(o.mem, opt->dir, "store", &s->store_dir, err));
    AL_TRY(join_path(o.mem, opt->dir, "segments", &s->segment_dir, err));
    AL_TRY(join_path(o.mem, opt->dir, "created", &s->mark_path, err));
    AL_TRY(join_path(o.mem, opt->embedder_id, "", &s->embedder_id, err));
    s->opt.dir = s->dir;
    s->opt.embedder_id = s->embedder_id;
    *ret = al_take(s);
    return AL_OK;
}

static enum al_code add_metrics(struct al_shard *s, struct al_err *err)
{
    char labels[32];
    snprintf(labels, sizeof(labels), "shard=\"%u\"", s->opt.id.v);
    struct al_metrics *m = s->opt.metrics;
    AL_TRY(al_metrics_counter(m, "airlore_shard_writes_total", "Log entries written.", labels,
                              &s->writes, err));
    AL_TRY(al_metrics_counter(m, "airlore_shard_groups_total",
                              "Batches written: entries that shared one sync.", labels, &s->groups,
                              err));
    return al_metrics_histogram(m, "airlore_shard_sync_seconds", "Time of a synced batch.", labels,
                                &s->sync_seconds, err);
}

static enum al_code create_segset(struct al_shard *s, struct al_err *err)
{
    struct al_segset_options o = {.dir = s->segment_dir,
                                  .dim = s->opt.dim,
                                  .embedder_id = s->embedder_id,
                                  .scan_rows_max = s->opt.scan_rows_max,
                                  .index_threads = s->opt.index_threads,
                                  .index = s->opt.index,
                                  .mem = s->opt.mem,
                                  .disk = s->opt.disk,
                                  .clock = s->opt.clock,
                                  .log = s->opt.log};
    return al_segset_create(&o, &s->segs, err);
}

/* Damage found while loading leaves a shard that can be read as far as it goes. */
static enum al_code tolerate(struct al_shard *s, enum al_code code, struct al_err *e,
                             struct al_err *err)
{
    if (code == AL_OK)
        return AL_OK;
    if (code == AL_DATA_LOSS) {
        al_shard_set_read_only(s, e);
        return AL_OK;
    }
    if (err)
        *err = *e;
    return code;
}

static enum al_code lead(struct al_shard *s, struct al_err *err)
{
    if (is_read_only_for_good(s)) {
        al_shard_publish(s);
        return AL_OK;
    }
    struct al_err e = {0};
    enum al_code code = leave_mark(s, &e);
    if (code == AL_OK)
        code = al_shard_begin_epoch(s, &e);
    if (code == AL_OK)
        code = al_shard_apply_rest(s, &e);
    if (code == AL_RESOURCE_EXHAUSTED && e.reason && strcmp(e.reason, "DISK_FULL") == 0) {
        set_read_only(s, &e, true); /* reads go on; the first write that finds room recovers */
        al_shard_publish(s);
        return AL_OK;
    }
    return tolerate(s, code, &e, err);
}

static enum al_code recover(struct al_shard *s, struct al_err *err)
{
    struct al_err e = {0};
    AL_TRY(look_for_mark(s, err));
    AL_TRY(open_store_somehow(s, err));
    AL_TRY(al_shard_load_format(s, err));
    AL_TRY(al_shard_load_log(s, err));
    AL_TRY(tolerate(s, al_shard_load_counts(s, &e), &e, err));
    AL_TRY(create_segset(s, err));
    AL_TRY(tolerate(s, al_shard_load_segments(s, &e), &e, err));
    return lead(s, err);
}

static enum al_code start_threads(struct al_shard *s, struct al_err *err)
{
    AL_TRY(al_thread_start("al-apply", al_shard_applier, s, &s->applier, err));
    s->has_applier = true;
    if (!s->opt.background)
        return AL_OK;
    s->upkeep_wanted = true; /* what was loaded may want merging, and graphs large pages */
    AL_TRY(al_thread_start("al-upkeep", al_shard_upkeeper, s, &s->upkeeper, err));
    s->has_upkeep = true;
    return AL_OK;
}

enum al_code al_shard_open(const struct al_shard_options *opt, struct al_shard **ret,
                           struct al_err *err)
{
    struct al_shard *made = NULL;
    AL_TRY(alloc_shard(opt, &made, err));
    AL_ASSERT(made);
    AL_AUTO(al_shard) s = made;
    uint64_t start = al_clock_mono_ns(s->opt.clock);
    AL_TRY_CTX(err, al_disk_mkdirs(s->opt.disk, s->segment_dir, 0700, err), "shard %u", opt->id.v);
    AL_TRY(add_metrics(s, err));
    AL_TRY_CTX(err, recover(s, err), "shard %u", opt->id.v);
    AL_TRY(start_threads(s, err));
    struct al_shard_status st;
    al_shard_get_status(s, &st);
    al_log(s->opt.log, AL_LOG_INFO, "shard.opened", AL_U64("shard", s->opt.id.v),
           AL_U64("documents", st.n_docs), AL_U64("chunks", st.n_chunks),
           AL_U64("applied", st.applied_index), AL_U64("epoch", st.epoch),
           AL_U64("segments", st.n_segments), AL_FLAG("read_only", st.read_only),
           AL_MS("took", (double)(al_clock_mono_ns(s->opt.clock) - start) / 1e6));
    *ret = al_take(s);
    return AL_OK;
}

/* ---- close ---- */

void al_shard_close(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}

static void stop_threads(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->upkeep);
    pthread_mutex_unlock(&s->lock);
    if (s->has_applier)
        pthread_join(s->applier, NULL);
    atomic_store(&s->cancel, true);
    if (s->has_upkeep)
        pthread_join(s->upkeeper, NULL);
}

static void free_locks(struct al_shard *s)
{
    pthread_mutex_destroy(&s->upkeep_lock);
    pthread_mutex_destroy(&s->apply_lock);
    pthread_mutex_destroy(&s->lock);
    pthread_rwlock_destroy(&s->store_lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    pthread_cond_destroy(&s->upkeep);
}

void al_shard_destroy(struct al_shard *s)
{
    if (!s)
        return;
    struct al_mem *mem = s->opt.mem;
    if (s->has_locks) {
        al_shard_close(s);
        stop_threads(s);
    }
    if (s->has_unsettled)
        al_apply_fini(&s->unsettled);
    al_segset_destroy(s->segs);
    al_repl_destroy(s->repl);
    if (s->store)
        s->store->ops->destroy(s->store);
    al_mem_free(mem, s->counts);
    al_mem_free(mem, s->dir);
    al_mem_free(mem, s->store_dir);
    al_mem_free(mem, s->segment_dir);
    al_mem_free(mem, s->mark_path);
    al_mem_free(mem, s->embedder_id);
    if (s->has_locks)
        free_locks(s);
    al_mem_free(mem, s);
}
