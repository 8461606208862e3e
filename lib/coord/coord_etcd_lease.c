/* Leases: granted, kept alive, lost. */
#include <string.h>

#include "etcd_client.h"

#define KEEPALIVES_A_TTL 3u
#define TRIES_A_TTL 4u /* an attempt ends so early that the next endpoint can still be asked */
#define ATTEMPT_MAX_MS 1000u
#define ATTEMPT_MIN_MS 50u
#define RETRY_MS 50u
#define GRANTS 3u

/* ---- the list ---- */

static struct al_etcd_lease *find(struct al_etcd *e, uint64_t id)
{
    struct al_etcd_lease *l = e->leases;
    while (l && l->id != id)
        l = l->next;
    return l;
}

bool al_etcd_lease_is_lost(struct al_etcd *e, uint64_t lease)
{
    uint64_t now = al_etcd_now(e);
    pthread_mutex_lock(&e->mu);
    struct al_etcd_lease *l = find(e, lease);
    bool is_lost = l && (l->is_lost || l->sent_ns + l->ttl_ns <= now);
    pthread_mutex_unlock(&e->mu);
    return is_lost;
}

uint64_t al_etcd_lease_deadline(struct al_coord *c, uint64_t lease)
{
    struct al_etcd *e = al_etcd_of(c);
    uint64_t now = al_etcd_now(e);
    pthread_mutex_lock(&e->mu);
    struct al_etcd_lease *l = find(e, lease);
    uint64_t at = l && !l->is_lost ? l->sent_ns + l->ttl_ns : 0;
    if (at <= now)
        at = 0; /* the net thread will see it, too */
    pthread_mutex_unlock(&e->mu);
    return at;
}

/* ---- granting ---- */

/* The id is ours, so that a repeat after a lost answer meets its own lease. */
static enum al_code grant(struct al_etcd *e, struct al_etcd_lease *l, uint32_t ttl_s,
                          struct al_err *err)
{
    struct al_etcd_call call;
    al_etcd_call_init(&call, e, "/v3/lease/grant", AL_ETCD_IDEMPOTENT);
    al_etcd_ask_grant(&call.body, l->id, ttl_s);
    struct al_err why = {.reason = NULL};
    enum al_code c = al_etcd_call_run(&call, &why);
    int64_t granted = ttl_s;
    bool is_taken = c == AL_FAILED_PRECONDITION;
    bool is_ours = is_taken && call.n_unsure > 0;
    l->sent_ns = is_ours ? call.first_ns : call.sent_ns;
    if (c == AL_OK)
        c = al_etcd_read_grant(al_buf_view(&call.answer), &granted, &why);
    al_etcd_call_fini(&call);
    l->ttl_ns = (uint64_t)granted * AL_ETCD_S;
    if (c == AL_OK || is_ours)
        return AL_OK;
    if (is_taken)
        return AL_FAIL(err, AL_ALREADY_EXISTS, "etcd: lease %llx is taken",
                       (unsigned long long)l->id);
    if (c == AL_DATA_LOSS)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "COORD_UNAVAILABLE", "%s", why.msg);
    if (err)
        *err = why;
    return c;
}

static enum al_code reserve(struct al_etcd *e, struct al_err *err)
{
    pthread_mutex_lock(&e->mu);
    bool is_full = e->n_leases >= e->opt.leases_max;
    e->n_leases += !is_full;
    pthread_mutex_unlock(&e->mu);
    if (!is_full)
        return AL_OK;
    al_metric_add(e->metrics.n_limited, 1);
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "NO_SPACE", "etcd: %u leases, the most allowed",
                     e->opt.leases_max);
}

static void give_back(struct al_etcd *e, struct al_etcd_lease *l)
{
    pthread_mutex_lock(&e->mu);
    e->n_leases--;
    pthread_mutex_unlock(&e->mu);
    al_mem_free(e->mem, l);
}

