#include "airlore/jobs.h"

#include <stdio.h>
#include <string.h>

#include "jobs_int.h"

#define PREFIX "jobs"
#define CALL_TIMEOUT_MS 5000u
#define QUEUE_RETRY_MS 1000u
#define ARENA_LIMIT ((size_t)1 << 20)
#define WAIT_SLICE_MS 100u /* how late a deadline of a clock that moves by hand is seen */

/* ---- life ---- */

static void init_sync(struct al_jobs *j)
{
    pthread_condattr_t attr;
    AL_ASSERT(pthread_condattr_init(&attr) == 0);
    AL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AL_ASSERT(pthread_mutex_init(&j->mu, NULL) == 0);
    AL_ASSERT(pthread_cond_init(&j->changed, &attr) == 0);
    AL_ASSERT(pthread_cond_init(&j->wake, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

enum al_code al_jobs_create(const struct al_jobs_options *opt, struct al_jobs **ret,
                            struct al_err *err)
{
    struct al_jobs *j = al_mem_zalloc(opt->mem, sizeof *j);
    if (!j)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "jobs: out of memory");
    j->opt = *opt;
    if (!j->opt.clock)
        j->opt.clock = al_clock_system();
    if (!j->opt.random)
        j->opt.random = al_random_system();
    j->queue = (struct al_queue){.coord = opt->coord,
                                 .clock = j->opt.clock,
                                 .random = j->opt.random,
                                 .timeout_ms = CALL_TIMEOUT_MS,
                                 .prefix = PREFIX};
    j->next_seq = 1;
    init_sync(j);
    *ret = j;
    return AL_OK;
}

enum al_code al_jobs_add_kind(struct al_jobs *j, const struct al_job_kind *kind, struct al_err *err)
{
    if (j->is_started)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "jobs: started already");
    size_t n = kind->type ? strlen(kind->type) : 0;
    if (n == 0 || n > AL_JOB_TYPE_BYTES_MAX || !kind->run || kind->job_class < AL_JOB_MAINTENANCE ||
        (uint32_t)kind->job_class > AL_JOB_CLASSES)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "jobs: a kind needs a type of 1 to %u bytes, a class and a function",
                       AL_JOB_TYPE_BYTES_MAX);
    if (j->n_kinds == AL_JOB_KINDS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "jobs: %u kinds, the most allowed",
                       AL_JOB_KINDS_MAX);
    for (size_t i = 0; i < j->n_kinds; i++) {
        if (strcmp(j->kinds[i].type, kind->type) == 0)
            return AL_FAIL(err, AL_ALREADY_EXISTS, "jobs: there is a kind '%s'", kind->type);
    }
    j->kinds[j->n_kinds++] = *kind;
    return AL_OK;
}

static void on_change(void *u, const struct al_coord_event *events, size_t n)
{
    (void)events;
    (void)n;
    al_jobs_wake(u);
}

/* Runners look again when something about the queue or the leader changes. */
static enum al_code start_watch(struct al_jobs *j, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    struct al_coord_op get = al_coord_get(AL_STR(PREFIX));
    struct al_coord_txn txn = {.then_ops = &get, .n_then = 1};
    struct al_coord_result res;
    enum al_code c = al_coord_txn(j->opt.coord, &txn,
                                  al_clock_deadline(j->opt.clock, CALL_TIMEOUT_MS), &a, &res, err);
    al_arena_fini(&a);
    if (c != AL_OK)
        return c;
    struct al_coord_watcher w = {AL_STR(PREFIX "/"), res.revision + 1, on_change, j};
    return al_coord_watch(j->opt.coord, &w, &j->watch, err);
}

static enum al_code start_runners(struct al_jobs *j, struct al_err *err)
{
    for (size_t i = 0; i < j->n_kinds; i++) {
        enum al_job_class c = j->kinds[i].job_class;
        struct al_job_runner *r = &j->runners[(uint32_t)c - 1];
        if (r->is_running)
            continue;
        r->jobs = j;
        r->job_class = c;
        char name[16];
        snprintf(name, sizeof name, "al-job-%u", (unsigned)c);
        AL_TRY(al_thread_start(name, al_jobs_runner_main, r, &r->thread, err));
        r->is_running = true;
    }
    return AL_OK;
}

