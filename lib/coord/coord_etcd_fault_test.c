/* Everything that can go wrong between a handle and etcd, scripted; no etcd is needed. */
#include "airlore/coord_etcd.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "airlore/metrics.h"
#include "etcd_fixture.h"
#include "etcd_wire.h"

#define GOOD \
    "{\"header\":{\"revision\":\"9\"},\"succeeded\":true,\"responses\":[{\"response_put\":{}}]}"
#define GOOD_GET \
    "{\"header\":{\"revision\":\"9\"},\"succeeded\":true,\"responses\":[{\"response_range\":{}}]}"
#define ERROR(text_, code_) "{\"error\":\"" text_ "\",\"message\":\"" text_ "\",\"code\":" code_ "}"
#define PATIENCE_MS 20000u

/* One scripted endpoint or two, and a handle. */
struct rig {
    struct al_proxy *proxies[2];
    struct al_coord_etcd_options opt;
    char urls[128];
    struct al_metrics *metrics;
    struct al_coord *c;
};

static void rig_init(struct rig *r, size_t n)
{
    size_t at = 0;
    *r = (struct rig){.c = NULL};
    for (size_t i = 0; i < n; i++) {
        r->proxies[i] = al_proxy_create(NULL, false);
        at += (size_t)snprintf(r->urls + at, sizeof r->urls - at, "%shttp://127.0.0.1:%u",
                               i ? "," : "", al_proxy_port(r->proxies[i]));
    }
    assert_int_equal(al_metrics_create(NULL, &r->metrics, NULL), AL_OK);
    r->opt = (struct al_coord_etcd_options){.endpoints = r->urls,
                                            .request_timeout_ms = 250,
                                            .retry_ms = 1500,
                                            .probe_ms = 30000,
                                            .metrics = r->metrics};
}

static void rig_open(struct rig *r)
{
    struct al_err err;
    AL_CHECK_OK(al_coord_etcd_open(&r->opt, &r->c, &err), err);
}

static void rig_fini(struct rig *r)
{
    al_coord_close(r->c);
    al_proxy_destroy(r->proxies[0]);
    al_proxy_destroy(r->proxies[1]);
    al_metrics_destroy(r->metrics);
}

static double counter(struct rig *r, const char *name, const char *labels)
{
    struct al_metric *m = NULL;
    /* Registered with the same name and help: the same series. */
    assert_int_equal(al_metrics_counter(r->metrics, name,
                                        labels ? "Requests to the coordination store by how they "
                                                 "ended"
                                               : "Endpoints given up for a while",
                                        labels, &m, NULL),
                     AL_OK);
    return al_metric_value(m);
}

static void always(struct al_proxy *p, const char *path, uint32_t status, const char *text)
{
    al_proxy_add_rule(p, &(struct al_proxy_rule){.fault = AL_PROXY_ANSWER,
                                                 .path = path,
                                                 .n = UINT32_MAX,
                                                 .status = status,
                                                 .text = text});
}

static enum al_code put(struct al_coord *c, uint64_t deadline_ns, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    struct al_coord_op op = al_coord_put(AL_STR("k"), AL_STR("v"), 0);
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    enum al_code code = al_coord_txn(c, &txn, deadline_ns, &a, &res, err);
    al_arena_fini(&a);
    return code;
}

static enum al_code get(struct al_coord *c, uint64_t deadline_ns, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    struct al_coord_op op = al_coord_get(AL_STR("k"));
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    enum al_code code = al_coord_txn(c, &txn, deadline_ns, &a, &res, err);
    al_arena_fini(&a);
    return code;
}

