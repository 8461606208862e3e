/* Against real etcds that are killed, frozen, compacted and secured. */
#include "airlore/coord_etcd.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "airlore/election.h"
#include "etcd_fixture.h"

#define PATIENCE_MS 60000u
#define KEYS_MAX 20000u
#define PROGRESS "--experimental-watch-progress-notify-interval=100ms"

static const char *const progress_args[] = {PROGRESS, NULL};

/* What a watch was told of keys "w/<number>", in the order of their numbers. */
struct tape {
    pthread_mutex_t mu;
    uint8_t seen[KEYS_MAX];
    size_t n;
    size_t n_out_of_order;
    size_t n_resets;
    size_t n_synced;
    size_t n_deletes;
    int64_t last_revision;
    uint64_t bytes;
};

static void on_events(void *u, const struct al_coord_event *events, size_t n)
{
    struct tape *t = u;
    pthread_mutex_lock(&t->mu);
    for (size_t i = 0; i < n; i++) {
        const struct al_coord_event *e = &events[i];
        uint64_t number;
        t->n_resets += e->kind == AL_COORD_EVENT_RESET;
        t->n_synced += e->kind == AL_COORD_EVENT_SYNCED;
        t->n_deletes += e->kind == AL_COORD_EVENT_DELETE;
        if (e->kind != AL_COORD_EVENT_PUT)
            continue;
        AL_ASSERT(al_str_u64(al_str_sub(e->kv.key, 2, 99), &number) && number < KEYS_MAX);
        t->seen[number]++;
        t->n++;
        t->bytes += e->kv.value.n;
        t->n_out_of_order += e->revision < t->last_revision;
        t->last_revision = e->revision;
    }
    pthread_mutex_unlock(&t->mu);
}

struct rig {
    struct al_etcd_cluster *cluster;
    struct al_proxy *proxies[AL_ETCD_MEMBERS_MAX];
    size_t n;
    char urls[256];
    struct al_coord *c;
    struct tape tape;
};

static struct rig *rig_create(size_t n, uint32_t request_timeout_ms)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    size_t at = 0;
    r->n = n;
    r->cluster =
        al_etcd_cluster_create(&(struct al_etcd_cluster_options){.n = n, .args = progress_args});
    for (size_t i = 0; i < n; i++) {
        r->proxies[i] = al_proxy_create(al_etcd_cluster_socket(r->cluster, i), false);
        at += (size_t)snprintf(r->urls + at, sizeof r->urls - at, "%shttp://127.0.0.1:%u",
                               i ? "," : "", al_proxy_port(r->proxies[i]));
    }
    pthread_mutex_init(&r->tape.mu, NULL);
    struct al_coord_etcd_options opt = {.endpoints = r->urls,
                                        .prefix = "/t/",
                                        .request_timeout_ms = request_timeout_ms,
                                        .retry_ms = 700,
                                        .probe_ms = 200};
    struct al_err err;
    AL_CHECK_OK(al_coord_etcd_open(&opt, &r->c, &err), err);
    return r;
}

static void rig_destroy(struct rig *r)
{
    al_coord_close(r->c);
    for (size_t i = 0; i < r->n; i++)
        al_proxy_destroy(r->proxies[i]);
    al_etcd_cluster_destroy(r->cluster);
    pthread_mutex_destroy(&r->tape.mu);
    free(r);
}

static void watch(struct rig *r, int64_t from)
{
    struct al_coord_watcher w = {AL_STR("w/"), from, on_events, &r->tape};
    uint64_t id;
    struct al_err err;
    AL_CHECK_OK(al_coord_watch(r->c, &w, &id, &err), err);
}

