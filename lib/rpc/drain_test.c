/* Draining, stopping, and starting with failing memory. */
#include "rpc_fixture.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "airlore/clock.h"

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

static uint64_t now_ms(void)
{
    return al_clock_mono_ns(al_clock_system()) / 1000000;
}

static void test_close_refuses_new_calls_and_keeps_old(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct waiter w = {f.channel, {.method = "Wait", .text = "kept"}};
    pthread_t t;
    pthread_create(&t, NULL, waiter_main, &w);
    fixture_wait(&f.n_waiting, 1);
    al_rpc_server_close(f.server);
    al_rpc_server_close(f.server); /* idempotent */
    struct echo e = {.method = "Quick"};
    assert_int_equal(echo_call(f.channel, &e), AL_UNAVAILABLE);
    assert_string_equal(e.err.reason, "SHUTTING_DOWN");
    atomic_store(&f.is_open, true);
    pthread_join(t, NULL);
    AL_CHECK_OK(w.e.code, w.e.err);
    assert_string_equal(w.e.reply_text, "kept");
    fixture_stop(&f);
}

static void *opener_main(void *u)
{
    struct fixture *f = u;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the stop below is under way */
    atomic_store(&f->is_open, true);
    return NULL;
}

static void test_stop_waits_for_calls_in_flight(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct waiter w = {f.channel, {.method = "Wait"}};
    pthread_t t[2];
    pthread_create(&t[0], NULL, waiter_main, &w);
    fixture_wait(&f.n_waiting, 1);
    pthread_create(&t[1], NULL, opener_main, &f);
    assert_true(al_rpc_server_stop(f.server, 20000));
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    AL_CHECK_OK(w.e.code, w.e.err);
    struct echo e = {.method = "Quick", .timeout_ms = 2000};
    assert_int_equal(echo_call(f.channel, &e), AL_UNAVAILABLE);
    fixture_stop(&f);
}

static void test_stop_cancels_after_the_grace(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct waiter w = {f.channel, {.method = "Wait"}};
    pthread_t t;
    pthread_create(&t, NULL, waiter_main, &w);
    struct al_err err = {0};
    struct al_rpc_stream *s[2];
    static const char *const texts[] = {"endless", "polite"};
    for (int i = 0; i < 2; i++) {
        s[i] = echo_open(f.channel, "Endless", 0);
        AL_CHECK_OK(echo_write(s[i], texts[i], 0, 1000, &err), err);
    }
    fixture_wait(&f.n_waiting, 3);
    uint64_t start = now_ms();
    assert_false(al_rpc_server_stop(f.server, 200));
    assert_in_range(now_ms() - start, 150, 5000);
    pthread_join(t, NULL);
    assert_int_not_equal(w.e.code, AL_OK);
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(s[1], &msg, &err), AL_UNAVAILABLE); /* by its own will */
    assert_string_equal(err.reason, "SHUTTING_DOWN");
    for (int i = 0; i < 2; i++)
        al_rpc_stream_destroy(s[i]);
    assert_int_equal(atomic_load(&f.n_cancelled), 3);
    fixture_stop(&f);
}

static void test_polite_streams_cost_no_grace(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f.channel, "Endless", 0);
    AL_CHECK_OK(echo_write(s, "polite", 0, 0, &err), err);
    fixture_wait(&f.n_waiting, 1);
    uint64_t start = now_ms();
    assert_true(al_rpc_server_stop(f.server, 20000));
    assert_in_range(now_ms() - start, 0, 5000);
    al_rpc_stream_destroy(s);
    fixture_stop(&f);
}

static struct al_rpc_server_options options(struct al_mem *mem)
{
    return (struct al_rpc_server_options){.descriptor_set = (const uint8_t *)fixture_set().p,
                                          .descriptor_set_bytes = fixture_set().n,
                                          .mem = mem};
}

static void test_half_built_servers(void **state)
{
    (void)state;
    struct al_rpc_server *s = NULL;
    struct al_err err = {0};
    struct al_rpc_server_options o = options(NULL);
    al_rpc_server_destroy(NULL);
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    al_rpc_server_destroy(s); /* never listened */
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    AL_CHECK_OK(al_rpc_server_listen(s, "127.0.0.1:0", NULL, NULL, &err), err);
    al_rpc_server_destroy(s); /* never started */
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    AL_CHECK_OK(al_rpc_server_start(s, &err), err); /* no address: fine, useless */
    assert_int_equal(al_rpc_server_start(s, &err), AL_FAILED_PRECONDITION);
    al_rpc_server_destroy(s);
}

