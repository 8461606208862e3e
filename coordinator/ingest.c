#include "airlore/ingest.h"

#include <string.h>

#include "airlore/pool.h"
#include "ingest_int.h"

#define ITEM_BYTES_DEFAULT ((size_t)256 << 20)
#define QUEUE_BYTES_MAX ((size_t)64 << 20)

enum al_code al_ingest_start(const struct al_ingest_options *opt, struct al_ingest **ret,
                             struct al_err *err)
{
    if (opt->delete_missing && !opt->target.source.n)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED",
                         "source: needed to delete what is missing from it");
    AL_AUTO(al_ingest) g = al_mem_zalloc(opt->mem, sizeof *g);
    if (!g)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    g->opt = *opt;
    if (!g->opt.item_bytes_max)
        g->opt.item_bytes_max = ITEM_BYTES_DEFAULT;
    if (!g->opt.write_timeout_ms)
        g->opt.write_timeout_ms = 30000;
    g->tail = &g->head;
    pthread_mutex_init(&g->mu, NULL);
    pthread_cond_init(&g->changed, NULL);
    al_arena_init(&g->token_arena, opt->mem, 1u << 20);
    AL_TRY(al_token_init(opt->router, &g->token_arena, &g->token, err));
    AL_TRY(al_thread_start("al-ingest", al_ingest_commit_loop, g, &g->thread, err));
    g->started = true;
    *ret = al_take(g);
    return AL_OK;
}

static void end_thread(struct al_ingest *g, bool abandon)
{
    if (!g->started)
        return;
    pthread_mutex_lock(&g->mu);
    g->closed = true;
    g->abandoned = g->abandoned || abandon;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mu);
    pthread_join(g->thread, NULL);
    g->started = false;
}

void al_ingest_destroy(struct al_ingest *g)
{
    if (!g)
        return;
    end_thread(g, true);
    al_ingest_free_entries(g, g->head); /* came in while the committer was stopping */
    al_seen_destroy(g->seen, g->opt.mem);
    al_arena_fini(&g->token_arena);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->mu);
    al_mem_free(g->opt.mem, g);
}

static enum al_code stopped(struct al_ingest *g, struct al_err *err)
{
    if (g->stopped.code == AL_OK)
        return AL_OK;
    if (err)
        *err = g->stopped;
    return g->stopped.code;
}

static enum al_code wait_for_room(struct al_ingest *g, size_t bytes, struct al_err *err)
{
    pthread_mutex_lock(&g->mu);
    while (g->stopped.code == AL_OK && g->n_queued > 0 &&
           (g->n_queued >= AL_INGEST_WINDOW || g->bytes_queued + bytes > QUEUE_BYTES_MAX))
        pthread_cond_wait(&g->changed, &g->mu);
    enum al_code c = stopped(g, err);
    pthread_mutex_unlock(&g->mu);
    return c;
}

static void enqueue(struct al_ingest *g, struct al_ingest_entry *e)
{
    pthread_mutex_lock(&g->mu);
    *g->tail = e;
    g->tail = &e->next;
    g->n_queued++;
    g->bytes_queued += e->bytes;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mu);
}

static bool has_write_of(const struct al_ingest_entry *e, struct al_str id)
{
    for (; e; e = e->next) {
        if (e->write && al_str_eq(e->result.id, id))
            return true;
    }
    return false;
}

/* Is a version of this item on its way? Then what is stored says nothing of what this one will
 * meet. */
static bool is_under_way(struct al_ingest *g, struct al_str id)
{
    pthread_mutex_lock(&g->mu);
    bool yes = has_write_of(g->committing, id) || has_write_of(g->head, id);
    pthread_mutex_unlock(&g->mu);
    return yes;
}

/* Is the same content there? Then nothing is parsed or embedded. *ret_outcome: what a write would
 * do. */
static enum al_code compare(struct al_ingest *g, const struct al_item *it,
                            enum al_outcome *ret_outcome, struct al_err *err)
{
    const struct al_router *r = g->opt.router;
    *ret_outcome = AL_OUTCOME_UPDATED; /* the shard says what it was in the end */
    if (is_under_way(g, it->id))
        return AL_OK;
    uint8_t want[32];
    uint8_t have[32];
    al_item_hash(it, g->opt.target.source, g->opt.embedder, want);
    struct al_shard_port *p = r->shards[al_router_of_doc(r, g->opt.target.space, it->id)];
    enum al_code c = p->ops->get_hash(p, g->opt.target.space, it->id, have, err);
    if (c == AL_NOT_FOUND) {
        *ret_outcome = AL_OUTCOME_INSERTED;
        return AL_OK;
    }
    if (c != AL_OK)
        return c;
    bool same = memcmp(want, have, sizeof want) == 0;
    *ret_outcome = same ? AL_OUTCOME_SKIPPED : AL_OUTCOME_UPDATED;
    return AL_OK;
}