static uint64_t soon(void)
{
    return al_clock_deadline(al_clock_system(), PATIENCE_MS);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* ---- each fault, once ---- */

struct fault_case {
    const char *name;
    struct al_proxy_rule rule;
    enum al_code write;
    const char *reason;
    enum al_code read;
    uint32_t n_writes; /* how often the write was sent */
};

#define TXN "/v3/kv/txn"
#define ANSWERED(status_, text_)                                                            \
    {                                                                                       \
        .fault = AL_PROXY_ANSWER, .path = TXN, .n = 1, .status = (status_), .text = (text_) \
    }

static const struct fault_case fault_cases[] = {
    {"request lost",
     {.fault = AL_PROXY_LOSE_REQUEST, .path = TXN, .n = 1},
     AL_UNKNOWN,
     "OUTCOME_UNKNOWN",
     AL_OK,
     1},
    {"silence",
     {.fault = AL_PROXY_SILENT, .path = TXN, .n = 1},
     AL_UNKNOWN,
     "OUTCOME_UNKNOWN",
     AL_OK,
     1},
    {"time-out of etcd", ANSWERED(503, ERROR("etcdserver: request timed out", "14")), AL_UNKNOWN,
     "OUTCOME_UNKNOWN", AL_OK, 1},
    {"deadline of etcd", ANSWERED(500, ERROR("context deadline exceeded", "2")), AL_UNKNOWN,
     "OUTCOME_UNKNOWN", AL_OK, 1},
    {"somebody else's 502", ANSWERED(502, "<html>"), AL_UNKNOWN, "OUTCOME_UNKNOWN", AL_OK, 1},
    {"no leader", ANSWERED(503, ERROR("etcdserver: no leader", "14")), AL_OK, NULL, AL_OK, 2},
    {"too many requests", ANSWERED(429, ERROR("etcdserver: too many requests", "8")), AL_OK, NULL,
     AL_OK, 2},
    {"no gateway", ANSWERED(404, "404 page not found\n"), AL_OK, NULL, AL_OK, 2},
    {"not JSON", ANSWERED(200, "hello"), AL_UNKNOWN, "OUTCOME_UNKNOWN", AL_UNAVAILABLE, 1},
    {"half an answer", ANSWERED(200, "{\"header\":{\"revision\":\"9\"},\"succ"), AL_UNKNOWN,
     "OUTCOME_UNKNOWN", AL_UNAVAILABLE, 1},
    {"another answer", ANSWERED(200, "{\"header\":{\"revision\":\"9\"},\"succeeded\":true}"),
     AL_UNKNOWN, "OUTCOME_UNKNOWN", AL_UNAVAILABLE, 1},
    {"full", ANSWERED(429, ERROR("etcdserver: mvcc: database space exceeded", "8")),
     AL_RESOURCE_EXHAUSTED, "NO_SPACE", AL_RESOURCE_EXHAUSTED, 1},
    {"lease gone", ANSWERED(404, ERROR("etcdserver: requested lease not found", "5")),
     AL_FAILED_PRECONDITION, "LEASE_LOST", AL_FAILED_PRECONDITION, 1},
    {"too large", ANSWERED(400, ERROR("etcdserver: request is too large", "3")),
     AL_INVALID_ARGUMENT, "TXN_TOO_LARGE", AL_INVALID_ARGUMENT, 1},
    {"denied", ANSWERED(403, ERROR("etcdserver: permission denied", "7")), AL_PERMISSION_DENIED,
     "PERMISSION_DENIED", AL_PERMISSION_DENIED, 1},
    {"no user given", ANSWERED(400, ERROR("etcdserver: user name is empty", "3")),
     AL_UNAUTHENTICATED, "UNAUTHENTICATED", AL_UNAUTHENTICATED, 1},
};

/* The right code, sent as often as may be, and the handle works afterwards; on a fresh connection
 * and on one that was used before. */
static void test_each_fault(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * AL_ARRAY_LEN(fault_cases); i++) {
        const struct fault_case *f = &fault_cases[i / 2];
        bool is_reused = i % 2;
        struct rig r;
        struct al_err err = {.reason = ""};
        rig_init(&r, 1);
        rig_open(&r);
        always(r.proxies[0], TXN, 200, GOOD);
        if (is_reused)
            assert_int_equal(put(r.c, soon(), &err), AL_OK);
        al_proxy_set_rule(r.proxies[0], &f->rule);
        always(r.proxies[0], TXN, 200, GOOD);
        uint32_t before = al_proxy_count(r.proxies[0], TXN);
        AL_CHECK(f->name, put(r.c, soon(), &err) == f->write);
        if (f->write != AL_OK)
            AL_CHECK(f->name, strcmp(err.reason, f->reason) == 0);
        AL_CHECK(f->name, al_proxy_count(r.proxies[0], TXN) - before == f->n_writes);
        AL_CHECK(f->name, put(r.c, soon(), &err) == AL_OK);
        al_proxy_set_rule(r.proxies[0], &f->rule);
        always(r.proxies[0], TXN, 200, GOOD_GET);
        AL_CHECK(f->name, get(r.c, soon(), &err) == f->read);
        AL_CHECK(f->name, get(r.c, soon(), &err) == AL_OK);
        rig_fini(&r);
    }
}

