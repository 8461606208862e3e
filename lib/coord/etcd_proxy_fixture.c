/* The proxy: one thread, one poll loop, requests read whole and answered by rule. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "airlore/pool.h"
#include "etcd_fixture.h"

#define LINKS_MAX 200u
#define RULES_MAX 16u
#define PATHS_MAX 4096u
#define REQUEST_MAX ((size_t)8 << 20)

/* One connection of a client, and the one behind it. */
struct link {
    int client;
    int server; /* -1: none yet */
    struct al_buf in;
    enum al_proxy_fault fault; /* of the answer under way */
    uint64_t late_ns;          /* in is passed on then; 0: nothing waits */
    bool has_client_gone;
};

struct al_proxy {
    char target[256];
    bool has_target;
    bool is_raw;
    uint32_t port;
    int reserve; /* bound, never listening: keeps the port */
    int wake[2];
    unsigned long thread;

    pthread_mutex_t mu;
    bool is_ending; /* guarded by mu, like all below */
    bool is_cut_off;
    bool is_cut_done;
    pthread_cond_t cut; /* with mu */
    struct al_proxy_rule rules[RULES_MAX];
    size_t n_rules;
    char (*paths)[48]; /* of requests seen */
    size_t n_paths;

    /* of the thread */
    int listener;
    struct link links[LINKS_MAX];
    size_t n_links;
};

/* ---- sockets ---- */

