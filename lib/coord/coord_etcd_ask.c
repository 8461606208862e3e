/* Bodies of requests to etcd's JSON gateway, and base64. */
#include <string.h>

#include "etcd_json.h"

#define KEY_ROOM 2048u

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Bytes that wait for the rest of their three. */
struct encoder {
    struct al_buf *out;
    uint32_t bits;
    uint32_t n;
};

static void put_quad(struct encoder *e, uint32_t n_chars)
{
    char quad[4] = {'=', '=', '=', '='};
    for (uint32_t i = 0; i < n_chars; i++)
        quad[i] = alphabet[e->bits >> (18 - 6 * i) & 63u];
    al_buf_add(e->out, quad, sizeof quad);
}

static void encode(struct encoder *e, struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        e->bits |= (uint32_t)(uint8_t)s.p[i] << (16 - 8 * e->n);
        if (++e->n < 3)
            continue;
        put_quad(e, 4);
        e->bits = 0;
        e->n = 0;
    }
}

void al_etcd_base64(struct al_buf *ret, struct al_str a, struct al_str b)
{
    struct encoder e = {.out = ret};
    encode(&e, a);
    encode(&e, b);
    if (e.n > 0)
        put_quad(&e, e.n + 1);
}

static enum al_code bad_base64(struct al_err *err)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER", "etcd: a text that is not base64");
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum al_code al_etcd_unbase64(struct al_str text, size_t most_bytes, struct al_arena *a,
                              struct al_str *ret, struct al_err *err)
{
    if (text.n % 4 != 0)
        return bad_base64(err);
    size_t n_pad = 0;
    while (n_pad < 2 && n_pad < text.n && text.p[text.n - 1 - n_pad] == '=')
        n_pad++;
    size_t n = text.n / 4 * 3 - n_pad;
    if (n > most_bytes)
        return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER",
                         "etcd: a text of %zu bytes, the most is %zu", n, most_bytes);
    char *out = al_arena_alloc(a, n);
    if (!out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: answer: out of memory");
    uint32_t bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool is_pad = i >= text.n - n_pad;
        int v = is_pad ? 0 : value_of(text.p[i]);
        if (v < 0)
            return bad_base64(err);
        bits = bits << 6 | (uint32_t)v;
        for (uint32_t k = 0; i % 4 == 3 && k < 3 && at < n; k++)
            out[at++] = (char)(bits >> (16 - 8 * k) & 255u);
    }
    *ret = (struct al_str){out, n};
    return AL_OK;
}

/* ---- pieces ---- */

static void ask_bytes(struct al_buf *b, const char *name, struct al_str x, struct al_str y)
{
    al_buf_printf(b, "\"%s\":\"", name);
    al_etcd_base64(b, x, y);
    al_buf_char(b, '"');
}

static void ask_number(struct al_buf *b, const char *name, int64_t v)
{
    al_buf_printf(b, ",\"%s\":\"%lld\"", name, (long long)v);
}

/* Keys from `from` (prefix and key) to before the first that has not the prefix x y. */
static void ask_range(struct al_buf *b, struct al_str x, struct al_str y, struct al_str from)
{
    char end[KEY_ROOM];
    size_t n = x.n + y.n;
    AL_ASSERT(n < sizeof end); /* al_coord_txn and al_coord_watch checked it */
    if (x.n)
        memcpy(end, x.p, x.n);
    if (y.n)
        memcpy(end + x.n, y.p, y.n);
    /* The first key above all those with the prefix; none: "\0" stands for the end of all keys. */
    while (n > 0 && (uint8_t)end[n - 1] == 255)
        n--;
    if (n > 0)
        end[n - 1] = (char)((uint8_t)end[n - 1] + 1);
    struct al_str nul = {"", 1};
    if (from.n == 0)
        ask_bytes(b, "key", x.n + y.n ? x : nul, x.n + y.n ? y : AL_STR(""));
    else
        ask_bytes(b, "key", from, nul); /* the next key after it */
    al_buf_char(b, ',');
    ask_bytes(b, "range_end", n ? (struct al_str){end, n} : nul, AL_STR(""));
}

