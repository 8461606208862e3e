#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jobs_int.h"

#define LEADER_KEY "/leader"
#define LEASE_TTL_S 10u
#define CALL_TIMEOUT_MS 5000u
#define ARENA_LIMIT ((size_t)4 << 20)
#define BACKOFF_MS_MIN 50u
#define BACKOFF_MS_MAX 2000u
#define STORE_EVERY_NS 5000000000ULL /* log and progress of a running job */
#define STOP_TRIES 3                 /* of writing an end while stopping */

void al_jobs_wait_ms(struct al_jobs *j, pthread_cond_t *cond, uint64_t ms)
{
    struct timespec t;
    AL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    uint64_t ns = (uint64_t)t.tv_nsec + ms * 1000000ULL;
    t.tv_sec += (time_t)(ns / 1000000000ULL);
    t.tv_nsec = (long)(ns % 1000000000ULL);
    pthread_cond_timedwait(cond, &j->mu, &t);
}

void al_jobs_wake(struct al_jobs *j)
{
    pthread_mutex_lock(&j->mu);
    j->n_events++;
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->mu);
}

/* ---- leading ---- */

/* What a record that was under way has come to: its process is gone. Busy. */
static enum al_code recover_record(struct al_jobs *j, struct al_job_record *r, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    struct al_job_status next = r->status; /* busy: nobody else changes it */
    struct al_str outcome;
    enum al_code c =
        al_queue_get_outcome(&j->queue, (uint32_t)r->job_class, al_str_c(r->id), &a, &outcome, err);
    next.ended_ms = al_clock_wall_ms(j->opt.clock);
    if (c == AL_OK) { /* it had been ended, only that was not shown yet */
        uint64_t state = 0;
        bool is_state =
            al_str_u64(outcome, &state) && state >= AL_JOB_SUCCEEDED && state <= AL_JOB_CANCELLED;
        next.state = is_state ? (enum al_job_state)state : AL_JOB_FAILED;
    } else if (c == AL_NOT_FOUND && r->status.state == AL_JOB_CANCELLING) {
        next.state = AL_JOB_CANCELLED;
    } else if (c == AL_NOT_FOUND && r->status.attempt >= AL_JOB_ATTEMPTS_MAX) {
        next.state = AL_JOB_FAILED;
        next.error_code = AL_INTERNAL;
        snprintf(next.error, sizeof next.error,
                 "INTERNAL/ATTEMPTS_EXHAUSTED: job: the process ended %u times while it ran",
                 next.attempt);
    } else if (c == AL_NOT_FOUND) {
        next.state = AL_JOB_QUEUED;
        next.ended_ms = 0;
        next.error[0] = '\0';
        next.error_code = AL_OK;
    }
    if (c == AL_OK || c == AL_NOT_FOUND)
        c = al_job_store(j, r, &next, err);
    al_arena_fini(&a);
    return c;
}

static bool is_under_way(const struct al_job_record *r)
{
    return r->status.state == AL_JOB_RUNNING || r->status.state == AL_JOB_CANCELLING;
}

/* mu held: the next record that a former leader left under way. */
static struct al_job_record *next_orphan(struct al_jobs *j)
{
    for (size_t i = 0; i < j->n_records; i++) {
        struct al_job_record *r = j->records[i];
        if (is_under_way(r) && !r->run && !r->is_busy)
            return r;
    }
    return NULL;
}

static enum al_code recover_records(struct al_jobs *j, struct al_err *err)
{
    enum al_code c = AL_OK;
    pthread_mutex_lock(&j->mu);
    struct al_job_record *r = next_orphan(j);
    while (r && c == AL_OK) {
        r->is_busy = true;
        pthread_mutex_unlock(&j->mu);
        c = recover_record(j, r, err);
        pthread_mutex_lock(&j->mu);
        r->is_enqueued = false;
        al_jobs_end_change(j, r);
        r = next_orphan(j);
    }
    pthread_mutex_unlock(&j->mu);
    return c;
}

