#include "airlore/router.h"

size_t al_router_of_doc(const struct al_router *r, uint32_t space, struct al_str id)
{
    return (size_t)al_doc_slot(space, id) * r->n_shards >> 16;
}

void al_router_slots(size_t i, size_t n, uint16_t *ret_first, uint16_t *ret_last)
{
    *ret_first = (uint16_t)((i << 16) / n);
    *ret_last = (uint16_t)(((i + 1) << 16) / n - 1);
}

enum al_code al_token_init(const struct al_router *r, struct al_arena *a, struct al_token *ret,
                           struct al_err *err)
{
    uint64_t *index = al_arena_array(a, r->n_shards, sizeof *index);
    if (!index)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    ret->index = index;
    return AL_OK;
}

enum al_code al_token_format(const struct al_router *r, const struct al_token *t,
                             struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    for (size_t i = 0; i < r->n_shards; i++) {
        if (t->index[i])
            al_buf_printf(&b, "%s%zu:%llx", b.n ? "," : "", i, (unsigned long long)t->index[i]);
    }
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

static bool parse_hex(struct al_str s, uint64_t *ret)
{
    if (s.n == 0 || s.n > 16)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *ret = v;
    return true;
}

static bool parse_part(const struct al_router *r, struct al_str part, struct al_token *t)
{
    size_t colon = al_str_find(part, AL_STR(":"), 0);
    uint64_t shard;
    uint64_t index;
    if (colon == SIZE_MAX || !al_str_u64(al_str_sub(part, 0, colon), &shard) ||
        shard >= r->n_shards || !parse_hex(al_str_sub(part, colon + 1, SIZE_MAX), &index))
        return false;
    t->index[shard] = index;
    return true;
}

enum al_code al_token_parse(const struct al_router *r, struct al_str text, struct al_arena *a,
                            struct al_token *ret, struct al_err *err)
{
    struct al_token t = {0};
    AL_TRY(al_token_init(r, a, &t, err));
    for (size_t from = 0; from < text.n;) {
        size_t comma = al_str_find(text, AL_STR(","), from);
        size_t end = comma == SIZE_MAX ? text.n : comma;
        if (!parse_part(r, al_str_sub(text, from, end - from), &t))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TOKEN",
                             "token: '" AL_STR_FMT "' is not one that this server gave",
                             AL_STR_ARG(al_str_sub(text, 0, 64)));
        from = end + 1;
    }
    *ret = t;
    return AL_OK;
}

/* What a write's answer names is committed; a token that names more was made up, and waiting for it
 * would hold a thread until the deadline. */
static enum al_code wait_one(struct al_shard_port *p, uint64_t index, uint64_t deadline_ns,
                             struct al_err *err)
{
    struct al_shard_status st;
    p->ops->get_status(p, &st);
    if (index > st.commit_index)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TOKEN",
                         "token: not one that this server gave");
    return p->ops->wait(p, index, deadline_ns, err);
}

enum al_code al_token_wait_shard(const struct al_router *r, const struct al_token *t, size_t shard,
                                 uint64_t deadline_ns, struct al_err *err)
{
    return t->index[shard] ? wait_one(r->shards[shard], t->index[shard], deadline_ns, err) : AL_OK;
}

enum al_code al_token_wait(const struct al_router *r, const struct al_token *t,
                           uint64_t deadline_ns, struct al_err *err)
{
    for (size_t i = 0; i < r->n_shards; i++) {
        AL_TRY(al_token_wait_shard(r, t, i, deadline_ns, err));
    }
    return AL_OK;
}