static uint64_t soon(void)
{
    return al_clock_deadline(al_clock_system(), PATIENCE_MS);
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static enum al_code run(struct al_coord *c, const struct al_coord_txn *txn, struct al_arena *a,
                        struct al_coord_result *res, struct al_err *err)
{
    al_arena_reset(a);
    return al_coord_txn(c, txn, soon(), a, res, err);
}

/* One key, once, whatever it takes; the number of attempts. was_tried: by a call before this one,
 * whose outcome is unknown. */
static size_t put_tried(struct al_coord *c, size_t number, struct al_str value, bool was_tried)
{
    struct al_arena a;
    struct al_coord_result res;
    struct al_err err;
    char key[32];
    al_arena_init(&a, NULL, 65536);
    snprintf(key, sizeof key, "w/%zu", number);
    struct al_coord_compare is_new = al_coord_if_absent(al_str_c(key));
    struct al_coord_op put = al_coord_put(al_str_c(key), value, 0);
    struct al_coord_txn txn = {&is_new, 1, &put, 1, NULL, 0};
    uint64_t end = soon();
    size_t n = 1;
    while (run(c, &txn, &a, &res, &err) != AL_OK) {
        AL_ASSERT(err.code == AL_UNKNOWN || err.code == AL_UNAVAILABLE);
        AL_ASSERT(!al_clock_has_passed(al_clock_system(), end));
        n++;
    }
    /* A repeat may find what an earlier one did. */
    AL_ASSERT(res.succeeded || n > 1 || was_tried);
    al_arena_fini(&a);
    return n;
}

static size_t put_once(struct al_coord *c, size_t number, struct al_str value)
{
    return put_tried(c, number, value, false);
}

struct writer {
    struct al_coord *c;
    _Atomic bool is_over;
    size_t n; /* written */
    size_t n_repeats;
};

static void *write_on(void *u)
{
    struct writer *w = u;
    while (!atomic_load(&w->is_over) && w->n < KEYS_MAX) {
        w->n_repeats += put_once(w->c, w->n, AL_STR("x")) - 1;
        w->n++;
        nap_ms(1);
    }
    return NULL;
}

/* All written keys were told once each, in order, and the store was never reloaded. */
static void check_all_told(struct rig *r, size_t n)
{
    assert_true(al_coord_etcd_settle(r->c, soon()));
    pthread_mutex_lock(&r->tape.mu);
    assert_int_equal(r->tape.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r->tape.seen[i], 1);
    assert_int_equal(r->tape.n_out_of_order, 0);
    assert_int_equal(r->tape.n_resets, 0);
    pthread_mutex_unlock(&r->tape.mu);
}

static int64_t revision_of(struct al_coord *c)
{
    struct al_arena a;
    struct al_coord_result res;
    struct al_err err;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_txn none = {.n_then = 0};
    AL_CHECK_OK(run(c, &none, &a, &res, &err), err);
    int64_t revision = res.revision;
    al_arena_fini(&a);
    return revision;
}

static bool has_key(struct al_coord *c, const char *key)
{
    struct al_arena a;
    struct al_coord_result res;
    struct al_err err;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op get = al_coord_get(al_str_c(key));
    struct al_coord_txn txn = {.then_ops = &get, .n_then = 1};
    AL_CHECK_OK(run(c, &txn, &a, &res, &err), err);
    bool has = res.answers[0].n_kvs == 1;
    al_arena_fini(&a);
    return has;
}

static void put_leased(struct al_coord *c, const char *key, uint64_t lease)
{
    struct al_arena a;
    struct al_coord_result res;
    struct al_err err;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op put = al_coord_put(al_str_c(key), AL_STR("x"), lease);
    struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
    AL_CHECK_OK(run(c, &txn, &a, &res, &err), err);
    al_arena_fini(&a);
}

/* ---- one member ---- */

/* kill -9 and restart, under a writer: nothing told is missed or doubled, a session outlives it. */
static void test_restart(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 1000);
    struct writer w = {.c = r->c};
    struct al_err err;
    uint64_t lease;
    pthread_t thread;
    watch(r, revision_of(r->c) + 1);
    AL_CHECK_OK(al_coord_lease_grant(r->c, 20, &lease, &err), err);
    put_leased(r->c, "session", lease);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    for (int i = 0; i < 3; i++) {
        nap_ms(200);
        al_etcd_cluster_signal(r->cluster, 0, SIGKILL);
        nap_ms(100);
        al_etcd_cluster_restart(r->cluster, 0);
    }
    nap_ms(200);
    atomic_store(&w.is_over, true);
    pthread_join(thread, NULL);
    assert_true(w.n > 10);
    check_all_told(r, w.n);
    assert_true(has_key(r->c, "session"));
    assert_true(al_coord_lease_deadline(r->c, lease) > 0);
    rig_destroy(r);
}

