#include "airlore/testing.h"

#include <math.h>

#include "fuse.h"

static struct al_candidate cand(const char *id, float text, float vector)
{
    return (struct al_candidate){.space = 1,
                                 .id = al_str_c(id),
                                 .text_score = text,
                                 .vector_score = vector,
                                 .has_text = true,
                                 .has_vector = true};
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void test_min_max_scales_by_the_maxima_over_fixed_minima(void **state)
{
    (void)state;
    struct al_candidate c[] = {cand("a", 10, 0.25f), cand("b", 5, 0.5f), cand("c", 0, -0.5f)};
    struct al_fused f[] = {{.cand = &c[2]}, {.cand = &c[0]}, {.cand = &c[1]}};
    al_fuse(f, 3, AL_MODE_HYBRID, AL_FUSION_MIN_MAX, 0.4);
    assert_ptr_equal(f[0].cand, &c[0]);
    assert_true(near(f[0].score, 0.6 * 1 + 0.4 * 0.5));
    assert_ptr_equal(f[1].cand, &c[1]);
    assert_true(near(f[1].score, 0.6 * 0.5 + 0.4 * 1));
    assert_true(near(f[2].score, 0)); /* a negative cosine counts as none */
}

static void test_a_leg_without_scores_leaves_its_weight(void **state)
{
    (void)state;
    struct al_candidate text_only = cand("a", 3, 0);
    struct al_candidate vector_only = cand("b", 0, 0.3f);
    struct al_fused f = {.cand = &text_only};
    al_fuse(&f, 1, AL_MODE_HYBRID, AL_FUSION_MIN_MAX, 0.4);
    assert_true(near(f.score, 1));
    f.cand = &vector_only;
    al_fuse(&f, 1, AL_MODE_HYBRID, AL_FUSION_MIN_MAX, 0.4);
    assert_true(near(f.score, 1));
}

static void test_ranks_fuse_by_reciprocals(void **state)
{
    (void)state;
    struct al_candidate c[] = {cand("a", 1, 1), cand("b", 9, 9)};
    struct al_fused f[] = {{.cand = &c[1], .text_rank = 2},
                           {.cand = &c[0], .text_rank = 1, .vector_rank = 3}};
    al_fuse(f, 2, AL_MODE_HYBRID, AL_FUSION_RRF, 0.5);
    assert_ptr_equal(f[0].cand, &c[0]); /* scores do not count */
    assert_true(near(f[0].score, 1.0 / 61 + 1.0 / 63));
    assert_true(near(f[1].score, 1.0 / 62));
}

static void test_single_legs_keep_their_scores(void **state)
{
    (void)state;
    struct al_candidate c[] = {cand("a", 1, 0.9f), cand("b", 2, 0.1f)};
    struct al_fused f[] = {{.cand = &c[0]}, {.cand = &c[1]}};
    al_fuse(f, 2, AL_MODE_TEXT, AL_FUSION_MIN_MAX, 0.4);
    assert_ptr_equal(f[0].cand, &c[1]);
    assert_true(near(f[0].score, 2));
    al_fuse(f, 2, AL_MODE_VECTOR, AL_FUSION_MIN_MAX, 0.4);
    assert_ptr_equal(f[0].cand, &c[0]);
    al_fuse(NULL, 0, AL_MODE_HYBRID, AL_FUSION_MIN_MAX, 0.4); /* nothing is fine */
}

static void test_ties_are_broken_by_id_space_chunk(void **state)
{
    (void)state;
    struct al_candidate a = cand("a", 1, 1);
    struct al_candidate b = cand("b", 1, 1);
    struct al_candidate far = cand("a", 1, 1);
    struct al_candidate later = cand("a", 1, 1);
    far.space = 2;
    later.chunk = 1;
    assert_true(al_candidate_cmp(&a, 1, &b, 1) < 0);
    assert_true(al_candidate_cmp(&a, 1, &b, 2) > 0);
    assert_true(al_candidate_cmp(&far, 1, &a, 1) > 0);
    assert_true(al_candidate_cmp(&a, 1, &later, 1) < 0);
    assert_int_equal(al_candidate_cmp(&a, 1, &a, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_min_max_scales_by_the_maxima_over_fixed_minima),
        cmocka_unit_test(test_a_leg_without_scores_leaves_its_weight),
        cmocka_unit_test(test_ranks_fuse_by_reciprocals),
        cmocka_unit_test(test_single_legs_keep_their_scores),
        cmocka_unit_test(test_ties_are_broken_by_id_space_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
