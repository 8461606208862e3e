#include <stdlib.h>

#include "airlore/testing.h"
#include "peers_conformance.h"

#define MS 1000000u

struct world {
    struct al_seeded_random random;
    struct al_fake_clock clock;
    struct al_sim_net *net;
};

static struct world *world_create(uint64_t seed, struct al_mem *mem, size_t calls_max)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    al_seeded_random_init(&w->random, seed);
    al_fake_clock_init(&w->clock, 0);
    struct al_sim_net_options o = {
        .mem = mem, .random = &w->random.random, .clock = &w->clock, .calls_max = calls_max};
    if (al_sim_net_create(&o, &w->net, NULL) != AL_OK)
        w->net = NULL;
    return w;
}

static void world_destroy(void *v)
{
    struct world *w = v;
    al_sim_net_destroy(w->net);
    free(w);
}

static void *suite_create(void)
{
    struct world *w = world_create(1, NULL, 0);
    assert_non_null(w->net);
    return w;
}

static struct al_peers *suite_node(void *v, uint32_t node, const struct al_peers_server *server)
{
    return al_sim_net_node(((struct world *)v)->net, node, server);
}

static void suite_crash(void *v, uint32_t node)
{
    al_sim_net_crash(((struct world *)v)->net, node);
}

static bool suite_wait(void *v)
{
    return al_sim_net_step(((struct world *)v)->net);
}

static uint64_t suite_now(void *v)
{
    return al_clock_mono_ns(&((struct world *)v)->clock.clock);
}

/* ---- what a network does ---- */

#define CALLS 200

struct trace {
    struct world *w;
    struct al_peers *client;
    struct al_peers *server;
    int served;
    int order[4 * CALLS]; /* in which order the requests were served */
    int answered;
    int unknown;
    struct {
        struct trace *t;
        int number;
    } calls[CALLS];
};

static void serve(void *u, uint32_t from, uint64_t ticket, struct al_str request)
{
    struct trace *t = u;
    (void)from;
    int number = 0;
    assert_int_equal(request.n, sizeof number);
    memcpy(&number, request.p, sizeof number);
    assert_true(t->served < 4 * CALLS);
    t->order[t->served++] = number;
    assert_int_equal(al_peers_answer(t->server, ticket, request, NULL), AL_OK);
}

static void done(void *u, enum al_code code, struct al_str answer)
{
    struct trace *t = u;
    t->answered += code == AL_OK;
    t->unknown += code == AL_UNKNOWN;
    assert_true(code == AL_OK ? answer.n == sizeof(int) : answer.n == 0);
}

/* CALLS calls a millisecond apart in this weather. */
static struct trace *run(uint64_t seed, struct al_sim_net_weather weather, bool up)
{
    struct trace *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->w = world_create(seed, NULL, 0);
    assert_non_null(t->w->net);
    al_sim_net_set_weather(t->w->net, &weather);
    al_sim_net_set_link(t->w->net, 0, 1, up);
    struct al_peers_server s = {serve, t};
    t->client = al_sim_net_node(t->w->net, 0, NULL);
    t->server = al_sim_net_node(t->w->net, 1, &s);
    for (int i = 0; i < CALLS; i++) {
        struct al_peers_call c = {.to = 1,
                                  .request = {(const char *)&i, sizeof i},
                                  .deadline_ns = al_clock_deadline(&t->w->clock.clock, 60u * 1000u),
                                  .done = done,
                                  .u = t};
        struct al_err err;
        AL_CHECK_OK(al_peers_call(t->client, &c, &err), err);
        al_fake_clock_step_ms(&t->w->clock, 1);
    }
    while (al_sim_net_step(t->w->net))
        continue;
    assert_int_equal(t->answered + t->unknown, CALLS); /* each call ends exactly once */
    assert_int_equal(al_sim_net_in_flight(t->w->net), 0);
    return t;
}

static void trace_free(struct trace *t)
{
    world_destroy(t->w);
    free(t);
}

static bool is_in_order(const struct trace *t)
{
    for (int i = 1; i < t->served; i++) {
        if (t->order[i] < t->order[i - 1])
            return false;
    }
    return true;
}

static void test_fair_weather(void **state)
{
    (void)state;
    struct trace *t = run(1, (struct al_sim_net_weather){0}, true);
    assert_int_equal(t->answered, CALLS);
    assert_int_equal(t->served, CALLS);
    assert_true(is_in_order(t));
    trace_free(t);
}

static void test_messages_are_lost(void **state)
{
    (void)state;
    struct trace *t = run(2, (struct al_sim_net_weather){.lost = 30}, true);
    assert_in_range(t->served, CALLS / 2, CALLS - 1); /* some requests are lost */
    assert_in_range(t->answered, 1, t->served - 1);   /* and some answers */
    trace_free(t);
}

