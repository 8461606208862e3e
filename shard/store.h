/* store.h - the store port of a shard: an ordered key-value store with families, atomic batches and
 * snapshots of nothing: a reader sees the latest committed state of each call.
 *
 * Back ends: store_rocksdb.c and store_mem.c; both pass tests in store_test.c (one conformance
 * suite).
 *
 * Thread: any thread; an iterator is confined to one thread.
 */
#ifndef AIRLORE_SHARD_STORE_H
#define AIRLORE_SHARD_STORE_H

#include "airlore/disk.h"
#include "airlore/log.h"

enum al_family {
    AL_FAMILY_META,  /* applied index, format versions, manifest, counters, epochs, newest record */
    AL_FAMILY_LOG,   /* index (u64 be) -> entry */
    AL_FAMILY_DOC,   /* slot (u16 be) space (u32 be) id -> document */
    AL_FAMILY_CHUNK, /* docno (u64 be) -> slot, space, id, vectors */
    AL_FAMILY_DEAD,  /* docno (u64 be) -> space: replaced or deleted, still in a sealed segment */
    AL_FAMILY_ROW,   /* table (u8) space (u32 be) key -> version, value */
    AL_FAMILY_WRITE_ID, /* write id -> time, index, outcomes */
    AL_FAMILY_COUNT,
};

struct al_store;
struct al_store_iter;
struct al_store_batch;

/* All keys and values: any bytes; views borrowed until the next call on the same object. get
 * appends to *ret. write: atomic; sync true returns after the disk has it.
 * AL_RESOURCE_EXHAUSTED/DISK_FULL, AL_DATA_LOSS/DATA_CORRUPT (corruption),
 * AL_UNKNOWN/OUTCOME_UNKNOWN (an I/O error of a write: it may be there). */
struct al_store_ops {
    enum al_code (*get)(struct al_store *s, enum al_family f, struct al_str key, struct al_buf *ret,
                        struct al_err *err); /* AL_NOT_FOUND */
    enum al_code (*batch_create)(struct al_store *s, struct al_store_batch **ret,
                                 struct al_err *err);
    void (*batch_put)(struct al_store_batch *b, enum al_family f, struct al_str key,
                      struct al_str value);
    void (*batch_delete)(struct al_store_batch *b, enum al_family f, struct al_str key);
    void (*batch_delete_range)(struct al_store_batch *b, enum al_family f, struct al_str from,
                               struct al_str to);    /* [from, to) */
    void (*batch_destroy)(struct al_store_batch *b); /* accepts NULL */
    enum al_code (*write)(struct al_store *s, struct al_store_batch *b, bool sync,
                          struct al_err *err); /* the batch is emptied on AL_OK */
    enum al_code (*iter_create)(struct al_store *s, enum al_family f, struct al_store_iter **ret,
                                struct al_err *err); /* a consistent view from its creation */
    void (*iter_destroy)(struct al_store_iter *it);  /* accepts NULL */
    void (*iter_seek)(struct al_store_iter *it, struct al_str key); /* first key >= key */
    void (*iter_seek_last)(struct al_store_iter *it);
    bool (*iter_valid)(const struct al_store_iter *it);
    void (*iter_next)(struct al_store_iter *it);
    struct al_str (*iter_key)(const struct al_store_iter *it);
    struct al_str (*iter_value)(const struct al_store_iter *it);
    enum al_code (*iter_status)(const struct al_store_iter *it, struct al_err *err);
    uint64_t (*size_bytes)(struct al_store *s);
    enum al_code (*flush)(struct al_store *s, struct al_err *err);
    void (*destroy)(struct al_store *s); /* accepts NULL */
};

struct al_store {
    const struct al_store_ops *ops;
};

struct al_store_options {
    const char *dir;      /* created if absent (its parent must exist), but see must_exist */
    uint64_t cache_bytes; /* 0: 16 MiB */
    bool salvage;         /* open what can be read of a damaged store; writes answer AL_DATA_LOSS */
    bool must_exist;      /* never make a new one: AL_DATA_LOSS when it is not there */
    struct al_mem *mem;
    struct al_log *log;
};

/* open: AL_FAILED_PRECONDITION, reason IN_USE, when another process has it; reason FORMAT_TOO_NEW
 * when it holds families that are not known here; AL_DATA_LOSS, reason DATA_CORRUPT, when it cannot
 * be opened whole (then salvage may), or must exist and does not. */
struct al_store_factory {
    const char *name;
    enum al_code (*open)(const struct al_store_options *opt, struct al_store **ret,
                         struct al_err *err);
};

/* The error of a store that must exist and does not. */
AL_NODISCARD enum al_code al_store_fail_missing(const char *dir, struct al_err *err);

/* The RocksDB back end. */
const struct al_store_factory *al_store_rocksdb(void);

/* In memory; a registry by dir name lets a test reopen it after a "crash" that loses what was not
 * synced. */
const struct al_store_factory *al_store_mem(void);

/* Of the in-memory store of this dir: end the open store as a killed process would (its calls fail
 * from now on, it can only be destroyed); lose_unsynced: what was not synced is gone. Tests only.
 */
void al_store_mem_crash(const char *dir, bool lose_unsynced);

/* Forget everything of this dir. Its store must be destroyed. Tests only. */
void al_store_mem_forget(const char *dir);

/* What becomes of the write that fails: lost or on disk. In both cases it answers AL_UNKNOWN,
 * OUTCOME_UNKNOWN, and the store is as after al_store_mem_crash. FULL: AL_RESOURCE_EXHAUSTED,
 * DISK_FULL; nothing written. */
enum al_store_mem_fault { AL_STORE_MEM_LOST, AL_STORE_MEM_DURABLE, AL_STORE_MEM_FULL };

/* Write number nth from now (0: the next one) fails so. Tests only. */
void al_store_mem_fail_write(const char *dir, uint64_t nth, enum al_store_mem_fault fault);

/* Reads of this key answer AL_DATA_LOSS, and so do iterators that reach it. Tests only. */
void al_store_mem_damage(const char *dir, enum al_family f, struct al_str key);

/* Names of the families, in their order. */
extern const char *const al_family_names[AL_FAMILY_COUNT];

#endif
