#include "airlore/clock.h"

#include <time.h>

#include "airlore/testing.h"

static void test_parses_rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        uint64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1970-01-01T09:00:00+09:00", 0},
        {"1969-12-31T23:30:00-00:30", 0},
        {"2026-11-21T09:30:00Z", 1795253400000},
        {"2026-11-21t09:30:00z", 1795253400000},
        {"2026-11-21T18:30:00+09:00", 1795253400000},
        {"2026-11-21T01:00:00-08:30", 1795253400000},
        {"2026-11-21T09:30:00-00:00", 1795253400000},
        {"2026-11-21T09:30:00.5Z", 1795253400500},
        {"2026-11-21T09:30:00.123Z", 1795253400123},
        {"2026-11-21T09:30:00.1239999999Z", 1795253400123},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T23:59:59Z", 951868799000},
        {"2024-12-31T23:59:59.999Z", 1735689599999},
        {"2025-01-01T05:29:59+05:30", 1735689599000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"2017-01-01T08:59:60+09:00", 1483228800000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        uint64_t ms = 7;
        struct al_err err;
        AL_CHECK_OK(al_clock_parse_rfc3339(cases[i].in, strlen(cases[i].in), &ms, &err), err);
        if (ms != cases[i].ms)
            fail_msg("case '%s': %llu", cases[i].in, (unsigned long long)ms);
    }
}

static void test_refuses_what_is_no_time(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026",
        "2026-11-21",
        "2026-11-21T09:30:00",
        "2026-11-21 09:30:00Z",
        "2026-11-21T09:30Z",
        "2026-11-21T09:30:00.Z",
        "2026-11-21T09:30:00,5Z",
        "2026-11-21T09:30:00Zx",
        "x2026-11-21T09:30:00Z",
        "2026-11-21T09:30:00+0900",
        "2026-11-21T09:30:00+09",
        "2026-11-21T09:30:00+24:00",
        "2026-11-21T09:30:00+09:60",
        "2026-00-21T09:30:00Z",
        "2026-13-21T09:30:00Z",
        "2026-11-00T09:30:00Z",
        "2026-11-31T09:30:00Z",
        "2026-02-29T09:30:00Z",
        "2100-02-29T09:30:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:60:00Z",
        "2026-11-21T09:30:61Z",
        "2026-11-21T09:30:60Z",
        "26-11-21T09:30:00Z",
        "-026-11-21T09:30:00Z",
        "2026-1-21T09:30:00Z",
        " 2026-11-21T09:30:00Z",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-11-21T09:30:00.000000000000000000000000000000000000000000000000000000000Z",
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        uint64_t ms = 7;
        struct al_err err = {0};
        enum al_code code = al_clock_parse_rfc3339(cases[i], strlen(cases[i]), &ms, &err);
        AL_CHECK(cases[i], code == AL_INVALID_ARGUMENT && strcmp(err.reason, "BAD_TIME") == 0);
        AL_CHECK(cases[i], ms == 7);
    }
    uint64_t ms = 7;
    assert_int_equal(al_clock_parse_rfc3339(NULL, 0, &ms, NULL), AL_INVALID_ARGUMENT);
    static const char with_nul[] = "2026-11-21T09:30:00\0";
    assert_int_equal(al_clock_parse_rfc3339(with_nul, 20, &ms, NULL), AL_INVALID_ARGUMENT);
    static const char whole[] = "2026-11-21T09:30:00.25+05:30";
    for (size_t n = 0; n < sizeof whole - 1; n++) /* cut at every length */
        assert_int_equal(al_clock_parse_rfc3339(whole, n, &ms, NULL), AL_INVALID_ARGUMENT);
}

/* Every day of a whole cycle of leap years, then each 97th to the end of 9999: against the C
 * library, and there and back. */
static void test_formats_days(void **state)
{
    (void)state;
    size_t n_days = 0;
    uint64_t step_days = 1;
    for (uint64_t ms = 43200123; ms <= 253402300799999; ms += step_days * 86400000) {
        time_t seconds = (time_t)(ms / 1000);
        struct tm tm;
        char expected[40];
        char text[32];
        assert_non_null(gmtime_r(&seconds, &tm));
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.123Z", &tm);
        assert_string_equal(al_clock_format_rfc3339(ms, text, sizeof text), expected);
        uint64_t back = 0;
        assert_int_equal(al_clock_parse_rfc3339(text, strlen(text), &back, NULL), AL_OK);
        assert_true(back == ms);
        n_days++;
        step_days = n_days < 292194 ? 1 : 97;
    }
    assert_int_equal(n_days, 319417);
}

static void test_format_stays_in_its_buffer(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(al_clock_format_rfc3339(0, text, sizeof text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(al_clock_format_rfc3339(UINT64_MAX, text, sizeof text),
                        "9999-12-31T23:59:59.999Z");
    assert_string_equal(al_clock_format_rfc3339(0, text, 5), "1970");
}

static void test_deadlines(void **state)
{
    (void)state;
    struct al_fake_clock f;
    al_fake_clock_init(&f, 1795253400000);
    struct al_clock *c = &f.clock;
    uint64_t deadline = al_clock_deadline(c, 50);
    assert_int_equal(deadline, al_clock_mono_ns(c) + 50000000);
    assert_false(al_clock_has_passed(c, deadline));
    al_fake_clock_step_ms(&f, 49);
    assert_false(al_clock_has_passed(c, deadline));
    al_fake_clock_step_ms(&f, 1);
    assert_true(al_clock_has_passed(c, deadline));
    assert_true(al_clock_has_passed(c, al_clock_deadline(c, 0)));
    assert_true(al_clock_deadline(c, UINT64_MAX) == AL_DEADLINE_NONE);
    assert_true(al_clock_deadline(c, UINT64_MAX / 1000000) == AL_DEADLINE_NONE);
    al_fake_clock_step_ms(&f, 1000000000);
    assert_false(al_clock_has_passed(c, AL_DEADLINE_NONE));
    assert_int_equal(al_clock_wall_ms(c), 1795253400000 + 50 + 1000000000);
}

static void test_system_clock_moves(void **state)
{
    (void)state;
    struct al_clock *c = al_clock_system();
    uint64_t before = al_clock_mono_ns(c);
    uint64_t now = before;
    for (unsigned i = 0; i < 100000000 && now == before; i++)
        now = al_clock_mono_ns(c);
    assert_true(now > before);
    assert_true(al_clock_wall_ms(c) / 1000 + 2 > (uint64_t)time(NULL));
    assert_true(al_clock_wall_ms(c) / 1000 < (uint64_t)time(NULL) + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_rfc3339), cmocka_unit_test(test_refuses_what_is_no_time),
        cmocka_unit_test(test_formats_days),   cmocka_unit_test(test_format_stays_in_its_buffer),
        cmocka_unit_test(test_deadlines),      cmocka_unit_test(test_system_clock_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
