/* airlore/coord.h - the coordination store: who is there, who leads, what is to be done, in which
 * order.
 *
 * A small ordered map of keys to values with one global revision. All writing and reading is one
 * call: a transaction of compares and of the ops that run when all of them hold, or when one does
 * not. Keys can hang on a lease and go with it. A watch tells of every later change. Elections
 * (election.h) and queues (queue.h) are built once, on this interface only.
 *
 * Back ends: coord_mem.h (in this process), coord_etcd.h. All of them pass conformance.h.
 *
 * What every back end promises
 * - The revision grows by one with each transaction that changes something; all its changes carry
 * that revision. It never goes back, also not over a restart of the store.
 * - A key has create_revision, mod_revision and version (1 at creation, then +1 a put); an absent
 * one has 0 for all.
 * - A lease that ends is one change that deletes its keys.
 * - A watch gives the changes of one revision in one call, in order, each exactly once.
 *
 * Outcomes
 * - AL_OK: definite; `succeeded` says which branch ran.
 * - AL_UNKNOWN, reason OUTCOME_UNKNOWN: it may have been applied, or be applied yet. A write must
 * carry something by which a repeat recognises it (a nonce in the value, or a create_revision
 * compare on an id of the caller).
 * - AL_UNAVAILABLE, reason COORD_UNAVAILABLE: surely not applied.
 * - AL_DEADLINE_EXCEEDED: the deadline had passed before anything was sent.
 * - AL_FAILED_PRECONDITION, reason LEASE_LOST: a put names a lease that is gone; nothing was
 * applied.
 * - AL_INVALID_ARGUMENT, reasons TXN_TOO_LARGE, DUPLICATE_KEY, BAD_TXN; AL_RESOURCE_EXHAUSTED
 * (reason NO_SPACE when the store is full).
 *
 * Thread:    any thread (internally locked). Calls may block on the network: not from a poller.
 * Lifecycle: open (of a back end) -> ... -> al_coord_close. Leases of a closed handle are no longer
 * kept alive. Memory:    results live in the caller's arena; what goes in is borrowed until return.
 */
#ifndef AIRLORE_COORD_H
#define AIRLORE_COORD_H

#include "airlore/arena.h"
#include "airlore/clock.h"
#include "airlore/log.h"

#define AL_COORD_KEY_BYTES_MAX 1024u
#define AL_COORD_LEASE_TTL_S_MAX 86400u

enum al_coord_target {
    AL_COORD_CREATE = 1, /* create_revision */
    AL_COORD_MOD = 2,    /* mod_revision */
    AL_COORD_VERSION = 3,
    AL_COORD_VALUE = 4, /* bytes; a compare of an absent key's value never holds */
};

enum al_coord_relation {
    AL_COORD_EQUAL = 1,
    AL_COORD_NOT_EQUAL = 2,
    AL_COORD_LESS = 3, /* what is stored is less than what is given */
    AL_COORD_GREATER = 4,
};

/* One condition: <stored> relation <given>. */
struct al_coord_compare {
    enum al_coord_target target;
    enum al_coord_relation relation;
    struct al_str key;
    int64_t number;      /* CREATE, MOD, VERSION */
    struct al_str value; /* VALUE */
};

enum al_coord_op_kind {
    AL_COORD_PUT = 1,
    AL_COORD_DELETE = 2,
    AL_COORD_DELETE_PREFIX = 3,
    AL_COORD_GET = 4,
    AL_COORD_GET_PREFIX = 5,
};

enum al_coord_order {
    AL_COORD_BY_KEY = 0,
    AL_COORD_BY_CREATE = 1, /* oldest first, then by key */
};

/* One op. A key may be written once in a transaction (put, or deleted alone or by prefix). Gets see
 * what earlier ops of the same transaction did. An empty prefix is refused. */
struct al_coord_op {
    enum al_coord_op_kind kind;
    struct al_str key;   /* or prefix */
    struct al_str value; /* PUT */
    uint64_t lease;  /* PUT: the key goes with it; 0: stays for good (also when it hung on a lease
                        before) */
    bool keep_lease; /* PUT: the lease that the key has */
    enum al_coord_order order; /* GET_PREFIX */
    uint32_t limit;            /* GET_PREFIX: at most so many; 0: all */
};

struct al_coord_txn {
    const struct al_coord_compare *compares;
    size_t n_compares;
    const struct al_coord_op *then_ops;
    size_t n_then;
    const struct al_coord_op *else_ops;
    size_t n_else;
};

/* A key as stored; views live where it was read into. */
struct al_coord_kv {
    struct al_str key;
    struct al_str value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    uint64_t lease; /* 0: none */
};

/* What one op answered: gets fill kvs (an absent key: none), deletes n_deleted. */
struct al_coord_answer {
    struct al_coord_kv *kvs;
    size_t n_kvs;
    bool more; /* the limit cut it */
    uint64_t n_deleted;
};

struct al_coord_result {
    bool succeeded;                  /* all compares held: then_ops ran */
    int64_t revision;                /* of the store, after it: of its changes if it made any */
    struct al_coord_answer *answers; /* one an op of the branch that ran */
    size_t n_answers;
};

enum al_coord_event_kind {
    AL_COORD_EVENT_PUT = 1,
    AL_COORD_EVENT_DELETE = 2, /* kv has key and mod_revision (of the deletion) only */
    AL_COORD_EVENT_RESET = 3,  /* history is gone: forget what you know; a PUT for each key there is
                                  follows, then SYNCED */
    AL_COORD_EVENT_SYNCED = 4,
};

