/* A search in this process: the very data folder of a server, opened without one. What it costs is
 * what the server adds to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "airlore/query.h"
#include "bench.h"

#define ARENA_BYTES ((size_t)64 << 20) /* what the server gives one call */

struct inprocess {
    struct al_shard *shard;
    struct al_shard_port *port;
    struct al_router router;
    struct al_embedder *embedder;
};

static void inprocess_close(struct inprocess *p)
{
    if (p->port)
        p->port->ops->destroy(p->port);
    al_shard_destroy(p->shard);
    al_embedder_destroy(p->embedder);
}

static enum al_code inprocess_open(struct inprocess *p, const char *data, struct al_err *err)
{
    char dir[4096];
    int len = snprintf(dir, sizeof dir, "%s/shards/0000", data);
    if (len < 0 || (size_t)len >= sizeof dir)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "data: path too long");
    AL_TRY(al_embedder_open(al_embedder_builtin(), NULL, &p->embedder, err));
    struct al_shard_options opt = {.dir = dir,
                                   .dim = al_embedder_dim(p->embedder),
                                   .embedder_id = al_embedder_id(p->embedder),
                                   .slot_last = UINT16_MAX,
                                   .min_free_bytes = 1};
    AL_TRY(al_shard_open(&opt, &p->shard, err));
    AL_TRY(al_shard_port_local(p->shard, NULL, &p->port, err));
    p->router = (struct al_router){&p->port, 1};
    return AL_OK;
}

static enum al_search_mode mode_of(const char *mode)
{
    struct al_str m = al_str_c(mode);
    if (al_str_is(m, "text"))
        return AL_MODE_TEXT;
    return al_str_is(m, "vector") ? AL_MODE_VECTOR : AL_MODE_HYBRID;
}

static enum al_code one(struct inprocess *p, const struct al_bench_options *o, const char *text,
                        size_t *ret_hits, struct al_err *err)
{
    /* The community, and the numbers that the first team of a server gets. */
    static const uint32_t spaces[] = {1, 16, 17};
    struct al_query q = {.text = al_str_c(text),
                         .k = o->k,
                         .mode = mode_of(o->mode),
                         .vector_weight = NAN,
                         .spaces = spaces,
                         .n_spaces = AL_ARRAY_LEN(spaces),
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&p->router, p->embedder, NULL};
    struct al_query_result r = {0};
    struct al_arena a;
    al_arena_init(&a, NULL, ARENA_BYTES);
    enum al_code c = al_query_run(&ctx, &q, &a, &r, err);
    *ret_hits = r.n_hits;
    al_arena_fini(&a);
    return c;
}

static enum al_code run(struct inprocess *p, const struct al_bench_options *o,
                        const struct al_bench_queries *q, struct al_bench_run *r,
                        struct al_err *err)
{
    struct al_clock *clock = al_clock_system();
    size_t hits;
    for (size_t i = 0; i < o->warmup; i++)
        AL_TRY(one(p, o, q->text[i % q->n], &hits, err));
    uint64_t cpu = al_bench_cpu_ns(0);
    uint64_t start = al_clock_mono_ns(clock);
    for (size_t i = 0; i < o->n; i++) {
        uint64_t t = al_clock_mono_ns(clock);
        AL_TRY(one(p, o, q->text[i % q->n], &hits, err));
        r->latency_ns[i] = al_clock_mono_ns(clock) - t;
        r->n_hits += hits;
    }
    r->wall_ns = al_clock_mono_ns(clock) - start;
    r->cpu_ns = al_bench_cpu_ns(0) - cpu;
    r->n = r->n_queries = o->n;
    if (r->n_hits == 0)
        return AL_FAIL(err, AL_FAILED_PRECONDITION,
                       "search: no hit at all; is the data folder loaded?");
    return AL_OK;
}

enum al_code al_bench_inprocess(const struct al_bench_options *o, json_t **ret, struct al_err *err)
{
    if (!o->data)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "--data: required");
    struct al_bench_queries q = {0};
    AL_TRY(al_bench_queries_read(o->queries, &q, err));
    struct inprocess p = {0};
    struct al_bench_run r = {.latency_ns = calloc(o->n, sizeof *r.latency_ns)};
    enum al_code c = inprocess_open(&p, o->data, err);
    if (c == AL_OK && !r.latency_ns)
        c = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bench: out of memory");
    if (c == AL_OK && r.latency_ns)
        c = run(&p, o, &q, &r, err);
    if (c == AL_OK)
        *ret = al_bench_run_json("search in process", &r);
    inprocess_close(&p);
    free(r.latency_ns);
    al_bench_queries_fini(&q);
    return c;
}