/* Nobody listens: surely not applied, whatever it was. */
static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err = {.reason = ""};
    rig_init(&r, 1);
    r.opt.retry_ms = 100;
    rig_open(&r);
    always(r.proxies[0], TXN, 200, GOOD);
    assert_int_equal(put(r.c, soon(), &err), AL_OK); /* a connection is kept, and reset: */
    al_proxy_set_cut_off(r.proxies[0], true);
    assert_int_equal(put(r.c, soon(), &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "COORD_UNAVAILABLE");
    assert_int_equal(get(r.c, soon(), &err), AL_UNAVAILABLE);
    assert_int_equal(al_proxy_count(r.proxies[0], TXN), 1);
    al_proxy_set_cut_off(r.proxies[0], false);
    assert_int_equal(put(r.c, soon(), &err), AL_OK);
    assert_true(counter(&r, "airlore_coord_requests_total", "outcome=\"unavailable\"") == 2);
    rig_fini(&r);
}

/* An answer above the limit is not taken in. */
static void test_answer_is_bounded(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err;
    size_t n = (size_t)5 << 20;
    char *big = malloc(n + 1);
    assert_non_null(big);
    memset(big, ' ', n);
    big[n] = '\0';
    rig_init(&r, 1);
    r.opt.response_bytes_max = (size_t)4 << 20;
    r.opt.request_timeout_ms = 10000;
    rig_open(&r);
    always(r.proxies[0], TXN, 200, big);
    assert_int_equal(get(r.c, soon(), &err), AL_RESOURCE_EXHAUSTED);
    assert_int_equal(put(r.c, soon(), &err), AL_UNKNOWN); /* it was applied */
    al_proxy_set_rule(r.proxies[0], NULL);
    always(r.proxies[0], TXN, 200, GOOD);
    assert_int_equal(put(r.c, soon(), &err), AL_OK);
    assert_true(counter(&r, "airlore_coord_endpoint_failures_total", NULL) == 0);
    rig_fini(&r);
    free(big);
}

/* ---- endpoints, deadlines ---- */

