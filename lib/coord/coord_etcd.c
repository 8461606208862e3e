/* A handle on etcd: options, threads, opening and closing. */
#include "airlore/coord_etcd.h"

#include <string.h>
#include <time.h>

#include "airlore/disk.h"
#include "airlore/pool.h"
#include "etcd_client.h"

#define PROBE_ATTEMPT_MAX_MS 1000u
#define IDLE_NS (60ull * AL_ETCD_S)
#define POLL_NS 20000000L
#define EXTRA_CONNECTIONS 4u /* probe, token, pages of a reset, revokes */

uint64_t al_etcd_now(struct al_etcd *e)
{
    return al_clock_mono_ns(e->opt.clock);
}

uint64_t al_etcd_backoff_ns(struct al_etcd *e, uint32_t n_failures, uint64_t min_ms,
                            uint64_t max_ms)
{
    uint64_t ms = min_ms << (n_failures < 16 ? n_failures : 16);
    uint64_t ns = (ms < max_ms ? ms : max_ms) * AL_ETCD_MS;
    return ns - al_random_below(e->opt.random, ns / 2 + 1);
}

/* ---- the net thread ---- */

static void on_probe_end(struct al_etcd_call *c)
{
    struct al_etcd *e = c->owner;
    al_etcd_call_fini(c);
    e->is_probing = false; /* the call itself has told on the endpoint */
    e->probe_ns = al_etcd_now(e) + e->opt.probe_ms * AL_ETCD_MS;
}

/* A stream of a frozen member stays open and silent for ever: ask whether it still answers. */
static void probe(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns)
{
    if (e->is_probing)
        return;
    if (!al_etcd_watches_are_open(e))
        e->probe_ns = now_ns + e->opt.probe_ms * AL_ETCD_MS;
    if (e->probe_ns > now_ns) {
        al_etcd_due(due_ns, e->probe_ns);
        return;
    }
    struct al_etcd_call *c = &e->probe;
    al_etcd_call_init(c, e, "/v3/kv/range", AL_ETCD_IDEMPOTENT);
    al_etcd_ask_probe(&c->body, al_etcd_prefix(e));
    c->is_internal = true;
    c->is_single = true;
    c->is_token_optional = true;
    c->attempt_ms = e->opt.request_timeout_ms < PROBE_ATTEMPT_MAX_MS ? e->opt.request_timeout_ms
                                                                     : PROBE_ATTEMPT_MAX_MS;
    c->on_end = on_probe_end;
    e->probe_ns = now_ns + e->opt.probe_ms * AL_ETCD_MS;
    al_etcd_due(due_ns, now_ns);
    if (al_buf_status(&c->body, NULL) != AL_OK) {
        al_etcd_call_fini(c);
        return;
    }
    e->is_probing = true;
    al_etcd_call_begin(c);
}

static bool is_closing(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    bool closing = e->is_closing;
    pthread_mutex_unlock(&e->mu);
    return closing;
}

static void *net_main(void *u)
{
    struct al_etcd *e = u;
    while (!is_closing(e)) {
        uint64_t now = al_etcd_now(e);
        uint64_t due = now + IDLE_NS;
        al_etcd_auth_run(e, now, &due);
        al_etcd_leases_run(e, now, &due);
        al_etcd_watches_run(e, now, &due);
        probe(e, now, &due);
        al_etcd_calls_run(e, now, &due);
        now = al_etcd_now(e);
        uint64_t wait_ns = due > now ? due - now : 0;
        e->http->ops->run(e->http, (uint32_t)((wait_ns + AL_ETCD_MS - 1) / AL_ETCD_MS));
    }
    return NULL;
}

/* ---- options ---- */

static enum al_code bad_option(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "etcd: %s", what);
}

/* 0: the default. */
static enum al_code settle_u32(uint32_t *v, uint32_t def, uint32_t min, uint32_t max,
                               struct al_err *err)
{
    if (*v == 0)
        *v = def;
    return *v < min || *v > max ? bad_option(err, "a number outside its range") : AL_OK;
}

