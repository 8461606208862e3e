#include <string.h>

#include "airlore/items.h"
#include "airlore/redact.h"
#include "key_text.h"
#include "tables.h"

#define WRITE_TIMEOUT_MS 30000u

static const uint8_t NO_WRITE_ID[16];

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

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
        return no_memory(err);
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

/* The copy as others will see it, and the digest of exactly that. */
static enum al_code digest_of(const struct al_doc *d, struct al_arena *a, struct al_str *ret,
                              struct al_err *err)
{
    struct al_doc bare = *d; /* without what the shard sets */
    struct al_buf b;
    char hex[33];
    bare.docno = bare.revision = bare.created_ms = bare.updated_ms = 0;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_doc_encode(&bare, &b);
    AL_TRY(al_buf_status(&b, err));
    digest_hex(&b, hex);
    return al_arena_str(a, al_str_c(hex), ret, err);
}

static enum al_code not_yours(struct al_str id, struct al_err *err)
{
    return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                     "item: '" AL_STR_FMT "' is not one of your team's",
                     AL_STR_ARG(al_str_sub(id, 0, 100)));
}

/* Who asks, and what is made for the answer. */
struct asking {
    const struct al_items_context *ctx;
    const struct al_credential *cred;
    struct al_arena *a;
};

/* Who shares: the owning team, by its contributors or by a reviewer who reads it. */
struct owner {
    const char *label; /* in the community */
    uint32_t team_space;
};

static enum al_code find_owner(const struct asking *s, const struct al_promote_request *req,
                               const struct al_doc *d, struct owner *ret, struct al_err *err)
{
    const struct al_credential *cred = s->cred;
    struct al_arena *a = s->a;
    bool named = cred->team_named;
    const char *name = cred->key->team;
    const char *pseudonym = cred->pseudonym;
    ret->team_space = cred->team_space;
    if (d->visibility == AL_VIS_COMMUNITY)
        return not_yours(req->id, err);
    if (!al_str_is(d->team, cred->key->team)) {
        struct al_team t;
        if (cred->key->role < AL_ROLE_REVIEWER)
            return not_yours(req->id, err);
        name = al_arena_strndup(a, d->team.p, d->team.n);
        if (!name)
            return no_memory(err);
        AL_TRY(al_directory_get_team(s->ctx->directory, name, &t, err));
        pseudonym = al_arena_strndup(a, t.pseudonym, strlen(t.pseudonym));
        if (!pseudonym)
            return no_memory(err);
        named = t.named;
        ret->team_space = t.space;
    }
    named = req->has_named ? req->named : named;
    ret->label = named ? name : pseudonym;
    return AL_OK;
}

static enum al_code set_target(struct al_doc *d, const struct al_promote_request *req,
                               const struct owner *o, struct al_arena *a, struct al_err *err)
{
    bool to_team = req->target == AL_VIS_TEAM;
    if (to_team && d->visibility != AL_VIS_DEPLOYMENT)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "ITEM_STATE",
                         "item: '" AL_STR_FMT "' is the whole team's already",
                         AL_STR_ARG(al_str_sub(req->id, 0, 100)));
    char *id = to_team ? al_arena_printf(a, AL_STR_FMT "/" AL_STR_FMT, AL_STR_ARG(d->deployment),
                                         AL_STR_ARG(req->id))
                       : al_arena_printf(a, "%s/" AL_STR_FMT, o->label, AL_STR_ARG(req->id));
    if (!id)
        return no_memory(err);
    d->id = al_str_c(id);
    if (d->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: too long to be shared: %zu bytes with its owner, at most %u", d->id.n,
                         AL_DOC_ID_BYTES_MAX);
    d->space = to_team ? o->team_space : AL_SPACE_COMMUNITY;
    d->visibility = to_team ? AL_VIS_TEAM : AL_VIS_COMMUNITY;
    if (!to_team) {
        d->team = al_str_c(o->label);
        d->deployment = AL_STR("");
    }
    d->source = AL_STR("");
    return AL_OK;
}

