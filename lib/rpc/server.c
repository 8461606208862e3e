#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <grpc/support/time.h>

#include "server_int.h"
#include "server_options.h"

/* Call objects that wait for a request, of each method on each poller. One more than one, so that
 * the next request finds one while on_new makes its successor. */
#define SLOTS 2u

/* One pass over what may fail; al_rpc_server_destroy takes back any part of it. */
static enum al_code build(struct al_rpc_server *s, struct al_err *err)
{
    struct al_str bytes = {(const char *)s->opt.descriptor_set, s->opt.descriptor_set_bytes};
    AL_TRY(al_descriptor_set_open(&s->set, bytes, s->opt.mem, err));
    s->cqs = al_mem_array(s->opt.mem, s->opt.n_pollers, sizeof(grpc_completion_queue *));
    s->pollers = al_mem_array(s->opt.mem, s->opt.n_pollers, sizeof(pthread_t));
    if (!s->cqs || !s->pollers)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rpc server: out of memory");
    struct al_rpc_server_args args;
    al_rpc_server_args_fill(&args, &s->opt);
    s->grpc = grpc_server_create(&(grpc_channel_args){.num_args = args.n, .args = args.v}, NULL);
    al_rpc_server_args_fini(&args);
    for (uint32_t i = 0; i < s->opt.n_pollers; i++) {
        s->cqs[i] = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(s->grpc, s->cqs[i], NULL);
    }
    s->stop_cq = grpc_completion_queue_create_for_pluck(NULL);
    AL_TRY(al_rpc_health_add(s, err));
    return al_rpc_reflection_add(s, err);
}

enum al_code al_rpc_server_create(const struct al_rpc_server_options *opt,
                                  struct al_rpc_server **ret, struct al_err *err)
{
    struct al_rpc_server_options filled = *opt;
    AL_TRY(al_rpc_server_options_fill(&filled, err));
    al_rpc_runtime_start();
    AL_AUTO(al_rpc_server) s = al_mem_zalloc(opt->mem, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rpc server: out of memory");
    s->opt = filled;
    s->limits =
        (struct al_rpc_limits){filled.depth_max, filled.elements_max, filled.message_bytes_max};
    al_rpc_budget_init(&s->budget, opt->mem, filled.calls_bytes_max);
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->idle, NULL);
    AL_TRY(build(s, err));
    *ret = al_take(s);
    return AL_OK;
}

static const struct al_rpc_method *find_handler(const struct al_rpc_method *methods, size_t n,
                                                const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

static bool has_method(const ProtobufCServiceDescriptor *desc, const char *name)
{
    for (unsigned i = 0; i < desc->n_methods; i++) {
        if (strcmp(desc->methods[i].name, name) == 0)
            return true;
    }
    return false;
}

static enum al_code check_service(const struct al_rpc_server *s,
                                  const ProtobufCServiceDescriptor *desc,
                                  const struct al_rpc_method *methods, size_t n, struct al_err *err)
{
    if (s->is_started)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "service '%s': the server has started",
                       desc->name);
    for (size_t i = 0; i < s->n_services; i++) {
        if (strcmp(s->services[i]->name, desc->name) == 0)
            return AL_FAIL(err, AL_ALREADY_EXISTS, "service '%s': is there already", desc->name);
    }
    for (size_t i = 0; i < n; i++) {
        if (!methods[i].name || !has_method(desc, methods[i].name))
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "service '%s': has no method '%s'", desc->name,
                           methods[i].name ? methods[i].name : "");
        if (find_handler(methods, i, methods[i].name))
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "service '%s': two handlers for '%s'",
                           desc->name, methods[i].name);
    }
    return AL_OK;
}

