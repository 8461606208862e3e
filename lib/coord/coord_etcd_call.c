/* Requests with one answer: where they go, when they are tried again, what they end with. */
#include <stdio.h>
#include <string.h>

#include "etcd_client.h"

#define RETRY_MIN_MS 20u
#define RETRY_MAX_MS 500u
#define ERROR_BODY_MAX 65536u

void al_etcd_call_init(struct al_etcd_call *c, struct al_etcd *e, const char *path,
                       enum al_etcd_kind kind)
{
    *c = (struct al_etcd_call){
        .owner = e, .path = path, .kind = kind, .deadline_ns = AL_DEADLINE_NONE};
    al_buf_init(&c->body, e->mem, 0);
    al_buf_init(&c->answer, e->mem, e->opt.response_bytes_max);
}

void al_etcd_call_fini(struct al_etcd_call *c)
{
    if (!c->owner)
        return;
    al_mem_free(c->owner->mem, c->url);
    c->url = NULL;
    al_buf_fini(&c->body);
    al_buf_fini(&c->answer);
}

/* ---- the end ---- */

static void unlist(struct al_etcd_call *c)
{
    struct al_etcd *e = c->owner;
    struct al_etcd_call **at = &e->calls;
    while (*at && *at != c)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = c->next;
    if (e->calls_end == &c->next)
        e->calls_end = at;
    c->next = NULL;
}

static void leave_running(struct al_etcd_call *c)
{
    if (c->state == AL_ETCD_RUNNING && !c->is_internal)
        c->owner->n_running--;
    c->state = AL_ETCD_WAITING;
    c->exchange = NULL;
}

static void count_end(struct al_etcd_call *c)
{
    struct al_etcd_metrics *m = &c->owner->metrics;
    if (c->is_internal)
        return;
    al_metric_add(c->code == AL_OK            ? m->n_good
                  : c->code == AL_UNKNOWN     ? m->n_unknown
                  : c->code == AL_UNAVAILABLE ? m->n_unavailable
                                              : m->n_refused,
                  1);
    if (c->first_ns)
        al_metric_observe(m->seconds, (double)(al_etcd_now(c->owner) - c->first_ns) / 1e9);
}

static void end_call(struct al_etcd_call *c, enum al_code code)
{
    c->code = code;
    c->state = AL_ETCD_ENDED;
    unlist(c);
    count_end(c);
    c->on_end(c); /* c may be gone after it */
}

/* Ends with what an attempt of which nobody knows leaves. */
static void end_unsure(struct al_etcd_call *c, const char *why)
{
    if (c->kind == AL_ETCD_WRITE)
        end_call(c,
                 AL_FAIL_R(&c->err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "etcd: %s: %s", c->path, why));
    else
        end_call(c, AL_FAIL_R(&c->err, AL_UNAVAILABLE, "COORD_UNAVAILABLE", "etcd: %s: %s", c->path,
                              why));
}

static void end_not_applied(struct al_etcd_call *c, const char *why)
{
    end_call(c,
             AL_FAIL_R(&c->err, AL_UNAVAILABLE, "COORD_UNAVAILABLE", "etcd: %s: %s", c->path, why));
}

/* ---- attempts ---- */

static bool on_data(void *u, const char *p, size_t n)
{
    struct al_etcd_call *c = u;
    al_buf_add(&c->answer, p, n);
    return al_buf_status(&c->answer, NULL) == AL_OK;
}

/* Again, or the end. All endpoints in turn without waiting, then with growing pauses. */
static void try_again(struct al_etcd_call *c, bool is_busy, bool is_unsure, const char *why)
{
    struct al_etcd *e = c->owner;
    uint64_t now = al_etcd_now(e);
    uint32_t n = (uint32_t)e->endpoints.n;
    bool is_round = is_busy || c->n_attempts % n == 0;
    uint64_t pause =
        is_round ? al_etcd_backoff_ns(e, c->n_attempts / n, RETRY_MIN_MS, RETRY_MAX_MS) : 0;
    bool is_over = c->is_single || now + pause >= c->give_up_ns;
    if (is_over && is_unsure) {
        end_unsure(c, why);
    } else if (is_over) {
        end_not_applied(c, why);
    } else {
        c->retry_ns = now + pause;
        al_metric_add(e->metrics.n_retries, 1);
    }
}

static void on_refused(struct al_etcd_call *c, const struct al_etcd_judgement *j)
{
    c->fault_code = j->fault.code;
    end_call(c, AL_FAIL_R(&c->err, j->code, j->reason, "etcd: %s: %s", c->path, j->fault.message));
}

