/* airlore-bench: the measuring parts that are better in C than in a script. bench/run.py puts them
 * together. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "airlore/str.h"
#include "bench.h"

static const struct {
    const char *name;
    enum al_code (*run)(const struct al_bench_options *o, json_t **ret, struct al_err *err);
    const char *what;
} commands[] = {
    {"echo", al_bench_echo, "lib/rpc alone: decode a search, answer nothing (a server of its own)"},
    {"search-inprocess", al_bench_inprocess,
     "search the data folder of a stopped server, one thread"},
    {"rpc-unary", al_bench_rpc_unary, "Search on a running server"},
    {"rpc-batch", al_bench_rpc_batch, "BatchSearch on a running server"},
    {"rpc-whoami", al_bench_rpc_whoami, "WhoAmI on a running server: what any call costs"},
};

static int usage(void)
{
    fputs("usage: airlore-bench COMMAND [OPTION...]\n", stderr);
    for (size_t i = 0; i < AL_ARRAY_LEN(commands); i++)
        fprintf(stderr, "  %-18s %s\n", commands[i].name, commands[i].what);
    fputs("options: --queries FILE.jsonl  --data DIR  --server HOST:PORT  --key KEY  --pid PID\n"
          "         -n QUERIES (2000)  --warmup QUERIES (200)  --inflight N (8)  --batch N (16)\n"
          "         -k HITS (10)  --mode hybrid|text|vector  --pool (echo)\n"
          "prints one JSON document\n",
          stderr);
    return 2;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint32_t *ret)
{
    uint64_t v = 0;
    if (!al_str_u64(al_str_c(text), &v) || v < min || v > max)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool take(int c, const char *arg, struct al_bench_options *o)
{
    uint32_t pid = 0;
    switch (c) {
    case 'q':
        o->queries = arg;
        return true;
    case 'd':
        o->data = arg;
        return true;
    case 's':
        o->server = arg;
        return true;
    case 'K':
        o->key = arg;
        return true;
    case 'p':
        if (!number(arg, 1, INT32_MAX, &pid))
            return false;
        o->pid = (pid_t)pid;
        return true;
    case 'n':
        return number(arg, 1, AL_BENCH_CALLS_MAX, &o->n);
    case 'w':
        return number(arg, 0, AL_BENCH_CALLS_MAX, &o->warmup);
    case 'i':
        return number(arg, 1, 4096, &o->inflight);
    case 'b':
        return number(arg, 1, 256, &o->batch);
    case 'k':
        return number(arg, 1, 1000, &o->k);
    case 'm':
        o->mode = arg;
        return strcmp(arg, "hybrid") == 0 || strcmp(arg, "text") == 0 || strcmp(arg, "vector") == 0;
    case 'P':
        o->pool = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct al_bench_options *o)
{
    static const struct option options[] = {{"queries", required_argument, NULL, 'q'},
                                            {"data", required_argument, NULL, 'd'},
                                            {"server", required_argument, NULL, 's'},
                                            {"key", required_argument, NULL, 'K'},
                                            {"pid", required_argument, NULL, 'p'},
                                            {"warmup", required_argument, NULL, 'w'},
                                            {"inflight", required_argument, NULL, 'i'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"mode", required_argument, NULL, 'm'},
                                            {"pool", no_argument, NULL, 'P'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "n:k:", options, NULL)) != -1;) {
        if (!take(c, optarg, o))
            return false;
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct al_bench_options o = {
        .n = 2000, .warmup = 200, .inflight = 8, .batch = 16, .k = 10, .mode = "hybrid"};
    if (argc < 2 || !parse(argc - 1, argv + 1, &o))
        return usage();
    for (size_t i = 0; i < AL_ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        struct al_err err = {.msg = ""};
        json_t *doc = NULL;
        if (commands[i].run(&o, &doc, &err) == AL_OK) {
            al_bench_print(doc);
            return 0;
        }
        fprintf(stderr, "airlore-bench: %s: %s\n", argv[1], err.msg);
        return 1;
    }
    return usage();
}
