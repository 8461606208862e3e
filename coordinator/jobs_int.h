/* jobs_int.h - what jobs.c (the interface), jobs_store.c (records as rows) and jobs_run.c (leading,
 * running) share.
 *
 * All records are held in memory. A change of a record's status is written to its row first;
 * whoever changes it has it `busy`, so that no lock is held over the write.
 *
 * Thread: al_jobs.mu is held where a comment says so, else not.
 */
#ifndef AIRLORE_COORDINATOR_JOBS_INT_H
#define AIRLORE_COORDINATOR_JOBS_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "airlore/jobs.h"
#include "airlore/pool.h"
#include "airlore/queue.h"

#define AL_JOB_CLASSES 6u
#define AL_JOB_ATTEMPTS_MAX 3u
#define AL_JOB_KINDS_MAX 64u
#define AL_JOBS_QUEUED_MAX 1000u
#define AL_JOB_TYPE_BYTES_MAX 63u
#define AL_JOB_ARGS_BYTES_MAX (16u << 10)
#define AL_JOB_LOG_BYTES_MAX (16u << 10) /* of all its lines */
#define AL_JOB_LINE_BYTES_MAX 512u
#define AL_JOB_RESULTS_BYTES_MAX (32u << 10) /* of all keys and values */

/* What changes rarely and is on disk before it is seen. */
struct al_job_status {
    enum al_job_state state;
    uint32_t attempt;
    uint64_t started_ms;
    uint64_t ended_ms;
    int error_code;
    char error[320];
};

struct al_job_record {
    /* immutable */
    char id[AL_JOB_ID_BYTES_MAX + 1];
    char type[AL_JOB_TYPE_BYTES_MAX + 1];
    char team[AL_NAME_BYTES_MAX + 1];
    struct al_str args; /* owned */
    enum al_job_class job_class;
    uint64_t seq; /* order of submission */
    uint64_t created_ms;
    /* guarded by mu */
    struct al_job_status status; /* changed by the holder of is_busy only */
    uint64_t row_version;        /* of what is on disk, 0: nothing; holder of is_busy only */
    bool is_busy;
    bool is_stored;   /* false: being submitted, not yet shown */
    bool is_enqueued; /* in the queue */
    bool is_stale;    /* what is on disk is not known; holder of is_busy only */
    uint64_t version;
    double done;
    char message[256];
    struct al_kv *results; /* owned, with their bytes */
    size_t n_results;
    size_t results_cap;
    size_t results_bytes;
    struct al_str *log; /* owned, with their bytes; oldest first */
    size_t n_log;
    size_t log_cap;
    size_t log_bytes;
    uint64_t log_dropped;   /* by this process: numbers of lines go on */
    struct al_job_run *run; /* while it runs in this process */
};

struct al_job_run {
    struct al_jobs *jobs;
    struct al_job_record *record;
    atomic_bool is_cancelled;
    uint64_t stored_ns; /* the job's thread only: when log and progress were last written */
};

struct al_jobs {
    struct al_jobs_options opt; /* immutable after create, like queue */
    struct al_queue queue;
    struct al_job_kind kinds[AL_JOB_KINDS_MAX]; /* immutable after start */
    size_t n_kinds;
    bool is_started;

    pthread_mutex_t mu;
    pthread_cond_t changed; /* with mu: a record, who is busy, who leads */
    pthread_cond_t wake;    /* with mu: runners have something to look at */
    /* guarded by mu */
    struct al_job_record **records; /* by seq */
    size_t n_records;
    size_t records_cap;
    uint64_t next_seq;
    bool is_enqueueing[AL_JOB_CLASSES + 1];
    uint32_t paused;           /* bit of a class */
    uint64_t settings_version; /* of the row; holder of is_settings_busy */
    bool is_settings_busy;
    uint64_t n_events; /* counts what may matter to runners */
    bool is_stopping;
    bool is_electing; /* its holder alone uses the next four */
    uint64_t lease;   /* 0: none */
    bool has_fence;
    struct al_fence fence;
    int64_t taken_over; /* the fence under which records were recovered */

    uint64_t watch; /* start and stop only, like the next */
    struct al_job_runner {
        struct al_jobs *jobs;
        enum al_job_class job_class;
        unsigned long thread;
        bool is_running;
    } runners[AL_JOB_CLASSES];
};

/* ---- jobs_store.c ---- */

/* A record that is not yet in the list. *ret owned: al_job_record_free. */
AL_NODISCARD enum al_code al_job_record_new(struct al_jobs *j, struct al_str id, struct al_str args,
                                            struct al_job_record **ret, struct al_err *err);

/* Accepts NULL. */
void al_job_record_free(struct al_jobs *j, struct al_job_record *r);

/* mu held: by id, or NULL. */
struct al_job_record *al_jobs_find(struct al_jobs *j, struct al_str id);

/* mu held: into the list, moved on AL_OK. */
AL_NODISCARD enum al_code al_jobs_insert(struct al_jobs *j, struct al_job_record *r,
                                         struct al_err *err);

/* mu held: out of the list and freed. */
void al_jobs_forget(struct al_jobs *j, struct al_job_record *r);

/* mu held: into the caller's arena. */
AL_NODISCARD enum al_code al_job_copy(const struct al_job_record *r, struct al_arena *a,
                                      struct al_job *ret, struct al_err *err);

/* mu held: wait until nobody changes the record of this id, and have it. NULL: there is none. */
struct al_job_record *al_jobs_begin_change(struct al_jobs *j, struct al_str id);

/* mu held: give it up again. */
void al_jobs_end_change(struct al_jobs *j, struct al_job_record *r);

/* Busy: write the row with this status; the record has it on AL_OK. AL_ABORTED, reason JOB_CHANGED:
 * another process changed it (the record is then as that one left it). */
AL_NODISCARD enum al_code al_job_store(struct al_jobs *j, struct al_job_record *r,
                                       const struct al_job_status *status, struct al_err *err);

/* Busy: read the row again. AL_NOT_FOUND when there is none. */
AL_NODISCARD enum al_code al_job_reload(struct al_jobs *j, struct al_job_record *r,
                                        struct al_err *err);

/* Drop the row. */
AL_NODISCARD enum al_code al_job_erase(struct al_jobs *j, struct al_str id, struct al_err *err);

/* Read rows that are not known or newer than what is known, and the settings. */
AL_NODISCARD enum al_code al_jobs_load(struct al_jobs *j, struct al_err *err);

/* Holder of is_settings_busy: write which classes are paused. */
AL_NODISCARD enum al_code al_jobs_store_settings(struct al_jobs *j, uint32_t paused,
                                                 struct al_err *err);

/* ---- jobs_run.c ---- */

/* Lead, or find out that another does: AL_UNAVAILABLE, reason NOT_LEADER. Recovers records when
 * newly won. */
AL_NODISCARD enum al_code al_jobs_lead(struct al_jobs *j, struct al_fence *ret, struct al_err *err);

/* Put what waits for it into the queue, in order. What fails is tried again by the runner. */
void al_jobs_enqueue(struct al_jobs *j, enum al_job_class c);

/* Make the runners look again. */
void al_jobs_wake(struct al_jobs *j);

/* A runner's thread; u is a struct al_job_runner. */
void *al_jobs_runner_main(void *u);

/* mu held: wait on the condition for at most so many real milliseconds. */
void al_jobs_wait_ms(struct al_jobs *j, pthread_cond_t *cond, uint64_t ms);

/* Whether the state is an end. */
bool al_job_has_ended(enum al_job_state s);

#endif
