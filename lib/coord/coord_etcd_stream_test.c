/* Watches on streams that break, repeat themselves, come in pieces or too fast: scripted, no etcd
 * is needed. */
#include "airlore/coord_etcd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "etcd_fixture.h"

#define WATCH "/v3/watch"
#define RANGE "/v3/kv/range"
#define PATIENCE_MS 20000u
#define EVENTS_MAX 4096u

#define CREATED "{\"result\":{\"header\":{\"revision\":\"4\"},\"created\":true}}\n"
#define PUT(key_, revision_)                                                                \
    "{\"kv\":{\"key\":\"" key_ "\",\"create_revision\":\"2\",\"mod_revision\":\"" revision_ \
    "\",\"version\":\"2\",\"value\":\"dg==\"}}"
#define DROP(key_, revision_) \
    "{\"type\":\"DELETE\",\"kv\":{\"key\":\"" key_ "\",\"mod_revision\":\"" revision_ "\"}}"
#define NEWS(events_) "{\"result\":{\"header\":{\"revision\":\"99\"},\"events\":[" events_ "]}}\n"
#define PART(events_) \
    "{\"result\":{\"header\":{\"revision\":\"99\"},\"fragment\":true,\"events\":[" events_ "]}}\n"
#define A "YQ=="
#define B "Yg=="
#define C "Yw=="

/* What the watch function was told. */
struct tape {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    char text[65536]; /* "+a5 -b6 | +c7 |": a bar ends a call */
    size_t n;
    size_t n_events;
    size_t n_calls;
    bool is_blocked; /* the function waits while it is set */
    bool is_inside;
};

static void on_events(void *u, const struct al_coord_event *events, size_t n)
{
    static const char signs[] = "?+-RS";
    struct tape *t = u;
    pthread_mutex_lock(&t->mu);
    t->is_inside = true;
    pthread_cond_broadcast(&t->changed);
    while (t->is_blocked)
        pthread_cond_wait(&t->changed, &t->mu);
    for (size_t i = 0; i < n; i++)
        t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, "%c" AL_STR_FMT "%lld ",
                                 signs[events[i].kind], AL_STR_ARG(events[i].kv.key),
                                 (long long)events[i].revision);
    t->n += (size_t)snprintf(t->text + t->n, sizeof t->text - t->n, "| ");
    t->n_events += n;
    t->n_calls++;
    t->is_inside = false;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
}

static void tape_wait(struct tape *t, size_t n_events)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    int late = 0;
    pthread_mutex_lock(&t->mu);
    while (t->n_events < n_events && !late)
        late = pthread_cond_timedwait(&t->changed, &t->mu, &until);
    pthread_mutex_unlock(&t->mu);
    if (late)
        fail_msg("told so far: %s", t->text);
}

struct rig {
    struct al_proxy *p;
    char url[64];
    struct al_metrics *metrics;
    struct al_coord *c;
    struct tape tape;
    uint64_t watch;
};

static struct rig *rig_create(void)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->p = al_proxy_create(NULL, false);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%u", al_proxy_port(r->p));
    assert_int_equal(al_metrics_create(NULL, &r->metrics, NULL), AL_OK);
    pthread_mutex_init(&r->tape.mu, NULL);
    pthread_cond_init(&r->tape.changed, NULL);
    return r;
}

static void rig_open(struct rig *r, size_t queue_bytes_max)
{
    struct al_err err;
    struct al_coord_etcd_options opt = {.endpoints = r->url,
                                        .probe_ms = 30000,
                                        .queue_bytes_max = queue_bytes_max,
                                        .metrics = r->metrics};
    struct al_coord_watcher w = {AL_STR(""), 5, on_events, &r->tape};
    AL_CHECK_OK(al_coord_etcd_open(&opt, &r->c, &err), err);
    AL_CHECK_OK(al_coord_watch(r->c, &w, &r->watch, &err), err);
}

static void rig_destroy(struct rig *r)
{
    al_coord_close(r->c);
    al_proxy_destroy(r->p);
    al_metrics_destroy(r->metrics);
    pthread_cond_destroy(&r->tape.changed);
    pthread_mutex_destroy(&r->tape.mu);
    free(r);
}

static void answer(struct rig *r, const char *path, uint32_t n, uint32_t status, const char *text)
{
    al_proxy_add_rule(
        r->p, &(struct al_proxy_rule){
                  .fault = AL_PROXY_ANSWER, .path = path, .n = n, .status = status, .text = text});
}

static void then_silence(struct rig *r)
{
    al_proxy_add_rule(
        r->p, &(struct al_proxy_rule){.fault = AL_PROXY_SILENT, .path = WATCH, .n = UINT32_MAX});
}

/* Each stream is a text; what is told of all of them. */
static void check_streams(const char *name, const char *const *streams, size_t n_events,
                          const char *want)
{
    struct rig *r = rig_create();
    for (size_t i = 0; streams[i]; i++)
        answer(r, WATCH, 1, 200, streams[i]);
    then_silence(r);
    rig_open(r, 0);
    tape_wait(&r->tape, n_events);
    al_coord_unwatch(r->c, r->watch);
    if (strcmp(r->tape.text, want) != 0)
        fail_msg("%s: '%s' instead of '%s'", name, r->tape.text, want);
    rig_destroy(r);
}