static enum al_code make_copy(const struct al_items_context *ctx, const struct al_credential *cred,
                              const struct al_promote_request *req, struct al_arena *a,
                              struct al_promotion *ret, struct al_err *err)
{
    struct al_doc d;
    struct owner owner = {0};
    const struct asking who = {ctx, cred, a};
    AL_TRY(al_items_get(ctx, cred, req->id, req->space, false, a, &d, err));
    AL_TRY(find_owner(&who, req, &d, &owner, err));
    ret->source_space = d.space;
    ret->redactions = 0;
    AL_TRY(redact_doc(&d, &ret->redactions, a, err));
    AL_TRY(set_target(&d, req, &owner, a, err));
    d.redactions += ret->redactions;
    d.embedder_id = al_str_c(al_embedder_id(ctx->embedder)); /* it is embedded anew */
    d.docno = d.revision = 0;
    AL_TRY(digest_of(&d, a, &ret->digest, err));
    d.created_ms = d.updated_ms = al_clock_wall_ms(ctx->clock);
    ret->doc = d;
    return AL_OK;
}

/* ---- records: what was shared of an item before ---- */

/* Where a copy is. */
struct copy {
    uint8_t table;         /* of its record */
    uint32_t source_space; /* of the original */
    struct al_str own_id;
    uint32_t space;
    struct al_str id;
    uint8_t write_id[16]; /* of the write to its shard */
};

/* In the community the record is the id alone; in a team the team's space is before it. */
static enum al_code get_record(const struct al_items_context *ctx, struct copy *c,
                               struct al_arena *a, struct al_err *err)
{
    uint64_t version;
    struct al_str value;
    AL_TRY(ctx->system->ops->get_row(ctx->system, c->table, c->source_space, c->own_id, a, &value,
                                     &version, err));
    struct al_reader r = al_reader_of(value);
    c->space = c->table == AL_TABLE_TEAM_COPY ? al_reader_u32be(&r) : AL_SPACE_COMMUNITY;
    c->id = al_reader_bytes(&r, (size_t)(r.end - r.p));
    if (r.failed)
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "promotion: its record is damaged");
    return AL_OK;
}

static enum al_code write_record(const struct al_items_context *ctx, const struct copy *c,
                                 bool keep, struct al_arena *a, struct al_err *err)
{
    struct al_write_result res = {0};
    struct al_buf value;
    al_buf_init(&value, al_arena_mem(a), 0);
    if (c->table == AL_TABLE_TEAM_COPY)
        al_buf_u32be(&value, c->space);
    al_buf_str(&value, c->id);
    AL_TRY(al_buf_status(&value, err));
    struct al_op op = {.kind = keep ? AL_OP_PUT_ROW : AL_OP_DELETE_ROW,
                       .table = c->table,
                       .space = c->source_space,
                       .id = c->own_id};
    if (keep)
        op.value = al_buf_view(&value);
    return ctx->system->ops->write(ctx->system, &op, 1, NO_WRITE_ID,
                                   al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a, &res, err);
}

static enum al_code write_copy(const struct al_items_context *ctx, const struct al_op *op,
                               const struct copy *c, struct al_arena *a, struct al_token *token,
                               struct al_err *err)
{
    size_t shard = al_router_of_doc(ctx->router, c->space, c->id);
    struct al_shard_port *p = ctx->router->shards[shard];
    struct al_write_result res = {0};
    AL_TRY(p->ops->write(p, op, 1, c->write_id, al_clock_deadline(ctx->clock, WRITE_TIMEOUT_MS), a,
                         &res, err));
    if (res.index > token->index[shard])
        token->index[shard] = res.index;
    return AL_OK;
}

static enum al_code delete_copy(const struct al_items_context *ctx, const struct copy *c,
                                struct al_arena *a, struct al_token *token, struct al_err *err)
{
    struct al_op op = {.kind = AL_OP_DELETE_DOC, .space = c->space, .id = c->id};
    return write_copy(ctx, &op, c, a, token, err);
}

