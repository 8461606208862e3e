/* shard_impl.h - the inside of a shard, shared by its files.
 *
 *   shard_open.c    open, recover, reopen after a failed write, close
 *   shard_state.c   what META holds: format, record, epochs, counters; the log's extent
 *   shard_write.c   writers: check, encode, queue, wait
 *   shard_group.c   the applier: takes what is queued, one batch, one sync
 *   shard_apply.c   one entry applied to a batch
 *   shard_read.c    documents and rows
 *   shard_search.c  searching
 *   shard_upkeep.c  seal, merge, status
 *   shard_verify.c  the online check
 *
 * Locks, in the order they are taken:
 *   upkeep_lock   one build of a segment at a time
 *   apply_lock    the order of changes: repl, counters, segment set, writes to the store
 *   store_lock    shared by whoever uses the store; exclusive to replace it
 *   lock          queue and flags; nothing is called with it held
 */
#ifndef AIRLORE_SHARD_IMPL_H
#define AIRLORE_SHARD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "entry.h"
#include "keys.h"
#include "overlay.h"
#include "repl.h"
#include "segset.h"
#include "store.h"

#define AL_SHARD_QUEUE_MAX 1024u /* writes waiting */
#define AL_SHARD_QUEUE_BYTES_MAX (128u << 20)
#define AL_SHARD_RETRY_MS 100u /* told to who finds the queue full */
#define AL_SHARD_RETRY_SEAL_MS 1000u
#define AL_SHARD_GROUP_MAX 256u             /* writes of one batch */
#define AL_SHARD_GROUP_BYTES_MAX (8u << 20) /* a group closes at it; one write may be larger */
#define AL_SHARD_GROUP_ARENA_BYTES (512u << 20)
#define AL_SHARD_LOG_BYTES_MAX                                        \
    (64u << 20) /* of the log kept; cut to three quarters when beyond \
                 */
#define AL_SHARD_LOG_MARKS 128u
#define AL_SHARD_LOG_MARK_BYTES (1u << 20)

enum al_write_state { AL_WRITE_QUEUED, AL_WRITE_TAKEN, AL_WRITE_DONE };

/* A write between its writer and the applier. The last one to let go frees it. */
struct al_write_req {
    struct al_write_req *next; /* queue, group */
    struct al_mem *mem;
    struct al_buf entry;
    uint8_t write_id[AL_WRITE_ID_BYTES];
    size_t n_ops;
    enum al_write_state state;
    bool abandoned; /* the writer has gone */
    /* the answer, set by the applier */
    enum al_code code;
    struct al_err err;
    uint64_t index;
    bool repeated;
    enum al_outcome outcomes[]; /* n_ops */
};

/* Live documents, their chunks and bytes (encoded, without vectors) of a space. */
struct al_space_count {
    uint32_t space;
    uint64_t docs;
    uint64_t chunks;
    uint64_t bytes;
};

/* So many bytes of log lie before this index (counted since the open). */
struct al_log_mark {
    uint64_t index;
    uint64_t bytes;
};

/* A change to the segment set, done after the batch is on disk. */
struct al_segment_change {
    struct al_segment_change *next;
    uint32_t space;
    bool removes; /* old_docno; with adds: in one step */
    bool adds;
    uint64_t old_docno;
    struct al_str doc; /* encoding */
    uint32_t dim;
    struct al_str vectors;
};

/* The applying of a group of entries into one batch. */
struct al_apply {
    struct al_shard *s;
    struct al_store *store;
    struct al_store_batch *batch;
    struct al_arena a;
    struct al_overlay overlay;
    struct al_segment_change *first;
    struct al_segment_change *last;
    uint64_t index; /* of the entry at hand */
    uint64_t time_ms;
    bool expired; /* old write ids were looked for in this group */
};

struct al_shard {
    struct al_shard_options opt; /* defaults filled in; dir and embedder_id are copies */
    char *dir;
    char *store_dir;
    char *segment_dir;
    char *mark_path; /* the file that says that there was a store */
    char *embedder_id;
    uint8_t store_uuid[AL_REPL_UUID_BYTES];

