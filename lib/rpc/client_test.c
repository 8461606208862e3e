/* The client alone: bad requests, no server, asynchronous calls, memory faults. */
#include "rpc_fixture.h"

#include <pthread.h>

static void test_bad_channels(void **state)
{
    (void)state;
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    struct al_rpc_header h = {"Upper", "x"};
    const struct {
        const char *name;
        struct al_rpc_channel_options o;
    } cases[] = {
        {"no target", {.target = NULL}},
        {"empty target", {.target = ""}},
        {"bad header", {.target = "127.0.0.1:1", .headers = &h, .n_headers = 1}},
        {"half a certificate",
         {.target = "127.0.0.1:1", .tls = &(struct al_rpc_tls){.key_pem = "x"}}},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        AL_CHECK(cases[i].name,
                 al_rpc_channel_create(&cases[i].o, &c, &err) == AL_INVALID_ARGUMENT);
        AL_CHECK(cases[i].name, c == NULL);
    }
    al_rpc_channel_destroy(NULL);
    al_rpc_stream_destroy(NULL);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    AL_CHECK_OK(
        al_rpc_channel_create(&(struct al_rpc_channel_options){.target = "127.0.0.1:1"}, &c, &err),
        err);
    struct echo e = {.method = "Quick"};
    assert_int_equal(echo_call(c, &e), AL_UNAVAILABLE);
    assert_int_equal(e.err.code, AL_UNAVAILABLE);
    assert_true(e.err.msg[0] != '\0');
    struct al_rpc_stream *s = echo_open(c, "Both", 0);
    assert_int_equal(echo_write(s, "x", 0, 0, &err), AL_UNAVAILABLE);
    assert_int_equal(al_rpc_stream_finish(s, &err), AL_UNAVAILABLE);
    al_rpc_stream_destroy(s);
    al_rpc_channel_destroy(c);
}

static void test_bad_requests(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct echo e = {.method = "NoSuchMethod"};
    assert_int_equal(echo_call(f.channel, &e), AL_INVALID_ARGUMENT);
    struct al_rpc_header bad[] = {{"grpc-timeout", "1S"}, {"x", "new\nline"}, {"x-bin", "1"}};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        e = (struct echo){.method = "Quick", .headers = &bad[i], .n_headers = 1};
        AL_CHECK(bad[i].key, echo_call(f.channel, &e) == AL_INVALID_ARGUMENT);
    }
    /* A message of another type. */
    Airlore__Rpctest__Everything other = AIRLORE__RPCTEST__EVERYTHING__INIT;
    struct al_rpc_request r = {
        .service = &airlore__rpctest__echo__descriptor, .method = "Quick", .message = &other.base};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_unary(f.channel, &r, &a, &msg, NULL), AL_INVALID_ARGUMENT);
    al_arena_fini(&a);
    assert_int_equal(atomic_load(&f.n_admitted), 0);
    fixture_stop(&f);
}

static void test_channel_headers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct al_rpc_header h = {"authorization", "bad"};
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    struct al_rpc_channel_options o = {.target = f.target, .headers = &h, .n_headers = 1};
    AL_CHECK_OK(al_rpc_channel_create(&o, &c, &err), err);
    struct echo e = {.method = "Quick"};
    assert_int_equal(echo_call(c, &e), AL_UNAUTHENTICATED);
    struct al_rpc_stream *s = echo_open(c, "Both", 0);
    assert_int_equal(al_rpc_stream_finish(s, &err), AL_UNAUTHENTICATED);
    assert_string_equal(err.reason, "BAD_KEY");
    al_rpc_stream_destroy(s);
    al_rpc_channel_destroy(c);
    fixture_stop(&f);
}

static void test_reply_larger_than_the_arena(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    req.size = 1 << 20;
    struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                               .method = "Pool",
                               .message = &req.base,
                               .timeout_ms = 20000};
    struct al_arena a;
    struct al_err err = {0};
    al_arena_init(&a, NULL, 1 << 16);
    ProtobufCMessage *msg = NULL;
    assert_int_equal(al_rpc_unary(f.channel, &r, &a, &msg, &err), AL_RESOURCE_EXHAUSTED);
    assert_null(msg);
    al_arena_fini(&a);
    fixture_stop(&f);
}

struct fan {
    _Atomic unsigned n_ok;
    _Atomic unsigned n_failed;
    _Atomic unsigned n_all;
};

static void on_reply(void *u, enum al_code code, const ProtobufCMessage *reply,
                     const struct al_err *err)
{
    struct fan *fan = u;
    if (code == AL_OK && reply &&
        ((const Airlore__Rpctest__EchoReply *)(const void *)reply)->count == 9)
        atomic_fetch_add(&fan->n_ok, 1);
    if (code == AL_ABORTED && !reply && strcmp(err->reason, "ITEM_BROKEN") == 0)
        atomic_fetch_add(&fan->n_failed, 1);
    atomic_fetch_add(&fan->n_all, 1);
}

