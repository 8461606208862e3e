/* Searches and answers when shards fail: without permission an error that says which, with it an
 * answer that says what it is without. */
#include "airlore/testing.h"

#include <math.h>
#include <stdio.h>

#include "airlore/ask.h"
#include "core_fixture.h"
#include "fault_port.h"

#define SPACE 20u
#define N_SHARDS 4u
static const uint32_t SPACES[] = {SPACE};

struct site {
    struct core core;
    struct fault_port fault[N_SHARDS];
    struct al_shard_port *ports[N_SHARDS];
    struct al_router router;
};

static void open_site(struct site *s)
{
    core_open(&s->core, N_SHARDS);
    for (int i = 0; i < 80; i++) {
        char id[16];
        char text[80];
        snprintf(id, sizeof id, "doc-%d", i);
        snprintf(text, sizeof text, "The scheduler queue number %d holds a backfill.", i);
        core_put(&s->core, SPACE, id, "", text);
    }
    for (size_t i = 0; i < N_SHARDS; i++) {
        al_fault_port_init(&s->fault[i], s->core.port[i]);
        s->ports[i] = &s->fault[i].port;
    }
    s->router = (struct al_router){s->ports, N_SHARDS};
}

static void heal(struct site *s)
{
    for (size_t i = 0; i < N_SHARDS; i++)
        al_fault_port_init(&s->fault[i], s->core.port[i]);
}

static enum al_code search(struct site *s, bool allow_partial, struct al_query_result *ret,
                           struct al_err *err)
{
    struct al_query_context ctx = {&s->router, s->core.embedder, al_clock_system()};
    struct al_query q = {.text = AL_STR("scheduler backfill"),
                         .k = 80,
                         .mode = AL_MODE_HYBRID,
                         .vector_weight = NAN,
                         .exact = true,
                         .explain = true,
                         .allow_partial = allow_partial,
                         .spaces = SPACES,
                         .n_spaces = 1,
                         .deadline_ns = al_clock_deadline(al_clock_system(), 60000)};
    return al_query_run(&ctx, &q, &s->core.arena, ret, err);
}

static size_t shard_of(const struct site *s, const struct al_hit *h)
{
    return al_router_of_doc(&s->router, SPACE, h->doc->id);
}

static const struct {
    const char *name;
    unsigned fails;
    enum al_code code;
    const char *shard_reason;
    const char *reason;
} faults[] = {
    {"closed", FAULT_ALL, AL_UNAVAILABLE, NULL, "SHARD_UNAVAILABLE"},
    {"closed, with a reason", FAULT_ALL, AL_UNAVAILABLE, "NOT_PRIMARY", "NOT_PRIMARY"},
    {"lost", FAULT_ALL, AL_DATA_LOSS, NULL, "DATA_CORRUPT"},
    {"hangs", FAULT_STATS, AL_DEADLINE_EXCEEDED, NULL, "DEADLINE_EXCEEDED"},
    {"lost at the legs", FAULT_LEGS, AL_DATA_LOSS, "DATA_CORRUPT", "DATA_CORRUPT"},
    {"closed at the scores", FAULT_SCORE, AL_UNAVAILABLE, NULL, "SHARD_UNAVAILABLE"},
    {"closed at the terms", FAULT_EXPLAIN, AL_UNAVAILABLE, NULL, "SHARD_UNAVAILABLE"},
    {"lost at the documents", FAULT_GET_DOC, AL_DATA_LOSS, NULL, "DATA_CORRUPT"},
};

static void set(struct site *s, size_t shard, size_t fault)
{
    s->fault[shard].fails = faults[fault].fails;
    s->fault[shard].code = faults[fault].code;
    s->fault[shard].reason = faults[fault].shard_reason;
}

/* Legs that give everything leave no scores to be fetched. */
static bool is_reached(const struct site *s, size_t shard)
{
    return s->fault[shard].n_failed > 0;
}

static void test_without_permission_it_says_which(void **state)
{
    (void)state;
    struct site s;
    struct al_query_result r;
    open_site(&s);
    for (size_t f = 0; f < AL_ARRAY_LEN(faults); f++) {
        struct al_err err = {0};
        set(&s, 2, f);
        enum al_code code = search(&s, false, &r, &err);
        if (is_reached(&s, 2)) {
            AL_CHECK(faults[f].name, code == faults[f].code);
            AL_CHECK(faults[f].name, strcmp(err.reason, faults[f].reason) == 0);
            AL_CHECK(faults[f].name, strncmp(err.msg, "shard 2: ", 9) == 0);
        } else {
            AL_CHECK(faults[f].name, code == AL_OK && faults[f].fails == FAULT_SCORE);
        }
        heal(&s);
    }
    core_close(&s.core);
}

