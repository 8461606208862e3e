#include "rpc_fixture.h"

#include <pthread.h>
#include <time.h>

typedef Airlore__Rpctest__EchoReply echo_reply;

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

static const echo_reply *read_reply(struct al_rpc_stream *s)
{
    ProtobufCMessage *msg = NULL;
    struct al_err err = {0};
    AL_CHECK_OK(al_rpc_stream_read(s, &msg, &err), err);
    return (const void *)msg;
}

static void test_server_stream(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Down", 0);
    AL_CHECK_OK(echo_write(s, "down", 100, 1000, &err), err);
    AL_CHECK_OK(al_rpc_stream_writes_done(s, &err), err);
    for (uint32_t i = 0; i < 100; i++) {
        const echo_reply *r = read_reply(s);
        assert_non_null(r);
        assert_int_equal(r->count, i);
        assert_int_equal(r->padding.len, 1000);
    }
    assert_null(read_reply(s));
    AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
    al_rpc_stream_destroy(s);
}

static void test_server_stream_that_fails_late(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Down", 0);
    AL_CHECK_OK(echo_write(s, "then fail", 3, 0, &err), err);
    AL_CHECK_OK(al_rpc_stream_writes_done(s, &err), err);
    for (uint32_t i = 0; i < 3; i++)
        assert_non_null(read_reply(s));
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(s, &msg, &err), AL_DATA_LOSS);
    assert_string_equal(err.reason, "ITEM_BROKEN");
    assert_int_equal(al_rpc_stream_finish(s, &err), AL_DATA_LOSS);
    al_rpc_stream_destroy(s);
}

static void test_client_stream(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Up", 0);
    for (uint32_t i = 0; i < 500; i++)
        AL_CHECK_OK(echo_write(s, "up", i, 0, &err), err);
    AL_CHECK_OK(al_rpc_stream_writes_done(s, &err), err);
    const echo_reply *r = read_reply(s);
    assert_non_null(r);
    assert_int_equal(r->count, 500 * 499 / 2);
    assert_null(read_reply(s));
    AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
    al_rpc_stream_destroy(s);
}

static void test_empty_client_stream(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Up", 0);
    AL_CHECK_OK(al_rpc_stream_writes_done(s, &err), err);
    assert_int_equal(read_reply(s)->count, 0);
    AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
    assert_int_equal(echo_write(s, "late", 0, 0, &err), AL_FAILED_PRECONDITION);
    al_rpc_stream_destroy(s);
}

static void test_server_ends_a_client_stream_early(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Up", 0);
    AL_CHECK_OK(echo_write(s, "stop", 0, 0, &err), err);
    enum al_code code = AL_OK;
    for (int i = 0; i < 100000 && code == AL_OK; i++)
        code = echo_write(s, "more", 0, 0, &err);
    assert_int_equal(code, AL_ABORTED);
    assert_string_equal(err.reason, "ITEM_BROKEN");
    assert_int_equal(al_rpc_stream_finish(s, &err), AL_ABORTED);
    al_rpc_stream_destroy(s);
}

static void test_bidi_in_turns(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Both", 0);
    for (uint32_t i = 0; i < 200; i++) {
        AL_CHECK_OK(echo_write(s, "ping", i, i, &err), err);
        const echo_reply *r = read_reply(s);
        assert_non_null(r);
        assert_int_equal(r->count, i);
        assert_int_equal(r->padding.len, i);
    }
    AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
    al_rpc_stream_destroy(s);
}

enum { FLOOD = 400, FLOOD_BYTES = 50000 };

static void *flood_main(void *u)
{
    struct al_rpc_stream *s = u;
    struct al_err err = {0};
    for (uint32_t i = 0; i < FLOOD; i++) {
        if (echo_write(s, "flood", i, FLOOD_BYTES, &err) != AL_OK)
            return s;
    }
    return al_rpc_stream_writes_done(s, &err) == AL_OK ? NULL : s;
}

/* 20 MB of replies against a reader that starts late: the writer is held back by flow control,
 * nothing is lost. */
