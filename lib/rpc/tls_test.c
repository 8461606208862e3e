/* TLS and mutual TLS, with certificates made by the openssl program. */
#include "rpc_fixture.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct {
    char dir[200];
    char *ca;
    char *server_cert;
    char *server_key;
    char *client_cert;
    char *client_key;
    char *other_ca;
    char *other_cert;
    char *other_key;
} pem;

static void run_openssl(const char *const argv[])
{
    pid_t pid;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", 1 /* O_WRONLY */, 0);
    int e = posix_spawnp(&pid, "openssl", &quiet, NULL, (char **)argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    assert_int_equal(e, 0);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const char *in_dir(const char *name, const char *suffix)
{
    static char paths[8][300];
    static unsigned n;
    char *p = paths[n++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s%s", pem.dir, name, suffix);
    return p;
}

/* name.pem and name.key with the given common name; signed by ca, or by itself when ca is NULL. */
static void make_cert(const char *name, const char *subject, const char *ca)
{
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
                            in_dir(name, ".key"),
                            "-out",
                            in_dir(name, ".pem")};
    size_t n = 16;
    if (ca) {
        const char *names = strcmp(name, "client") == 0
                                ? "subjectAltName=DNS:localhost,URI:spiffe://test/cli-node"
                                : "subjectAltName=DNS:localhost,IP:127.0.0.1";
        const char *more[] = {"-CA",     in_dir(ca, ".pem"),
                              "-CAkey",  in_dir(ca, ".key"),
                              "-addext", names,
                              "-addext", "basicConstraints=critical,CA:FALSE"};
        memcpy(&argv[n], more, sizeof more);
    }
    run_openssl(argv);
}

static char *load(const char *name, const char *suffix)
{
    FILE *f = fopen(in_dir(name, suffix), "rb");
    assert_non_null(f);
    char *text = calloc(1, 8192);
    assert_non_null(text);
    assert_true(fread(text, 1, 8191, f) > 100);
    fclose(f);
    return text;
}

static int make_all(void **state)
{
    (void)state;
    al_test_dir(pem.dir, sizeof pem.dir);
    make_cert("ca", "/CN=test authority", NULL);
    make_cert("server", "/CN=localhost", "ca");
    make_cert("client", "/CN=cli-node", "ca");
    make_cert("other", "/CN=another authority", NULL);
    make_cert("stranger", "/CN=stranger", "other");
    pem.ca = load("ca", ".pem");
    pem.server_cert = load("server", ".pem");
    pem.server_key = load("server", ".key");
    pem.client_cert = load("client", ".pem");
    pem.client_key = load("client", ".key");
    pem.other_ca = load("other", ".pem");
    pem.other_cert = load("stranger", ".pem");
    pem.other_key = load("stranger", ".key");
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    char *const all[] = {pem.ca,         pem.server_cert, pem.server_key, pem.client_cert,
                         pem.client_key, pem.other_ca,    pem.other_cert, pem.other_key};
    for (size_t i = 0; i < AL_ARRAY_LEN(all); i++)
        free(all[i]);
    return 0;
}

static void expect_cn(struct al_rpc_channel *c, const char *cn)
{
    struct echo e = {.method = "Pool", .text = "cn"};
    AL_CHECK_OK(echo_call(c, &e), e.err);
    assert_string_equal(e.reply_text, cn);
}

/* A channel with this trust must not get through. */
static void expect_refused(struct fixture *f, const struct al_rpc_tls *tls)
{
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    struct al_rpc_channel_options o = {.target = f->target, .tls = tls};
    AL_CHECK_OK(al_rpc_channel_create(&o, &c, &err), err);
    struct echo e = {.method = "Quick", .timeout_ms = 5000};
    assert_int_equal(echo_call(c, &e), AL_UNAVAILABLE);
    al_rpc_channel_destroy(c);
}

static void test_tls(void **state)
{
    (void)state;
    struct fixture f;
    struct al_rpc_tls server = {.cert_pem = pem.server_cert, .key_pem = pem.server_key};
    struct al_rpc_tls client = {.ca_pem = pem.ca};
    fixture_start_tls(&f, NULL, &server, &client);
    expect_cn(f.channel, "none");
    expect_refused(&f, NULL); /* plain text */
    expect_refused(&f, &(struct al_rpc_tls){.ca_pem = pem.other_ca});
    expect_refused(&f, &(struct al_rpc_tls){.ca_pem = pem.ca, .target_name = "example.org"});
    struct al_rpc_channel *named = NULL;
    struct al_err err = {0};
    struct al_rpc_tls by_name = {.ca_pem = pem.ca, .target_name = "localhost"};
    struct al_rpc_channel_options o = {.target = f.target, .tls = &by_name};
    AL_CHECK_OK(al_rpc_channel_create(&o, &named, &err), err);
    expect_cn(named, "none");
    al_rpc_channel_destroy(named);
    fixture_stop(&f);
}

static void test_mutual_tls(void **state)
{
    (void)state;
    struct fixture f;
    struct al_rpc_tls server = {.ca_pem = pem.ca,
                                .cert_pem = pem.server_cert,
                                .key_pem = pem.server_key,
                                .require_client_cert = true};
    struct al_rpc_tls client = {
        .ca_pem = pem.ca, .cert_pem = pem.client_cert, .key_pem = pem.client_key};
    fixture_start_tls(&f, NULL, &server, &client);
    expect_cn(f.channel, "cli-node");
    expect_refused(&f, &(struct al_rpc_tls){.ca_pem = pem.ca}); /* no certificate */
    expect_refused(&f, &(struct al_rpc_tls){
                           .ca_pem = pem.ca, .cert_pem = pem.other_cert, .key_pem = pem.other_key});
    expect_cn(f.channel, "cli-node");
    fixture_stop(&f);
}

/* What a handler sees of the peer: what was verified, nothing else. */
static void expect_seen(struct al_rpc_channel *c, const char *what, const char *want)
{
    struct echo e = {.method = "Pool", .text = what};
    AL_CHECK_OK(echo_call(c, &e), e.err);
    size_t n = strlen(e.reply_text); /* the fixture keeps the beginning of a long one */
    assert_true(n == strlen(want) || n > 200);
    assert_memory_equal(e.reply_text, want, n);
}

static void test_accepted_certificates(void **state)
{
    (void)state;
    struct fixture f;
    struct al_rpc_tls server = {.ca_pem = pem.ca,
                                .cert_pem = pem.server_cert,
                                .key_pem = pem.server_key,
                                .accept_client_cert = true};
    struct al_rpc_tls client = {
        .ca_pem = pem.ca, .cert_pem = pem.client_cert, .key_pem = pem.client_key};
    fixture_start_tls(&f, NULL, &server, &client);
    expect_cn(f.channel, "cli-node");
    expect_seen(f.channel, "uri", "spiffe://test/cli-node");
    expect_seen(f.channel, "cert", pem.client_cert);
    struct al_rpc_channel *bare = NULL;
    struct al_err err = {0};
    struct al_rpc_tls none = {.ca_pem = pem.ca};
    struct al_rpc_channel_options o = {.target = f.target, .tls = &none};
    AL_CHECK_OK(al_rpc_channel_create(&o, &bare, &err), err);
    expect_cn(bare, "none");
    expect_seen(bare, "cert", "none");
    expect_seen(bare, "uri", "none");
    al_rpc_channel_destroy(bare);
    /* one that another authority has signed gets no connection, so no call ever shows it */
    expect_refused(&f, &(struct al_rpc_tls){
                           .ca_pem = pem.ca, .cert_pem = pem.other_cert, .key_pem = pem.other_key});
    fixture_stop(&f);
}

static void test_bad_certificates(void **state)
{
    (void)state;
    struct al_err err = {0};
    struct al_rpc_server *s = NULL;
    struct al_rpc_server_options o = {.descriptor_set = (const uint8_t *)fixture_set().p,
                                      .descriptor_set_bytes = fixture_set().n};
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    const struct {
        const char *name;
        struct al_rpc_tls tls;
    } cases[] = {
        {"nothing", {0}},
        {"no key", {.cert_pem = pem.server_cert}},
        {"no PEM", {.cert_pem = "hello", .key_pem = pem.server_key}},
        {"key is no PEM", {.cert_pem = pem.server_cert, .key_pem = "hello"}},
        {"no authority",
         {.cert_pem = pem.server_cert, .key_pem = pem.server_key, .require_client_cert = true}},
        {"authority is no PEM",
         {.ca_pem = "x", .cert_pem = pem.server_cert, .key_pem = pem.server_key}},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        AL_CHECK(cases[i].name, al_rpc_server_listen(s, "127.0.0.1:0", &cases[i].tls, NULL, &err) ==
                                    AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name, strcmp(err.reason, "BAD_TLS") == 0);
    }
    /* PEM, but not a pair: gRPC refuses it. */
    struct al_rpc_tls wrong = {.cert_pem = pem.server_cert, .key_pem = pem.client_key};
    assert_int_not_equal(al_rpc_server_listen(s, "127.0.0.1:0", &wrong, NULL, &err), AL_OK);
    al_rpc_server_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_mutual_tls),
        cmocka_unit_test(test_accepted_certificates),
        cmocka_unit_test(test_bad_certificates),
    };
    return cmocka_run_group_tests_name("rpc.tls", tests, make_all, free_all);
}
