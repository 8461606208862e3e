#include "airlore/http_fake.h"

#include "airlore/http_retry.h"
#include "airlore/testing.h"
#include "conformance.h"

struct world {
    struct al_http_world w; /* first */
    struct al_http_script script;
    struct al_http_seen seen;
};

static void copy(char *to, size_t max, struct al_str s)
{
    size_t n = s.n < max - 1 ? s.n : max - 1;
    memcpy(to, s.p ? s.p : "", n);
    to[n] = '\0';
}

static void answer(void *u, const struct al_http_request *req, struct al_http_fake_answer *ret)
{
    struct world *x = u;
    x->seen.count++;
    copy(x->seen.method, sizeof(x->seen.method), al_str_c(al_http_method_name(req->method)));
    copy(x->seen.path, sizeof(x->seen.path),
         al_str_sub(req->url, strlen("http://fake"), req->url.n));
    copy(x->seen.body, sizeof(x->seen.body), req->body);
    size_t n = 0;
    for (size_t i = 0; i < req->n_headers; i++)
        n += (size_t)snprintf(x->seen.headers + n, sizeof(x->seen.headers) - n,
                              AL_STR_FMT ": " AL_STR_FMT "\n", AL_STR_ARG(req->headers[i].name),
                              AL_STR_ARG(req->headers[i].value));
    *ret = (struct al_http_fake_answer){.status = x->script.status,
                                        .headers = x->script.headers,
                                        .body = x->script.body,
                                        .part_bytes = 16384};
    if (x->script.fails || x->script.refuses)
        *ret = (struct al_http_fake_answer){.code = AL_UNAVAILABLE, .sent = x->script.fails};
}

static void world_set(struct al_http_world *w, const struct al_http_script *s)
{
    ((struct world *)w)->script = *s;
}

static const char *world_url(struct al_http_world *w, const char *path, char *buf, size_t n)
{
    (void)w;
    (void)snprintf(buf, n, "http://fake%s", path);
    return buf;
}

static const struct al_http_seen *world_seen(struct al_http_world *w)
{
    return &((struct world *)w)->seen;
}

static void open_world(struct world *x, struct al_clock *clock)
{
    struct al_err err = {0};
    *x = (struct world){
        .w = {.clock = clock, .set = world_set, .url = world_url, .seen = world_seen}};
    AL_CHECK_OK(al_http_fake_open(answer, x, clock, NULL, &x->w.http, &err), err);
}

static void test_conformance(void **state)
{
    (void)state;
    struct world x;
    open_world(&x, al_clock_system());
    al_http_conformance(&x.w);
    al_http_close(x.w.http);
}

/* ---- sending again ---- */

struct waits {
    struct al_fake_clock *clock;
    uint32_t n;
    uint64_t total_ms;
    bool give_up;
};

static bool wait(void *u, uint32_t ms)
{
    struct waits *w = u;
    w->n++;
    w->total_ms += ms;
    al_fake_clock_step_ms(w->clock, ms);
    return !w->give_up;
}

static const char *const after_two[] = {"Retry-After", "2", NULL};
static const char *const after_long[] = {"Retry-After", "3600", NULL};

static const struct {
    const char *name;
    enum al_http_method method;
    struct al_http_script script;
    bool is_idempotent;
    bool give_up;
    uint32_t deadline_ms;
    enum al_code code;
    uint32_t sent;
    uint64_t waited_ms_min;
} retries[] = {
    {"good at once", AL_HTTP_GET, {.status = 200}, false, false, 60000, AL_OK, 1, 0},
    {"not found is final", AL_HTTP_GET, {.status = 404}, false, false, 60000, AL_OK, 1, 0},
    {"busy", AL_HTTP_GET, {.status = 503}, false, false, 60000, AL_OK, 4, 0},
    {"busy POST", AL_HTTP_POST, {.status = 503}, false, false, 60000, AL_OK, 1, 0},
    {"busy idempotent POST", AL_HTTP_POST, {.status = 503}, true, false, 60000, AL_OK, 4, 0},
    {"too many POST", AL_HTTP_POST, {.status = 429}, false, false, 60000, AL_OK, 4, 0},
    {"asked to wait",
     AL_HTTP_GET,
     {.status = 429, .headers = after_two},
     false,
     false,
     60000,
     AL_OK,
     4,
     6000},
    {"asked too long",
     AL_HTTP_GET,
     {.status = 429, .headers = after_long},
     false,
     false,
     60000,
     AL_OK,
     1,
     0},
    {"refused", AL_HTTP_POST, {.refuses = true}, false, false, 60000, AL_UNAVAILABLE, 4, 0},
    {"cut off POST", AL_HTTP_POST, {.fails = true}, false, false, 60000, AL_UNKNOWN, 1, 0},
    {"cut off idempotent POST",
     AL_HTTP_POST,
     {.fails = true},
     true,
     false,
     60000,
     AL_UNKNOWN,
     4,
     0},
    {"given up", AL_HTTP_GET, {.status = 503}, false, true, 60000, AL_OK, 1, 0},
    {"deadline",
     AL_HTTP_GET,
     {.status = 429, .headers = after_two},
     false,
     false,
     3000,
     AL_OK,
     2,
     2000},
};

