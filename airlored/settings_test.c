#include "settings.h"

#include <stdlib.h>

#include "airlore/testing.h"

/* Load from the text of a file and overrides "path=value" (NULL-terminated; may be NULL). */
static enum al_code load(const char *text, const char *const *over, struct al_mem *mem,
                         struct al_settings *ret, struct al_err *err)
{
    char dir[256];
    char path[300];
    struct al_options o = {.action = AL_OPTIONS_RUN};
    char words[AL_OPTIONS_SET_MAX][2][300];
    if (text) {
        snprintf(path, sizeof path, "%s/airlored.yaml", al_test_dir(dir, sizeof dir));
        AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, al_str_c(text), 0600, err), *err);
        o.config = path;
    }
    for (size_t i = 0; over && over[i]; i++) {
        const char *eq = strchr(over[i], '=');
        snprintf(words[i][0], sizeof words[i][0], "%.*s", (int)(eq - over[i]), over[i]);
        snprintf(words[i][1], sizeof words[i][1], "%s", eq + 1);
        o.set[o.n_set++] = (struct al_options_set){"--option", words[i][0], words[i][1]};
    }
    return al_settings_load(&o, al_disk_system(), mem, ret, err);
}

static void test_defaults(void **state)
{
    (void)state;
    struct al_settings s;
    struct al_err err;
    setenv("HOME", "/home/ada", 1);
    unsetenv("XDG_DATA_HOME");
    AL_CHECK_OK(load(NULL, NULL, NULL, &s, &err), err);
    assert_string_equal(s.listen, "127.0.0.1:7700");
    assert_string_equal(s.http, "127.0.0.1:7701");
    assert_string_equal(s.data, "/home/ada/.local/share/airlore");
    assert_true(s.name[0] != '\0');
    assert_int_equal(s.role, AL_SETTINGS_STANDALONE);
    assert_int_equal(s.shards, 1);
    assert_int_equal(s.grpc_address.port, 7700);
    assert_int_equal(s.http_address.port, 7701);
    assert_int_equal(s.drain_grace_ms, 10000);
    al_settings_fini(&s, NULL);
    setenv("XDG_DATA_HOME", "/xdg", 1);
    AL_CHECK_OK(load(NULL, NULL, NULL, &s, &err), err);
    assert_string_equal(s.data, "/xdg/airlore");
    al_settings_fini(&s, NULL);
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_int_equal(load(NULL, NULL, NULL, &s, &err), AL_INVALID_ARGUMENT);
    setenv("HOME", "/home/ada", 1);
}

