#include "airlore/arena.h"
#include "airlore/testing.h"

static void test_allocations_are_aligned_and_apart(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 8u << 20);
    unsigned char *p[400];
    for (size_t i = 0; i < AL_ARRAY_LEN(p); i++) {
        p[i] = al_arena_alloc(&a, i * 7);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
        memset(p[i], (int)(i & 0xFF), i * 7);
    }
    for (size_t i = 0; i < AL_ARRAY_LEN(p); i++)
        for (size_t j = 0; j < i * 7; j++)
            assert_int_equal(p[i][j], i & 0xFF);
    al_arena_fini(&a);
}

static void test_limit_bounds_everything(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t limit;
        size_t each;
    } cases[] = {
        {"one byte each", 64u << 10, 1},
        {"nothing each", 64u << 10, 0},
        {"a page each", 1u << 20, 4096},
        {"larger than the limit", 1000, 1001},
        {"far larger", 1000, SIZE_MAX},
        {"larger than memory, no limit", SIZE_MAX, SIZE_MAX - 8},
        {"rounding wraps", SIZE_MAX, SIZE_MAX - 40},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        al_arena_init(&a, NULL, cases[i].limit);
        size_t n = 0;
        while (n <= cases[i].limit && al_arena_alloc(&a, cases[i].each))
            n++;
        AL_CHECK(cases[i].name, n * cases[i].each <= cases[i].limit);
        AL_CHECK(cases[i].name, n <= cases[i].limit / 16);
        AL_CHECK(cases[i].name, al_arena_used(&a) <= cases[i].limit);
        al_arena_reset(&a);
        AL_CHECK(cases[i].name, al_arena_used(&a) == 0);
        AL_CHECK(cases[i].name, al_arena_alloc(&a, 100) != NULL);
        al_arena_fini(&a);
    }
}

static void test_array_and_copies(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    assert_null(al_arena_array(&a, SIZE_MAX / 2, 4));
    uint64_t *numbers = al_arena_array(&a, 100, sizeof *numbers);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(numbers[i], 0);
    assert_string_equal(al_arena_strndup(&a, "scheduler", 5), "sched");
    assert_null(al_arena_strndup(&a, "x", SIZE_MAX));
    assert_string_equal(al_arena_printf(&a, "%s-%d", "dag", 7), "dag-7");
    struct al_str s = {0};
    struct al_err err;
    AL_CHECK_OK(al_arena_str(&a, AL_STR("pool\0slots"), &s, &err), err);
    assert_int_equal(s.n, 10);
    assert_memory_equal(s.p, "pool\0slots", 11);
    al_arena_fini(&a);
    al_arena_init(&a, NULL, 64);
    struct al_str same = AL_STR("unchanged");
    char big[100] = {0};
    assert_int_equal(al_arena_str(&a, (struct al_str){big, sizeof big}, &same, &err),
                     AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "MEMORY_LIMIT");
    assert_true(al_str_is(same, "unchanged"));
    assert_null(al_arena_printf(&a, "%100d", 1));
    al_arena_fini(&a);
}

static size_t drops[8];
static size_t n_drops;

static void drop(void *object)
{
    drops[n_drops++] = *(size_t *)object;
}

static void test_links_are_dropped_once(void **state)
{
    (void)state;
    static size_t objects[] = {1, 2, 3};
    struct al_arena a;
    struct al_err err;
    n_drops = 0;
    al_arena_init(&a, NULL, 4096);
    for (size_t i = 0; i < 3; i++)
        AL_CHECK_OK(al_arena_link(&a, drop, &objects[i], &err), err);
    assert_int_equal(n_drops, 0);
    al_arena_reset(&a);
    assert_int_equal(n_drops, 3);
    assert_int_equal(drops[0] + drops[1] + drops[2], 6);
    al_arena_reset(&a);
    assert_int_equal(n_drops, 3);
    AL_CHECK_OK(al_arena_link(&a, drop, &objects[0], &err), err);
    al_arena_fini(&a);
    assert_int_equal(n_drops, 4);
    al_arena_init(&a, NULL, 1);
    assert_int_equal(al_arena_link(&a, drop, &objects[1], &err), AL_RESOURCE_EXHAUSTED);
    assert_int_equal(n_drops, 5); /* moved in any case */
    al_arena_fini(&a);
}

static void test_memory_port(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 1u << 20);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(&a), 0);
    for (int i = 0; i < 5000; i++)
        al_buf_printf(&b, "%d,", i);
    struct al_err err;
    AL_CHECK_OK(al_buf_status(&b, &err), err);
    assert_memory_equal(b.p, "0,1,2,3,", 8);
    assert_memory_equal(b.p + b.n - 5, "4999,", 5);
    for (int i = 0; i < 100000 && !b.failed; i++)
        al_buf_printf(&b, "%d,", i);
    assert_true(b.failed); /* the arena's limit is the buffer's too */
    al_buf_fini(&b);
    al_arena_fini(&a);
}

static void test_failing_memory_leaks_nothing(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_mem f;
            al_fault_mem_init(&f, n, persistent);
            struct al_arena a;
            al_arena_init(&a, &f.mem, 8u << 20);
            size_t got = 0;
            for (size_t i = 0; i < 200; i++)
                got += al_arena_alloc(&a, i * 50) != NULL;
            assert_true(f.fired ? got < 200 : got == 200);
            al_arena_reset(&a);
            bool may_fail = persistent || !f.fired; /* else the fault is behind us: usable again */
            assert_true(al_arena_alloc(&a, 10) || may_fail);
            al_arena_fini(&a);
            assert_int_equal(f.live, 0);
            if (!f.fired)
                break;
        }
    }
}

static void test_zeroed_arena_can_be_ended(void **state)
{
    (void)state;
    struct al_arena a = {0};
    al_arena_fini(&a);
    al_arena_init(&a, NULL, 100);
    al_arena_fini(&a);
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_aligned_and_apart),
        cmocka_unit_test(test_limit_bounds_everything),
        cmocka_unit_test(test_array_and_copies),
        cmocka_unit_test(test_links_are_dropped_once),
        cmocka_unit_test(test_memory_port),
        cmocka_unit_test(test_failing_memory_leaks_nothing),
        cmocka_unit_test(test_zeroed_arena_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