static void test_retries(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(retries); i++) {
        struct world x;
        struct al_fake_clock clock;
        struct al_seeded_random random;
        struct al_arena a;
        struct al_http_response response = {0};
        struct al_err err = {0};
        al_fake_clock_init(&clock, 1000000);
        al_seeded_random_init(&random, 7);
        open_world(&x, &clock.clock);
        world_set(&x.w, &retries[i].script);
        al_arena_init(&a, NULL, (size_t)1 << 20);
        struct waits w = {&clock, 0, 0, retries[i].give_up};
        struct al_http_retry r = {.is_idempotent = retries[i].is_idempotent,
                                  .random = &random.random,
                                  .wait = wait,
                                  .u = &w};
        struct al_http_request req = {.method = retries[i].method,
                                      .url = AL_STR("http://fake/r"),
                                      .deadline_ns =
                                          al_clock_deadline(&clock.clock, retries[i].deadline_ms)};
        enum al_code code = al_http_send_retry(x.w.http, &req, &r, &a, &response, &err);
        AL_CHECK(retries[i].name, code == retries[i].code);
        AL_CHECK(retries[i].name, code != AL_OK || response.status == retries[i].script.status);
        AL_CHECK(retries[i].name, x.seen.count == retries[i].sent);
        AL_CHECK(retries[i].name, w.total_ms >= retries[i].waited_ms_min);
        AL_CHECK(retries[i].name, w.total_ms <= retries[i].waited_ms_min + 200 + 400 + 800);
        al_arena_fini(&a);
        al_http_close(x.w.http);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t now_ms;
        uint64_t ms;
    } cases[] = {
        {"0", 0, 0},
        {"120", 0, 120000},
        {"-5", 0, 0},
        {"soon", 0, 0},
        {"", 0, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111770000ull, 7000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111780000ull, 0},
        {"18446744073709551615", 0, 31536000000ull},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_http_header h = {AL_STR("retry-after"), al_str_c(cases[i].value)};
        struct al_http_response r = {.status = 429, .headers = &h, .n_headers = 1};
        AL_CHECK(cases[i].value, al_http_retry_after_ms(&r, cases[i].now_ms) == cases[i].ms);
    }
}

/* Parts of an answer that is tried again are not handed over. */
struct collected {
    char text[64];
    size_t n;
};

static enum al_code collect(void *u, const struct al_http_response *head, struct al_str part,
                            struct al_err *err)
{
    struct collected *c = u;
    (void)err;
    assert_int_equal(head->status, 200);
    memcpy(c->text + c->n, part.p, part.n);
    c->n += part.n;
    return AL_OK;
}

static void busy_once(void *u, const struct al_http_request *req, struct al_http_fake_answer *ret)
{
    uint32_t *n = u;
    (void)req;
    *ret = (struct al_http_fake_answer){.status = (*n)++ ? 200 : 503, .body = AL_STR("text")};
}

static void test_parts_of_the_last_only(void **state)
{
    (void)state;
    struct al_http *h = NULL;
    struct al_err err = {0};
    struct al_fake_clock clock;
    struct al_arena a;
    struct al_http_response response = {0};
    struct collected c = {.n = 0};
    uint32_t n = 0;
    al_fake_clock_init(&clock, 1000);
    struct waits w = {&clock, 0, 0, false};
    AL_CHECK_OK(al_http_fake_open(busy_once, &n, &clock.clock, NULL, &h, &err), err);
    al_arena_init(&a, NULL, (size_t)1 << 20);
    struct al_http_request req = {.method = AL_HTTP_GET,
                                  .url = AL_STR("http://fake/r"),
                                  .deadline_ns = AL_DEADLINE_NONE,
                                  .on_body = collect,
                                  .u = &c};
    struct al_http_retry r = {.wait = wait, .u = &w};
    AL_CHECK_OK(al_http_send_retry(h, &req, &r, &a, &response, &err), err);
    assert_int_equal(n, 2);
    assert_int_equal(c.n, 4);
    al_arena_fini(&a);
    al_http_close(h);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        struct al_http *h = NULL;
        uint32_t u = 0;
        al_fault_mem_init(&fm, n, false);
        enum al_code code = al_http_fake_open(busy_once, &u, NULL, &fm.mem, &h, NULL);
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
        cmocka_unit_test(test_conformance),   cmocka_unit_test(test_retries),
        cmocka_unit_test(test_retry_after),   cmocka_unit_test(test_parts_of_the_last_only),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("http.fake", tests, NULL, NULL);
}
