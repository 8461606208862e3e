/* chunk.h - cutting a body: what the chunkers share.
 *
 * A cutter keeps one open chunk, to which neighbours are packed as long as they fit.
 *
 * Thread: confined to one thread. Memory: of the document's arena.
 */
#ifndef AL_TEXT_CHUNK_H
#define AL_TEXT_CHUNK_H

#include "doc.h"

struct al_cutter {
    struct al_doc *d;
    struct al_str body;
    struct al_chunk *chunks;
    size_t n;
    size_t cap;
    size_t n_max;
    uint32_t max;
    size_t section; /* where al_cutter_heading is */
    /* the open chunk */
    bool open;
    uint32_t start;
    uint32_t end;
    struct al_str heading;
};

/* Add [start, end) without the white space at its ends, if anything is left. AL_RESOURCE_EXHAUSTED,
 * also with reason TOO_MANY_CHUNKS. */
AL_NODISCARD enum al_code al_cutter_add(struct al_cutter *c, uint32_t start, uint32_t end,
                                        struct al_str heading, struct al_err *err);

/* Join [start, end) to the open chunk when both fit, else open a new one with it; what is larger
 * than a chunk is cut. Spans come in order. */
AL_NODISCARD enum al_code al_cutter_pack(struct al_cutter *c, uint32_t start, uint32_t end,
                                         struct al_str heading, struct al_err *err);

/* Add the open chunk, if there is one. */
AL_NODISCARD enum al_code al_cutter_flush(struct al_cutter *c, struct al_err *err);

/* Whether a piece may end in front of body[i], i > 0. rank 0: a blank line, 1: a line, 2: a
 * sentence, 3: a word. */
bool al_cutter_is_border(struct al_str body, uint32_t i, int rank);

/* Where to end a piece that starts at `start` and is larger than a chunk: the last border of the
 * best kind in the window's last two thirds, else the last character that fits. */
uint32_t al_cutter_best_cut(const struct al_cutter *c, uint32_t start);

/* The path of headings at an offset; offsets must not go down. */
struct al_str al_cutter_heading(struct al_cutter *c, uint32_t at);

/* The chunkers that do not go by sections. */
AL_NODISCARD enum al_code al_cut_fixed(struct al_cutter *c, struct al_err *err);
AL_NODISCARD enum al_code al_cut_recursive(struct al_cutter *c, struct al_err *err);
AL_NODISCARD enum al_code al_cut_semantic(struct al_cutter *c, struct al_err *err);

#endif
