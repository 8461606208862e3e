#include <stdio.h>
#include <string.h>

#include "certificate.h"
#include "key_text.h"
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
    m->creator = al_msg_str(a, al_str_c(k->creator));
    m->certificate_subject =
        al_msg_str(a, al_str_c(k->match == AL_CERTIFICATE_SUBJECT ? k->certificate : ""));
    m->certificate_sha256 =
        al_msg_str(a, al_str_c(k->match == AL_CERTIFICATE_SHA256 ? k->certificate : ""));
    return m->creator && m->certificate_subject && m->certificate_sha256 ? m : NULL;
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

/* Which certificates shall count as the credential, if any. */
static enum al_code wanted_certificate(const Airlore__V1__CreateKeyRequest *m, struct al_arena *a,
                                       struct al_key *want, struct al_err *err)
{
    const Airlore__V1__Key *k = m->key;
    if ((k->certificate_subject[0] != 0) + (k->certificate_sha256[0] != 0) +
            (m->certificate_pem[0] != 0) >
        1)
        return AL_FAIL_R(
            err, AL_INVALID_ARGUMENT, "FIELDS_CONFLICT",
            "certificate: a subject, a SHA-256 or the certificate itself, one of them");
    if (k->certificate_subject[0]) {
        if (strlen(k->certificate_subject) > AL_CERTIFICATE_TEXT_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                             "certificate: a subject has at most %u bytes",
                             AL_CERTIFICATE_TEXT_MAX);
        want->match = AL_CERTIFICATE_SUBJECT;
        snprintf(want->certificate, sizeof want->certificate, "%s", k->certificate_subject);
    } else if (k->certificate_sha256[0]) {
        want->match = AL_CERTIFICATE_SHA256;
        AL_TRY(al_fingerprint_parse(al_str_c(k->certificate_sha256), want->certificate, err));
    } else if (m->certificate_pem[0]) {
        struct al_str der;
        uint64_t end = 0;
        want->match = AL_CERTIFICATE_SHA256;
        AL_TRY(al_certificate_der(al_str_c(m->certificate_pem), a, &der, err));
        AL_TRY(al_certificate_end(der, &end, err));
        al_sha256_hex(der, want->certificate);
    }
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
    if (strlen(m->key_id) > AL_KEY_ID_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "key: an id has at most %u bytes",
                         AL_KEY_ID_MAX);
    snprintf(want.id, sizeof want.id, "%s", m->key_id);
    snprintf(want.creator, sizeof want.creator, "teams/%s/keys/%s", cred->key->team, cred->key->id);
    if (m->key->n_readable_teams)
        AL_TRY(al_require_server_admin(cred, err));
    AL_TRY(wanted_key(m->key, a, &want, err));
    AL_TRY(wanted_certificate(m, a, &want, err));
    AL_TRY(wanted_end(m->key->expire_time, al_clock_wall_ms(c->opt.clock), &want.expires_ms, err));
    Airlore__V1__CreateKeyResponse *out =
        al_msg_new(a, &airlore__v1__create_key_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(al_admin_make_key(c, a, &want, &out->key, &out->secret, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* Before the paging, so that a page is full while there are more. */
static size_t keep_live(struct al_key *list, size_t n, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!list[i].revoked && (!list[i].expires_ms || list[i].expires_ms > now_ms))
            list[kept++] = list[i];
    }
    return kept;
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
    if (!m->show_ended)
        n = keep_live(list, n, al_clock_wall_ms(c->opt.clock));
    AL_TRY(al_admin_page(m->page_size, m->page_token, n, &from, &to, err));
    Airlore__V1__ListKeysResponse *out =
        al_msg_new(a, &airlore__v1__list_keys_response__descriptor);
    if (!out || !(out->keys = al_msg_list(a, to - from)))
        return al_msg_no_memory(err);
    for (size_t i = from; i < to; i++) {
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
enum al_code al_admin_find_key(struct al_coordinator *c, const struct al_credential *cred,
                               const char *name, struct al_arena *a, struct al_key *ret,
                               struct al_err *err)
{
    const char *id = strrchr(name, '/');
    id = id ? id + 1 : name;
    AL_TRY(al_directory_get_key(c->directory, id, a, ret, err));
    bool is_seen = al_is_server_admin(cred) || strcmp(ret->team, cred->key->team) == 0;
    const char *full = al_arena_printf(a, "teams/%s/keys/%s", ret->team, ret->id);
    if (!full)
        return al_msg_no_memory(err);
    if (!is_seen || (id != name && strcmp(full, name) != 0))
        return no_key(id, err);
    return AL_OK;
}

AL_UNARY(al_serve_revoke_key)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__RevokeKeyRequest *m = (const Airlore__V1__RevokeKeyRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_key k;
    AL_TRY(al_credential_require(al_call_credential(call), AL_ROLE_ADMIN, err));
    AL_TRY(al_admin_find_key(c, al_call_credential(call), m->name, a, &k, err));
    AL_TRY(al_directory_revoke_key(c->directory, k.id, err));
    AL_TRY(al_directory_get_key(c->directory, k.id, a, &k, err));
    Airlore__V1__RevokeKeyResponse *out =
        al_msg_new(a, &airlore__v1__revoke_key_response__descriptor);
    if (!out || !(out->key = al_msg_key(a, &k)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}
