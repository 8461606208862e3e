/* What the daemon opens at its start, with each allocation and each operation on files failing in
 * turn, once and from then on. */
#include <errno.h>
#include <stdlib.h>

#include "airlore/testing.h"
#include "shard_set.h"
#include "tls_files.h"

static char dir[256];

static const char *put_file(char *buf, size_t n, const char *name, const char *text)
{
    struct al_err err;
    snprintf(buf, n, "%s/%s", dir, name);
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), buf, al_str_c(text), 0600, &err), err);
    return buf;
}

static struct al_settings settings(const char *const *over)
{
    struct al_options o = {.action = AL_OPTIONS_RUN};
    struct al_settings s;
    struct al_err err;
    for (; over[0]; over += 2)
        o.set[o.n_set++] = (struct al_options_set){"--option", over[0], over[1]};
    AL_CHECK_OK(al_settings_load(&o, al_disk_system(), NULL, &s, &err), err);
    return s;
}

/* ---- certificates ---- */

static void test_tls_files(void **state)
{
    (void)state;
    char cert[300];
    char key[300];
    char ca[300];
    al_test_dir(dir, sizeof dir);
    const char *const over[] = {"data",
                                dir,
                                "tls.cert",
                                put_file(cert, sizeof cert, "cert", "CERT"),
                                "tls.key",
                                put_file(key, sizeof key, "key", "KEY"),
                                "tls.client_ca",
                                put_file(ca, sizeof ca, "ca", "CA"),
                                NULL};
    struct al_settings s = settings(over);
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk d;
            struct al_tls_files f = {.is_set = false};
            struct al_err err = {0};
            al_fault_disk_init(&d, NULL, n, persistent, EIO);
            enum al_code code = al_tls_files_read(&s, &d.disk, &f, &err);
            assert_true(f.is_set == (code == AL_OK));
            if (code == AL_OK) {
                assert_string_equal(f.tls.cert_pem, "CERT");
                assert_string_equal(f.tls.key_pem, "KEY");
                assert_string_equal(f.tls.ca_pem, "CA");
                assert_true(f.tls.require_client_cert);
            } else {
                assert_non_null(strstr(err.msg, "tls.")); /* which setting it was */
            }
            al_tls_files_fini(&f);
            if (!d.fired) {
                assert_int_equal(code, AL_OK);
                assert_true(n > 5);
                break;
            }
        }
    }
    put_file(key, sizeof key, "key", "");
    struct al_tls_files f = {.is_set = false};
    struct al_err err;
    assert_int_equal(al_tls_files_read(&s, al_disk_system(), &f, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_TLS");
    assert_non_null(strstr(err.msg, "tls.key"));
    al_settings_fini(&s, NULL);
}

/* ---- shards ---- */

struct place {
    struct al_settings settings;
    struct al_data_folder folder;
};

static void place_open(struct place *p)
{
    struct al_err err;
    al_test_dir(dir, sizeof dir);
    const char *const over[] = {"data", dir, "shards", "1", NULL};
    p->settings = settings(over);
    AL_CHECK_OK(al_data_folder_open(dir, 1, al_disk_system(), &p->folder, &err), err);
}

static void place_close(struct place *p)
{
    al_data_folder_close(&p->folder);
    al_settings_fini(&p->settings, NULL);
}

static enum al_code open_set(const struct place *p, struct al_mem *mem, struct al_disk *disk,
                             struct al_shard_set **ret)
{
    struct al_shard_set_options o = {.settings = &p->settings,
                                     .folder = &p->folder,
                                     .embedder_id = "test",
                                     .dim = 8,
                                     .mem = mem,
                                     .disk = disk,
                                     .clock = al_clock_system()};
    return al_shard_set_open(&o, ret, NULL);
}

static void test_shard_set_without_memory(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        struct al_shard_set *s = NULL;
        al_fault_mem_init(&m, n, false);
        enum al_code code = open_set(&p, &m.mem, al_disk_system(), &s);
        if (code != AL_OK && (!m.fired || code != AL_RESOURCE_EXHAUSTED))
            fail_msg("allocation %zu failing: %s", n, al_code_name(code));
        assert_true((s != NULL) == (code == AL_OK));
        al_shard_set_destroy(s);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            break;
    }
    place_close(&p);
}

/* Whatever fails, once or for good: an error or a set that works, and the next start is whole. */
static void test_shard_set_on_a_failing_disk(void **state)
{
    (void)state;
    static const int errnums[] = {EIO, ENOSPC};
    struct place p;
    for (size_t i = 0; i < 2 * AL_ARRAY_LEN(errnums); i++) {
        for (size_t n = 0;; n++) {
            struct al_fault_disk d;
            struct al_shard_set *s = NULL;
            if (n % 8 == 0) { /* some at a first start, some at a later one */
                if (n)
                    place_close(&p);
                place_open(&p);
            }
            al_fault_disk_init(&d, NULL, n, i & 1, errnums[i / 2]);
            enum al_code code = open_set(&p, NULL, &d.disk, &s);
            assert_true(d.fired || code == AL_OK);
            assert_true((s != NULL) == (code == AL_OK));
            al_shard_set_destroy(s);
            s = NULL;
            code = open_set(&p, NULL, al_disk_system(), &s);
            if (code != AL_OK)
                fail_msg("after operation %zu failed: %s", n, al_code_name(code));
            char why[200];
            assert_true(al_shard_set_is_writable(s, why, sizeof why));
            al_shard_set_destroy(s);
            if (!d.fired)
                break;
        }
        place_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_files),
        cmocka_unit_test(test_shard_set_without_memory),
        cmocka_unit_test(test_shard_set_on_a_failing_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
