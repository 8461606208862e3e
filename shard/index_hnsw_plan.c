/* One search: which way to take, and scores at the end.
 *
 * Few rows allowed: their codes are scanned. Many: a walk through the graph that keeps the allowed,
 * with a budget, because a filter that goes against the query (a topic) makes it walk for ever;
 * then over the allowed rows only, if they are a good part; the scan again as last resort, also
 * when fewer than min(k, allowed) were found. */
#include <string.h>

#include "dot.h"
#include "index_hnsw.h"

#define SCAN_AREA 25u /* scan when allowed^2 is at most this times beam times rows */
#define SCAN_BEAM 32u /* or times the beam */
#define BEAM_COST 16u /* distances for a place in the beam, about, without a filter */
#define BUDGET 4u     /* times that, and the inverse of the part allowed */
#define HOP_PART 5u   /* walk over allowed rows when they are one in so many at least */
#define FETCH_ROWS 8u /* rows fetched ahead of their scores */

struct search {
    struct al_hnsw *h;
    const struct al_index_query *q;
    struct al_hnsw_view view;
    struct al_hnsw_scratch *s;
    uint32_t ef;
    uint64_t n_allowed;
};

static uint64_t count_allowed(const uint8_t *allowed, uint32_t n_rows)
{
    uint64_t n = 0;
    uint32_t i = 0;
    for (; i + 64 <= n_rows; i += 64) {
        uint64_t word;
        memcpy(&word, allowed + i / 8, sizeof word);
        n += (uint64_t)__builtin_popcountll(word);
    }
    for (; i < n_rows; i++)
        n += allowed[i / 8] >> (i % 8) & 1;
    return n;
}

/* Candidates to score exactly: enough that the k best are among them. Under a filter more, because
 * the best that it leaves may lie where scores are close together. */
static uint32_t depth_of(uint32_t k, bool filtered)
{
    uint64_t depth = filtered ? 2 * (uint64_t)k + 16 : (uint64_t)k + 4 + k / 8;
    depth = depth > AL_HNSW_EF_MAX ? AL_HNSW_EF_MAX : depth;
    return depth < k ? k : (uint32_t)depth;
}

/* A walk under a filter looks at about ten rows a place in the beam for every allowed one among
 * all, here and there, which costs twice what a scan's do. */
static bool is_for_scan(const struct search *a)
{
    uint64_t n = a->n_allowed; /* at most 2^30, so that its square fits */
    return n * n <= (uint64_t)SCAN_AREA * a->ef * a->h->base.n_rows ||
           n <= (uint64_t)SCAN_BEAM * a->ef;
}

static void enter(struct search *a)
{
    al_hnsw_scratch_reset(a->h, a->s);
    al_hnsw_enter(a->h, &a->view, a->s, a->h->n_entries);
}

static enum al_code walk(struct search *a, enum al_index_plan *ret_plan, bool *ret_done,
                         struct al_err *err)
{
    uint64_t n_rows = a->h->base.n_rows;
    uint64_t budget = (uint64_t)BUDGET * BEAM_COST * a->ef * n_rows / a->n_allowed;
    struct al_hnsw_filter f = {a->q->allowed, a->ef, budget};
    f.budget = budget < a->n_allowed / 2 ? budget : a->n_allowed / 2; /* a scan costs that */
    enter(a);
    *ret_plan = AL_PLAN_THROUGH;
    AL_TRY(al_hnsw_walk_through(a->h, &a->view, a->s, &f, ret_done, err));
    if (*ret_done || a->n_allowed * HOP_PART < n_rows)
        return AL_OK;
    enter(a);
    f.budget = a->n_allowed / 2;
    *ret_plan = AL_PLAN_HOP;
    *ret_done = al_hnsw_walk_hop(a->h, &a->view, a->s, &f);
    return AL_OK;
}

/* Fill the pool with the best of what is allowed. */
static enum al_code candidates(struct search *a, enum al_index_plan *ret_plan, struct al_err *err)
{
    bool done = false;
    uint64_t want = a->q->k < a->n_allowed ? a->q->k : a->n_allowed;
    *ret_plan = AL_PLAN_SCAN;
    if (!is_for_scan(a)) {
        if (!a->q->allowed) {
            *ret_plan = AL_PLAN_GRAPH;
            enter(a);
            al_hnsw_beam(a->h, &a->view, a->s, a->ef);
            done = true;
        } else {
            AL_TRY(walk(a, ret_plan, &done, err));
        }
    }
    if (done && a->s->n_pool >= want)
        return AL_OK;
    *ret_plan = *ret_plan == AL_PLAN_SCAN ? AL_PLAN_SCAN : AL_PLAN_RESCUED;
    al_hnsw_scan(a->h, &a->view, a->s, a->q->allowed, a->ef);
    return AL_OK;
}

