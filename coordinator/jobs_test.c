#include "airlore/jobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "airlore/coord_mem.h"
#include "airlore/testing.h"
#include "tables.h"

#define ARENA ((size_t)64 << 20)
#define PATIENCE_MS 20000u

/* ---- a system shard that has rows only ---- */

struct row {
    char key[128];
    char *value;
    size_t n;
    uint64_t version;
};

#define ROWS_MAX 4096
#define WRITES_SEEN 16

enum row_fault { ROW_LOST = 1, ROW_APPLIED = 2, ROW_FULL = 3 };

struct rows {
    struct al_shard_port port;
    pthread_mutex_t mu;
    struct row rows[ROWS_MAX]; /* by key */
    size_t n;
    uint64_t index;
    struct {
        uint8_t id[16];
        uint64_t index;
        enum al_outcome outcome;
    } seen[WRITES_SEEN]; /* a ring */
    uint64_t n_seen;
    bool is_dead; /* the process was killed: nothing gets through */
    uint64_t n_writes;
    uint64_t fault_at; /* number of the write that meets the fault */
    enum row_fault fault;
};

static struct rows *of(struct al_shard_port *p)
{
    return (struct rows *)(void *)p;
}

static size_t find_row(const struct rows *s, struct al_str key)
{
    size_t i = 0;
    while (i < s->n && al_str_cmp(al_str_c(s->rows[i].key), key) < 0)
        i++;
    return i;
}

static enum al_outcome apply(struct rows *s, const struct al_op *op)
{
    size_t at = find_row(s, op->id);
    bool is_there = at < s->n && al_str_is(op->id, s->rows[at].key);
    if ((op->condition == AL_IF_ABSENT && is_there) ||
        (op->condition == AL_IF_VERSION && (!is_there || s->rows[at].version != op->version)))
        return AL_OUTCOME_CONDITION;
    if (op->kind == AL_OP_DELETE_ROW) {
        if (!is_there)
            return AL_OUTCOME_ABSENT;
        free(s->rows[at].value);
        s->n--;
        memmove(s->rows + at, s->rows + at + 1, (s->n - at) * sizeof s->rows[0]);
        return AL_OUTCOME_DELETED;
    }
    AL_ASSERT(op->kind == AL_OP_PUT_ROW && s->n < ROWS_MAX);
    if (!is_there) {
        memmove(s->rows + at + 1, s->rows + at, (s->n - at) * sizeof s->rows[0]);
        s->n++;
        memset(&s->rows[at], 0, sizeof s->rows[0]);
        snprintf(s->rows[at].key, sizeof s->rows[at].key, AL_STR_FMT, AL_STR_ARG(op->id));
    }
    free(s->rows[at].value);
    s->rows[at].value = malloc(op->value.n + 1);
    AL_ASSERT(s->rows[at].value);
    memcpy(s->rows[at].value, op->value.p, op->value.n);
    s->rows[at].n = op->value.n;
    s->rows[at].version = s->index;
    return is_there ? AL_OUTCOME_UPDATED : AL_OUTCOME_INSERTED;
}

static enum al_code unknown(struct al_err *err)
{
    return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "rows: injected fault");
}

