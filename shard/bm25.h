/* bm25.h - BM25 (Robertson and others 1994), as one sum per row over the query's terms in their
 * order:
 *
 *     score = sum of weight * tf / (tf + k1 * (1 - b + b * length / mean length))
 *
 * in double precision, then rounded to float. Weights come from the caller, so that the score of a
 * row depends on the row and the query alone: bit for bit the same in a growing segment, a sealed
 * one, and one of many, by the exhaustive search and the pruned one.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_SHARD_BM25_H
#define AIRLORE_SHARD_BM25_H

#include "segset_impl.h"

/* What a length adds to the count below the line. */
static inline double al_bm25_norm(const struct al_leg_query *q, uint32_t length)
{
    double mean = q->avg_terms > 0 ? (double)q->avg_terms : 1.0;
    return (double)q->k1 * (1.0 - (double)q->b + (double)q->b * (double)length / mean);
}

static inline double al_bm25_part(const struct al_leg_query *q, float weight, uint32_t tf,
                                  uint32_t length)
{
    return (double)weight * (double)tf / ((double)tf + al_bm25_norm(q, length));
}

/* Stand on the first posting of a term in the part; false when it has none. */
static inline bool al_bm25_open(const struct al_part *p, struct al_str term, struct al_list *l)
{
    struct al_postings_view v;
    if (p->n_rows == 0 || !p->seg->find(p->seg, term, &v))
        return false;
    al_list_init(l, &v, p->n_rows, p->seg->is_sealed);
    return true;
}

/* AL_DATA_LOSS. */
AL_NODISCARD enum al_code al_bm25_damaged(struct al_err *err);

/* Offer a row. */
static inline void al_bm25_offer(const struct al_part *p, uint32_t row, double score,
                                 struct al_topk *best)
{
    if (al_topk_is_hopeless(best, (float)score))
        return;
    const struct al_seg_doc *d = &p->seg->docs[p->seg->rows[row].doc];
    al_topk_offer(best, &(struct al_hit){(float)score, row - d->row_first, p->seg, d});
}

/* Rows of a part that lie in visible spaces, neighbours joined. */
struct al_row_range {
    uint32_t from;
    uint32_t to;
};

/* The next range; *at is 0 at first. False when there is none. The growing segment is one range. */
bool al_bm25_next_range(const struct al_scope *s, const struct al_part *p, uint32_t *at,
                        struct al_row_range *ret);

#endif
