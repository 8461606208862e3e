/* Building a sealed segment, beside everything else that goes on. */
#include <inttypes.h>
#include <stdio.h>

#include "airlore/random.h"
#include "segset_impl.h"

struct gather {
    struct al_segset *set;
    struct al_growing *rows;
    uint64_t first;
    uint64_t last;
    bool (*cancel)(void *u);
    void *cancel_u;
};

static enum al_code gather_doc(void *u, const struct al_doc *d, struct al_err *err)
{
    struct gather *b = u;
    if (b->cancel && b->cancel(b->cancel_u))
        return AL_FAIL(err, AL_CANCELLED, "segment: build cancelled");
    if (d->docno >> 20 <= b->first || d->docno >> 20 > b->last)
        return AL_FAIL(err, AL_INTERNAL, "segment: a document outside the range to build");
    AL_AUTO(al_prepared) p = NULL;
    AL_TRY(al_prepare(d, b->set->dim, al_str_c(b->set->embedder_id), b->set->mem, &p, err));
    return al_growing_commit(b->rows, p, err);
}

/* From here on removals are noted for b. */
static void enlist(struct al_built *b)
{
    pthread_rwlock_wrlock(&b->set->lock);
    b->next = b->set->builds;
    b->set->builds = b;
    pthread_rwlock_unlock(&b->set->lock);
}

static enum al_code build_into(struct al_built *b, const struct al_doc_source *src,
                               struct gather *gather, struct al_err *err)
{
    struct al_segset *g = b->set;
    struct al_sealed_options opt = al_segset_sealed_options(g);
    opt.cancel = gather->cancel;
    opt.cancel_u = gather->cancel_u;
    AL_TRY(al_growing_create(g->dim, g->mem, &gather->rows, err));
    AL_TRY(src->each(src->u, b->first, b->last, gather_doc, gather, err));
    struct al_sealed_file file = {.first = b->first, .last = b->last, .temp = b->temp};
    AL_TRY(al_sealed_write(&opt, gather->rows, &file, err));
    pthread_rwlock_wrlock(&g->lock);
    snprintf(b->name, sizeof b->name, "%s", file.name);
    pthread_rwlock_unlock(&g->lock);
    return al_sealed_load(&opt, file.name, &b->sealed, err); /* reads back what the disk has */
}

// NOLINTNEXTLINE(readability-function-size): eight parameters, of the contract
enum al_code al_segset_build(struct al_segset *g, const struct al_doc_source *src, uint64_t first,
                             uint64_t last, bool (*cancel)(void *u), void *u, struct al_built **ret,
                             struct al_err *err)
{
    if (first > last)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "segment: range (%" PRIu64 ", %" PRIu64 "]", first,
                       last);
    struct al_built *b = al_mem_zalloc(g->mem, sizeof *b);
    if (!b)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "segment: out of memory");
    b->set = g;
    b->first = first;
    b->last = last;
    snprintf(b->temp, sizeof b->temp, AL_DISK_TEMP_PREFIX "%016" PRIx64,
             al_random_u64(al_random_system()));
    enlist(b);
    struct gather gather = {
        .set = g, .first = first, .last = last, .cancel = cancel, .cancel_u = u};
    enum al_code code = build_into(b, src, &gather, err);
    al_growing_unref(gather.rows);
    if (code != AL_OK) {
        al_segset_discard(b);
        return code;
    }
    *ret = b;
    return AL_OK;
}
