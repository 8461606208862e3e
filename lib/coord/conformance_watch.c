#include <pthread.h>

#include "conformance.h"

#define EVENTS_MAX 4096

/* What a watch was told. */
struct tape {
    pthread_mutex_t mu;
    struct {
        enum al_coord_event_kind kind;
        char key[32];
        char value[32];
        int64_t revision;
        size_t call; /* events of one call share it */
    } events[EVENTS_MAX];
    size_t n;
    size_t n_calls;
    struct al_coord *replies_on; /* write from within the watch function */
    struct al_clock *clock;
};

static void copy(char *out, size_t cap, struct al_str s)
{
    snprintf(out, cap, AL_STR_FMT, AL_STR_ARG(s));
}

static void on_events(void *u, const struct al_coord_event *events, size_t n)
{
    struct tape *t = u;
    pthread_mutex_lock(&t->mu);
    for (size_t i = 0; i < n && t->n < EVENTS_MAX; i++) {
        t->events[t->n].kind = events[i].kind;
        t->events[t->n].revision = events[i].revision;
        t->events[t->n].call = t->n_calls;
        copy(t->events[t->n].key, sizeof t->events[0].key, events[i].kv.key);
        copy(t->events[t->n].value, sizeof t->events[0].value, events[i].kv.value);
        t->n++;
    }
    t->n_calls++;
    struct al_coord *c = t->replies_on;
    pthread_mutex_unlock(&t->mu);
    if (!c)
        return;
    struct al_arena a;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op put = al_coord_put(AL_STR("reply"), events[0].kv.key, 0);
    struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
    struct al_coord_result res;
    struct al_err err;
    AL_CHECK_OK(al_coord_txn(c, &txn, al_clock_deadline(t->clock, 60000), &a, &res, &err), err);
    al_arena_fini(&a);
}

static uint64_t watch(struct tape *tape, struct al_coord *c, const char *prefix, int64_t from)
{
    *tape = (struct tape){.n = 0};
    pthread_mutex_init(&tape->mu, NULL);
    struct al_coord_watcher w = {al_str_c(prefix), from, on_events, tape};
    uint64_t id = 0;
    struct al_err err;
    AL_CHECK_OK(al_coord_watch(c, &w, &id, &err), err);
    assert_true(id > 0);
    return id;
}

static void check_event(struct tape *t, size_t at, enum al_coord_event_kind kind, const char *key,
                        int64_t revision)
{
    pthread_mutex_lock(&t->mu);
    assert_true(at < t->n);
    assert_int_equal(t->events[at].kind, kind);
    assert_string_equal(t->events[at].key, key);
    assert_int_equal(t->events[at].revision, revision);
    pthread_mutex_unlock(&t->mu);
}

static size_t count(struct tape *t)
{
    pthread_mutex_lock(&t->mu);
    size_t n = t->n;
    pthread_mutex_unlock(&t->mu);
    return n;
}

/* Read at revision R, watch from R + 1: each change once, in order, one call a revision, of the
 * prefix only. */
static void test_no_gap(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct tape *tape = test_malloc(sizeof *tape);
    al_conformance_put(&t, t.a, "w/0", "before", 0);
    int64_t r = (al_conformance_get(&t, t.a, "w/0"), t.res.revision);
    int64_t first = al_conformance_put(&t, t.b, "w/1", "x", 0); /* between reading and watching */
    al_conformance_put(&t, t.b, "other", "x", 0);
    uint64_t id = watch(tape, t.a, "w/", r + 1);
    struct al_coord_op both[] = {al_coord_put(AL_STR("w/2"), AL_STR("x"), 0),
                                 al_coord_delete(AL_STR("w/1")),
                                 al_coord_put(AL_STR("other"), AL_STR("y"), 0)};
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(&t, t.b, &(struct al_coord_txn){.then_ops = both, .n_then = 3}, &err),
        err);
    int64_t second = t.res.revision;
    t.world->settle(t.world, t.a);
    assert_int_equal(count(tape), 3);
    check_event(tape, 0, AL_COORD_EVENT_PUT, "w/1", first);
    check_event(tape, 1, AL_COORD_EVENT_PUT, "w/2", second);
    check_event(tape, 2, AL_COORD_EVENT_DELETE, "w/1", second);
    assert_int_not_equal(tape->events[0].call, tape->events[1].call);
    assert_int_equal(tape->events[1].call, tape->events[2].call);
    al_coord_unwatch(t.a, id);
    al_conformance_put(&t, t.b, "w/3", "x", 0);
    t.world->settle(t.world, t.a);
    assert_int_equal(count(tape), 3);
    al_coord_unwatch(t.a, id); /* nothing */
    test_free(tape);
    al_conformance_fini(&t);
}

struct writer {
    struct al_conformance *t;
    struct al_coord *c;
    char name;
};

#define WRITES 200

