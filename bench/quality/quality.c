/* quality.c - run a retrieval task in process: airlore-quality TASK_DIR RUN [--ask] [--mode
 * hybrid|text|vector] [-k N]
 *
 * TASK_DIR holds corpus.jsonl {id,title,text} and queries.jsonl {id,text}; a row of the corpus may
 * have format (md, rst, txt), kind and airflow. A run line: query id, document id, rank, fused
 * score, BM25, cosine, coverage, relevance, separated by tabs. With --ask the queries are questions
 * and a line is an object: the answer, its sources, and what it was judged by. Progress goes to
 * standard error.
 */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "airlore/ask.h"
#include "airlore/ingest.h"
#include "airlore/query.h"

#define SPACE 20u
#define SENTENCES 5u /* the default of a request */

struct bench {
    struct al_shard *shard;
    struct al_shard_port *port;
    struct al_router router;
    struct al_embedder *embedder;
    enum al_search_mode mode;
    uint32_t k;
    bool ask;
    FILE *out;
    size_t n_queries;
    uint64_t query_ns;
};

static enum al_code ignore_results(void *u, const struct al_ingest_result *r, size_t n,
                                   const struct al_token *t, struct al_err *err)
{
    (void)u;
    (void)t;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        if (r[i].error.code != AL_OK)
            fprintf(stderr, "quality: %.*s: %s\n", (int)r[i].id.n, r[i].id.p, r[i].error.msg);
    }
    return AL_OK;
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static enum al_code each_line(const char *dir, const char *name,
                              enum al_code (*visit)(void *u, const json_t *row, struct al_err *err),
                              void *u, struct al_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return AL_FAIL(err, AL_NOT_FOUND, "file: '%s' cannot be read", path);
    char *line = NULL;
    size_t cap = 0;
    enum al_code c = AL_OK;
    while (c == AL_OK && getline(&line, &cap, f) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        c = row ? visit(u, row, err)
                : AL_FAIL(err, AL_INVALID_ARGUMENT, "file: '%s': bad line", path);
        json_decref(row);
    }
    free(line);
    fclose(f);
    return c;
}

static enum al_code add_document(void *u, const json_t *row, struct al_err *err)
{
    const char *format = text_of(row, "format");
    struct al_kv airflow = {AL_STR("airflow"), al_str_c(text_of(row, "airflow"))};
    struct al_item it = {.id = al_str_c(text_of(row, "id")),
                         .title = al_str_c(text_of(row, "title")),
                         .content = al_str_c(text_of(row, "text")),
                         .kind = al_str_c(text_of(row, "kind")),
                         .meta = &airflow,
                         .n_meta = airflow.value.n > 0,
                         .format = strcmp(format, "md") == 0    ? AL_FORMAT_MARKDOWN
                                   : strcmp(format, "rst") == 0 ? AL_FORMAT_RST
                                                                : AL_FORMAT_TEXT};
    return al_ingest_add(u, &it, 0, err);
}

static enum al_code load(struct bench *b, const char *dir, struct al_err *err)
{
    struct al_ingest_options opt = {
        .router = &b->router,
        .embedder = b->embedder,
        .clock = al_clock_system(),
        .target = {.space = SPACE, .visibility = AL_VIS_TEAM, .team = "bench", .deployment = ""},
        .on_results = ignore_results};
    AL_AUTO(al_ingest) g = NULL;
    struct al_arena a;
    struct al_ingest_summary sum;
    struct al_token t;
    AL_TRY(al_ingest_start(&opt, &g, err));
    AL_TRY(each_line(dir, "corpus.jsonl", add_document, g, err));
    al_arena_init(&a, NULL, 1 << 20);
    enum al_code c = al_ingest_finish(g, true, &a, &sum, &t, err);
    al_arena_fini(&a);
    if (c == AL_OK)
        fprintf(stderr, "quality: %llu documents, %llu chunks, %llu failed\n",
                (unsigned long long)sum.inserted, (unsigned long long)sum.chunks,
                (unsigned long long)sum.failed);
    return c;
}

