/* What a set says of itself: state, tombstones, what to merge, and whether it agrees with the
 * documents. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/analyzer.h"
#include "prepare.h"
#include "segset_impl.h"

#define TIER_ROWS 10000u /* segments up to this size are of the lowest tier */
#define MERGE_FACTOR_DEFAULT 8u

static void add_segment(const struct al_segment *s, struct al_segset_status *ret)
{
    ret->n_docs += s->n_docs - s->n_dead_docs;
    ret->n_chunks += s->n_rows - s->n_dead_rows;
    ret->n_terms += s->n_live_terms;
    ret->n_tombstones += s->n_dead_rows;
    ret->stale_docs += s->n_stale;
    ret->memory_bytes += s->dead_cap * sizeof *s->dead + s->cap_counts * sizeof *s->counts;
    ret->memory_bytes += s->lengths ? (s->n_rows + 1ull) * sizeof *s->lengths : 0;
    ret->memory_bytes += s->dead_log ? s->n_docs * sizeof *s->dead_log : 0;
    ret->memory_bytes += s->dead_counts ? s->n_terms * sizeof *s->dead_counts : 0;
}

void al_segset_get_status(struct al_segset *g, struct al_segset_status *ret)
{
    struct al_segset_status st = {0};
    pthread_rwlock_rdlock(&g->lock);
    const struct al_view *v = g->view;
    for (size_t i = 0; i < v->n_sealed; i++) {
        const struct al_sealed *s = v->sealed[i];
        add_segment(&s->seg, &st);
        st.file_bytes += s->map.n;
        st.memory_bytes += sizeof *s + (s->index ? s->index->ops->memory_bytes(s->index) : 0);
        st.sealed_last = s->footer.last > st.sealed_last ? s->footer.last : st.sealed_last;
    }
    st.n_sealed = (uint32_t)v->n_sealed;
    add_segment(&v->growing->seg, &st);
    st.growing_rows = v->growing->seg.n_rows - v->growing->seg.n_dead_rows;
    st.memory_bytes += al_growing_memory_bytes(v->growing);
    pthread_rwlock_unlock(&g->lock);
    *ret = st;
}

static enum al_code describe(const struct al_segment *s, struct al_str embedder_id,
                             struct al_arena *a, struct al_segment_status *ret, struct al_err *err)
{
    *ret = (struct al_segment_status){.is_sealed = s->is_sealed,
                                      .rows = s->n_rows,
                                      .dead_rows = s->n_dead_rows,
                                      .analyzer_version = AL_ANALYZER_VERSION};
    for (size_t i = 0; i < s->n_counts; i++)
        ret->has_community = ret->has_community || s->counts[i].space == 1;
    return al_arena_str(a, embedder_id, &ret->embedder_id, err);
}

/* Under the lock. */
static enum al_code list_segments(struct al_segset *g, struct al_arena *a,
                                  struct al_segment_status **ret, size_t *ret_n, struct al_err *err)
{
    const struct al_view *v = g->view;
    struct al_segment_status *out = al_arena_array(a, v->n_sealed + 1, sizeof *out);
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segments: out of memory");
    for (size_t i = 0; i < v->n_sealed; i++) {
        const struct al_sealed *s = v->sealed[i];
        AL_TRY(describe(&s->seg, al_str_c(s->footer.embedder_id), a, &out[i], err));
        out[i].id = s->footer.last;
        out[i].first = s->footer.first;
        out[i].disk_bytes = s->map.n;
        out[i].analyzer_version = s->footer.analyzer_version;
    }
    AL_TRY(describe(&v->growing->seg, al_str_c(g->embedder_id), a, &out[v->n_sealed], err));
    *ret = out;
    *ret_n = v->n_sealed + 1;
    return AL_OK;
}

enum al_code al_segset_list(struct al_segset *g, struct al_arena *a, struct al_segment_status **ret,
                            size_t *ret_n, struct al_err *err)
{
    pthread_rwlock_rdlock(&g->lock);
    enum al_code code = list_segments(g, a, ret, ret_n, err);
    pthread_rwlock_unlock(&g->lock);
    return code;
}

/* ---- tombstones ---- */

static int cmp_dead(const void *a, const void *b)
{
    const struct al_dead_doc *x = a;
    const struct al_dead_doc *y = b;
    return x->docno < y->docno ? -1 : x->docno > y->docno;
}

