#include "jobs_fixture.h"

#include "tables.h"

#define ARENA ((size_t)64 << 20)
#define PATIENCE_MS 20000u

/* ---- a system shard that has rows only ---- */

static struct rows *of(struct al_shard_port *p)
{
    return (struct rows *)(void *)p;
}

size_t jf_find_row(const struct rows *s, struct al_str key)
{
    size_t i = 0;
    while (i < s->n && al_str_cmp(al_str_c(s->rows[i].key), key) < 0)
        i++;
    return i;
}

static enum al_outcome apply(struct rows *s, const struct al_op *op)
{
    size_t at = jf_find_row(s, op->id);
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
    AL_ASSERT(op->kind == AL_OP_PUT_ROW && s->n < JF_ROWS_MAX);
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

// NOLINTNEXTLINE(readability-function-size): what is left of the port's
static enum al_code write_locked(struct rows *s, const struct al_op *op, const uint8_t id[16],
                                 enum al_outcome *ret, uint64_t *ret_index, bool *ret_repeated,
                                 struct al_err *err)
{
    if (s->is_dead)
        return AL_FAIL(err, AL_UNAVAILABLE, "rows: killed");
    enum row_fault fault = s->n_writes++ == s->fault_at ? s->fault : (enum row_fault)0;
    pthread_cond_broadcast(&s->written);
    if (fault == ROW_FULL)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "DISK_FULL", "rows: injected fault");
    if (fault == ROW_LOST)
        return unknown(err);
    if (fault == ROW_KILL) {
        s->is_dead = true;
        return unknown(err);
    }
    for (size_t i = 0; i < JF_WRITES_SEEN; i++) {
        if (memcmp(s->seen[i].id, id, 16) == 0) {
            *ret = s->seen[i].outcome;
            *ret_index = s->seen[i].index;
            *ret_repeated = true;
            return AL_OK;
        }
    }
    *ret_repeated = false;
    *ret_index = ++s->index;
    *ret = apply(s, op);
    size_t at = s->n_seen++ % JF_WRITES_SEEN;
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
    enum al_code c =
        write_locked(s, ops, write_id, &ret->outcomes[0], &ret->index, &ret->repeated, err);
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
    size_t at = jf_find_row(s, key);
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

// NOLINTNEXTLINE(readability-function-size): what is left of the port's
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

struct rows *jf_rows_create(void)
{
    struct rows *s = calloc(1, sizeof *s);
    AL_ASSERT(s);
    s->port.ops = &rows_ops;
    s->fault_at = UINT64_MAX;
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->written, NULL);
    return s;
}

void jf_rows_destroy(struct rows *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->rows[i].value);
    pthread_cond_destroy(&s->written);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

void jf_rows_set_dead(struct rows *s, bool is_dead)
{
    pthread_mutex_lock(&s->mu);
    s->is_dead = is_dead;
    pthread_mutex_unlock(&s->mu);
}

void jf_rows_fail(struct rows *s, uint64_t nth, enum row_fault fault)
{
    pthread_mutex_lock(&s->mu);
    s->fault_at = s->n_writes + nth;
    s->fault = fault;
    pthread_mutex_unlock(&s->mu);
}

void jf_await_writes(struct rows *s, uint64_t n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&s->mu);
    int late = 0;
    while (s->n_writes < n && !late)
        late = pthread_cond_timedwait(&s->written, &s->mu, &t);
    pthread_mutex_unlock(&s->mu);
    assert_int_equal(late, 0);
}

uint64_t jf_n_writes(struct rows *s)
{
    pthread_mutex_lock(&s->mu);
    uint64_t n = s->n_writes;
    pthread_mutex_unlock(&s->mu);
    return n;
}

size_t jf_rows_count(struct rows *s)
{
    pthread_mutex_lock(&s->mu);
    size_t n = s->n;
    pthread_mutex_unlock(&s->mu);
    return n;
}

/* ---- a clock that moves by hand and may be read by any thread ---- */

static uint64_t hand_mono_ns(struct al_clock *c)
{
    return atomic_load(&((struct hand_clock *)(void *)c)->now_ns);
}

static uint64_t hand_wall_ms(struct al_clock *c)
{
    return 1700000000000ull + hand_mono_ns(c) / 1000000ull;
}

