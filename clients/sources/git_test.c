#include "airlore/source_git.h"

#include <git2.h>
#include <sys/stat.h>

#include "airlore/testing.h"

static char dir[300];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        const char *where; /* NULL: refused */
        const char *ref;
    } cases[] = {
        {"git:https://h/o/r.git", "https://h/o/r.git", ""},
        {"git:https://h/o/r.git@main", "https://h/o/r.git", "main"},
        {"git:https://u@h/o/r.git", "https://u@h/o/r.git", ""},
        {"git:https://u:p@h/o/r@v1", "https://u:p@h/o/r", "v1"},
        {"git:https://h/o/r.git@release/2.11", "https://h/o/r.git", "release/2.11"},
        {"git@h:o/r.git", "git@h:o/r.git", ""},
        {"git@h:o/r.git@main", "git@h:o/r.git", "main"},
        {"git:git@h:r", "git@h:r", ""},
        {"git:git@h:r@v2", "git@h:r", "v2"},
        {"git://h/r", "git://h/r", ""},
        {"git:/nonexistent/r@a/b", "/nonexistent/r", "a/b"},
        {"git:/nonexistent/r", "/nonexistent/r", ""},
        {"git:https://h/r@", NULL, NULL},
        {"git:https://h/r@-x", NULL, NULL},
        {"git:ext://h/r", NULL, NULL},
        {"git:", NULL, NULL},
        {"git:@x", NULL, NULL},
        {"git:\xff", NULL, NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char buf[2100];
        const char *ref = NULL;
        enum al_code code = al_git_parse(cases[i].address, buf, sizeof buf, &ref, NULL);
        AL_CHECK(cases[i].address, (code == AL_OK) == (cases[i].where != NULL));
        AL_CHECK(cases[i].address, code != AL_OK || strcmp(buf, cases[i].where) == 0);
        AL_CHECK(cases[i].address, code != AL_OK || strcmp(ref, cases[i].ref) == 0);
        AL_CHECK(cases[i].address, al_git_is_address(cases[i].address));
    }
}

static void test_a_folder_with_an_at(void **state)
{
    (void)state;
    char folder[400];
    char address[500];
    char buf[2100];
    const char *ref = NULL;
    struct al_err err;
    snprintf(folder, sizeof folder, "%s/a@b", dir);
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(address, sizeof address, "git:%s", folder);
    AL_CHECK_OK(al_git_parse(address, buf, sizeof buf, &ref, &err), err);
    assert_string_equal(buf, folder);
    assert_string_equal(ref, "");
    snprintf(address, sizeof address, "git:%s@x/y", folder);
    AL_CHECK_OK(al_git_parse(address, buf, sizeof buf, &ref, &err), err);
    assert_string_equal(buf, folder);
    assert_string_equal(ref, "x/y");
}

/* ---- repositories that no git program would write ---- */

struct repo {
    git_repository *repo;
    char address[500];
};

static void make_repo(struct repo *r, const char *name)
{
    char folder[400];
    git_libgit2_init();
    snprintf(folder, sizeof folder, "%s/%s", dir, name);
    assert_int_equal(git_repository_init(&r->repo, folder, 1), 0);
    snprintf(r->address, sizeof r->address, "git:%s", folder);
}

/* A tree of one entry of that name and mode, written without libgit2's own checks. */
static git_oid raw_tree(struct repo *r, const char *name, const char *mode, const git_oid *to,
                        size_t times)
{
    char bytes[20000];
    size_t n = 0;
    git_odb *odb;
    git_oid oid;
    for (size_t i = 0; i < times; i++) {
        n += (size_t)snprintf(bytes + n, sizeof bytes - n, times == 1 ? "%s %s" : "%s %s%02zu",
                              mode, name, i) +
             1;
        memcpy(bytes + n, to->id, GIT_OID_RAWSZ);
        n += GIT_OID_RAWSZ;
    }
    assert_int_equal(git_repository_odb(&odb, r->repo), 0);
    assert_int_equal(git_odb_write(&oid, odb, bytes, n, GIT_OBJECT_TREE), 0);
    git_odb_free(odb);
    return oid;
}

static git_oid blob(struct repo *r, const char *text)
{
    git_oid oid;
    assert_int_equal(git_blob_create_from_buffer(&oid, r->repo, text, strlen(text)), 0);
    return oid;
}

static void commit(struct repo *r, const git_oid *tree_id)
{
    char text[400];
    char hex[41];
    git_odb *odb;
    git_oid oid;
    git_reference *ref;
    git_oid_tostr(hex, sizeof hex, tree_id);
    snprintf(text, sizeof text,
             "tree %s\nauthor a <a@b> 1700000000 +0000\ncommitter a <a@b> 1700000000 +0000\n\nx\n",
             hex);
    assert_int_equal(git_repository_odb(&odb, r->repo), 0);
    assert_int_equal(git_odb_write(&oid, odb, text, strlen(text), GIT_OBJECT_COMMIT), 0);
    git_odb_free(odb);
    assert_int_equal(git_reference_create(&ref, r->repo, "refs/heads/main", &oid, 1, NULL), 0);
    git_reference_free(ref);
    assert_int_equal(git_repository_set_head(r->repo, "refs/heads/main"), 0);
    git_repository_free(r->repo);
}