/* One more attempt with a new token; a second refusal is the answer. */
static void on_no_token(struct al_etcd_call *c, const struct al_etcd_judgement *j)
{
    struct al_etcd *e = c->owner;
    bool had_none = c->is_token_optional && c->token_number == 0;
    if (!e->auth.file || c->has_renewed_token || had_none) {
        on_refused(c, j);
        return;
    }
    c->has_renewed_token = true;
    al_etcd_auth_drop(e, c->token_number);
    c->retry_ns = 0;
}

static void on_unsure(struct al_etcd_call *c, const struct al_wire_result *r, const char *why)
{
    size_t endpoint = c->endpoint;
    struct al_etcd *e = c->owner;
    bool is_too_large = r->end == AL_WIRE_STOPPED;
    /* A deadline of the caller that passes early says nothing about the endpoint. */
    bool is_ours = is_too_large || (r->end == AL_WIRE_TIMED_OUT && c->is_cut_short);
    c->n_unsure++;
    if (!is_ours)
        al_etcd_endpoint_bad(e, endpoint, why);
    if (c->kind == AL_ETCD_WRITE)
        end_unsure(c, why);
    else if (is_too_large)
        end_call(c, AL_FAIL(&c->err, AL_RESOURCE_EXHAUSTED, "etcd: %s: %s", c->path, why));
    else
        try_again(c, false, true, why);
}

static void on_http_end(void *u, const struct al_wire_result *r)
{
    struct al_etcd_call *c = u;
    struct al_etcd *e = c->owner;
    struct al_etcd_judgement j;
    leave_running(c);
    al_etcd_judge(r, al_buf_view(&c->answer), &j);
    if (j.verdict != AL_ETCD_NOT_APPLIED && j.verdict != AL_ETCD_UNSURE)
        al_etcd_endpoint_good(e, c->endpoint);
    switch (j.verdict) {
    case AL_ETCD_GOOD:
        end_call(c, AL_OK);
        break;
    case AL_ETCD_REFUSED:
        on_refused(c, &j);
        break;
    case AL_ETCD_NOT_APPLIED:
        if (!(r->end == AL_WIRE_TIMED_OUT && c->is_cut_short))
            al_etcd_endpoint_bad(e, c->endpoint, j.fault.message);
        try_again(c, false, c->n_unsure > 0, j.fault.message);
        break;
    case AL_ETCD_BUSY:
        try_again(c, true, c->n_unsure > 0, j.fault.message);
        break;
    case AL_ETCD_UNSURE:
        on_unsure(c, r, j.fault.message);
        break;
    case AL_ETCD_NO_TOKEN:
        on_no_token(c, &j);
        break;
    }
}

static enum al_code start_attempt(struct al_etcd_call *c, uint64_t now, struct al_err *err)
{
    struct al_etcd *e = c->owner;
    uint64_t attempt_ms = c->attempt_ms ? c->attempt_ms : e->opt.request_timeout_ms;
    uint64_t left_ms = (c->deadline_ns - now + AL_ETCD_MS - 1) / AL_ETCD_MS;
    c->is_cut_short = left_ms < attempt_ms;
    c->endpoint = e->endpoints.current;
    const char *base = e->endpoints.list[c->endpoint].url;
    size_t room = strlen(base) + strlen(c->path) + 1;
    char *url = al_mem_resize(e->mem, c->url, room);
    if (!url)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: call: out of memory");
    c->url = url;
    snprintf(url, room, "%s%s", base, c->path);
    al_buf_reset(&c->answer);
    struct al_wire_request req = {.url = url,
                                  .body = al_buf_view(&c->body),
                                  .token = e->auth.token,
                                  .timeout_ms = (uint32_t)(c->is_cut_short ? left_ms : attempt_ms),
                                  .on_data = on_data,
                                  .on_end = on_http_end,
                                  .u = c};
    AL_TRY(e->http->ops->start(e->http, &req, &c->exchange, err));
    c->state = AL_ETCD_RUNNING;
    c->sent_ns = now;
    c->first_ns = c->first_ns ? c->first_ns : now;
    c->n_attempts++;
    c->token_number = e->auth.token ? e->auth.number : 0;
    if (!c->is_internal)
        e->n_running++;
    return AL_OK;
}

static void end_late(struct al_etcd_call *c)
{
    if (c->n_unsure > 0)
        end_unsure(c, "the deadline has passed");
    else if (c->n_attempts > 0)
        end_not_applied(c, "the deadline has passed");
    else
        end_call(c, AL_FAIL(&c->err, AL_DEADLINE_EXCEEDED, "etcd: %s: the deadline has passed",
                            c->path));
}

