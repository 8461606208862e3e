#include <stdio.h>
#include <string.h>

#include "service_admin.h"

#define PAGE_DEFAULT 50u
#define PAGE_MAX 1000u

/* ---- conversions ---- */

static Airlore__V1__Team *msg_team(struct al_coordinator *c, struct al_arena *a,
                                   const struct al_team *t)
{
    Airlore__V1__Team *m = al_msg_new(a, &airlore__v1__team__descriptor);
    if (!m)
        return NULL;
    m->name = al_arena_printf(a, "teams/%s", t->name);
    m->display_name = al_msg_str(a, al_str_c(t->name));
    m->pseudonym = al_msg_str(a, al_str_c(t->pseudonym));
    m->named_in_community = t->named;
    m->create_time = al_msg_time(a, t->created_ms);
    m->deployment_count = (uint32_t)al_directory_count_deployments(c->directory, t->name);
    return m->name && m->display_name && m->pseudonym && m->create_time ? m : NULL;
}

static Airlore__V1__Deployment *msg_deployment(struct al_arena *a, const struct al_deployment *d)
{
    Airlore__V1__Deployment *m = al_msg_new(a, &airlore__v1__deployment__descriptor);
    if (!m)
        return NULL;
    m->name = al_arena_printf(a, "teams/%s/deployments/%s", d->team, d->name);
    m->display_name = al_msg_str(a, al_str_c(d->name));
    m->create_time = al_msg_time(a, d->created_ms);
    return m->name && m->display_name && m->create_time ? m : NULL;
}

/* The last part of "teams/{team}", or the name itself. */
enum al_code al_admin_team_of(const char *name, char ret[AL_NAME_BYTES_MAX + 1], struct al_err *err)
{
    const char *s = strncmp(name, "teams/", 6) == 0 ? name + 6 : name;
    size_t n = strcspn(s, "/");
    if (n < 1 || n > AL_NAME_BYTES_MAX || s[n])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "team: '%.100s' is no name of one; 'teams/T' is", name);
    memcpy(ret, s, n);
    ret[n] = '\0';
    return AL_OK;
}

/* A team of others is as good as none: the answer does not tell whether it exists. */
static enum al_code require_seen(const struct al_credential *cred, const char *team,
                                 struct al_err *err)
{
    if (al_may_see_team(cred, al_str_c(team)))
        return AL_OK;
    return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%.64s' does not exist", team);
}

/* Pages over a list in memory: the token is the number of entries that came before. */
enum al_code al_admin_page(int32_t size, const char *token, size_t n, size_t *ret_from,
                           size_t *ret_to, struct al_err *err)
{
    uint64_t from = 0;
    if (token[0] && !al_str_u64(al_str_c(token), &from))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN",
                         "page token: not one that this server gave");
    uint32_t want = 0;
    AL_TRY(al_page_size(size, PAGE_DEFAULT, PAGE_MAX, &want, err));
    *ret_from = from > n ? n : (size_t)from;
    *ret_to = n - *ret_from < want ? n : *ret_from + want;
    return AL_OK;
}

char *al_admin_next_page(struct al_arena *a, size_t to, size_t n)
{
    return to < n ? al_arena_printf(a, "%zu", to) : al_msg_str(a, AL_STR(""));
}

/* ---- who and what ---- */

/* Ids of the teams that a key reads, its own first. */
static bool fill_readable(struct al_arena *a, const struct al_key *k,
                          Airlore__V1__WhoAmIResponse *m)
{
    m->readable_teams = al_msg_list(a, k->n_readable + 1);
    if (!m->readable_teams)
        return false;
    m->readable_teams[m->n_readable_teams++] = m->team;
    for (size_t i = 0; i < k->n_readable; i++) {
        if (strcmp(k->readable[i], k->team) == 0)
            continue;
        m->readable_teams[m->n_readable_teams] = al_msg_str(a, al_str_c(k->readable[i]));
        if (!m->readable_teams[m->n_readable_teams++])
            return false;
    }
    return true;
}