enum al_code al_etcd_lease_grant(struct al_coord *c, uint32_t ttl_s, uint64_t *ret,
                                 struct al_err *err)
{
    struct al_etcd *e = al_etcd_of(c);
    AL_TRY(reserve(e, err));
    struct al_etcd_lease *l = al_mem_zalloc(e->mem, sizeof *l);
    if (!l) {
        give_back(e, NULL);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: lease: out of memory");
    }
    enum al_code code = AL_ALREADY_EXISTS;
    for (uint32_t i = 0; i < GRANTS && code == AL_ALREADY_EXISTS; i++) {
        l->id = (al_random_u64(e->opt.random) >> 1) | 1u; /* a positive int64 */
        code = grant(e, l, ttl_s, err);
    }
    if (code != AL_OK) {
        give_back(e, l);
        return code;
    }
    uint64_t id = l->id;
    l->next_ns = l->sent_ns + l->ttl_ns / KEEPALIVES_A_TTL;
    pthread_mutex_lock(&e->mu);
    l->next = e->leases;
    e->leases = l;
    pthread_mutex_unlock(&e->mu);
    e->http->ops->wake(e->http);
    *ret = id;
    return AL_OK;
}

/* ---- revoking ---- */

static void set_lost(struct al_etcd *e, uint64_t lease, bool is_gone)
{
    pthread_mutex_lock(&e->mu);
    struct al_etcd_lease *l = find(e, lease);
    if (l) {
        l->is_lost = true;
        l->is_gone = l->is_gone || is_gone;
    }
    pthread_mutex_unlock(&e->mu);
}

enum al_code al_etcd_lease_revoke(struct al_coord *c, uint64_t lease, struct al_err *err)
{
    struct al_etcd *e = al_etcd_of(c);
    set_lost(e, lease, false); /* whatever comes of it, nobody here believes in it any more */
    struct al_etcd_call call;
    al_etcd_call_init(&call, e, "/v3/lease/revoke", AL_ETCD_IDEMPOTENT);
    al_etcd_ask_lease(&call.body, lease);
    enum al_code code = al_etcd_call_run(&call, err);
    bool is_gone = code == AL_FAILED_PRECONDITION;
    bool was_unsure = call.n_unsure > 0;
    al_etcd_call_fini(&call);
    if (code == AL_OK || is_gone)
        set_lost(e, lease, true);
    e->http->ops->wake(e->http);
    if (is_gone && was_unsure)
        return AL_OK; /* by the attempt whose answer was lost */
    if (is_gone)
        return AL_FAIL_R(err, AL_NOT_FOUND, "LEASE_NOT_FOUND", "etcd: lease %llx is gone",
                         (unsigned long long)lease);
    return code;
}

/* ---- keeping alive: the net thread ---- */

static void lose(struct al_etcd *e, struct al_etcd_lease *l, const char *why)
{
    pthread_mutex_lock(&e->mu);
    bool is_news = !l->is_lost;
    l->is_lost = true;
    pthread_mutex_unlock(&e->mu);
    if (!is_news)
        return;
    al_metric_add(e->metrics.n_leases_lost, 1);
    al_log(e->opt.log, AL_LOG_ERROR, "coord.etcd.lease_lost", AL_U64("lease", l->id),
           AL_S("why", why));
}

static void on_keepalive_end(struct al_etcd_call *c)
{
    struct al_etcd_lease *l = c->u;
    struct al_etcd *e = c->owner;
    uint64_t now = al_etcd_now(e);
    uint64_t sent = c->sent_ns;
    int64_t ttl_s = 0;
    struct al_err err = c->err;
    enum al_code code = c->code;
    if (code == AL_OK)
        code = al_etcd_read_keepalive(al_buf_view(&c->answer), &ttl_s, &err);
    al_etcd_call_fini(c);
    l->is_asking = false;
    if (code == AL_OK && ttl_s == 0) {
        lose(e, l, "etcd has ended it");
        set_lost(e, l->id, true);
        return;
    }
    if (code != AL_OK) {
        al_metric_add(e->metrics.n_keepalive_failures, 1);
        al_log_err(e->opt.log, AL_LOG_WARN, "coord.etcd.keepalive_failed", &err);
        l->next_ns = now + RETRY_MS * AL_ETCD_MS;
        return;
    }
    pthread_mutex_lock(&e->mu);
    l->sent_ns = sent;
    l->ttl_ns = (uint64_t)ttl_s * AL_ETCD_S;
    pthread_mutex_unlock(&e->mu);
    l->next_ns = sent + l->ttl_ns / KEEPALIVES_A_TTL;
}

