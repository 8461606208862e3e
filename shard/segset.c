#include "segset.h"

#include <stdio.h>
#include <string.h>

#include "manifest.h"
#include "segset_impl.h"

#define SCAN_ROWS_DEFAULT 2000u

static enum al_code out_of_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segments: out of memory");
}

struct al_sealed_options al_segset_sealed_options(const struct al_segset *g)
{
    return (struct al_sealed_options){
        .dir = g->dir,
        .embedder_id = al_str_c(g->embedder_id),
        .dim = g->dim,
        .scan_rows_max = g->scan_rows_max,
        .index_threads = g->index_threads,
        .index = g->index,
        .mem = g->mem,
        .disk = g->disk,
    };
}

/* ---- views ---- */

/* A view with room for n sealed segments (none in it yet); the growing one is moved in. */
static struct al_view *view_alloc(struct al_mem *mem, size_t n, struct al_growing *growing)
{
    struct al_view *v = al_mem_zalloc(mem, sizeof *v + n * sizeof v->sealed[0]);
    if (!v)
        return NULL;
    atomic_init(&v->refs, 1);
    v->mem = mem;
    v->growing = growing;
    return v;
}

static void view_add(struct al_view *v, struct al_sealed *s)
{
    size_t at = v->n_sealed++;
    for (; at > 0 && v->sealed[at - 1]->footer.first > s->footer.first; at--)
        v->sealed[at] = v->sealed[at - 1];
    v->sealed[at] = s;
}

static bool lies_within(const struct al_sealed *s, uint64_t first, uint64_t last)
{
    return s->footer.first >= first && s->footer.last <= last;
}

static bool overlaps(const struct al_sealed *s, uint64_t first, uint64_t last)
{
    return s->footer.first < last && first < s->footer.last;
}

/* The view with `s` (moved on success) in place of all within its range. growing: moved on success.
 */
static struct al_view *view_with(const struct al_segset *g, struct al_sealed *s,
                                 struct al_growing *growing)
{
    const struct al_view *old = g->view;
    struct al_view *v = view_alloc(g->mem, old->n_sealed + 1, growing);
    if (!v)
        return NULL;
    for (size_t i = 0; i < old->n_sealed; i++) {
        if (lies_within(old->sealed[i], s->footer.first, s->footer.last))
            continue;
        atomic_fetch_add(&old->sealed[i]->refs, 1);
        view_add(v, old->sealed[i]);
    }
    view_add(v, s);
    return v;
}

/* Show v to all; the lock must not be held. */
static void publish(struct al_segset *g, struct al_view *v)
{
    pthread_rwlock_wrlock(&g->lock);
    struct al_view *old = g->view;
    g->view = v;
    pthread_rwlock_unlock(&g->lock);
    al_view_unref(old);
}

/* ---- life ---- */

static enum al_code fill(struct al_segset *g, const struct al_segset_options *opt,
                         struct al_err *err)
{
    const char *embedder = opt->embedder_id ? opt->embedder_id : "";
    if (strlen(embedder) >= sizeof((struct al_seg_footer *)0)->embedder_id)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "segments: embedder id '%.60s' is too long",
                       embedder);
    g->dir = al_mem_strndup(g->mem, opt->dir, strlen(opt->dir));
    g->embedder_id = al_mem_strndup(g->mem, embedder, strlen(embedder));
    if (!g->dir || !g->embedder_id)
        return out_of_memory(err);
    AL_TRY(al_disk_mkdirs(g->disk, g->dir, 0700, err));
    struct al_growing *growing;
    AL_TRY(al_growing_create(g->dim, g->mem, &growing, err));
    g->view = view_alloc(g->mem, 0, growing);
    if (!g->view)
        al_growing_unref(growing);
    return g->view ? AL_OK : out_of_memory(err);
}

enum al_code al_segset_create(const struct al_segset_options *opt, struct al_segset **ret,
                              struct al_err *err)
{
    AL_AUTO(al_segset) g = al_mem_zalloc(opt->mem, sizeof *g);
    if (!g)
        return out_of_memory(err);
    g->mem = opt->mem ? opt->mem : al_mem_std();
    g->disk = opt->disk ? opt->disk : al_disk_system();
    g->clock = opt->clock ? opt->clock : al_clock_system();
    g->log = opt->log;
    g->index = opt->index ? opt->index : al_index_hnsw();
    g->dim = opt->dim;
    g->index_threads = opt->index_threads;
    g->scan_rows_max = opt->scan_rows_max ? opt->scan_rows_max : SCAN_ROWS_DEFAULT;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&g->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    AL_TRY(fill(g, opt, err));
    *ret = al_take(g);
    return AL_OK;
}

void al_segset_destroy(struct al_segset *g)
{
    if (!g)
        return;
    while (g->builds)
        al_segset_discard(g->builds);
    al_view_unref(g->view);
    pthread_rwlock_destroy(&g->lock);
    al_mem_free(g->mem, g->dir);
    al_mem_free(g->mem, g->embedder_id);
    al_mem_free(g->mem, g);
}