static enum al_code settle_size(size_t *v, size_t def, size_t min, size_t max, struct al_err *err)
{
    if (*v == 0)
        *v = def;
    return *v < min || *v > max ? bad_option(err, "a size outside its range") : AL_OK;
}

static enum al_code check_options(struct al_coord_etcd_options *o, struct al_err *err)
{
    if (!o->endpoints)
        return bad_option(err, "endpoints are needed");
    if (o->prefix && strlen(o->prefix) > AL_ETCD_PREFIX_BYTES_MAX)
        return bad_option(err, "the prefix is too long");
    if (!o->cert_file != !o->key_file)
        return bad_option(err, "a certificate and its key are given both or not at all");
    AL_TRY(settle_u32(&o->connect_timeout_ms, 1000, 50, 30000, err));
    AL_TRY(settle_u32(&o->request_timeout_ms, 2000, 100, 60000, err));
    AL_TRY(settle_u32(&o->retry_ms, 3000, 1, 60000, err));
    AL_TRY(settle_u32(&o->probe_ms, 1000, 50, 30000, err));
    AL_TRY(settle_u32(&o->connections_max, 8, 1, 64, err));
    AL_TRY(settle_u32(&o->calls_max, 1024, 1, 65536, err));
    AL_TRY(settle_u32(&o->watches_max, 64, 1, 1024, err));
    AL_TRY(settle_u32(&o->leases_max, 64, 1, 1024, err));
    AL_TRY(settle_size(&o->response_bytes_max, (size_t)32 << 20, (size_t)4 << 20, (size_t)256 << 20,
                       err));
    AL_TRY(
        settle_size(&o->queue_bytes_max, (size_t)16 << 20, (size_t)64 << 10, (size_t)1 << 30, err));
    o->clock = o->clock ? o->clock : al_clock_system();
    o->random = o->random ? o->random : al_random_system();
    o->mem = o->mem ? o->mem : al_mem_std();
    return AL_OK;
}

/* Copy a path after a look: a file that cannot be read is told at the start. */
static enum al_code take_file(struct al_etcd *e, const char *path, char **ret, struct al_err *err)
{
    uint64_t size;
    struct al_disk *disk = al_disk_system();
    struct al_file f;
    if (!path)
        return AL_OK;
    *ret = al_mem_strndup(e->mem, path, strlen(path));
    if (!*ret)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: out of memory");
    struct al_err why;
    enum al_code c = disk->ops->size(disk, path, &size, &why);
    if (c == AL_OK)
        c = disk->ops->open(disk, path, AL_DISK_READ, 0, &f, &why);
    if (c != AL_OK)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "etcd: %s", why.msg);
    return disk->ops->close(disk, &f, err);
}

static enum al_code take_options(struct al_etcd *e, struct al_err *err)
{
    const struct al_coord_etcd_options *o = &e->opt;
    const char *prefix = o->prefix ? o->prefix : "";
    e->prefix = al_mem_strndup(e->mem, prefix, strlen(prefix));
    if (!e->prefix)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: out of memory");
    AL_TRY(al_etcd_endpoints_init(&e->endpoints, e->mem, o->endpoints, err));
    AL_TRY(take_file(e, o->ca_file, &e->ca_file, err));
    AL_TRY(take_file(e, o->cert_file, &e->cert_file, err));
    AL_TRY(take_file(e, o->key_file, &e->key_file, err));
    return take_file(e, o->auth_file, &e->auth.file, err);
}

static enum al_code register_outcomes(struct al_etcd *e, struct al_err *err)
{
    static const char name[] = "airlore_coord_requests_total";
    static const char help[] = "Requests to the coordination store by how they ended";
    struct al_metrics *r = e->opt.metrics;
    struct al_etcd_metrics *m = &e->metrics;
    AL_TRY(al_metrics_counter(r, name, help, "outcome=\"ok\"", &m->n_good, err));
    AL_TRY(al_metrics_counter(r, name, help, "outcome=\"refused\"", &m->n_refused, err));
    AL_TRY(al_metrics_counter(r, name, help, "outcome=\"unavailable\"", &m->n_unavailable, err));
    return al_metrics_counter(r, name, help, "outcome=\"unknown\"", &m->n_unknown, err);
}

