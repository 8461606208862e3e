#include "airlore/items.h"

#include "airlore/ingest.h"

#define WRITE_TIMEOUT_MS 30000u

static const uint8_t NO_WRITE_ID[16];

static enum al_code not_found(struct al_str id, struct al_err *err)
{
    return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                     "item: '" AL_STR_FMT "' is not there, or not readable with this key",
                     AL_STR_ARG(al_str_sub(id, 0, 100)));
}

/* Where a deletion looks that names no space: its deployment, then its team. */
static enum al_code get_own(const struct al_items_context *ctx, const struct al_credential *cred,
                            struct al_str id, struct al_arena *a, struct al_doc *ret,
                            struct al_err *err)
{
    enum al_code c = al_items_get(ctx, cred, id, cred->own_space, false, a, ret, err);
    if (c != AL_NOT_FOUND || cred->own_space == cred->team_space)
        return c;
    return al_items_get(ctx, cred, id, cred->team_space, false, a, ret, err);
}

static bool may_read(const struct al_credential *cred, uint32_t space)
{
    for (size_t i = 0; i < cred->n_spaces; i++) {
        if (cred->spaces[i] == space)
            return true;
    }
    return false;
}

static enum al_code get_in(const struct al_items_context *ctx, uint32_t space, struct al_str id,
                           bool with_vectors, struct al_arena *a, struct al_doc *ret,
                           struct al_err *err)
{
    struct al_shard_port *p = ctx->router->shards[al_router_of_doc(ctx->router, space, id)];
    return p->ops->get_doc(p, space, id, with_vectors, a, ret, err);
}

/* Try own space, team, the rest in ascending order, the community last. */
static enum al_code get_nearest(const struct al_items_context *ctx,
                                const struct al_credential *cred, struct al_str id,
                                bool with_vectors, struct al_arena *a, struct al_doc *ret,
                                struct al_err *err)
{
    uint32_t first[2] = {cred->own_space, cred->team_space};
    size_t n_first = cred->own_space == cred->team_space ? 1 : 2;
    for (size_t i = 0; i < n_first; i++) {
        enum al_code c = get_in(ctx, first[i], id, with_vectors, a, ret, err);
        if (c != AL_NOT_FOUND)
            return c;
    }
    for (size_t i = 0; i < cred->n_spaces; i++) {
        uint32_t s = cred->spaces[i];
        if (s == AL_SPACE_COMMUNITY || s == first[0] || s == first[1])
            continue;
        enum al_code c = get_in(ctx, s, id, with_vectors, a, ret, err);
        if (c != AL_NOT_FOUND)
            return c;
    }
    return get_in(ctx, AL_SPACE_COMMUNITY, id, with_vectors, a, ret, err);
}

enum al_code al_items_get(const struct al_items_context *ctx, const struct al_credential *cred,
                          struct al_str id, uint32_t space, bool with_vectors, struct al_arena *a,
                          struct al_doc *ret, struct al_err *err)
{
    if (id.n < 1 || id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: %zu bytes, 1 to %u are allowed", id.n, AL_DOC_ID_BYTES_MAX);
    struct al_err inner = {0};
    enum al_code c;
    if (space == 0)
        c = get_nearest(ctx, cred, id, with_vectors, a, ret, &inner);
    else if (may_read(cred, space))
        c = get_in(ctx, space, id, with_vectors, a, ret, &inner);
    else
        c = AL_NOT_FOUND;
    if (c == AL_NOT_FOUND)
        return not_found(id, err);
    if (c != AL_OK && err)
        *err = inner;
    return c;
}

static enum al_code write_one(const struct al_items_context *ctx, const struct al_op *op,
                              uint32_t space, struct al_str id, struct al_arena *a,
                              enum al_outcome *ret, struct al_token *ret_token, struct al_err *err)
{
    size_t shard = al_router_of_doc(ctx->router, space, id);
    struct al_shard_port *p = ctx->router->shards[shard];
    struct al_write_result res = {0};
    AL_TRY(p->ops->write(p, op, 1, NO_WRITE_ID, al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a,
                         &res, err));
    AL_TRY(al_token_init(ctx->router, a, ret_token, err));
    ret_token->index[shard] = res.index;
    *ret = res.outcomes[0];
    return AL_OK;
}

static enum al_code delete_in(const struct al_items_context *ctx, uint32_t space, struct al_str id,
                              struct al_arena *a, bool *ret_deleted, struct al_token *ret_token,
                              struct al_err *err)
{
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = space, .id = id};
    enum al_outcome o = AL_OUTCOME_ABSENT;
    AL_TRY(write_one(ctx, &op, space, id, a, &o, ret_token, err));
    *ret_deleted = o == AL_OUTCOME_DELETED;
    return AL_OK;
}

/* The credential may write to its own space, to its team's space and, when it speaks for the whole
 * team, to those of its team's deployments, which are the ones it reads besides further teams';
 * those are told apart by their owner's name. */
static bool may_write(const struct al_credential *cred, const struct al_doc *d)
{
    return d->visibility != AL_VIS_COMMUNITY && al_str_is(d->team, cred->key->team);
}

enum al_code al_items_delete(const struct al_items_context *ctx, const struct al_credential *cred,
                             struct al_str id, uint32_t space, struct al_arena *a,
                             bool *ret_deleted, struct al_token *ret_token, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    *ret_deleted = false;
    AL_TRY(al_token_init(ctx->router, a, ret_token, err));
    if (space == AL_SPACE_COMMUNITY)
        AL_TRY(al_credential_require(cred, AL_ROLE_REVIEWER, err));
    struct al_doc d;
    struct al_err gone = {0};
    enum al_code c = space ? al_items_get(ctx, cred, id, space, false, a, &d, &gone)
                           : get_own(ctx, cred, id, a, &d, &gone);
    if (c == AL_NOT_FOUND)
        return AL_OK;
    if (c != AL_OK) {
        if (err)
            *err = gone;
        return c;
    }
    if (space != AL_SPACE_COMMUNITY && !may_write(cred, &d))
        return AL_OK; /* another owner's: as if it were not there */
    return delete_in(ctx, d.space, id, a, ret_deleted, ret_token, err);
}
