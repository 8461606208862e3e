#include <pthread.h>

#include "conformance.h"

static struct al_fence win(struct al_conformance *t, struct al_coord *c, uint64_t *ret_lease)
{
    struct al_err err;
    AL_CHECK_OK(al_coord_lease_grant(c, 3, ret_lease, &err), err);
    struct al_coord_op put = al_coord_put(AL_STR("leader"), AL_STR("me"), *ret_lease);
    struct al_election e;
    AL_CHECK_OK(al_election_try(c, &put, al_conformance_deadline(t), &t->arena, &e, &err), err);
    assert_true(e.is_won);
    return e.fence;
}

static enum al_code guarded_put(struct al_conformance *t, struct al_coord *c,
                                const struct al_fence *f, const char *value)
{
    struct al_coord_compare guard = al_fence_guard(f);
    struct al_coord_op put = al_coord_put(AL_STR("map"), al_str_c(value), 0);
    struct al_coord_txn txn = {.compares = &guard, .n_compares = 1, .then_ops = &put, .n_then = 1};
    struct al_err err;
    enum al_code code = al_conformance_txn(t, c, &txn, &err);
    return code == AL_OK && !t->res.succeeded ? AL_ABORTED : code;
}

/* ---- election ---- */

static void test_stale_leader_is_refused(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease_a;
    struct al_fence a = win(&t, t.a, &lease_a);
    assert_int_equal(guarded_put(&t, t.a, &a, "by a"), AL_OK);
    uint64_t lease_b;
    struct al_err err;
    AL_CHECK_OK(al_coord_lease_grant(t.b, 3, &lease_b, &err), err);
    struct al_coord_op put = al_coord_put(AL_STR("leader"), AL_STR("b"), lease_b);
    struct al_election e;
    AL_CHECK_OK(al_election_try(t.b, &put, al_conformance_deadline(&t), &t.arena, &e, &err), err);
    assert_false(e.is_won);
    assert_true(al_str_is(e.holder.value, "me"));
    t.world->cut_off(t.world, t.a, true);
    for (int i = 0; i < 10; i++)
        t.world->step_ms(t.world, 500);
    AL_CHECK_OK(al_election_try(t.b, &put, al_conformance_deadline(&t), &t.arena, &e, &err), err);
    assert_true(e.is_won);
    assert_true(e.fence.revision > a.revision);
    t.world->cut_off(t.world, t.a, false); /* it still believes in itself, and is refused */
    assert_int_equal(guarded_put(&t, t.a, &a, "by a again"), AL_ABORTED);
    assert_int_equal(guarded_put(&t, t.b, &e.fence, "by b"), AL_OK);
    assert_true(al_str_is(al_conformance_get(&t, t.b, "map")->value, "by b"));
    AL_CHECK_OK(al_election_resign(t.a, &a, al_conformance_deadline(&t), &err), err); /* not b's */
    assert_int_equal(guarded_put(&t, t.b, &e.fence, "by b"), AL_OK);
    AL_CHECK_OK(al_election_resign(t.b, &e.fence, al_conformance_deadline(&t), &err), err);
    assert_int_equal(guarded_put(&t, t.b, &e.fence, "by b"), AL_ABORTED);
    al_conformance_fini(&t);
}

static void test_election_knows_itself(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    for (int f = AL_WORLD_UNKNOWN_APPLIED; t.world->fail_next && f <= AL_WORLD_UNKNOWN_LOST; f++) {
        t.world->fail_next(t.world, t.a, (enum al_coord_world_fault)f);
        uint64_t lease;
        struct al_fence fence = win(&t, t.a, &lease);
        assert_int_equal(guarded_put(&t, t.a, &fence, "x"), AL_OK);
        struct al_err err;
        t.world->fail_next(t.world, t.a, (enum al_coord_world_fault)f);
        AL_CHECK_OK(al_election_resign(t.a, &fence, al_conformance_deadline(&t), &err), err);
        assert_null(al_conformance_get(&t, t.b, "leader"));
    }
    al_conformance_fini(&t);
}

struct candidate {
    struct al_conformance *t;
    struct al_coord_op put;
    struct al_fence fence;
    enum al_code code;
};

static void *campaign(void *u)
{
    struct candidate *c = u;
    struct al_err err;
    c->code = al_election_campaign(c->t->b, c->t->world->clock, &c->put,
                                   al_conformance_deadline(c->t), &c->fence, &err);
    return NULL;
}

static void test_campaign_waits(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease_a;
    uint64_t lease_b;
    struct al_fence a = win(&t, t.a, &lease_a);
    struct al_err err;
    AL_CHECK_OK(al_coord_lease_grant(t.b, 3, &lease_b, &err), err);
    struct candidate c = {.t = &t, .put = al_coord_put(AL_STR("leader"), AL_STR("b"), lease_b)};
    assert_int_equal(al_election_campaign(t.b, t.world->clock, &c.put,
                                          al_clock_mono_ns(t.world->clock), &c.fence, &err),
                     AL_DEADLINE_EXCEEDED);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, campaign, &c), 0);
    AL_CHECK_OK(al_election_resign(t.a, &a, al_conformance_deadline(&t), &err), err);
    pthread_join(thread, NULL);
    assert_int_equal(c.code, AL_OK);
    assert_true(c.fence.revision > a.revision);
    assert_int_equal(guarded_put(&t, t.b, &c.fence, "by b"), AL_OK);
    al_conformance_fini(&t);
}

