#include "rpc_fixture.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "airlore/clock.h"

typedef Airlore__Rpctest__EchoRequest echo_request;
typedef Airlore__Rpctest__EchoReply echo_reply;

struct al_str fixture_set(void)
{
    static char bytes[256 * 1024];
    static size_t n;
    if (n == 0) {
        FILE *f = fopen(AL_RPC_TEST_SET, "rb");
        assert_non_null(f);
        n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        assert_in_range(n, 100, sizeof bytes - 1);
    }
    return (struct al_str){bytes, n};
}

static const char *answer_text(struct al_rpc_call *call, const char *text)
{
    if (strcmp(text, "peer") == 0)
        return al_rpc_call_peer(call);
    if (strcmp(text, "cert") == 0)
        return al_rpc_call_peer_cert(call) ? al_rpc_call_peer_cert(call) : "none";
    if (strcmp(text, "uri") == 0) {
        const char *uris[2] = {"none", ""};
        size_t n = al_rpc_call_peer_uris(call, uris, 2);
        return n == 1 ? uris[0] : "none";
    }
    if (strcmp(text, "cn") == 0)
        return al_rpc_call_peer_cn(call) ? al_rpc_call_peer_cn(call) : "none";
    if (strcmp(text, "id") == 0)
        return al_rpc_call_request_id(call);
    if (strcmp(text, "method") == 0)
        return al_rpc_call_method(call);
    if (strcmp(text, "user") == 0)
        return al_rpc_call_user(call) ? "user" : "none";
    return text;
}

static enum al_code make_reply(struct al_rpc_call *call, struct al_arena *a, const echo_request *r,
                               echo_reply **ret, struct al_err *err)
{
    echo_reply *reply = al_arena_alloc(a, sizeof *reply);
    uint8_t *padding = al_arena_zalloc(a, r->size);
    const char *text = answer_text(call, r->text);
    char *copy = al_arena_strndup(a, text, strlen(text));
    if (!reply || !padding || !copy)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "echo: out of memory");
    airlore__rpctest__echo_reply__init(reply);
    reply->text = copy;
    reply->count = r->count;
    reply->padding = (ProtobufCBinaryData){r->size, padding};
    *ret = reply;
    return AL_OK;
}

static enum al_code echo(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                         ProtobufCMessage **ret_reply, struct al_err *err)
{
    (void)ctx;
    const echo_request *r = (const void *)req;
    struct al_str value = al_rpc_call_metadata(call, "x-echo");
    if (value.p)
        AL_TRY(al_rpc_call_set_trailing(call, "x-echoed", value, err));
    echo_reply *reply;
    AL_TRY(make_reply(call, al_rpc_call_arena(call), r, &reply, err));
    if (strcmp(r->text, "deadline") == 0) {
        uint64_t at = al_rpc_call_deadline_ns(call);
        uint64_t now = al_clock_mono_ns(al_clock_system());
        reply->count = at == AL_DEADLINE_NONE ? UINT32_MAX : (uint32_t)((at - now) / 1000000);
    }
    *ret_reply = &reply->base;
    return AL_OK;
}

static enum al_code break_item(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                               ProtobufCMessage **ret_reply, struct al_err *err)
{
    (void)ctx;
    (void)call;
    (void)ret_reply;
    const echo_request *r = (const void *)req;
    if (strcmp(r->text, "silent") == 0)
        return (enum al_code)r->count; /* err not filled */
    if (strcmp(r->text, "no reply") == 0)
        return AL_OK;
    return AL_FAIL_R(err, (enum al_code)r->count, "ITEM_BROKEN", "item '%s': broken", r->text);
}

static enum al_code hold(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                         ProtobufCMessage **ret_reply, struct al_err *err)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->n_waiting, 1);
    while (!atomic_load(&f->is_open) && !al_rpc_call_is_cancelled(call))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (al_rpc_call_is_cancelled(call))
        atomic_fetch_add(&f->n_cancelled, 1);
    atomic_fetch_sub(&f->n_waiting, 1);
    return echo(ctx, call, req, ret_reply, err);
}

