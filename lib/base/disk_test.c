#include "airlore/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/testing.h"

static char *path_in(const char *dir, const char *name)
{
    static char paths[8][600];
    static unsigned next;
    char *p = paths[next++ % AL_ARRAY_LEN(paths)];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static void put(const char *path, const char *text)
{
    struct al_err err;
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, al_str_c(text), 0600, &err), err);
}

/* Content of a file, cut at what a test writes; "<absent>" if there is none. */
static const char *content_of(const char *path)
{
    static char text[256];
    FILE *f = fopen(path, "re");
    if (!f)
        return "<absent>";
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

struct tally {
    size_t n_all;
    size_t n_temp;
    size_t n_dirs;
    size_t n_files;
    size_t n_links;
};

static enum al_code count_entry(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    (void)err;
    struct tally *t = u;
    t->n_all++;
    t->n_temp += strncmp(e->name, AL_DISK_TEMP_PREFIX, strlen(AL_DISK_TEMP_PREFIX)) == 0;
    t->n_dirs += e->is_dir;
    t->n_files += e->is_file;
    t->n_links += e->is_link;
    return AL_OK;
}

static struct tally tally_of(const char *dir)
{
    struct tally t = {0};
    struct al_err err;
    struct al_disk *d = al_disk_system();
    AL_CHECK_OK(d->ops->list(d, dir, count_entry, &t, &err), err);
    return t;
}

static void test_write_and_read_back(void **state)
{
    (void)state;
    char dir[256];
    al_test_dir(dir, sizeof dir);
    struct al_disk *d = al_disk_system();
    static const size_t sizes[] = {0, 1, 4096, 32768, 32769, 1000003};
    char *bytes = malloc(1000003);
    for (size_t i = 0; i < 1000003; i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < AL_ARRAY_LEN(sizes); i++) {
        struct al_err err;
        const char *path = path_in(dir, "file");
        AL_CHECK_OK(al_disk_write_file(d, path, (struct al_str){bytes, sizes[i]}, 0600, &err), err);
        struct al_buf b;
        al_buf_init(&b, NULL, 0);
        al_buf_cstr(&b, "before:");
        AL_CHECK_OK(al_disk_read_file(d, path, &b, &err), err);
        assert_int_equal(b.n, sizes[i] + 7);
        assert_memory_equal(b.p, "before:", 7);
        if (sizes[i])
            assert_memory_equal(b.p + 7, bytes, sizes[i]);
        uint64_t size = 1;
        AL_CHECK_OK(d->ops->size(d, path, &size, &err), err);
        assert_int_equal(size, sizes[i]);
        struct al_map m;
        AL_CHECK_OK(d->ops->map(d, path, &m, &err), err);
        assert_int_equal(m.n, sizes[i]);
        if (sizes[i])
            assert_memory_equal(m.p, bytes, sizes[i]);
        d->ops->unmap(d, &m);
        assert_null(m.p);
        al_buf_fini(&b);
    }
    assert_int_equal(tally_of(dir).n_all, 1);
    free(bytes);
}

static void test_permissions_are_exact(void **state)
{
    (void)state;
    char dir[256];
    al_test_dir(dir, sizeof dir);
    static const uint32_t perms[] = {0600, 0644, 0666, 0640, 0400};
    mode_t before = umask(077);
    for (size_t i = 0; i < AL_ARRAY_LEN(perms); i++) {
        struct al_err err;
        const char *path = path_in(dir, "key");
        AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, AL_STR("secret"), perms[i], &err),
                    err);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, perms[i]);
    }
    umask(before);
}