static enum al_code register_metrics(struct al_etcd *e, struct al_err *err)
{
    struct al_metrics *r = e->opt.metrics;
    struct al_etcd_metrics *m = &e->metrics;
    const struct {
        const char *name;
        const char *help;
        struct al_metric **ret;
    } counters[] = {
        {"airlore_coord_retries_total", "Attempts repeated", &m->n_retries},
        {"airlore_coord_endpoint_failures_total", "Endpoints given up for a while",
         &m->n_endpoint_failures},
        {"airlore_coord_keepalive_failures_total", "Keepalives without a good answer",
         &m->n_keepalive_failures},
        {"airlore_coord_leases_lost_total", "Leases that ended without being revoked",
         &m->n_leases_lost},
        {"airlore_coord_watch_opens_total", "Streams opened", &m->n_watch_opens},
        {"airlore_coord_watch_resets_total", "Watches that lost history and loaded all",
         &m->n_watch_resets},
        {"airlore_coord_watch_pauses_total", "Watches paused by a full queue", &m->n_watch_pauses},
        {"airlore_coord_authentications_total", "Tokens asked for", &m->n_authentications},
        {"airlore_coord_limited_total", "Calls, watches and leases refused by a limit",
         &m->n_limited},
    };
    for (size_t i = 0; r && i < AL_ARRAY_LEN(counters); i++)
        AL_TRY(
            al_metrics_counter(r, counters[i].name, counters[i].help, NULL, counters[i].ret, err));
    if (!r)
        return AL_OK;
    AL_TRY(register_outcomes(e, err));
    AL_TRY(al_metrics_histogram(r, "airlore_coord_request_seconds",
                                "Requests to the coordination store, with retries", NULL,
                                &m->seconds, err));
    return al_metrics_gauge(r, "airlore_coord_queue_bytes", "Changes that wait for their readers",
                            NULL, &m->queue_bytes, err);
}

/* ---- opening and closing ---- */

static void etcd_close(struct al_coord *c)
{
    struct al_etcd *e = al_etcd_of(c);
    pthread_mutex_lock(&e->mu);
    e->is_closing = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mu);
    if (e->has_fn_thread)
        pthread_join((pthread_t)e->fn_thread, NULL);
    if (e->http)
        e->http->ops->wake(e->http);
    if (e->has_net_thread)
        pthread_join((pthread_t)e->net_thread, NULL);
    al_etcd_watches_end(e);
    al_etcd_leases_end(e);
    if (e->is_probing) {
        al_etcd_call_cancel(&e->probe);
        al_etcd_call_fini(&e->probe);
    }
    if (e->auth.is_asking) {
        al_etcd_call_cancel(&e->auth.call);
        al_etcd_call_fini(&e->auth.call);
    }
    al_etcd_calls_end(e);
    if (e->http)
        e->http->ops->destroy(e->http);
    al_etcd_auth_drop(e, e->auth.number);
    al_etcd_endpoints_fini(&e->endpoints, e->mem);
    al_mem_free(e->mem, e->auth.file);
    al_mem_free(e->mem, e->ca_file);
    al_mem_free(e->mem, e->cert_file);
    al_mem_free(e->mem, e->key_file);
    al_mem_free(e->mem, e->prefix);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mu);
    al_mem_free(e->mem, e);
}

static const struct al_coord_ops etcd_ops = {
    .txn = al_etcd_txn,
    .lease_grant = al_etcd_lease_grant,
    .lease_revoke = al_etcd_lease_revoke,
    .lease_deadline = al_etcd_lease_deadline,
    .watch = al_etcd_watch_add,
    .unwatch = al_etcd_watch_remove,
    .compact = al_etcd_compact,
    .limits = al_etcd_limits,
    .close = etcd_close,
};

