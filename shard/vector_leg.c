/* The vector leg in one segment: its index, or a scan of the rows where it has none, the caller
 * wants it exact, or the index comes short. */
#include <math.h>
#include <string.h>

#include "dot.h"
#include "segset_impl.h"

#define POLL_EVERY 4096u /* vectors */

float al_vector_score(const struct al_segment *seg, const float *query, uint32_t row)
{
    uint32_t v = al_segment_vec_of_row(seg, row);
    if (v == AL_ROW_NONE)
        return 0.0f;
    float score = al_dot(query, seg->vectors + (size_t)v * seg->dim, seg->dim);
    return score == score ? score : -1.0f;
}

static void offer(const struct al_part *p, const struct al_leg_query *q, uint32_t v,
                  struct al_topk *best)
{
    const struct al_segment *seg = p->seg;
    float score = al_dot(q->vector, seg->vectors + (size_t)v * seg->dim, seg->dim);
    if (al_topk_is_hopeless(best, score))
        return;
    uint32_t row = al_segment_row_of_vec(seg, v);
    const struct al_seg_doc *d = &seg->docs[seg->rows[row].doc];
    al_topk_offer(best, &(struct al_hit){score, row - d->row_first, seg, d});
}

static enum al_code scan(const struct al_scope *s, const struct al_part *p,
                         const struct al_leg_query *q, struct al_topk *best, struct al_err *err)
{
    uint32_t since_poll = 0;
    for (uint32_t i = 0; i < p->n_docs; i++) {
        const struct al_seg_doc *d = &p->seg->docs[i];
        if (!al_part_allows(p, i))
            continue;
        for (uint32_t v = d->vec_first; v < d->vec_first + d->n_vecs; v++)
            offer(p, q, v, best);
        since_poll += d->n_vecs;
        if (since_poll < POLL_EVERY)
            continue;
        AL_TRY(al_scope_poll(s, err));
        since_poll = 0;
    }
    return AL_OK;
}

/* Whether so few rows are allowed that looking at each is cheaper than the graph; our own index
 * decides that by itself. */
static bool is_few(const struct al_scope *s, const struct al_part *p)
{
    uint64_t n = p->n_allowed_vecs;
    return !p->seg->index->plans &&
           (n <= s->set->scan_rows_max || (double)n <= 40.0 * sqrt((double)p->n_vecs));
}

/* Allowed vectors as the index port takes them; NULL in *ret when all are. */
static enum al_code bitmap_of(const struct al_scope *s, const struct al_part *p, uint64_t **ret,
                              struct al_err *err)
{
    *ret = NULL;
    if (!p->mask)
        return AL_OK;
    uint64_t *bits = al_arena_array(s->arena, al_bit_words(p->n_vecs), sizeof *bits);
    if (!bits)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    for (uint32_t i = 0; i < p->n_docs; i++)
        if (al_bit_get(p->mask, i))
            al_bit_set_range(bits, p->seg->docs[i].vec_first, p->seg->docs[i].n_vecs);
    *ret = bits; /* bytes are in order: little endian */
    return AL_OK;
}

enum al_code al_vector_search(const struct al_scope *s, const struct al_part *p,
                              const struct al_leg_query *q, struct al_topk *best,
                              struct al_err *err)
{
    if (p->n_allowed_vecs == 0)
        return AL_OK;
    if (q->exact || !p->seg->index || is_few(s, p))
        return scan(s, p, q, best, err);
    uint64_t *bits;
    AL_TRY(bitmap_of(s, p, &bits, err));
    uint32_t *rows = al_arena_array(s->arena, q->depth, sizeof *rows);
    float *scores = al_arena_array(s->arena, q->depth, sizeof *scores);
    if (!rows || !scores)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "search: memory limit of the request");
    struct al_index_query iq = {.vector = q->vector,
                                .k = q->depth,
                                .ef = q->ef,
                                .allowed = (const uint8_t *)bits,
                                .n_allowed = bits ? p->n_allowed_vecs : 0};
    uint32_t n = 0;
    AL_TRY(p->seg->index->ops->search(p->seg->index, &iq, rows, scores, &n, err));
    if (n < q->depth && n < p->n_allowed_vecs)
        return scan(s, p, q, best, err); /* the graph did not reach enough of them */
    for (uint32_t i = 0; i < n; i++)
        offer(p, q, rows[i], best);
    return AL_OK;
}
