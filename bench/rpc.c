/* Calls to a server with N under way, driven by the channel's own thread: a call that ends starts
 * the next. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/clock.h"
#include "airlore/rpc_client.h"
#include "airlore/v1/admin.pb-c.h"
#include "airlore/v1/knowledge.pb-c.h"
#include "bench.h"

#define TIMEOUT_MS 60000u

typedef Airlore__V1__SearchRequest search_request;
typedef Airlore__V1__BatchSearchQuery batch_query;
typedef Airlore__V1__BatchSearchRequest batch_request;

struct flight;

/* One of the calls under way. */
struct lane {
    struct flight *flight;
    struct al_rpc_request request; /* stays until the callback has run */
    uint64_t began_ns;
};

/* A run of n calls. */
struct flight {
    struct al_rpc_channel *channel;
    const ProtobufCServiceDescriptor *service;
    const char *method;
    ProtobufCMessage *const *messages; /* taken in turn */
    size_t n_messages;
    size_t (*count_hits)(const ProtobufCMessage *reply, size_t *failed);
    size_t n_calls;
    size_t n_begun; /* this and below: written on the channel's thread after the start, guarded by
                       mu */
    size_t n_ended;
    size_t n_lanes_open;
    struct al_bench_run *run;
    struct al_err first_err;
    pthread_mutex_t mu;
    pthread_cond_t ended;
};

static void begin(struct lane *lane);

static void on_reply(void *u, enum al_code code, const ProtobufCMessage *reply,
                     const struct al_err *err)
{
    struct lane *lane = u;
    struct flight *f = lane->flight;
    uint64_t took = al_clock_mono_ns(al_clock_system()) - lane->began_ns;
    pthread_mutex_lock(&f->mu);
    f->run->latency_ns[f->n_ended++] = took;
    if (code != AL_OK) {
        f->run->n_failed++;
        if (err && f->first_err.code == AL_OK)
            f->first_err = *err;
    } else if (f->count_hits) {
        f->run->n_hits += f->count_hits(reply, &f->run->n_failed);
    }
    pthread_mutex_unlock(&f->mu);
    begin(lane);
}

/* Start the lane's next call, or close the lane. */
static void begin(struct lane *lane)
{
    struct flight *f = lane->flight;
    pthread_mutex_lock(&f->mu);
    size_t at = f->n_begun;
    bool more = at < f->n_calls;
    if (more)
        f->n_begun++;
    pthread_mutex_unlock(&f->mu);
    struct al_err err = {.code = AL_OK};
    if (more) {
        lane->request = (struct al_rpc_request){.service = f->service,
                                                .method = f->method,
                                                .message = f->messages[at % f->n_messages],
                                                .timeout_ms = TIMEOUT_MS};
        lane->began_ns = al_clock_mono_ns(al_clock_system());
        if (al_rpc_unary_async(f->channel, &lane->request, (struct al_rpc_callback){on_reply, lane},
                               &err) == AL_OK)
            return;
    }
    pthread_mutex_lock(&f->mu);
    if (err.code != AL_OK && f->first_err.code == AL_OK)
        f->first_err = err;
    f->n_lanes_open--;
    pthread_cond_signal(&f->ended);
    pthread_mutex_unlock(&f->mu);
}

/* Run n_calls calls, n_lanes at once; waits for the end. */
static enum al_code fly(struct flight *f, size_t n_calls, size_t n_lanes, struct al_err *err)
{
    struct lane *lanes = calloc(n_lanes, sizeof *lanes);
    if (!lanes)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bench: out of memory");
    f->n_calls = n_calls;
    f->n_begun = f->n_ended = 0;
    f->n_lanes_open = n_lanes;
    for (size_t i = 0; i < n_lanes; i++) {
        lanes[i].flight = f;
        begin(&lanes[i]);
    }
    pthread_mutex_lock(&f->mu);
    while (f->n_lanes_open > 0)
        pthread_cond_wait(&f->ended, &f->mu);
    pthread_mutex_unlock(&f->mu);
    free(lanes);
    if (f->run->n_failed == 0 && f->first_err.code == AL_OK)
        return AL_OK;
    return AL_FAIL(err, f->first_err.code ? f->first_err.code : AL_INTERNAL,
                   "calls: %zu of %zu failed: %.150s", f->run->n_failed, n_calls, f->first_err.msg);
}

