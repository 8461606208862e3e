/* Users of etcd with tokens that expire, and mutual TLS, against a real etcd. */
#include "airlore/coord_etcd.h"

#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "etcd_fixture.h"

extern char **environ;

#define PATIENCE_MS 30000u

static uint64_t soon(void)
{
    return al_clock_deadline(al_clock_system(), PATIENCE_MS);
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void count_events(void *u, const struct al_coord_event *events, size_t n)
{
    (void)events;
    atomic_fetch_add((_Atomic size_t *)u, n);
}

static enum al_code put(struct al_coord *c, const char *key, uint64_t lease, struct al_err *err)
{
    struct al_arena a;
    al_arena_init(&a, NULL, 65536);
    struct al_coord_op op = al_coord_put(al_str_c(key), AL_STR("v"), lease);
    struct al_coord_txn txn = {.then_ops = &op, .n_then = 1};
    struct al_coord_result res;
    enum al_code code = al_coord_txn(c, &txn, soon(), &a, &res, err);
    al_arena_fini(&a);
    return code;
}

/* ---- users ---- */

static void post(struct al_etcd_cluster *c, const char *path, const char *body)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 65536);
    al_etcd_cluster_post(c, 0, path, body, &b);
    if (al_str_find(al_buf_view(&b), AL_STR(" 200 OK"), 0) == SIZE_MAX)
        fail_msg("%s: %s", path, b.p);
    al_buf_fini(&b);
}