static enum al_code drain(const char *address, size_t *good, size_t *bad, struct al_err *err)
{
    struct al_source *s = NULL;
    struct al_arena a;
    *good = *bad = 0;
    enum al_code code = al_git_open(address, NULL, &s, err);
    al_arena_init(&a, NULL, (size_t)64 << 20);
    while (code == AL_OK) {
        struct al_source_entry e;
        bool end = false;
        code = al_source_next(s, &a, &e, &end, err);
        if (code != AL_OK || end)
            break;
        if (e.why.code == AL_OK && al_source_load(s, &a, &e, 1000, err) == AL_OK)
            ++*good;
        else
            ++*bad;
        al_arena_reset(&a);
    }
    al_source_close(s);
    al_arena_fini(&a);
    return code;
}

static void test_names_that_lead_out(void **state)
{
    (void)state;
    static const char *const names[] = {"..", "a/b.md", "/x.md", "c\\d.md", "e\x01.md", "\xff.md"};
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++) {
        struct repo r;
        char name[20];
        size_t good;
        size_t bad;
        struct al_err err = {.msg = ""};
        snprintf(name, sizeof name, "evil%zu", i);
        make_repo(&r, name);
        git_oid b = blob(&r, "text");
        git_oid inner = raw_tree(&r, "x.md", "100644", &b, 1);
        git_oid t = raw_tree(&r, names[i], i ? "100644" : "40000", i ? &b : &inner, 1);
        commit(&r, &t);
        enum al_code code = drain(r.address, &good, &bad, &err);
        if (i == 1) /* a slash in a name: the path is one that the id may have */
            AL_CHECK(names[i], code != AL_OK || good <= 1);
        else
            AL_CHECK(names[i], good == 0);
    }
}

/* 30 levels of 30 times the same folder: 30^30 files in 31 objects. */
static void test_a_tree_without_end(void **state)
{
    (void)state;
    struct repo r;
    size_t good;
    size_t bad;
    struct al_err err = {.msg = ""};
    make_repo(&r, "bomb");
    git_oid oid = blob(&r, "text");
    oid = raw_tree(&r, "x.txx", "100644", &oid, 1);
    for (int i = 0; i < 30; i++)
        oid = raw_tree(&r, "d", "40000", &oid, 30);
    commit(&r, &oid);
    assert_int_equal(drain(r.address, &good, &bad, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_MANY");
}

static void test_nesting_and_sizes(void **state)
{
    (void)state;
    struct repo r;
    size_t good;
    size_t bad;
    struct al_err err = {.msg = ""};
    make_repo(&r, "deep");
    git_oid oid = blob(&r, "text");
    oid = raw_tree(&r, "x.md", "100644", &oid, 1);
    for (int i = 0; i < 200; i++)
        oid = raw_tree(&r, "d", "40000", &oid, 1);
    commit(&r, &oid);
    AL_CHECK_OK(drain(r.address, &good, &bad, &err), err);
    assert_int_equal(good, 0);
    assert_int_equal(bad, 1);
    make_repo(&r, "large");
    char text[1100];
    memset(text, 'a', sizeof text);
    text[1001] = '\0';
    oid = blob(&r, text);
    oid = raw_tree(&r, "x.md", "100644", &oid, 1);
    commit(&r, &oid);
    AL_CHECK_OK(drain(r.address, &good, &bad, &err), err);
    assert_int_equal(bad, 1);
}

static void test_links_are_left_out(void **state)
{
    (void)state;
    struct repo r;
    size_t good;
    size_t bad;
    struct al_err err = {.msg = ""};
    make_repo(&r, "links");
    git_oid b = blob(&r, "/etc/passwd");
    git_oid t = raw_tree(&r, "x.md", "120000", &b, 1);
    commit(&r, &t);
    AL_CHECK_OK(drain(r.address, &good, &bad, &err), err);
    assert_int_equal(good + bad, 0);
    make_repo(&r, "module");
    t = raw_tree(&r, "x.md", "160000", &b, 1);
    commit(&r, &t);
    AL_CHECK_OK(drain(r.address, &good, &bad, &err), err);
    assert_int_equal(good + bad, 0);
}

/* Objects that are missing end the run, so that nothing is taken for deleted. */
static void test_missing_objects(void **state)
{
    (void)state;
    struct repo r;
    size_t good;
    size_t bad;
    struct al_err err = {.msg = ""};
    make_repo(&r, "missing");
    git_oid none;
    memset(&none, 7, sizeof none);
    git_oid t = raw_tree(&r, "d", "40000", &none, 1);
    commit(&r, &t);
    assert_int_not_equal(drain(r.address, &good, &bad, &err), AL_OK);
    make_repo(&r, "missing-blob");
    t = raw_tree(&r, "x.md", "100644", &none, 1);
    commit(&r, &t);
    AL_CHECK_OK(drain(r.address, &good, &bad, &err), err);
    assert_int_equal(bad, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),           cmocka_unit_test(test_a_folder_with_an_at),
        cmocka_unit_test(test_names_that_lead_out), cmocka_unit_test(test_a_tree_without_end),
        cmocka_unit_test(test_nesting_and_sizes),   cmocka_unit_test(test_links_are_left_out),
        cmocka_unit_test(test_missing_objects),
    };
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
