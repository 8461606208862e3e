#include <string.h>

#include "airlore/items.h"
#include "airlore/redact.h"
#include "key_text.h"
#include "tables.h"

#define WRITE_TIMEOUT_MS 30000u

static const uint8_t NO_WRITE_ID[16];

static enum al_code redact_into(struct al_str *s, uint32_t *total, struct al_arena *a,
                                struct al_err *err)
{
    uint32_t n = 0;
    AL_TRY(al_redact(*s, a, s, &n, err));
    *total += n;
    return AL_OK;
}

/* Redact all that is shared. A body that changes is cut anew, because offsets move. */
static enum al_code redact_doc(struct al_doc *d, uint32_t *total, struct al_arena *a,
                               struct al_err *err)
{
    struct al_kv *meta = al_arena_array(a, d->n_meta + 1, sizeof *meta);
    struct al_str *tags = al_arena_array(a, d->n_tags + 1, sizeof *tags);
    if (!meta || !tags)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    size_t n = 0;
    for (size_t i = 0; i < d->n_meta; i++) {
        if (al_str_is(d->meta[i].key, "source_checksum"))
            continue; /* of the owner's file: says nothing to others */
        meta[n] = d->meta[i];
        AL_TRY(redact_into(&meta[n++].value, total, a, err));
    }
    d->n_meta = n;
    for (size_t i = 0; i < d->n_tags; i++) {
        tags[i] = d->tags[i];
        AL_TRY(redact_into(&tags[i], total, a, err));
    }
    d->meta = meta;
    d->tags = tags;
    AL_TRY(redact_into(&d->title, total, a, err));
    AL_TRY(redact_into(&d->url, total, a, err));
    uint32_t before = *total;
    AL_TRY(redact_into(&d->body, total, a, err));
    if (*total == before)
        return AL_OK;
    struct al_document_options opt = {.format = AL_FORMAT_TEXT, .title = d->title};
    struct al_document again;
    AL_TRY(al_document_read(&opt, d->body, a, &again, err));
    d->body = again.body;
    d->chunks = again.chunks;
    d->n_chunks = again.n_chunks;
    return AL_OK;
}

static void digest_hex(const struct al_buf *b, char ret[33])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t raw[32];
    al_digest(al_buf_view(b), raw);
    for (size_t i = 0; i < 16; i++) {
        ret[2 * i] = hex[raw[i] >> 4];
        ret[2 * i + 1] = hex[raw[i] & 15];
    }
    ret[32] = '\0';
}

/* The copy as the community will see it, and the digest of exactly that. */
static enum al_code make_copy(const struct al_items_context *ctx, const struct al_credential *cred,
                              const struct al_promote_request *req, struct al_arena *a,
                              struct al_promotion *ret, struct al_err *err)
{
    struct al_str id = req->id;
    struct al_doc d;
    AL_TRY(al_items_get(ctx, cred, id, req->space, false, a, &d, err));
    if (d.visibility == AL_VIS_COMMUNITY || !al_str_is(d.team, cred->key->team))
        return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                         "item: '" AL_STR_FMT "' is not one of your team's",
                         AL_STR_ARG(al_str_sub(id, 0, 100)));
    ret->source_space = d.space;
    const char *owner = cred->team_named ? cred->key->team : cred->pseudonym;
    char *shared_id = al_arena_printf(a, "%s/" AL_STR_FMT, owner, AL_STR_ARG(id));
    if (!shared_id)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    ret->redactions = 0;
    AL_TRY(redact_doc(&d, &ret->redactions, a, err));
    d.space = AL_SPACE_COMMUNITY;
    d.visibility = AL_VIS_COMMUNITY;
    d.id = al_str_c(shared_id);
    d.team = al_str_c(owner);
    d.deployment = AL_STR("");
    d.source = AL_STR("");
    d.docno = 0;
    d.updated_ms = 0;
    d.created_ms = 0;
    if (d.id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: too long to be shared: %zu bytes with its owner, at most %u", d.id.n,
                         AL_DOC_ID_BYTES_MAX);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_doc_encode(&d, &b);
    AL_TRY(al_buf_status(&b, err));
    char hex[33];
    digest_hex(&b, hex);
    AL_TRY(al_arena_str(a, al_str_c(hex), &ret->digest, err));
    d.created_ms = d.updated_ms = al_clock_wall_ms(ctx->clock);
    ret->doc = d;
    ret->promoted = false;
    return AL_OK;
}

static enum al_code write_system_row(const struct al_items_context *ctx, const struct al_op *op,
                                     struct al_arena *a, struct al_err *err)
{
    struct al_write_result res = {0};
    return ctx->system->ops->write(ctx->system, op, 1, NO_WRITE_ID,
                                   al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a, &res, err);
}

static enum al_code write_doc(const struct al_items_context *ctx, const struct al_op *op,
                              struct al_str id, struct al_arena *a, enum al_outcome *ret_outcome,
                              struct al_token *ret_token, struct al_err *err)
{
    size_t shard = al_router_of_doc(ctx->router, AL_SPACE_COMMUNITY, id);
    struct al_shard_port *p = ctx->router->shards[shard];
    struct al_write_result res = {0};
    AL_TRY(p->ops->write(p, op, 1, NO_WRITE_ID, al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a,
                         &res, err));
    AL_TRY(al_token_init(ctx->router, a, ret_token, err));
    ret_token->index[shard] = res.index;
    *ret_outcome = res.outcomes[0];
    return AL_OK;
}

static enum al_code delete_copy(const struct al_items_context *ctx, struct al_str id,
                                struct al_arena *a, struct al_token *ret_token, struct al_err *err)
{
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = AL_SPACE_COMMUNITY, .id = id};
    enum al_outcome o;
    return write_doc(ctx, &op, id, a, &o, ret_token, err);
}

