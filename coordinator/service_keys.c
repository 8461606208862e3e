#include <stdio.h>
#include <string.h>

#include "service_admin.h"

Airlore__V1__Key *al_msg_key(struct al_arena *a, const struct al_key *k)
{
    Airlore__V1__Key *m = al_msg_new(a, &airlore__v1__key__descriptor);
    Airlore__V1__Role *role = al_arena_array(a, 1, sizeof *role);
    if (!m || !role)
        return NULL;
    *role = (Airlore__V1__Role)k->role;
    m->roles = role;
    m->n_roles = 1;
    m->name = al_arena_printf(a, "teams/%s/keys/%s", k->team, k->id);
    m->display_name = al_msg_str(a, al_str_c(k->note));
    m->deployment = k->deployment[0]
                        ? al_arena_printf(a, "teams/%s/deployments/%s", k->team, k->deployment)
                        : al_msg_str(a, AL_STR(""));
    m->create_time = al_msg_time(a, k->created_ms);
    m->readable_teams = al_msg_list(a, k->n_readable);
    if (!m->name || !m->display_name || !m->deployment || !m->create_time || !m->readable_teams)
        return NULL;
    for (size_t i = 0; i < k->n_readable; i++) {
        m->readable_teams[i] = al_arena_printf(a, "teams/%s", k->readable[i]);
        if (!m->readable_teams[m->n_readable_teams++])
            return NULL;
    }
    if (k->expires_ms && !(m->expire_time = al_msg_time(a, k->expires_ms)))
        return NULL;
    if (k->revoked && !(m->revoke_time = al_msg_time(a, k->revoked_ms)))
        return NULL;
    return m;
}

enum al_code al_admin_make_key(struct al_coordinator *c, struct al_arena *a,
                               const struct al_key *want, Airlore__V1__Key **ret, char **ret_secret,
                               struct al_err *err)
{
    char text[AL_KEY_TEXT_MAX];
    struct al_key k;
    AL_TRY(al_directory_add_key(c->directory, want, text, &k, err));
    *ret = al_msg_key(a, &k);
    *ret_secret = al_msg_str(a, al_str_c(text));
    explicit_bzero(text, sizeof text);
    return *ret && *ret_secret ? AL_OK : al_msg_no_memory(err);
}

/* ---- keys ---- */

static enum al_code copy_name(const char *what, const char *name, char *out, struct al_err *err)
{
    const char *last = strrchr(name, '/');
    last = last ? last + 1 : name;
    if (strlen(last) > AL_NAME_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "%s: name too long", what);
    snprintf(out, AL_NAME_BYTES_MAX + 1, "%s", last);
    return AL_OK;
}

/* A key has one role: the highest of those asked for. */
static enum al_code wanted_key(const Airlore__V1__Key *m, struct al_arena *a, struct al_key *want,
                               struct al_err *err)
{
    want->role = (enum al_role)0;
    for (size_t i = 0; i < m->n_roles; i++) {
        if ((unsigned)m->roles[i] > AL_ROLE_ADMIN || (unsigned)m->roles[i] < AL_ROLE_READER)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "role: %d is none",
                             (int)m->roles[i]);
        if ((enum al_role)m->roles[i] > want->role)
            want->role = (enum al_role)m->roles[i];
    }
    if (want->role == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "key: which role?");
    if (m->certificate_subject[0])
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "key: client certificates as credentials are not there yet");
    if (strlen(m->display_name) >= sizeof want->note)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "display name: at most %zu bytes",
                         sizeof want->note - 1);
    snprintf(want->note, sizeof want->note, "%s", m->display_name);
    AL_TRY(copy_name("deployment", m->deployment, want->deployment, err));
    if (m->n_readable_teams > AL_READABLE_TEAMS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "key: at most %u readable teams",
                         AL_READABLE_TEAMS_MAX);
    want->readable = al_arena_array(a, m->n_readable_teams + 1, sizeof *want->readable);
    if (!want->readable)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < m->n_readable_teams; i++)
        AL_TRY(copy_name("team", m->readable_teams[i], want->readable[want->n_readable++], err));
    return AL_OK;
}

