/* Segments over a shard's life: loaded and repaired at the start, sealed, merged; and the status of
 * all. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard_impl.h"

#define EACH_DOCS 256u /* documents read while the store is held */
#define RETRY_S 5
#define MANIFEST_BYTES_MAX (16u << 20)

/* ---- documents by number ---- */

static struct al_key first_docno_after(uint64_t index)
{
    return al_key_u64((index + 1) << AL_DOCNO_OP_BITS);
}

/* AL_NOT_FOUND: replaced or deleted meanwhile. */
static enum al_code load_doc(struct al_shard *s, struct al_store *st, uint64_t docno,
                             struct al_str row_bytes, struct al_arena *a, struct al_doc *ret,
                             struct al_err *err)
{
    struct al_str kept;
    AL_TRY(al_arena_str(a, row_bytes, &kept, err));
    struct al_chunk_row row;
    AL_TRY(al_chunk_row_decode(kept, &row, err));
    struct al_key k = al_key_doc(row.space, row.id);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    AL_TRY(st->ops->get(st, AL_FAMILY_DOC, al_key_view(&k), &b, err));
    struct al_doc d;
    AL_TRY(al_doc_decode(al_buf_view(&b), a, &d, err));
    if (d.docno != docno)
        return AL_NOT_FOUND;
    if (row.dim == s->opt.dim && row.n_chunks == d.n_chunks)
        AL_TRY(al_chunk_row_vectors(&row, a, &d.vectors, err));
    *ret = d;
    return AL_OK;
}

struct each {
    struct al_shard_source *src;
    struct al_key from;
    struct al_key to;
    enum al_code (*visit)(void *v, const struct al_doc *d, struct al_err *err);
    void *v;
    struct al_arena a;
    bool done;
};

static enum al_code visit_one(struct each *e, struct al_store *st, struct al_str key,
                              struct al_str value, struct al_err *err)
{
    struct al_shard *s = e->src->s;
    uint64_t docno = 0;
    if (!al_key_u64_parse(key, &docno))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "store: a document's number");
    e->from = al_key_u64(docno + 1);
    e->src->n_seen++;
    struct al_doc d;
    struct al_err loading = {0};
    al_arena_reset(&e->a);
    enum al_code code = load_doc(s, st, docno, value, &e->a, &d, &loading);
    if (code == AL_NOT_FOUND)
        return AL_OK;
    if (code == AL_DATA_LOSS && e->src->tolerant) {
        al_shard_set_read_only(s, &loading);
        return AL_OK;
    }
    if (code != AL_OK) {
        if (err)
            *err = loading;
        return code;
    }
    return e->visit(e->v, &d, err);
}

static enum al_code each_some(struct each *e, struct al_store *st, struct al_err *err)
{
    struct al_store_iter *it = NULL;
    AL_TRY(st->ops->iter_create(st, AL_FAMILY_CHUNK, &it, err));
    struct al_str to = al_key_view(&e->to);
    enum al_code code = AL_OK;
    unsigned n = 0;
    st->ops->iter_seek(it, al_key_view(&e->from));
    for (; code == AL_OK && n < EACH_DOCS; n++, st->ops->iter_next(it)) {
        if (!st->ops->iter_valid(it) || al_str_cmp(st->ops->iter_key(it), to) >= 0) {
            e->done = true;
            break;
        }
        code = visit_one(e, st, st->ops->iter_key(it), st->ops->iter_value(it), err);
    }
    struct al_err scan = {0};
    enum al_code status = st->ops->iter_status(it, &scan);
    st->ops->iter_destroy(it);
    if (code != AL_OK || status == AL_OK)
        return code;
    if (status == AL_DATA_LOSS && e->src->tolerant) {
        al_shard_set_read_only(e->src->s, &scan);
        e->done = true;
        return AL_OK;
    }
    if (err)
        *err = scan;
    return status;
}

static bool report(struct al_shard_source *src)
{
    double share = src->n_total ? (double)src->n_seen / (double)src->n_total : 0;
    if (share > 1)
        share = 1;
    return !src->progress || src->progress(src->u, src->from + (src->to - src->from) * share);
}

