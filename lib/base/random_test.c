#include "airlore/random.h"

#include "airlore/testing.h"

/* xoshiro256** run by hand on the state {1, 2, 3, 4}: the first four results follow from the
 * paper's definition. */
static void test_generator_is_the_published_one(void **state)
{
    (void)state;
    struct al_seeded_random r;
    al_seeded_random_init(&r, 0);
    static const uint64_t splitmix_of_0[] = {0xE220A8397B1DCDAFULL, 0x6E789E6AA1B965F4ULL,
                                             0x06C45D188009454FULL, 0xF88BB8A8724C81ECULL};
    for (size_t i = 0; i < 4; i++)
        assert_true(r.s[i] == splitmix_of_0[i]);
    memcpy(r.s, (const uint64_t[]){1, 2, 3, 4}, sizeof r.s);
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240ULL};
    for (size_t i = 0; i < 4; i++)
        assert_true(al_random_u64(&r.random) == expected[i]);
}

static void test_same_seed_same_sequence(void **state)
{
    (void)state;
    struct al_seeded_random a;
    struct al_seeded_random b;
    struct al_seeded_random other;
    al_seeded_random_init(&a, 42);
    al_seeded_random_init(&b, 42);
    al_seeded_random_init(&other, 43);
    unsigned n_equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = al_random_u64(&a.random);
        assert_true(v == al_random_u64(&b.random));
        n_equal += v == al_random_u64(&other.random);
    }
    assert_int_equal(n_equal, 0);
}

static void test_below_is_bounded_and_even(void **state)
{
    (void)state;
    struct al_seeded_random r;
    al_seeded_random_init(&r, 7);
    static const uint64_t bounds[] = {1, 2, 3, 10, 1000, 1ULL << 63, (1ULL << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < AL_ARRAY_LEN(bounds); i++)
        for (int j = 0; j < 1000; j++)
            assert_true(al_random_below(&r.random, bounds[i]) < bounds[i]);
    unsigned counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[al_random_below(&r.random, 6)]++;
    for (size_t i = 0; i < 6; i++)
        assert_in_range(counts[i], 9500, 10500);
    /* Where the modulus would favour the lower third by two to one. */
    unsigned n_low = 0;
    for (int i = 0; i < 10000; i++)
        n_low += al_random_below(&r.random, 3ULL << 62) < 1ULL << 62;
    assert_in_range(n_low, 3100, 3560);
}

static void test_fill_touches_only_its_bytes(void **state)
{
    (void)state;
    struct al_seeded_random r;
    al_seeded_random_init(&r, 1);
    struct al_random *sources[] = {&r.random, al_random_system()};
    for (size_t s = 0; s < 2; s++) {
        for (size_t n = 0; n < 40; n++) {
            uint8_t seen[40] = {0};
            for (int round = 0; round < 64; round++) {
                uint8_t p[42];
                memset(p, 0xA5, sizeof p);
                al_random_fill(sources[s], p + 1, n);
                assert_true(p[0] == 0xA5 && p[n + 1] == 0xA5);
                for (size_t i = 0; i < n; i++)
                    seen[i] |= (uint8_t)(p[i + 1] ^ 0xA5);
            }
            for (size_t i = 0; i < n; i++)
                assert_int_not_equal(seen[i], 0);
        }
    }
    uint8_t large[100000] = {0}; /* more than the kernel gives at once without being interrupted */
    al_random_fill(al_random_system(), large, sizeof large);
    size_t n_zero = 0;
    for (size_t i = 0; i < sizeof large; i++)
        n_zero += large[i] == 0;
    assert_in_range(n_zero, 200, 600);
}

static void test_uuid_is_version_7(void **state)
{
    (void)state;
    struct al_seeded_random r;
    al_seeded_random_init(&r, 9);
    char last[37] = "";
    for (uint64_t ms = 1795253400000; ms < 1795253400200; ms++) {
        char buf[37];
        al_random_uuid(&r.random, ms, buf);
        assert_int_equal(strlen(buf), 36);
        for (size_t i = 0; i < 36; i++) {
            if (i == 8 || i == 13 || i == 18 || i == 23)
                assert_int_equal(buf[i], '-');
            else
                assert_non_null(strchr("0123456789abcdef", buf[i]));
        }
        assert_int_equal(buf[14], '7');
        assert_non_null(strchr("89ab", buf[19]));
        char time[16];
        snprintf(time, sizeof time, "%.8s%.4s", buf, buf + 9);
        char expected[16];
        snprintf(expected, sizeof expected, "%012llx", (unsigned long long)ms);
        assert_string_equal(time, expected);
        assert_true(strcmp(last, buf) < 0); /* they sort by time */
        memcpy(last, buf, sizeof last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator_is_the_published_one),
        cmocka_unit_test(test_same_seed_same_sequence),
        cmocka_unit_test(test_below_is_bounded_and_even),
        cmocka_unit_test(test_fill_touches_only_its_bytes),
        cmocka_unit_test(test_uuid_is_version_7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
