#include "discover.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/testing.h"

static char dir[300];
static char runtime[700];

static void write_file(const char *path, mode_t mode, const char *text)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void write_runtime(mode_t mode, pid_t pid)
{
    char text[1000];
    snprintf(text, sizeof text,
             "{\"grpc\":\"127.0.0.1:7700\",\"http\":\"127.0.0.1:7701\",\"data\":\"%s\",\"pid\":%d,"
             "\"started\":\"2026-11-21T09:30:00Z\"}",
             dir, (int)pid);
    write_file(runtime, mode, text);
}

static void write_key(mode_t mode, const char *text)
{
    char path[700];
    snprintf(path, sizeof path, "%s/admin.key", dir);
    write_file(path, mode, text);
}

static int set_up(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    setenv("XDG_STATE_HOME", dir, 1);
    struct al_err err;
    AL_CHECK_OK(al_cli_runtime_path(runtime, sizeof runtime, &err), err);
    char folder[400];
    snprintf(folder, sizeof folder, "%s/airlore", dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    return 0;
}

static void test_paths(void **state)
{
    (void)state;
    char path[400];
    setenv("HOME", "/home/u", 1);
    unsetenv("XDG_STATE_HOME");
    assert_int_equal(al_cli_runtime_path(path, sizeof path, NULL), AL_OK);
    assert_string_equal(path, "/home/u/.local/state/airlore/server.json");
    setenv("XDG_STATE_HOME", "relative", 1); /* not absolute: ignored */
    assert_int_equal(al_cli_runtime_path(path, sizeof path, NULL), AL_OK);
    assert_string_equal(path, "/home/u/.local/state/airlore/server.json");
    unsetenv("HOME");
    assert_int_equal(al_cli_runtime_path(path, sizeof path, NULL), AL_NOT_FOUND);
}

static void test_found(void **state)
{
    (void)state;
    write_runtime(0600, getpid());
    write_key(0600, "al_k1_secret\n");
    struct al_cli_found f = {.grpc = ""};
    struct al_err err;
    AL_CHECK_OK(al_cli_discover(runtime, &f, &err), err);
    assert_string_equal(f.grpc, "127.0.0.1:7700");
    assert_string_equal(f.key, "al_k1_secret");
    assert_string_equal(f.key_problem, "");
}

static void expect(enum al_code code, const char *part)
{
    struct al_cli_found f = {.grpc = "untouched"};
    struct al_err err = {.code = AL_OK};
    assert_int_equal(al_cli_discover(runtime, &f, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(f.grpc, "untouched");
    if (!strstr(err.msg, part))
        fail_msg("'%s' lacks '%s'", err.msg, part);
}

static void test_not_to_be_trusted(void **state)
{
    (void)state;
    unlink(runtime);
    expect(AL_NOT_FOUND, "no such file");
    write_runtime(0666, getpid());
    expect(AL_FAILED_PRECONDITION, "others can write it");
    write_file(runtime, 0600, "{\"grpc\":");
    expect(AL_FAILED_PRECONDITION, "line 1");
    write_file(runtime, 0600, "[]");
    expect(AL_FAILED_PRECONDITION, "lacks");
    write_file(runtime, 0600, "{\"grpc\":\"h:1\",\"pid\":-1}");
    expect(AL_FAILED_PRECONDITION, "lacks");
    char other[710];
    snprintf(other, sizeof other, "%s.real", runtime);
    write_file(other, 0600, "{}");
    unlink(runtime);
    assert_int_equal(symlink(other, runtime), 0);
    expect(AL_FAILED_PRECONDITION, "server.json");
    unlink(runtime);
    write_runtime(0600, getpid());
    char folder[400];
    snprintf(folder, sizeof folder, "%s/airlore", dir);
    assert_int_equal(chmod(folder, 0777), 0);
    expect(AL_FAILED_PRECONDITION, "others can write it");
    assert_int_equal(chmod(folder, 0700), 0);
}

static void test_a_server_that_is_gone(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    write_runtime(0600, child);
    expect(AL_FAILED_PRECONDITION, "is gone");
}

static void test_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    write_runtime(0600, getpid());
    assert_int_equal(chown(runtime, 12345, 12345), 0);
    expect(AL_FAILED_PRECONDITION, "another user");
    unlink(runtime);
}

static void test_without_a_key(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *part;
    } keys[] = {{"", 0600, "empty"},
                {"two words\n", 0600, "not one line"},
                {"a\nb\n", 0600, "not one line"},
                {"al_k_s\n", 0644, "others can read it"}};
    write_runtime(0600, getpid());
    for (size_t i = 0; i < AL_ARRAY_LEN(keys); i++) {
        write_key(keys[i].mode, keys[i].text);
        struct al_cli_found f = {.grpc = ""};
        struct al_err err;
        AL_CHECK_OK(al_cli_discover(runtime, &f, &err), err);
        AL_CHECK(keys[i].part, f.key[0] == '\0' && strstr(f.key_problem, keys[i].part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_not_to_be_trusted),
        cmocka_unit_test(test_a_server_that_is_gone),
        cmocka_unit_test(test_of_another_user),
        cmocka_unit_test(test_without_a_key),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