static enum al_code write_locked(struct rows *s, const struct al_op *op, const uint8_t id[16],
                                 enum al_outcome *ret, uint64_t *ret_index, struct al_err *err)
{
    if (s->is_dead)
        return AL_FAIL(err, AL_UNAVAILABLE, "rows: killed");
    enum row_fault fault = s->n_writes++ == s->fault_at ? s->fault : (enum row_fault)0;
    if (fault == ROW_FULL)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "rows: injected fault");
    if (fault == ROW_LOST)
        return unknown(err);
    for (size_t i = 0; i < WRITES_SEEN; i++) {
        if (memcmp(s->seen[i].id, id, 16) == 0) {
            *ret = s->seen[i].outcome;
            *ret_index = s->seen[i].index;
            return AL_OK;
        }
    }
    *ret_index = ++s->index;
    *ret = apply(s, op);
    size_t at = s->n_seen++ % WRITES_SEEN;
    memcpy(s->seen[at].id, id, 16);
    s->seen[at].outcome = *ret;
    s->seen[at].index = *ret_index;
    return fault == ROW_APPLIED ? unknown(err) : AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code rows_write(struct al_shard_port *p, const struct al_op *ops, size_t n_ops,
                               const uint8_t write_id[16], uint64_t deadline_ns, struct al_arena *a,
                               struct al_write_result *ret, struct al_err *err)
{
    (void)deadline_ns;
    struct rows *s = of(p);
    AL_ASSERT(n_ops == 1 && ops->table == AL_TABLE_JOB && ops->space == 0);
    ret->outcomes = al_arena_array(a, 1, sizeof *ret->outcomes);
    if (!ret->outcomes)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rows: out of memory");
    pthread_mutex_lock(&s->mu);
    enum al_code c = write_locked(s, ops, write_id, &ret->outcomes[0], &ret->index, err);
    pthread_mutex_unlock(&s->mu);
    return c;
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code rows_get(struct al_shard_port *p, uint8_t table, uint32_t space,
                             struct al_str key, struct al_arena *a, struct al_str *ret,
                             uint64_t *ret_version, struct al_err *err)
{
    struct rows *s = of(p);
    AL_ASSERT(table == AL_TABLE_JOB && space == 0);
    pthread_mutex_lock(&s->mu);
    size_t at = find_row(s, key);
    enum al_code c = AL_OK;
    if (s->is_dead)
        c = AL_FAIL(err, AL_UNAVAILABLE, "rows: killed");
    else if (at == s->n || !al_str_is(key, s->rows[at].key))
        c = AL_FAIL(err, AL_NOT_FOUND, "rows: no such row");
    else
        c = al_arena_str(a, (struct al_str){s->rows[at].value, s->rows[at].n}, ret, err);
    if (c == AL_OK)
        *ret_version = s->rows[at].version;
    pthread_mutex_unlock(&s->mu);
    return c;
}

static enum al_code scan_locked(struct rows *s, struct al_str after, uint32_t limit,
                                struct al_arena *a, struct al_row *out, size_t *ret_n,
                                struct al_err *err)
{
    *ret_n = 0;
    if (s->is_dead)
        return AL_FAIL(err, AL_UNAVAILABLE, "rows: killed");
    for (size_t i = 0; i < s->n && *ret_n < limit; i++) {
        if (after.n && al_str_cmp(al_str_c(s->rows[i].key), after) <= 0)
            continue;
        struct al_row *r = &out[(*ret_n)++];
        r->version = s->rows[i].version;
        AL_TRY(al_arena_str(a, al_str_c(s->rows[i].key), &r->key, err));
        AL_TRY(al_arena_str(a, (struct al_str){s->rows[i].value, s->rows[i].n}, &r->value, err));
    }
    return AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): the port's
static enum al_code rows_scan(struct al_shard_port *p, uint8_t table, uint32_t space,
                              struct al_str prefix, struct al_str after, uint32_t limit,
                              struct al_arena *a, struct al_row **ret, size_t *ret_n,
                              struct al_err *err)
{
    struct rows *s = of(p);
    AL_ASSERT(table == AL_TABLE_JOB && space == 0 && prefix.n == 0);
    *ret = al_arena_array(a, limit + 1, sizeof **ret);
    if (!*ret)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rows: out of memory");
    pthread_mutex_lock(&s->mu);
    enum al_code c = scan_locked(s, after, limit, a, *ret, ret_n, err);
    pthread_mutex_unlock(&s->mu);
    return c;
}

static const struct al_shard_port_ops rows_ops = {
    .write = rows_write, .get_row = rows_get, .scan_rows = rows_scan};

static struct rows *rows_create(void)
{
    struct rows *s = calloc(1, sizeof *s);
    AL_ASSERT(s);
    s->port.ops = &rows_ops;
    s->fault_at = UINT64_MAX;
    pthread_mutex_init(&s->mu, NULL);
    return s;
}

static void rows_destroy(struct rows *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->rows[i].value);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static void rows_set_dead(struct rows *s, bool is_dead)
{
    pthread_mutex_lock(&s->mu);
    s->is_dead = is_dead;
    pthread_mutex_unlock(&s->mu);
}

static void rows_fail(struct rows *s, uint64_t nth, enum row_fault fault)
{
    pthread_mutex_lock(&s->mu);
    s->fault_at = s->n_writes + nth;
    s->fault = fault;
    pthread_mutex_unlock(&s->mu);
}

static size_t rows_count(struct rows *s)
{
    pthread_mutex_lock(&s->mu);
    size_t n = s->n;
    pthread_mutex_unlock(&s->mu);
    return n;
}

/* ---- a clock that moves by hand and may be read by any thread ---- */

struct hand_clock {
    struct al_clock clock;
    _Atomic uint64_t now_ns;
};

static uint64_t hand_mono_ns(struct al_clock *c)
{
    return atomic_load(&((struct hand_clock *)(void *)c)->now_ns);
}

static uint64_t hand_wall_ms(struct al_clock *c)
{
    return 1700000000000ull + hand_mono_ns(c) / 1000000ull;
}

/* ---- what jobs do here: say that they began, wait at the gate, end ---- */

struct stage {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool is_open;
    char began[2048]; /* "a b c " */
    int n_began;
    int n_inside; /* of one class: must never exceed 1 */
    int most_inside;
};

static void stage_wait(struct stage *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 2000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&s->changed, &s->mu, &t);
}

