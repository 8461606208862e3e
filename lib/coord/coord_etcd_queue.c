/* From the net thread to watch functions: a bounded queue, and the thread that calls them. */
#include <string.h>

#include "etcd_client.h"

struct al_etcd_parcel *al_etcd_parcel_new(struct al_mem *mem, const struct al_coord_event *events,
                                          size_t n)
{
    size_t bytes = sizeof(struct al_etcd_parcel) + n * sizeof *events;
    for (size_t i = 0; i < n; i++)
        bytes += events[i].kv.key.n + events[i].kv.value.n;
    struct al_etcd_parcel *p = al_mem_alloc(mem, bytes);
    if (!p)
        return NULL;
    *p = (struct al_etcd_parcel){.bytes = bytes, .n = n};
    char *at = (char *)(p->events + n);
    for (size_t i = 0; i < n; i++) {
        struct al_coord_event *e = &p->events[i];
        *e = events[i];
        e->kv.key.p = at;
        if (e->kv.key.n)
            memcpy(at, events[i].kv.key.p, e->kv.key.n);
        at += e->kv.key.n;
        e->kv.value.p = at;
        if (e->kv.value.n)
            memcpy(at, events[i].kv.value.p, e->kv.value.n);
        at += e->kv.value.n;
    }
    return p;
}

enum al_etcd_queued al_etcd_queue_add(struct al_etcd_watch *w, const struct al_coord_event *events,
                                      size_t n, int64_t next_revision)
{
    struct al_etcd *e = w->owner;
    struct al_etcd_parcel *p = al_etcd_parcel_new(e->mem, events, n);
    if (!p)
        return AL_ETCD_QUEUE_SHORT;
    p->watch = w;
    pthread_mutex_lock(&e->mu);
    bool is_full = e->queue_bytes > 0 && e->queue_bytes + p->bytes > e->opt.queue_bytes_max;
    bool is_taken = !is_full && !w->is_removed;
    if (is_taken) {
        *e->parcels_end = p;
        e->parcels_end = &p->next;
        e->queue_bytes += p->bytes;
        w->n_queued++;
        w->next_revision = next_revision;
        al_metric_set(e->metrics.queue_bytes, (double)e->queue_bytes);
        pthread_cond_broadcast(&e->changed);
    }
    pthread_mutex_unlock(&e->mu);
    if (!is_taken)
        al_mem_free(e->mem, p);
    return is_full ? AL_ETCD_QUEUE_FULL : AL_ETCD_QUEUED;
}

bool al_etcd_queue_has_room(struct al_etcd *e)
{
    pthread_mutex_lock(&e->mu);
    bool has_room = e->queue_bytes <= e->opt.queue_bytes_max / 2;
    pthread_mutex_unlock(&e->mu);
    return has_room;
}

void al_etcd_queue_drop(struct al_etcd *e, struct al_etcd_watch *w)
{
    struct al_etcd_parcel **at = &e->parcels;
    while (*at) {
        struct al_etcd_parcel *p = *at;
        if (p->watch != w) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        e->queue_bytes -= p->bytes;
        w->n_queued--;
        al_mem_free(e->mem, p);
    }
    e->parcels_end = at;
}

/* With mu, which is given up meanwhile. */
static void call_one(struct al_etcd *e)
{
    struct al_etcd_parcel *p = e->parcels;
    struct al_etcd_watch *w = p->watch;
    e->parcels = p->next;
    if (!e->parcels)
        e->parcels_end = &e->parcels;
    e->calling = w->id;
    pthread_mutex_unlock(&e->mu);
    w->fn(w->u, p->events, p->n);
    pthread_mutex_lock(&e->mu);
    e->calling = 0;
    w->n_queued--; /* nobody frees it before calling is 0 */
    bool was_much = e->queue_bytes > e->opt.queue_bytes_max / 2;
    e->queue_bytes -= p->bytes;
    bool is_less = was_much && e->queue_bytes <= e->opt.queue_bytes_max / 2;
    al_metric_set(e->metrics.queue_bytes, (double)e->queue_bytes);
    pthread_cond_broadcast(&e->changed);
    bool is_removed = w->is_removed;
    pthread_mutex_unlock(&e->mu);
    if (is_less || is_removed)
        e->http->ops->wake(e->http);
    al_mem_free(e->mem, p);
    pthread_mutex_lock(&e->mu);
}

void *al_etcd_queue_main(void *u)
{
    struct al_etcd *e = u;
    pthread_mutex_lock(&e->mu);
    while (!e->is_closing) {
        if (e->parcels)
            call_one(e);
        else
            pthread_cond_wait(&e->changed, &e->mu);
    }
    pthread_mutex_unlock(&e->mu);
    return NULL;
}