/* etcd stands still for longer than the lease: the session ends here first, and for good. */
static void test_frozen_store(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 500);
    struct al_err err = {.reason = ""};
    uint64_t lease;
    AL_CHECK_OK(al_coord_lease_grant(r->c, 1, &lease, &err), err);
    put_leased(r->c, "session", lease);
    al_etcd_cluster_signal(r->cluster, 0, SIGSTOP);
    uint64_t end = soon();
    while (al_coord_lease_deadline(r->c, lease) != 0)
        assert_false(al_clock_has_passed(al_clock_system(), end));
    al_etcd_cluster_signal(r->cluster, 0, SIGCONT);
    /* etcd may not have ended it; the handle does. */
    uint64_t deadline = 0;
    while (has_key(r->c, "session") && !al_clock_has_passed(al_clock_system(), end)) {
        deadline |= al_coord_lease_deadline(r->c, lease);
        nap_ms(10);
    }
    assert_false(has_key(r->c, "session"));
    assert_int_equal(deadline, 0);
    struct al_arena a;
    struct al_coord_result res;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op put = al_coord_put(AL_STR("session"), AL_STR("x"), lease);
    struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
    assert_int_equal(run(r->c, &txn, &a, &res, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "LEASE_LOST");
    al_arena_fini(&a);
    rig_destroy(r);
}

/* A put that keeps a lease: of a key that has one, has none, does not exist. */
static void test_keep_lease(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 1000);
    struct al_err err;
    uint64_t lease;
    AL_CHECK_OK(al_coord_lease_grant(r->c, 20, &lease, &err), err);
    put_leased(r->c, "leased", lease);
    put_leased(r->c, "plain", 0);
    static const char *const keys[] = {"leased", "plain", "absent"};
    struct al_arena a;
    struct al_coord_result res;
    al_arena_init(&a, NULL, 65536);
    for (size_t i = 0; i < AL_ARRAY_LEN(keys); i++) {
        struct al_coord_op ops[] = {{.kind = AL_COORD_PUT,
                                     .key = al_str_c(keys[i]),
                                     .value = AL_STR("kept"),
                                     .keep_lease = true},
                                    al_coord_get(al_str_c(keys[i]))};
        struct al_coord_txn txn = {.then_ops = ops, .n_then = 2};
        AL_CHECK_OK(run(r->c, &txn, &a, &res, &err), err);
        assert_int_equal(res.answers[1].n_kvs, 1);
        assert_true(al_str_is(res.answers[1].kvs[0].value, "kept"));
        assert_int_equal(res.answers[1].kvs[0].lease, i == 0 ? lease : 0);
        assert_int_equal(res.answers[1].kvs[0].mod_revision, res.revision);
    }
    al_arena_fini(&a);
    rig_destroy(r);
}

/* Keys of one revision come oldest first, then by key, also where the limit cuts them. */
static void test_order_of_one_revision(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 1000);
    struct al_err err;
    struct al_arena a;
    struct al_coord_result res;
    struct al_coord_op puts[100];
    char keys[100][8];
    al_arena_init(&a, NULL, 1u << 20);
    put_leased(r->c, "o/zz", 0);
    for (size_t i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "o/%02zu", i * 37 % 100);
        puts[i] = al_coord_put(al_str_c(keys[i]), AL_STR("x"), 0);
    }
    struct al_coord_txn txn = {.then_ops = puts, .n_then = 100};
    AL_CHECK_OK(run(r->c, &txn, &a, &res, &err), err);
    struct al_coord_op get = al_coord_get_prefix(AL_STR("o/"), AL_COORD_BY_CREATE, 50);
    txn = (struct al_coord_txn){.then_ops = &get, .n_then = 1};
    AL_CHECK_OK(run(r->c, &txn, &a, &res, &err), err);
    assert_int_equal(res.answers[0].n_kvs, 50);
    assert_true(res.answers[0].more);
    assert_true(al_str_is(res.answers[0].kvs[0].key, "o/zz"));
    for (size_t i = 1; i < 50; i++) {
        char want[8];
        snprintf(want, sizeof want, "o/%02zu", i - 1);
        assert_true(al_str_is(res.answers[0].kvs[i].key, want));
    }
    al_arena_fini(&a);
    rig_destroy(r);
}

