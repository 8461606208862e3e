#include "airlore/testing.h"

static void test_array_refuses_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t count;
        size_t size;
        bool works;
    } cases[] = {
        {"small", 10, 8, true},
        {"none", 0, 8, true},
        {"product wraps to 0", SIZE_MAX / 2 + 1, 2, false},
        {"product wraps to small", SIZE_MAX / 8 + 2, 8, false},
        {"both large", SIZE_MAX, SIZE_MAX, false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, SIZE_MAX, false);
        unsigned char *p = al_mem_array(&f.mem, cases[i].count, cases[i].size);
        AL_CHECK(cases[i].name, (p != NULL) == cases[i].works);
        AL_CHECK(cases[i].name, f.count == cases[i].works); /* nothing is asked for on overflow */
        for (size_t j = 0; p && j < cases[i].count * cases[i].size; j++)
            AL_CHECK(cases[i].name, p[j] == 0);
        al_mem_free(&f.mem, p);
        AL_CHECK(cases[i].name, f.live == 0);
    }
}

static void test_grow_keeps_content_and_refuses_overflow(void **state)
{
    (void)state;
    void *p = NULL;
    size_t cap = 0;
    for (size_t n = 1; n <= 1000; n++) {
        assert_int_equal(al_mem_grow(NULL, &p, &cap, n, sizeof(uint32_t)), AL_OK);
        assert_true(cap >= n);
        ((uint32_t *)p)[n - 1] = (uint32_t)n;
    }
    for (size_t n = 1; n <= 1000; n++)
        assert_int_equal(((uint32_t *)p)[n - 1], n);
    void *before = p;
    size_t cap_before = cap;
    assert_int_equal(al_mem_grow(NULL, &p, &cap, SIZE_MAX, 1), AL_RESOURCE_EXHAUSTED);
    assert_int_equal(al_mem_grow(NULL, &p, &cap, SIZE_MAX / 4, 16), AL_RESOURCE_EXHAUSTED);
    assert_ptr_equal(p, before);
    assert_int_equal(cap, cap_before);
    al_mem_free(NULL, p);
}

static void test_grow_failing_changes_nothing(void **state)
{
    (void)state;
    struct al_fault_mem f;
    al_fault_mem_init(&f, 1, false);
    void *p = NULL;
    size_t cap = 0;
    assert_int_equal(al_mem_grow(&f.mem, &p, &cap, 4, 1), AL_OK);
    void *before = p;
    assert_int_equal(al_mem_grow(&f.mem, &p, &cap, 100, 1), AL_RESOURCE_EXHAUSTED);
    assert_ptr_equal(p, before);
    assert_int_equal(cap, 8);
    assert_true(f.fired);
    assert_int_equal(al_mem_grow(&f.mem, &p, &cap, 100, 1), AL_OK); /* transient */
    al_mem_free(&f.mem, p);
    assert_int_equal(f.live, 0);
}

static void test_strndup_ends_with_nul(void **state)
{
    (void)state;
    char *s = al_mem_strndup(NULL, "airflow", 3);
    assert_string_equal(s, "air");
    al_mem_free(NULL, s);
    s = al_mem_strndup(NULL, NULL, 0);
    assert_string_equal(s, "");
    al_mem_free(NULL, s);
    assert_null(al_mem_strndup(NULL, "x", SIZE_MAX));
}

static void test_nothing_can_be_asked_for_and_given_back(void **state)
{
    (void)state;
    void *p = al_mem_alloc(NULL, 0);
    assert_non_null(p);
    void *q = al_mem_resize(NULL, p, 0);
    assert_non_null(q);
    al_mem_free(NULL, q);
    al_mem_free(NULL, NULL);
    p = al_mem_zalloc(al_mem_std(), 3);
    assert_memory_equal(p, "\0\0\0", 3);
    al_mem_free(al_mem_std(), p);
}

/* The tool that the other tests trust. */
static void test_fault_memory_fails_where_told(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        struct al_fault_mem f;
        al_fault_mem_init(&f, 2, persistent);
        void *p[5];
        for (size_t i = 0; i < 5; i++) {
            p[i] = al_mem_alloc(&f.mem, 8);
            assert_int_equal(p[i] == NULL, persistent ? i >= 2 : i == 2);
        }
        assert_true(f.fired);
        assert_int_equal(f.count, 5);
        assert_int_equal(f.live, persistent ? 2 : 4);
        for (size_t i = 0; i < 5; i++)
            al_mem_free(&f.mem, p[i]);
        assert_int_equal(f.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_refuses_overflow),
        cmocka_unit_test(test_grow_keeps_content_and_refuses_overflow),
        cmocka_unit_test(test_grow_failing_changes_nothing),
        cmocka_unit_test(test_strndup_ends_with_nul),
        cmocka_unit_test(test_nothing_can_be_asked_for_and_given_back),
        cmocka_unit_test(test_fault_memory_fails_where_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
