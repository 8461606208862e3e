#include "rpc_fixture.h"

#include <pthread.h>

#include "airlore/clock.h"

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

static void test_unary_inline_and_pool(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"Quick", "Pool"};
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++) {
        struct echo e = {.method = names[i], .text = "h\xc3\xa9llo", .count = 7, .size = 100000};
        AL_CHECK_OK(echo_call(f->channel, &e), e.err);
        assert_string_equal(e.reply_text, "h\xc3\xa9llo");
        assert_int_equal(e.reply_count, 7);
        assert_int_equal(e.reply_bytes, 100000);
    }
    fixture_wait(&f->n_done_ok, 2);
}

static void test_call_accessors(void **state)
{
    struct fixture *f = *state;
    struct echo e = {.method = "Quick", .text = "method"};
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_string_equal(e.reply_text, "/airlore.rpctest.Echo/Quick");
    e.text = "peer";
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_memory_equal(e.reply_text, "ipv4:127.0.0.1:", 15);
    e.text = "cn";
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_string_equal(e.reply_text, "none");
    e.text = "user";
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_string_equal(e.reply_text, "user");
    e.text = "deadline";
    e.timeout_ms = 15000;
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_in_range(e.reply_count, 10000, 15100);
}

static void test_request_id(void **state)
{
    struct fixture *f = *state;
    struct echo e = {.method = "Quick", .text = "id"};
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_int_equal(strlen(e.reply_text), 36); /* made by the server */
    struct al_rpc_header h = {"x-request-id", "req-42"};
    e.headers = &h;
    e.n_headers = 1;
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_string_equal(e.reply_text, "req-42");
    h.value = "not one word";
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_int_equal(strlen(e.reply_text), 36);
}

static void test_errors_carry_code_reason_and_message(void **state)
{
    struct fixture *f = *state;
    for (uint32_t code = AL_CANCELLED; code <= AL_UNAUTHENTICATED; code++) {
        struct echo e = {.method = "Fail", .text = "x", .count = code};
        assert_int_equal(echo_call(f->channel, &e), code);
        assert_int_equal(e.err.code, code);
        assert_string_equal(e.err.reason, "ITEM_BROKEN");
        assert_string_equal(e.err.msg, "item 'x': broken");
    }
    struct echo e = {.method = "Fail", .text = "silent", .count = AL_NOT_FOUND};
    assert_int_equal(echo_call(f->channel, &e), AL_NOT_FOUND);
    assert_string_equal(e.err.reason, "NOT_FOUND");
    e = (struct echo){.method = "Fail", .text = "no reply"};
    assert_int_equal(echo_call(f->channel, &e), AL_INTERNAL);
}

static void test_admit_refuses(void **state)
{
    struct fixture *f = *state;
    struct al_rpc_header h = {"authorization", "bad"};
    struct echo e = {.method = "Quick", .headers = &h, .n_headers = 1};
    assert_int_equal(echo_call(f->channel, &e), AL_UNAUTHENTICATED);
    assert_string_equal(e.err.reason, "BAD_KEY");
    e.method = "Pool";
    assert_int_equal(echo_call(f->channel, &e), AL_UNAUTHENTICATED);
    e.headers = NULL;
    e.n_headers = 0;
    AL_CHECK_OK(echo_call(f->channel, &e), e.err);
}

static void test_methods_that_are_not_there(void **state)
{
    struct fixture *f = *state;
    struct echo e = {.method = "Later"};
    assert_int_equal(echo_call(f->channel, &e), AL_UNIMPLEMENTED);
    assert_string_equal(e.err.reason, "NOT_IMPLEMENTED_YET");
    assert_non_null(strstr(e.err.msg, "is not there yet"));
    struct al_rpc_stream *s = echo_open(f->channel, "LaterStream", 0);
    struct al_err err = {0};
    assert_int_equal(al_rpc_stream_finish(s, &err), AL_UNIMPLEMENTED);
    assert_string_equal(err.reason, "NOT_IMPLEMENTED_YET");
    al_rpc_stream_destroy(s);
}

/* A service the server has never heard of. */
static enum al_code call_other(struct fixture *f, const struct al_rpc_header *h, struct al_err *err)
{
    ProtobufCServiceDescriptor other = airlore__rpctest__echo__descriptor;
    other.name = "airlore.rpctest.Other";
    Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    struct al_rpc_request r = {.service = &other,
                               .method = "Quick",
                               .message = &req.base,
                               .timeout_ms = 20000,
                               .headers = h,
                               .n_headers = h ? 1 : 0};
    struct al_arena arena;
    al_arena_init(&arena, NULL, 1 << 20);
    ProtobufCMessage *msg;
    enum al_code code = al_rpc_unary(f->channel, &r, &arena, &msg, err);
    al_arena_fini(&arena);
    return code;
}

