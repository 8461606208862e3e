/* What clients do that they should not: garbage, floods, and going away. */
#include "rpc_fixture.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "airlore/random.h"

extern char **environ;

static int setup(void **state)
{
    static struct fixture f;
    fixture_start(&f, NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_stop(*state);
    return 0;
}

static void expect_alive(struct fixture *f)
{
    struct echo e = {.method = "Pool", .text = "alive"};
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
}

/* A call whose body is any bytes: an unknown field with raw content is packed as it is. */
static enum al_code call_with_body(struct fixture *f, const char *method, struct al_str body,
                                   struct al_err *err)
{
    Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    ProtobufCMessageUnknownField raw = {.tag = 1,
                                        .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                        .len = body.n,
                                        .data = (uint8_t *)body.p};
    req.base.n_unknown_fields = 1;
    req.base.unknown_fields = &raw;
    struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                               .method = method,
                               .message = &req.base,
                               .timeout_ms = 20000};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    ProtobufCMessage *msg = NULL;
    enum al_code code = al_rpc_unary(f->channel, &r, &a, &msg, err);
    al_arena_fini(&a);
    return code;
}

static void test_garbage_bodies(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        struct al_str body; /* follows the tag of field 1, a string */
        const char *reason;
    } cases[] = {
        {"no length", {"", 0}, "MESSAGE_MALFORMED"},
        {"length without value", {"\x05", 1}, "MESSAGE_MALFORMED"},
        {"not UTF-8", {"\x02\xff\xfe", 3}, "BAD_UTF8"},
        {"NUL", {"\x01\0", 2}, "NUL_BYTE"},
        {"endless length",
         {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
         "MESSAGE_MALFORMED"},
        {"group after it", {"\x01x\x0b", 3}, "MESSAGE_MALFORMED"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_err err = {0};
        AL_CHECK(cases[i].name, call_with_body(f, i % 2 ? "Quick" : "Pool", cases[i].body, &err) ==
                                    AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
    }
    expect_alive(f);
}

/* 40,000 levels of EchoRequest.items.child.child...: the stack of the server is not the client's to
 * spend. */
static void test_deeply_nested_body(void **state)
{
    struct fixture *f = *state;
    enum { CAP = 1 << 20 };
    char *buf = malloc(CAP);
    assert_non_null(buf);
    size_t at = CAP;
    for (unsigned i = 0; i <= 40000; i++) {
        uint64_t len = CAP - at;
        char head[11];
        size_t n = 0;
        head[n++] = i == 40000 ? 0x2a : 0x62; /* items, child */
        do {
            head[n++] = (char)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
            len >>= 7;
        } while (len);
        at -= n;
        memcpy(buf + at, head, n);
    }
    char *body = malloc(CAP - at + 2);
    assert_non_null(body);
    memcpy(body, "\x01x", 2); /* the text */
    memcpy(body + 2, buf + at, CAP - at);
    struct al_err err = {0};
    assert_int_equal(call_with_body(f, "Pool", (struct al_str){body, CAP - at + 2}, &err),
                     AL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "nested too deep"));
    assert_string_equal(err.reason, "MESSAGE_TOO_DEEP");
    free(body);
    free(buf);
    expect_alive(f);
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server has had enough: fine */
        p += sent;
        n -= (size_t)sent;
    }
}