enum al_code al_jobs_start(struct al_jobs *j, struct al_err *err)
{
    if (j->is_started)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "jobs: started already");
    j->is_started = true;
    AL_TRY_CTX(err, start_watch(j, err), "jobs");
    struct al_fence fence;
    struct al_err e = {.reason = ""};
    enum al_code c = al_jobs_lead(j, &fence, &e);
    if (c == AL_UNAVAILABLE && strcmp(e.reason, "NO_LEADER") == 0) {
        c = al_jobs_load(j, &e); /* another leads: know what there is */
    }
    if (c != AL_OK) {
        if (err)
            *err = e;
        return c;
    }
    return start_runners(j, err);
}

static void stop_runners(struct al_jobs *j)
{
    pthread_mutex_lock(&j->mu);
    j->is_stopping = true;
    for (size_t i = 0; i < j->n_records; i++) {
        if (j->records[i]->run)
            atomic_store(&j->records[i]->run->is_cancelled, true);
    }
    pthread_cond_broadcast(&j->wake);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mu);
    for (size_t i = 0; i < AL_ARRAY_LEN(j->runners); i++) {
        if (j->runners[i].is_running)
            pthread_join((pthread_t)j->runners[i].thread, NULL);
        j->runners[i].is_running = false;
    }
}

void al_jobs_stop(struct al_jobs *j)
{
    stop_runners(j);
    if (j->watch)
        al_coord_unwatch(j->opt.coord, j->watch);
    j->watch = 0;
    struct al_err err;
    if (j->lease) { /* the next leader need not wait for its end */
        enum al_code c = al_coord_lease_revoke(j->opt.coord, j->lease, &err);
        if (c != AL_OK && c != AL_NOT_FOUND)
            al_log_err(j->opt.log, AL_LOG_DEBUG, "jobs.resign.failed", &err);
    }
    j->lease = 0;
    j->has_fence = false;
}

void al_jobs_destroy(struct al_jobs *j)
{
    if (!j)
        return;
    al_jobs_stop(j);
    for (size_t i = 0; i < j->n_records; i++)
        al_job_record_free(j, j->records[i]);
    al_mem_free(j->opt.mem, j->records);
    pthread_cond_destroy(&j->wake);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->mu);
    al_mem_free(j->opt.mem, j);
}

/* ---- submitting ---- */

static enum al_code check_id(struct al_str id, struct al_err *err)
{
    bool ok = id.n >= 1 && id.n <= AL_JOB_ID_BYTES_MAX;
    for (size_t i = 0; ok && i < id.n; i++) {
        char c = id.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        ok = alnum || (i > 0 && (c == '.' || c == '_' || c == '-'));
    }
    if (ok)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_NAME",
                     "job: '%.*s' is no id: lower-case letters, digits, '.', '_', '-', at most %u, "
                     "starting with a letter or digit",
                     (int)(id.n < 80 ? id.n : 80), id.p ? id.p : "", AL_JOB_ID_BYTES_MAX);
}

struct request {
    const struct al_job_kind *kind;
    char id[AL_JOB_ID_BYTES_MAX + 1];
    struct al_str team;
    struct al_str args;
};

static enum al_code check_request(struct al_jobs *j, const char *type, struct al_str id,
                                  struct request *q, struct al_err *err)
{
    for (size_t i = 0; i < j->n_kinds && !q->kind; i++) {
        if (type && strcmp(j->kinds[i].type, type) == 0)
            q->kind = &j->kinds[i];
    }
    if (!q->kind)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "job: '%.64s' is no type of job",
                         type ? type : "");
    if (q->args.n > AL_JOB_ARGS_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "job: arguments of %zu bytes, the most is %u", q->args.n,
                         AL_JOB_ARGS_BYTES_MAX);
    if (q->team.n > AL_NAME_BYTES_MAX || (q->team.n && memchr(q->team.p, 0, q->team.n)))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_NAME", "job: bad name of a team");
    if (id.n == 0) {
        al_random_uuid(j->opt.random, al_clock_wall_ms(j->opt.clock), q->id);
        return AL_OK;
    }
    AL_TRY(check_id(id, err));
    memcpy(q->id, id.p, id.n);
    return AL_OK;
}

