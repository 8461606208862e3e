/* What is read of a client certificate, on one made by the openssl program and on bytes that are
 * none. */
#include "airlore/testing.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "airlore/clock.h"
#include "certificate.h"
#include "key_text.h"

extern char **environ;

static char pem[8192];
static char want_sha256[100]; /* as openssl prints it, with colons */

static void run(const char *const argv[], const char *out, char *ret, size_t cap)
{
    pid_t pid;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, out, 0x41 /* O_WRONLY | O_CREAT */, 0600);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", 1, 0);
    assert_int_equal(posix_spawnp(&pid, "openssl", &files, NULL, (char **)argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    FILE *f = fopen(out, "rb");
    assert_non_null(f);
    size_t n = fread(ret, 1, cap - 1, f);
    ret[n] = '\0';
    fclose(f);
}

static int make(void **state)
{
    (void)state;
    char dir[256];
    char cert[300];
    char key[300];
    char text[300];
    al_test_dir(dir, sizeof dir);
    snprintf(cert, sizeof cert, "%s/c.pem", dir);
    snprintf(key, sizeof key, "%s/c.key", dir);
    snprintf(text, sizeof text, "%s/out", dir);
    const char *const req[] = {
        "openssl", "req",   "-x509", "-newkey", "ec",    "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes",  "-days", "2",     "-subj",   "/CN=x", "-keyout",  key,
        NULL};
    run(req, cert, pem, sizeof pem);
    const char *const print[] = {"openssl", "x509",         "-in",     cert,
                                 "-noout",  "-fingerprint", "-sha256", NULL};
    char line[200];
    run(print, text, line, sizeof line);
    const char *equals = strchr(line, '=');
    assert_non_null(equals);
    snprintf(want_sha256, sizeof want_sha256, "%.95s", equals + 1);
    return 0;
}

static void test_it_agrees_with_openssl(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_err err = {0};
    struct al_str der;
    uint64_t end = 0;
    char have[65];
    char want[65];
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(al_certificate_der(al_str_c(pem), &a, &der, &err), err);
    al_sha256_hex(der, have);
    AL_CHECK_OK(al_fingerprint_parse(al_str_c(want_sha256), want, &err), err);
    assert_string_equal(have, want);
    AL_CHECK_OK(al_certificate_end(der, &end, &err), err);
    uint64_t now = al_clock_wall_ms(al_clock_system());
    assert_in_range(end, now + 47u * 3600 * 1000, now + 49u * 3600 * 1000); /* -days 2 */
    for (size_t n = 0; n < der.n; n++) { /* cut anywhere: refused, but for what is not read */
        struct al_err bad = {0};
        uint64_t ms = 0;
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, der.p, n);
        enum al_code c = al_certificate_end((struct al_str){copy, n}, &ms, &bad);
        assert_int_equal(c, AL_INVALID_ARGUMENT);
        free(copy);
    }
    al_arena_fini(&a);
}

static void test_no_pem_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "hello",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nA*==\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAA==AA==\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nA===\n-----END CERTIFICATE-----",
        "-----END CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----",
    };
    struct al_arena a;
    struct al_str der;
    al_arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        struct al_err err = {0};
        AL_CHECK(bad[i],
                 al_certificate_der(al_str_c(bad[i]), &a, &der, &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(bad[i], strcmp(err.reason, "BAD_FORMAT") == 0);
    }
    al_arena_fini(&a);
}

static void test_fingerprints(void **state)
{
    (void)state;
    static const char good[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {good, true},
        {"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", true},
        {"00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:"
         "1D:1E:1F",
         true},
        {"", false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1", false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0", false},
        {"0:00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:", false},
        {"00::0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
        {"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        char got[65];
        enum al_code c = al_fingerprint_parse(al_str_c(cases[i].text), got, &err);
        AL_CHECK(cases[i].text, (c == AL_OK) == cases[i].ok);
        if (c == AL_OK)
            assert_string_equal(got, good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_agrees_with_openssl),
        cmocka_unit_test(test_no_pem_is_refused),
        cmocka_unit_test(test_fingerprints),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