static void test_garbage_on_the_socket(void **state)
{
    struct fixture *f = *state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const char settings[] = "\0\0\0\4\0\0\0\0\0";
    static const char http1[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct al_seeded_random r;
    al_seeded_random_init(&r, 42);
    for (unsigned i = 0; i < 64; i++) {
        char junk[4096];
        al_random_fill(&r.random, junk, sizeof junk);
        int fd = raw_connect(f->port);
        switch (i % 5) {
        case 0:
            send_all(fd, junk, sizeof junk);
            break;
        case 1:
            send_all(fd, http1, sizeof http1 - 1);
            break;
        case 2: /* a good start, then junk as frames */
            send_all(fd, preface, sizeof preface - 1);
            send_all(fd, settings, sizeof settings - 1);
            send_all(fd, junk, sizeof junk);
            break;
        case 3: /* half a preface */
            send_all(fd, preface, 10);
            break;
        default: /* frames with good heads and junk in them */
            send_all(fd, preface, sizeof preface - 1);
            send_all(fd, settings, sizeof settings - 1);
            for (unsigned k = 0; k < 40; k++) {
                char head[9] = {0, 0, 64, (char)(k % 10),   (char)junk[k],
                                0, 0, 0,  (char)(2 * k + 1)};
                send_all(fd, head, sizeof head);
                send_all(fd, junk + 64 * k, 64);
            }
        }
        close(fd);
        if (i % 16 == 0)
            expect_alive(f);
    }
    expect_alive(f);
}

/* A raw HTTP/2 peer that knows just enough to send as fast as flow control allows. */
struct peer {
    int fd;
    int64_t window;              /* of the connection */
    int64_t stream_window[1024]; /* by stream id / 2 */
    bool is_reset[1024];
    uint32_t n_streams;
    uint32_t n_reset;
    uint8_t in[1 << 16];
    size_t n_in;
};

static void send_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream,
                       const void *body, size_t n)
{
    uint8_t head[9] = {(uint8_t)(n >> 16),
                       (uint8_t)(n >> 8),
                       (uint8_t)n,
                       type,
                       flags,
                       (uint8_t)(stream >> 24),
                       (uint8_t)(stream >> 16),
                       (uint8_t)(stream >> 8),
                       (uint8_t)stream};
    send_all(p->fd, (const char *)head, sizeof head);
    send_all(p->fd, body, n);
}

static uint32_t u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void on_settings(struct peer *p, const uint8_t *body, size_t n)
{
    static uint32_t initial = 65535;
    for (size_t i = 0; i + 6 <= n; i += 6) {
        if (body[i] != 0 || body[i + 1] != 4)
            continue;
        for (uint32_t s = 0; s < AL_ARRAY_LEN(p->stream_window); s++)
            p->stream_window[s] += (int64_t)u32be(body + i + 2) - initial;
        initial = u32be(body + i + 2);
    }
    send_frame(p, 4, 1, 0, NULL, 0);
}

static void on_frame(struct peer *p, const uint8_t *f, size_t n)
{
    uint32_t stream = u32be(f + 5) & 0x7fffffff;
    const uint8_t *body = f + 9;
    if (f[3] == 4 && !(f[4] & 1))
        on_settings(p, body, n);
    else if (f[3] == 6 && !(f[4] & 1))
        send_frame(p, 6, 1, 0, body, n); /* ping: the server measures by it how much it can take */
    else if (f[3] == 8 && stream == 0)
        p->window += u32be(body);
    else if (f[3] == 8 && stream / 2 < AL_ARRAY_LEN(p->stream_window))
        p->stream_window[stream / 2] += u32be(body);
    else if (f[3] == 3 && stream / 2 < AL_ARRAY_LEN(p->stream_window)) {
        p->n_reset += !p->is_reset[stream / 2];
        p->is_reset[stream / 2] = true;
    }
}

/* Take what has come within wait_ms; false if nothing has, or the connection is over. */
static bool take_frames(struct peer *p, int wait_ms)
{
    struct pollfd pf = {.fd = p->fd, .events = POLLIN};
    if (poll(&pf, 1, wait_ms) <= 0)
        return false;
    ssize_t got = recv(p->fd, p->in + p->n_in, sizeof p->in - p->n_in, 0);
    if (got <= 0)
        return false;
    p->n_in += (size_t)got;
    size_t at = 0;
    while (p->n_in - at >= 9) {
        size_t n = u32be(p->in + at) >> 8;
        if (p->n_in - at < 9 + n)
            break;
        on_frame(p, p->in + at, n);
        at += 9 + n;
    }
    p->n_in -= at;
    memmove(p->in, p->in + at, p->n_in);
    return true;
}

static void open_stream(struct peer *p, uint32_t id)
{
    /* HPACK literals without indexing: POST, http, path, authority, content type, te. */
    static const char head[] = "\x83\x86\x04\x1b/airlore.rpctest.Echo/Quick\x01\x01x"
                               "\x0f\x10\x10"
                               "application/grpc"
                               "\x00\x02te\x08trailers";
    static const char prefix[] = "\0\x00\xf4\x24\0"; /* a message of 16,000,000 bytes */
    send_frame(p, 1, 4, id, head, sizeof head - 1);
    send_frame(p, 0, 0, id, prefix, sizeof prefix - 1);
    p->stream_window[id / 2] -= 5;
    p->window -= 5;
    p->n_streams++;
}

