/* Delete by filter: count and digest first, then the same with the digest. */
#include <stdio.h>
#include <string.h>

#include "key_text.h"
#include "service.h"

#define DELETE_PAGE 500u
#define DELETE_MAX 1000000u
#define SAMPLES_MAX 20u
#define WRITE_TIMEOUT_MS 30000u
#define WRITE_ID_BYTES_MAX 64u
#define SCRATCH_BYTES_MAX ((size_t)64 << 20)

struct bulk {
    struct al_coordinator *c;
    struct al_rpc_call *call;
    uint32_t space;
    const struct al_filter *filter;
    bool apply;
    uint64_t count;
    uint8_t digest[32]; /* of space, filter and all ids, in order */
    struct al_str samples[SAMPLES_MAX];
    size_t n_samples;
    struct al_token until; /* what is newer was not looked at and stays */
    struct al_token token;
};

static enum al_code chain(struct bulk *b, struct al_str s, struct al_err *err)
{
    struct al_buf chain;
    al_buf_init(&chain, b->c->opt.mem, 0);
    al_buf_add(&chain, b->digest, sizeof b->digest);
    al_buf_lenstr(&chain, s);
    enum al_code c = al_buf_status(&chain, err);
    if (c == AL_OK)
        al_digest(al_buf_view(&chain), b->digest);
    al_buf_fini(&chain);
    return c;
}

static enum al_code bulk_look(struct bulk *b, const struct al_doc_page *page, struct al_err *err)
{
    for (size_t i = 0; i < page->n_docs; i++) {
        AL_TRY(chain(b, page->docs[i].id, err));
        if (b->n_samples < SAMPLES_MAX)
            AL_TRY(al_arena_str(al_rpc_call_arena(b->call), page->docs[i].id,
                                &b->samples[b->n_samples++], err));
    }
    b->count += page->n_docs;
    return AL_OK;
}

/* Each with the version that was looked at: one that changes meanwhile stays. */
static enum al_code bulk_delete(struct bulk *b, size_t shard, const struct al_doc_page *page,
                                struct al_arena *a, struct al_err *err)
{
    static const uint8_t no_write_id[16];
    struct al_op *ops = al_arena_array(a, page->n_docs + 1, sizeof *ops);
    if (!ops)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < page->n_docs; i++)
        ops[i] = (struct al_op){.kind = AL_OP_DELETE_DOC,
                                .condition = AL_IF_VERSION,
                                .version = al_doc_log_index(&page->docs[i]),
                                .space = b->space,
                                .id = page->docs[i].id};
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

/* Leave out what came after the call did. */
static void drop_newer(const struct bulk *b, size_t shard, struct al_doc_page *page)
{
    size_t n = 0;
    for (size_t i = 0; i < page->n_docs; i++) {
        if (al_doc_log_index(&page->docs[i]) <= b->until.index[shard])
            page->docs[n++] = page->docs[i];
    }
    page->n_docs = n;
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
        drop_newer(b, cursor.from, &page);
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
    al_arena_init(&scratch, b->c->opt.mem, SCRATCH_BYTES_MAX);
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
    else
        AL_TRY(al_require_team_space(b->c, cred, b->space, a, err));
    AL_TRY(al_filter_compile(al_str_c(m->filter), a, &b->filter, err));
    if (!b->filter)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED",
                         "filter: needed to delete; id != \"\" means everything");
    if (strlen(m->write_id) > WRITE_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "write id: at most %u bytes",
                         WRITE_ID_BYTES_MAX);
    uint8_t space[4] = {(uint8_t)(b->space >> 24), (uint8_t)(b->space >> 16),
                        (uint8_t)(b->space >> 8), (uint8_t)b->space};
    AL_TRY(chain(b, (struct al_str){(const char *)space, sizeof space}, err));
    AL_TRY(chain(b, al_str_c(m->filter), err));
    AL_TRY(al_token_init(b->c->opt.router, a, &b->until, err));
    return al_token_init(b->c->opt.router, a, &b->token, err);
}

static void look_until_now(struct bulk *b)
{
    const struct al_router *r = b->c->opt.router;
    for (size_t i = 0; i < r->n_shards; i++) {
        struct al_shard_status st;
        r->shards[i]->ops->get_status(r->shards[i], &st);
        b->until.index[i] = st.applied_index;
    }
}

/* ---- once: plan and answer have the same form ---- */

static enum al_code save(const struct bulk *b, const struct al_token *t, struct al_arena *a,
                         struct al_str *ret, struct al_err *err)
{
    struct al_buf buf;
    struct al_str token;
    AL_TRY(al_token_format(b->c->opt.router, t, a, &token, err));
    al_buf_init(&buf, al_arena_mem(a), 0);
    al_buf_u64le(&buf, b->count);
    al_buf_lenstr(&buf, token);
    al_buf_varint(&buf, b->n_samples);
    for (size_t i = 0; i < b->n_samples; i++)
        al_buf_lenstr(&buf, b->samples[i]);
    AL_TRY(al_buf_status(&buf, err));
    *ret = al_buf_view(&buf);
    return AL_OK;
}

