/* Certificates as credentials, chosen ids, quotas and etags, and what deleting leaves: in the
 * directory, over restarts. */
#include "airlore/testing.h"

#include <stdio.h>

#include "core_fixture.h"
#include "tables.h"

static const char *const NOBODY[] = {"nobody"};

static void sha(char ret[65], char digit)
{
    memset(ret, digit, 64);
    ret[64] = '\0';
}

static struct al_certificate shown(const char *const *subjects, size_t n, char digit)
{
    struct al_certificate c = {.subjects = subjects, .n_subjects = n};
    sha(c.sha256, digit);
    return c;
}

static void add_team(struct core *c, const char *name)
{
    struct al_err err = {0};
    struct al_team t;
    AL_CHECK_OK(al_directory_add_team(c->directory, name, &t, &err), err);
}

static enum al_code bind(struct core *c, const char *team, enum al_certificate_match match,
                         const char *text, struct al_key *ret, struct al_err *err)
{
    struct al_key want = {.role = AL_ROLE_READER, .match = match};
    char secret[AL_KEY_TEXT_MAX] = "x";
    snprintf(want.team, sizeof want.team, "%s", team);
    snprintf(want.certificate, sizeof want.certificate, "%s", text);
    enum al_code code = al_directory_add_key(c->directory, &want, secret, ret, err);
    if (code == AL_OK)
        assert_string_equal(secret, ""); /* nobody gets a key */
    return code;
}

static void expect(struct core *c, const struct al_certificate *cert, const char *team,
                   const char *reason)
{
    struct al_err err = {.reason = ""};
    const struct al_credential *cred = NULL;
    enum al_code code = al_directory_certify(c->directory, cert, &c->arena, &cred, &err);
    if (team) {
        AL_CHECK_OK(code, err);
        assert_string_equal(cred->key->team, team);
        assert_true(cred->by_certificate);
    } else {
        assert_int_equal(code, AL_UNAUTHENTICATED);
        assert_string_equal(err.reason, reason);
    }
}

static void test_certificates(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_key pinned;
    struct al_key named;
    char a[65];
    core_open(&c, 1);
    add_team(&c, "red");
    add_team(&c, "blue");
    static const char *const subjects[] = {"cn", "spiffe://x/y"};
    struct al_certificate cert = shown(subjects, 2, 'a');
    struct al_certificate other = shown(NOBODY, 1, 'b');
    expect(&c, &cert, NULL, "CERTIFICATE_UNKNOWN");
    AL_CHECK_OK(bind(&c, "red", AL_CERTIFICATE_SUBJECT, "spiffe://x/y", &named, &err), err);
    expect(&c, &cert, "red", NULL);
    expect(&c, &other, NULL, "CERTIFICATE_UNKNOWN");
    sha(a, 'a');
    AL_CHECK_OK(bind(&c, "blue", AL_CERTIFICATE_SHA256, a, &pinned, &err), err);
    for (int round = 0; round < 2; round++) {
        expect(&c, &cert, "blue", NULL); /* the one certificate before the name */
        core_reopen(&c);
    }
    assert_int_equal(bind(&c, "red", AL_CERTIFICATE_SHA256, a, &named, &err), AL_ALREADY_EXISTS);
    assert_string_equal(err.reason, "NAME_TAKEN");
    AL_CHECK_OK(al_directory_revoke_key(c.directory, pinned.id, &err), err);
    expect(&c, &cert, NULL, "KEY_REVOKED"); /* also by its name */
    AL_CHECK_OK(bind(&c, "red", AL_CERTIFICATE_SHA256, a, &named, &err), err);
    for (int round = 0; round < 2; round++) {
        expect(&c, &cert, "red", NULL); /* the one that lives before the one that has ended */
        core_reopen(&c);
    }
    AL_CHECK_OK(al_directory_forget_key(c.directory, named.id, &err), err);
    AL_CHECK_OK(al_directory_forget_key(c.directory, pinned.id, &err), err);
    expect(&c, &cert, "red", NULL); /* by its name again */
    a[3] = 'A';
    assert_int_equal(bind(&c, "red", AL_CERTIFICATE_SHA256, a, &named, &err), AL_INVALID_ARGUMENT);
    assert_int_equal(bind(&c, "red", AL_CERTIFICATE_SHA256, "ab", &named, &err),
                     AL_INVALID_ARGUMENT);
    core_close(&c);
}

