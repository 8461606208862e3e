/* airlore/queue.h - what is to be done: in order for each class, claimed by the leader, done once.
 *
 * Keys of the coordination store under a prefix:  pending/<class>/<id> -> running/<class>/<id> ->
 * done/<class>/<id>, and paused/<class>. An entry is small: an id and a pointer; payload and
 * results live elsewhere.
 *
 * Order is the order in which entries were added (their create revision). A claim and an end are
 * transactions under the leader's fence; a new leader gets what a former one left running before it
 * gets anything pending. Execution is at least once; an entry is ended once.
 *
 * Writes whose outcome is unknown are repeated, and recognise themselves; what is still unknown
 * then is AL_UNKNOWN. Other errors: as of coord.h; AL_ABORTED, reason FENCED: the fence is no
 * longer the leader's.
 *
 * Thread: any thread (no state but what init set).
 */
#ifndef AIRLORE_QUEUE_H
#define AIRLORE_QUEUE_H

#include "airlore/election.h"
#include "airlore/random.h"

#define AL_QUEUE_PREFIX_BYTES_MAX 64u
#define AL_QUEUE_ID_BYTES_MAX 128u
#define AL_QUEUE_VALUE_BYTES_MAX 4096u

struct al_queue {
    struct al_coord *coord; /* borrowed, like the next two */
    struct al_clock *clock;
    struct al_random *random;               /* any thread: the system's */
    uint32_t timeout_ms;                    /* of each call */
    char prefix[AL_QUEUE_PREFIX_BYTES_MAX]; /* without '/' at its end */
};

/* An entry that this process runs. */
struct al_queue_item {
    uint32_t job_class;
    char id[AL_QUEUE_ID_BYTES_MAX + 1];
    struct al_str value;    /* as added; in the arena */
    int64_t claim_revision; /* of this claim */
    bool was_abandoned;     /* a former leader had begun it */
};

/* Add an entry at the end of its class. id: 1 to 128 bytes without '/'. AL_OK also when the id is
 * there already in any state (a repeat). */
AL_NODISCARD enum al_code al_queue_add(const struct al_queue *q, uint32_t job_class,
                                       struct al_str id, struct al_str value, struct al_err *err);

/* Claim what is next of the class. AL_NOT_FOUND, reason QUEUE_EMPTY (also while the class is
 * paused). AL_DATA_LOSS when an entry cannot be read. */
AL_NODISCARD enum al_code al_queue_claim(const struct al_queue *q, const struct al_fence *f,
                                         uint32_t job_class, struct al_arena *a,
                                         struct al_queue_item *ret, struct al_err *err);

/* Keep a claim under a newer fence of the same process. AL_ABORTED, reason CLAIM_LOST: another has
 * it. */
AL_NODISCARD enum al_code al_queue_reclaim(const struct al_queue *q, const struct al_fence *f,
                                           struct al_queue_item *item, struct al_err *err);

/* End it, with an outcome to be kept until al_queue_forget. Again by the same claim: AL_OK.
 * AL_ABORTED, reason CLAIM_LOST. */
AL_NODISCARD enum al_code al_queue_done(const struct al_queue *q, const struct al_fence *f,
                                        const struct al_queue_item *item, struct al_str outcome,
                                        struct al_err *err);

/* The outcome of an entry that was ended and not forgotten. AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_queue_get_outcome(const struct al_queue *q, uint32_t job_class,
                                               struct al_str id, struct al_arena *a,
                                               struct al_str *ret, struct al_err *err);

/* Take an entry out again. AL_NOT_FOUND when it is not pending. */
AL_NODISCARD enum al_code al_queue_remove(const struct al_queue *q, uint32_t job_class,
                                          struct al_str id, struct al_err *err);

/* Drop the outcome of an ended entry; nothing to drop is no error. */
AL_NODISCARD enum al_code al_queue_forget(const struct al_queue *q, uint32_t job_class,
                                          struct al_str id, struct al_err *err);

/* Claim nothing of the class from now on, or again. */
AL_NODISCARD enum al_code al_queue_set_paused(const struct al_queue *q, uint32_t job_class,
                                              bool is_paused, struct al_err *err);

#endif
