/* airlore/query.h - one search over many shards: statistics, legs, merge, fusion, distinct
 * documents.
 *
 * Ranking does not depend on how documents are spread over shards: term statistics are global over
 * the spaces the reader may see, legs are ranked after the merge, missing leg scores of the
 * candidate union are fetched, ties are broken by id.
 *
 * Fusion: min-max with fixed minima (BM25 0, cosine 0) and each leg's maximum after the merge,
 * weight of the vector leg 0.4 (measured: docs/retrieval.md); reciprocal rank fusion (Cormack,
 * Clarke, Buettcher 2009, k = 60) on request.
 *
 * Thread: any thread. Blocks on shards: call from a worker.
 */
#ifndef AIRLORE_QUERY_H
#define AIRLORE_QUERY_H

#include "airlore/embedder.h"
#include "airlore/router.h"
#include "airlore/snippet.h"

enum al_search_mode { AL_MODE_HYBRID = 1, AL_MODE_VECTOR = 2, AL_MODE_TEXT = 3 };
enum al_fusion { AL_FUSION_MIN_MAX = 1, AL_FUSION_RRF = 2 };

#define AL_QUERY_K_MAX 1000u
#define AL_QUERY_TEXT_BYTES_MAX (64u << 10)
#define AL_QUERY_TERMS_MAX 512u

struct al_query {
    struct al_str text;  /* at most AL_QUERY_TEXT_BYTES_MAX; may be empty when a vector is given */
    const float *vector; /* the caller's own; NULL: embed the text */
    size_t
        n_vector; /* must be the dimension, finite, not all zeros: DIMENSION_MISMATCH, NOT_FINITE */
    uint32_t k;   /* 1 to 1,000: K_OUT_OF_RANGE */
    uint32_t text_depth; /* candidates of each leg, at most 10,000; 0: max(100, 4k) */
    uint32_t vector_depth;
    uint32_t ef;     /* breadth of the graph search; 0: default */
    bool all_chunks; /* hits are chunks: a document may come several times */
    enum al_search_mode mode;
    enum al_fusion fusion;
    float vector_weight;  /* 0 to 1; NAN: 0.4 */
    struct al_str filter; /* BAD_FILTER */
    double min_score;     /* of relevance; 0: none */
    bool explain;
    bool exact;             /* scan all vectors */
    uint32_t snippet_bytes; /* 0: 240 */
    bool no_snippets;
    bool allow_partial;           /* shards that fail are left out and named */
    const struct al_token *after; /* wait until the shards have applied this; NULL: no */
    const uint32_t *spaces;       /* what the credential may see */
    size_t n_spaces;
    uint64_t deadline_ns;
    uint64_t now_ms; /* wall time, by which the age of a hit is told; 0: it is not */
};

struct al_explain_term {
    struct al_str term;
    uint32_t tf;
    double idf;
    double score;
};

struct al_hit {
    const struct al_doc *doc; /* attributes, in the arena; body and chunks are left out */
    uint32_t chunk;           /* the best one */
    struct al_str text;       /* of that chunk */
    struct al_str answer;  /* what may be cited: text; of a thread the answers in that chunk, or in
                              the first one that has some, "" when nobody has answered */
    uint32_t answer_chunk; /* the chunk that it stands in */
    struct al_str heading; /* above that chunk */
    double score;          /* fused in [0, 1] for hybrid; cosine or BM25 for a single leg */
    double relevance;      /* calibrated, in [0, 1] */
    double coverage; /* share of the query's idf mass that the chunk has, question words aside */
    struct al_snippet snippet;
    double text_score; /* the two legs, with ranks from 1 (0: not among the leg's candidates) */
    double vector_score;
    uint32_t text_rank;
    uint32_t vector_rank;
    struct al_explain_term *terms; /* when explain; best first */
    size_t n_terms;
    const struct al_doc **also; /* near-duplicates that this hit stands for, at most 16 */
    size_t n_also;
    struct al_str stale; /* why it may be out of date; "" when nothing tells */
};

/* A shard that an answer is without. */
struct al_missing {
    size_t shard;
    struct al_err err;
};

struct al_query_result {
    struct al_hit *hits; /* distinct documents (chunks when all_chunks), best first */
    size_t n_hits;
    double relevance; /* of the best hit; 0 without hits */
    double text_max;  /* maxima that min-max fusion scaled by */
    double vector_max;
    double vector_weight; /* in use */
    double text_mid;      /* the scores in the middle of each leg's candidates: what is usual */
    double vector_mid;
    struct al_str *terms; /* of the query, for highlighting */
    double *idf;          /* of each; idf_max for one that no chunk has */
    uint64_t *df;         /* chunks that have it */
    size_t n_terms;
    struct al_missing *missing; /* with allow_partial; by shard */
    size_t n_missing;
    struct al_token token; /* how far the shards that answered had applied their logs */
};

struct al_query_context {
    struct al_router *router;
    const struct al_embedder *embedder;
    struct al_clock *clock; /* for allow_partial: a shard that hangs leaves time for the others;
                               NULL: each may take all of it */
};

/* Search. *ret in the arena. Errors as said at the fields, and of a shard that fails, which the
 * message names: AL_UNAVAILABLE, reason SHARD_UNAVAILABLE; AL_DATA_LOSS, reason DATA_CORRUPT;
 * AL_DEADLINE_EXCEEDED. With allow_partial these three make the shard missing instead, unless no
 * shard is left. A text without any term and without a vector gives no hits. */
AL_NODISCARD enum al_code al_query_run(const struct al_query_context *ctx, const struct al_query *q,
                                       struct al_arena *a, struct al_query_result *ret,
                                       struct al_err *err);

#endif
