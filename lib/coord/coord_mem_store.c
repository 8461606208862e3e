#include <string.h>

#include "mem_store.h"

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordination: out of memory");
}

/* ---- records and history ---- */

void al_mem_record_unref(struct al_mem_store *s, struct al_mem_record *r)
{
    if (r && --r->refs == 0)
        al_mem_free(s->mem, r);
}

static struct al_mem_record *record_new(struct al_mem_store *s, struct al_str key,
                                        struct al_str value)
{
    struct al_mem_record *r = al_mem_alloc(s->mem, sizeof *r + key.n + value.n);
    if (!r)
        return NULL;
    char *bytes = (char *)(r + 1);
    memcpy(bytes, key.p, key.n);
    if (value.n)
        memcpy(bytes + key.n, value.p, value.n);
    *r = (struct al_mem_record){.refs = 1,
                                .kv = {.key = {bytes, key.n}, .value = {bytes + key.n, value.n}}};
    return r;
}

static void batch_free(struct al_mem_store *s, struct al_mem_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        al_mem_record_unref(s, b->changes[i].record);
    al_mem_free(s->mem, b);
}

int64_t al_mem_store_oldest(const struct al_mem_store *s)
{
    return s->revision + 1 - (int64_t)s->n_history;
}

const struct al_mem_batch *al_mem_store_batch(const struct al_mem_store *s, int64_t revision)
{
    size_t at = (size_t)(revision - al_mem_store_oldest(s));
    AL_ASSERT(at < s->n_history);
    return s->history[(s->history_head + at) % s->history_cap];
}

static void history_pop(struct al_mem_store *s)
{
    struct al_mem_batch *b = s->history[s->history_head];
    s->history_head = (s->history_head + 1) % s->history_cap;
    s->n_history--;
    s->n_history_events -= b->n;
    batch_free(s, b);
}

void al_mem_store_forget(struct al_mem_store *s, int64_t revision)
{
    while (s->n_history > 0 && al_mem_store_oldest(s) < revision)
        history_pop(s);
}

/* Room for one more batch. */
static enum al_code history_reserve(struct al_mem_store *s, struct al_err *err)
{
    if (s->n_history < s->history_cap)
        return AL_OK;
    size_t cap = s->history_cap ? s->history_cap * 2 : 64;
    struct al_mem_batch **ring = al_mem_array(s->mem, cap, sizeof(struct al_mem_batch *));
    if (!ring)
        return no_memory(err);
    size_t old_cap = s->history_cap ? s->history_cap : 1;
    for (size_t i = 0; i < s->n_history; i++)
        ring[i] = s->history[(s->history_head + i) % old_cap];
    al_mem_free(s->mem, s->history);
    s->history = ring;
    s->history_cap = cap;
    s->history_head = 0;
    return AL_OK;
}

static void history_push(struct al_mem_store *s, struct al_mem_batch *b)
{
    s->history[(s->history_head + s->n_history) % s->history_cap] = b;
    s->n_history++;
    s->n_history_events += b->n;
    s->revision = b->revision;
    while (s->n_history > 1 && s->n_history_events > s->history_events_max)
        history_pop(s);
}

/* ---- a transaction works on a copy of the sorted pointers, which replaces them at the end ---- */

struct work {
    struct al_mem_store *s;
    struct al_arena *a;
    int64_t revision; /* of its changes */
    struct al_mem_record **keys;
    size_t n_keys;
    struct al_mem_record **dropped; /* were in the store */
    size_t n_dropped;
    struct al_mem_batch *batch; /* NULL: it only reads; owns new records */
    size_t bytes;
};

static size_t find(struct al_mem_record *const *keys, size_t n, struct al_str key)
{
    size_t lo = 0;
    while (lo < n) {
        size_t mid = lo + (n - lo) / 2;
        if (al_str_cmp(keys[mid]->kv.key, key) < 0)
            lo = mid + 1;
        else
            n = mid;
    }
    return lo;
}

size_t al_mem_store_find(const struct al_mem_store *s, struct al_str key)
{
    return find(s->keys, s->n_keys, key);
}

