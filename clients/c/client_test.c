/* The client against a server of our own with made-up handlers. */
#include "airlore/client.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "airlore/clock.h"
#include "airlore/proto_descriptors.h"
#include "airlore/rpc_server.h"
#include "airlore/testing.h"

static struct {
    struct al_rpc_server *server;
    char target[64];
    atomic_uint n_calls;
    atomic_uint n_unavailable; /* answers UNAVAILABLE so often before it answers */
    atomic_uint n_limited;     /* answers RATE_LIMITED so often before it answers */
    atomic_uint retry_after_ms;
    atomic_uint n_unknown; /* deletes of unknown outcome before one that is answered */
    char write_ids[8][64]; /* of those deletes, in order */
    atomic_uint n_present;
    atomic_bool finished;
} fake;

static bool take_one(atomic_uint *n)
{
    if (atomic_load(n) == 0)
        return false;
    atomic_fetch_sub(n, 1);
    return true;
}

static enum al_code limited(struct al_err *err)
{
    return al_err_retry_after(
        err, atomic_load(&fake.retry_after_ms),
        AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED", "key: too many"));
}

static enum al_code delete_item(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                                ProtobufCMessage **ret, struct al_err *err)
{
    (void)ctx;
    const Airlore__V1__DeleteItemRequest *r = (const void *)req;
    unsigned i = atomic_fetch_add(&fake.n_calls, 1);
    if (i < AL_ARRAY_LEN(fake.write_ids))
        snprintf(fake.write_ids[i], sizeof fake.write_ids[i], "%s", r->write_id);
    if (take_one(&fake.n_unknown))
        return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "write: who knows");
    Airlore__V1__DeleteItemResponse *m = al_arena_alloc(al_rpc_call_arena(call), sizeof *m);
    if (!m)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "memory");
    airlore__v1__delete_item_response__init(m);
    m->deleted = true;
    *ret = &m->base;
    return AL_OK;
}

static enum al_code search(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                           ProtobufCMessage **ret, struct al_err *err)
{
    (void)ctx;
    const Airlore__V1__SearchRequest *r = (const void *)req;
    atomic_fetch_add(&fake.n_calls, 1);
    if (take_one(&fake.n_limited))
        return limited(err);
    if (take_one(&fake.n_unavailable))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "STARTING", "server: starting");
    if (strcmp(r->text, "bad") == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FILTER", "filter: position 3: no");
    if (!al_str_is(al_rpc_call_metadata(call, "authorization"), "Bearer al_k_s"))
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "KEY_INVALID", "key: unknown");
    struct al_arena *a = al_rpc_call_arena(call);
    Airlore__V1__SearchResponse *s = al_arena_alloc(a, sizeof *s);
    Airlore__V1__Hit *h = al_arena_alloc(a, sizeof *h);
    Airlore__V1__Hit **hits = al_arena_alloc(a, sizeof *hits);
    if (!s || !h || !hits)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "memory");
    airlore__v1__search_response__init(s);
    airlore__v1__hit__init(h);
    h->id = r->text;
    hits[0] = h;
    s->n_hits = 1;
    s->hits = hits;
    *ret = &s->base;
    return AL_OK;
}

static enum al_code create_team(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                                ProtobufCMessage **ret, struct al_err *err)
{
    (void)ctx, (void)call, (void)req, (void)ret;
    atomic_fetch_add(&fake.n_calls, 1);
    if (take_one(&fake.n_limited))
        return limited(err);
    return AL_FAIL_R(err, AL_UNAVAILABLE, "NO_LEADER", "cluster: no leader");
}

