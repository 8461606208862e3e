#include "airlore/testing.h"

#include <stdio.h>

#include "core_fixture.h"
#include "key_text.h"
#include "tables.h"

static void add_team(struct core *c, const char *name)
{
    struct al_err err = {0};
    struct al_team t;
    AL_CHECK_OK(al_directory_add_team(c->directory, name, &t, &err), err);
    assert_true(t.space > AL_SPACE_COMMUNITY);
}

static void add_deployment(struct core *c, const char *team, const char *name)
{
    struct al_err err = {0};
    struct al_deployment d;
    AL_CHECK_OK(al_directory_add_deployment(c->directory, team, name, &d, &err), err);
}

static bool sees(const struct al_credential *c, uint32_t space)
{
    for (size_t i = 0; i < c->n_spaces; i++) {
        if (c->spaces[i] == space)
            return true;
    }
    return false;
}

static uint32_t space_of(struct core *c, const char *name)
{
    struct al_err err = {0};
    uint32_t s = 0;
    AL_CHECK_OK(al_directory_find_space(c->directory, al_str_c(name), &s, &err), err);
    assert_string_equal(al_directory_space_name(c->directory, s, &c->arena), name);
    return s;
}

static void test_a_credential_sees_its_own_and_the_community_only(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    add_team(&c, "red");
    add_team(&c, "blue");
    add_deployment(&c, "red", "prod");
    add_deployment(&c, "red", "dev");
    uint32_t red = space_of(&c, "teams/red");
    uint32_t blue = space_of(&c, "teams/blue");
    uint32_t prod = space_of(&c, "teams/red/deployments/prod");
    uint32_t dev = space_of(&c, "teams/red/deployments/dev");
    const struct al_credential *k = core_key(&c, "red", "prod", AL_ROLE_CONTRIBUTOR);
    assert_int_equal(k->n_spaces, 3);
    assert_true(sees(k, AL_SPACE_COMMUNITY) && sees(k, red) && sees(k, prod));
    assert_int_equal(k->own_space, prod);
    k = core_key(&c, "red", "", AL_ROLE_READER);
    assert_true(sees(k, red) && sees(k, prod) && sees(k, dev) && !sees(k, blue));
    assert_int_equal(k->own_space, red);
    k = core_key(&c, "blue", "", AL_ROLE_ADMIN); /* an admin administers; it does not read others */
    assert_true(!sees(k, red) && !sees(k, prod));
    for (size_t i = 1; i < k->n_spaces; i++)
        assert_true(k->spaces[i - 1] < k->spaces[i]);
    core_close(&c);
}

static void test_further_readable_teams_add_their_team_space(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    add_team(&c, "red");
    add_team(&c, "blue");
    add_deployment(&c, "blue", "prod");
    char readable[3][AL_NAME_BYTES_MAX + 1] = {"blue", "red", "blue"};
    struct al_key want = {
        .team = "red", .role = AL_ROLE_READER, .readable = readable, .n_readable = 3};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    const struct al_credential *cred;
    AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &k, &err), err);
    AL_CHECK_OK(al_directory_authenticate(c.directory, al_str_c(text), &c.arena, &cred, &err), err);
    assert_int_equal(cred->n_spaces, 3);
    assert_true(sees(cred, space_of(&c, "teams/blue")));
    assert_false(sees(cred, space_of(&c, "teams/blue/deployments/prod")));
    core_close(&c);
}

static void test_only_the_right_key_is_let_in(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    add_team(&c, "red");
    struct al_key want = {.team = "red", .role = AL_ROLE_ADMIN};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    const struct al_credential *cred;
    AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &k, &err), err);
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) { /* any one character changed */
        char wrong[AL_KEY_TEXT_MAX];
        memcpy(wrong, text, sizeof wrong);
        wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
        enum al_code code =
            al_directory_authenticate(c.directory, al_str_c(wrong), &c.arena, &cred, &err);
        assert_int_equal(code, AL_UNAUTHENTICATED);
        assert_string_equal(err.reason, "KEY_INVALID");
    }
    static const char *const bad[] = {"", "al_", "al_nope_nope", "Bearer x", "al__", "\xff\xfe"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++)
        AL_CHECK(bad[i], al_directory_authenticate(c.directory, al_str_c(bad[i]), &c.arena, &cred,
                                                   &err) == AL_UNAUTHENTICATED);
    core_reopen(&c);
    AL_CHECK_OK(al_directory_authenticate(c.directory, al_str_c(text), &c.arena, &cred, &err), err);
    AL_CHECK_OK(al_directory_revoke_key(c.directory, k.id, &err), err);
    assert_int_equal(al_directory_authenticate(c.directory, al_str_c(text), &c.arena, &cred, &err),
                     AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "KEY_REVOKED");
    core_reopen(&c);
    assert_int_equal(al_directory_authenticate(c.directory, al_str_c(text), &c.arena, &cred, &err),
                     AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "KEY_REVOKED");
    core_close(&c);
}