/* ---- transactions ---- */

static void ask_compare(struct al_buf *b, struct al_str prefix, const struct al_coord_compare *c)
{
    static const char *const targets[] = {"", "CREATE", "MOD", "VERSION", "VALUE"};
    static const char *const fields[] = {"", "create_revision", "mod_revision", "version", ""};
    static const char *const results[] = {"", "EQUAL", "NOT_EQUAL", "LESS", "GREATER"};
    al_buf_printf(b, "{\"target\":\"%s\",\"result\":\"%s\",", targets[c->target],
                  results[c->relation]);
    ask_bytes(b, "key", prefix, c->key);
    if (c->target == AL_COORD_VALUE) {
        al_buf_char(b, ',');
        ask_bytes(b, "value", c->value, AL_STR(""));
    } else {
        ask_number(b, fields[c->target], c->number);
    }
    al_buf_char(b, '}');
}

static void ask_plain_put(struct al_buf *b, struct al_str prefix, const struct al_coord_op *op)
{
    al_buf_cstr(b, "{\"request_put\":{");
    ask_bytes(b, "key", prefix, op->key);
    al_buf_char(b, ',');
    ask_bytes(b, "value", op->value, AL_STR(""));
    if (op->lease)
        ask_number(b, "lease", (int64_t)op->lease);
    if (op->keep_lease)
        al_buf_cstr(b, ",\"ignore_lease\":true");
    al_buf_cstr(b, "}}");
}

/* etcd refuses to keep the lease of a key that does not exist: there, a plain put. */
static void ask_keeping_put(struct al_buf *b, struct al_str prefix, const struct al_coord_op *op)
{
    struct al_coord_compare is_there = al_coord_if_create(op->key, AL_COORD_GREATER, 0);
    struct al_coord_op plain = al_coord_put(op->key, op->value, 0);
    al_buf_cstr(b, "{\"request_txn\":{\"compare\":[");
    ask_compare(b, prefix, &is_there);
    al_buf_cstr(b, "],\"success\":[");
    ask_plain_put(b, prefix, op);
    al_buf_cstr(b, "],\"failure\":[");
    ask_plain_put(b, prefix, &plain);
    al_buf_cstr(b, "]}}");
}

/* etcd sorts by create_revision alone: keys of one revision come in any order. All of the revision
 * at the limit are asked for, and sorted and cut when read. */
static uint64_t limit_of(const struct al_coord_op *op)
{
    bool may_tie = op->limit && op->order == AL_COORD_BY_CREATE;
    return (uint64_t)op->limit + (may_tie ? AL_ETCD_TXN_OPS - 1 : 0);
}

static void ask_get_prefix(struct al_buf *b, struct al_str prefix, const struct al_coord_op *op)
{
    al_buf_cstr(b, "{\"request_range\":{");
    ask_range(b, prefix, op->key, AL_STR(""));
    if (op->limit)
        ask_number(b, "limit", (int64_t)limit_of(op));
    al_buf_printf(b, ",\"sort_target\":\"%s\",\"sort_order\":\"ASCEND\"}}",
                  op->order == AL_COORD_BY_CREATE ? "CREATE" : "KEY");
}

static void ask_op(struct al_buf *b, struct al_str prefix, const struct al_coord_op *op)
{
    switch (op->kind) {
    case AL_COORD_PUT:
        if (op->keep_lease)
            ask_keeping_put(b, prefix, op);
        else
            ask_plain_put(b, prefix, op);
        break;
    case AL_COORD_DELETE:
        al_buf_cstr(b, "{\"request_delete_range\":{");
        ask_bytes(b, "key", prefix, op->key);
        al_buf_cstr(b, "}}");
        break;
    case AL_COORD_DELETE_PREFIX:
        al_buf_cstr(b, "{\"request_delete_range\":{");
        ask_range(b, prefix, op->key, AL_STR(""));
        al_buf_cstr(b, "}}");
        break;
    case AL_COORD_GET:
        al_buf_cstr(b, "{\"request_range\":{");
        ask_bytes(b, "key", prefix, op->key);
        al_buf_cstr(b, "}}");
        break;
    case AL_COORD_GET_PREFIX:
        ask_get_prefix(b, prefix, op);
        break;
    }
}

