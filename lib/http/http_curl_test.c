#include "airlore/http_curl.h"

#include "airlore/testing.h"
#include "http_fixture.h"

struct world {
    struct al_http_world w; /* first */
    struct al_http_server *server;
    bool refuses;
};

static void world_set(struct al_http_world *w, const struct al_http_script *s)
{
    struct world *x = (struct world *)w;
    x->refuses = s->refuses;
    al_http_server_set(x->server, s);
}

/* Port 1 of loopback: nobody listens. */
static const char *world_url(struct al_http_world *w, const char *path, char *buf, size_t n)
{
    const struct world *x = (const struct world *)w;
    (void)snprintf(buf, n, "http://127.0.0.1:%u%s",
                   x->refuses ? 1u : al_http_server_port(x->server), path);
    return buf;
}

static const struct al_http_seen *world_seen(struct al_http_world *w)
{
    return al_http_server_seen(((struct world *)w)->server);
}

static void open_world(struct world *x, const struct al_http_curl_options *opt)
{
    struct al_err err = {0};
    *x = (struct world){
        .w = {.clock = al_clock_system(), .set = world_set, .url = world_url, .seen = world_seen}};
    x->server = al_http_server_start();
    AL_CHECK_OK(al_http_curl_open(opt, &x->w.http, &err), err);
}

static void close_world(struct world *x)
{
    al_http_close(x->w.http);
    al_http_server_stop(x->server);
}

static const struct al_http_curl_options plain = {.no_proxy = true};

static void test_conformance(void **state)
{
    (void)state;
    struct world x;
    open_world(&x, &plain);
    al_http_conformance(&x.w);
    close_world(&x);
}

static enum al_code get(struct world *x, struct al_http_request req, struct al_arena *a,
                        struct al_http_response *ret, struct al_err *err)
{
    char url[128];
    req.url = al_str_c(world_url(&x->w, "/p", url, sizeof(url)));
    req.method = AL_HTTP_GET;
    req.deadline_ns = al_clock_deadline(al_clock_system(), 20000);
    return al_http_send(x->w.http, &req, a, ret, err);
}

/* A redirect to another scheme is not followed, to http it is, and not for ever. */
static void test_redirects(void **state)
{
    (void)state;
    struct world x;
    struct al_arena a;
    struct al_err err = {0};
    struct al_http_response r = {0};
    char here[128];
    open_world(&x, &plain);
    al_arena_init(&a, NULL, (size_t)1 << 20);
    const char *const to_file[] = {"Location", "file:///etc/hostname", NULL};
    struct al_http_script script = {.status = 302, .headers = to_file};
    world_set(&x.w, &script);
    assert_int_equal(get(&x, (struct al_http_request){.redirects_max = 3}, &a, &r, &err),
                     AL_UNAVAILABLE);
    const char *const to_self[] = {"Location", world_url(&x.w, "/p", here, sizeof(here)), NULL};
    script.headers = to_self;
    world_set(&x.w, &script);
    uint32_t before = world_seen(&x.w)->count;
    assert_int_equal(get(&x, (struct al_http_request){.redirects_max = 3}, &a, &r, &err),
                     AL_UNAVAILABLE);
    assert_int_equal(world_seen(&x.w)->count - before, 4);
    AL_CHECK_OK(get(&x, (struct al_http_request){.redirects_max = 0}, &a, &r, &err), err);
    assert_int_equal(r.status, 302);
    al_arena_fini(&a);
    close_world(&x);
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct al_http_credential basic = {AL_STR_INIT("me"), AL_STR_INIT("pw"),
                                                    AL_STR_INIT("")};
    static const struct al_http_credential signed_v4 = {AL_STR_INIT("KEYID"), AL_STR_INIT("SECRET"),
                                                        AL_STR_INIT("aws:amz:eu-west-1:s3")};
    static const struct al_http_script script = {.status = 200};
    struct world x;
    struct al_arena a;
    struct al_err err = {0};
    struct al_http_response r = {0};
    open_world(&x, &plain);
    world_set(&x.w, &script);
    al_arena_init(&a, NULL, (size_t)1 << 20);
    AL_CHECK_OK(get(&x, (struct al_http_request){.credential = &basic}, &a, &r, &err), err);
    assert_non_null(strstr(world_seen(&x.w)->headers, "Authorization: Basic bWU6cHc="));
    AL_CHECK_OK(get(&x, (struct al_http_request){.credential = &signed_v4}, &a, &r, &err), err);
    assert_non_null(strstr(world_seen(&x.w)->headers, "AWS4-HMAC-SHA256 Credential=KEYID/"));
    assert_null(strstr(world_seen(&x.w)->headers, "SECRET"));
    AL_CHECK_OK(get(&x, (struct al_http_request){0}, &a, &r, &err), err);
    assert_null(strstr(world_seen(&x.w)->headers, "Authorization")); /* nothing is left behind */
    al_arena_fini(&a);
    close_world(&x);
}

static void test_options(void **state)
{
    (void)state;
    struct al_http *h = NULL;
    struct al_err err = {0};
    struct al_http_curl_options many = {.connections_max = 257};
    assert_int_equal(al_http_curl_open(&many, &h, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_OPTION");
    assert_null(h);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_http_curl_options opt = {
            .ca_file = "a", .cert_file = "b", .key_file = "c", .mem = &fm.mem};
        enum al_code code = al_http_curl_open(&opt, &h, &err);
        assert_true(fm.fired ? code == AL_RESOURCE_EXHAUSTED && !h : code == AL_OK && h);
        al_http_close(h);
        assert_int_equal(fm.live, 0);
        if (!fm.fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conformance),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("http.curl", tests, NULL, NULL);
}
