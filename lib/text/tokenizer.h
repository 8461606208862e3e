/* tokenizer.h - text to WordPiece row numbers.
 *
 * The uncased BERT pipeline with one step in front: a border at CamelCase. Works on a stream: a
 * word of more than 100 characters is unknown, so that a fixed buffer is enough whatever the text.
 * Unknown words are skipped.
 *
 * Thread:    immutable after init: any thread.
 * Lifecycle: init -> run* -> fini. fini accepts zeroed memory.
 */
#ifndef AL_TEXT_TOKENIZER_H
#define AL_TEXT_TOKENIZER_H

#include <stdint.h>

#include "airlore/mem.h"
#include "airlore/str.h"

struct al_tokenizer_slot {
    uint32_t hash;
    uint32_t row_plus_1; /* 0: free */
};

/* private state */
struct al_tokenizer {
    struct al_mem *mem;
    struct al_tokenizer_slot *slots;
    uint32_t mask;
    uint32_t n_pieces;
    uint32_t piece_bytes_max;
    const char *offsets; /* u32le[n_pieces + 1], any alignment */
    const char *vocab;
};

/* pieces: vocab[offsets[i] .. offsets[i+1]), borrowed until fini; offsets ascending and checked by
 * the caller. AL_RESOURCE_EXHAUSTED when out of memory. */
AL_NODISCARD enum al_code al_tokenizer_init(struct al_tokenizer *t, struct al_mem *mem,
                                            const char *offsets, const char *vocab,
                                            uint32_t n_pieces, struct al_err *err);

/* Accepts zeroed memory. */
void al_tokenizer_fini(struct al_tokenizer *t);

/* Visit the rows of a text (any bytes) in order. Never fails. */
void al_tokenizer_run(const struct al_tokenizer *t, struct al_str text,
                      void (*visit)(void *u, uint32_t row), void *u);

#endif