static void ask_branch(struct al_buf *b, struct al_str prefix, const struct al_coord_op *ops,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            al_buf_char(b, ',');
        ask_op(b, prefix, &ops[i]);
    }
}

void al_etcd_ask_txn(struct al_buf *ret, struct al_str prefix, const struct al_coord_txn *txn)
{
    al_buf_cstr(ret, "{\"compare\":[");
    for (size_t i = 0; i < txn->n_compares; i++) {
        if (i)
            al_buf_char(ret, ',');
        ask_compare(ret, prefix, &txn->compares[i]);
    }
    al_buf_cstr(ret, "],\"success\":[");
    ask_branch(ret, prefix, txn->then_ops, txn->n_then);
    /* Without any op etcd takes the transaction for one that need not be linearizable, and the
     * member asked answers from what it has. */
    if (txn->n_then == 0 && txn->n_else == 0) {
        al_buf_cstr(ret, "{\"request_range\":{");
        ask_bytes(ret, "key", prefix.n ? prefix : (struct al_str){"", 1}, AL_STR(""));
        al_buf_cstr(ret, ",\"count_only\":true}}");
    }
    al_buf_cstr(ret, "],\"failure\":[");
    ask_branch(ret, prefix, txn->else_ops, txn->n_else);
    al_buf_cstr(ret, "]}");
}

/* ---- the others ---- */

void al_etcd_ask_grant(struct al_buf *ret, uint64_t lease, uint32_t ttl_s)
{
    al_buf_printf(ret, "{\"TTL\":\"%u\",\"ID\":\"%llu\"}", ttl_s, (unsigned long long)lease);
}

void al_etcd_ask_lease(struct al_buf *ret, uint64_t lease)
{
    al_buf_printf(ret, "{\"ID\":\"%llu\"}", (unsigned long long)lease);
}

void al_etcd_ask_compact(struct al_buf *ret, int64_t revision)
{
    al_buf_printf(ret, "{\"revision\":\"%lld\"}", (long long)revision);
}

static void ask_text(struct al_buf *b, struct al_str s)
{
    al_buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c < 32 || c == 127)
            al_buf_printf(b, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            al_buf_printf(b, "\\%c", c);
        else
            al_buf_char(b, s.p[i]);
    }
    al_buf_char(b, '"');
}

void al_etcd_ask_auth(struct al_buf *ret, struct al_str user, struct al_str password)
{
    al_buf_cstr(ret, "{\"name\":");
    ask_text(ret, user);
    al_buf_cstr(ret, ",\"password\":");
    ask_text(ret, password);
    al_buf_char(ret, '}');
}

void al_etcd_ask_watch(struct al_buf *ret, struct al_str prefix, int64_t from_revision)
{
    al_buf_cstr(ret, "{\"create_request\":{");
    ask_range(ret, prefix, AL_STR(""), AL_STR(""));
    ask_number(ret, "start_revision", from_revision);
    al_buf_cstr(ret, ",\"progress_notify\":true,\"fragment\":true}}");
}

void al_etcd_ask_probe(struct al_buf *ret, struct al_str prefix)
{
    al_buf_char(ret, '{');
    ask_bytes(ret, "key", prefix.n ? prefix : (struct al_str){"", 1}, AL_STR(""));
    al_buf_cstr(ret, ",\"serializable\":true,\"count_only\":true}");
}

void al_etcd_ask_page(struct al_buf *ret, const struct al_etcd_page *page)
{
    al_buf_char(ret, '{');
    ask_range(ret, page->prefix, AL_STR(""), page->after);
    ask_number(ret, "limit", page->limit);
    if (page->revision)
        ask_number(ret, "revision", page->revision);
    al_buf_char(ret, '}');
}
