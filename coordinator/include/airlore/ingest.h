/* airlore/ingest.h - a stream of items into the shards: prepared by the caller's thread, committed
 * in groups by one of its own.
 *
 * The caller's thread prepares (redacts, reads, embeds) while the committer writes what is ready,
 * as one entry a shard, and answers; so one sync serves many items and nobody has to say when a
 * batch ends. At most `window` items are under way: al_ingest_add blocks then, which is the
 * back-pressure of the stream.
 *
 * An item is an upsert by id: same content hash is skipped before any work. A retry of a stream
 * that broke is therefore safe at any point.
 *
 * Thread:    add, present and finish from one thread; on_results from the committer's thread, one
 * call at a time. Lifecycle: start -> add* -> finish -> destroy. Destroy without finish abandons
 * what is not yet committed.
 */
#ifndef AIRLORE_INGEST_H
#define AIRLORE_INGEST_H

#include "airlore/prepare.h"
#include "airlore/router.h"

struct al_storage_quota;

#define AL_INGEST_WINDOW 256u
#define AL_INGEST_PRESENT_MAX 4000000u

struct al_ingest;

struct al_ingest_result {
    uint64_t sequence; /* the caller's number of the item */
    struct al_str id;
    enum al_outcome outcome; /* valid when code is AL_OK */
    struct al_err error;     /* code AL_OK: none */
    uint32_t chunks;
    uint32_t redactions;
};

struct al_ingest_summary {
    uint64_t inserted;
    uint64_t updated;
    uint64_t skipped;
    uint64_t failed;
    uint64_t deleted;
    uint64_t chunks;
    uint64_t bytes; /* of content received */
};

struct al_ingest_options {
    struct al_router *router; /* all borrowed until destroy */
    const struct al_embedder *embedder;
    struct al_clock *clock;
    struct al_mem *mem;
    struct al_target target;        /* its strings too */
    struct al_storage_quota *quota; /* NULL: none; an item beyond one fails, the others do not */
    size_t item_bytes_max;          /* memory for one item; 0: 256 MiB */
    bool dry_run;                   /* say what would happen */
    bool force;                     /* write also what is the same */
    bool delete_missing; /* at finish, delete documents of target.source (not empty) that were not
                            added or present */
    uint32_t write_timeout_ms; /* 0: 30,000 */
    /* Results in the order of add; t: of all writes so far, borrowed during the call. A code other
     * than AL_OK stops the stream: add and finish give it back. */
    enum al_code (*on_results)(void *u, const struct al_ingest_result *r, size_t n,
                               const struct al_token *t, struct al_err *err);
    void *u;
};

/* Start the committer's thread. *ret owned. AL_INVALID_ARGUMENT, reason REQUIRED: delete_missing
 * without a source. */
AL_NODISCARD enum al_code al_ingest_start(const struct al_ingest_options *opt,
                                          struct al_ingest **ret, struct al_err *err);

/* Take an item: a bad one becomes a failed result, not an error here. Blocks while the window is
 * full. Errors: the stream has been stopped by on_results. */
AL_NODISCARD enum al_code al_ingest_add(struct al_ingest *g, const struct al_item *it,
                                        uint64_t sequence, struct al_err *err);

/* Answer an item with an error of the caller's, in its turn; what was there before stays. Errors:
 * as of al_ingest_add. */
AL_NODISCARD enum al_code al_ingest_refuse(struct al_ingest *g, const struct al_item *it,
                                           uint64_t sequence, const struct al_err *why,
                                           struct al_err *err);

/* An item that is there unchanged (the client knows its checksum): keeps it from being deleted as
 * missing. */
AL_NODISCARD enum al_code al_ingest_present(struct al_ingest *g, struct al_str id,
                                            struct al_err *err);

/* Commit the rest, end the thread; then delete what is missing if asked and `complete` (the client
 * said that it has named all there is). *ret_token in a. */
AL_NODISCARD enum al_code al_ingest_finish(struct al_ingest *g, bool complete, struct al_arena *a,
                                           struct al_ingest_summary *ret,
                                           struct al_token *ret_token, struct al_err *err);

/* Stop and free; accepts NULL. */
void al_ingest_destroy(struct al_ingest *g);

AL_DEFINE_AUTO(al_ingest);

#endif
