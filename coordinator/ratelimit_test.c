#include "airlore/testing.h"

#include <stdio.h>
#include <string.h>

#include "airlore/clock.h"
#include "ratelimit.h"

struct fix {
    struct al_fake_clock clock;
    struct al_ratelimit *r;
};

static void open_limit(struct fix *f, uint32_t per_minute, uint64_t bytes_a_day)
{
    struct al_err err = {0};
    struct al_quota q = {.requests_per_minute = per_minute, .ingest_bytes_per_day = bytes_a_day};
    al_fake_clock_init(&f->clock, 1000);
    AL_CHECK_OK(al_ratelimit_create(&q, &f->clock.clock, NULL, &f->r, &err), err);
}

static size_t pass(struct fix *f, const struct al_key *k, size_t tries)
{
    size_t n = 0;
    for (size_t i = 0; i < tries; i++) {
        struct al_err err = {0};
        enum al_code c = al_ratelimit_request(f->r, k, &err);
        n += c == AL_OK;
        if (c != AL_OK)
            assert_string_equal(err.reason, "RATE_LIMITED");
    }
    return n;
}

static void test_a_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct fix f;
    struct al_key k = {.id = "abc"};
    open_limit(&f, 600, 0);
    assert_int_equal(pass(&f, &k, 100), 60); /* a tenth of a minute's amount */
    al_fake_clock_step_ms(&f.clock, 1000);
    assert_int_equal(pass(&f, &k, 100), 10);
    al_fake_clock_step_ms(&f.clock, 3600000);
    assert_int_equal(pass(&f, &k, 100), 60); /* no more saved up than one burst */
    al_ratelimit_destroy(f.r);
}

static void test_keys_do_not_share_and_have_their_own_rate(void **state)
{
    (void)state;
    struct fix f;
    struct al_key own = {.id = "own", .quota = {.requests_per_minute = 6000}};
    open_limit(&f, 60, 0);
    assert_int_equal(pass(&f, &own, 1000), 600);
    for (int i = 0; i < 50; i++) {
        struct al_key k = {0};
        snprintf(k.id, sizeof k.id, "k%d", (i * 37) % 50);
        assert_int_equal(pass(&f, &k, 20), 10);
    }
    al_ratelimit_destroy(f.r);
}

static void test_no_limit_is_none(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_key k = {.id = "abc"};
    open_limit(&f, 0, 0);
    assert_int_equal(pass(&f, &k, 5000), 5000);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, UINT64_MAX, &err), err);
    al_ratelimit_destroy(f.r);
    al_ratelimit_destroy(NULL);
}

static void test_bytes_are_counted_by_the_day(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_key k = {.id = "abc"};
    open_limit(&f, 0, 1000);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, 600, &err), err);
    assert_int_equal(al_ratelimit_bytes(f.r, &k, 401, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUOTA_EXCEEDED");
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, 400, &err), err); /* what was refused did not count */
    assert_int_equal(al_ratelimit_bytes(f.r, &k, UINT64_MAX, &err), AL_RESOURCE_EXHAUSTED);
    al_fake_clock_step_ms(&f.clock, 24ull * 3600 * 1000);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, 1000, &err), err);
    al_ratelimit_destroy(f.r);
}

static void test_a_refusal_says_when_to_come_again(void **state)
{
    (void)state;
    struct fix f;
    struct al_err err = {0};
    struct al_key k = {.id = "abc"};
    open_limit(&f, 60, 1000);
    assert_int_equal(pass(&f, &k, 10), 10);
    assert_int_equal(al_ratelimit_request(f.r, &k, &err), AL_RESOURCE_EXHAUSTED);
    assert_in_range(err.retry_after_ms, 1, 1001);
    al_fake_clock_step_ms(&f.clock, err.retry_after_ms);
    AL_CHECK_OK(al_ratelimit_request(f.r, &k, &err), err); /* it was the truth */
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, 600, &err), err);
    assert_int_equal(al_ratelimit_bytes(f.r, &k, 600, &err), AL_RESOURCE_EXHAUSTED);
    assert_in_range(err.retry_after_ms, 1, 24 * 3600 * 1000);
    al_fake_clock_step_ms(&f.clock, err.retry_after_ms);
    AL_CHECK_OK(al_ratelimit_bytes(f.r, &k, 600, &err), err);
    /* waiting does not help one that is larger than the quota of a day */
    assert_int_equal(al_ratelimit_bytes(f.r, &k, 1001, &err), AL_RESOURCE_EXHAUSTED);
    assert_int_equal(err.retry_after_ms, 0);
    al_ratelimit_destroy(f.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_the_rate),
        cmocka_unit_test(test_keys_do_not_share_and_have_their_own_rate),
        cmocka_unit_test(test_no_limit_is_none),
        cmocka_unit_test(test_bytes_are_counted_by_the_day),
        cmocka_unit_test(test_a_refusal_says_when_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