static enum al_code find_kind(const struct al_rpc_server *s, const ProtobufCServiceDescriptor *desc,
                              struct al_rpc_server_method *m, struct al_err *err)
{
    const struct al_dset_symbol *sym =
        al_descriptor_set_method(&s->set, al_str_c(desc->name), al_str_c(m->desc->name));
    if (sym)
        m->kind = sym->kind;
    else if (m->is_system) /* works without being in the set; then reflection does not show it */
        m->kind = m->handler && m->handler->unary ? AL_RPC_UNARY : AL_RPC_BIDI;
    else
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "method '%s': not in the descriptor set", m->path);
    if (!m->handler)
        return AL_OK;
    bool is_unary = m->kind == AL_RPC_UNARY;
    if ((m->handler->unary != NULL) != is_unary || (m->handler->stream != NULL) == is_unary)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "method '%s': needs a %s handler and no other",
                       m->path, is_unary ? "unary" : "stream");
    return AL_OK;
}

static void free_method(struct al_rpc_server *s, struct al_rpc_server_method *m)
{
    al_mem_free(s->opt.mem, m->path);
    al_mem_free(s->opt.mem, m);
}

static enum al_code add_method(struct al_rpc_server *s, const ProtobufCServiceDescriptor *desc,
                               const ProtobufCMethodDescriptor *method,
                               struct al_rpc_server_method like, struct al_err *err)
{
    struct al_rpc_server_method *m = al_mem_alloc(s->opt.mem, sizeof *m);
    size_t n = strlen(desc->name) + strlen(method->name) + 3;
    char *path = al_mem_alloc(s->opt.mem, n);
    if (!m || !path) {
        al_mem_free(s->opt.mem, m);
        al_mem_free(s->opt.mem, path);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rpc server: out of memory");
    }
    snprintf(path, n, "/%s/%s", desc->name, method->name);
    *m = like;
    m->path = path;
    m->desc = method;
    enum al_code code = find_kind(s, desc, m, err);
    if (code != AL_OK) {
        free_method(s, m);
        return code;
    }
    m->next = s->methods;
    s->methods = m;
    return AL_OK;
}

static enum al_code keep_service(struct al_rpc_server *s, const ProtobufCServiceDescriptor *desc,
                                 struct al_err *err)
{
    void *p = s->services;
    if (al_mem_grow(s->opt.mem, &p, &s->services_cap, s->n_services + 1, sizeof(void *)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rpc server: out of memory");
    s->services = p;
    s->services[s->n_services++] = desc;
    return AL_OK;
}

enum al_code al_rpc_server_register(struct al_rpc_server *s, const ProtobufCServiceDescriptor *desc,
                                    const struct al_rpc_method *methods, size_t n_methods,
                                    void *ctx, struct al_err *err)
{
    AL_TRY(check_service(s, desc, methods, n_methods, err));
    struct al_rpc_server_method *before = s->methods;
    enum al_code code = AL_OK;
    for (unsigned i = 0; i < desc->n_methods && code == AL_OK; i++) {
        struct al_rpc_server_method like = {
            .server = s,
            .ctx = ctx,
            .handler = find_handler(methods, n_methods, desc->methods[i].name),
            .is_system = al_rpc_is_system_service(desc->name),
        };
        code = add_method(s, desc, &desc->methods[i], like, err);
    }
    if (code == AL_OK)
        code = keep_service(s, desc, err);
    while (code != AL_OK && s->methods != before) {
        struct al_rpc_server_method *m = s->methods;
        s->methods = m->next;
        free_method(s, m);
    }
    return code;
}

enum al_code al_rpc_server_add_service(struct al_rpc_server *s,
                                       const ProtobufCServiceDescriptor *desc,
                                       const struct al_rpc_method *methods, size_t n_methods,
                                       void *ctx, struct al_err *err)
{
    AL_TRY(al_rpc_server_register(s, desc, methods, n_methods, ctx, err));
    return al_rpc_server_set_health(s, desc->name, false, err); /* until start */
}

enum al_code al_rpc_server_listen(struct al_rpc_server *s, const char *address,
                                  const struct al_rpc_tls *tls, uint16_t *ret_port,
                                  struct al_err *err)
{
    if (s->is_started)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "listen '%s': the server has started", address);
    grpc_server_credentials *creds;
    AL_TRY_CTX(err, al_rpc_tls_server(tls, &creds, err), "listen '%s'", address);
    int port = grpc_server_add_http2_port(s->grpc, address, creds);
    grpc_server_credentials_release(creds);
    if (port == 0)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "ADDRESS_IN_USE",
                         "listen '%s': the address is in use or not of this machine", address);
    if (ret_port)
        *ret_port = strncmp(address, "unix:", 5) == 0 ? 0 : (uint16_t)port;
    return AL_OK;
}

