#include "peers_conformance.h"

#include "airlore/testing.h"

#define SECOND 1000000000u

static const struct al_peers_backend *backend;

struct answer {
    int n; /* how often done was called */
    enum al_code code;
    char text[64];
};

static void done(void *u, enum al_code code, struct al_str answer)
{
    struct answer *a = u;
    a->n++;
    a->code = code;
    snprintf(a->text, sizeof a->text, "%.*s", (int)answer.n, answer.p);
}

/* A server that says what it was asked, at once, later or never. */
struct echo {
    void *net;
    struct al_peers *self;
    enum { AT_ONCE, LATER, NEVER } when;
    int n;
    uint32_t from;
    uint64_t ticket;
    char text[64];
};

static void echo_serve(void *u, uint32_t from, uint64_t ticket, struct al_str request)
{
    struct echo *e = u;
    e->n++;
    e->from = from;
    e->ticket = ticket;
    snprintf(e->text, sizeof e->text, "echo %.*s", (int)request.n, request.p);
    if (e->when == AT_ONCE)
        assert_int_equal(al_peers_answer(e->self, ticket, al_str_c(e->text), NULL), AL_OK);
}

struct fixture {
    void *net;
    struct al_peers *caller;
    struct al_peers_server server;
    struct echo echo;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->net = backend->create();
    f->caller = backend->node(f->net, 0, NULL);
    f->server = (struct al_peers_server){echo_serve, &f->echo};
    f->echo.net = f->net;
    f->echo.self = backend->node(f->net, 1, &f->server);
}

static enum al_code call(struct fixture *f, uint32_t to, const char *text, struct answer *a)
{
    struct al_peers_call c = {.to = to,
                              .request = al_str_c(text),
                              .deadline_ns = backend->now_ns(f->net) + SECOND,
                              .done = done,
                              .u = a};
    return al_peers_call(f->caller, &c, NULL);
}

static void settle(struct fixture *f)
{
    while (backend->wait(f->net))
        continue;
}

static void test_an_answer_comes_once_and_not_from_within(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    assert_int_equal(call(&f, 1, "pull", &a), AL_OK);
    assert_int_equal(a.n, 0);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, AL_OK);
    assert_string_equal(a.text, "echo pull");
    assert_int_equal(f.echo.from, 0);
    backend->destroy(f.net);
}

static void test_empty_requests_and_answers(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    f.echo.when = LATER;
    assert_int_equal(call(&f, 1, "", &a), AL_OK);
    while (f.echo.n == 0)
        assert_true(backend->wait(f.net));
    assert_string_equal(f.echo.text, "echo ");
    assert_int_equal(al_peers_answer(f.echo.self, f.echo.ticket, AL_STR(""), NULL), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, AL_OK);
    assert_string_equal(a.text, "");
    backend->destroy(f.net);
}

static void test_many_calls_each_with_its_own_answer(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a[50];
    setup(&f);
    memset(a, 0, sizeof a);
    for (int i = 0; i < 50; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(call(&f, 1, text, &a[i]), AL_OK);
    }
    settle(&f);
    for (int i = 0; i < 50; i++) {
        char text[16];
        snprintf(text, sizeof text, "echo %d", i);
        assert_int_equal(a[i].n, 1);
        assert_string_equal(a[i].text, text);
    }
    backend->destroy(f.net);
}

static void test_an_answer_may_come_later_but_only_once(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    f.echo.when = LATER;
    assert_int_equal(call(&f, 1, "x", &a), AL_OK);
    while (f.echo.n == 0)
        assert_true(backend->wait(f.net));
    assert_int_equal(al_peers_answer(f.echo.self, f.echo.ticket, AL_STR("first"), NULL), AL_OK);
    assert_int_equal(al_peers_answer(f.echo.self, f.echo.ticket, AL_STR("second"), NULL), AL_OK);
    assert_int_equal(al_peers_answer(f.echo.self, 12345678, AL_STR("nobody"), NULL), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.text, "first");
    backend->destroy(f.net);
}

static void test_the_deadline_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    f.echo.when = NEVER;
    uint64_t begin = backend->now_ns(f.net);
    assert_int_equal(call(&f, 1, "x", &a), AL_OK);
    settle(&f);
    assert_int_equal(f.echo.n, 1); /* it was carried out */
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, AL_UNKNOWN);
    assert_true(backend->now_ns(f.net) >= begin + SECOND);
    assert_int_equal(al_peers_answer(f.echo.self, f.echo.ticket, AL_STR("late"), NULL), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1); /* a late answer changes nothing */
    backend->destroy(f.net);
}

static void test_nobody_serves_there(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    assert_int_equal(call(&f, 2, "x", &a), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, AL_UNAVAILABLE);
    backend->destroy(f.net);
}

static void test_a_crash_of_the_server_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    f.echo.when = LATER;
    assert_int_equal(call(&f, 1, "x", &a), AL_OK);
    while (f.echo.n == 0)
        assert_true(backend->wait(f.net));
    uint64_t before = f.echo.ticket;
    backend->crash(f.net, 1);
    f.echo.self = backend->node(f.net, 1, &f.server);
    assert_int_equal(al_peers_answer(f.echo.self, before, AL_STR("of the old process"), NULL),
                     AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.code, AL_UNKNOWN);
    f.echo.when = AT_ONCE;
    assert_int_equal(call(&f, 1, "again", &a), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.text, "echo again");
    backend->destroy(f.net);
}

static void test_a_crash_of_the_caller_forgets_its_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    assert_int_equal(call(&f, 1, "x", &a), AL_OK);
    backend->crash(f.net, 0);
    settle(&f);
    assert_int_equal(a.n, 0);
    f.caller = backend->node(f.net, 0, NULL);
    assert_int_equal(call(&f, 1, "y", &a), AL_OK);
    settle(&f);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.text, "echo y");
    backend->destroy(f.net);
}

static void test_calls_that_are_not_taken(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {0};
    setup(&f);
    static char byte;
    struct al_peers_call c = {
        .to = 1, .request = AL_STR("x"), .deadline_ns = AL_DEADLINE_NONE, .done = done, .u = &a};
    assert_int_equal(al_peers_call(f.caller, &c, NULL), AL_INVALID_ARGUMENT);
    c.deadline_ns = backend->now_ns(f.net) + SECOND;
    c.request = (struct al_str){&byte, AL_PEERS_BYTES_MAX + 1u}; /* refused unread */
    assert_int_equal(al_peers_call(f.caller, &c, NULL), AL_INVALID_ARGUMENT);
    settle(&f);
    assert_int_equal(a.n, 0);
    backend->destroy(f.net);
}

int al_peers_conformance_run(const struct al_peers_backend *b)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_comes_once_and_not_from_within),
        cmocka_unit_test(test_empty_requests_and_answers),
        cmocka_unit_test(test_many_calls_each_with_its_own_answer),
        cmocka_unit_test(test_an_answer_may_come_later_but_only_once),
        cmocka_unit_test(test_the_deadline_leaves_the_outcome_unknown),
        cmocka_unit_test(test_nobody_serves_there),
        cmocka_unit_test(test_a_crash_of_the_server_leaves_the_outcome_unknown),
        cmocka_unit_test(test_a_crash_of_the_caller_forgets_its_calls),
        cmocka_unit_test(test_calls_that_are_not_taken),
    };
    backend = b;
    return cmocka_run_group_tests_name(b->name, tests, NULL, NULL);
}
