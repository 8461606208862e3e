#include "airlore/coord_mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conformance.h"

/* A clock that moves by hand and may be read by any thread. */
struct hand_clock {
    struct al_clock clock;
    _Atomic uint64_t now_ns;
};

static uint64_t hand_mono_ns(struct al_clock *c)
{
    return atomic_load(&((struct hand_clock *)(void *)c)->now_ns);
}

static uint64_t hand_wall_ms(struct al_clock *c)
{
    return 1700000000000ull + hand_mono_ns(c) / 1000000ull;
}

struct mem_world {
    struct al_coord_world world;
    struct hand_clock clock;
    struct al_coord *root; /* holds the store, never cut off */
};

static struct mem_world *of(struct al_coord_world *w)
{
    return (struct mem_world *)(void *)w;
}

static struct al_coord *world_open(struct al_coord_world *w)
{
    struct al_coord *c = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_join(of(w)->root, &c, &err), err);
    return c;
}

static void world_step_ms(struct al_coord_world *w, uint64_t ms)
{
    atomic_fetch_add(&of(w)->clock.now_ns, ms * 1000000ull);
    al_coord_mem_settle(of(w)->root);
}

static void world_settle(struct al_coord_world *w, struct al_coord *c)
{
    (void)w;
    al_coord_mem_settle(c);
}

static void world_cut_off(struct al_coord_world *w, struct al_coord *c, bool cut_off)
{
    (void)w;
    al_coord_mem_set_cut_off(c, cut_off);
}

static void world_fail_next(struct al_coord_world *w, struct al_coord *c,
                            enum al_coord_world_fault f)
{
    (void)w;
    al_coord_mem_fail_txn(c, 0,
                          f == AL_WORLD_UNKNOWN_APPLIED ? AL_COORD_MEM_UNKNOWN_APPLIED
                                                        : AL_COORD_MEM_UNKNOWN_LOST);
}

static void world_destroy(struct al_coord_world *w)
{
    al_coord_close(of(w)->root);
    free(w);
}

static struct al_coord_world *world_create(void)
{
    struct mem_world *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->clock.clock = (struct al_clock){hand_mono_ns, hand_wall_ms};
    atomic_store(&m->clock.now_ns, 1000000000ull);
    m->world = (struct al_coord_world){.clock = &m->clock.clock,
                                       .open = world_open,
                                       .step_ms = world_step_ms,
                                       .settle = world_settle,
                                       .cut_off = world_cut_off,
                                       .fail_next = world_fail_next,
                                       .destroy = world_destroy};
    struct al_err err;
    AL_CHECK_OK(
        al_coord_mem_open(&(struct al_coord_mem_options){.clock = &m->clock.clock}, &m->root, &err),
        err);
    return &m->world;
}

/* ---- what only this back end has ---- */

static enum al_code put(struct al_coord *c, const char *key, const char *value, uint64_t lease,
                        struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    struct al_coord_op op = al_coord_put(al_str_c(key), al_str_c(value), lease);
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    enum al_code code = al_coord_txn(c, &txn, AL_DEADLINE_NONE, &a, &res, err);
    al_arena_fini(&a);
    return code;
}

static void ignore_events(void *u, const struct al_coord_event *events, size_t n)
{
    (void)events;
    atomic_fetch_add((_Atomic size_t *)u, n);
}

static enum al_code use_everything(struct al_coord *c, struct al_err *err)
{
    uint64_t lease;
    uint64_t watch;
    static _Atomic size_t n_events;
    struct al_coord_watcher w = {AL_STR(""), 1, ignore_events, &n_events};
    AL_TRY(al_coord_lease_grant(c, 10, &lease, err));
    AL_TRY(al_coord_watch(c, &w, &watch, err));
    AL_TRY(put(c, "a", "1", lease, err));
    AL_TRY(put(c, "b", "2", 0, err));
    AL_TRY(put(c, "a", "3", lease, err));
    struct al_coord *other = NULL;
    AL_TRY(al_coord_mem_join(c, &other, err));
    enum al_code code = put(other, "c", "4", 0, err);
    al_coord_close(other);
    AL_TRY(code);
    return al_coord_lease_revoke(c, lease, err);
}

/* Each allocation fails in turn: the right code, no leak, the store still usable. */
static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_coord *c = NULL;
        struct al_err err = {.code = AL_OK};
        enum al_code code =
            al_coord_mem_open(&(struct al_coord_mem_options){.mem = &fm.mem}, &c, &err);
        assert_true((code == AL_OK) == (c != NULL));
        if (code == AL_OK) {
            code = use_everything(c, &err);
            struct al_err later; /* the fault happens once */
            AL_ASSERT(put(c, "later", "x", 0, &later) == AL_OK ||
                      put(c, "later", "x", 0, &later) == AL_OK);
        }
        al_coord_close(c); /* joins: what it counted can be read */
        bool fired = fm.fired;
        assert_true(code == AL_OK || code == AL_RESOURCE_EXHAUSTED);
        assert_int_equal(fm.live, 0);
        if (!fired)
            break;
        assert_true(n < 1000);
    }
}

