#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "airlore/random.h"
#include "server_int.h"
#include "status.h"

static void on_new(struct al_rpc_tag *t, bool ok);
static void on_close(struct al_rpc_tag *t, bool ok);
static void on_finish(struct al_rpc_tag *t, bool ok);

static void init_object(struct al_rpc_call *c, struct al_rpc_server *s,
                        struct al_rpc_server_method *m, uint32_t poller)
{
    memset(c, 0, sizeof *c);
    c->server = s;
    c->method = m;
    c->poller = poller;
    c->new_tag.fn = on_new;
    c->close_tag.fn = on_close;
    c->finish_tag.fn = on_finish;
    c->read_tag.fn = al_rpc_stream_on_read;
    c->write_tag.fn = al_rpc_stream_on_write;
    atomic_init(&c->refs, 1);
    grpc_metadata_array_init(&c->metadata);
    if (!m)
        grpc_call_details_init(&c->details);
    al_arena_init(&c->arena, &s->budget.mem, s->opt.arena_bytes_max);
    al_arena_init(&c->message_arena, &s->budget.mem, s->opt.arena_bytes_max);
    al_arena_init(&c->scratch, &s->budget.mem, s->opt.arena_bytes_max);
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->changed, NULL);
}

static void fini_object(struct al_rpc_call *c)
{
    al_arena_fini(&c->scratch);
    al_arena_fini(&c->message_arena);
    al_arena_fini(&c->arena);
    if (c->payload)
        grpc_byte_buffer_destroy(c->payload);
    if (c->reply)
        grpc_byte_buffer_destroy(c->reply);
    if (c->in)
        grpc_byte_buffer_destroy(c->in);
    if (c->out)
        grpc_byte_buffer_destroy(c->out);
    grpc_metadata_array_destroy(&c->metadata);
    if (!c->method)
        grpc_call_details_destroy(&c->details);
    if (c->grpc)
        grpc_call_unref(c->grpc);
    pthread_mutex_destroy(&c->mu);
    pthread_cond_destroy(&c->changed);
}

static void count_object(struct al_rpc_server *s, bool is_new)
{
    pthread_mutex_lock(&s->mu);
    s->n_objects += is_new ? 1 : (size_t)-1;
    if (s->n_objects == 0)
        pthread_cond_signal(&s->idle);
    pthread_mutex_unlock(&s->mu);
}

static void free_object(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    fini_object(c);
    al_mem_free(s->opt.mem, c);
    count_object(s, false);
}

/* Ask gRPC to fill the object with the next request. */
static void request(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    struct al_rpc_server_method *m = c->method;
    grpc_completion_queue *cq = s->cqs[c->poller];
    grpc_call_error e;
    AL_RPC_TAG_OUT(&c->new_tag);
    if (m) {
        bool has_payload = m->kind == AL_RPC_UNARY || m->kind == AL_RPC_SERVER_STREAM;
        e = grpc_server_request_registered_call(s->grpc, m->registered, &c->grpc, &c->grpc_deadline,
                                                &c->metadata, has_payload ? &c->payload : NULL, cq,
                                                cq, &c->new_tag);
    } else {
        e = grpc_server_request_call(s->grpc, &c->grpc, &c->details, &c->metadata, cq, cq,
                                     &c->new_tag);
    }
    if (e != GRPC_CALL_OK) /* the server is going down: no event will come */
        free_object(c);
}

bool al_rpc_call_post(struct al_rpc_server *s, struct al_rpc_server_method *m, uint32_t poller)
{
    struct al_rpc_call *c = al_mem_alloc(s->opt.mem, sizeof *c);
    if (!c)
        return false;
    init_object(c, s, m, poller);
    count_object(s, true);
    request(c);
    return true;
}

/* Last reference gone: report, then free the object or use it again. */
static void end_call(struct al_rpc_call *c)
{
    struct al_rpc_server *s = c->server;
    if (!c->grpc) { /* never held a request */
        free_object(c);
        return;
    }
    if (c->is_admitted && s->opt.hooks.on_done) {
        enum al_code code = atomic_load(&c->is_cancelled) ? al_rpc_call_over(c, NULL) : c->code;
        uint64_t ns = al_clock_mono_ns(s->opt.clock) - c->start_ns;
        s->opt.hooks.on_done(s->opt.hooks.ctx, c, code, ns / 1000);
    }
    atomic_fetch_sub_explicit(&s->n_active, 1, memory_order_relaxed);
    if (!c->must_repost) {
        free_object(c);
        return;
    }
    struct al_rpc_server_method *m = c->method;
    uint32_t poller = c->poller;
    fini_object(c);
    init_object(c, s, m, poller);
    request(c);
}

void al_rpc_call_unref(struct al_rpc_call *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        end_call(c);
}

bool al_rpc_call_batch(struct al_rpc_call *c, const grpc_op *ops, size_t n, struct al_rpc_tag *tag)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    AL_RPC_TAG_OUT(tag);
    if (grpc_call_start_batch(c->grpc, ops, n, tag, NULL) == GRPC_CALL_OK)
        return true;
    grpc_call_cancel_with_status(c->grpc, GRPC_STATUS_INTERNAL, "operation refused", NULL);
    al_rpc_call_unref(c); /* the caller holds one of its own */
    return false;
}

