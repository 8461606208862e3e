/* Streams: blocking reads and writes on a thread of the handler's own, driven by the poller's
 * events. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "server_int.h"

void al_rpc_stream_on_read(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* no message then, and gRPC tells why */
    struct al_rpc_call *c = AL_RPC_OF_TAG(t, al_rpc_call, read_tag);
    pthread_mutex_lock(&c->mu);
    c->read_is_back = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mu);
    al_rpc_call_unref(c);
}

void al_rpc_stream_on_write(struct al_rpc_tag *t, bool ok)
{
    struct al_rpc_call *c = AL_RPC_OF_TAG(t, al_rpc_call, write_tag);
    pthread_mutex_lock(&c->mu);
    c->write_is_back = true;
    c->write_ok = ok;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mu);
    al_rpc_call_unref(c);
}

/* Batches always come back: at the deadline, when the client goes and when the server cancels, too.
 */
static void wait_for(struct al_rpc_call *c, const bool *flag)
{
    pthread_mutex_lock(&c->mu);
    while (!*flag)
        pthread_cond_wait(&c->changed, &c->mu);
    pthread_mutex_unlock(&c->mu);
}

static enum al_code decode(struct al_rpc_call *c, grpc_byte_buffer **bb, ProtobufCMessage **ret,
                           struct al_err *err)
{
    enum al_code code =
        al_rpc_decode(c->method->desc->input, *bb, &c->server->limits, &c->message_arena, ret, err);
    grpc_byte_buffer_destroy(*bb);
    *bb = NULL;
    if (code != AL_OK)
        c->has_half_closed = true; /* nothing more can be read */
    return code;
}

enum al_code al_rpc_read(struct al_rpc_call *call, ProtobufCMessage **ret_msg, struct al_err *err)
{
    al_arena_reset(&call->message_arena);
    if (call->has_half_closed) {
        *ret_msg = NULL;
        return AL_OK;
    }
    if (call->method->kind == AL_RPC_SERVER_STREAM) { /* its one request has come with the call */
        call->has_half_closed = true;
        if (!call->payload)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                             "method '%s': no request message", call->method->path);
        return decode(call, &call->payload, ret_msg, err);
    }
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->in;
    call->read_is_back = false;
    if (!al_rpc_call_batch(call, &op, 1, &call->read_tag))
        return al_rpc_call_over(call, err);
    wait_for(call, &call->read_is_back);
    if (call->in)
        return decode(call, &call->in, ret_msg, err);
    call->has_half_closed = true;
    if (grpc_call_failed_before_recv_message(call->grpc) || al_rpc_call_is_cancelled(call))
        return al_rpc_call_over(call, err);
    *ret_msg = NULL;
    return AL_OK;
}

static enum al_code write_encoded(struct al_rpc_call *call, struct al_err *err)
{
    grpc_op ops[2];
    size_t n = al_rpc_call_initial_op(call, ops);
    memset(&ops[n], 0, sizeof ops[n]);
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n++].data.send_message.send_message = call->out;
    call->write_is_back = false;
    if (!al_rpc_call_batch(call, ops, n, &call->write_tag))
        return al_rpc_call_over(call, err);
    wait_for(call, &call->write_is_back);
    return call->write_ok ? AL_OK : al_rpc_call_over(call, err);
}

enum al_code al_rpc_write(struct al_rpc_call *call, const ProtobufCMessage *msg, struct al_err *err)
{
    if (msg->descriptor != call->method->desc->output)
        return AL_FAIL(err, AL_INTERNAL, "method '%s': message '%s' is not of its output type",
                       call->method->path, msg->descriptor->name);
    if (al_rpc_call_is_cancelled(call))
        return al_rpc_call_over(call, err);
    AL_TRY(al_rpc_encode(msg, call->server->limits.bytes_max, &call->out, err));
    enum al_code code = write_encoded(call, err);
    grpc_byte_buffer_destroy(call->out);
    call->out = NULL;
    al_arena_reset(&call->scratch);
    return code;
}