/* ---- documents ---- */

/* Under the write lock: the document is dead wherever it is. Whether a sealed segment has it or may
 * get it. */
static bool kill_doc(struct al_segset *g, uint32_t space, uint64_t docno)
{
    struct al_growing *growing = g->view->growing;
    uint32_t doc = al_growing_find_doc(growing, docno);
    bool is_sealed = false;
    if (doc != AL_ROW_NONE && growing->docs[doc].space == space)
        (void)al_segment_kill(&growing->seg, doc);
    for (size_t i = 0; i < g->view->n_sealed; i++) {
        struct al_sealed *s = g->view->sealed[i];
        doc = al_sealed_find_doc(s, space, docno);
        if (doc == AL_ROW_NONE)
            continue;
        (void)al_segment_kill(&s->seg, doc);
        is_sealed = true;
    }
    for (struct al_built *b = g->builds; b; b = b->next) {
        if (docno >> 20 <= b->first || docno >> 20 > b->last)
            continue;
        void *removed = b->removed;
        is_sealed = true;
        if (al_mem_grow(g->mem, &removed, &b->cap_removed, b->n_removed + 1, sizeof *b->removed) !=
            AL_OK) {
            b->lost_removal = true;
            continue;
        }
        b->removed = removed;
        b->removed[b->n_removed++] = (struct al_dead_doc){docno, space};
    }
    return is_sealed;
}

enum al_code al_segset_add(struct al_segset *g, const struct al_doc *d, struct al_err *err)
{
    AL_AUTO(al_prepared) p = NULL;
    AL_TRY(al_prepare(d, g->dim, al_str_c(g->embedder_id), g->mem, &p, err));
    pthread_rwlock_wrlock(&g->lock);
    enum al_code code = al_growing_commit(g->view->growing, p, err);
    pthread_rwlock_unlock(&g->lock);
    return code;
}

enum al_code al_segset_replace(struct al_segset *g, const struct al_doc *d, uint64_t old_docno,
                               bool *ret_sealed, struct al_err *err)
{
    AL_AUTO(al_prepared) p = NULL;
    AL_TRY(al_prepare(d, g->dim, al_str_c(g->embedder_id), g->mem, &p, err));
    pthread_rwlock_wrlock(&g->lock);
    enum al_code code = al_growing_commit(g->view->growing, p, err);
    if (code == AL_OK)
        *ret_sealed = kill_doc(g, d->space, old_docno);
    pthread_rwlock_unlock(&g->lock);
    return code;
}

bool al_segset_remove(struct al_segset *g, uint32_t space, uint64_t docno)
{
    pthread_rwlock_wrlock(&g->lock);
    bool is_sealed = kill_doc(g, space, docno);
    pthread_rwlock_unlock(&g->lock);
    return is_sealed;
}

uint64_t al_segset_growing_rows(const struct al_segset *g)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)(uintptr_t)&g->lock;
    pthread_rwlock_rdlock(lock);
    const struct al_segment *s = &g->view->growing->seg;
    uint64_t n = s->n_rows - s->n_dead_rows;
    pthread_rwlock_unlock(lock);
    return n;
}

/* ---- loading ---- */

static enum al_code check_name(struct al_str name, char buf[AL_SEG_NAME_BYTES], struct al_err *err)
{
    if (name.n == 0 || name.n >= AL_SEG_NAME_BYTES || memchr(name.p, '/', name.n) ||
        memchr(name.p, '\0', name.n) || !al_str_ends(name, AL_STR(".seg")))
        return AL_FAIL(err, AL_DATA_LOSS, "manifest: name of a segment file is malformed");
    memcpy(buf, name.p, name.n);
    buf[name.n] = '\0';
    return AL_OK;
}

enum al_code al_segset_load(struct al_segset *g, struct al_str entry, struct al_err *err)
{
    struct al_manifest_entry e;
    char name[AL_SEG_NAME_BYTES];
    AL_TRY(al_manifest_entry_decode(entry, &e, err));
    AL_TRY(check_name(e.name, name, err));
    for (size_t i = 0; i < g->view->n_sealed; i++)
        if (overlaps(g->view->sealed[i], e.first, e.last))
            return AL_FAIL(err, AL_FAILED_PRECONDITION,
                           "segment '%s': its log range is loaded already", name);
    struct al_sealed_options opt = al_segset_sealed_options(g);
    struct al_sealed *s = NULL;
    AL_TRY_CTX(err, al_sealed_load(&opt, name, &s, err), "file '%s'", name);
    enum al_code code = AL_OK;
    if (s->footer.first != e.first || s->footer.last != e.last ||
        s->footer.content_hash != e.content_hash)
        code =
            AL_FAIL(err, AL_DATA_LOSS, "file '%s': not the segment that the manifest names", name);
    struct al_view *v = code == AL_OK ? view_with(g, s, g->view->growing) : NULL;
    if (!v) {
        al_sealed_unref(s);
        return code == AL_OK ? out_of_memory(err) : code;
    }
    atomic_fetch_add(&v->growing->refs, 1);
    publish(g, v);
    return AL_OK;
}