static void test_failover(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err;
    rig_init(&r, 2);
    rig_open(&r);
    always(r.proxies[0], TXN, 200, GOOD);
    always(r.proxies[1], TXN, 200, GOOD);
    al_proxy_set_cut_off(r.proxies[0], true);
    assert_int_equal(put(r.c, soon(), &err), AL_OK);
    assert_int_equal(al_proxy_count(r.proxies[1], TXN), 1);
    al_proxy_set_cut_off(r.proxies[0], false);
    assert_int_equal(put(r.c, soon(), &err), AL_OK); /* stays where it works */
    assert_int_equal(al_proxy_count(r.proxies[1], TXN), 2);
    al_proxy_set_rule(r.proxies[1],
                      &(struct al_proxy_rule){.fault = AL_PROXY_SILENT, .n = UINT32_MAX});
    assert_int_equal(put(r.c, soon(), &err), AL_UNKNOWN); /* not repeated elsewhere */
    assert_int_equal(al_proxy_count(r.proxies[0], TXN), 0);
    assert_int_equal(put(r.c, soon(), &err), AL_OK); /* but the next goes there */
    assert_int_equal(al_proxy_count(r.proxies[0], TXN), 1);
    assert_true(counter(&r, "airlore_coord_endpoint_failures_total", NULL) == 2);
    rig_fini(&r);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err;
    struct al_clock *clock = al_clock_system();
    rig_init(&r, 1);
    r.opt.request_timeout_ms = 10000;
    rig_open(&r);
    al_proxy_set_rule(r.proxies[0],
                      &(struct al_proxy_rule){.fault = AL_PROXY_SILENT, .n = UINT32_MAX});
    assert_int_equal(put(r.c, al_clock_mono_ns(clock), &err), AL_DEADLINE_EXCEEDED);
    assert_int_equal(al_proxy_count(r.proxies[0], "/"), 0);
    assert_int_equal(put(r.c, al_clock_deadline(clock, 100), &err), AL_UNKNOWN);
    assert_int_equal(get(r.c, al_clock_deadline(clock, 100), &err), AL_UNAVAILABLE);
    /* The caller's haste says nothing about the endpoint. */
    assert_true(counter(&r, "airlore_coord_endpoint_failures_total", NULL) == 0);
    rig_fini(&r);
}

/* ---- users ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void test_token(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err = {.msg = ""};
    char dir[200];
    char path[256];
    al_test_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/auth", dir);
    write_file(path, "airlore:se:cret\n");
    rig_init(&r, 1);
    r.opt.auth_file = path;
    always(r.proxies[0], "/v3/auth/authenticate", 200, "{\"token\":\"first.1\"}");
    struct al_proxy_rule expired = ANSWERED(401, ERROR("etcdserver: invalid auth token", "16"));
    al_proxy_add_rule(r.proxies[0], &expired);
    always(r.proxies[0], TXN, 200, GOOD);
    rig_open(&r);
    assert_int_equal(put(r.c, soon(), &err), AL_OK); /* asked for again, sent again */
    assert_int_equal(al_proxy_count(r.proxies[0], TXN), 2);
    assert_int_equal(al_proxy_count(r.proxies[0], "/v3/auth/authenticate"), 2);
    al_proxy_set_rule(r.proxies[0], NULL); /* never good: the answer after one renewal */
    always(r.proxies[0], "/v3/auth/authenticate", 200, "{\"token\":\"second.2\"}");
    always(r.proxies[0], TXN, 401, ERROR("etcdserver: invalid auth token", "16"));
    assert_int_equal(put(r.c, soon(), &err), AL_UNAUTHENTICATED);
    al_proxy_set_rule(r.proxies[0], NULL);
    always(r.proxies[0], "/v3/auth/authenticate", 400,
           ERROR("etcdserver: authentication failed, invalid user ID or password", "3"));
    always(r.proxies[0], TXN, 401, ERROR("etcdserver: invalid auth token", "16"));
    assert_int_equal(put(r.c, soon(), &err), AL_UNAUTHENTICATED);
    assert_null(strstr(err.msg, "cret"));
    write_file(path, "no colon\n"); /* read again at the next authentication */
    assert_int_equal(put(r.c, soon(), &err),
                     AL_UNAUTHENTICATED); /* the last failure is still new */
    rig_fini(&r);
    write_file(path, "no colon\n");
    rig_init(&r, 1);
    r.opt.auth_file = path;
    rig_open(&r);
    assert_int_equal(put(r.c, soon(), &err), AL_FAILED_PRECONDITION);
    assert_int_equal(al_proxy_count(r.proxies[0], "/"), 0);
    rig_fini(&r);
}

/* ---- leases ---- */

#define GRANT "/v3/lease/grant"
#define KEEPALIVE "/v3/lease/keepalive"
#define REVOKE "/v3/lease/revoke"

