/* Transactions and compaction. */
#include <string.h>

#include "etcd_client.h"

/* etcd takes 1.5 MiB of keys, values and what frames them in a request, and 128 ops in a branch; a
 * put that keeps its lease is one level deeper and needs one of them. */
#define REQUEST_BYTES_MAX ((size_t)1408 * 1024)
#define OPS_MAX 120u
#define LEASE_TTL_S_MIN 2u /* with etcd's default election time-out */

void al_etcd_limits(struct al_coord *c, struct al_coord_limits *ret)
{
    (void)c;
    *ret = (struct al_coord_limits){.request_bytes_max = REQUEST_BYTES_MAX,
                                    .ops_max = OPS_MAX,
                                    .lease_ttl_s_min = LEASE_TTL_S_MIN};
}

static enum al_code check_leases(struct al_etcd *e, const struct al_coord_op *ops, size_t n,
                                 struct al_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i].lease > INT64_MAX || (ops[i].lease && al_etcd_lease_is_lost(e, ops[i].lease)))
            return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "LEASE_LOST", "etcd: lease %llx is gone",
                             (unsigned long long)ops[i].lease);
    }
    return AL_OK;
}

/* It is done, and cannot be told. */
static enum al_code unreadable(bool writes, enum al_code code, const struct al_err *why,
                               struct al_err *err)
{
    if (writes)
        return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "%s", why->msg);
    if (code == AL_DATA_LOSS)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "COORD_UNAVAILABLE", "%s", why->msg);
    return AL_FAIL(err, code, "%s", why->msg);
}

enum al_code al_etcd_txn(struct al_coord *c, const struct al_coord_txn *txn, uint64_t deadline_ns,
                         struct al_arena *a, struct al_coord_result *ret, struct al_err *err)
{
    struct al_etcd *e = al_etcd_of(c);
    bool writes = al_coord_txn_writes(txn);
    AL_TRY(check_leases(e, txn->then_ops, txn->n_then, err));
    AL_TRY(check_leases(e, txn->else_ops, txn->n_else, err));
    struct al_etcd_call call;
    al_etcd_call_init(&call, e, "/v3/kv/txn", writes ? AL_ETCD_WRITE : AL_ETCD_IDEMPOTENT);
    call.deadline_ns = deadline_ns;
    al_etcd_ask_txn(&call.body, al_etcd_prefix(e), txn);
    enum al_code code = al_etcd_call_run(&call, err);
    if (code == AL_OK) {
        struct al_err why;
        code = al_etcd_read_txn(al_buf_view(&call.answer), al_etcd_prefix(e), txn, a, ret, &why);
        if (code != AL_OK)
            code = unreadable(writes, code, &why, err);
    }
    al_etcd_call_fini(&call);
    return code;
}

/* Revision of the store now. */
static enum al_code get_revision(struct al_etcd *e, int64_t *ret, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, e->mem, (size_t)64 << 10);
    struct al_coord_txn nothing = {.n_then = 0};
    struct al_coord_result res;
    enum al_code c = al_etcd_txn(&e->coord, &nothing,
                                 al_clock_deadline(e->opt.clock, e->opt.retry_ms), &a, &res, err);
    al_arena_fini(&a);
    if (c == AL_OK)
        *ret = res.revision;
    return c;
}

/* etcd's compaction to C keeps what is after C whole, but of C itself loses deletions: for a reader
 * of changes from R on, C is R - 1. */
enum al_code al_etcd_compact(struct al_coord *c, int64_t revision, struct al_err *err)
{
    struct al_etcd *e = al_etcd_of(c);
    int64_t now = 0;
    AL_TRY(get_revision(e, &now, err));
    if (revision > now || revision <= 1)
        return AL_FAIL(err, AL_OUT_OF_RANGE, "etcd: compaction to %lld of %lld",
                       (long long)revision, (long long)now);
    struct al_etcd_call call;
    al_etcd_call_init(&call, e, "/v3/kv/compaction", AL_ETCD_WRITE);
    al_etcd_ask_compact(&call.body, revision - 1);
    enum al_code code = al_etcd_call_run(&call, err);
    al_etcd_call_fini(&call);
    return code;
}