static enum al_code run_gated(void *ctx, struct al_job_run *r, struct al_str args,
                              struct al_err *err)
{
    struct stage *s = ctx;
    enum al_code c = AL_OK;
    pthread_mutex_lock(&s->mu);
    s->n_began++;
    size_t n = strlen(s->began);
    snprintf(s->began + n, sizeof s->began - n, AL_STR_FMT " ", AL_STR_ARG(args));
    s->most_inside = ++s->n_inside > s->most_inside ? s->n_inside : s->most_inside;
    pthread_cond_broadcast(&s->changed);
    while (!s->is_open && c == AL_OK) {
        stage_wait(s);
        if (al_job_is_cancelled(r))
            c = AL_FAIL(err, AL_CANCELLED, "asked to end");
    }
    s->n_inside--;
    pthread_mutex_unlock(&s->mu);
    return c;
}

static void stage_open(struct stage *s, bool is_open)
{
    pthread_mutex_lock(&s->mu);
    s->is_open = is_open;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

static void await_began(struct stage *s, int n)
{
    pthread_mutex_lock(&s->mu);
    for (int i = 0; s->n_began < n && i < 10000; i++)
        stage_wait(s);
    assert_true(s->n_began >= n);
    pthread_mutex_unlock(&s->mu);
}

static enum al_code run_fail(void *ctx, struct al_job_run *r, struct al_str args,
                             struct al_err *err)
{
    (void)ctx;
    (void)args;
    al_job_progress(r, 0.25, "a quarter");
    return AL_FAIL_R(err, AL_DATA_LOSS, "SHARD_DAMAGED", "shard 3: cannot be read");
}

static enum al_code run_chatty(void *ctx, struct al_job_run *r, struct al_str args,
                               struct al_err *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    al_job_log(r, "%s", big);
    for (int i = 0; i < 500; i++)
        al_job_log(r, "line %d", i);
    for (unsigned i = 0; i < AL_JOB_RESULTS_MAX + 5; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%u", i);
        al_job_result(r, key, "%u", i);
    }
    al_job_result(r, "key-0", "changed");
    al_job_progress(r, 7, "more than all");
    return AL_OK;
}

static enum al_code run_quick(void *ctx, struct al_job_run *r, struct al_str args,
                              struct al_err *err)
{
    (void)r;
    (void)args;
    (void)err;
    atomic_fetch_add((_Atomic int *)ctx, 1);
    return AL_OK;
}

/* ---- a process ---- */

struct fixture {
    struct rows *rows;
    struct hand_clock clock;
    struct stage stage;
    _Atomic int n_quick;
    struct al_coord *coord;
    struct al_jobs *jobs;
    struct al_arena arena;
};

static struct al_jobs *make_jobs(struct fixture *f, struct al_coord *c)
{
    struct al_jobs *j = NULL;
    struct al_err err;
    struct al_jobs_options opt = {.coord = c, .system = &f->rows->port, .clock = &f->clock.clock};
    AL_CHECK_OK(al_jobs_create(&opt, &j, &err), err);
    const struct al_job_kind kinds[] = {
        {"gated", AL_JOB_MAINTENANCE, run_gated, &f->stage},
        {"fail", AL_JOB_MAINTENANCE, run_fail, NULL},
        {"chatty", AL_JOB_MAINTENANCE, run_chatty, NULL},
        {"quick", AL_JOB_LEARNING, run_quick, &f->n_quick},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(kinds); i++)
        AL_CHECK_OK(al_jobs_add_kind(j, &kinds[i], &err), err);
    AL_CHECK_OK(al_jobs_start(j, &err), err);
    return j;
}

static void start(struct fixture *f)
{
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_open(&(struct al_coord_mem_options){.clock = &f->clock.clock},
                                  &f->coord, &err),
                err);
    f->jobs = make_jobs(f, f->coord);
}

