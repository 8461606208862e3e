/* findings.h - what a verify job found: rows of the system shard, by job and number.
 *
 * At most AL_FINDINGS_MAX of a job; they go with the job's record.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_FINDINGS_H
#define AIRLORE_COORDINATOR_FINDINGS_H

#include "service.h"

#define AL_FINDINGS_MAX 10000u

struct al_finding {
    uint32_t shard;
    bool is_repaired;
    struct al_str what; /* "log", "store", "vectors", "postings", "counters", "file" */
    struct al_str message;
    struct al_str item_id; /* "" when it is not about one */
};

/* What a line of a shard's report is about; views of the line. */
struct al_finding al_finding_of(uint32_t shard, struct al_str line);

/* Write findings of a job, numbered from first. */
AL_NODISCARD enum al_code al_findings_write(struct al_coordinator *c, const char *job,
                                            uint64_t first, const struct al_finding *f, size_t n,
                                            struct al_err *err);

/* Which findings: of a job, from number `from` on, at most limit. */
struct al_findings_query {
    struct al_str job;
    uint64_t from;
    uint32_t limit;
};

struct al_findings {
    const struct al_finding *list;
    size_t n;
};

/* In the arena. None beyond AL_FINDINGS_MAX, and none of a name that is too long for a job. */
AL_NODISCARD enum al_code al_findings_read(struct al_coordinator *c,
                                           const struct al_findings_query *q, struct al_arena *a,
                                           struct al_findings *ret, struct al_err *err);

/* Drop all of a job. */
AL_NODISCARD enum al_code al_findings_erase(struct al_coordinator *c, const char *job,
                                            struct al_err *err);

#endif
