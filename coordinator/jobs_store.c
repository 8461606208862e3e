#include <stdio.h>
#include <string.h>

#include "jobs_int.h"
#include "tables.h"

#define FORMAT 1u
#define SYSTEM_SPACE 0u
#define ROWS_A_PAGE 100u
#define ARENA_LIMIT ((size_t)16 << 20)
#define WRITE_TIMEOUT_MS 10000u
#define WRITE_TRIES 3
#define SETTINGS_KEY "/settings" /* no job's id: these have no '/' */
#define REVISIONS_A_MS_LOG2 10

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "job: out of memory");
}

bool al_job_has_ended(enum al_job_state s)
{
    return s == AL_JOB_SUCCEEDED || s == AL_JOB_FAILED || s == AL_JOB_CANCELLED;
}

/* ---- records ---- */

enum al_code al_job_record_new(struct al_jobs *j, struct al_str id, struct al_str args,
                               struct al_job_record **ret, struct al_err *err)
{
    AL_ASSERT(id.n <= AL_JOB_ID_BYTES_MAX);
    struct al_job_record *r = al_mem_zalloc(j->opt.mem, sizeof *r);
    if (!r)
        return no_memory(err);
    char *copy = al_mem_strndup(j->opt.mem, args.p ? args.p : "", args.n);
    if (!copy) {
        al_mem_free(j->opt.mem, r);
        return no_memory(err);
    }
    r->args = (struct al_str){copy, args.n};
    memcpy(r->id, id.p, id.n);
    r->status.state = AL_JOB_QUEUED;
    r->version = 1;
    *ret = r;
    return AL_OK;
}

static void free_str(struct al_jobs *j, struct al_str s)
{
    al_mem_free(j->opt.mem, (char *)(uintptr_t)s.p);
}

static void free_outputs(struct al_jobs *j, struct al_job_record *r)
{
    for (size_t i = 0; i < r->n_results; i++) {
        free_str(j, r->results[i].key);
        free_str(j, r->results[i].value);
    }
    for (size_t i = 0; i < r->n_log; i++)
        free_str(j, r->log[i]);
    al_mem_free(j->opt.mem, r->results);
    al_mem_free(j->opt.mem, r->log);
    r->results = NULL;
    r->log = NULL;
    r->n_results = r->results_cap = r->results_bytes = 0;
    r->n_log = r->log_cap = r->log_bytes = 0;
}

void al_job_record_free(struct al_jobs *j, struct al_job_record *r)
{
    if (!r)
        return;
    free_outputs(j, r);
    free_str(j, r->args);
    al_mem_free(j->opt.mem, r);
}

struct al_job_record *al_jobs_find(struct al_jobs *j, struct al_str id)
{
    for (size_t i = 0; i < j->n_records; i++) {
        if (al_str_is(id, j->records[i]->id))
            return j->records[i];
    }
    return NULL;
}

enum al_code al_jobs_insert(struct al_jobs *j, struct al_job_record *r, struct al_err *err)
{
    if (al_mem_grow(j->opt.mem, (void **)&j->records, &j->records_cap, j->n_records + 1,
                    sizeof *j->records) != AL_OK)
        return no_memory(err);
    size_t at = j->n_records;
    while (at > 0 && j->records[at - 1]->seq > r->seq)
        at--;
    memmove(j->records + at + 1, j->records + at, (j->n_records - at) * sizeof *j->records);
    j->records[at] = r;
    j->n_records++;
    if (j->next_seq <= r->seq)
        j->next_seq = r->seq + 1;
    return AL_OK;
}

void al_jobs_forget(struct al_jobs *j, struct al_job_record *r)
{
    for (size_t i = 0; i < j->n_records; i++) {
        if (j->records[i] != r)
            continue;
        j->n_records--;
        memmove(j->records + i, j->records + i + 1, (j->n_records - i) * sizeof *j->records);
        break;
    }
    al_job_record_free(j, r);
}

struct al_job_record *al_jobs_begin_change(struct al_jobs *j, struct al_str id)
{
    struct al_job_record *r = al_jobs_find(j, id);
    while (r && r->is_busy) {
        pthread_cond_wait(&j->changed, &j->mu);
        r = al_jobs_find(j, id);
    }
    if (r)
        r->is_busy = true;
    return r;
}

void al_jobs_end_change(struct al_jobs *j, struct al_job_record *r)
{
    r->is_busy = false;
    pthread_cond_broadcast(&j->changed);
}

