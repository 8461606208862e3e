#include "version.h"

#include "airlore/random.h"
#include "airlore/testing.h"

static void test_order_of_versions(void **state)
{
    (void)state;
    /* each is below the next */
    static const char *const ascending[] = {
        "0",
        "0.9",
        "1.10.15",
        "2.0.0.dev1",
        "2.0.0a1",
        "2.0.0b1",
        "2.0.0b2",
        "2.0.0rc1",
        "2.0.0",
        "2.0.0.post1",
        "2.0.1",
        "2.4",
        "2.9.3",
        "2.10.0rc1",
        "2.10.0rc2",
        "2.10.0",
        "2.10.1",
        "3.0.0.dev0",
        "3",
        "3.1",
        "3.9",
        "3.10",
        "10",
        "99999999999999999999",
        "99999999999999999999.1",
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(ascending); i++)
        for (size_t k = 0; k < AL_ARRAY_LEN(ascending); k++) {
            int c = al_version_cmp(al_str_c(ascending[i]), al_str_c(ascending[k]));
            AL_CHECK(ascending[i], i < k ? c < 0 : i > k ? c > 0 : c == 0);
        }
}

static void test_equal_versions(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"3", "3.0.0"},        {"v3.0", "3"},          {" 2.4 ", "2.4.0"},  {"2.0rc1", "2.0.0RC1"},
        {"2.0-rc1", "2.0rc1"}, {"2.0.rc.1", "2.0rc1"}, {"2.0c1", "2.0rc1"}, {"2.0alpha1", "2.0a1"},
        {"2.01", "2.1"},       {"2.0-1", "2.0.post1"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(pairs); i++)
        AL_CHECK(pairs[i][0], al_version_cmp(al_str_c(pairs[i][0]), al_str_c(pairs[i][1])) == 0);
}

/* Any texts: antisymmetric and transitive, so that sorting by it means something. */
static void test_order_is_total(void **state)
{
    (void)state;
    static const char *const bits[] = {"1",   "0",    "2", ".", "-", "_",  "+",  "rc", "a",
                                       "dev", "post", "x", "v", "",  "10", "z9", " ",  "\xff"};
    struct al_seeded_random r;
    al_seeded_random_init(&r, 5);
    char s[3][64];
    for (int round = 0; round < 30000; round++) {
        for (int i = 0; i < 3; i++) {
            s[i][0] = '\0';
            size_t n = 0;
            for (uint64_t k = al_random_below(&r.random, 7); k > 0; k--) {
                const char *b = bits[al_random_below(&r.random, AL_ARRAY_LEN(bits))];
                n += (size_t)snprintf(s[i] + n, sizeof s[i] - n, "%s", b);
            }
        }
        int ab = al_version_cmp(al_str_c(s[0]), al_str_c(s[1]));
        int ba = al_version_cmp(al_str_c(s[1]), al_str_c(s[0]));
        int bc = al_version_cmp(al_str_c(s[1]), al_str_c(s[2]));
        int ac = al_version_cmp(al_str_c(s[0]), al_str_c(s[2]));
        if ((ab < 0) != (ba > 0) || (ab == 0) != (ba == 0))
            fail_msg("'%s' and '%s' are not antisymmetric", s[0], s[1]);
        if ((ab <= 0 && bc <= 0 && ac > 0) || (ab == 0 && bc == 0 && ac != 0))
            fail_msg("'%s', '%s', '%s' are not transitive", s[0], s[1], s[2]);
    }
}

static void test_ranges_meet(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool meets;
    } cases[] = {
        {">=2.4,<3", "==2.9", true},
        {">=2.4,<3", "==3", false},
        {">=2.4,<3", ">=3", false},
        {">=2.4,<3", ">2.9.9", true},
        {">=2.4,<3", "<2.4", false},
        {">=2.4,<3", "<=2.4", true},
        {"2.4", ">=2.4", true},
        {"2.4", ">2.4", false},
        {"2.4+", ">=7", true},
        {"2.*", "==2.11", true},
        {"2.*", "==3.0", false},
        {"2.*", ">=3", false},
        {"2.x", ">=2.99", true},
        {"~=2.4.1", "==2.4.7", true},
        {"~=2.4.1", "==2.5", false},
        {"~=2.4", "==2.9", true},
        {"~=2.4", ">=3", false},
        {">=2.4 <3", "==2.5", true},
        {">3.0,<3.1", "==3.0.5", true},
        {"!=3.0", "==3.0", false},
        {"!=3.0", ">=3.0", true},
        {">=2.4,!=3.*", "==3.1", false},
        {">=3,<=3", "<=3", true},
        {">=3,<3", "==3", false},
        {">=3,<=3,!=3.0.0", ">=3", false},
        {"2.10.*", "==2.10.5", true},
        {"2.10.*", "==2.11", false},
        {"2.10.*", "2.*", true},
        {"2.10.*", "3.*", false},
        {"<=2.*", "==2.99", true},
        {"<=2.*", "==3", false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_version_range a;
        struct al_version_range b;
        AL_CHECK(cases[i].a, al_version_range_parse(al_str_c(cases[i].a), &a));
        AL_CHECK(cases[i].b, al_version_range_parse(al_str_c(cases[i].b), &b));
        if (al_version_range_meets(&a, &b) != cases[i].meets ||
            al_version_range_meets(&b, &a) != cases[i].meets)
            fail_msg("'%s' and '%s': expected %d", cases[i].a, cases[i].b, cases[i].meets);
    }
    static const char *const bad[] = {"", " ", "latest", ">=", ">=2.4,latest", "2.4/3", "*"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        struct al_version_range r;
        AL_CHECK(bad[i], !al_version_range_parse(al_str_c(bad[i]), &r));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_versions),
        cmocka_unit_test(test_equal_versions),
        cmocka_unit_test(test_order_is_total),
        cmocka_unit_test(test_ranges_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
