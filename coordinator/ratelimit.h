/* ratelimit.h - what keys, deployments and teams may do in a time and at the same time, and what
 * they did: in memory of this coordinator.
 *
 * A call concerns up to three scopes (airlore/directory.h): its key, the key's deployment, its
 * team; it must pass all of them, and counts for none when one refuses. Calls a second: a bucket of
 * two seconds' worth, at least one call, refilled steadily. A key without a rate of its own has the
 * server's default, with a bucket of six seconds' worth, at least ten calls. Items a second slow
 * the stream down. Bytes a day are counted from midnight UTC. A restart forgets: these limits
 * protect the server, they do not bill.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_COORDINATOR_RATELIMIT_H
#define AIRLORE_COORDINATOR_RATELIMIT_H

#include "airlore/directory.h"
#include "airlore/metrics.h"

struct al_ratelimit;

/* Refusals by limit; each may be NULL. */
struct al_quota_metrics {
    struct al_metric *calls;
    struct al_metric *concurrent;
    struct al_metric *ingest_bytes;
    struct al_metric *items;
    struct al_metric *bytes;
    struct al_metric *jobs;
    struct al_metric *deployments;
};

struct al_ratelimit_options {
    struct al_quota defaults; /* for keys: AL_QUOTA_CALLS_PER_SECOND, AL_QUOTA_INGEST_BYTES */
    struct al_quota_metrics metrics;
    struct al_clock *clock;
    struct al_mem *mem;
};

/* *ret owned. */
AL_NODISCARD enum al_code al_ratelimit_create(const struct al_ratelimit_options *opt,
                                              struct al_ratelimit **ret, struct al_err *err);

/* Accepts NULL. */
void al_ratelimit_destroy(struct al_ratelimit *r);

/* Count a call that begins. AL_RESOURCE_EXHAUSTED, reasons RATE_LIMITED (the message says when to
 * come again) and QUOTA_EXCEEDED (too many at once). On AL_OK only: al_ratelimit_leave when it has
 * ended. */
AL_NODISCARD enum al_code al_ratelimit_enter(struct al_ratelimit *r, const struct al_credential *c,
                                             struct al_err *err);
void al_ratelimit_leave(struct al_ratelimit *r, const struct al_credential *c);

/* Count bytes taken in. AL_RESOURCE_EXHAUSTED, reason QUOTA_EXCEEDED. */
AL_NODISCARD enum al_code al_ratelimit_bytes(struct al_ratelimit *r, const struct al_credential *c,
                                             uint64_t bytes, struct al_err *err);

/* Count an ingested item; gives how many milliseconds its stream has to wait before the next. */
uint64_t al_ratelimit_item(struct al_ratelimit *r, const struct al_credential *c);

/* What a scope did: over the last minute, now, today. */
struct al_rate_use {
    double calls_per_second;
    double items_per_second;
    uint32_t concurrent_calls;
    uint64_t ingest_bytes_today;
};
/* Zeros for one that did nothing since the start. */
void al_ratelimit_use(struct al_ratelimit *r, const char *scope, struct al_rate_use *ret);

AL_DEFINE_AUTO(al_ratelimit);

#endif