/* The team may have changed what it is called since: a copy under the former name could not be
 * found again, and both together would tell whose pseudonym it was. */
static enum al_code drop_former(const struct al_items_context *ctx, const struct copy *now,
                                struct al_arena *a, struct al_token *token, struct al_err *err)
{
    struct copy former = *now;
    struct al_err none = {0};
    enum al_code c = get_record(ctx, &former, a, &none);
    if (c == AL_NOT_FOUND || (c == AL_OK && al_str_eq(former.id, now->id)))
        return AL_OK;
    if (c != AL_OK) {
        if (err)
            *err = none;
        return c;
    }
    memcpy(former.write_id, NO_WRITE_ID, sizeof former.write_id);
    return delete_copy(ctx, &former, a, token, err);
}

/* ---- promote ---- */

static uint8_t table_of(enum al_visibility target)
{
    return target == AL_VIS_TEAM ? AL_TABLE_TEAM_COPY : AL_TABLE_PROMOTION;
}

/* First the record by which it can be withdrawn, then the copy: a crash between leaves a record of
 * nothing. */
static enum al_code share(const struct al_items_context *ctx, const struct al_promote_request *req,
                          const struct al_once *once, struct al_arena *a, struct al_promotion *p,
                          struct al_err *err)
{
    struct copy c = {.table = table_of(req->target),
                     .source_space = p->source_space,
                     .own_id = req->id,
                     .space = p->doc.space,
                     .id = p->doc.id};
    al_once_shard_id(once, 0, c.write_id);
    AL_TRY(al_doc_embed(&p->doc, ctx->embedder, a, err));
    AL_TRY(drop_former(ctx, &c, a, &p->token, err));
    AL_TRY(write_record(ctx, &c, true, a, err));
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &p->doc};
    return write_copy(ctx, &op, &c, a, &p->token, err);
}

/* What is there now of a copy, into p->doc; what p says when it is gone again. */
static enum al_code read_copy(const struct al_items_context *ctx, uint32_t space, struct al_str id,
                              struct al_arena *a, struct al_doc *ret, struct al_err *err)
{
    struct al_shard_port *p = ctx->router->shards[al_router_of_doc(ctx->router, space, id)];
    struct al_err e = {0};
    enum al_code c = p->ops->get_doc(p, space, id, false, a, ret, &e);
    if (c != AL_OK && c != AL_NOT_FOUND && err)
        *err = e;
    return c == AL_NOT_FOUND ? AL_OK : c;
}

static enum al_code save(const struct al_items_context *ctx, const struct al_promotion *p,
                         struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    struct al_str token;
    AL_TRY(al_token_format(ctx->router, &p->token, a, &token, err));
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_u32le(&b, p->doc.space);
    al_buf_lenstr(&b, p->doc.id);
    al_buf_u32le(&b, p->redactions);
    al_buf_u32le(&b, p->source_space);
    al_buf_lenstr(&b, token);
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code load(const struct al_items_context *ctx, struct al_str saved,
                         struct al_arena *a, struct al_promotion *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(saved);
    struct al_promotion p = {.promoted = true, .digest = AL_STR("")};
    p.doc.space = al_reader_u32le(&r);
    p.doc.id = al_reader_lenstr(&r);
    p.redactions = al_reader_u32le(&r);
    p.source_space = al_reader_u32le(&r);
    struct al_str token = al_reader_lenstr(&r);
    if (!al_reader_done(&r))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: not of a promotion");
    p.doc.visibility = p.doc.space == AL_SPACE_COMMUNITY ? AL_VIS_COMMUNITY : AL_VIS_TEAM;
    AL_TRY(al_token_parse(ctx->router, token, a, &p.token, err));
    AL_TRY(read_copy(ctx, p.doc.space, p.doc.id, a, &p.doc, err));
    *ret = p;
    return AL_OK;
}

static enum al_code stale(struct al_err *err)
{
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "PREVIEW_STALE",
                     "promote: the item has changed since that preview, or the digest is another "
                     "one's; look at a new preview");
}

