/* airlore/relevance.h - how likely a hit answers the query: a logistic model over what the legs
 * measured.
 *
 * Fitted by bench/quality/relevance.py on public questions; the weights and how they were made are
 * in docs/retrieval.md. Not a function of the fused score, which is relative to the other hits of
 * the same query.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_RELEVANCE_H
#define AIRLORE_RELEVANCE_H

#include <stdint.h>

#include "airlore/ask.h"

/* Words that questions are made of ("how", "do", "my") say nothing about the answer: they do not
 * count towards coverage. term: as the analyzer gives it. */
bool al_relevance_is_filler(struct al_str term);

/* coverage: share of the query's idf mass that the chunk has, unknown terms counted with the
 * largest idf, [0, 1]. cosine: of the vectors, [-1, 1]; 0 without vectors. n_terms: distinct terms
 * of the query. Gives [0, 1]. */
double al_relevance(double coverage, double cosine, uint32_t n_terms);

/* What the answerability of a question is judged by; ans->found in the order of finding, evidence
 * and names are set. Of the first five hits the best: soft coverage of the question, cosine of a
 * single passage to it. Of the question: logarithm of the number of its content words (a long
 * question is never covered whole). How much the one of its names is missing that the hits have
 * least. How far the best hit stands out of the usual ones: of the text leg as a share, of the
 * vector leg as a difference of cosines. */
void al_answerability_features(const struct al_answer *ans, double ret[AL_ANSWERABILITY_FEATURES]);

/* How likely the stored knowledge answers a question at all: a logistic model of these, fitted on
 * answerable questions against unanswerable ones (docs/retrieval.md). Gives [0, 1]. */
double al_answerability(const double features[AL_ANSWERABILITY_FEATURES]);

#endif