static enum al_code down(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    (void)ctx;
    ProtobufCMessage *msg;
    AL_TRY(al_rpc_read(call, &msg, err));
    const echo_request *r = (const void *)msg;
    for (uint32_t i = 0; i < r->count; i++) {
        echo_reply *reply;
        AL_TRY(make_reply(call, al_rpc_call_scratch(call), r, &reply, err));
        reply->count = i;
        AL_TRY(al_rpc_write(call, &reply->base, err));
    }
    if (strcmp(r->text, "then fail") == 0)
        return AL_FAIL_R(err, AL_DATA_LOSS, "ITEM_BROKEN", "item '%u': broken", r->count);
    ProtobufCMessage *more;
    AL_TRY(al_rpc_read(call, &more, err));
    return more ? AL_FAIL(err, AL_INTERNAL, "two requests") : AL_OK;
}

static enum al_code up(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    struct fixture *f = ctx;
    echo_reply reply = AIRLORE__RPCTEST__ECHO_REPLY__INIT;
    for (;;) {
        ProtobufCMessage *msg;
        enum al_code code = al_rpc_read(call, &msg, err);
        if (code != AL_OK)
            atomic_fetch_add(&f->n_cancelled, 1);
        AL_TRY(code);
        if (!msg)
            break;
        const echo_request *r = (const void *)msg;
        if (strcmp(r->text, "stop") == 0)
            return AL_FAIL_R(err, AL_ABORTED, "ITEM_BROKEN", "stopped by 'stop'");
        reply.count += r->count;
    }
    reply.text = (char *)"sum";
    return al_rpc_write(call, &reply.base, err);
}

static enum al_code both(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    struct fixture *f = ctx;
    for (;;) {
        ProtobufCMessage *msg;
        enum al_code code = al_rpc_read(call, &msg, err);
        if (code != AL_OK)
            atomic_fetch_add(&f->n_cancelled, 1);
        AL_TRY(code);
        if (!msg)
            return AL_OK;
        echo_reply *reply;
        AL_TRY(make_reply(call, al_rpc_call_scratch(call), (const void *)msg, &reply, err));
        AL_TRY(al_rpc_write(call, &reply->base, err));
    }
}

static enum al_code endless(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    struct fixture *f = ctx;
    ProtobufCMessage *msg;
    AL_TRY(al_rpc_read(call, &msg, err));
    const echo_request *r = (const void *)msg;
    enum al_code code = AL_OK;
    atomic_fetch_add(&f->n_waiting, 1);
    while (code == AL_OK) {
        if (strcmp(r->text, "polite") == 0) {
            if (al_rpc_call_wait(call, 60000) == AL_RPC_WAIT_DRAINING)
                code = AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "server: is going down");
            else if (al_rpc_call_is_cancelled(call))
                code = AL_FAIL(err, AL_CANCELLED, "call: cancelled");
            continue;
        }
        echo_reply *reply;
        code = make_reply(call, al_rpc_call_scratch(call), r, &reply, err);
        if (code == AL_OK)
            code = al_rpc_write(call, &reply->base, err);
    }
    atomic_fetch_sub(&f->n_waiting, 1);
    atomic_fetch_add(&f->n_cancelled, 1);
    return code;
}

static const struct al_rpc_method methods[] = {
    {.name = "Quick", .where = AL_RPC_INLINE, .unary = echo},
    {.name = "Pool", .where = AL_RPC_POOL, .unary = echo},
    {.name = "Fail", .where = AL_RPC_INLINE, .unary = break_item},
    {.name = "Wait", .where = AL_RPC_POOL, .unary = hold},
    {.name = "Down", .stream = down},
    {.name = "Up", .stream = up},
    {.name = "Both", .stream = both},
    {.name = "Endless", .stream = endless},
};

static void drop_user(void *user)
{
    atomic_fetch_sub((_Atomic unsigned *)user, 1);
}

static enum al_code admit(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->n_admitted, 1);
    if (al_rpc_call_is_builtin(call) != (strncmp(al_rpc_call_method(call), "/grpc.", 6) == 0))
        return AL_FAIL(err, AL_INTERNAL, "builtin or not?");
    if (al_str_is(al_rpc_call_metadata(call, "authorization"), "bad"))
        return AL_FAIL_R(err, AL_UNAUTHENTICATED, "BAD_KEY", "key: unknown");
    atomic_fetch_add(&f->n_users, 1);
    return al_rpc_call_set_user(call, &f->n_users, drop_user, err);
}

