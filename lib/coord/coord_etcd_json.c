/* Answers of etcd's JSON gateway. The one user of jansson here. */
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etcd_json.h"

#define VALUE_BYTES_MAX ((size_t)64 << 20)

static enum al_code bad(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER", "etcd: answer: %s", what);
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: answer: out of memory");
}

/* ---- JSON ---- */

/* Values that a text can hold at most. */
static size_t count_values(struct al_str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{' || text.p[i] == ':';
    return n;
}

static enum al_code parse(struct al_str text, json_t **ret, struct al_err *err)
{
    if (count_values(text) > AL_ETCD_VALUES_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: answer: more than %u values",
                       AL_ETCD_VALUES_MAX);
    json_error_t why;
    json_t *root = json_loadb(text.p ? text.p : "", text.n, 0, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory)
        return no_memory(err);
    if (!json_is_object(root)) {
        json_decref(root);
        return bad(err, "not a JSON object");
    }
    *ret = root;
    return AL_OK;
}

static struct al_str text_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_string(v))
        return (struct al_str){"", 0};
    return (struct al_str){json_string_value(v), json_string_length(v)};
}

/* A number given as text or number; absent: 0. Never through a double. */
static enum al_code number_of(const json_t *o, const char *name, int64_t *ret, struct al_err *err)
{
    const json_t *v = json_object_get(o, name);
    *ret = 0;
    if (!v)
        return AL_OK;
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return AL_OK;
    }
    struct al_str s = text_of(o, name);
    bool is_negative = s.n > 0 && s.p[0] == '-';
    uint64_t u = 0;
    if (!al_str_u64(al_str_sub(s, is_negative, s.n), &u) || u > INT64_MAX)
        return bad(err, "a number that is none");
    *ret = is_negative ? -(int64_t)u : (int64_t)u;
    return AL_OK;
}

static enum al_code revision_of(const json_t *o, int64_t *ret, struct al_err *err)
{
    AL_TRY(number_of(json_object_get(o, "header"), "revision", ret, err));
    return *ret > 0 ? AL_OK : bad(err, "it has no revision");
}

/* ---- keys and values ---- */

static enum al_code read_key(const json_t *o, struct al_str prefix, struct al_arena *a,
                             struct al_str *ret, struct al_err *err)
{
    struct al_str key;
    AL_TRY(al_etcd_unbase64(text_of(o, "key"), VALUE_BYTES_MAX, a, &key, err));
    if (!al_str_starts(key, prefix))
        return bad(err, "a key that was not asked for");
    *ret = al_str_sub(key, prefix.n, key.n - prefix.n);
    return AL_OK;
}

static enum al_code read_kv(const json_t *o, struct al_str prefix, struct al_arena *a,
                            struct al_coord_kv *ret, struct al_err *err)
{
    struct al_coord_kv kv = {.lease = 0};
    int64_t lease;
    AL_TRY(read_key(o, prefix, a, &kv.key, err));
    AL_TRY(al_etcd_unbase64(text_of(o, "value"), VALUE_BYTES_MAX, a, &kv.value, err));
    AL_TRY(number_of(o, "create_revision", &kv.create_revision, err));
    AL_TRY(number_of(o, "mod_revision", &kv.mod_revision, err));
    AL_TRY(number_of(o, "version", &kv.version, err));
    AL_TRY(number_of(o, "lease", &lease, err));
    if (lease < 0 || kv.create_revision <= 0 || kv.mod_revision < kv.create_revision ||
        kv.version <= 0)
        return bad(err, "a key with revisions that cannot be");
    kv.lease = (uint64_t)lease;
    *ret = kv;
    return AL_OK;
}

static enum al_code read_range(const json_t *o, struct al_str prefix, struct al_arena *a,
                               struct al_coord_answer *ret, struct al_err *err)
{
    const json_t *kvs = json_object_get(o, "kvs");
    size_t n = json_array_size(kvs);
    if (kvs && !json_is_array(kvs))
        return bad(err, "keys that are no list");
    struct al_coord_kv *out = al_arena_array(a, n + 1, sizeof *out);
    if (!out)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        AL_TRY(read_kv(json_array_get(kvs, i), prefix, a, &out[i], err));
    *ret = (struct al_coord_answer){
        .kvs = out, .n_kvs = n, .more = json_is_true(json_object_get(o, "more"))};
    return AL_OK;
}

static int by_create(const void *x, const void *y)
{
    const struct al_coord_kv *a = x;
    const struct al_coord_kv *b = y;
    if (a->create_revision != b->create_revision)
        return a->create_revision < b->create_revision ? -1 : 1;
    return al_str_cmp(a->key, b->key);
}

/* ---- transactions ---- */