static void wait_lost(struct al_coord *c, uint64_t lease)
{
    uint64_t end = soon();
    while (al_coord_lease_deadline(c, lease) != 0) {
        assert_false(al_clock_has_passed(al_clock_system(), end));
        nap();
    }
}

static void test_leases(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err = {.reason = ""};
    uint64_t lease = 0;
    rig_init(&r, 1);
    rig_open(&r);
    struct al_proxy *p = r.proxies[0];
    /* The answer to the first grant is lost; the second finds the lease taken: by us. */
    al_proxy_set_rule(
        p, &(struct al_proxy_rule){.fault = AL_PROXY_LOSE_REQUEST, .path = GRANT, .n = 1});
    always(p, GRANT, 412, ERROR("etcdserver: lease already exists", "9"));
    always(p, KEEPALIVE, 503, ERROR("etcdserver: request timed out", "14"));
    always(p, REVOKE, 503, ERROR("etcdserver: request timed out", "14"));
    AL_CHECK_OK(al_coord_lease_grant(r.c, 1, &lease, &err), err);
    /* No keepalive is answered: lost by the clock alone, and no put may name it. */
    wait_lost(r.c, lease);
    struct al_coord_op op = al_coord_put(AL_STR("k"), AL_STR("v"), lease);
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    struct al_arena a;
    al_arena_init(&a, NULL, 4096);
    assert_int_equal(al_coord_txn(r.c, &txn, soon(), &a, &res, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "LEASE_LOST");
    assert_int_equal(al_proxy_count(p, TXN), 0);
    /* Taken on the first attempt: by somebody else. */
    al_proxy_set_rule(p, NULL);
    always(p, GRANT, 412, ERROR("etcdserver: lease already exists", "9"));
    assert_int_equal(al_coord_lease_grant(r.c, 1, &lease, &err), AL_ALREADY_EXISTS);
    /* A keepalive of a dead lease is 200 without time to live. */
    al_proxy_set_rule(p, NULL);
    always(p, GRANT, 200, "{\"ID\":\"7\",\"TTL\":\"3\"}");
    always(p, KEEPALIVE, 200, "{\"result\":{\"ID\":\"7\"}}");
    AL_CHECK_OK(al_coord_lease_grant(r.c, 3, &lease, &err), err);
    assert_true(al_coord_lease_deadline(r.c, lease) > 0);
    wait_lost(r.c, lease);
    /* A revoke whose answer is lost, and which then finds nothing, was ours. */
    al_proxy_set_rule(p, NULL);
    always(p, GRANT, 200, "{\"ID\":\"7\",\"TTL\":\"30\"}");
    AL_CHECK_OK(al_coord_lease_grant(r.c, 30, &lease, &err), err);
    al_proxy_set_rule(
        p, &(struct al_proxy_rule){.fault = AL_PROXY_LOSE_REQUEST, .path = REVOKE, .n = 1});
    always(p, REVOKE, 404, ERROR("etcdserver: requested lease not found", "5"));
    AL_CHECK_OK(al_coord_lease_revoke(r.c, lease, &err), err);
    assert_int_equal(al_coord_lease_revoke(r.c, lease, &err), AL_NOT_FOUND);
    assert_string_equal(err.reason, "LEASE_NOT_FOUND");
    al_arena_fini(&a);
    rig_fini(&r);
}

/* ---- limits and options ---- */

static void ignore(void *u, const struct al_coord_event *events, size_t n)
{
    (void)u;
    (void)events;
    (void)n;
}

static void test_limits(void **state)
{
    (void)state;
    struct rig r;
    struct al_err err = {.reason = ""};
    uint64_t id;
    uint64_t other;
    rig_init(&r, 1);
    r.opt.watches_max = 1;
    r.opt.leases_max = 1;
    rig_open(&r);
    struct al_proxy *p = r.proxies[0];
    al_proxy_set_rule(
        p, &(struct al_proxy_rule){.fault = AL_PROXY_SILENT, .path = "/v3/watch", .n = UINT32_MAX});
    always(p, GRANT, 200, "{\"ID\":\"7\",\"TTL\":\"30\"}");
    always(p, REVOKE, 200, "{}");
    struct al_coord_watcher w = {AL_STR("w"), 1, ignore, NULL};
    for (int i = 0; i < 3; i++) { /* given back each time */
        AL_CHECK_OK(al_coord_watch(r.c, &w, &id, &err), err);
        assert_int_equal(al_coord_watch(r.c, &w, &other, &err), AL_RESOURCE_EXHAUSTED);
        assert_string_equal(err.reason, "NO_SPACE");
        al_coord_unwatch(r.c, id);
        uint64_t lease = 0;
        uint64_t end = soon(); /* the net thread gives the place back after the revoke */
        while (al_coord_lease_grant(r.c, 30, &lease, &err) != AL_OK) {
            assert_false(al_clock_has_passed(al_clock_system(), end));
            nap();
        }
        assert_int_equal(al_coord_lease_grant(r.c, 30, &other, &err), AL_RESOURCE_EXHAUSTED);
        assert_string_equal(err.reason, "NO_SPACE");
        AL_CHECK_OK(al_coord_lease_revoke(r.c, lease, &err), err);
    }
    rig_fini(&r);
}

static void test_options(void **state)
{
    (void)state;
#define URL "http://127.0.0.1:1"
    static const struct al_coord_etcd_options bad[] = {
        {.endpoints = NULL},
        {.endpoints = ""},
        {.endpoints = URL ","},
        {.endpoints = "127.0.0.1:2379"},
        {.endpoints = "ftp://127.0.0.1"},
        {.endpoints = "http://"},
        {.endpoints = "http://user:secret@127.0.0.1:2379"},
        {.endpoints = "http://127.0.0.1:2379/v3"},
        {.endpoints = "http://127.0.0.1:2379?x"},
        {.endpoints = URL "," URL "," URL "," URL "," URL "," URL "," URL "," URL "," URL "," URL
                          "," URL "," URL "," URL "," URL "," URL "," URL "," URL},
        {.endpoints = URL, .cert_file = "/dev/null"},
        {.endpoints = URL, .key_file = "/dev/null"},
        {.endpoints = URL, .connect_timeout_ms = 49},
        {.endpoints = URL, .request_timeout_ms = 60001},
        {.endpoints = URL, .retry_ms = 60001},
        {.endpoints = URL, .probe_ms = 1},
        {.endpoints = URL, .connections_max = 65},
        {.endpoints = URL, .calls_max = 65537},
        {.endpoints = URL, .watches_max = 1025},
        {.endpoints = URL, .leases_max = 1025},
        {.endpoints = URL, .response_bytes_max = 1},
        {.endpoints = URL, .queue_bytes_max = 1},
    };
    struct al_coord *c = NULL;
    struct al_err err = {.reason = ""};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        AL_CHECK(bad[i].endpoints ? bad[i].endpoints : "none",
                 al_coord_etcd_open(&bad[i], &c, &err) == AL_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "BAD_OPTION");
        assert_null(c);
    }
    struct al_coord_etcd_options opt = {.endpoints = URL, .ca_file = "/nowhere/ca.pem"};
    assert_int_equal(al_coord_etcd_open(&opt, &c, &err), AL_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "/nowhere/ca.pem"));
    opt = (struct al_coord_etcd_options){.endpoints = " http://localhost:1/ , https://[::1]:2 "};
    AL_CHECK_OK(al_coord_etcd_open(&opt, &c, &err), err);
    al_coord_close(c);
}

