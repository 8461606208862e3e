#include <string.h>

#include "findings.h"
#include "service.h"
#include "work.h"

#define WATCH_STEP_MS 5000u
#define WATCH_GAP_MS 100u /* at most ten states a second */
#define WATCH_LINES 100u
#define FINDINGS_DEFAULT 100u
#define SHARDS_NAMED_MAX 4096u
#define LIST_DEFAULT 50u
#define LIST_MAX 1000u

/* ---- conversions ---- */

static bool fill_results(struct al_arena *a, const struct al_job *j, Airlore__V1__Job *m)
{
    m->result = al_msg_list(a, j->n_results);
    if (!m->result)
        return false;
    for (size_t i = 0; i < j->n_results; i++) {
        Airlore__V1__Job__ResultEntry *e =
            al_msg_new(a, &airlore__v1__job__result_entry__descriptor);
        if (!e)
            return false;
        e->key = al_msg_str(a, j->results[i].key);
        e->value = al_msg_str(a, j->results[i].value);
        if (!e->key || !e->value)
            return false;
        m->result[m->n_result++] = e;
    }
    return true;
}

/* The record has "CODE/REASON: message". */
static bool fill_error(struct al_arena *a, const struct al_job *j, Airlore__V1__Job *m)
{
    if (j->state != AL_JOB_FAILED)
        return true;
    struct al_str text = j->error;
    struct al_str reason = {NULL, 0};
    size_t slash = al_str_find(text, AL_STR("/"), 0);
    size_t colon = al_str_find(text, AL_STR(": "), 0);
    if (slash != SIZE_MAX && colon != SIZE_MAX && slash < colon) {
        reason = al_str_sub(text, slash + 1, colon - slash - 1);
        text = al_str_sub(text, colon + 2, SIZE_MAX);
    }
    m->error = al_msg_new(a, &airlore__v1__error__descriptor);
    if (!m->error)
        return false;
    m->error->code = j->error_code;
    m->error->reason = al_msg_str(a, reason);
    m->error->message = al_msg_words(a, text);
    return m->error->reason && m->error->message;
}

static bool fill_times(struct al_arena *a, const struct al_job *j, Airlore__V1__Job *m)
{
    m->create_time = al_msg_time(a, j->created_ms);
    if (j->started_ms && !(m->start_time = al_msg_time(a, j->started_ms)))
        return false;
    if (j->ended_ms && !(m->end_time = al_msg_time(a, j->ended_ms)))
        return false;
    return m->create_time;
}

static Airlore__V1__Job *msg_job(struct al_coordinator *c, struct al_arena *a,
                                 const struct al_job *j)
{
    Airlore__V1__Job *m = al_msg_new(a, &airlore__v1__job__descriptor);
    Airlore__V1__JobProgress *p = al_msg_new(a, &airlore__v1__job_progress__descriptor);
    if (!m || !p)
        return NULL;
    p->done = (uint64_t)(j->done * 1000 + 0.5);
    p->total = 1000;
    p->unit = al_msg_str(a, AL_STR("permille"));
    p->message = al_msg_words(a, j->message);
    m->progress = p;
    m->name = al_arena_printf(a, "jobs/" AL_STR_FMT, AL_STR_ARG(j->id));
    m->type = al_msg_str(a, j->type);
    m->job_class = (Airlore__V1__JobClass)j->job_class;
    m->state = (Airlore__V1__JobState)j->state;
    m->team = al_msg_str(a, j->team);
    m->attempt = j->attempt;
    m->executor =
        al_msg_str(a, j->state == AL_JOB_RUNNING ? al_str_c(c->opt.server_name) : AL_STR(""));
    m->etag = al_arena_printf(a, "%llu", (unsigned long long)j->version);
    bool ok = p->unit && p->message && m->name && m->type && m->team && m->executor && m->etag &&
              fill_results(a, j, m) && fill_error(a, j, m) && fill_times(a, j, m);
    return ok ? m : NULL;
}