static void on_close(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* always true; the flag tells */
    struct al_rpc_call *c = AL_RPC_OF_TAG(t, al_rpc_call, close_tag);
    if (c->close_flag) {
        atomic_store(&c->is_cancelled, true);
        pthread_mutex_lock(&c->mu);
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->mu);
    }
    al_rpc_call_unref(c);
}

static void on_finish(struct al_rpc_tag *t, bool ok)
{
    (void)ok; /* not ok: the client has gone, which on_close says too */
    al_rpc_call_unref(AL_RPC_OF_TAG(t, al_rpc_call, finish_tag));
}

size_t al_rpc_call_initial_op(struct al_rpc_call *c, grpc_op *op)
{
    if (c->has_sent_metadata)
        return 0;
    c->has_sent_metadata = true;
    memset(op, 0, sizeof *op);
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    return 1;
}

static void add_metadata(grpc_metadata *md, size_t *n, const char *key, struct al_str value)
{
    memset(&md[*n], 0, sizeof md[*n]);
    md[*n].key = al_rpc_slice(al_str_c(key));
    md[*n].value = al_rpc_slice(value);
    (*n)++;
}

/* All trailers as slices of ours. */
static size_t make_trailers(struct al_rpc_call *c, const struct al_err *e,
                            grpc_metadata md[AL_RPC_TRAILERS_MAX + 4])
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_trailers; i++)
        add_metadata(md, &n, c->trailers[i].key, c->trailers[i].value);
    if (!e)
        return n;
    char retry[12];
    char details[AL_RPC_DETAILS_MAX];
    size_t details_bytes = al_rpc_status_details(e, details);
    add_metadata(md, &n, AL_RPC_REASON_KEY,
                 al_str_c(e->reason ? e->reason : al_code_name(e->code)));
    add_metadata(md, &n, AL_RPC_DETAILS_KEY, (struct al_str){details, details_bytes});
    add_metadata(md, &n, AL_RPC_REQUEST_ID_KEY, al_str_c(al_rpc_call_request_id(c)));
    if (e->retry_after_ms) {
        snprintf(retry, sizeof retry, "%" PRIu32, e->retry_after_ms);
        add_metadata(md, &n, AL_RPC_RETRY_KEY, al_str_c(retry));
    }
    return n;
}

void al_rpc_call_finish(struct al_rpc_call *c, grpc_byte_buffer *reply, const struct al_err *e)
{
    grpc_op ops[3];
    grpc_metadata md[AL_RPC_TRAILERS_MAX + 4];
    memset(ops, 0, sizeof ops);
    c->code = e ? e->code : AL_OK;
    c->reply = reply;
    size_t n = al_rpc_call_initial_op(c, ops);
    if (reply) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = reply;
    }
    size_t n_md = make_trailers(c, e, md);
    grpc_slice message = grpc_empty_slice();
    if (e) {
        char text[sizeof e->msg];
        message = al_rpc_slice(al_rpc_status_message(e, text));
    }
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.status = (grpc_status_code)c->code;
    ops[n].data.send_status_from_server.status_details = e ? &message : NULL;
    ops[n].data.send_status_from_server.trailing_metadata_count = n_md;
    ops[n++].data.send_status_from_server.trailing_metadata = md;
    al_rpc_call_batch(c, ops, n, &c->finish_tag);
    grpc_slice_unref(message);
    for (size_t i = 0; i < n_md; i++) {
        grpc_slice_unref(md[i].key);
        grpc_slice_unref(md[i].value);
    }
    al_rpc_call_unref(c); /* the handler's */
}

/* Code first: a handler may return an error without filling err. */
static void finish_with(struct al_rpc_call *c, enum al_code code, struct al_err *e)
{
    if (e->code != code || e->msg[0] == '\0')
        (void)AL_FAIL(e, code, "method '%s': failed", al_rpc_call_method(c));
    al_rpc_call_finish(c, NULL, e);
}

enum al_code al_rpc_call_over(const struct al_rpc_call *c, struct al_err *err)
{
    if (al_clock_has_passed(c->server->opt.clock, c->deadline_ns))
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "call: the deadline has passed");
    return AL_FAIL(err, AL_CANCELLED, "call: cancelled");
}

/* Decode, run, encode. */
static enum al_code handle_unary(struct al_rpc_call *c, grpc_byte_buffer **ret, struct al_err *err)
{
    struct al_rpc_server *s = c->server;
    const struct al_rpc_server_method *m = c->method;
    if (al_rpc_call_is_cancelled(c))
        return al_rpc_call_over(c, err);
    if (!c->payload)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                         "method '%s': no request message", m->path);
    ProtobufCMessage *req;
    AL_TRY(al_rpc_decode(m->desc->input, c->payload, &s->limits, &c->arena, &req, err));
    grpc_byte_buffer_destroy(c->payload); /* all of it is in the arena now */
    c->payload = NULL;
    ProtobufCMessage *reply = NULL;
    AL_TRY(m->handler->unary(m->ctx, c, req, &reply, err));
    if (al_rpc_call_is_cancelled(c)) /* what the client sees, so that logs agree with it */
        return al_rpc_call_over(c, err);
    if (!reply || reply->descriptor != m->desc->output)
        return AL_FAIL(err, AL_INTERNAL, "method '%s': the handler gave no reply", m->path);
    return al_rpc_encode(reply, s->limits.bytes_max, ret, err);
}

