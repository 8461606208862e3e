#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "airlore/clock.h"
#include "airlore/metrics.h"
#include "airlore/random.h"
#include "airlore/testing.h"

#define ANSWER_MAX (256u << 10)
#define WAIT_MS 20000

struct fixture {
    struct al_metrics *metrics;
    struct al_http_site site;
    struct al_http *http;
    _Atomic bool serving;
    _Atomic bool ready;
    char answer[ANSWER_MAX];
};

static void show_metrics(void *u, struct al_buf *ret)
{
    struct fixture *f = u;
    al_metrics_write(f->metrics, ret);
}

static bool is_serving(void *u)
{
    struct fixture *f = u;
    return atomic_load(&f->serving);
}

static bool is_ready(void *u, char *why, size_t n)
{
    struct fixture *f = u;
    bool ready = atomic_load(&f->ready);
    if (!ready)
        snprintf(why, n, "shard 3 is read-only: store damaged");
    return ready;
}

static struct al_http_options options_of(const struct fixture *f)
{
    return (struct al_http_options){.address = {.host = "127.0.0.1"},
                                    .connections_max = 64,
                                    .idle_ms = 15000,
                                    .site = &f->site};
}

static void start(struct fixture *f, const struct al_http_options *o)
{
    struct al_err err;
    AL_CHECK_OK(al_http_start(o, &f->http, &err), err);
    assert_int_not_equal(al_http_port(f->http), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct al_metric *m;
    struct al_err err;
    assert_non_null(f);
    AL_CHECK_OK(al_metrics_create(NULL, &f->metrics, &err), err);
    AL_CHECK_OK(al_metrics_gauge(f->metrics, "airlore_ready", "Ready.", "shard=\"0\"", &m, &err),
                err);
    al_metric_set(m, 1);
    atomic_store(&f->serving, true);
    atomic_store(&f->ready, true);
    f->site = (struct al_http_site){.u = f,
                                    .metrics = show_metrics,
                                    .is_serving = is_serving,
                                    .is_ready = is_ready,
                                    .grpc = "127.0.0.1:7700",
                                    .version = "0.0.7"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    al_http_stop(f->http);
    al_metrics_destroy(f->metrics);
    free(f);
    return 0;
}

static int dial(const struct fixture *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(al_http_port(f->http)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void say(int fd, const void *p, size_t n)
{
    ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
    (void)sent; /* the server may have closed it already: the answer tells */
}

/* All there is until the server closes, or until `enough` stands in it; false after WAIT_MS. */
static bool hear(int fd, char *buf, size_t max, const char *enough)
{
    struct al_clock *clock = al_clock_system();
    uint64_t deadline = al_clock_deadline(clock, WAIT_MS);
    size_t n = 0;
    buf[0] = '\0';
    while (!al_clock_has_passed(clock, deadline) && n < max - 1) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        ssize_t got = recv(fd, buf + n, max - 1 - n, 0);
        if (got <= 0)
            return true;
        n += (size_t)got;
        buf[n] = '\0';
        if (enough && strstr(buf, enough))
            return true;
    }
    return false;
}

/* One exchange on a connection of its own; the whole answer. */
static const char *ask(struct fixture *f, const char *request)
{
    int fd = dial(f);
    say(fd, request, strlen(request));
    assert_true(hear(fd, f->answer, sizeof f->answer, NULL));
    close(fd);
    return f->answer;
}

static const char *get(struct fixture *f, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    return ask(f, request);
}

static bool has_status(const char *answer, const char *status)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0;
}

static void test_pages(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    static const struct {
        const char *path;
        const char *status;
        const char *type;
        const char *text;
    } cases[] = {
        {"/", "200", "text/html", "127.0.0.1:7700"},
        {"/", "200", "text/html", "0.0.7"},
        {"/?x=1", "200", "text/html", "Airlore"},
        {"/metrics", "200", "text/plain; version=0.0.4", "airlore_ready{shard=\"0\"} 1\n"},
        {"/metrics", "200", "text/plain; version=0.0.4", "# TYPE airlore_ready gauge\n"},
        {"/healthz", "200", "text/plain", "serving"},
        {"/readyz", "200", "text/plain", "ready"},
        {"/metrics/", "404", "application/json", "\"status\":\"NOT_FOUND\""},
        {"/../etc/passwd", "404", "application/json", "\"code\":404"},
        {"/%00", "404", "application/json", "\"code\":404"},
        {"/nothing", "404", "application/json", "\"message\":"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const char *answer = get(f, cases[i].path);
        AL_CHECK(cases[i].path, has_status(answer, cases[i].status));
        AL_CHECK(cases[i].path, strstr(answer, cases[i].type) != NULL);
        AL_CHECK(cases[i].path, strstr(answer, cases[i].text) != NULL);
        AL_CHECK(cases[i].path, strstr(answer, "nosniff") != NULL);
    }
}

/* Every line of the metrics is a comment or `name{labels} value`. */
static void test_metrics_parse(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    const char *body = strstr(get(f, "/metrics"), "\r\n\r\n");
    assert_non_null(body);
    size_t samples = 0;
    for (const char *line = body + 4; *line;) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        if (*line != '#') {
            const char *space = end;
            while (space > line && *space != ' ')
                space--;
            char *rest;
            (void)strtod(space + 1, &rest);
            assert_ptr_equal(rest, end);
            assert_true(space - line > 3);
            samples++;
        }
        line = end + 1;
    }
    assert_true(samples >= 4);
    assert_non_null(strstr(body, "process_resident_memory_bytes "));
}

static void test_health(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    atomic_store(&f->ready, false);
    assert_true(has_status(get(f, "/readyz"), "503"));
    assert_non_null(strstr(f->answer, "shard 3 is read-only: store damaged\n"));
    assert_true(has_status(get(f, "/healthz"), "200"));
    atomic_store(&f->serving, false);
    assert_true(has_status(get(f, "/healthz"), "503"));
    atomic_store(&f->ready, true);
    assert_true(has_status(get(f, "/readyz"), "200"));
}

static void test_methods_and_bodies(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    static const struct {
        const char *name;
        const char *request;
        const char *status;
        const char *text;
    } cases[] = {
        {"POST", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405",
         "Allow: GET, HEAD"},
        {"DELETE", "DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405",
         "Allow: GET, HEAD"},
        {"POST elsewhere", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "404",
         "NOT_FOUND"},
        {"endless POST", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc",
         "405", "Allow"},
        {"GET with a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "413",
         "body"},
        {"GET with chunks",
         "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "413", "body"},
        {"no version", "GET /\r\n\r\n", "", ""},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const char *answer = ask(f, cases[i].request);
        if (!cases[i].status[0])
            continue; /* any answer, or none */
        AL_CHECK(cases[i].name, has_status(answer, cases[i].status));
        AL_CHECK(cases[i].name, strstr(answer, cases[i].text) != NULL);
    }
    const char *head = ask(f, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(has_status(head, "200"));
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
}

static void test_several_on_one_connection(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    int fd = dial(f);
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (int i = 0; i < 5; i++) {
        say(fd, request, sizeof request - 1);
        assert_true(hear(fd, f->answer, sizeof f->answer, "serving\n"));
        AL_CHECK(f->answer, has_status(f->answer, "200"));
    }
    close(fd);
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    struct al_seeded_random r;
    o.idle_ms = 1000;
    start(f, &o);
    al_seeded_random_init(&r, 7);
    static char bytes[65536];
    for (int i = 0; i < 40; i++) {
        size_t n = 1 + al_random_below(&r.random, sizeof bytes);
        al_random_fill(&r.random, bytes, n);
        if (i % 4 == 1)
            memset(bytes, 'A', n);
        if (i % 4 == 2)
            memcpy(bytes, "GET /metrics HTTP/1.1\r\n", n < 23 ? n : 23);
        int fd = dial(f);
        say(fd, bytes, n);
        shutdown(fd, SHUT_WR);
        assert_true(hear(fd, f->answer, sizeof f->answer, NULL));
        close(fd);
    }
    assert_true(has_status(get(f, "/healthz"), "200"));
}

static void test_large_header(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    start(f, &o);
    static char request[100000];
    int n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nX: ");
    memset(request + n, 'a', sizeof request - 1 - (size_t)n);
    const char *answer = ask(f, request);
    AL_CHECK(answer, answer[0] == '\0' || has_status(answer, "431") || has_status(answer, "413"));
    assert_true(has_status(get(f, "/healthz"), "200"));
}

static void test_silent_client_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    o.idle_ms = 1000;
    start(f, &o);
    int nothing = dial(f);
    int half = dial(f);
    say(half, "GET / HT", 8);
    assert_true(hear(nothing, f->answer, sizeof f->answer, NULL));
    assert_string_equal(f->answer, "");
    assert_true(hear(half, f->answer, sizeof f->answer, NULL));
    close(nothing);
    close(half);
}

/* Far more connections than places, none of which says anything: whoever asks is answered. */
static void test_crowd(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    o.idle_ms = 600000;
    start(f, &o);
    static int fds[300];
    int asker = dial(f);
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    say(asker, request, sizeof request - 1);
    assert_true(hear(asker, f->answer, sizeof f->answer, "serving\n"));
    for (size_t i = 0; i < AL_ARRAY_LEN(fds); i++)
        fds[i] = dial(f);
    for (int i = 0; i < 20; i++)
        assert_true(has_status(get(f, "/readyz"), "200"));
    /* The first of the crowd gave way. */
    assert_true(hear(fds[0], f->answer, sizeof f->answer, NULL));
    for (size_t i = 0; i < AL_ARRAY_LEN(fds); i++)
        close(fds[i]);
    close(asker);
    assert_true(has_status(get(f, "/readyz"), "200"));
}

static void test_limit_of_an_address(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    o.connections_per_address_max = 4;
    o.idle_ms = 600000;
    start(f, &o);
    int fds[8];
    for (size_t i = 0; i < AL_ARRAY_LEN(fds); i++)
        fds[i] = dial(f);
    for (size_t i = 4; i < AL_ARRAY_LEN(fds); i++)
        assert_true(hear(fds[i], f->answer, sizeof f->answer, NULL)); /* closed at once */
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    say(fds[0], request, sizeof request - 1);
    assert_true(hear(fds[0], f->answer, sizeof f->answer, "serving\n"));
    for (size_t i = 0; i < AL_ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void test_port_in_use(void **state)
{
    struct fixture *f = *state;
    struct al_http_options o = options_of(f);
    struct al_http *second = NULL;
    struct al_err err;
    start(f, &o);
    o.address.port = al_http_port(f->http);
    assert_int_equal(al_http_start(&o, &second, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "ADDRESS_IN_USE");
    assert_null(second);
    o.address = (struct al_address){.host = "host.invalid", .port = 0};
    assert_int_equal(al_http_start(&o, &second, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_ADDRESS");
    o.address = (struct al_address){.host = "192.0.2.1", .port = 0}; /* documentation only */
    assert_int_equal(al_http_start(&o, &second, &err), AL_UNAVAILABLE);
}

static void test_memory_faults(void **state)
{
    struct fixture *f = *state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_http_options o = options_of(f);
        struct al_http *h = NULL;
        al_fault_mem_init(&fm, n, false);
        o.mem = &fm.mem;
        enum al_code code = al_http_start(&o, &h, NULL);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        assert_true(fm.fired == (h == NULL));
        al_http_stop(h);
        assert_int_equal(fm.live, 0);
        if (!fm.fired) {
            assert_true(n >= 2);
            return;
        }
    }
}

/* Each step on the network failing in turn: the code says what, nothing stays open. */
static void test_net_faults(void **state)
{
    struct fixture *f = *state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_net net;
            struct al_http_options o = options_of(f);
            struct al_http *h = NULL;
            struct al_err err = {0};
            al_fault_net_init(&net, NULL, n, persistent, EMFILE);
            o.net = &net.net;
            enum al_code code = al_http_start(&o, &h, &err);
            assert_true((h == NULL) == (code != AL_OK));
            if (code != AL_OK) {
                assert_int_equal(code, n == 0 ? AL_INVALID_ARGUMENT : AL_RESOURCE_EXHAUSTED);
                assert_non_null(strstr(err.msg, "http: '127.0.0.1:0'")); /* which address it was */
                assert_int_equal(net.n_open, 0);
            }
            al_http_stop(h);
            if (!net.fired) {
                assert_int_equal(code, AL_OK);
                assert_true(n > 1);
                break;
            }
        }
    }
}

/* The daemon does not start: what was listened on is closed. */
static void test_socket_is_closed_when_memory_ends(void **state)
{
    struct fixture *f = *state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_fault_net net;
        struct al_http_options o = options_of(f);
        struct al_http *h = NULL;
        al_fault_mem_init(&fm, n, false);
        al_fault_net_init(&net, NULL, SIZE_MAX, false, EIO);
        o.mem = &fm.mem;
        o.net = &net.net;
        enum al_code code = al_http_start(&o, &h, NULL);
        assert_true(code == AL_OK || net.n_open == 0);
        al_http_stop(h);
        if (!fm.fired)
            break;
    }
}

/* Memory runs out while a page is made: an empty 503. */
static void test_page_without_memory(void **state)
{
    struct fixture *f = *state;
    struct al_fault_mem fm;
    struct al_http_reply r;
    al_fault_mem_init(&fm, 0, true);
    al_http_answer(&f->site, &(struct al_http_request){"GET", "/metrics", false}, &fm.mem, &r);
    assert_int_equal(r.status, 503);
    assert_int_equal(r.body.n, 0);
    al_buf_fini(&r.body);
    assert_int_equal(fm.live, 0);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages),
        TEST(test_metrics_parse),
        TEST(test_health),
        TEST(test_methods_and_bodies),
        TEST(test_several_on_one_connection),
        TEST(test_garbage),
        TEST(test_large_header),
        TEST(test_silent_client_is_dropped),
        TEST(test_crowd),
        TEST(test_limit_of_an_address),
        TEST(test_port_in_use),
        TEST(test_memory_faults),
        TEST(test_net_faults),
        TEST(test_socket_is_closed_when_memory_ends),
        TEST(test_page_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