static enum al_code answer(struct al_rpc_call *call, const Airlore__V1__IngestItem *item,
                           struct al_err *err)
{
    Airlore__V1__IngestResponse m = AIRLORE__V1__INGEST_RESPONSE__INIT;
    Airlore__V1__IngestResult r = AIRLORE__V1__INGEST_RESULT__INIT;
    Airlore__V1__Error e = AIRLORE__V1__ERROR__INIT;
    r.id = item->id;
    r.sequence = item->sequence;
    r.outcome = AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_INSERTED;
    if (strcmp(item->id, "bad") == 0) {
        e.code = AL_INVALID_ARGUMENT;
        e.reason = (char *)(uintptr_t) "CONTENT_EMPTY";
        r.outcome = AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_FAILED;
        r.error = &e;
    }
    m.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_RESULT;
    m.result = &r;
    return al_rpc_write(call, &m.base, err);
}

static enum al_code take(struct al_rpc_call *call, const Airlore__V1__IngestRequest *m, bool *brk,
                         struct al_err *err)
{
    if (m->message_case == AIRLORE__V1__INGEST_REQUEST__MESSAGE_PRESENT)
        atomic_fetch_add(&fake.n_present, (unsigned)m->present->n_ids);
    if (m->message_case == AIRLORE__V1__INGEST_REQUEST__MESSAGE_FINISH)
        atomic_store(&fake.finished, true);
    if (m->message_case != AIRLORE__V1__INGEST_REQUEST__MESSAGE_BATCH)
        return AL_OK;
    assert_in_range(m->batch->n_items, 1, 256);
    for (size_t i = 0; i < m->batch->n_items; i++) {
        if (strcmp(m->batch->items[i]->id, "break") == 0) {
            *brk = true;
            return AL_FAIL_R(err, AL_DATA_LOSS, "STORE_READ_ONLY", "store: read only");
        }
        AL_TRY(answer(call, m->batch->items[i], err));
    }
    return AL_OK;
}

static enum al_code ingest(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    (void)ctx;
    ProtobufCMessage *got = NULL;
    AL_TRY(al_rpc_read(call, &got, err));
    const Airlore__V1__IngestRequest *first = (const void *)got;
    if (first && strcmp(first->options->deployment, "teams/x/deployments/none") == 0)
        return AL_FAIL_R(err, AL_NOT_FOUND, "DEPLOYMENT_NOT_FOUND", "deployment: not there");
    Airlore__V1__IngestStarted started = AIRLORE__V1__INGEST_STARTED__INIT;
    started.max_item_bytes = 1000;
    started.window = 8;
    Airlore__V1__IngestResponse m = AIRLORE__V1__INGEST_RESPONSE__INIT;
    m.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_STARTED;
    m.started = &started;
    AL_TRY(al_rpc_write(call, &m.base, err));
    bool brk = false;
    for (;;) {
        AL_TRY(al_rpc_read(call, &got, err));
        if (!got)
            break;
        AL_TRY(take(call, (const void *)got, &brk, err));
    }
    Airlore__V1__IngestSummary sum = AIRLORE__V1__INGEST_SUMMARY__INIT;
    sum.inserted = 77;
    sum.token = (char *)(uintptr_t) "tok";
    m.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_SUMMARY;
    m.summary = &sum;
    return al_rpc_write(call, &m.base, err);
}

static enum al_code watch(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    (void)ctx;
    ProtobufCMessage *got = NULL;
    AL_TRY(al_rpc_read(call, &got, err));
    const Airlore__V1__WatchJobRequest *r = (const void *)got;
    if (strcmp(r->name, "jobs/none") == 0)
        return AL_FAIL_R(err, AL_NOT_FOUND, "JOB_NOT_FOUND", "job: not there");
    Airlore__V1__Job job = AIRLORE__V1__JOB__INIT;
    Airlore__V1__WatchJobResponse m = AIRLORE__V1__WATCH_JOB_RESPONSE__INIT;
    m.job = &job;
    for (job.attempt = 1; job.attempt <= 3; job.attempt++)
        AL_TRY(al_rpc_write(call, &m.base, err));
    return AL_OK;
}