/* ---- copying out ---- */

static enum al_code copy_outputs(const struct al_job_record *r, struct al_arena *a,
                                 struct al_job *ret, struct al_err *err)
{
    ret->results = al_arena_array(a, r->n_results + 1, sizeof *ret->results);
    ret->log = al_arena_array(a, r->n_log + 1, sizeof *ret->log);
    if (!ret->results || !ret->log)
        return no_memory(err);
    for (size_t i = 0; i < r->n_results; i++) {
        AL_TRY(al_arena_str(a, r->results[i].key, &ret->results[i].key, err));
        AL_TRY(al_arena_str(a, r->results[i].value, &ret->results[i].value, err));
    }
    for (size_t i = 0; i < r->n_log; i++)
        AL_TRY(al_arena_str(a, r->log[i], &ret->log[i], err));
    ret->n_results = r->n_results;
    ret->n_log = r->n_log;
    return AL_OK;
}

enum al_code al_job_copy(const struct al_job_record *r, struct al_arena *a, struct al_job *ret,
                         struct al_err *err)
{
    struct al_job x = {.job_class = r->job_class,
                       .state = r->status.state,
                       .created_ms = r->created_ms,
                       .started_ms = r->status.started_ms,
                       .ended_ms = r->status.ended_ms,
                       .attempt = r->status.attempt,
                       .done = r->done,
                       .error_code = r->status.error_code,
                       .log_first = r->log_dropped,
                       .version = r->version};
    AL_TRY(al_arena_str(a, al_str_c(r->id), &x.id, err));
    AL_TRY(al_arena_str(a, al_str_c(r->type), &x.type, err));
    AL_TRY(al_arena_str(a, al_str_c(r->team), &x.team, err));
    AL_TRY(al_arena_str(a, r->args, &x.args, err));
    AL_TRY(al_arena_str(a, al_str_c(r->message), &x.message, err));
    AL_TRY(al_arena_str(a, al_str_c(r->status.error), &x.error, err));
    AL_TRY(copy_outputs(r, a, &x, err));
    *ret = x;
    return AL_OK;
}

/* ---- encoding ---- */

static void encode(const struct al_job_record *r, const struct al_job_status *s, struct al_buf *b)
{
    uint64_t done_bits;
    memcpy(&done_bits, &r->done, sizeof done_bits);
    al_buf_char(b, FORMAT);
    al_buf_lenstr(b, al_str_c(r->type));
    al_buf_lenstr(b, al_str_c(r->team));
    al_buf_lenstr(b, r->args);
    al_buf_varint(b, (uint64_t)r->job_class);
    al_buf_varint(b, r->seq);
    al_buf_varint(b, r->created_ms);
    al_buf_varint(b, (uint64_t)s->state);
    al_buf_varint(b, s->attempt);
    al_buf_varint(b, s->started_ms);
    al_buf_varint(b, s->ended_ms);
    al_buf_varint(b, (uint64_t)s->error_code);
    al_buf_lenstr(b, al_str_c(s->error));
    al_buf_varint(b, r->version + 1);
    al_buf_u64le(b, done_bits);
    al_buf_lenstr(b, al_str_c(r->message));
    al_buf_varint(b, r->n_results);
    for (size_t i = 0; i < r->n_results; i++) {
        al_buf_lenstr(b, r->results[i].key);
        al_buf_lenstr(b, r->results[i].value);
    }
    al_buf_varint(b, r->n_log);
    for (size_t i = 0; i < r->n_log; i++)
        al_buf_lenstr(b, r->log[i]);
}

