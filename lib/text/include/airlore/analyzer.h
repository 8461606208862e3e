/* airlore/analyzer.h - text to index terms.
 *
 * One analyzer for documents and queries. A raw token is a run of letters, digits, '_' and inner
 * dots; identifiers are kept whole (lower case, unstemmed) and also split at '.', '_' and CamelCase
 * into lower-case pieces without stop words, stemmed by Snowball English. Hangul, Han, Hiragana and
 * Katakana runs become bigrams (a run of one gives itself), so that Korean, Chinese and Japanese
 * questions find text of their language; a Hangul run is bigrammed in each of its words, with the
 * word's whole as one more term.
 *
 * The terms of a text depend on AL_ANALYZER_VERSION and nothing else: every segment stores the
 * version.
 *
 * Thread: an analyzer is confined to one thread (the stemmer has state); create one per worker, or
 * use al_analyzer_acquire, which keeps a small pool and may be called from any thread.
 */
#ifndef AIRLORE_ANALYZER_H
#define AIRLORE_ANALYZER_H

#include "airlore/arena.h"
#include "airlore/str.h"

#define AL_ANALYZER_VERSION 1u
#define AL_TERM_BYTES_MAX 64u /* longer terms are cut at a character border */

struct al_analyzer;

/* One term of a text. term: borrowed during the visit. [start, end): bytes of the raw token in the
 * text, for highlighting. position: number of the raw token from 0 (whole and pieces of one token
 * share it). */
struct al_term {
    struct al_str term;
    uint32_t start;
    uint32_t end;
    uint32_t position;
};

/* *ret owned: al_analyzer_destroy. */
AL_NODISCARD enum al_code al_analyzer_create(struct al_mem *mem, struct al_analyzer **ret,
                                             struct al_err *err);

/* Accepts NULL. */
void al_analyzer_destroy(struct al_analyzer *a);

/* Visit the terms of text (any bytes; malformed UTF-8 separates tokens; at most 4 GiB) in order.
 * Never fails. */
void al_analyzer_run(struct al_analyzer *a, struct al_str text,
                     void (*visit)(void *u, const struct al_term *t), void *u);

/* Visit at least those terms of text that equal one of wanted (terms as al_analyzer_run gives
 * them), in the same order and with the same places; most others are passed over before they are
 * made, which is several times cheaper. The visitor still has to compare. */
void al_analyzer_find(struct al_analyzer *a, struct al_str text, const struct al_str *wanted,
                      size_t n_wanted, void (*visit)(void *u, const struct al_term *t), void *u);

/* An analyzer from the process's pool: any thread; give it back with al_analyzer_release. */
AL_NODISCARD enum al_code al_analyzer_acquire(struct al_analyzer **ret, struct al_err *err);

/* Accepts NULL. */
void al_analyzer_release(struct al_analyzer *a);

AL_DEFINE_AUTO(al_analyzer);

#endif
