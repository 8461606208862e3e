#include "airlore/items.h"

#include "airlore/ingest.h"

#define WRITE_TIMEOUT_MS 30000u

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

static enum al_code delete_in(const struct al_items_context *ctx, const struct al_once *once,
                              uint32_t space, struct al_str id, struct al_arena *a,
                              struct al_deletion *ret, struct al_err *err)
{
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = space, .id = id};
    size_t shard = al_router_of_doc(ctx->router, space, id);
    struct al_shard_port *p = ctx->router->shards[shard];
    struct al_write_result res = {0};
    uint8_t write_id[16];
    al_once_shard_id(once, 0, write_id);
    AL_TRY(p->ops->write(p, &op, 1, write_id, al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a,
                         &res, err));
    ret->token.index[shard] = res.index;
    ret->deleted = res.outcomes[0] == AL_OUTCOME_DELETED;
    return AL_OK;
}

/* The credential may write to its own space, to its team's space and, when it speaks for the whole
 * team, to those of its team's deployments, which are the ones it reads besides further teams';
 * those are told apart by their owner's name. */
static bool may_write(const struct al_credential *cred, const struct al_doc *d)
{
    return d->visibility != AL_VIS_COMMUNITY && al_str_is(d->team, cred->key->team);
}

/* The space that the document to delete lives in, 0 when there is none to delete. */
static enum al_code find_to_delete(const struct al_items_context *ctx,
                                   const struct al_credential *cred,
                                   const struct al_delete_request *req, struct al_arena *a,
                                   uint32_t *ret, struct al_err *err)
{
    struct al_doc d = {0};
    struct al_err gone = {0};
    enum al_code c = req->space ? al_items_get(ctx, cred, req->id, req->space, false, a, &d, &gone)
                                : get_own(ctx, cred, req->id, a, &d, &gone);
    *ret = 0;
    if (c == AL_NOT_FOUND)
        return AL_OK;
    if (c != AL_OK) {
        if (err)
            *err = gone;
        return c;
    }
    /* another owner's: as if it were not there */
    if (req->space == AL_SPACE_COMMUNITY || may_write(cred, &d))
        *ret = d.space;
    return AL_OK;
}

/* Plan: the space. Answer: whether it was deleted, and the token. */
static enum al_code save(const struct al_items_context *ctx, const struct al_deletion *d,
                         struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    struct al_str token;
    AL_TRY(al_token_format(ctx->router, &d->token, a, &token, err));
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_char(&b, d->deleted ? 1 : 0);
    al_buf_lenstr(&b, token);
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code load(const struct al_items_context *ctx, struct al_str saved,
                         struct al_arena *a, struct al_deletion *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(saved);
    ret->deleted = al_reader_u8(&r) != 0;
    struct al_str token = al_reader_lenstr(&r);
    if (r.failed)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: not of a deletion");
    return al_token_parse(ctx->router, token, a, &ret->token, err);
}

static enum al_code claim_space(struct al_once *once, uint32_t space, struct al_arena *a,
                                struct al_err *err)
{
    struct al_buf plan;
    al_buf_init(&plan, al_arena_mem(a), 0);
    al_buf_u32le(&plan, space);
    AL_TRY(al_buf_status(&plan, err));
    return al_once_claim(once, al_buf_view(&plan), a, err);
}

enum al_code al_items_delete(const struct al_items_context *ctx, const struct al_credential *cred,
                             const struct al_delete_request *req, struct al_arena *a,
                             struct al_deletion *ret, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    if (req->space == AL_SPACE_COMMUNITY)
        AL_TRY(al_credential_require(cred, AL_ROLE_REVIEWER, err));
    struct al_once once;
    struct al_deletion d = {0};
    uint32_t space = 0;
    AL_TRY(al_token_init(ctx->router, a, &d.token, err));
    AL_TRY(al_once_begin(ctx->once, cred, &req->name, a, &once, err));
    if (once.state == AL_ONCE_NONE || once.state == AL_ONCE_NEW) {
        AL_TRY(find_to_delete(ctx, cred, req, a, &space, err));
        if (!space) {
            *ret = d;
            return AL_OK;
        }
        AL_TRY(claim_space(&once, space, a, err));
    }
    if (once.state == AL_ONCE_SETTLED)
        return load(ctx, once.saved, a, ret, err);
    if (once.state == AL_ONCE_BEGUN) {
        struct al_reader plan = al_reader_of(once.saved);
        space = al_reader_u32le(&plan);
    }
    AL_TRY(delete_in(ctx, &once, space, req->id, a, &d, err));
    struct al_str answer;
    AL_TRY(save(ctx, &d, a, &answer, err));
    al_once_end(&once, answer, a);
    *ret = d;
    return AL_OK;
}