static void init_sync(struct al_etcd *e)
{
    pthread_condattr_t attr;
    AL_ASSERT(pthread_condattr_init(&attr) == 0);
    AL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AL_ASSERT(pthread_mutex_init(&e->mu, NULL) == 0);
    AL_ASSERT(pthread_cond_init(&e->changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

static enum al_code start(struct al_etcd *e, struct al_err *err)
{
    const struct al_coord_etcd_options *o = &e->opt;
    AL_TRY(take_options(e, err));
    AL_TRY(register_metrics(e, err));
    struct al_wire_options http = {.ca_file = e->ca_file,
                                   .cert_file = e->cert_file,
                                   .key_file = e->key_file,
                                   .connect_timeout_ms = o->connect_timeout_ms,
                                   .connections_max = o->connections_max + o->watches_max +
                                                      o->leases_max + EXTRA_CONNECTIONS,
                                   .mem = e->mem};
    AL_TRY(al_wire_curl_create(&http, &e->http, err));
    AL_TRY(al_thread_start("al-coord-net", net_main, e, &e->net_thread, err));
    e->has_net_thread = true;
    AL_TRY(al_thread_start("al-coord", al_etcd_queue_main, e, &e->fn_thread, err));
    e->has_fn_thread = true;
    return AL_OK;
}

enum al_code al_coord_etcd_open(const struct al_coord_etcd_options *opt, struct al_coord **ret,
                                struct al_err *err)
{
    struct al_coord_etcd_options o = *opt;
    AL_TRY(check_options(&o, err));
    struct al_etcd *e = al_mem_zalloc(o.mem, sizeof *e);
    if (!e)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: out of memory");
    e->coord.ops = &etcd_ops;
    e->opt = o;
    e->mem = o.mem;
    e->parcels_end = &e->parcels;
    e->calls_end = &e->calls;
    e->probe_ns = al_etcd_now(e) + o.probe_ms * AL_ETCD_MS;
    init_sync(e);
    enum al_code c = start(e, err);
    if (c != AL_OK) {
        etcd_close(&e->coord);
        return c;
    }
    *ret = &e->coord;
    return AL_OK;
}

/* ---- settling ---- */

/* With mu. */
static bool is_settled(const struct al_etcd *e, int64_t revision)
{
    for (const struct al_etcd_watch *w = e->watches; w; w = w->next) {
        if (!w->is_removed && (w->next_revision <= revision || w->n_queued > 0))
            return false;
    }
    return true;
}

static int64_t revision_now(struct al_coord *c, uint64_t deadline_ns)
{
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)64 << 10);
    struct al_coord_txn nothing = {.n_then = 0};
    struct al_coord_result res = {.revision = INT64_MAX};
    enum al_code code = al_coord_txn(c, &nothing, deadline_ns, &a, &res, NULL);
    al_arena_fini(&a);
    return code == AL_OK ? res.revision : INT64_MAX;
}

bool al_coord_etcd_settle(struct al_coord *c, uint64_t deadline_ns)
{
    AL_ASSERT(c->ops == &etcd_ops);
    struct al_etcd *e = al_etcd_of(c);
    int64_t revision = revision_now(c, deadline_ns);
    bool is_late = false;
    pthread_mutex_lock(&e->mu);
    while (!is_settled(e, revision) && !is_late) {
        struct timespec t;
        AL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
        t.tv_nsec += POLL_NS;
        t.tv_sec += t.tv_nsec / 1000000000L;
        t.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&e->changed, &e->mu, &t);
        pthread_mutex_unlock(&e->mu);
        is_late = al_clock_has_passed(e->opt.clock, deadline_ns);
        pthread_mutex_lock(&e->mu);
    }
    bool is_done = is_settled(e, revision);
    pthread_mutex_unlock(&e->mu);
    return is_done;
}