static void stop(struct fixture *f)
{
    al_jobs_stop(f->jobs);
    al_jobs_stop(f->jobs); /* idempotent */
    al_jobs_destroy(f->jobs);
    al_coord_close(f->coord);
    f->jobs = NULL;
}

/* What kill -9 leaves: nothing written after it. */
static void crash(struct fixture *f)
{
    rows_set_dead(f->rows, true);
    stop(f);
    rows_set_dead(f->rows, false);
    atomic_fetch_add(&f->clock.now_ns, 1000000000ull);
}

static void init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->rows = rows_create();
    f->clock.clock = (struct al_clock){hand_mono_ns, hand_wall_ms};
    atomic_store(&f->clock.now_ns, 1000000000ull);
    pthread_mutex_init(&f->stage.mu, NULL);
    pthread_cond_init(&f->stage.changed, NULL);
    al_arena_init(&f->arena, NULL, ARENA);
    start(f);
}

static void fini(struct fixture *f)
{
    stop(f);
    al_arena_fini(&f->arena);
    rows_destroy(f->rows);
    pthread_cond_destroy(&f->stage.changed);
    pthread_mutex_destroy(&f->stage.mu);
}

static enum al_code try_submit(struct fixture *f, const char *type, const char *id,
                               const char *args, struct al_job *ret, struct al_err *err)
{
    return al_jobs_submit(f->jobs, type, al_str_c(id), AL_STR("team-a"), al_str_c(args), &f->arena,
                          ret, err);
}

static struct al_job submit(struct fixture *f, const char *type, const char *id, const char *args)
{
    struct al_job job;
    struct al_err err;
    AL_CHECK_OK(try_submit(f, type, id, args, &job, &err), err);
    return job;
}

static struct al_job get(struct fixture *f, const char *id)
{
    struct al_job job;
    struct al_err err;
    AL_CHECK_OK(al_jobs_get(f->jobs, al_str_c(id), &f->arena, &job, &err), err);
    return job;
}

static struct al_job await(struct fixture *f, struct al_jobs *j, const char *id,
                           enum al_job_state state)
{
    struct al_job job = {.version = 0};
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    time_t until = t.tv_sec + PATIENCE_MS / 1000;
    while (job.state != state && t.tv_sec < until) {
        struct al_err err;
        AL_CHECK_OK(
            al_jobs_wait(j, al_str_c(id), job.version, AL_DEADLINE_NONE, &f->arena, &job, &err),
            err);
        if (job.state != state && (job.state == AL_JOB_SUCCEEDED || job.state == AL_JOB_FAILED ||
                                   job.state == AL_JOB_CANCELLED))
            break;
        clock_gettime(CLOCK_MONOTONIC, &t);
    }
    if (job.state != state)
        print_error("job '%s': state %d, not %d: " AL_STR_FMT "\n", id, (int)job.state, (int)state,
                    AL_STR_ARG(job.error));
    assert_int_equal(job.state, state);
    return job;
}

/* ---- tests ---- */

