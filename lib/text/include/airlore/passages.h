/* airlore/passages.h - the parts of a text that may be cited by themselves.
 *
 * A sentence of prose; a list or a table with the sentence that introduces it ("Check the
 * following:"); a single item of a long list with that sentence; a block of code with the sentence
 * before it. Headings are told apart: they are context of what follows, not an answer.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_PASSAGES_H
#define AIRLORE_PASSAGES_H

#include "airlore/snippet.h"

enum al_passage_kind {
    AL_PASSAGE_PROSE = 1,
    AL_PASSAGE_LIST,
    AL_PASSAGE_ITEM, /* of a list that is long; overlaps its AL_PASSAGE_LIST */
    AL_PASSAGE_CODE,
    AL_PASSAGE_TABLE,
    AL_PASSAGE_HEADING,
};

#define AL_PASSAGE_BYTES_MAX 2200u /* a longer list is cut behind an item; other kinds left out */

/* lead: the sentence that introduces it, start == end for none. A list's, a table's and a code
 * block's lead begins the span itself; an item's may lie far before it. */
struct al_passage {
    enum al_passage_kind kind;
    struct al_span span;
    struct al_span lead;
};

/* Passages of a text in the order of their beginnings, in the arena; spans lie in the text, not
 * empty. AL_RESOURCE_EXHAUSTED only. */
AL_NODISCARD enum al_code al_passages(struct al_str text, struct al_arena *a,
                                      struct al_passage **ret, size_t *ret_n, struct al_err *err);

#endif