static struct timespec monotonic_in(uint64_t timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(timeout_ms / 1000);
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

enum al_rpc_wait al_rpc_call_wait(struct al_rpc_call *call, uint64_t timeout_ms)
{
    if (timeout_ms > 86400000u)
        timeout_ms = 86400000u;
    struct timespec until = monotonic_in(timeout_ms);
    enum al_rpc_wait result = AL_RPC_WAIT_TIMEOUT;
    int timed_out = 0;
    pthread_mutex_lock(&call->mu);
    for (;;) {
        if (al_rpc_call_is_cancelled(call))
            result = AL_RPC_WAIT_CANCELLED;
        else if (atomic_load(&call->server->is_draining))
            result = AL_RPC_WAIT_DRAINING;
        else if (call->is_woken)
            result = AL_RPC_WAIT_WOKEN;
        else if (!timed_out) {
            timed_out = pthread_cond_clockwait(&call->changed, &call->mu, CLOCK_MONOTONIC, &until);
            continue;
        }
        break;
    }
    call->is_woken = false;
    pthread_mutex_unlock(&call->mu);
    return result;
}

void al_rpc_call_wake(struct al_rpc_call *call)
{
    pthread_mutex_lock(&call->mu);
    call->is_woken = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->mu);
}

static void enlist(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    pthread_mutex_lock(&s->mu);
    c->next_stream = s->streams;
    if (s->streams)
        s->streams->prev_stream = c;
    s->streams = c;
    pthread_mutex_unlock(&s->mu);
}

static void delist(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    pthread_mutex_lock(&s->mu);
    if (c->prev_stream)
        c->prev_stream->next_stream = c->next_stream;
    else
        s->streams = c->next_stream;
    if (c->next_stream)
        c->next_stream->prev_stream = c->prev_stream;
    pthread_mutex_unlock(&s->mu);
}

/* Lock order: server, then call. */
void al_rpc_stream_wake_all(struct al_rpc_server *s)
{
    pthread_mutex_lock(&s->mu);
    for (struct al_rpc_call *c = s->streams; c; c = c->next_stream)
        al_rpc_call_wake(c);
    pthread_mutex_unlock(&s->mu);
}

static _Atomic uint32_t *counter_of(struct al_rpc_call *c)
{
    return c->method->is_system ? &c->server->n_system_streams : &c->server->n_streams;
}

static void run_stream(void *u)
{
    struct al_rpc_call *c = u;
    struct al_err e = {0};
    enum al_code code = AL_OK;
    enlist(c);
    if (al_rpc_call_is_cancelled(c))
        code = al_rpc_call_over(c, &e);
    else
        code = c->method->handler->stream(c->method->ctx, c, &e);
    if (code == AL_OK && al_rpc_call_is_cancelled(c)) /* what the client sees */
        code = al_rpc_call_over(c, &e);
    delist(c);
    atomic_fetch_sub(counter_of(c), 1);
    if (code == AL_OK) {
        al_rpc_call_finish(c, NULL, NULL);
        return;
    }
    if (e.code != code || e.msg[0] == '\0')
        (void)AL_FAIL(&e, code, "method '%s': failed", c->method->path);
    al_rpc_call_finish(c, NULL, &e);
}

void al_rpc_stream_start(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    uint32_t max = c->method->is_system ? AL_RPC_SYSTEM_THREADS : s->opt.streams_max;
    struct al_err e = {0};
    enum al_code code;
    if (atomic_fetch_add(counter_of(c), 1) >= max)
        code = al_err_retry_after(&e, AL_RPC_RETRY_STREAMS_MS,
                                  AL_FAIL_R(&e, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                            "server: %u streams at once are allowed", max));
    else
        code = al_pool_submit(c->method->is_system ? s->system_pool : s->stream_pool, run_stream, c,
                              &e);
    if (code == AL_OK)
        return;
    atomic_fetch_sub(counter_of(c), 1);
    al_rpc_call_finish(c, NULL, &e);
}