/* Changes far larger than one message: etcd sends them in pieces. */
static void test_large_changes(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 5000);
    size_t n = 700000;
    char *value = calloc(1, n);
    assert_non_null(value);
    int64_t from = revision_of(r->c) + 1;
    for (size_t i = 0; i < 12; i++)
        put_once(r->c, i, (struct al_str){value, n});
    watch(r, from);
    check_all_told(r, 12);
    assert_int_equal(r->tape.bytes, 12 * n);
    free(value);
    rig_destroy(r);
}

/* History is gone while a watch is away: all that is there, in several pages, then on. */
static void test_reload(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 2000);
    struct al_err err;
    struct al_coord *away = NULL;
    struct al_coord_etcd_options opt = {.endpoints = r->urls, .prefix = "/t/"};
    size_t n = 0;
    struct al_arena a;
    struct al_coord_result res;
    al_arena_init(&a, NULL, 1u << 20);
    AL_CHECK_OK(al_coord_etcd_open(&opt, &away, &err), err);
    while (n < 2500) {
        struct al_coord_op puts[100];
        char keys[100][16];
        for (size_t i = 0; i < 100; i++) {
            snprintf(keys[i], sizeof keys[i], "w/%zu", n++);
            puts[i] = al_coord_put(al_str_c(keys[i]), AL_STR("x"), 0);
        }
        struct al_coord_txn txn = {.then_ops = puts, .n_then = 100};
        AL_CHECK_OK(run(away, &txn, &a, &res, &err), err);
    }
    AL_CHECK_OK(al_coord_compact(away, res.revision, &err), err);
    watch(r, 2);
    assert_true(al_coord_etcd_settle(r->c, soon()));
    pthread_mutex_lock(&r->tape.mu);
    assert_int_equal(r->tape.n, n);
    assert_int_equal(r->tape.n_resets, 1);
    assert_int_equal(r->tape.n_synced, 1);
    pthread_mutex_unlock(&r->tape.mu);
    put_once(away, n, AL_STR("x"));
    assert_true(al_coord_etcd_settle(r->c, soon()));
    pthread_mutex_lock(&r->tape.mu);
    assert_int_equal(r->tape.n, n + 1);
    assert_int_equal(r->tape.n_resets, 1);
    pthread_mutex_unlock(&r->tape.mu);
    al_arena_fini(&a);
    al_coord_close(away);
    rig_destroy(r);
}

/* etcd that was compacted to C tells no deletion of C to a stream that begins at C. */
static void test_deletion_at_compaction(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 1000);
    struct al_err err;
    struct al_arena a;
    struct al_coord_result res;
    al_arena_init(&a, NULL, 65536);
    put_once(r->c, 1, AL_STR("x"));
    put_once(r->c, 2, AL_STR("x"));
    struct al_coord_op drop = al_coord_delete(AL_STR("w/1"));
    struct al_coord_txn txn = {.then_ops = &drop, .n_then = 1};
    AL_CHECK_OK(run(r->c, &txn, &a, &res, &err), err);
    int64_t deleted = res.revision;
    put_once(r->c, 3, AL_STR("x"));
    /* By this interface: what is of the revision stays. */
    AL_CHECK_OK(al_coord_compact(r->c, deleted, &err), err);
    watch(r, deleted);
    assert_true(al_coord_etcd_settle(r->c, soon()));
    pthread_mutex_lock(&r->tape.mu);
    assert_int_equal(r->tape.n_deletes, 1);
    assert_int_equal(r->tape.n, 1);
    assert_int_equal(r->tape.n_resets, 0);
    pthread_mutex_unlock(&r->tape.mu);
    /* By etcd itself, to just there: the deletion is not passed over in silence. */
    struct al_buf b;
    char body[64];
    al_buf_init(&b, NULL, 0);
    snprintf(body, sizeof body, "{\"revision\":\"%lld\"}", (long long)deleted);
    al_etcd_cluster_post(r->cluster, 0, "/v3/kv/compaction", body, &b);
    al_buf_fini(&b);
    watch(r, deleted);
    assert_true(al_coord_etcd_settle(r->c, soon()));
    pthread_mutex_lock(&r->tape.mu);
    assert_int_equal(r->tape.n_resets, 1);
    pthread_mutex_unlock(&r->tape.mu);
    al_arena_fini(&a);
    rig_destroy(r);
}