static void run_unary(void *u)
{
    struct al_rpc_call *c = u;
    struct al_err e = {0};
    grpc_byte_buffer *reply = NULL;
    enum al_code code = handle_unary(c, &reply, &e);
    if (code == AL_OK)
        al_rpc_call_finish(c, reply, NULL);
    else
        finish_with(c, code, &e);
}

/* "/a.B/C": whether the descriptor set has it. */
static bool is_in_contract(const struct al_rpc_server *s, struct al_str path)
{
    size_t slash = al_str_find(path, AL_STR("/"), 1);
    if (path.n < 4 || path.p[0] != '/' || slash == SIZE_MAX)
        return false;
    return al_descriptor_set_method(&s->set, al_str_sub(path, 1, slash - 1),
                                    al_str_sub(path, slash + 1, path.n)) != NULL;
}

static enum al_code refuse_unknown(struct al_rpc_call *c, struct al_err *err)
{
    struct al_str path =
        c->method ? al_str_c(c->method->path) : al_rpc_slice_view(&c->details.method);
    if (c->method || is_in_contract(c->server, path))
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "method '" AL_STR_FMT "': is not there yet", AL_STR_ARG(path));
    path = al_str_sub(path, 0, 160);
    return AL_FAIL_R(err, AL_UNIMPLEMENTED, "METHOD_UNKNOWN", "method '" AL_STR_FMT "': unknown",
                     AL_STR_ARG(path));
}

/* What ends a call before its handler. */
static enum al_code admit(struct al_rpc_call *c, uint32_t n_active, struct al_err *err)
{
    struct al_rpc_server *s = c->server;
    bool is_system = c->method && c->method->is_system;
    if (!is_system && atomic_load(&s->is_draining))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "server: is going down");
    if (n_active > s->opt.calls_max)
        return al_err_retry_after(err, AL_RPC_RETRY_CALLS_MS,
                                  AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                                            "server: %u calls at once are allowed",
                                            s->opt.calls_max));
    c->is_admitted = true;  /* on_done is due, whatever comes now */
    if (s->opt.hooks.admit) /* first: what is not there is not told to strangers */
        AL_TRY(s->opt.hooks.admit(s->opt.hooks.ctx, c, err));
    return c->method && c->method->handler ? AL_OK : refuse_unknown(c, err);
}

static void set_times(struct al_rpc_call *c)
{
    struct al_clock *clock = c->server->opt.clock;
    c->start_ns = al_clock_mono_ns(clock);
    c->deadline_ns = AL_DEADLINE_NONE;
    gpr_timespec at = c->method ? c->grpc_deadline : c->details.deadline;
    at = gpr_convert_clock_type(at, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(at, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return;
    gpr_timespec left = gpr_time_sub(at, gpr_now(GPR_CLOCK_MONOTONIC));
    if (left.tv_sec < 0)
        c->deadline_ns = c->start_ns;
    else if (left.tv_sec < 10LL * 365 * 24 * 3600)
        c->deadline_ns = c->start_ns + (uint64_t)left.tv_sec * 1000000000u + (uint64_t)left.tv_nsec;
}

static void dispatch(struct al_rpc_call *c)
{
    struct al_err e = {0};
    if (c->method->handler->stream) {
        al_rpc_stream_start(c);
    } else if (c->method->handler->where == AL_RPC_INLINE) {
        run_unary(c);
    } else {
        enum al_code code = al_pool_submit(c->server->pool, run_unary, c, &e);
        if (code != AL_OK)
            finish_with(c, code, &e);
    }
}

static void on_new(struct al_rpc_tag *t, bool ok)
{
    struct al_rpc_call *c = AL_RPC_OF_TAG(t, al_rpc_call, new_tag);
    if (!ok) { /* the server is going down; there is no call */
        al_rpc_call_unref(c);
        return;
    }
    struct al_rpc_server *s = c->server;
    c->must_repost = !al_rpc_call_post(s, c->method, c->poller);
    uint32_t n_active = atomic_fetch_add_explicit(&s->n_active, 1, memory_order_relaxed) + 1;
    set_times(c);
    if (c->payload)
        c->request_bytes = grpc_byte_buffer_length(c->payload);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &c->close_flag;
    al_rpc_call_batch(c, &op, 1, &c->close_tag);
    struct al_err e = {0};
    enum al_code code = admit(c, n_active, &e);
    if (code == AL_OK)
        dispatch(c);
    else
        finish_with(c, code, &e);
}