static bool is_at(struct al_mem_record *const *keys, size_t n, size_t at, struct al_str key)
{
    return at < n && al_str_eq(keys[at]->kv.key, key);
}

static bool holds_number(enum al_coord_relation r, int64_t have, int64_t given)
{
    switch (r) {
    case AL_COORD_EQUAL:
        return have == given;
    case AL_COORD_NOT_EQUAL:
        return have != given;
    case AL_COORD_LESS:
        return have < given;
    case AL_COORD_GREATER:
        return have > given;
    }
    return false;
}

static bool holds(const struct al_mem_store *s, const struct al_coord_compare *c)
{
    static const struct al_coord_kv absent;
    size_t at = al_mem_store_find(s, c->key);
    bool is_there = is_at(s->keys, s->n_keys, at, c->key);
    const struct al_coord_kv *kv = is_there ? &s->keys[at]->kv : &absent;
    switch (c->target) {
    case AL_COORD_CREATE:
        return holds_number(c->relation, kv->create_revision, c->number);
    case AL_COORD_MOD:
        return holds_number(c->relation, kv->mod_revision, c->number);
    case AL_COORD_VERSION:
        return holds_number(c->relation, kv->version, c->number);
    case AL_COORD_VALUE:
        return is_there && holds_number(c->relation, al_str_cmp(kv->value, c->value), 0);
    }
    return false;
}

static void add_change(struct work *w, struct al_mem_record *r, bool is_delete)
{
    AL_ASSERT(w->batch); /* made before the first op */
    w->batch->changes[w->batch->n++] = (struct al_mem_change){r, is_delete};
}

static enum al_code do_put(struct work *w, const struct al_coord_op *op, struct al_err *err)
{
    size_t at = find(w->keys, w->n_keys, op->key);
    struct al_mem_record *old = is_at(w->keys, w->n_keys, at, op->key) ? w->keys[at] : NULL;
    uint64_t lease = op->keep_lease ? (old ? old->kv.lease : 0) : op->lease;
    if (lease && !al_mem_store_lease(w->s, lease))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "LEASE_LOST",
                         "coordination: lease %llx is gone", (unsigned long long)lease);
    size_t bytes = w->bytes + op->key.n + op->value.n;
    if (bytes > w->s->store_bytes_max)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "NO_SPACE",
                         "coordination: the store is full (%zu bytes)", w->s->store_bytes_max);
    struct al_mem_record *r = record_new(w->s, op->key, op->value);
    if (!r)
        return no_memory(err);
    w->bytes = bytes;
    r->kv.create_revision = old ? old->kv.create_revision : w->revision;
    r->kv.mod_revision = w->revision;
    r->kv.version = old ? old->kv.version + 1 : 1;
    r->kv.lease = lease;
    if (old) {
        AL_ASSERT(w->dropped); /* made with room for every key */
        w->bytes -= old->kv.key.n + old->kv.value.n;
        w->dropped[w->n_dropped++] = old;
    } else {
        memmove(w->keys + at + 1, w->keys + at, (w->n_keys - at) * sizeof(struct al_mem_record *));
        w->n_keys++;
    }
    w->keys[at] = r;
    add_change(w, r, false);
    return AL_OK;
}

static enum al_code do_delete_at(struct work *w, size_t at, struct al_err *err)
{
    struct al_mem_record *old = w->keys[at];
    struct al_mem_record *grave = record_new(w->s, old->kv.key, AL_STR(""));
    if (!grave)
        return no_memory(err);
    grave->kv.mod_revision = w->revision;
    add_change(w, grave, true);
    w->bytes -= old->kv.key.n + old->kv.value.n;
    w->dropped[w->n_dropped++] = old;
    w->n_keys--;
    memmove(w->keys + at, w->keys + at + 1, (w->n_keys - at) * sizeof(struct al_mem_record *));
    return AL_OK;
}

static enum al_code do_delete(struct work *w, const struct al_coord_op *op,
                              struct al_coord_answer *ans, struct al_err *err)
{
    size_t at = find(w->keys, w->n_keys, op->key);
    bool whole = op->kind == AL_COORD_DELETE;
    while (at < w->n_keys && (whole ? al_str_eq(w->keys[at]->kv.key, op->key)
                                    : al_str_starts(w->keys[at]->kv.key, op->key))) {
        AL_TRY(do_delete_at(w, at, err));
        ans->n_deleted++;
    }
    return AL_OK;
}

