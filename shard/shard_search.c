/* Searching: the segment set answers; here are only the checks. */
#include <math.h>

#include "shard_impl.h"

#define DEPTH_MAX 10000u

static enum al_code check_spaces(const uint32_t *spaces, size_t n, struct al_err *err)
{
    for (size_t i = 1; i < n; i++) {
        if (spaces[i] <= spaces[i - 1])
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "search: spaces must be ascending");
    }
    return AL_OK;
}

static enum al_code check_query(struct al_shard *s, const struct al_leg_query *q, bool legs,
                                struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_spaces(q->spaces, q->n_spaces, err));
    if (legs && (q->depth == 0 || q->depth > DEPTH_MAX))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "search: depth is %u, must be 1 to %u", q->depth, DEPTH_MAX);
    for (uint32_t i = 0; q->vector && i < s->opt.dim; i++) {
        if (!isfinite(q->vector[i]))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                             "search: the vector is not finite");
    }
    return AL_OK;
}

enum al_code al_shard_stats(struct al_shard *s, const uint32_t *spaces, size_t n_spaces,
                            const struct al_str *terms, size_t n_terms, struct al_arena *a,
                            struct al_term_stats *ret, struct al_err *err)
{
    AL_TRY(al_shard_check_open(s, err));
    AL_TRY(check_spaces(spaces, n_spaces, err));
    pthread_mutex_lock(&s->lock);
    uint64_t applied = s->applied; /* before: the segments have at least this */
    pthread_mutex_unlock(&s->lock);
    AL_TRY(al_segset_stats(s->segs, spaces, n_spaces, terms, n_terms, a, ret, err));
    ret->applied_index = applied;
    return AL_OK;
}

enum al_code al_shard_legs(struct al_shard *s, const struct al_leg_query *q, struct al_arena *a,
                           struct al_candidates *ret, struct al_err *err)
{
    AL_TRY(check_query(s, q, true, err));
    return al_segset_legs(s->segs, q, a, ret, err);
}

enum al_code al_shard_score(struct al_shard *s, const struct al_leg_query *q,
                            struct al_candidate *const *cands, size_t n, struct al_err *err)
{
    AL_TRY(check_query(s, q, false, err));
    return al_segset_score(s->segs, q, cands, n, err);
}

enum al_code al_shard_explain(struct al_shard *s, const struct al_leg_query *q, uint64_t docno,
                              uint32_t chunk, struct al_arena *a, struct al_term_part **ret,
                              struct al_err *err)
{
    AL_TRY(check_query(s, q, false, err));
    return al_segset_explain(s->segs, q, docno, chunk, a, ret, err);
}