static enum al_code apply_pauses(struct al_jobs *j, struct al_err *err)
{
    pthread_mutex_lock(&j->mu);
    while (j->is_settings_busy)
        pthread_cond_wait(&j->changed, &j->mu);
    j->is_settings_busy = true;
    uint32_t paused = j->paused;
    pthread_mutex_unlock(&j->mu);
    enum al_code code = AL_OK;
    for (uint32_t c = 1; c <= AL_JOB_CLASSES && code == AL_OK; c++)
        code = al_queue_set_paused(&j->queue, c, paused & (1u << c), err);
    pthread_mutex_lock(&j->mu);
    j->is_settings_busy = false;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mu);
    return code;
}

/* A lease that holds; the electing thread only. */
static enum al_code renew_lease(struct al_jobs *j, struct al_err *err)
{
    uint64_t until = j->lease ? al_coord_lease_deadline(j->opt.coord, j->lease) : 0;
    if (until > al_clock_mono_ns(j->opt.clock))
        return AL_OK;
    if (j->lease) { /* it must not keep the key from its successor */
        enum al_code c = al_coord_lease_revoke(j->opt.coord, j->lease, err);
        if (c != AL_OK && c != AL_NOT_FOUND)
            return c;
        al_log(j->opt.log, AL_LOG_WARN, "jobs.session.lost");
    }
    j->lease = 0;
    j->has_fence = false;
    return al_coord_lease_grant(j->opt.coord, LEASE_TTL_S, &j->lease, err);
}

static enum al_code elect(struct al_jobs *j, struct al_err *err)
{
    AL_TRY(renew_lease(j, err));
    if (!j->has_fence) {
        char key[AL_FENCE_KEY_BYTES_MAX];
        snprintf(key, sizeof key, "%s" LEADER_KEY, j->queue.prefix);
        struct al_coord_op put = al_coord_put(al_str_c(key), AL_STR("jobs"), j->lease);
        struct al_arena a;
        al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
        struct al_election e = {.is_won = false};
        enum al_code c = al_election_try(
            j->opt.coord, &put, al_clock_deadline(j->opt.clock, CALL_TIMEOUT_MS), &a, &e, err);
        al_arena_fini(&a);
        if (c != AL_OK)
            return c;
        if (!e.is_won)
            return AL_FAIL_R(err, AL_UNAVAILABLE, "NO_LEADER", "jobs: another process leads");
        j->fence = e.fence;
    }
    if (j->taken_over != j->fence.revision) {
        AL_TRY(al_jobs_load(j, err));
        AL_TRY(recover_records(j, err));
        AL_TRY(apply_pauses(j, err));
        j->taken_over = j->fence.revision;
        al_log(j->opt.log, AL_LOG_INFO, "jobs.leader.won", AL_I64("fence", j->fence.revision));
    }
    j->has_fence = true;
    return AL_OK;
}

enum al_code al_jobs_lead(struct al_jobs *j, struct al_fence *ret, struct al_err *err)
{
    pthread_mutex_lock(&j->mu);
    while (j->is_electing)
        pthread_cond_wait(&j->changed, &j->mu);
    j->is_electing = true;
    pthread_mutex_unlock(&j->mu);
    enum al_code c = elect(j, err);
    if (c == AL_OK)
        *ret = j->fence;
    pthread_mutex_lock(&j->mu);
    j->is_electing = false;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mu);
    return c;
}

/* The store refused this fence: find out anew. */
static void unlead(struct al_jobs *j, const struct al_fence *f)
{
    pthread_mutex_lock(&j->mu);
    while (j->is_electing)
        pthread_cond_wait(&j->changed, &j->mu);
    if (j->fence.revision == f->revision)
        j->has_fence = false;
    pthread_mutex_unlock(&j->mu);
}

/* ---- the queue ---- */

static struct al_job_record *next_to_enqueue(struct al_jobs *j, enum al_job_class c)
{
    for (size_t i = 0; i < j->n_records; i++) {
        struct al_job_record *r = j->records[i];
        if (r->job_class == c && r->is_stored && !r->is_enqueued &&
            r->status.state == AL_JOB_QUEUED)
            return r;
    }
    return NULL;
}

