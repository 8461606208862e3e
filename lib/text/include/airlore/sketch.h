/* airlore/sketch.h - near-duplicate texts: a small sketch of each to find candidates, an exact rule
 * to decide.
 *
 * The sketch is MinHash (Broder 1997) over shingles of four words, by one permutation in 64 bins
 * with empty ones filled from their neighbours (Shrivastava and Li 2014), 8 bits of each minimum.
 * Two sketches estimate the share of shingles that the texts have in common, with a standard
 * deviation of at most 0.0625.
 *
 * The estimate alone would take two playbooks from one template, or two versions of a page that
 * differ in a number, for the same. al_texts_fold therefore compares the texts themselves.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_SKETCH_H
#define AIRLORE_SKETCH_H

#include "airlore/arena.h"
#include "airlore/str.h"

#define AL_SKETCH_BINS ((size_t)64)
#define AL_SKETCH_CHARS (2 * AL_SKETCH_BINS) /* as text: hexadecimal */
#define AL_SKETCH_WORDS_MIN 40u              /* shorter texts have none */
#define AL_SKETCH_ALIKE 0.85

/* Write the sketch of a text, AL_SKETCH_CHARS characters without a NUL; false, nothing written, for
 * a text of too few words. */
bool al_sketch_make(struct al_str text, char ret[AL_SKETCH_CHARS]);

/* Estimated share of shingles in common, [0, 1]; 0 when either is no sketch. */
double al_sketch_similarity(struct al_str a, struct al_str b);

/* Whether one of the texts says all that the other says and hardly more: at least AL_SKETCH_ALIKE
 * of all shingles in common, every word of one is in the other, and its numbers and names stand
 * behind the same words there, joined by the same sign. A number, name or word that was changed on
 * both sides makes it false. Memory from a, for the call only. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_texts_fold(struct al_str x, struct al_str y, struct al_arena *a,
                                        bool *ret, struct al_err *err);

#endif