static enum al_code make_pools(struct al_rpc_server *s, struct al_err *err)
{
    struct al_pool_options opt = {.name = "al-rpc-pool",
                                  .n_threads = s->opt.pool_threads,
                                  .queue_max = s->opt.pool_queue_max,
                                  .mem = s->opt.mem,
                                  .metrics = s->opt.metrics};
    AL_TRY(al_pool_create(&opt, &s->pool, err));
    opt.name = "al-rpc-str";
    opt.n_threads = s->opt.streams_max;
    opt.queue_max = s->opt.streams_max; /* those counted in n_streams find a place */
    AL_TRY(al_pool_create(&opt, &s->stream_pool, err));
    opt.name = "al-rpc-sys";
    opt.n_threads = AL_RPC_SYSTEM_THREADS;
    opt.queue_max = AL_RPC_SYSTEM_THREADS;
    return al_pool_create(&opt, &s->system_pool, err);
}

static void *poller_main(void *cq)
{
    al_rpc_runtime_poll(cq);
    return NULL;
}

static enum al_code register_methods(struct al_rpc_server *s, struct al_err *err)
{
    for (struct al_rpc_server_method *m = s->methods; m; m = m->next) {
        bool has_payload = m->kind == AL_RPC_UNARY || m->kind == AL_RPC_SERVER_STREAM;
        m->registered = grpc_server_register_method(
            s->grpc, m->path, NULL,
            has_payload ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER : GRPC_SRM_PAYLOAD_NONE, 0);
        if (!m->registered)
            return AL_FAIL(err, AL_INTERNAL, "method '%s': cannot be registered", m->path);
    }
    return AL_OK;
}

static enum al_code post_slots(struct al_rpc_server *s, struct al_err *err)
{
    for (uint32_t i = 0; i < s->opt.n_pollers; i++) {
        bool ok = true;
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            for (struct al_rpc_server_method *m = s->methods; m && ok; m = m->next)
                ok = al_rpc_call_post(s, m, i);
            ok = ok && al_rpc_call_post(s, NULL, i);
        }
        if (!ok)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "rpc server: out of memory");
    }
    return AL_OK;
}

static void mark_serving(struct al_rpc_server *s)
{
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->n_health; i++)
        s->health[i].is_serving = true;
    pthread_mutex_unlock(&s->mu);
}

static enum al_code start(struct al_rpc_server *s, struct al_err *err)
{
    AL_TRY(make_pools(s, err));
    AL_TRY(register_methods(s, err));
    grpc_server_start(s->grpc);
    s->is_started = true;
    for (uint32_t i = 0; i < s->opt.n_pollers; i++) {
        char name[24];
        snprintf(name, sizeof name, "al-cq-%u", i);
        unsigned long thread;
        AL_TRY(al_thread_start(name, poller_main, s->cqs[i], &thread, err));
        s->pollers[s->n_pollers++] = (pthread_t)thread;
    }
    return post_slots(s, err);
}

/* gRPC 1.51 gives up a listener for good when accept finds no free descriptor: make that hard to
 * reach. */
static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max)
        return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* the server works without, too */
}

enum al_code al_rpc_server_start(struct al_rpc_server *s, struct al_err *err)
{
    if (s->is_started || s->is_stopped)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "rpc server: was started before");
    raise_file_limit();
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* gRPC may add threads here */
    enum al_code code = start(s, err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == AL_OK)
        mark_serving(s);
    return code;
}