/* Under the lock: dead documents of the range, into out unless it is NULL. */
static size_t dead_of(const struct al_view *v, uint64_t first, uint64_t last,
                      struct al_dead_doc *out)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_sealed; i++) {
        const struct al_segment *s = &v->sealed[i]->seg;
        for (uint32_t doc = 0; s->n_dead_docs > 0 && doc < s->n_docs; doc++) {
            uint64_t index = s->docs[doc].docno >> 20;
            if (!al_segment_is_dead(s, doc) || index <= first || index > last)
                continue;
            if (out)
                out[n] = (struct al_dead_doc){s->docs[doc].docno, s->docs[doc].space};
            n++;
        }
    }
    return n;
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the contract
enum al_code al_segset_dead(struct al_segset *g, uint64_t first, uint64_t last, struct al_arena *a,
                            struct al_dead_doc **ret, size_t *ret_n, struct al_err *err)
{
    pthread_rwlock_rdlock(&g->lock);
    size_t n = dead_of(g->view, first, last, NULL);
    struct al_dead_doc *out = al_arena_array(a, n, sizeof *out);
    if (out)
        (void)dead_of(g->view, first, last, out);
    pthread_rwlock_unlock(&g->lock);
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segments: out of memory");
    qsort(out, n, sizeof *out, cmp_dead);
    *ret = out;
    *ret_n = n;
    return AL_OK;
}

/* ---- merging ---- */

static unsigned tier_of(const struct al_sealed *s, uint32_t factor)
{
    uint64_t n = s->seg.n_rows - s->seg.n_dead_rows;
    unsigned tier = 0;
    for (uint64_t limit = TIER_ROWS; n > limit && tier < 32; limit *= factor)
        tier++;
    return tier;
}

static bool is_mostly_dead(const struct al_sealed *s)
{
    return s->seg.n_dead_rows > 0 && s->seg.n_dead_rows >= s->seg.n_rows / 2;
}

/* Length of the run of adjacent segments from i whose tier is at most `tier`. */
static size_t run_of(const struct al_view *v, size_t i, unsigned tier, uint32_t factor)
{
    size_t n = 0;
    for (; i + n < v->n_sealed && tier_of(v->sealed[i + n], factor) <= tier; n++)
        if (n > 0 && v->sealed[i + n]->footer.first != v->sealed[i + n - 1]->footer.last)
            break;
    return n;
}

/* Under the lock. */
static bool pick(const struct al_view *v, uint32_t factor, uint64_t *ret_first, uint64_t *ret_last)
{
    for (unsigned tier = 0; tier <= 32; tier++) {
        for (size_t i = 0; i < v->n_sealed; i++) {
            size_t n = run_of(v, i, tier, factor);
            if (n < factor)
                continue;
            *ret_first = v->sealed[i]->footer.first;
            *ret_last = v->sealed[i + n - 1]->footer.last;
            return true;
        }
    }
    for (size_t i = 0; i < v->n_sealed; i++) {
        if (is_mostly_dead(v->sealed[i])) {
            *ret_first = v->sealed[i]->footer.first;
            *ret_last = v->sealed[i]->footer.last;
            return true;
        }
    }
    return false;
}

bool al_segset_pick_merge(const struct al_segset *g, uint32_t merge_factor, uint64_t *ret_first,
                          uint64_t *ret_last)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)(uintptr_t)&g->lock;
    uint32_t factor = merge_factor == 0  ? MERGE_FACTOR_DEFAULT
                      : merge_factor < 2 ? 2
                                         : merge_factor;
    pthread_rwlock_rdlock(lock);
    bool found = pick(g->view, factor, ret_first, ret_last);
    pthread_rwlock_unlock(lock);
    return found;
}

/* ---- memory of graphs ---- */

/* The segment that comes after `before` (NULL: the first) by falling number of vectors. */
static struct al_sealed *next_largest(const struct al_view *v, const struct al_sealed *before)
{
    struct al_sealed *best = NULL;
    size_t best_at = 0;
    size_t before_at = v->n_sealed;
    for (size_t i = 0; i < v->n_sealed; i++)
        if (v->sealed[i] == before)
            before_at = i;
    for (size_t i = 0; i < v->n_sealed; i++) {
        struct al_sealed *s = v->sealed[i];
        bool after = !before || s->seg.n_vecs < before->seg.n_vecs ||
                     (s->seg.n_vecs == before->seg.n_vecs && i > before_at);
        if (after && (!best || s->seg.n_vecs > v->sealed[best_at]->seg.n_vecs)) {
            best = s;
            best_at = i;
        }
    }
    return best;
}

