#include "page.h"

#include <sodium.h>
#include <string.h>

#include "service.h"

#define SEAL_BYTES ((size_t)crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
#define TOKEN_CHARS_MAX 4096u
#define HEAD_BYTES 18u /* shard u16, time u64, request u64; then the key */
#define KEPT_MS (24ull * 60 * 60 * 1000)

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

/* The key that a page ends at may be that of another team's document, so tokens are sealed: what is
 * in them is neither read nor made up by clients. */
static enum al_code unseal(struct al_coordinator *c, const uint8_t *sealed, size_t n,
                           struct al_arena *a, struct al_page_cursor *ret, struct al_err *err)
{
    if (n < SEAL_BYTES + HEAD_BYTES)
        return bad_token(err);
    size_t n_plain = n - SEAL_BYTES;
    uint8_t *plain = al_arena_alloc(a, n_plain);
    if (!plain)
        return al_msg_no_memory(err);
    if (crypto_secretbox_open_easy(plain, sealed + crypto_secretbox_NONCEBYTES,
                                   n - crypto_secretbox_NONCEBYTES, sealed, c->page_key) != 0)
        return bad_token(err);
    struct al_reader r = al_reader_of((struct al_str){(const char *)plain, n_plain});
    ret->shard = al_reader_u16be(&r);
    uint64_t made_ms = al_reader_u64le(&r);
    uint64_t request = al_reader_u64le(&r);
    ret->after = al_reader_bytes(&r, n_plain - HEAD_BYTES);
    uint64_t now_ms = al_clock_wall_ms(c->opt.clock);
    bool is_old = now_ms > made_ms && now_ms - made_ms > KEPT_MS;
    bool is_good = ret->shard < c->opt.router->n_shards && request == ret->request && !is_old;
    return is_good ? AL_OK : bad_token(err);
}

uint64_t al_page_request(const char *const *fields, size_t n)
{
    crypto_generichash_state h;
    uint8_t digest[crypto_generichash_BYTES_MIN];
    uint64_t ret;
    crypto_generichash_init(&h, NULL, 0, sizeof digest);
    for (size_t i = 0; i < n; i++) /* each with the NUL at its end */
        crypto_generichash_update(&h, (const uint8_t *)fields[i], strlen(fields[i]) + 1);
    crypto_generichash_final(&h, digest, sizeof digest);
    memcpy(&ret, digest, sizeof ret);
    return ret;
}

enum al_code al_page_parse(struct al_coordinator *c, struct al_str token, uint64_t request,
                           struct al_arena *a, struct al_page_cursor *ret, struct al_err *err)
{
    *ret = (struct al_page_cursor){.shard = 0, .after = {"", 0}, .request = request};
    if (!token.n)
        return AL_OK;
    if (token.n % 2 || token.n > TOKEN_CHARS_MAX)
        return bad_token(err);
    uint8_t *raw = al_arena_alloc(a, token.n / 2);
    if (!raw)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < token.n / 2; i++) {
        int hi = digit_of(token.p[2 * i]);
        int lo = digit_of(token.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return bad_token(err);
        raw[i] = (uint8_t)(hi << 4 | lo);
    }
    return unseal(c, raw, token.n / 2, a, ret, err);
}

enum al_code al_page_format(struct al_coordinator *c, const struct al_page_cursor *p,
                            struct al_arena *a, char **ret, struct al_err *err)
{
    if (p->at_end) {
        *ret = al_msg_str(a, AL_STR(""));
        return *ret ? AL_OK : al_msg_no_memory(err);
    }
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_u16be(&b, (uint16_t)p->shard);
    al_buf_u64le(&b, al_clock_wall_ms(c->opt.clock));
    al_buf_u64le(&b, p->request);
    al_buf_str(&b, p->after);
    AL_TRY(al_buf_status(&b, err));
    size_t n = b.n;
    uint8_t *sealed = al_arena_alloc(a, n + SEAL_BYTES);
    char *hex = al_arena_alloc(a, 2 * (n + SEAL_BYTES) + 1);
    if (!sealed || !hex)
        return al_msg_no_memory(err);
    al_random_fill(c->opt.random, sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, (const uint8_t *)b.p, n, sealed,
                          c->page_key);
    *ret = sodium_bin2hex(hex, 2 * (n + SEAL_BYTES) + 1, sealed, n + SEAL_BYTES);
    return AL_OK;
}

enum al_code al_page_size(int32_t wanted, uint32_t standard, uint32_t most, uint32_t *ret,
                          struct al_err *err)
{
    if (wanted < 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "OUT_OF_RANGE", "page size: %d is negative",
                         wanted);
    uint32_t n = wanted ? (uint32_t)wanted : standard;
    *ret = n < most ? n : most;
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