static void test_order(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "gated", "zz", "1");
    await_began(&f.stage, 1);
    submit(&f, "gated", "aa", "2");
    submit(&f, "gated", "mm", "3");
    struct al_job job = submit(&f, "gated", "", "4"); /* an id is made */
    assert_int_equal(job.id.n, 36);
    submit(&f, "quick", "other-class", ""); /* does not wait for the others */
    await(&f, f.jobs, "other-class", AL_JOB_SUCCEEDED);
    uint32_t queued;
    uint32_t running;
    al_jobs_count(f.jobs, &queued, &running);
    assert_int_equal(queued, 3);
    assert_int_equal(running, 1);
    job = get(&f, "zz");
    assert_int_equal(job.state, AL_JOB_RUNNING);
    assert_int_equal(job.attempt, 1);
    assert_true(job.started_ms >= job.created_ms && job.created_ms > 0);
    assert_true(al_str_is(job.team, "team-a") && al_str_is(job.type, "gated"));
    stage_open(&f.stage, true);
    await_began(&f.stage, 4);
    assert_string_equal(f.stage.began, "1 2 3 4 ");
    assert_int_equal(f.stage.most_inside, 1);
    job = await(&f, f.jobs, "mm", AL_JOB_SUCCEEDED);
    assert_true(job.done >= 1 && job.ended_ms >= job.started_ms);
    struct al_job *all;
    size_t n;
    struct al_err err;
    AL_CHECK_OK(al_jobs_list(f.jobs, &f.arena, &all, &n, &err), err);
    assert_int_equal(n, 5);
    assert_true(al_str_is(all[0].id, "other-class") && al_str_is(all[4].id, "zz"));
    fini(&f);
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *id;
        const char *args;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"gated", "one", "other", AL_ALREADY_EXISTS, "ID_REUSED"},
        {"quick", "one", "x", AL_ALREADY_EXISTS, "ID_REUSED"},
        {"nothing", "two", "x", AL_INVALID_ARGUMENT, "UNKNOWN_JOB_TYPE"},
        {"gated", "Two", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "-two", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "t/wo", "x", AL_INVALID_ARGUMENT, "BAD_NAME"},
        {"gated", "0123456789012345678901234567890123456789012345678901234567890123x", "x",
         AL_INVALID_ARGUMENT, "BAD_NAME"},
    };
    struct fixture f;
    init(&f);
    struct al_job first = submit(&f, "gated", "one", "x");
    for (int again = 0; again < 3; again++) {
        struct al_job same = submit(&f, "gated", "one", "x");
        assert_int_equal(same.created_ms, first.created_ms);
        for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
            struct al_err err = {.reason = ""};
            struct al_job job;
            AL_CHECK(cases[i].id, try_submit(&f, cases[i].type, cases[i].id, cases[i].args, &job,
                                             &err) == cases[i].code);
            AL_CHECK(cases[i].id, strcmp(err.reason, cases[i].reason) == 0);
        }
        stage_open(&f.stage, true);
        if (again < 2)
            await(&f, f.jobs, "one", AL_JOB_SUCCEEDED); /* the same also when it has ended */
        if (again == 1) {                               /* and after a restart */
            stop(&f);
            start(&f);
        }
    }
    assert_int_equal(f.stage.n_began, 1);
    struct al_err err;
    struct al_job job;
    assert_int_equal(al_jobs_get(f.jobs, AL_STR("none"), &f.arena, &job, &err), AL_NOT_FOUND);
    assert_string_equal(err.reason, "JOB_NOT_FOUND");
    fini(&f);
}

static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    struct al_err err = {.reason = ""};
    struct al_job job;
    submit(&f, "gated", "runs", "1");
    submit(&f, "gated", "waits", "2");
    await_began(&f.stage, 1);
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("waits"), &f.arena, &job, &err), err);
    assert_int_equal(job.state, AL_JOB_CANCELLED);
    AL_CHECK_OK(al_jobs_cancel(f.jobs, AL_STR("runs"), &f.arena, &job, &err), err);
    assert_true(job.state == AL_JOB_CANCELLING || job.state == AL_JOB_CANCELLED);
    job = await(&f, f.jobs, "runs", AL_JOB_CANCELLED);
    assert_true(job.ended_ms > 0);
    assert_int_equal(al_jobs_cancel(f.jobs, AL_STR("runs"), &f.arena, &job, &err),
                     AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "JOB_STATE");
    assert_int_equal(al_jobs_cancel(f.jobs, AL_STR("none"), &f.arena, &job, &err), AL_NOT_FOUND);
    stage_open(&f.stage, true);
    submit(&f, "gated", "after", "3");
    await(&f, f.jobs, "after", AL_JOB_SUCCEEDED);
    assert_string_equal(f.stage.began, "1 3 ");
    stop(&f);
    start(&f);
    assert_int_equal(get(&f, "waits").state, AL_JOB_CANCELLED);
    fini(&f);
}

static void test_failure_is_told(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "fail", "bad", "");
    await(&f, f.jobs, "bad", AL_JOB_FAILED);
    for (int i = 0; i < 2; i++) {
        struct al_job job = get(&f, "bad");
        assert_int_equal(job.error_code, AL_DATA_LOSS);
        assert_true(al_str_is(job.error, "DATA_LOSS/SHARD_DAMAGED: shard 3: cannot be read"));
        assert_true(job.done > 0.2 && job.done < 0.3);
        assert_true(al_str_is(job.message, "a quarter"));
        stop(&f);
        start(&f);
    }
    fini(&f);
}