/* Begun before, and the item has changed since: was what the digest says shared then? */
static enum al_code was_shared(const struct al_items_context *ctx,
                               const struct al_promote_request *req, struct al_arena *a,
                               const struct al_promotion *p, bool *ret, struct al_err *err)
{
    struct al_doc there = {0};
    struct al_str digest = AL_STR("");
    *ret = false;
    AL_TRY(read_copy(ctx, p->doc.space, p->doc.id, a, &there, err));
    if (!there.id.n)
        return AL_OK;
    AL_TRY(digest_of(&there, a, &digest, err));
    *ret = al_str_eq(digest, req->digest);
    return AL_OK;
}

static enum al_code confirm(const struct al_items_context *ctx, const struct al_credential *cred,
                            const struct al_promote_request *req, struct al_arena *a,
                            struct al_promotion *p, struct al_err *err)
{
    struct al_once once;
    AL_TRY(al_once_begin(ctx->once, cred, &req->name, a, &once, err));
    if (once.state == AL_ONCE_SETTLED)
        return load(ctx, once.saved, a, p, err);
    AL_TRY(make_copy(ctx, cred, req, a, p, err));
    bool fresh = al_str_eq(req->digest, p->digest);
    bool done = false;
    if (!fresh && once.state == AL_ONCE_BEGUN)
        AL_TRY(was_shared(ctx, req, a, p, &done, err));
    if (!fresh && !done)
        return stale(err);
    if (once.state == AL_ONCE_NEW)
        AL_TRY(al_once_claim(&once, AL_STR(""), a, err));
    if (once.state == AL_ONCE_SETTLED)
        return load(ctx, once.saved, a, p, err);
    if (!done)
        AL_TRY(share(ctx, req, &once, a, p, err));
    struct al_str answer;
    AL_TRY(save(ctx, p, a, &answer, err));
    al_once_end(&once, answer, a);
    p->promoted = true;
    p->digest = AL_STR("");
    return read_copy(ctx, p->doc.space, p->doc.id, a, &p->doc, err);
}

enum al_code al_items_promote(const struct al_items_context *ctx, const struct al_credential *cred,
                              const struct al_promote_request *req, struct al_arena *a,
                              struct al_promotion *ret, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    if (req->has_named && req->target == AL_VIS_TEAM)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "FIELDS_CONFLICT",
                         "named: the team knows its own name; it is for the community");
    struct al_promotion p = {0};
    AL_TRY(al_token_init(ctx->router, a, &p.token, err));
    AL_TRY(req->digest.n ? confirm(ctx, cred, req, a, &p, err)
                         : make_copy(ctx, cred, req, a, &p, err));
    *ret = p;
    return AL_OK;
}

static enum al_code is_there(const struct al_items_context *ctx, const struct copy *c,
                             struct al_err *err)
{
    struct al_shard_port *p = ctx->router->shards[al_router_of_doc(ctx->router, c->space, c->id)];
    uint8_t hash[32];
    return p->ops->get_hash(p, c->space, c->id, hash, err);
}

enum al_code al_items_promoted_id(const struct al_items_context *ctx,
                                  const struct al_credential *cred, const struct al_doc *d,
                                  struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    static const uint8_t tables[] = {AL_TABLE_PROMOTION, AL_TABLE_TEAM_COPY};
    *ret = AL_STR("");
    if (d->visibility == AL_VIS_COMMUNITY ||
        (!al_str_is(d->team, cred->key->team) && cred->key->role < AL_ROLE_REVIEWER))
        return AL_OK;
    for (size_t i = 0; i < AL_ARRAY_LEN(tables); i++) {
        struct copy c = {.table = tables[i], .source_space = d->space, .own_id = d->id};
        struct al_err none = {0};
        enum al_code code = get_record(ctx, &c, a, &none);
        if (code == AL_OK) /* a reviewer may have deleted it in the community since */
            code = is_there(ctx, &c, &none);
        if (code == AL_OK) {
            *ret = c.id;
            return AL_OK;
        }
        if (code != AL_NOT_FOUND) {
            if (err)
                *err = none;
            return code;
        }
    }
    return AL_OK;
}

