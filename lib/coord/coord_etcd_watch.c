/* Watches: a stream each, opened, moved to another endpoint, reloaded; told to go by unwatch. */
#include <stdio.h>
#include <string.h>

#include "etcd_client.h"

#define RETRY_MIN_MS 20u
#define RETRY_MAX_MS 2000u
#define SHORT_MS 50u /* memory was out */

/* ---- adding and removing ---- */

static enum al_code reserve(struct al_etcd *e, uint64_t *ret_id, struct al_err *err)
{
    pthread_mutex_lock(&e->mu);
    bool is_full = e->n_watches >= e->opt.watches_max;
    e->n_watches += !is_full;
    *ret_id = is_full ? 0 : ++e->next_watch;
    pthread_mutex_unlock(&e->mu);
    if (!is_full)
        return AL_OK;
    al_metric_add(e->metrics.n_limited, 1);
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "NO_SPACE", "etcd: %u watches, the most allowed",
                     e->opt.watches_max);
}

enum al_code al_etcd_watch_add(struct al_coord *c, const struct al_coord_watcher *what,
                               uint64_t *ret, struct al_err *err)
{
    struct al_etcd *e = al_etcd_of(c);
    struct al_str prefix = al_etcd_prefix(e);
    uint64_t id;
    AL_TRY(reserve(e, &id, err));
    struct al_etcd_watch *w = al_mem_zalloc(e->mem, sizeof *w + prefix.n + what->prefix.n + 1);
    if (!w) {
        pthread_mutex_lock(&e->mu);
        e->n_watches--;
        pthread_mutex_unlock(&e->mu);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: watch: out of memory");
    }
    *w = (struct al_etcd_watch){.owner = e,
                                .id = id,
                                .fn = what->fn,
                                .u = what->u,
                                .next_revision = what->from_revision,
                                .prefix_n = prefix.n + what->prefix.n};
    memcpy(w->prefix, prefix.p, prefix.n);
    if (what->prefix.n)
        memcpy(w->prefix + prefix.n, what->prefix.p, what->prefix.n);
    al_buf_init(&w->body, e->mem, 0);
    al_buf_init(&w->line, e->mem, e->opt.response_bytes_max);
    al_buf_init(&w->after, e->mem, 0);
    pthread_mutex_lock(&e->mu);
    w->next = e->watches;
    e->watches = w;
    pthread_mutex_unlock(&e->mu);
    e->http->ops->wake(e->http);
    *ret = id;
    return AL_OK;
}

void al_etcd_watch_remove(struct al_coord *c, uint64_t watch)
{
    struct al_etcd *e = al_etcd_of(c);
    pthread_mutex_lock(&e->mu);
    struct al_etcd_watch *w = e->watches;
    while (w && w->id != watch)
        w = w->next;
    if (w && !w->is_removed) {
        w->is_removed = true;
        e->n_watches--;
        al_etcd_queue_drop(e, w);
    }
    while (w && e->calling == watch)
        pthread_cond_wait(&e->changed, &e->mu);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mu);
    e->http->ops->wake(e->http);
}

static void close_stream(struct al_etcd_watch *w)
{
    struct al_etcd *e = w->owner;
    if (w->exchange)
        e->http->ops->cancel(e->http, w->exchange);
    w->exchange = NULL;
    al_etcd_news_reset(w);
    if (w->state != AL_ETCD_LOADING)
        w->state = AL_ETCD_IDLE;
}

static void watch_free(struct al_etcd_watch *w)
{
    struct al_etcd *e = w->owner;
    close_stream(w);
    if (w->is_asking) {
        al_etcd_call_cancel(&w->page);
        al_etcd_call_fini(&w->page);
    }
    al_mem_free(e->mem, w->url);
    al_buf_fini(&w->body);
    al_buf_fini(&w->line);
    al_buf_fini(&w->after);
    al_mem_free(e->mem, w);
}