static uint32_t count_queued(const struct al_jobs *j)
{
    uint32_t n = 0;
    for (size_t i = 0; i < j->n_records; i++)
        n += j->records[i]->status.state == AL_JOB_QUEUED;
    return n;
}

static enum al_code make_record(struct al_jobs *j, const struct request *q,
                                struct al_job_record **ret, struct al_err *err)
{
    if (j->is_stopping || !j->is_started)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "job: no jobs are taken now");
    if (count_queued(j) >= AL_JOBS_QUEUED_MAX)
        return al_err_retry_after(err, QUEUE_RETRY_MS,
                                  AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                            "job: %u are queued, the most allowed",
                                            AL_JOBS_QUEUED_MAX));
    struct al_job_record *r = NULL;
    AL_TRY(al_job_record_new(j, al_str_c(q->id), q->args, &r, err));
    snprintf(r->type, sizeof r->type, "%s", q->kind->type);
    if (q->team.n)
        memcpy(r->team, q->team.p, q->team.n);
    r->job_class = q->kind->job_class;
    r->seq = j->next_seq;
    r->created_ms = al_clock_wall_ms(j->opt.clock);
    r->is_busy = true;
    enum al_code c = al_jobs_insert(j, r, err);
    if (c != AL_OK)
        al_job_record_free(j, r);
    else
        *ret = r;
    return c;
}

static enum al_code check_same(const struct al_job_record *r, const struct request *q,
                               struct al_err *err)
{
    if (strcmp(r->type, q->kind->type) == 0 && al_str_eq(r->args, q->args) &&
        al_str_is(q->team, r->team))
        return AL_OK;
    return AL_FAIL_R(err, AL_ALREADY_EXISTS, "ID_REUSED",
                     "job '%s' exists with another type, team or other arguments", r->id);
}

/* Write the row of a new record; it goes when that fails. Busy. */
static enum al_code store_new(struct al_jobs *j, struct al_job_record *r, struct al_err *err)
{
    struct al_job_status queued = {.state = AL_JOB_QUEUED};
    struct al_err e = {.reason = ""};
    enum al_code c = al_job_store(j, r, &queued, &e);
    bool is_known = c == AL_ABORTED; /* another process, or an earlier try whose answer was lost */
    if (is_known)
        c = al_job_reload(j, r, &e);
    if (c != AL_OK && err)
        *err = e;
    return c;
}

/* mu held; the record with the id of the request, made if there is none. */
static enum al_code find_or_make(struct al_jobs *j, const struct request *q,
                                 struct al_job_record **ret, bool *ret_is_new, struct al_err *err)
{
    struct al_job_record *r = al_jobs_find(j, al_str_c(q->id));
    while (r && !r->is_stored) { /* being submitted */
        pthread_cond_wait(&j->changed, &j->mu);
        r = al_jobs_find(j, al_str_c(q->id));
    }
    *ret_is_new = !r;
    if (r)
        AL_TRY(check_same(r, q, err));
    else
        AL_TRY(make_record(j, q, &r, err));
    *ret = r;
    return AL_OK;
}

