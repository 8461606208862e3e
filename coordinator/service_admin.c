#include <stdio.h>
#include <string.h>

#include "service_admin.h"

#define PAGE_DEFAULT 50u
#define PAGE_MAX 1000u

/* ---- conversions ---- */

static const char *shown(const char *display_name, const char *name)
{
    return display_name[0] ? display_name : name;
}

static enum al_code msg_team(struct al_coordinator *c, struct al_arena *a, const struct al_team *t,
                             Airlore__V1__Team **ret, struct al_err *err)
{
    Airlore__V1__Team *m = al_msg_new(a, &airlore__v1__team__descriptor);
    uint32_t *spaces = NULL;
    size_t n = 0;
    struct al_space_use use = {0};
    if (!m)
        return al_msg_no_memory(err);
    AL_TRY(al_directory_team_spaces(c->directory, t->name, a, &spaces, &n, err));
    AL_TRY(al_storage_use(c->opt.router, spaces, n, &use, err));
    m->name = al_arena_printf(a, "teams/%s", t->name);
    m->display_name = al_msg_str(a, al_str_c(shown(t->display_name, t->name)));
    m->pseudonym = al_msg_str(a, al_str_c(t->pseudonym));
    m->named_in_community = t->named;
    m->create_time = al_msg_time(a, t->created_ms);
    m->deployment_count = (uint32_t)(n - 1);
    m->item_count = use.docs;
    m->etag = al_admin_etag(a, t->version);
    *ret = m;
    return m->name && m->display_name && m->pseudonym && m->create_time && m->etag
               ? AL_OK
               : al_msg_no_memory(err);
}

static enum al_code fill_labels(struct al_arena *a, const struct al_deployment_details *x,
                                Airlore__V1__Deployment *m, struct al_err *err)
{
    m->labels = al_msg_list(a, x->n_labels);
    if (!m->labels)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < x->n_labels; i++) {
        Airlore__V1__Deployment__LabelsEntry *e =
            al_msg_new(a, &airlore__v1__deployment__labels_entry__descriptor);
        if (!e)
            return al_msg_no_memory(err);
        e->key = al_msg_str(a, x->labels[i].key);
        e->value = al_msg_str(a, x->labels[i].value);
        if (!e->key || !e->value)
            return al_msg_no_memory(err);
        m->labels[m->n_labels++] = e;
    }
    return AL_OK;
}

static enum al_code msg_deployment(struct al_coordinator *c, struct al_arena *a,
                                   const struct al_deployment *d, Airlore__V1__Deployment **ret,
                                   struct al_err *err)
{
    Airlore__V1__Deployment *m = al_msg_new(a, &airlore__v1__deployment__descriptor);
    struct al_deployment_details x;
    struct al_space_use use = {0};
    if (!m)
        return al_msg_no_memory(err);
    AL_TRY(al_directory_get_details(c->directory, d, a, &x, err));
    AL_TRY(al_storage_use(c->opt.router, &d->space, 1, &use, err));
    AL_TRY(fill_labels(a, &x, m, err));
    m->name = al_arena_printf(a, "teams/%s/deployments/%s", d->team, d->name);
    m->display_name = al_msg_str(a, al_str_c(shown(d->display_name, d->name)));
    m->airflow_url = al_msg_str(a, x.airflow_url);
    m->create_time = al_msg_time(a, d->created_ms);
    m->item_count = use.docs;
    m->etag = al_admin_etag(a, d->version);
    *ret = m;
    return m->name && m->display_name && m->airflow_url && m->create_time && m->etag
               ? AL_OK
               : al_msg_no_memory(err);
}

char *al_admin_etag(struct al_arena *a, uint64_t version)
{
    return version ? al_arena_printf(a, "%llu", (unsigned long long)version)
                   : al_msg_str(a, AL_STR(""));
}

