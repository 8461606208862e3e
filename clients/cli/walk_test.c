#include "walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/testing.h"

static char dir[300];

static void path_of(char *buf, size_t n, const char *name)
{
    int k = snprintf(buf, n, "%s/%s", dir, name);
    assert_true(k > 0 && (size_t)k < n);
}

static void make_file(const char *name, const char *text)
{
    char path[600];
    path_of(path, sizeof path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void make_folder(const char *name)
{
    char path[600];
    path_of(path, sizeof path, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const char *name, const char *to)
{
    char path[600];
    path_of(path, sizeof path, name);
    assert_int_equal(symlink(to, path), 0);
}

static int make_tree(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    make_file("b.md", "# B\n");
    make_file("A.HTML", "<p>a</p>");
    make_file("notes.txt", "text");
    make_file("x.bin", "no document");
    make_file("noext", "no document");
    make_file(".hidden.md", "hidden");
    make_folder("sub");
    make_file("sub/dag.py", "print(1)");
    make_file("sub/n.ipynb", "{}");
    make_folder(".git");
    make_file(".git/c.md", "no");
    make_folder("node_modules");
    make_file("node_modules/d.md", "no");
    make_folder("sub/__pycache__");
    make_file("sub/__pycache__/e.py", "no");
    make_link("loop", ".");
    make_link("sub/up", "..");
    make_link("out.md", "/etc/hostname");
    char path[600];
    path_of(path, sizeof path, "pipe.md");
    assert_int_equal(mkfifo(path, 0600), 0);
    return 0;
}

struct bad {
    unsigned n;
    char last[300];
    char reason[40];
};

static void on_bad(void *u, const char *path, const char *reason, const char *message)
{
    struct bad *b = u;
    b->n++;
    snprintf(b->last, sizeof b->last, "%s", path);
    snprintf(b->reason, sizeof b->reason, "%s", reason);
    assert_true(message[0] != '\0');
}

static void test_documents_of_a_tree(void **state)
{
    (void)state;
    struct al_cli_walk w = {.files = NULL};
    struct bad bad = {.n = 0};
    struct al_err err;
    AL_CHECK_OK(al_cli_walk_run(dir, &w, on_bad, &bad, &err), err);
    static const struct {
        const char *path;
        const char *type;
    } want[] = {{"A.HTML", "text/html"},
                {"b.md", "text/markdown"},
                {"notes.txt", "text/plain"},
                {"sub/dag.py", "text/x-python"},
                {"sub/n.ipynb", "application/x-ipynb+json"}};
    assert_int_equal(w.n_files, AL_ARRAY_LEN(want));
    for (size_t i = 0; i < AL_ARRAY_LEN(want); i++) {
        assert_string_equal(w.files[i].path, want[i].path);
        assert_string_equal(w.files[i].media_type, want[i].type);
        assert_true(w.files[i].mtime_s > 0);
    }
    assert_int_equal(w.size_bytes, 4 + 8 + 4 + 8 + 2);
    assert_int_equal(w.n_left_out, 6); /* x.bin, noext, loop, up, out.md, pipe.md */
    assert_int_equal(bad.n, 0);
    al_cli_walk_fini(&w);
}

static void test_no_such_folder(void **state)
{
    (void)state;
    struct al_cli_walk w = {.n_files = 77};
    char path[600];
    path_of(path, sizeof path, "nowhere");
    assert_int_equal(al_cli_walk_run(path, &w, NULL, NULL, NULL), AL_NOT_FOUND);
    path_of(path, sizeof path, "b.md");
    assert_int_not_equal(al_cli_walk_run(path, &w, NULL, NULL, NULL), AL_OK);
    assert_int_equal(w.n_files, 77);
}

static void test_nesting_has_a_limit(void **state)
{
    (void)state;
    char root[400];
    path_of(root, sizeof root, "sub");
    int at = open(root, O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < AL_WALK_DEPTH_MAX + 10; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    int deep = openat(at, "deep.md", O_CREAT | O_WRONLY, 0644);
    assert_true(deep >= 0);
    close(deep);
    close(at);
    struct al_cli_walk w = {.files = NULL};
    struct bad bad = {.n = 0};
    struct al_err err;
    AL_CHECK_OK(al_cli_walk_run(root, &w, on_bad, &bad, &err), err);
    assert_int_equal(w.n_files, 2);
    assert_int_equal(bad.n, 1);
    assert_string_equal(bad.reason, "TOO_DEEP");
    al_cli_walk_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_of_a_tree),
        cmocka_unit_test(test_no_such_folder),
        cmocka_unit_test(test_nesting_has_a_limit),
    };
    return cmocka_run_group_tests(tests, make_tree, NULL);
}
