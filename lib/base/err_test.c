#include "airlore/testing.h"

#include <errno.h>

static void test_codes_are_those_of_grpc(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum al_code code;
        int number;
        bool is_retryable;
    } cases[] = {
        {"OK", AL_OK, 0, false},
        {"CANCELLED", AL_CANCELLED, 1, false},
        {"UNKNOWN", AL_UNKNOWN, 2, false},
        {"INVALID_ARGUMENT", AL_INVALID_ARGUMENT, 3, false},
        {"DEADLINE_EXCEEDED", AL_DEADLINE_EXCEEDED, 4, false},
        {"NOT_FOUND", AL_NOT_FOUND, 5, false},
        {"ALREADY_EXISTS", AL_ALREADY_EXISTS, 6, false},
        {"PERMISSION_DENIED", AL_PERMISSION_DENIED, 7, false},
        {"RESOURCE_EXHAUSTED", AL_RESOURCE_EXHAUSTED, 8, true},
        {"FAILED_PRECONDITION", AL_FAILED_PRECONDITION, 9, false},
        {"ABORTED", AL_ABORTED, 10, true},
        {"OUT_OF_RANGE", AL_OUT_OF_RANGE, 11, false},
        {"UNIMPLEMENTED", AL_UNIMPLEMENTED, 12, false},
        {"INTERNAL", AL_INTERNAL, 13, false},
        {"UNAVAILABLE", AL_UNAVAILABLE, 14, true},
        {"DATA_LOSS", AL_DATA_LOSS, 15, false},
        {"UNAUTHENTICATED", AL_UNAUTHENTICATED, 16, false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        AL_CHECK(cases[i].name, (int)cases[i].code == cases[i].number);
        AL_CHECK(cases[i].name, strcmp(al_code_name(cases[i].code), cases[i].name) == 0);
        AL_CHECK(cases[i].name, al_code_is_retryable(cases[i].code) == cases[i].is_retryable);
    }
    assert_string_equal(al_code_name((enum al_code)99), "UNKNOWN");
}

static void test_errno_maps_to_codes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int errnum;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"ENOENT", ENOENT, AL_NOT_FOUND, "NOT_FOUND"},
        {"EEXIST", EEXIST, AL_ALREADY_EXISTS, "ALREADY_EXISTS"},
        {"EACCES", EACCES, AL_PERMISSION_DENIED, "PERMISSION_DENIED"},
        {"EROFS", EROFS, AL_PERMISSION_DENIED, "PERMISSION_DENIED"},
        {"ENOSPC", ENOSPC, AL_RESOURCE_EXHAUSTED, "DISK_FULL"},
        {"EDQUOT", EDQUOT, AL_RESOURCE_EXHAUSTED, "DISK_FULL"},
        {"EMFILE", EMFILE, AL_RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"},
        {"ENOTEMPTY", ENOTEMPTY, AL_FAILED_PRECONDITION, "FAILED_PRECONDITION"},
        {"EISDIR", EISDIR, AL_INVALID_ARGUMENT, "INVALID_ARGUMENT"},
        {"ECONNREFUSED", ECONNREFUSED, AL_UNAVAILABLE, "UNAVAILABLE"},
        {"ETIMEDOUT", ETIMEDOUT, AL_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
        {"EIO", EIO, AL_INTERNAL, "INTERNAL"},
        {"unknown number", 99999, AL_INTERNAL, "INTERNAL"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        enum al_code code = AL_FAIL_ERRNO(&err, cases[i].errnum, "open '%s'", "/data/7");
        AL_CHECK(cases[i].name, code == cases[i].code && err.code == code);
        AL_CHECK(cases[i].name, err.vendor == cases[i].errnum);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
        AL_CHECK(cases[i].name, strncmp(err.msg, "open '/data/7': ", 16) == 0 && err.msg[16]);
        AL_CHECK(cases[i].name, al_err_errno(NULL, cases[i].errnum, "x:1", "no object") == code);
    }
}

static void test_set_fills_everything(void **state)
{
    (void)state;
    struct al_err err = {.vendor = 7};
    assert_int_equal(AL_FAIL(&err, AL_NOT_FOUND, "shard %d: absent", 3), AL_NOT_FOUND);
    assert_int_equal(err.code, AL_NOT_FOUND);
    assert_int_equal(err.vendor, 0);
    assert_string_equal(err.reason, "NOT_FOUND");
    assert_string_equal(err.msg, "shard 3: absent");
    assert_non_null(strstr(err.site, "err_test.c:"));
    assert_int_equal(AL_FAIL_R(&err, AL_ABORTED, "STALE_MAP", "map: stale"), AL_ABORTED);
    assert_string_equal(err.reason, "STALE_MAP");
    assert_int_equal(AL_FAIL(NULL, AL_ABORTED, "nobody listens"), AL_ABORTED);
    (void)AL_FAIL(&err, AL_INTERNAL, "again: %s", err.msg); /* the old text as an argument */
    assert_string_equal(err.msg, "again: map: stale");
}

static void test_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct al_err err;
    (void)AL_FAIL(&err, AL_INTERNAL, "%s", longer);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    for (size_t n = 0; n < 300;
         n++) { /* every length of prefix against a full and an empty message */
        struct al_err full = err;
        al_err_prefix(&full, "%.*s", (int)n, longer);
        assert_true(strnlen(full.msg, sizeof full.msg) < sizeof full.msg);
        struct al_err none = {.code = AL_INTERNAL};
        al_err_prefix(&none, "%.*s", (int)n, longer);
        assert_true(strnlen(none.msg, sizeof none.msg) < sizeof none.msg);
    }
    al_err_prefix(NULL, "nothing happens");
}

static enum al_code fails(struct al_err *err)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_CHECKSUM", "block 9: checksum wrong");
}

static enum al_code passes_up(struct al_err *err)
{
    AL_TRY_CTX(err, fails(err), "shard %d", 7);
    return AL_OK;
}

static void test_context_goes_in_front(void **state)
{
    (void)state;
    struct al_err err;
    assert_int_equal(passes_up(&err), AL_DATA_LOSS);
    assert_string_equal(err.msg, "shard 7: block 9: checksum wrong");
    assert_string_equal(err.reason, "BAD_CHECKSUM");
    assert_int_equal(passes_up(NULL), AL_DATA_LOSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_those_of_grpc),
        cmocka_unit_test(test_errno_maps_to_codes),
        cmocka_unit_test(test_set_fills_everything),
        cmocka_unit_test(test_messages_are_cut_not_overrun),
        cmocka_unit_test(test_context_goes_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
