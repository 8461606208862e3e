/* Promotion to the team and the community, by whom, under which name, and back. */
#include "airlore/testing.h"

#include "core_fixture.h"
#include "fault_port.h"

struct site {
    struct core core;
    struct al_items_context ctx;
    const struct al_credential *prod;  /* of a deployment of red */
    const struct al_credential *red;   /* of the team */
    const struct al_credential *blue;  /* another team */
    const struct al_credential *judge; /* a reviewer of blue who reads red */
};

static const struct al_credential *reviewer(struct core *c)
{
    struct al_err err = {0};
    char readable[1][AL_NAME_BYTES_MAX + 1] = {"red"};
    struct al_key want = {
        .team = "blue", .role = AL_ROLE_REVIEWER, .readable = readable, .n_readable = 1};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    const struct al_credential *cred = NULL;
    AL_CHECK_OK(al_directory_add_key(c->directory, &want, text, &k, &err), err);
    AL_CHECK_OK(al_directory_authenticate(c->directory, al_str_c(text), &c->arena, &cred, &err),
                err);
    return cred;
}

static void put(struct site *s, const struct al_credential *cred, const char *id, const char *text)
{
    static const uint8_t no_write_id[16];
    struct al_err err = {0};
    bool is_deployment = cred->key->deployment[0];
    struct al_item it = {.id = al_str_c(id), .content = al_str_c(text)};
    struct al_target to = {.space = cred->own_space,
                           .visibility = is_deployment ? AL_VIS_DEPLOYMENT : AL_VIS_TEAM,
                           .team = cred->key->team,
                           .deployment = cred->key->deployment};
    struct al_doc d;
    uint32_t n;
    struct al_write_result res;
    AL_CHECK_OK(al_item_prepare(&it, &to, s->core.embedder, 1, &s->core.arena, &d, &n, &err), err);
    struct al_op op = {.kind = AL_OP_PUT_DOC, .doc = &d};
    struct al_shard_port *p = s->core.port[al_router_of_doc(&s->core.router, to.space, d.id)];
    AL_CHECK_OK(p->ops->write(p, &op, 1, no_write_id, AL_DEADLINE_NONE, &s->core.arena, &res, &err),
                err);
}

static void open_site(struct site *s)
{
    struct al_err err = {0};
    struct al_team t;
    struct al_deployment dep;
    struct core *c = &s->core;
    core_open(c, 2);
    AL_CHECK_OK(al_directory_add_team(c->directory, "red", &t, &err), err);
    AL_CHECK_OK(al_directory_add_team(c->directory, "blue", &t, &err), err);
    AL_CHECK_OK(al_directory_add_deployment(c->directory, "red", "prod", &dep, &err), err);
    s->ctx = (struct al_items_context){&c->router,        c->system,    c->embedder,
                                       al_clock_system(), c->directory, c->once};
    s->prod = core_key(c, "red", "prod", AL_ROLE_CONTRIBUTOR);
    s->red = core_key(c, "red", "", AL_ROLE_CONTRIBUTOR);
    s->blue = core_key(c, "blue", "", AL_ROLE_CONTRIBUTOR);
    s->judge = reviewer(c);
    put(s, s->prod, "d1", "The heron waits for the warehouse.");
}

static enum al_code share(struct site *s, const struct al_credential *cred,
                          struct al_promote_request req, struct al_promotion *ret,
                          struct al_err *err)
{
    struct al_arena *a = &s->core.arena;
    req.id = req.id.n ? req.id : AL_STR("d1");
    req.digest = AL_STR("");
    AL_TRY(al_items_promote(&s->ctx, cred, &req, a, ret, err));
    assert_false(ret->promoted);
    req.digest = ret->digest;
    return al_items_promote(&s->ctx, cred, &req, a, ret, err);
}

static enum al_code withdraw(struct site *s, const struct al_credential *cred, const char *id,
                             uint32_t space, uint32_t *ret_n, struct al_err *err)
{
    struct al_withdraw_request req = {.id = al_str_c(id), .space = space};
    struct al_withdrawal w = {0};
    AL_TRY(al_items_withdraw(&s->ctx, cred, &req, &s->core.arena, &w, err));
    *ret_n = w.n_copies;
    return AL_OK;
}

static bool sees(struct site *s, const struct al_credential *cred, const char *id)
{
    struct al_doc d;
    return al_items_get(&s->ctx, cred, al_str_c(id), 0, false, &s->core.arena, &d, NULL) == AL_OK;
}

