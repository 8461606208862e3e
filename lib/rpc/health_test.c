/* grpc.health.v1 and reflection, v1 and v1alpha, as a client sees them. */
#include "rpc_fixture.h"

#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"

#define STATUS(name_) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name_

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

static enum al_code check(struct fixture *f, const char *service, int *ret_status)
{
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    req.service = (char *)service;
    struct al_rpc_request r = {.service = &grpc__health__v1__health__descriptor,
                               .method = "Check",
                               .message = &req.base,
                               .timeout_ms = 20000};
    struct al_arena a;
    al_arena_init(&a, NULL, 1 << 20);
    ProtobufCMessage *msg = NULL;
    enum al_code code = al_rpc_unary(f->channel, &r, &a, &msg, NULL);
    if (code == AL_OK)
        *ret_status =
            (int)((const Grpc__Health__V1__HealthCheckResponse *)(const void *)msg)->status;
    al_arena_fini(&a);
    return code;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    int status = -1;
    assert_int_equal(check(f, "", &status), AL_OK);
    assert_int_equal(status, STATUS(SERVING));
    assert_int_equal(check(f, "airlore.rpctest.Echo", &status), AL_OK);
    assert_int_equal(status, STATUS(SERVING));
    assert_int_equal(check(f, "nothing", &status), AL_NOT_FOUND);
    struct al_err err = {0};
    AL_CHECK_OK(al_rpc_server_set_health(f->server, "airlore.rpctest.Echo", false, &err), err);
    assert_int_equal(check(f, "airlore.rpctest.Echo", &status), AL_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
    assert_int_equal(check(f, "", &status), AL_OK);
    assert_int_equal(status, STATUS(SERVING));
    al_rpc_server_close(f->server); /* still answered while draining */
    assert_int_equal(check(f, "", &status), AL_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
    AL_CHECK_OK(al_rpc_server_set_health(f->server, "", true, &err), err);
    assert_int_equal(check(f, "", &status), AL_OK);
    assert_int_equal(status, STATUS(NOT_SERVING));
}

static struct al_rpc_stream *watch(struct fixture *f, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    req.service = (char *)service;
    struct al_rpc_request r = {
        .service = &grpc__health__v1__health__descriptor, .method = "Watch", .timeout_ms = 20000};
    struct al_rpc_stream *s = NULL;
    struct al_err err = {0};
    AL_CHECK_OK(al_rpc_stream_open(f->channel, &r, &s, &err), err);
    AL_CHECK_OK(al_rpc_stream_write(s, &req.base, &err), err);
    AL_CHECK_OK(al_rpc_stream_writes_done(s, &err), err);
    return s;
}

static int next_status(struct al_rpc_stream *s)
{
    ProtobufCMessage *msg = NULL;
    struct al_err err = {0};
    AL_CHECK_OK(al_rpc_stream_read(s, &msg, &err), err);
    assert_non_null(msg);
    return (int)((const Grpc__Health__V1__HealthCheckResponse *)(const void *)msg)->status;
}

static void test_watch_follows_changes(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = watch(f, "airlore.rpctest.Echo");
    assert_int_equal(next_status(s), STATUS(SERVING));
    for (int i = 0; i < 20; i++) {
        AL_CHECK_OK(al_rpc_server_set_health(f->server, "airlore.rpctest.Echo", i % 2, &err), err);
        assert_int_equal(next_status(s), i % 2 ? STATUS(SERVING) : STATUS(NOT_SERVING));
    }
    al_rpc_server_close(f->server);
    assert_int_equal(next_status(s), STATUS(NOT_SERVING));
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(s, &msg, &err), AL_UNAVAILABLE);
    al_rpc_stream_destroy(s);
}

static void test_watch_of_unknown_service(void **state)
{
    struct fixture *f = *state;
    struct al_err err = {0};
    struct al_rpc_stream *s = watch(f, "later");
    assert_int_equal(next_status(s), STATUS(SERVICE_UNKNOWN));
    AL_CHECK_OK(al_rpc_server_set_health(f->server, "later", true, &err), err);
    assert_int_equal(next_status(s), STATUS(SERVING));
    al_rpc_stream_destroy(s);
}

/* Watchers cannot take the threads of other streams, and are bounded themselves. */
static void test_many_watchers(void **state)
{
    struct fixture *f = *state;
    struct al_rpc_stream *s[16];
    struct al_err err = {0};
    for (size_t i = 0; i < AL_ARRAY_LEN(s); i++) {
        s[i] = watch(f, "");
        assert_int_equal(next_status(s[i]), STATUS(SERVING));
    }
    struct al_rpc_stream *more = watch(f, "");
    ProtobufCMessage *msg;
    assert_int_equal(al_rpc_stream_read(more, &msg, &err), AL_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "QUEUE_FULL");
    al_rpc_stream_destroy(more);
    struct al_rpc_stream *echo = echo_open(f->channel, "Both", 0);
    AL_CHECK_OK(echo_write(echo, "x", 0, 0, &err), err);
    AL_CHECK_OK(al_rpc_stream_read(echo, &msg, &err), err);
    AL_CHECK_OK(al_rpc_stream_finish(echo, &err), err);
    al_rpc_stream_destroy(echo);
    for (size_t i = 0; i < AL_ARRAY_LEN(s); i++)
        al_rpc_stream_destroy(s[i]);
}

typedef Grpc__Reflection__V1__ServerReflectionRequest request;
typedef Grpc__Reflection__V1__ServerReflectionResponse response;

#define ASK(name_) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name_
#define ANSWER(name_) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name_

static const response *ask(struct al_rpc_stream *s, request *q)
{
    struct al_err err = {0};
    ProtobufCMessage *msg = NULL;
    AL_CHECK_OK(al_rpc_stream_write(s, &q->base, &err), err);
    AL_CHECK_OK(al_rpc_stream_read(s, &msg, &err), err);
    assert_non_null(msg);
    return (const void *)msg;
}

static const response *ask_text(struct al_rpc_stream *s, int what, const char *text)
{
    request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    q.host = (char *)"here";
    q.message_request_case =
        (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)what;
    q.list_services = (char *)text; /* all are char * in one union */
    return ask(s, &q);
}

static bool lists(const response *r, const char *name)
{
    for (size_t i = 0; i < r->list_services_response->n_service; i++) {
        if (strcmp(r->list_services_response->service[i]->name, name) == 0)
            return true;
    }
    return false;
}

static void check_questions(struct al_rpc_stream *s)
{
    const response *r = ask_text(s, ASK(LIST_SERVICES), "");
    assert_int_equal(r->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
    assert_int_equal(r->list_services_response->n_service, 4);
    assert_true(lists(r, "airlore.rpctest.Echo"));
    assert_true(lists(r, "grpc.health.v1.Health"));
    assert_true(lists(r, "grpc.reflection.v1.ServerReflection"));
    assert_true(lists(r, "grpc.reflection.v1alpha.ServerReflection"));
    assert_string_equal(r->valid_host, "here");
    assert_int_equal(r->original_request->message_request_case, ASK(LIST_SERVICES));

    static const struct {
        int what;
        const char *text;
        int answer;
    } cases[] = {
        {ASK(FILE_BY_FILENAME), "rpc_test.proto", ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_BY_FILENAME), "nothing.proto", ANSWER(ERROR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.Echo", ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), ".airlore.rpctest.Echo", ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.Echo.Both",
         ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.EchoRequest.Detail.Kind",
         ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.None", ANSWER(ERROR_RESPONSE)},
        {ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "airlore.rpctest.EchoRequest",
         ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE)},
        {ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "airlore.None", ANSWER(ERROR_RESPONSE)},
        {ASK(_NOT_SET), NULL, ANSWER(ERROR_RESPONSE)},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        r = ask_text(s, cases[i].what, cases[i].text);
        AL_CHECK(cases[i].text ? cases[i].text : "nothing",
                 (int)r->message_response_case == cases[i].answer);
    }
    r = ask_text(s, ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.Echo");
    assert_int_equal(r->file_descriptor_response->n_file_descriptor_proto, 1);
    const ProtobufCBinaryData *file = &r->file_descriptor_response->file_descriptor_proto[0];
    struct al_str set = fixture_set(); /* the file's bytes are those of the set */
    assert_true(al_str_find(set, (struct al_str){(const char *)file->data, file->len}, 0) !=
                SIZE_MAX);
    r = ask_text(s, ASK(FILE_CONTAINING_SYMBOL), "airlore.rpctest.None");
    assert_int_equal(r->error_response->error_code, AL_NOT_FOUND);

    request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    Grpc__Reflection__V1__ExtensionRequest ext = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    q.message_request_case = ASK(FILE_CONTAINING_EXTENSION);
    q.file_containing_extension = &ext;
    assert_int_equal(ask(s, &q)->message_response_case, ANSWER(ERROR_RESPONSE));
}

static void test_reflection(void **state)
{
    struct fixture *f = *state;
    /* v1alpha has the same messages under another package: asked with those of v1. */
    ProtobufCServiceDescriptor alpha = grpc__reflection__v1__server_reflection__descriptor;
    alpha.name = grpc__reflection__v1alpha__server_reflection__descriptor.name;
    const ProtobufCServiceDescriptor *const versions[] = {
        &grpc__reflection__v1__server_reflection__descriptor, &alpha};
    for (size_t i = 0; i < AL_ARRAY_LEN(versions); i++) {
        struct al_rpc_request r = {
            .service = versions[i], .method = "ServerReflectionInfo", .timeout_ms = 20000};
        struct al_rpc_stream *s = NULL;
        struct al_err err = {0};
        AL_CHECK_OK(al_rpc_stream_open(f->channel, &r, &s, &err), err);
        check_questions(s);
        AL_CHECK_OK(al_rpc_stream_finish(s, &err), err);
        al_rpc_stream_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_check, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_follows_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watch_of_unknown_service, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_watchers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reflection, setup, teardown),
    };
    return cmocka_run_group_tests_name("rpc.health", tests, NULL, NULL);
}
