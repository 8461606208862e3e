#include <stdio.h>
#include <string.h>

#include "key_text.h"
#include "service.h"

#define LIST_DEFAULT 50u
#define LIST_MAX 1000u
#define DELETE_PAGE 500u
#define DELETE_MAX 1000000u
#define SAMPLES_MAX 20u
#define WRITE_TIMEOUT_MS 30000u

static struct al_items_context items_context(const struct al_coordinator *c)
{
    return (struct al_items_context){c->opt.router, c->opt.system, c->opt.embedder, c->opt.clock};
}

AL_UNARY(al_serve_get_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__GetItemRequest *m = (const Airlore__V1__GetItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    const struct al_credential *cred = al_call_credential(call);
    uint32_t space;
    struct al_doc d;
    if ((unsigned)m->view > AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL_WITH_VECTORS)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "view: %d is none", (int)m->view);
    AL_TRY(al_wait_token(c, call, m->after_token, a, err));
    if (al_resolve_space(c, cred, m->space, &space, err) != AL_OK) {
        if (err && err->code == AL_PERMISSION_DENIED)
            return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                             "item: '%.100s' is not there, or not readable with this key", m->id);
        return err ? err->code : AL_INVALID_ARGUMENT;
    }
    bool vectors = m->view == AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL_WITH_VECTORS;
    AL_TRY(al_items_get(&ic, cred, al_str_c(m->id), space, vectors, a, &d, err));
    Airlore__V1__GetItemResponse *out = al_msg_new(a, &airlore__v1__get_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->item = al_msg_item(c, a, &d, m->view);
    if (!out->item)
        return al_msg_no_memory(err);
    *ret_reply = &out->base;
    return AL_OK;
}

/* The spaces a list goes through: all readable ones, or the one that is named if it is readable. */
static enum al_code list_spaces(struct al_coordinator *c, const struct al_credential *cred,
                                const char *name, struct al_list_query *q, uint32_t *one,
                                struct al_err *err)
{
    AL_TRY(al_resolve_space(c, cred, name, one, err));
    q->spaces = *one ? one : cred->spaces;
    q->n_spaces = *one ? 1 : cred->n_spaces;
    return AL_OK;
}

AL_UNARY(al_serve_list_items)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListItemsRequest *m = (const Airlore__V1__ListItemsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_list_query q = {0};
    AL_TRY(al_page_size(m->page_size, LIST_DEFAULT, LIST_MAX, &q.limit, err));
    if (m->view != AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_UNSPECIFIED &&
        m->view != AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_BASIC)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "list: views with texts are not there yet; get the items one by one");
    uint32_t one;
    struct al_page_cursor cursor;
    struct al_doc_page page;
    AL_TRY(al_wait_token(c, call, m->after_token, a, err));
    AL_TRY(list_spaces(c, al_call_credential(call), m->space, &q, &one, err));
    AL_TRY(al_filter_compile(al_str_c(m->filter), a, &q.filter, err));
    AL_TRY(al_page_parse(c, al_str_c(m->page_token), a, &cursor, err));
    AL_TRY(al_list_docs(c, &q, &cursor, a, &page, err));
    Airlore__V1__ListItemsResponse *out =
        al_msg_new(a, &airlore__v1__list_items_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->items = al_msg_list(a, page.n_docs);
    if (!out->items)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < page.n_docs; i++) {
        out->items[i] = al_msg_item(c, a, &page.docs[i], AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_BASIC);
        if (!out->items[out->n_items++])
            return al_msg_no_memory(err);
    }
    AL_TRY(al_page_format(c, &cursor, a, &out->next_page_token, err));
    *ret_reply = &out->base;
    return AL_OK;
}

