#include <stdlib.h>
#include <string.h>

#include "ingest_int.h"

#define GROUP_ITEMS_MAX 128u
#define GROUP_BYTES_MAX ((size_t)16 << 20)
#define ARENA_LIMIT ((size_t)64 << 20)
#define DELETE_PAGE 500u

static const uint8_t NO_WRITE_ID[16];

/* Take what is ready; NULL when nothing more comes. */
static struct al_ingest_entry *take_group(struct al_ingest *g, size_t *ret_n)
{
    pthread_mutex_lock(&g->mu);
    while (!g->head && !g->closed)
        pthread_cond_wait(&g->changed, &g->mu);
    struct al_ingest_entry *first = g->abandoned ? NULL : g->head;
    struct al_ingest_entry *last = NULL;
    size_t n = 0;
    size_t bytes = 0;
    for (struct al_ingest_entry *e = first; e && n < GROUP_ITEMS_MAX; e = e->next) {
        if (n && bytes + e->bytes > GROUP_BYTES_MAX)
            break;
        bytes += e->bytes;
        last = e;
        n++;
    }
    if (last) {
        g->head = last->next;
        if (!g->head)
            g->tail = &g->head;
        last->next = NULL;
    }
    g->committing = first;
    pthread_mutex_unlock(&g->mu);
    *ret_n = n;
    return first;
}

void al_ingest_free_entries(struct al_ingest *g, struct al_ingest_entry *e)
{
    pthread_mutex_lock(&g->mu);
    g->committing = NULL;
    pthread_mutex_unlock(&g->mu);
    size_t n = 0;
    size_t bytes = 0;
    while (e) {
        struct al_ingest_entry *next = e->next;
        n++;
        bytes += e->bytes;
        if (g->opt.quota)
            al_storage_quota_release(g->opt.quota, &e->hold);
        al_arena_fini(&e->arena);
        al_mem_free(g->opt.mem, e);
        e = next;
    }
    pthread_mutex_lock(&g->mu);
    g->n_queued -= n;
    g->bytes_queued -= bytes;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mu);
}

/* One shard's part of a group. */
struct part {
    struct al_op *ops;
    struct al_ingest_entry **entry; /* of the op; NULL for the delete before a forced put */
    size_t n;
};

static enum al_code write_part(struct al_ingest *g, size_t shard, struct part *p,
                               struct al_arena *a, struct al_err *err)
{
    struct al_shard_port *port = g->opt.router->shards[shard];
    struct al_write_result res = {0};
    uint64_t deadline = al_clock_deadline(g->opt.clock, g->opt.write_timeout_ms);
    AL_TRY(port->ops->write(port, p->ops, p->n, NO_WRITE_ID, deadline, a, &res, err));
    if (res.index > g->token.index[shard])
        g->token.index[shard] = res.index;
    for (size_t i = 0; i < p->n; i++) {
        if (!p->entry[i])
            continue;
        enum al_outcome o = res.outcomes[i];
        if (i > 0 && !p->entry[i - 1] && res.outcomes[i - 1] == AL_OUTCOME_DELETED)
            o = AL_OUTCOME_UPDATED;
        p->entry[i]->result.outcome = o;
    }
    return AL_OK;
}