/* ---- memory ---- */

static enum al_code use_everything(struct al_coord *c, struct al_err *err)
{
    uint64_t lease;
    uint64_t watch;
    struct al_coord_watcher w = {AL_STR(""), 1, ignore, NULL};
    AL_TRY(al_coord_watch(c, &w, &watch, err));
    enum al_code code = put(c, soon(), err);
    if (code == AL_OK)
        code = al_coord_lease_grant(c, 30, &lease, err);
    if (code == AL_OK)
        code = al_coord_lease_revoke(c, lease, err);
    al_coord_unwatch(c, watch);
    return code;
}

/* Each allocation fails in turn: a right code, no leak, the handle still works. */
static void test_memory_faults(void **state)
{
    (void)state;
    struct rig r;
    bool fired = true;
    rig_init(&r, 1);
    struct al_proxy *p = r.proxies[0];
    always(p, TXN, 200, GOOD);
    always(p, GRANT, 200, "{\"ID\":\"7\",\"TTL\":\"30\"}");
    always(p, REVOKE, 200, "{}");
    always(p, "/v3/watch", 200,
           "{\"result\":{\"header\":{\"revision\":\"3\"},\"created\":true}}\n"
           "{\"result\":{\"header\":{\"revision\":\"3\"},\"events\":[{\"kv\":{\"key\":\"YQ==\","
           "\"create_revision\":\"2\",\"mod_revision\":\"3\",\"version\":\"2\"}}]}}\n");
    for (size_t n = 0; fired; n++) {
        struct al_fault_mem fm;
        struct al_err err = {.code = AL_OK};
        al_fault_mem_init(&fm, n, false);
        r.opt.mem = &fm.mem;
        r.opt.metrics = NULL;
        struct al_coord *c = NULL;
        enum al_code code = al_coord_etcd_open(&r.opt, &c, &err);
        assert_true((code == AL_OK) == (c != NULL));
        if (code == AL_OK) {
            code = use_everything(c, &err);
            struct al_err later; /* the fault happens once */
            AL_ASSERT(put(c, soon(), &later) == AL_OK || put(c, soon(), &later) == AL_OK);
        }
        al_coord_close(c);
        /* UNKNOWN: the answer to a write could not be kept */
        assert_true(code == AL_OK || code == AL_RESOURCE_EXHAUSTED || code == AL_UNKNOWN);
        assert_int_equal(fm.live, 0);
        fired = fm.fired;
        assert_true(n < 2000);
    }
    rig_fini(&r);
}