static void test_unknown_service(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    assert_int_equal(call_other(f, NULL, &err), AL_UNIMPLEMENTED);
    assert_string_equal(err.reason, "METHOD_UNKNOWN");
    assert_string_equal(err.msg, "method '/airlore.rpctest.Other/Quick': unknown");
}

/* Strangers are refused before they learn what is not there; the hooks see such calls once each. */
static void test_admit_comes_before_unimplemented(void **state)
{
    struct fixture *f = *state;
    struct al_rpc_header h = {"authorization", "bad"};
    struct echo e = {.method = "Later", .headers = &h, .n_headers = 1};
    assert_int_equal(echo_call(f->channel, &e), AL_UNAUTHENTICATED);
    assert_string_equal(e.err.reason, "BAD_KEY");
    struct al_err err = {0};
    assert_int_equal(call_other(f, &h, &err), AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "BAD_KEY");
    fixture_wait(&f->n_done, 2);
    assert_int_equal(atomic_load(&f->last_code), AL_UNAUTHENTICATED);
    e = (struct echo){.method = "Later"};
    assert_int_equal(echo_call(f->channel, &e), AL_UNIMPLEMENTED);
    assert_int_equal(call_other(f, NULL, &err), AL_UNIMPLEMENTED);
    fixture_wait(&f->n_done, 4);
    assert_int_equal(atomic_load(&f->last_code), AL_UNIMPLEMENTED);
    assert_int_equal(atomic_load(&f->n_admitted), 4);
    assert_int_equal(atomic_load(&f->n_done), 4);
    assert_int_equal(atomic_load(&f->n_done_ok), 0);
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    uint64_t start = al_clock_mono_ns(al_clock_system());
    struct echo e = {.method = "Wait", .timeout_ms = 200};
    assert_int_equal(echo_call(f->channel, &e), AL_DEADLINE_EXCEEDED);
    uint64_t ms = (al_clock_mono_ns(al_clock_system()) - start) / 1000000;
    assert_in_range(ms, 150, 5000);
    fixture_wait(&f->n_cancelled, 1); /* the handler saw it */
    fixture_wait(&f->n_done, 1);
    /* The client gives up by its own clock, and its cancellation may be here first. */
    assert_true(atomic_load(&f->last_code) == AL_DEADLINE_EXCEEDED ||
                atomic_load(&f->last_code) == AL_CANCELLED);
}

struct waiter {
    struct al_rpc_channel *channel;
    struct echo e;
};

static void *waiter_main(void *u)
{
    struct waiter *w = u;
    echo_call(w->channel, &w->e);
    return NULL;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct al_rpc_cancel cancel;
    al_rpc_cancel_init(&cancel);
    struct waiter w = {f->channel, {.method = "Wait", .cancel = &cancel}};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, waiter_main, &w), 0);
    fixture_wait(&f->n_waiting, 1);
    al_rpc_cancel_fire(&cancel);
    pthread_join(t, NULL);
    assert_int_equal(w.e.code, AL_CANCELLED);
    fixture_wait(&f->n_cancelled, 1);
    struct echo late = {.method = "Quick", .cancel = &cancel}; /* fired before */
    assert_int_equal(echo_call(f->channel, &late), AL_CANCELLED);
    al_rpc_cancel_fini(&cancel);
}

static void test_limits_of_size(void **state)
{
    struct fixture *f = *state;
    static char big[17 << 20];
    memset(big, 'x', sizeof big - 1);
    /* Larger than we may send: refused by our own side. */
    struct echo e = {.method = "Quick", .text = big};
    assert_int_equal(echo_call(f->channel, &e), AL_RESOURCE_EXHAUSTED);
    /* A channel that would send it: refused by the server, and the connection stays good. */
    struct al_rpc_channel *wide = NULL;
    struct al_err err = {0};
    struct al_rpc_channel_options o = {.target = f->target, .message_bytes_max = 64u << 20};
    AL_CHECK_OK(al_rpc_channel_create(&o, &wide, &err), err);
    assert_int_equal(echo_call(wide, &e), AL_RESOURCE_EXHAUSTED);
    big[10 << 20] = '\0';
    AL_CHECK_OK(echo_call(wide, &e), e.err);
    e = (struct echo){.method = "Pool", .size = 17 << 20}; /* a reply too large */
    assert_int_equal(echo_call(wide, &e), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "MESSAGE_TOO_LARGE");
    al_rpc_channel_destroy(wide);
}