static enum al_code run_query(void *u, const json_t *row, struct al_err *err)
{
    struct bench *b = u;
    static const uint32_t space = SPACE;
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)1 << 30);
    struct al_query q = {.text = al_str_c(text_of(row, "text")),
                         .k = b->k,
                         .mode = b->mode,
                         .vector_weight = NAN,
                         .spaces = &space,
                         .n_spaces = 1,
                         .deadline_ns = AL_DEADLINE_NONE};
    struct al_query_context ctx = {&b->router, b->embedder, NULL};
    struct al_query_result r = {0};
    uint64_t start = al_clock_mono_ns(al_clock_system());
    enum al_code c = al_query_run(&ctx, &q, &a, &r, err);
    b->query_ns += al_clock_mono_ns(al_clock_system()) - start;
    for (size_t i = 0; c == AL_OK && i < r.n_hits; i++) {
        const struct al_hit *h = &r.hits[i];
        fprintf(b->out, "%s\t%.*s\t%zu\t%.6f\t%.6f\t%.6f\t%.6f\t%.6f\n", text_of(row, "id"),
                (int)h->doc->id.n, h->doc->id.p, i + 1, h->score, h->text_score, h->vector_score,
                h->coverage, h->relevance);
    }
    b->n_queries++;
    al_arena_fini(&a);
    return c;
}

static json_t *text_json(struct al_str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

static json_t *hit_json(const struct al_answer *ans, size_t i)
{
    const struct al_hit *h = &ans->found.hits[i];
    json_t *o =
        json_pack("{s:o, s:i, s:f, s:f, s:f, s:i, s:i, s:f, s:f}", "id", text_json(h->doc->id),
                  "chunk", (int)h->chunk, "coverage", h->coverage, "cosine", h->vector_score,
                  "text", h->text_score, "text_rank", (int)h->text_rank, "vector_rank",
                  (int)h->vector_rank, "relevance", h->relevance, "score", h->score);
    if (!o || i >= ans->n_evidence)
        return o;
    const struct al_hit_evidence *e = &ans->evidence[i];
    json_t *match = json_array();
    for (size_t t = 0; t < ans->n_terms; t++)
        json_array_append_new(match, json_real((double)e->match[t]));
    json_object_set_new(o, "match", match);
    json_object_set_new(o, "soft", json_real(e->soft));
    json_object_set_new(o, "title", json_real(e->title));
    json_object_set_new(o, "window", json_real(e->window));
    json_object_set_new(o, "sentence", json_real(e->sentence));
    json_object_set_new(o, "rank", json_real(e->rank));
    return o;
}

static json_t *answer_json(const struct al_answer *ans)
{
    json_t *terms = json_array();
    for (size_t i = 0; i < ans->n_terms; i++)
        json_array_append_new(terms, json_pack("[o, f, I, b]", text_json(ans->found.terms[i]),
                                               ans->found.idf[i], (json_int_t)ans->found.df[i],
                                               ans->is_name[i]));
    json_t *hits = json_array();
    for (size_t i = 0; i < ans->found.n_hits; i++)
        json_array_append_new(hits, hit_json(ans, i));
    json_t *sentences = json_array();
    for (size_t i = 0; i < ans->n_sentences; i++)
        json_array_append_new(sentences, text_json(ans->sentences[i].text));
    json_t *sources = json_array();
    for (size_t i = 0; i < ans->n_sources; i++)
        json_array_append_new(sources, text_json(ans->sources[i]->doc->id));
    json_t *features = json_array();
    for (size_t i = 0; i < AL_ANSWERABILITY_FEATURES; i++)
        json_array_append_new(features, json_real(ans->features[i]));
    return json_pack("{s:o, s:b, s:f, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o}", "features",
                     features, "abstained", ans->abstained, "relevance", ans->relevance, "answer",
                     text_json(ans->text), "text_max", ans->found.text_max, "text_mid",
                     ans->found.text_mid, "vector_max", ans->found.vector_max, "vector_mid",
                     ans->found.vector_mid, "terms", terms, "sources", sources, "sentences",
                     sentences, "hits", hits);
}

static enum al_code run_question(void *u, const json_t *row, struct al_err *err)
{
    struct bench *b = u;
    static const uint32_t space = SPACE;
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)1 << 30);
    struct al_ask_options o = {.query = {.text = al_str_c(text_of(row, "text")),
                                         .k = b->k,
                                         .mode = b->mode,
                                         .vector_weight = NAN,
                                         .spaces = &space,
                                         .n_spaces = 1,
                                         .deadline_ns = AL_DEADLINE_NONE},
                               .min_relevance = NAN,
                               .sentences_max = SENTENCES};
    struct al_query_context ctx = {.router = &b->router, .embedder = b->embedder};
    struct al_answer ans;
    uint64_t start = al_clock_mono_ns(al_clock_system());
    enum al_code c = al_ask(&ctx, &o, &a, &ans, err);
    b->query_ns += al_clock_mono_ns(al_clock_system()) - start;
    json_t *out = c == AL_OK ? answer_json(&ans) : NULL;
    if (out) {
        json_object_set_new(out, "id", json_string(text_of(row, "id")));
        json_dumpf(out, b->out, JSON_COMPACT | JSON_REAL_PRECISION(6));
        fputc('\n', b->out);
        json_decref(out);
    }
    b->n_queries++;
    al_arena_fini(&a);
    if (c != AL_OK || out)
        return c;
    return AL_FAIL(err, AL_INTERNAL, "question: its answer is no JSON");
}

