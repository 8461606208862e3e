/* compose.h - an answer out of passages of the hits, each cited.
 *
 * A passage scores by the soft coverage of the question by it, its heading and its title, and by
 * the cosine to the question; one that speaks of another name, number or version scores lower. The
 * best are taken without repeating each other, in the order in which they are read.
 *
 * Thread: confined to the caller's.
 */
#ifndef AIRLORE_COORDINATOR_COMPOSE_H
#define AIRLORE_COORDINATOR_COMPOSE_H

#include "evidence.h"

/* Set text, sentences and sources of *ans from ans->found; leaves it without sentences when no
 * passage may be cited. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_compose(const struct al_query_context *ctx, struct al_evidence *ev,
                                     const struct al_ask_options *opt, struct al_arena *a,
                                     struct al_answer *ans, struct al_err *err);

#endif
