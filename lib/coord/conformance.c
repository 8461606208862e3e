#include "conformance.h"

#include <stdlib.h>

const struct al_coord_factory *al_conformance_factory;

void al_conformance_init(struct al_conformance *t)
{
    *t = (struct al_conformance){.world = al_conformance_factory->create()};
    t->a = t->world->open(t->world);
    t->b = t->world->open(t->world);
    al_arena_init(&t->arena, NULL, AL_CONFORMANCE_ARENA);
}

void al_conformance_fini(struct al_conformance *t)
{
    al_coord_close(t->b);
    al_coord_close(t->a);
    t->world->destroy(t->world);
    al_arena_fini(&t->arena);
}

uint64_t al_conformance_deadline(struct al_conformance *t)
{
    return al_clock_deadline(t->world->clock, 60000);
}

enum al_code al_conformance_txn(struct al_conformance *t, struct al_coord *c,
                                const struct al_coord_txn *txn, struct al_err *err)
{
    return al_coord_txn(c, txn, al_conformance_deadline(t), &t->arena, &t->res, err);
}

int64_t al_conformance_put(struct al_conformance *t, struct al_coord *c, const char *key,
                           const char *value, uint64_t lease)
{
    struct al_coord_op op = al_coord_put(al_str_c(key), al_str_c(value), lease);
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(t, c, &(struct al_coord_txn){.then_ops = &op, .n_then = 1}, &err), err);
    assert_true(t->res.succeeded);
    return t->res.revision;
}

int64_t al_conformance_delete(struct al_conformance *t, struct al_coord *c, const char *key)
{
    struct al_coord_op op = al_coord_delete(al_str_c(key));
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(t, c, &(struct al_coord_txn){.then_ops = &op, .n_then = 1}, &err), err);
    return t->res.revision;
}

const struct al_coord_kv *al_conformance_get(struct al_conformance *t, struct al_coord *c,
                                             const char *key)
{
    struct al_coord_op op = al_coord_get(al_str_c(key));
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(t, c, &(struct al_coord_txn){.then_ops = &op, .n_then = 1}, &err), err);
    assert_int_equal(t->res.n_answers, 1);
    return t->res.answers[0].n_kvs ? &t->res.answers[0].kvs[0] : NULL;
}

/* ---- keys, revisions, transactions ---- */

static void test_revisions(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    assert_null(al_conformance_get(&t, t.a, "k"));
    int64_t r0 = t.res.revision;
    int64_t r1 = al_conformance_put(&t, t.a, "k", "v1", 0);
    assert_int_equal(r1, r0 + 1);
    int64_t r2 = al_conformance_put(&t, t.b, "k", "v2", 0);
    assert_int_equal(r2, r1 + 1);
    const struct al_coord_kv *kv = al_conformance_get(&t, t.a, "k");
    assert_non_null(kv);
    assert_int_equal(t.res.revision, r2); /* reading changes nothing */
    assert_int_equal(kv->create_revision, r1);
    assert_int_equal(kv->mod_revision, r2);
    assert_int_equal(kv->version, 2);
    assert_int_equal(kv->lease, 0);
    assert_true(al_str_is(kv->value, "v2"));
    int64_t r3 = al_conformance_delete(&t, t.a, "k");
    assert_int_equal(r3, r2 + 1);
    assert_null(al_conformance_get(&t, t.b, "k"));
    assert_int_equal(al_conformance_delete(&t, t.a, "k"), r3); /* nothing to delete: no change */
    int64_t r4 = al_conformance_put(&t, t.a, "k", "", 0);
    kv = al_conformance_get(&t, t.a, "k");
    assert_int_equal(kv->create_revision, r4); /* a new life */
    assert_int_equal(kv->version, 1);
    assert_int_equal(kv->value.n, 0);
    al_conformance_fini(&t);
}

static bool compare_holds(struct al_conformance *t, struct al_coord_compare x)
{
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(t, t->a, &(struct al_coord_txn){.compares = &x, .n_compares = 1}, &err),
        err);
    return t->res.succeeded;
}

