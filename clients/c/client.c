/* Connection and unary calls, with retries. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "airlore/clock.h"
#include "airlore/random.h"
#include "client_int.h"

#define TIMEOUT_MS_DEFAULT 30000u
#define RETRY_MS_DEFAULT 1000u
#define MESSAGE_BYTES_DEFAULT (20u << 20)
#define KEY_BYTES_MAX 512u
#define PAUSE_MS_FIRST 50u
#define PAUSE_MS_MAX 2000u

static bool is_key_legal(const char *key)
{
    size_t n = strnlen(key, KEY_BYTES_MAX + 1);
    if (n == 0 || n > KEY_BYTES_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (key[i] <= ' ' || key[i] > '~')
            return false;
    }
    return true;
}

static enum al_code open_channel(struct al_client *c, const struct al_client_options *opt,
                                 struct al_err *err)
{
    char bearer[KEY_BYTES_MAX + 8];
    struct al_rpc_header header = {.key = "authorization", .value = bearer};
    if (opt->key && !is_key_legal(opt->key))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "KEY_INVALID",
                         "key: not a key (1 to %u printable characters)", KEY_BYTES_MAX);
    snprintf(bearer, sizeof bearer, "Bearer %s", opt->key ? opt->key : "");
    struct al_rpc_tls tls = {.ca_pem = opt->ca_pem,
                             .cert_pem = opt->cert_pem,
                             .key_pem = opt->cert_key_pem,
                             .target_name = opt->target_name};
    bool has_tls = opt->tls || opt->ca_pem || opt->cert_pem || opt->cert_key_pem;
    struct al_rpc_channel_options o = {
        .target = opt->server,
        .tls = has_tls ? &tls : NULL,
        .headers = &header,
        .n_headers = opt->key ? 1 : 0,
        .message_bytes_max =
            opt->message_bytes_max ? opt->message_bytes_max : MESSAGE_BYTES_DEFAULT,
        .mem = c->mem,
    };
    return al_rpc_channel_create(&o, &c->channel, err);
}

enum al_code al_client_create(const struct al_client_options *opt, struct al_client **ret,
                              struct al_err *err)
{
    if (!opt->server || !opt->server[0])
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "client: no server given");
    struct al_mem *mem = opt->mem ? opt->mem : al_mem_std();
    AL_AUTO(al_client) c = al_mem_zalloc(mem, sizeof *c);
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "client: out of memory");
    c->mem = mem;
    c->timeout_ms = opt->timeout_ms ? opt->timeout_ms : TIMEOUT_MS_DEFAULT;
    c->retry_ms = opt->retry_ms ? opt->retry_ms : RETRY_MS_DEFAULT;
    AL_TRY(open_channel(c, opt, err));
    *ret = al_take(c);
    return AL_OK;
}

void al_client_destroy(struct al_client *c)
{
    if (!c)
        return;
    al_rpc_channel_destroy(c->channel);
    al_mem_free(c->mem, c);
}

static void pause_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) != 0)
        continue;
}

/* Milliseconds left until deadline_ns, at least 1 while it has not passed. */
static uint64_t ms_left(uint64_t deadline_ns)
{
    uint64_t now = al_clock_mono_ns(al_clock_system());
    return now >= deadline_ns ? 0 : (deadline_ns - now) / 1000000u + 1;
}

/* What a failed attempt says about the next one. */
enum verdict { GIVE_UP, TRY_AGAIN, WAIT_AS_TOLD };

/* Was it turned away before anything was done? Then even what may not be repeated may come again.
 */
static bool is_turned_away(const struct al_err *e)
{
    return strcmp(e->reason, "RATE_LIMITED") == 0;
}

static enum verdict judge(const struct al_client_call *call, const struct al_err *e)
{
    if (e->code == AL_RESOURCE_EXHAUSTED && e->retry_after_ms &&
        (call->repeatable || is_turned_away(e)))
        return WAIT_AS_TOLD;
    bool is_unknown = e->code == AL_UNKNOWN && strcmp(e->reason, "OUTCOME_UNKNOWN") == 0;
    return call->repeatable && (e->code == AL_UNAVAILABLE || is_unknown) ? TRY_AGAIN : GIVE_UP;
}

enum al_code al_client_call(struct al_client *c, const struct al_client_call *call,
                            struct al_arena *a, ProtobufCMessage **ret, struct al_err *err)
{
    uint32_t timeout = call->timeout_ms ? call->timeout_ms : c->timeout_ms;
    struct al_clock *clock = al_clock_system();
    uint64_t deadline = al_clock_deadline(clock, timeout);
    uint64_t retry_until =
        c->retry_ms == UINT32_MAX ? deadline : al_clock_deadline(clock, c->retry_ms);
    struct al_rpc_request r = {
        .service = call->service, .method = call->method, .message = call->message};
    for (uint64_t pause = PAUSE_MS_FIRST;;
         pause = pause * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause * 2) {
        r.timeout_ms = ms_left(deadline);
        if (r.timeout_ms == 0)
            r.timeout_ms = 1;
        struct al_err e = {.code = AL_OK};
        enum al_code code = al_rpc_unary(c->channel, &r, a, ret, &e);
        if (code == AL_OK)
            return AL_OK;
        enum verdict v = judge(call, &e);
        uint64_t wait = pause / 2 + al_random_below(al_random_system(), pause / 2 + 1);
        if (v == WAIT_AS_TOLD) /* and a little: not all that were told the same at once */
            wait = e.retry_after_ms + al_random_below(al_random_system(), PAUSE_MS_FIRST);
        bool in_time =
            ms_left(deadline) > wait && (v == WAIT_AS_TOLD || ms_left(retry_until) > wait);
        if (v == GIVE_UP || !in_time) {
            if (err)
                *err = e;
            return code;
        }
        pause_ms(wait);
    }
}

#define AL_CLIENT_DEFINE(name_, service_, Method_, repeatable_)                                   \
    enum al_code al_client_##name_(struct al_client *c, const Airlore__V1__##Method_##Request *r, \
                                   struct al_arena *a, Airlore__V1__##Method_##Response **ret,    \
                                   struct al_err *err)                                            \
    {                                                                                             \
        struct al_client_call call = {.service = &airlore__v1__##service_##_service__descriptor,  \
                                      .method = #Method_,                                         \
                                      .message = &r->base,                                        \
                                      .repeatable = (repeatable_)};                               \
        ProtobufCMessage *reply = NULL;                                                           \
        AL_TRY(al_client_call(c, &call, a, &reply, err));                                         \
        *ret = (Airlore__V1__##Method_##Response *)(void *)reply;                                 \
        return AL_OK;                                                                             \
    }
AL_CLIENT_CALL_MAP(AL_CLIENT_DEFINE)
#undef AL_CLIENT_DEFINE