enum al_code al_admin_etag_parse(const char *etag, uint64_t *ret, struct al_err *err)
{
    *ret = 0;
    if (!etag[0] || (al_str_u64(al_str_c(etag), ret) && *ret > 0))
        return AL_OK;
    return AL_FAIL_R(err, AL_ABORTED, "ETAG_MISMATCH", "etag: '%.40s' was never given", etag);
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
enum al_code al_admin_require_seen(const struct al_credential *cred, const char *team,
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
    m->by_certificate = cred->by_certificate;
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
    struct al_team_change change = {0};
    const bool named = m->team && m->team->named_in_community;
    if (m->team && m->team->display_name[0])
        change.display_name = m->team->display_name;
    if (change.display_name && strlen(change.display_name) > AL_DISPLAY_NAME_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "display name: at most %u bytes",
                         AL_DISPLAY_NAME_MAX);
    if (named)
        change.named = &named;
    AL_TRY(al_directory_add_team(c->directory, m->team_id, &t, err));
    if (change.display_name || named)
        AL_TRY(al_directory_change_team(c->directory, t.name, &change, &t, err));
    Airlore__V1__CreateTeamResponse *out =
        al_msg_new(a, &airlore__v1__create_team_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_team(c, a, &t, &out->team, err));
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
    AL_TRY(al_admin_require_seen(al_call_credential(call), name, err));
    AL_TRY(al_directory_get_team(c->directory, name, &t, err));
    Airlore__V1__GetTeamResponse *out = al_msg_new(a, &airlore__v1__get_team_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_team(c, a, &t, &out->team, err));
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
        AL_TRY(msg_team(c, a, &list[i], &out->teams[out->n_teams], err));
        out->n_teams++;
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
    struct al_team_change change = {0};
    const bool named = m->named_in_community;
    if (m->_display_name_case)
        change.display_name = m->display_name;
    if (m->_named_in_community_case)
        change.named = &named;
    AL_TRY(al_admin_etag_parse(m->etag, &change.if_version, err));
    AL_TRY(al_directory_change_team(c->directory, name, &change, &t, err));
    Airlore__V1__UpdateTeamResponse *out =
        al_msg_new(a, &airlore__v1__update_team_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_team(c, a, &t, &out->team, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- deployments ---- */

/* Room for n labels; none stay as they are. */
static enum al_code room_for_labels(struct al_arena *a, size_t n, struct al_kv **ret,
                                    struct al_deployment_change *change, struct al_err *err)
{
    *ret = al_arena_array(a, n + 1, sizeof **ret);
    if (!*ret)
        return al_msg_no_memory(err);
    change->labels = n ? *ret : NULL;
    change->n_labels = n;
    return AL_OK;
}

/* The properties of a deployment that was just made; it goes again when they are not good. */
static enum al_code take_wishes(struct al_coordinator *c, struct al_arena *a,
                                const Airlore__V1__Deployment *wish, struct al_deployment *d,
                                struct al_err *err)
{
    struct al_deployment_change change = {0};
    if (!wish)
        return AL_OK;
    struct al_kv *labels = NULL;
    AL_TRY(room_for_labels(a, wish->n_labels, &labels, &change, err));
    for (size_t i = 0; i < wish->n_labels; i++)
        labels[i] =
            (struct al_kv){al_str_c(wish->labels[i]->key), al_str_c(wish->labels[i]->value)};
    if (wish->display_name[0])
        change.display_name = wish->display_name;
    if (wish->airflow_url[0])
        change.airflow_url = wish->airflow_url;
    if (!change.display_name && !change.airflow_url && !change.labels)
        return AL_OK;
    enum al_code code = al_directory_change_deployment(c->directory, &change, d, err);
    if (code != AL_OK &&
        al_directory_drop_deployment(c->directory, d->team, d->name, NULL) != AL_OK)
        al_log(c->opt.log, AL_LOG_WARN, "deployment.half_made", AL_S("deployment", d->name));
    return code;
}

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
    AL_TRY(al_directory_add_deployment(c->directory, team, m->deployment_id, &d, err));
    AL_TRY(take_wishes(c, a, m->deployment, &d, err));
    Airlore__V1__CreateDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__create_deployment_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_deployment(c, a, &d, &out->deployment, err));
    if (m->create_key) {
        struct al_key want = {.role = AL_ROLE_CONTRIBUTOR};
        snprintf(want.team, sizeof want.team, "%s", d.team);
        snprintf(want.deployment, sizeof want.deployment, "%s", d.name);
        AL_TRY(al_admin_make_key(c, a, &want, &out->key, &out->secret, err));
    }
    *ret_reply = &out->base;
    return AL_OK;
}

enum al_code al_admin_find_deployment(struct al_coordinator *c, const struct al_credential *cred,
                                      const char *name, struct al_deployment *ret,
                                      struct al_err *err)
{
    static const char middle[] = "/deployments/";
    const char *rest = strstr(name, middle);
    size_t n = rest ? (size_t)(rest - name) : 0;
    char parent[AL_RESOURCE_NAME_MAX];
    char team[AL_NAME_BYTES_MAX + 1];
    if (!rest || n >= sizeof parent)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "deployment: '%.100s' is no name of one; 'teams/T/deployments/D' is",
                         name);
    memcpy(parent, name, n);
    parent[n] = '\0';
    AL_TRY(al_admin_team_of(parent, team, err));
    AL_TRY(al_admin_require_seen(cred, team, err));
    return al_directory_get_deployment(c->directory, team, rest + sizeof middle - 1, ret, err);
}

AL_UNARY(al_serve_get_deployment)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetDeploymentRequest *m = (const Airlore__V1__GetDeploymentRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_deployment d;
    AL_TRY(al_admin_find_deployment(c, al_call_credential(call), m->name, &d, err));
    Airlore__V1__GetDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__get_deployment_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_deployment(c, a, &d, &out->deployment, err));
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_update_deployment)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__UpdateDeploymentRequest *m =
        (const Airlore__V1__UpdateDeploymentRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_deployment d;
    struct al_deployment_change change = {0};
    AL_TRY(al_credential_require(al_call_credential(call), AL_ROLE_ADMIN, err));
    AL_TRY(al_admin_find_deployment(c, al_call_credential(call), m->name, &d, err));
    AL_TRY(al_require_team_admin(al_call_credential(call), d.team, err));
    struct al_kv *labels = NULL;
    AL_TRY(room_for_labels(a, m->n_labels, &labels, &change, err));
    for (size_t i = 0; i < m->n_labels; i++)
        labels[i] = (struct al_kv){al_str_c(m->labels[i]->key), al_str_c(m->labels[i]->value)};
    if (m->_display_name_case)
        change.display_name = m->display_name;
    if (m->_airflow_url_case)
        change.airflow_url = m->airflow_url;
    AL_TRY(al_admin_etag_parse(m->etag, &change.if_version, err));
    AL_TRY(al_directory_change_deployment(c->directory, &change, &d, err));
    Airlore__V1__UpdateDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__update_deployment_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(msg_deployment(c, a, &d, &out->deployment, err));
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
        AL_TRY(al_admin_require_seen(cred, team, err));
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
        AL_TRY(msg_deployment(c, a, &list[i], &out->deployments[out->n_deployments], err));
        out->n_deployments++;
    }
    out->next_page_token = al_admin_next_page(a, to, n);
    *ret_reply = &out->base;
    return out->next_page_token ? AL_OK : al_msg_no_memory(err);
}
