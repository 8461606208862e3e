/* Deleting a team or a deployment with all it has. Keys first, so that nobody writes meanwhile;
 * then items; then what they belonged to. A call that breaks off is repeated: what is gone is gone.
 */
#include <string.h>

#include "service_admin.h"

#define PAGE 500u
#define ARENA_LIMIT ((size_t)64 << 20)
#define WRITE_TIMEOUT_MS 30000u

static enum al_code delete_page(struct al_coordinator *c, struct al_shard_port *p,
                                const struct al_doc_page *page, struct al_arena *a,
                                uint64_t *deleted, struct al_err *err)
{
    static const uint8_t no_write_id[16];
    struct al_op *ops = al_arena_array(a, page->n_docs + 1, sizeof *ops);
    if (!ops)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < page->n_docs; i++)
        ops[i] = (struct al_op){
            .kind = AL_OP_DELETE_DOC, .space = page->docs[i].space, .id = page->docs[i].id};
    if (!page->n_docs)
        return AL_OK;
    struct al_write_result res = {0};
    AL_TRY(p->ops->write(p, ops, page->n_docs, no_write_id,
                         al_clock_deadline(c->opt.clock, WRITE_TIMEOUT_MS), a, &res, err));
    for (size_t i = 0; i < page->n_docs; i++)
        *deleted += res.outcomes[i] == AL_OUTCOME_DELETED;
    return AL_OK;
}

static enum al_code empty_space(struct al_coordinator *c, struct al_rpc_call *call, uint32_t space,
                                struct al_arena *a, uint64_t *deleted, struct al_err *err)
{
    for (size_t i = 0; i < c->opt.router->n_shards; i++) {
        struct al_shard_port *p = c->opt.router->shards[i];
        struct al_doc_page page;
        char after[1024];
        size_t n_after = 0;
        do {
            al_arena_reset(a);
            if (al_rpc_call_is_cancelled(call))
                return AL_FAIL_R(err, AL_CANCELLED, "CANCELLED", "delete: the client has gone");
            struct al_list_query q = {
                .spaces = &space, .n_spaces = 1, .after = {after, n_after}, .limit = PAGE};
            AL_TRY(p->ops->list_docs(p, &q, a, &page, err));
            AL_TRY(delete_page(c, p, &page, a, deleted, err));
            n_after = page.after.n < sizeof after ? page.after.n : 0;
            memcpy(after, n_after ? page.after.p : "", n_after);
        } while (n_after);
    }
    return AL_OK;
}

/* deployment NULL: those of the team as a whole and of all its deployments. */
static enum al_code forget_keys(struct al_coordinator *c, const char *team, const char *deployment,
                                struct al_arena *a, struct al_err *err)
{
    struct al_key *keys;
    size_t n;
    AL_TRY(al_directory_list_keys(c->directory, team, a, &keys, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!deployment || strcmp(keys[i].deployment, deployment) == 0)
            AL_TRY(al_directory_forget_key(c->directory, keys[i].id, err));
    }
    return AL_OK;
}

static enum al_code not_empty(const char *what, struct al_err *err)
{
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "NOT_EMPTY",
                     "'%s' has items, keys or deployments; force deletes them too", what);
}

static enum al_code has_items(struct al_coordinator *c, const uint32_t *spaces, size_t n, bool *ret,
                              struct al_err *err)
{
    struct al_space_use use = {0};
    AL_TRY(al_storage_use(c->opt.router, spaces, n, &use, err));
    *ret = use.docs > 0;
    return AL_OK;
}

static enum al_code empty_spaces(struct al_coordinator *c, struct al_rpc_call *call,
                                 const uint32_t *spaces, size_t n, uint64_t *deleted,
                                 struct al_err *err)
{
    struct al_arena scratch;
    al_arena_init(&scratch, c->opt.mem, ARENA_LIMIT);
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < n; i++)
        code = empty_space(c, call, spaces[i], &scratch, deleted, err);
    al_arena_fini(&scratch);
    return code;
}

AL_UNARY(al_serve_delete_deployment)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__DeleteDeploymentRequest *m =
        (const Airlore__V1__DeleteDeploymentRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct al_deployment d;
    bool full = false;
    AL_TRY(al_credential_require(cred, AL_ROLE_ADMIN, err));
    AL_TRY(al_admin_find_deployment(c, cred, m->name, &d, err));
    AL_TRY(al_require_team_admin(cred, d.team, err));
    Airlore__V1__DeleteDeploymentResponse *out =
        al_msg_new(a, &airlore__v1__delete_deployment_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(has_items(c, &d.space, 1, &full, err));
    if (full && !m->force)
        return not_empty(m->name, err);
    if (m->force) {
        AL_TRY(forget_keys(c, d.team, d.name, a, err));
        AL_TRY(empty_spaces(c, call, &d.space, 1, &out->deleted_items, err));
    }
    AL_TRY(al_directory_drop_deployment(c->directory, d.team, d.name, err));
    *ret_reply = &out->base;
    return AL_OK;
}

static enum al_code drop_deployments(struct al_coordinator *c, const char *team, struct al_arena *a,
                                     struct al_err *err)
{
    struct al_deployment *list;
    size_t n;
    AL_TRY(al_directory_list_deployments(c->directory, team, a, &list, &n, err));
    for (size_t i = 0; i < n; i++)
        AL_TRY(al_directory_drop_deployment(c->directory, team, list[i].name, err));
    return AL_OK;
}

AL_UNARY(al_serve_delete_team)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__DeleteTeamRequest *m = (const Airlore__V1__DeleteTeamRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    char team[AL_NAME_BYTES_MAX + 1];
    uint32_t *spaces = NULL;
    size_t n = 0;
    bool full = false;
    AL_TRY(al_require_server_admin(al_call_credential(call), err));
    AL_TRY(al_admin_team_of(m->name, team, err));
    AL_TRY(al_directory_team_spaces(c->directory, team, a, &spaces, &n, err));
    if (strcmp(team, AL_TEAM_OF_SERVER) == 0)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "LAST_ONE",
                         "team: '%s' owns the server and stays", team);
    Airlore__V1__DeleteTeamResponse *out =
        al_msg_new(a, &airlore__v1__delete_team_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(has_items(c, spaces, n, &full, err));
    if (full && !m->force)
        return not_empty(m->name, err);
    if (m->force) {
        AL_TRY(forget_keys(c, team, NULL, a, err));
        AL_TRY(empty_spaces(c, call, spaces, n, &out->deleted_items, err));
        AL_TRY(drop_deployments(c, team, a, err));
    }
    AL_TRY(al_directory_drop_team(c->directory, team, err));
    *ret_reply = &out->base;
    return AL_OK;
}
