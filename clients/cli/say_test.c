#include "airlore/testing.h"
#include "cli.h"

static void test_exit_codes(void **state)
{
    (void)state;
    static const struct {
        enum al_code code;
        const char *reason;
        int read;
        int write;
    } cases[] = {
        {AL_OK, NULL, AL_EXIT_DONE, AL_EXIT_DONE},
        {AL_INVALID_ARGUMENT, "BAD_FILTER", AL_EXIT_USAGE, AL_EXIT_USAGE},
        {AL_UNIMPLEMENTED, NULL, AL_EXIT_USAGE, AL_EXIT_USAGE},
        {AL_NOT_FOUND, NULL, AL_EXIT_BAD, AL_EXIT_BAD},
        {AL_ALREADY_EXISTS, NULL, AL_EXIT_BAD, AL_EXIT_BAD},
        {AL_DATA_LOSS, NULL, AL_EXIT_BAD, AL_EXIT_BAD},
        {AL_INTERNAL, NULL, AL_EXIT_BAD, AL_EXIT_BAD},
        {AL_UNAVAILABLE, NULL, AL_EXIT_UNREACHABLE, AL_EXIT_UNREACHABLE},
        {AL_DEADLINE_EXCEEDED, NULL, AL_EXIT_UNREACHABLE, AL_EXIT_UNKNOWN},
        {AL_UNAUTHENTICATED, "KEY_INVALID", AL_EXIT_REFUSED, AL_EXIT_REFUSED},
        {AL_PERMISSION_DENIED, NULL, AL_EXIT_REFUSED, AL_EXIT_REFUSED},
        {AL_RESOURCE_EXHAUSTED, "RATE_LIMITED", AL_EXIT_REFUSED, AL_EXIT_REFUSED},
        {AL_FAILED_PRECONDITION, "PREVIEW_STALE", AL_EXIT_REFUSED, AL_EXIT_REFUSED},
        {AL_UNKNOWN, "OUTCOME_UNKNOWN", AL_EXIT_UNKNOWN, AL_EXIT_UNKNOWN},
        {AL_UNKNOWN, NULL, AL_EXIT_BAD, AL_EXIT_UNKNOWN},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {.code = cases[i].code, .reason = cases[i].reason};
        AL_CHECK(al_code_name(err.code), al_cli_exit_code(&err, false) == cases[i].read);
        AL_CHECK(al_code_name(err.code), al_cli_exit_code(&err, true) == cases[i].write);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool works;
        uint64_t value;
    } whole[] = {{"1", true, 1},
                 {"1000", true, 1000},
                 {"0", false, 7},
                 {"1001", false, 7},
                 {"-1", false, 7},
                 {"", false, 7},
                 {"1.5", false, 7},
                 {"abc", false, 7},
                 {NULL, true, 7},
                 {" 1", false, 7},
                 {"99999999999999999999", false, 7}};
    static const struct {
        const char *text;
        bool works;
    } real[] = {{"0", true}, {"1", true},     {"0.25", true}, {"1e-3", true}, {"1.01", false},
                {"", false}, {"-0.1", false}, {"nan", false}, {"inf", false}, {"0.5x", false}};
    static struct al_cli c;
    for (size_t i = 0; i < AL_ARRAY_LEN(whole); i++) {
        uint64_t v = 7;
        const char *name = whole[i].text ? whole[i].text : "absent";
        c.args.value[AL_OPT_K] = whole[i].text;
        AL_CHECK(name, al_cli_u64(&c, AL_OPT_K, 1, 1000, &v) == whole[i].works);
        AL_CHECK(name, v == whole[i].value);
    }
    for (size_t i = 0; i < AL_ARRAY_LEN(real); i++) {
        double v = 7;
        c.args.value[AL_OPT_MIN_SCORE] = real[i].text;
        AL_CHECK(real[i].text, al_cli_double(&c, AL_OPT_MIN_SCORE, 0, 1, &v) == real[i].works);
        AL_CHECK(real[i].text, real[i].works == (v < 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
