/* grpc.health.v1.Health. */
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "server_int.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
#define UNKNOWN_SERVICE GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING

static struct al_rpc_health_entry *find(struct al_rpc_server *s, const char *service)
{
    for (size_t i = 0; i < s->n_health; i++) {
        if (strcmp(s->health[i].service, service) == 0)
            return &s->health[i];
    }
    return NULL;
}

static serving_status status_of(struct al_rpc_server *s, const char *service)
{
    pthread_mutex_lock(&s->mu);
    const struct al_rpc_health_entry *e = find(s, service);
    serving_status status = UNKNOWN_SERVICE;
    if (e)
        status = e->is_serving ? SERVING : NOT_SERVING;
    pthread_mutex_unlock(&s->mu);
    return status;
}

/* Under s->mu. */
static enum al_code set(struct al_rpc_server *s, const char *service, bool is_serving,
                        struct al_err *err)
{
    struct al_rpc_health_entry *e = find(s, service);
    if (!e) {
        if (s->n_health == AL_RPC_HEALTH_MAX)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "health: more than %u services",
                           AL_RPC_HEALTH_MAX);
        void *p = s->health;
        if (al_mem_grow(s->opt.mem, &p, &s->health_cap, s->n_health + 1, sizeof *s->health) !=
            AL_OK)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "health: out of memory");
        s->health = p;
        char *name = al_mem_strndup(s->opt.mem, service, strlen(service));
        if (!name)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "health: out of memory");
        e = &s->health[s->n_health++];
        e->service = name;
    }
    e->is_serving = is_serving && !atomic_load(&s->is_draining);
    return AL_OK;
}

enum al_code al_rpc_server_set_health(struct al_rpc_server *s, const char *service, bool is_serving,
                                      struct al_err *err)
{
    pthread_mutex_lock(&s->mu);
    enum al_code code = set(s, service, is_serving, err);
    pthread_mutex_unlock(&s->mu);
    if (code == AL_OK)
        al_rpc_stream_wake_all(s);
    return code;
}

static enum al_code check(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                          ProtobufCMessage **ret_reply, struct al_err *err)
{
    const Grpc__Health__V1__HealthCheckRequest *r = (const void *)req;
    Grpc__Health__V1__HealthCheckResponse *reply =
        al_arena_alloc(al_rpc_call_arena(call), sizeof *reply);
    if (!reply)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "health: out of memory");
    grpc__health__v1__health_check_response__init(reply);
    reply->status = status_of(ctx, r->service);
    if (reply->status == UNKNOWN_SERVICE)
        return AL_FAIL_R(err, AL_NOT_FOUND, "UNKNOWN_SERVICE",
                         "health: service '%.128s' is unknown", r->service);
    *ret_reply = &reply->base;
    return AL_OK;
}

static enum al_code watch(void *ctx, struct al_rpc_call *call, struct al_err *err)
{
    ProtobufCMessage *msg = NULL;
    AL_TRY(al_rpc_read(call, &msg, err));
    const Grpc__Health__V1__HealthCheckRequest *r =
        (const void *)msg; /* valid: nothing is read after it */
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    bool is_first = true;
    for (;;) {
        serving_status now = status_of(ctx, r->service);
        if (is_first || now != reply.status) {
            reply.status = now;
            is_first = false;
            AL_TRY(al_rpc_write(call, &reply.base, err));
        }
        switch (al_rpc_call_wait(call, 60000)) {
        case AL_RPC_WAIT_CANCELLED:
            return al_rpc_call_over(call, err);
        case AL_RPC_WAIT_DRAINING:
            if (status_of(ctx, r->service) != reply.status)
                continue; /* say it, then end */
            return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "server: is going down");
        case AL_RPC_WAIT_WOKEN:
        case AL_RPC_WAIT_TIMEOUT:
            break;
        }
    }
}

enum al_code al_rpc_health_add(struct al_rpc_server *s, struct al_err *err)
{
    static const struct al_rpc_method methods[] = {
        {.name = "Check", .where = AL_RPC_INLINE, .unary = check},
        {.name = "Watch", .stream = watch},
    };
    AL_TRY(al_rpc_server_register(s, &grpc__health__v1__health__descriptor, methods,
                                  AL_ARRAY_LEN(methods), s, err));
    return al_rpc_server_set_health(s, "", false, err); /* until start */
}

bool al_rpc_is_system_service(const char *name)
{
    return strcmp(name, "grpc.health.v1.Health") == 0 ||
           strcmp(name, "grpc.reflection.v1.ServerReflection") == 0 ||
           strcmp(name, "grpc.reflection.v1alpha.ServerReflection") == 0;
}
