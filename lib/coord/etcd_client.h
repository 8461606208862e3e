/* etcd_client.h - what the files of coord_etcd*.c share: one handle on an etcd cluster.
 *
 * Two threads. `al-coord-net` owns everything marked (net): connections, endpoints, token, state of
 * calls and streams; it takes mu only to look at what it shares. `al-coord` calls watch functions.
 *
 * Thread: as said at each function: "net" from the net thread, without mu; "any" takes mu itself.
 */
#ifndef AIRLORE_COORD_ETCD_CLIENT_H
#define AIRLORE_COORD_ETCD_CLIENT_H

#include <pthread.h>

#include "airlore/coord_etcd.h"
#include "etcd_json.h"
#include "etcd_wire.h"

#define AL_ETCD_MS 1000000ull
#define AL_ETCD_S 1000000000ull

struct al_etcd;

/* ---- endpoints (net) ---- */

struct al_etcd_endpoint {
    char *url; /* owned; without a slash at its end */
    uint64_t bad_until_ns;
    uint32_t n_failures; /* in a row */
};

struct al_etcd_endpoints {
    struct al_etcd_endpoint list[AL_ETCD_ENDPOINTS_MAX];
    size_t n;
    size_t current;
};

/* Read the list of the options. */
AL_NODISCARD enum al_code al_etcd_endpoints_init(struct al_etcd_endpoints *s, struct al_mem *mem,
                                                 const char *text, struct al_err *err);
void al_etcd_endpoints_fini(struct al_etcd_endpoints *s, struct al_mem *mem);

/* The endpoint answered. */
void al_etcd_endpoint_good(struct al_etcd *e, size_t at);

/* The endpoint is of no use now: another one becomes current, watches move. net. */
void al_etcd_endpoint_bad(struct al_etcd *e, size_t at, const char *why);

/* ---- calls ---- */

enum al_etcd_kind {
    AL_ETCD_IDEMPOTENT = 1, /* may be sent again when nobody knows what became of it */
    AL_ETCD_WRITE = 2,
};

enum al_etcd_call_state { AL_ETCD_WAITING = 0, AL_ETCD_RUNNING = 1, AL_ETCD_ENDED = 2 };

/* One request with its retries. Lives with who made it until on_end. */
struct al_etcd_call {
    struct al_etcd_call *next; /* al_etcd.submitted (guarded by mu), then al_etcd.calls (net) */
    struct al_etcd *owner;
    const char *path; /* literal */
    struct al_buf body;
    enum al_etcd_kind kind;
    bool is_internal;       /* does not wait behind others, and is not counted */
    bool is_single;         /* one attempt, on the current endpoint */
    bool is_token_optional; /* goes out without one, too */
    uint32_t attempt_ms;    /* 0: request_timeout_ms */
    uint64_t deadline_ns;
    void (*on_end)(struct al_etcd_call *c); /* net */
    void *u;
    uint64_t waiter; /* of al_etcd_call_run */

    /* the answer */
    enum al_code code;
    struct al_err err;
    int64_t fault_code; /* of gRPC, when etcd refused */
    struct al_buf answer;
    uint64_t sent_ns;  /* begin of the attempt that was answered */
    uint64_t first_ns; /* begin of the first attempt */
    uint32_t n_unsure; /* attempts before it of which nobody knows */

    /* (net) */
    enum al_etcd_call_state state;
    struct al_wire_exchange *exchange;
    char *url;
    size_t endpoint;
    uint32_t n_attempts;
    uint64_t retry_ns;   /* not before */
    uint64_t give_up_ns; /* no retry after */
    bool is_cut_short;   /* the deadline ends the attempt earlier than attempt_ms would */
    bool has_renewed_token;
    uint64_t token_number; /* al_etcd_auth.number of the attempt */
};

/* Make one; body and answer empty, no deadline. */
void al_etcd_call_init(struct al_etcd_call *c, struct al_etcd *e, const char *path,
                       enum al_etcd_kind kind);