enum al_code al_shard_each_doc(void *u, uint64_t first, uint64_t last,
                               enum al_code (*visit)(void *v, const struct al_doc *d,
                                                     struct al_err *err),
                               void *v, struct al_err *err)
{
    struct al_shard_source *src = u;
    struct each e = {.src = src,
                     .from = first_docno_after(first),
                     .to = first_docno_after(last),
                     .visit = visit,
                     .v = v};
    al_arena_init(&e.a, src->s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    enum al_code code = AL_OK;
    while (code == AL_OK && !e.done) {
        if (!report(src))
            src->cancelled = true;
        if (src->cancelled || atomic_load(&src->s->cancel)) {
            code = AL_FAIL(err, AL_CANCELLED, "segment: building was cancelled");
            break;
        }
        struct al_store *st = NULL;
        code = al_shard_acquire_store(src->s, &st, err);
        if (code == AL_OK) {
            code = each_some(&e, st, err);
            al_shard_release_store(src->s);
        }
    }
    al_arena_fini(&e.a);
    return code;
}

static bool is_cancelled(void *u)
{
    struct al_shard_source *src = u;
    return src->cancelled || atomic_load(&src->s->cancel);
}

/* ---- manifest ---- */

/* The tombstones of a range become those that its segments need. */
static enum al_code put_dead(struct al_shard *s, struct al_store_batch *b, uint64_t first,
                             uint64_t last, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    struct al_key from = first_docno_after(first);
    struct al_key to = first_docno_after(last);
    struct al_dead_doc *dead = NULL;
    size_t n = 0;
    struct al_arena a;
    al_arena_init(&a, s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    enum al_code code = al_segset_dead(s->segs, first, last, &a, &dead, &n, err);
    if (code == AL_OK)
        ops->batch_delete_range(b, AL_FAMILY_DEAD, al_key_view(&from), al_key_view(&to));
    for (size_t i = 0; code == AL_OK && i < n; i++) {
        uint32_t space = dead[i].space;
        struct al_key k = al_key_u64(dead[i].docno);
        const char value[4] = {(char)(uint8_t)(space >> 24), (char)(uint8_t)(space >> 16),
                               (char)(uint8_t)(space >> 8), (char)(uint8_t)space};
        ops->batch_put(b, AL_FAMILY_DEAD, al_key_view(&k), (struct al_str){value, sizeof(value)});
    }
    al_arena_fini(&a);
    return code;
}

static enum al_code fill_manifest(struct al_shard *s, struct al_store_batch *b, struct al_err *err)
{
    struct al_buf manifest;
    al_buf_init(&manifest, s->opt.mem, MANIFEST_BYTES_MAX);
    enum al_code code = al_segset_manifest(s->segs, &manifest, err);
    if (code == AL_OK)
        code = al_buf_status(&manifest, err);
    if (code == AL_OK) {
        struct al_key k = al_key_meta("manifest");
        s->store->ops->batch_put(b, AL_FAMILY_META, al_key_view(&k), al_buf_view(&manifest));
    }
    al_buf_fini(&manifest);
    return code;
}

/* The set as it is now becomes durable. Under apply_lock. */
static enum al_code store_manifest(struct al_shard *s, uint64_t first, uint64_t last,
                                   struct al_err *err)
{
    struct al_store *st = NULL;
    struct al_store_batch *b = NULL;
    AL_TRY(al_shard_acquire_store(s, &st, err));
    enum al_code code = st->ops->batch_create(st, &b, err);
    if (code == AL_OK)
        code = fill_manifest(s, b, err);
    if (code == AL_OK)
        code = put_dead(s, b, first, last, err);
    bool wrote = code == AL_OK;
    if (wrote)
        code = st->ops->write(st, b, true, err);
    st->ops->batch_destroy(b);
    al_shard_release_store(s);
    if (wrote &&
        code != AL_OK) { /* a store that failed a write takes no more until it is opened again */
        bool present = false;
        struct al_err ignored = {0};
        if (al_shard_reopen(s, &present, &ignored) != AL_OK)
            al_log_err(s->opt.log, AL_LOG_ERROR, "shard.reopen.failed", &ignored);
        al_shard_publish(s);
    }
    return code;
}

/* ---- seal and merge ---- */

/* Build (first, last] and put it in place. Under upkeep_lock. */
static enum al_code replace(struct al_shard *s, struct al_shard_source *src, uint64_t first,
                            uint64_t last, struct al_err *err)
{
    struct al_doc_source docs = {.each = al_shard_each_doc, .u = src};
    struct al_built *built = NULL;
    src->n_seen = 0;
    uint64_t start = al_clock_mono_ns(s->opt.clock);
    AL_TRY(al_segset_build(s->segs, &docs, first, last, is_cancelled, src, &built, err));
    pthread_mutex_lock(&s->apply_lock);
    enum al_code code = al_segset_swap(s->segs, built, err);
    if (code != AL_OK)
        al_segset_discard(built);
    else
        code = store_manifest(s, first, last, err);
    pthread_mutex_unlock(&s->apply_lock);
    AL_TRY(code);
    al_log(s->opt.log, AL_LOG_INFO, "shard.segment.built", AL_U64("shard", s->opt.id.v),
           AL_U64("first", first), AL_U64("last", last), AL_U64("documents", src->n_seen),
           AL_MS("took", (double)(al_clock_mono_ns(s->opt.clock) - start) / 1e6));
    return al_segset_sweep(s->segs, err);
}

static bool is_read_only(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    bool yes = s->read_only;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

static enum al_code seal(struct al_shard *s, struct al_shard_source *src, struct al_err *err)
{
    struct al_segset_status st;
    pthread_mutex_lock(&s->apply_lock);
    al_segset_get_status(s->segs, &st);
    uint64_t last = al_repl_applied_index(s->repl);
    bool any = st.growing_rows > 0 && last > st.sealed_last;
    if (any)
        s->cover = last; /* who dies from now on leaves a tombstone */
    pthread_mutex_unlock(&s->apply_lock);
    if (!any)
        return AL_OK;
    src->n_total = st.growing_rows;
    return replace(s, src, st.sealed_last, last, err);
}

static enum al_code merge(struct al_shard *s, struct al_shard_source *src, struct al_err *err)
{
    uint64_t first = 0;
    uint64_t last = 0;
    while (al_segset_pick_merge(s->segs, s->opt.merge_factor, &first, &last))
        AL_TRY(replace(s, src, first, last, err));
    return AL_OK;
}

static enum al_code merge_all(struct al_shard *s, struct al_shard_source *src, struct al_err *err)
{
    struct al_segset_status st;
    al_segset_get_status(s->segs, &st);
    if (st.n_sealed == 0 || (st.n_sealed == 1 && st.n_tombstones == 0))
        return AL_OK;
    src->n_total = st.n_docs;
    return replace(s, src, 0, st.sealed_last, err);
}

enum al_code al_shard_compact(struct al_shard *s, bool full, bool (*progress)(void *u, double done),
                              void *u, struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    if (is_read_only(s))
        return AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "shard %u: is read-only",
                         s->opt.id.v);
    struct al_shard_source src = {.s = s, .progress = progress, .u = u, .to = 0.5};
    pthread_mutex_lock(&s->upkeep_lock);
    enum al_code code = seal(s, &src, err);
    src.from = 0.5;
    src.to = 1;
    if (code == AL_OK)
        code = full ? merge_all(s, &src, err) : merge(s, &src, err);
    pthread_mutex_unlock(&s->upkeep_lock);
    if (code == AL_OK && progress)
        (void)progress(u, 1.0);
    return code;
}

/* Under upkeep_lock: nobody else changes the sealed segments. */
static enum al_code rebuild_each(struct al_shard *s, struct al_shard_source *src, bool all,
                                 struct al_arena *a, uint64_t *ret_rebuilt, struct al_err *err)
{
    struct al_segment_status *list = NULL;
    size_t n = 0;
    AL_TRY(al_segset_list(s->segs, a, &list, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!list[i].is_sealed || (!all && !al_segset_is_damaged(s->segs, list[i].id)))
            continue;
        src->from = (double)i / (double)n;
        src->to = (double)(i + 1) / (double)n;
        src->n_total = list[i].rows;
        AL_TRY(replace(s, src, list[i].first, list[i].id, err));
        ++*ret_rebuilt;
    }
    return AL_OK;
}

enum al_code al_shard_rebuild(struct al_shard *s, bool all, bool (*progress)(void *u, double done),
                              void *u, uint64_t *ret_rebuilt, struct al_err *err)
{
    *ret_rebuilt = 0;
    AL_TRY(al_shard_check_open(s, err));
    if (is_read_only(s))
        return AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "shard %u: is read-only",
                         s->opt.id.v);
    struct al_shard_source src = {.s = s, .progress = progress, .u = u, .to = 1};
    struct al_arena a;
    al_arena_init(&a, s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    pthread_mutex_lock(&s->upkeep_lock);
    enum al_code code = all ? seal(s, &src, err) : AL_OK;
    if (code == AL_OK)
        code = rebuild_each(s, &src, all, &a, ret_rebuilt, err);
    pthread_mutex_unlock(&s->upkeep_lock);
    al_arena_fini(&a);
    return code;
}

/* ---- the thread ---- */

void al_shard_wake_upkeep(struct al_shard *s)
{
    pthread_mutex_lock(&s->lock);
    s->upkeep_wanted = true;
    if (s->has_upkeep)
        s->upkeep_runs = true; /* from now on: the applier may wait for it */
    pthread_cond_broadcast(&s->upkeep);
    pthread_mutex_unlock(&s->lock);
}

static bool run_upkeep(struct al_shard *s)
{
    struct al_shard_source src = {.s = s, .to = 1};
    struct al_err e = {0};
    if (is_read_only(s))
        return false;
    pthread_mutex_lock(&s->upkeep_lock);
    enum al_code code = AL_OK;
    if (al_segset_growing_rows(s->segs) >= s->opt.seal_rows)
        code = seal(s, &src, &e);
    if (code == AL_OK)
        code = merge(s, &src, &e);
    if (s->opt.huge_copy_bytes)
        (void)al_segset_copy_graphs(s->segs, s->opt.huge_copy_bytes);
    pthread_mutex_unlock(&s->upkeep_lock);
    if (code != AL_OK && code != AL_CANCELLED)
        al_log_err(s->opt.log, AL_LOG_ERROR, "shard.upkeep.failed", &e);
    return code == AL_OK;
}

void *al_shard_upkeeper(void *u)
{
    struct al_shard *s = u;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (!s->upkeep_wanted) {
            pthread_cond_wait(&s->upkeep, &s->lock);
            continue;
        }
        s->upkeep_wanted = false;
        s->upkeep_runs = true;
        pthread_mutex_unlock(&s->lock);
        bool ok = run_upkeep(s);
        pthread_mutex_lock(&s->lock);
        s->upkeep_runs = false;
        pthread_cond_broadcast(&s->upkeep);
        if (!ok && !s->stop) { /* not at once again: the cause may last */
            struct timespec t;
            clock_gettime(CLOCK_MONOTONIC, &t);
            t.tv_sec += RETRY_S;
            while (!s->stop && pthread_cond_timedwait(&s->upkeep, &s->lock, &t) == 0) {
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- loading ---- */

static enum al_code rebuild(struct al_shard *s, uint64_t first, uint64_t last, struct al_err *err)
{
    struct al_shard_source src = {.s = s, .tolerant = true};
    struct al_doc_source docs = {.each = al_shard_each_doc, .u = &src};
    struct al_built *built = NULL;
    AL_TRY(al_segset_build(s->segs, &docs, first, last, NULL, NULL, &built, err));
    enum al_code code = al_segset_swap(s->segs, built, err);
    if (code != AL_OK)
        al_segset_discard(built);
    return code;
}

struct range {
    uint64_t first;
    uint64_t last;
};

/* Load what can be loaded; the rest is listed. */
static enum al_code load_entries(struct al_shard *s, const struct al_str *entries, size_t n,
                                 struct range *ret_damaged, size_t *ret_n, struct al_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct al_err e = {0};
        enum al_code code = al_segset_load(s->segs, entries[i], &e);
        if (code == AL_OK)
            continue;
        struct range *r = &ret_damaged[*ret_n];
        bool rebuildable = code == AL_DATA_LOSS || code == AL_NOT_FOUND;
        if (!rebuildable) {
            if (err)
                *err = e;
            return code;
        }
        AL_TRY(al_segset_entry_range(entries[i], &r->first, &r->last, err));
        (*ret_n)++;
        al_log(s->opt.log, AL_LOG_WARN, "shard.segment.damaged", AL_U64("shard", s->opt.id.v),
               AL_U64("first", r->first), AL_U64("last", r->last), AL_S("why", e.msg));
    }
    return AL_OK;
}

static enum al_code load_manifest(struct al_shard *s, struct al_arena *a, bool *ret_rebuilt,
                                  struct al_err *err)
{
    struct al_key k = al_key_meta("manifest");
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    enum al_code code = s->store->ops->get(s->store, AL_FAMILY_META, al_key_view(&k), &b, err);
    if (code == AL_NOT_FOUND)
        return AL_OK;
    AL_TRY(code);
    struct al_str *entries = NULL;
    size_t n = 0;
    struct al_err e = {0};
    code = al_segset_manifest_split(al_buf_view(&b), a, &entries, &n, &e);
    if (code != AL_OK && code != AL_DATA_LOSS) {
        if (err)
            *err = e;
        return code;
    }
    if (code == AL_DATA_LOSS) { /* all is in the store */
        al_log_err(s->opt.log, AL_LOG_WARN, "shard.manifest.damaged", &e);
        n = 0;
    }
    struct range *damaged = al_arena_array(a, n + 1, sizeof(*damaged));
    if (!damaged)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "shard: out of memory");
    size_t n_damaged = 0;
    AL_TRY(load_entries(s, entries, n, damaged, &n_damaged, err));
    if (code == AL_DATA_LOSS)
        damaged[n_damaged++].last = al_repl_applied_index(s->repl);
    for (size_t i = 0; i < n_damaged; i++)
        AL_TRY_CTX(err, rebuild(s, damaged[i].first, damaged[i].last, err), "segment: rebuild");
    *ret_rebuilt = n_damaged > 0;
    return AL_OK;
}

static enum al_code load_dead(struct al_shard *s, struct al_err *err)
{
    const struct al_store_ops *ops = s->store->ops;
    struct al_store_iter *it = NULL;
    AL_TRY(ops->iter_create(s->store, AL_FAMILY_DEAD, &it, err));
    for (ops->iter_seek(it, AL_STR("")); ops->iter_valid(it); ops->iter_next(it)) {
        uint64_t docno = 0;
        struct al_reader r = al_reader_of(ops->iter_value(it));
        uint32_t space = al_reader_u32be(&r);
        if (al_key_u64_parse(ops->iter_key(it), &docno) && al_reader_done(&r))
            (void)al_segset_remove(s->segs, space, docno);
    }
    enum al_code code = ops->iter_status(it, err);
    ops->iter_destroy(it);
    return code;
}

static enum al_code add_growing(void *v, const struct al_doc *d, struct al_err *err)
{
    struct al_shard *s = v;
    return al_segset_add(s->segs, d, err);
}

enum al_code al_shard_load_segments(struct al_shard *s, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, s->opt.mem, (size_t)2 * MANIFEST_BYTES_MAX);
    bool rebuilt = false;
    enum al_code code = load_manifest(s, &a, &rebuilt, err);
    al_arena_fini(&a);
    AL_TRY(code);
    AL_TRY(load_dead(s, err));
    struct al_segset_status st;
    al_segset_get_status(s->segs, &st);
    s->cover = st.sealed_last;
    if (rebuilt && !is_read_only(s))
        AL_TRY(store_manifest(s, 0, st.sealed_last, err));
    struct al_shard_source src = {.s = s, .tolerant = true};
    AL_TRY(al_shard_each_doc(&src, st.sealed_last, al_repl_applied_index(s->repl), add_growing, s,
                             err));
    return is_read_only(s) ? AL_OK : al_segset_sweep(s->segs, err);
}

/* ---- status ---- */

void al_shard_get_status(struct al_shard *s, struct al_shard_status *ret)
{
    struct al_segset_status seg;
    al_segset_get_status(s->segs, &seg);
    struct al_shard_status st = {.n_tombstones = seg.n_tombstones,
                                 .n_segments = seg.n_sealed,
                                 .growing_rows = seg.growing_rows,
                                 .segment_bytes = seg.file_bytes,
                                 .memory_bytes = seg.memory_bytes,
                                 .stale_docs = seg.stale_docs};
    struct al_store *store = NULL;
    if (al_shard_acquire_store(s, &store, NULL) == AL_OK) {
        st.store_bytes = store->ops->size_bytes(store);
        al_shard_release_store(s);
    }
    pthread_mutex_lock(&s->lock);
    st.n_docs = s->n_docs;
    st.n_chunks = s->n_chunks;
    st.applied_index = s->applied;
    st.commit_index = s->commit;
    st.epoch = s->epoch;
    st.read_only = s->read_only;
    memcpy(st.why, s->why, sizeof(st.why));
    pthread_mutex_unlock(&s->lock);
    *ret = st;
}
