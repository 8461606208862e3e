#include "airlore/testing.h"

#include <stdio.h>
#include <string.h>

#include "airlore/clock.h"
#include "ratelimit.h"

struct fix {
    struct al_fake_clock clock;
    struct al_ratelimit *r;
};

static void open_limit(struct fix *f, double per_second, uint64_t bytes_a_day)
{
    struct al_err err = {0};
    struct al_quota q = {.calls_per_second = per_second, .ingest_bytes_per_day = bytes_a_day};
    q.set = (per_second > 0 ? AL_QUOTA_CALLS_PER_SECOND : 0u) |
            (bytes_a_day ? AL_QUOTA_INGEST_BYTES : 0u);
    al_fake_clock_init(&f->clock, 1000);
    struct al_ratelimit_options o = {.defaults = q, .clock = &f->clock.clock};
    AL_CHECK_OK(al_ratelimit_create(&o, &f->r, &err), err);
}

/* A credential of a key of a deployment of a team. */
static struct al_credential caller(const char *key, const char *deployment, const char *team)
{
    struct al_credential c = {.n_scopes = 3};
    snprintf(c.scopes[0].name, sizeof c.scopes[0].name, "teams/%s/keys/%s", team, key);
    snprintf(c.scopes[1].name, sizeof c.scopes[1].name, "teams/%s/deployments/%s", team,
             deployment);
    snprintf(c.scopes[2].name, sizeof c.scopes[2].name, "teams/%s", team);
    return c;
}

static void limit_calls(struct al_credential *c, size_t scope, double per_second)
{
    c->scopes[scope].quota.set |= AL_QUOTA_CALLS_PER_SECOND;
    c->scopes[scope].quota.calls_per_second = per_second;
}

static size_t pass(struct fix *f, const struct al_credential *c, size_t tries)
{
    size_t n = 0;
    for (size_t i = 0; i < tries; i++) {
        struct al_err err = {0};
        enum al_code code = al_ratelimit_enter(f->r, c, &err);
        n += code == AL_OK;
        if (code == AL_OK)
            al_ratelimit_leave(f->r, c);
        else
            assert_string_equal(err.reason, "RATE_LIMITED");
    }
    return n;
}

static void test_a_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct fix f;
    struct al_credential c = caller("k", "d", "t");
    open_limit(&f, 10, 0);
    assert_int_equal(pass(&f, &c, 100), 60); /* the default: six seconds' worth */
    al_fake_clock_step_ms(&f.clock, 1000);
    assert_int_equal(pass(&f, &c, 100), 10);
    al_fake_clock_step_ms(&f.clock, 3600000);
    assert_int_equal(pass(&f, &c, 100), 60); /* no more saved up than one burst */
    al_ratelimit_destroy(f.r);
}

static void test_a_quota_allows_bursts_of_twice_its_rate(void **state)
{
    (void)state;
    struct fix f;
    open_limit(&f, 0, 0);
    for (size_t scope = 0; scope < 3; scope++) {
        char team[8];
        snprintf(team, sizeof team, "t%zu", scope);
        struct al_credential c = caller("k", "d", team);
        limit_calls(&c, scope, 5);
        assert_int_equal(pass(&f, &c, 100), 10);
        al_fake_clock_step_ms(&f.clock, 1000);
        assert_int_equal(pass(&f, &c, 100), 5);
    }
    struct al_credential slow = caller("slow", "d", "u");
    limit_calls(&slow, 0, 1.0 / 60);
    assert_int_equal(pass(&f, &slow, 10), 1);
    al_fake_clock_step_ms(&f.clock, 61000);
    assert_int_equal(pass(&f, &slow, 10), 1);
    struct al_credential none = caller("none", "d", "u");
    limit_calls(&none, 0, 0);
    assert_int_equal(pass(&f, &none, 10), 0);
    al_ratelimit_destroy(f.r);
}