static void test_with_permission_the_others_answer(void **state)
{
    (void)state;
    struct site s;
    struct al_query_result whole;
    struct al_err err = {0};
    open_site(&s);
    AL_CHECK_OK(search(&s, true, &whole, &err), err);
    assert_int_equal(whole.n_missing, 0);
    assert_int_equal(whole.n_hits, 80);
    for (size_t f = 0; f < AL_ARRAY_LEN(faults); f++) {
        struct al_query_result r;
        set(&s, 1, f);
        set(&s, 3, f);
        AL_CHECK_OK(search(&s, true, &r, &err), err);
        size_t n = is_reached(&s, 1) ? 2 : 0;
        AL_CHECK(faults[f].name, r.n_missing == n);
        for (size_t i = 0; i < n; i++) {
            AL_CHECK(faults[f].name, r.missing[i].shard == 1 + 2 * i);
            AL_CHECK(faults[f].name, r.missing[i].err.code == faults[f].code);
            AL_CHECK(faults[f].name, strcmp(r.missing[i].err.reason, faults[f].reason) == 0);
            AL_CHECK(faults[f].name, r.token.index[1 + 2 * i] == 0);
        }
        size_t n_others = 0;
        for (size_t i = 0; i < whole.n_hits; i++)
            n_others += shard_of(&s, &whole.hits[i]) % 2 == 0;
        AL_CHECK(faults[f].name, r.n_hits == (n ? n_others : 80));
        for (size_t i = 0; n && i < r.n_hits; i++)
            AL_CHECK(faults[f].name, shard_of(&s, &r.hits[i]) % 2 == 0);
        AL_CHECK(faults[f].name, r.token.index[0] > 0 && r.token.index[2] > 0);
        heal(&s);
    }
    core_close(&s.core);
}

static void test_nothing_left_is_an_error(void **state)
{
    (void)state;
    struct site s;
    struct al_query_result r;
    struct al_err err = {0};
    open_site(&s);
    for (size_t i = 0; i < N_SHARDS; i++)
        set(&s, i, 0);
    assert_int_equal(search(&s, true, &r, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "SHARD_UNAVAILABLE");
    heal(&s);
    /* what is no loss of a shard is never passed over */
    s.fault[1].fails = FAULT_STATS;
    s.fault[1].code = AL_RESOURCE_EXHAUSTED;
    s.fault[1].reason = "MEMORY_LIMIT";
    assert_int_equal(search(&s, true, &r, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "MEMORY_LIMIT");
    core_close(&s.core);
}

/* A shard that does not come up to the token in its share of the time is missing. */
static void test_tokens(void **state)
{
    (void)state;
    struct site s;
    struct al_query_result r;
    struct al_err err = {0};
    open_site(&s);
    AL_CHECK_OK(search(&s, false, &r, &err), err);
    struct al_token until = r.token;
    struct al_query_context ctx = {&s.router, s.core.embedder, al_clock_system()};
    struct al_query q = {.text = AL_STR("scheduler"),
                         .k = 5,
                         .mode = AL_MODE_TEXT,
                         .vector_weight = NAN,
                         .after = &until,
                         .allow_partial = true,
                         .spaces = SPACES,
                         .n_spaces = 1,
                         .deadline_ns = al_clock_deadline(al_clock_system(), 60000)};
    AL_CHECK_OK(al_query_run(&ctx, &q, &s.core.arena, &r, &err), err);
    assert_int_equal(r.n_missing, 0);
    s.fault[0].fails = FAULT_WAIT;
    s.fault[0].code = AL_DEADLINE_EXCEEDED;
    AL_CHECK_OK(al_query_run(&ctx, &q, &s.core.arena, &r, &err), err);
    assert_int_equal(r.n_missing, 1);
    assert_int_equal(r.n_hits, 5);
    q.allow_partial = false;
    assert_int_equal(al_query_run(&ctx, &q, &s.core.arena, &r, &err), AL_DEADLINE_EXCEEDED);
    until.index[1] += 1000; /* what no server gave is no loss of a shard */
    q.allow_partial = true;
    assert_int_equal(al_query_run(&ctx, &q, &s.core.arena, &r, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_TOKEN");
    core_close(&s.core);
}

static void test_ask(void **state)
{
    (void)state;
    struct site s;
    struct al_answer ans;
    struct al_err err = {0};
    open_site(&s);
    struct al_query_context ctx = {&s.router, s.core.embedder, al_clock_system()};
    struct al_ask_options o = {.query = {.text = AL_STR("Which scheduler queue holds a backfill?"),
                                         .k = 8,
                                         .mode = AL_MODE_HYBRID,
                                         .vector_weight = NAN,
                                         .spaces = SPACES,
                                         .n_spaces = 1,
                                         .deadline_ns = AL_DEADLINE_NONE},
                               .min_relevance = 0,
                               .sentences_max = 3};
    set(&s, 3, 2);
    assert_int_equal(al_ask(&ctx, &o, &s.core.arena, &ans, &err), AL_DATA_LOSS);
    o.query.allow_partial = true;
    AL_CHECK_OK(al_ask(&ctx, &o, &s.core.arena, &ans, &err), err);
    assert_int_equal(ans.n_missing, 1);
    assert_int_equal(ans.missing[0].shard, 3);
    assert_false(ans.abstained);
    core_close(&s.core);
}

/* Real shards, one of them closed. */
static void test_a_closed_shard(void **state)
{
    (void)state;
    struct site s;
    struct al_query_result r;
    struct al_err err = {0};
    open_site(&s);
    al_shard_close(s.core.shard[2]);
    assert_int_equal(search(&s, false, &r, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "SHARD_UNAVAILABLE");
    AL_CHECK_OK(search(&s, true, &r, &err), err);
    assert_int_equal(r.n_missing, 1);
    assert_int_equal(r.missing[0].shard, 2);
    assert_true(r.n_hits > 0);
    core_close(&s.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_permission_it_says_which),
        cmocka_unit_test(test_with_permission_the_others_answer),
        cmocka_unit_test(test_nothing_left_is_an_error),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_ask),
        cmocka_unit_test(test_a_closed_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
