/* airlore/ask.h - an answer made of sentences of the sources, each cited; or none.
 *
 * Extractive: the best hits' chunks are split into sentences; a sentence scores by the idf mass of
 * the question's terms that it has and by the cosine of its vector to the question's; the best are
 * taken, without repeating each other, in the order of their sources. Below the threshold of
 * relevance the answer is that it does not know.
 *
 * Thread: any thread. Blocks on shards.
 */
#ifndef AIRLORE_ASK_H
#define AIRLORE_ASK_H

#include "airlore/query.h"

#define AL_ANSWERABILITY_FEATURES 6u
#define AL_ASK_SENTENCES_MAX 20u
#define AL_ASK_RELEVANCE_DEFAULT 0.6

struct al_ask_options {
    struct al_query query; /* text is the question; k: how many documents are looked at (1 to 50) */
    double min_relevance;  /* NAN: AL_ASK_RELEVANCE_DEFAULT */
    uint32_t sentences_max; /* 1 to 20 */
};

struct al_answer_sentence {
    struct al_str text;
    uint32_t source; /* number of its source, from 1 */
};

/* What one hit says about the question; how likely it is answered at all is judged by these. */
struct al_hit_evidence {
    float *match;    /* of each term of the question, its best match in the hit, [0, 1] */
    double soft;     /* soft coverage by all of the hit: idf-weighed mean of the matches, [0, 1] */
    double title;    /* the same by its title and headings alone */
    double window;   /* the same by the best three passages that follow each other */
    double sentence; /* cosine of the best passage */
    double rank;     /* what the hits are ordered by: the fused score and the above */
};

struct al_answer {
    struct al_str
        text; /* the sentences with their citations: "... [1] ... [2]"; when abstained: says so */
    bool abstained;
    double relevance; /* that some source answers, in [0, 1] */
    struct al_answer_sentence *sentences;
    size_t n_sentences;
    const struct al_hit *
        *sources; /* cited ones, numbered from 1 in this order; the nearest ones when abstained */
    size_t n_sources;
    struct al_missing *missing; /* as in al_query_result */
    size_t n_missing;
    double features[AL_ANSWERABILITY_FEATURES]; /* what relevance was judged by: relevance.h */
    struct al_query_result found;               /* what it was made of */
    struct al_hit_evidence *evidence;           /* of the first n_evidence hits found */
    size_t n_evidence;
    size_t n_terms;      /* of found.terms that evidence is about */
    const double *idf;   /* of them, 0 for words that questions are made of */
    const bool *is_name; /* of them: written like a name */
};

/* Answer. *ret in the arena. Errors of al_query_run; QUERY_EMPTY. */
AL_NODISCARD enum al_code al_ask(const struct al_query_context *ctx,
                                 const struct al_ask_options *opt, struct al_arena *a,
                                 struct al_answer *ret, struct al_err *err);

#endif