static void test_pause(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    struct al_err err;
    stage_open(&f.stage, true);
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, true, &err), err);
    submit(&f, "gated", "one", "1");
    submit(&f, "quick", "free", "");
    await(&f, f.jobs, "free", AL_JOB_SUCCEEDED);
    stop(&f);
    start(&f); /* also over a restart */
    assert_true(al_jobs_is_paused(f.jobs, AL_JOB_MAINTENANCE));
    assert_false(al_jobs_is_paused(f.jobs, AL_JOB_LEARNING));
    submit(&f, "quick", "free2", "");
    await(&f, f.jobs, "free2", AL_JOB_SUCCEEDED);
    assert_int_equal(get(&f, "one").state, AL_JOB_QUEUED);
    assert_int_equal(f.stage.n_began, 0);
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_MAINTENANCE, false, &err), err);
    await(&f, f.jobs, "one", AL_JOB_SUCCEEDED);
    assert_int_equal(al_jobs_set_paused(f.jobs, (enum al_job_class)99, true, &err),
                     AL_INVALID_ARGUMENT);
    fini(&f);
}

static void test_crash_and_attempts(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "gated", "deadly", "d");
    submit(&f, "gated", "next", "n");
    uint64_t version = 0;
    for (int attempt = 1; attempt <= 3; attempt++) {
        await_began(&f.stage, attempt);
        struct al_job job = get(&f, "deadly");
        assert_int_equal(job.attempt, attempt);
        assert_true(job.version > version); /* never goes back, also over a crash */
        version = job.version;
        crash(&f);
        start(&f);
    }
    struct al_job job = await(&f, f.jobs, "deadly", AL_JOB_FAILED);
    assert_true(al_str_starts(job.error, AL_STR("INTERNAL/ATTEMPTS_EXHAUSTED")));
    stage_open(&f.stage, true);
    await(&f, f.jobs, "next", AL_JOB_SUCCEEDED);
    assert_string_equal(f.stage.began, "d d d n ");
    fini(&f);
}

/* An orderly stop is not the job's fault: it costs no attempt. */
static void test_stop_and_start(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "gated", "long", "x");
    for (int i = 1; i <= 6; i++) {
        await_began(&f.stage, i);
        assert_int_equal(get(&f, "long").attempt, 1);
        stop(&f);
        start(&f);
    }
    stage_open(&f.stage, true);
    await(&f, f.jobs, "long", AL_JOB_SUCCEEDED);
    fini(&f);
}

struct waiter {
    struct fixture *f;
    uint64_t deadline_ns;
    struct al_arena arena;
    struct al_job job;
    enum al_code code;
};

static void *wait_main(void *u)
{
    struct waiter *w = u;
    struct al_err err;
    w->code = al_jobs_wait(w->f->jobs, AL_STR("one"), UINT64_MAX - 1, w->deadline_ns, &w->arena,
                           &w->job, &err);
    return NULL;
}

/* Woken by the end of the job; woken by the deadline of the clock; not there. */
static void test_wait(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    for (int by_end = 0; by_end <= 1; by_end++) {
        submit(&f, "gated", "one", "x");
        await_began(&f.stage, 1);
        struct waiter w = {.f = &f, .deadline_ns = AL_DEADLINE_NONE};
        if (!by_end)
            w.deadline_ns = al_clock_deadline(&f.clock.clock, 60000);
        al_arena_init(&w.arena, NULL, 1u << 20);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wait_main, &w), 0);
        if (by_end)
            stage_open(&f.stage, true);
        else
            for (int i = 0; i < 20; i++) { /* leases are kept alive meanwhile */
                atomic_fetch_add(&f.clock.now_ns, 3000000000ull);
                al_coord_mem_settle(f.coord);
            }
        pthread_join(thread, NULL);
        assert_int_equal(w.code, AL_OK);
        assert_int_equal(w.job.state, by_end ? AL_JOB_SUCCEEDED : AL_JOB_RUNNING);
        al_arena_fini(&w.arena);
    }
    struct al_job job;
    struct al_err err;
    assert_int_equal(
        al_jobs_wait(f.jobs, AL_STR("none"), 0, AL_DEADLINE_NONE, &f.arena, &job, &err),
        AL_NOT_FOUND);
    fini(&f);
}

static void test_outputs_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "chatty", "talk", "");
    await(&f, f.jobs, "talk", AL_JOB_SUCCEEDED);
    for (int i = 0; i < 2; i++) {
        struct al_job job = get(&f, "talk");
        assert_int_equal(job.n_log, AL_JOB_LOG_LINES_MAX);
        assert_true(al_str_is(job.log[0], "line 300"));
        assert_true(al_str_is(job.log[AL_JOB_LOG_LINES_MAX - 1], "line 499"));
        assert_int_equal(job.n_results, AL_JOB_RESULTS_MAX);
        assert_true(al_str_is(job.results[0].value, "changed"));
        assert_true(al_str_is(job.results[63].key, "key-63"));
        assert_true(job.done <= 1);
        stop(&f);
        start(&f); /* and they are kept */
    }
    fini(&f);
}