/* Each target and relation against less than, equal to, more than what is stored: both ways. */
static void test_compares(void **state)
{
    (void)state;
    static const struct {
        enum al_coord_relation relation;
        bool holds[3]; /* given: stored - 1, stored, stored + 1 */
    } cases[] = {
        {AL_COORD_EQUAL, {false, true, false}},
        {AL_COORD_NOT_EQUAL, {true, false, true}},
        {AL_COORD_LESS, {false, false, true}},
        {AL_COORD_GREATER, {true, false, false}},
    };
    static const char *const values[] = {"a", "b", "c"};
    struct al_conformance t;
    al_conformance_init(&t);
    int64_t create = al_conformance_put(&t, t.a, "k", "x", 0);
    al_conformance_put(&t, t.a, "other", "x", 0);
    int64_t mod = al_conformance_put(&t, t.a, "k", "b", 0);
    const int64_t stored[] = {create, mod, 2};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        for (int d = -1; d <= 1; d++) {
            for (int target = AL_COORD_CREATE; target <= AL_COORD_VERSION; target++) {
                struct al_coord_compare x = {.target = (enum al_coord_target)target,
                                             .relation = cases[i].relation,
                                             .key = AL_STR("k"),
                                             .number = stored[target - 1] + d};
                assert_int_equal(compare_holds(&t, x), cases[i].holds[d + 1]);
            }
            struct al_coord_compare v = {.target = AL_COORD_VALUE,
                                         .relation = cases[i].relation,
                                         .key = AL_STR("k"),
                                         .value = al_str_c(values[d + 1])};
            assert_int_equal(compare_holds(&t, v), cases[i].holds[d + 1]);
            v.key = AL_STR("absent");
            assert_false(compare_holds(&t, v));
        }
    }
    assert_true(compare_holds(&t, al_coord_if_absent(AL_STR("absent"))));
    assert_false(compare_holds(&t, al_coord_if_absent(AL_STR("k"))));
    assert_false(compare_holds(&t, al_coord_if_mod(AL_STR("absent"), AL_COORD_GREATER, 0)));
    al_conformance_fini(&t);
}

static void test_branches(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct al_coord_compare x[] = {al_coord_if_absent(AL_STR("a")),
                                   al_coord_if_absent(AL_STR("b"))};
    struct al_coord_op then_ops[] = {al_coord_put(AL_STR("a"), AL_STR("1"), 0),
                                     al_coord_put(AL_STR("b"), AL_STR("1"), 0),
                                     al_coord_get_prefix(AL_STR("a"), AL_COORD_BY_KEY, 0)};
    struct al_coord_op else_ops[] = {al_coord_put(AL_STR("lost"), AL_STR("1"), 0)};
    struct al_coord_txn txn = {x, 2, then_ops, 3, else_ops, 1};
    struct al_err err;
    al_conformance_put(&t, t.a, "b", "0", 0);
    AL_CHECK_OK(al_conformance_txn(&t, t.a, &txn, &err), err); /* one of two holds: not enough */
    assert_false(t.res.succeeded);
    assert_null(al_conformance_get(&t, t.a, "a"));
    assert_non_null(al_conformance_get(&t, t.a, "lost"));
    int64_t before = al_conformance_delete(&t, t.a, "b");
    AL_CHECK_OK(al_conformance_txn(&t, t.a, &txn, &err), err);
    assert_true(t.res.succeeded);
    assert_int_equal(t.res.revision, before + 1); /* one revision for all of it */
    assert_int_equal(t.res.n_answers, 3);
    assert_int_equal(t.res.answers[2].n_kvs, 1); /* a get sees what came before it */
    assert_int_equal(t.res.answers[2].kvs[0].mod_revision, t.res.revision);
    assert_int_equal(al_conformance_get(&t, t.b, "b")->create_revision, before + 1);
    al_conformance_fini(&t);
}