void al_jobs_enqueue(struct al_jobs *j, enum al_job_class c)
{
    pthread_mutex_lock(&j->mu);
    if (j->is_enqueueing[c]) { /* that one will see ours */
        pthread_mutex_unlock(&j->mu);
        return;
    }
    j->is_enqueueing[c] = true;
    struct al_job_record *r;
    enum al_code code = AL_OK;
    while (code == AL_OK && (r = next_to_enqueue(j, c)) != NULL) {
        char id[AL_JOB_ID_BYTES_MAX + 1];
        uint64_t seq = r->seq;
        memcpy(id, r->id, sizeof id);
        pthread_mutex_unlock(&j->mu);
        struct al_err err;
        code = al_queue_add(&j->queue, (uint32_t)c, al_str_c(id), AL_STR(""), &err);
        if (code != AL_OK)
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.enqueue.failed", &err);
        pthread_mutex_lock(&j->mu);
        r = al_jobs_find(j, al_str_c(id));
        if (r && r->seq == seq && code == AL_OK) /* not another job that was given the id since */
            r->is_enqueued = true;
    }
    j->is_enqueueing[c] = false;
    pthread_mutex_unlock(&j->mu);
}

/* ---- one job ---- */

struct task {
    struct al_jobs *j;
    struct al_queue_item item;
    struct al_fence fence;
    struct al_job_record *record; /* cannot go while run is set */
    struct al_job_run run;
};

static const struct al_job_kind *find_kind(struct al_jobs *j, const char *type)
{
    for (size_t i = 0; i < j->n_kinds; i++) {
        if (strcmp(j->kinds[i].type, type) == 0)
            return &j->kinds[i];
    }
    return NULL;
}

/* Commit: the entry is done under the fence, or a newer one of this process. */
static enum al_code commit(struct task *t, enum al_job_state state, struct al_err *err)
{
    char outcome[12];
    snprintf(outcome, sizeof outcome, "%d", (int)state);
    struct al_err e = {.reason = ""};
    enum al_code c = al_queue_done(&t->j->queue, &t->fence, &t->item, al_str_c(outcome), &e);
    if (c == AL_ABORTED && strcmp(e.reason, "FENCED") == 0) {
        unlead(t->j, &t->fence);
        AL_TRY(al_jobs_lead(t->j, &t->fence, err));
        AL_TRY(al_queue_reclaim(&t->j->queue, &t->fence, &t->item, err));
        return al_queue_done(&t->j->queue, &t->fence, &t->item, al_str_c(outcome), err);
    }
    if (c != AL_OK && err)
        *err = e;
    return c;
}

static enum al_code forget_entry(struct task *t, struct al_err *err)
{
    return al_queue_forget(&t->j->queue, t->item.job_class, al_str_c(t->item.id), err);
}

/* What the function's answer means. */
static struct al_job_status end_of(struct task *t, const struct al_job_status *now,
                                   enum al_code code, const struct al_err *e)
{
    struct al_job_status next = *now;
    next.ended_ms = al_clock_wall_ms(t->j->opt.clock);
    next.error_code = AL_OK;
    next.error[0] = '\0';
    if (code == AL_OK) {
        next.state = AL_JOB_SUCCEEDED;
    } else if (code == AL_CANCELLED && now->state == AL_JOB_CANCELLING) {
        next.state = AL_JOB_CANCELLED;
    } else if (code == AL_CANCELLED && atomic_load(&t->run.is_cancelled)) {
        next.state = AL_JOB_QUEUED; /* the process stops: not the job's fault, so no attempt */
        next.attempt -= next.attempt > 0;
        next.ended_ms = 0;
    } else {
        next.state = AL_JOB_FAILED;
        next.error_code = (int)code;
        snprintf(next.error, sizeof next.error, "%s/%s: %s", al_code_name(code),
                 e->reason ? e->reason : al_code_name(code), e->msg);
    }
    return next;
}

/* Stage (results on disk, state as it is), commit, publish. Busy. */
static enum al_code end_job(struct task *t, const struct al_job_status *next, struct al_err *err)
{
    if (next->state == AL_JOB_QUEUED)
        return al_job_store(t->j, t->record, next, err);
    struct al_job_status staged = *next;
    staged.state = t->record->status.state;
    AL_TRY(al_job_store(t->j, t->record, &staged, err));
    AL_TRY(commit(t, next->state, err));
    return al_job_store(t->j, t->record, next, err);
}