static void test_streams(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *streams[5];
        size_t n_events;
        const char *want;
    } cases[] = {
        {"one call a revision",
         {CREATED NEWS(PUT(A, "5") "," DROP(B, "5") "," PUT(C, "6")) NEWS(PUT(A, "7"))},
         4,
         "+a5 -b5 | +c6 | +a7 | "},
        {"repeated after a break",
         {CREATED NEWS(PUT(A, "5") "," PUT(B, "6")),
          CREATED NEWS(PUT(B, "6") "," PUT(C, "7")) NEWS(PUT(C, "7"))},
         3,
         "+a5 | +b6 | +c7 | "},
        {"one earlier than asked for", {CREATED NEWS(PUT(A, "4") "," PUT(B, "5"))}, 1, "+b5 | "},
        {"a line cut short",
         {CREATED NEWS(PUT(A, "5")) "{\"result\":{\"header\":{\"revision\":\"99\"},\"events\":[{",
          CREATED NEWS(PUT(B, "6"))},
         2,
         "+a5 | +b6 | "},
        {"not JSON",
         {CREATED NEWS(PUT(A, "5")) "hello\n" NEWS(PUT(B, "6")), CREATED NEWS(PUT(B, "6"))},
         2,
         "+a5 | +b6 | "},
        {"the revision of a message with events says nothing", /* it is 99 */
         {CREATED NEWS(PUT(A, "5")), CREATED NEWS(PUT(B, "6"))},
         2,
         "+a5 | +b6 | "},
        {"the revision of the confirmation says nothing",
         {"{\"result\":{\"header\":{\"revision\":\"99\"},\"created\":true}}\n",
          CREATED NEWS(PUT(A, "5"))},
         1,
         "+a5 | "},
        {"a progress notification does",
         {CREATED "{\"result\":{\"header\":{\"revision\":\"7\"}}}\n",
          CREATED NEWS(PUT(A, "5") "," PUT(A, "7") "," PUT(A, "8"))},
         1,
         "+a8 | "},
        {"a revision in pieces",
         {CREATED PART(PUT(A, "5") "," PUT(A, "6")) PART(PUT(B, "6"))
              NEWS(PUT(C, "6") "," PUT(A, "7"))},
         5,
         "+a5 | +a6 +b6 +c6 | +a7 | "},
        {"pieces and an end between them",
         {CREATED PART(PUT(A, "5") "," PUT(A, "6")), CREATED PART(PUT(A, "6")) NEWS(PUT(B, "6"))},
         3,
         "+a5 | +a6 +b6 | "},
        {"canceled without compaction",
         {"{\"result\":{\"canceled\":true,\"created\":true,\"cancel_reason\":\"rpc error: code = "
          "PermissionDenied desc = x\"}}\n",
          CREATED NEWS(PUT(A, "5"))},
         1,
         "+a5 | "},
        {"the leader is lost",
         {CREATED NEWS(PUT(A, "5")) "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":"
                                    "\"etcdserver: no leader\"}}",
          CREATED NEWS(PUT(B, "6"))},
         2,
         "+a5 | +b6 | "},
        {"empty lines", {CREATED "\n\r\n" NEWS(PUT(A, "5"))}, 1, "+a5 | "},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        check_streams(cases[i].name, cases[i].streams, cases[i].n_events, cases[i].want);
}

#define GONE                                                                                       \
    "{\"result\":{\"header\":{\"revision\":\"20\"},\"canceled\":true,\"compact_revision\":\"18\"}" \
    "}\n"
#define PAGE(revision_, kvs_, more_) \
    "{\"header\":{\"revision\":\"" revision_ "\"},\"kvs\":[" kvs_ "]" more_ ",\"count\":\"3\"}"
#define KV(key_)                                                                                \
    "{\"key\":\"" key_ "\",\"create_revision\":\"2\",\"mod_revision\":\"3\",\"version\":\"1\"," \
    "\"value\":\"dg==\"}"

/* History is gone: pages of one revision, again from the start when that is gone too, then on. */
static void test_reload(void **state)
{
    (void)state;
    struct rig *r = rig_create();
    answer(r, WATCH, 1, 200, CREATED GONE);
    answer(r, WATCH, UINT32_MAX, 200, CREATED NEWS(PUT(A, "30") "," PUT(B, "31")));
    answer(r, RANGE, 1, 503, "{\"error\":\"etcdserver: request timed out\",\"code\":14}");
    answer(r, RANGE, 1, 200, PAGE("20", KV(A), ",\"more\":true"));
    answer(r, RANGE, 1, 400,
           "{\"error\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}");
    answer(r, RANGE, 1, 200, PAGE("30", KV(A) "," KV(B), ",\"more\":true"));
    answer(r, RANGE, 1, 200, "hello");
    answer(r, RANGE, 1, 200, PAGE("33", KV(C), ""));
    rig_open(r, 0);
    tape_wait(&r->tape, 8);
    al_coord_unwatch(r->c, r->watch);
    assert_string_equal(r->tape.text, "R20 +a20 | R30 +a30 +b30 | +c30 S30 | +b31 | ");
    rig_destroy(r);
}

