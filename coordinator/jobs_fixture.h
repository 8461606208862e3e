/* jobs_fixture.h - what the tests of jobs share: a system shard that has rows only and fails on
 * demand, a clock that moves by hand, job functions, and a process that can be stopped, killed and
 * started again.
 *
 * Thread: rows, clock and stage any thread; the rest confined to one thread.
 */
#ifndef AIRLORE_COORDINATOR_JOBS_FIXTURE_H
#define AIRLORE_COORDINATOR_JOBS_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "airlore/coord_mem.h"
#include "airlore/jobs.h"
#include "airlore/testing.h"

#define JF_ROWS_MAX 4096
#define JF_WRITES_SEEN 16

struct row {
    char key[128];
    char *value;
    size_t n;
    uint64_t version;
};

/* LOST and APPLIED answer AL_UNKNOWN; after KILL nothing gets through any more. */
enum row_fault { ROW_LOST = 1, ROW_APPLIED = 2, ROW_FULL = 3, ROW_KILL = 4 };

struct rows {
    struct al_shard_port port;
    pthread_mutex_t mu;
    struct row rows[JF_ROWS_MAX]; /* by key */
    size_t n;
    uint64_t index;
    struct {
        uint8_t id[16];
        uint64_t index;
        enum al_outcome outcome;
    } seen[JF_WRITES_SEEN]; /* a ring */
    uint64_t n_seen;
    bool is_dead; /* the process was killed: nothing gets through */
    uint64_t n_writes;
    pthread_cond_t written; /* with mu */
    uint64_t fault_at;      /* number of the write that meets the fault */
    enum row_fault fault;
};

/* May be read by any thread. */
struct hand_clock {
    struct al_clock clock;
    _Atomic uint64_t now_ns;
};

/* What jobs of the type "gated" do: say that they began, wait at the gate, end. */
struct stage {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool is_open;
    char began[2048]; /* "a b c " */
    int n_began;
    int n_inside; /* of one class: must never exceed 1 */
    int most_inside;
};

struct fixture {
    struct rows *rows;            /* NULL: `system` is another shard */
    struct al_shard_port *system; /* what the jobs are given */
    struct hand_clock clock;
    struct stage stage;
    _Atomic int n_quick;
    struct al_coord *coord;
    struct al_jobs *jobs;
    struct al_arena arena;
};

/* A shard in memory. */
struct rows *jf_rows_create(void);
void jf_rows_destroy(struct rows *s);

/* Nothing gets through, or again. */
void jf_rows_set_dead(struct rows *s, bool is_dead);

/* Write number nth from now (0: the next) meets the fault. */
void jf_rows_fail(struct rows *s, uint64_t nth, enum row_fault fault);

/* Wait until so many writes have come, those that met a fault included. */
void jf_await_writes(struct rows *s, uint64_t n);
uint64_t jf_n_writes(struct rows *s);

/* Rows there are; position of the first one not below the key. */
size_t jf_rows_count(struct rows *s);
size_t jf_find_row(const struct rows *s, struct al_str key);

/* Open or close the gate; wait until so many have begun. */
void jf_stage_open(struct stage *s, bool is_open);
void jf_await_began(struct stage *s, int n);

/* A job that counts in *ctx (an _Atomic int). */
enum al_code jf_run_quick(void *ctx, struct al_job_run *r, struct al_str args, struct al_err *err);

/* Set up with one process started; system NULL: rows. Take down. */
void jf_init(struct fixture *f, struct al_shard_port *system);
void jf_fini(struct fixture *f);

/* End and begin a process, orderly or by a kill (which leaves what was written before it; rows
 * only). */
void jf_start(struct fixture *f);
void jf_stop(struct fixture *f);
void jf_crash(struct fixture *f);

/* One more process on the same rows. */
struct al_jobs *jf_make_jobs(struct fixture *f, struct al_coord *c);

/* Submit; jf_submit must succeed. */
enum al_code jf_try_submit(struct fixture *f, const char *type, const char *id, const char *args,
                           struct al_job *ret, struct al_err *err);
struct al_job jf_submit(struct fixture *f, const char *type, const char *id, const char *args);

/* The job as it is; wait until it has the state. */
struct al_job jf_get(struct fixture *f, const char *id);
struct al_job jf_await(struct fixture *f, struct al_jobs *j, const char *id,
                       enum al_job_state state);

#endif
