#include <string.h>

#include "service.h"

#define LIST_DEFAULT 50u
#define LIST_MAX 1000u
#define PAGE_BYTES_MAX ((size_t)4 << 20)
#define MESSAGE_BYTES_DEFAULT ((size_t)16 << 20)
#define MESSAGE_SLACK ((size_t)64 << 10) /* for what is around the items */
#define SCRATCH_BYTES_MAX ((size_t)128 << 20)
#define VIEW_BASIC AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_BASIC
#define VIEW_FULL AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL
#define VIEW_VECTORS AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_FULL_WITH_VECTORS

static struct al_items_context items_context(const struct al_coordinator *c)
{
    return (struct al_items_context){.router = c->opt.router,
                                     .system = c->opt.system,
                                     .embedder = c->opt.embedder,
                                     .clock = c->opt.clock,
                                     .directory = c->directory,
                                     .once = c->once};
}

static enum al_code check_view(Airlore__V1__ItemView view, struct al_err *err)
{
    if ((unsigned)view <= VIEW_VECTORS)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "view: %d is none", (int)view);
}

/* The item with what is not in the document itself. */
static enum al_code make_item(struct al_coordinator *c, struct al_rpc_call *call,
                              const struct al_doc *d, Airlore__V1__ItemView view,
                              Airlore__V1__Item **ret, struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    struct al_str promoted;
    AL_TRY(al_items_promoted_id(&ic, al_call_credential(call), d, a, &promoted, err));
    Airlore__V1__Item *m = al_msg_item(c, a, d, view);
    if (!m)
        return al_msg_no_memory(err);
    m->promoted_id = al_msg_str(a, promoted);
    *ret = m;
    return m->promoted_id ? AL_OK : al_msg_no_memory(err);
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
    AL_TRY(check_view(m->view, err));
    AL_TRY(al_check_read_level(m->read_level, err));
    AL_TRY(al_wait_token(c, call, m->after_token, a, err));
    if (al_resolve_space(c, cred, m->space, &space, err) != AL_OK) {
        if (err && err->code == AL_PERMISSION_DENIED)
            return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND",
                             "item: '%.100s' is not there, or not readable with this key", m->id);
        return err ? err->code : AL_INVALID_ARGUMENT;
    }
    AL_TRY(al_items_get(&ic, cred, al_str_c(m->id), space, m->view == VIEW_VECTORS, a, &d, err));
    Airlore__V1__GetItemResponse *out = al_msg_new(a, &airlore__v1__get_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    AL_TRY(make_item(c, call, &d, m->view, &out->item, err));
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

/* One ListItems call. */
struct listing {
    struct al_coordinator *c;
    struct al_rpc_call *call;
    Airlore__V1__ItemView view;
    struct al_list_query q;
    struct al_page_cursor cursor;
    struct al_arena *a; /* of the answer */
    Airlore__V1__ListItemsResponse *out;
};

/* Attributes: a page of the shard is a page of the answer, cut where it would be too long. */
static enum al_code list_basic(struct listing *l, uint32_t wanted, struct al_err *err)
{
    struct al_doc_page page;
    l->q.limit = wanted;
    AL_TRY(al_list_docs(l->c, &l->q, &l->cursor, l->a, &page, err));
    for (size_t i = 0; i < page.n_docs; i++) {
        AL_TRY(make_item(l->c, l->call, &page.docs[i], VIEW_BASIC, &l->out->items[l->out->n_items],
                         err));
        l->out->n_items++;
    }
    return AL_OK;
}

/* At least the bytes that an item of this document takes in a message. */
static size_t size_of(const struct al_doc *d, Airlore__V1__ItemView view, uint32_t dim)
{
    size_t n = 1024 + d->id.n + d->title.n + d->url.n + d->body.n;
    for (size_t i = 0; i < d->n_tags; i++)
        n += d->tags[i].n + 8;
    for (size_t i = 0; i < d->n_meta; i++)
        n += 2 * (d->meta[i].key.n + d->meta[i].value.n) + 16; /* some are facts as well */
    for (size_t i = 0; i < d->n_chunks; i++)
        n += d->chunks[i].end - d->chunks[i].start + 2 * d->chunks[i].heading.n + 64;
    return n + (view == VIEW_VECTORS ? d->n_chunks * dim * sizeof(float) : 0);
}

static size_t message_bytes_max(const struct al_coordinator *c)
{
    size_t max = c->opt.message_bytes_max ? c->opt.message_bytes_max : MESSAGE_BYTES_DEFAULT;
    return max > 2 * MESSAGE_SLACK ? max - MESSAGE_SLACK : max / 2;
}

/* The next document with its texts, in scratch. *ret_found false: none, for now or at all. */
static enum al_code next_whole(struct listing *l, struct al_arena *scratch, struct al_doc *ret,
                               bool *ret_found, struct al_err *err)
{
    struct al_doc_page page;
    struct al_str after;
    AL_TRY(al_list_docs(l->c, &l->q, &l->cursor, scratch, &page, err));
    AL_TRY(al_arena_str(l->a, l->cursor.after, &after, err)); /* outlives scratch */
    l->cursor.after = after;
    *ret_found = false;
    if (!page.n_docs)
        return AL_OK;
    const struct al_doc *d = &page.docs[0];
    const struct al_router *r = l->c->opt.router;
    struct al_shard_port *p = r->shards[l->cursor.from];
    struct al_err gone = {0};
    enum al_code code =
        p->ops->get_doc(p, d->space, d->id, l->view == VIEW_VECTORS, scratch, ret, &gone);
    *ret_found = code == AL_OK;
    if (code == AL_OK || code == AL_NOT_FOUND) /* deleted meanwhile: an empty step */
        return AL_OK;
    if (err)
        *err = gone;
    return code;
}

/* Whole documents, one at a time, until the page is full. What is too large for any message comes
 * without its texts, so that a list ends. */
static enum al_code list_whole(struct listing *l, uint32_t wanted, struct al_arena *scratch,
                               struct al_err *err)
{
    size_t bytes = 0;
    uint32_t dim = al_embedder_dim(l->c->opt.embedder);
    l->q.limit = 1;
    for (uint32_t steps = 0; steps < wanted && !l->cursor.at_end; steps++) {
        struct al_page_cursor before = l->cursor;
        struct al_doc d;
        bool found;
        al_arena_reset(scratch);
        AL_TRY(next_whole(l, scratch, &d, &found, err));
        if (!found)
            continue;
        size_t size = size_of(&d, l->view, dim);
        bool fits = size <= message_bytes_max(l->c);
        if (bytes && bytes + size > PAGE_BYTES_MAX) {
            l->cursor = before;
            return AL_OK;
        }
        AL_TRY(make_item(l->c, l->call, &d, fits ? l->view : VIEW_BASIC,
                         &l->out->items[l->out->n_items], err));
        l->out->n_items++;
        bytes += fits ? size : 1024;
    }
    return AL_OK;
}

static enum al_code list_page(struct listing *l, uint32_t wanted, struct al_err *err)
{
    if (l->view == AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_UNSPECIFIED || l->view == VIEW_BASIC)
        return list_basic(l, wanted, err);
    struct al_arena scratch;
    al_arena_init(&scratch, l->c->opt.mem, SCRATCH_BYTES_MAX);
    enum al_code code = list_whole(l, wanted, &scratch, err);
    al_arena_fini(&scratch);
    return code;
}

AL_UNARY(al_serve_list_items)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListItemsRequest *m = (const Airlore__V1__ListItemsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    const struct al_credential *cred = al_call_credential(call);
    struct listing l = {.c = c, .call = call, .view = m->view, .a = a};
    uint32_t one;
    uint32_t wanted = 0;
    AL_TRY(al_page_size(m->page_size, LIST_DEFAULT, LIST_MAX, &wanted, err));
    AL_TRY(check_view(m->view, err));
    AL_TRY(al_check_read_level(m->read_level, err));
    AL_TRY(al_wait_token(c, call, m->after_token, a, err));
    AL_TRY(list_spaces(c, cred, m->space, &l.q, &one, err));
    AL_TRY(al_filter_compile(al_str_c(m->filter), a, &l.q.filter, err));
    const char *const of[] = {"ListItems", m->space, m->filter, cred->key->id};
    uint64_t request = al_page_request(of, AL_ARRAY_LEN(of));
    AL_TRY(al_page_parse(c, al_str_c(m->page_token), request, a, &l.cursor, err));
    l.out = al_msg_new(a, &airlore__v1__list_items_response__descriptor);
    if (!l.out)
        return al_msg_no_memory(err);
    l.out->items = al_msg_list(a, wanted);
    if (!l.out->items)
        return al_msg_no_memory(err);
    AL_TRY(list_page(&l, wanted, err));
    AL_TRY(al_page_format(c, &l.cursor, a, &l.out->next_page_token, err));
    *ret_reply = &l.out->base;
    return AL_OK;
}

AL_UNARY(al_serve_delete_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__DeleteItemRequest *m = (const Airlore__V1__DeleteItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    struct al_delete_request what = {.id = al_str_c(m->id)};
    struct al_deletion d;
    AL_TRY(al_resolve_space(c, al_call_credential(call), m->space, &what.space, err));
    AL_TRY(al_once_name_of(call, &m->base, m->write_id, &what.name, err));
    AL_TRY(al_items_delete(&ic, al_call_credential(call), &what, a, &d, err));
    if (!d.deleted && !m->allow_missing)
        return AL_FAIL_R(err, AL_NOT_FOUND, "ITEM_NOT_FOUND", "item: '%.100s' is not there", m->id);
    Airlore__V1__DeleteItemResponse *out =
        al_msg_new(a, &airlore__v1__delete_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->deleted = d.deleted;
    AL_TRY(al_token_text(c, &d.token, a, &out->token, err));
    *ret_reply = &out->base;
    return AL_OK;
}

/* ---- promotion ---- */

static enum al_code promote_request(struct al_coordinator *c, struct al_rpc_call *call,
                                    const Airlore__V1__PromoteItemRequest *m,
                                    struct al_promote_request *ret, struct al_err *err)
{
    switch (m->target) {
    case AIRLORE__V1__VISIBILITY__VISIBILITY_UNSPECIFIED:
    case AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY:
        ret->target = AL_VIS_COMMUNITY;
        break;
    case AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM:
        ret->target = AL_VIS_TEAM;
        break;
    case AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT:
    case _AIRLORE__V1__VISIBILITY_IS_INT_SIZE:
    default:
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "target: %d is none to promote to",
                         (int)m->target);
    }
    ret->id = al_str_c(m->id);
    ret->digest = al_str_c(m->confirm_digest);
    ret->has_named = m->_named_case;
    ret->named = m->named;
    AL_TRY(al_resolve_space(c, al_call_credential(call), m->space, &ret->space, err));
    return al_once_name_of(call, &m->base, m->write_id, &ret->name, err);
}

AL_UNARY(al_serve_promote_item)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__PromoteItemRequest *m = (const Airlore__V1__PromoteItemRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_items_context ic = items_context(c);
    struct al_promote_request what = {0};
    struct al_promotion p;
    AL_TRY(promote_request(c, call, m, &what, err));
    AL_TRY(al_items_promote(&ic, al_call_credential(call), &what, a, &p, err));
    Airlore__V1__PromoteItemResponse *out =
        al_msg_new(a, &airlore__v1__promote_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    p.doc.vectors = NULL;
    out->item = al_msg_item(c, a, &p.doc, VIEW_FULL);
    if (!out->item)
        return al_msg_no_memory(err);
    out->item->redactions = p.redactions;
    out->promoted = p.promoted;
    out->digest = al_msg_str(a, p.digest);
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
    struct al_withdraw_request what = {.id = al_str_c(m->id)};
    struct al_withdrawal w;
    AL_TRY(al_resolve_space(c, al_call_credential(call), m->space, &what.space, err));
    AL_TRY(al_once_name_of(call, &m->base, m->write_id, &what.name, err));
    AL_TRY(al_items_withdraw(&ic, al_call_credential(call), &what, a, &w, err));
    Airlore__V1__WithdrawItemResponse *out =
        al_msg_new(a, &airlore__v1__withdraw_item_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->withdrawn = w.n_copies;
    AL_TRY(al_token_text(c, &w.token, a, &out->token, err));
    *ret_reply = &out->base;
    return AL_OK;
}