static void read_text(struct al_reader *rd, char *out, size_t cap)
{
    struct al_str s = al_reader_lenstr(rd);
    if (s.n >= cap || (s.n && memchr(s.p, 0, s.n))) {
        rd->failed = true;
        s.n = 0;
    }
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

static struct al_str read_owned(struct al_jobs *j, struct al_reader *rd, bool *no_mem)
{
    struct al_str s = al_reader_lenstr(rd);
    if (rd->failed)
        return (struct al_str){NULL, 0};
    char *p = al_mem_strndup(j->opt.mem, s.n ? s.p : "", s.n);
    *no_mem = *no_mem || !p;
    return (struct al_str){p, p ? s.n : 0};
}

static void read_outputs(struct al_jobs *j, struct al_reader *rd, struct al_job_record *r,
                         bool *no_mem)
{
    uint64_t n = al_reader_varint(rd);
    rd->failed = rd->failed || n > AL_JOB_RESULTS_MAX;
    if (!rd->failed && n > 0)
        *no_mem = al_mem_grow(j->opt.mem, (void **)&r->results, &r->results_cap, (size_t)n,
                              sizeof *r->results) != AL_OK;
    for (uint64_t i = 0; i < n && !rd->failed && !*no_mem; i++) {
        struct al_kv *kv = &r->results[r->n_results++];
        kv->key = read_owned(j, rd, no_mem);
        kv->value = read_owned(j, rd, no_mem);
        r->results_bytes += kv->key.n + kv->value.n;
    }
    n = al_reader_varint(rd);
    rd->failed = rd->failed || n > AL_JOB_LOG_LINES_MAX;
    if (!rd->failed && !*no_mem && n > 0)
        *no_mem = al_mem_grow(j->opt.mem, (void **)&r->log, &r->log_cap, (size_t)n,
                              sizeof *r->log) != AL_OK;
    for (uint64_t i = 0; i < n && !rd->failed && !*no_mem; i++) {
        r->log[r->n_log] = read_owned(j, rd, no_mem);
        r->log_bytes += r->log[r->n_log++].n;
    }
}

static void read_status(struct al_reader *rd, struct al_job_status *s)
{
    uint64_t state = al_reader_varint(rd);
    rd->failed = rd->failed || state < AL_JOB_QUEUED || state > AL_JOB_CANCELLED;
    s->state = rd->failed ? AL_JOB_QUEUED : (enum al_job_state)state;
    s->attempt = (uint32_t)al_reader_varint(rd);
    s->started_ms = al_reader_varint(rd);
    s->ended_ms = al_reader_varint(rd);
    s->error_code = (int)al_reader_varint(rd);
    read_text(rd, s->error, sizeof s->error);
}

static enum al_code check_format(struct al_reader *rd, struct al_err *err)
{
    uint8_t f = al_reader_u8(rd);
    if (f > FORMAT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "FORMAT_TOO_NEW",
                         "system shard: job: format %u is newer than this program knows", f);
    if (rd->failed || f == 0)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: job: malformed row");
    return AL_OK;
}

static enum al_code decode(struct al_jobs *j, const struct al_row *row, struct al_job_record **ret,
                           struct al_err *err)
{
    struct al_reader rd = al_reader_of(row->value);
    char type[AL_JOB_TYPE_BYTES_MAX + 1];
    char team[AL_NAME_BYTES_MAX + 1];
    AL_TRY(check_format(&rd, err));
    read_text(&rd, type, sizeof type);
    read_text(&rd, team, sizeof team);
    struct al_str args = al_reader_lenstr(&rd);
    uint64_t job_class = al_reader_varint(&rd);
    if (rd.failed || row->key.n == 0 || row->key.n > AL_JOB_ID_BYTES_MAX || job_class == 0 ||
        job_class > AL_JOB_CLASSES)
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: job: malformed row");
    struct al_job_record *r = NULL;
    AL_TRY(al_job_record_new(j, row->key, args, &r, err));
    memcpy(r->type, type, sizeof type);
    memcpy(r->team, team, sizeof team);
    r->job_class = (enum al_job_class)job_class;
    r->seq = al_reader_varint(&rd);
    r->created_ms = al_reader_varint(&rd);
    read_status(&rd, &r->status);
    r->version = al_reader_varint(&rd);
    uint64_t done_bits = al_reader_u64le(&rd);
    memcpy(&r->done, &done_bits, sizeof r->done);
    read_text(&rd, r->message, sizeof r->message);
    bool no_mem = false;
    read_outputs(j, &rd, r, &no_mem);
    r->row_version = row->version;
    r->is_stored = true;
    if (!no_mem && al_reader_done(&rd)) {
        *ret = r;
        return AL_OK;
    }
    al_job_record_free(j, r);
    return no_mem ? no_memory(err) : AL_FAIL(err, AL_DATA_LOSS, "system shard: job: malformed row");
}

/* ---- rows ---- */

struct row_write {
    struct al_op op;
    uint64_t index; /* filled: the row's new version */
};

/* AL_ABORTED, reason JOB_CHANGED: the condition did not hold. */
static enum al_code write_row(struct al_jobs *j, struct row_write *w, struct al_err *err)
{
    uint8_t write_id[16];
    al_random_fill(j->opt.random, write_id, sizeof write_id);
    w->op.table = AL_TABLE_JOB;
    w->op.space = SYSTEM_SPACE;
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    struct al_write_result res = {0};
    enum al_code c = AL_UNKNOWN;
    for (int i = 0; i < WRITE_TRIES && c == AL_UNKNOWN; i++)
        c = j->opt.system->ops->write(j->opt.system, &w->op, 1, write_id,
                                      al_clock_deadline(j->opt.clock, WRITE_TIMEOUT_MS), &a, &res,
                                      err);
    bool refused = c == AL_OK && res.outcomes[0] == AL_OUTCOME_CONDITION;
    w->index = res.index;
    al_arena_fini(&a);
    if (refused)
        return AL_FAIL_R(err, AL_ABORTED, "JOB_CHANGED",
                         "job '" AL_STR_FMT "' was changed by another process",
                         AL_STR_ARG(w->op.id));
    return c;
}

enum al_code al_job_store(struct al_jobs *j, struct al_job_record *r,
                          const struct al_job_status *status, struct al_err *err)
{
    if (r->is_stale)
        AL_TRY(al_job_reload(j, r, err));
    struct al_buf b;
    al_buf_init(&b, j->opt.mem, 0);
    pthread_mutex_lock(&j->mu);
    encode(r, status, &b);
    uint64_t version = r->row_version;
    pthread_mutex_unlock(&j->mu);
    struct row_write w = {.op = {.kind = AL_OP_PUT_ROW,
                                 .condition = version ? AL_IF_VERSION : AL_IF_ABSENT,
                                 .version = version,
                                 .id = al_str_c(r->id),
                                 .value = al_buf_view(&b)}};
    enum al_code c = al_buf_status(&b, err);
    if (c == AL_OK)
        c = write_row(j, &w, err);
    al_buf_fini(&b);
    if (c == AL_OK) {
        pthread_mutex_lock(&j->mu);
        r->status = *status;
        r->row_version = w.index;
        r->version++;
        pthread_cond_broadcast(&j->changed);
        pthread_mutex_unlock(&j->mu);
    } else if (c == AL_UNKNOWN || (c == AL_ABORTED && !r->run)) {
        enum al_code again = al_job_reload(j, r, NULL); /* what is there counts */
        r->is_stale = again != AL_OK && again != AL_NOT_FOUND;
    }
    return c;
}

/* mu held: what another process wrote; moves the outputs over. */
static void take_over(struct al_jobs *j, struct al_job_record *r, struct al_job_record *from)
{
    r->status = from->status;
    r->row_version = from->row_version;
    r->version = (r->version > from->version ? r->version : from->version) + 1;
    r->done = from->done;
    memcpy(r->message, from->message, sizeof r->message);
    free_outputs(j, r);
    r->results = al_take(from->results);
    r->n_results = from->n_results;
    r->results_cap = from->results_cap;
    r->results_bytes = from->results_bytes;
    r->log = al_take(from->log);
    r->n_log = from->n_log;
    r->log_cap = from->log_cap;
    r->log_bytes = from->log_bytes;
    from->n_results = from->n_log = 0;
    pthread_cond_broadcast(&j->changed);
}

enum al_code al_job_reload(struct al_jobs *j, struct al_job_record *r, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    struct al_row row = {.key = al_str_c(r->id)};
    enum al_code c = j->opt.system->ops->get_row(j->opt.system, AL_TABLE_JOB, SYSTEM_SPACE, row.key,
                                                 &a, &row.value, &row.version, err);
    struct al_job_record *fresh = NULL;
    if (c == AL_OK)
        c = decode(j, &row, &fresh, err);
    if (c == AL_OK) {
        pthread_mutex_lock(&j->mu);
        bool is_same = al_str_eq(fresh->args, r->args) && strcmp(fresh->type, r->type) == 0;
        if (is_same && !r->run && fresh->row_version != r->row_version)
            take_over(j, r, fresh);
        else if (is_same)
            r->row_version = fresh->row_version; /* what runs here is newer than its row */
        r->is_stale = r->is_stale && !is_same;
        pthread_mutex_unlock(&j->mu);
        if (!is_same)
            c = AL_FAIL_R(err, AL_ALREADY_EXISTS, "ID_REUSED",
                          "job '%s' exists with another type or other arguments", r->id);
    }
    al_job_record_free(j, fresh);
    al_arena_fini(&a);
    return c;
}

enum al_code al_job_erase(struct al_jobs *j, struct al_str id, struct al_err *err)
{
    struct row_write w = {.op = {.kind = AL_OP_DELETE_ROW, .condition = AL_IF_ANY, .id = id}};
    return write_row(j, &w, err);
}

/* ---- settings ---- */

enum al_code al_jobs_store_settings(struct al_jobs *j, uint32_t paused, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, j->opt.mem, 0);
    al_buf_char(&b, FORMAT);
    al_buf_varint(&b, paused);
    struct row_write w = {.op = {.kind = AL_OP_PUT_ROW,
                                 .condition = AL_IF_ANY,
                                 .id = AL_STR(SETTINGS_KEY),
                                 .value = al_buf_view(&b)}};
    enum al_code c = al_buf_status(&b, err);
    if (c == AL_OK)
        c = write_row(j, &w, err);
    al_buf_fini(&b);
    if (c != AL_OK)
        return c;
    pthread_mutex_lock(&j->mu);
    j->paused = paused;
    j->settings_version = w.index;
    pthread_mutex_unlock(&j->mu);
    return AL_OK;
}