static struct al_str promoted_id(struct site *s, const struct al_credential *cred, uint32_t space,
                                 const char *id)
{
    struct al_err err = {0};
    struct al_doc d;
    struct al_str ret;
    struct al_arena *a = &s->core.arena;
    AL_CHECK_OK(al_items_get(&s->ctx, cred, al_str_c(id), space, false, a, &d, &err), err);
    AL_CHECK_OK(al_items_promoted_id(&s->ctx, cred, &d, a, &ret, &err), err);
    return ret;
}

static void test_to_the_team_and_back(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    uint32_t n = 0;
    open_site(&s);
    const struct al_promote_request to_team = {.target = AL_VIS_TEAM};
    AL_CHECK_OK(share(&s, s.prod, to_team, &p, &err), err);
    assert_true(p.promoted);
    assert_int_equal(p.digest.n, 0);
    assert_int_equal(p.doc.revision, 1);
    assert_int_equal(p.doc.space, s.red->team_space);
    assert_int_equal(p.doc.visibility, AL_VIS_TEAM);
    assert_true(al_str_is(p.doc.id, "prod/d1"));
    assert_true(al_str_is(p.doc.team, "red") && al_str_is(p.doc.deployment, "prod"));
    assert_true(sees(&s, s.red, "prod/d1"));
    assert_false(sees(&s, s.blue, "prod/d1"));
    assert_true(al_str_is(promoted_id(&s, s.prod, 0, "d1"), "prod/d1"));
    /* the community as well: both are taken back, or one of them */
    AL_CHECK_OK(
        share(&s, s.prod, (struct al_promote_request){.target = AL_VIS_COMMUNITY}, &p, &err), err);
    char *copy = al_arena_printf(&s.core.arena, "%s/d1", s.red->pseudonym);
    assert_true(sees(&s, s.blue, copy));
    assert_true(al_str_is(promoted_id(&s, s.prod, 0, "d1"), copy));
    AL_CHECK_OK(withdraw(&s, s.prod, "d1", AL_SPACE_COMMUNITY, &n, &err), err);
    assert_int_equal(n, 1);
    assert_false(sees(&s, s.blue, copy));
    assert_true(sees(&s, s.red, "prod/d1"));
    AL_CHECK_OK(
        share(&s, s.prod, (struct al_promote_request){.target = AL_VIS_COMMUNITY}, &p, &err), err);
    AL_CHECK_OK(withdraw(&s, s.prod, "d1", 0, &n, &err), err);
    assert_int_equal(n, 2);
    assert_false(sees(&s, s.red, "prod/d1") || sees(&s, s.blue, copy));
    assert_true(sees(&s, s.prod, "d1"));
    assert_int_equal(promoted_id(&s, s.prod, 0, "d1").n, 0);
    assert_int_equal(withdraw(&s, s.prod, "d1", 0, &n, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "ITEM_STATE");
    core_close(&s.core);
}

static void test_what_cannot_be_promoted(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    open_site(&s);
    put(&s, s.red, "t1", "The heron of the team.");
    const struct {
        const char *name;
        const struct al_credential *cred;
        struct al_promote_request req;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"the team's to the team",
         s.red,
         {.id = AL_STR("t1"), .target = AL_VIS_TEAM},
         AL_FAILED_PRECONDITION,
         "ITEM_STATE"},
        {"named in the team",
         s.prod,
         {.target = AL_VIS_TEAM, .has_named = true},
         AL_INVALID_ARGUMENT,
         "FIELDS_CONFLICT"},
        {"another team's", s.blue, {.target = AL_VIS_COMMUNITY}, AL_NOT_FOUND, "ITEM_NOT_FOUND"},
        {"nobody's",
         s.red,
         {.id = AL_STR("x"), .target = AL_VIS_COMMUNITY},
         AL_NOT_FOUND,
         "ITEM_NOT_FOUND"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        AL_CHECK(cases[i].name, share(&s, cases[i].cred, cases[i].req, &p, &err) == cases[i].code);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
    }
    core_close(&s.core);
}

static void test_named_for_one_item(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    uint32_t n = 0;
    open_site(&s);
    const struct al_promote_request named = {
        .target = AL_VIS_COMMUNITY, .has_named = true, .named = true};
    AL_CHECK_OK(share(&s, s.red, named, &p, &err), err);
    assert_true(al_str_is(p.doc.id, "red/d1") && al_str_is(p.doc.team, "red"));
    /* and without the name again: the named copy goes */
    const struct al_promote_request not_named = {.target = AL_VIS_COMMUNITY, .has_named = true};
    AL_CHECK_OK(share(&s, s.red, not_named, &p, &err), err);
    assert_false(sees(&s, s.blue, "red/d1"));
    assert_true(al_str_is(p.doc.team, s.red->pseudonym));
    AL_CHECK_OK(withdraw(&s, s.red, "d1", 0, &n, &err), err);
    core_close(&s.core);
}

static void test_reviewers_promote_what_they_read(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    uint32_t n = 0;
    open_site(&s);
    put(&s, s.red, "t1", "The heron of the team.");
    const struct al_promote_request req = {.id = AL_STR("t1"), .target = AL_VIS_COMMUNITY};
    AL_CHECK_OK(share(&s, s.judge, req, &p, &err), err);
    assert_true(al_str_is(p.doc.team, s.red->pseudonym)); /* of the owner, not of the reviewer */
    char *copy = al_arena_printf(&s.core.arena, "%s/t1", s.red->pseudonym);
    assert_true(al_str_is(promoted_id(&s, s.judge, s.red->team_space, "t1"), copy));
    assert_int_equal(withdraw(&s, s.blue, copy, 0, &n, &err), AL_FAILED_PRECONDITION);
    AL_CHECK_OK(withdraw(&s, s.judge, copy, 0, &n, &err), err);
    assert_false(sees(&s, s.blue, copy));
    core_close(&s.core);
}

/* Only a reviewer among the readers of another team learns the pseudonym by way of promoted_id. */
static void test_promoted_id_does_not_tell_a_pseudonym(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    open_site(&s);
    put(&s, s.red, "t1", "The heron of the team.");
    const struct al_promote_request req = {.id = AL_STR("t1"), .target = AL_VIS_COMMUNITY};
    AL_CHECK_OK(share(&s, s.red, req, &p, &err), err);
    struct al_key as_reader = *s.judge->key;
    struct al_credential reader = *s.judge;
    as_reader.role = AL_ROLE_CONTRIBUTOR;
    reader.key = &as_reader;
    assert_int_equal(promoted_id(&s, &reader, s.red->team_space, "t1").n, 0);
    assert_true(promoted_id(&s, s.judge, s.red->team_space, "t1").n > 0);
    core_close(&s.core);
}

/* Named writes: the repetition of a confirmation, also after the item has changed. */
static void test_a_confirmation_is_done_once(void **state)
{
    (void)state;
    struct site s;
    struct al_err err = {0};
    struct al_promotion p;
    struct al_arena *a = &s.core.arena;
    open_site(&s);
    struct fault_port system;
    al_fault_port_init(&system, s.core.system);
    struct al_once_book *book = NULL;
    AL_CHECK_OK(al_once_book_create(&system.port, al_clock_system(), NULL, &book, &err), err);
    s.ctx.once = book;
    for (int lose_the_end = 0; lose_the_end < 2; lose_the_end++) {
        struct al_promote_request req = {.id = AL_STR("d1"), .target = AL_VIS_COMMUNITY};
        put(&s, s.prod, "d1", lose_the_end ? "One heron." : "Another heron.");
        AL_CHECK_OK(al_items_promote(&s.ctx, s.prod, &req, a, &p, &err), err);
        req.digest = p.digest;
        req.name.text = lose_the_end ? AL_STR("w1") : AL_STR("w2");
        system.fails = FAULT_WRITE;
        system.after = 1; /* the claim */
        system.code = lose_the_end ? AL_UNAVAILABLE : AL_OK;
        AL_CHECK_OK(al_items_promote(&s.ctx, s.prod, &req, a, &p, &err), err);
        struct al_str copy = p.doc.id;
        system.code = AL_OK;
        put(&s, s.prod, "d1", "The heron has changed since.");
        AL_CHECK_OK(al_items_promote(&s.ctx, s.prod, &req, a, &p, &err), err);
        assert_true(p.promoted);
        assert_true(al_str_eq(p.doc.id, copy));
        assert_true(al_str_find(p.doc.body, AL_STR("has changed"), 0) == SIZE_MAX);
        req.name.text = AL_STR("w3"); /* a new one is stale */
        assert_int_equal(al_items_promote(&s.ctx, s.prod, &req, a, &p, &err),
                         AL_FAILED_PRECONDITION);
    }
    al_once_book_destroy(book);
    core_close(&s.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_the_team_and_back),
        cmocka_unit_test(test_what_cannot_be_promoted),
        cmocka_unit_test(test_named_for_one_item),
        cmocka_unit_test(test_reviewers_promote_what_they_read),
        cmocka_unit_test(test_promoted_id_does_not_tell_a_pseudonym),
        cmocka_unit_test(test_a_confirmation_is_done_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
