/* unicode.h - code points: decoding, classes, folding. The one user of utf8proc.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AL_TEXT_UNICODE_H
#define AL_TEXT_UNICODE_H

#include <stdint.h>

#include "airlore/str.h"

#define AL_CP_BAD 0xFFFFFFFFu

enum al_cp_class {
    AL_CP_OTHER,  /* separates words */
    AL_CP_LOWER,  /* letters without or of lower case */
    AL_CP_UPPER,  /* letters of upper or title case */
    AL_CP_DIGIT,  /* decimal digits */
    AL_CP_MARK,   /* combining marks */
    AL_CP_UNDER,  /* '_' */
    AL_CP_HANGUL, /* syllables and Jamo */
    AL_CP_HAN,    /* ideographs, Hiragana, Katakana */
};

/* Decode the code point at s[i] (i < s.n) and move *i behind it. A malformed byte gives AL_CP_BAD
 * and moves by one. */
uint32_t al_cp_next(struct al_str s, size_t *i);

/* Encode into out[4]; number of bytes. cp is valid. */
size_t al_cp_put(uint32_t cp, char *out);

/* What a code point is to the analyzer. */
enum al_cp_class al_cp_class(uint32_t cp);

/* Compatibility decomposition of cp without combining marks into out[max]; the count, at most max.
 */
size_t al_cp_fold(uint32_t cp, uint32_t *out, size_t max);

/* Canonical decomposition (NFD) of cp without nonspacing marks, lower case, into out[max]; the
 * count. */
size_t al_cp_nfd_lower(uint32_t cp, uint32_t *out, size_t max);

/* Simple lower case. */
uint32_t al_cp_lower(uint32_t cp);

/* Controls, format characters, private use, surrogates: category C* but unassigned, as the
 * reference has it. */
bool al_cp_is_control(uint32_t cp);

/* Property White_Space. */
bool al_cp_is_space(uint32_t cp);

/* ASCII punctuation and symbols, and category P*. */
bool al_cp_is_punct(uint32_t cp);

/* The ideographs that BERT's tokenizer sets apart. */
bool al_cp_is_cjk(uint32_t cp);

#endif