/* "airlore" may read and write what begins with "/t/". */
static void make_users(struct al_etcd_cluster *c)
{
    post(c, "/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"r\"}");
    post(c, "/v3/auth/role/add", "{\"name\":\"root\"}");
    post(c, "/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
    post(c, "/v3/auth/user/add", "{\"name\":\"airlore\",\"password\":\"se:cret\"}");
    post(c, "/v3/auth/role/add", "{\"name\":\"ra\"}");
    post(c, "/v3/auth/role/grant",
         "{\"name\":\"ra\",\"perm\":{\"permType\":\"READWRITE\",\"key\":\"L3Qv\",\"range_end\":"
         "\"L3Qw\"}}");
    post(c, "/v3/auth/user/grant", "{\"user\":\"airlore\",\"role\":\"ra\"}");
    post(c, "/v3/auth/enable", "{}");
}

static const char *auth_file(const char *text)
{
    static char path[300];
    char dir[200];
    al_test_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/auth", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
    return path;
}

static void check_user(const char *url, const char *prefix, const char *file, enum al_code want)
{
    struct al_coord_etcd_options opt = {.endpoints = url, .prefix = prefix, .auth_file = file};
    struct al_coord *c = NULL;
    struct al_err err = {.msg = ""};
    AL_CHECK_OK(al_coord_etcd_open(&opt, &c, &err), err);
    assert_int_equal(put(c, "k", 0, &err), want);
    assert_null(strstr(err.msg, "cret"));
    al_coord_close(c);
}

static void test_users(void **state)
{
    (void)state;
    static const char *const args[] = {"--experimental-watch-progress-notify-interval=100ms",
                                       "--auth-token-ttl=1", NULL};
    struct al_etcd_cluster *cluster =
        al_etcd_cluster_create(&(struct al_etcd_cluster_options){.args = args});
    struct al_proxy *p = al_proxy_create(al_etcd_cluster_socket(cluster, 0), false);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", al_proxy_port(p));
    make_users(cluster);
    struct al_coord_etcd_options opt = {.endpoints = url,
                                        .prefix = "/t/",
                                        .auth_file = auth_file("airlore:se:cret\n"),
                                        .probe_ms = 30000};
    struct al_coord *c = NULL;
    struct al_err err;
    uint64_t lease;
    uint64_t id;
    _Atomic size_t n = 0;
    AL_CHECK_OK(al_coord_etcd_open(&opt, &c, &err), err);
    AL_CHECK_OK(put(c, "w/1", 0, &err), err);
    struct al_coord_watcher w = {AL_STR("w/"), 2, count_events, &n};
    AL_CHECK_OK(al_coord_watch(c, &w, &id, &err), err);
    AL_CHECK_OK(al_coord_lease_grant(c, 10, &lease, &err), err);
    assert_true(al_coord_etcd_settle(c, soon()));
    assert_int_equal(atomic_load(&n), 1);
    uint32_t before = al_proxy_count(p, "/v3/auth/authenticate");
    nap_ms(3500); /* nothing uses the token, and it expires */
    AL_CHECK_OK(put(c, "w/2", lease, &err), err);
    assert_true(al_proxy_count(p, "/v3/auth/authenticate") > before);
    assert_true(al_coord_etcd_settle(c, soon()));
    assert_int_equal(atomic_load(&n), 2);
    assert_true(al_coord_lease_deadline(c, lease) > 0);
    al_proxy_set_cut_off(p, true); /* the stream has to be opened again, with a token long gone */
    nap_ms(2500);
    al_proxy_set_cut_off(p, false);
    AL_CHECK_OK(put(c, "w/3", 0, &err), err);
    assert_true(al_coord_etcd_settle(c, soon()));
    assert_int_equal(atomic_load(&n), 3);
    AL_CHECK_OK(al_coord_lease_revoke(c, lease, &err), err);
    al_coord_close(c);
    check_user(url, "/t/", auth_file("airlore:se:cret"), AL_OK);
    check_user(url, "/other/", auth_file("airlore:se:cret\n"), AL_PERMISSION_DENIED);
    check_user(url, "/t/", auth_file("airlore:wrong\n"), AL_UNAUTHENTICATED);
    check_user(url, "/t/", NULL, AL_UNAUTHENTICATED);
    al_proxy_destroy(p);
    al_etcd_cluster_destroy(cluster);
}

/* ---- TLS ---- */

static void run_openssl(const char *const argv[])
{
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", 1 /* O_WRONLY */, 0);
    int e = posix_spawnp(&pid, "openssl", &quiet, NULL, (char **)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    assert_int_equal(e, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const char *in_dir(const char *dir, const char *name)
{
    static char paths[8][300];
    static unsigned n;
    char *p = paths[n++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

/* name.pem and name.key; signed by ca, or by itself when ca is NULL. Good for both sides: the
 * gateway dials etcd with the server's. */
static void make_cert(const char *dir, const char *name, const char *subject, const char *ca)
{
    char pem[64];
    char key[64];
    char ca_pem[64];
    char ca_key[64];
    snprintf(pem, sizeof pem, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    snprintf(ca_pem, sizeof ca_pem, "%s.pem", ca ? ca : "");
    snprintf(ca_key, sizeof ca_key, "%s.key", ca ? ca : "");
    const char *argv[32] = {"openssl",
                            "req",
                            "-x509",
                            "-newkey",
                            "ec",
                            "-pkeyopt",
                            "ec_paramgen_curve:prime256v1",
                            "-nodes",
                            "-days",
                            "2",
                            "-subj",
                            subject,
                            "-keyout",
                            in_dir(dir, key),
                            "-out",
                            in_dir(dir, pem)};
    if (ca) {
        const char *more[] = {"-CA",     in_dir(dir, ca_pem),
                              "-CAkey",  in_dir(dir, ca_key),
                              "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                              "-addext", "extendedKeyUsage=serverAuth,clientAuth",
                              "-addext", "basicConstraints=critical,CA:FALSE"};
        memcpy(&argv[16], more, sizeof more);
    }
    run_openssl(argv);
}

static void check_tls(const char *url, const char *ca, const char *cert, const char *key,
                      enum al_code want)
{
    struct al_coord_etcd_options opt = {.endpoints = url,
                                        .prefix = "/t/",
                                        .ca_file = ca,
                                        .cert_file = cert,
                                        .key_file = key,
                                        .retry_ms = want == AL_OK ? 20000 : 200};
    struct al_coord *c = NULL;
    struct al_err err = {.msg = ""};
    AL_CHECK_OK(al_coord_etcd_open(&opt, &c, &err), err);
    for (int i = 0; i < 2; i++) { /* on a new connection, and on a kept one */
        enum al_code code = put(c, "k", 0, &err);
        /* TLS 1.3: a client may learn that it is refused after it has sent its request. */
        bool may_be = want == AL_UNKNOWN && code == AL_UNAVAILABLE;
        if (code != want && !may_be)
            fail_msg("%s: %s instead of %s: %s", cert ? cert : "no certificate", al_code_name(code),
                     al_code_name(want), err.msg);
    }
    al_coord_close(c);
}

static void test_tls(void **state)
{
    (void)state;
    char dir[200];
    char url[64];
    al_test_dir(dir, sizeof dir);
    make_cert(dir, "ca", "/CN=test authority", NULL);
    make_cert(dir, "server", "/CN=localhost", "ca");
    make_cert(dir, "node", "/O=node", "ca");
    make_cert(dir, "other", "/CN=another authority", NULL);
    make_cert(dir, "stranger", "/O=stranger", "other");
    struct al_etcd_cluster *cluster =
        al_etcd_cluster_create(&(struct al_etcd_cluster_options){.tls_dir = dir});
    struct al_proxy *p = al_proxy_create(al_etcd_cluster_socket(cluster, 0), true);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", al_proxy_port(p));
    check_tls(url, in_dir(dir, "ca.pem"), in_dir(dir, "node.pem"), in_dir(dir, "node.key"), AL_OK);
    /* Of a server that is not trusted nothing is asked: surely not applied. */
    check_tls(url, in_dir(dir, "other.pem"), in_dir(dir, "node.pem"), in_dir(dir, "node.key"),
              AL_UNAVAILABLE);
    check_tls(url, NULL, in_dir(dir, "node.pem"), in_dir(dir, "node.key"), AL_UNAVAILABLE);
    check_tls(url, in_dir(dir, "ca.pem"), NULL, NULL, AL_UNKNOWN);
    check_tls(url, in_dir(dir, "ca.pem"), in_dir(dir, "stranger.pem"), in_dir(dir, "stranger.key"),
              AL_UNKNOWN);
    al_proxy_destroy(p);
    al_etcd_cluster_destroy(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_tls),
    };
    if (al_etcd_is_missing()) {
        printf("0 passed, 0 failed, %zu skipped\n", AL_ARRAY_LEN(tests));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