static void test_file_and_options(void **state)
{
    (void)state;
    struct al_settings s;
    struct al_err err;
    static const char *const over[] = {"listen=[::1]:0", "data=/d", "name=n-1", NULL};
    AL_CHECK_OK(load("listen: 10.0.0.1:9\nshards: 16\nlog:\n  level: debug\n  format: json\n"
                     "rpc:\n  pool_threads: 3\n  call_memory: 8MiB\n"
                     "quota:\n  ingest_bytes_per_day: 2GiB\nshard:\n  min_free: 1MiB\n",
                     over, NULL, &s, &err),
                err);
    assert_string_equal(s.listen, "[::1]:0");
    assert_string_equal(s.data, "/d");
    assert_string_equal(s.name, "n-1");
    assert_int_equal(s.shards, 16);
    assert_int_equal(s.log_level, 0);
    assert_int_equal(s.log_format, 1);
    assert_int_equal(s.rpc_pool_threads, 3);
    assert_int_equal(s.rpc_call_memory_bytes, 8 << 20);
    assert_int_equal(s.quota_ingest_bytes_per_day, 2LL << 30);
    assert_int_equal(s.shard_min_free_bytes, 1 << 20);
    al_settings_fini(&s, NULL);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *over;
        const char *said;
    } cases[] = {
        {"unknown key, with its line", "shards: 2\nnonsense: 1\n", NULL, "airlored.yaml:2:"},
        {"unknown section", "rpc:\n  nope: 3\n", NULL, "rpc.nope"},
        {"not a number", "shards: many\n", NULL, "'many'"},
        {"out of range", "shards: 512\n", NULL, "out of range"},
        {"power of two", "shards: 3\n", NULL, "power of two"},
        {"zero shards", "shards: 0\n", NULL, "out of range"},
        {"a bad role", NULL, "role=king", "'king'"},
        {"option is named", NULL, "shards=x", "option '--option'"},
        {"listen without a port", NULL, "listen=localhost", "no port"},
        {"http with a bad port", NULL, "http=localhost:99999", "http: address"},
        {"same address twice", NULL, "http=127.0.0.1:7700", "the same address"},
        {"cert without key", "tls:\n  cert: /c\n", NULL, "tls:"},
        {"key without cert", "tls:\n  key: /c\n", NULL, "tls:"},
        {"ca without cert", "tls:\n  client_ca: /c\n", NULL, "client_ca"},
        {"etcd in standalone", NULL, "etcd=http://e:2379", "etcd"},
        {"name with spaces", NULL, "name=a b", "name"},
        {"one call takes more than all", "rpc:\n  call_memory: 8GiB\n", NULL, "call_memory"},
        {"grace too long", "drain_grace: 11m\n", NULL, "drain_grace"},
        {"a list", "shards: [1]\n", NULL, "airlored.yaml:1:"},
        {"no YAML", "\"\n", NULL, "airlored.yaml:"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_settings s = {.shards = 99};
        struct al_err err = {.code = AL_OK};
        const char *over[] = {cases[i].over, NULL};
        enum al_code code = load(cases[i].text, over, NULL, &s, &err);
        AL_CHECK(cases[i].name, code == AL_INVALID_ARGUMENT && s.shards == 99);
        if (!strstr(err.msg, cases[i].said))
            print_error("%s: said: %s\n", cases[i].name, err.msg);
        AL_CHECK(cases[i].name, strstr(err.msg, cases[i].said) != NULL);
    }
}

static void test_no_file(void **state)
{
    (void)state;
    struct al_settings s;
    struct al_err err;
    struct al_options o = {.config = "/nonexistent/airlored.yaml"};
    assert_int_equal(al_settings_load(&o, al_disk_system(), NULL, &s, &err), AL_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/airlored.yaml"));
}

/* What --print-config prints is a configuration, and means the same. */
static void test_printed_again(void **state)
{
    (void)state;
    struct al_settings s;
    struct al_settings again;
    struct al_err err;
    struct al_buf one;
    struct al_buf two;
    static const char *const over[] = {"shards=8", "name=x", "quota.ingest_bytes_per_day=5MiB",
                                       NULL};
    AL_CHECK_OK(load(NULL, over, NULL, &s, &err), err);
    al_buf_init(&one, NULL, 0);
    al_buf_init(&two, NULL, 0);
    al_config_print(al_settings_table(), &s, &one);
    AL_CHECK_OK(al_buf_status(&one, &err), err);
    AL_CHECK_OK(load(one.p, NULL, NULL, &again, &err), err);
    al_config_print(al_settings_table(), &again, &two);
    assert_true(al_str_eq(al_buf_view(&one), al_buf_view(&two)));
    for (size_t i = 0; i < al_settings_table()->n_keys; i++)
        AL_CHECK(al_settings_table()->keys[i].path, al_settings_table()->keys[i].help[0] != '\0');
    al_buf_fini(&one);
    al_buf_fini(&two);
    al_settings_fini(&s, NULL);
    al_settings_fini(&again, NULL);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_settings s = {.shards = 99};
        static const char *const over[] = {"shards=8", "data=/d", "name=x", NULL};
        al_fault_mem_init(&fm, n, false);
        enum al_code code = load("log:\n  level: warn\n", over, &fm.mem, &s, &(struct al_err){0});
        if (fm.fired) {
            assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
            assert_int_equal(s.shards, 99);
        } else {
            assert_int_equal(code, AL_OK);
            al_settings_fini(&s, &fm.mem);
        }
        assert_int_equal(fm.live, 0);
        if (!fm.fired) {
            assert_true(n > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_file_and_options),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_printed_again), cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
