/* terms.h - the dictionary of a sealed segment, mapped.
 *
 * TERMS: u32 starts[2^bits + 1], then a struct al_term_entry for each term, by hash, then term. The
 * upper bits of the hash choose a bucket, starts[bucket] to starts[bucket + 1] are its entries:
 * about four, so that a lookup touches a line of starts, one or two of entries, and the record.
 *
 * TERM_TEXT: the records, in the order of the entries:
 *
 *   varint bytes of the term, the term
 *   varint n_rows
 *   u8 pairs of the front, then struct al_impact each
 *   short list: its varints, to the end of the record
 *   long list:  varint place in POSTINGS, varint its bytes there, varint number of its first block
 *
 * Lists in POSTINGS and blocks in BLOCKS follow each other in the same order.
 *
 * Thread: immutable.
 */
#ifndef AIRLORE_SHARD_TERMS_H
#define AIRLORE_SHARD_TERMS_H

#include "postings.h"

struct al_term_entry {
    uint32_t hash; /* upper half */
    uint32_t record;
};

/* A dictionary and what it points into, borrowed. */
struct al_terms {
    const uint32_t *starts;
    const struct al_term_entry *entries;
    const uint8_t *records;
    const uint8_t *postings;
    const struct al_block *blocks;
    uint64_t record_bytes;
    uint64_t postings_bytes;
    uint64_t n_blocks;
    uint32_t n_terms;
    uint32_t n_rows; /* of the segment */
    unsigned bits;
};

/* Hash of a term; stored. */
uint64_t al_term_hash(struct al_str term);

/* Bytes of TERMS for so many terms. */
uint64_t al_terms_bytes(uint32_t n_terms);

/* Set starts, entries and bits from TERMS' first byte and n_terms. */
void al_terms_show(struct al_terms *t, const void *terms);

/* Structure of all of it: whatever find and at give is within bounds afterwards. Set n_rows before.
 */
bool al_terms_fit(const struct al_terms *t);

/* The postings of a term; false when there is no such term. */
bool al_terms_find(const struct al_terms *t, struct al_str term, struct al_postings_view *ret);

/* Term number i < n_terms. */
struct al_str al_terms_at(const struct al_terms *t, uint32_t i, struct al_postings_view *ret);

/* ---- writing ---- */

/* The sections while they are made; terms come in ascending order of al_term_order. */
struct al_terms_writer {
    struct al_buf entries;
    struct al_buf records;
    struct al_buf blocks;
    struct al_buf postings; /* of the last term only: the caller writes and resets it */
    uint64_t postings_at;
    uint32_t n_terms;
    bool failed; /* postings did, at some term */
};

/* -1, 0 or 1: the order of the dictionary. */
int al_term_order(uint64_t hash_a, struct al_str a, uint64_t hash_b, struct al_str b);

void al_terms_writer_init(struct al_terms_writer *w, struct al_mem *mem);
void al_terms_writer_fini(struct al_terms_writer *w);

/* Add a term with its list of n > 0 postings. A long list's bytes are then in w->postings. Failures
 * of the buffers stay in them. */
void al_terms_add(struct al_terms_writer *w, struct al_str term, const struct al_posting *p,
                  uint32_t n, const uint8_t *length_codes);

/* AL_OK, or why the sections are not complete: AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_terms_status(const struct al_terms_writer *w, struct al_err *err);

/* Append TERMS. */
void al_terms_encode(const struct al_terms_writer *w, struct al_buf *ret);

#endif