/* ---- scores ---- */

static inline uint32_t pool_row(const struct al_hnsw_scratch *s, uint32_t i)
{
    return (uint32_t)s->pool[i] >> 1;
}

static inline void fetch_row(const struct al_hnsw *h, uint32_t row)
{
    const char *p = (const char *)(h->rows + (size_t)row * h->base.dim);
    for (size_t i = 0; i < h->base.dim * sizeof(float); i += 64)
        __builtin_prefetch(p + i);
}

/* Whether (score, row) comes before what is at i: higher scores, then lower rows. */
static inline bool is_before(float score, uint32_t row, float other, uint32_t other_row)
{
    return score > other || (score == other && row < other_row);
}

/* Exact scores of the best n of the pool, the best k of them in order. */
static uint32_t rescore(const struct search *a, uint32_t n, uint32_t *rows, float *scores)
{
    const struct al_hnsw *h = a->h;
    uint32_t have = 0;
    n = n < a->s->n_pool ? n : a->s->n_pool;
    for (uint32_t i = 0; i < FETCH_ROWS && i < n; i++)
        fetch_row(h, pool_row(a->s, i));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = pool_row(a->s, i);
        if (i + FETCH_ROWS < n)
            fetch_row(h, pool_row(a->s, i + FETCH_ROWS));
        float score = al_dot(a->q->vector, h->rows + (size_t)row * h->base.dim, h->base.dim);
        score = score == score ? score : -1.0f;
        if (have == a->q->k && !is_before(score, row, scores[have - 1], rows[have - 1]))
            continue;
        uint32_t at = have < a->q->k ? have++ : have - 1;
        for (; at > 0 && is_before(score, row, scores[at - 1], rows[at - 1]); at--) {
            scores[at] = scores[at - 1];
            rows[at] = rows[at - 1];
        }
        scores[at] = score;
        rows[at] = row;
    }
    return have;
}

static void note_work(const struct search *a, enum al_index_plan plan)
{
    struct al_index_work *w = a->q->ret_work;
    if (w)
        *w = (struct al_index_work){plan, a->s->n_distances, a->s->n_hops};
}

static uint32_t beam_of(const struct al_index_query *q, uint32_t depth)
{
    uint32_t ef = q->ef ? q->ef : AL_HNSW_EF_DEFAULT;
    ef = ef > AL_HNSW_EF_MAX ? AL_HNSW_EF_MAX : ef;
    ef = ef < AL_HNSW_ENTRIES_KEPT ? AL_HNSW_ENTRIES_KEPT : ef;
    return ef < depth ? depth : ef;
}

enum al_code al_hnsw_search(const struct al_index *ix, const struct al_index_query *q,
                            uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                            struct al_err *err)
{
    struct al_hnsw *h = (struct al_hnsw *)(uintptr_t)ix; /* borrows from its pool of scratches */
    if (q->k == 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "index: k is 0");
    uint32_t depth = depth_of(q->k, q->allowed != NULL);
    struct search a = {.h = h, .q = q, .view = al_hnsw_view(h), .ef = beam_of(q, depth)};
    a.n_allowed = !q->allowed    ? ix->n_rows
                  : q->n_allowed ? q->n_allowed
                                 : count_allowed(q->allowed, ix->n_rows);
    enum al_index_plan plan = AL_PLAN_SCAN;
    AL_TRY(al_hnsw_scratch_acquire(h, a.ef, &a.s, err));
    a.s->query.sum = al_coder_encode_query(&h->coder, q->vector, a.s->rotated, a.s->codes);
    enum al_code code = a.n_allowed ? candidates(&a, &plan, err) : AL_OK;
    if (code == AL_OK) {
        *ret_n = rescore(&a, depth, ret_rows, ret_scores);
        note_work(&a, plan);
    }
    al_hnsw_scratch_release(h, a.s);
    return code;
}