/* true: something happened to it, it may be gone. */
static bool step(struct al_etcd_call *c, uint64_t now, uint64_t *due_ns)
{
    struct al_etcd *e = c->owner;
    if (c->state != AL_ETCD_WAITING)
        return false;
    if (c->deadline_ns <= now) {
        end_late(c);
        return true;
    }
    al_etcd_due(due_ns, c->deadline_ns);
    if (!c->is_internal && e->n_running >= e->opt.connections_max)
        return false;
    if (c->retry_ns > now) {
        al_etcd_due(due_ns, c->retry_ns);
        return false;
    }
    if (!c->is_token_optional && !al_etcd_auth_is_ready(e)) {
        if (e->auth.code == AL_OK || e->auth.retry_ns <= now)
            return false; /* it is being asked for */
        c->err = e->auth.err;
        end_call(c, e->auth.code);
        return true;
    }
    enum al_code code = start_attempt(c, now, &c->err);
    if (code != AL_OK && c->n_unsure == 0)
        end_call(c, code);
    else if (code != AL_OK)
        end_unsure(c, "out of memory");
    return code != AL_OK;
}

static void list(struct al_etcd_call *c)
{
    struct al_etcd *e = c->owner;
    uint64_t now = al_etcd_now(e);
    c->state = AL_ETCD_WAITING;
    c->next = NULL;
    c->n_attempts = 0;
    c->n_unsure = 0;
    c->first_ns = 0;
    c->retry_ns = 0;
    c->has_renewed_token = false;
    c->give_up_ns = now + e->opt.retry_ms * AL_ETCD_MS;
    if (c->deadline_ns < c->give_up_ns)
        c->give_up_ns = c->deadline_ns;
    *e->calls_end = c;
    e->calls_end = &c->next;
}

void al_etcd_call_begin(struct al_etcd_call *c)
{
    list(c);
}

void al_etcd_call_cancel(struct al_etcd_call *c)
{
    struct al_etcd *e = c->owner;
    if (c->state == AL_ETCD_RUNNING)
        e->http->ops->cancel(e->http, c->exchange);
    leave_running(c);
    unlist(c);
    c->state = AL_ETCD_ENDED;
}

/* Into the order in which they came. */
static void take_submitted(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    struct al_etcd_call *newest = e->submitted;
    e->submitted = NULL;
    pthread_mutex_unlock(&e->mu);
    struct al_etcd_call *oldest = NULL;
    while (newest) {
        struct al_etcd_call *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct al_etcd_call *next = oldest->next;
        list(oldest);
        oldest = next;
    }
}

void al_etcd_calls_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns)
{
    take_submitted(e);
    struct al_etcd_call *c = e->calls;
    while (c) {
        struct al_etcd_call *next = c->next;
        /* on_end may begin another one (at the end of the list), and ends no other. */
        step(c, now_ns, due_ns);
        c = next;
    }
}

void al_etcd_calls_end(struct al_etcd *e)
{
    take_submitted(e);
    while (e->calls) {
        struct al_etcd_call *c = e->calls;
        bool was_running = c->state == AL_ETCD_RUNNING;
        if (was_running)
            e->http->ops->cancel(e->http, c->exchange);
        leave_running(c);
        if (was_running)
            end_unsure(c, "the handle was closed");
        else
            end_not_applied(c, "the handle was closed");
    }
}

/* ---- callers ---- */

static void on_run_end(struct al_etcd_call *c)
{
    struct al_etcd *e = c->owner;
    pthread_mutex_lock(&e->mu);
    c->waiter = 0;
    e->n_calls--;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mu);
}

enum al_code al_etcd_call_run(struct al_etcd_call *c, struct al_err *err)
{
    struct al_etcd *e = c->owner;
    AL_TRY(al_buf_status(&c->body, err));
    c->on_end = on_run_end;
    pthread_mutex_lock(&e->mu);
    bool is_full = e->n_calls >= e->opt.calls_max;
    if (!is_full) {
        c->waiter = 1;
        e->n_calls++;
        c->next = e->submitted;
        e->submitted = c;
    }
    pthread_mutex_unlock(&e->mu);
    if (is_full) {
        al_metric_add(e->metrics.n_limited, 1);
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL", "etcd: %u calls are under way",
                         e->opt.calls_max);
    }
    e->http->ops->wake(e->http);
    pthread_mutex_lock(&e->mu);
    while (c->waiter)
        pthread_cond_wait(&e->changed, &e->mu);
    pthread_mutex_unlock(&e->mu);
    if (c->code != AL_OK && err)
        *err = c->err;
    return c->code;
}
