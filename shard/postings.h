/* postings.h - the rows that hold a term, encoded: growing lists, and cursors over any list.
 *
 * A posting is varint((row - row before) * 2 + (tf == 1)), then varint(tf) unless it is 1; the row
 * before the first is -1. Sealed lists carry a skip for every block but the first, so that a cursor
 * finds one row without reading all.
 *
 * Thread: confined to one thread (a list is guarded by its segment's lock).
 */
#ifndef AIRLORE_SHARD_POSTINGS_H
#define AIRLORE_SHARD_POSTINGS_H

#include "airlore/str.h"

#define AL_ROW_NONE UINT32_MAX
#define AL_POSTINGS_BLOCK 128u

/* A list that grows; zeroed is empty. */
struct al_postings {
    uint8_t *p;
    uint32_t n_bytes;
    uint32_t cap;
    uint32_t n_rows;
    uint32_t last; /* row, when n_rows > 0 */
};

/* Append row (above all before) with its count tf >= 1. AL_RESOURCE_EXHAUSTED changes nothing. */
AL_NODISCARD enum al_code al_postings_add(struct al_postings *l, struct al_mem *mem, uint32_t row,
                                          uint32_t tf);

/* What a block (but the first) starts after; on disk as it is. */
struct al_skip {
    uint32_t row_before;
    uint32_t offset; /* of the block in the list's bytes */
};

/* How many skips a sealed list of n_rows has. */
uint32_t al_skips_of(uint32_t n_rows);

/* A list to read, borrowed. */
struct al_postings_view {
    const uint8_t *p;
    uint32_t n_bytes;
    uint32_t n_rows;
    const struct al_skip *skips; /* al_skips_of(n_rows) of them; NULL: none */
};

/* row is AL_ROW_NONE at the end; damaged: the bytes were no list of rows below the limit. */
struct al_cursor {
    uint32_t row;
    uint32_t tf;
    bool damaged;
    /* private state */
    const uint8_t *p;
    const uint8_t *end;
    uint32_t left;
    uint32_t n_rows_limit;
    bool is_sealed;
    struct al_postings_view view;
};

/* Stand on the first row. Rows at or above n_rows_limit end the list; in a sealed list they are
 * damage. */
void al_cursor_init(struct al_cursor *c, const struct al_postings_view *v, uint32_t n_rows_limit,
                    bool is_sealed);

/* Go to the next row. */
void al_cursor_next(struct al_cursor *c);

/* Go to the first row at or above `row`, never back. */
void al_cursor_seek(struct al_cursor *c, uint32_t row);

#endif
