/* postings.h - the rows that hold a term: lists that grow, sealed lists, and reading both.
 *
 * A posting is a row and how often the term stands in it (tf). As varints it is
 * varint((row - row before) * 2 + (tf == 1)), then varint(tf) unless it is 1; the row before the
 * first is -1. A growing list is varints. So is a sealed list of fewer than 128 postings; a longer
 * one is cut into blocks of 128, packed (postings_pack.h): the gaps less one, then the counts less
 * one; what is left at the end is varints again. Each block has an entry of struct al_block, by
 * which a reader finds a row without reading all and a search knows what the block can score.
 *
 * Thread: confined to one thread (a list is guarded by its segment's lock).
 */
#ifndef AIRLORE_SHARD_POSTINGS_H
#define AIRLORE_SHARD_POSTINGS_H

#include "airlore/str.h"
#include "impact.h"
#include "postings_pack.h"

#define AL_ROW_NONE UINT32_MAX
#define AL_POSTINGS_BLOCK AL_PACK_N

/* ---- growing ---- */

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

/* ---- sealing ---- */

/* A block of a sealed list of at least 128 postings; on disk as it is. */
struct al_block {
    uint32_t last_row;
    uint32_t offset;  /* in the list's bytes */
    uint8_t row_bits; /* of a full block; of the varints at the end both are 0 */
    uint8_t tf_bits;
    struct al_impact front[AL_FRONT_MAX]; /* the last pair repeated */
};

/* How many blocks a sealed list of n_rows has: none when it is short. */
uint32_t al_blocks_of(uint32_t n_rows);

struct al_posting {
    uint32_t row;
    uint32_t tf;
};

/* Append a list of n > 0 postings, ascending by row, to bytes, and its blocks to blocks.
 * length_codes: of all rows. Failures of the buffers stay in them. */
void al_postings_seal(const struct al_posting *p, uint32_t n, const uint8_t *length_codes,
                      struct al_buf *bytes, struct al_buf *blocks, struct al_front *ret_front);

/* ---- reading ---- */

/* A list to read, borrowed. */
struct al_postings_view {
    const uint8_t *p;
    uint32_t n_bytes;
    uint32_t n_rows;
    uint32_t n_front;              /* 0: nothing is known */
    uint32_t number;               /* of the term, in a sealed segment */
    const struct al_block *blocks; /* al_blocks_of(n_rows) of them; NULL: none */
    const struct al_impact *front;
};

/* Whether the blocks of a sealed list are in order and lie within its bytes and the segment. What
 * is read through a list (below) asks for this. */
bool al_blocks_fit(const struct al_postings_view *v, uint32_t n_rows_limit);

/* A place in a list, and the postings around it. damaged: the bytes were no list of rows below the
 * limit; the list then ends early. */
struct al_list {
    bool damaged;
    bool is_sealed;
    bool has_tfs;
    uint32_t at; /* rows[at] is the present row, when at < n */
    uint32_t n;  /* postings in rows; 0 at the end */
    uint32_t block;
    uint32_t n_blocks;
    uint32_t left; /* varints not yet read */
    uint32_t n_rows_limit;
    const uint8_t *next; /* varint */
    const uint8_t *end;
    struct al_postings_view view;
    uint32_t rows[AL_POSTINGS_BLOCK];
    uint32_t tfs[AL_POSTINGS_BLOCK];
};

/* Stand on the first posting. Rows at or above n_rows_limit end the list; in a sealed list they are
 * damage. */
void al_list_init(struct al_list *l, const struct al_postings_view *v, uint32_t n_rows_limit,
                  bool is_sealed);

/* The present row, or AL_ROW_NONE at the end. */
static inline uint32_t al_list_row(const struct al_list *l)
{
    return l->at < l->n ? l->rows[l->at] : AL_ROW_NONE;
}

/* Go to the first posting of the next block (a growing list has blocks of a kind, too). */
void al_list_next_block(struct al_list *l);

/* Go to the next posting. */
static inline void al_list_next(struct al_list *l)
{
    if (++l->at >= l->n)
        al_list_next_block(l);
}

/* Go to the first posting at or above row, never back; returns its row. */
uint32_t al_list_seek(struct al_list *l, uint32_t row);

/* The block that a seek to row would read, without reading it: the present one, or a later one;
 * n_blocks when the list ends before. Only for a list with blocks. */
uint32_t al_list_find_block(const struct al_list *l, uint32_t from, uint32_t row);

/* tfs of all postings in rows. */
const uint32_t *al_list_tfs(struct al_list *l);

/* tf of the present posting. */
uint32_t al_list_tf(const struct al_list *l);

/* How many postings of a sealed list lie below row. Uses l for reading; damage stays in it. */
uint32_t al_list_rank(struct al_list *l, uint32_t row);

#endif
