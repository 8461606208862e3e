/* airlore/snippet.h - the part of a text that shows why it matched, and its sentences.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_SNIPPET_H
#define AIRLORE_SNIPPET_H

#include "airlore/analyzer.h"

struct al_span {
    uint32_t start;
    uint32_t end;
};

struct al_snippet {
    struct al_str text; /* view of the source, at character borders */
    uint32_t offset;    /* of text in the source */
    struct al_span
        *highlights; /* in text, ascending, not overlapping: tokens with a term of the query */
    size_t n_highlights;
};

/* The window of at most max_bytes (100 to 4,000) with the most distinct query terms, moved to
 * sentence or word borders. query_terms: terms of the analyzer. All in the arena.
 * AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_snippet_make(struct al_analyzer *an, struct al_str text,
                                          const struct al_str *query_terms, size_t n_terms,
                                          size_t max_bytes, struct al_arena *a,
                                          struct al_snippet *ret, struct al_err *err);

/* Sentences of a text as spans (code blocks, list items and table rows are one each), in the arena.
 * At most 4,096. */
AL_NODISCARD enum al_code al_sentences(struct al_str text, struct al_arena *a, struct al_span **ret,
                                       size_t *ret_n, struct al_err *err);

#endif