static void *write_many(void *u)
{
    struct writer *w = u;
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    for (int i = 0; i < WRITES; i++) {
        char key[32];
        snprintf(key, sizeof key, "m/%c%03d", w->name, i);
        struct al_coord_op put = al_coord_put(al_str_c(key), AL_STR("x"), 0);
        struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
        struct al_coord_result res;
        enum al_code c = al_coord_txn(w->c, &txn, al_conformance_deadline(w->t), &a, &res, NULL);
        AL_ASSERT(c == AL_OK);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return NULL;
}

/* Two clients write at once, two watch, one of them is away for a while: both hear all, each
 * revision once, in order. */
static void test_many_writers(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct al_coord *away = t.world->open(t.world);
    struct tape *tapes = test_malloc(2 * sizeof *tapes);
    int64_t from = al_conformance_put(&t, t.a, "start", "x", 0) + 1;
    watch(&tapes[0], t.a, "m/", from);
    watch(&tapes[1], away, "m/", from);
    struct writer w[2] = {{&t, t.a, 'a'}, {&t, t.b, 'b'}};
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, write_many, &w[0]), 0);
    t.world->cut_off(t.world, away, true);
    assert_int_equal(pthread_create(&threads[1], NULL, write_many, &w[1]), 0);
    t.world->cut_off(t.world, away, false);
    pthread_join(threads[0], NULL);
    t.world->cut_off(t.world, away, true);
    pthread_join(threads[1], NULL);
    t.world->cut_off(t.world, away, false);
    t.world->settle(t.world, t.a);
    t.world->settle(t.world, away);
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(count(&tapes[k]), 2 * WRITES);
        for (size_t i = 0; i < 2 * WRITES; i++)
            assert_int_equal(tapes[k].events[i].revision, from + (int64_t)i);
    }
    al_coord_close(away);
    test_free(tapes);
    al_conformance_fini(&t);
}

static void test_future_and_lease_events(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct tape *tape = test_malloc(sizeof *tape);
    uint64_t lease = 0;
    struct al_err err;
    AL_CHECK_OK(al_coord_lease_grant(t.a, 3, &lease, &err), err);
    int64_t r = al_conformance_put(&t, t.a, "live/a", "x", lease);
    watch(tape, t.b, "live/", r + 2); /* not the next one */
    al_conformance_put(&t, t.a, "live/b", "x", lease);
    t.world->settle(t.world, t.b);
    assert_int_equal(count(tape), 0);
    t.world->cut_off(t.world, t.a, true);
    for (int i = 0; i < 10; i++)
        t.world->step_ms(t.world, 500);
    t.world->settle(t.world, t.b);
    assert_int_equal(count(tape), 2); /* nobody asked: the watch tells by itself */
    check_event(tape, 0, AL_COORD_EVENT_DELETE, tape->events[0].key, r + 2);
    check_event(tape, 1, AL_COORD_EVENT_DELETE, tape->events[1].key, r + 2);
    test_free(tape);
    al_conformance_fini(&t);
}

static void test_compaction(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct tape *tapes = test_malloc(3 * sizeof *tapes);
    int64_t first = al_conformance_put(&t, t.a, "c/old", "x", 0);
    watch(&tapes[0], t.a, "c/", first); /* up to date when history goes */
    al_conformance_put(&t, t.a, "c/kept", "1", 0);
    al_conformance_delete(&t, t.a, "c/old");
    int64_t last = al_conformance_put(&t, t.a, "c/kept", "2", 0);
    t.world->settle(t.world, t.a);
    assert_int_equal(count(&tapes[0]), 4);
    struct al_err err;
    AL_CHECK_OK(al_coord_compact(t.b, last, &err), err);
    assert_int_equal(al_coord_compact(t.b, last, &err), AL_OUT_OF_RANGE);
    assert_int_equal(al_coord_compact(t.b, last + 1000, &err), AL_OUT_OF_RANGE);
    watch(&tapes[1], t.b, "c/", first); /* from before: a snapshot */
    watch(&tapes[2], t.b, "c/", last);  /* from what is still there */
    t.world->settle(t.world, t.b);
    assert_int_equal(count(&tapes[1]), 3);
    check_event(&tapes[1], 0, AL_COORD_EVENT_RESET, "", last);
    check_event(&tapes[1], 1, AL_COORD_EVENT_PUT, "c/kept", last);
    check_event(&tapes[1], 2, AL_COORD_EVENT_SYNCED, "", last);
    assert_string_equal(tapes[1].events[1].value, "2");
    assert_int_equal(count(&tapes[2]), 1);
    check_event(&tapes[2], 0, AL_COORD_EVENT_PUT, "c/kept", last);
    int64_t after = al_conformance_put(&t, t.a, "c/new", "x", 0); /* and on without a gap */
    t.world->settle(t.world, t.a);
    t.world->settle(t.world, t.b);
    check_event(&tapes[0], 4, AL_COORD_EVENT_PUT, "c/new", after);
    check_event(&tapes[1], 3, AL_COORD_EVENT_PUT, "c/new", after);
    check_event(&tapes[2], 1, AL_COORD_EVENT_PUT, "c/new", after);
    assert_int_equal(count(&tapes[0]), 5); /* was not reset */
    test_free(tapes);
    al_conformance_fini(&t);
}

/* A watch function may use the handle: no lock is held around it. */
static void test_write_from_watch(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct tape *tape = test_malloc(sizeof *tape);
    int64_t r = al_conformance_put(&t, t.a, "start", "x", 0);
    uint64_t id = watch(tape, t.a, "call/", r + 1);
    pthread_mutex_lock(&tape->mu);
    tape->replies_on = t.a;
    tape->clock = t.world->clock;
    pthread_mutex_unlock(&tape->mu);
    al_conformance_put(&t, t.b, "call/7", "x", 0);
    t.world->settle(t.world, t.a);
    const struct al_coord_kv *kv = al_conformance_get(&t, t.b, "reply");
    assert_non_null(kv);
    assert_true(al_str_is(kv->value, "call/7"));
    al_coord_unwatch(t.a, id);
    test_free(tape);
    al_conformance_fini(&t);
}

const struct CMUnitTest al_conformance_watch_tests[] = {
    cmocka_unit_test(test_no_gap),
    cmocka_unit_test(test_many_writers),
    cmocka_unit_test(test_future_and_lease_events),
    cmocka_unit_test(test_compaction),
    cmocka_unit_test(test_write_from_watch),
};
const size_t al_conformance_n_watch_tests = AL_ARRAY_LEN(al_conformance_watch_tests);
