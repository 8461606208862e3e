/* segset_impl.h - inside of a segment set: what segset.c keeps and a search reads.
 *
 * A view is the set at one moment: its sealed segments and the growing one, shared by reference. A
 * call takes the view and a copy of the dead bits in one step (scope), and from then on sees that
 * moment, whatever is added, removed or swapped meanwhile. Only the growing segment's tables move,
 * so that reading them asks for the lock again.
 *
 * Thread: as in segset.h. Lock: one reader-writer lock, of the lowest rank: nothing is called with
 * it held but memory.
 */
#ifndef AIRLORE_SHARD_SEGSET_IMPL_H
#define AIRLORE_SHARD_SEGSET_IMPL_H

#include <pthread.h>

#include "sealed.h"

struct al_view {
    atomic_uint refs;
    struct al_mem *mem;
    struct al_growing *growing;
    size_t n_sealed;
    struct al_sealed *sealed[]; /* by log range */
};

struct al_built {
    struct al_segset *set;
    struct al_built *next; /* al_segset.builds */
    uint64_t first;
    uint64_t last;
    char temp[AL_SEG_NAME_BYTES];
    char name[AL_SEG_NAME_BYTES]; /* "" before the file is complete */
    struct al_sealed *sealed;     /* NULL while it is built */
    /* guarded by the set's lock: documents removed since the build began */
    struct al_dead_doc *removed;
    size_t n_removed;
    size_t cap_removed;
    bool lost_removal; /* one could not be noted */
};

struct al_segset {
    struct al_mem *mem;
    struct al_disk *disk;
    struct al_clock *clock;
    struct al_log *log;
    const struct al_index_factory *index;
    char *dir;
    char *embedder_id;
    uint32_t dim;
    uint32_t scan_rows_max;
    uint32_t index_threads;
    pthread_rwlock_t lock;
    struct al_view *view;    /* guarded by lock */
    struct al_built *builds; /* guarded by lock */
};

/* One segment as a call sees it. */
struct al_part {
    const struct al_segment *seg;
    uint32_t n_docs; /* of the growing segment at the moment of the scope */
    uint32_t n_rows;
    uint32_t n_vecs;
    uint64_t *dead; /* copy; NULL: none */
    uint32_t n_dead_docs;
    const uint32_t *dead_log; /* n_dead_docs of it, and more that died since; NULL: not kept */
    _Atomic uint64_t *dead_counts;
    uint64_t *mask; /* visible, live and matching documents; NULL: all of them */
    uint64_t n_allowed_vecs;
};

struct al_scope {
    struct al_segset *set;
    struct al_view *view;
    struct al_arena *arena;
    const uint32_t *spaces;
    size_t n_spaces;
    const struct al_filter *filter;
    uint64_t deadline_ns;
    struct al_part *parts; /* sealed ones, then the growing one */
    size_t n_parts;
    uint64_t n_chunks; /* live, of the spaces */
    uint64_t n_terms;
    bool locked;
    struct prune *text; /* what the text leg keeps from part to part; NULL before the first */
};

/* Take the moment. On AL_OK: al_scope_close. */
AL_NODISCARD enum al_code al_scope_open(struct al_segset *g, const uint32_t *spaces,
                                        size_t n_spaces, struct al_arena *a, struct al_scope *ret,
                                        struct al_err *err);
void al_scope_close(struct al_scope *s);

/* Lock the growing segment's tables until al_scope_close; call it after the sealed parts are done.
 */
void al_scope_lock(struct al_scope *s);

/* Find the documents of the part that may be seen: sets mask and n_allowed_vecs. The last part asks
 * for the lock. */
AL_NODISCARD enum al_code al_scope_select(struct al_scope *s, struct al_part *p,
                                          struct al_err *err);

/* Whether the document is visible, live and matching. */
static inline bool al_part_allows(const struct al_part *p, uint32_t doc)
{
    return !p->mask || al_bit_get(p->mask, doc);
}

/* AL_DEADLINE_EXCEEDED when it has passed. */
AL_NODISCARD enum al_code al_scope_poll(const struct al_scope *s, struct al_err *err);

/* The document of a docno in a part (space: where to look), AL_ROW_NONE if it is not there or dead.
 */
uint32_t al_part_find(const struct al_part *p, uint32_t space, uint64_t docno);

/* Reference counts of views; unref under no lock. */
struct al_view *al_view_ref(struct al_segset *g);
void al_view_unref(struct al_view *v);

/* Options for the sealed files of the set. */
struct al_sealed_options al_segset_sealed_options(const struct al_segset *g);

/* ---- best candidates ---- */

struct al_hit {
    float score;
    uint32_t chunk;
    const struct al_segment *seg;
    const struct al_seg_doc *doc;
};

/* The k best hits: score descending, then id, space, chunk. A heap with the worst on top. */
struct al_topk {
    struct al_hit *hits; /* k, in an arena */
    uint32_t n;
    uint32_t k;
};

AL_NODISCARD enum al_code al_topk_init(struct al_topk *t, uint32_t k, struct al_arena *a,
                                       struct al_err *err);

/* Offer a hit; NaN counts as -1. */
void al_topk_offer(struct al_topk *t, const struct al_hit *h);

/* Whether a score is too low to enter whatever its id. */
static inline bool al_topk_is_hopeless(const struct al_topk *t, float score)
{
    return t->n == t->k && score < t->hits[0].score;
}

/* Best first; the heap is no more. */
void al_topk_sort(struct al_topk *t);

/* ---- text ---- */

/* Count in ret_df (n_terms, added to) the visible live rows that hold each term. There is no
 * filter; the growing segment has to be selected before. */
AL_NODISCARD enum al_code al_bm25_df(const struct al_scope *s, const struct al_part *p,
                                     const struct al_str *terms, size_t n_terms, uint64_t *ret_df,
                                     struct al_err *err);

/* Offer the allowed rows of the part with a term of q that may be among the best, with their
 * scores.
 */
AL_NODISCARD enum al_code al_bm25_search(struct al_scope *s, const struct al_part *p,
                                         const struct al_leg_query *q, struct al_topk *best,
                                         struct al_err *err);

/* The same by looking at every posting: slow, and right at sight. */
AL_NODISCARD enum al_code al_bm25_search_all(const struct al_scope *s, const struct al_part *p,
                                             const struct al_leg_query *q, struct al_topk *best,
                                             struct al_err *err);

/* A row to score. */
struct al_row_score {
    uint32_t row;
    uint32_t cand; /* the caller's */
    double score;
};

/* Scores of rows, ascending by row. */
AL_NODISCARD enum al_code al_bm25_score_rows(const struct al_part *p, const struct al_leg_query *q,
                                             struct al_row_score *rows, size_t n,
                                             struct al_err *err);

/* Count and score of each term in one row. */
AL_NODISCARD enum al_code al_bm25_explain(const struct al_part *p, const struct al_leg_query *q,
                                          uint32_t row, struct al_term_part *ret,
                                          struct al_err *err);

/* ---- vectors ---- */

/* Offer the best allowed rows of the part. */
AL_NODISCARD enum al_code al_vector_search(const struct al_scope *s, const struct al_part *p,
                                           const struct al_leg_query *q, struct al_topk *best,
                                           struct al_err *err);

/* Score of a row; 0 when it has no vector. */
float al_vector_score(const struct al_segment *seg, const float *query, uint32_t row);

#endif
