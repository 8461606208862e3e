#include "airlore/testing.h"

#include <stdio.h>
#include <string.h>

#include "core_fixture.h"

static void test_slots_cover_all_without_overlap(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 256; n *= 2) {
        uint32_t next = 0;
        for (size_t i = 0; i < n; i++) {
            uint16_t first;
            uint16_t last;
            al_router_slots(i, n, &first, &last);
            assert_int_equal(first, next);
            assert_true(last >= first);
            next = (uint32_t)last + 1;
        }
        assert_int_equal(next, 65536);
    }
}

static void test_documents_go_where_their_slot_is(void **state)
{
    (void)state;
    const struct al_router r = {.n_shards = 8};
    size_t used[8] = {0};
    for (int i = 0; i < 4000; i++) {
        char id[16];
        snprintf(id, sizeof id, "doc-%d", i);
        size_t s = al_router_of_doc(&r, 20, al_str_c(id));
        uint16_t first;
        uint16_t last;
        assert_true(s < 8);
        al_router_slots(s, 8, &first, &last);
        assert_in_range(al_doc_slot(20, al_str_c(id)), first, last);
        used[s]++;
    }
    for (size_t i = 0; i < 8; i++)
        assert_in_range(used[i], 350, 650);
}

static void test_tokens_come_back(void **state)
{
    (void)state;
    const struct al_router r = {.n_shards = 4};
    struct al_arena a;
    struct al_err err = {0};
    struct al_token t;
    struct al_token back;
    struct al_str text;
    al_arena_init(&a, NULL, 1u << 20);
    AL_CHECK_OK(al_token_init(&r, &a, &t, &err), err);
    AL_CHECK_OK(al_token_format(&r, &t, &a, &text, &err), err);
    assert_int_equal(text.n, 0);
    t.index[1] = 0x42;
    t.index[3] = UINT64_MAX;
    AL_CHECK_OK(al_token_format(&r, &t, &a, &text, &err), err);
    assert_true(al_str_is(text, "1:42,3:ffffffffffffffff"));
    AL_CHECK_OK(al_token_parse(&r, text, &a, &back, &err), err);
    assert_memory_equal(t.index, back.index, 4 * sizeof *t.index);
    al_arena_fini(&a);
}

static void test_bad_tokens_are_refused(void **state)
{
    (void)state;
    const struct al_router r = {.n_shards = 4};
    static const char *const bad[] = {"x",    ":",    "1:",       ":1",
                                      "4:1",  "1:g",  "1:1,,2:2", "1;1",
                                      "-1:1", "1:1 ", "0x1:1",    "1:11112222333344445"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        struct al_arena a;
        struct al_err err = {0};
        struct al_token t;
        al_arena_init(&a, NULL, 1u << 20);
        AL_CHECK(bad[i], al_token_parse(&r, al_str_c(bad[i]), &a, &t, &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(bad[i], strcmp(err.reason, "BAD_TOKEN") == 0);
        al_arena_fini(&a);
    }
}

static void test_a_token_of_what_is_not_written_is_refused_at_once(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_token t;
    core_open(&c, 2);
    core_put(&c, 20, "x", "", "text");
    AL_CHECK_OK(al_token_init(&c.router, &c.arena, &t, &err), err);
    t.index[1] = 1u << 30; /* waiting for it would last until the deadline: here for ever */
    assert_int_equal(al_token_wait(&c.router, &t, AL_DEADLINE_NONE, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_TOKEN");
    t.index[1] = 1;
    AL_CHECK_OK(al_token_wait(&c.router, &t, AL_DEADLINE_NONE, &err), err);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_cover_all_without_overlap),
        cmocka_unit_test(test_documents_go_where_their_slot_is),
        cmocka_unit_test(test_tokens_come_back),
        cmocka_unit_test(test_bad_tokens_are_refused),
        cmocka_unit_test(test_a_token_of_what_is_not_written_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