static bool is_stopping(struct al_jobs *j)
{
    pthread_mutex_lock(&j->mu);
    bool is = j->is_stopping;
    pthread_mutex_unlock(&j->mu);
    return is;
}

/* Another process has the job, or leads and will take it: what was done here does not count. */
static bool is_lost(enum al_code c, const struct al_err *e)
{
    static const char *const reasons[] = {"CLAIM_LOST", "JOB_CHANGED", "NO_LEADER"};
    for (size_t i = 0; c != AL_OK && i < AL_ARRAY_LEN(reasons); i++) {
        if (e->reason && strcmp(e->reason, reasons[i]) == 0)
            return true;
    }
    return false;
}

/* Nothing runs any more; the record is busy until here. */
static void detach(struct task *t, bool was_lost)
{
    struct al_jobs *j = t->j;
    pthread_mutex_lock(&j->mu);
    t->record->run = NULL;
    pthread_mutex_unlock(&j->mu);
    struct al_err err;
    if (was_lost && al_job_reload(j, t->record, &err) != AL_OK)
        al_log_err(j->opt.log, AL_LOG_WARN, "jobs.reload.failed", &err);
    pthread_mutex_lock(&j->mu);
    t->record->is_enqueued = t->record->status.state != AL_JOB_QUEUED;
    al_jobs_end_change(j, t->record);
    pthread_mutex_unlock(&j->mu);
}

static void finish(struct task *t, enum al_code code, const struct al_err *e)
{
    struct al_jobs *j = t->j;
    uint64_t backoff = BACKOFF_MS_MIN;
    for (int tries = 0;; tries++) {
        struct al_err err = {.reason = NULL};
        pthread_mutex_lock(&j->mu);
        AL_ASSERT(al_jobs_begin_change(j, al_str_c(t->item.id)) == t->record);
        struct al_job_status next = end_of(t, &t->record->status, code, e);
        if (next.state == AL_JOB_SUCCEEDED)
            t->record->done = 1;
        pthread_mutex_unlock(&j->mu);
        enum al_code c = end_job(t, &next, &err);
        if (c == AL_OK && next.state != AL_JOB_QUEUED && forget_entry(t, &err) != AL_OK)
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.forget.failed", &err);
        if (c != AL_OK)
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.end.failed", &err);
        if (c == AL_OK || is_lost(c, &err) || (is_stopping(j) && tries >= STOP_TRIES)) {
            detach(t, is_lost(c, &err));
            return;
        }
        pthread_mutex_lock(&j->mu);
        al_jobs_end_change(j, t->record);
        al_jobs_wait_ms(j, &j->wake, backoff);
        pthread_mutex_unlock(&j->mu);
        backoff = backoff * 2 < BACKOFF_MS_MAX ? backoff * 2 : BACKOFF_MS_MAX;
    }
}

/* Ended ones beyond the limit go, the oldest first. */
static void trim(struct al_jobs *j)
{
    for (;;) {
        pthread_mutex_lock(&j->mu);
        size_t n_ended = 0;
        struct al_job_record *oldest = NULL;
        for (size_t i = 0; i < j->n_records; i++) {
            struct al_job_record *r = j->records[i];
            if (!al_job_has_ended(r->status.state))
                continue;
            n_ended++;
            if (!oldest && !r->is_busy && !r->run)
                oldest = r;
        }
        if (n_ended <= AL_JOBS_KEPT_MAX || !oldest) {
            pthread_mutex_unlock(&j->mu);
            return;
        }
        oldest->is_busy = true;
        pthread_mutex_unlock(&j->mu);
        struct al_str id = al_str_c(oldest->id);
        struct al_err err;
        enum al_code c = al_queue_forget(&j->queue, (uint32_t)oldest->job_class, id, &err);
        if (c == AL_OK)
            c = al_job_erase(j, id, &err);
        pthread_mutex_lock(&j->mu);
        al_jobs_end_change(j, oldest);
        char gone[AL_JOB_ID_BYTES_MAX + 1];
        memcpy(gone, oldest->id, sizeof gone);
        if (c == AL_OK)
            al_jobs_forget(j, oldest);
        pthread_mutex_unlock(&j->mu);
        if (c == AL_OK && j->opt.on_forget)
            j->opt.on_forget(j->opt.forget_u, gone);
        if (c != AL_OK) {
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.trim.failed", &err);
            return;
        }
    }
}