static enum al_code open_shard(struct bench *b, const char *dir, struct al_err *err)
{
    AL_TRY(al_embedder_open(al_embedder_builtin(), NULL, &b->embedder, err));
    struct al_shard_options opt = {.dir = dir,
                                   .dim = al_embedder_dim(b->embedder),
                                   .embedder_id = al_embedder_id(b->embedder),
                                   .slot_last = UINT16_MAX,
                                   .min_free_bytes = 1};
    AL_TRY(al_shard_open(&opt, &b->shard, err));
    AL_TRY(al_shard_port_local(b->shard, NULL, &b->port, err));
    b->router = (struct al_router){&b->port, 1};
    return AL_OK;
}

static enum al_code run(struct bench *b, const char *task, const char *dir, struct al_err *err)
{
    AL_TRY(open_shard(b, dir, err));
    AL_TRY(load(b, task, err));
    AL_TRY(each_line(task, "queries.jsonl", b->ask ? run_question : run_query, b, err));
    fprintf(stderr, "quality: %zu queries, %.0f us each\n", b->n_queries,
            b->n_queries ? (double)b->query_ns / 1e3 / (double)b->n_queries : 0);
    return AL_OK;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: airlore-quality TASK_DIR RUN [--ask] [--mode hybrid|text|vector] [-k N]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct bench *b)
{
    static const struct option options[] = {
        {"mode", required_argument, NULL, 'm'}, {"ask", no_argument, NULL, 'a'}, {0}};
    uint64_t k = 0;
    for (int c; (c = getopt_long(argc, argv, "k:", options, NULL)) != -1;) {
        struct al_str arg = al_str_c(optarg ? optarg : "");
        if (c == 'a')
            b->ask = true;
        else if (c == 'k' && al_str_u64(arg, &k) && k >= 1 && k <= AL_QUERY_K_MAX)
            b->k = (uint32_t)k;
        else if (c == 'm' && al_str_is(arg, "hybrid"))
            b->mode = AL_MODE_HYBRID;
        else if (c == 'm' && al_str_is(arg, "text"))
            b->mode = AL_MODE_TEXT;
        else if (c == 'm' && al_str_is(arg, "vector"))
            b->mode = AL_MODE_VECTOR;
        else
            return false;
    }
    return argc - optind == 2;
}

int main(int argc, char **argv)
{
    struct bench b = {.mode = AL_MODE_HYBRID, .k = 20};
    if (!parse(argc, argv, &b))
        return usage();
    struct al_err err = {0};
    char dir[] = "/tmp/airlore-quality-XXXXXX";
    b.out = fopen(argv[optind + 1], "w");
    if (!b.out || !mkdtemp(dir)) {
        fprintf(stderr, "quality: cannot write '%s'\n", argv[optind + 1]);
        return 1;
    }
    enum al_code c = run(&b, argv[optind], dir, &err);
    if (c != AL_OK)
        fprintf(stderr, "quality: %s\n", err.msg);
    fclose(b.out);
    if (b.port)
        b.port->ops->destroy(b.port);
    al_shard_destroy(b.shard);
    al_embedder_destroy(b.embedder);
    if (al_disk_remove_tree(al_disk_system(), dir, &err) != AL_OK)
        fprintf(stderr, "quality: '%s' stays: %s\n", dir, err.msg);
    return c == AL_OK ? 0 : 1;
}