/* The record of what was shared of an item before. */
static enum al_code get_record(const struct al_items_context *ctx, uint32_t space, struct al_str id,
                               struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    uint64_t version;
    return ctx->system->ops->get_row(ctx->system, AL_TABLE_PROMOTION, space, id, a, ret, &version,
                                     err);
}

/* The team may have changed what it is called since: a copy under the former name could not be
 * found again, and both together would tell whose pseudonym it was. */
static enum al_code drop_former(const struct al_items_context *ctx, uint32_t space,
                                struct al_str id, struct al_str new_id, struct al_arena *a,
                                struct al_err *err)
{
    struct al_str former = {NULL, 0};
    struct al_err none = {0};
    enum al_code c = get_record(ctx, space, id, a, &former, &none);
    if (c == AL_NOT_FOUND || (c == AL_OK && al_str_eq(former, new_id)))
        return AL_OK;
    if (c != AL_OK) {
        if (err)
            *err = none;
        return c;
    }
    struct al_token t;
    return delete_copy(ctx, former, a, &t, err);
}

enum al_code al_items_promote(const struct al_items_context *ctx, const struct al_credential *cred,
                              const struct al_promote_request *req, struct al_arena *a,
                              struct al_promotion *ret, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    struct al_promotion p = {0};
    AL_TRY(make_copy(ctx, cred, req, a, &p, err));
    AL_TRY(al_token_init(ctx->router, a, &p.token, err));
    if (!req->digest.n) {
        *ret = p;
        return AL_OK;
    }
    if (!al_str_eq(req->digest, p.digest))
        return AL_FAIL_R(
            err, AL_FAILED_PRECONDITION, "PREVIEW_STALE",
            "promote: the item has changed since that preview, or the digest is another "
            "one's; look at a new preview");
    AL_TRY(al_doc_embed(&p.doc, ctx->embedder, a, err));
    AL_TRY(drop_former(ctx, p.source_space, req->id, p.doc.id, a, err));
    /* first the record by which it can be withdrawn, then the copy: a crash between leaves a record
     * of nothing */
    struct al_op note = {.kind = AL_OP_PUT_ROW,
                         .table = AL_TABLE_PROMOTION,
                         .space = p.source_space,
                         .id = req->id,
                         .value = p.doc.id};
    AL_TRY(write_system_row(ctx, &note, a, err));
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &p.doc};
    enum al_outcome o = AL_OUTCOME_ABSENT;
    AL_TRY(write_doc(ctx, &op, p.doc.id, a, &o, &p.token, err));
    p.promoted = true;
    *ret = p;
    return AL_OK;
}

static bool is_team(const struct al_credential *cred, struct al_str owner)
{
    return al_str_is(owner, cred->pseudonym) || al_str_is(owner, cred->key->team);
}

/* The id of the item without the owner in front, if this is the id of a copy that the credential's
 * team has shared. */
static struct al_str original_id(const struct al_credential *cred, struct al_str id)
{
    size_t slash = al_str_find(id, AL_STR("/"), 0);
    if (slash == SIZE_MAX || !is_team(cred, al_str_sub(id, 0, slash)))
        return id;
    return al_str_sub(id, slash + 1, SIZE_MAX);
}

/* Whose copy is that? Ids of copies begin with the owner, and ids of teams have no slash in them.
 */
static bool shared_by(const struct al_credential *cred, struct al_str shared_id)
{
    size_t slash = al_str_find(shared_id, AL_STR("/"), 0);
    return slash != SIZE_MAX && is_team(cred, al_str_sub(shared_id, 0, slash));
}

/* The record of an item that the credential's team has shared; those of further readable teams are
 * passed over. */
static enum al_code find_promotion(const struct al_items_context *ctx,
                                   const struct al_credential *cred, struct al_str id,
                                   struct al_arena *a, uint32_t *ret_space, struct al_str *ret,
                                   struct al_err *err)
{
    for (size_t i = 0; i < cred->n_spaces; i++) {
        struct al_err none = {0};
        if (cred->spaces[i] == AL_SPACE_COMMUNITY)
            continue;
        enum al_code c = get_record(ctx, cred->spaces[i], id, a, ret, &none);
        *ret_space = cred->spaces[i];
        if (c == AL_OK && shared_by(cred, *ret))
            return AL_OK;
        if (c != AL_OK && c != AL_NOT_FOUND) {
            if (err)
                *err = none;
            return c;
        }
    }
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "ITEM_STATE",
                     "item: '" AL_STR_FMT "' has not been shared with the community by your team",
                     AL_STR_ARG(al_str_sub(id, 0, 100)));
}

enum al_code al_items_withdraw(const struct al_items_context *ctx, const struct al_credential *cred,
                               struct al_str id, struct al_arena *a, struct al_token *ret_token,
                               struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    if (id.n < 1 || id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: %zu bytes, 1 to %u are allowed", id.n, AL_DOC_ID_BYTES_MAX);
    uint32_t space = 0;
    struct al_str shared_id = {NULL, 0};
    struct al_str own = id;
    enum al_code c = find_promotion(ctx, cred, id, a, &space, &shared_id, err);
    if (c == AL_FAILED_PRECONDITION && original_id(cred, id).n < id.n) {
        own = original_id(cred, id);
        c = find_promotion(ctx, cred, own, a, &space, &shared_id, err);
    }
    if (c != AL_OK)
        return c;
    AL_TRY(delete_copy(ctx, shared_id, a, ret_token, err));
    struct al_op note = {
        .kind = AL_OP_DELETE_ROW, .table = AL_TABLE_PROMOTION, .space = space, .id = own};
    return write_system_row(ctx, &note, a, err);
}