static void on_revoke_end(struct al_etcd_call *c)
{
    struct al_etcd_lease *l = c->u;
    struct al_etcd *e = c->owner;
    bool is_gone = c->code == AL_OK || c->code == AL_FAILED_PRECONDITION;
    al_etcd_call_fini(c);
    l->is_asking = false;
    l->next_ns = al_etcd_now(e) + l->ttl_ns / KEEPALIVES_A_TTL;
    if (is_gone)
        set_lost(e, l->id, true);
}

/* One attempt: the list of leases is looked at again when it ends, and the endpoint may have
 * changed. */
static void ask(struct al_etcd *e, struct al_etcd_lease *l, bool is_revoke)
{
    uint64_t ms = l->ttl_ns / AL_ETCD_MS / TRIES_A_TTL;
    if (ms > ATTEMPT_MAX_MS)
        ms = ATTEMPT_MAX_MS;
    if (ms > e->opt.request_timeout_ms)
        ms = e->opt.request_timeout_ms;
    struct al_etcd_call *c = &l->call;
    al_etcd_call_init(c, e, is_revoke ? "/v3/lease/revoke" : "/v3/lease/keepalive",
                      AL_ETCD_IDEMPOTENT);
    al_etcd_ask_lease(&c->body, l->id);
    c->is_internal = true;
    c->is_single = true;
    c->is_token_optional = true;
    c->attempt_ms = (uint32_t)(ms < ATTEMPT_MIN_MS ? ATTEMPT_MIN_MS : ms);
    c->on_end = is_revoke ? on_revoke_end : on_keepalive_end;
    c->u = l;
    if (al_buf_status(&c->body, NULL) != AL_OK) {
        al_etcd_call_fini(c);
        l->next_ns = al_etcd_now(e) + RETRY_MS * AL_ETCD_MS;
        return;
    }
    l->is_asking = true;
    al_etcd_call_begin(c);
}

static void step(struct al_etcd *e, struct al_etcd_lease *l, uint64_t now, uint64_t *due_ns)
{
    pthread_mutex_lock(&e->mu);
    uint64_t end_ns = l->sent_ns + l->ttl_ns;
    bool is_lost = l->is_lost;
    pthread_mutex_unlock(&e->mu);
    if (!is_lost && end_ns <= now) {
        lose(e, l, "no keepalive was answered in time");
        is_lost = true;
        l->next_ns = now;
    }
    if (!is_lost)
        al_etcd_due(due_ns, end_ns);
    if (l->is_asking)
        return;
    if (l->next_ns > now) {
        al_etcd_due(due_ns, l->next_ns);
        return;
    }
    ask(e, l, is_lost);
    al_etcd_due(due_ns, now);
}

/* Out of the list what etcd no longer has. */
static void drop_gone(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    struct al_etcd_lease **at = &e->leases;
    while (*at) {
        struct al_etcd_lease *l = *at;
        if (!l->is_gone || l->is_asking) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        e->n_leases--;
        al_mem_free(e->mem, l);
    }
    pthread_mutex_unlock(&e->mu);
}

void al_etcd_leases_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns)
{
    drop_gone(e);
    pthread_mutex_lock(&e->mu);
    struct al_etcd_lease *l = e->leases; /* new ones come before it, and only this thread frees */
    pthread_mutex_unlock(&e->mu);
    for (; l; l = l->next) {
        pthread_mutex_lock(&e->mu);
        bool is_gone = l->is_gone;
        pthread_mutex_unlock(&e->mu);
        if (!is_gone)
            step(e, l, now_ns, due_ns);
    }
}

void al_etcd_leases_end(struct al_etcd *e)
{
    while (e->leases) {
        struct al_etcd_lease *l = e->leases;
        e->leases = l->next;
        if (l->is_asking) {
            al_etcd_call_cancel(&l->call);
            al_etcd_call_fini(&l->call);
        }
        al_mem_free(e->mem, l);
    }
}
