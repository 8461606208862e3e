#include "airlore/testing.h"

#include <math.h>

#include "airlore/ask.h"
#include "core_fixture.h"

static struct al_items_context context(struct core *c)
{
    return (struct al_items_context){&c->router,        c->system,    c->embedder,
                                     al_clock_system(), c->directory, c->once};
}

static void add_team(struct core *c, const char *name)
{
    struct al_err err = {0};
    struct al_team t;
    AL_CHECK_OK(al_directory_add_team(c->directory, name, &t, &err), err);
}

/* Two teams, a contributor of each, and a document of red's. */
struct two {
    struct core core;
    struct al_items_context ctx;
    const struct al_credential *red;
    const struct al_credential *blue;
};

static void put(struct two *t, const struct al_credential *cred, const char *id, const char *text)
{
    static const uint8_t no_write_id[16];
    struct al_err err = {0};
    struct al_item it = {.id = al_str_c(id), .content = al_str_c(text)};
    struct al_target to = {.space = cred->own_space,
                           .visibility = AL_VIS_TEAM,
                           .team = cred->key->team,
                           .deployment = ""};
    struct al_doc d;
    uint32_t n;
    struct al_write_result res;
    AL_CHECK_OK(al_item_prepare(&it, &to, t->core.embedder, 1, &t->core.arena, &d, &n, &err), err);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_shard_port *p = t->core.port[al_router_of_doc(&t->core.router, to.space, d.id)];
    AL_CHECK_OK(p->ops->write(p, &op, 1, no_write_id, AL_DEADLINE_NONE, &t->core.arena, &res, &err),
                err);
}

static void two_open(struct two *t)
{
    core_open(&t->core, 2);
    add_team(&t->core, "red");
    add_team(&t->core, "blue");
    t->ctx = context(&t->core);
    t->red = core_key(&t->core, "red", "", AL_ROLE_CONTRIBUTOR);
    t->blue = core_key(&t->core, "blue", "", AL_ROLE_CONTRIBUTOR);
    put(t, t->red, "s1", "The zebrafish warehouse times out at night; raise statement_timeout.");
}

static enum al_code del(struct two *t, const struct al_credential *cred, struct al_str id,
                        uint32_t space, bool *ret_deleted, struct al_err *err)
{
    struct al_delete_request req = {.id = id, .space = space};
    struct al_deletion d = {0};
    AL_TRY(al_items_delete(&t->ctx, cred, &req, &t->core.arena, &d, err));
    *ret_deleted = d.deleted;
    return AL_OK;
}

static enum al_code withdraw(struct two *t, const struct al_credential *cred, struct al_str id,
                             struct al_err *err)
{
    struct al_withdraw_request req = {.id = id};
    struct al_withdrawal w;
    return al_items_withdraw(&t->ctx, cred, &req, &t->core.arena, &w, err);
}

static size_t found_by(struct two *t, const struct al_credential *cred)
{
    return core_search(&t->core, "zebrafish warehouse", AL_MODE_HYBRID, 10, cred->spaces,
                       cred->n_spaces)
        .n_hits;
}

static void test_get_and_delete_stay_in_reach(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    struct al_doc d;
    bool deleted = true;
    two_open(&t);
    AL_CHECK_OK(al_items_get(&t.ctx, t.red, AL_STR("s1"), 0, false, &t.core.arena, &d, &err), err);
    assert_int_equal(al_items_get(&t.ctx, t.blue, AL_STR("s1"), 0, false, &t.core.arena, &d, &err),
                     AL_NOT_FOUND);
    /* naming the space does not help */
    assert_int_equal(al_items_get(&t.ctx, t.blue, AL_STR("s1"), t.red->team_space, false,
                                  &t.core.arena, &d, &err),
                     AL_NOT_FOUND);
    AL_CHECK_OK(del(&t, t.blue, AL_STR("s1"), 0, &deleted, &err), err);
    assert_false(deleted);
    AL_CHECK_OK(del(&t, t.red, AL_STR("s1"), 0, &deleted, &err), err);
    assert_true(deleted);
    assert_int_equal(found_by(&t, t.red), 0);
    const struct al_credential *reader = core_key(&t.core, "red", "", AL_ROLE_READER);
    assert_int_equal(del(&t, reader, AL_STR("s1"), 0, &deleted, &err), AL_PERMISSION_DENIED);
    assert_string_equal(err.reason, "ROLE_MISSING");
    core_close(&t.core);
}

static enum al_code promote(const struct al_items_context *ctx, const struct al_credential *cred,
                            struct al_str digest, struct al_arena *a, struct al_promotion *ret,
                            struct al_err *err)
{
    struct al_promote_request req = {.id = AL_STR("s1"), .digest = digest};
    return al_items_promote(ctx, cred, &req, a, ret, err);
}