struct al_coord_event {
    enum al_coord_event_kind kind;
    struct al_coord_kv kv;
    int64_t revision; /* of the change; of RESET .. SYNCED: what the snapshot shows */
};

/* Called from a thread of the back end, never with a lock held, one call at a time for each handle.
 * events borrowed until return. All events of a call have one revision. It may call the handle, but
 * for unwatch and close. */
typedef void al_coord_watch_fn(void *u, const struct al_coord_event *events, size_t n);

/* What to watch: changes of keys with the prefix ("": of all keys), from a revision (> 0) on. */
struct al_coord_watcher {
    struct al_str prefix;
    int64_t from_revision;
    al_coord_watch_fn *fn;
    void *u; /* borrowed until unwatch */
};

/* What a back end takes at most, and grants at least. */
struct al_coord_limits {
    size_t request_bytes_max; /* keys and values of one transaction */
    size_t ops_max;           /* of each branch; of compares as well */
    uint32_t lease_ttl_s_min; /* shorter ones are raised to it */
};

struct al_coord;

/* A back end. The functions mean what the al_coord_* function of the same name says, and see
 * checked arguments only. */
struct al_coord_ops {
    enum al_code (*txn)(struct al_coord *c, const struct al_coord_txn *txn, uint64_t deadline_ns,
                        struct al_arena *a, struct al_coord_result *ret, struct al_err *err);
    enum al_code (*lease_grant)(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                struct al_err *err);
    enum al_code (*lease_revoke)(struct al_coord *c, uint64_t lease, struct al_err *err);
    uint64_t (*lease_deadline)(struct al_coord *c, uint64_t lease);
    enum al_code (*watch)(struct al_coord *c, const struct al_coord_watcher *w, uint64_t *ret,
                          struct al_err *err);
    void (*unwatch)(struct al_coord *c, uint64_t watch);
    enum al_code (*compact)(struct al_coord *c, int64_t revision, struct al_err *err);
    void (*limits)(struct al_coord *c, struct al_coord_limits *ret);
    void (*close)(struct al_coord *c);
};

/* A handle: one client of the store. */
struct al_coord {
    const struct al_coord_ops *ops;
};

/* Run a transaction. deadline_ns of the monotonic clock; when it passes while the answer is
 * awaited: AL_UNKNOWN if the transaction writes, AL_UNAVAILABLE if it only reads. */
AL_NODISCARD enum al_code al_coord_txn(struct al_coord *c, const struct al_coord_txn *txn,
                                       uint64_t deadline_ns, struct al_arena *a,
                                       struct al_coord_result *ret, struct al_err *err);

/* Get a lease of ttl_s whole seconds (1 to 86,400); the back end keeps it alive until it is revoked
 * or the handle is closed. The keepalive begins at once. *ret > 0. */
AL_NODISCARD enum al_code al_coord_lease_grant(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                               struct al_err *err);

/* End it and delete its keys. AL_NOT_FOUND, reason LEASE_NOT_FOUND, when it is gone already. */
AL_NODISCARD enum al_code al_coord_lease_revoke(struct al_coord *c, uint64_t lease,
                                                struct al_err *err);

/* Until when (monotonic clock, ns) this handle may believe in its lease: the time the last good
 * keepalive was sent, and the time to live. 0: it is lost, or none of this handle. A hint to stop
 * early; a guard in the transaction is the safety. */
uint64_t al_coord_lease_deadline(struct al_coord *c, uint64_t lease);

/* Tell of changes; a revision yet to come is waited for. For a cache without gaps: read at revision
 * R, watch from R + 1. When the history from there is gone, a RESET comes first. *ret > 0: for
 * unwatch. w is copied. */
AL_NODISCARD enum al_code al_coord_watch(struct al_coord *c, const struct al_coord_watcher *w,
                                         uint64_t *ret, struct al_err *err);

/* No call of its function is under way or begins after return. Never from a watch function. Unknown
 * numbers: nothing. */
void al_coord_unwatch(struct al_coord *c, uint64_t watch);

/* Forget the history below revision (not the keys). AL_OUT_OF_RANGE when that is in the future or
 * forgotten already. */
AL_NODISCARD enum al_code al_coord_compact(struct al_coord *c, int64_t revision,
                                           struct al_err *err);

/* What the back end takes. */
void al_coord_get_limits(struct al_coord *c, struct al_coord_limits *ret);

/* End watches (as unwatch), stop keeping leases alive, free. Other handles of the same store go on.
 * Accepts NULL. Never from a watch function. */
void al_coord_close(struct al_coord *c);

/* Whether a transaction can change something. */
bool al_coord_txn_writes(const struct al_coord_txn *txn);

/* Build compares and ops, so that no field is forgotten. Strings borrowed. */
struct al_coord_compare al_coord_if_create(struct al_str key, enum al_coord_relation r, int64_t n);
struct al_coord_compare al_coord_if_mod(struct al_str key, enum al_coord_relation r, int64_t n);
struct al_coord_compare al_coord_if_absent(struct al_str key);
struct al_coord_op al_coord_put(struct al_str key, struct al_str value, uint64_t lease);
struct al_coord_op al_coord_delete(struct al_str key);
struct al_coord_op al_coord_get(struct al_str key);
struct al_coord_op al_coord_get_prefix(struct al_str prefix, enum al_coord_order order,
                                       uint32_t limit);

/* Leave a handle behind at the end of a scope. */
static inline void al_coord_cleanup(struct al_coord **c)
{
    al_coord_close(*c);
}

#endif