static void test_read_limit(void **state)
{
    (void)state;
    char dir[256];
    struct al_err err;
    const char *path = path_in(al_test_dir(dir, sizeof dir), "file");
    put(path, "0123456789");
    struct al_buf b;
    al_buf_init(&b, NULL, 10);
    AL_CHECK_OK(al_disk_read_file(al_disk_system(), path, &b, &err), err);
    al_buf_fini(&b);
    al_buf_init(&b, NULL, 12);
    al_buf_cstr(&b, "abc");
    assert_int_equal(al_disk_read_file(al_disk_system(), path, &b, &err), AL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.msg, path));
    assert_string_equal(b.p, "abc");
    al_buf_fini(&b);
}

static void test_what_is_no_file_is_refused(void **state)
{
    (void)state;
    char dir[256];
    al_test_dir(dir, sizeof dir);
    struct al_disk *d = al_disk_system();
    assert_int_equal(mkfifo(path_in(dir, "pipe"), 0600), 0);
    assert_int_equal(symlink("loop", path_in(dir, "loop")), 0);
    char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    put(path_in(dir, "file"), "x");
    struct {
        const char *name;
        const char *path;
        enum al_code code;
    } cases[] = {
        {"a folder", dir, AL_INVALID_ARGUMENT},
        {"a pipe", path_in(dir, "pipe"), AL_INVALID_ARGUMENT},
        {"a device", "/dev/zero", AL_INVALID_ARGUMENT},
        {"absent", path_in(dir, "absent"), AL_NOT_FOUND},
        {"no name", "", AL_NOT_FOUND},
        {"a link to itself", path_in(dir, "loop"), AL_INVALID_ARGUMENT},
        {"below a file", path_in(dir, "file/x"), AL_INVALID_ARGUMENT},
        {"endless", endless, AL_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_buf b;
        al_buf_init(&b, NULL, 0);
        struct al_err err = {0};
        struct al_map m;
        AL_CHECK(cases[i].name, al_disk_read_file(d, cases[i].path, &b, &err) == cases[i].code);
        AL_CHECK(cases[i].name, err.msg[0] != '\0');
        AL_CHECK(cases[i].name, d->ops->map(d, cases[i].path, &m, NULL) == cases[i].code);
        al_buf_fini(&b);
    }
}

static void test_open_modes(void **state)
{
    (void)state;
    char dir[256];
    const char *path = path_in(al_test_dir(dir, sizeof dir), "file");
    struct al_disk *d = al_disk_system();
    static const struct {
        const char *name;
        enum al_disk_mode mode;
        enum al_code code;
        const char *after;
    } cases[] = {
        {"append creates", AL_DISK_APPEND, AL_OK, "x"},
        {"append appends", AL_DISK_APPEND, AL_OK, "xx"},
        {"create refuses", AL_DISK_CREATE, AL_ALREADY_EXISTS, "xx"},
        {"truncate empties", AL_DISK_TRUNCATE, AL_OK, "x"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err;
        struct al_file f = {-1};
        enum al_code code = d->ops->open(d, path, cases[i].mode, 0600, &f, &err);
        AL_CHECK(cases[i].name, code == cases[i].code);
        AL_CHECK(cases[i].name, (f.fd >= 0) == (code == AL_OK));
        if (code == AL_OK) {
            AL_CHECK_OK(d->ops->write(d, &f, "x", 1, &err), err);
            AL_CHECK_OK(d->ops->close(d, &f, &err), err);
            AL_CHECK(cases[i].name, f.fd == -1);
        }
        AL_CHECK(cases[i].name, strcmp(content_of(path), cases[i].after) == 0);
    }
}

static void test_read_at_the_end(void **state)
{
    (void)state;
    char dir[256];
    const char *path = path_in(al_test_dir(dir, sizeof dir), "file");
    struct al_disk *d = al_disk_system();
    put(path, "abc");
    struct al_file f = {-1};
    struct al_err err;
    char p[8];
    size_t n = 9;
    AL_CHECK_OK(d->ops->open(d, path, AL_DISK_READ, 0, &f, &err), err);
    AL_CHECK_OK(d->ops->read_at(d, &f, 1, p, sizeof p, &n, &err), err);
    assert_int_equal(n, 2);
    assert_memory_equal(p, "bc", 2);
    AL_CHECK_OK(d->ops->read_at(d, &f, 5, p, sizeof p, &n, &err), err);
    assert_int_equal(n, 0);
    assert_int_equal(d->ops->read_at(d, &f, UINT64_MAX, p, sizeof p, &n, &err), AL_OUT_OF_RANGE);
    AL_CHECK_OK(d->ops->close(d, &f, &err), err);
}

/* The promise of al_disk_write_file under every fault: old or new content, no temporary file left
 * as long as files can be removed at all, and a later try works. */
struct write_fault {
    const char *name;
    const char *old; /* content before; NULL: no file */
    int errnum;
    bool persistent;
};

/* Operation n fails; false when there is no such operation. */
static bool check_write_fault_at(const struct write_fault *w, size_t n)
{
    char dir[256];
    const char *path = path_in(al_test_dir(dir, sizeof dir), "file");
    if (w->old)
        put(path, w->old);
    struct al_fault_disk f;
    struct al_err err = {0};
    al_fault_disk_init(&f, NULL, n, w->persistent, w->errnum);
    enum al_code code = al_disk_write_file(&f.disk, path, AL_STR("new content"), 0600, &err);
    bool is_new = strcmp(content_of(path), "new content") == 0;
    bool is_old = strcmp(content_of(path), w->old ? w->old : "<absent>") == 0;
    AL_CHECK(w->name, code == AL_OK ? is_new : is_new || is_old);
    AL_CHECK(w->name, code == AL_OK || f.fired);
    AL_CHECK(w->name, code == AL_OK || (err.vendor == w->errnum && err.msg[0]));
    bool can_remove = !w->persistent || w->errnum == ENOSPC;
    AL_CHECK(w->name, tally_of(dir).n_temp == 0 || !can_remove);
    put(path, "later");
    AL_CHECK(w->name, strcmp(content_of(path), "later") == 0);
    return f.fired;
}

static void test_write_file_under_faults(void **state)
{
    (void)state;
    static const struct write_fault cases[] = {
        {"new file, full disk once", NULL, ENOSPC, false},
        {"new file, full disk", NULL, ENOSPC, true},
        {"new file, I/O error once", NULL, EIO, false},
        {"new file, I/O error", NULL, EIO, true},
        {"old file, full disk once", "old", ENOSPC, false},
        {"old file, full disk", "old", ENOSPC, true},
        {"old file, I/O error once", "old", EIO, false},
        {"old file, I/O error", "old", EIO, true},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        size_t n = 0;
        while (check_write_fault_at(&cases[i], n))
            n++;
        AL_CHECK(cases[i].name, n >= 5); /* open, write, sync, rename, sync of the folder */
    }
}

static void test_read_file_under_faults(void **state)
{
    (void)state;
    char dir[256];
    const char *path = path_in(al_test_dir(dir, sizeof dir), "file");
    put(path, "content");
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk f;
            struct al_err err = {0};
            struct al_buf b;
            al_fault_disk_init(&f, NULL, n, persistent, EIO);
            al_buf_init(&b, NULL, 0);
            al_buf_cstr(&b, "kept ");
            enum al_code code = al_disk_read_file(&f.disk, path, &b, &err);
            assert_string_equal(b.p, code == AL_OK ? "kept content" : "kept ");
            assert_true(code == AL_OK || (f.fired && err.vendor == EIO));
            al_buf_fini(&b);
            if (!f.fired) {
                assert_true(n >= 3);
                break;
            }
        }
    }
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_buf b;
        al_fault_mem_init(&fm, n, false);
        al_buf_init(&b, &fm.mem, 0);
        enum al_code code = al_disk_read_file(al_disk_system(), path, &b, NULL);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_buf_fini(&b);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            break;
    }
}