static void on_done(void *ctx, struct al_rpc_call *call, enum al_code code, uint64_t micros)
{
    struct fixture *f = ctx;
    (void)micros;
    if (code == AL_OK && al_rpc_call_user(call))
        atomic_fetch_add(&f->n_done_ok, 1);
    atomic_store(&f->last_code, (int)code);
    atomic_fetch_add(&f->n_done, 1);
}

void fixture_start_tls(struct fixture *f, const struct al_rpc_server_options *opt,
                       const struct al_rpc_tls *server_tls, const struct al_rpc_tls *channel_tls)
{
    struct al_err err = {0};
    struct al_rpc_server_options o = opt ? *opt : (struct al_rpc_server_options){0};
    *f = (struct fixture){0};
    o.descriptor_set = (const uint8_t *)fixture_set().p;
    o.descriptor_set_bytes = fixture_set().n;
    o.hooks = (struct al_rpc_hooks){f, admit, on_done};
    AL_CHECK_OK(al_rpc_server_create(&o, &f->server, &err), err);
    AL_CHECK_OK(al_rpc_server_add_service(f->server, &airlore__rpctest__echo__descriptor, methods,
                                          AL_ARRAY_LEN(methods), f, &err),
                err);
    AL_CHECK_OK(al_rpc_server_listen(f->server, "127.0.0.1:0", server_tls, &f->port, &err), err);
    AL_CHECK_OK(al_rpc_server_start(f->server, &err), err);
    snprintf(f->target, sizeof f->target, "127.0.0.1:%u", f->port);
    struct al_rpc_channel_options c = {.target = f->target, .tls = channel_tls};
    AL_CHECK_OK(al_rpc_channel_create(&c, &f->channel, &err), err);
}

void fixture_start(struct fixture *f, const struct al_rpc_server_options *opt)
{
    fixture_start_tls(f, opt, NULL, NULL);
}

void fixture_stop(struct fixture *f)
{
    al_rpc_channel_destroy(f->channel);
    al_rpc_server_stop(f->server, 10000);
    assert_int_equal(al_rpc_server_calls(f->server), 0);
    al_rpc_server_destroy(f->server);
    assert_int_equal(atomic_load(&f->n_done), atomic_load(&f->n_admitted));
    assert_int_equal(atomic_load(&f->n_users), 0);
    assert_int_equal(atomic_load(&f->n_waiting), 0);
}

void fixture_wait(_Atomic unsigned *counter, unsigned want)
{
    for (int i = 0; i < 10000; i++) {
        if (atomic_load(counter) >= want)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fail_msg("waited 10 s for %u, have %u", want, atomic_load(counter));
}

enum al_code echo_call(struct al_rpc_channel *c, struct echo *e)
{
    echo_request req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    req.text = (char *)(e->text ? e->text : "");
    req.count = e->count;
    req.size = e->size;
    struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                               .method = e->method,
                               .message = &req.base,
                               .timeout_ms = e->timeout_ms ? e->timeout_ms : 20000,
                               .headers = e->headers,
                               .n_headers = e->n_headers,
                               .cancel = e->cancel};
    struct al_arena arena;
    al_arena_init(&arena, NULL, (size_t)64 << 20);
    ProtobufCMessage *msg = NULL;
    e->code = al_rpc_unary(c, &r, &arena, &msg, &e->err);
    if (e->code == AL_OK) {
        const echo_reply *reply = (const void *)msg;
        snprintf(e->reply_text, sizeof e->reply_text, "%s", reply->text);
        e->reply_count = reply->count;
        e->reply_bytes = reply->padding.len;
    }
    al_arena_fini(&arena);
    return e->code;
}

struct al_rpc_stream *echo_open(struct al_rpc_channel *c, const char *method, uint64_t timeout_ms)
{
    struct al_rpc_request r = {.service = &airlore__rpctest__echo__descriptor,
                               .method = method,
                               .timeout_ms = timeout_ms ? timeout_ms : 20000};
    struct al_rpc_stream *s = NULL;
    struct al_err err = {0};
    AL_CHECK_OK(al_rpc_stream_open(c, &r, &s, &err), err);
    return s;
}

enum al_code echo_write(struct al_rpc_stream *s, const char *text, uint32_t count, uint32_t size,
                        struct al_err *err)
{
    echo_request req = AIRLORE__RPCTEST__ECHO_REQUEST__INIT;
    req.text = (char *)text;
    req.count = count;
    req.size = size;
    return al_rpc_stream_write(s, &req.base, err);
}

int raw_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}