/* Bytes copied of it, now or before. */
static uint64_t copy_graph(struct al_sealed *s, uint64_t max_bytes)
{
    return s->index && s->index->ops->copy ? s->index->ops->copy(s->index, max_bytes) : 0;
}

uint64_t al_segset_copy_graphs(struct al_segset *g, uint64_t max_bytes)
{
    struct al_view *v = al_view_ref(g);
    uint64_t held = 0;
    for (size_t i = 0; i < v->n_sealed; i++)
        held += copy_graph(v->sealed[i], 0);
    for (struct al_sealed *s = next_largest(v, NULL); s; s = next_largest(v, s))
        if (held < max_bytes && copy_graph(s, 0) == 0)
            held += copy_graph(s, max_bytes - held);
    al_view_unref(v);
    return held;
}

/* ---- verification ---- */

static void problem(struct al_buf *b, const struct al_doc *d, const char *what)
{
    al_buf_printf(b, "space %u: document '" AL_STR_FMT "': %s\n", d->space, AL_STR_ARG(d->id),
                  what);
}

static bool terms_agree(const struct al_part *p, const struct al_prepared *want, uint32_t chunk,
                        uint32_t row)
{
    const struct al_prepared_row *r = &want->rows[chunk];
    if (p->seg->rows[row].n_terms != r->length)
        return false;
    for (size_t i = r->term_first; i < r->term_first + r->n_terms; i++) {
        const struct al_prepared_term *t = &want->terms[i];
        struct al_postings_view v;
        struct al_list l;
        if (!p->seg->find(p->seg, (struct al_str){want->bytes + t->at, t->n_bytes}, &v))
            return false;
        al_list_init(&l, &v, p->n_rows, p->seg->is_sealed);
        if (al_list_seek(&l, row) != row || al_list_tf(&l) != t->tf)
            return false;
    }
    return true;
}

static bool vector_agrees(const struct al_part *p, const struct al_prepared *want, uint32_t chunk,
                          uint32_t row)
{
    const struct al_segment *s = p->seg;
    uint32_t v = al_segment_vec_of_row(s, row);
    if (!want->vectors)
        return true;
    if (v ==
        AL_ROW_NONE) /* fine if it never had one, or those of the file are another embedder's */
        return !want->rows[chunk].has_vector ||
               (s->n_vecs == 0 && s->docs[s->rows[row].doc].n_vecs > 0);
    return memcmp(s->vectors + (size_t)v * s->dim, want->vectors + (size_t)chunk * s->dim,
                  s->dim * sizeof(float)) == 0;
}

static void verify_part(const struct al_part *p, const struct al_doc *d,
                        const struct al_prepared *want, uint32_t doc, struct al_buf *ret)
{
    const struct al_seg_doc *have = &p->seg->docs[doc];
    if (!al_str_eq(al_segment_id(p->seg, have), d->id))
        problem(ret, d, "its number is another document's in the segments");
    if (have->n_rows != want->n_rows) {
        problem(ret, d, "number of chunks in the segments differs");
        return;
    }
    bool terms = true;
    bool vectors = true;
    for (uint32_t i = 0; i < want->n_rows; i++) {
        terms = terms && terms_agree(p, want, i, have->row_first + i);
        vectors = vectors && vector_agrees(p, want, i, have->row_first + i);
    }
    if (!terms)
        problem(ret, d, "postings differ from its text");
    if (!vectors)
        problem(ret, d, "vectors in the segments differ");
}