/* Out of the list, when it is removed and not being called; else NULL. */
static struct al_etcd_watch *take_removed(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    struct al_etcd_watch **at = &e->watches;
    while (*at && (!(*at)->is_removed || e->calling == (*at)->id))
        at = &(*at)->next;
    struct al_etcd_watch *w = *at;
    if (w)
        *at = w->next;
    pthread_mutex_unlock(&e->mu);
    return w;
}

/* ---- a stream ends ---- */

static void backoff(struct al_etcd_watch *w)
{
    struct al_etcd *e = w->owner;
    w->retry_ns =
        al_etcd_now(e) + al_etcd_backoff_ns(e, w->n_failures++, RETRY_MIN_MS, RETRY_MAX_MS);
}

static bool says(const struct al_etcd_watch *w, const char *what)
{
    return al_str_find(al_str_c(w->why.message), al_str_c(what), 0) != SIZE_MAX;
}

/* What the reason means for token and endpoint; the watch itself just tries again. */
static void on_failure(struct al_etcd_watch *w, const struct al_etcd_judgement *j)
{
    struct al_etcd *e = w->owner;
    bool is_token = j->verdict == AL_ETCD_NO_TOKEN || says(w, "auth token") ||
                    says(w, "user name is empty") || says(w, "auth store is old");
    bool is_refused = j->verdict == AL_ETCD_REFUSED || says(w, "PermissionDenied") ||
                      says(w, "permission denied");
    if (is_token && e->auth.file)
        al_etcd_auth_drop(e, w->token_number);
    if (is_token || is_refused || w->is_short)
        al_log(e->opt.log, AL_LOG_ERROR, "coord.etcd.watch_refused", AL_U64("watch", w->id),
               AL_S("why",
                    w->is_short ? "memory is out, or a message above the limit" : w->why.message));
    else
        al_etcd_endpoint_bad(e, w->endpoint, w->why.message);
}

static void on_end(void *u, const struct al_wire_result *r)
{
    struct al_etcd_watch *w = u;
    struct al_etcd *e = w->owner;
    struct al_etcd_judgement j;
    w->exchange = NULL;
    al_etcd_judge(r, al_buf_view(&w->line), &j);
    if (!w->has_failed && r->status == 200) /* a last line without its end */
        (void)al_etcd_read_fault(al_buf_view(&w->line), &j.fault);
    if (!w->has_failed)
        w->why = j.fault;
    if (w->why.message[0] == '\0')
        snprintf(w->why.message, sizeof w->why.message, "the stream ended");
    w->state = w->is_compacted ? AL_ETCD_LOADING : AL_ETCD_IDLE;
    al_etcd_news_reset(w);
    if (w->is_compacted) {
        w->is_compacted = false;
        w->retry_ns = 0;
        al_metric_add(e->metrics.n_watch_resets, 1);
        al_log(e->opt.log, AL_LOG_WARN, "coord.etcd.watch_reset", AL_U64("watch", w->id));
    } else if (w->is_paused) {
        w->retry_ns = 0;
        al_metric_add(e->metrics.n_watch_pauses, 1);
    } else {
        backoff(w);
        if (w->is_short && w->retry_ns < al_etcd_now(e) + SHORT_MS * AL_ETCD_MS)
            w->retry_ns = al_etcd_now(e) + SHORT_MS * AL_ETCD_MS;
        on_failure(w, &j);
    }
}

static bool on_data(void *u, const char *p, size_t n)
{
    return al_etcd_news_take(u, p, n);
}

/* ---- opening ---- */

