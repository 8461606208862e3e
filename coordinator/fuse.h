/* fuse.h - rank fusion of the two legs: pure functions over the candidate union.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_FUSE_H
#define AIRLORE_COORDINATOR_FUSE_H

#include "airlore/query.h"

/* One candidate chunk of the union. Ranks from 1, 0 when the leg did not give it. */
struct al_fused {
    struct al_candidate *cand; /* both scores known after the fetch */
    size_t shard;
    uint32_t text_rank;
    uint32_t vector_rank;
    double score;
};

/* Order of candidates everywhere: score descending, then id bytes, space, chunk ascending. */
int al_candidate_cmp(const struct al_candidate *a, double score_a, const struct al_candidate *b,
                     double score_b);

/* Set the scores of f[n] and sort best first. weight: share of the vector leg in [0, 1]. */
void al_fuse(struct al_fused *f, size_t n, enum al_search_mode mode, enum al_fusion how,
             double weight);

#endif