static void test_promotion_needs_the_digest_of_what_is_shared(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    struct al_promotion p;
    struct al_arena *a = &t.core.arena;
    two_open(&t);
    AL_CHECK_OK(promote(&t.ctx, t.red, AL_STR(""), a, &p, &err), err);
    struct al_str digest = p.digest;
    assert_false(p.promoted);
    assert_int_equal(found_by(&t, t.blue), 0);
    assert_int_equal(promote(&t.ctx, t.red, AL_STR("0123"), a, &p, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "PREVIEW_STALE");
    assert_int_equal(promote(&t.ctx, t.blue, digest, a, &p, &err), AL_NOT_FOUND);
    put(&t, t.red, "s1", "The zebrafish warehouse was changed meanwhile.");
    assert_int_equal(promote(&t.ctx, t.red, digest, a, &p, &err), AL_FAILED_PRECONDITION);
    AL_CHECK_OK(promote(&t.ctx, t.red, AL_STR(""), a, &p, &err), err);
    AL_CHECK_OK(promote(&t.ctx, t.red, p.digest, a, &p, &err), err);
    assert_true(p.promoted);
    assert_int_equal(found_by(&t, t.blue), 1);
    assert_int_equal(found_by(&t, t.red), 1); /* the copy of one's own is not shown twice */
    core_close(&t.core);
}

static void test_the_community_sees_a_pseudonym_until_withdrawn(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    struct al_promotion p;
    struct al_arena *a = &t.core.arena;
    two_open(&t);
    AL_CHECK_OK(promote(&t.ctx, t.red, AL_STR(""), a, &p, &err), err);
    AL_CHECK_OK(promote(&t.ctx, t.red, p.digest, a, &p, &err), err);
    struct al_query_result r =
        core_search(&t.core, "zebrafish", AL_MODE_HYBRID, 10, t.blue->spaces, t.blue->n_spaces);
    assert_int_equal(r.n_hits, 1);
    assert_true(al_str_is(r.hits[0].doc->team, t.red->pseudonym));
    assert_true(al_str_find(r.hits[0].doc->id, AL_STR("red"), 0) == SIZE_MAX);
    assert_int_equal(withdraw(&t, t.blue, AL_STR("s1"), &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "ITEM_STATE");
    core_reopen(&t.core);
    t.ctx = context(&t.core);
    AL_CHECK_OK(withdraw(&t, t.red, AL_STR("s1"), &err), err);
    assert_int_equal(found_by(&t, t.blue), 0);
    assert_int_equal(found_by(&t, t.red), 1);
    core_close(&t.core);
}

static void share(struct two *t, const struct al_credential *cred)
{
    struct al_err err = {0};
    struct al_promotion p;
    struct al_arena *a = &t->core.arena;
    AL_CHECK_OK(promote(&t->ctx, cred, AL_STR(""), a, &p, &err), err);
    AL_CHECK_OK(promote(&t->ctx, cred, p.digest, a, &p, &err), err);
}

static void test_a_renamed_team_leaves_no_copy_behind(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    struct al_doc d;
    two_open(&t);
    struct al_arena *a = &t.core.arena;
    share(&t, t.red);
    const bool yes = true;
    struct al_team red;
    AL_CHECK_OK(al_directory_change_team(t.core.directory, "red",
                                         &(struct al_team_change){.named = &yes}, &red, &err),
                err);
    const struct al_credential *named = core_key(&t.core, "red", "", AL_ROLE_CONTRIBUTOR);
    share(&t, named);
    char *old = al_arena_printf(a, "%s/s1", t.red->pseudonym);
    assert_int_equal(al_items_get(&t.ctx, t.blue, al_str_c(old), 0, false, a, &d, &err),
                     AL_NOT_FOUND);
    AL_CHECK_OK(al_items_get(&t.ctx, t.blue, AL_STR("red/s1"), 0, false, a, &d, &err), err);
    /* the id of the copy will do as well */
    AL_CHECK_OK(withdraw(&t, named, AL_STR("red/s1"), &err), err);
    assert_int_equal(found_by(&t, t.blue), 0);
    core_close(&t.core);
}

static void test_readers_of_a_team_do_not_take_back_what_it_shared(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    two_open(&t);
    struct al_arena *a = &t.core.arena;
    share(&t, t.red);
    char readable[1][AL_NAME_BYTES_MAX + 1] = {"red"};
    struct al_key want = {
        .team = "blue", .role = AL_ROLE_CONTRIBUTOR, .readable = readable, .n_readable = 1};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    const struct al_credential *spy = NULL;
    AL_CHECK_OK(al_directory_add_key(t.core.directory, &want, text, &k, &err), err);
    AL_CHECK_OK(al_directory_authenticate(t.core.directory, al_str_c(text), a, &spy, &err), err);
    assert_int_equal(withdraw(&t, spy, AL_STR("s1"), &err), AL_FAILED_PRECONDITION);
    /* its own item of the same id is found although red's comes first */
    put(&t, spy, "s1", "A zebrafish warehouse of our own.");
    share(&t, spy);
    AL_CHECK_OK(withdraw(&t, spy, AL_STR("s1"), &err), err);
    AL_CHECK_OK(withdraw(&t, t.red, AL_STR("s1"), &err), err);
    core_close(&t.core);
}

static void test_a_deletion_without_a_space_stays_near(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    struct al_deployment dep;
    bool deleted = true;
    two_open(&t);
    AL_CHECK_OK(al_directory_add_deployment(t.core.directory, "red", "prod", &dep, &err), err);
    const struct al_credential *prod = core_key(&t.core, "red", "prod", AL_ROLE_CONTRIBUTOR);
    put(&t, prod, "only-prod", "Something of the deployment.");
    const struct al_credential *team = core_key(&t.core, "red", "", AL_ROLE_CONTRIBUTOR);
    AL_CHECK_OK(del(&t, team, AL_STR("only-prod"), 0, &deleted, &err), err);
    assert_false(deleted);
    AL_CHECK_OK(del(&t, team, AL_STR("only-prod"), dep.space, &deleted, &err), err);
    assert_true(deleted);
    core_close(&t.core);
}

static void test_reviewers_delete_from_the_community(void **state)
{
    (void)state;
    struct two t;
    struct al_err err = {0};
    bool deleted = false;
    two_open(&t);
    share(&t, t.red);
    char *id = al_arena_printf(&t.core.arena, "%s/s1", t.red->pseudonym);
    assert_int_equal(del(&t, t.blue, al_str_c(id), AL_SPACE_COMMUNITY, &deleted, &err),
                     AL_PERMISSION_DENIED);
    const struct al_credential *reviewer = core_key(&t.core, "blue", "", AL_ROLE_REVIEWER);
    AL_CHECK_OK(del(&t, reviewer, al_str_c(id), AL_SPACE_COMMUNITY, &deleted, &err), err);
    assert_true(deleted);
    core_close(&t.core);
}

static void ask(struct two *t, const char *question, struct al_answer *ret)
{
    struct al_err err = {0};
    struct al_query_context ctx = {&t->core.router, t->core.embedder, NULL};
    struct al_ask_options o = {.query = {.text = al_str_c(question),
                                         .k = 8,
                                         .mode = AL_MODE_HYBRID,
                                         .vector_weight = NAN,
                                         .spaces = t->red->spaces,
                                         .n_spaces = t->red->n_spaces,
                                         .deadline_ns = AL_DEADLINE_NONE},
                               .min_relevance = NAN,
                               .sentences_max = 3};
    AL_CHECK_OK(al_ask(&ctx, &o, &t->core.arena, ret, &err), err);
}

static void test_an_answer_cites_every_sentence_or_abstains(void **state)
{
    (void)state;
    struct two t;
    struct al_answer ans;
    two_open(&t);
    put(&t, t.red, "d1",
        "A sensor waits for a condition. Use deferrable mode so that the worker slot is freed "
        "while "
        "the sensor waits. Pools limit how many tasks run at once.");
    ask(&t, "How do I free the worker slot while a sensor waits?", &ans);
    assert_false(ans.abstained);
    assert_true(ans.n_sentences >= 1 && ans.n_sources >= 1);
    for (size_t i = 0; i < ans.n_sentences; i++) {
        assert_in_range(ans.sentences[i].source, 1, ans.n_sources);
        /* word for word from the source */
        const struct al_hit *h = ans.sources[ans.sentences[i].source - 1];
        assert_true(al_str_find(h->text, ans.sentences[i].text, 0) != SIZE_MAX);
    }
    assert_true(al_str_find(ans.text, AL_STR("deferrable"), 0) != SIZE_MAX);
    assert_true(al_str_find(ans.text, AL_STR("[1]"), 0) != SIZE_MAX);
    ask(&t, "What is the boiling point of tungsten hexafluoride?", &ans);
    assert_true(ans.abstained);
    assert_int_equal(ans.n_sentences, 0);
    assert_true(ans.n_sources >= 1); /* the nearest ones */
    assert_true(ans.text.n > 0);
    core_close(&t.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_delete_stay_in_reach),
        cmocka_unit_test(test_promotion_needs_the_digest_of_what_is_shared),
        cmocka_unit_test(test_the_community_sees_a_pseudonym_until_withdrawn),
        cmocka_unit_test(test_an_answer_cites_every_sentence_or_abstains),
        cmocka_unit_test(test_a_renamed_team_leaves_no_copy_behind),
        cmocka_unit_test(test_readers_of_a_team_do_not_take_back_what_it_shared),
        cmocka_unit_test(test_a_deletion_without_a_space_stays_near),
        cmocka_unit_test(test_reviewers_delete_from_the_community),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