static void test_queue_full(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    struct al_err err = {.reason = ""};
    struct al_job job;
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_LEARNING, true, &err), err);
    char id[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "q%d", i);
        submit(&f, "quick", id, "");
        al_arena_reset(&f.arena);
    }
    assert_int_equal(try_submit(&f, "quick", "one-more", "", &job, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUEUE_FULL");
    submit(&f, "quick", "q7", ""); /* a retry is none more */
    AL_CHECK_OK(al_jobs_set_paused(f.jobs, AL_JOB_LEARNING, false, &err), err);
    await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
    for (int i = 0; i < 10; i++) { /* ten more than are kept */
        snprintf(id, sizeof id, "r%d", i);
        submit(&f, "quick", id, "");
        await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
    }
    submit(&f, "quick", "last", "");
    await(&f, f.jobs, "last", AL_JOB_SUCCEEDED);
    assert_int_equal(atomic_load(&f.n_quick), 1011);
    assert_int_equal(al_jobs_get(f.jobs, AL_STR("q0"), &f.arena, &job, &err), AL_NOT_FOUND);
    assert_true(rows_count(f.rows) <= AL_JOBS_KEPT_MAX + 3); /* the settings, and what ended last */
    stop(&f);
    start(&f);
    get(&f, "last");
    fini(&f);
}

/* Each write of a row meets each fault: the job is done, and said to be done; nothing is lost. */
static void test_row_faults(void **state)
{
    (void)state;
    for (int fault = ROW_LOST; fault <= ROW_FULL; fault++) {
        struct fixture f;
        init(&f);
        for (unsigned n = 0; n < 5; n++) {
            char id[16];
            snprintf(id, sizeof id, "job%u", n);
            rows_fail(f.rows, n, (enum row_fault)fault);
            struct al_job job;
            struct al_err err;
            enum al_code c = try_submit(&f, "quick", id, "", &job, &err);
            if (c != AL_OK) { /* refused, surely not there: the client tries again */
                assert_true(fault == ROW_FULL && n == 0);
                submit(&f, "quick", id, "");
            }
            job = await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
            assert_int_equal(job.attempt, 1);
        }
        assert_int_equal(atomic_load(&f.n_quick), 5);
        fini(&f);
    }
}

/* Each write of the coordination store meets each fault. */
static void test_coord_faults(void **state)
{
    (void)state;
    for (int fault = AL_COORD_MEM_UNKNOWN_APPLIED; fault <= AL_COORD_MEM_UNAVAILABLE; fault++) {
        struct fixture f;
        init(&f);
        for (unsigned n = 0; n < 6; n++) {
            char id[16];
            snprintf(id, sizeof id, "job%u", n);
            al_coord_mem_fail_txn(f.coord, n, (enum al_coord_mem_fault)fault);
            submit(&f, "quick", id, "");
            struct al_job job = await(&f, f.jobs, id, AL_JOB_SUCCEEDED);
            assert_int_equal(job.attempt, 1);
        }
        assert_int_equal(atomic_load(&f.n_quick), 6);
        fini(&f);
    }
}

static uint64_t leader_lease(struct fixture *f, struct al_coord *c)
{
    struct al_coord_op op = al_coord_get(AL_STR("jobs/leader"));
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    struct al_err err;
    AL_CHECK_OK(al_coord_txn(c, &txn, AL_DEADLINE_NONE, &f->arena, &res, &err), err);
    return res.answers[0].n_kvs ? res.answers[0].kvs[0].lease : 0;
}

/* The session is lost while a job runs, and won again: the same attempt is committed. */
static void test_session_lost(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "gated", "one", "1");
    submit(&f, "gated", "two", "2");
    await_began(&f.stage, 1);
    uint64_t lease = leader_lease(&f, f.coord);
    assert_true(lease > 0);
    al_coord_mem_expire(f.coord, lease);
    stage_open(&f.stage, true);
    assert_int_equal(await(&f, f.jobs, "one", AL_JOB_SUCCEEDED).attempt, 1);
    await(&f, f.jobs, "two", AL_JOB_SUCCEEDED);
    assert_int_not_equal(leader_lease(&f, f.coord), lease);
    assert_string_equal(f.stage.began, "1 2 ");
    fini(&f);
}

