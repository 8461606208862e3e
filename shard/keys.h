/* keys.h - keys of the store's families, and the small values that are not documents or log
 * entries.
 *
 * All numbers in keys are big endian, so that they sort.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_SHARD_KEYS_H
#define AIRLORE_SHARD_KEYS_H

#include "airlore/doc.h"

#define AL_WRITE_ID_BYTES 16u
#define AL_DOCNO_OP_BITS 20u /* docno = log index << 20 | op number */

/* A key in the caller's memory. */
struct al_key {
    char p[528];
    size_t n;
};

/* The bytes of k, borrowed. */
struct al_str al_key_view(const struct al_key *k);

/* A number (log index, docno). */
struct al_key al_key_u64(uint64_t v);

/* slot | space | id */
struct al_key al_key_doc(uint32_t space, struct al_str id);

/* Parts of a document's key; false when it is not one. id borrows. */
bool al_key_doc_parse(struct al_str key, uint16_t *ret_slot, uint32_t *ret_space,
                      struct al_str *ret_id);

/* table | space | key */
struct al_key al_key_row(uint8_t table, uint32_t space, struct al_str key);

/* META: a name, and a name followed by a number ("count/" + space, "epoch/" + epoch). */
struct al_key al_key_meta(const char *name);
struct al_key al_key_meta_u64(const char *name, uint64_t v);

/* WRITE_ID: the record of an id, and the index of records by time. */
struct al_key al_key_write_id(const uint8_t id[AL_WRITE_ID_BYTES]);
struct al_key al_key_write_time(uint64_t time_ms, const uint8_t id[AL_WRITE_ID_BYTES]);
/* Parts of a key by time; false when it is not one. */
bool al_key_write_time_parse(struct al_str key, uint64_t *ret_time_ms,
                             uint8_t ret_id[AL_WRITE_ID_BYTES]);

/* Number of a key made by al_key_u64; false when its length is another. */
bool al_key_u64_parse(struct al_str key, uint64_t *ret);

/* Value of the CHUNK family. vectors: raw floats of n_chunks * dim, or empty. */
struct al_chunk_row {
    uint32_t space;
    struct al_str id;
    uint32_t n_chunks;
    uint32_t dim; /* 0: no vectors */
    struct al_str vectors;
};
void al_chunk_row_encode(const struct al_chunk_row *c, struct al_buf *b);
/* Views borrow from bytes. AL_DATA_LOSS, AL_FAILED_PRECONDITION (FORMAT_TOO_NEW). */
AL_NODISCARD enum al_code al_chunk_row_decode(struct al_str bytes, struct al_chunk_row *ret,
                                              struct al_err *err);

/* The vectors as floats, copied into the arena; NULL when there are none. */
AL_NODISCARD enum al_code al_chunk_row_vectors(const struct al_chunk_row *c, struct al_arena *a,
                                               const float **ret, struct al_err *err);

#endif