void al_etcd_call_fini(struct al_etcd_call *c);

/* Run it and wait for its end; the code. Refuses when calls_max are under way. any; not net. */
AL_NODISCARD enum al_code al_etcd_call_run(struct al_etcd_call *c, struct al_err *err);

/* Begin; on_end is called later. net. */
void al_etcd_call_begin(struct al_etcd_call *c);

/* End it without on_end. net. */
void al_etcd_call_cancel(struct al_etcd_call *c);

/* Take what was submitted, start what is due; *due_ns falls to when to look again. net. */
void al_etcd_calls_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns);

/* End all: the handle closes. net. */
void al_etcd_calls_end(struct al_etcd *e);

/* What an answer, or the lack of it, means for a request. */
enum al_etcd_verdict {
    AL_ETCD_GOOD = 1,
    AL_ETCD_REFUSED = 2,     /* etcd said no: code and reason */
    AL_ETCD_NOT_APPLIED = 3, /* surely; another endpoint may do it */
    AL_ETCD_BUSY = 4,        /* surely not applied; the endpoint is fine */
    AL_ETCD_UNSURE = 5,
    AL_ETCD_NO_TOKEN = 6, /* the token is not good (any more); surely not applied */
};

struct al_etcd_judgement {
    enum al_etcd_verdict verdict;
    enum al_code code; /* REFUSED */
    const char *reason;
    struct al_etcd_fault fault;
};

/* Judge. body: what came of the answer. */
void al_etcd_judge(const struct al_wire_result *r, struct al_str body,
                   struct al_etcd_judgement *ret);

/* ---- the token (net) ---- */

struct al_etcd_auth {
    char *file;  /* owned; NULL: no user */
    char *token; /* owned; NULL: none now */
    struct al_etcd_call call;
    uint64_t number; /* of the token */
    bool is_asking;
    uint64_t retry_ns; /* after a failure, not before */
    enum al_code code; /* of the last failure; calls that wait end with it */
    struct al_err err;
};

/* Get a token when one is needed; *due_ns as above. net. */
void al_etcd_auth_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns);

/* Forget the token, if it is still that one. net. */
void al_etcd_auth_drop(struct al_etcd *e, uint64_t number);

/* Whether a call can go out now: there is a token, or none is needed. net. */
bool al_etcd_auth_is_ready(const struct al_etcd *e);

/* ---- leases ---- */

struct al_etcd_lease {
    struct al_etcd_lease *next; /* al_etcd.leases, guarded by mu */
    uint64_t id;
    uint64_t ttl_ns;
    uint64_t sent_ns; /* guarded by mu: of the last good keepalive */
    bool is_lost;     /* guarded by mu: for good */
    bool is_gone;     /* guarded by mu: etcd has said that it is gone, or will soon; to be freed */
    /* (net) */
    struct al_etcd_call call; /* keepalive, or revoke when lost */
    bool is_asking;
    bool is_revoking;
    uint64_t next_ns;
};

/* Renew what is due, end what has run out, revoke what is lost. net. */
void al_etcd_leases_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns);

/* Cancel keepalives, free. net, at the end. */
void al_etcd_leases_end(struct al_etcd *e);

/* Whether a lease of this handle is lost. any. */
bool al_etcd_lease_is_lost(struct al_etcd *e, uint64_t lease);

AL_NODISCARD enum al_code al_etcd_lease_grant(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                              struct al_err *err);
AL_NODISCARD enum al_code al_etcd_lease_revoke(struct al_coord *c, uint64_t lease,
                                               struct al_err *err);
uint64_t al_etcd_lease_deadline(struct al_coord *c, uint64_t lease);

/* ---- transactions ---- */

AL_NODISCARD enum al_code al_etcd_txn(struct al_coord *c, const struct al_coord_txn *txn,
                                      uint64_t deadline_ns, struct al_arena *a,
                                      struct al_coord_result *ret, struct al_err *err);