static void test_a_certificate_does_not_stand_in_for_the_last_admin_key(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_key first;
    struct al_key cert = {.team = "default",
                          .role = AL_ROLE_ADMIN,
                          .match = AL_CERTIFICATE_SUBJECT,
                          .certificate = "root"};
    char text[AL_KEY_TEXT_MAX];
    core_open(&c, 1);
    add_team(&c, "default");
    struct al_key want = {.team = "default", .role = AL_ROLE_ADMIN};
    AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &first, &err), err);
    AL_CHECK_OK(al_directory_add_key(c.directory, &cert, text, &cert, &err), err);
    assert_int_equal(al_directory_revoke_key(c.directory, first.id, &err), AL_FAILED_PRECONDITION);
    AL_CHECK_OK(al_directory_revoke_key(c.directory, cert.id, &err), err);
    core_close(&c);
}

static void test_chosen_ids(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_key k;
    char text[AL_KEY_TEXT_MAX];
    const struct al_credential *cred;
    core_open(&c, 1);
    add_team(&c, "red");
    static const char *const good[] = {"abcd", "0000", "z9z9z9z9z9z9z9z9z9z9z9z9z9z9z9z9"};
    for (size_t i = 0; i < AL_ARRAY_LEN(good); i++) {
        struct al_key want = {.team = "red", .role = AL_ROLE_READER};
        snprintf(want.id, sizeof want.id, "%s", good[i]);
        AL_CHECK_OK(al_directory_add_key(c.directory, &want, text, &k, &err), err);
        assert_string_equal(k.id, good[i]);
        AL_CHECK_OK(al_directory_authenticate(c.directory, al_str_c(text), &c.arena, &cred, &err),
                    err);
        assert_int_equal(al_directory_add_key(c.directory, &want, text, &k, &err),
                         AL_ALREADY_EXISTS);
    }
    static const char *const bad[] = {"abc", "ABCD", "ab_d", "ab d", "ab-d"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        struct al_key want = {.team = "red", .role = AL_ROLE_READER};
        snprintf(want.id, sizeof want.id, "%s", bad[i]);
        AL_CHECK(bad[i],
                 al_directory_add_key(c.directory, &want, text, &k, &err) == AL_INVALID_ARGUMENT);
    }
    core_close(&c);
}

static void test_quotas_and_their_versions(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_quota q = {.set = AL_QUOTA_ITEMS | AL_QUOTA_CALLS_PER_SECOND,
                         .max_items = 7,
                         .calls_per_second = 0.25};
    struct al_quota got;
    uint64_t v1 = 0;
    uint64_t v2 = 0;
    core_open(&c, 1);
    add_team(&c, "red");
    al_directory_get_quota(c.directory, "teams/red", &got, &v1);
    assert_true(got.set == 0 && v1 == 0);
    AL_CHECK_OK(al_directory_set_quota(c.directory, "teams/red", &q, 0, &v1, &err), err);
    core_reopen(&c);
    al_directory_get_quota(c.directory, "teams/red", &got, &v2);
    assert_int_equal(v1, v2);
    assert_true(got.set == q.set && got.max_items == 7 && got.calls_per_second == 0.25);
    q.max_items = 8;
    assert_int_equal(al_directory_set_quota(c.directory, "teams/red", &q, v1 + 1, &v2, &err),
                     AL_ABORTED);
    assert_string_equal(err.reason, "ETAG_MISMATCH");
    AL_CHECK_OK(al_directory_set_quota(c.directory, "teams/red", &q, v1, &v2, &err), err);
    assert_true(v2 > v1);
    const struct al_credential *cred = core_key(&c, "red", "", AL_ROLE_READER);
    assert_int_equal(cred->n_scopes, 2);
    assert_string_equal(cred->scopes[1].name, "teams/red");
    assert_int_equal(cred->scopes[1].quota.max_items, 8);
    /* a call that lasts learns of a change, and of the end of its key */
    struct al_credential lasting = *cred;
    q.max_items = 9;
    AL_CHECK_OK(al_directory_recheck(c.directory, &lasting, &err), err);
    AL_CHECK_OK(al_directory_set_quota(c.directory, "teams/red", &q, 0, &v2, &err), err);
    AL_CHECK_OK(al_directory_recheck(c.directory, &lasting, &err), err);
    assert_int_equal(lasting.scopes[1].quota.max_items, 9);
    AL_CHECK_OK(al_directory_revoke_key(c.directory, cred->key->id, &err), err);
    assert_int_equal(al_directory_recheck(c.directory, &lasting, &err), AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "KEY_REVOKED");
    core_close(&c);
}

