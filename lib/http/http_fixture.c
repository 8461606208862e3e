#include "http_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "airlore/testing.h"

struct al_http_server {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t lock;
    struct al_http_script script; /* guarded by lock */
    struct al_http_seen seen;     /* guarded by lock */
};

static void copy(char *to, size_t max, const char *from, size_t n)
{
    n = n < max - 1 ? n : max - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

/* The request up to the end of its body; false when it never comes. */
static bool read_request(int fd, char *buf, size_t max, size_t *ret_head)
{
    size_t n = 0;
    size_t want = SIZE_MAX;
    *ret_head = 0;
    while (n < want && n < max - 1) {
        ssize_t got = read(fd, buf + n, max - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        buf[n] = '\0';
        const char *end = strstr(buf, "\r\n\r\n");
        if (!end || *ret_head)
            continue;
        *ret_head = (size_t)(end - buf) + 4;
        const char *length = strcasestr(buf, "\r\ncontent-length:");
        want = *ret_head + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return *ret_head > 0;
}

static void note(struct al_http_server *s, const char *buf, size_t head)
{
    struct al_http_seen *seen = &s->seen;
    const char *space = strchr(buf, ' ');
    const char *end = space ? strchr(space + 1, ' ') : NULL;
    seen->count++;
    if (!end)
        return;
    copy(seen->method, sizeof(seen->method), buf, (size_t)(space - buf));
    copy(seen->path, sizeof(seen->path), space + 1, (size_t)(end - space - 1));
    copy(seen->headers, sizeof(seen->headers), buf, head);
    copy(seen->body, sizeof(seen->body), buf + head, strlen(buf + head));
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
        if (put <= 0)
            return;
        p += put;
        n -= (size_t)put;
    }
}

static void reply(int fd, const struct al_http_script *script, bool head_only)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_buf_printf(&b, "HTTP/1.1 %u Scripted\r\nConnection: close\r\n", script->status);
    if (script->status != 204)
        al_buf_printf(&b, "Content-Length: %zu\r\n", script->body.n);
    for (const char *const *p = script->headers; p && p[0]; p += 2)
        al_buf_printf(&b, "%s: %s\r\n", p[0], p[1]);
    al_buf_cstr(&b, "\r\n");
    if (!head_only && script->status != 204)
        al_buf_str(&b, script->body);
    write_all(fd, b.p, b.n);
    al_buf_fini(&b);
}

static void serve_one(struct al_http_server *s, int fd)
{
    char buf[16384];
    size_t head = 0;
    if (!read_request(fd, buf, sizeof(buf), &head))
        return;
    pthread_mutex_lock(&s->lock);
    struct al_http_script script = s->script;
    note(s, buf, head);
    pthread_mutex_unlock(&s->lock);
    if (!script.fails)
        reply(fd, &script, strncmp(buf, "HEAD ", 5) == 0);
}

static void *serve(void *u)
{
    struct al_http_server *s = u;
    while (!atomic_load(&s->stop)) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(s, fd);
        (void)shutdown(fd, SHUT_WR);
        (void)close(fd);
    }
    return NULL;
}

struct al_http_server *al_http_server_start(void)
{
    struct al_http_server *s = calloc(1, sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(at);
    assert_non_null(s);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

void al_http_server_stop(struct al_http_server *s)
{
    atomic_store(&s->stop, true);
    (void)shutdown(s->fd, SHUT_RDWR); /* accept returns */
    pthread_join(s->thread, NULL);
    (void)close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void al_http_server_set(struct al_http_server *s, const struct al_http_script *script)
{
    pthread_mutex_lock(&s->lock);
    s->script = *script;
    pthread_mutex_unlock(&s->lock);
}

const struct al_http_seen *al_http_server_seen(struct al_http_server *s)
{
    return &s->seen;
}

uint16_t al_http_server_port(const struct al_http_server *s)
{
    return s->port;
}