static void write_shard(struct al_ingest *g, struct al_ingest_entry *first, size_t n, size_t shard,
                        struct al_arena *a)
{
    struct al_err err = {0};
    struct part p = {.ops = al_arena_array(a, n * 2, sizeof *p.ops),
                     .entry = al_arena_array(a, n * 2, sizeof(void *))};
    bool ok = p.ops && p.entry;
    for (struct al_ingest_entry *e = first; ok && e; e = e->next) {
        if (!e->write || al_router_of_doc(g->opt.router, e->doc.space, e->doc.id) != shard)
            continue;
        if (g->opt.force)
            p.ops[p.n++] =
                (struct al_op){.kind = AL_OP_DELETE_DOC, .space = e->doc.space, .id = e->doc.id};
        p.entry[p.n] = e;
        p.ops[p.n++] = (struct al_op){.kind = AL_OP_PUT_DOC, .doc = &e->doc};
    }
    if (ok && p.n == 0)
        return;
    if (!ok)
        (void)AL_FAIL(&err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    else if (write_part(g, shard, &p, a, &err) == AL_OK)
        return;
    for (struct al_ingest_entry *e = first; e; e = e->next) {
        if (e->write && al_router_of_doc(g->opt.router, e->doc.space, e->doc.id) == shard)
            e->result.error = err;
    }
}

static void count(struct al_ingest_summary *s, const struct al_ingest_entry *e)
{
    s->bytes += e->received;
    if (e->result.error.code != AL_OK) {
        s->failed++;
        return;
    }
    s->inserted += e->result.outcome == AL_OUTCOME_INSERTED;
    s->updated += e->result.outcome == AL_OUTCOME_UPDATED;
    s->skipped += e->result.outcome == AL_OUTCOME_SKIPPED;
    s->chunks += e->result.chunks;
}

static enum al_code answer(struct al_ingest *g, struct al_ingest_entry *first, size_t n,
                           struct al_arena *a, struct al_err *err)
{
    struct al_ingest_result *r = al_arena_array(a, n, sizeof *r);
    if (!r)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    size_t i = 0;
    for (struct al_ingest_entry *e = first; e; e = e->next) {
        count(&g->summary, e);
        r[i++] = e->result;
    }
    return g->opt.on_results(g->opt.u, r, n, &g->token, err);
}

void *al_ingest_commit_loop(void *u)
{
    struct al_ingest *g = u;
    struct al_arena a;
    al_arena_init(&a, g->opt.mem, ARENA_LIMIT);
    size_t n;
    struct al_ingest_entry *first;
    while ((first = take_group(g, &n)) != NULL) {
        struct al_err err = {0};
        for (size_t s = 0; s < g->opt.router->n_shards; s++)
            write_shard(g, first, n, s, &a);
        if (answer(g, first, n, &a, &err) != AL_OK) {
            pthread_mutex_lock(&g->mu);
            g->stopped = err;
            g->abandoned = true;
            pthread_mutex_unlock(&g->mu);
        }
        al_ingest_free_entries(g, first);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    pthread_mutex_lock(&g->mu);
    struct al_ingest_entry *rest = g->head; /* abandoned */
    g->head = NULL;
    g->tail = &g->head;
    pthread_mutex_unlock(&g->mu);
    al_ingest_free_entries(g, rest);
    return NULL;
}

/* ---- what is missing ---- */

static enum al_code delete_page(struct al_ingest *g, size_t shard, const struct al_doc_page *page,
                                struct al_arena *a, struct al_err *err)
{
    struct al_op *ops = al_arena_array(a, page->n_docs + 1, sizeof *ops);
    if (!ops)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    size_t n = 0;
    for (size_t i = 0; i < page->n_docs; i++) {
        if (!al_seen_has(g->seen, page->docs[i].id))
            ops[n++] = (struct al_op){
                .kind = AL_OP_DELETE_DOC, .space = page->docs[i].space, .id = page->docs[i].id};
    }
    if (n == 0)
        return AL_OK;
    struct al_shard_port *p = g->opt.router->shards[shard];
    struct al_write_result res = {0};
    uint64_t deadline = al_clock_deadline(g->opt.clock, g->opt.write_timeout_ms);
    AL_TRY(p->ops->write(p, ops, n, NO_WRITE_ID, deadline, a, &res, err));
    if (res.index > g->token.index[shard])
        g->token.index[shard] = res.index;
    for (size_t i = 0; i < n; i++)
        g->summary.deleted += res.outcomes[i] == AL_OUTCOME_DELETED;
    return AL_OK;
}

static enum al_code delete_missing_in(struct al_ingest *g, size_t shard, struct al_arena *a,
                                      struct al_err *err)
{
    struct al_shard_port *p = g->opt.router->shards[shard];
    char after[1024];
    size_t n_after = 0;
    do {
        al_arena_reset(a);
        struct al_list_query q = {.spaces = &g->opt.target.space,
                                  .n_spaces = 1,
                                  .source = g->opt.target.source,
                                  .after = {after, n_after},
                                  .limit = DELETE_PAGE};
        struct al_doc_page page;
        AL_TRY(p->ops->list_docs(p, &q, a, &page, err));
        AL_TRY(delete_page(g, shard, &page, a, err));
        n_after = page.after.n < sizeof after ? page.after.n : 0;
        memcpy(after, page.after.p ? page.after.p : "", n_after);
    } while (n_after);
    return AL_OK;
}

enum al_code al_ingest_delete_missing(struct al_ingest *g, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, g->opt.mem, ARENA_LIMIT);
    enum al_code c = AL_OK;
    for (size_t s = 0; c == AL_OK && s < g->opt.router->n_shards; s++)
        c = delete_missing_in(g, s, &a, err);
    al_arena_fini(&a);
    return c;
}