/* An end in the past is refused rather than taken for "never". */
static enum al_code wanted_end(const Google__Protobuf__Timestamp *t, uint64_t now_ms,
                               uint64_t *ret_ms, struct al_err *err)
{
    *ret_ms = 0;
    if (!t)
        return AL_OK;
    if (t->seconds <= (int64_t)(now_ms / 1000) || t->seconds > 253402300799)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                         "expire time: not in the future, or after the year 9999");
    *ret_ms = (uint64_t)t->seconds * 1000;
    return AL_OK;
}

AL_UNARY(al_serve_create_key)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__CreateKeyRequest *m = (const Airlore__V1__CreateKeyRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct al_key want = {0};
    AL_TRY(al_admin_team_of(m->parent[0] ? m->parent : cred->key->team, want.team, err));
    AL_TRY(al_require_team_admin(cred, want.team, err));
    if (!m->key)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "key: what may it do?");
    if (m->key_id[0])
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "key: choosing its id is not there yet");
    if (m->key->n_readable_teams)
        AL_TRY(al_require_server_admin(cred, err));
    AL_TRY(wanted_key(m->key, a, &want, err));
    AL_TRY(wanted_end(m->key->expire_time, al_clock_wall_ms(c->opt.clock), &want.expires_ms, err));
    Airlore__V1__CreateKeyResponse *out =
        al_msg_new(a, &airlore__v1__create_key_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(al_admin_make_key(c, a, &want, &out->key, &out->secret, err));
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_list_keys)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListKeysRequest *m = (const Airlore__V1__ListKeysRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    char team[AL_NAME_BYTES_MAX + 1];
    struct al_key *list;
    size_t n;
    size_t from = 0;
    size_t to = 0;
    AL_TRY(al_admin_team_of(m->parent[0] ? m->parent : cred->key->team, team, err));
    AL_TRY(al_require_team_admin(cred, team, err));
    AL_TRY(al_directory_list_keys(c->directory, team, a, &list, &n, err));
    AL_TRY(al_admin_page(m->page_size, m->page_token, n, &from, &to, err));
    Airlore__V1__ListKeysResponse *out =
        al_msg_new(a, &airlore__v1__list_keys_response__descriptor);
    if (!out || !(out->keys = al_msg_list(a, to - from)))
        return al_msg_no_memory(err);
    uint64_t now = al_clock_wall_ms(c->opt.clock);
    for (size_t i = from; i < to; i++) {
        bool ended = list[i].revoked || (list[i].expires_ms && list[i].expires_ms <= now);
        if (ended && !m->show_ended)
            continue;
        out->keys[out->n_keys] = al_msg_key(a, &list[i]);
        if (!out->keys[out->n_keys++])
            return al_msg_no_memory(err);
    }
    out->next_page_token = al_admin_next_page(a, to, n);
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}

static enum al_code no_key(const char *id, struct al_err *err)
{
    return AL_FAIL_R(err, AL_NOT_FOUND, "KEY_NOT_FOUND", "key: '%.64s' does not exist", id);
}

/* A key of a team that the credential sees; others are as good as none. */
static enum al_code find_key(struct al_coordinator *c, const struct al_credential *cred,
                             const char *name, struct al_arena *a, struct al_key *ret,
                             struct al_err *err)
{
    const char *id = strrchr(name, '/');
    id = id ? id + 1 : name;
    enum al_code code = al_directory_get_key(c->directory, id, a, ret, err);
    if (code == AL_OK && !al_is_server_admin(cred) && strcmp(ret->team, cred->key->team) != 0)
        return no_key(id, err);
    return code;
}

