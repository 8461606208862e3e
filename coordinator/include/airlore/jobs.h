/* airlore/jobs.h - long-running work: submitted with the caller's id, run in order per class,
 * watched, cancelled, paused.
 *
 * Order and ownership are in the coordination store (airlore/coord.h), records and results in the
 * system shard. Execution is at least once, so that a job's function must bear to be started again;
 * a job that was running when the process died is queued again at the next start, up to 3 attempts.
 *
 * Thread:    any thread (internally locked). Job functions run on the runner's own threads, one job
 * of a class at a time. Lifecycle: create -> add_kind* -> start -> ... -> stop -> destroy.
 */
#ifndef AIRLORE_JOBS_H
#define AIRLORE_JOBS_H

#include "airlore/directory.h"

#define AL_JOB_ID_BYTES_MAX 64u
#define AL_JOB_LOG_LINES_MAX 200u
#define AL_JOB_RESULTS_MAX 64u
#define AL_JOBS_KEPT_MAX 1000u /* ended ones; the oldest are forgotten */

struct al_coord;
struct al_jobs;
struct al_job_run;

enum al_job_state {
    AL_JOB_QUEUED = 1,
    AL_JOB_RUNNING = 2,
    AL_JOB_CANCELLING = 3,
    AL_JOB_SUCCEEDED = 4,
    AL_JOB_FAILED = 5,
    AL_JOB_CANCELLED = 6,
};

/* Classes have an order of their own; numbers as in the wire contract. */
enum al_job_class {
    AL_JOB_MAINTENANCE = 1,
    AL_JOB_GENERATION = 2,
    AL_JOB_ADR = 3,
    AL_JOB_MARKET = 4,
    AL_JOB_LEARNING = 5,
    AL_JOB_DEPLOY = 6,
};

/* A job as it stands; views live in the arena it was read into. */
struct al_job {
    struct al_str id;   /* [a-z0-9][a-z0-9._-]{0,63} */
    struct al_str type; /* "verify", "compact", "reembed" */
    enum al_job_class job_class;
    enum al_job_state state;
    struct al_str team;
    struct al_str args; /* the kind's own */
    uint64_t created_ms;
    uint64_t started_ms;
    uint64_t ended_ms;
    uint32_t attempt;
    double done;           /* 0 to 1 */
    struct al_str message; /* of the progress */
    struct al_str error;   /* of a failed one: "CODE/REASON: message" */
    int error_code;
    struct al_kv *results;
    size_t n_results;
    struct al_str *log;
    size_t n_log;
    uint64_t log_first; /* number of log[0]: lines before it were dropped */
    uint64_t version;   /* grows with every change */
};

/* What a kind of job does. run returns AL_OK, AL_CANCELLED after al_job_is_cancelled said so, or
 * fails. */
struct al_job_kind {
    const char *type;
    enum al_job_class job_class;
    enum al_code (*run)(void *ctx, struct al_job_run *r, struct al_str args, struct al_err *err);
    void *ctx;
};

struct al_jobs_options {
    struct al_coord *coord;       /* borrowed */
    struct al_shard_port *system; /* borrowed */
    struct al_clock *clock;
    struct al_random *random;
    struct al_mem *mem;
    struct al_log *log;
    /* A job was forgotten for good: what its kind has kept of it can go. Called without locks; may
     * be NULL. */
    void (*on_forget)(void *u, const char *id);
    void *forget_u;
};

/* *ret owned: al_jobs_destroy. */
AL_NODISCARD enum al_code al_jobs_create(const struct al_jobs_options *opt, struct al_jobs **ret,
                                         struct al_err *err);

/* Before start; kind copied, its strings borrowed forever. */
AL_NODISCARD enum al_code al_jobs_add_kind(struct al_jobs *j, const struct al_job_kind *kind,
                                           struct al_err *err);

/* Load records, queue again what was under way, start the runners. */
AL_NODISCARD enum al_code al_jobs_start(struct al_jobs *j, struct al_err *err);

/* Cancel what runs (it is queued again at the next start), end the threads. Idempotent. */
void al_jobs_stop(struct al_jobs *j);

/* Accepts NULL. */
void al_jobs_destroy(struct al_jobs *j);

/* Queue a job. id "" makes one. The same id, type and args again: the job that is there (a retry);
 * other ones: AL_ALREADY_EXISTS, reason ID_REUSED. AL_INVALID_ARGUMENT, reasons BAD_NAME and
 * BAD_ENUM; AL_RESOURCE_EXHAUSTED, reason QUEUE_FULL, beyond 1,000 queued. */
AL_NODISCARD enum al_code al_jobs_submit(struct al_jobs *j, const char *type, struct al_str id,
                                         struct al_str team, struct al_str args, struct al_arena *a,
                                         struct al_job *ret, struct al_err *err);

/* AL_NOT_FOUND, reason JOB_NOT_FOUND. */
AL_NODISCARD enum al_code al_jobs_get(struct al_jobs *j, struct al_str id, struct al_arena *a,
                                      struct al_job *ret, struct al_err *err);

/* All, newest first. */
AL_NODISCARD enum al_code al_jobs_list(struct al_jobs *j, struct al_arena *a, struct al_job **ret,
                                       size_t *ret_n, struct al_err *err);

/* Wait until the job's version exceeds `version` or the deadline; then as al_jobs_get (AL_OK also
 * when nothing changed). */
AL_NODISCARD enum al_code al_jobs_wait(struct al_jobs *j, struct al_str id, uint64_t version,
                                       uint64_t deadline_ns, struct al_arena *a, struct al_job *ret,
                                       struct al_err *err);

/* Ask it to end. AL_FAILED_PRECONDITION, reason JOB_STATE, when it has ended already. */
AL_NODISCARD enum al_code al_jobs_cancel(struct al_jobs *j, struct al_str id, struct al_arena *a,
                                         struct al_job *ret, struct al_err *err);

/* Start no further job of the class, or again (also over restarts). */
AL_NODISCARD enum al_code al_jobs_set_paused(struct al_jobs *j, enum al_job_class c, bool paused,
                                             struct al_err *err);
bool al_jobs_is_paused(struct al_jobs *j, enum al_job_class c);

/* Queued and running ones of a team. */
uint32_t al_jobs_count_team(struct al_jobs *j, struct al_str team);

/* Queued and running ones. */
void al_jobs_count(struct al_jobs *j, uint32_t *ret_queued, uint32_t *ret_running);

/* For the job's function: */
bool al_job_is_cancelled(const struct al_job_run *r);
/* done in [0, 1]; message copied. */
void al_job_progress(struct al_job_run *r, double done, const char *message);
/* The job's id; for its function only. */
const char *al_job_id(const struct al_job_run *r);
/* A line of its log; beyond AL_JOB_LOG_LINES_MAX the oldest goes. */
void al_job_log(struct al_job_run *r, const char *fmt, ...) AL_PRINTF(2, 3);
/* A result, shown when it has ended; AL_JOB_RESULTS_MAX of them. */
void al_job_result(struct al_job_run *r, const char *key, const char *fmt, ...) AL_PRINTF(3, 4);

AL_DEFINE_AUTO(al_jobs);

#endif