/* Warm up, then measure. per_call: queries in one call. */
static enum al_code measure(struct flight *f, const struct al_bench_options *o, size_t per_call,
                            const char *name, json_t **ret, struct al_err *err)
{
    size_t n_calls = (o->n + per_call - 1) / per_call;
    size_t n_warm = (o->warmup + per_call - 1) / per_call;
    size_t room = n_calls > n_warm ? n_calls : n_warm;
    struct al_bench_run r = {.latency_ns = calloc(room, sizeof *r.latency_ns)};
    if (!r.latency_ns)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bench: out of memory");
    f->run = &r;
    enum al_code c = n_warm ? fly(f, n_warm, o->inflight, err) : AL_OK;
    r.n_hits = 0;
    uint64_t client = al_bench_cpu_ns(0);
    uint64_t server = al_bench_cpu_ns(o->pid);
    uint64_t start = al_clock_mono_ns(al_clock_system());
    if (c == AL_OK)
        c = fly(f, n_calls, o->inflight, err);
    r.wall_ns = al_clock_mono_ns(al_clock_system()) - start;
    r.cpu_ns = o->pid ? al_bench_cpu_ns(o->pid) - server : 0;
    r.client_cpu_ns = al_bench_cpu_ns(0) - client;
    r.n = f->n_ended;
    r.n_queries = f->n_ended * per_call;
    if (c == AL_OK) {
        *ret = al_bench_run_json(name, &r);
        json_object_set_new(*ret, "inflight", json_integer((json_int_t)o->inflight));
        json_object_set_new(*ret, "per_call", json_integer((json_int_t)per_call));
    }
    free(r.latency_ns);
    f->run = NULL;
    return c;
}

static enum al_code connect_to(const struct al_bench_options *o, struct al_rpc_channel **ret,
                               struct al_err *err)
{
    char bearer[640];
    int n = snprintf(bearer, sizeof bearer, "Bearer %s", o->key ? o->key : "");
    if (!o->server || n < 0 || (size_t)n >= sizeof bearer)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "--server: required");
    struct al_rpc_header header = {"authorization", bearer};
    struct al_rpc_channel_options opt = {
        .target = o->server, .headers = &header, .n_headers = o->key ? 1 : 0};
    return al_rpc_channel_create(&opt, ret, err);
}

static int mode_of(const char *mode)
{
    if (strcmp(mode, "text") == 0)
        return AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_TEXT;
    return strcmp(mode, "vector") == 0 ? AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_VECTOR
                                       : AIRLORE__V1__SEARCH_MODE__SEARCH_MODE_HYBRID;
}

static void fill(search_request *r, const struct al_bench_options *o, char *text)
{
    airlore__v1__search_request__init(r);
    r->text = text;
    r->_k_case = AIRLORE__V1__SEARCH_REQUEST___K_K;
    r->k = o->k;
    r->mode = (Airlore__V1__SearchMode)mode_of(o->mode);
}

static size_t hits_of_search(const ProtobufCMessage *reply, size_t *failed)
{
    (void)failed;
    return ((const Airlore__V1__SearchResponse *)(const void *)reply)->n_hits;
}

static size_t hits_of_batch(const ProtobufCMessage *reply, size_t *failed)
{
    const Airlore__V1__BatchSearchResponse *r = (const void *)reply;
    size_t n = 0;
    for (size_t i = 0; i < r->n_results; i++) {
        const Airlore__V1__BatchSearchResult *one = r->results[i];
        if (one->outcome_case == AIRLORE__V1__BATCH_SEARCH_RESULT__OUTCOME_RESPONSE)
            n += one->response->n_hits;
        else
            (*failed)++;
    }
    return n;
}

/* Requests of a run: a search for each query, and batches of them. */
struct requests {
    struct al_bench_queries queries;
    search_request *searches;
    batch_query *rows;
    batch_query **row_ptrs;
    batch_request *batches;
    ProtobufCMessage **messages;
    size_t n_messages;
};

