#include "runtime_file.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/testing.h"

struct fixture {
    char dir[256];
    char folder[300];
    char path[400];
};

static int setup(void **state)
{
    static struct fixture f;
    al_test_dir(f.dir, sizeof f.dir);
    snprintf(f.folder, sizeof f.folder, "%s/state/airlore", f.dir);
    snprintf(f.path, sizeof f.path, "%s/server.json", f.folder);
    *state = &f;
    return 0;
}

static struct al_runtime_info info_of(uint64_t pid)
{
    return (struct al_runtime_info){.grpc = "127.0.0.1:1",
                                    .http = "127.0.0.1:2",
                                    .data = "/da\"ta/\xED\x95\x9C",
                                    .pid = pid,
                                    .started_ms = 1780000000000};
}

static enum al_code put(const struct fixture *f, uint64_t pid, struct al_runtime_file *ret)
{
    struct al_runtime_info info = info_of(pid);
    return al_runtime_file_write(f->path, &info, al_disk_system(), ret, NULL);
}

static bool holds(const struct fixture *f, const char *text)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    bool found = al_disk_read_file(al_disk_system(), f->path, &b, NULL) == AL_OK &&
                 al_str_find(al_buf_view(&b), al_str_c(text), 0) != SIZE_MAX;
    al_buf_fini(&b);
    return found;
}

static bool is_there(const struct fixture *f)
{
    struct stat st;
    return lstat(f->path, &st) == 0;
}

static void test_path(void **state)
{
    (void)state;
    static const struct {
        const char *xdg;
        const char *home;
        const char *path;
    } cases[] = {
        {"/x", "/h", "/x/airlore/server.json"},
        {"", "/h", "/h/.local/state/airlore/server.json"},
        {"relative", "/h", "/h/.local/state/airlore/server.json"},
        {"", "", NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char buf[256];
        setenv("XDG_STATE_HOME", cases[i].xdg, 1);
        setenv("HOME", cases[i].home, 1);
        enum al_code code = al_runtime_file_path(buf, sizeof buf, NULL);
        AL_CHECK(cases[i].xdg, code == (cases[i].path ? AL_OK : AL_NOT_FOUND));
        AL_CHECK(cases[i].xdg, code != AL_OK || strcmp(buf, cases[i].path) == 0);
    }
}

static void test_written_and_removed(void **state)
{
    struct fixture *f = *state;
    struct al_runtime_file r;
    struct stat st;
    assert_int_equal(put(f, (uint64_t)getpid(), &r), AL_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(holds(f, "\"grpc\":\"127.0.0.1:1\""));
    assert_true(holds(f, "\"http\":\"127.0.0.1:2\""));
    assert_true(holds(f, "\"data\":\"/da\\\"ta/\xED\x95\x9C\""));
    assert_true(holds(f, "\"started\":\"2026-"));
    al_runtime_file_remove(&r, al_disk_system());
    assert_false(is_there(f));
    al_runtime_file_remove(&r, al_disk_system());
}

static void test_open_folder_is_closed(void **state)
{
    struct fixture *f = *state;
    struct al_runtime_file r;
    struct al_err err;
    struct stat st;
    AL_CHECK_OK(al_disk_mkdirs(al_disk_system(), f->folder, 0700, &err), err);
    assert_int_equal(chmod(f->folder, 0777), 0);
    assert_int_equal(put(f, (uint64_t)getpid(), &r), AL_OK);
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_replaced_server(void **state)
{
    struct fixture *f = *state;
    struct al_runtime_file theirs;
    struct al_runtime_file ours;
    pid_t other = sleeper();
    char named[64];
    snprintf(named, sizeof named, "\"pid\":%ld", (long)other);
    /* One that runs is found again after us. */
    assert_int_equal(put(f, (uint64_t)other, &theirs), AL_OK);
    assert_int_equal(put(f, (uint64_t)getpid(), &ours), AL_OK);
    assert_false(holds(f, named));
    al_runtime_file_remove(&ours, al_disk_system());
    assert_true(holds(f, named));
    /* One that ended meanwhile is not. */
    assert_int_equal(put(f, (uint64_t)getpid(), &ours), AL_OK);
    end(other);
    al_runtime_file_remove(&ours, al_disk_system());
    assert_false(is_there(f));
    /* A file of another server is left alone. */
    other = sleeper();
    assert_int_equal(put(f, (uint64_t)getpid(), &ours), AL_OK);
    assert_int_equal(put(f, (uint64_t)other, &theirs), AL_OK);
    al_runtime_file_remove(&ours, al_disk_system());
    assert_true(is_there(f));
    end(other);
}

static void test_damaged_one_is_replaced(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {"", "{", "[]", "{\"pid\":\"x\"}", "{\"pid\":-1}", "\xFF"};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++) {
        struct al_runtime_file r;
        struct al_err err;
        AL_CHECK_OK(al_disk_mkdirs(al_disk_system(), f->folder, 0700, &err), err);
        AL_CHECK_OK(al_disk_write_file(al_disk_system(), f->path, al_str_c(texts[i]), 0600, &err),
                    err);
        AL_CHECK(texts[i], put(f, (uint64_t)getpid(), &r) == AL_OK && r.previous[0] == '\0');
        al_runtime_file_remove(&r, al_disk_system());
        AL_CHECK(texts[i], !is_there(f));
    }
}

static void test_disk_faults(void **state)
{
    struct fixture *f = *state;
    struct al_runtime_info info = info_of((uint64_t)getpid());
    for (size_t n = 0;; n++) {
        struct al_fault_disk fd;
        struct al_runtime_file r = {.pid = 99};
        al_fault_disk_init(&fd, NULL, n, false, EIO);
        enum al_code code = al_runtime_file_write(f->path, &info, &fd.disk, &r, NULL);
        if (code != AL_OK)
            assert_int_equal(r.pid, 99);
        else
            al_runtime_file_remove(&r, &fd.disk);
        if (!fd.fired) {
            assert_true(n > 4);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_path, setup),
        cmocka_unit_test_setup(test_written_and_removed, setup),
        cmocka_unit_test_setup(test_open_folder_is_closed, setup),
        cmocka_unit_test_setup(test_replaced_server, setup),
        cmocka_unit_test_setup(test_damaged_one_is_replaced, setup),
        cmocka_unit_test_setup(test_disk_faults, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
