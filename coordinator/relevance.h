/* relevance.h - how likely a hit answers the query: a logistic model over what the legs measured.
 *
 * Fitted by bench/quality/relevance.py on public questions; the weights and how they were made are
 * in docs/retrieval.md. Not a function of the fused score, which is relative to the other hits of
 * the same query.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_RELEVANCE_H
#define AIRLORE_COORDINATOR_RELEVANCE_H

#include <stdint.h>

#include "airlore/str.h"

/* Words that questions are made of ("how", "do", "my") say nothing about the answer: they do not
 * count towards coverage. term: as the analyzer gives it. */
bool al_relevance_is_filler(struct al_str term);

/* coverage: share of the query's idf mass that the chunk has, unknown terms counted with the
 * largest idf, [0, 1]. cosine: of the vectors, [-1, 1]; 0 without vectors. n_terms: distinct terms
 * of the query. Gives [0, 1]. */
double al_relevance(double coverage, double cosine, uint32_t n_terms);

/* How likely the stored knowledge answers a question at all: the largest coverage and cosine among
 * the first five hits. A question put in other words than the text has few of its words in any one
 * chunk; the best of several says more. Fitted on answerable public questions against unanswerable
 * ones (docs/retrieval.md). Gives [0, 1]. */
double al_answerability(double coverage, double cosine);

#endif
