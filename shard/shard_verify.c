/* The online check: log, documents, vectors, counters, segments agree. Iterators made at one moment
 * show one state; what looks wrong in the segments, which move on meanwhile, is looked at again
 * while nothing moves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard_impl.h"

#define PROBLEMS_MAX 100u
#define PROBLEM_BYTES_MAX (64u << 10)
#define POLL_DOCS 64u
#define SUSPECTS_MAX 256u

struct suspect {
    uint32_t space;
    struct al_str id;
    uint64_t docno;
};

struct verify {
    struct al_shard *s;
    struct al_store *store;
    const struct al_store_ops *ops;
    struct al_arena *a; /* of the report */
    bool (*progress)(void *u, double done);
    void *u;
    struct al_verify_report report;
    struct al_store_iter *log;
    struct al_store_iter *docs;
    struct al_store_iter *chunks;
    /* as of the moment of the iterators */
    uint64_t log_first;
    uint64_t log_last;
    uint64_t applied;
    struct al_space_count *want;
    size_t n_want;
    struct al_space_count *found; /* the same spaces */
    struct suspect *suspects;
    size_t n_suspects;
    struct al_arena scratch;
};

__attribute__((format(printf, 2, 3))) static void problem(struct verify *v, const char *fmt, ...)
{
    if (v->report.n_problems == PROBLEMS_MAX)
        return;
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    struct al_str kept;
    if (al_arena_str(v->a, al_str_c(line), &kept, NULL) == AL_OK)
        v->report.problems[v->report.n_problems++] = kept;
}

/* Each line of text is a problem. */
static void problems(struct verify *v, struct al_str text)
{
    while (text.n) {
        size_t end = al_str_find(text, AL_STR("\n"), 0);
        struct al_str line = al_str_sub(text, 0, end);
        if (line.n)
            problem(v, AL_STR_FMT, AL_STR_ARG(line));
        text = end == SIZE_MAX ? AL_STR("") : al_str_sub(text, end + 1, text.n);
    }
}

/* An error when the caller wants an end, or the store is wanted. */
static enum al_code poll(struct verify *v, double done, struct al_err *err)
{
    if (v->progress && !v->progress(v->u, done))
        return AL_FAIL(err, AL_CANCELLED, "verify: cancelled");
    if (atomic_load(&v->s->cancel))
        return AL_FAIL(err, AL_UNAVAILABLE, "verify: the store is being opened again");
    return AL_OK;
}

/* ---- the moment ---- */

static enum al_code take_moment(struct verify *v, struct al_err *err)
{
    struct al_shard *s = v->s;
    pthread_mutex_lock(&s->apply_lock);
    enum al_code code = al_shard_acquire_store(s, &v->store, err);
    if (code == AL_OK) {
        v->ops = v->store->ops;
        v->log_first = s->log_first;
        v->log_last = al_repl_last(s->repl);
        v->applied = al_repl_applied_index(s->repl);
        v->n_want = s->n_counts;
        v->want = al_arena_array(v->a, s->n_counts, sizeof(*v->want));
        v->found = al_arena_array(v->a, s->n_counts, sizeof(*v->found));
        v->report.problems = al_arena_array(v->a, PROBLEMS_MAX, sizeof(*v->report.problems));
        v->suspects = al_arena_array(v->a, SUSPECTS_MAX, sizeof(*v->suspects));
        if (!v->want || !v->found || !v->report.problems || !v->suspects)
            code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "verify: out of memory");
        else if (s->n_counts)
            memcpy(v->want, s->counts, s->n_counts * sizeof(*v->want));
    }
    if (code == AL_OK)
        code = v->ops->iter_create(v->store, AL_FAMILY_LOG, &v->log, err);
    if (code == AL_OK)
        code = v->ops->iter_create(v->store, AL_FAMILY_DOC, &v->docs, err);
    if (code == AL_OK)
        code = v->ops->iter_create(v->store, AL_FAMILY_CHUNK, &v->chunks, err);
    pthread_mutex_unlock(&s->apply_lock);
    for (size_t i = 0; code == AL_OK && i < v->n_want; i++)
        v->found[i].space = v->want[i].space;
    return code;
}

