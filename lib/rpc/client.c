/* Channels, and what all calls of a client need. */
#include "client_int.h"

#include <signal.h>
#include <string.h>

#include <grpc/support/time.h>

#include "airlore/pool.h"
#include "status.h"

#define ARENA_BYTES_DEFAULT ((size_t)256 << 20)

static void *poller_main(void *cq)
{
    al_rpc_runtime_poll(cq);
    return NULL;
}

static void add_int(grpc_arg *v, size_t *n, const char *key, uint32_t value)
{
    v[*n].type = GRPC_ARG_INTEGER;
    v[*n].key = (char *)key;
    v[(*n)++].value.integer = (int)value;
}

static size_t fill_args(grpc_arg v[24], const struct al_rpc_channel_options *opt)
{
    size_t n = 0;
    uint32_t max = opt->message_bytes_max ? opt->message_bytes_max : AL_RPC_MESSAGE_BYTES_DEFAULT;
    add_int(v, &n, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max);
    add_int(v, &n, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, max);
    add_int(v, &n, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* one channel, one connection */
    add_int(v, &n, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    add_int(v, &n, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    add_int(v, &n, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    /* in spite of its name this is also how long one connection attempt, handshakes included, may
     * take */
    add_int(v, &n, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
    add_int(v, &n, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
    add_int(v, &n, GRPC_ARG_ENABLE_RETRIES, 0);
    add_int(v, &n, GRPC_ARG_ENABLE_CHANNELZ, 0);
    add_int(v, &n, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    add_int(v, &n, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    add_int(v, &n, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    if (opt->keepalive_ms) {
        add_int(v, &n, GRPC_ARG_KEEPALIVE_TIME_MS, opt->keepalive_ms);
        add_int(v, &n, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
        add_int(v, &n, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    if (opt->tls && opt->tls->target_name) {
        v[n].type = GRPC_ARG_STRING;
        v[n].key = (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG;
        v[n++].value.string = (char *)opt->tls->target_name;
    }
    return n;
}

static enum al_code copy_headers(struct al_rpc_channel *c, const struct al_rpc_channel_options *opt,
                                 struct al_err *err)
{
    if (opt->n_headers > AL_RPC_HEADERS_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "channel: more than %u headers",
                       AL_RPC_HEADERS_MAX);
    for (size_t i = 0; i < opt->n_headers; i++) {
        struct al_str key = al_str_c(opt->headers[i].key);
        struct al_str value = al_str_c(opt->headers[i].value);
        if (!al_rpc_metadata_is_legal(key, value))
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "header '" AL_STR_FMT "': cannot be sent",
                           AL_STR_ARG(key));
        struct al_rpc_header *h = &c->headers[c->n_headers++];
        h->key = al_mem_strndup(c->mem, key.p, key.n);
        h->value = al_mem_strndup(c->mem, value.p, value.n);
        if (!h->key || !h->value)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "channel: out of memory");
    }
    return AL_OK;
}

static enum al_code build(struct al_rpc_channel *c, const struct al_rpc_channel_options *opt,
                          struct al_err *err)
{
    AL_TRY(copy_headers(c, opt, err));
    grpc_channel_credentials *creds;
    AL_TRY_CTX(err, al_rpc_tls_channel(opt->tls, &creds, err), "channel '%s'", opt->target);
    grpc_arg v[24];
    size_t n = fill_args(v, opt);
    c->grpc =
        grpc_channel_create(opt->target, creds, &(grpc_channel_args){.num_args = n, .args = v});
    grpc_channel_credentials_release(creds);
    if (!c->grpc)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "channel '%s': cannot be made", opt->target);
    c->cq = grpc_completion_queue_create_for_next(NULL);
    unsigned long thread;
    AL_TRY(al_thread_start("al-rpc-client", poller_main, c->cq, &thread, err));
    c->poller = (pthread_t)thread;
    c->has_poller = true;
    return AL_OK;
}

enum al_code al_rpc_channel_create(const struct al_rpc_channel_options *opt,
                                   struct al_rpc_channel **ret, struct al_err *err)
{
    if (!opt->target || !opt->target[0])
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "channel: no target");
    if (opt->message_bytes_max > 1u << 30)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "channel: messages of %u bytes are too large",
                       opt->message_bytes_max);
    al_rpc_runtime_start();
    AL_AUTO(al_rpc_channel) c = al_mem_zalloc(opt->mem, sizeof *c);
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "channel: out of memory");
    c->mem = opt->mem;
    c->limits = (struct al_rpc_limits){AL_RPC_DEPTH_DEFAULT, UINT32_MAX,
                                       opt->message_bytes_max ? opt->message_bytes_max
                                                              : AL_RPC_MESSAGE_BYTES_DEFAULT};
    c->arena_bytes_max = opt->arena_bytes_max ? opt->arena_bytes_max : ARENA_BYTES_DEFAULT;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->idle, NULL);
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* gRPC may add threads here */
    enum al_code code = build(c, opt, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == AL_OK)
        *ret = al_take(c);
    return code;
}

void al_rpc_channel_destroy(struct al_rpc_channel *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->mu);
    while (c->n_calls)
        pthread_cond_wait(&c->idle, &c->mu);
    pthread_mutex_unlock(&c->mu);
    if (c->cq) {
        grpc_completion_queue_shutdown(c->cq);
        if (c->has_poller)
            pthread_join(c->poller, NULL);
        else
            al_rpc_runtime_poll(c->cq);
        grpc_completion_queue_destroy(c->cq);
    }
    if (c->grpc)
        grpc_channel_destroy(c->grpc);
    for (size_t i = 0; i < c->n_headers; i++) {
        al_mem_free(c->mem, (char *)c->headers[i].key);
        al_mem_free(c->mem, (char *)c->headers[i].value);
    }
    pthread_mutex_destroy(&c->mu);
    pthread_cond_destroy(&c->idle);
    al_mem_free(c->mem, c);
}

void al_rpc_cancel_init(struct al_rpc_cancel *c)
{
    *c = (struct al_rpc_cancel){0};
    pthread_mutex_init(&c->mu, NULL);
}

void al_rpc_cancel_fire(struct al_rpc_cancel *c)
{
    pthread_mutex_lock(&c->mu);
    c->fired = true;
    for (struct al_rpc_client_call *k = c->calls; k; k = k->next)
        grpc_call_cancel(k->grpc, NULL); /* queues an event; calls nothing of ours */
    pthread_mutex_unlock(&c->mu);
}

void al_rpc_cancel_fini(struct al_rpc_cancel *c)
{
    pthread_mutex_destroy(&c->mu);
}

void al_rpc_client_call_watch(struct al_rpc_client_call *k, struct al_rpc_cancel *cancel)
{
    if (!cancel)
        return;
    k->cancel = cancel;
    pthread_mutex_lock(&cancel->mu);
    k->next = cancel->calls;
    if (k->next)
        k->next->prev = k;
    cancel->calls = k;
    if (cancel->fired)
        grpc_call_cancel(k->grpc, NULL);
    pthread_mutex_unlock(&cancel->mu);
}

static void unwatch(struct al_rpc_client_call *k)
{
    struct al_rpc_cancel *cancel = k->cancel;
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->mu);
    if (k->prev)
        k->prev->next = k->next;
    else
        cancel->calls = k->next;
    if (k->next)
        k->next->prev = k->prev;
    pthread_mutex_unlock(&cancel->mu);
    k->cancel = NULL;
}

static gpr_timespec deadline_of(const struct al_rpc_request *r)
{
    if (r->timeout_ms == 0 || r->timeout_ms > (uint64_t)INT32_MAX * 1000)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis((int64_t)r->timeout_ms, GPR_TIMESPAN));
}

static const ProtobufCMethodDescriptor *find_method(const ProtobufCServiceDescriptor *s,
                                                    const char *name)
{
    for (unsigned i = 0; i < s->n_methods; i++) {
        if (strcmp(s->methods[i].name, name) == 0)
            return &s->methods[i];
    }
    return NULL;
}

static void count_call(struct al_rpc_channel *c, bool is_new)
{
    pthread_mutex_lock(&c->mu);
    c->n_calls += is_new ? 1 : (size_t)-1;
    if (c->n_calls == 0)
        pthread_cond_signal(&c->idle);
    pthread_mutex_unlock(&c->mu);
}

enum al_code al_rpc_client_call_init(struct al_rpc_client_call *k, struct al_rpc_channel *c,
                                     const struct al_rpc_request *r, struct al_err *err)
{
    const ProtobufCMethodDescriptor *m = find_method(r->service, r->method);
    if (!m)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "service '%s': has no method '%s'",
                       r->service->name, r->method);
    struct al_buf path;
    al_buf_init(&path, c->mem, 4096);
    al_buf_printf(&path, "/%s/%s", r->service->name, r->method);
    enum al_code code = al_buf_status(&path, err);
    if (code == AL_OK) {
        *k = (struct al_rpc_client_call){.channel = c, .method = m, .details = grpc_empty_slice()};
        grpc_metadata_array_init(&k->initial);
        grpc_metadata_array_init(&k->trailing);
        grpc_slice s = al_rpc_slice(al_buf_view(&path));
        k->grpc = grpc_channel_create_call(c->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, c->cq, s, NULL,
                                           deadline_of(r), NULL);
        grpc_slice_unref(s);
        count_call(c, true);
    }
    al_buf_fini(&path);
    return code;
}

void al_rpc_client_call_fini(struct al_rpc_client_call *k)
{
    unwatch(k);
    grpc_slice_unref(k->details);
    grpc_metadata_array_destroy(&k->initial);
    grpc_metadata_array_destroy(&k->trailing);
    grpc_call_unref(k->grpc);
    count_call(k->channel, false);
}

static enum al_code add_headers(struct al_rpc_client_headers *h, const struct al_rpc_header *v,
                                size_t n, struct al_err *err)
{
    if (n > AL_RPC_HEADERS_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "call: more than %u headers", AL_RPC_HEADERS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct al_str key = al_str_c(v[i].key);
        struct al_str value = al_str_c(v[i].value);
        if (!al_rpc_metadata_is_legal(key, value))
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "header '" AL_STR_FMT "': cannot be sent",
                           AL_STR_ARG(key));
        grpc_metadata *m = &h->v[h->n++];
        memset(m, 0, sizeof *m);
        m->key = al_rpc_slice(key);
        m->value = al_rpc_slice(value);
    }
    return AL_OK;
}

enum al_code al_rpc_client_headers_init(struct al_rpc_client_headers *h,
                                        const struct al_rpc_channel *c,
                                        const struct al_rpc_request *r, struct al_err *err)
{
    h->n = 0;
    enum al_code code = add_headers(h, c->headers, c->n_headers, err);
    if (code == AL_OK)
        code = add_headers(h, r->headers, r->n_headers, err);
    if (code != AL_OK)
        al_rpc_client_headers_fini(h);
    return code;
}

void al_rpc_client_headers_fini(struct al_rpc_client_headers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        grpc_slice_unref(h->v[i].key);
        grpc_slice_unref(h->v[i].value);
    }
    h->n = 0;
}