static void test_asynchronous_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct fan fan = {0};
    fixture_start(&f, &(struct al_rpc_server_options){.pool_queue_max = 1000});
    for (unsigned i = 0; i < 500; i++) {
        Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
        req.count = i % 5 ? 9 : AL_ABORTED;
        struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                                   .method = i % 5 ? "Pool" : "Fail",
                                   .message = &req.base,
                                   .timeout_ms = 20000};
        struct al_err err = {0};
        AL_CHECK_OK(
            al_rpc_unary_async(f.channel, &r, (struct al_rpc_callback){on_reply, &fan}, &err), err);
    }
    fixture_wait(&fan.n_all, 500);
    assert_int_equal(atomic_load(&fan.n_ok), 400);
    assert_int_equal(atomic_load(&fan.n_failed), 100);
    struct al_rpc_request bad = {.service = &airlore__rpctest__echo__descriptor, .method = "None"};
    assert_int_equal(
        al_rpc_unary_async(f.channel, &bad, (struct al_rpc_callback){on_reply, &fan}, NULL),
        AL_INVALID_ARGUMENT);
    assert_int_equal(atomic_load(&fan.n_all), 500);
    fixture_stop(&f);
}

/* A server without handlers at an address. */
static struct al_rpc_server *serve(const char *address)
{
    struct al_rpc_server *s = NULL;
    struct al_err err = {0};
    struct al_rpc_server_options o = {.descriptor_set = (const uint8_t *)fixture_set().p,
                                      .descriptor_set_bytes = fixture_set().n};
    uint16_t port = 7;
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    AL_CHECK_OK(
        al_rpc_server_add_service(s, &airlore__rpctest__echo__descriptor, NULL, 0, NULL, &err),
        err);
    AL_CHECK_OK(al_rpc_server_listen(s, address, NULL, &port, &err), err);
    assert_int_equal(port, 0);
    AL_CHECK_OK(al_rpc_server_start(s, &err), err);
    return s;
}

static enum al_code call_when_ready(struct al_rpc_channel *c)
{
    Airlore__Rpctest__EchoRequest req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                               .method = "Quick",
                               .message = &req.base,
                               .timeout_ms = 20000,
                               .wait_for_ready = true};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 16);
    ProtobufCMessage *msg;
    enum al_code code = al_rpc_unary(c, &r, &a, &msg, NULL);
    al_arena_fini(&a);
    return code;
}

/* Over a unix socket: the server goes and comes back at the same address, the channel follows. */
static void test_wait_for_ready_and_reconnect(void **state)
{
    (void)state;
    struct al_rpc_channel *c = NULL;
    struct al_err err = {0};
    char dir[200];
    char address[256];
    al_test_dir(dir, sizeof dir);
    snprintf(address, sizeof address, "unix:%s/socket", dir);
    AL_CHECK_OK(
        al_rpc_channel_create(&(struct al_rpc_channel_options){.target = address}, &c, &err), err);
    struct echo e = {.method = "Quick"};
    assert_int_equal(echo_call(c, &e), AL_UNAVAILABLE);
    for (int round = 0; round < 2; round++) {
        struct al_rpc_server *s = serve(address);
        assert_int_equal(call_when_ready(c), AL_UNIMPLEMENTED); /* it answers */
        al_rpc_server_stop(s, 1000);
        al_rpc_server_destroy(s);
        assert_int_equal(echo_call(c, &e), AL_UNAVAILABLE);
    }
    al_rpc_channel_destroy(c);
}

static void test_memory_faults(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    for (size_t n = 0;; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, n, false);
        struct al_rpc_header h = {"x-a", "b"};
        struct al_rpc_channel *c = NULL;
        struct al_rpc_channel_options o = {
            .target = f.target, .headers = &h, .n_headers = 1, .mem = &fm.mem};
        enum al_code code = al_rpc_channel_create(&o, &c, NULL);
        struct echo e = {.method = "Quick"};
        if (code == AL_OK)
            code = echo_call(c, &e);
        struct al_rpc_request r = {
            .service = &airlore__rpctest__echo__descriptor, .method = "Both", .timeout_ms = 20000};
        struct al_rpc_stream *s = NULL;
        if (code == AL_OK)
            code = al_rpc_stream_open(c, &r, &s, NULL);
        if (code == AL_OK)
            code = echo_write(s, "x", 0, 0, NULL);
        ProtobufCMessage *msg;
        if (code == AL_OK)
            code = al_rpc_stream_read(s, &msg, NULL);
        assert_int_equal(code, fm.fired ? AL_RESOURCE_EXHAUSTED : AL_OK);
        al_rpc_stream_destroy(s);
        al_rpc_channel_destroy(c);
        assert_int_equal(fm.live, 0);
        if (!fm.fired) {
            assert_true(n >= 7);
            break;
        }
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_channels),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_channel_headers),
        cmocka_unit_test(test_reply_larger_than_the_arena),
        cmocka_unit_test(test_asynchronous_calls),
        cmocka_unit_test(test_wait_for_ready_and_reconnect),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests_name("rpc.client", tests, NULL, NULL);
}