/* ---- swapping ---- */

/* Take b out of the set's list. */
static void unlink_build(struct al_built *b)
{
    struct al_segset *g = b->set;
    pthread_rwlock_wrlock(&g->lock);
    struct al_built **at = &g->builds;
    while (*at && *at != b)
        at = &(*at)->next;
    if (*at)
        *at = b->next;
    pthread_rwlock_unlock(&g->lock);
}

static void free_build(struct al_built *b)
{
    al_sealed_unref(b->sealed);
    al_mem_free(b->set->mem, b->removed);
    al_mem_free(b->set->mem, b);
}

/* The growing segment without what b covers. One reference for the caller. */
static enum al_code remaining(struct al_segset *g, const struct al_built *b,
                              struct al_growing **ret, struct al_err *err)
{
    struct al_growing *have = g->view->growing;
    if (al_growing_has_range(have, b->first, b->last))
        return al_growing_copy_outside(have, b->first, b->last, ret, err);
    atomic_fetch_add(&have->refs, 1);
    *ret = have;
    return AL_OK;
}

enum al_code al_segset_swap(struct al_segset *g, struct al_built *b, struct al_err *err)
{
    for (size_t i = 0; i < g->view->n_sealed; i++) {
        const struct al_sealed *s = g->view->sealed[i];
        if (overlaps(s, b->first, b->last) && !lies_within(s, b->first, b->last))
            return AL_FAIL(err, AL_FAILED_PRECONDITION,
                           "segments: '%s' lies partly in the range of the new one", s->name);
    }
    if (b->lost_removal)
        return out_of_memory(err);
    struct al_growing *growing = NULL;
    AL_TRY(remaining(g, b, &growing, err));
    struct al_view *v = view_with(g, b->sealed, growing);
    if (!v) {
        al_growing_unref(growing);
        return out_of_memory(err);
    }
    for (size_t i = 0; i < b->n_removed; i++) {
        uint32_t doc = al_sealed_find_doc(b->sealed, b->removed[i].space, b->removed[i].docno);
        if (doc != AL_ROW_NONE)
            (void)al_segment_kill(&b->sealed->seg, doc);
    }
    b->sealed = NULL; /* the view's now */
    unlink_build(b);
    publish(g, v);
    free_build(b);
    return AL_OK;
}

static bool is_in_use(const struct al_segset *g, const char *name, const struct al_built *except)
{
    for (size_t i = 0; i < g->view->n_sealed; i++)
        if (strcmp(g->view->sealed[i]->name, name) == 0)
            return true;
    for (const struct al_built *b = g->builds; b; b = b->next) {
        char range[48]; /* the final name appears a moment before the build knows it */
        int n = snprintf(range, sizeof range, "%llu-%llu-", (unsigned long long)b->first,
                         (unsigned long long)b->last);
        if (b != except && (strcmp(b->temp, name) == 0 || strncmp(range, name, (size_t)n) == 0))
            return true;
    }
    return false;
}

static bool is_in_use_locked(struct al_segset *g, const char *name, const struct al_built *except)
{
    pthread_rwlock_rdlock(&g->lock);
    bool used = is_in_use(g, name, except);
    pthread_rwlock_unlock(&g->lock);
    return used;
}

void al_segset_discard(struct al_built *b)
{
    if (!b)
        return;
    struct al_segset *g = b->set;
    char path[4096];
    struct al_err ignored;
    unlink_build(b);
    if (b->name[0] && !is_in_use_locked(g, b->name, b) &&
        al_sealed_path(g->dir, b->name, path, sizeof path, &ignored) == AL_OK)
        (void)!g->disk->ops->remove(g->disk, path, &ignored); /* else al_segset_sweep does */
    free_build(b);
}

static enum al_code sweep_one(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    struct al_segset *g = u;
    char path[4096];
    struct al_str name = al_str_c(e->name);
    bool ours =
        al_str_ends(name, AL_STR(".seg")) || al_str_starts(name, AL_STR(AL_DISK_TEMP_PREFIX));
    if (!e->is_file || !ours || is_in_use_locked(g, e->name, NULL))
        return AL_OK;
    AL_TRY(al_sealed_path(g->dir, e->name, path, sizeof path, err));
    enum al_code code = g->disk->ops->remove(g->disk, path, err);
    return code == AL_NOT_FOUND ? AL_OK : code;
}

enum al_code al_segset_sweep(struct al_segset *g, struct al_err *err)
{
    return g->disk->ops->list(g->disk, g->dir, sweep_one, g, err);
}