/* ---- withdraw ---- */

#define COPIES_MAX 2u /* one in the community, one in the team */

static bool is_team(const struct al_credential *cred, struct al_str owner)
{
    return al_str_is(owner, cred->pseudonym) || al_str_is(owner, cred->key->team);
}

/* Ids of copies in the community begin with the owner, and ids of teams have no slash in them. */
static bool may_withdraw(const struct al_credential *cred, const struct copy *c)
{
    if (cred->key->role >= AL_ROLE_REVIEWER)
        return true;
    if (c->table == AL_TABLE_TEAM_COPY)
        return c->space == cred->team_space;
    size_t slash = al_str_find(c->id, AL_STR("/"), 0);
    return slash != SIZE_MAX && is_team(cred, al_str_sub(c->id, 0, slash));
}

/* What is to be taken back. */
struct copies {
    struct copy v[COPIES_MAX];
    size_t n;
};

/* The record of this item in one of the spaces that the key reads; of_copy: only one that says so.
 */
static enum al_code find_record(const struct asking *s, struct al_str of_copy, struct copy *inout,
                                bool *ret_found, struct al_err *err)
{
    *ret_found = false;
    for (size_t i = 0; i < s->cred->n_spaces; i++) {
        struct al_err none = {0};
        struct copy c = *inout;
        c.source_space = s->cred->spaces[i];
        if (c.source_space == AL_SPACE_COMMUNITY)
            continue;
        enum al_code code = get_record(s->ctx, &c, s->a, &none);
        if (code != AL_OK && code != AL_NOT_FOUND) {
            if (err)
                *err = none;
            return code;
        }
        bool fits = code == AL_OK && (!of_copy.n || al_str_eq(of_copy, c.id));
        if (!fits || !may_withdraw(s->cred, &c))
            continue;
        *inout = c;
        *ret_found = true;
        return AL_OK;
    }
    return AL_OK;
}

/* By the id of the original, else by that of the copy: the same without the owner in front. */
static enum al_code find_copy(const struct asking *s, struct al_str id, struct copy *inout,
                              bool *ret_found, struct al_err *err)
{
    inout->own_id = id;
    AL_TRY(find_record(s, AL_STR(""), inout, ret_found, err));
    size_t slash = al_str_find(id, AL_STR("/"), 0);
    if (*ret_found || slash == SIZE_MAX || slash + 1 == id.n)
        return AL_OK;
    inout->own_id = al_str_sub(id, slash + 1, SIZE_MAX);
    return find_record(s, id, inout, ret_found, err);
}

static enum al_code find_copies(const struct asking *s, const struct al_withdraw_request *req,
                                struct copies *ret, struct al_err *err)
{
    static const uint8_t tables[COPIES_MAX] = {AL_TABLE_PROMOTION, AL_TABLE_TEAM_COPY};
    ret->n = 0;
    for (size_t i = 0; i < COPIES_MAX; i++) {
        struct copy c = {.table = tables[i]};
        bool found = false;
        AL_TRY(find_copy(s, req->id, &c, &found, err));
        if (found && (!req->space || req->space == c.space))
            ret->v[ret->n++] = c;
    }
    if (ret->n)
        return AL_OK;
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "ITEM_STATE",
                     "item: '" AL_STR_FMT "' has not been shared there by your team",
                     AL_STR_ARG(al_str_sub(req->id, 0, 100)));
}

