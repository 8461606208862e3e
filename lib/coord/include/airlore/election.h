/* airlore/election.h - one of many leads, and a former leader can do nothing.
 *
 * A key of the coordination store, hung on the lease of its holder. Its create revision is the
 * fence: every write of a leader compares it, so that the store itself refuses a leader that lost
 * the key, whatever that one believes.
 *
 * Thread: any thread (no state of its own).
 */
#ifndef AIRLORE_ELECTION_H
#define AIRLORE_ELECTION_H

#include "airlore/coord.h"

#define AL_FENCE_KEY_BYTES_MAX 128u

/* A claim to lead. Copyable. */
struct al_fence {
    char key[AL_FENCE_KEY_BYTES_MAX];
    int64_t revision; /* grows from leader to leader */
};

struct al_election {
    bool is_won;
    struct al_fence fence;     /* when won */
    struct al_coord_kv holder; /* when not: who holds it, in the arena */
};

/* Try once to take put->key for put->lease (> 0), with a value for people. Won also when that lease
 * holds it already (an earlier answer was lost); its value is then the earlier one.
 * AL_FAILED_PRECONDITION, reason LEASE_LOST; AL_UNKNOWN when no answer came also after repeats. */
AL_NODISCARD enum al_code al_election_try(struct al_coord *c, const struct al_coord_op *put,
                                          uint64_t deadline_ns, struct al_arena *a,
                                          struct al_election *ret, struct al_err *err);

/* Wait for the key until the deadline, trying again whenever it is given up. AL_DEADLINE_EXCEEDED.
 */
AL_NODISCARD enum al_code al_election_campaign(struct al_coord *c, struct al_clock *clock,
                                               const struct al_coord_op *put, uint64_t deadline_ns,
                                               struct al_fence *ret, struct al_err *err);

/* Give the key up. AL_OK also when it is not held any more. */
AL_NODISCARD enum al_code al_election_resign(struct al_coord *c, const struct al_fence *f,
                                             uint64_t deadline_ns, struct al_err *err);

/* The compare that belongs in every transaction of a leader. Borrows from f. */
struct al_coord_compare al_fence_guard(const struct al_fence *f);

#endif