static void test_keys_of_a_team_share_its_rate(void **state)
{
    (void)state;
    struct fix f;
    open_limit(&f, 0, 0);
    struct al_credential a = caller("a", "d", "t");
    struct al_credential b = caller("b", "e", "t");
    struct al_credential other = caller("c", "d", "u");
    limit_calls(&a, 2, 5);
    limit_calls(&b, 2, 5);
    assert_int_equal(pass(&f, &a, 6), 6);
    assert_int_equal(pass(&f, &b, 100), 4);
    assert_int_equal(pass(&f, &other, 100), 100);
    /* what the team refused did not count for the deployment and the key */
    struct al_rate_use u;
    al_ratelimit_use(f.r, "teams/t/keys/b", &u);
    assert_true(u.calls_per_second > 3.9 / 60 && u.calls_per_second < 4.1 / 60);
    al_ratelimit_destroy(f.r);
}

static void test_keys_do_not_share_and_have_their_own_rate(void **state)
{
    (void)state;
    struct fix f;
    struct al_credential own = caller("own", "d", "t");
    limit_calls(&own, 0, 100);
    open_limit(&f, 1, 0);
    assert_int_equal(pass(&f, &own, 1000), 200);
    for (int i = 0; i < 50; i++) {
        char name[8];
        snprintf(name, sizeof name, "k%d", (i * 37) % 50);
        struct al_credential c = caller(name, "d", "t");
        assert_int_equal(pass(&f, &c, 20), 10);
    }
    al_ratelimit_destroy(f.r);
}

static void test_no_limit_is_none(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_credential c = caller("k", "d", "t");
    open_limit(&f, 0, 0);
    assert_int_equal(pass(&f, &c, 5000), 5000);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, UINT64_MAX, &err), err);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, UINT64_MAX, &err), err);
    al_ratelimit_destroy(f.r);
    al_ratelimit_destroy(NULL);
}

static void test_calls_at_the_same_time(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_rate_use u;
    open_limit(&f, 0, 0);
    struct al_credential a = caller("a", "d", "t");
    struct al_credential b = caller("b", "d", "t");
    a.scopes[1].quota = b.scopes[1].quota =
        (struct al_quota){.set = AL_QUOTA_CONCURRENT_CALLS, .max_concurrent_calls = 2};
    AL_CHECK_OK(al_ratelimit_enter(f.r, &a, &err), err);
    AL_CHECK_OK(al_ratelimit_enter(f.r, &b, &err), err);
    assert_int_equal(al_ratelimit_enter(f.r, &a, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUOTA_EXCEEDED");
    al_ratelimit_use(f.r, "teams/t/deployments/d", &u);
    assert_int_equal(u.concurrent_calls, 2);
    al_ratelimit_leave(f.r, &b);
    AL_CHECK_OK(al_ratelimit_enter(f.r, &a, &err), err);
    al_ratelimit_leave(f.r, &a);
    al_ratelimit_leave(f.r, &a);
    al_ratelimit_use(f.r, "teams/t", &u);
    assert_int_equal(u.concurrent_calls, 0);
    al_ratelimit_destroy(f.r);
}

static void test_bytes_are_counted_by_the_day(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_credential c = caller("k", "d", "t");
    open_limit(&f, 0, 1000);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, 600, &err), err);
    assert_int_equal(al_ratelimit_bytes(f.r, &c, 401, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUOTA_EXCEEDED");
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, 400, &err), err); /* what was refused did not count */
    assert_int_equal(al_ratelimit_bytes(f.r, &c, UINT64_MAX, &err), AL_RESOURCE_EXHAUSTED);
    struct al_credential d = caller("other", "d", "t"); /* the default is each key's own */
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &d, 1000, &err), err);
    d.scopes[2].quota =
        (struct al_quota){.set = AL_QUOTA_INGEST_BYTES, .ingest_bytes_per_day = 2001};
    struct al_credential e = caller("third", "d", "t");
    e.scopes[2].quota = d.scopes[2].quota;
    assert_int_equal(al_ratelimit_bytes(f.r, &e, 2, &err), AL_RESOURCE_EXHAUSTED); /* of the team */
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &e, 1, &err), err);
    struct al_rate_use u;
    al_ratelimit_use(f.r, "teams/t", &u);
    assert_int_equal(u.ingest_bytes_today, 2001);
    al_fake_clock_step_ms(&f.clock, 24ull * 3600 * 1000);
    al_ratelimit_use(f.r, "teams/t", &u);
    assert_int_equal(u.ingest_bytes_today, 0);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, 1000, &err), err);
    al_ratelimit_destroy(f.r);
}

