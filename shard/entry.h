/* entry.h - an entry of a shard's log and its encoding.
 *
 *   format u8 | epoch u64 | write id 16 | time u64 | number of ops u32 | ops | crc32c u32
 *
 * The checksum covers the entry's index too, so that an entry in the wrong place is found. An entry
 * is made in two steps: the writer encodes the ops, the applier sets index, epoch and time when it
 * appends. An entry without ops is the no-op that begins an epoch.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_SHARD_ENTRY_H
#define AIRLORE_SHARD_ENTRY_H

#include "airlore/shard.h"
#include "keys.h"

#define AL_ENTRY_OPS_MAX 1024u
#define AL_ENTRY_BYTES_MAX (64u << 20)
#define AL_ROW_VALUE_BYTES_MAX (16u << 20)

/* One op as it lies in an entry; views borrow from the entry. */
struct al_entry_op {
    enum al_op_kind kind;
    enum al_op_condition condition;
    uint64_t version;
    uint32_t space;
    uint8_t table;
    struct al_str id;
    struct al_str value; /* row: value; document: its encoding */
    uint32_t n_chunks;   /* documents */
    uint32_t dim;        /* 0: no vectors */
    struct al_str vectors;
};

struct al_entry {
    uint64_t epoch;
    uint8_t write_id[AL_WRITE_ID_BYTES]; /* all zero: none */
    uint64_t time_ms;
    struct al_entry_op *ops;
    size_t n_ops;
};

/* Check ops (kinds, sizes, documents with al_doc_check); AL_INVALID_ARGUMENT. */
AL_NODISCARD enum al_code al_entry_check(const struct al_op *ops, size_t n_ops, uint32_t dim,
                                         struct al_err *err);

/* Begin an entry: append all but index, epoch, time and checksum. ops checked before. n_ops 0: a
 * no-op. */
void al_entry_encode(const struct al_op *ops, size_t n_ops, uint32_t dim,
                     const uint8_t write_id[AL_WRITE_ID_BYTES], struct al_buf *b);

/* Finish it: set epoch and time, append the checksum. Once only. AL_RESOURCE_EXHAUSTED when b
 * failed. */
AL_NODISCARD enum al_code al_entry_seal(struct al_buf *b, uint64_t index, uint64_t epoch,
                                        uint64_t time_ms, struct al_err *err);

/* Decode; views borrow from bytes, the array lives in a. AL_DATA_LOSS, reason DATA_CORRUPT;
 * AL_FAILED_PRECONDITION, reason FORMAT_TOO_NEW. */
AL_NODISCARD enum al_code al_entry_decode(struct al_str bytes, uint64_t index, struct al_arena *a,
                                          struct al_entry *ret, struct al_err *err);

/* Only the format: AL_FAILED_PRECONDITION, reason FORMAT_TOO_NEW. */
AL_NODISCARD enum al_code al_entry_check_format(struct al_str bytes, uint64_t index,
                                                struct al_err *err);

/* Whether an id is given (not all zero). */
bool al_write_id_is_set(const uint8_t id[AL_WRITE_ID_BYTES]);

#endif
