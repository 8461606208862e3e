/* Document frequencies: how many visible live rows hold a term. In a sealed segment a space is a
 * range of rows: the postings in it are known from two places of the list, and only the dead among
 * them have to be looked for. Where all spaces of a segment are visible, which is the common case,
 * each term remembers how many of the dead hold it, and only who died since is looked at. */
#include <stdlib.h>

#include "bm25.h"

#define LOOK_UP_COST 16u /* looking a row up in a list, in postings read */

/* Dead rows of the list's next postings up to row `to`. */
static uint32_t count_dead_postings(const struct al_part *p, struct al_list *l, uint32_t to)
{
    uint32_t n = 0;
    while (al_list_row(l) < to) {
        for (; l->at < l->n && l->rows[l->at] < to; l->at++)
            n += al_bit_get(p->dead, p->seg->rows[l->rows[l->at]].doc);
        if (l->at >= l->n)
            al_list_next_block(l);
    }
    return n;
}

static uint32_t count_in_doc(const struct al_part *p, struct al_list *l, uint32_t doc)
{
    const struct al_seg_doc *d = &p->seg->docs[doc];
    uint32_t n = 0;
    for (uint32_t row = al_list_seek(l, d->row_first); row < d->row_first + d->n_rows;
         row = al_list_row(l)) {
        n++;
        al_list_next(l);
    }
    return n;
}

static int cmp_docs(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Rows with the term of the documents dead_log[from] to dead_log[to - 1]. */
static enum al_code count_logged(const struct al_scope *s, const struct al_part *p,
                                 struct al_list *l, struct al_row_range log, uint32_t *ret,
                                 struct al_err *err)
{
    uint32_t n_docs = log.to - log.from;
    uint32_t *docs = al_arena_array(s->arena, n_docs, sizeof *docs);
    if (!docs)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    for (uint32_t i = 0; i < n_docs; i++)
        docs[i] = p->dead_log[log.from + i];
    qsort(docs, n_docs, sizeof *docs, cmp_docs);
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_docs; i++)
        n += count_in_doc(p, l, docs[i]);
    *ret = n;
    return AL_OK;
}

/* Dead rows of the whole segment that hold the term. Another call may be ahead or behind: deaths
 * are numbered, so that what it left tells this moment's count, too. */
static enum al_code count_dead(const struct al_scope *s, const struct al_part *p, struct al_list *l,
                               uint32_t *ret, struct al_err *err)
{
    _Atomic uint64_t *known = p->dead_counts ? &p->dead_counts[l->view.number] : NULL;
    uint64_t last = known ? atomic_load_explicit(known, memory_order_acquire) : 0;
    uint32_t seen = (uint32_t)(last >> 32);
    uint32_t count = (uint32_t)last;
    uint32_t now = p->n_dead_docs;
    uint32_t gap = seen < now ? now - seen : seen - now;
    if (!known || (uint64_t)gap * LOOK_UP_COST > l->view.n_rows) {
        count = count_dead_postings(p, l, AL_ROW_NONE);
    } else if (gap > 0) {
        uint32_t n = 0;
        struct al_row_range log = {seen < now ? seen : now, seen < now ? now : seen};
        AL_TRY(count_logged(s, p, l, log, &n, err));
        count = seen < now ? count + n : count - n;
    }
    if (known && seen < now && !l->damaged)
        atomic_store_explicit(known, (uint64_t)now << 32 | count, memory_order_release);
    *ret = count;
    return AL_OK;
}

/* Dead rows in a range that hold the term, which has n postings there. */
static uint32_t count_dead_in(const struct al_part *p, struct al_list *l, struct al_row_range range,
                              uint32_t n)
{
    uint32_t from = p->seg->rows[range.from].doc;
    uint32_t to = p->seg->rows[range.to - 1].doc + 1;
    uint64_t n_dead = 0;
    (void)al_list_seek(l, range.from);
    for (uint32_t i = from / 64; i <= (to - 1) / 64; i++)
        n_dead += (unsigned)__builtin_popcountll(p->dead[i]);
    if (n_dead == 0)
        return 0;
    if (n_dead * LOOK_UP_COST > n)
        return count_dead_postings(p, l, range.to);
    uint32_t found = 0;
    for (uint32_t i = from / 64; i <= (to - 1) / 64; i++) {
        for (uint64_t bits = p->dead[i]; bits; bits &= bits - 1) {
            uint32_t doc = i * 64 + (uint32_t)__builtin_ctzll(bits);
            if (doc >= from && doc < to)
                found += count_in_doc(p, l, doc);
        }
    }
    return found;
}

static enum al_code df_sealed(const struct al_scope *s, const struct al_part *p,
                              const struct al_postings_view *v, uint64_t *ret, struct al_err *err)
{
    struct al_list l;
    struct al_list dead;
    uint32_t at = 0;
    uint64_t n = 0;
    struct al_row_range range;
    bool all = al_bm25_next_range(s, p, &at, &range) && range.to - range.from == p->n_rows;
    al_list_init(&dead, v, p->n_rows, true);
    if (all) {
        uint32_t n_dead = 0;
        if (p->dead)
            AL_TRY(count_dead(s, p, &dead, &n_dead, err));
        *ret += v->n_rows - n_dead;
        return dead.damaged ? al_bm25_damaged(err) : AL_OK;
    }
    al_list_init(&l, v, p->n_rows, true);
    at = 0;
    while (al_bm25_next_range(s, p, &at, &range)) {
        if (range.from == range.to)
            continue;
        uint32_t before = al_list_rank(&l, range.from);
        uint32_t in = al_list_rank(&l, range.to) - before;
        n += in;
        if (in > 0 && p->dead)
            n -= count_dead_in(p, &dead, range, in);
    }
    if (l.damaged || dead.damaged)
        return al_bm25_damaged(err);
    *ret += n;
    return AL_OK;
}

/* Rows of the growing segment, which is small, one by one. */
static uint64_t df_growing(const struct al_part *p, const struct al_postings_view *v)
{
    struct al_list l;
    uint64_t n = 0;
    for (al_list_init(&l, v, p->n_rows, false); l.n > 0; al_list_next_block(&l))
        for (uint32_t i = 0; i < l.n; i++)
            n += al_part_allows(p, p->seg->rows[l.rows[i]].doc);
    return n;
}

enum al_code al_bm25_df(const struct al_scope *s, const struct al_part *p,
                        const struct al_str *terms, size_t n_terms, uint64_t *ret_df,
                        struct al_err *err)
{
    for (size_t i = 0; i < n_terms; i++) {
        struct al_postings_view v;
        if (p->n_rows == 0 || !p->seg->find(p->seg, terms[i], &v))
            continue;
        if (p->seg->is_sealed)
            AL_TRY(df_sealed(s, p, &v, &ret_df[i], err));
        else
            ret_df[i] += df_growing(p, &v);
        AL_TRY(al_scope_poll(s, err));
    }
    return AL_OK;
}