void al_rpc_client_op_start(grpc_op *op, struct al_rpc_client_headers *h, bool wait_for_ready)
{
    memset(op, 0, sizeof *op);
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->data.send_initial_metadata.count = h->n;
    op->data.send_initial_metadata.metadata = h->v;
    if (wait_for_ready)
        op->flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                    GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
}

void al_rpc_client_op_status(grpc_op *op, struct al_rpc_client_call *k)
{
    memset(op, 0, sizeof *op);
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &k->trailing;
    op->data.recv_status_on_client.status = &k->status;
    op->data.recv_status_on_client.status_details = &k->details;
}

enum al_code al_rpc_client_status(const struct al_rpc_client_call *k, struct al_err *err)
{
    enum al_code code = al_rpc_code_of((int)k->status);
    if (code == AL_OK)
        return AL_OK;
    struct al_str reason = al_rpc_metadata_find(&k->trailing, AL_STR(AL_RPC_REASON_KEY));
    struct al_str text = al_rpc_slice_view(&k->details);
    struct al_str retry = al_rpc_metadata_find(&k->trailing, AL_STR(AL_RPC_RETRY_KEY));
    code = AL_FAIL_R(err, code, al_rpc_reason_intern(reason), AL_STR_FMT, AL_STR_ARG(text));
    uint32_t ms = al_rpc_retry_of(retry);
    return ms ? al_err_retry_after(err, ms, code) : code;
}