static enum al_code copy_kv(struct al_arena *a, const struct al_coord_kv *from,
                            struct al_coord_kv *to, struct al_err *err)
{
    *to = *from;
    AL_TRY(al_arena_str(a, from->key, &to->key, err));
    return al_arena_str(a, from->value, &to->value, err);
}

static bool is_before(const struct al_mem_record *x, const struct al_mem_record *y,
                      enum al_coord_order order)
{
    if (order == AL_COORD_BY_CREATE && x->kv.create_revision != y->kv.create_revision)
        return x->kv.create_revision < y->kv.create_revision;
    return al_str_cmp(x->kv.key, y->kv.key) < 0;
}

/* Keep the first `limit` of what is offered, in order (insertion: limits are small when the order
 * is not that of keys). */
static void offer(struct al_mem_record **best, size_t *n, size_t limit, struct al_mem_record *r,
                  enum al_coord_order order)
{
    size_t at = *n;
    while (at > 0 && is_before(r, best[at - 1], order))
        at--;
    if (at >= limit)
        return;
    size_t tail = (*n < limit ? *n : limit - 1) - at;
    memmove(best + at + 1, best + at, tail * sizeof(struct al_mem_record *));
    best[at] = r;
    *n += *n < limit;
}

static enum al_code do_get(struct work *w, const struct al_coord_op *op,
                           struct al_coord_answer *ans, struct al_err *err)
{
    size_t from = find(w->keys, w->n_keys, op->key);
    size_t to = from;
    if (op->kind == AL_COORD_GET)
        to += is_at(w->keys, w->n_keys, from, op->key);
    else
        while (to < w->n_keys && al_str_starts(w->keys[to]->kv.key, op->key))
            to++;
    size_t limit = op->limit && op->limit < to - from ? op->limit : to - from;
    ans->more = limit < to - from;
    struct al_mem_record **best = al_arena_array(w->a, limit + 1, sizeof(struct al_mem_record *));
    ans->kvs = al_arena_array(w->a, limit + 1, sizeof *ans->kvs);
    if (!best || !ans->kvs)
        return no_memory(err);
    size_t n = 0;
    for (size_t i = from; i < to && limit > 0; i++)
        offer(best, &n, limit, w->keys[i], op->order);
    for (size_t i = 0; i < n; i++)
        AL_TRY(copy_kv(w->a, &best[i]->kv, &ans->kvs[i], err));
    ans->n_kvs = n;
    return AL_OK;
}

static enum al_code run_ops(struct work *w, const struct al_coord_op *ops, size_t n,
                            struct al_coord_result *ret, struct al_err *err)
{
    ret->answers = al_arena_array(w->a, n + 1, sizeof *ret->answers);
    if (!ret->answers)
        return no_memory(err);
    ret->n_answers = n;
    for (size_t i = 0; i < n; i++) {
        struct al_coord_answer *ans = &ret->answers[i];
        switch (ops[i].kind) {
        case AL_COORD_PUT:
            AL_TRY(do_put(w, &ops[i], err));
            break;
        case AL_COORD_DELETE:
        case AL_COORD_DELETE_PREFIX:
            AL_TRY(do_delete(w, &ops[i], ans, err));
            break;
        case AL_COORD_GET:
        case AL_COORD_GET_PREFIX:
            AL_TRY(do_get(w, &ops[i], ans, err));
            break;
        }
    }
    return AL_OK;
}

/* Copies that can take n_ops puts, or the deletion of everything. */
static enum al_code work_begin(struct work *w, size_t n_ops, struct al_err *err)
{
    struct al_mem_store *s = w->s;
    size_t most = s->n_keys + n_ops + 1;
    AL_TRY(history_reserve(s, err));
    w->keys = al_mem_array(s->mem, most, sizeof(struct al_mem_record *));
    w->dropped = al_mem_array(s->mem, most, sizeof(struct al_mem_record *));
    w->batch = al_mem_zalloc(s->mem, sizeof *w->batch + most * sizeof w->batch->changes[0]);
    if (!w->keys || !w->dropped || !w->batch)
        return no_memory(err);
    if (s->n_keys)
        memcpy(w->keys, s->keys, s->n_keys * sizeof(struct al_mem_record *));
    w->batch->revision = w->revision;
    return AL_OK;
}