AL_UNARY(al_serve_delete_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__DeleteItemRequest *m = (const Airlore__V1__DeleteItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    uint32_t space;
    bool deleted = false;
    struct al_token t;
    AL_TRY(al_resolve_space(c, al_call_credential(call), m->space, &space, err));
    AL_TRY(al_items_delete(&ic, al_call_credential(call), al_str_c(m->id), space, a, &deleted, &t,
                           err));
    if (!deleted && !m->allow_missing)
        return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND", "item: '%.100s' is not there", m->id);
    Airlore__V1__DeleteItemResponse *out =
        al_msg_new(a, &airlore__v1__delete_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->deleted = deleted;
    AL_TRY(al_token_text(c, &t, a, &out->token, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- delete by filter: count and digest first, then the same with the digest ---- */

struct bulk {
    struct al_coordinator *c;
    struct al_rpc_call *call;
    uint32_t space;
    const struct al_filter *filter;
    bool apply;
    uint64_t count;
    uint8_t digest[32]; /* of all ids, in order */
    char *samples[SAMPLES_MAX];
    size_t n_samples;
    struct al_token token;
};

static enum al_code bulk_look(struct bulk *b, const struct al_doc_page *page, struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(b->call);
    for (size_t i = 0; i < page->n_docs; i++) {
        struct al_buf chain;
        al_buf_init(&chain, b->c->opt.mem, 0);
        al_buf_add(&chain, b->digest, sizeof b->digest);
        al_buf_lenstr(&chain, page->docs[i].id);
        enum al_code c = al_buf_status(&chain, err);
        if (c == AL_OK)
            al_digest(al_buf_view(&chain), b->digest);
        al_buf_fini(&chain);
        if (c != AL_OK)
            return c;
        if (b->n_samples < SAMPLES_MAX) {
            b->samples[b->n_samples] = al_msg_str(a, page->docs[i].id);
            if (!b->samples[b->n_samples++])
                return al_msg_no_memory(err);
        }
    }
    b->count += page->n_docs;
    return AL_OK;
}

static enum al_code bulk_delete(struct bulk *b, size_t shard, const struct al_doc_page *page,
                                struct al_arena *a, struct al_err *err)
{
    static const uint8_t no_write_id[16];
    struct al_op *ops = al_arena_array(a, page->n_docs + 1, sizeof *ops);
    if (!ops)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < page->n_docs; i++)
        ops[i] =
            (struct al_op){.kind = AL_OP_DELETE_DOC, .space = b->space, .id = page->docs[i].id};
    if (!page->n_docs)
        return AL_OK;
    struct al_shard_port *p = b->c->opt.router->shards[shard];
    struct al_write_result res = {0};
    AL_TRY(p->ops->write(p, ops, page->n_docs, no_write_id,
                         al_clock_deadline(b->c->opt.clock, WRITE_TIMEOUT_MS), a, &res, err));
    b->token.index[shard] = res.index;
    for (size_t i = 0; i < page->n_docs; i++)
        b->count += res.outcomes[i] == AL_OUTCOME_DELETED;
    return AL_OK;
}

static enum al_code bulk_pages(struct bulk *b, struct al_arena *scratch, struct al_err *err)
{
    struct al_page_cursor cursor = {.after = {"", 0}};
    char after[1024];
    while (!cursor.at_end) {
        al_arena_reset(scratch);
        if (al_rpc_call_is_cancelled(b->call))
            return AL_FAIL(err, AL_CANCELLED, "delete: the client has gone");
        struct al_list_query q = {
            .spaces = &b->space, .n_spaces = 1, .filter = b->filter, .limit = DELETE_PAGE};
        struct al_doc_page page;
        AL_TRY(al_list_docs(b->c, &q, &cursor, scratch, &page, err));
        AL_TRY(b->apply ? bulk_delete(b, cursor.from, &page, scratch, err)
                        : bulk_look(b, &page, err));
        if (cursor.after.n > sizeof after || b->count > DELETE_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                             "delete: more than %u items match; narrow the filter", DELETE_MAX);
        memcpy(after, cursor.after.p ? cursor.after.p : "", cursor.after.n);
        cursor.after.p = after;
    }
    return AL_OK;
}

static enum al_code bulk_run(struct bulk *b, struct al_err *err)
{
    struct al_arena scratch;
    al_arena_init(&scratch, b->c->opt.mem, (size_t)64 << 20);
    enum al_code c = bulk_pages(b, &scratch, err);
    al_arena_fini(&scratch);
    return c;
}

static enum al_code bulk_begin(struct bulk *b, const Airlore__V1__DeleteItemsRequest *m,
                               struct al_err *err)
{
    const struct al_credential *cred = al_call_credential(b->call);
    struct al_arena *a = al_rpc_call_arena(b->call);
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    AL_TRY(al_resolve_space(b->c, cred, m->space, &b->space, err));
    b->space = b->space ? b->space : cred->own_space;
    if (b->space == AL_SPACE_COMMUNITY)
        AL_TRY(al_credential_require(cred, AL_ROLE_REVIEWER, err));
    else if (b->space != cred->own_space && b->space != cred->team_space)
        return AL_FAIL_R(err, AL_PERMISSION_DENIED, "SPACE_FORBIDDEN",
                         "space: this key does not write there");
    AL_TRY(al_filter_compile(al_str_c(m->filter), a, &b->filter, err));
    if (!b->filter)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED",
                         "filter: needed to delete; id != \"\" means everything");
    return al_token_init(b->c->opt.router, a, &b->token, err);
}

AL_UNARY(al_serve_delete_items)
{
    const Airlore__V1__DeleteItemsRequest *m = (const Airlore__V1__DeleteItemsRequest *)req;
    struct bulk b = {.c = ctx, .call = call};
    struct al_arena *a = al_rpc_call_arena(call);
    AL_TRY(bulk_begin(&b, m, err));
    AL_TRY(bulk_run(&b, err));
    char hex[33];
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", b.digest[i]);
    Airlore__V1__DeleteItemsResponse *out =
        al_msg_new(a, &airlore__v1__delete_items_response__descriptor);
    char **samples = al_msg_list(a, b.n_samples);
    if (!out || !samples)
        return al_msg_no_memory(err);
    memcpy(samples, b.samples, b.n_samples * sizeof *samples);
    out->sample_ids = samples;
    out->n_sample_ids = b.n_samples;
    if (m->confirm_digest[0]) {
        if (strcmp(m->confirm_digest, hex) != 0)
            return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "PREVIEW_STALE",
                             "delete: other items match now than in that preview");
        b.apply = true;
        b.count = 0;
        AL_TRY(bulk_run(&b, err));
        out->deleted = true;
    } else {
        out->digest = al_msg_str(a, al_str_c(hex));
    }
    out->count = b.count;
    AL_TRY(al_token_text(b.c, &b.token, a, &out->token, err));
    *ret_reply = &out->base;
    return out->digest ? AL_OK : al_msg_no_memory(err);
}

/* ---- promotion ---- */

AL_UNARY(al_serve_promote_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__PromoteItemRequest *m = (const Airlore__V1__PromoteItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    if (m->target == AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM || m->_named_case)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "promote: to the team, and naming for one item, are not there yet");
    if (m->target != AIRLORE__V1__VISIBILITY__VISIBILITY_UNSPECIFIED &&
        m->target != AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "target: %d is none",
                         (int)m->target);
    uint32_t space;
    struct al_promotion p;
    AL_TRY(al_resolve_space(c, al_call_credential(call), m->space, &space, err));
    struct al_promote_request what = {al_str_c(m->id), space, al_str_c(m->confirm_digest)};
    AL_TRY(al_items_promote(&ic, al_call_credential(call), &what, a, &p, err));
    Airlore__V1__PromoteItemResponse *out =
        al_msg_new(a, &airlore__v1__promote_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    p.doc.vectors = NULL;
    out->item = al_msg_item(c, a, &p.doc, AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL);
    if (!out->item)
        return al_msg_no_memory(err);
    out->item->redactions = p.redactions;
    out->promoted = p.promoted;
    out->digest = al_msg_str(a, p.promoted ? AL_STR("") : p.digest);
    AL_TRY(al_token_text(c, &p.token, a, &out->token, err));
    *ret_reply = &out->base;
    return out->digest ? AL_OK : al_msg_no_memory(err);
}

AL_UNARY(al_serve_withdraw_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__WithdrawItemRequest *m = (const Airlore__V1__WithdrawItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    struct al_token t;
    if (m->space[0] && strcmp(m->space, "community") != 0)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "withdraw: only from the community, so far");
    AL_TRY(al_items_withdraw(&ic, al_call_credential(call), al_str_c(m->id), a, &t, err));
    Airlore__V1__WithdrawItemResponse *out =
        al_msg_new(a, &airlore__v1__withdraw_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->withdrawn = 1;
    AL_TRY(al_token_text(c, &t, a, &out->token, err));
    *ret_reply = &out->base;
    return AL_OK;
}