static void test_bidi_with_two_threads_and_slow_reader(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Both", 60000);
    pthread_t t;
    pthread_create(&t, NULL, flood_main, s);
    for (uint32_t i = 0; i < FLOOD; i++) {
        if (i < 20)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        const echo_reply *r = read_reply(s);
        assert_non_null(r);
        assert_int_equal(r->count, i);
    }
    assert_null(read_reply(s));
    void *failed;
    pthread_join(t, &failed);
    assert_null(failed);
    AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
    al_rpc_stream_destroy(s);
}

/* A reader that never reads holds the server's writer back, and its going away frees it. */
static void test_reader_that_never_reads(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Endless", 0);
    AL_CHECK_OK(echo_write(s, "flood", 0, 100000, &err), err);
    fixture_wait(&f->n_waiting, 1);
    struct echo e = {.method = "Pool"}; /* the rest of the server does not care */
    for (int i = 0; i < 50; i++)
        AL_CHECK_OK(echo_call(f->channel, &e), e.err);
    assert_int_equal(atomic_load(&f->n_cancelled), 0);
    al_rpc_stream_destroy(s);
    fixture_wait(&f->n_cancelled, 1);
}

static void test_cancelled_streams_are_no_half_close(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    for (unsigned i = 0; i < 50; i++) {
        struct al_rpc_stream *s = echo_open(f->channel, "Up", 0);
        AL_CHECK_OK(echo_write(s, "up", 1, 0, &err), err);
        al_rpc_stream_cancel(s);
        ProtobufCMessage *msg;
        assert_int_equal(al_rpc_stream_read(s, &msg, &err), AL_CANCELLED);
        assert_int_equal(al_rpc_stream_finish(s, &err), AL_CANCELLED);
        al_rpc_stream_destroy(s);
    }
    fixture_wait(&f->n_done, atomic_load(&f->n_admitted));
    assert_int_equal(atomic_load(&f->n_done_ok), 0);
}

static void test_stream_deadline(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Both", 150);
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(s, &msg, &err), AL_DEADLINE_EXCEEDED);
    al_rpc_stream_destroy(s);
    fixture_wait(&f->n_cancelled, 1);
}

static void test_too_many_streams(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &(struct al_rpc_server_options){.streams_max = 2, .pool_threads = 1});
    struct al_err err = {0};
    struct al_rpc_stream *s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = echo_open(f.channel, "Endless", 0);
        AL_CHECK_OK(echo_write(s[i], "polite", 0, 0, &err), err);
    }
    fixture_wait(&f.n_waiting, 2);
    struct al_rpc_stream *third = echo_open(f.channel, "Both", 0);
    assert_int_equal(al_rpc_stream_finish(third, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUEUE_FULL");
    al_rpc_stream_destroy(third);
    struct echo e = {.method = "Pool"}; /* unary calls have threads of their own */
    AL_CHECK_OK(echo_call(f.channel, &e), e.err);
    for (int i = 0; i < 2; i++)
        al_rpc_stream_destroy(s[i]);
    fixture_wait(&f.n_cancelled, 2);
    fixture_stop(&f);
}

static void test_bad_stream_messages(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = echo_open(f->channel, "Both", 0);
    AL_CHECK_OK(echo_write(s, "fine", 0, 0, &err), err);
    assert_non_null(read_reply(s));
    AL_CHECK_OK(echo_write(s, "not \xff utf-8", 0, 0, &err), err);
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(s, &msg, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "BAD_UTF8");
    al_rpc_stream_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_stream_that_fails_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_client_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_ends_a_client_stream_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bidi_in_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bidi_with_two_threads_and_slow_reader, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_reader_that_never_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_streams_are_no_half_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stream_deadline, setup, teardown),
        cmocka_unit_test(test_too_many_streams),
        cmocka_unit_test_setup_teardown(test_bad_stream_messages, setup, teardown),
    };
    return cmocka_run_group_tests_name("rpc.stream", tests, NULL, NULL);
}