static void test_arena_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.arena_bytes_max = 64 << 10});
    static char text[128 << 10];
    memset(text, 'x', sizeof text - 1);
    struct echo e = {.method = "Quick", .text = text};
    assert_int_equal(echo_call(f.channel, &e), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "MEMORY_LIMIT");
    e = (struct echo){.method = "Pool", .size = 128 << 10}; /* the handler's own allocation */
    assert_int_equal(echo_call(f.channel, &e), AL_RESOURCE_EXHAUSTED);
    e.size = 1000;
    AL_CHECK_OK(echo_call(f.channel, &e), e.err);
    fixture_stop(&f);
}

static void test_all_calls_share_a_budget(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.calls_bytes_max = 32 << 10});
    struct echo e = {.method = "Pool", .size = 64 << 10};
    assert_int_equal(echo_call(f.channel, &e), AL_RESOURCE_EXHAUSTED);
    e.size = 1000;
    AL_CHECK_OK(echo_call(f.channel, &e), e.err);
    fixture_stop(&f);
}

static void test_full_queue_refuses(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.pool_threads = 1, .pool_queue_max = 1});
    struct waiter w[2] = {{f.channel, {.method = "Wait"}}, {f.channel, {.method = "Wait"}}};
    pthread_t t[2];
    pthread_create(&t[0], NULL, waiter_main, &w[0]);
    fixture_wait(&f.n_waiting, 1); /* the thread is taken */
    pthread_create(&t[1], NULL, waiter_main, &w[1]);
    fixture_wait(&f.n_admitted, 2); /* the queue is full, or about to be */
    struct echo e = {.method = "Pool"};
    for (int i = 0; i < 1000 && echo_call(f.channel, &e) == AL_DEADLINE_EXCEEDED; i++)
        e.timeout_ms = 100;
    assert_int_equal(e.code, AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "QUEUE_FULL");
    struct echo quick = {.method = "Quick"}; /* cheap calls still pass */
    AL_CHECK_OK(echo_call(f.channel, &quick), quick.err);
    atomic_store(&f.is_open, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        AL_CHECK_OK(w[i].e.code, w[i].e.err);
    }
    fixture_stop(&f);
}

static void test_too_many_calls(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.calls_max = 1});
    struct waiter w = {f.channel, {.method = "Wait"}};
    pthread_t t;
    pthread_create(&t, NULL, waiter_main, &w);
    fixture_wait(&f.n_waiting, 1);
    struct echo e = {.method = "Quick"};
    assert_int_equal(echo_call(f.channel, &e), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(e.err.reason, "QUEUE_FULL");
    atomic_store(&f.is_open, true);
    pthread_join(t, NULL);
    AL_CHECK_OK(w.e.code, w.e.err);
    fixture_stop(&f);
}

enum { STORM_THREADS = 8, STORM_CALLS = 250 };

struct storm {
    struct fixture *f;
    unsigned seed;
    unsigned bad;
};

static void *storm_main(void *u)
{
    struct storm *s = u;
    static const char *const names[] = {"Quick", "Pool", "Fail"};
    for (unsigned i = 0; i < STORM_CALLS; i++) {
        const char *name = names[(s->seed + i) % 3];
        char text[32];
        snprintf(text, sizeof text, "t%u-%u", s->seed, i);
        struct echo e = {.method = name, .text = text, .count = AL_ABORTED, .size = i * 10};
        enum al_code want = strcmp(name, "Fail") == 0 ? AL_ABORTED : AL_OK;
        if (echo_call(s->f->channel, &e) != want)
            s->bad++;
        else if (want == AL_OK && (strcmp(e.reply_text, text) || e.reply_bytes != i * 10))
            s->bad++;
    }
    return NULL;
}

static void storm(struct fixture *f)
{
    struct storm s[STORM_THREADS];
    pthread_t t[STORM_THREADS];
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        s[i] = (struct storm){f, i, 0};
        pthread_create(&t[i], NULL, storm_main, &s[i]);
    }
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(s[i].bad, 0);
    }
    fixture_wait(&f->n_done, STORM_THREADS * STORM_CALLS);
}

static void test_2000_calls_from_8_threads(void **state)
{
    storm(*state);
}

static void test_2000_calls_with_2_pollers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.n_pollers = 2});
    storm(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unary_inline_and_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_accessors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_carry_code_reason_and_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_admit_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_methods_that_are_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_service, setup, teardown),
        cmocka_unit_test_setup_teardown(test_admit_comes_before_unimplemented, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits_of_size, setup, teardown),
        cmocka_unit_test(test_arena_limit),
        cmocka_unit_test(test_all_calls_share_a_budget),
        cmocka_unit_test(test_full_queue_refuses),
        cmocka_unit_test(test_too_many_calls),
        cmocka_unit_test_setup_teardown(test_2000_calls_from_8_threads, setup, teardown),
        cmocka_unit_test(test_2000_calls_with_2_pollers),
    };
    return cmocka_run_group_tests_name("rpc.server", tests, NULL, NULL);
}