/* Its record says RUNNING, with one attempt more. Busy. AL_NOT_FOUND: there is nothing to run. */
static enum al_code begin_job(struct task *t, struct al_err *err)
{
    struct al_jobs *j = t->j;
    if (is_under_way(t->record))
        AL_TRY(recover_record(j, t->record, err));
    struct al_job_status next = t->record->status;
    if (next.state != AL_JOB_QUEUED)
        return AL_FAIL(err, AL_NOT_FOUND, "job '%s' has ended", t->record->id);
    next.state = AL_JOB_RUNNING;
    next.attempt++;
    next.started_ms = al_clock_wall_ms(j->opt.clock);
    pthread_mutex_lock(&j->mu);
    t->record->done = 0;
    t->record->message[0] = '\0';
    pthread_mutex_unlock(&j->mu);
    return al_job_store(j, t->record, &next, err);
}

/* The record of a claimed entry, busy; from its row when it is not known here. NULL: there is none.
 */
static struct al_job_record *take_record(struct task *t)
{
    struct al_jobs *j = t->j;
    pthread_mutex_lock(&j->mu);
    struct al_job_record *r = al_jobs_begin_change(j, al_str_c(t->item.id));
    pthread_mutex_unlock(&j->mu);
    if (r)
        return r;
    struct al_err err;
    if (al_jobs_load(j, &err) != AL_OK)
        al_log_err(j->opt.log, AL_LOG_WARN, "jobs.load.failed", &err);
    pthread_mutex_lock(&j->mu);
    r = al_jobs_begin_change(j, al_str_c(t->item.id));
    pthread_mutex_unlock(&j->mu);
    return r;
}

static void run_job(struct task *t)
{
    struct al_jobs *j = t->j;
    struct al_err err = {.reason = NULL};
    const struct al_job_kind *kind = find_kind(j, t->record->type);
    enum al_code c;
    if (kind)
        c = kind->run(kind->ctx, &t->run, t->record->args, &err);
    else
        c = AL_FAIL_R(&err, AL_FAILED_PRECONDITION, "JOB_STATE",
                      "job: this program does not know the type '%s'", t->record->type);
    finish(t, c, &err);
}

/* An entry without work: end it. */
static enum al_code drop_entry(struct task *t, struct al_err *err)
{
    AL_TRY(commit(t, AL_JOB_CANCELLED, err));
    return forget_entry(t, err);
}

static enum al_code execute(struct task *t, struct al_err *err)
{
    struct al_jobs *j = t->j;
    t->record = take_record(t);
    if (!t->record)
        return drop_entry(t, err);
    enum al_code c = begin_job(t, err);
    pthread_mutex_lock(&j->mu);
    if (c == AL_OK) {
        t->run.jobs = j;
        t->run.record = t->record;
        t->run.stored_ns = 0;
        atomic_store(&t->run.is_cancelled, j->is_stopping);
        t->record->run = &t->run;
    }
    al_jobs_end_change(j, t->record);
    pthread_mutex_unlock(&j->mu);
    if (c == AL_NOT_FOUND)
        return drop_entry(t, err);
    if (c == AL_OK)
        run_job(t);
    return c;
}

/* ---- the runner ---- */

/* JOB_CHANGED is none here: the record is then as the other process left it, and looked at again.
 */
static bool is_lost_for_good(enum al_code c, const struct al_err *e)
{
    return is_lost(c, e) && strcmp(e->reason, "JOB_CHANGED") != 0;
}