static void test_requests_come_twice(void **state)
{
    (void)state;
    struct trace *t = run(3, (struct al_sim_net_weather){.doubled = 50, .delay_ms = 5}, true);
    assert_in_range(t->served, CALLS + CALLS / 4, 2 * CALLS);
    assert_int_equal(t->answered, CALLS); /* the caller is told once */
    trace_free(t);
}

static void test_slow_ones_are_overtaken(void **state)
{
    (void)state;
    struct al_sim_net_weather w = {.slow = 20, .delay_ms = 1, .slow_ms = 500};
    struct trace *t = run(4, w, true);
    assert_int_equal(t->answered, CALLS);
    assert_false(is_in_order(t));
    trace_free(t);
}

static void test_a_cut_link_passes_nothing(void **state)
{
    (void)state;
    struct trace *t = run(5, (struct al_sim_net_weather){0}, false);
    assert_int_equal(t->served, 0);
    assert_int_equal(t->unknown, CALLS);
    trace_free(t);
}

static void test_a_seed_makes_a_run(void **state)
{
    (void)state;
    struct al_sim_net_weather w = {
        .lost = 10, .doubled = 10, .slow = 10, .delay_ms = 10, .slow_ms = 1000};
    struct trace *a = run(6, w, true);
    struct trace *b = run(6, w, true);
    struct trace *c = run(7, w, true);
    assert_int_equal(a->served, b->served);
    assert_memory_equal(a->order, b->order, sizeof a->order);
    assert_memory_not_equal(a->order, c->order, sizeof a->order);
    trace_free(a);
    trace_free(b);
    trace_free(c);
}

static void nothing(void *u, enum al_code code, struct al_str answer)
{
    (void)u;
    (void)code;
    (void)answer;
}

static void test_calls_are_bounded(void **state)
{
    (void)state;
    struct world *w = world_create(1, NULL, 3);
    struct al_peers *p = al_sim_net_node(w->net, 0, NULL);
    struct al_peers_call c = {.to = 1, .deadline_ns = 5000u * MS, .done = nothing};
    for (int i = 0; i < 3; i++)
        assert_int_equal(al_peers_call(p, &c, NULL), AL_OK);
    assert_int_equal(al_peers_call(p, &c, NULL), AL_RESOURCE_EXHAUSTED);
    while (al_sim_net_step(w->net))
        continue;
    assert_int_equal(al_peers_call(p, &c, NULL), AL_OK);
    world_destroy(w);
}

static void serve_later(void *u, uint32_t from, uint64_t ticket, struct al_str request)
{
    (void)from;
    (void)request;
    *(uint64_t *)u = ticket;
}

/* Create, call, serve, answer: each allocation failing once; nothing leaks, a call that was not
 * taken leaves nothing behind, one that was taken ends. */
static void test_failing_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct al_fault_mem m;
        al_fault_mem_init(&m, n, false);
        struct world *w = world_create(1, &m.mem, 0);
        struct trace t = {.answered = 0};
        uint64_t ticket = 0;
        assert_true(w->net || m.fired);
        if (w->net) {
            struct al_peers_server s = {serve_later, &ticket};
            struct al_peers *server = al_sim_net_node(w->net, 1, &s);
            int number = 7;
            struct al_peers_call c = {.to = 1,
                                      .request = {(const char *)&number, sizeof number},
                                      .deadline_ns = 5000u * MS,
                                      .done = done,
                                      .u = &t};
            enum al_code code = al_peers_call(al_sim_net_node(w->net, 0, NULL), &c, NULL);
            assert_int_equal(code, m.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
            bool taken = code == AL_OK;
            assert_true(taken || al_sim_net_in_flight(w->net) == 0);
            while (!ticket && al_sim_net_step(w->net))
                continue;
            code = al_peers_answer(server, ticket, c.request, NULL);
            assert_true(code == AL_OK || (m.fired && code == AL_RESOURCE_EXHAUSTED));
            while (al_sim_net_step(w->net))
                continue;
            assert_int_equal(t.answered + t.unknown, taken ? 1 : 0);
        }
        world_destroy(w);
        assert_int_equal(m.live, 0);
        if (!m.fired)
            return;
    }
}

int main(void)
{
    static const struct al_peers_backend backend = {.name = "simulated network",
                                                    .create = suite_create,
                                                    .destroy = world_destroy,
                                                    .node = suite_node,
                                                    .crash = suite_crash,
                                                    .wait = suite_wait,
                                                    .now_ns = suite_now};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fair_weather),
        cmocka_unit_test(test_messages_are_lost),
        cmocka_unit_test(test_requests_come_twice),
        cmocka_unit_test(test_slow_ones_are_overtaken),
        cmocka_unit_test(test_a_cut_link_passes_nothing),
        cmocka_unit_test(test_a_seed_makes_a_run),
        cmocka_unit_test(test_calls_are_bounded),
        cmocka_unit_test(test_failing_memory),
    };
    int failed = al_peers_conformance_run(&backend);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