AL_NODISCARD enum al_code al_etcd_compact(struct al_coord *c, int64_t revision, struct al_err *err);
void al_etcd_limits(struct al_coord *c, struct al_coord_limits *ret);

/* ---- watches ---- */

struct al_etcd_parcel;

enum al_etcd_watch_state {
    AL_ETCD_IDLE = 0,    /* to be opened at retry_ns */
    AL_ETCD_OPENING = 1, /* asked for, not yet confirmed */
    AL_ETCD_OPEN = 2,
    AL_ETCD_LOADING = 3, /* history is gone: pages of what there is */
};

struct al_etcd_watch {
    struct al_etcd_watch *next; /* al_etcd.watches, guarded by mu */
    struct al_etcd *owner;
    uint64_t id;
    al_coord_watch_fn *fn;
    void *u;
    bool is_removed;       /* guarded by mu */
    size_t n_queued;       /* guarded by mu */
    int64_t next_revision; /* guarded by mu, written by net: all before it is queued or told */

    /* (net) */
    enum al_etcd_watch_state state;
    struct al_wire_exchange *exchange;
    size_t endpoint;
    char *url;
    struct al_buf body;
    struct al_buf line;          /* begin of a message */
    struct al_etcd_parcel *held; /* begin of a revision, of which a next message has the rest */
    bool is_paused;              /* the queue was full: opened again when it is half empty */
    bool has_failed;             /* found while reading: close and open again */
    bool is_compacted;           /* found while reading: load */
    bool is_short;               /* memory was out */
    uint64_t opened_ns;
    uint64_t retry_ns;
    uint32_t n_failures; /* in a row */
    uint64_t token_number;
    struct al_etcd_fault why;
    struct al_etcd_call page; /* LOADING */
    bool is_asking;           /* LOADING: for a page */
    uint32_t page_keys;       /* LOADING: asked for at once */
    struct al_buf after;      /* LOADING: the last key of the page before */
    int64_t load_revision;    /* LOADING: of the first page; 0: before it */

    size_t prefix_n;
    char prefix[]; /* with the handle's */
};

/* Open, move, reload. net. */
void al_etcd_watches_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns);

/* The endpoint failed: its streams close, and open again elsewhere. net. */
void al_etcd_watches_move(struct al_etcd *e, size_t endpoint);

/* Whether any stream is open or being opened. net. */
bool al_etcd_watches_are_open(struct al_etcd *e);

/* Take a piece of the stream; false: close it, the watch says why. net, in on_data. */
bool al_etcd_news_take(struct al_etcd_watch *w, const char *p, size_t n);

/* Forget a message or revision of which only the begin is there. net. */
void al_etcd_news_reset(struct al_etcd_watch *w);

/* LOADING: begin, or go on; *due_ns as above. Ends in IDLE. net. */
void al_etcd_load_run(struct al_etcd_watch *w, uint64_t now_ns, uint64_t *due_ns);

/* Close all, free. net, at the end, when nothing is called any more. */
void al_etcd_watches_end(struct al_etcd *e);

AL_NODISCARD enum al_code al_etcd_watch_add(struct al_coord *c, const struct al_coord_watcher *w,
                                            uint64_t *ret, struct al_err *err);
void al_etcd_watch_remove(struct al_coord *c, uint64_t watch);

/* ---- the queue to watch functions ---- */

/* Events for one call; bytes behind. */
struct al_etcd_parcel {
    struct al_etcd_parcel *next; /* al_etcd.parcels, guarded by mu */
    struct al_etcd_watch *watch;
    size_t bytes;
    size_t n;
    struct al_coord_event events[];
};

/* A copy; NULL: memory is out. */
struct al_etcd_parcel *al_etcd_parcel_new(struct al_mem *mem, const struct al_coord_event *events,
                                          size_t n);

enum al_etcd_queued { AL_ETCD_QUEUED = 0, AL_ETCD_QUEUE_FULL = 1, AL_ETCD_QUEUE_SHORT = 2 };

