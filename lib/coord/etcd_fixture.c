/* etcd as a child process. */
#include "etcd_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 48u
#define READY_MS 20000u

struct member {
    pid_t pid; /* 0: killed */
    char dir[256];
    char socket[300]; /* for clients */
    char peer[300];
};

struct al_etcd_cluster {
    struct al_etcd_cluster_options opt;
    struct member members[AL_ETCD_MEMBERS_MAX];
    size_t n;
    char initial[512];
};

const char *al_etcd_program(void)
{
    static const char *const places[] = {"/usr/bin/etcd", "/usr/local/bin/etcd"};
    const char *given = getenv("AIRLORE_ETCD");
    if (given)
        return access(given, X_OK) == 0 ? given : NULL;
    for (size_t i = 0; i < AL_ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0)
            return places[i];
    }
    return NULL;
}

bool al_etcd_is_missing(void)
{
    bool is_missing = !al_etcd_program();
    if (is_missing)
        printf("the program 'etcd' is missing (package etcd-server; AIRLORE_ETCD names another)\n");
    return is_missing;
}

/* ---- a small client ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 10};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Whole answer, head and all; false: none. */
static bool request(const char *socket_path, const char *head, const char *body, struct al_buf *ret)
{
    int fd = connect_to(socket_path);
    if (fd < 0)
        return false;
    char text[8192];
    int n = snprintf(text, sizeof text, "%s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", head,
                     strlen(body), body);
    assert_true(n > 0 && (size_t)n < sizeof text);
    bool ok = send(fd, text, (size_t)n, MSG_NOSIGNAL) == n;
    ssize_t k;
    while (ok && (k = recv(fd, text, sizeof text, 0)) > 0)
        al_buf_add(ret, text, (size_t)k);
    close(fd);
    return ok && ret->n > 0;
}

void al_etcd_cluster_post(struct al_etcd_cluster *c, size_t member, const char *path,
                          const char *body, struct al_buf *ret)
{
    char head[128];
    snprintf(head, sizeof head, "POST %s", path);
    assert_true(request(c->members[member].socket, head, body, ret));
}

static bool is_healthy(const struct member *m)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 65536);
    bool ok = request(m->socket, "GET /health", "", &b) &&
              al_str_find(al_buf_view(&b), AL_STR("\"true\""), 0) != SIZE_MAX;
    al_buf_fini(&b);
    return ok;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* With TLS the small client cannot look: the socket has to be enough. */
static bool is_ready(const struct al_etcd_cluster *c, const struct member *m)
{
    if (!c->opt.tls_dir)
        return is_healthy(m);
    int fd = connect_to(m->socket);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- processes ---- */

struct args {
    const char *list[ARGS_MAX];
    size_t n;
    char texts[12][300];
    size_t n_texts;
};

static void add(struct args *a, const char *x)
{
    assert_true(a->n + 1 < ARGS_MAX);
    a->list[a->n++] = x;
}

static void add_text(struct args *a, const char *fmt, const char *x)
{
    char *text = a->texts[a->n_texts++];
    assert_true(a->n_texts <= AL_ARRAY_LEN(a->texts));
    size_t at = 0;
    for (const char *f = fmt; *f && at + 1 < sizeof a->texts[0]; f++) { /* '@' stands for x */
        int k = snprintf(text + at, sizeof a->texts[0] - at, "%.*s", *f == '@' ? 300 : 1,
                         *f == '@' ? x : f);
        at += k > 0 ? (size_t)k : 0;
    }
    add(a, text);
}

static void add_timing(struct args *a, bool is_slow)
{
    add(a, is_slow ? "--heartbeat-interval=100" : "--heartbeat-interval=20");
    add(a, is_slow ? "--election-timeout=1000" : "--election-timeout=200");
    add(a, "--unsafe-no-fsync");
    add(a, "--logger=zap");
    add(a, "--log-outputs=stderr");
    add(a, "--log-level=error");
}

static void add_tls(struct args *a, const char *dir)
{
    add(a, "--client-cert-auth");
    add_text(a, "--trusted-ca-file=@/ca.pem", dir);
    add_text(a, "--cert-file=@/server.pem", dir);
    add_text(a, "--key-file=@/server.key", dir);
}

static void start(struct al_etcd_cluster *c, size_t at)
{
    struct member *m = &c->members[at];
    struct args a = {.n = 0};
    char number[8];
    snprintf(number, sizeof number, "%zu", at + 1);
    const char *scheme = c->opt.tls_dir ? "unixs" : "unix";
    char client[64];
    char peer[64];
    snprintf(client, sizeof client, "%s://localhost:%zu1", scheme, at + 1);
    snprintf(peer, sizeof peer, "unix://localhost:%zu", at + 1);
    add(&a, al_etcd_program());
    add_text(&a, "--name=m@", number);
    add_text(&a, "--data-dir=@/data", m->dir);
    add_text(&a, "--listen-client-urls=@", client);
    add_text(&a, "--advertise-client-urls=@", client);
    add_text(&a, "--listen-peer-urls=@", peer);
    add_text(&a, "--initial-advertise-peer-urls=@", peer);
    add_text(&a, "--initial-cluster=@", c->initial);
    add_timing(&a, c->opt.is_slow);
    if (c->opt.tls_dir)
        add_tls(&a, c->opt.tls_dir);
    for (size_t i = 0; c->opt.args && c->opt.args[i]; i++)
        add(&a, c->opt.args[i]);
    pid_t parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* only what is safe after fork in a program with threads */
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        if (!getenv("AIRLORE_ETCD_LOG"))
            dup2(null, 2);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || chdir(c->members[0].dir) != 0)
            _exit(126);
        execv(a.list[0], (char *const *)(const void *)a.list);
        _exit(127);
    }
    m->pid = pid;
}