static void end_moment(struct verify *v)
{
    if (!v->store)
        return;
    v->ops->iter_destroy(v->log);
    v->ops->iter_destroy(v->docs);
    v->ops->iter_destroy(v->chunks);
    al_shard_release_store(v->s);
    v->store = NULL;
}

/* A scan that ends early: damage is a problem found, anything else an error. */
static enum al_code end_scan(struct verify *v, const struct al_store_iter *it, const char *what,
                             struct al_err *err)
{
    struct al_err e = {0};
    enum al_code code = v->ops->iter_status(it, &e);
    if (code == AL_DATA_LOSS) {
        problem(v, "%s: %s", what, e.msg);
        return AL_OK;
    }
    if (code != AL_OK && err)
        *err = e;
    return code;
}

/* ---- the log ---- */

static void check_entry(struct verify *v, uint64_t index, struct al_str value, uint64_t *epoch)
{
    struct al_entry e;
    struct al_err problem_err = {0};
    al_arena_reset(&v->scratch);
    if (al_entry_decode(value, index, &v->scratch, &e, &problem_err) != AL_OK) {
        problem(v, "%s", problem_err.msg);
        return;
    }
    if (e.epoch < *epoch)
        problem(v, "log entry %" PRIu64 ": epoch %" PRIu64 " after %" PRIu64, index, e.epoch,
                *epoch);
    *epoch = e.epoch;
}

static enum al_code check_log(struct verify *v, struct al_err *err)
{
    uint64_t next = v->log_first;
    uint64_t epoch = 0;
    v->ops->iter_seek(v->log, AL_STR(""));
    for (; v->ops->iter_valid(v->log); v->ops->iter_next(v->log)) {
        uint64_t index = 0;
        if (!al_key_u64_parse(v->ops->iter_key(v->log), &index)) {
            problem(v, "log: a key that is no index");
            continue;
        }
        if (index != next)
            problem(v, "log: entries %" PRIu64 " to %" PRIu64 " are missing", next, index - 1);
        check_entry(v, index, v->ops->iter_value(v->log), &epoch);
        next = index + 1;
        if (++v->report.log_checked % POLL_DOCS == 0)
            AL_TRY(poll(v, 0.0, err));
    }
    AL_TRY(end_scan(v, v->log, "log", err));
    if (next != v->log_last + 1)
        problem(v, "log: ends at %" PRIu64 ", should at %" PRIu64, next - 1, v->log_last);
    if (v->applied > v->log_last)
        problem(v, "log: ends at %" PRIu64 ", applied is %" PRIu64, v->log_last, v->applied);
    return AL_OK;
}

/* ---- documents ---- */