/* Claim one and run it. A claimed entry that could not be begun is tried again. */
static enum al_code run_one(struct al_job_runner *runner, struct al_arena *a, struct al_err *err)
{
    struct al_jobs *j = runner->jobs;
    struct task t = {.j = j};
    AL_TRY(al_jobs_lead(j, &t.fence, err));
    trim(j);
    al_jobs_enqueue(j, runner->job_class);
    struct al_err e = {.reason = ""};
    enum al_code c =
        al_queue_claim(&j->queue, &t.fence, (uint32_t)runner->job_class, a, &t.item, &e);
    if (c == AL_ABORTED && strcmp(e.reason, "FENCED") == 0)
        unlead(j, &t.fence);
    if (c != AL_OK) {
        *err = e;
        return c;
    }
    uint64_t backoff = BACKOFF_MS_MIN;
    c = execute(&t, err);
    while (c != AL_OK && !is_lost_for_good(c, err) && !is_stopping(j)) {
        al_log_err(j->opt.log, AL_LOG_WARN, "jobs.begin.failed", err);
        pthread_mutex_lock(&j->mu);
        al_jobs_wait_ms(j, &j->wake, backoff);
        pthread_mutex_unlock(&j->mu);
        backoff = backoff * 2 < BACKOFF_MS_MAX ? backoff * 2 : BACKOFF_MS_MAX;
        c = execute(&t, err);
    }
    return AL_OK;
}

static bool is_idle(enum al_code c, const struct al_err *e)
{
    return c == AL_NOT_FOUND ||
           (c == AL_UNAVAILABLE && e->reason && strcmp(e->reason, "NO_LEADER") == 0);
}

void *al_jobs_runner_main(void *u)
{
    struct al_job_runner *runner = u;
    struct al_jobs *j = runner->jobs;
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    uint64_t backoff = BACKOFF_MS_MIN;
    pthread_mutex_lock(&j->mu);
    while (!j->is_stopping) {
        uint64_t seen = j->n_events;
        pthread_mutex_unlock(&j->mu);
        struct al_err err = {.reason = NULL};
        al_arena_reset(&a);
        enum al_code c = run_one(runner, &a, &err);
        bool is_failed = c != AL_OK && !is_idle(c, &err);
        if (is_failed)
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.runner.failed", &err);
        pthread_mutex_lock(&j->mu);
        while (is_idle(c, &err) && j->n_events == seen && !j->is_stopping)
            pthread_cond_wait(&j->wake, &j->mu);
        if (is_failed && !j->is_stopping) {
            al_jobs_wait_ms(j, &j->wake, backoff);
            backoff = backoff * 2 < BACKOFF_MS_MAX ? backoff * 2 : BACKOFF_MS_MAX;
        } else {
            backoff = BACKOFF_MS_MIN;
        }
    }
    pthread_mutex_unlock(&j->mu);
    al_arena_fini(&a);
    return NULL;
}

/* ---- for the job's function ---- */

const char *al_job_id(const struct al_job_run *r)
{
    return r->record->id;
}

bool al_job_is_cancelled(const struct al_job_run *r)
{
    return atomic_load(&((struct al_job_run *)(uintptr_t)r)->is_cancelled);
}

/* Now and then log and progress go to disk, so that a crash leaves a trace of what it was doing. */
static void store_now_and_then(struct al_job_run *run)
{
    struct al_jobs *j = run->jobs;
    uint64_t now = al_clock_mono_ns(j->opt.clock);
    if (run->stored_ns == 0)
        run->stored_ns = now;
    if (now - run->stored_ns < STORE_EVERY_NS)
        return;
    run->stored_ns = now;
    pthread_mutex_lock(&j->mu);
    bool is_free = !run->record->is_busy;
    if (is_free)
        run->record->is_busy = true;
    pthread_mutex_unlock(&j->mu);
    if (!is_free)
        return;
    struct al_job_status same = run->record->status;
    struct al_err err;
    if (al_job_store(j, run->record, &same, &err) != AL_OK)
        al_log_err(j->opt.log, AL_LOG_WARN, "jobs.progress.failed", &err);
    pthread_mutex_lock(&j->mu);
    al_jobs_end_change(j, run->record);
    pthread_mutex_unlock(&j->mu);
}

static void changed(struct al_jobs *j, struct al_job_record *r)
{
    r->version++;
    pthread_cond_broadcast(&j->changed);
}