    pthread_mutex_t upkeep_lock;
    pthread_mutex_t apply_lock;
    pthread_rwlock_t store_lock;
    pthread_mutex_t lock;
    pthread_cond_t work;   /* the applier: queue or stop */
    pthread_cond_t done;   /* writers, al_shard_wait: answers, applied */
    pthread_cond_t upkeep; /* the upkeep thread, and the applier when that is behind */
    bool has_locks;

    bool has_mark;          /* before threads run, then apply_lock; so the next */
    bool had_store;         /* a new one is never made */
    struct al_store *store; /* store_lock; NULL: could not be opened again */
    struct al_segset *segs;

    /* apply_lock */
    struct al_repl *repl;
    struct al_space_count *counts; /* by space */
    size_t n_counts;
    size_t cap_counts;
    uint64_t log_first;
    uint64_t log_bytes; /* ever since the open, before the end */
    uint64_t log_bytes_trimmed;
    struct al_log_mark marks[AL_SHARD_LOG_MARKS];
    size_t n_marks;
    uint64_t cover; /* documents of entries up to here are or will be in a sealed segment */
    uint64_t reopen_after_ns; /* of the monotonic clock: next try */
    bool has_unsettled;       /* a group whose write failed; whether it is there is not known yet */
    struct al_apply unsettled; /* its changes to the segment set */
    uint64_t unsettled_index;  /* of its last entry */
    uint64_t unsettled_epoch;

    /* lock */
    struct al_write_req *queue_head;
    struct al_write_req *queue_tail;
    size_t n_queued;
    size_t queued_bytes;
    uint64_t applied;
    uint64_t commit;
    uint64_t epoch;
    uint64_t n_docs;
    uint64_t n_chunks;
    bool closed;
    bool stop;
    bool read_only;
    bool may_recover; /* read-only for a cause that may pass: a full disk */
    char why[200];
    bool upkeep_wanted;
    bool upkeep_runs;

    atomic_bool cancel; /* ends long builds: close, reopen */
    bool has_applier;
    bool has_upkeep;
    unsigned long applier;
    unsigned long upkeeper;

    struct al_metric *writes;
    struct al_metric *groups;
    struct al_metric *sync_seconds;
};

/* ---- shard_open.c ---- */

/* The store, locked for use; AL_UNAVAILABLE when it could not be opened again. Pair with
 * al_shard_release_store. */
AL_NODISCARD enum al_code al_shard_acquire_store(struct al_shard *s, struct al_store **ret,
                                                 struct al_err *err);
void al_shard_release_store(struct al_shard *s);

/* Writes are refused from now on, for this cause (the first one stays). */
void al_shard_set_read_only(struct al_shard *s, const struct al_err *why);

/* Pass a code on; damage makes the shard read-only. */
enum al_code al_shard_note(struct al_shard *s, enum al_code code, const struct al_err *err);

/* AL_UNAVAILABLE after close. */
AL_NODISCARD enum al_code al_shard_check_open(struct al_shard *s, struct al_err *err);

/* A write to the store failed: open it again, settle the unsettled group, begin a new epoch. Under
 * apply_lock. *ret_present: whether the group is there. On error the shard is read-only and may
 * recover later. */
AL_NODISCARD enum al_code al_shard_reopen(struct al_shard *s, bool *ret_present,
                                          struct al_err *err);

/* ---- shard_state.c ---- */

/* Under apply_lock or before threads run. Each reads from s->store. */
AL_NODISCARD enum al_code al_shard_load_format(struct al_shard *s, struct al_err *err);
AL_NODISCARD enum al_code al_shard_load_log(struct al_shard *s, struct al_err *err);
AL_NODISCARD enum al_code al_shard_load_counts(struct al_shard *s, struct al_err *err);

/* Begin a new epoch that this replica leads: record, start and no-op, synced. al_shard_apply_rest
 * follows. */
AL_NODISCARD enum al_code al_shard_begin_epoch(struct al_shard *s, struct al_err *err);

/* Add to the counts of a space; differences wrap around, so that a large one subtracts. */
AL_NODISCARD enum al_code al_shard_count(struct al_shard *s, const struct al_space_count *change,
                                         struct al_err *err);