static void test_empty_reload(void **state)
{
    (void)state;
    struct rig *r = rig_create();
    answer(r, WATCH, 1, 200, CREATED GONE);
    answer(r, WATCH, UINT32_MAX, 200, CREATED NEWS(PUT(A, "21")));
    answer(r, RANGE, 1, 200, "{\"header\":{\"revision\":\"20\"}}");
    rig_open(r, 0);
    tape_wait(&r->tape, 3);
    al_coord_unwatch(r->c, r->watch);
    assert_string_equal(r->tape.text, "R20 S20 | +a21 | ");
    rig_destroy(r);
}

/* A function that does not return: the queue fills to its limit and no further, the stream is given
 * up, and nothing is missed when it goes on. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct rig *r = rig_create();
    struct al_buf text;
    struct al_buf value;
    struct al_metric *paused = NULL;
    struct al_metric *queued = NULL;
    char plain[9000];
    memset(plain, 'x', sizeof plain);
    al_buf_init(&value, NULL, 0);
    for (size_t i = 0; i < sizeof plain / 3; i++)
        al_buf_cstr(&value, "eHh4");
    al_buf_init(&text, NULL, 0);
    al_buf_cstr(&text, CREATED);
    for (int i = 5; i < 45; i++) { /* 40 of 9 KB: six times the queue */
        al_buf_printf(
            &text,
            "{\"result\":{\"header\":{\"revision\":\"99\"},\"events\":[{\"kv\":{\"key\":"
            "\"YQ==\",\"create_revision\":\"2\",\"mod_revision\":\"%d\",\"version\":\"2\","
            "\"value\":\"",
            i);
        al_buf_str(&text, al_buf_view(&value));
        al_buf_cstr(&text, "\"}}]}}\n");
    }
    answer(r, WATCH, UINT32_MAX, 200, text.p);
    r->tape.is_blocked = true;
    rig_open(r, (size_t)64 << 10);
    assert_int_equal(al_metrics_counter(r->metrics, "airlore_coord_watch_pauses_total",
                                        "Watches paused by a full queue", NULL, &paused, NULL),
                     AL_OK);
    assert_int_equal(al_metrics_gauge(r->metrics, "airlore_coord_queue_bytes",
                                      "Changes that wait for their readers", NULL, &queued, NULL),
                     AL_OK);
    uint64_t end = al_clock_deadline(al_clock_system(), PATIENCE_MS);
    while (al_metric_value(paused) < 1)
        assert_false(al_clock_has_passed(al_clock_system(), end));
    assert_true(al_metric_value(queued) > 0 && al_metric_value(queued) <= 65536);
    pthread_mutex_lock(&r->tape.mu);
    r->tape.is_blocked = false;
    pthread_cond_broadcast(&r->tape.changed);
    pthread_mutex_unlock(&r->tape.mu);
    tape_wait(&r->tape, 40);
    al_coord_unwatch(r->c, r->watch);
    const char *at = r->tape.text;
    for (int i = 5; i < 45; i++) {
        char want[32];
        size_t n = (size_t)snprintf(want, sizeof want, "+a%d | ", i);
        assert_memory_equal(at, want, n);
        at += n;
    }
    assert_string_equal(at, "");
    rig_destroy(r); /* the proxy may still be sending the text */
    al_buf_fini(&text);
    al_buf_fini(&value);
}

static void *release_later(void *u)
{
    struct tape *t = u;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    pthread_mutex_lock(&t->mu);
    t->is_blocked = false;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->mu);
    return NULL;
}

/* unwatch waits for the function that is under way, and nothing is told after it. */
static void test_unwatch_waits(void **state)
{
    (void)state;
    struct rig *r = rig_create();
    answer(r, WATCH, UINT32_MAX, 200, CREATED NEWS(PUT(A, "5") "," PUT(B, "6") "," PUT(C, "7")));
    r->tape.is_blocked = true;
    rig_open(r, 0);
    pthread_mutex_lock(&r->tape.mu);
    while (!r->tape.is_inside)
        pthread_cond_wait(&r->tape.changed, &r->tape.mu);
    pthread_mutex_unlock(&r->tape.mu);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_later, &r->tape), 0);
    al_coord_unwatch(r->c, r->watch);
    pthread_mutex_lock(&r->tape.mu);
    assert_false(r->tape.is_inside);
    assert_int_equal(r->tape.n_calls, 1);
    pthread_mutex_unlock(&r->tape.mu);
    pthread_join(thread, NULL);
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_reload),
        cmocka_unit_test(test_empty_reload),  cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_unwatch_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