static struct al_space_count *found_count(struct verify *v, uint32_t space)
{
    for (size_t lo = 0, hi = v->n_want; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->found[mid].space == space)
            return &v->found[mid];
        if (v->found[mid].space < space)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* A document that looks wrong in the segments, or was just replaced: for later. */
static enum al_code suspect(struct verify *v, const struct al_doc *d, struct al_err *err)
{
    if (v->n_suspects == SUSPECTS_MAX)
        return AL_OK;
    struct suspect *x = &v->suspects[v->n_suspects];
    AL_TRY(al_arena_str(v->a, d->id, &x->id, err));
    x->space = d->space;
    x->docno = d->docno;
    v->n_suspects++;
    return AL_OK;
}

static enum al_code check_segment(struct verify *v, const struct al_doc *d, struct al_err *err)
{
    struct al_buf lines;
    al_buf_init(&lines, v->s->opt.mem, PROBLEM_BYTES_MAX);
    enum al_code code = al_segset_verify_doc(v->s->segs, d, &lines, err);
    bool any = lines.n > 0;
    al_buf_fini(&lines);
    AL_TRY(code);
    return any ? suspect(v, d, err) : AL_OK;
}

/* Under apply_lock: what is wrong with the document now, if it is still that version. */
static enum al_code check_suspect(struct verify *v, const struct suspect *x, struct al_store *st,
                                  struct al_buf *lines, struct al_err *err)
{
    struct al_key k = al_key_doc(x->space, x->id);
    struct al_key number = al_key_u64(x->docno);
    struct al_buf doc;
    struct al_buf row_bytes;
    struct al_doc d;
    struct al_chunk_row row;
    al_arena_reset(&v->scratch);
    al_buf_init(&doc, al_arena_mem(&v->scratch), 0);
    al_buf_init(&row_bytes, al_arena_mem(&v->scratch), 0);
    enum al_code code = st->ops->get(st, AL_FAMILY_DOC, al_key_view(&k), &doc, err);
    if (code == AL_OK)
        code = st->ops->get(st, AL_FAMILY_CHUNK, al_key_view(&number), &row_bytes, err);
    if (code == AL_NOT_FOUND || code == AL_DATA_LOSS)
        return AL_OK; /* gone, or reported before */
    AL_TRY(code);
    AL_TRY(al_doc_decode(al_buf_view(&doc), &v->scratch, &d, err));
    AL_TRY(al_chunk_row_decode(al_buf_view(&row_bytes), &row, err));
    if (d.docno != x->docno)
        return AL_OK;
    if (row.dim == v->s->opt.dim)
        AL_TRY(al_chunk_row_vectors(&row, &v->scratch, &d.vectors, err));
    return al_segset_verify_doc(v->s->segs, &d, lines, err);
}

static enum al_code check_suspects(struct verify *v, struct al_err *err)
{
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < v->n_suspects; i++) {
        struct al_buf lines;
        struct al_store *st = NULL;
        al_buf_init(&lines, v->s->opt.mem, PROBLEM_BYTES_MAX);
        pthread_mutex_lock(&v->s->apply_lock);
        code = al_shard_acquire_store(v->s, &st, err);
        if (code == AL_OK) {
            code = check_suspect(v, &v->suspects[i], st, &lines, err);
            al_shard_release_store(v->s);
        }
        pthread_mutex_unlock(&v->s->apply_lock);
        if (code == AL_OK)
            problems(v, al_buf_view(&lines));
        al_buf_fini(&lines);
    }
    return code;
}

/* The document's row of vectors. */
static bool check_chunk_row(struct verify *v, struct al_doc *d, struct al_err *err,
                            enum al_code *ret_code)
{
    struct al_key k = al_key_u64(d->docno);
    *ret_code = AL_OK;
    v->ops->iter_seek(v->chunks, al_key_view(&k));
    if (!v->ops->iter_valid(v->chunks) ||
        !al_str_eq(v->ops->iter_key(v->chunks), al_key_view(&k))) {
        problem(v, "document '" AL_STR_FMT "': vectors of number %" PRIu64 " are missing",
                AL_STR_ARG(d->id), d->docno);
        return false;
    }
    struct al_chunk_row row;
    if (al_chunk_row_decode(v->ops->iter_value(v->chunks), &row, NULL) != AL_OK ||
        row.space != d->space || !al_str_eq(row.id, d->id) || row.n_chunks != d->n_chunks) {
        problem(v, "document '" AL_STR_FMT "': vectors are not its own", AL_STR_ARG(d->id));
        return false;
    }
    if (row.dim == v->s->opt.dim)
        *ret_code = al_chunk_row_vectors(&row, &v->scratch, &d->vectors, err);
    return *ret_code == AL_OK;
}

static enum al_code check_doc(struct verify *v, struct al_str key, struct al_str value,
                              struct al_err *err)
{
    uint16_t slot = 0;
    uint32_t space = 0;
    struct al_str id;
    struct al_doc d;
    struct al_err e = {0};
    al_arena_reset(&v->scratch);
    v->report.docs_checked++;
    if (!al_key_doc_parse(key, &slot, &space, &id)) {
        problem(v, "store: a document's key");
        return AL_OK;
    }
    enum al_code code = al_doc_decode(value, &v->scratch, &d, &e);
    if (code == AL_RESOURCE_EXHAUSTED) {
        if (err)
            *err = e;
        return code;
    }
    struct al_space_count *c = found_count(v, space);
    if (c) {
        c->docs++;
        c->bytes += value.n;
    }
    if (code != AL_OK || d.space != space || !al_str_eq(d.id, id) ||
        slot != al_doc_slot(space, id)) {
        problem(v, "document '" AL_STR_FMT "': %s", AL_STR_ARG(id),
                code != AL_OK ? e.msg : "lies under another key");
        return AL_OK;
    }
    if (c)
        c->chunks += d.n_chunks;
    v->report.chunks_checked += d.n_chunks;
    if (!check_chunk_row(v, &d, err, &code))
        return code;
    return check_segment(v, &d, err);
}