static void wait_ready(struct al_etcd_cluster *c)
{
    uint64_t end = al_clock_deadline(al_clock_system(), READY_MS);
    for (size_t i = 0; i < c->n; i++) {
        while (c->members[i].pid && !is_ready(c, &c->members[i])) {
            if (al_clock_has_passed(al_clock_system(), end))
                fail_msg("member %zu of etcd is not ready after %u ms", i, READY_MS);
            nap();
        }
    }
}

struct al_etcd_cluster *al_etcd_cluster_create(const struct al_etcd_cluster_options *opt)
{
    struct al_etcd_cluster *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->opt = *opt;
    c->n = opt->n ? opt->n : 1;
    char root[200];
    al_test_dir(root, sizeof root);
    size_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct member *m = &c->members[i];
        snprintf(m->dir, sizeof m->dir, "%s/m%zu", root, i + 1);
        assert_int_equal(mkdir(m->dir, 0700), 0);
        /* A relative name is a file in the working folder; all share the first member's. */
        snprintf(m->socket, sizeof m->socket, "%s/m1/localhost:%zu1", root, i + 1);
        snprintf(m->peer, sizeof m->peer, "%s/m1/localhost:%zu", root, i + 1);
        int k = snprintf(c->initial + at, sizeof c->initial - at, "%sm%zu=unix://localhost:%zu",
                         i ? "," : "", i + 1, i + 1);
        at += (size_t)k;
    }
    for (size_t i = 0; i < c->n; i++)
        start(c, i);
    wait_ready(c);
    return c;
}

void al_etcd_cluster_signal(struct al_etcd_cluster *c, size_t member, int signal)
{
    struct member *m = &c->members[member];
    assert_true(m->pid > 0);
    assert_int_equal(kill(m->pid, signal), 0);
    if (signal == SIGKILL) {
        assert_int_equal(waitpid(m->pid, NULL, 0), m->pid);
        m->pid = 0;
    }
}

void al_etcd_cluster_restart(struct al_etcd_cluster *c, size_t member)
{
    struct member *m = &c->members[member];
    assert_int_equal(m->pid, 0);
    unlink(m->socket); /* a killed process leaves them, and nobody can listen there */
    unlink(m->peer);
    start(c, member);
    wait_ready(c);
}

const char *al_etcd_cluster_socket(const struct al_etcd_cluster *c, size_t member)
{
    return c->members[member].socket;
}

/* Text of a field "name":"text" of an answer; empty when there is none. */
static struct al_str field(struct al_str s, const char *name)
{
    char mark[64];
    snprintf(mark, sizeof mark, "\"%s\":\"", name);
    size_t at = al_str_find(s, al_str_c(mark), 0);
    if (at == SIZE_MAX)
        return (struct al_str){"", 0};
    at += strlen(mark);
    return al_str_sub(s, at, al_str_find(s, AL_STR("\""), at) - at);
}

size_t al_etcd_cluster_leader(struct al_etcd_cluster *c)
{
    size_t leader = SIZE_MAX;
    for (size_t i = 0; i < c->n && leader == SIZE_MAX; i++) {
        if (!c->members[i].pid)
            continue;
        struct al_buf b;
        al_buf_init(&b, NULL, 65536);
        al_etcd_cluster_post(c, i, "/v3/maintenance/status", "{}", &b);
        struct al_str s = al_buf_view(&b);
        if (al_str_eq(field(s, "leader"), field(s, "member_id")))
            leader = i;
        al_buf_fini(&b);
    }
    assert_true(leader != SIZE_MAX);
    return leader;
}

void al_etcd_cluster_destroy(struct al_etcd_cluster *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->members[i].pid)
            al_etcd_cluster_signal(c, i, SIGKILL);
    }
    free(c);
}
