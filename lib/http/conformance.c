#include "conformance.h"

#include <stdlib.h>

#include "airlore/testing.h"

#define LIMIT ((size_t)8 << 20)
#define MANY ((size_t)AL_HTTP_HEADERS_MAX + 1)

struct run {
    struct al_http_world *w;
    struct al_arena a;
    struct al_http_request req;
    struct al_http_response response;
    struct al_err err;
    char url[512];
};

static void start(struct run *r, struct al_http_world *w, enum al_http_method m, const char *path)
{
    *r = (struct run){.w = w};
    al_arena_init(&r->a, NULL, LIMIT);
    r->req =
        (struct al_http_request){.method = m, .deadline_ns = al_clock_deadline(w->clock, 20000)};
    r->req.url = al_str_c(w->url(w, path, r->url, sizeof(r->url)));
}

static enum al_code send(struct run *r)
{
    return al_http_send(r->w->http, &r->req, &r->a, &r->response, &r->err);
}

static void finish(struct run *r)
{
    al_arena_fini(&r->a);
}

static void test_answer(struct al_http_world *w)
{
    static const char *const headers[] = {"Content-Type", "text/plain", "X-Two", "  spaced  ",
                                          NULL};
    static const struct al_http_script script = {200, headers, AL_STR_INIT("hello"), false, false};
    struct run r;
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/a?b=1");
    struct al_http_header own[] = {{AL_STR("X-Own"), AL_STR("yes")},
                                   {AL_STR("X-Empty"), AL_STR("")}};
    r.req.headers = own;
    r.req.n_headers = 2;
    AL_CHECK_OK(send(&r), r.err);
    assert_int_equal(r.response.status, 200);
    assert_true(al_str_is(r.response.body, "hello"));
    assert_true(al_str_is(al_http_find_header(&r.response, "content-type"), "text/plain"));
    assert_true(al_str_is(al_http_find_header(&r.response, "x-two"), "spaced"));
    assert_int_equal(al_http_find_header(&r.response, "absent").n, 0);
    const struct al_http_seen *s = w->seen(w);
    assert_string_equal(s->method, "GET");
    assert_string_equal(s->path, "/a?b=1");
    assert_non_null(strstr(s->headers, "X-Own: yes"));
    assert_non_null(strstr(s->headers, "X-Empty:"));
    finish(&r);
}

static void test_methods(struct al_http_world *w)
{
    static const struct al_http_script script = {201, NULL, AL_STR_INIT("made"), false, false};
    static const struct {
        enum al_http_method method;
        const char *name;
        const char *body;
    } cases[] = {{AL_HTTP_POST, "POST", "{\"a\":1}"},
                 {AL_HTTP_PUT, "PUT", "xyz"},
                 {AL_HTTP_POST, "POST", ""},
                 {AL_HTTP_DELETE, "DELETE", ""},
                 {AL_HTTP_HEAD, "HEAD", ""}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct run r;
        w->set(w, &script);
        start(&r, w, cases[i].method, "/m");
        r.req.body = al_str_c(cases[i].body);
        AL_CHECK_OK(send(&r), r.err);
        AL_CHECK(cases[i].name, r.response.status == 201);
        AL_CHECK(cases[i].name, strcmp(w->seen(w)->method, cases[i].name) == 0);
        AL_CHECK(cases[i].name, strcmp(w->seen(w)->body, cases[i].body) == 0);
        AL_CHECK(cases[i].name, cases[i].method == AL_HTTP_HEAD
                                    ? r.response.body.n == 0
                                    : al_str_is(r.response.body, "made"));
        finish(&r);
    }
}

static void test_statuses_are_answers(struct al_http_world *w)
{
    static const uint32_t statuses[] = {204, 301, 404, 429, 500, 503};
    for (size_t i = 0; i < AL_ARRAY_LEN(statuses); i++) {
        struct al_http_script script = {.status = statuses[i]};
        struct run r;
        w->set(w, &script);
        start(&r, w, AL_HTTP_GET, "/s");
        AL_CHECK_OK(send(&r), r.err);
        assert_int_equal(r.response.status, statuses[i]);
        finish(&r);
    }
}

static enum al_code count_part(void *u, const struct al_http_response *head, struct al_str part,
                               struct al_err *err)
{
    size_t *total = u;
    assert_int_equal(head->status, 200);
    *total += part.n;
    return *total > 100000 ? AL_FAIL(err, AL_ABORTED, "enough") : AL_OK;
}