static enum al_code check_docs(struct verify *v, struct al_err *err)
{
    uint64_t total = 1;
    for (size_t i = 0; i < v->n_want; i++)
        total += v->want[i].docs;
    v->ops->iter_seek(v->docs, AL_STR(""));
    for (; v->ops->iter_valid(v->docs); v->ops->iter_next(v->docs)) {
        AL_TRY(check_doc(v, v->ops->iter_key(v->docs), v->ops->iter_value(v->docs), err));
        if (v->report.docs_checked % POLL_DOCS == 0)
            AL_TRY(poll(v, 0.9 * (double)v->report.docs_checked / (double)total, err));
    }
    AL_TRY(end_scan(v, v->docs, "documents", err));
    uint64_t rows = 0;
    v->ops->iter_seek(v->chunks, AL_STR(""));
    for (; v->ops->iter_valid(v->chunks); v->ops->iter_next(v->chunks))
        rows++;
    AL_TRY(end_scan(v, v->chunks, "vectors", err));
    if (rows != v->report.docs_checked)
        problem(v, "vectors: %" PRIu64 " rows for %" PRIu64 " documents", rows,
                v->report.docs_checked);
    for (size_t i = 0; i < v->n_want; i++) {
        const struct al_space_count *w = &v->want[i];
        const struct al_space_count *f = &v->found[i];
        if (w->docs != f->docs || w->chunks != f->chunks || w->bytes != f->bytes)
            problem(v,
                    "space %u: counters say %" PRIu64 " documents, %" PRIu64 " chunks, %" PRIu64
                    " bytes; found %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                    w->space, w->docs, w->chunks, w->bytes, f->docs, f->chunks, f->bytes);
    }
    return AL_OK;
}

/* Counters and segments, while nothing moves. */
static void check_totals(struct verify *v)
{
    struct al_shard *s = v->s;
    struct al_segset_status st;
    uint64_t chunks = 0;
    pthread_mutex_lock(&s->apply_lock);
    al_segset_get_status(s->segs, &st);
    for (size_t i = 0; i < s->n_counts; i++)
        chunks += s->counts[i].chunks;
    pthread_mutex_unlock(&s->apply_lock);
    if (chunks != st.n_chunks)
        problem(v, "segments: hold %" PRIu64 " live chunks, counters say %" PRIu64, st.n_chunks,
                chunks);
}

static enum al_code check_files(struct verify *v, struct al_err *err)
{
    struct al_buf lines;
    al_buf_init(&lines, v->s->opt.mem, PROBLEM_BYTES_MAX);
    enum al_code code =
        al_segset_verify_files(v->s->segs, &lines, &v->report.segments_checked, err);
    if (code == AL_OK)
        problems(v, al_buf_view(&lines));
    al_buf_fini(&lines);
    return code;
}

static enum al_code verify_all(struct verify *v, struct al_err *err)
{
    AL_TRY(take_moment(v, err));
    AL_TRY(check_log(v, err));
    AL_TRY(check_docs(v, err));
    end_moment(v);
    AL_TRY(poll(v, 0.9, err));
    AL_TRY(check_suspects(v, err));
    AL_TRY(check_files(v, err));
    check_totals(v);
    return poll(v, 1.0, err);
}

enum al_code al_shard_verify(struct al_shard *s, struct al_arena *a,
                             bool (*progress)(void *u, double done), void *u,
                             struct al_verify_report *ret, struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    struct verify v = {.s = s, .a = a, .progress = progress, .u = u};
    al_arena_init(&v.scratch, s->opt.mem, AL_SHARD_GROUP_ARENA_BYTES);
    enum al_code code = verify_all(&v, err);
    end_moment(&v);
    al_arena_fini(&v.scratch);
    if (code == AL_OK)
        *ret = v.report;
    return code;
}