static enum al_code start(struct al_etcd_watch *w, struct al_err *err)
{
    struct al_etcd *e = w->owner;
    const char *base = e->endpoints.list[e->endpoints.current].url;
    size_t room = strlen(base) + sizeof "/v3/watch";
    char *url = al_mem_resize(e->mem, w->url, room);
    if (!url)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: watch: out of memory");
    w->url = url;
    snprintf(url, room, "%s/v3/watch", base);
    /* One revision earlier than is told: etcd that was compacted to C still lets a stream begin at
     * C, but has lost deletions of C. So the first that is told is above C, or the stream is
     * refused as compacted. */
    int64_t from = w->next_revision > 1 ? w->next_revision - 1 : 1;
    al_buf_reset(&w->body);
    al_etcd_ask_watch(&w->body, (struct al_str){w->prefix, w->prefix_n}, from);
    AL_TRY(al_buf_status(&w->body, err));
    struct al_wire_request req = {.url = url,
                                  .body = al_buf_view(&w->body),
                                  .token = e->auth.token,
                                  .on_data = on_data,
                                  .on_end = on_end,
                                  .u = w};
    AL_TRY(e->http->ops->start(e->http, &req, &w->exchange, err));
    w->endpoint = e->endpoints.current;
    w->token_number = e->auth.number;
    return AL_OK;
}

static void open_stream(struct al_etcd_watch *w, uint64_t now, uint64_t *due_ns)
{
    struct al_etcd *e = w->owner;
    struct al_err err;
    if (w->retry_ns > now) {
        al_etcd_due(due_ns, w->retry_ns);
        return;
    }
    if (!al_etcd_auth_is_ready(e) || (w->is_paused && !al_etcd_queue_has_room(e)))
        return;
    w->is_paused = false;
    w->has_failed = false;
    w->is_compacted = false;
    w->is_short = false;
    enum al_code c = start(w, &err);
    if (c != AL_OK) {
        al_log_err(e->opt.log, AL_LOG_ERROR, "coord.etcd.watch_failed", &err);
        backoff(w);
        al_etcd_due(due_ns, w->retry_ns);
        return;
    }
    w->state = AL_ETCD_OPENING;
    w->opened_ns = now;
    al_metric_add(e->metrics.n_watch_opens, 1);
    al_etcd_due(due_ns, now + e->opt.request_timeout_ms * AL_ETCD_MS);
}

static void step(struct al_etcd_watch *w, uint64_t now, uint64_t *due_ns)
{
    struct al_etcd *e = w->owner;
    uint64_t confirmed_by = w->opened_ns + e->opt.request_timeout_ms * AL_ETCD_MS;
    switch (w->state) {
    case AL_ETCD_IDLE:
        open_stream(w, now, due_ns);
        break;
    case AL_ETCD_OPENING:
        if (confirmed_by > now) {
            al_etcd_due(due_ns, confirmed_by);
        } else {
            backoff(w);
            al_etcd_due(due_ns, now);
            al_etcd_endpoint_bad(e, w->endpoint, "a watch is not confirmed");
        }
        break;
    case AL_ETCD_OPEN:
        break;
    case AL_ETCD_LOADING:
        al_etcd_load_run(w, now, due_ns);
        break;
    }
}

/* The list is only shortened by this thread; new ones come before its head. */
static struct al_etcd_watch *head(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    struct al_etcd_watch *w = e->watches;
    pthread_mutex_unlock(&e->mu);
    return w;
}

void al_etcd_watches_run(struct al_etcd *e, uint64_t now_ns, uint64_t *due_ns)
{
    struct al_etcd_watch *w;
    while ((w = take_removed(e)) != NULL)
        watch_free(w);
    for (w = head(e); w; w = w->next) {
        pthread_mutex_lock(&e->mu);
        bool is_removed = w->is_removed;
        pthread_mutex_unlock(&e->mu);
        if (!is_removed)
            step(w, now_ns, due_ns);
    }
}

void al_etcd_watches_move(struct al_etcd *e, size_t endpoint)
{
    for (struct al_etcd_watch *w = head(e); w; w = w->next) {
        bool is_there = w->exchange && w->endpoint == endpoint;
        if (is_there)
            close_stream(w);
    }
}

bool al_etcd_watches_are_open(struct al_etcd *e)
{
    for (struct al_etcd_watch *w = head(e); w; w = w->next) {
        if (w->exchange)
            return true;
    }
    return false;
}

void al_etcd_watches_end(struct al_etcd *e)
{
    while (e->watches) {
        struct al_etcd_watch *w = e->watches;
        e->watches = w->next;
        al_etcd_queue_drop(e, w);
        watch_free(w);
    }
}