void al_rpc_server_close(struct al_rpc_server *s)
{
    if (atomic_exchange(&s->is_draining, true))
        return;
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->n_health; i++)
        s->health[i].is_serving = false;
    pthread_mutex_unlock(&s->mu);
    al_rpc_stream_wake_all(s);
}

/* Let gRPC end: true if all calls ended within the grace. */
static bool shut_down(struct al_rpc_server *s, uint32_t grace_ms)
{
    grpc_server_shutdown_and_notify(s->grpc, s->stop_cq, s);
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(grace_ms, GPR_TIMESPAN));
    grpc_event e = grpc_completion_queue_pluck(s->stop_cq, s, until, NULL);
    if (e.type == GRPC_OP_COMPLETE)
        return true;
    grpc_server_cancel_all_calls(s->grpc);
    grpc_completion_queue_pluck(s->stop_cq, s, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return false;
}

/* Pollers still run: every call object comes back through them. */
static void wait_for_objects(struct al_rpc_server *s)
{
    pthread_mutex_lock(&s->mu);
    while (s->n_objects)
        pthread_cond_wait(&s->idle, &s->mu);
    pthread_mutex_unlock(&s->mu);
}

/* For a server whose start failed before its pollers ran: nobody else takes the events. */
static void poll_rest(struct al_rpc_server *s)
{
    for (uint32_t i = 0; i < s->opt.n_pollers && s->cqs; i++) {
        if (!s->cqs[i])
            continue;
        grpc_completion_queue_shutdown(s->cqs[i]);
        if (i >= s->n_pollers)
            al_rpc_runtime_poll(s->cqs[i]);
    }
}

bool al_rpc_server_stop(struct al_rpc_server *s, uint32_t grace_ms)
{
    if (s->is_stopped)
        return true;
    s->is_stopped = true;
    al_rpc_server_close(s);
    bool clean = true;
    if (s->is_started) {
        clean = shut_down(s, grace_ms);
        wait_for_objects(s);
    }
    if (s->pool)
        al_pool_stop(s->pool);
    if (s->stream_pool)
        al_pool_stop(s->stream_pool);
    if (s->system_pool)
        al_pool_stop(s->system_pool);
    poll_rest(s);
    for (uint32_t i = 0; i < s->n_pollers; i++)
        pthread_join(s->pollers[i], NULL);
    return clean;
}

static void free_grpc(struct al_rpc_server *s)
{
    if (s->grpc) {
        if (!s->is_started) { /* gRPC wants a shutdown before destroy, listening or not */
            grpc_server_shutdown_and_notify(s->grpc, s->stop_cq, s);
            grpc_completion_queue_pluck(s->stop_cq, s, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        }
        grpc_server_destroy(s->grpc);
    }
    for (uint32_t i = 0; s->cqs && i < s->opt.n_pollers; i++) {
        if (s->cqs[i])
            grpc_completion_queue_destroy(s->cqs[i]);
    }
    if (s->stop_cq) {
        grpc_completion_queue_shutdown(s->stop_cq);
        grpc_completion_queue_destroy(s->stop_cq);
    }
}

void al_rpc_server_destroy(struct al_rpc_server *s)
{
    if (!s)
        return;
    struct al_mem *mem = s->opt.mem;
    al_rpc_server_stop(s, 0);
    free_grpc(s);
    al_pool_destroy(s->pool);
    al_pool_destroy(s->stream_pool);
    al_pool_destroy(s->system_pool);
    while (s->methods) {
        struct al_rpc_server_method *m = s->methods;
        s->methods = m->next;
        free_method(s, m);
    }
    for (size_t i = 0; i < s->n_health; i++)
        al_mem_free(mem, s->health[i].service);
    al_mem_free(mem, s->health);
    al_mem_free(mem, s->services);
    al_mem_free(mem, s->cqs);
    al_mem_free(mem, s->pollers);
    al_descriptor_set_close(&s->set);
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->idle);
    al_mem_free(mem, s);
}

uint32_t al_rpc_server_calls(const struct al_rpc_server *s)
{
    return atomic_load_explicit(&s->n_active, memory_order_relaxed);
}
