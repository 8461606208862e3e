/* work.h - the kinds of jobs that this coordinator knows: verify, compact, reembed.
 *
 * Thread: job functions run on the job runner's threads.
 */
#ifndef AIRLORE_COORDINATOR_WORK_H
#define AIRLORE_COORDINATOR_WORK_H

#include "service.h"

#define AL_WORK_SHARDS_MAX 256u

/* Add the kinds to c->jobs. */
AL_NODISCARD enum al_code al_work_register(struct al_coordinator *c, struct al_err *err);

/* Arguments of verify and compact: "deep repair 0 3". */
struct al_work_args {
    bool deep;
    bool repair;
    bool is_wanted[AL_WORK_SHARDS_MAX];
    size_t n_shards; /* wanted; all when none was named */
    bool is_all;
};
AL_NODISCARD enum al_code al_work_args_parse(struct al_coordinator *c, struct al_str args,
                                             struct al_work_args *ret, struct al_err *err);

/* All data shards and the system shard, which is number n_shards. */
struct al_shard_port *al_work_shard(const struct al_coordinator *c, size_t i);

/* All spaces there are, ascending; in the arena. */
AL_NODISCARD enum al_code al_work_spaces(struct al_coordinator *c, struct al_arena *a,
                                         uint32_t **ret, size_t *ret_n, struct al_err *err);

/* Maps the progress of one of n parts into that of the job; false: it is cancelled. */
struct al_work_part {
    struct al_job_run *run;
    size_t i;
    size_t n;
};
bool al_work_progress(void *u, double done);

/* The job function of verify. */
enum al_code al_work_verify(void *ctx, struct al_job_run *run, struct al_str args,
                            struct al_err *err);

#endif