/* ---- what jobs do here: say that they began, wait at the gate, end ---- */

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
    for (int i = 0; i < 5; i++)
        al_job_progress(r, 0.1 * i, "on the way"); /* changes that do not come to disk */
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

void jf_stage_open(struct stage *s, bool is_open)
{
    pthread_mutex_lock(&s->mu);
    s->is_open = is_open;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

void jf_await_began(struct stage *s, int n)
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

enum al_code jf_run_quick(void *ctx, struct al_job_run *r, struct al_str args, struct al_err *err)
{
    (void)r;
    (void)args;
    (void)err;
    atomic_fetch_add((_Atomic int *)ctx, 1);
    return AL_OK;
}

/* ---- a process ---- */

struct al_jobs *jf_make_jobs(struct fixture *f, struct al_coord *c)
{
    struct al_jobs *j = NULL;
    struct al_err err;
    struct al_jobs_options opt = {.coord = c, .system = f->system, .clock = &f->clock.clock};
    AL_CHECK_OK(al_jobs_create(&opt, &j, &err), err);
    const struct al_job_kind kinds[] = {
        {"gated", AL_JOB_MAINTENANCE, run_gated, &f->stage},
        {"fail", AL_JOB_MAINTENANCE, run_fail, NULL},
        {"chatty", AL_JOB_MAINTENANCE, run_chatty, NULL},
        {"quick", AL_JOB_LEARNING, jf_run_quick, &f->n_quick},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(kinds); i++)
        AL_CHECK_OK(al_jobs_add_kind(j, &kinds[i], &err), err);
    AL_CHECK_OK(al_jobs_start(j, &err), err);
    return j;
}

void jf_start(struct fixture *f)
{
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_open(&(struct al_coord_mem_options){.clock = &f->clock.clock},
                                  &f->coord, &err),
                err);
    f->jobs = jf_make_jobs(f, f->coord);
}

void jf_stop(struct fixture *f)
{
    al_jobs_stop(f->jobs);
    al_jobs_stop(f->jobs); /* idempotent */
    al_jobs_destroy(f->jobs);
    al_coord_close(f->coord);
    f->jobs = NULL;
}

/* What kill -9 leaves: nothing written after it. */
void jf_crash(struct fixture *f)
{
    jf_rows_set_dead(f->rows, true);
    jf_stop(f);
    jf_rows_set_dead(f->rows, false);
    atomic_fetch_add(&f->clock.now_ns, 1000000000ull);
}

void jf_init(struct fixture *f, struct al_shard_port *system)
{
    memset(f, 0, sizeof *f);
    if (!system)
        f->rows = jf_rows_create();
    f->system = system ? system : &f->rows->port;
    f->clock.clock = (struct al_clock){hand_mono_ns, hand_wall_ms};
    atomic_store(&f->clock.now_ns, 1000000000ull);
    pthread_mutex_init(&f->stage.mu, NULL);
    pthread_cond_init(&f->stage.changed, NULL);
    al_arena_init(&f->arena, NULL, ARENA);
    jf_start(f);
}

void jf_fini(struct fixture *f)
{
    jf_stop(f);
    al_arena_fini(&f->arena);
    if (f->rows)
        jf_rows_destroy(f->rows);
    pthread_cond_destroy(&f->stage.changed);
    pthread_mutex_destroy(&f->stage.mu);
}

enum al_code jf_try_submit(struct fixture *f, const char *type, const char *id, const char *args,
                           struct al_job *ret, struct al_err *err)
{
    return al_jobs_submit(f->jobs, type, al_str_c(id), AL_STR("team-a"), al_str_c(args), &f->arena,
                          ret, err);
}

struct al_job jf_submit(struct fixture *f, const char *type, const char *id, const char *args)
{
    struct al_job job;
    struct al_err err;
    AL_CHECK_OK(jf_try_submit(f, type, id, args, &job, &err), err);
    return job;
}

struct al_job jf_get(struct fixture *f, const char *id)
{
    struct al_job job;
    struct al_err err;
    AL_CHECK_OK(al_jobs_get(f->jobs, al_str_c(id), &f->arena, &job, &err), err);
    return job;
}

struct al_job jf_await(struct fixture *f, struct al_jobs *j, const char *id,
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
