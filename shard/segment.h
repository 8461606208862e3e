/* segment.h - what the growing and the sealed segments have in common: tables that a search reads.
 *
 * A segment is a table of documents, a table of rows (a row is a chunk), vectors of the rows that
 * have one, and postings. The rows of a document are neighbours, and so are its vectors. In a
 * sealed segment documents are ordered by space, then docno, and the tables are the mapped file; in
 * the growing one they are in order of arrival and may move while it grows.
 *
 * Thread: what is marked so is guarded by the set's lock; the rest of a sealed segment is
 * immutable, of a growing one guarded by the same lock.
 */
#ifndef AIRLORE_SHARD_SEGMENT_H
#define AIRLORE_SHARD_SEGMENT_H

#include <stdatomic.h>

#include "postings.h"
#include "segset.h"

#define AL_SEG_ROWS_MAX 0x40000000u
#define AL_SEG_DOC_STALE 1u /* its vectors are of another embedder and were left out */

/* A document; on disk as it is. Its id and then its attributes (an encoded document without body)
 * are in the blob. */
struct al_seg_doc {
    uint64_t docno;
    uint64_t blob_at;
    uint32_t attr_bytes;
    uint32_t space;
    uint32_t row_first;
    uint32_t n_rows;
    uint32_t vec_first;
    uint32_t n_vecs;
    uint16_t id_bytes;
    uint16_t flags;
    uint32_t zero;
};

/* A chunk; its number is its row less the document's first. On disk as it is. */
struct al_seg_row {
    uint32_t doc;
    uint32_t n_terms;
};

/* The documents and rows of a space in a sealed segment; on disk as it is. */
struct al_seg_space {
    uint32_t space;
    uint32_t doc_first;
    uint32_t n_docs;
    uint32_t row_first;
    uint32_t n_rows;
    uint32_t zero;
    uint64_t n_terms;
};

/* What is live of a space. */
struct al_space_count {
    uint32_t space;
    uint64_t n_docs;
    uint64_t n_rows;
    uint64_t n_terms;
};

struct al_segment {
    /* The postings of a term; false when it holds none. */
    bool (*find)(const struct al_segment *s, struct al_str term, struct al_postings_view *ret);
    bool is_sealed;
    uint32_t dim;
    uint32_t n_docs;
    uint32_t n_rows;
    uint32_t n_vecs;
    uint32_t n_ranges;
    const struct al_seg_doc *docs;
    const struct al_seg_row *rows;
    const char *blob;
    const float *vectors;     /* n_vecs * dim */
    const uint32_t *vec_rows; /* row of each vector, ascending; NULL: vector i is row i's */
    const struct al_seg_space *ranges; /* sealed only, by space */
    uint16_t *lengths; /* n_terms of each row, close together, and one more; NULL: not kept */
    const struct al_index *index; /* NULL: none */
    /* guarded by the set's lock */
    struct al_mem *mem;
    uint64_t *dead;  /* bit i: document i is dead */
    size_t dead_cap; /* words */
    uint32_t n_dead_docs;
    uint32_t n_dead_rows;
    uint32_t n_stale;              /* live */
    struct al_space_count *counts; /* by space */
    size_t n_counts;
    size_t cap_counts;
    uint64_t n_live_terms;
    /* of a sealed segment, from the first death on; NULL: out of memory then. Neither moves;
     * entries below the n_dead_docs that a reader saw under the lock do not change. */
    uint32_t *dead_log; /* documents in the order of their deaths */
    _Atomic uint64_t
        *dead_counts; /* of each term: deaths looked at << 32 | dead rows that hold it */
    uint32_t n_terms; /* sealed only */
};

/* Free what al_segment itself owns. */
void al_segment_fini(struct al_segment *s);

/* Id and attributes of a document, borrowed from the segment. */
struct al_str al_segment_id(const struct al_segment *s, const struct al_seg_doc *d);
struct al_str al_segment_attributes(const struct al_segment *s, const struct al_seg_doc *d);

/* Row of vector v, and vector of a row (AL_ROW_NONE: it has none). */
uint32_t al_segment_row_of_vec(const struct al_segment *s, uint32_t v);
uint32_t al_segment_vec_of_row(const struct al_segment *s, uint32_t row);

/* Room for the dead bits of n_docs documents and for one more space's counts. */
AL_NODISCARD enum al_code al_segment_reserve(struct al_segment *s, size_t n_docs, size_t n_spaces);

/* Count a live document (room reserved). */
void al_segment_count(struct al_segment *s, uint32_t doc);

/* Mark a document dead and take it out of the counts; false when it is already. Cannot fail. */
bool al_segment_kill(struct al_segment *s, uint32_t doc);
bool al_segment_is_dead(const struct al_segment *s, uint32_t doc);

/* Whether space is in the ascending list. */
bool al_space_in(const uint32_t *spaces, size_t n_spaces, uint32_t space);

/* Words of a bitmap of n bits. */
static inline size_t al_bit_words(size_t n)
{
    return (n + 63) / 64;
}

static inline bool al_bit_get(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static inline void al_bit_set(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void al_bit_clear(uint64_t *bits, uint32_t i)
{
    bits[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* Set bits [from, from + n). */
void al_bit_set_range(uint64_t *bits, uint32_t from, uint32_t n);

#endif