static void test_mkdirs_under_faults(void **state)
{
    (void)state;
    static const int errnums[] = {ENOSPC, EIO};
    for (unsigned i = 0; i < 4; i++) {
        for (size_t n = 0;; n++) {
            char dir[256];
            const char *path = path_in(al_test_dir(dir, sizeof dir), "a/b/c");
            struct al_fault_disk f;
            struct al_err err = {0};
            al_fault_disk_init(&f, NULL, n, i & 1, errnums[i / 2]);
            enum al_code code = al_disk_mkdirs(&f.disk, path, 0700, &err);
            assert_int_equal(code == AL_OK, !f.fired);
            assert_true(code == AL_OK || err.vendor == errnums[i / 2]);
            AL_CHECK_OK(al_disk_mkdirs(al_disk_system(), path, 0700, &err), err); /* again */
            assert_int_equal(tally_of(path).n_all, 0);
            if (!f.fired) {
                assert_true(n >= 6);
                break;
            }
        }
    }
}

static void test_mkdirs(void **state)
{
    (void)state;
    char dir[256];
    al_test_dir(dir, sizeof dir);
    put(path_in(dir, "file"), "x");
    struct {
        const char *name;
        const char *path;
        enum al_code code;
    } cases[] = {
        {"one", path_in(dir, "one"), AL_OK},
        {"again", path_in(dir, "one"), AL_OK},
        {"deep, with odd slashes", path_in(dir, "x//y/./z/"), AL_OK},
        {"root", "/", AL_OK},
        {"here", ".", AL_OK},
        {"a file is there", path_in(dir, "file"), AL_INVALID_ARGUMENT},
        {"below a file", path_in(dir, "file/x"), AL_INVALID_ARGUMENT},
        {"no name", "", AL_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        AL_CHECK(cases[i].name,
                 al_disk_mkdirs(al_disk_system(), cases[i].path, 0700, &err) == cases[i].code);
    }
    assert_int_equal(tally_of(path_in(dir, "x/y/z")).n_all, 0);
}

static enum al_code stop_at_second(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    if (++*(size_t *)u == 2)
        return AL_FAIL(err, AL_ABORTED, "visit: enough at '%s'", e->name);
    return AL_OK;
}

static void test_list_tells_types_and_follows_no_link(void **state)
{
    (void)state;
    char dir[256];
    char elsewhere[256];
    struct al_err err;
    struct al_disk *d = al_disk_system();
    al_test_dir(dir, sizeof dir);
    put(path_in(al_test_dir(elsewhere, sizeof elsewhere), "file"), "x");
    put(path_in(dir, "file"), "x");
    AL_CHECK_OK(al_disk_mkdirs(d, path_in(dir, "folder"), 0700, &err), err);
    assert_int_equal(symlink(elsewhere, path_in(dir, "link to a folder")), 0);
    assert_int_equal(symlink("file", path_in(dir, "link to a file")), 0);
    assert_int_equal(symlink("nowhere", path_in(dir, "dangling")), 0);
    assert_int_equal(mkfifo(path_in(dir, "pipe"), 0600), 0);
    struct tally t = tally_of(dir);
    assert_int_equal(t.n_all, 6);
    assert_int_equal(t.n_files, 1);
    assert_int_equal(t.n_dirs, 1);
    assert_int_equal(t.n_links, 3);
    size_t n = 0;
    assert_int_equal(d->ops->list(d, dir, stop_at_second, &n, &err), AL_ABORTED);
    assert_int_equal(n, 2);
    assert_int_equal(d->ops->list(d, path_in(dir, "file"), count_entry, &t, &err),
                     AL_INVALID_ARGUMENT);
    assert_int_equal(d->ops->list(d, path_in(dir, "absent"), count_entry, &t, &err), AL_NOT_FOUND);
    uint64_t free_bytes = 0;
    AL_CHECK_OK(d->ops->free_bytes(d, dir, &free_bytes, &err), err);
    assert_true(free_bytes > 0);
}

static void build_tree(const char *dir, const char *elsewhere)
{
    struct al_err err;
    AL_CHECK_OK(al_disk_mkdirs(al_disk_system(), path_in(dir, "t/a/b/c"), 0700, &err), err);
    for (int i = 0; i < 3; i++) {
        char name[40];
        snprintf(name, sizeof name, "t/a/%d", i);
        put(path_in(dir, name), "x");
    }
    (void)!symlink(elsewhere, path_in(dir, "t/a/b/link"));
    (void)!symlink("..", path_in(dir, "t/a/b/c/up"));
}

static void test_remove_tree(void **state)
{
    (void)state;
    char dir[256];
    char elsewhere[256];
    struct al_err err;
    struct al_disk *d = al_disk_system();
    al_test_dir(dir, sizeof dir);
    put(path_in(al_test_dir(elsewhere, sizeof elsewhere), "precious"), "kept");
    build_tree(dir, elsewhere);
    AL_CHECK_OK(al_disk_remove_tree(d, path_in(dir, "t"), &err), err);
    assert_int_equal(tally_of(dir).n_all, 0);
    AL_CHECK_OK(al_disk_remove_tree(d, path_in(dir, "t"), &err), err); /* absent is fine */
    assert_int_equal(symlink(elsewhere, path_in(dir, "link")), 0);
    AL_CHECK_OK(al_disk_remove_tree(d, path_in(dir, "link"), &err), err);
    assert_int_equal(tally_of(dir).n_all, 0);
    assert_string_equal(content_of(path_in(elsewhere, "precious")), "kept");
    for (size_t n = 0;;
         n++) { /* each operation failing: an error, and the rest can be removed later */
        build_tree(dir, elsewhere);
        struct al_fault_disk f;
        al_fault_disk_init(&f, NULL, n, false, EIO);
        enum al_code code = al_disk_remove_tree(&f.disk, path_in(dir, "t"), &err);
        assert_int_equal(code == AL_OK, !f.fired);
        if (!f.fired)
            break;
    }
    assert_int_equal(tally_of(dir).n_all, 0);
    char deep[161];
    for (size_t i = 0; i < 80; i++)
        memcpy(deep + 2 * i, "d/", 3);
    AL_CHECK_OK(al_disk_mkdirs(d, path_in(dir, "deep"), 0700, &err), err);
    char path[2000];
    snprintf(path, sizeof path, "%s/deep/%s", dir, deep);
    AL_CHECK_OK(al_disk_mkdirs(d, path, 0700, &err), err);
    assert_int_equal(al_disk_remove_tree(d, path_in(dir, "deep"), &err), AL_RESOURCE_EXHAUSTED);
    snprintf(path, sizeof path, "%s/deep/%.60s", dir, deep); /* from half way down there is less */
    AL_CHECK_OK(al_disk_remove_tree(d, path, &err), err);
}

static void test_long_names_of_files_work(void **state)
{
    (void)state;
    char dir[256];
    al_test_dir(dir, sizeof dir);
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const char *path = path_in(
        dir, name); /* as long as the file system allows: the temporary name is not longer */
    put(path, "x");
    assert_string_equal(content_of(path), "x");
    struct al_err err;
    AL_CHECK_OK(al_disk_remove_tree(al_disk_system(), path, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read_back),
        cmocka_unit_test(test_permissions_are_exact),
        cmocka_unit_test(test_read_limit),
        cmocka_unit_test(test_what_is_no_file_is_refused),
        cmocka_unit_test(test_open_modes),
        cmocka_unit_test(test_read_at_the_end),
        cmocka_unit_test(test_write_file_under_faults),
        cmocka_unit_test(test_read_file_under_faults),
        cmocka_unit_test(test_mkdirs_under_faults),
        cmocka_unit_test(test_mkdirs),
        cmocka_unit_test(test_list_tells_types_and_follows_no_link),
        cmocka_unit_test(test_remove_tree),
        cmocka_unit_test(test_long_names_of_files_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