static void test_bad_options(void **state)
{
    (void)state;
    struct al_rpc_server *s = NULL;
    struct al_err err = {0};
    struct al_rpc_server_options o = options(NULL);
    o.n_pollers = 65;
    assert_int_equal(al_rpc_server_create(&o, &s, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.msg, "rpc server: option 'n_pollers' is 65, must be 1 to 64");
    o = options(NULL);
    o.message_bytes_max = 10;
    assert_int_equal(al_rpc_server_create(&o, &s, &err), AL_INVALID_ARGUMENT);
    o = options(NULL);
    o.descriptor_set = NULL;
    assert_int_equal(al_rpc_server_create(&o, &s, &err), AL_INVALID_ARGUMENT);
    o = options(NULL);
    o.descriptor_set_bytes = 50;
    assert_int_equal(al_rpc_server_create(&o, &s, &err), AL_INVALID_ARGUMENT);
    assert_null(s);
}

static enum al_code one(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                        ProtobufCMessage **ret_reply, struct al_err *err)
{
    (void)ctx, (void)call, (void)req, (void)ret_reply;
    return AL_FAIL(err, AL_INTERNAL, "not called");
}

static enum al_code many(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    (void)ctx, (void)call;
    return AL_FAIL(err, AL_INTERNAL, "not called");
}

static void test_bad_services(void **state)
{
    (void)state;
    struct al_rpc_server *s = NULL;
    struct al_err err = {0};
    struct al_rpc_server_options o = options(NULL);
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    const ProtobufCServiceDescriptor *d = &airlore__rpctest__echo__descriptor;
    static const struct {
        const char *name;
        struct al_rpc_method m;
    } cases[] = {
        {"no such method", {.name = "Nothing", .unary = one}},
        {"unary for a stream", {.name = "Both", .unary = one}},
        {"stream for a unary", {.name = "Quick", .stream = many}},
        {"both", {.name = "Quick", .unary = one, .stream = many}},
        {"neither", {.name = "Quick"}},
        {"no name", {.unary = one}},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++)
        AL_CHECK(cases[i].name, al_rpc_server_add_service(s, d, &cases[i].m, 1, NULL, &err) ==
                                    AL_INVALID_ARGUMENT);
    ProtobufCServiceDescriptor other = *d;
    other.name = "not.in.the.set";
    assert_int_equal(al_rpc_server_add_service(s, &other, NULL, 0, NULL, &err),
                     AL_INVALID_ARGUMENT);
    AL_CHECK_OK(al_rpc_server_add_service(s, d, NULL, 0, NULL, &err), err);
    assert_int_equal(al_rpc_server_add_service(s, d, NULL, 0, NULL, &err), AL_ALREADY_EXISTS);
    al_rpc_server_destroy(s);
}

static void test_address_in_use(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct al_rpc_server *s = NULL;
    struct al_err err = {0};
    struct al_rpc_server_options o = options(NULL);
    AL_CHECK_OK(al_rpc_server_create(&o, &s, &err), err);
    assert_int_equal(al_rpc_server_listen(s, f.target, NULL, NULL, &err), AL_UNAVAILABLE);
    assert_string_equal(err.reason, "ADDRESS_IN_USE");
    assert_int_equal(al_rpc_server_listen(s, "no such host:1", NULL, NULL, &err), AL_UNAVAILABLE);
    al_rpc_server_destroy(s);
    fixture_stop(&f);
}

static void test_start_raises_the_limit_of_files(void **state)
{
    (void)state;
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    rlim_t before = r.rlim_cur;
    r.rlim_cur = r.rlim_max > 512 ? 512 : r.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
    struct fixture f;
    fixture_start(&f, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    assert_int_equal(r.rlim_cur, r.rlim_max);
    fixture_stop(&f);
    r.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

/* Each allocation of ours failed in turn; those of gRPC itself are its own. */
static enum al_code bring_up(struct al_mem *mem, struct al_rpc_server **ret)
{
    static const struct al_rpc_method m[] = {{.name = "Quick", .unary = one}};
    struct al_rpc_server_options o = options(mem);
    o.streams_max = 2;
    o.pool_threads = 2;
    o.n_pollers = 2;
    AL_TRY(al_rpc_server_create(&o, ret, NULL));
    AL_TRY(al_rpc_server_add_service(*ret, &airlore__rpctest__echo__descriptor, m, 1, NULL, NULL));
    AL_TRY(al_rpc_server_listen(*ret, "127.0.0.1:0", NULL, NULL, NULL));
    return al_rpc_server_start(*ret, NULL);
}

static void test_memory_faults(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_fault_mem fm;
            al_fault_mem_init(&fm, n, persistent);
            struct al_rpc_server *s = NULL;
            enum al_code code = bring_up(&fm.mem, &s);
            bool fired = fm.fired;
            if (fired)
                assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
            else
                assert_int_equal(code, AL_OK);
            al_rpc_server_destroy(s);
            if (fm.live != 0)
                fail_msg("allocation %zu failing leaks %zu blocks", n, fm.live);
            if (!fired) {
                assert_true(n > 80);
                break;
            }
        }
    }
}

/* Calls while each allocation fails in turn: an error or an answer, and the server lives. */
static void test_memory_faults_of_calls(void **state)
{
    (void)state;
    unsigned n_failed = 0;
    for (size_t n = 0; n < 40; n++) {
        struct al_fault_mem fm;
        al_fault_mem_init(&fm, SIZE_MAX, false);
        struct fixture f;
        fixture_start(&f, &(struct al_rpc_server_options){
                              .mem = &fm.mem, .streams_max = 1, .pool_threads = 1});
        fm.fail_at = fm.count + n;
        struct echo e = {.method = n % 2 ? "Quick" : "Pool", .text = "id", .size = 5000};
        for (int i = 0; i < 1000 && !fm.fired; i++)
            n_failed += echo_call(f.channel, &e) != AL_OK;
        AL_CHECK_OK(echo_call(f.channel, &e), e.err);
        fixture_stop(&f);
        assert_int_equal(fm.live, 0);
    }
    assert_true(n_failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close_refuses_new_calls_and_keeps_old),
        cmocka_unit_test(test_stop_waits_for_calls_in_flight),
        cmocka_unit_test(test_stop_cancels_after_the_grace),
        cmocka_unit_test(test_polite_streams_cost_no_grace),
        cmocka_unit_test(test_half_built_servers),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_services),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_start_raises_the_limit_of_files),
        cmocka_unit_test(test_memory_faults),
        cmocka_unit_test(test_memory_faults_of_calls),
    };
    return cmocka_run_group_tests_name("rpc.drain", tests, NULL, NULL);
}
