#include "data_folder.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/testing.h"

struct fixture {
    char dir[256];
    char path[300];
};

static int setup(void **state)
{
    static struct fixture f;
    al_test_dir(f.dir, sizeof f.dir);
    snprintf(f.path, sizeof f.path, "%s/a/b", f.dir);
    *state = &f;
    return 0;
}

static enum al_code open_folder(const struct fixture *f, uint32_t shards,
                                struct al_data_folder *ret, struct al_err *err)
{
    return al_data_folder_open(f->path, shards, al_disk_system(), ret, err);
}

static void write_text(const struct fixture *f, const char *name, const char *text)
{
    char path[400];
    struct al_err err;
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, al_str_c(text), 0600, &err), err);
}

static void test_made_and_opened_again(void **state)
{
    struct fixture *f = *state;
    struct al_data_folder d = {.lock_fd = -1};
    struct al_err err;
    struct stat st;
    AL_CHECK_OK(open_folder(f, 4, &d, &err), err);
    assert_int_equal(d.path[0], '/');
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    al_data_folder_close(&d);
    al_data_folder_close(&d); /* harmless */
    AL_CHECK_OK(open_folder(f, 4, &d, &err), err);
    al_data_folder_close(&d);
    assert_int_equal(open_folder(f, 8, &d, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "SHARDS_FIXED");
    assert_non_null(strstr(err.msg, "4"));
}

static void test_locked(void **state)
{
    struct fixture *f = *state;
    struct al_data_folder one = {.lock_fd = -1};
    struct al_data_folder two = {.lock_fd = 77};
    struct al_err err;
    char pid[32];
    AL_CHECK_OK(open_folder(f, 1, &one, &err), err);
    assert_int_equal(open_folder(f, 1, &two, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "DATA_IN_USE");
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.msg, pid));
    assert_int_equal(two.lock_fd, 77);
    al_data_folder_close(&one);
    AL_CHECK_OK(open_folder(f, 1, &two, &err), err);
    al_data_folder_close(&two);
}

static void test_formats(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum al_code code;
    } cases[] = {
        {"airlore-data 1\nshards 2\n", AL_OK},
        {"airlore-data 1\nshards 2\nmore 1\n", AL_OK},
        {"airlore-data 2\nshards 2\n", AL_FAILED_PRECONDITION},
        {"airlore-data 1\nshards 4\n", AL_FAILED_PRECONDITION},
        {"airlore-data 1\nshards \n", AL_FAILED_PRECONDITION},
        {"airlore-data 1\n", AL_FAILED_PRECONDITION},
        {"airlore-data 1", AL_FAILED_PRECONDITION},
        {"airlore-data x\nshards 2\n", AL_FAILED_PRECONDITION},
        {"", AL_FAILED_PRECONDITION},
        {"something else\n", AL_FAILED_PRECONDITION},
    };
    struct al_data_folder d;
    struct al_err err;
    AL_CHECK_OK(open_folder(f, 2, &d, &err), err);
    al_data_folder_close(&d);
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        write_text(f, "format", cases[i].text);
        enum al_code code = open_folder(f, 2, &d, &err);
        AL_CHECK(cases[i].text, code == cases[i].code);
        if (code == AL_OK)
            al_data_folder_close(&d);
    }
}

static void test_no_data_folder(void **state)
{
    struct fixture *f = *state;
    struct al_data_folder d;
    struct al_err err;
    char shards[400];
    snprintf(shards, sizeof shards, "%s/shards", f->path);
    AL_CHECK_OK(al_disk_mkdirs(al_disk_system(), shards, 0700, &err), err);
    assert_int_equal(open_folder(f, 1, &d, &err), AL_FAILED_PRECONDITION);
    assert_string_equal(err.reason, "DATA_FORMAT");
    /* What is not a folder at all. */
    struct fixture g = *f;
    snprintf(g.path, sizeof g.path, "%s/file", f->dir);
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), g.path, AL_STR("x"), 0600, &err), err);
    assert_int_equal(open_folder(&g, 1, &d, &err), AL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, g.path));
}

static void test_disk_faults(void **state)
{
    struct fixture *f = *state;
    static const int errors[] = {ENOSPC, EIO};
    for (size_t e = 0; e < AL_ARRAY_LEN(errors); e++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk fd;
            struct al_data_folder d = {.lock_fd = -1};
            struct al_err err;
            AL_CHECK_OK(al_disk_remove_tree(al_disk_system(), f->path, &err), err);
            al_fault_disk_init(&fd, NULL, n, false, errors[e]);
            enum al_code code = al_data_folder_open(f->path, 1, &fd.disk, &d, &err);
            if (code != AL_OK) {
                assert_true(fd.fired);
                assert_int_equal(d.lock_fd, -1);
                /* The fault gone, it works. */
                AL_CHECK_OK(open_folder(f, 1, &d, &err), err);
            }
            al_data_folder_close(&d);
            if (!fd.fired) {
                assert_true(n > 3);
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_made_and_opened_again, setup),
        cmocka_unit_test_setup(test_locked, setup),
        cmocka_unit_test_setup(test_formats, setup),
        cmocka_unit_test_setup(test_no_data_folder, setup),
        cmocka_unit_test_setup(test_disk_faults, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
