#include <stdio.h>
#include <string.h>

#include "service_admin.h"

/* What a quota is of. */
struct subject {
    char name[AL_RESOURCE_NAME_MAX];
    char team[AL_NAME_BYTES_MAX + 1];
    bool is_team;
    bool is_deployment;
    uint32_t space; /* of a deployment */
};

/* "teams/t", "teams/t/deployments/d", "teams/t/keys/k" or the id of a key, each with or without
 * "/quota"; only what the credential sees. */
static enum al_code find_subject(struct al_coordinator *c, struct al_rpc_call *call,
                                 const char *name, struct subject *ret, struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct al_str s = al_str_c(name);
    if (al_str_ends(s, AL_STR("/quota")))
        s.n -= 6;
    const char *copy = al_msg_str(a, s);
    if (!copy)
        return al_msg_no_memory(err);
    *ret = (struct subject){.is_team = false};
    if (strstr(copy, "/deployments/")) {
        struct al_deployment d;
        AL_TRY(al_admin_find_deployment(c, cred, copy, &d, err));
        ret->is_deployment = true;
        ret->space = d.space;
        snprintf(ret->team, sizeof ret->team, "%s", d.team);
        snprintf(ret->name, sizeof ret->name, "teams/%s/deployments/%s", d.team, d.name);
    } else if (strncmp(copy, "teams/", 6) == 0 && !strstr(copy, "/keys/")) {
        struct al_team t;
        AL_TRY(al_admin_team_of(copy, ret->team, err));
        AL_TRY(al_admin_require_seen(cred, ret->team, err));
        AL_TRY(al_directory_get_team(c->directory, ret->team, &t, err));
        ret->is_team = true;
        snprintf(ret->name, sizeof ret->name, "teams/%s", t.name);
    } else {
        struct al_key k;
        AL_TRY(al_admin_find_key(c, cred, copy, a, &k, err));
        snprintf(ret->team, sizeof ret->team, "%s", k.team);
        snprintf(ret->name, sizeof ret->name, "teams/%s/keys/%s", k.team, k.id);
    }
    return AL_OK;
}

/* ---- wire ---- */

/* Each limit: bit, field of the message, field of the quota. */
#define LIMITS(X)                                                                                  \
    X(AL_QUOTA_ITEMS, max_items, MAX_ITEMS, max_items)                                             \
    X(AL_QUOTA_BYTES, max_bytes, MAX_BYTES, max_bytes)                                             \
    X(AL_QUOTA_CALLS_PER_SECOND, calls_per_second, CALLS_PER_SECOND, calls_per_second)             \
    X(AL_QUOTA_ITEMS_PER_SECOND, items_per_second, ITEMS_PER_SECOND, items_per_second)             \
    X(AL_QUOTA_CONCURRENT_CALLS, max_concurrent_calls, MAX_CONCURRENT_CALLS, max_concurrent_calls) \
    X(AL_QUOTA_JOBS, max_jobs, MAX_JOBS, max_jobs)                                                 \
    X(AL_QUOTA_DEPLOYMENTS, max_deployments, MAX_DEPLOYMENTS, max_deployments)                     \
    X(AL_QUOTA_INGEST_BYTES, max_ingest_bytes_per_day, MAX_INGEST_BYTES_PER_DAY,                   \
      ingest_bytes_per_day)

static Airlore__V1__Quota *msg_quota(struct al_arena *a, const char *name, const struct al_quota *q,
                                     uint64_t version)
{
    Airlore__V1__Quota *m = al_msg_new(a, &airlore__v1__quota__descriptor);
    if (!m)
        return NULL;
#define PUT(bit_, wire_, upper_, own_)                                 \
    if (q->set & (bit_)) {                                             \
        m->_##wire_##_case = AIRLORE__V1__QUOTA___##upper_##_##upper_; \
        m->wire_ = q->own_;                                            \
    }
    LIMITS(PUT)
#undef PUT
    m->name = al_msg_str(a, al_str_c(name));
    m->etag = al_admin_etag(a, version);
    return m->name && m->etag ? m : NULL;
}

static enum al_code out_of_range(const char *what, const char *range, struct al_err *err)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "quota: %s is not in %s", what,
                     range);
}

static enum al_code check_ranges(const struct al_quota *q, struct al_err *err)
{
    if ((q->set & AL_QUOTA_ITEMS) && q->max_items > 1ull << 40)
        return out_of_range("max_items", "0 to 2^40", err);
    if ((q->set & AL_QUOTA_BYTES) && q->max_bytes > 1ull << 50)
        return out_of_range("max_bytes", "0 to 2^50", err);
    if ((q->set & AL_QUOTA_INGEST_BYTES) && q->ingest_bytes_per_day > 1ull << 50)
        return out_of_range("max_ingest_bytes_per_day", "0 to 2^50", err);
    if ((q->set & AL_QUOTA_CALLS_PER_SECOND) &&
        !(q->calls_per_second >= 0 && q->calls_per_second <= 1e6))
        return out_of_range("calls_per_second", "0 to 1,000,000", err);
    if ((q->set & AL_QUOTA_ITEMS_PER_SECOND) &&
        !(q->items_per_second >= 0 && q->items_per_second <= 1e6))
        return out_of_range("items_per_second", "0 to 1,000,000", err);
    if ((q->set & AL_QUOTA_CONCURRENT_CALLS) &&
        (q->max_concurrent_calls < 1 || q->max_concurrent_calls > 100000))
        return out_of_range("max_concurrent_calls", "1 to 100,000", err);
    if ((q->set & AL_QUOTA_JOBS) && q->max_jobs > 10000)
        return out_of_range("max_jobs", "0 to 10,000", err);
    if ((q->set & AL_QUOTA_DEPLOYMENTS) && q->max_deployments > 100000)
        return out_of_range("max_deployments", "0 to 100,000", err);
    return AL_OK;
}