enum al_code al_jobs_submit(struct al_jobs *j, const char *type, struct al_str id,
                            struct al_str team, struct al_str args, struct al_arena *a,
                            struct al_job *ret, struct al_err *err)
{
    struct request q = {.team = team, .args = args};
    AL_TRY(check_request(j, type, id, &q, err));
    struct al_job_record *r = NULL;
    bool is_new = false;
    pthread_mutex_lock(&j->mu);
    enum al_code c = find_or_make(j, &q, &r, &is_new, err);
    if (c == AL_OK && is_new) {
        pthread_mutex_unlock(&j->mu);
        c = store_new(j, r, err);
        pthread_mutex_lock(&j->mu);
        r->is_stored = c == AL_OK;
        al_jobs_end_change(j, r);
        if (c != AL_OK)
            al_jobs_forget(j, r);
    }
    if (c == AL_OK)
        c = al_job_copy(r, a, ret, err);
    pthread_mutex_unlock(&j->mu);
    if (c == AL_OK) {
        al_jobs_enqueue(j, q.kind->job_class);
        al_jobs_wake(j);
    }
    return c;
}

/* ---- reading ---- */

static enum al_code no_job(struct al_str id, struct al_err *err)
{
    return AL_FAIL_R(err, AL_NOT_FOUND, "JOB_NOT_FOUND", "job '%.*s' does not exist",
                     (int)(id.n < 80 ? id.n : 80), id.p ? id.p : "");
}

/* mu held. */
static struct al_job_record *find_shown(struct al_jobs *j, struct al_str id)
{
    struct al_job_record *r = al_jobs_find(j, id);
    return r && r->is_stored ? r : NULL;
}

enum al_code al_jobs_get(struct al_jobs *j, struct al_str id, struct al_arena *a,
                         struct al_job *ret, struct al_err *err)
{
    pthread_mutex_lock(&j->mu);
    const struct al_job_record *r = find_shown(j, id);
    enum al_code c = r ? al_job_copy(r, a, ret, err) : no_job(id, err);
    pthread_mutex_unlock(&j->mu);
    return c;
}

enum al_code al_jobs_list(struct al_jobs *j, struct al_arena *a, struct al_job **ret, size_t *ret_n,
                          struct al_err *err)
{
    pthread_mutex_lock(&j->mu);
    struct al_job *all = al_arena_array(a, j->n_records + 1, sizeof *all);
    enum al_code c = AL_OK;
    if (!all)
        c = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "jobs: out of memory");
    size_t n = 0;
    for (size_t i = j->n_records; c == AL_OK && i-- > 0;) {
        if (j->records[i]->is_stored)
            c = al_job_copy(j->records[i], a, &all[n++], err);
    }
    pthread_mutex_unlock(&j->mu);
    if (c != AL_OK)
        return c;
    *ret = all;
    *ret_n = n;
    return AL_OK;
}

enum al_code al_jobs_wait(struct al_jobs *j, struct al_str id, uint64_t version,
                          uint64_t deadline_ns, struct al_arena *a, struct al_job *ret,
                          struct al_err *err)
{
    for (;;) {
        bool is_late = al_clock_has_passed(j->opt.clock, deadline_ns);
        pthread_mutex_lock(&j->mu);
        const struct al_job_record *r = find_shown(j, id);
        bool is_over = !r || is_late || r->version > version ||
                       al_job_has_ended(r->status.state); /* nothing more will change */
        enum al_code c = AL_OK;
        if (is_over)
            c = r ? al_job_copy(r, a, ret, err) : no_job(id, err);
        else if (j->is_stopping)
            c = AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "jobs: stopping");
        else if (deadline_ns == AL_DEADLINE_NONE)
            pthread_cond_wait(&j->changed, &j->mu);
        else
            al_jobs_wait_ms(j, &j->changed, WAIT_SLICE_MS);
        pthread_mutex_unlock(&j->mu);
        if (is_over || c != AL_OK)
            return c;
    }
}

/* ---- cancelling, pausing, counting ---- */

