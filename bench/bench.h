/* bench.h - what the subcommands of airlore-bench share: figures, queries, CPU clocks.
 *
 * Every subcommand prints one JSON document on standard output; messages go to standard error.
 *
 * Thread: serialized by the caller unless said otherwise.
 */
#ifndef AIRLORE_BENCH_H
#define AIRLORE_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "airlore/err.h"

#define AL_BENCH_QUERIES_MAX 100000u
#define AL_BENCH_CALLS_MAX 10000000u

/* Options of all subcommands; what one does not use it ignores. */
struct al_bench_options {
    const char *server; /* HOST:PORT */
    const char *key;
    const char *queries; /* JSONL of {"id","text"} */
    const char *data;    /* data folder of a server that is not running */
    pid_t pid;           /* server whose CPU time is measured; 0: none */
    uint32_t n;          /* queries in all */
    uint32_t warmup;     /* queries before, not measured */
    uint32_t inflight;   /* calls under way at once */
    uint32_t batch;      /* queries in a call of rpc-batch */
    uint32_t k;
    const char *mode; /* "hybrid", "text", "vector" */
    bool pool;        /* echo: hand over to the pool instead of answering on the poller */
};

/* Texts of queries. */
struct al_bench_queries {
    char **text; /* owned */
    size_t n;
};

/* Read a file of queries; al_bench_queries_fini frees. Errors: AL_NOT_FOUND, AL_INVALID_ARGUMENT.
 */
AL_NODISCARD enum al_code al_bench_queries_read(const char *path, struct al_bench_queries *ret,
                                                struct al_err *err);

/* Free; accepts zeroed memory. */
void al_bench_queries_fini(struct al_bench_queries *q);

/* Latencies and what a run cost. */
struct al_bench_run {
    uint64_t *latency_ns; /* owned; n of them, those of failed calls too */
    size_t n;
    size_t n_queries;
    size_t n_failed;
    size_t n_hits;
    uint64_t wall_ns;
    uint64_t cpu_ns;        /* of the process that serves */
    uint64_t client_cpu_ns; /* of this process, when it is another one */
};

/* The figures as an object, owned by the caller. Sorts the latencies. */
json_t *al_bench_run_json(const char *name, struct al_bench_run *r);

/* CPU time that a process has used, in nanoseconds, all threads; pid 0: this one. 0 when there is
 * no such process. */
uint64_t al_bench_cpu_ns(pid_t pid);

/* Print a document and a newline, and free it. */
void al_bench_print(json_t *doc);

/* The subcommands; *ret owned by the caller. */
AL_NODISCARD enum al_code al_bench_inprocess(const struct al_bench_options *o, json_t **ret,
                                             struct al_err *err);
AL_NODISCARD enum al_code al_bench_rpc_unary(const struct al_bench_options *o, json_t **ret,
                                             struct al_err *err);
AL_NODISCARD enum al_code al_bench_rpc_batch(const struct al_bench_options *o, json_t **ret,
                                             struct al_err *err);
AL_NODISCARD enum al_code al_bench_rpc_whoami(const struct al_bench_options *o, json_t **ret,
                                              struct al_err *err);
/* Echo: a server of its own in a child process, lib/rpc only: Search decoded, an empty answer
 * encoded. */
AL_NODISCARD enum al_code al_bench_echo(const struct al_bench_options *o, json_t **ret,
                                        struct al_err *err);

#endif
