/* ratelimit.h - what one key may do in a time: token buckets, in memory of this coordinator.
 *
 * Requests a minute: a bucket of a tenth of a minute's amount (at least 10) refilled steadily.
 * Bytes a day: counted from midnight UTC. A restart forgets; the limits protect the server, they do
 * not bill.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_COORDINATOR_RATELIMIT_H
#define AIRLORE_COORDINATOR_RATELIMIT_H

#include "airlore/directory.h"

struct al_ratelimit;

/* defaults: for keys without a quota of their own; 0: none. *ret owned. */
AL_NODISCARD enum al_code al_ratelimit_create(const struct al_quota *defaults,
                                              struct al_clock *clock, struct al_mem *mem,
                                              struct al_ratelimit **ret, struct al_err *err);

/* Accepts NULL. */
void al_ratelimit_destroy(struct al_ratelimit *r);

/* Count a request of the key. AL_RESOURCE_EXHAUSTED, reason RATE_LIMITED, message says when to come
 * again. */
AL_NODISCARD enum al_code al_ratelimit_request(struct al_ratelimit *r, const struct al_key *k,
                                               struct al_err *err);

/* Count bytes taken in. AL_RESOURCE_EXHAUSTED, reason QUOTA_EXCEEDED. */
AL_NODISCARD enum al_code al_ratelimit_bytes(struct al_ratelimit *r, const struct al_key *k,
                                             uint64_t bytes, struct al_err *err);

AL_DEFINE_AUTO(al_ratelimit);

#endif
