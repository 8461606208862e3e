/* Unary calls: asynchronous ones end in a callback on the channel's thread; a blocking call waits
 * for its own. */
#include <string.h>

#include "client_int.h"

struct unary {
    struct al_rpc_tag tag;
    struct al_rpc_client_call call;
    grpc_byte_buffer *out;
    grpc_byte_buffer *in;
    void (*on_end)(struct unary *u); /* owns u */
    struct al_rpc_callback done;     /* asynchronous */
    pthread_mutex_t mu;              /* blocking, like the next two */
    pthread_cond_t ended;
    bool has_ended; /* guarded by mu */
};

static void unary_free(struct unary *u)
{
    struct al_mem *mem = u->call.channel->mem;
    if (u->in)
        grpc_byte_buffer_destroy(u->in);
    if (u->out)
        grpc_byte_buffer_destroy(u->out);
    pthread_mutex_destroy(&u->mu);
    pthread_cond_destroy(&u->ended);
    al_rpc_client_call_fini(&u->call); /* the channel may go once this is counted */
    al_mem_free(mem, u);
}

static void on_end(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* a batch with the status always succeeds */
    struct unary *u = AL_RPC_OF_TAG(t, unary, tag);
    u->on_end(u);
}

static enum al_code start_batch(struct unary *u, const struct al_rpc_request *r,
                                struct al_rpc_client_headers *h, struct al_err *err)
{
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    al_rpc_client_op_start(&ops[0], h, r->wait_for_ready);
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = u->out;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->call.initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &u->in;
    al_rpc_client_op_status(&ops[5], &u->call);
    AL_RPC_TAG_OUT(&u->tag);
    grpc_call_error e = grpc_call_start_batch(u->call.grpc, ops, AL_ARRAY_LEN(ops), &u->tag, NULL);
    if (e != GRPC_CALL_OK)
        return AL_FAIL(err, AL_INTERNAL, "call '%s': %s", r->method, grpc_call_error_to_string(e));
    return AL_OK;
}

/* On success u belongs to its on_end, which may have run already. On error u is freed. */
static enum al_code unary_start(struct unary *u, const struct al_rpc_request *r, struct al_err *err)
{
    struct al_rpc_client_headers h = {.n = 0};
    enum al_code code = AL_OK;
    if (r->message->descriptor != u->call.method->input)
        code = AL_FAIL(err, AL_INVALID_ARGUMENT, "call '%s': message '%s' is not of its input type",
                       r->method, r->message->descriptor->name);
    if (code == AL_OK)
        code = al_rpc_encode(r->message, u->call.channel->limits.bytes_max, &u->out, err);
    if (code == AL_OK)
        code = al_rpc_client_headers_init(&h, u->call.channel, r, err);
    if (code == AL_OK) {
        al_rpc_client_call_watch(&u->call, r->cancel);
        code = start_batch(u, r, &h, err);
    }
    al_rpc_client_headers_fini(&h);
    if (code != AL_OK)
        unary_free(u);
    return code;
}

static enum al_code unary_make(struct al_rpc_channel *c, const struct al_rpc_request *r,
                               struct unary **ret, struct al_err *err)
{
    struct unary *u = al_mem_zalloc(c->mem, sizeof *u);
    if (!u)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "call '%s': out of memory", r->method);
    enum al_code code = al_rpc_client_call_init(&u->call, c, r, err);
    if (code != AL_OK) {
        al_mem_free(c->mem, u);
        return code;
    }
    u->tag.fn = on_end;
    pthread_mutex_init(&u->mu, NULL);
    pthread_cond_init(&u->ended, NULL);
    *ret = u;
    return AL_OK;
}

static enum al_code result_of(struct unary *u, struct al_arena *a, ProtobufCMessage **ret,
                              struct al_err *err)
{
    AL_TRY(al_rpc_client_status(&u->call, err));
    const char *name = u->call.method->name;
    if (!u->in)
        return AL_FAIL_R(err, AL_INTERNAL, "INTERNAL", "call '%s': no reply message", name);
    enum al_code code =
        al_rpc_decode(u->call.method->output, u->in, &u->call.channel->limits, a, ret, err);
    if (code == AL_INVALID_ARGUMENT) { /* the server's fault, not the caller's */
        if (err)
            err->code = AL_INTERNAL;
        code = AL_INTERNAL;
    }
    return code;
}

static void wake_caller(struct unary *u)
{
    pthread_mutex_lock(&u->mu);
    u->has_ended = true;
    pthread_cond_signal(&u->ended);
    pthread_mutex_unlock(&u->mu);
}

enum al_code al_rpc_unary(struct al_rpc_channel *c, const struct al_rpc_request *r,
                          struct al_arena *a, ProtobufCMessage **ret, struct al_err *err)
{
    struct unary *u = NULL;
    AL_TRY(unary_make(c, r, &u, err));
    AL_ASSERT(u);
    u->on_end = wake_caller;
    AL_TRY(unary_start(u, r, err));
    pthread_mutex_lock(&u->mu);
    while (!u->has_ended)
        pthread_cond_wait(&u->ended, &u->mu);
    pthread_mutex_unlock(&u->mu);
    enum al_code code = result_of(u, a, ret, err);
    unary_free(u);
    return code;
}

static void run_callback(struct unary *u)
{
    struct al_arena arena;
    al_arena_init(&arena, u->call.channel->mem, u->call.channel->arena_bytes_max);
    ProtobufCMessage *reply = NULL;
    struct al_err e = {0};
    enum al_code code = result_of(u, &arena, &reply, &e);
    u->done.fn(u->done.u, code, reply, &e);
    al_arena_fini(&arena);
    unary_free(u);
}

enum al_code al_rpc_unary_async(struct al_rpc_channel *c, const struct al_rpc_request *r,
                                struct al_rpc_callback done, struct al_err *err)
{
    struct unary *u = NULL;
    AL_TRY(unary_make(c, r, &u, err));
    AL_ASSERT(u);
    u->on_end = run_callback;
    u->done = done;
    return unary_start(u, r, err);
}