AL_UNARY(al_serve_who_am_i)
{
    (void)req;
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    Airlore__V1__WhoAmIResponse *m = al_msg_new(a, &airlore__v1__who_am_iresponse__descriptor);
    Airlore__V1__Key *k = al_msg_key(a, cred->key);
    if (!m || !k)
        return al_msg_no_memory(err);
    const char *space = al_directory_space_name(c->directory, cred->own_space, a);
    m->key = k->name;
    m->team = al_msg_str(a, al_str_c(cred->key->team));
    m->deployment = al_msg_str(a, al_str_c(cred->key->deployment));
    m->roles = k->roles;
    m->n_roles = k->n_roles;
    m->default_space = space ? al_msg_str(a, al_str_c(space)) : NULL;
    m->expire_time = k->expire_time;
    m->server_admin = al_is_server_admin(cred);
    if (!m->team || !m->deployment || !m->default_space || !fill_readable(a, cred->key, m))
        return al_msg_no_memory(err);
    *ret_reply = &m->base;
    return AL_OK;
}

static bool add_limit(struct al_arena *a, Airlore__V1__GetServerInfoResponse *m, const char *name,
                      uint64_t v)
{
    Airlore__V1__GetServerInfoResponse__LimitsEntry *e =
        al_msg_new(a, &airlore__v1__get_server_info_response__limits_entry__descriptor);
    if (!e)
        return false;
    e->key = al_msg_str(a, al_str_c(name));
    e->value = v;
    m->limits[m->n_limits++] = e;
    return e->key;
}

AL_UNARY(al_serve_server_info)
{
    (void)req;
    struct al_coordinator *c = ctx;
    struct al_arena *a = al_rpc_call_arena(call);
    Airlore__V1__GetServerInfoResponse *m =
        al_msg_new(a, &airlore__v1__get_server_info_response__descriptor);
    if (!m)
        return al_msg_no_memory(err);
    m->version = al_msg_str(a, al_str_c(c->opt.version));
    m->commit = al_msg_str(a, al_str_c(c->opt.commit));
    m->role = al_msg_str(a, al_str_c(c->opt.role));
    m->server_name = al_msg_str(a, al_str_c(c->opt.server_name));
    m->embedder_id = al_msg_str(a, al_str_c(al_embedder_id(c->opt.embedder)));
    m->dimension = al_embedder_dim(c->opt.embedder);
    m->analyzer_version = AL_ANALYZER_VERSION;
    m->store_format_version = 1;
    m->start_time = al_msg_time(a, c->started_ms);
    m->limits = al_msg_list(a, 8);
    m->services = al_msg_list(a, 2);
    struct al_shard_status st;
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        c->opt.router->shards[i]->ops->get_status(c->opt.router->shards[i], &st);
        m->reembed_due = m->reembed_due || st.stale_docs > 0;
    }
    bool ok = m->version && m->commit && m->role && m->server_name && m->embedder_id &&
              m->start_time && m->limits && m->services;
    ok = ok && add_limit(a, m, "query_k_max", AL_QUERY_K_MAX) &&
         add_limit(a, m, "query_text_bytes_max", AL_QUERY_TEXT_BYTES_MAX) &&
         add_limit(a, m, "item_bytes_max", AL_DOC_BODY_BYTES_MAX) &&
         add_limit(a, m, "item_chunks_max", AL_DOC_CHUNKS_MAX) &&
         add_limit(a, m, "ingest_window", AL_INGEST_WINDOW);
    if (!ok)
        return al_msg_no_memory(err);
    m->services[m->n_services++] = al_msg_str(a, AL_STR("airlore.v1.KnowledgeService"));
    m->services[m->n_services++] = al_msg_str(a, AL_STR("airlore.v1.AdminService"));
    *ret_reply = &m->base;
    return AL_OK;
}

/* ---- teams ---- */