static int bound_socket(uint32_t port, uint32_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    AL_ASSERT(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    AL_ASSERT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    AL_ASSERT(bind(fd, (struct sockaddr *)&a, n) == 0);
    AL_ASSERT(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AL_ASSERT(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0 && errno != EINTR)
            return false;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}

/* A reset instead of an orderly end. */
static void reset(int fd)
{
    struct linger l = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
}

static void link_close(struct al_proxy *p, size_t at, bool is_reset)
{
    struct link *l = &p->links[at];
    if (l->client >= 0 && is_reset)
        reset(l->client);
    else if (l->client >= 0)
        close(l->client);
    if (l->server >= 0)
        close(l->server);
    al_buf_fini(&l->in);
    *l = p->links[--p->n_links];
}

/* ---- requests ---- */

/* Bytes of the request that l->in begins with; 0: not all there. */
static size_t request_bytes(struct al_str in, struct al_str *ret_path, struct al_str *ret_body)
{
    size_t end = al_str_find(in, AL_STR("\r\n\r\n"), 0);
    if (end == SIZE_MAX)
        return 0;
    struct al_str head = al_str_sub(in, 0, end + 2);
    size_t at = al_str_find(head, AL_STR("Content-Length: "), 0);
    uint64_t n = 0;
    if (at != SIZE_MAX) {
        size_t from = at + sizeof "Content-Length: " - 1;
        size_t to = al_str_find(head, AL_STR("\r\n"), from);
        AL_ASSERT(al_str_u64(al_str_sub(head, from, to - from), &n));
    }
    size_t from = al_str_find(head, AL_STR(" "), 0) + 1;
    *ret_path = al_str_sub(head, from, al_str_find(head, AL_STR(" "), from) - from);
    *ret_body = al_str_sub(in, end + 4, (size_t)n);
    return in.n >= end + 4 + n ? end + 4 + (size_t)n : 0;
}

static bool fits(const struct al_proxy_rule *r, struct al_str path, struct al_str body)
{
    if (r->n == 0 || (r->path && !al_str_is(path, r->path)))
        return false;
    bool writes = al_str_find(body, AL_STR("\"request_put\""), 0) != SIZE_MAX ||
                  al_str_find(body, AL_STR("\"request_delete_range\""), 0) != SIZE_MAX;
    return writes || !r->only_writes;
}

static struct al_proxy_rule take_rule(struct al_proxy *p, struct al_str path, struct al_str body)
{
    struct al_proxy_rule rule = {.fault = AL_PROXY_NONE};
    pthread_mutex_lock(&p->mu);
    if (p->n_paths < PATHS_MAX)
        snprintf(p->paths[p->n_paths++], sizeof p->paths[0], AL_STR_FMT, AL_STR_ARG(path));
    for (size_t i = 0; i < p->n_rules && !rule.fault; i++) {
        if (!fits(&p->rules[i], path, body))
            continue;
        rule = p->rules[i];
        p->rules[i].n -= rule.n != UINT32_MAX;
    }
    pthread_mutex_unlock(&p->mu);
    return rule;
}

/* Pass on what l->in begins with; false: nobody is there. */
static bool pass_on(struct al_proxy *p, struct link *l, size_t n)
{
    if (l->server < 0)
        l->server = p->has_target ? connect_to(p->target) : -1;
    bool ok = l->server >= 0 && send_all(l->server, l->in.p, n);
    memmove(l->in.p, l->in.p + n, l->in.n - n);
    l->in.n -= n;
    return ok;
}

static void pass_on_alone(struct al_proxy *p, struct al_str request)
{
    char answer[65536];
    int fd = connect_to(p->target);
    if (fd < 0)
        return;
    if (send_all(fd, request.p, request.n))
        (void)!recv(fd, answer, sizeof answer, 0);
    close(fd);
}

static void drop(struct link *l, size_t n)
{
    memmove(l->in.p, l->in.p + n, l->in.n - n);
    l->in.n -= n;
}

/* One whole request; false: the link is to be closed. */
static bool on_request(struct al_proxy *p, struct link *l, size_t n, const struct al_proxy_rule *r)
{
    char head[256];
    l->fault = r->fault;
    switch (r->fault) {
    case AL_PROXY_LOSE_REQUEST:
        return false;
    case AL_PROXY_SILENT:
        drop(l, n);
        return true;
    case AL_PROXY_ANSWER:
        drop(l, n);
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u Scripted\r\nContent-Type: application/json\r\nContent-Length: "
                 "%zu\r\n\r\n",
                 r->status, strlen(r->text));
        return send_all(l->client, head, strlen(head)) &&
               send_all(l->client, r->text, strlen(r->text));
    case AL_PROXY_LATE:
        l->late_ns = al_clock_deadline(al_clock_system(), r->late_ms);
        return true;
    case AL_PROXY_TWICE:
        pass_on_alone(p, (struct al_str){l->in.p, n});
        return pass_on(p, l, n);
    case AL_PROXY_NONE:
    case AL_PROXY_LOSE_ANSWER:
    case AL_PROXY_CUT_ANSWER:
        return pass_on(p, l, n);
    }
    return false;
}

static bool on_client(struct al_proxy *p, struct link *l)
{
    char block[65536];
    ssize_t k = recv(l->client, block, sizeof block, 0);
    if (k <= 0) {
        l->has_client_gone = true;
        return l->late_ns != 0;
    }
    al_buf_add(&l->in, block, (size_t)k);
    if (p->is_raw)
        return pass_on(p, l, l->in.n);
    while (l->in.n > 0 && !l->late_ns) {
        struct al_str path;
        struct al_str body;
        size_t n = request_bytes(al_buf_view(&l->in), &path, &body);
        if (n == 0)
            break;
        struct al_proxy_rule r = take_rule(p, path, body);
        if (!on_request(p, l, n, &r))
            return false;
    }
    return true;
}

static bool on_server(struct link *l)
{
    char block[65536];
    ssize_t k = recv(l->server, block, sizeof block, 0);
    if (k <= 0 || l->fault == AL_PROXY_LOSE_ANSWER)
        return false;
    bool is_cut = l->fault == AL_PROXY_CUT_ANSWER;
    size_t n = is_cut ? (size_t)k - 1 - (size_t)k / 8 : (size_t)k; /* within the body */
    return (l->has_client_gone || send_all(l->client, block, n)) && !is_cut;
}

/* ---- the loop ---- */

static void accept_one(struct al_proxy *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    AL_ASSERT(p->n_links < LINKS_MAX);
    struct link *l = &p->links[p->n_links++];
    *l = (struct link){.client = fd, .server = -1};
    al_buf_init(&l->in, NULL, REQUEST_MAX);
}

static void listen_again(struct al_proxy *p)
{
    uint32_t port;
    p->listener = bound_socket(p->port, &port);
    AL_ASSERT(listen(p->listener, 64) == 0);
}

/* true: go on. */
static bool obey(struct al_proxy *p)
{
    pthread_mutex_lock(&p->mu);
    bool is_ending = p->is_ending;
    bool is_cut = p->is_cut_off || is_ending;
    if (is_cut && p->listener >= 0) {
        close(p->listener);
        p->listener = -1;
    }
    while (is_cut && p->n_links > 0)
        link_close(p, 0, true);
    if (!is_cut && p->listener < 0)
        listen_again(p);
    p->is_cut_done = true;
    pthread_cond_broadcast(&p->cut);
    pthread_mutex_unlock(&p->mu);
    return !is_ending;
}

/* What was held back and is due; false: the link is to be closed. */
static bool pass_on_late(struct al_proxy *p, struct link *l)
{
    struct al_str path;
    struct al_str body;
    if (!l->late_ns || !al_clock_has_passed(al_clock_system(), l->late_ns))
        return true;
    l->late_ns = 0;
    size_t n = request_bytes(al_buf_view(&l->in), &path, &body);
    if (!l->has_client_gone)
        return pass_on(p, l, n);
    pass_on_alone(p, (struct al_str){l->in.p, n});
    return false;
}

static void serve(struct al_proxy *p, const struct pollfd *fds, size_t n_links)
{
    /* From the end: closing moves the last one. */
    for (size_t i = n_links; i-- > 0;) {
        struct link *l = &p->links[i];
        const struct pollfd *f = &fds[2 + 2 * i];
        bool ok = pass_on_late(p, l);
        if (ok && f[1].revents)
            ok = on_server(l);
        if (ok && f[0].revents && !l->has_client_gone)
            ok = on_client(p, l);
        if (!ok)
            link_close(p, i, l->fault != AL_PROXY_CUT_ANSWER);
    }
}

static void *proxy_main(void *u)
{
    struct al_proxy *p = u;
    struct pollfd *fds = calloc(2 + 2 * LINKS_MAX, sizeof *fds);
    AL_ASSERT(fds);
    while (obey(p)) {
        size_t n = p->n_links;
        bool is_late = false;
        fds[0] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = p->listener, .events = POLLIN};
        for (size_t i = 0; i < n; i++) {
            struct link *l = &p->links[i];
            is_late = is_late || l->late_ns;
            fds[2 + 2 * i] =
                (struct pollfd){.fd = l->has_client_gone ? -1 : l->client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = l->server, .events = POLLIN};
        }
        poll(fds, 2 + 2 * n, is_late ? 5 : -1);
        char block[64];
        if (fds[0].revents)
            (void)!read(p->wake[0], block, sizeof block);
        serve(p, fds, n);
        if (fds[1].revents && p->listener >= 0)
            accept_one(p);
    }
    free(fds);
    return NULL;
}

