/* evidence.h - what the found texts say about a question: how much of it they speak of, also in
 * other words.
 *
 * Of every term of the question that is no filler: its best match among the words of a text: 1 for
 * the term itself, else by the cosine of the two words in the static table, from 0 at 0.25 to 1.
 * Soft coverage of a text is the mean of the matches, weighed by idf.
 *
 * Thread: confined to one thread (it remembers the words that it has met).
 */
#ifndef AIRLORE_COORDINATOR_EVIDENCE_H
#define AIRLORE_COORDINATOR_EVIDENCE_H

#include "airlore/ask.h"
#include "airlore/passages.h"

#define AL_EVIDENCE_TERMS_MAX 64u /* of the question; the rest is left out */

struct al_evidence;

struct al_evidence_input {
    const struct al_embedder *embedder;
    struct al_analyzer *analyzer;
    struct al_str question;
    const struct al_query_result *found; /* by it: its terms are the question's */
};

/* Begin. Everything given is borrowed and outlives it; *ret in the arena. */
AL_NODISCARD enum al_code al_evidence_begin(const struct al_evidence_input *in, struct al_arena *a,
                                            struct al_evidence **ret, struct al_err *err);

/* Terms looked at, and the idf of each: 0 for fillers. */
size_t al_evidence_n_terms(const struct al_evidence *ev);
const double *al_evidence_idf(const struct al_evidence *ev);

/* Whether the term's word is written like a name (of a product, a version, an error). */
const bool *al_evidence_names(const struct al_evidence *ev);

/* The question's vector; zeros when none of its words is in the table. */
const float *al_evidence_vector(const struct al_evidence *ev);

/* Raise match[n_terms] to what the text has. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_evidence_match(struct al_evidence *ev, struct al_str text,
                                            float *match, struct al_err *err);

/* Mean of the matches weighed by idf, [0, 1]; 0 for a question of fillers. */
double al_evidence_soft(const struct al_evidence *ev, const float *match);

/* Judge the first hits: fill ret[n_hits]. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_evidence_judge(struct al_evidence *ev,
                                            const struct al_query_result *res, size_t n_hits,
                                            struct al_hit_evidence *ret, struct al_err *err);

#endif
