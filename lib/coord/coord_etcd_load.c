/* History is gone: what there is, in pages of one revision, between RESET and SYNCED. */
#include <string.h>

#include "etcd_client.h"

#define PAGE_KEYS 1000u
#define RETRY_MIN_MS 20u
#define RETRY_MAX_MS 2000u
#define ARENA_MORE ((size_t)16 << 20)

static void restart(struct al_etcd_watch *w)
{
    w->load_revision = 0;
    al_buf_reset(&w->after);
}

static void later(struct al_etcd_watch *w)
{
    struct al_etcd *e = w->owner;
    w->retry_ns =
        al_etcd_now(e) + al_etcd_backoff_ns(e, w->n_failures++, RETRY_MIN_MS, RETRY_MAX_MS);
}

/* One call of the watch function a page: RESET before the first, SYNCED after the last. */
static struct al_coord_event *events_of(struct al_arena *a, const struct al_coord_answer *page,
                                        bool is_first, int64_t revision, size_t *ret_n)
{
    size_t n = 0;
    struct al_coord_event *all = al_arena_array(a, page->n_kvs + 2, sizeof *all);
    if (!all)
        return NULL;
    if (is_first)
        all[n++].kind = AL_COORD_EVENT_RESET;
    for (size_t i = 0; i < page->n_kvs; i++)
        all[n++] = (struct al_coord_event){.kind = AL_COORD_EVENT_PUT, .kv = page->kvs[i]};
    if (!page->more)
        all[n++].kind = AL_COORD_EVENT_SYNCED;
    for (size_t i = 0; i < n; i++)
        all[i].revision = revision;
    *ret_n = n;
    return all;
}

static enum al_etcd_queued add_page(struct al_etcd_watch *w, struct al_arena *a,
                                    const struct al_coord_answer *page, int64_t revision)
{
    size_t n = 0;
    bool is_first = w->load_revision == 0;
    struct al_coord_event *all = events_of(a, page, is_first, revision, &n);
    if (!all)
        return AL_ETCD_QUEUE_SHORT;
    /* Only the whole of it is a state to go on from. */
    int64_t next = page->more ? w->next_revision : revision + 1;
    return n ? al_etcd_queue_add(w, all, n, next) : AL_ETCD_QUEUED;
}

static void take_page(struct al_etcd_watch *w, struct al_str answer)
{
    struct al_etcd *e = w->owner;
    struct al_arena a;
    struct al_coord_answer page;
    struct al_err err;
    int64_t revision = 0;
    al_arena_init(&a, e->mem, 2 * e->opt.response_bytes_max + ARENA_MORE);
    enum al_code c = al_etcd_read_page(answer, al_etcd_prefix(e), &a, &page, &revision, &err);
    if (c == AL_OK && page.more && page.n_kvs == 0)
        c = AL_FAIL_R(&err, AL_DATA_LOSS, "BAD_ANSWER", "etcd: a page without keys that goes on");
    if (w->load_revision)
        revision = w->load_revision; /* the header tells the present one */
    enum al_etcd_queued q = c == AL_OK ? add_page(w, &a, &page, revision) : AL_ETCD_QUEUE_SHORT;
    if (c != AL_OK)
        al_log_err(e->opt.log, AL_LOG_WARN, "coord.etcd.load_failed", &err);
    w->is_paused = q == AL_ETCD_QUEUE_FULL;
    if (q == AL_ETCD_QUEUED && page.more) {
        w->load_revision = revision;
        w->n_failures = 0;
        al_buf_reset(&w->after);
        al_buf_str(&w->after, al_etcd_prefix(e));
        al_buf_str(&w->after, page.kvs[page.n_kvs - 1].key);
        if (al_buf_status(&w->after, NULL) != AL_OK)
            restart(w);
    } else if (q == AL_ETCD_QUEUED) {
        restart(w);
        w->state = AL_ETCD_IDLE;
        w->n_failures = 0;
        w->retry_ns = 0;
    } else if (q == AL_ETCD_QUEUE_SHORT) {
        later(w);
    }
    al_arena_fini(&a);
}

static void on_page_end(struct al_etcd_call *c)
{
    struct al_etcd_watch *w = c->u;
    enum al_code code = c->code;
    w->is_asking = false;
    if (code == AL_OK) {
        take_page(w, al_buf_view(&c->answer));
    } else if (code == AL_OUT_OF_RANGE) {
        restart(w); /* compacted again meanwhile */
        later(w);
    } else if (code == AL_RESOURCE_EXHAUSTED && w->page_keys > 1) {
        w->page_keys /= 2; /* too large an answer */
    } else {
        al_log_err(w->owner->opt.log, AL_LOG_WARN, "coord.etcd.load_failed", &c->err);
        later(w);
    }
    al_etcd_call_fini(c);
}

void al_etcd_load_run(struct al_etcd_watch *w, uint64_t now_ns, uint64_t *due_ns)
{
    struct al_etcd *e = w->owner;
    if (w->is_asking || (w->is_paused && !al_etcd_queue_has_room(e)))
        return;
    if (w->retry_ns > now_ns) {
        al_etcd_due(due_ns, w->retry_ns);
        return;
    }
    if (w->page_keys == 0)
        w->page_keys = PAGE_KEYS;
    w->is_paused = false;
    struct al_etcd_page page = {.prefix = {w->prefix, w->prefix_n},
                                .after = al_buf_view(&w->after),
                                .revision = w->load_revision,
                                .limit = w->page_keys};
    struct al_etcd_call *c = &w->page;
    al_etcd_call_init(c, e, "/v3/kv/range", AL_ETCD_IDEMPOTENT);
    al_etcd_ask_page(&c->body, &page);
    c->is_internal = true;
    c->on_end = on_page_end;
    c->u = w;
    if (al_buf_status(&c->body, NULL) != AL_OK) {
        al_etcd_call_fini(c);
        later(w);
        al_etcd_due(due_ns, w->retry_ns);
        return;
    }
    w->is_asking = true;
    al_etcd_call_begin(c);
    al_etcd_due(due_ns, now_ns);
}
