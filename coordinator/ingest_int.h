/* ingest_int.h - what the two halves of an ingest stream share; private to ingest*.c.
 *
 * Thread: as marked at the fields.
 */
#ifndef AIRLORE_COORDINATOR_INGEST_INT_H
#define AIRLORE_COORDINATOR_INGEST_INT_H

#include <pthread.h>

#include "airlore/ingest.h"
#include "quota.h"

/* An item on its way to the committer. */
struct al_ingest_entry {
    struct al_ingest_entry *next; /* al_ingest.head */
    struct al_arena arena;        /* of doc and id */
    struct al_ingest_result result;
    struct al_doc doc;
    struct al_storage_hold hold;
    bool write; /* false: the result is final already */
    size_t bytes;
    size_t received; /* bytes of content */
};

struct al_ingest {
    struct al_ingest_options opt; /* immutable after start */
    pthread_t thread;
    bool started;
    struct al_seen *seen; /* ids, for delete_missing; caller's thread only */
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct al_ingest_entry *head;             /* guarded by mu */
    struct al_ingest_entry **tail;            /* guarded by mu */
    const struct al_ingest_entry *committing; /* guarded by mu: the group that has been taken */
    size_t n_queued;                          /* guarded by mu: queued or being committed */
    size_t bytes_queued;                      /* guarded by mu */
    bool closed;                              /* guarded by mu: nothing more comes */
    bool abandoned;                           /* guarded by mu: commit nothing more */
    struct al_err stopped;                    /* guarded by mu: code AL_OK while all is well */
    struct al_ingest_summary summary;         /* committer's until it has ended */
    struct al_arena token_arena;
    struct al_token token; /* committer's until it has ended */
};

/* The committer's thread. */
void *al_ingest_commit_loop(void *u);

/* Free a list of entries and make their room free again. */
void al_ingest_free_entries(struct al_ingest *g, struct al_ingest_entry *e);

/* Delete documents of the source that were not seen. */
AL_NODISCARD enum al_code al_ingest_delete_missing(struct al_ingest *g, struct al_err *err);

/* A set of ids by their 128-bit hash. */
struct al_seen;
AL_NODISCARD enum al_code al_seen_add(struct al_seen **s, struct al_mem *mem, struct al_str id,
                                      struct al_err *err);
bool al_seen_has(const struct al_seen *s, struct al_str id);
void al_seen_destroy(struct al_seen *s, struct al_mem *mem);

#endif
