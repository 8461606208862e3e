#include "airlore/testing.h"

#include <stdio.h>
#include <string.h>

#include "airlore/random.h"
#include "airlore/sketch.h"

/* A page of about 120 words with three places that differ. */
static struct al_str page(struct al_arena *a, const char *service, const char *seconds,
                          const char *more)
{
    char *s = al_arena_printf(
        a,
        "When the %s does not answer, first look at its log and at the log of the scheduler. Then "
        "restart it, and wait until the health check is green again; that takes a while on a slow "
        "disk. If the restart does not help, take the host out of the load balancer and tell the "
        "people on call, who know how to reach the owners at night. Never delete rows by hand "
        "while "
        "it runs, because half of the records would point to nothing afterwards and nobody could "
        "say which. The limit for one request is %s seconds, and a request that needs longer is "
        "cut without a message, so look for missing lines at the end of the output. After the "
        "incident write down what happened, what was tried, and what helped in the end. %s",
        service, seconds, more);
    assert_non_null(s);
    return al_str_c(s);
}

static bool folds(struct al_arena *a, struct al_str x, struct al_str y)
{
    bool ret = false;
    struct al_err err = {0};
    AL_CHECK_OK(al_texts_fold(x, y, a, &ret, &err), err);
    bool back = false;
    AL_CHECK_OK(al_texts_fold(y, x, a, &back, &err), err);
    assert_int_equal(ret, back);
    return ret;
}

static double similarity(struct al_str x, struct al_str y)
{
    char a[AL_SKETCH_CHARS];
    char b[AL_SKETCH_CHARS];
    assert_true(al_sketch_make(x, a));
    assert_true(al_sketch_make(y, b));
    return al_sketch_similarity((struct al_str){a, sizeof a}, (struct al_str){b, sizeof b});
}

static void test_what_folds_and_what_only_looks_alike(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    struct al_str base = page(&a, "web server", "30", "");
    struct {
        const char *name;
        struct al_str other;
        bool fold;
    } cases[] = {
        {"the same", page(&a, "web server", "30", ""), true},
        {"one sentence more", page(&a, "web server", "30", "Thank those who helped."), true},
        {"another number", page(&a, "web server", "60", ""), false},
        {"another service, same template", page(&a, "database", "30", ""), false},
        {"another name in capitals", page(&a, "Web server", "30", "See LDAP."), true},
        {"numbers that change places", page(&a, "web server", "60", "Thirty days are kept: 30."),
         false},
        {"a name written in one word", page(&a, "web-server", "30", ""), true},
        {"much more",
         page(&a, "web server", "30",
              "There is a second part about quite different things, namely how the "
              "nightly export reads its files, which of them it leaves out, where the "
              "rest is kept and for how long, and who may see it at all."),
         false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        AL_CHECK(cases[i].name, folds(&a, base, cases[i].other) == cases[i].fold);
        /* the estimate alone does not tell them apart: all of them are candidates */
        AL_CHECK(cases[i].name,
                 i + 1 == AL_ARRAY_LEN(cases) || similarity(base, cases[i].other) > 0.7);
    }
    assert_false(folds(&a, page(&a, "run:web", "30", ""), page(&a, "run-web", "30", "")));
    al_arena_fini(&a);
}

static void test_estimates_follow_the_overlap(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_seeded_random r;
    al_arena_init(&a, NULL, 1 << 26);
    al_seeded_random_init(&r, 11);
    double worst = 0;
    for (int share = 0; share <= 100; share += 10) {
        double sum = 0;
        for (int round = 0; round < 20; round++) {
            struct al_buf x;
            struct al_buf y;
            al_buf_init(&x, al_arena_mem(&a), 0);
            al_buf_init(&y, al_arena_mem(&a), 0);
            for (int i = 0; i < 400; i++) {
                uint64_t word = al_random_below(&r.random, 1u << 30);
                bool same = i * 100 < share * 400;
                al_buf_printf(&x, "w%llu ", (unsigned long long)word);
                al_buf_printf(
                    &y, "w%llu ",
                    (unsigned long long)(same ? word : al_random_below(&r.random, 1u << 30)));
            }
            sum += similarity(al_buf_view(&x), al_buf_view(&y));
        }
        double jaccard = share / (200.0 - share);
        double off = sum / 20 - jaccard;
        worst = off > worst ? off : -off > worst ? -off : worst;
    }
    assert_true(worst < 0.06);
    al_arena_fini(&a);
}

static void test_short_and_broken(void **state)
{
    (void)state;
    char s[AL_SKETCH_CHARS];
    struct al_str ok = {s, sizeof s};
    memset(s, 'x', sizeof s);
    assert_false(al_sketch_make(AL_STR("too short to be told from others"), s));
    assert_int_equal(s[0], 'x');
    assert_false(al_sketch_make(AL_STR(""), s));
    assert_true(al_sketch_similarity(ok, AL_STR("")) == 0);
    assert_true(al_sketch_similarity(AL_STR("abc"), AL_STR("abc")) == 0);
    char bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 % 256);
    (void)al_sketch_make((struct al_str){bytes, sizeof bytes}, s);
}

static void test_memory(void **state)
{
    (void)state;
    struct al_arena big;
    al_arena_init(&big, NULL, 1 << 20);
    struct al_str x = page(&big, "web server", "30", "");
    bool reached = false;
    for (size_t limit = 64; limit < 200000 && !reached; limit *= 2) {
        struct al_arena small;
        bool ret = false;
        struct al_err err = {0};
        al_arena_init(&small, NULL, limit);
        enum al_code c = al_texts_fold(x, x, &small, &ret, &err);
        reached = c == AL_OK;
        assert_true(reached ? ret : c == AL_RESOURCE_EXHAUSTED);
        al_arena_fini(&small);
    }
    assert_true(reached);
    al_arena_fini(&big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_folds_and_what_only_looks_alike),
        cmocka_unit_test(test_estimates_follow_the_overlap),
        cmocka_unit_test(test_short_and_broken),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("text.sketch", tests, NULL, NULL);
}