/* Send as much as flow control allows, up to 12 MB a stream; gives the bytes sent. */
static uint64_t flood(struct peer *p)
{
    static const char chunk[16384];
    static uint32_t sent[1024];
    uint64_t total = 0;
    for (unsigned idle = 0; idle < 3;) {
        bool moved = false;
        for (uint32_t s = 0; s < p->n_streams; s++) {
            if (p->is_reset[s] || sent[s] >= 12u << 20 || p->window < 16384 ||
                p->stream_window[s] < 16384)
                continue;
            send_frame(p, 0, 0, 2 * s + 1, chunk, sizeof chunk);
            p->window -= 16384;
            p->stream_window[s] -= 16384;
            sent[s] += 16384;
            total += 16384;
            moved = true;
        }
        idle = take_frames(p, moved ? 0 : 300) || moved ? 0 : idle + 1;
    }
    return total;
}

/* Clients that begin messages and never end them: what they make the server hold is bounded, others
 * are served. */
static void test_unfinished_messages_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.transport_bytes_max = 32u << 20});
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->fd = raw_connect(f.port);
    p->window = 65535;
    for (size_t s = 0; s < AL_ARRAY_LEN(p->stream_window); s++)
        p->stream_window[s] = 65535;
    send_all(p->fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    send_frame(p, 4, 0, 0, NULL, 0);
    for (uint32_t s = 0; s < 20; s++)
        open_stream(p, 2 * s + 1);
    uint64_t sent = flood(p);
    assert_true(sent > 4u << 20); /* the attack is one */
    /* 20 x 12 MB were on offer; the server drops streams instead of holding them. */
    assert_true(p->n_reset > 0);
    assert_in_range(p->n_streams - p->n_reset, 0, 6);
    /* Idle connections may have been told to go; then one tries again, as UNAVAILABLE says. */
    struct echo e = {.method = "Pool"};
    for (int i = 0; i < 10 && echo_call(f.channel, &e) == AL_UNAVAILABLE; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    AL_CHECK_OK(e.code, e.err);
    close(p->fd);
    free(p);
    fixture_stop(&f);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

enum { N_CLIENTS = 40 };

static void *hold_main(void *u)
{
    struct echo e = {.method = "Wait", .timeout_ms = 600000};
    echo_call(u, &e);
    return NULL;
}

/* The other process: 40 connections, each with a call and a stream in flight; waits to be killed.
 */
static int client_main(const char *target)
{
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        struct al_rpc_channel *c = NULL;
        struct al_rpc_stream *s = NULL;
        struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                                   .method = "Both"};
        struct al_rpc_channel_options o = {.target = target};
        Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
        pthread_t t;
        if (al_rpc_channel_create(&o, &c, NULL) != AL_OK ||
            al_rpc_stream_open(c, &r, &s, NULL) != AL_OK ||
            al_rpc_stream_write(s, &req.base, NULL) != AL_OK ||
            pthread_create(&t, NULL, hold_main, c) != 0)
            return 1;
    }
    for (;;)
        pause();
}

static void test_40_clients_killed(void **state)
{
    struct fixture *f = *state;
    expect_alive(f);
    fixture_wait(&f->n_done, 1);
    unsigned fds_before = count_fds();
    for (int round = 0; round < 2; round++) {
        unsigned admitted = atomic_load(&f->n_admitted);
        char *argv[] = {(char[]){"/proc/self/exe"}, (char[]){"client"}, f->target, NULL};
        pid_t pid;
        assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
        fixture_wait(&f->n_admitted, admitted + 2 * N_CLIENTS);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fixture_wait(&f->n_done, admitted + 2 * N_CLIENTS); /* every call has ended */
        expect_alive(f);
    }
    unsigned fds_after = count_fds();
    for (int i = 0; i < 5000 && fds_after > fds_before; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        fds_after = count_fds();
    }
    assert_int_equal(fds_after, fds_before);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "client") == 0)
        return client_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_garbage_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deeply_nested_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage_on_the_socket, setup, teardown),
        cmocka_unit_test(test_unfinished_messages_are_bounded),
        cmocka_unit_test_setup_teardown(test_40_clients_killed, setup, teardown),
    };
    return cmocka_run_group_tests_name("rpc.robust", tests, NULL, NULL);
}
