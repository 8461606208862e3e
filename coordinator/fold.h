/* fold.h - near-duplicates among hits shown once, ties put in order, age said.
 *
 * Two hits are the same for the reader when they lie in two spaces, or tell two versions, and their
 * content is equal or their texts fold (airlore/sketch.h); what one owner keeps twice stays two. Of
 * those the one is shown that lies nearest (narrowest visibility), then the one for the version
 * asked for, then the newer one by version or date, then the better ranked one; the others are
 * listed under it. Documents stored without a sketch fold by equal content only.
 *
 * Thread: any thread; one struct al_fold for each call.
 */
#ifndef AIRLORE_COORDINATOR_FOLD_H
#define AIRLORE_COORDINATOR_FOLD_H

#include "airlore/query.h"

#define AL_SKETCH_KEY "al_sketch" /* of the metadata; not shown */

struct al_fold {
    const struct al_query_context *ctx;
    const struct al_query *q;
    struct al_arena *a;
    const struct al_filter *version; /* that the query asks about; NULL: none */
};

/* Begin: read the version from the query. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_fold_begin(const struct al_query_context *ctx,
                                        const struct al_query *q, struct al_arena *a,
                                        struct al_fold *ret, struct al_err *err);

/* *ret true: the hit is one of res already; it was listed there, or took its place. Errors of the
 * shards. */
AL_NODISCARD enum al_code al_fold_hit(const struct al_fold *f, struct al_query_result *res,
                                      const struct al_hit *h, bool *ret, struct al_err *err);

/* Hits whose scores are nearly equal: first those for the version asked for, then the newer ones,
 * else as they are. */
void al_fold_ties(const struct al_fold *f, struct al_query_result *res);

/* Say in each hit why it may be out of date: for other versions than asked for, or years old.
 * AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_fold_stale(const struct al_fold *f, struct al_query_result *res,
                                        struct al_err *err);

/* A filter for documents of the version that a text asks about, *ret NULL for none.
 * AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_version_filter(struct al_str text, struct al_arena *a,
                                            const struct al_filter **ret, struct al_err *err);

/* 1: for that version, 0: not known, -1: for others. */
int al_version_fits(const struct al_filter *version, const struct al_doc *d);

#endif
