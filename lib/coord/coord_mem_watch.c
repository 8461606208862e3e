#include <string.h>

#include "mem_store.h"

static struct al_mem_handle *handle_of(struct al_coord *c)
{
    return (struct al_mem_handle *)(void *)c;
}

enum al_code al_mem_watch_add(struct al_coord *c, const struct al_coord_watcher *w, uint64_t *ret,
                              struct al_err *err)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    struct al_mem_watch *x = al_mem_alloc(s->mem, sizeof *x + w->prefix.n);
    if (!x)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "coordination: watch: out of memory");
    *x = (struct al_mem_watch){
        .next_revision = w->from_revision, .fn = w->fn, .u = w->u, .prefix_n = w->prefix.n};
    if (w->prefix.n)
        memcpy(x->prefix, w->prefix.p, w->prefix.n);
    pthread_mutex_lock(&s->mu);
    x->id = ++s->next_watch;
    x->next = h->watches;
    h->watches = x;
    *ret = x->id;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->mu);
    return AL_OK;
}

void al_mem_watch_remove(struct al_coord *c, uint64_t watch)
{
    struct al_mem_handle *h = handle_of(c);
    struct al_mem_store *s = h->store;
    pthread_mutex_lock(&s->mu);
    struct al_mem_watch **at = &h->watches;
    while (*at && (*at)->id != watch)
        at = &(*at)->next;
    struct al_mem_watch *x = *at;
    if (x)
        *at = x->next;
    while (x && h->calling == watch)
        pthread_cond_wait(&s->idle, &s->mu);
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->mu);
    al_mem_free(s->mem, x);
}

/* What one call is given. Records are ref'ed: they are read without mu. */
struct delivery {
    struct al_coord_event *events;
    struct al_mem_record **records; /* NULL where an event has none */
    size_t n;
};

static bool delivery_init(struct al_mem_store *s, struct delivery *d, size_t most)
{
    d->n = 0;
    d->events = al_mem_array(s->mem, most, sizeof *d->events);
    d->records = al_mem_array(s->mem, most, sizeof(struct al_mem_record *));
    return d->events && d->records;
}

static void delivery_fini(struct al_mem_store *s, struct delivery *d)
{
    for (size_t i = 0; i < d->n; i++)
        al_mem_record_unref(s, d->records[i]);
    al_mem_free(s->mem, d->events);
    al_mem_free(s->mem, d->records);
}

static void add_event(struct delivery *d, enum al_coord_event_kind kind, struct al_mem_record *r,
                      int64_t revision)
{
    if (r)
        r->refs++;
    d->records[d->n] = r;
    d->events[d->n] = (struct al_coord_event){.kind = kind, .revision = revision};
    if (r)
        d->events[d->n].kv = r->kv;
    d->n++;
}

static struct al_str prefix_of(const struct al_mem_watch *w)
{
    return (struct al_str){w->prefix, w->prefix_n};
}

/* History is gone: everything there is. */
static bool collect_snapshot(struct al_mem_store *s, struct al_mem_watch *w, struct delivery *d)
{
    size_t from = al_mem_store_find(s, prefix_of(w));
    size_t to = from;
    while (to < s->n_keys && al_str_starts(s->keys[to]->kv.key, prefix_of(w)))
        to++;
    if (!delivery_init(s, d, to - from + 2))
        return false;
    add_event(d, AL_COORD_EVENT_RESET, NULL, s->revision);
    for (size_t i = from; i < to; i++)
        add_event(d, AL_COORD_EVENT_PUT, s->keys[i], s->revision);
    add_event(d, AL_COORD_EVENT_SYNCED, NULL, s->revision);
    w->next_revision = s->revision + 1;
    return true;
}

static size_t count_matches(const struct al_mem_batch *b, struct al_str prefix)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += al_str_starts(b->changes[i].record->kv.key, prefix);
    return n;
}

/* The next revision that concerns the watch; false when memory is out. d->n is 0 when there is
 * none. */
static bool collect(struct al_mem_store *s, struct al_mem_watch *w, struct delivery *d)
{
    *d = (struct delivery){0};
    if (w->next_revision < al_mem_store_oldest(s))
        return collect_snapshot(s, w, d);
    for (; w->next_revision <= s->revision; w->next_revision++) {
        const struct al_mem_batch *b = al_mem_store_batch(s, w->next_revision);
        size_t n = count_matches(b, prefix_of(w));
        if (n == 0)
            continue;
        if (!delivery_init(s, d, n))
            return false;
        for (size_t i = 0; i < b->n; i++) {
            const struct al_mem_change *x = &b->changes[i];
            if (al_str_starts(x->record->kv.key, prefix_of(w)))
                add_event(d, x->is_delete ? AL_COORD_EVENT_DELETE : AL_COORD_EVENT_PUT, x->record,
                          b->revision);
        }
        w->next_revision++;
        return true;
    }
    return true;
}

bool al_mem_watch_deliver(struct al_mem_handle *h, bool *ret_short)
{
    struct al_mem_store *s = h->store;
    for (struct al_mem_watch *w = h->watches; w; w = w->next) {
        struct delivery d;
        bool ok = collect(s, w, &d);
        if (!ok)
            *ret_short = true;
        if (!ok || d.n == 0) {
            delivery_fini(s, &d);
            continue;
        }
        al_coord_watch_fn *fn = w->fn;
        void *u = w->u;
        h->calling = w->id;
        pthread_mutex_unlock(&s->mu);
        fn(u, d.events, d.n);
        pthread_mutex_lock(&s->mu);
        h->calling = 0;
        delivery_fini(s, &d);
        pthread_cond_broadcast(&s->idle);
        return true; /* the list may have changed */
    }
    return false;
}

bool al_mem_watch_is_due(const struct al_mem_handle *h)
{
    for (const struct al_mem_watch *w = h->watches; w; w = w->next) {
        if (w->next_revision <= h->store->revision)
            return true;
    }
    return false;
}