static int start(void **state)
{
    (void)state;
    static const struct al_rpc_method knowledge[] = {{.name = "Search", .unary = search},
                                                     {.name = "DeleteItem", .unary = delete_item},
                                                     {.name = "Ingest", .stream = ingest}};
    static const struct al_rpc_method admin[] = {{.name = "CreateTeam", .unary = create_team},
                                                 {.name = "WatchJob", .stream = watch}};
    struct al_rpc_server_options opt = {.descriptor_set = al_proto_descriptor_set,
                                        .descriptor_set_bytes = al_proto_descriptor_set_size,
                                        .pool_threads = 2};
    struct al_err err;
    uint16_t port;
    AL_CHECK_OK(al_rpc_server_create(&opt, &fake.server, &err), err);
    AL_CHECK_OK(al_rpc_server_add_service(fake.server, &airlore__v1__knowledge_service__descriptor,
                                          knowledge, 3, NULL, &err),
                err);
    AL_CHECK_OK(al_rpc_server_add_service(fake.server, &airlore__v1__admin_service__descriptor,
                                          admin, 2, NULL, &err),
                err);
    AL_CHECK_OK(al_rpc_server_listen(fake.server, "127.0.0.1:0", NULL, &port, &err), err);
    AL_CHECK_OK(al_rpc_server_start(fake.server, &err), err);
    snprintf(fake.target, sizeof fake.target, "127.0.0.1:%u", port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    al_rpc_server_stop(fake.server, 5000);
    al_rpc_server_destroy(fake.server);
    return 0;
}

static struct al_client *connect_as(const char *key, uint32_t retry_ms)
{
    struct al_client *c = NULL;
    struct al_err err;
    struct al_client_options opt = {.server = fake.target, .key = key, .retry_ms = retry_ms};
    AL_CHECK_OK(al_client_create(&opt, &c, &err), err);
    atomic_store(&fake.n_calls, 0);
    return c;
}

static enum al_code search_for(struct al_client *c, const char *text, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__SearchRequest r = AIRLORE__V1__SEARCH_REQUEST__INIT;
    r.text = (char *)(uintptr_t)text;
    Airlore__V1__SearchResponse *reply = NULL;
    enum al_code code = al_client_search(c, &r, &a, &reply, err);
    if (code == AL_OK)
        assert_string_equal(reply->hits[0]->id, text);
    else
        assert_null(reply);
    al_arena_fini(&a);
    return code;
}

static void test_calls_and_errors(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", 0);
    struct al_err err = {.code = AL_OK};
    AL_CHECK_OK(search_for(c, "text \xc3\xbc", &err), err);
    assert_int_equal(search_for(c, "bad", &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_FILTER");
    assert_string_equal(err.msg, "filter: position 3: no");
    al_client_destroy(c);
    c = connect_as("al_k_other", 0);
    assert_int_equal(search_for(c, "x", &err), AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "KEY_INVALID");
    al_client_destroy(c);
}

static void test_reads_are_repeated_writes_are_not(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", UINT32_MAX);
    struct al_err err = {.code = AL_OK};
    atomic_store(&fake.n_unavailable, 2);
    AL_CHECK_OK(search_for(c, "x", &err), err);
    assert_int_equal(atomic_load(&fake.n_calls), 3);
    atomic_store(&fake.n_calls, 0);
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__CreateTeamRequest r = AIRLORE__V1__CREATE_TEAM_REQUEST__INIT;
    Airlore__V1__CreateTeamResponse *reply = NULL;
    assert_int_equal(al_client_create_team(c, &r, &a, &reply, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "NO_LEADER");
    assert_int_equal(atomic_load(&fake.n_calls), 1);
    al_arena_fini(&a);
    al_client_destroy(c);
}

static void test_retries_end(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", 120);
    struct al_err err = {.code = AL_OK};
    atomic_store(&fake.n_unavailable, 1000);
    assert_int_equal(search_for(c, "x", &err), AL_UNAVAILABLE);
    assert_in_range(atomic_load(&fake.n_calls), 1, 6);
    atomic_store(&fake.n_unavailable, 0);
    al_client_destroy(c);
}

static void test_waits_as_long_as_it_is_told(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", 1); /* of the server's own accord, not of retry_ms */
    struct al_err err = {.code = AL_OK};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__CreateTeamRequest r = AIRLORE__V1__CREATE_TEAM_REQUEST__INIT;
    Airlore__V1__CreateTeamResponse *reply = NULL;
    atomic_store(&fake.retry_after_ms, 20);
    atomic_store(&fake.n_limited, 3);
    uint64_t before = al_clock_mono_ns(al_clock_system());
    AL_CHECK_OK(search_for(c, "x", &err), err);
    assert_int_equal(atomic_load(&fake.n_calls), 4);
    assert_true(al_clock_mono_ns(al_clock_system()) - before >= 60000000u);
    /* turned away before anything was done: a write too comes again, and fails by its own reason */
    atomic_store(&fake.n_calls, 0);
    atomic_store(&fake.n_limited, 1);
    assert_int_equal(al_client_create_team(c, &r, &a, &reply, &err), AL_UNAVAILABLE);
    assert_int_equal(atomic_load(&fake.n_calls), 2);
    /* longer than the call may take: at once, and says how long */
    atomic_store(&fake.n_calls, 0);
    atomic_store(&fake.n_limited, 1);
    atomic_store(&fake.retry_after_ms, 3600000);
    assert_int_equal(search_for(c, "x", &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "RATE_LIMITED");
    assert_int_equal(err.retry_after_ms, 3600000);
    assert_int_equal(atomic_load(&fake.n_calls), 1);
    al_arena_fini(&a);
    al_client_destroy(c);
}

static void test_an_unknown_outcome_is_asked_again_with_the_same_id(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", UINT32_MAX);
    struct al_err err = {.code = AL_OK};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    Airlore__V1__DeleteItemRequest r = AIRLORE__V1__DELETE_ITEM_REQUEST__INIT;
    Airlore__V1__DeleteItemResponse *reply = NULL;
    r.write_id = (char *)(uintptr_t) "one-id";
    atomic_store(&fake.n_unknown, 2);
    AL_CHECK_OK(al_client_delete_item(c, &r, &a, &reply, &err), err);
    assert_int_equal(atomic_load(&fake.n_calls), 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(fake.write_ids[i], "one-id");
    r.write_id = (char *)(uintptr_t) ""; /* nothing makes a repetition safe */
    atomic_store(&fake.n_calls, 0);
    atomic_store(&fake.n_unknown, 1);
    assert_int_equal(al_client_delete_item(c, &r, &a, &reply, &err), AL_UNKNOWN);
    assert_string_equal(err.reason, "OUTCOME_UNKNOWN");
    assert_int_equal(atomic_load(&fake.n_calls), 1);
    al_arena_fini(&a);
    al_client_destroy(c);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct al_client *c = NULL;
    struct al_err err = {.code = AL_OK};
    struct al_client_options opt = {.server = "127.0.0.1:1", .retry_ms = 1};
    AL_CHECK_OK(al_client_create(&opt, &c, &err), err);
    assert_int_equal(search_for(c, "x", &err), AL_UNAVAILABLE);
    struct al_client_ingest *s = NULL;
    struct al_client_ingest_options o = {.options = NULL};
    assert_int_equal(al_client_ingest_open(c, &o, &s, &err), AL_UNAVAILABLE);
    assert_null(s);
    al_client_destroy(c);
}

static void test_bad_options(void **state)
{
    (void)state;
    static char long_key[600];
    memset(long_key, 'a', sizeof long_key - 1);
    const struct {
        const char *server;
        const char *key;
    } cases[] = {{NULL, "k"},       {"", "k"},           {"h:1", "two words"}, {"h:1", "a\r\nb"},
                 {"h:1", long_key}, {"h:1", "\xc3\xbc"}, {"h:1", ""}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_client *c = NULL;
        struct al_client_options opt = {.server = cases[i].server, .key = cases[i].key};
        assert_int_equal(al_client_create(&opt, &c, NULL), AL_INVALID_ARGUMENT);
        assert_null(c);
    }
}

struct seen {
    unsigned n;
    unsigned n_failed;
    uint64_t sequences;
};

static void on_result(void *u, const Airlore__V1__IngestResult *r)
{
    struct seen *s = u;
    s->n++;
    s->n_failed += r->error != NULL;
    s->sequences += r->sequence;
}

static struct al_client_ingest *open_stream(struct al_client *c, struct seen *s)
{
    struct al_client_ingest_options o = {.on_result = on_result, .u = s, .timeout_ms = 20000};
    struct al_client_ingest *i = NULL;
    struct al_err err;
    AL_CHECK_OK(al_client_ingest_open(c, &o, &i, &err), err);
    return i;
}

#define ITEMS 700

static void fill(Airlore__V1__IngestItem *items, Airlore__V1__IngestItem **list, const char *id)
{
    for (size_t i = 0; i < ITEMS; i++) {
        airlore__v1__ingest_item__init(&items[i]);
        items[i].id = (char *)(uintptr_t)id;
        items[i].sequence = i + 1;
        list[i] = &items[i];
    }
}

static void test_ingest(void **state)
{
    (void)state;
    static Airlore__V1__IngestItem items[ITEMS];
    static Airlore__V1__IngestItem *list[ITEMS];
    static struct al_client_ingest_summary sum;
    static char *ids[2500];
    struct al_client *c = connect_as("al_k_s", 0);
    struct seen seen = {.n = 0};
    struct al_err err = {.code = AL_OK};
    fill(items, list, "i");
    items[5].id = (char *)(uintptr_t) "bad";
    for (size_t i = 0; i < AL_ARRAY_LEN(ids); i++)
        ids[i] = (char *)(uintptr_t) "there";
    struct al_client_ingest *s = open_stream(c, &seen);
    assert_int_equal(al_client_ingest_item_bytes_max(s), 1000);
    AL_CHECK_OK(al_client_ingest_add(s, list, ITEMS, &err), err);
    AL_CHECK_OK(al_client_ingest_add(s, list, 0, &err), err);
    AL_CHECK_OK(al_client_ingest_present(s, ids, AL_ARRAY_LEN(ids), &err), err);
    AL_CHECK_OK(al_client_ingest_finish(s, true, &sum, &err), err);
    al_client_ingest_close(s);
    assert_int_equal(seen.n, ITEMS);
    assert_int_equal(seen.n_failed, 1);
    assert_int_equal(seen.sequences, ITEMS * (ITEMS + 1) / 2);
    assert_int_equal(sum.inserted, 77);
    assert_string_equal(sum.token, "tok");
    assert_int_equal(atomic_load(&fake.n_present), AL_ARRAY_LEN(ids));
    assert_true(atomic_load(&fake.finished));
    al_client_destroy(c);
}

static void test_an_incomplete_stream_is_not_finished(void **state)
{
    (void)state;
    static struct al_client_ingest_summary sum;
    struct al_client *c = connect_as("al_k_s", 0);
    struct seen seen = {.n = 0};
    struct al_err err = {.code = AL_OK};
    atomic_store(&fake.finished, false);
    struct al_client_ingest *s = open_stream(c, &seen);
    AL_CHECK_OK(al_client_ingest_finish(s, false, &sum, &err), err);
    al_client_ingest_close(s);
    assert_false(atomic_load(&fake.finished));
    al_client_ingest_close(open_stream(c, &seen)); /* never finished: cancelled */
    al_client_destroy(c);
}

static void test_a_stream_that_breaks_says_why(void **state)
{
    (void)state;
    static Airlore__V1__IngestItem items[ITEMS];
    static Airlore__V1__IngestItem *list[ITEMS];
    static struct al_client_ingest_summary sum;
    struct al_client *c = connect_as("al_k_s", 0);
    struct seen seen = {.n = 0};
    struct al_err err = {.code = AL_OK};
    fill(items, list, "i");
    items[9].id = (char *)(uintptr_t) "break";
    struct al_client_ingest *s = open_stream(c, &seen);
    enum al_code code = al_client_ingest_add(s, list, ITEMS, &err);
    while (code == AL_OK)
        code = al_client_ingest_add(s, list, ITEMS, &err);
    assert_int_equal(code, AL_DATA_LOSS);
    assert_string_equal(err.reason, "STORE_READ_ONLY");
    assert_int_equal(seen.n, 9);
    err = (struct al_err){.code = AL_OK};
    assert_int_equal(al_client_ingest_finish(s, true, &sum, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "STORE_READ_ONLY");
    al_client_ingest_close(s);
    al_client_destroy(c);
}

static void test_a_stream_refused_at_once(void **state)
{
    (void)state;
    Airlore__V1__IngestOptions options = AIRLORE__V1__INGEST_OPTIONS__INIT;
    options.deployment = (char *)(uintptr_t) "teams/x/deployments/none";
    struct al_client_ingest_options o = {.options = &options};
    struct al_client *c = connect_as("al_k_s", 0);
    struct al_client_ingest *s = NULL;
    struct al_err err = {.code = AL_OK};
    assert_int_equal(al_client_ingest_open(c, &o, &s, &err), AL_NOT_FOUND);
    assert_string_equal(err.reason, "DEPLOYMENT_NOT_FOUND");
    assert_null(s);
    al_client_destroy(c);
}

/* What the client itself refuses to send ends the stream with that reason, and nothing hangs. */
static void test_an_item_larger_than_a_message(void **state)
{
    (void)state;
    size_t n = (size_t)21 << 20;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, 'a', n);
    text[n] = '\0';
    Airlore__V1__IngestItem item = AIRLORE__V1__INGEST_ITEM__INIT;
    Airlore__V1__IngestItem *list[] = {&item};
    item.content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    item.text = text;
    struct al_client *c = connect_as("al_k_s", 0);
    struct seen seen = {.n = 0};
    struct al_err err = {.code = AL_OK};
    struct al_client_ingest *s = open_stream(c, &seen);
    assert_int_equal(al_client_ingest_add(s, list, 1, &err), AL_RESOURCE_EXHAUSTED);
    al_client_ingest_close(s);
    al_client_destroy(c);
    free(text);
}

static bool count_jobs(void *u, const Airlore__V1__Job *job)
{
    unsigned *n = u;
    assert_int_equal(job->attempt, ++*n);
    return *n < 100;
}

static bool stop_at_once(void *u, const Airlore__V1__Job *job)
{
    (void)u, (void)job;
    return false;
}

static void test_watch(void **state)
{
    (void)state;
    struct al_client *c = connect_as("al_k_s", 0);
    struct al_err err = {.code = AL_OK};
    unsigned n = 0;
    AL_CHECK_OK(al_client_watch_job(c, "jobs/j", 10000, count_jobs, &n, &err), err);
    assert_int_equal(n, 3);
    assert_int_equal(al_client_watch_job(c, "jobs/j", 10000, stop_at_once, NULL, &err),
                     AL_CANCELLED);
    assert_int_equal(al_client_watch_job(c, "jobs/none", 10000, count_jobs, &n, &err),
                     AL_NOT_FOUND);
    assert_string_equal(err.reason, "JOB_NOT_FOUND");
    al_client_destroy(c);
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_client *c = NULL;
        struct al_client_options opt = {.server = fake.target, .key = "al_k_s", .mem = &fm.mem};
        enum al_code code = al_client_create(&opt, &c, NULL);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !c : code == AL_OK && c);
        al_client_destroy(c);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_and_errors),
        cmocka_unit_test(test_reads_are_repeated_writes_are_not),
        cmocka_unit_test(test_retries_end),
        cmocka_unit_test(test_waits_as_long_as_it_is_told),
        cmocka_unit_test(test_an_unknown_outcome_is_asked_again_with_the_same_id),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_ingest),
        cmocka_unit_test(test_an_incomplete_stream_is_not_finished),
        cmocka_unit_test(test_a_stream_that_breaks_says_why),
        cmocka_unit_test(test_a_stream_refused_at_once),
        cmocka_unit_test(test_an_item_larger_than_a_message),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