static void test_prefix(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    static const char *const keys[] = {"p/3", "p/1", "p/2", "q", "p", "p0"};
    for (size_t i = 0; i < AL_ARRAY_LEN(keys); i++)
        al_conformance_put(&t, t.a, keys[i], keys[i], 0);
    al_conformance_put(&t, t.a, "p/3", "again", 0); /* changes no create_revision */
    struct al_coord_op gets[] = {al_coord_get_prefix(AL_STR("p/"), AL_COORD_BY_KEY, 0),
                                 al_coord_get_prefix(AL_STR("p/"), AL_COORD_BY_CREATE, 0),
                                 al_coord_get_prefix(AL_STR("p/"), AL_COORD_BY_CREATE, 2),
                                 al_coord_get_prefix(AL_STR("none"), AL_COORD_BY_KEY, 1)};
    static const char *const want[][3] = {
        {"p/1", "p/2", "p/3"}, {"p/3", "p/1", "p/2"}, {"p/3", "p/1", ""}};
    struct al_err err;
    struct al_coord_txn txn = {.then_ops = gets, .n_then = 4};
    AL_CHECK_OK(al_conformance_txn(&t, t.b, &txn, &err), err);
    for (size_t i = 0; i < 3; i++) {
        const struct al_coord_answer *ans = &t.res.answers[i];
        assert_int_equal(ans->n_kvs, i == 2 ? 2 : 3);
        assert_int_equal(ans->more, i == 2);
        for (size_t k = 0; k < ans->n_kvs; k++)
            assert_true(al_str_is(ans->kvs[k].key, want[i][k]));
    }
    assert_int_equal(t.res.answers[3].n_kvs, 0);
    struct al_coord_op drop = {.kind = AL_COORD_DELETE_PREFIX, .key = AL_STR("p/")};
    AL_CHECK_OK(
        al_conformance_txn(&t, t.a, &(struct al_coord_txn){.then_ops = &drop, .n_then = 1}, &err),
        err);
    assert_int_equal(t.res.answers[0].n_deleted, 3);
    assert_null(al_conformance_get(&t, t.a, "p/1"));
    assert_non_null(al_conformance_get(&t, t.a, "p"));
    assert_non_null(al_conformance_get(&t, t.a, "p0"));
    al_conformance_fini(&t);
}

static void refuse(struct al_conformance *t, const struct al_coord_txn *txn, const char *reason)
{
    struct al_err err = {.reason = ""};
    int64_t before = (al_conformance_get(t, t->a, "none"), t->res.revision);
    AL_CHECK(reason, al_conformance_txn(t, t->a, txn, &err) == AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, reason);
    assert_null(al_conformance_get(t, t->a, "k")); /* nothing of it was done */
    assert_int_equal(t->res.revision, before);
}

