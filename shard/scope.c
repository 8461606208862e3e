/* The moment that one call sees, and which documents of it. */
#include <string.h>

#include "segset_impl.h"

#define FILTER_ARENA_BYTES (1u << 20)
#define POLL_EVERY 1024u

struct al_view *al_view_ref(struct al_segset *g)
{
    pthread_rwlock_rdlock(&g->lock);
    struct al_view *v = g->view;
    atomic_fetch_add(&v->refs, 1);
    pthread_rwlock_unlock(&g->lock);
    return v;
}

void al_view_unref(struct al_view *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    for (size_t i = 0; i < v->n_sealed; i++)
        al_sealed_unref(v->sealed[i]);
    al_growing_unref(v->growing);
    al_mem_free(v->mem, v);
}

static enum al_code out_of_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
}

/* Live rows and terms of the spaces. */
static void count_spaces(struct al_scope *s, const struct al_segment *seg)
{
    for (size_t i = 0; i < seg->n_counts; i++) {
        const struct al_space_count *c = &seg->counts[i];
        if (al_space_in(s->spaces, s->n_spaces, c->space)) {
            s->n_chunks += c->n_rows;
            s->n_terms += c->n_terms;
        }
    }
}

/* Under the lock. */
static bool copy_part(struct al_scope *s, const struct al_segment *seg, struct al_part *p)
{
    *p = (struct al_part){
        .seg = seg, .n_docs = seg->n_docs, .n_rows = seg->n_rows, .n_vecs = seg->n_vecs};
    count_spaces(s, seg);
    if (seg->n_dead_docs == 0)
        return true;
    p->n_dead_docs = seg->n_dead_docs;
    p->dead_log = seg->dead_log;
    p->dead_counts = seg->dead_counts;
    size_t words = al_bit_words(seg->n_docs);
    p->dead = al_arena_alloc(s->arena, words * sizeof *p->dead);
    if (p->dead)
        memcpy(p->dead, seg->dead, words * sizeof *p->dead);
    return p->dead != NULL;
}

enum al_code al_scope_open(struct al_segset *g, const uint32_t *spaces, size_t n_spaces,
                           struct al_arena *a, struct al_scope *ret, struct al_err *err)
{
    struct al_scope s = {.set = g,
                         .arena = a,
                         .spaces = spaces,
                         .n_spaces = n_spaces,
                         .deadline_ns = AL_DEADLINE_NONE};
    bool ok = true;
    pthread_rwlock_rdlock(&g->lock);
    s.view = g->view;
    atomic_fetch_add(&s.view->refs, 1);
    s.n_parts = s.view->n_sealed + 1;
    s.parts = al_arena_array(a, s.n_parts, sizeof *s.parts);
    for (size_t i = 0; s.parts && ok && i < s.view->n_sealed; i++)
        ok = copy_part(&s, &s.view->sealed[i]->seg, &s.parts[i]);
    ok = ok && s.parts && copy_part(&s, &s.view->growing->seg, &s.parts[s.n_parts - 1]);
    pthread_rwlock_unlock(&g->lock);
    if (!ok) {
        al_view_unref(s.view);
        return out_of_memory(err);
    }
    *ret = s;
    return AL_OK;
}

void al_scope_lock(struct al_scope *s)
{
    pthread_rwlock_rdlock(&s->set->lock);
    s->locked = true;
}

void al_scope_close(struct al_scope *s)
{
    if (s->locked)
        pthread_rwlock_unlock(&s->set->lock);
    s->locked = false;
    al_view_unref(s->view);
    s->view = NULL;
}

enum al_code al_scope_poll(const struct al_scope *s, struct al_err *err)
{
    if (al_clock_has_passed(s->set->clock, s->deadline_ns))
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "search: deadline passed");
    return AL_OK;
}

/* ---- selection ---- */

/* Documents of visible spaces. */
static void select_spaces(const struct al_scope *s, struct al_part *p)
{
    const struct al_segment *seg = p->seg;
    for (uint32_t i = 0; i < seg->n_ranges; i++) {
        const struct al_seg_space *r = &seg->ranges[i];
        if (al_space_in(s->spaces, s->n_spaces, r->space))
            al_bit_set_range(p->mask, r->doc_first, r->n_docs);
    }
    for (uint32_t i = 0; !seg->is_sealed && i < p->n_docs; i++)
        if (al_space_in(s->spaces, s->n_spaces, seg->docs[i].space))
            al_bit_set(p->mask, i);
}