/* ---- requests that arrive late, or twice ---- */

static struct al_fence lead(struct al_coord *c, uint64_t *ret_lease)
{
    struct al_err err;
    struct al_arena a;
    struct al_election e;
    al_arena_init(&a, NULL, 65536);
    AL_CHECK_OK(al_coord_lease_grant(c, 20, ret_lease, &err), err);
    struct al_coord_op put = al_coord_put(AL_STR("leader"), AL_STR("me"), *ret_lease);
    AL_CHECK_OK(al_election_try(c, &put, soon(), &a, &e, &err), err);
    assert_true(e.is_won);
    al_arena_fini(&a);
    return e.fence;
}

/* A leader's write is on its way for so long that another leads: the fence refuses it. The same
 * write twice: one effect. */
static void test_late_and_double(void **state)
{
    (void)state;
    struct rig *r = rig_create(1, 200);
    struct al_err err;
    struct al_arena a;
    struct al_coord_result res;
    uint64_t lease;
    al_arena_init(&a, NULL, 65536);
    struct al_fence f = lead(r->c, &lease);
    struct al_coord_compare guard = al_fence_guard(&f);
    struct al_coord_op put = al_coord_put(AL_STR("map"), AL_STR("old leader"), 0);
    struct al_coord_txn txn = {&guard, 1, &put, 1, NULL, 0};
    struct al_proxy_rule late = {
        .fault = AL_PROXY_LATE, .path = "/v3/kv/txn", .n = 1, .late_ms = 1000};
    al_proxy_set_rule(r->proxies[0], &late);
    assert_int_equal(run(r->c, &txn, &a, &res, &err), AL_UNKNOWN);
    AL_CHECK_OK(al_coord_lease_revoke(r->c, lease, &err), err);
    struct al_fence now = lead(r->c, &lease);
    assert_true(now.revision > f.revision);
    int64_t before = revision_of(r->c);
    nap_ms(1300); /* it has arrived by now */
    assert_false(has_key(r->c, "map"));
    assert_int_equal(revision_of(r->c), before);
    struct al_proxy_rule twice = {
        .fault = AL_PROXY_TWICE, .path = "/v3/kv/txn", .only_writes = true, .n = 1};
    guard = al_fence_guard(&now);
    struct al_coord_compare both[] = {guard, al_coord_if_absent(AL_STR("map"))};
    struct al_coord_op get = al_coord_get(AL_STR("map"));
    put.value = AL_STR("nonce-4");
    txn = (struct al_coord_txn){both, 2, &put, 1, &get, 1};
    al_proxy_set_rule(r->proxies[0], &twice);
    AL_CHECK_OK(run(r->c, &txn, &a, &res, &err), err);
    assert_false(res.succeeded); /* the second copy's answer: it finds the first one's value */
    assert_true(al_str_is(res.answers[0].kvs[0].value, "nonce-4"));
    assert_int_equal(res.answers[0].kvs[0].version, 1);
    al_arena_fini(&a);
    rig_destroy(r);
}

/* ---- three members ---- */

/* Members die, freeze and come back under a writer and a watch. */
static void test_member_loss(void **state)
{
    (void)state;
    struct rig *r = rig_create(3, 500);
    struct writer w = {.c = r->c};
    struct al_err err;
    uint64_t lease;
    pthread_t thread;
    watch(r, revision_of(r->c) + 1);
    AL_CHECK_OK(al_coord_lease_grant(r->c, 10, &lease, &err), err);
    put_leased(r->c, "session", lease);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
    for (size_t i = 0; i < 3; i++) { /* each in turn; whoever leads, whichever is in use */
        nap_ms(200);
        al_etcd_cluster_signal(r->cluster, i, SIGKILL);
        nap_ms(500);
        al_etcd_cluster_restart(r->cluster, i);
        nap_ms(200);
        size_t frozen = (i + 1) % 3;
        al_etcd_cluster_signal(r->cluster, frozen, SIGSTOP);
        nap_ms(1200);
        al_etcd_cluster_signal(r->cluster, frozen, SIGCONT);
    }
    nap_ms(300);
    atomic_store(&w.is_over, true);
    pthread_join(thread, NULL);
    assert_true(w.n > 10);
    check_all_told(r, w.n);
    assert_true(has_key(r->c, "session"));
    assert_true(al_coord_lease_deadline(r->c, lease) > 0);
    rig_destroy(r);
}