static enum al_code load_settings(struct al_jobs *j, const struct al_row *row, struct al_err *err)
{
    struct al_reader rd = al_reader_of(row->value);
    AL_TRY(check_format(&rd, err));
    uint64_t paused = al_reader_varint(&rd);
    if (!al_reader_done(&rd))
        return AL_FAIL(err, AL_DATA_LOSS, "system shard: job settings: malformed row");
    pthread_mutex_lock(&j->mu);
    if (row->version > j->settings_version) {
        j->paused = (uint32_t)paused;
        j->settings_version = row->version;
    }
    pthread_mutex_unlock(&j->mu);
    return AL_OK;
}

/* ---- loading ---- */

/* Watchers may know a version that never came to disk: go on beyond it. */
static void lift_version(struct al_jobs *j, struct al_job_record *r)
{
    uint64_t by_time = al_clock_wall_ms(j->opt.clock) << REVISIONS_A_MS_LOG2;
    if (!al_job_has_ended(r->status.state) && r->version < by_time)
        r->version = by_time;
}

static enum al_code load_row(struct al_jobs *j, const struct al_row *row, struct al_err *err)
{
    if (al_str_is(row->key, SETTINGS_KEY))
        return load_settings(j, row, err);
    struct al_job_record *fresh = NULL;
    AL_TRY_CTX(err, decode(j, row, &fresh, err), "'" AL_STR_FMT "'", AL_STR_ARG(row->key));
    lift_version(j, fresh);
    enum al_code c = AL_OK;
    pthread_mutex_lock(&j->mu);
    struct al_job_record *r = al_jobs_find(j, row->key);
    if (!r) {
        c = al_jobs_insert(j, fresh, err);
        if (c == AL_OK)
            fresh = NULL;
    } else if (!r->is_busy && !r->run && row->version > r->row_version) {
        take_over(j, r, fresh);
    }
    pthread_mutex_unlock(&j->mu);
    al_job_record_free(j, fresh);
    return c;
}

