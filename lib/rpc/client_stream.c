/* Streams of a client: each operation is a batch whose event the channel's thread hands to the
 * waiting caller. */
#include <string.h>
#include <time.h>

#include "client_int.h"

/* How long a failed write waits for the status that explains it. */
#define STATUS_WAIT_MS 200

struct al_rpc_stream {
    struct al_rpc_client_call call;
    struct al_rpc_tag start_tag;
    struct al_rpc_tag status_tag;
    struct al_rpc_tag read_tag;
    struct al_rpc_tag write_tag;
    struct al_rpc_tag close_tag;
    struct al_arena arena; /* the message read last; the reader's */
    grpc_byte_buffer *in;  /* the reader's */
    grpc_byte_buffer *out; /* the writer's */
    bool has_read_all;     /* the reader's */
    bool has_closed;       /* the writer's: half-closed */
    pthread_mutex_t mu;
    pthread_cond_t changed;
    unsigned n_pending; /* guarded by mu, like the rest: batches not yet back */
    bool status_is_back;
    bool read_is_back;
    bool write_is_back;
    bool write_ok;
};

static void come_back(struct al_rpc_stream *s, bool *flag)
{
    pthread_mutex_lock(&s->mu);
    if (flag)
        *flag = true;
    s->n_pending--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

static void on_start(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* the status tells */
    come_back(AL_RPC_OF_TAG(t, al_rpc_stream, start_tag), NULL);
}

static void on_status(struct al_rpc_tag *t, bool ok)
{
    (void)ok;
    struct al_rpc_stream *s = AL_RPC_OF_TAG(t, al_rpc_stream, status_tag);
    come_back(s, &s->status_is_back);
}

static void on_read(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* no message then */
    struct al_rpc_stream *s = AL_RPC_OF_TAG(t, al_rpc_stream, read_tag);
    come_back(s, &s->read_is_back);
}

static void on_write(struct al_rpc_tag *t, bool ok)
{
    struct al_rpc_stream *s = AL_RPC_OF_TAG(t, al_rpc_stream, write_tag);
    pthread_mutex_lock(&s->mu);
    s->write_ok = ok;
    pthread_mutex_unlock(&s->mu);
    come_back(s, &s->write_is_back);
}

static void on_close(struct al_rpc_tag *t, bool ok)
{
    (void)ok;
    come_back(AL_RPC_OF_TAG(t, al_rpc_stream, close_tag), NULL);
}

static enum al_code batch(struct al_rpc_stream *s, const grpc_op *ops, size_t n,
                          struct al_rpc_tag *tag, struct al_err *err)
{
    pthread_mutex_lock(&s->mu);
    s->n_pending++;
    pthread_mutex_unlock(&s->mu);
    AL_RPC_TAG_OUT(tag);
    grpc_call_error e = grpc_call_start_batch(s->call.grpc, ops, n, tag, NULL);
    if (e == GRPC_CALL_OK)
        return AL_OK;
    pthread_mutex_lock(&s->mu);
    s->n_pending--;
    pthread_mutex_unlock(&s->mu);
    return AL_FAIL(err, AL_INTERNAL, "stream '%s': %s", s->call.method->name,
                   grpc_call_error_to_string(e));
}

static void wait_for(struct al_rpc_stream *s, const bool *flag)
{
    pthread_mutex_lock(&s->mu);
    while (!*flag)
        pthread_cond_wait(&s->changed, &s->mu);
    pthread_mutex_unlock(&s->mu);
}

static bool has_status(struct al_rpc_stream *s)
{
    pthread_mutex_lock(&s->mu);
    bool is_back = s->status_is_back;
    pthread_mutex_unlock(&s->mu);
    return is_back;
}

static enum al_code start(struct al_rpc_stream *s, const struct al_rpc_request *r,
                          struct al_err *err)
{
    struct al_rpc_client_headers h;
    AL_TRY(al_rpc_client_headers_init(&h, s->call.channel, r, err));
    grpc_op op;
    al_rpc_client_op_status(&op, &s->call);
    enum al_code code = batch(s, &op, 1, &s->status_tag, err);
    if (code == AL_OK) {
        grpc_op ops[2];
        al_rpc_client_op_start(&ops[0], &h, r->wait_for_ready);
        memset(&ops[1], 0, sizeof ops[1]);
        ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
        ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->call.initial;
        code = batch(s, ops, 2, &s->start_tag, err);
    }
    al_rpc_client_headers_fini(&h);
    return code;
}

enum al_code al_rpc_stream_open(struct al_rpc_channel *c, const struct al_rpc_request *r,
                                struct al_rpc_stream **ret, struct al_err *err)
{
    struct al_rpc_stream *made = al_mem_zalloc(c->mem, sizeof *made);
    if (!made)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "stream '%s': out of memory", r->method);
    enum al_code code = al_rpc_client_call_init(&made->call, c, r, err);
    if (code != AL_OK) {
        al_mem_free(c->mem, made);
        return code;
    }
    AL_AUTO(al_rpc_stream) s = made;
    s->start_tag.fn = on_start;
    s->status_tag.fn = on_status;
    s->read_tag.fn = on_read;
    s->write_tag.fn = on_write;
    s->close_tag.fn = on_close;
    al_arena_init(&s->arena, c->mem, c->arena_bytes_max);
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->changed, NULL);
    al_rpc_client_call_watch(&s->call, r->cancel);
    AL_TRY(start(s, r, err));
    *ret = al_take(s);
    return AL_OK;
}