static struct al_str id_of(const char *name)
{
    return al_str_c(strncmp(name, "jobs/", 5) == 0 ? name + 5 : name);
}

/* Jobs of teams that the key does not read are seen by admins of the server only. */
static enum al_code get_job(struct al_coordinator *c, struct al_rpc_call *call, const char *name,
                            struct al_arena *a, struct al_job *ret, struct al_err *err)
{
    const struct al_credential *cred = al_call_credential(call);
    enum al_code code = al_jobs_get(c->jobs, id_of(name), a, ret, err);
    if (code != AL_NOT_FOUND && code != AL_OK)
        return code;
    if (code == AL_OK && al_may_see_team(cred, ret->team))
        return AL_OK;
    /* the same words whether there is none or another team has it */
    return AL_FAIL_R(err, AL_NOT_FOUND, "JOB_NOT_FOUND", "job: '%.100s' does not exist", name);
}

/* ---- submitting maintenance ---- */

/* A job more than the team may have? One that is there already (a retry) is none more. */
static enum al_code check_quota(struct al_coordinator *c, const struct al_credential *cred,
                                const char *id, struct al_arena *a, struct al_err *err)
{
    const struct al_quota *q = &cred->scopes[cred->n_scopes - 1].quota;
    struct al_job there;
    if (!(q->set & AL_QUOTA_JOBS) ||
        al_jobs_count_team(c->jobs, al_str_c(cred->key->team)) < q->max_jobs ||
        (id[0] && al_jobs_get(c->jobs, al_str_c(id), a, &there, NULL) == AL_OK))
        return AL_OK;
    al_metric_add(c->quota_metrics.jobs, 1);
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED",
                     "teams/%s: its quota of %u jobs is used up", cred->key->team, q->max_jobs);
}

static enum al_code submit(struct al_coordinator *c, struct al_rpc_call *call, const char *type,
                           const char *id, struct al_str args, Airlore__V1__Job **ret,
                           struct al_err *err)
{
    const struct al_credential *cred = al_call_credential(call);
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_job j;
    AL_TRY(al_require_server_admin(cred, err));
    AL_TRY(check_quota(c, cred, id, a, err));
    AL_TRY(
        al_jobs_submit(c->jobs, type, al_str_c(id), al_str_c(cred->key->team), args, a, &j, err));
    *ret = msg_job(c, a, &j);
    return *ret ? AL_OK : al_msg_no_memory(err);
}

struct shard_list {
    const uint32_t *shards;
    size_t n;
};