static enum al_code wanted_quota(const Airlore__V1__Quota *m, const struct subject *of,
                                 struct al_quota *ret, struct al_err *err)
{
    struct al_quota q = {0};
    if (!m)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "quota: which limits?");
    if (m->_max_llm_usd_case)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "UpdateQuota: max_llm_usd waits for the generation service; nothing here "
                         "calls an LLM yet");
#define TAKE(bit_, wire_, upper_, own_) \
    if (m->_##wire_##_case) {           \
        q.set |= (bit_);                \
        q.own_ = m->wire_;              \
    }
    LIMITS(TAKE)
#undef TAKE
    if ((q.set & (AL_QUOTA_JOBS | AL_QUOTA_DEPLOYMENTS)) && !of->is_team)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "FIELDS_CONFLICT",
                         "quota: max_jobs and max_deployments are limits of a team");
    if ((q.set & (AL_QUOTA_ITEMS | AL_QUOTA_BYTES)) && !of->is_team && !of->is_deployment)
        return AL_FAIL_R(
            err, AL_INVALID_ARGUMENT, "FIELDS_CONFLICT",
            "quota: max_items and max_bytes are limits of a team or a deployment; what "
            "a key has stored is not counted");
    AL_TRY(check_ranges(&q, err));
    *ret = q;
    return AL_OK;
}

static enum al_code fill_use(struct al_coordinator *c, const struct subject *of, struct al_arena *a,
                             Airlore__V1__QuotaUse *m, struct al_err *err)
{
    struct al_rate_use rate;
    struct al_space_use stored = {0};
    uint32_t one = of->space;
    uint32_t *spaces = &one;
    size_t n = of->is_deployment;
    al_ratelimit_use(c->ratelimit, of->name, &rate);
    m->calls_per_second = rate.calls_per_second;
    m->items_per_second = rate.items_per_second;
    m->concurrent_calls = rate.concurrent_calls;
    m->ingest_bytes_today = rate.ingest_bytes_today;
    if (of->is_team) {
        AL_TRY(al_directory_team_spaces(c->directory, of->team, a, &spaces, &n, err));
        m->deployments = (uint32_t)(n - 1);
        m->jobs = al_jobs_count_team(c->jobs, al_str_c(of->team));
    }
    AL_TRY(al_storage_use(c->opt.router, spaces, n, &stored, err));
    m->items = stored.docs;
    m->bytes = stored.bytes;
    return AL_OK;
}

AL_UNARY(al_serve_get_quota)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetQuotaRequest *m = (const Airlore__V1__GetQuotaRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct subject of = {.is_team = false};
    struct al_quota q;
    uint64_t version = 0;
    AL_TRY(find_subject(c, call, m->name, &of, err));
    al_directory_get_quota(c->directory, of.name, &q, &version);
    Airlore__V1__GetQuotaResponse *out =
        al_msg_new(a, &airlore__v1__get_quota_response__descriptor);
    if (!out || !(out->quota = msg_quota(a, of.name, &q, version)) ||
        !(out->use = al_msg_new(a, &airlore__v1__quota_use__descriptor)))
        return al_msg_no_memory(err);
    AL_TRY(fill_use(c, &of, a, out->use, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* The limits as they shall be: an absent one is lifted. */
AL_UNARY(al_serve_update_quota)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__UpdateQuotaRequest *m = (const Airlore__V1__UpdateQuotaRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct subject of = {.is_team = false};
    struct al_quota q;
    uint64_t version = 0;
    AL_TRY(al_credential_require(cred, AL_ROLE_ADMIN, err));
    AL_TRY(find_subject(c, call, m->name, &of, err));
    if (of.is_team) /* else a team could lift its own limits */
        AL_TRY(al_require_server_admin(cred, err));
    else
        AL_TRY(al_require_team_admin(cred, of.team, err));
    AL_TRY(wanted_quota(m->quota, &of, &q, err));
    AL_TRY(al_admin_etag_parse(m->quota->etag, &version, err));
    AL_TRY(al_directory_set_quota(c->directory, of.name, &q, version, &version, err));
    Airlore__V1__UpdateQuotaResponse *out =
        al_msg_new(a, &airlore__v1__update_quota_response__descriptor);
    if (!out || !(out->quota = msg_quota(a, of.name, &q, version)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}