static void requests_fini(struct requests *r)
{
    free(r->messages);
    free(r->batches);
    free(r->row_ptrs);
    free(r->rows);
    free(r->searches);
    al_bench_queries_fini(&r->queries);
}

static enum al_code requests_init(struct requests *r, const struct al_bench_options *o,
                                  struct al_err *err)
{
    AL_TRY(al_bench_queries_read(o->queries, &r->queries, err));
    size_t n = r->queries.n;
    r->searches = calloc(n, sizeof *r->searches);
    r->messages = calloc(n, sizeof *r->messages);
    if (!r->searches || !r->messages)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bench: out of memory");
    for (size_t i = 0; i < n; i++) {
        fill(&r->searches[i], o, r->queries.text[i]);
        r->messages[i] = &r->searches[i].base;
    }
    r->n_messages = n;
    return AL_OK;
}

/* Turn the searches into batches: message i holds the queries from i * batch on, around the end. */
static enum al_code make_batches(struct requests *r, const struct al_bench_options *o,
                                 struct al_err *err)
{
    size_t n = r->queries.n;
    r->rows = calloc(n, sizeof *r->rows);
    r->row_ptrs = calloc(n * o->batch, sizeof *r->row_ptrs);
    r->batches = calloc(n, sizeof *r->batches);
    if (!r->rows || !r->row_ptrs || !r->batches)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bench: out of memory");
    for (size_t i = 0; i < n; i++) {
        airlore__v1__batch_search_query__init(&r->rows[i]);
        r->rows[i].request = &r->searches[i];
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < o->batch; j++)
            r->row_ptrs[i * o->batch + j] = &r->rows[(i * o->batch + j) % n];
        airlore__v1__batch_search_request__init(&r->batches[i]);
        r->batches[i].n_queries = o->batch;
        r->batches[i].queries = &r->row_ptrs[i * o->batch];
        r->messages[i] = &r->batches[i].base;
    }
    return AL_OK;
}

/* Connect, measure, disconnect. */
static enum al_code run_flight(const struct al_bench_options *o, struct flight *f, size_t per_call,
                               const char *name, json_t **ret, struct al_err *err)
{
    AL_TRY(connect_to(o, &f->channel, err));
    pthread_mutex_init(&f->mu, NULL);
    pthread_cond_init(&f->ended, NULL);
    enum al_code c = measure(f, o, per_call, name, ret, err);
    al_rpc_channel_destroy(f->channel);
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->mu);
    return c;
}

enum al_code al_bench_rpc_unary(const struct al_bench_options *o, json_t **ret, struct al_err *err)
{
    struct requests r = {0};
    enum al_code c = requests_init(&r, o, err);
    struct flight f = {.service = &airlore__v1__knowledge_service__descriptor,
                       .method = "Search",
                       .messages = r.messages,
                       .n_messages = r.n_messages,
                       .count_hits = hits_of_search};
    if (c == AL_OK)
        c = run_flight(o, &f, 1, "search over gRPC, unary", ret, err);
    requests_fini(&r);
    return c;
}

enum al_code al_bench_rpc_batch(const struct al_bench_options *o, json_t **ret, struct al_err *err)
{
    struct requests r = {0};
    enum al_code c = requests_init(&r, o, err);
    if (c == AL_OK)
        c = make_batches(&r, o, err);
    struct flight f = {.service = &airlore__v1__knowledge_service__descriptor,
                       .method = "BatchSearch",
                       .messages = r.messages,
                       .n_messages = r.n_messages,
                       .count_hits = hits_of_batch};
    if (c == AL_OK)
        c = run_flight(o, &f, o->batch, "search over gRPC, in batches", ret, err);
    requests_fini(&r);
    return c;
}

enum al_code al_bench_rpc_whoami(const struct al_bench_options *o, json_t **ret, struct al_err *err)
{
    Airlore__V1__WhoAmIRequest who = AIRLORE__V1__WHO_AM_IREQUEST__INIT;
    ProtobufCMessage *message = &who.base;
    struct flight f = {.service = &airlore__v1__admin_service__descriptor,
                       .method = "WhoAmI",
                       .messages = &message,
                       .n_messages = 1};
    return run_flight(o, &f, 1, "WhoAmI on the server", ret, err);
}