struct al_space_count *al_shard_find_count(struct al_shard *s, uint32_t space);
void al_shard_put_count(struct al_store *st, struct al_store_batch *b,
                        const struct al_space_count *c);

/* META values that are one number. */
void al_shard_put_u64(struct al_store *st, struct al_store_batch *b, const char *name, uint64_t v);
/* AL_NOT_FOUND, AL_DATA_LOSS. */
AL_NODISCARD enum al_code al_shard_get_u64(struct al_store *st, struct al_mem *mem,
                                           const char *name, uint64_t *ret, struct al_err *err);

/* An entry of so many bytes was appended. */
void al_shard_log_grew(struct al_shard *s, uint64_t index, size_t bytes);

/* Delete the oldest entries when the log is too large; part of the next batch. */
void al_shard_trim_log(struct al_shard *s, struct al_store_batch *b);

/* The new log_first, applied and so on become visible. */
void al_shard_publish(struct al_shard *s);

/* ---- shard_apply.c ---- */

/* store stays acquired by the caller meanwhile. */
AL_NODISCARD enum al_code al_apply_init(struct al_apply *x, struct al_shard *s,
                                        struct al_store *store, struct al_err *err);
void al_apply_fini(struct al_apply *x);

/* Put the effects of an entry into the batch. outcomes: n_ops. The bytes of e stay valid until
 * fini. On error the batch is of no use. */
AL_NODISCARD enum al_code al_apply_entry(struct al_apply *x, uint64_t index,
                                         const struct al_entry *e, enum al_outcome *outcomes,
                                         struct al_err *err);

/* The first answer to a write id: AL_OK, AL_NOT_FOUND, or AL_ALREADY_EXISTS when it had other
 * ops. *ret_first: the request of this group that has it; else index and outcomes are filled. */
AL_NODISCARD enum al_code al_apply_find_write_id(struct al_apply *x, const struct al_write_req *req,
                                                 uint64_t now_ms,
                                                 const struct al_write_req **ret_first,
                                                 uint64_t *ret_index, enum al_outcome *ret_outcomes,
                                                 struct al_err *err);

/* Remember a request's write id until the end of the group. */
AL_NODISCARD enum al_code al_apply_note_write_id(struct al_apply *x, const struct al_write_req *req,
                                                 struct al_err *err);

/* Bring the segment set to where the batch is. */
AL_NODISCARD enum al_code al_apply_segments(struct al_apply *x, struct al_err *err);

/* Value of a row: version and bytes. */
AL_NODISCARD enum al_code al_row_value_decode(struct al_str bytes, uint64_t *ret_version,
                                              struct al_str *ret_value, struct al_err *err);

/* ---- shard_group.c ---- */

/* The applier's thread; u is the shard. */
void *al_shard_applier(void *u);

/* Apply the committed entries of the log that are not: the no-op of the epoch and what a crash
 * left. Under apply_lock. */
AL_NODISCARD enum al_code al_shard_apply_rest(struct al_shard *s, struct al_err *err);

/* Let go of a request from one side. */
void al_write_req_free(struct al_write_req *req);

/* ---- shard_upkeep.c ---- */

void *al_shard_upkeeper(void *u);

/* Load segments (damaged ones are rebuilt), tombstones and the growing segment. Before threads run.
 */
AL_NODISCARD enum al_code al_shard_load_segments(struct al_shard *s, struct al_err *err);

/* Documents by number, from the store. */
struct al_shard_source {
    struct al_shard *s;
    bool tolerant; /* skip what is damaged; the shard becomes read-only */
    bool (*progress)(void *u, double done);
    void *u;
    double from; /* share of the whole done before and after */
    double to;
    uint64_t n_total;
    uint64_t n_seen;
    bool cancelled;
};
AL_NODISCARD enum al_code al_shard_each_doc(void *u, uint64_t first, uint64_t last,
                                            enum al_code (*visit)(void *v, const struct al_doc *d,
                                                                  struct al_err *err),
                                            void *v, struct al_err *err);

/* Whether sealing should begin; wakes the upkeep thread. */
void al_shard_wake_upkeep(struct al_shard *s);

#endif