static void test_the_last_admin_of_the_server_stays(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_key first;
    struct al_key second;
    char text[AL_KEY_TEXT_MAX];
    core_open(&c, 1);
    add_team(&c, "default");
    struct al_key want = {.team = "default", .role = AL_ROLE_ADMIN};
    AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &first, &err), err);
    assert_int_equal(al_directory_revoke_key(c.directory, first.id, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "LAST_ONE");
    AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &second, &err), err);
    AL_CHECK_OK(al_directory_revoke_key(c.directory, first.id, &err), err);
    AL_CHECK_OK(al_directory_revoke_key(c.directory, first.id, &err), err); /* twice is no error */
    assert_int_equal(al_directory_revoke_key(c.directory, second.id, &err), AL_FAILED_PRECONDITION);
    core_reopen(&c);
    AL_CHECK_OK(al_directory_get_key(c.directory, first.id, &c.arena, &first, &err), err);
    assert_true(first.revoked && first.revoked_ms > 1);
    core_close(&c);
}

static void test_no_team_is_called_like_a_pseudonym(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_team t;
    core_open(&c, 1);
    assert_int_equal(al_directory_add_team(c.directory, "team-0123456789", &t, &err),
                     AL_INVALID_ARGUMENT);
    AL_CHECK_OK(al_directory_add_team(c.directory, "team-a", &t, &err), err);
    assert_true(al_is_pseudonym(al_str_c(t.pseudonym)));
    assert_false(al_is_pseudonym(AL_STR("team-a")));
    assert_false(al_is_pseudonym(AL_STR("team-012345678g")));
    core_close(&c);
}

static void test_names_and_duplicates(void **state)
{
    (void)state;
    struct core c;
    core_open(&c, 1);
    static const char *const bad[] = {
        "",         "Red",
        "-x",       ".x",
        "a b",      "a/b",
        "\xc3\xbc", "x234567890123456789012345678901234567890123456789012345678901234"};
    struct al_err err = {0};
    struct al_team t;
    struct al_deployment d;
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        AL_CHECK(bad[i],
                 al_directory_add_team(c.directory, bad[i], &t, &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(bad[i], strcmp(err.reason, "BAD_FORMAT") == 0);
    }
    add_team(&c, "red");
    assert_int_equal(al_directory_add_team(c.directory, "red", &t, &err), AL_ALREADY_EXISTS);
    assert_int_equal(al_directory_add_deployment(c.directory, "green", "x", &d, &err),
                     AL_NOT_FOUND);
    add_deployment(&c, "red", "x");
    assert_int_equal(al_directory_add_deployment(c.directory, "red", "x", &d, &err),
                     AL_ALREADY_EXISTS);
    core_close(&c);
}

static void test_it_is_all_there_after_a_restart(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    core_open(&c, 1);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "team-%02d", i);
        add_team(&c, name);
        add_deployment(&c, name, "prod");
    }
    uint32_t before = space_of(&c, "teams/team-07/deployments/prod");
    core_reopen(&c);
    assert_int_equal(space_of(&c, "teams/team-07/deployments/prod"), before);
    struct al_team *teams;
    struct al_deployment *deployments;
    size_t n;
    AL_CHECK_OK(al_directory_list_teams(c.directory, &c.arena, &teams, &n, &err), err);
    assert_int_equal(n, 40);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(teams[i - 1].name, teams[i].name) < 0);
    AL_CHECK_OK(
        al_directory_list_deployments(c.directory, "team-03", &c.arena, &deployments, &n, &err),
        err);
    assert_int_equal(n, 1);
    core_close(&c);
}

static void test_rows_of_every_length_but_the_right_one_are_refused(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_buf b;
    struct al_err err = {0};
    char readable[1][AL_NAME_BYTES_MAX + 1] = {"other"};
    struct al_key_row k = {.key = {.id = "abc",
                                   .team = "red",
                                   .role = AL_ROLE_REVIEWER,
                                   .expires_ms = 77,
                                   .readable = readable,
                                   .n_readable = 1}};
    al_arena_init(&a, NULL, 1 << 20);
    al_buf_init(&b, NULL, 0);
    al_key_encode(&k, &b);
    struct al_key_row got;
    AL_CHECK_OK(al_key_decode(al_buf_view(&b), &a, &got, &err), err);
    assert_string_equal(got.key.team, "red");
    assert_int_equal(got.key.role, AL_ROLE_REVIEWER);
    assert_int_equal(got.key.expires_ms, 77);
    assert_string_equal(got.key.readable[0], "other");
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(al_key_decode((struct al_str){b.p, n}, &a, &got, &err), AL_DATA_LOSS);
    b.p[0] = 9;
    assert_int_equal(al_key_decode(al_buf_view(&b), &a, &got, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "FORMAT_TOO_NEW");
    al_buf_fini(&b);
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_credential_sees_its_own_and_the_community_only),
        cmocka_unit_test(test_further_readable_teams_add_their_team_space),
        cmocka_unit_test(test_only_the_right_key_is_let_in),
        cmocka_unit_test(test_names_and_duplicates),
        cmocka_unit_test(test_it_is_all_there_after_a_restart),
        cmocka_unit_test(test_rows_of_every_length_but_the_right_one_are_refused),
        cmocka_unit_test(test_the_last_admin_of_the_server_stays),
        cmocka_unit_test(test_no_team_is_called_like_a_pseudonym),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