/* Why nothing can be written any more. */
static enum al_code write_refused(struct al_rpc_stream *s, struct al_err *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += STATUS_WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    int timed_out = 0;
    pthread_mutex_lock(&s->mu);
    while (!s->status_is_back && !timed_out)
        timed_out = pthread_cond_clockwait(&s->changed, &s->mu, CLOCK_MONOTONIC, &until);
    bool is_back = s->status_is_back;
    pthread_mutex_unlock(&s->mu);
    if (is_back)
        AL_TRY(al_rpc_client_status(&s->call, err));
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "STREAM_ENDED",
                     "stream '%s': the server reads no more", s->call.method->name);
}

enum al_code al_rpc_stream_write(struct al_rpc_stream *s, const ProtobufCMessage *msg,
                                 struct al_err *err)
{
    if (msg->descriptor != s->call.method->input)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "stream '%s': message '%s' is not of its input type", s->call.method->name,
                       msg->descriptor->name);
    if (s->has_closed)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "stream '%s': half-closed by us",
                       s->call.method->name);
    if (has_status(s))
        return write_refused(s, err);
    AL_TRY(al_rpc_encode(msg, s->call.channel->limits.bytes_max, &s->out, err));
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = s->out;
    s->write_is_back = false;
    enum al_code code = batch(s, &op, 1, &s->write_tag, err);
    if (code == AL_OK) {
        wait_for(s, &s->write_is_back);
        if (!s->write_ok)
            code = write_refused(s, err);
    }
    grpc_byte_buffer_destroy(s->out);
    s->out = NULL;
    return code;
}

enum al_code al_rpc_stream_writes_done(struct al_rpc_stream *s, struct al_err *err)
{
    if (s->has_closed)
        return AL_OK;
    s->has_closed = true;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    return batch(s, &op, 1, &s->close_tag, err);
}

/* The next message's bytes in s->in, or none when the server sends no more. */
static enum al_code receive(struct al_rpc_stream *s, struct al_err *err)
{
    if (s->has_read_all)
        return AL_OK;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->in;
    s->read_is_back = false;
    AL_TRY(batch(s, &op, 1, &s->read_tag, err));
    wait_for(s, &s->read_is_back);
    s->has_read_all = s->in == NULL;
    return AL_OK;
}

static void drop_in(struct al_rpc_stream *s)
{
    grpc_byte_buffer_destroy(s->in);
    s->in = NULL;
}

enum al_code al_rpc_stream_read(struct al_rpc_stream *s, ProtobufCMessage **ret, struct al_err *err)
{
    al_arena_reset(&s->arena);
    AL_TRY(receive(s, err));
    if (!s->in) {
        wait_for(s, &s->status_is_back);
        AL_TRY(al_rpc_client_status(&s->call, err));
        *ret = NULL;
        return AL_OK;
    }
    enum al_code code =
        al_rpc_decode(s->call.method->output, s->in, &s->call.channel->limits, &s->arena, ret, err);
    drop_in(s);
    if (code == AL_INVALID_ARGUMENT) { /* the server's fault, not the caller's */
        if (err)
            err->code = AL_INTERNAL;
        code = AL_INTERNAL;
    }
    return code;
}

enum al_code al_rpc_stream_finish(struct al_rpc_stream *s, struct al_err *err)
{
    AL_TRY(al_rpc_stream_writes_done(s, err));
    while (!s->has_read_all) { /* the status comes behind the messages */
        AL_TRY(receive(s, err));
        if (s->in)
            drop_in(s);
    }
    wait_for(s, &s->status_is_back);
    return al_rpc_client_status(&s->call, err);
}

void al_rpc_stream_cancel(struct al_rpc_stream *s)
{
    grpc_call_cancel(s->call.grpc, NULL);
}

void al_rpc_stream_destroy(struct al_rpc_stream *s)
{
    if (!s)
        return;
    if (!has_status(s))
        grpc_call_cancel(s->call.grpc, NULL);
    pthread_mutex_lock(&s->mu);
    while (s->n_pending)
        pthread_cond_wait(&s->changed, &s->mu);
    pthread_mutex_unlock(&s->mu);
    struct al_mem *mem = s->call.channel->mem;
    al_arena_fini(&s->arena);
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->changed);
    al_rpc_client_call_fini(&s->call);
    al_mem_free(mem, s);
}