/* ---- queue ---- */

#define CLASS 2u

static struct al_queue queue_on(struct al_conformance *t, struct al_coord *c)
{
    return (struct al_queue){.coord = c,
                             .clock = t->world->clock,
                             .random = al_random_system(),
                             .timeout_ms = 60000,
                             .prefix = "jobs"};
}

static void add(const struct al_queue *q, uint32_t job_class, const char *id)
{
    struct al_err err;
    char value[64];
    snprintf(value, sizeof value, "value of %s", id);
    AL_CHECK_OK(al_queue_add(q, job_class, al_str_c(id), al_str_c(value), &err), err);
}

static struct al_queue_item claim(struct al_conformance *t, const struct al_queue *q,
                                  const struct al_fence *f, const char *id)
{
    struct al_queue_item item;
    struct al_err err;
    char value[64];
    snprintf(value, sizeof value, "value of %s", id);
    AL_CHECK_OK(al_queue_claim(q, f, CLASS, &t->arena, &item, &err), err);
    assert_string_equal(item.id, id);
    assert_true(al_str_is(item.value, value));
    return item;
}

static void claim_nothing(struct al_conformance *t, const struct al_queue *q,
                          const struct al_fence *f, enum al_code want, const char *reason)
{
    struct al_queue_item item;
    struct al_err err = {.reason = ""};
    assert_int_equal(al_queue_claim(q, f, CLASS, &t->arena, &item, &err), want);
    assert_string_equal(err.reason, reason);
}

static void test_queue_order(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease;
    struct al_fence f = win(&t, t.a, &lease);
    struct al_queue q = queue_on(&t, t.a);
    struct al_queue other = queue_on(&t, t.b);
    struct al_err err;
    add(&q, CLASS, "zebra"); /* the order of adding counts, not that of names */
    add(&other, CLASS, "ant");
    add(&q, CLASS + 1, "elsewhere");
    add(&q, CLASS, "zebra"); /* a repeat */
    add(&other, CLASS, "mole");
    add(&other, CLASS, "never");
    AL_CHECK_OK(al_queue_remove(&q, CLASS, AL_STR("never"), &err), err);
    assert_int_equal(al_queue_remove(&q, CLASS, AL_STR("never"), &err), AL_NOT_FOUND);
    struct al_queue_item first = claim(&t, &q, &f, "zebra");
    assert_false(first.was_abandoned);
    assert_int_equal(al_queue_remove(&q, CLASS, AL_STR("zebra"), &err), AL_NOT_FOUND);
    struct al_queue_item second = claim(&t, &q, &f, "ant");
    AL_CHECK_OK(al_queue_done(&q, &f, &second, AL_STR("fine"), &err), err);
    AL_CHECK_OK(al_queue_done(&q, &f, &second, AL_STR("fine"), &err), err); /* a repeat */
    add(&q, CLASS, "ant"); /* ended, not forgotten: still a repeat */
    AL_CHECK_OK(al_queue_set_paused(&q, CLASS, true, &err), err);
    claim_nothing(&t, &q, &f, AL_NOT_FOUND, "QUEUE_EMPTY");
    AL_CHECK_OK(al_queue_set_paused(&q, CLASS, false, &err), err);
    claim(&t, &q, &f, "mole");
    claim_nothing(&t, &q, &f, AL_NOT_FOUND, "QUEUE_EMPTY");
    struct al_str outcome;
    AL_CHECK_OK(al_queue_get_outcome(&other, CLASS, AL_STR("ant"), &t.arena, &outcome, &err), err);
    assert_true(al_str_is(outcome, "fine"));
    AL_CHECK_OK(al_queue_forget(&q, CLASS, AL_STR("ant"), &err), err);
    AL_CHECK_OK(al_queue_forget(&q, CLASS, AL_STR("ant"), &err), err);
    assert_int_equal(al_queue_get_outcome(&q, CLASS, AL_STR("ant"), &t.arena, &outcome, &err),
                     AL_NOT_FOUND);
    assert_int_equal(al_queue_add(&q, CLASS, AL_STR("a/b"), AL_STR(""), &err), AL_INVALID_ARGUMENT);
    al_conformance_fini(&t);
}

/* A leader dies with an entry under way: the next one gets it first, and the former one can end
 * nothing. */
