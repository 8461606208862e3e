#include "robots.h"

#include "airlore/testing.h"

static bool allowed(const char *text, const char *path, uint32_t *delay)
{
    struct al_arena a;
    struct al_robots r;
    struct al_err err;
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(al_robots_parse(al_str_c(text), "airlore", &a, &r, &err), err);
    bool is = al_robots_allow(&r, path);
    if (delay)
        *delay = r.delay_s;
    al_arena_fini(&a);
    return is;
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *path;
        bool allow;
    } cases[] = {
        {"empty", "", "/x", true},
        {"disallow all", "User-agent: *\nDisallow: /\n", "/x", false},
        {"empty disallow", "User-agent: *\nDisallow:\n", "/x", true},
        {"prefix", "User-agent: *\nDisallow: /a\n", "/ab", false},
        {"other", "User-agent: *\nDisallow: /a\n", "/b", true},
        {"longest wins", "User-agent: *\nDisallow: /a\nAllow: /a/b\n", "/a/b/c", true},
        {"longest wins, order", "User-agent: *\nAllow: /a/b\nDisallow: /a\n", "/a/b/c", true},
        {"allow on a tie", "User-agent: *\nDisallow: /a\nAllow: /a\n", "/a", true},
        {"own group", "User-agent: *\nDisallow: /\n\nUser-agent: Airlore/9\nDisallow: /z\n", "/x",
         true},
        {"own group rules", "User-agent: *\nDisallow:\n\nUser-agent: airlore\nDisallow: /z\n", "/z",
         false},
        {"two groups of ours",
         "User-agent: airlore\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: "
         "airlore\nDisallow: /c\n",
         "/c", false},
        {"shared group", "User-agent: x\nUser-agent: airlore\nDisallow: /a\n", "/a", false},
        {"another's group", "User-agent: airlorebot\nDisallow: /\n", "/a", true},
        {"star", "User-agent: *\nDisallow: /*.pdf\n", "/a/b.pdf?x", false},
        {"end", "User-agent: *\nDisallow: /*.pdf$\n", "/a/b.pdf?x", true},
        {"end matches", "User-agent: *\nDisallow: /*.pdf$\n", "/a/b.pdf", false},
        {"end after two tries", "User-agent: *\nDisallow: /*a$\n", "/aba", false},
        {"comment", "User-agent: * # all\nDisallow: /a # b\n", "/a", false},
        {"carriage returns", "User-agent: *\rDisallow: /a\r", "/a", false},
        {"byte order mark", "\xef\xbb\xbfUser-agent: *\nDisallow: /a\n", "/a", false},
        {"upper case", "USER-AGENT: *\nDISALLOW: /a\n", "/a", false},
        {"no group", "Disallow: /\n", "/a", true},
        {"query", "User-agent: *\nDisallow: /?q=\n", "/?q=1", false},
        {"only a star", "User-agent: *\nDisallow: *\n", "/a", false},
        {"only the end", "User-agent: *\nDisallow: $\n", "/a", true},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].name, allowed(cases[i].text, cases[i].path, NULL) == cases[i].allow);
}

static void test_delay(void **state)
{
    (void)state;
    uint32_t delay = 0;
    allowed("User-agent: *\nCrawl-delay: 7\n", "/", &delay);
    assert_int_equal(delay, 7);
    allowed("User-agent: *\nCrawl-delay: 99999\n", "/", &delay);
    assert_int_equal(delay, 60);
    allowed("User-agent: *\nCrawl-delay: 2.5\n", "/", &delay);
    assert_int_equal(delay, 2);
    allowed("User-agent: *\nCrawl-delay: -1\n", "/", &delay);
    assert_int_equal(delay, 0);
}

/* 512 KiB of stars: bounded. */
static void test_many_stars(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_buf_cstr(&b, "User-agent: *\nDisallow: /");
    for (int i = 0; i < 100000; i++)
        al_buf_cstr(&b, "*a");
    al_buf_cstr(&b, "b\n");
    char path[2000];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_true(allowed(b.p, path, NULL));
    al_buf_fini(&b);
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (size_t limit = 1;; limit += 16) {
        struct al_arena a;
        struct al_robots r = {.n = 77};
        al_arena_init(&a, NULL, limit);
        enum al_code code =
            al_robots_parse(AL_STR("User-agent: *\nDisallow: /a\nDisallow: /b\nAllow: /c\n"),
                            "airlore", &a, &r, NULL);
        al_arena_fini(&a);
        assert_true(code == AL_OK || (code == AL_RESOURCE_EXHAUSTED && r.n == 77));
        if (code == AL_OK)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_many_stars),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
