#include "term.h"

#include <stdlib.h>

#include "airlore/testing.h"

static void test_columns(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
    } cases[] = {{"", 0},       {"abc", 3},       {"\xc3\xbc", 1},
                 {"데이터", 6}, {"e\xcc\x81", 1}, {"\033[31mx", 5},
                 {"a\tb", 2},   {"\xff\xfe", 2},  {"\xf0\x9f\x98\x80", 2}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].text, al_cli_columns(al_str_c(cases[i].text)) == cases[i].columns);
}

/* Everything printed into a text. */
static char *printed(void (*put)(FILE *f, struct al_str s), struct al_str s)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    put(f, s);
    fclose(f);
    return text;
}

static void test_nothing_drives_the_terminal(void **state)
{
    (void)state;
    static const char right_to_left[] = {'x', '\xe2', '\x80', '\xae', 'y', '\0'};
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {{"a\033[2Jb", "a[2Jb"},
                 {"a\nb\tc", "a b c"},
                 {"\xc2\x9b"
                  "31mx",
                  "31mx"},
                 {right_to_left, "xy"},
                 {"ok \xff", "ok \xef\xbf\xbd"},
                 {"데이터", "데이터"}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char *got = printed(al_cli_put, al_str_c(cases[i].text));
        AL_CHECK(cases[i].want, strcmp(got, cases[i].want) == 0);
        free(got);
    }
}

static void test_wrap(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
        const char *lines; /* joined by | */
    } cases[] = {
        {"", 10, ""},
        {"one two three", 7, "one two|three"},
        {"one two three", 8, "one two|three"},
        {"one two three", 3, "one|two|thr|ee"},
        {"one\ntwo", 10, "one|two"},
        {"one\n\ntwo", 10, "one||two"},
        {"abcdefghij", 4, "abcd|efgh|ij"},
        {"데이터이동", 4, "데이|터이|동"},
        {"a  b", 10, "a  b"},
        {"word\xff word", 6, "word\xff|word"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_buf b;
        al_buf_init(&b, NULL, 0);
        struct al_str line;
        bool first = true;
        for (size_t at = 0; al_cli_wrap(al_str_c(cases[i].text), cases[i].columns, &at, &line);) {
            if (!first)
                al_buf_char(&b, '|');
            al_buf_str(&b, line);
            first = false;
        }
        AL_CHECK(cases[i].text, al_str_is(al_buf_view(&b), cases[i].lines));
        al_buf_fini(&b);
    }
}

/* Every byte of any text comes out or is a blank or line end at a break, in any width. */
static void test_wrap_always_ends(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        size_t n = (size_t)round % sizeof text;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = (char)(seed >> 24);
        }
        size_t columns = 1 + (size_t)round % 9;
        size_t at = 0;
        size_t steps = 0;
        struct al_str line;
        while (al_cli_wrap((struct al_str){text, n}, columns, &at, &line)) {
            assert_true(line.p >= text && line.p + line.n <= text + n);
            assert_true(++steps <= n + 1);
        }
        assert_int_equal(at, n);
    }
}

static void put_cell(FILE *f, struct al_str s)
{
    al_cli_put_cell(f, s, 6);
}

static void test_cells(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {{"abc", "abc   "},
                 {"abcdef", "abcdef"},
                 {"abcdefg", "abc..."},
                 {"데이터터", "데... "},
                 {"", "      "}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char *got = printed(put_cell, al_str_c(cases[i].text));
        AL_CHECK(cases[i].want, strcmp(got, cases[i].want) == 0);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_nothing_drives_the_terminal),
        cmocka_unit_test(test_wrap),    cmocka_unit_test(test_wrap_always_ends),
        cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