static void test_parts_and_limits(struct al_http_world *w)
{
    size_t n = 300000;
    char *big = malloc(n);
    assert_non_null(big);
    memset(big, 'x', n);
    struct al_http_script script = {.status = 200, .body = {big, n}};
    struct run r;
    size_t total = 0;
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/big");
    r.req.on_body = count_part;
    r.req.u = &total;
    assert_int_equal(send(&r), AL_ABORTED);
    assert_string_equal(r.err.msg, "enough");
    assert_true(total > 100000 && total <= n);
    finish(&r);
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/big");
    r.req.response_bytes_max = n - 1;
    assert_int_equal(send(&r), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(r.err.reason, "RESPONSE_TOO_LARGE");
    assert_null(r.response.body.p);
    finish(&r);
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/big");
    r.req.response_bytes_max = n;
    AL_CHECK_OK(send(&r), r.err);
    assert_true(r.response.body.n == n && memcmp(r.response.body.p, big, n) == 0);
    finish(&r);
    free(big);
}

static void test_many_headers(struct al_http_world *w)
{
    static const char *headers[MANY * 2 + 1];
    for (size_t i = 0; i < MANY * 2; i += 2) {
        headers[i] = "X-Many";
        headers[i + 1] = "v";
    }
    struct al_http_script script = {.status = 200, .headers = headers};
    struct run r;
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/h");
    assert_int_equal(send(&r), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(r.err.reason, "RESPONSE_TOO_LARGE");
    finish(&r);
}

static void test_failures(struct al_http_world *w)
{
    static const struct {
        const char *name;
        enum al_http_method method;
        bool refuses;
        enum al_code code;
        const char *reason;
    } cases[] = {
        {"refused GET", AL_HTTP_GET, true, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE"},
        {"refused POST", AL_HTTP_POST, true, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE"},
        {"cut off GET", AL_HTTP_GET, false, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE"},
        {"cut off POST", AL_HTTP_POST, false, AL_UNKNOWN, "OUTCOME_UNKNOWN"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_http_script script = {.refuses = cases[i].refuses, .fails = !cases[i].refuses};
        struct run r;
        w->set(w, &script);
        start(&r, w, cases[i].method, "/f");
        AL_CHECK(cases[i].name, send(&r) == cases[i].code);
        AL_CHECK(cases[i].name, strcmp(r.err.reason, cases[i].reason) == 0);
        AL_CHECK(cases[i].name, r.response.status == 0);
        finish(&r);
    }
}

static void test_bad_requests(struct al_http_world *w)
{
    static const struct {
        const char *url;
        const char *name;
        const char *value;
        const char *reason;
    } cases[] = {
        {"ftp://x/", "A", "b", "BAD_URL"},
        {"file:///etc/passwd", "A", "b", "BAD_URL"},
        {"http://", "A", "b", "BAD_URL"},
        {"http:///path", "A", "b", "BAD_URL"},
        {"http://a b/", "A", "b", "BAD_URL"},
        {"http://a/\r\nX: y", "A", "b", "BAD_URL"},
        {"", "A", "b", "BAD_URL"},
        {"http://127.0.0.1/", "A\r\n", "b", "BAD_HEADER"},
        {"http://127.0.0.1/", "", "b", "BAD_HEADER"},
        {"http://127.0.0.1/", "A", "b\r\nEvil: 1", "BAD_HEADER"},
    };
    uint32_t before = w->seen(w)->count;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct run r;
        start(&r, w, AL_HTTP_GET, "/");
        struct al_http_header h = {al_str_c(cases[i].name), al_str_c(cases[i].value)};
        r.req.url = al_str_c(cases[i].url);
        r.req.headers = &h;
        r.req.n_headers = 1;
        AL_CHECK(cases[i].url, send(&r) == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].url, strcmp(r.err.reason, cases[i].reason) == 0);
        finish(&r);
    }
    assert_int_equal(w->seen(w)->count, before);
}

static bool always(void *u)
{
    (void)u;
    return true;
}

static void test_cancel_and_deadline(struct al_http_world *w)
{
    static const struct al_http_script script = {.status = 200};
    struct run r;
    w->set(w, &script);
    start(&r, w, AL_HTTP_GET, "/c");
    r.req.cancel = always;
    assert_int_equal(send(&r), AL_CANCELLED);
    finish(&r);
    start(&r, w, AL_HTTP_GET, "/c");
    r.req.deadline_ns = 1;
    assert_int_equal(send(&r), AL_DEADLINE_EXCEEDED);
    finish(&r);
}

/* Whatever limit the arena has: an answer, or the right error and nothing else. */
static void test_arena_limits(struct al_http_world *w)
{
    static const char *const headers[] = {"X-One", "1", "X-Two", "2", NULL};
    static const struct al_http_script script = {200, headers, AL_STR_INIT("some body"), false,
                                                 false};
    for (size_t limit = 16;; limit += 96) {
        struct run r;
        w->set(w, &script);
        start(&r, w, AL_HTTP_GET, "/l");
        al_arena_fini(&r.a);
        al_arena_init(&r.a, NULL, limit);
        enum al_code code = send(&r);
        bool done = code == AL_OK;
        assert_true(done ? al_str_is(r.response.body, "some body")
                         : code == AL_RESOURCE_EXHAUSTED && r.response.status == 0);
        finish(&r);
        if (done)
            return;
        assert_true(limit < 65536);
    }
}

void al_http_conformance(struct al_http_world *w)
{
    test_answer(w);
    test_methods(w);
    test_statuses_are_answers(w);
    test_parts_and_limits(w);
    test_many_headers(w);
    test_failures(w);
    test_bad_requests(w);
    test_cancel_and_deadline(w);
    test_arena_limits(w);
}