static void test_limits(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct al_coord_limits limits;
    al_coord_get_limits(t.a, &limits);
    assert_true(limits.ops_max >= 16 && limits.ops_max <= 4096);
    struct al_coord_op twice[] = {al_coord_put(AL_STR("k"), AL_STR("1"), 0),
                                  al_coord_put(AL_STR("k"), AL_STR("2"), 0)};
    refuse(&t, &(struct al_coord_txn){.then_ops = twice, .n_then = 2}, "DUPLICATE_KEY");
    struct al_coord_op both[] = {al_coord_put(AL_STR("k"), AL_STR("1"), 0),
                                 {.kind = AL_COORD_DELETE_PREFIX, .key = AL_STR("k")}};
    refuse(&t, &(struct al_coord_txn){.then_ops = both, .n_then = 2}, "DUPLICATE_KEY");
    struct al_coord_op no_key = al_coord_put(AL_STR(""), AL_STR("1"), 0);
    refuse(&t, &(struct al_coord_txn){.then_ops = &no_key, .n_then = 1}, "BAD_TXN");
    struct al_coord_op *many = calloc(limits.ops_max + 1, sizeof *many);
    char(*keys)[16] = calloc(limits.ops_max + 1, sizeof *keys);
    assert_true(many && keys);
    for (size_t i = 0; i <= limits.ops_max; i++) {
        snprintf(keys[i], sizeof keys[i], i ? "k%zu" : "k", i);
        many[i] = al_coord_put(al_str_c(keys[i]), AL_STR("1"), 0);
    }
    struct al_coord_txn txn = {.then_ops = many, .n_then = limits.ops_max + 1};
    refuse(&t, &txn, "TXN_TOO_LARGE");
    char *big = calloc(1, limits.request_bytes_max + 1);
    assert_non_null(big);
    struct al_coord_op large =
        al_coord_put(AL_STR("k"), (struct al_str){big, limits.request_bytes_max}, 0);
    refuse(&t, &(struct al_coord_txn){.then_ops = &large, .n_then = 1}, "TXN_TOO_LARGE");
    struct al_err err;
    txn.n_then = limits.ops_max;
    AL_CHECK_OK(al_conformance_txn(&t, t.a, &txn, &err), err);
    assert_int_equal(al_conformance_get(&t, t.a, "k")->create_revision, t.res.revision);
    free(big);
    free(keys);
    free(many);
    al_conformance_fini(&t);
}

/* ---- leases ---- */

static uint64_t grant(struct al_coord *c, uint32_t ttl_s)
{
    struct al_err err;
    uint64_t lease = 0;
    AL_CHECK_OK(al_coord_lease_grant(c, ttl_s, &lease, &err), err);
    assert_true(lease > 0);
    return lease;
}