static enum al_code read_op(const json_t *o, struct al_str prefix, const struct al_coord_op *op,
                            struct al_arena *a, struct al_coord_answer *ret, struct al_err *err)
{
    static const char *const names[] = {
        [AL_COORD_PUT] = "response_put",
        [AL_COORD_DELETE] = "response_delete_range",
        [AL_COORD_DELETE_PREFIX] = "response_delete_range",
        [AL_COORD_GET] = "response_range",
        [AL_COORD_GET_PREFIX] = "response_range",
    };
    const json_t *part = json_object_get(o, op->keep_lease ? "response_txn" : names[op->kind]);
    if (!json_is_object(part))
        return bad(err, "an op without its answer");
    if (op->kind == AL_COORD_PUT)
        return AL_OK;
    if (op->kind == AL_COORD_DELETE || op->kind == AL_COORD_DELETE_PREFIX) {
        int64_t n;
        AL_TRY(number_of(part, "deleted", &n, err));
        ret->n_deleted = n > 0 ? (uint64_t)n : 0;
        return AL_OK;
    }
    AL_TRY(read_range(part, prefix, a, ret, err));
    if (op->kind == AL_COORD_GET && ret->n_kvs > 1)
        return bad(err, "a key twice");
    if (op->order == AL_COORD_BY_CREATE && ret->n_kvs > 1)
        qsort(ret->kvs, ret->n_kvs, sizeof *ret->kvs, by_create);
    if (op->limit && ret->n_kvs > op->limit) {
        ret->n_kvs = op->limit;
        ret->more = true;
    }
    return AL_OK;
}

static enum al_code read_result(const json_t *root, struct al_str prefix,
                                const struct al_coord_txn *txn, struct al_arena *a,
                                struct al_coord_result *ret, struct al_err *err)
{
    struct al_coord_result res = {.succeeded = json_is_true(json_object_get(root, "succeeded"))};
    AL_TRY(revision_of(root, &res.revision, err));
    const json_t *parts = json_object_get(root, "responses");
    const struct al_coord_op *ops = res.succeeded ? txn->then_ops : txn->else_ops;
    size_t n = res.succeeded ? txn->n_then : txn->n_else;
    bool is_bare = txn->n_then == 0 && txn->n_else == 0; /* al_etcd_ask_txn added a read */
    if (json_array_size(parts) != n + (is_bare && res.succeeded))
        return bad(err, "not an answer for each op");
    res.answers = al_arena_array(a, n + 1, sizeof *res.answers);
    if (!res.answers)
        return no_memory(err);
    res.n_answers = n;
    for (size_t i = 0; i < n; i++)
        AL_TRY(read_op(json_array_get(parts, i), prefix, &ops[i], a, &res.answers[i], err));
    *ret = res;
    return AL_OK;
}

enum al_code al_etcd_read_txn(struct al_str text, struct al_str prefix,
                              const struct al_coord_txn *txn, struct al_arena *a,
                              struct al_coord_result *ret, struct al_err *err)
{
    json_t *root = NULL;
    AL_TRY(parse(text, &root, err));
    enum al_code c = read_result(root, prefix, txn, a, ret, err);
    json_decref(root);
    return c;
}

enum al_code al_etcd_read_page(struct al_str text, struct al_str prefix, struct al_arena *a,
                               struct al_coord_answer *ret, int64_t *ret_revision,
                               struct al_err *err)
{
    json_t *root = NULL;
    struct al_coord_answer page;
    AL_TRY(parse(text, &root, err));
    enum al_code c = revision_of(root, ret_revision, err);
    if (c == AL_OK)
        c = read_range(root, prefix, a, &page, err);
    json_decref(root);
    if (c == AL_OK)
        *ret = page;
    return c;
}

/* ---- leases, tokens, faults ---- */

enum al_code al_etcd_read_keepalive(struct al_str text, int64_t *ret_ttl_s, struct al_err *err)
{
    json_t *root = NULL;
    AL_TRY(parse(text, &root, err));
    const json_t *result = json_object_get(root, "result");
    int64_t id = 0;
    int64_t ttl = 0;
    enum al_code c = number_of(result, "ID", &id, err);
    if (c == AL_OK)
        c = number_of(result, "TTL", &ttl, err);
    if (c == AL_OK && id == 0)
        c = bad(err, "a keepalive without its lease");
    json_decref(root);
    if (c == AL_OK)
        *ret_ttl_s = ttl > 0 ? ttl : 0; /* an absent one: the lease is gone, with status 200 */
    return c;
}

enum al_code al_etcd_read_grant(struct al_str text, int64_t *ret_ttl_s, struct al_err *err)
{
    json_t *root = NULL;
    int64_t ttl = 0;
    AL_TRY(parse(text, &root, err));
    enum al_code c = number_of(root, "TTL", &ttl, err);
    json_decref(root);
    if (c == AL_OK && ttl <= 0)
        c = bad(err, "a lease without time to live");
    if (c == AL_OK)
        *ret_ttl_s = ttl;
    return c;
}