static enum al_code encode_copies(const struct copies *copies, struct al_arena *a,
                                  struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    for (size_t i = 0; i < copies->n; i++) {
        al_buf_char(&b, (char)copies->v[i].table);
        al_buf_u32le(&b, copies->v[i].source_space);
        al_buf_lenstr(&b, copies->v[i].own_id);
        al_buf_u32le(&b, copies->v[i].space);
        al_buf_lenstr(&b, copies->v[i].id);
    }
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code decode_copies(struct al_str saved, struct copies *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(saved);
    ret->n = 0;
    while (!r.failed && !al_reader_done(&r) && ret->n < COPIES_MAX) {
        struct copy *c = &ret->v[ret->n++];
        c->table = al_reader_u8(&r);
        c->source_space = al_reader_u32le(&r);
        c->own_id = al_reader_lenstr(&r);
        c->space = al_reader_u32le(&r);
        c->id = al_reader_lenstr(&r);
    }
    if (r.failed || !al_reader_done(&r))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: not of a withdrawal");
    return AL_OK;
}

/* Answer: how many, and the token. */
static enum al_code save_withdrawal(const struct al_items_context *ctx,
                                    const struct al_withdrawal *w, struct al_arena *a,
                                    struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    struct al_str token;
    AL_TRY(al_token_format(ctx->router, &w->token, a, &token, err));
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_u32le(&b, w->n_copies);
    al_buf_lenstr(&b, token);
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static enum al_code load_withdrawal(const struct al_items_context *ctx, struct al_str saved,
                                    struct al_arena *a, struct al_withdrawal *ret,
                                    struct al_err *err)
{
    struct al_reader r = al_reader_of(saved);
    ret->n_copies = al_reader_u32le(&r);
    struct al_str token = al_reader_lenstr(&r);
    if (!al_reader_done(&r))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: not of a withdrawal");
    return al_token_parse(ctx->router, token, a, &ret->token, err);
}

static enum al_code take_back(const struct al_items_context *ctx, const struct al_once *once,
                              struct copies *copies, struct al_arena *a, struct al_withdrawal *w,
                              struct al_err *err)
{
    for (size_t i = 0; i < copies->n; i++) {
        struct copy *c = &copies->v[i];
        al_once_shard_id(once, (uint32_t)i, c->write_id);
        AL_TRY(delete_copy(ctx, c, a, &w->token, err));
        AL_TRY(write_record(ctx, c, false, a, err));
    }
    w->n_copies = (uint32_t)copies->n;
    return AL_OK;
}

enum al_code al_items_withdraw(const struct al_items_context *ctx, const struct al_credential *cred,
                               const struct al_withdraw_request *req, struct al_arena *a,
                               struct al_withdrawal *ret, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    if (req->id.n < 1 || req->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: %zu bytes, 1 to %u are allowed", req->id.n, AL_DOC_ID_BYTES_MAX);
    struct al_once once;
    struct copies copies = {0};
    const struct asking who = {ctx, cred, a};
    struct al_withdrawal w = {0};
    struct al_str text;
    AL_TRY(al_token_init(ctx->router, a, &w.token, err));
    AL_TRY(al_once_begin(ctx->once, cred, &req->name, a, &once, err));
    if (once.state == AL_ONCE_NONE || once.state == AL_ONCE_NEW) {
        AL_TRY(find_copies(&who, req, &copies, err));
        AL_TRY(encode_copies(&copies, a, &text, err));
        AL_TRY(al_once_claim(&once, text, a, err));
    }
    if (once.state == AL_ONCE_SETTLED)
        return load_withdrawal(ctx, once.saved, a, ret, err);
    if (once.state == AL_ONCE_BEGUN)
        AL_TRY(decode_copies(once.saved, &copies, err));
    AL_TRY(take_back(ctx, &once, &copies, a, &w, err));
    AL_TRY(save_withdrawal(ctx, &w, a, &text, err));
    al_once_end(&once, text, a);
    *ret = w;
    return AL_OK;
}