static void test_lease_is_kept_alive(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease = grant(t.a, 3);
    al_conformance_put(&t, t.a, "k", "v", lease);
    assert_int_equal(al_conformance_get(&t, t.b, "k")->lease, lease);
    for (int i = 0; i < 8; i++) {
        t.world->step_ms(t.world, 500);
        uint64_t now = al_clock_mono_ns(t.world->clock);
        uint64_t until = al_coord_lease_deadline(t.a, lease);
        assert_true(until > now && until <= now + 3000000000ull);
    }
    assert_non_null(al_conformance_get(&t, t.b, "k"));
    struct al_err err;
    AL_CHECK_OK(al_coord_lease_revoke(t.a, lease, &err), err);
    assert_null(al_conformance_get(&t, t.b, "k"));
    assert_int_equal(al_coord_lease_deadline(t.a, lease), 0);
    assert_int_equal(al_coord_lease_revoke(t.a, lease, &err), AL_NOT_FOUND);
    struct al_coord_op put = al_coord_put(AL_STR("k"), AL_STR("v"), lease);
    struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
    assert_int_equal(al_conformance_txn(&t, t.a, &txn, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "LEASE_LOST");
    al_conformance_fini(&t);
}

static void test_lease_ends_with_its_client(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease = grant(t.a, 3);
    al_conformance_put(&t, t.a, "gone", "v", lease);
    al_conformance_put(&t, t.a, "gone2", "v", lease);
    al_conformance_put(&t, t.a, "stays", "v", lease);
    al_conformance_put(&t, t.a, "stays", "w", 0); /* detached */
    struct al_coord_op keep = {
        .kind = AL_COORD_PUT, .key = AL_STR("gone2"), .value = AL_STR("w"), .keep_lease = true};
    struct al_err err;
    AL_CHECK_OK(
        al_conformance_txn(&t, t.a, &(struct al_coord_txn){.then_ops = &keep, .n_then = 1}, &err),
        err);
    int64_t before = t.res.revision;
    t.world->cut_off(t.world, t.a, true);
    for (int i = 0; i < 10; i++)
        t.world->step_ms(t.world, 500);
    assert_null(al_conformance_get(&t, t.b, "gone"));
    assert_int_equal(t.res.revision, before + 1); /* all keys of a lease: one change */
    assert_null(al_conformance_get(&t, t.b, "gone2"));
    assert_non_null(al_conformance_get(&t, t.b, "stays"));
    assert_true(al_coord_lease_deadline(t.a, lease) <= al_clock_mono_ns(t.world->clock));
    struct al_coord_op get = al_coord_get(AL_STR("stays"));
    assert_int_equal(
        al_conformance_txn(&t, t.a, &(struct al_coord_txn){.then_ops = &get, .n_then = 1}, &err),
        AL_UNAVAILABLE);
    t.world->cut_off(t.world, t.a, false);
    t.world->step_ms(t.world, 500);
    assert_int_equal(al_coord_lease_deadline(t.a, lease), 0); /* lost is lost */
    assert_null(al_conformance_get(&t, t.a, "gone"));
    al_conformance_fini(&t);
}

/* ---- outcomes ---- */

static void test_deadline(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    struct al_coord_op put = al_coord_put(AL_STR("k"), AL_STR("v"), 0);
    struct al_coord_txn txn = {.then_ops = &put, .n_then = 1};
    struct al_err err;
    assert_int_equal(
        al_coord_txn(t.a, &txn, al_clock_mono_ns(t.world->clock), &t.arena, &t.res, &err),
        AL_DEADLINE_EXCEEDED);
    assert_null(al_conformance_get(&t, t.a, "k"));
    al_conformance_fini(&t);
}

/* A write with a nonce, repeated after an unknown outcome: once there, whichever it was. */
static void test_unknown_outcomes(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    for (int f = AL_WORLD_UNKNOWN_APPLIED; t.world->fail_next && f <= AL_WORLD_UNKNOWN_LOST; f++) {
        struct al_coord_compare is_new = al_coord_if_absent(AL_STR("id"));
        struct al_coord_op put = al_coord_put(AL_STR("id"), AL_STR("nonce-17"), 0);
        struct al_coord_op get = al_coord_get(AL_STR("id"));
        struct al_coord_txn txn = {&is_new, 1, &put, 1, &get, 1};
        struct al_err err = {.reason = ""};
        t.world->fail_next(t.world, t.a, (enum al_coord_world_fault)f);
        assert_int_equal(al_conformance_txn(&t, t.a, &txn, &err), AL_UNKNOWN);
        assert_string_equal(err.reason, "OUTCOME_UNKNOWN");
        AL_CHECK_OK(al_conformance_txn(&t, t.a, &txn, &err), err);
        assert_int_equal(t.res.succeeded, f == AL_WORLD_UNKNOWN_LOST);
        if (!t.res.succeeded)
            assert_true(al_str_is(t.res.answers[0].kvs[0].value, "nonce-17"));
        assert_int_equal(al_conformance_get(&t, t.b, "id")->version, 1);
        al_conformance_delete(&t, t.a, "id");
    }
    al_conformance_fini(&t);
}

const struct CMUnitTest al_conformance_txn_tests[] = {
    cmocka_unit_test(test_revisions),
    cmocka_unit_test(test_compares),
    cmocka_unit_test(test_branches),
    cmocka_unit_test(test_prefix),
    cmocka_unit_test(test_limits),
    cmocka_unit_test(test_lease_is_kept_alive),
    cmocka_unit_test(test_lease_ends_with_its_client),
    cmocka_unit_test(test_deadline),
    cmocka_unit_test(test_unknown_outcomes),
};
const size_t al_conformance_n_txn_tests = AL_ARRAY_LEN(al_conformance_txn_tests);

static int run_group(const char *name, const struct CMUnitTest *tests, size_t n)
{
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

int al_coord_conformance_run(const struct al_coord_factory *f)
{
    al_conformance_factory = f;
    return run_group(f->name, al_conformance_txn_tests, al_conformance_n_txn_tests) +
           run_group(f->name, al_conformance_watch_tests, al_conformance_n_watch_tests) +
           run_group(f->name, al_conformance_role_tests, al_conformance_n_role_tests);
}