static void nudge(struct al_proxy *p)
{
    AL_ASSERT(write(p->wake[1], "x", 1) == 1);
}

struct al_proxy *al_proxy_create(const char *target, bool is_raw)
{
    struct al_proxy *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->paths = calloc(PATHS_MAX, sizeof *p->paths);
    assert_non_null(p->paths);
    p->has_target = target != NULL;
    p->is_raw = is_raw;
    snprintf(p->target, sizeof p->target, "%s", target ? target : "");
    p->reserve = bound_socket(0, &p->port);
    p->listener = -1;
    listen_again(p);
    assert_int_equal(pipe(p->wake), 0);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->cut, NULL);
    struct al_err err;
    AL_CHECK_OK(al_thread_start("al-proxy", proxy_main, p, &p->thread, &err), err);
    return p;
}

uint32_t al_proxy_port(const struct al_proxy *p)
{
    return p->port;
}

void al_proxy_add_rule(struct al_proxy *p, const struct al_proxy_rule *r)
{
    pthread_mutex_lock(&p->mu);
    AL_ASSERT(p->n_rules < RULES_MAX);
    p->rules[p->n_rules++] = *r;
    pthread_mutex_unlock(&p->mu);
}

void al_proxy_set_rule(struct al_proxy *p, const struct al_proxy_rule *r)
{
    pthread_mutex_lock(&p->mu);
    p->n_rules = 0;
    pthread_mutex_unlock(&p->mu);
    if (r)
        al_proxy_add_rule(p, r);
}

void al_proxy_set_cut_off(struct al_proxy *p, bool cut_off)
{
    pthread_mutex_lock(&p->mu);
    p->is_cut_off = cut_off;
    p->is_cut_done = false;
    nudge(p);
    while (!p->is_cut_done)
        pthread_cond_wait(&p->cut, &p->mu);
    pthread_mutex_unlock(&p->mu);
}

uint32_t al_proxy_count(struct al_proxy *p, const char *path)
{
    uint32_t n = 0;
    pthread_mutex_lock(&p->mu);
    for (size_t i = 0; i < p->n_paths; i++)
        n += al_str_starts(al_str_c(p->paths[i]), al_str_c(path));
    pthread_mutex_unlock(&p->mu);
    return n;
}

void al_proxy_destroy(struct al_proxy *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->is_ending = true;
    pthread_mutex_unlock(&p->mu);
    nudge(p);
    pthread_join((pthread_t)p->thread, NULL);
    close(p->reserve);
    close(p->wake[0]);
    close(p->wake[1]);
    pthread_cond_destroy(&p->cut);
    pthread_mutex_destroy(&p->mu);
    free(p->paths);
    free(p);
}