static bool take_all(void *u, const char *p, size_t n)
{
    (void)u;
    (void)p;
    return n > 0;
}

static void note_end(void *u, const struct al_wire_result *r)
{
    *(struct al_wire_result *)u = *r;
}

/* The wire alone: made, and one exchange with a token; each allocation that is ours. */
static void test_memory_faults_of_the_wire(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, 1);
    always(r.proxies[0], TXN, 200, GOOD);
    char url[160];
    snprintf(url, sizeof url, "%s" TXN, r.urls);
    size_t n = 0;
    for (bool fired = true; fired; n++) {
        struct al_fault_mem fm;
        struct al_wire *w = NULL;
        struct al_wire_exchange *x = NULL;
        struct al_wire_result result = {0};
        al_fault_mem_init(&fm, n, false);
        struct al_wire_options o = {
            .connect_timeout_ms = PATIENCE_MS, .connections_max = 4, .mem = &fm.mem};
        struct al_wire_request q = {.url = url,
                                    .body = AL_STR("{}"),
                                    .token = "token",
                                    .timeout_ms = PATIENCE_MS,
                                    .on_data = take_all,
                                    .on_end = note_end,
                                    .u = &result};
        enum al_code code = al_wire_curl_create(&o, &w, NULL);
        assert_true((w != NULL) == (code == AL_OK));
        if (w)
            code = w->ops->start(w, &q, &x, NULL);
        assert_true((x != NULL) == (code == AL_OK));
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        while (x && !result.end)
            w->ops->run(w, 100);
        assert_int_equal(result.end, x ? AL_WIRE_ANSWERED : 0);
        if (w)
            w->ops->destroy(w);
        assert_int_equal(fm.live, 0);
        fired = fm.fired;
    }
    assert_true(n > 3); /* the client, an exchange, a header */
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fault),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_answer_is_bounded),
        cmocka_unit_test(test_failover),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_memory_faults),
        cmocka_unit_test(test_memory_faults_of_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