static void test_a_quota_of_deployments(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_deployment d;
    uint64_t v = 0;
    core_open(&c, 1);
    add_team(&c, "red");
    struct al_quota q = {.set = AL_QUOTA_DEPLOYMENTS, .max_deployments = 1};
    AL_CHECK_OK(al_directory_set_quota(c.directory, "teams/red", &q, 0, &v, &err), err);
    AL_CHECK_OK(al_directory_add_deployment(c.directory, "red", "a", &d, &err), err);
    assert_int_equal(al_directory_add_deployment(c.directory, "red", "b", &d, &err),
                     AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUOTA_EXCEEDED");
    AL_CHECK_OK(al_directory_drop_deployment(c.directory, "red", "a", &err), err);
    AL_CHECK_OK(al_directory_add_deployment(c.directory, "red", "b", &d, &err), err);
    core_close(&c);
}

static void test_changes_of_teams_and_deployments(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_team t;
    struct al_deployment d;
    struct al_deployment_details x;
    core_open(&c, 1);
    add_team(&c, "red");
    AL_CHECK_OK(al_directory_change_team(c.directory, "red",
                                         &(struct al_team_change){.display_name = "Crimson"}, &t,
                                         &err),
                err);
    uint64_t version = t.version;
    AL_CHECK_OK(al_directory_add_deployment(c.directory, "red", "a", &d, &err), err);
    const struct al_kv labels[] = {{AL_STR("k"), AL_STR("v")}, {AL_STR("l"), AL_STR("")}};
    struct al_deployment_change change = {.display_name = "Plant A",
                                          .airflow_url = "https://a.example",
                                          .labels = labels,
                                          .n_labels = 2,
                                          .if_version = d.version};
    AL_CHECK_OK(al_directory_change_deployment(c.directory, &change, &d, &err), err);
    core_reopen(&c);
    AL_CHECK_OK(al_directory_get_team(c.directory, "red", &t, &err), err);
    assert_string_equal(t.display_name, "Crimson");
    assert_int_equal(t.version, version);
    AL_CHECK_OK(al_directory_get_deployment(c.directory, "red", "a", &d, &err), err);
    AL_CHECK_OK(al_directory_get_details(c.directory, &d, &c.arena, &x, &err), err);
    assert_string_equal(d.display_name, "Plant A");
    assert_true(al_str_is(x.airflow_url, "https://a.example") && x.n_labels == 2 &&
                al_str_is(x.labels[0].value, "v"));
    assert_int_equal(al_directory_change_deployment(c.directory, &change, &d, &err), AL_ABORTED);
    assert_string_equal(err.reason, "ETAG_MISMATCH");
    change = (struct al_deployment_change){.airflow_url = ""}; /* labels stay, the URL goes */
    AL_CHECK_OK(al_directory_change_deployment(c.directory, &change, &d, &err), err);
    AL_CHECK_OK(al_directory_get_details(c.directory, &d, &c.arena, &x, &err), err);
    assert_true(x.airflow_url.n == 0 && x.n_labels == 2);
    change.airflow_url = "ftp://x";
    assert_int_equal(al_directory_change_deployment(c.directory, &change, &d, &err),
                     AL_INVALID_ARGUMENT);
    core_close(&c);
}

static void test_what_is_dropped_is_gone(void **state)
{
    (void)state;
    struct core c;
    struct al_err err = {0};
    struct al_deployment d;
    struct al_team t;
    struct al_quota q = {.set = AL_QUOTA_ITEMS, .max_items = 1};
    uint64_t v = 0;
    core_open(&c, 1);
    add_team(&c, "default");
    add_team(&c, "red");
    AL_CHECK_OK(al_directory_get_team(c.directory, "red", &t, &err), err);
    uint32_t space = t.space;
    AL_CHECK_OK(al_directory_add_deployment(c.directory, "red", "a", &d, &err), err);
    const struct al_credential *cred = core_key(&c, "red", "a", AL_ROLE_READER);
    AL_CHECK_OK(al_directory_set_quota(c.directory, "teams/red", &q, 0, &v, &err), err);
    assert_int_equal(al_directory_drop_team(c.directory, "default", &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "LAST_ONE");
    assert_int_equal(al_directory_drop_team(c.directory, "red", &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "NOT_EMPTY");
    assert_int_equal(al_directory_drop_deployment(c.directory, "red", "a", &err),
                     AL_FAILED_PRECONDITION);
    AL_CHECK_OK(al_directory_forget_key(c.directory, cred->key->id, &err), err);
    AL_CHECK_OK(al_directory_drop_deployment(c.directory, "red", "a", &err), err);
    AL_CHECK_OK(al_directory_drop_team(c.directory, "red", &err), err);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(al_directory_get_team(c.directory, "red", &t, &err), AL_NOT_FOUND);
        al_directory_get_quota(c.directory, "teams/red", &q, &v);
        assert_int_equal(v, 0);
        core_reopen(&c);
    }
    AL_CHECK_OK(al_directory_add_team(c.directory, "red", &t, &err), err);
    assert_true(t.space != space); /* what others kept of the old one is not the new one's */
    core_close(&c);
}

static void test_rows_of_before_are_read(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_buf b;
    struct al_err err = {0};
    al_arena_init(&a, NULL, 1 << 20);
    al_buf_init(&b, NULL, 0);
    /* a key of format 1: nothing about certificates, its quota in the row */
    struct al_key_row k = {.key = {.id = "abcdefghijkm", .team = "red", .role = AL_ROLE_READER},
                           .old_requests_per_minute = 120,
                           .old_bytes_per_day = 5};
    al_key_encode(&k, &b);
    b.p[0] = 1;
    b.n -= 3;
    struct al_key_row got;
    AL_CHECK_OK(al_key_decode(al_buf_view(&b), &a, &got, &err), err);
    assert_true(got.key.match == AL_CERTIFICATE_NONE && got.old_requests_per_minute == 120 &&
                got.old_bytes_per_day == 5);
    al_buf_reset(&b);
    struct al_team t = {.name = "red", .pseudonym = "team-0123456789", .space = 17};
    al_team_encode(&t, &b);
    b.p[0] = 1;
    b.n -= 1;
    AL_CHECK_OK(al_team_decode(al_buf_view(&b), &t, &err), err);
    assert_int_equal(t.space, 17);
    al_buf_reset(&b);
    struct al_deployment d = {.team = "red", .name = "a", .space = 18};
    struct al_deployment_details none = {0};
    al_deployment_encode(&d, &none, &b);
    b.p[0] = 1;
    b.n -= 3;
    AL_CHECK_OK(al_deployment_decode(al_buf_view(&b), &a, &d, &none, &err), err);
    assert_int_equal(d.space, 18);
    al_buf_fini(&b);
    al_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_a_certificate_does_not_stand_in_for_the_last_admin_key),
        cmocka_unit_test(test_chosen_ids),
        cmocka_unit_test(test_quotas_and_their_versions),
        cmocka_unit_test(test_a_quota_of_deployments),
        cmocka_unit_test(test_changes_of_teams_and_deployments),
        cmocka_unit_test(test_what_is_dropped_is_gone),
        cmocka_unit_test(test_rows_of_before_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