/* "deep repair 0 3": flags, then the shards asked for; none: all. */
static enum al_code shard_args(struct al_coordinator *c, struct shard_list named, const char *flags,
                               struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    const uint32_t *shards = named.shards;
    struct al_buf b;
    if (named.n > SHARDS_NAMED_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "shards: at most %u",
                         SHARDS_NAMED_MAX);
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_cstr(&b, flags);
    for (size_t i = 0; i < named.n; i++) {
        if (shards[i] >= c->opt.router->n_shards)
            return AL_FAIL_R(err, AL_NOT_FOUND, "SHARD_NOT_FOUND", "shard: %u does not exist",
                             shards[i]);
        al_buf_printf(&b, "%s%u", b.n ? " " : "", shards[i]);
    }
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

AL_UNARY(al_serve_verify_shards)
{
    const Airlore__V1__VerifyShardsRequest *m = (const Airlore__V1__VerifyShardsRequest *)req;
    static const char *const flags[] = {"", "deep", "repair", "deep repair"};
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_str args;
    AL_TRY(al_require_server_admin(al_call_credential(call), err));
    AL_TRY(shard_args(ctx, (struct shard_list){m->shards, m->n_shards},
                      flags[m->deep + 2 * m->repair], a, &args, err));
    Airlore__V1__VerifyShardsResponse *out =
        al_msg_new(a, &airlore__v1__verify_shards_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(submit(ctx, call, "verify", m->job_id, args, &out->job, err));
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_compact_shards)
{
    const Airlore__V1__CompactShardsRequest *m = (const Airlore__V1__CompactShardsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_str args;
    AL_TRY(al_require_server_admin(al_call_credential(call), err));
    AL_TRY(shard_args(ctx, (struct shard_list){m->shards, m->n_shards}, "", a, &args, err));
    Airlore__V1__CompactShardsResponse *out =
        al_msg_new(a, &airlore__v1__compact_shards_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(submit(ctx, call, "compact", m->job_id, args, &out->job, err));
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_reembed)
{
    const Airlore__V1__ReembedRequest *m = (const Airlore__V1__ReembedRequest *)req;
    Airlore__V1__ReembedResponse *out =
        al_msg_new(al_rpc_call_arena(call), &airlore__v1__reembed_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(submit(ctx, call, "reembed", m->job_id, m->force ? AL_STR("force") : AL_STR(""),
                  &out->job, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- findings of a verify job ---- */

static Airlore__V1__VerifyFinding *msg_finding(struct al_coordinator *c, struct al_arena *a,
                                               const struct al_finding *f)
{
    Airlore__V1__VerifyFinding *m = al_msg_new(a, &airlore__v1__verify_finding__descriptor);
    if (!m)
        return NULL;
    m->shard = f->shard;
    m->node = al_arena_printf(a, "nodes/%s", c->opt.server_name);
    m->what = al_msg_str(a, f->what);
    m->reason = al_msg_str(a, AL_STR("DATA_CORRUPT"));
    m->message = al_msg_words(a, f->message);
    m->item_id = al_msg_str(a, f->item_id);
    m->repaired = f->is_repaired;
    return m->node && m->what && m->reason && m->message && m->item_id ? m : NULL;
}

AL_UNARY(al_serve_verify_findings)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListVerifyFindingsRequest *m =
        (const Airlore__V1__ListVerifyFindingsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_job j;
    struct al_findings found = {.n = 0};
    uint64_t from = 0;
    uint32_t limit = 0;
    AL_TRY(get_job(c, call, m->job, a, &j, err));
    if (m->page_token[0] && (!al_str_u64(al_str_c(m->page_token), &from) || from > AL_FINDINGS_MAX))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN",
                         "page token: not one that this server gave");
    AL_TRY(al_page_size(m->page_size, FINDINGS_DEFAULT, LIST_MAX, &limit, err));
    const struct al_findings_query q = {.job = j.id, .from = from, .limit = limit + 1};
    AL_TRY(al_findings_read(c, &q, a, &found, err));
    Airlore__V1__ListVerifyFindingsResponse *out =
        al_msg_new(a, &airlore__v1__list_verify_findings_response__descriptor);
    if (!out || !(out->findings = al_msg_list(a, found.n)))
        return al_msg_no_memory(err);
    for (size_t i = 0; i < found.n && i < limit; i++) {
        out->findings[out->n_findings] = msg_finding(c, a, &found.list[i]);
        if (!out->findings[out->n_findings++])
            return al_msg_no_memory(err);
    }
    out->next_page_token = found.n > limit
                               ? al_arena_printf(a, "%llu", (unsigned long long)from + limit)
                               : al_msg_str(a, AL_STR(""));
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}

/* ---- jobs ---- */

/* First of all, so that page tokens count nothing that is hidden. */
static size_t keep_wanted(const struct al_credential *cred, const Airlore__V1__ListJobsRequest *m,
                          struct al_job *list, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!al_may_see_team(cred, list[i].team) ||
            (m->job_class && (int)m->job_class != (int)list[i].job_class) ||
            (m->state && (int)m->state != (int)list[i].state) ||
            (m->type[0] && !al_str_is(list[i].type, m->type)))
            continue;
        list[kept++] = list[i];
    }
    return kept;
}

AL_UNARY(al_serve_list_jobs)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListJobsRequest *m = (const Airlore__V1__ListJobsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct al_job *list;
    size_t n;
    AL_TRY(al_jobs_list(c->jobs, a, &list, &n, err));
    Airlore__V1__ListJobsResponse *out =
        al_msg_new(a, &airlore__v1__list_jobs_response__descriptor);
    if (!out || !(out->jobs = al_msg_list(a, n)))
        return al_msg_no_memory(err);
    uint64_t from = 0;
    if (m->page_token[0] && !al_str_u64(al_str_c(m->page_token), &from))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN",
                         "page token: not one that this server gave");
    uint32_t limit = 0;
    AL_TRY(al_page_size(m->page_size, LIST_DEFAULT, LIST_MAX, &limit, err));
    n = keep_wanted(cred, m, list, n);
    size_t i = from > n ? n : (size_t)from;
    for (; i < n && out->n_jobs < limit; i++) {
        out->jobs[out->n_jobs] = msg_job(c, a, &list[i]);
        if (!out->jobs[out->n_jobs++])
            return al_msg_no_memory(err);
    }
    out->next_page_token = i < n ? al_arena_printf(a, "%zu", i) : al_msg_str(a, AL_STR(""));
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}

AL_UNARY(al_serve_get_job)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetJobRequest *m = (const Airlore__V1__GetJobRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_job j;
    AL_TRY(get_job(c, call, m->name, a, &j, err));
    Airlore__V1__GetJobResponse *out = al_msg_new(a, &airlore__v1__get_job_response__descriptor);
    if (!out || !(out->job = msg_job(c, a, &j)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_cancel_job)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__CancelJobRequest *m = (const Airlore__V1__CancelJobRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_job j;
    AL_TRY(al_credential_require(al_call_credential(call), AL_ROLE_CONTRIBUTOR, err));
    AL_TRY(get_job(c, call, m->name, a, &j, err));
    if (!al_str_is(j.team, al_call_credential(call)->key->team))
        AL_TRY(al_require_server_admin(al_call_credential(call), err));
    struct al_err ended = {0};
    enum al_code code = al_jobs_cancel(c->jobs, id_of(m->name), a, &j, &ended);
    if (code != AL_OK && code != AL_FAILED_PRECONDITION) { /* one that has ended is no error */
        if (err)
            *err = ended;
        return code;
    }
    Airlore__V1__CancelJobResponse *out =
        al_msg_new(a, &airlore__v1__cancel_job_response__descriptor);
    if (!out || !(out->job = msg_job(c, a, &j)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

/* *sent: number of the next line; lines that were dropped before they could be sent are lost. */
static enum al_code send_job(struct al_coordinator *c, struct al_rpc_call *call,
                             const struct al_job *j, bool with_log, uint64_t *sent,
                             struct al_err *err)
{
    uint64_t end = j->log_first + j->n_log;
    if (*sent < j->log_first || !with_log)
        *sent = with_log ? j->log_first : end;
    do {
        struct al_arena *a = al_rpc_call_scratch(call);
        Airlore__V1__WatchJobResponse out = AIRLORE__V1__WATCH_JOB_RESPONSE__INIT;
        out.job = msg_job(c, a, j);
        out.log_lines = al_msg_list(a, WATCH_LINES);
        if (!out.job || !out.log_lines)
            return al_msg_no_memory(err);
        for (; *sent < end && out.n_log_lines < WATCH_LINES; ++*sent) {
            out.log_lines[out.n_log_lines] = al_msg_words(a, j->log[*sent - j->log_first]);
            if (!out.log_lines[out.n_log_lines++])
                return al_msg_no_memory(err);
        }
        AL_TRY(al_rpc_write(call, &out.base, err));
    } while (*sent < end);
    return AL_OK;
}

static enum al_code watch(struct al_coordinator *c, struct al_rpc_call *call, struct al_str id,
                          bool with_log, struct al_arena *scratch, struct al_err *err)
{
    uint64_t version = 0;
    uint64_t sent = 0;
    for (;;) {
        struct al_job j;
        al_arena_reset(scratch);
        uint64_t deadline = al_clock_deadline(c->opt.clock, WATCH_STEP_MS);
        AL_TRY(al_jobs_wait(c->jobs, id, version, deadline, scratch, &j, err));
        if (al_rpc_call_is_cancelled(call))
            return AL_FAIL(err, AL_CANCELLED, "job: the client has gone");
        AL_TRY(al_recheck_call(c, call, err));
        if (j.version > version)
            AL_TRY(send_job(c, call, &j, with_log, &sent, err));
        version = j.version;
        if (j.state >= AL_JOB_SUCCEEDED)
            return AL_OK;
        if (al_rpc_call_wait(call, WATCH_GAP_MS) == AL_RPC_WAIT_DRAINING)
            return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "job: the server is stopping");
    }
}

AL_STREAM(al_serve_watch_job)
{
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    ProtobufCMessage *first = NULL;
    AL_TRY(al_rpc_read(call, &first, err));
    const Airlore__V1__WatchJobRequest *m = (const Airlore__V1__WatchJobRequest *)first;
    if (!m)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "job: no request");
    struct al_job j;
    AL_TRY(get_job(c, call, m->name, a, &j, err));
    struct al_arena scratch;
    al_arena_init(&scratch, c->opt.mem, (size_t)16 << 20);
    enum al_code code = watch(c, call, j.id, m->include_log, &scratch, err);
    al_arena_fini(&scratch);
    return code;
}

/* ---- pausing ---- */

static bool fill_paused(struct al_coordinator *c, struct al_arena *a, Airlore__V1__JobClass **ret,
                        size_t *ret_n)
{
    Airlore__V1__JobClass *list = al_arena_array(a, 8, sizeof *list);
    if (!list)
        return false;
    size_t n = 0;
    for (int k = AL_JOB_MAINTENANCE; k <= AL_JOB_DEPLOY; k++) {
        if (al_jobs_is_paused(c->jobs, (enum al_job_class)k))
            list[n++] = (Airlore__V1__JobClass)k;
    }
    *ret = list;
    *ret_n = n;
    return true;
}

static enum al_code set_paused(struct al_coordinator *c, struct al_rpc_call *call, int job_class,
                               bool paused, struct al_err *err)
{
    AL_TRY(al_require_server_admin(al_call_credential(call), err));
    if (job_class != 0 && (job_class < AL_JOB_MAINTENANCE || job_class > AL_JOB_DEPLOY))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "class: %d is none", job_class);
    for (int k = AL_JOB_MAINTENANCE; k <= AL_JOB_DEPLOY; k++) {
        if (job_class == 0 || job_class == k)
            AL_TRY(al_jobs_set_paused(c->jobs, (enum al_job_class)k, paused, err));
    }
    return AL_OK;
}

AL_UNARY(al_serve_pause_jobs)
{
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    const Airlore__V1__PauseJobsRequest *m = (const Airlore__V1__PauseJobsRequest *)req;
    AL_TRY(set_paused(c, call, (int)m->job_class, true, err));
    Airlore__V1__PauseJobsResponse *out =
        al_msg_new(a, &airlore__v1__pause_jobs_response__descriptor);
    if (!out || !fill_paused(c, a, &out->paused_classes, &out->n_paused_classes))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_resume_jobs)
{
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    const Airlore__V1__ResumeJobsRequest *m = (const Airlore__V1__ResumeJobsRequest *)req;
    AL_TRY(set_paused(c, call, (int)m->job_class, false, err));
    Airlore__V1__ResumeJobsResponse *out =
        al_msg_new(a, &airlore__v1__resume_jobs_response__descriptor);
    if (!out || !fill_paused(c, a, &out->paused_classes, &out->n_paused_classes))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}
