#include "airlore/testing.h"

#include "status.h"

static void test_details(void **state)
{
    (void)state;
    struct al_err e = {.code = AL_NOT_FOUND, .reason = "NO_SPACE", .msg = "space 'x'"};
    char buf[AL_RPC_DETAILS_MAX];
    size_t n = al_rpc_status_details(&e, buf);
    /* google.rpc.Status{5, "space 'x'", Any{url, ErrorInfo{"NO_SPACE", "airlore"}}} */
    static const char want[] = "\x08\x05\x12\x09space 'x'\x1a\x3f\x0a\x28"
                               "type.googleapis.com/google.rpc.ErrorInfo\x12\x13"
                               "\x0a\x08NO_SPACE\x12\x07"
                               "airlore";
    assert_int_equal(n, sizeof want - 1);
    assert_memory_equal(buf, want, n);
}

static void test_details_say_when_to_come_again(void **state)
{
    (void)state;
    struct al_err e = {0};
    assert_int_equal(
        al_err_retry_after(&e, 1500,
                           AL_FAIL_R(&e, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many")),
        AL_RESOURCE_EXHAUSTED);
    char buf[AL_RPC_DETAILS_MAX];
    size_t n = al_rpc_status_details(&e, buf);
    assert_true(al_str_find((struct al_str){buf, n},
                            AL_STR("\x0a\x0eretry_after_ms\x12\x04"
                                   "1500"),
                            0) != SIZE_MAX);
    (void)AL_FAIL(&e, AL_INTERNAL, "another"); /* what an earlier error said is gone */
    assert_int_equal(e.retry_after_ms, 0);
}

static void test_retry_trailer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } cases[] = {{"1500", 1500}, {"0", 0}, {"", 0}, {"-3", 0}, {"99999999999", 0}, {"7 days", 0}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        assert_int_equal(al_rpc_retry_of(al_str_c(cases[i].text)), cases[i].ms);
    assert_int_equal(al_rpc_retry_of((struct al_str){0}), 0);
}

static void test_details_of_the_largest_error(void **state)
{
    (void)state;
    struct al_err e = {.code = AL_INTERNAL};
    static char reason[200];
    memset(reason, 'R', sizeof reason - 1);
    memset(e.msg, 'm', sizeof e.msg - 1);
    e.reason = reason;
    char buf[AL_RPC_DETAILS_MAX];
    assert_in_range(al_rpc_status_details(&e, buf), 300, AL_RPC_DETAILS_MAX);
    e.retry_after_ms = UINT32_MAX;
    assert_in_range(al_rpc_status_details(&e, buf), 300, AL_RPC_DETAILS_MAX);
    e.reason = NULL;
    assert_in_range(al_rpc_status_details(&e, buf), 280, AL_RPC_DETAILS_MAX);
}

static void test_message_is_utf8(void **state)
{
    (void)state;
    char buf[sizeof((struct al_err *)0)->msg];
    struct al_err e = {.code = AL_INTERNAL};
    memset(e.msg, 'x', sizeof e.msg);
    memcpy(e.msg + sizeof e.msg - 3, "\xe2\x82", 3); /* a character cut by the buffer's end */
    struct al_str s = al_rpc_status_message(&e, buf);
    assert_int_equal(s.n, sizeof e.msg - 3);
    snprintf(e.msg, sizeof e.msg, "file '\xff\xfe': broken");
    s = al_rpc_status_message(&e, buf);
    assert_true(al_str_is(s, "file '?"
                             "?': broken"));
    snprintf(e.msg, sizeof e.msg, "file '\xc3\xa9'");
    assert_true(al_str_is(al_rpc_status_message(&e, buf), "file '\xc3\xa9'"));
}

static void test_codes(void **state)
{
    (void)state;
    assert_int_equal(al_rpc_code_of(0), AL_OK);
    assert_int_equal(al_rpc_code_of(16), AL_UNAUTHENTICATED);
    assert_int_equal(al_rpc_code_of(17), AL_UNKNOWN);
    assert_int_equal(al_rpc_code_of(-1), AL_UNKNOWN);
}

static void test_reasons(void **state)
{
    (void)state;
    const char *a = al_rpc_reason_intern(AL_STR("QUEUE_FULL"));
    assert_string_equal(a, "QUEUE_FULL");
    assert_ptr_equal(al_rpc_reason_intern(AL_STR("QUEUE_FULL")), a);
    assert_null(al_rpc_reason_intern(AL_STR("")));
    assert_null(al_rpc_reason_intern(AL_STR("lower")));
    assert_null(al_rpc_reason_intern(AL_STR("WITH SPACE")));
    char name[80];
    memset(name, 'A', sizeof name);
    assert_non_null(al_rpc_reason_intern((struct al_str){name, 63}));
    assert_null(al_rpc_reason_intern((struct al_str){name, 64}));
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++) { /* a server that invents reasons cannot fill our memory */
        snprintf(name, sizeof name, "REASON_%u", i);
        n += al_rpc_reason_intern(al_str_c(name)) != NULL;
    }
    assert_int_equal(n, 254);
    assert_ptr_equal(al_rpc_reason_intern(AL_STR("QUEUE_FULL")), a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_details),
        cmocka_unit_test(test_details_say_when_to_come_again),
        cmocka_unit_test(test_retry_trailer),
        cmocka_unit_test(test_details_of_the_largest_error),
        cmocka_unit_test(test_message_is_utf8),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests_name("rpc.status", tests, NULL, NULL);
}
