/* Queries, figures, CPU clocks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "airlore/str.h"
#include "bench.h"

static enum al_code add_query(struct al_bench_queries *q, const char *line, struct al_err *err)
{
    json_t *row = json_loads(line, 0, NULL);
    const char *text = row ? json_string_value(json_object_get(row, "text")) : NULL;
    enum al_code c = AL_OK;
    if (!text)
        c = AL_FAIL(err, AL_INVALID_ARGUMENT, "queries: line %zu: no text", q->n + 1);
    else if (q->n == AL_BENCH_QUERIES_MAX)
        c = AL_FAIL(err, AL_INVALID_ARGUMENT, "queries: more than %u", AL_BENCH_QUERIES_MAX);
    else if (!(q->text[q->n] = strdup(text)))
        c = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "queries: out of memory");
    else
        q->n++;
    json_decref(row);
    return c;
}

enum al_code al_bench_queries_read(const char *path, struct al_bench_queries *ret,
                                   struct al_err *err)
{
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f)
        return AL_FAIL(err, AL_NOT_FOUND, "queries: '%s' cannot be read", path ? path : "");
    struct al_bench_queries q = {calloc(AL_BENCH_QUERIES_MAX, sizeof *q.text), 0};
    if (!q.text) {
        fclose(f);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "queries: out of memory");
    }
    enum al_code c = AL_OK;
    char *line = NULL;
    size_t cap = 0;
    while (c == AL_OK && getline(&line, &cap, f) > 0)
        c = add_query(&q, line, err);
    free(line);
    fclose(f);
    if (c == AL_OK && q.n == 0)
        c = AL_FAIL(err, AL_INVALID_ARGUMENT, "queries: '%s' is empty", path);
    if (c == AL_OK)
        *ret = q;
    else
        al_bench_queries_fini(&q);
    return c;
}

void al_bench_queries_fini(struct al_bench_queries *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->text[i]);
    free(q->text);
    *q = (struct al_bench_queries){0};
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct al_bench_run *r, double p)
{
    if (r->n == 0)
        return 0;
    return (double)r->latency_ns[(size_t)(p * (double)(r->n - 1))] / 1e3;
}

json_t *al_bench_run_json(const char *name, struct al_bench_run *r)
{
    if (r->n)
        qsort(r->latency_ns, r->n, sizeof *r->latency_ns, by_value);
    double n = r->n_queries ? (double)r->n_queries : 1;
    double wall = r->wall_ns ? (double)r->wall_ns : 1;
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name", name,
                     "queries", (json_int_t)r->n_queries, "calls", (json_int_t)r->n, "failed",
                     (json_int_t)r->n_failed, "hits_per_query", (double)r->n_hits / n, "seconds",
                     wall / 1e9, "qps", (double)r->n_queries / wall * 1e9, "p50_us",
                     percentile_us(r, .5), "p99_us", percentile_us(r, .99), "cpu_us_per_query",
                     (double)r->cpu_ns / 1e3 / n, "client_cpu_us_per_query",
                     (double)r->client_cpu_ns / 1e3 / n);
}

uint64_t al_bench_cpu_ns(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    struct timespec t;
    if ((pid && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void al_bench_print(json_t *doc)
{
    json_dumpf(doc, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(doc);
}