static void test_a_refusal_says_when_to_come_again(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_credential c = caller("k", "d", "t");
    open_limit(&f, 1, 1000);
    assert_int_equal(pass(&f, &c, 10), 10);
    assert_int_equal(al_ratelimit_enter(f.r, &c, &err), AL_RESOURCE_EXHAUSTED);
    assert_in_range(err.retry_after_ms, 1, 1001);
    al_fake_clock_step_ms(&f.clock, err.retry_after_ms);
    AL_CHECK_OK(al_ratelimit_enter(f.r, &c, &err), err); /* it was the truth */
    al_ratelimit_leave(f.r, &c);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, 600, &err), err);
    assert_int_equal(al_ratelimit_bytes(f.r, &c, 600, &err), AL_RESOURCE_EXHAUSTED);
    assert_in_range(err.retry_after_ms, 1, 24 * 3600 * 1000);
    al_fake_clock_step_ms(&f.clock, err.retry_after_ms);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &c, 600, &err), err);
    /* waiting does not help one that is larger than the quota of a day */
    assert_int_equal(al_ratelimit_bytes(f.r, &c, 1001, &err), AL_RESOURCE_EXHAUSTED);
    assert_int_equal(err.retry_after_ms, 0);
    al_ratelimit_destroy(f.r);
}

static void test_items_wait_for_their_turn(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    open_limit(&f, 0, 0);
    struct al_credential c = caller("k", "d", "t");
    AL_CHECK_OK(al_ratelimit_enter(f.r, &c, &err), err);
    assert_int_equal(al_ratelimit_item(f.r, &c), 0);
    c.scopes[2].quota = (struct al_quota){.set = AL_QUOTA_ITEMS_PER_SECOND, .items_per_second = 4};
    assert_int_equal(al_ratelimit_item(f.r, &c), 250);
    assert_int_equal(al_ratelimit_item(f.r, &c), 500); /* two streams of a team share */
    al_fake_clock_step_ms(&f.clock, 10000);
    assert_int_equal(al_ratelimit_item(f.r, &c), 250);
    c.scopes[2].quota.items_per_second = 0; /* none: as slow as it gets */
    assert_true(al_ratelimit_item(f.r, &c) >= 60000);
    struct al_rate_use u;
    al_ratelimit_use(f.r, "teams/t", &u);
    assert_true(u.items_per_second > 4.9 / 60 && u.items_per_second < 5.1 / 60);
    al_fake_clock_step_ms(&f.clock, 120000);
    al_ratelimit_use(f.r, "teams/t", &u);
    assert_true(u.items_per_second == 0);
    al_ratelimit_use(f.r, "teams/nobody", &u);
    assert_true(u.calls_per_second == 0);
    al_ratelimit_leave(f.r, &c);
    al_ratelimit_destroy(f.r);
}

static void test_no_memory_refuses_and_nothing_else(void **state)
{
    (void)state;
    for (size_t at = 0;; at++) {
        struct al_fault_mem m;
        struct al_err err = {0};
        struct al_fake_clock clock;
        struct al_ratelimit *r = NULL;
        struct al_credential c = caller("k", "d", "t");
        al_fault_mem_init(&m, at, false);
        al_fake_clock_init(&clock, 1000);
        struct al_ratelimit_options o = {.clock = &clock.clock, .mem = &m.mem};
        enum al_code code = al_ratelimit_create(&o, &r, &err);
        if (code == AL_OK)
            code = al_ratelimit_enter(r, &c, &err);
        if (code == AL_OK)
            al_ratelimit_leave(r, &c);
        else
            assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
        al_ratelimit_destroy(r);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_the_rate),
        cmocka_unit_test(test_a_quota_allows_bursts_of_twice_its_rate),
        cmocka_unit_test(test_keys_of_a_team_share_its_rate),
        cmocka_unit_test(test_keys_do_not_share_and_have_their_own_rate),
        cmocka_unit_test(test_no_limit_is_none),
        cmocka_unit_test(test_calls_at_the_same_time),
        cmocka_unit_test(test_bytes_are_counted_by_the_day),
        cmocka_unit_test(test_a_refusal_says_when_to_come_again),
        cmocka_unit_test(test_items_wait_for_their_turn),
        cmocka_unit_test(test_no_memory_refuses_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
