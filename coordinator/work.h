/* work.h - the kinds of jobs that this coordinator knows: verify, compact, reembed.
 *
 * Thread: job functions run on the job runner's threads.
 */
#ifndef AIRLORE_COORDINATOR_WORK_H
#define AIRLORE_COORDINATOR_WORK_H

#include "service.h"

/* Findings of a verify job are lines of its log that begin so: "finding: shard 3: ...". */
#define AL_FINDING_PREFIX "finding: "

/* Add the kinds to c->jobs. */
AL_NODISCARD enum al_code al_work_register(struct al_coordinator *c, struct al_err *err);

#endif
