/* The stream of one watch: bytes to messages, messages to whole revisions, each queued once. */
#include <stdio.h>
#include <string.h>

#include "etcd_client.h"

#define ARENA_MORE ((size_t)16 << 20)

void al_etcd_news_reset(struct al_etcd_watch *w)
{
    al_buf_reset(&w->line);
    al_mem_free(w->owner->mem, w->held);
    w->held = NULL;
}

static bool fail(struct al_etcd_watch *w, const struct al_etcd_fault *why)
{
    w->has_failed = true;
    w->why = *why;
    return false;
}

/* How far the store is: nothing came for this watch up to there. */
static void advance(struct al_etcd_watch *w, int64_t revision)
{
    struct al_etcd *e = w->owner;
    pthread_mutex_lock(&e->mu);
    if (revision >= w->next_revision)
        w->next_revision = revision + 1;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mu);
}

/* What was held, and what came, as one list. */
static enum al_code join(struct al_etcd_watch *w, struct al_arena *a, struct al_etcd_news *news,
                         struct al_err *err)
{
    if (!w->held)
        return AL_OK;
    size_t n = w->held->n + news->n_events;
    struct al_coord_event *all = al_arena_array(a, n + 1, sizeof *all);
    if (!all)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: watch: out of memory");
    memcpy(all, w->held->events, w->held->n * sizeof *all);
    memcpy(all + w->held->n, news->events, news->n_events * sizeof *all);
    news->events = all;
    news->n_events = n;
    return AL_OK;
}

static bool add_revision(struct al_etcd_watch *w, const struct al_coord_event *events, size_t n)
{
    int64_t next = w->next_revision; /* only this thread changes it */
    if (events[0].revision < next)
        return true; /* the stream begins one earlier, see al_etcd_watches_run */
    enum al_etcd_queued q = al_etcd_queue_add(w, events, n, events[0].revision + 1);
    w->is_paused = q == AL_ETCD_QUEUE_FULL;
    w->is_short = q == AL_ETCD_QUEUE_SHORT;
    return q == AL_ETCD_QUEUED;
}

static bool hold(struct al_etcd_watch *w, const struct al_coord_event *events, size_t n)
{
    struct al_etcd_parcel *p = al_etcd_parcel_new(w->owner->mem, events, n);
    al_mem_free(w->owner->mem, w->held);
    w->held = p;
    w->is_short = !p;
    return p != NULL;
}

/* Each revision in one piece. The last one of a fragment may go on in the next message. */
static bool take_events(struct al_etcd_watch *w, const struct al_etcd_news *news)
{
    size_t from = 0;
    while (from < news->n_events) {
        size_t to = from + 1;
        while (to < news->n_events && news->events[to].revision == news->events[from].revision)
            to++;
        if (news->is_fragment && to == news->n_events)
            return hold(w, news->events + from, to - from);
        if (!add_revision(w, news->events + from, to - from))
            return false;
        from = to;
    }
    al_mem_free(w->owner->mem, w->held);
    w->held = NULL;
    return true;
}

static bool take_news(struct al_etcd_watch *w, struct al_arena *a, struct al_etcd_news *news)
{
    if (news->is_fault)
        return fail(w, &news->fault);
    if (news->is_canceled && news->compact_revision > 0) {
        w->is_compacted = true;
        return false;
    }
    if (news->is_canceled)
        return fail(w, &news->fault);
    if (news->is_created) {
        w->state = AL_ETCD_OPEN;
        w->n_failures = 0;
        al_etcd_endpoint_good(w->owner, w->endpoint);
        return true; /* its revision is the store's: what came before it is still to be told */
    }
    if (join(w, a, news, NULL) != AL_OK) {
        w->is_short = true;
        return false;
    }
    bool is_progress = news->n_events == 0 && !news->is_fragment;
    if (is_progress)
        advance(w, news->revision);
    return is_progress || take_events(w, news);
}

static bool take_line(struct al_etcd_watch *w, struct al_str line)
{
    struct al_etcd *e = w->owner;
    struct al_arena a;
    struct al_etcd_news news;
    struct al_err err;
    if (al_str_trim(line).n == 0)
        return true;
    al_arena_init(&a, e->mem, 2 * e->opt.response_bytes_max + ARENA_MORE);
    enum al_code c = al_etcd_read_news(line, al_etcd_prefix(e), &a, &news, &err);
    bool goes_on = c == AL_OK && take_news(w, &a, &news);
    if (c == AL_RESOURCE_EXHAUSTED) {
        w->is_short = true;
    } else if (c != AL_OK) {
        struct al_etcd_fault why = {.code = 0};
        snprintf(why.message, sizeof why.message, "%.*s", (int)sizeof why.message - 1, err.msg);
        fail(w, &why);
    }
    al_arena_fini(&a);
    return goes_on;
}

bool al_etcd_news_take(struct al_etcd_watch *w, const char *p, size_t n)
{
    struct al_str rest = {p, n};
    for (;;) {
        size_t end = al_str_find(rest, AL_STR("\n"), 0);
        bool is_whole = end != SIZE_MAX;
        al_buf_str(&w->line, is_whole ? al_str_sub(rest, 0, end) : rest);
        if (al_buf_status(&w->line, NULL) != AL_OK) {
            w->is_short = true; /* or a message above the limit: the log tells */
            return false;
        }
        if (!is_whole)
            return true;
        rest = al_str_sub(rest, end + 1, rest.n);
        bool goes_on = take_line(w, al_buf_view(&w->line));
        al_buf_reset(&w->line);
        if (!goes_on)
            return false;
    }
}