/* Two processes: the second stands by, takes over when the first is cut off, and the first one's
 * result does not count. */
static void test_takeover(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    struct al_coord *coord2 = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_join(f.coord, &coord2, &err), err);
    struct al_jobs *second = make_jobs(&f, coord2);
    submit(&f, "gated", "one", "1");
    await_began(&f.stage, 1);
    al_coord_mem_set_cut_off(f.coord, true);
    for (int i = 0; i < 12; i++) { /* its lease runs out */
        atomic_fetch_add(&f.clock.now_ns, 1000000000ull);
        al_coord_mem_settle(coord2);
    }
    await_began(&f.stage, 2);
    al_coord_mem_set_cut_off(f.coord, false);
    stage_open(&f.stage, true);
    struct al_job job = await(&f, second, "one", AL_JOB_SUCCEEDED);
    assert_int_equal(job.attempt, 2);
    assert_string_equal(f.stage.began, "1 1 ");
    al_jobs_stop(f.jobs); /* the runner has given its attempt up */
    struct al_job here = get(&f, "one");
    assert_true(here.state == AL_JOB_SUCCEEDED || here.attempt <= 2);
    al_jobs_destroy(second);
    al_coord_close(coord2);
    fini(&f);
}

static void test_damaged_records(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    submit(&f, "quick", "good", "");
    submit(&f, "quick", "torn", "");
    await(&f, f.jobs, "torn", AL_JOB_SUCCEEDED);
    await(&f, f.jobs, "good", AL_JOB_SUCCEEDED);
    stop(&f);
    size_t torn = find_row(f.rows, AL_STR("torn"));
    for (size_t n = f.rows->rows[torn].n - 1; n > 0; n--) { /* cut at each byte */
        f.rows->rows[torn].n = n;
        start(&f);
        get(&f, "good");
        struct al_job job;
        struct al_err err;
        assert_int_equal(al_jobs_get(f.jobs, AL_STR("torn"), &f.arena, &job, &err), AL_NOT_FOUND);
        stop(&f);
    }
    f.rows->rows[torn].value[0] = 9; /* of a newer program */
    struct al_err err = {.reason = ""};
    AL_CHECK_OK(
        al_coord_mem_open(&(struct al_coord_mem_options){.clock = &f.clock.clock}, &f.coord, &err),
        err);
    struct al_jobs_options opt = {
        .coord = f.coord, .system = &f.rows->port, .clock = &f.clock.clock};
    AL_CHECK_OK(al_jobs_create(&opt, &f.jobs, &err), err);
    assert_int_equal(al_jobs_start(f.jobs, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "FORMAT_NEWER");
    fini(&f);
}

/* Each allocation of creating, starting and submitting fails in turn. */
static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct fixture f;
        init(&f);
        submit(&f, "quick", "before", "with arguments");
        await(&f, f.jobs, "before", AL_JOB_SUCCEEDED);
        al_jobs_destroy(f.jobs);
        f.jobs = NULL;
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_jobs_options opt = {
            .coord = f.coord, .system = &f.rows->port, .clock = &f.clock.clock, .mem = &fm.mem};
        struct al_err err;
        struct al_job_kind kind = {"quick", AL_JOB_LEARNING, run_quick, &f.n_quick};
        enum al_code c = al_jobs_create(&opt, &f.jobs, &err);
        AL_ASSERT((c == AL_OK) == (f.jobs != NULL));
        if (c == AL_OK)
            c = al_jobs_add_kind(f.jobs, &kind, &err);
        if (c == AL_OK)
            c = al_jobs_start(f.jobs, &err);
        if (c == AL_OK) {
            struct al_job job;
            c = try_submit(&f, "quick", "x", "y", &job, &err);
            if (c != AL_OK)
                submit(&f, "quick", "x", "y"); /* it happens once */
            await(&f, f.jobs, "x", AL_JOB_SUCCEEDED);
        }
        AL_ASSERT(c == AL_OK || c == AL_RESOURCE_EXHAUSTED);
        al_jobs_destroy(f.jobs);
        al_coord_close(f.coord);
        assert_int_equal(fm.live, 0);
        bool fired = fm.fired;
        start(&f);
        fini(&f);
        if (!fired)
            break;
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_failure_is_told),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_crash_and_attempts),
        cmocka_unit_test(test_stop_and_start),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_outputs_are_bounded),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_row_faults),
        cmocka_unit_test(test_coord_faults),
        cmocka_unit_test(test_session_lost),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