void al_job_progress(struct al_job_run *run, double done, const char *message)
{
    struct al_jobs *j = run->jobs;
    struct al_job_record *r = run->record;
    struct al_str m = al_str_c(message);
    m.n = al_str_utf8_floor(m, m.n < sizeof r->message ? m.n : sizeof r->message - 1);
    pthread_mutex_lock(&j->mu);
    r->done = isfinite(done) ? fmin(fmax(done, 0), 1) : r->done;
    if (m.n)
        memcpy(r->message, m.p, m.n);
    r->message[m.n] = '\0';
    changed(j, r);
    pthread_mutex_unlock(&j->mu);
    store_now_and_then(run);
}

/* mu held. */
static void drop_oldest_line(struct al_jobs *j, struct al_job_record *r)
{
    r->log_bytes -= r->log[0].n;
    r->log_dropped++;
    al_mem_free(j->opt.mem, (char *)(uintptr_t)r->log[0].p);
    r->n_log--;
    memmove(r->log, r->log + 1, r->n_log * sizeof *r->log);
}

void al_job_log(struct al_job_run *run, const char *fmt, ...)
{
    struct al_jobs *j = run->jobs;
    struct al_job_record *r = run->record;
    char line[AL_JOB_LINE_BYTES_MAX + 4];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    struct al_str s = al_str_c(line);
    s.n = al_str_utf8_floor(s, s.n < AL_JOB_LINE_BYTES_MAX ? s.n : AL_JOB_LINE_BYTES_MAX);
    char *copy = al_mem_strndup(j->opt.mem, line, s.n);
    pthread_mutex_lock(&j->mu);
    if (copy && al_mem_grow(j->opt.mem, (void **)&r->log, &r->log_cap, r->n_log + 1,
                            sizeof *r->log) == AL_OK) {
        r->log[r->n_log++] = (struct al_str){copy, s.n};
        r->log_bytes += s.n;
        copy = NULL;
        while (r->n_log > AL_JOB_LOG_LINES_MAX || r->log_bytes > AL_JOB_LOG_BYTES_MAX)
            drop_oldest_line(j, r);
        changed(j, r);
    }
    pthread_mutex_unlock(&j->mu);
    al_mem_free(j->opt.mem, copy); /* out of memory: the line is lost */
    store_now_and_then(run);
}

/* mu held. Moves the copies in when it gives true. */
static bool put_result(struct al_jobs *j, struct al_job_record *r, struct al_kv kv)
{
    size_t at = 0;
    while (at < r->n_results && !al_str_eq(r->results[at].key, kv.key))
        at++;
    size_t old = at < r->n_results ? r->results[at].key.n + r->results[at].value.n : 0;
    size_t bytes = r->results_bytes - old + kv.key.n + kv.value.n;
    if (at >= AL_JOB_RESULTS_MAX || bytes > AL_JOB_RESULTS_BYTES_MAX ||
        al_mem_grow(j->opt.mem, (void **)&r->results, &r->results_cap, at + 1,
                    sizeof *r->results) != AL_OK)
        return false;
    if (at < r->n_results) {
        al_mem_free(j->opt.mem, (char *)(uintptr_t)r->results[at].key.p);
        al_mem_free(j->opt.mem, (char *)(uintptr_t)r->results[at].value.p);
    } else {
        r->n_results++;
    }
    r->results[at] = kv;
    r->results_bytes = bytes;
    changed(j, r);
    return true;
}

void al_job_result(struct al_job_run *run, const char *key, const char *fmt, ...)
{
    struct al_jobs *j = run->jobs;
    char value[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    struct al_str v = al_str_c(value);
    v.n = al_str_utf8_floor(v, v.n);
    struct al_kv kv = {.key = al_str_c(key), .value = v};
    char *k_copy = al_mem_strndup(j->opt.mem, key, kv.key.n);
    char *v_copy = al_mem_strndup(j->opt.mem, value, v.n);
    kv.key.p = k_copy;
    kv.value.p = v_copy;
    pthread_mutex_lock(&j->mu);
    bool is_kept = k_copy && v_copy && put_result(j, run->record, kv);
    pthread_mutex_unlock(&j->mu);
    if (is_kept)
        return;
    al_mem_free(j->opt.mem, k_copy);
    al_mem_free(j->opt.mem, v_copy);
    al_log(j->opt.log, AL_LOG_WARN, "jobs.result.dropped", AL_S("job", run->record->id),
           AL_S("key", key));
}