enum al_code al_etcd_read_token(struct al_str text, struct al_arena *a, struct al_str *ret,
                                struct al_err *err)
{
    json_t *root = NULL;
    AL_TRY(parse(text, &root, err));
    struct al_str token = text_of(root, "token");
    enum al_code c = token.n > 0 ? AL_OK : bad(err, "no token");
    for (size_t i = 0; c == AL_OK && i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~')
            c = bad(err, "a token that fits no header");
    }
    if (c == AL_OK)
        c = al_arena_str(a, token, ret, err);
    json_decref(root);
    return c;
}

/* Unary calls: {"error":TEXT,"code":N}; streams: {"error":{"grpc_code":N,"message":TEXT}}. */
static bool take_fault(const json_t *root, struct al_etcd_fault *ret)
{
    const json_t *error = json_object_get(root, "error");
    struct al_str message = text_of(root, "error");
    bool is_nested = json_is_object(error);
    if (is_nested)
        message = text_of(error, "message");
    if (number_of(is_nested ? error : root, is_nested ? "grpc_code" : "code", &ret->code, NULL) !=
        AL_OK)
        return false;
    snprintf(ret->message, sizeof ret->message, AL_STR_FMT, AL_STR_ARG(message));
    return error != NULL;
}

bool al_etcd_read_fault(struct al_str text, struct al_etcd_fault *ret)
{
    json_t *root = NULL;
    *ret = (struct al_etcd_fault){.code = 0};
    if (parse(text, &root, NULL) != AL_OK)
        return false;
    bool is_fault = take_fault(root, ret);
    json_decref(root);
    return is_fault;
}

/* ---- watches ---- */

static enum al_code read_event(const json_t *o, struct al_str prefix, struct al_arena *a,
                               struct al_coord_event *ret, struct al_err *err)
{
    const json_t *kv = json_object_get(o, "kv");
    const json_t *type = json_object_get(o, "type");
    struct al_coord_event e = {.kind = AL_COORD_EVENT_PUT};
    if (type && al_str_is(text_of(o, "type"), "DELETE"))
        e.kind = AL_COORD_EVENT_DELETE;
    else if (type && !al_str_is(text_of(o, "type"), "PUT"))
        return bad(err, "an event of unknown kind");
    if (e.kind == AL_COORD_EVENT_PUT) {
        AL_TRY(read_kv(kv, prefix, a, &e.kv, err));
    } else {
        AL_TRY(read_key(kv, prefix, a, &e.kv.key, err));
        AL_TRY(number_of(kv, "mod_revision", &e.kv.mod_revision, err));
    }
    if (e.kv.mod_revision <= 0)
        return bad(err, "an event without revision");
    e.revision = e.kv.mod_revision;
    *ret = e;
    return AL_OK;
}

static enum al_code read_events(const json_t *list, struct al_str prefix, struct al_arena *a,
                                struct al_etcd_news *news, struct al_err *err)
{
    size_t n = json_array_size(list);
    news->events = al_arena_array(a, n + 1, sizeof *news->events);
    if (!news->events)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        AL_TRY(read_event(json_array_get(list, i), prefix, a, &news->events[i], err));
        if (i && news->events[i].revision < news->events[i - 1].revision)
            return bad(err, "events out of order");
    }
    news->n_events = n;
    return AL_OK;
}

static enum al_code take_news(const json_t *root, struct al_str prefix, struct al_arena *a,
                              struct al_etcd_news *news, struct al_err *err)
{
    const json_t *result = json_object_get(root, "result");
    if (!json_is_object(result)) {
        news->is_fault = take_fault(root, &news->fault);
        return news->is_fault ? AL_OK : bad(err, "a line of a watch without a result");
    }
    news->is_created = json_is_true(json_object_get(result, "created"));
    news->is_canceled = json_is_true(json_object_get(result, "canceled"));
    news->is_fragment = json_is_true(json_object_get(result, "fragment"));
    AL_TRY(number_of(json_object_get(result, "header"), "revision", &news->revision, err));
    AL_TRY(number_of(result, "compact_revision", &news->compact_revision, err));
    struct al_str why = text_of(result, "cancel_reason");
    snprintf(news->fault.message, sizeof news->fault.message, AL_STR_FMT, AL_STR_ARG(why));
    return read_events(json_object_get(result, "events"), prefix, a, news, err);
}

enum al_code al_etcd_read_news(struct al_str line, struct al_str prefix, struct al_arena *a,
                               struct al_etcd_news *ret, struct al_err *err)
{
    json_t *root = NULL;
    struct al_etcd_news news = {.revision = 0};
    AL_TRY(parse(line, &root, err));
    enum al_code c = take_news(root, prefix, a, &news, err);
    json_decref(root);
    if (c == AL_OK)
        *ret = news;
    return c;
}