static void test_queue_takeover(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease;
    struct al_fence old = win(&t, t.a, &lease);
    struct al_queue qa = queue_on(&t, t.a);
    struct al_queue qb = queue_on(&t, t.b);
    struct al_err err = {.reason = ""};
    add(&qa, CLASS, "first");
    add(&qa, CLASS, "second");
    struct al_queue_item stale = claim(&t, &qa, &old, "first");
    AL_CHECK_OK(al_coord_lease_revoke(t.a, lease, &err), err);
    struct al_fence now = win(&t, t.b, &lease);
    claim_nothing(&t, &qa, &old, AL_ABORTED, "FENCED");
    assert_int_equal(al_queue_done(&qa, &old, &stale, AL_STR("mine"), &err), AL_ABORTED);
    assert_string_equal(err.reason, "FENCED");
    struct al_queue_item item = claim(&t, &qb, &now, "first");
    assert_true(item.was_abandoned);
    assert_int_equal(al_queue_done(&qa, &now, &stale, AL_STR("mine"), &err), AL_ABORTED);
    assert_string_equal(err.reason, "CLAIM_LOST"); /* even with the right fence */
    AL_CHECK_OK(al_queue_done(&qb, &now, &item, AL_STR("ours"), &err), err);
    struct al_str outcome;
    AL_CHECK_OK(al_queue_get_outcome(&qb, CLASS, AL_STR("first"), &t.arena, &outcome, &err), err);
    assert_true(al_str_is(outcome, "ours"));
    claim(&t, &qb, &now, "second");
    al_conformance_fini(&t);
}

/* A session is lost and won again by the same process: it may keep its claim. */
static void test_queue_reclaim(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease;
    struct al_fence old = win(&t, t.a, &lease);
    struct al_queue q = queue_on(&t, t.a);
    struct al_err err = {.reason = ""};
    add(&q, CLASS, "one");
    struct al_queue_item item = claim(&t, &q, &old, "one");
    struct al_queue_item copy = item;
    AL_CHECK_OK(al_coord_lease_revoke(t.a, lease, &err), err);
    struct al_fence now = win(&t, t.a, &lease);
    assert_int_equal(al_queue_reclaim(&q, &old, &item, &err), AL_ABORTED);
    assert_string_equal(err.reason, "FENCED");
    AL_CHECK_OK(al_queue_reclaim(&q, &now, &item, &err), err);
    assert_int_equal(al_queue_reclaim(&q, &now, &copy, &err), AL_ABORTED);
    assert_string_equal(err.reason, "CLAIM_LOST");
    claim_nothing(&t, &q, &now, AL_NOT_FOUND, "QUEUE_EMPTY"); /* not taken for abandoned */
    AL_CHECK_OK(al_queue_done(&q, &now, &item, AL_STR("x"), &err), err);
    al_conformance_fini(&t);
}

/* Every write of the queue with its first answer lost: done once, and said to be done. */
static void test_queue_unknown_outcomes(void **state)
{
    (void)state;
    struct al_conformance t;
    al_conformance_init(&t);
    uint64_t lease;
    struct al_fence f = win(&t, t.a, &lease);
    struct al_queue q = queue_on(&t, t.a);
    for (int k = AL_WORLD_UNKNOWN_APPLIED; t.world->fail_next && k <= AL_WORLD_UNKNOWN_LOST; k++) {
        enum al_coord_world_fault fault = (enum al_coord_world_fault)k;
        struct al_err err;
        t.world->fail_next(t.world, t.a, fault);
        add(&q, CLASS, "one");
        t.world->fail_next(t.world, t.a, fault);
        add(&q, CLASS, "two");
        t.world->fail_next(t.world, t.a, fault);
        struct al_queue_item item = claim(&t, &q, &f, "one");
        assert_int_equal(al_conformance_get(&t, t.b, "jobs/running/2/one")->mod_revision,
                         item.claim_revision);
        t.world->fail_next(t.world, t.a, fault);
        AL_CHECK_OK(al_queue_reclaim(&q, &f, &item, &err), err);
        t.world->fail_next(t.world, t.a, fault);
        AL_CHECK_OK(al_queue_done(&q, &f, &item, AL_STR("x"), &err), err);
        assert_int_equal(al_conformance_get(&t, t.b, "jobs/done/2/one")->version, 1);
        t.world->fail_next(t.world, t.a, fault);
        AL_CHECK_OK(al_queue_remove(&q, CLASS, AL_STR("two"), &err), err);
        t.world->fail_next(t.world, t.a, fault);
        AL_CHECK_OK(al_queue_forget(&q, CLASS, AL_STR("one"), &err), err);
        claim_nothing(&t, &q, &f, AL_NOT_FOUND, "QUEUE_EMPTY");
    }
    al_conformance_fini(&t);
}

const struct CMUnitTest al_conformance_role_tests[] = {
    cmocka_unit_test(test_stale_leader_is_refused), cmocka_unit_test(test_election_knows_itself),
    cmocka_unit_test(test_campaign_waits),          cmocka_unit_test(test_queue_order),
    cmocka_unit_test(test_queue_takeover),          cmocka_unit_test(test_queue_reclaim),
    cmocka_unit_test(test_queue_unknown_outcomes),
};
const size_t al_conformance_n_role_tests = AL_ARRAY_LEN(al_conformance_role_tests);