static enum al_code load(struct bulk *b, struct al_str saved, struct al_arena *a,
                         struct al_token *ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(saved);
    b->count = al_reader_u64le(&r);
    struct al_str token = al_reader_lenstr(&r);
    uint64_t n = al_reader_varint(&r);
    for (b->n_samples = 0; !r.failed && b->n_samples < n && n <= SAMPLES_MAX; b->n_samples++)
        b->samples[b->n_samples] = al_reader_lenstr(&r);
    if (!al_reader_done(&r))
        return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT", "write record: not of a deletion");
    return al_token_parse(b->c->opt.router, token, a, ret, err);
}

/* What a former attempt deleted is covered as well. */
static void cover_all(struct bulk *b)
{
    const struct al_router *r = b->c->opt.router;
    for (size_t i = 0; i < r->n_shards; i++) {
        struct al_shard_status st;
        r->shards[i]->ops->get_status(r->shards[i], &st);
        b->token.index[i] = st.applied_index;
    }
}

/* By the plan: `until` and what was counted then. */
static enum al_code bulk_apply(struct bulk *b, struct al_once *once, struct al_arena *a,
                               struct al_err *err)
{
    uint64_t planned;
    if (once->again)
        AL_TRY(load(b, once->saved, a, &b->until, err));
    planned = b->count;
    b->apply = true;
    b->count = 0;
    AL_TRY(bulk_run(b, err));
    if (once->again) {
        cover_all(b);
        b->count = planned;
    }
    struct al_str answer;
    AL_TRY(save(b, &b->token, a, &answer, err));
    al_once_end(once, answer, a);
    return AL_OK;
}

static void digest_hex(const struct bulk *b, char ret[33])
{
    for (size_t i = 0; i < 16; i++)
        snprintf(ret + 2 * i, 3, "%02x", b->digest[i]);
}

static enum al_code bulk_confirm(struct bulk *b, const Airlore__V1__DeleteItemsRequest *m,
                                 struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(b->call);
    struct al_once_name name;
    struct al_once once;
    char hex[33];
    AL_TRY(al_once_name_of(b->call, &m->base, m->write_id, &name, err));
    AL_TRY(al_once_begin(b->c->once, al_call_credential(b->call), &name, a, &once, err));
    if (once.state == AL_ONCE_NONE || once.state == AL_ONCE_NEW) {
        look_until_now(b);
        AL_TRY(bulk_run(b, err));
        digest_hex(b, hex);
        if (strcmp(m->confirm_digest, hex) != 0)
            return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "PREVIEW_STALE",
                             "delete: other items match now than in that preview");
    }
    if (once.state == AL_ONCE_NEW) {
        struct al_str plan;
        AL_TRY(save(b, &b->until, a, &plan, err));
        AL_TRY(al_once_claim(&once, plan, a, err));
    }
    if (once.state == AL_ONCE_SETTLED)
        return load(b, once.saved, a, &b->token, err);
    return bulk_apply(b, &once, a, err);
}

AL_UNARY(al_serve_delete_items)
{
    const Airlore__V1__DeleteItemsRequest *m = (const Airlore__V1__DeleteItemsRequest *)req;
    struct bulk b = {.c = ctx, .call = call};
    struct al_arena *a = al_rpc_call_arena(call);
    char hex[33] = "";
    AL_TRY(bulk_begin(&b, m, err));
    if (m->confirm_digest[0]) {
        AL_TRY(bulk_confirm(&b, m, err));
    } else {
        look_until_now(&b);
        AL_TRY(bulk_run(&b, err));
        digest_hex(&b, hex);
    }
    Airlore__V1__DeleteItemsResponse *out =
        al_msg_new(a, &airlore__v1__delete_items_response__descriptor);
    if (!out)
        return al_msg_no_memory(err);
    out->sample_ids = al_msg_list(a, b.n_samples);
    if (!out->sample_ids)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < b.n_samples; i++) {
        out->sample_ids[i] = al_msg_str(a, b.samples[i]);
        if (!out->sample_ids[out->n_sample_ids++])
            return al_msg_no_memory(err);
    }
    out->deleted = m->confirm_digest[0] != '\0';
    out->count = b.count;
    out->digest = al_msg_str(a, al_str_c(hex));
    AL_TRY(al_token_text(b.c, &b.token, a, &out->token, err));
    *ret_reply = &out->base;
    return out->digest ? AL_OK : al_msg_no_memory(err);
}
