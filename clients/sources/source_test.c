#include "airlore/source.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "airlore/testing.h"

static void test_paths_from_outside(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *path;
        const char *id; /* NULL: refused */
    } cases[] = {
        {"plain", "a.md", "a.md"},
        {"folder", "a/b.md", "a/b.md"},
        {"dot slash", "./a.md", "a.md"},
        {"absolute", "/a.md", NULL},
        {"up", "../a.md", NULL},
        {"up inside", "a/../b.md", NULL},
        {"up at the end", "a/..", NULL},
        {"dot inside", "a/./b.md", NULL},
        {"empty part", "a//b.md", NULL},
        {"slash at the end", "a/", NULL},
        {"empty", "", NULL},
        {"backslash", "a\\b.md", NULL},
        {"newline", "a\nb.md", NULL},
        {"delete", "a\x7f.md", NULL},
        {"not UTF-8", "a\xff.md", NULL},
        {"overlong slash", "a\xc0\xaf.md", NULL},
        {"three dots", ".../a.md", ".../a.md"},
        {"UTF-8", "\xec\x95\xbd.md", "\xec\x95\xbd.md"},
        {"dot slash twice", "././a.md", NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const char *id = NULL;
        enum al_code code = al_source_check_path(cases[i].path, &id, NULL);
        AL_CHECK(cases[i].name, (code == AL_OK) == (cases[i].id != NULL));
        AL_CHECK(cases[i].name, !cases[i].id || strcmp(id, cases[i].id) == 0);
    }
}

static void test_paths_have_limits(void **state)
{
    (void)state;
    char path[2000];
    const char *id = NULL;
    struct al_err err;
    memset(path, 'a', sizeof path);
    path[512] = '\0';
    AL_CHECK_OK(al_source_check_path(path, &id, &err), err);
    path[512] = 'a';
    path[513] = '\0';
    assert_int_equal(al_source_check_path(path, &id, &err), AL_INVALID_ARGUMENT);
    for (size_t i = 0; i < 258; i++)
        path[i] = i % 2 ? '/' : 'a';
    path[257] = '\0'; /* 129 parts: 128 folders */
    AL_CHECK_OK(al_source_check_path(path, &id, &err), err);
    path[257] = '/';
    path[258] = 'a';
    path[259] = '\0';
    assert_int_equal(al_source_check_path(path, &id, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_DEEP");
}

static void test_suffixes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_document;
    } cases[] = {{"a.md", true},   {"a.MD", true},    {"a.markdown", true}, {"a.htm", true},
                 {"a.rst", true},  {"a.json", false}, {".md", false},       {"md", false},
                 {"a.md.", false}, {"a.", false},     {"", false},          {"a.tar.txt", true},
                 {"x.d/a", false}, {"x/.md", false},  {"a.pdf", true},      {"x.md/", false}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].name,
                 (al_source_media_type(cases[i].name) != NULL) == cases[i].is_document);
}

static void test_what_is_never_looked_at(void **state)
{
    (void)state;
    assert_true(al_source_is_ignored_path("a/.git/b.md"));
    assert_true(al_source_is_ignored_path("node_modules/b.md"));
    assert_true(al_source_is_ignored_path("a/__pycache__/x.py"));
    assert_true(al_source_is_ignored_path("a/.b.md"));
    assert_false(al_source_is_ignored_path("a/b.c/node_modules2/x.md"));
}

static void test_cache_folder(void **state)
{
    (void)state;
    char dir[300];
    char want[600];
    char got[600];
    struct al_err err;
    struct stat st;
    al_test_dir(dir, sizeof dir);
    setenv("XDG_CACHE_HOME", dir, 1);
    snprintf(want, sizeof want, "%s/airlore/kind", dir);
    AL_CHECK_OK(al_source_cache_dir("kind", got, sizeof got, &err), err);
    assert_string_equal(got, want);
    assert_int_equal(stat(got, &st), 0);
    assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 077) == 0);
    AL_CHECK_OK(al_source_cache_dir("kind", got, sizeof got, &err), err);
    assert_int_equal(al_source_cache_dir("kind", got, 10, &err), AL_INVALID_ARGUMENT);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(al_source_cache_dir("kind", got, sizeof got, &err), AL_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_from_outside), cmocka_unit_test(test_paths_have_limits),
        cmocka_unit_test(test_suffixes),           cmocka_unit_test(test_what_is_never_looked_at),
        cmocka_unit_test(test_cache_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