/* A transaction that runs out of the caller's memory has changed nothing. */
static void test_small_arena(void **state)
{
    (void)state;
    struct al_coord *c = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_open(NULL, &c, &err), err);
    AL_CHECK_OK(put(c, "k", "a value that is not small at all, it fills the arena", 0, &err), err);
    struct al_arena a;
    al_arena_init(&a, NULL, 256);
    struct al_coord_op ops[] = {al_coord_put(AL_STR("new"), AL_STR("1"), 0),
                                al_coord_get_prefix(AL_STR("k"), AL_COORD_BY_KEY, 0)};
    struct al_coord_txn txn = {.then_ops = ops, .n_then = 2};
    struct al_coord_result res;
    assert_int_equal(al_coord_txn(c, &txn, AL_DEADLINE_NONE, &a, &res, &err),
                     AL_RESOURCE_EXHAUSTED);
    al_arena_fini(&a);
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op get = al_coord_get(AL_STR("new"));
    txn = (struct al_coord_txn){.then_ops = &get, .n_then = 1};
    AL_CHECK_OK(al_coord_txn(c, &txn, AL_DEADLINE_NONE, &a, &res, &err), err);
    assert_int_equal(res.answers[0].n_kvs, 0);
    al_arena_fini(&a);
    al_coord_close(c);
}

static void test_store_is_bounded(void **state)
{
    (void)state;
    struct al_coord *c = NULL;
    struct al_err err;
    struct al_coord_mem_options opt = {
        .store_bytes_max = 64, .history_events_max = 10, .first_revision = 1};
    AL_CHECK_OK(al_coord_mem_open(&opt, &c, &err), err);
    char big[80];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    for (int i = 0; i < 100; i++) /* the same key again: no growth, but of history */
        AL_CHECK_OK(put(c, "k", i % 2 ? "1" : "2", 0, &err), err);
    assert_int_equal(put(c, "l", big, 0, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "NO_SPACE");
    _Atomic size_t n_events = 0;
    struct al_coord_watcher w = {AL_STR("k"), 2, ignore_events, &n_events};
    uint64_t id;
    AL_CHECK_OK(al_coord_watch(c, &w, &id, &err), err);
    al_coord_mem_settle(c);
    assert_int_equal(atomic_load(&n_events), 3); /* RESET, the key, SYNCED: not 100 changes */
    al_coord_close(c);
}

/* Fences of an earlier process are never met again; UNAVAILABLE is not applied; a lease can be
 * ended by hand. */
static void test_restart_and_faults(void **state)
{
    (void)state;
    struct hand_clock clock = {.clock = {hand_mono_ns, hand_wall_ms}};
    int64_t last = 0;
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&clock.now_ns, 2000000ull);
        struct al_coord *c = NULL;
        struct al_err err;
        AL_CHECK_OK(
            al_coord_mem_open(&(struct al_coord_mem_options){.clock = &clock.clock}, &c, &err),
            err);
        uint64_t lease;
        AL_CHECK_OK(al_coord_lease_grant(c, 10, &lease, &err), err);
        AL_CHECK_OK(put(c, "k", "1", lease, &err), err);
        al_coord_mem_fail_txn(c, 1, AL_COORD_MEM_UNAVAILABLE);
        AL_CHECK_OK(put(c, "l", "1", 0, &err), err);
        assert_int_equal(put(c, "m", "1", 0, &err), AL_UNAVAILABLE);
        AL_CHECK_OK(put(c, "n", "1", 0, &err), err);
        al_coord_mem_expire(c, lease);
        assert_int_equal(al_coord_lease_deadline(c, lease), 0);
        struct al_arena a;
        al_arena_init(&a, NULL, 65536);
        struct al_coord_op gets[] = {al_coord_get(AL_STR("k")), al_coord_get(AL_STR("m"))};
        struct al_coord_txn txn = {.then_ops = gets, .n_then = 2};
        struct al_coord_result res;
        AL_CHECK_OK(al_coord_txn(c, &txn, AL_DEADLINE_NONE, &a, &res, &err), err);
        assert_int_equal(res.answers[0].n_kvs + res.answers[1].n_kvs, 0);
        assert_true(res.revision > last + 1000);
        last = res.revision;
        al_arena_fini(&a);
        al_coord_close(c);
    }
}

/* A lease that has run out is over for the next transaction, also when no thread has woken since.
 */
static void test_expiry_is_seen_at_once(void **state)
{
    (void)state;
    struct hand_clock clock = {.clock = {hand_mono_ns, hand_wall_ms}};
    atomic_store(&clock.now_ns, 1000000000ull);
    struct al_coord *a = NULL;
    struct al_coord *b = NULL;
    struct al_err err;
    AL_CHECK_OK(al_coord_mem_open(&(struct al_coord_mem_options){.clock = &clock.clock}, &a, &err),
                err);
    AL_CHECK_OK(al_coord_mem_join(a, &b, &err), err);
    uint64_t lease;
    AL_CHECK_OK(al_coord_lease_grant(a, 60, &lease, &err), err);
    AL_CHECK_OK(put(a, "k", "1", lease, &err), err);
    al_coord_mem_settle(b); /* all asleep for 20 s */
    al_coord_mem_set_cut_off(a, true);
    al_coord_mem_settle(b);
    atomic_fetch_add(&clock.now_ns, 61000000000ull);
    assert_int_equal(put(b, "l", "1", lease, &err), AL_FAILED_PRECONDITION);
    al_coord_close(b);
    al_coord_close(a);
}

int main(void)
{
    static const struct al_coord_factory factory = {"mem", world_create};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_faults),          cmocka_unit_test(test_small_arena),
        cmocka_unit_test(test_store_is_bounded),       cmocka_unit_test(test_restart_and_faults),
        cmocka_unit_test(test_expiry_is_seen_at_once),
    };
    return al_coord_conformance_run(&factory) + cmocka_run_group_tests(tests, NULL, NULL);
}