AL_UNARY(al_serve_revoke_key)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__RevokeKeyRequest *m = (const Airlore__V1__RevokeKeyRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_key k;
    AL_TRY(al_credential_require(al_call_credential(call), AL_ROLE_ADMIN, err));
    AL_TRY(find_key(c, al_call_credential(call), m->name, a, &k, err));
    AL_TRY(al_directory_revoke_key(c->directory, k.id, err));
    AL_TRY(al_directory_get_key(c->directory, k.id, a, &k, err));
    Airlore__V1__RevokeKeyResponse *out =
        al_msg_new(a, &airlore__v1__revoke_key_response__descriptor);
    if (!out || !(out->key = al_msg_key(a, &k)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- quotas: of a key; calls a second on the wire, requests a minute inside ---- */

static Airlore__V1__Quota *msg_quota(struct al_arena *a, const struct al_key *k)
{
    Airlore__V1__Quota *m = al_msg_new(a, &airlore__v1__quota__descriptor);
    if (!m)
        return NULL;
    m->name = al_arena_printf(a, "teams/%s/keys/%s", k->team, k->id);
    if (k->quota.requests_per_minute) {
        m->_calls_per_second_case = AIRLORE__V1__QUOTA___CALLS_PER_SECOND_CALLS_PER_SECOND;
        m->calls_per_second = (double)k->quota.requests_per_minute / 60;
    }
    if (k->quota.ingest_bytes_per_day) {
        m->_max_ingest_bytes_per_day_case =
            AIRLORE__V1__QUOTA___MAX_INGEST_BYTES_PER_DAY_MAX_INGEST_BYTES_PER_DAY;
        m->max_ingest_bytes_per_day = k->quota.ingest_bytes_per_day;
    }
    return m->name ? m : NULL;
}

/* "teams/t/keys/k/quota" without its end. */
static enum al_code key_of_quota(struct al_coordinator *c, const struct al_credential *cred,
                                 const char *name, struct al_arena *a, struct al_key *ret,
                                 struct al_err *err)
{
    struct al_str s = al_str_c(name);
    if (al_str_ends(s, AL_STR("/quota")))
        s.n -= 6;
    if (al_str_starts(s, AL_STR("teams/")) && !strstr(name, "/keys/"))
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "quota: those of teams and deployments are not there yet; name a key");
    char *copy = al_msg_str(a, s);
    return copy ? find_key(c, cred, copy, a, ret, err) : al_msg_no_memory(err);
}

AL_UNARY(al_serve_get_quota)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetQuotaRequest *m = (const Airlore__V1__GetQuotaRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_key k;
    AL_TRY(key_of_quota(c, al_call_credential(call), m->name, a, &k, err));
    Airlore__V1__GetQuotaResponse *out =
        al_msg_new(a, &airlore__v1__get_quota_response__descriptor);
    if (!out || !(out->quota = msg_quota(a, &k)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

/* The limits as they shall be: an absent one is lifted, which leaves the server's default. */
static enum al_code wanted_quota(const Airlore__V1__Quota *q, struct al_quota *ret,
                                 struct al_err *err)
{
    *ret = (struct al_quota){0};
    if (!q)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "quota: which limits?");
    if (q->_max_items_case || q->_max_bytes_case || q->_items_per_second_case ||
        q->_max_concurrent_calls_case || q->_max_jobs_case || q->_max_llm_usd_case ||
        q->_max_deployments_case || q->etag[0])
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "quota: only calls_per_second and max_ingest_bytes_per_day are there yet");
    if (q->_calls_per_second_case) {
        /* less than one a minute would be kept as 0, and 0 means the default */
        if (!(q->calls_per_second >= 1.0 / 60 && q->calls_per_second <= 1e6))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                             "quota: calls a second are not in 1/60 to 1,000,000");
        ret->requests_per_minute = (uint32_t)(q->calls_per_second * 60 + 0.5);
    }
    if (q->_max_ingest_bytes_per_day_case) {
        if (q->max_ingest_bytes_per_day > 1ull << 50)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE",
                             "quota: bytes a day are more than 2^50");
        ret->ingest_bytes_per_day = q->max_ingest_bytes_per_day;
    }
    return AL_OK;
}

AL_UNARY(al_serve_update_quota)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__UpdateQuotaRequest *m = (const Airlore__V1__UpdateQuotaRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_key k;
    AL_TRY(al_credential_require(al_call_credential(call), AL_ROLE_ADMIN, err));
    AL_TRY(key_of_quota(c, al_call_credential(call), m->name, a, &k, err));
    AL_TRY(wanted_quota(m->quota, &k.quota, err));
    AL_TRY(al_directory_set_quota(c->directory, k.id, &k.quota, err));
    Airlore__V1__UpdateQuotaResponse *out =
        al_msg_new(a, &airlore__v1__update_quota_response__descriptor);
    if (!out || !(out->quota = msg_quota(a, &k)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}