/* A watch alone, on a member that freezes: nothing tells of it but the probe. */
static void test_watch_on_frozen_member(void **state)
{
    (void)state;
    struct rig *r = rig_create(3, 500);
    struct al_err err;
    struct al_coord *writer = NULL;
    watch(r, revision_of(r->c) + 1);
    assert_true(al_coord_etcd_settle(r->c, soon()));
    struct al_coord_etcd_options opt = {.prefix = "/t/"};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", al_proxy_port(r->proxies[1]));
    opt.endpoints = url;
    AL_CHECK_OK(al_coord_etcd_open(&opt, &writer, &err), err);
    al_etcd_cluster_signal(r->cluster, 0, SIGSTOP); /* the first endpoint is the one in use */
    put_once(writer, 0, AL_STR("x"));
    uint64_t end = soon();
    size_t n = 0;
    while (n == 0) { /* nobody calls r->c meanwhile */
        assert_false(al_clock_has_passed(al_clock_system(), end));
        nap_ms(10);
        pthread_mutex_lock(&r->tape.mu);
        n = r->tape.n;
        pthread_mutex_unlock(&r->tape.mu);
    }
    al_etcd_cluster_signal(r->cluster, 0, SIGCONT);
    check_all_told(r, 1);
    al_coord_close(writer);
    rig_destroy(r);
}

/* Two of three are gone: nothing is said to be done that is not, and all goes on afterwards. */
static void test_quorum_loss(void **state)
{
    (void)state;
    struct rig *r = rig_create(3, 500);
    struct al_err err = {.reason = ""};
    struct al_arena a;
    struct al_coord_result res;
    al_arena_init(&a, NULL, 65536);
    watch(r, revision_of(r->c) + 1);
    put_once(r->c, 0, AL_STR("x"));
    al_etcd_cluster_signal(r->cluster, 1, SIGKILL);
    al_etcd_cluster_signal(r->cluster, 2, SIGKILL);
    struct al_coord_compare is_new = al_coord_if_absent(AL_STR("w/1"));
    struct al_coord_op put = al_coord_put(AL_STR("w/1"), AL_STR("x"), 0);
    struct al_coord_op get = al_coord_get(AL_STR("w/0"));
    struct al_coord_txn write = {&is_new, 1, &put, 1, NULL, 0};
    struct al_coord_txn read = {.then_ops = &get, .n_then = 1};
    struct al_coord_txn bare = {.compares = &is_new, .n_compares = 1};
    for (int i = 0; i < 3; i++) {
        enum al_code c = run(r->c, &write, &a, &res, &err);
        assert_true(c == AL_UNKNOWN || c == AL_UNAVAILABLE);
        assert_int_equal(run(r->c, &read, &a, &res, &err), AL_UNAVAILABLE);
        /* of compares alone: etcd by itself would answer from what one member has */
        assert_int_equal(run(r->c, &bare, &a, &res, &err), AL_UNAVAILABLE);
    }
    al_etcd_cluster_restart(r->cluster, 1);
    put_tried(r->c, 1, AL_STR("x"), true); /* one of those may have been applied by now */
    al_etcd_cluster_restart(r->cluster, 2);
    put_once(r->c, 2, AL_STR("x"));
    check_all_told(r, 3);
    al_arena_fini(&a);
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_frozen_store),
        cmocka_unit_test(test_keep_lease),
        cmocka_unit_test(test_order_of_one_revision),
        cmocka_unit_test(test_large_changes),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_deletion_at_compaction),
        cmocka_unit_test(test_late_and_double),
        cmocka_unit_test(test_member_loss),
        cmocka_unit_test(test_watch_on_frozen_member),
        cmocka_unit_test(test_quorum_loss),
    };
    if (al_etcd_is_missing()) {
        printf("0 passed, 0 failed, %zu skipped\n", AL_ARRAY_LEN(tests));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
