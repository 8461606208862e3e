#include "page.h"

#include "service.h"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static enum al_code bad_token(struct al_err *err)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PAGE_TOKEN",
                     "page token: not one that this server gave");
}

enum al_code al_page_parse(struct al_coordinator *c, struct al_str token, struct al_arena *a,
                           struct al_page_cursor *ret, struct al_err *err)
{
    *ret = (struct al_page_cursor){.shard = 0, .after = {"", 0}};
    if (!token.n)
        return AL_OK;
    if (token.n < 4 || token.n % 2 || token.n > 4096)
        return bad_token(err);
    char *raw = al_arena_alloc(a, token.n / 2);
    if (!raw)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < token.n / 2; i++) {
        int hi = digit_of(token.p[2 * i]);
        int lo = digit_of(token.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return bad_token(err);
        raw[i] = (char)(hi << 4 | lo);
    }
    struct al_reader r = al_reader_of((struct al_str){raw, token.n / 2});
    ret->shard = al_reader_u16be(&r);
    ret->after = al_reader_bytes(&r, token.n / 2 - 2);
    return ret->shard < c->opt.router->n_shards ? AL_OK : bad_token(err);
}

enum al_code al_page_format(const struct al_page_cursor *p, struct al_arena *a, char **ret,
                            struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_cstr(&b, "");
    if (!p->at_end) {
        al_buf_printf(&b, "%04x", (unsigned)p->shard);
        for (size_t i = 0; i < p->after.n; i++)
            al_buf_printf(&b, "%02x", (unsigned char)p->after.p[i]);
    }
    AL_TRY(al_buf_status(&b, err));
    *ret = b.p;
    return AL_OK;
}

enum al_code al_list_docs(struct al_coordinator *c, struct al_list_query *q,
                          struct al_page_cursor *cursor, struct al_arena *a,
                          struct al_doc_page *ret, struct al_err *err)
{
    const struct al_router *r = c->opt.router;
    *ret = (struct al_doc_page){0};
    while (cursor->shard < r->n_shards) {
        q->after = cursor->after;
        struct al_shard_port *p = r->shards[cursor->shard];
        AL_TRY(p->ops->list_docs(p, q, a, ret, err));
        cursor->after = ret->after;
        cursor->from = cursor->shard;
        if (ret->after.n)
            return AL_OK;
        cursor->shard++;
        if (ret->n_docs)
            break;
    }
    cursor->at_end = cursor->shard >= r->n_shards;
    return AL_OK;
}