static void work_abort(struct work *w)
{
    if (w->batch)
        batch_free(w->s, w->batch);
    al_mem_free(w->s->mem, w->dropped);
    al_mem_free(w->s->mem, w->keys);
}

/* Nothing can fail here. */
static void work_commit(struct work *w)
{
    struct al_mem_store *s = w->s;
    for (size_t i = 0; i < w->batch->n; i++)
        w->batch->changes[i].record->refs += !w->batch->changes[i].is_delete; /* the store's */
    for (size_t i = 0; i < w->n_dropped; i++)
        al_mem_record_unref(s, w->dropped[i]);
    al_mem_free(s->mem, w->dropped);
    al_mem_free(s->mem, s->keys);
    s->keys = w->keys;
    s->n_keys = w->n_keys;
    s->store_bytes = w->bytes;
    struct al_mem_batch *exact =
        al_mem_resize(s->mem, w->batch, sizeof *exact + w->batch->n * sizeof exact->changes[0]);
    history_push(s, exact ? exact : w->batch);
    pthread_cond_broadcast(&s->wake);
}

enum al_code al_mem_store_txn(struct al_mem_store *s, const struct al_coord_txn *txn,
                              struct al_arena *a, struct al_coord_result *ret, struct al_err *err)
{
    struct al_coord_result res = {.succeeded = true};
    for (size_t i = 0; i < txn->n_compares && res.succeeded; i++)
        res.succeeded = holds(s, &txn->compares[i]);
    const struct al_coord_op *ops = res.succeeded ? txn->then_ops : txn->else_ops;
    size_t n = res.succeeded ? txn->n_then : txn->n_else;
    struct al_coord_txn branch = {.then_ops = ops, .n_then = n};
    struct work w = {.s = s,
                     .a = a,
                     .revision = s->revision + 1,
                     .keys = s->keys,
                     .n_keys = s->n_keys,
                     .bytes = s->store_bytes};
    enum al_code c;
    if (!al_coord_txn_writes(&branch)) {
        c = run_ops(&w, ops, n, &res, err);
    } else {
        w.keys = NULL;
        c = work_begin(&w, n, err);
        if (c == AL_OK)
            c = run_ops(&w, ops, n, &res, err);
        if (c == AL_OK && w.batch->n > 0)
            work_commit(&w);
        else
            work_abort(&w);
    }
    if (c != AL_OK)
        return c;
    res.revision = s->revision;
    *ret = res;
    return AL_OK;
}

enum al_code al_mem_store_drop_lease_keys(struct al_mem_store *s, uint64_t lease,
                                          struct al_err *err)
{
    struct work w = {
        .s = s, .revision = s->revision + 1, .n_keys = s->n_keys, .bytes = s->store_bytes};
    enum al_code c = work_begin(&w, 0, err);
    for (size_t i = 0; c == AL_OK && i < w.n_keys;) {
        if (w.keys[i]->kv.lease == lease)
            c = do_delete_at(&w, i, err);
        else
            i++;
    }
    if (c == AL_OK && w.batch->n > 0)
        work_commit(&w);
    else
        work_abort(&w);
    return c;
}

struct al_mem_lease *al_mem_store_lease(struct al_mem_store *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_leases; i++) {
        if (s->leases[i].id == id)
            return s->leases[i].is_dead ? NULL : &s->leases[i];
    }
    return NULL;
}

void al_mem_store_fini(struct al_mem_store *s)
{
    while (s->n_history > 0)
        history_pop(s);
    for (size_t i = 0; i < s->n_keys; i++)
        al_mem_record_unref(s, s->keys[i]);
    al_mem_free(s->mem, s->history);
    al_mem_free(s->mem, s->keys);
    al_mem_free(s->mem, s->leases);
}