/* Copy events (of one revision) into the queue, and say that all before next_revision is there.
 * FULL: the queue has its bytes; SHORT: memory is out; nothing changed then. An empty queue takes
 * one parcel of any size. net. */
enum al_etcd_queued al_etcd_queue_add(struct al_etcd_watch *w, const struct al_coord_event *events,
                                      size_t n, int64_t next_revision);

/* Whether paused watches may go on. any. */
bool al_etcd_queue_has_room(struct al_etcd *e);

/* Forget what is queued for a watch. With mu. */
void al_etcd_queue_drop(struct al_etcd *e, struct al_etcd_watch *w);

/* Main function of the thread `al-coord`. */
void *al_etcd_queue_main(void *u);

/* ---- the handle ---- */

struct al_etcd_metrics {
    struct al_metric *n_good;
    struct al_metric *n_refused;
    struct al_metric *n_unavailable;
    struct al_metric *n_unknown;
    struct al_metric *seconds;
    struct al_metric *n_retries;
    struct al_metric *n_endpoint_failures;
    struct al_metric *n_keepalive_failures;
    struct al_metric *n_leases_lost;
    struct al_metric *n_watch_opens;
    struct al_metric *n_watch_resets;
    struct al_metric *n_watch_pauses;
    struct al_metric *n_authentications;
    struct al_metric *n_limited;
    struct al_metric *queue_bytes;
};

struct al_etcd {
    struct al_coord coord;            /* first */
    struct al_coord_etcd_options opt; /* numbers, ports; strings below */
    struct al_mem *mem;
    char *prefix;
    char *ca_file;
    char *cert_file;
    char *key_file;
    struct al_etcd_metrics metrics;
    struct al_wire *http;
    unsigned long net_thread;
    unsigned long fn_thread;
    bool has_net_thread;
    bool has_fn_thread;

    pthread_mutex_t mu;
    pthread_cond_t
        changed;     /* with mu: a call has ended, a function has returned, the queue moved */
    bool is_closing; /* guarded by mu */
    struct al_etcd_call *submitted; /* guarded by mu; newest first */
    size_t n_calls;                 /* guarded by mu: of callers */
    struct al_etcd_lease *leases;   /* guarded by mu */
    size_t n_leases;                /* guarded by mu */
    struct al_etcd_watch *watches;  /* guarded by mu */
    size_t n_watches;               /* guarded by mu */
    uint64_t next_watch;            /* guarded by mu */
    struct al_etcd_parcel *parcels; /* guarded by mu; oldest first */
    struct al_etcd_parcel **parcels_end;
    size_t queue_bytes; /* guarded by mu; with the parcel under way */
    uint64_t calling;   /* guarded by mu: the watch whose function is under way */

    /* (net) */
    struct al_etcd_endpoints endpoints;
    struct al_etcd_auth auth;
    struct al_etcd_call *calls; /* oldest first */
    struct al_etcd_call **calls_end;
    size_t n_running; /* of callers */
    struct al_etcd_call probe;
    bool is_probing;
    uint64_t probe_ns;
};

/* The handle. any. */
static inline struct al_etcd *al_etcd_of(struct al_coord *c)
{
    return (struct al_etcd *)(void *)c;
}

static inline struct al_str al_etcd_prefix(const struct al_etcd *e)
{
    return al_str_c(e->prefix);
}

static inline void al_etcd_due(uint64_t *due_ns, uint64_t at_ns)
{
    if (at_ns < *due_ns)
        *due_ns = at_ns;
}

/* Now. any. */
uint64_t al_etcd_now(struct al_etcd *e);

/* min_ms doubled for each failure up to max_ms, and up to a half of it less, by chance. */
uint64_t al_etcd_backoff_ns(struct al_etcd *e, uint32_t n_failures, uint64_t min_ms,
                            uint64_t max_ms);

#endif