static enum al_code match_one(const struct al_scope *s, const struct al_part *p, uint32_t doc,
                              struct al_arena *scratch, struct al_err *err)
{
    struct al_doc d;
    struct al_str bytes = al_segment_attributes(p->seg, &p->seg->docs[doc]);
    AL_TRY(al_doc_decode_attributes(bytes, scratch, &d, err));
    if (!al_filter_match(s->filter, &d))
        al_bit_clear(p->mask, doc);
    al_arena_reset(scratch);
    return AL_OK;
}

static enum al_code apply_filter(const struct al_scope *s, const struct al_part *p,
                                 struct al_err *err)
{
    struct al_arena scratch;
    al_arena_init(&scratch, s->set->mem, FILTER_ARENA_BYTES);
    enum al_code code = AL_OK;
    for (uint32_t i = 0; code == AL_OK && i < p->n_docs; i++) {
        if (i % POLL_EVERY == 0)
            code = al_scope_poll(s, err);
        if (code == AL_OK && al_bit_get(p->mask, i))
            code = match_one(s, p, i, &scratch, err);
    }
    al_arena_fini(&scratch);
    return code;
}

/* Whether every document of a sealed part is visible and live. */
static bool sees_all(const struct al_scope *s, const struct al_part *p)
{
    if (p->dead || s->filter || !p->seg->is_sealed)
        return false;
    for (uint32_t i = 0; i < p->seg->n_ranges; i++)
        if (!al_space_in(s->spaces, s->n_spaces, p->seg->ranges[i].space))
            return false;
    return true;
}

/* Vectors of the documents in the mask. */
static uint64_t count_vecs(const struct al_part *p)
{
    uint64_t n = 0;
    for (size_t i = 0; p->n_vecs > 0 && i < al_bit_words(p->n_docs); i++)
        for (uint64_t bits = p->mask[i]; bits; bits &= bits - 1)
            n += p->seg->docs[i * 64 + (size_t)__builtin_ctzll(bits)].n_vecs;
    return n;
}

/* The same without a filter, in a sealed segment: those of the visible ranges less the dead. */
static uint64_t count_live_vecs(const struct al_scope *s, const struct al_part *p)
{
    const struct al_seg_doc *docs = p->seg->docs;
    uint64_t n = 0;
    for (uint32_t i = 0; p->n_vecs > 0 && i < p->seg->n_ranges; i++) {
        const struct al_seg_space *r = &p->seg->ranges[i];
        const struct al_seg_doc *last = &docs[r->doc_first + r->n_docs - 1];
        if (al_space_in(s->spaces, s->n_spaces, r->space))
            n += last->vec_first + last->n_vecs - docs[r->doc_first].vec_first;
    }
    for (size_t i = 0; p->dead && n > 0 && i < al_bit_words(p->n_docs); i++)
        for (uint64_t bits = p->dead[i]; bits; bits &= bits - 1) {
            const struct al_seg_doc *d = &docs[i * 64 + (size_t)__builtin_ctzll(bits)];
            if (al_space_in(s->spaces, s->n_spaces, d->space))
                n -= d->n_vecs;
        }
    return n;
}

enum al_code al_scope_select(struct al_scope *s, struct al_part *p, struct al_err *err)
{
    AL_TRY(al_scope_poll(s, err));
    p->n_allowed_vecs = p->n_vecs;
    if (sees_all(s, p))
        return AL_OK;
    size_t words = al_bit_words(p->n_docs);
    p->mask = al_arena_array(s->arena, words, sizeof *p->mask);
    if (!p->mask)
        return out_of_memory(err);
    select_spaces(s, p);
    for (size_t i = 0; p->dead && i < words; i++)
        p->mask[i] &= ~p->dead[i];
    if (s->filter)
        AL_TRY(apply_filter(s, p, err));
    p->n_allowed_vecs = s->filter || !p->seg->is_sealed ? count_vecs(p) : count_live_vecs(s, p);
    return AL_OK;
}

uint32_t al_part_find(const struct al_part *p, uint32_t space, uint64_t docno)
{
    uint32_t doc;
    if (p->seg->is_sealed)
        doc = al_sealed_find_doc((const struct al_sealed *)(const void *)p->seg, space, docno);
    else
        doc = al_growing_find_doc((const struct al_growing *)(const void *)p->seg, docno);
    if (doc == AL_ROW_NONE || doc >= p->n_docs || p->seg->docs[doc].space != space ||
        (p->dead && al_bit_get(p->dead, doc)))
        return AL_ROW_NONE;
    return doc;
}