AL_UNARY(al_serve_create_team)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__CreateTeamRequest *m = (const Airlore__V1__CreateTeamRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_team t;
    AL_TRY(al_require_server_admin(al_call_credential(call), err));
    if (m->team && m->team->display_name[0] && strcmp(m->team->display_name, m->team_id) != 0)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "team: display names are not there yet");
    AL_TRY(al_directory_add_team(c->directory, m->team_id, &t, err));
    if (m->team && m->team->named_in_community) {
        AL_TRY(al_directory_set_team_named(c->directory, t.name, true, err));
        t.named = true;
    }
    Airlore__V1__CreateTeamResponse *out =
        al_msg_new(a, &airlore__v1__create_team_response__descriptor);
    if (!out || !(out->team = msg_team(c, a, &t)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_get_team)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetTeamRequest *m = (const Airlore__V1__GetTeamRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    char name[AL_NAME_BYTES_MAX + 1];
    struct al_team t;
    AL_TRY(al_admin_team_of(m->name, name, err));
    AL_TRY(require_seen(al_call_credential(call), name, err));
    AL_TRY(al_directory_get_team(c->directory, name, &t, err));
    Airlore__V1__GetTeamResponse *out = al_msg_new(a, &airlore__v1__get_team_response__descriptor);
    if (!out || !(out->team = msg_team(c, a, &t)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

static size_t keep_seen_teams(const struct al_credential *cred, struct al_team *list, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (al_may_see_team(cred, al_str_c(list[i].name)))
            list[kept++] = list[i];
    }
    return kept;
}

AL_UNARY(al_serve_list_teams)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListTeamsRequest *m = (const Airlore__V1__ListTeamsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_team *list;
    size_t n;
    size_t from = 0;
    size_t to = 0;
    AL_TRY(al_directory_list_teams(c->directory, a, &list, &n, err));
    n = keep_seen_teams(al_call_credential(call), list, n);
    AL_TRY(al_admin_page(m->page_size, m->page_token, n, &from, &to, err));
    Airlore__V1__ListTeamsResponse *out =
        al_msg_new(a, &airlore__v1__list_teams_response__descriptor);
    if (!out || !(out->teams = al_msg_list(a, to - from)))
        return al_msg_no_memory(err);
    for (size_t i = from; i < to; i++) {
        out->teams[out->n_teams] = msg_team(c, a, &list[i]);
        if (!out->teams[out->n_teams++])
            return al_msg_no_memory(err);
    }
    out->next_page_token = al_admin_next_page(a, to, n);
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}

AL_UNARY(al_serve_update_team)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__UpdateTeamRequest *m = (const Airlore__V1__UpdateTeamRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    char name[AL_NAME_BYTES_MAX + 1];
    struct al_team t;
    AL_TRY(al_admin_team_of(m->name, name, err));
    AL_TRY(al_require_team_admin(al_call_credential(call), name, err));
    if (m->_display_name_case || m->etag[0])
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "team: display names and etags are not there yet");
    if (m->_named_in_community_case)
        AL_TRY(al_directory_set_team_named(c->directory, name, m->named_in_community, err));
    AL_TRY(al_directory_get_team(c->directory, name, &t, err));
    Airlore__V1__UpdateTeamResponse *out =
        al_msg_new(a, &airlore__v1__update_team_response__descriptor);
    if (!out || !(out->team = msg_team(c, a, &t)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- deployments ---- */

AL_UNARY(al_serve_create_deployment)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__CreateDeploymentRequest *m =
        (const Airlore__V1__CreateDeploymentRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    char team[AL_NAME_BYTES_MAX + 1];
    struct al_deployment d;
    AL_TRY(al_admin_team_of(m->parent[0] ? m->parent : cred->key->team, team, err));
    AL_TRY(al_require_team_admin(cred, team, err));
    const Airlore__V1__Deployment *wish = m->deployment;
    if (wish && (wish->airflow_url[0] || wish->n_labels ||
                 (wish->display_name[0] && strcmp(wish->display_name, m->deployment_id) != 0)))
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "deployment: display names, URLs and labels are not there yet");
    AL_TRY(al_directory_add_deployment(c->directory, team, m->deployment_id, &d, err));
    Airlore__V1__CreateDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__create_deployment_response__descriptor);
    if (!out || !(out->deployment = msg_deployment(a, &d)))
        return al_msg_no_memory(err);
    if (m->create_key) {
        struct al_key want = {.role = AL_ROLE_CONTRIBUTOR};
        snprintf(want.team, sizeof want.team, "%s", d.team);
        snprintf(want.deployment, sizeof want.deployment, "%s", d.name);
        AL_TRY(al_admin_make_key(c, a, &want, &out->key, &out->secret, err));
    }
    *ret_reply = &out->base;
    return AL_OK;
}

static enum al_code find_deployment(struct al_coordinator *c, const char *team, const char *full,
                                    struct al_arena *a, struct al_deployment *ret,
                                    struct al_err *err)
{
    struct al_deployment *list;
    size_t n;
    AL_TRY(al_directory_list_deployments(c->directory, team, a, &list, &n, err));
    const char *last = strrchr(full, '/');
    for (size_t i = 0; last && i < n; i++) {
        if (strcmp(list[i].name, last + 1) == 0) {
            *ret = list[i];
            return AL_OK;
        }
    }
    return AL_FAIL_R(err, AL_NOT_FOUND, "DEPLOYMENT_NOT_FOUND",
                     "deployment: '%.100s' does not exist", full);
}

AL_UNARY(al_serve_get_deployment)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetDeploymentRequest *m = (const Airlore__V1__GetDeploymentRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    char team[AL_NAME_BYTES_MAX + 1];
    const char *rest = strstr(m->name, "/deployments/");
    char *parent = al_arena_strndup(a, m->name, rest ? (size_t)(rest - m->name) : 0);
    struct al_deployment d;
    if (!parent)
        return al_msg_no_memory(err);
    AL_TRY(al_admin_team_of(parent, team, err));
    AL_TRY(require_seen(al_call_credential(call), team, err));
    AL_TRY(find_deployment(c, team, m->name, a, &d, err));
    Airlore__V1__GetDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__get_deployment_response__descriptor);
    if (!out || !(out->deployment = msg_deployment(a, &d)))
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

static size_t keep_seen_deployments(const struct al_credential *cred, struct al_deployment *list,
                                    size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (al_may_see_team(cred, al_str_c(list[i].team)))
            list[kept++] = list[i];
    }
    return kept;
}

AL_UNARY(al_serve_list_deployments)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListDeploymentsRequest *m = (const Airlore__V1__ListDeploymentsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    char team[AL_NAME_BYTES_MAX + 1];
    struct al_deployment *list;
    size_t n;
    size_t from = 0;
    size_t to = 0;
    if (m->parent[0]) {
        AL_TRY(al_admin_team_of(m->parent, team, err));
        AL_TRY(require_seen(cred, team, err));
    }
    AL_TRY(
        al_directory_list_deployments(c->directory, m->parent[0] ? team : NULL, a, &list, &n, err));
    n = keep_seen_deployments(cred, list, n);
    AL_TRY(al_admin_page(m->page_size, m->page_token, n, &from, &to, err));
    Airlore__V1__ListDeploymentsResponse *out =
        al_msg_new(a, &airlore__v1__list_deployments_response__descriptor);
    if (!out || !(out->deployments = al_msg_list(a, to - from)))
        return al_msg_no_memory(err);
    for (size_t i = from; i < to; i++) {
        out->deployments[out->n_deployments] = msg_deployment(a, &list[i]);
        if (!out->deployments[out->n_deployments++])
            return al_msg_no_memory(err);
    }
    out->next_page_token = al_admin_next_page(a, to, n);
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}