static enum al_code copy_id(struct al_ingest_entry *e, const struct al_item *it, struct al_err *err)
{
    return al_arena_str(&e->arena, al_str_sub(it->id, 0, AL_DOC_ID_BYTES_MAX + 1), &e->result.id,
                        err);
}

static enum al_code prepare(struct al_ingest *g, const struct al_item *it,
                            struct al_ingest_entry *e, struct al_err *err)
{
    AL_TRY(copy_id(e, it, err));
    if (it->id.n < 1 || it->id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: %zu bytes, 1 to %u are allowed", it->id.n, AL_DOC_ID_BYTES_MAX);
    AL_TRY(compare(g, it, &e->result.outcome, err));
    if (e->result.outcome == AL_OUTCOME_SKIPPED && !g->opt.force)
        return AL_OK;
    uint64_t now = al_clock_wall_ms(g->opt.clock);
    AL_TRY(al_item_prepare(it, &g->opt.target, g->opt.embedder, now, &e->arena, &e->doc,
                           &e->result.redactions, err));
    /* views of the item end with this call: what the document keeps of them is copied */
    AL_TRY(al_doc_own(&e->doc, &e->arena, err));
    e->result.chunks = (uint32_t)e->doc.n_chunks;
    if (g->opt.quota)
        AL_TRY(al_storage_quota_hold(g->opt.quota, &e->doc, &e->hold, err));
    e->write = !g->opt.dry_run;
    return AL_OK;
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
}

static struct al_ingest_entry *make_entry(struct al_ingest *g, uint64_t sequence, size_t received)
{
    struct al_ingest_entry *e = al_mem_zalloc(g->opt.mem, sizeof *e);
    if (!e)
        return NULL;
    al_arena_init(&e->arena, g->opt.mem, g->opt.item_bytes_max);
    e->result.sequence = sequence;
    e->received = received;
    return e;
}

enum al_code al_ingest_add(struct al_ingest *g, const struct al_item *it, uint64_t sequence,
                           struct al_err *err)
{
    if (g->opt.delete_missing && it->id.n)
        AL_TRY(al_seen_add(&g->seen, g->opt.mem, it->id, err));
    AL_TRY(wait_for_room(g, it->content.n, err));
    struct al_ingest_entry *e = make_entry(g, sequence, it->content.n);
    if (!e)
        return no_memory(err);
    struct al_err bad = {0};
    if (prepare(g, it, e, &bad) != AL_OK)
        e->result.error = bad;
    e->bytes = it->content.n + al_arena_used(&e->arena);
    enqueue(g, e);
    return AL_OK;
}

enum al_code al_ingest_refuse(struct al_ingest *g, const struct al_item *it, uint64_t sequence,
                              const struct al_err *why, struct al_err *err)
{
    if (g->opt.delete_missing && it->id.n)
        AL_TRY(al_seen_add(&g->seen, g->opt.mem, it->id, err));
    AL_TRY(wait_for_room(g, it->content.n, err));
    struct al_ingest_entry *e = make_entry(g, sequence, it->content.n);
    if (!e)
        return no_memory(err);
    e->result.error = *why;
    enum al_code c = copy_id(e, it, err);
    e->bytes = al_arena_used(&e->arena);
    enqueue(g, e); /* also on error: the queue frees it */
    return c;
}

enum al_code al_ingest_present(struct al_ingest *g, struct al_str id, struct al_err *err)
{
    if (!g->opt.delete_missing)
        return AL_OK;
    return al_seen_add(&g->seen, g->opt.mem, id, err);
}

enum al_code al_ingest_finish(struct al_ingest *g, bool complete, struct al_arena *a,
                              struct al_ingest_summary *ret, struct al_token *ret_token,
                              struct al_err *err)
{
    end_thread(g, false);
    AL_TRY(stopped(g, err));
    if (g->opt.delete_missing && complete && !g->opt.dry_run)
        AL_TRY(al_ingest_delete_missing(g, err));
    struct al_token t;
    AL_TRY(al_token_init(g->opt.router, a, &t, err));
    memcpy(t.index, g->token.index, g->opt.router->n_shards * sizeof *t.index);
    *ret = g->summary;
    *ret_token = t;
    return AL_OK;
}
