#include "airlore/coord.h"

#include <string.h>

static enum al_code bad(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TXN", "coordination: %s", what);
}

static enum al_code check_key(struct al_str key, struct al_err *err)
{
    if (key.n == 0)
        return bad(err, "empty key");
    if (key.n > AL_COORD_KEY_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TXN",
                         "coordination: key of %zu bytes, the most is %u", key.n,
                         AL_COORD_KEY_BYTES_MAX);
    return AL_OK;
}

static bool is_delete(const struct al_coord_op *op)
{
    return op->kind == AL_COORD_DELETE || op->kind == AL_COORD_DELETE_PREFIX;
}

static bool covers(const struct al_coord_op *op, struct al_str key)
{
    if (op->kind == AL_COORD_DELETE_PREFIX)
        return al_str_starts(key, op->key);
    return al_str_eq(op->key, key);
}

/* A key is put twice, or put and deleted. */
static enum al_code check_unique(const struct al_coord_op *ops, size_t n, struct al_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind != AL_COORD_PUT)
            continue;
        for (size_t k = 0; k < n; k++) {
            bool clashes = k != i &&
                           (is_delete(&ops[k]) || (ops[k].kind == AL_COORD_PUT && k > i)) &&
                           covers(&ops[k], ops[i].key);
            if (clashes)
                return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "DUPLICATE_KEY",
                                 "coordination: '" AL_STR_FMT "' is written twice in a transaction",
                                 AL_STR_ARG(ops[i].key));
        }
    }
    return AL_OK;
}

static enum al_code check_ops(const struct al_coord_op *ops, size_t n,
                              const struct al_coord_limits *limits, size_t *bytes,
                              struct al_err *err)
{
    if (n > limits->ops_max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TXN_TOO_LARGE",
                         "coordination: %zu ops in a transaction, the most is %zu", n,
                         limits->ops_max);
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind < AL_COORD_PUT || ops[i].kind > AL_COORD_GET_PREFIX)
            return bad(err, "unknown kind of op");
        if (ops[i].keep_lease && ops[i].lease)
            return bad(err, "a put keeps its lease or gets another, not both");
        AL_TRY(check_key(ops[i].key, err));
        *bytes += ops[i].key.n + ops[i].value.n;
        if (ops[i].value.n > limits->request_bytes_max)
            *bytes = limits->request_bytes_max + 1;
        if (*bytes > limits->request_bytes_max)
            break;
    }
    return check_unique(ops, n, err);
}

static enum al_code check_compares(const struct al_coord_txn *t,
                                   const struct al_coord_limits *limits, size_t *bytes,
                                   struct al_err *err)
{
    if (t->n_compares > limits->ops_max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TXN_TOO_LARGE",
                         "coordination: %zu compares in a transaction, the most is %zu",
                         t->n_compares, limits->ops_max);
    for (size_t i = 0; i < t->n_compares; i++) {
        const struct al_coord_compare *x = &t->compares[i];
        if (x->target < AL_COORD_CREATE || x->target > AL_COORD_VALUE ||
            x->relation < AL_COORD_EQUAL || x->relation > AL_COORD_GREATER)
            return bad(err, "unknown compare");
        AL_TRY(check_key(x->key, err));
        *bytes += x->key.n;
        if (x->target == AL_COORD_VALUE)
            *bytes +=
                x->value.n > limits->request_bytes_max ? limits->request_bytes_max + 1 : x->value.n;
    }
    return AL_OK;
}

enum al_code al_coord_txn(struct al_coord *c, const struct al_coord_txn *txn, uint64_t deadline_ns,
                          struct al_arena *a, struct al_coord_result *ret, struct al_err *err)
{
    struct al_coord_limits limits;
    c->ops->limits(c, &limits);
    size_t bytes = 0;
    AL_TRY(check_compares(txn, &limits, &bytes, err));
    AL_TRY(check_ops(txn->then_ops, txn->n_then, &limits, &bytes, err));
    AL_TRY(check_ops(txn->else_ops, txn->n_else, &limits, &bytes, err));
    if (bytes > limits.request_bytes_max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TXN_TOO_LARGE",
                         "coordination: a transaction of more than %zu bytes",
                         limits.request_bytes_max);
    return c->ops->txn(c, txn, deadline_ns, a, ret, err);
}

enum al_code al_coord_lease_grant(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                  struct al_err *err)
{
    if (ttl_s == 0 || ttl_s > AL_COORD_LEASE_TTL_S_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "coordination: lease of %u s, allowed are 1 to %u s", ttl_s,
                       AL_COORD_LEASE_TTL_S_MAX);
    return c->ops->lease_grant(c, ttl_s, ret, err);
}

enum al_code al_coord_lease_revoke(struct al_coord *c, uint64_t lease, struct al_err *err)
{
    return c->ops->lease_revoke(c, lease, err);
}

uint64_t al_coord_lease_deadline(struct al_coord *c, uint64_t lease)
{
    return c->ops->lease_deadline(c, lease);
}

enum al_code al_coord_watch(struct al_coord *c, const struct al_coord_watcher *w, uint64_t *ret,
                            struct al_err *err)
{
    if (w->from_revision <= 0 || w->prefix.n > AL_COORD_KEY_BYTES_MAX || !w->fn)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "coordination: watch: prefix of at most %u bytes, revision above 0",
                       AL_COORD_KEY_BYTES_MAX);
    return c->ops->watch(c, w, ret, err);
}

void al_coord_unwatch(struct al_coord *c, uint64_t watch)
{
    c->ops->unwatch(c, watch);
}

enum al_code al_coord_compact(struct al_coord *c, int64_t revision, struct al_err *err)
{
    return c->ops->compact(c, revision, err);
}

void al_coord_get_limits(struct al_coord *c, struct al_coord_limits *ret)
{
    c->ops->limits(c, ret);
}

void al_coord_close(struct al_coord *c)
{
    if (c)
        c->ops->close(c);
}

static bool any_writes(const struct al_coord_op *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == AL_COORD_PUT || is_delete(&ops[i]))
            return true;
    }
    return false;
}

bool al_coord_txn_writes(const struct al_coord_txn *txn)
{
    return any_writes(txn->then_ops, txn->n_then) || any_writes(txn->else_ops, txn->n_else);
}

struct al_coord_compare al_coord_if_create(struct al_str key, enum al_coord_relation r, int64_t n)
{
    return (struct al_coord_compare){
        .target = AL_COORD_CREATE, .relation = r, .key = key, .number = n};
}

struct al_coord_compare al_coord_if_mod(struct al_str key, enum al_coord_relation r, int64_t n)
{
    return (struct al_coord_compare){
        .target = AL_COORD_MOD, .relation = r, .key = key, .number = n};
}

struct al_coord_compare al_coord_if_absent(struct al_str key)
{
    return al_coord_if_create(key, AL_COORD_EQUAL, 0);
}

struct al_coord_op al_coord_put(struct al_str key, struct al_str value, uint64_t lease)
{
    return (struct al_coord_op){.kind = AL_COORD_PUT, .key = key, .value = value, .lease = lease};
}

struct al_coord_op al_coord_delete(struct al_str key)
{
    return (struct al_coord_op){.kind = AL_COORD_DELETE, .key = key};
}

struct al_coord_op al_coord_get(struct al_str key)
{
    return (struct al_coord_op){.kind = AL_COORD_GET, .key = key};
}

struct al_coord_op al_coord_get_prefix(struct al_str prefix, enum al_coord_order order,
                                       uint32_t limit)
{
    return (struct al_coord_op){
        .kind = AL_COORD_GET_PREFIX, .key = prefix, .order = order, .limit = limit};
}