enum al_code al_segset_verify_doc(struct al_segset *g, const struct al_doc *d,
                                  struct al_buf *ret_problems, struct al_err *err)
{
    AL_AUTO(al_prepared) want = NULL;
    struct al_arena a;
    struct al_scope s;
    AL_TRY(al_prepare(d, g->dim, al_str_c(g->embedder_id), g->mem, &want, err));
    al_arena_init(&a, g->mem, 64u << 20);
    enum al_code code = al_scope_open(g, &d->space, 1, &a, &s, err);
    unsigned found = 0;
    for (size_t i = 0; code == AL_OK && i < s.n_parts; i++) {
        if (i + 1 == s.n_parts)
            al_scope_lock(&s);
        uint32_t doc = al_part_find(&s.parts[i], d->space, d->docno);
        if (doc == AL_ROW_NONE)
            continue;
        found++;
        verify_part(&s.parts[i], d, want, doc, ret_problems);
    }
    if (code == AL_OK) {
        al_scope_close(&s);
        if (found != 1)
            problem(ret_problems, d, found ? "in more than one segment" : "in no segment");
        code = al_buf_status(ret_problems, err);
    }
    al_arena_fini(&a);
    return code;
}

static enum al_code verify_file(struct al_segset *g, const struct al_sealed *s, struct al_err *err)
{
    char path[4096];
    uint64_t size = 0;
    AL_TRY(al_sealed_path(g->dir, s->name, path, sizeof path, err));
    AL_TRY(g->disk->ops->size(g->disk, path, &size, err));
    if (size != s->map.n)
        return AL_FAIL(err, AL_DATA_LOSS, "segment: file size is %" PRIu64 ", was %zu", size,
                       s->map.n);
    struct al_seg_footer f;
    AL_TRY(al_seg_footer_decode(s->map.p, s->map.n, &f, err));
    AL_TRY(al_sealed_check_sums(s->map.p, &f, err));
    return al_sealed_check_deep(s, err);
}

static enum al_code scrub_file(struct al_segset *g, const struct al_sealed *s, struct al_err *err)
{
    char path[4096];
    AL_TRY(al_sealed_path(g->dir, s->name, path, sizeof path, err));
    return al_sealed_scrub(g->disk, path, &s->footer, g->mem, err);
}

/* Too little memory or too many open files say nothing about a file. */
static bool is_about_file(enum al_code scrubbed)
{
    return scrubbed != AL_OK && scrubbed != AL_RESOURCE_EXHAUSTED;
}

/* Not replaced while it was looked at: then its file may be gone already, and that is no damage. */
static bool is_current(struct al_segset *g, const struct al_sealed *s)
{
    struct al_view *v = al_view_ref(g);
    bool is = false;
    for (size_t i = 0; i < v->n_sealed && !is; i++)
        is = v->sealed[i] == s;
    al_view_unref(v);
    return is;
}

enum al_code al_segset_scrub_files(struct al_segset *g, struct al_buf *ret_problems,
                                   uint64_t *ret_checked, struct al_err *err)
{
    struct al_view *v = al_view_ref(g);
    enum al_code end = AL_OK;
    for (size_t i = 0; end == AL_OK && i < v->n_sealed; i++) {
        struct al_err e = {0};
        enum al_code code = scrub_file(g, v->sealed[i], &e);
        if (is_about_file(code) && !is_current(g, v->sealed[i])) {
            continue;
        } else if (is_about_file(code)) {
            al_buf_printf(ret_problems, "file '%s': %s\n", v->sealed[i]->name, e.msg);
        } else if (code != AL_OK) {
            end = code;
            if (err)
                *err = e;
        }
    }
    *ret_checked = v->n_sealed;
    al_view_unref(v);
    return end == AL_OK ? al_buf_status(ret_problems, err) : end;
}

bool al_segset_is_damaged(struct al_segset *g, uint64_t last)
{
    struct al_view *v = al_view_ref(g);
    bool is = false;
    for (size_t i = 0; i < v->n_sealed; i++) {
        if (v->sealed[i]->footer.last == last)
            is = is_about_file(scrub_file(g, v->sealed[i], NULL)) ||
                 verify_file(g, v->sealed[i], NULL) != AL_OK;
    }
    al_view_unref(v);
    return is;
}

enum al_code al_segset_verify_files(struct al_segset *g, struct al_buf *ret_problems,
                                    uint64_t *ret_checked, struct al_err *err)
{
    struct al_view *v = al_view_ref(g);
    for (size_t i = 0; i < v->n_sealed; i++) {
        struct al_err e = {0};
        if (verify_file(g, v->sealed[i], &e) != AL_OK && is_current(g, v->sealed[i]))
            al_buf_printf(ret_problems, "file '%s': %s\n", v->sealed[i]->name, e.msg);
    }
    *ret_checked = v->n_sealed;
    al_view_unref(v);
    return al_buf_status(ret_problems, err);
}
