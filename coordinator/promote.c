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
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "REQUEST_MEMORY",
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
                              struct al_str id, struct al_arena *a, struct al_doc *ret_source,
                              struct al_promotion *ret, struct al_err *err)
{
    struct al_doc d;
    AL_TRY(al_items_get(ctx, cred, id, 0, false, a, &d, err));
    if (d.visibility == AL_VIS_COMMUNITY || !al_str_is(d.team, cred->key->team))
        return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                         "item: '" AL_STR_FMT "' is not one of your team's",
                         AL_STR_ARG(al_str_sub(id, 0, 100)));
    *ret_source = d;
    const char *owner = cred->team_named ? cred->key->team : cred->pseudonym;
    char *shared_id = al_arena_printf(a, "%s/" AL_STR_FMT, owner, AL_STR_ARG(id));
    if (!shared_id)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "REQUEST_MEMORY",
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
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ID",
                         "id: too long to be shared: %zu bytes with its owner, at most %u",
                         d.id.n, AL_DOC_ID_BYTES_MAX);
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

enum al_code al_items_promote(const struct al_items_context *ctx, const struct al_credential *cred,
                              struct al_str id, struct al_str digest, struct al_arena *a,
                              struct al_promotion *ret, struct al_token *ret_token,
                              struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    struct al_promotion p = {0};
    struct al_doc source = {0};
    AL_TRY(make_copy(ctx, cred, id, a, &source, &p, err));
    AL_TRY(al_token_init(ctx->router, a, ret_token, err));
    if (!digest.n) {
        *ret = p;
        return AL_OK;
    }
    if (!al_str_eq(digest, p.digest))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "PREVIEW_STALE",
                         "promote: the item has changed since that preview, or the digest is another "
                         "one's; look at a new preview");
    AL_TRY(al_doc_embed(&p.doc, ctx->embedder, a, err));
    /* first the record by which it can be withdrawn, then the copy: a crash between leaves a record of nothing */
    struct al_op note = {.kind = AL_OP_PUT_ROW,
                         .table = AL_TABLE_PROMOTION,
                         .space = source.space,
                         .id = id,
                         .value = p.doc.id};
    AL_TRY(write_system_row(ctx, &note, a, err));
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &p.doc};
    enum al_outcome o = AL_OUTCOME_ABSENT;
    AL_TRY(write_doc(ctx, &op, p.doc.id, a, &o, ret_token, err));
    p.promoted = true;
    *ret = p;
    return AL_OK;
}

/* The community id of an item of one of the credential's own spaces. */
static enum al_code find_promotion(const struct al_items_context *ctx,
                                   const struct al_credential *cred, struct al_str id,
                                   struct al_arena *a, uint32_t *ret_space, struct al_str *ret,
                                   struct al_err *err)
{
    for (size_t i = 0; i < cred->n_spaces; i++) {
        if (cred->spaces[i] == AL_SPACE_COMMUNITY)
            continue;
        uint64_t version;
        enum al_code c = ctx->system->ops->get_row(ctx->system, AL_TABLE_PROMOTION, cred->spaces[i],
                                                   id, a, ret, &version, err);
        *ret_space = cred->spaces[i];
        if (c != AL_NOT_FOUND)
            return c;
    }
    return AL_FAIL_R(err, AL_NOT_FOUND, "NOT_PROMOTED",
                     "item: '" AL_STR_FMT "' has not been shared with the community",
                     AL_STR_ARG(al_str_sub(id, 0, 100)));
}

enum al_code al_items_withdraw(const struct al_items_context *ctx, const struct al_credential *cred,
                               struct al_str id, struct al_arena *a, struct al_token *ret_token,
                               struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    uint32_t space = 0;
    struct al_str shared_id = {NULL, 0};
    AL_TRY(find_promotion(ctx, cred, id, a, &space, &shared_id, err));
    /* another team's promotion is visible to readers of that team, but only its owner takes it back */
    struct al_doc shared;
    struct al_shard_port *p =
        ctx->router->shards[al_router_of_doc(ctx->router, AL_SPACE_COMMUNITY, shared_id)];
    enum al_code c = p->ops->get_doc(p, AL_SPACE_COMMUNITY, shared_id, false, a, &shared, err);
    if (c == AL_OK && !al_str_is(shared.team, cred->pseudonym) &&
        !al_str_is(shared.team, cred->key->team))
        return AL_FAIL_R(err, AL_PERMISSION_DENIED, "SPACE_FORBIDDEN",
                         "item: shared by another team");
    if (c != AL_OK && c != AL_NOT_FOUND)
        return c;
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = AL_SPACE_COMMUNITY, .id = shared_id};
    enum al_outcome o;
    AL_TRY(write_doc(ctx, &op, shared_id, a, &o, ret_token, err));
    struct al_op note = {
        .kind = AL_OP_DELETE_ROW, .table = AL_TABLE_PROMOTION, .space = space, .id = id};
    return write_system_row(ctx, &note, a, err);
}
