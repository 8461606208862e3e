/* mem_store.h - the shared state behind the handles of coord_mem.c: keys, leases, history.
 *
 * Thread: serialized by the caller: al_mem_store.mu is held in every function of this header unless
 * said otherwise.
 */
#ifndef AIRLORE_COORD_MEM_STORE_H
#define AIRLORE_COORD_MEM_STORE_H

#include <pthread.h>

#include "airlore/coord_mem.h"

#define AL_MEM_REQUEST_BYTES_MAX ((size_t)1536 * 1024)
#define AL_MEM_OPS_MAX 128u
#define AL_MEM_LEASE_TTL_S_MIN 1u
#define AL_MEM_LEASES_MAX 10000u
#define AL_MEM_WATCHES_MAX 10000u

/* A key at a revision; immutable, counted. A deleted one: key and mod_revision. */
struct al_mem_record {
    size_t refs;
    struct al_coord_kv kv; /* key and value point behind this struct */
};

/* All changes of one revision. */
struct al_mem_batch {
    int64_t revision;
    size_t n;
    struct al_mem_change {
        struct al_mem_record *record;
        bool is_delete;
    } changes[];
};

struct al_mem_lease {
    uint64_t id;
    struct al_mem_handle *owner; /* NULL: its handle is closed */
    uint64_t ttl_ns;
    uint64_t expires_ns; /* the store's view */
    uint64_t sent_ns;    /* last keepalive */
    bool is_dead;        /* ended; its keys are still to be deleted (memory was out) */
};

struct al_mem_watch {
    struct al_mem_watch *next; /* al_mem_handle.watches */
    uint64_t id;
    int64_t next_revision; /* to be told */
    al_coord_watch_fn *fn;
    void *u;
    size_t prefix_n;
    char prefix[];
};

struct al_mem_handle {
    struct al_coord coord; /* first */
    struct al_mem_store *store;
    struct al_mem_handle *next; /* al_mem_store.handles */
    unsigned long thread;
    struct al_mem_watch *watches;
    uint64_t calling; /* the watch whose function is under way */
    uint64_t settled; /* al_mem_store.settle_round that was seen with nothing left to do */
    bool is_cut_off;
    bool is_closing;
    bool has_fault;
    uint64_t fault_in; /* writing transactions before it */
    enum al_coord_mem_fault fault;
};

struct al_mem_store {
    pthread_mutex_t mu;
    pthread_cond_t wake; /* with mu: something may be due for a handle's thread */
    pthread_cond_t idle; /* with mu: a call has returned, a handle has settled */
    struct al_mem *mem;
    struct al_clock *clock;
    size_t store_bytes_max;
    size_t history_events_max;

    int64_t revision;
    struct al_mem_record **keys; /* sorted */
    size_t n_keys;
    size_t store_bytes;

    struct al_mem_batch **history; /* a ring; revisions without gap, the newest is `revision` */
    size_t history_cap;
    size_t history_head;
    size_t n_history;
    size_t n_history_events;
    int64_t compacted; /* history below it was asked to be forgotten */

    struct al_mem_lease *leases;
    size_t n_leases;
    size_t leases_cap;
    uint64_t next_lease;
    uint64_t next_watch;

    struct al_mem_handle *handles;
    uint64_t settle_round;
};

/* Run a checked transaction; nothing has changed on error. */
AL_NODISCARD enum al_code al_mem_store_txn(struct al_mem_store *s, const struct al_coord_txn *txn,
                                           struct al_arena *a, struct al_coord_result *ret,
                                           struct al_err *err);

/* Delete the keys of a lease as one change. */
AL_NODISCARD enum al_code al_mem_store_drop_lease_keys(struct al_mem_store *s, uint64_t lease,
                                                       struct al_err *err);

/* The lease, or NULL when there is none or it has ended. */
struct al_mem_lease *al_mem_store_lease(struct al_mem_store *s, uint64_t id);

/* First revision that history still has; revision + 1 when it is empty. */
int64_t al_mem_store_oldest(const struct al_mem_store *s);

/* The changes of a revision that history has. */
const struct al_mem_batch *al_mem_store_batch(const struct al_mem_store *s, int64_t revision);

/* Forget history below revision. */
void al_mem_store_forget(struct al_mem_store *s, int64_t revision);

/* Position of the first key that is not below `key`. */
size_t al_mem_store_find(const struct al_mem_store *s, struct al_str key);

/* Drop a reference. */
void al_mem_record_unref(struct al_mem_store *s, struct al_mem_record *r);

/* Free keys, history, leases. */
void al_mem_store_fini(struct al_mem_store *s);

/* Call what one watch of the handle has to be told; mu is given up meanwhile. false: nothing to
 * tell, or memory is out
 * (*ret_short then true: try again later). */
bool al_mem_watch_deliver(struct al_mem_handle *h, bool *ret_short);

/* Whether a watch of the handle has something to be told. */
bool al_mem_watch_is_due(const struct al_mem_handle *h);

/* The watch functions of the handle's vtable; they take mu themselves. */
AL_NODISCARD enum al_code al_mem_watch_add(struct al_coord *c, const struct al_coord_watcher *w,
                                           uint64_t *ret, struct al_err *err);
void al_mem_watch_remove(struct al_coord *c, uint64_t watch);

#endif