/* Busy. */
static enum al_code cancel(struct al_jobs *j, struct al_job_record *r, struct al_err *err)
{
    struct al_job_status next = r->status;
    if (al_job_has_ended(next.state))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "JOB_STATE", "job '%s' has ended", r->id);
    if (next.state == AL_JOB_CANCELLING)
        return AL_OK;
    bool is_queued = next.state == AL_JOB_QUEUED;
    next.state = is_queued ? AL_JOB_CANCELLED : AL_JOB_CANCELLING;
    if (is_queued)
        next.ended_ms = al_clock_wall_ms(j->opt.clock);
    AL_TRY(al_job_store(j, r, &next, err));
    if (is_queued) { /* the record decides: a runner that finds the entry drops it */
        struct al_err e;
        enum al_code c = al_queue_remove(&j->queue, (uint32_t)r->job_class, al_str_c(r->id), &e);
        if (c != AL_OK && c != AL_NOT_FOUND)
            al_log_err(j->opt.log, AL_LOG_WARN, "jobs.remove.failed", &e);
        return AL_OK;
    }
    pthread_mutex_lock(&j->mu);
    if (r->run)
        atomic_store(&r->run->is_cancelled, true);
    pthread_mutex_unlock(&j->mu);
    return AL_OK;
}

enum al_code al_jobs_cancel(struct al_jobs *j, struct al_str id, struct al_arena *a,
                            struct al_job *ret, struct al_err *err)
{
    pthread_mutex_lock(&j->mu);
    struct al_job_record *r = al_jobs_begin_change(j, id);
    enum al_code c = AL_OK;
    if (!r) {
        c = no_job(id, err);
    } else {
        pthread_mutex_unlock(&j->mu);
        c = cancel(j, r, err);
        pthread_mutex_lock(&j->mu);
        if (c == AL_OK)
            c = al_job_copy(r, a, ret, err);
        al_jobs_end_change(j, r);
    }
    pthread_mutex_unlock(&j->mu);
    return c;
}

enum al_code al_jobs_set_paused(struct al_jobs *j, enum al_job_class c, bool paused,
                                struct al_err *err)
{
    if (c < AL_JOB_MAINTENANCE || (uint32_t)c > AL_JOB_CLASSES)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "jobs: %d is no class of jobs", (int)c);
    pthread_mutex_lock(&j->mu);
    while (j->is_settings_busy)
        pthread_cond_wait(&j->changed, &j->mu);
    j->is_settings_busy = true;
    uint32_t bit = 1u << (uint32_t)c;
    uint32_t next = paused ? j->paused | bit : j->paused & ~bit;
    pthread_mutex_unlock(&j->mu);
    enum al_code code = al_jobs_store_settings(j, next, err);
    if (code == AL_OK)
        code = al_queue_set_paused(&j->queue, (uint32_t)c, paused, err);
    pthread_mutex_lock(&j->mu);
    j->is_settings_busy = false;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->mu);
    al_jobs_wake(j);
    return code;
}

bool al_jobs_is_paused(struct al_jobs *j, enum al_job_class c)
{
    if (c < AL_JOB_MAINTENANCE || (uint32_t)c > AL_JOB_CLASSES)
        return false;
    pthread_mutex_lock(&j->mu);
    bool is = j->paused & (1u << (uint32_t)c);
    pthread_mutex_unlock(&j->mu);
    return is;
}

uint32_t al_jobs_count_team(struct al_jobs *j, struct al_str team)
{
    uint32_t n = 0;
    pthread_mutex_lock(&j->mu);
    for (size_t i = 0; i < j->n_records; i++)
        n += al_str_is(team, j->records[i]->team) && !al_job_has_ended(j->records[i]->status.state);
    pthread_mutex_unlock(&j->mu);
    return n;
}

void al_jobs_count(struct al_jobs *j, uint32_t *ret_queued, uint32_t *ret_running)
{
    pthread_mutex_lock(&j->mu);
    uint32_t n = 0;
    for (size_t i = 0; i < j->n_records; i++)
        n += j->records[i]->status.state == AL_JOB_RUNNING ||
             j->records[i]->status.state == AL_JOB_CANCELLING;
    *ret_queued = count_queued(j);
    *ret_running = n;
    pthread_mutex_unlock(&j->mu);
}