enum al_code al_jobs_load(struct al_jobs *j, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, j->opt.mem, ARENA_LIMIT);
    char last[AL_DOC_ID_BYTES_MAX];
    struct al_str after = {last, 0};
    enum al_code c = AL_OK;
    size_t n = ROWS_A_PAGE;
    while (c == AL_OK && n == ROWS_A_PAGE) {
        struct al_row *rows = NULL;
        al_arena_reset(&a);
        c = j->opt.system->ops->scan_rows(j->opt.system, AL_TABLE_JOB, SYSTEM_SPACE, AL_STR(""),
                                          after, ROWS_A_PAGE, &a, &rows, &n, err);
        for (size_t i = 0; c == AL_OK && i < n; i++) {
            struct al_err e;
            c = load_row(j, &rows[i], &e);
            if (c == AL_DATA_LOSS) { /* one damaged record does not stop the others */
                al_log_err(j->opt.log, AL_LOG_ERROR, "jobs.record.damaged", &e);
                c = AL_OK;
            } else if (c != AL_OK && err) {
                *err = e;
            }
            after.n = rows[i].key.n < sizeof last ? rows[i].key.n : sizeof last;
            memcpy(last, rows[i].key.p, after.n);
        }
    }
    al_arena_fini(&a);
    return c;
}
