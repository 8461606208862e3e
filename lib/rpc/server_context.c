/* What a handler may ask of its call. */
#include <string.h>

#include <grpc/support/alloc.h>

#include "airlore/random.h"
#include "server_int.h"
#include "status.h"

struct al_arena *al_rpc_call_arena(struct al_rpc_call *call)
{
    return &call->arena;
}

struct al_arena *al_rpc_call_scratch(struct al_rpc_call *call)
{
    return &call->scratch;
}

uint64_t al_rpc_call_deadline_ns(const struct al_rpc_call *call)
{
    return call->deadline_ns;
}

bool al_rpc_call_is_cancelled(const struct al_rpc_call *call)
{
    return atomic_load_explicit(&call->is_cancelled, memory_order_acquire) ||
           al_clock_has_passed(call->server->opt.clock, call->deadline_ns);
}

const char *al_rpc_call_method(const struct al_rpc_call *call)
{
    return call->method ? call->method->path : "unknown";
}

bool al_rpc_call_is_builtin(const struct al_rpc_call *call)
{
    return call->method && call->method->is_system;
}

struct al_str al_rpc_call_metadata(const struct al_rpc_call *call, const char *key)
{
    return al_rpc_metadata_find(&call->metadata, al_str_c(key));
}

const char *al_rpc_call_peer(struct al_rpc_call *call)
{
    if (call->peer)
        return call->peer;
    char *peer = grpc_call_get_peer(call->grpc);
    if (peer)
        call->peer = al_arena_strndup(&call->arena, peer, strlen(peer));
    gpr_free(peer);
    return call->peer ? call->peer : "unknown";
}

/* Values of a property of the verified peer, in the arena; at most n. */
static size_t peer_values(struct al_rpc_call *call, const char *property, const char **ret,
                          size_t n)
{
    grpc_auth_context *auth = grpc_call_auth_context(call->grpc);
    if (!auth)
        return 0;
    size_t found = 0;
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(auth, property);
    const grpc_auth_property *p;
    while (found < n && (p = grpc_auth_property_iterator_next(&it)) != NULL) {
        if (!p->value_length || memchr(p->value, 0, p->value_length))
            continue;
        ret[found] = al_arena_strndup(&call->arena, p->value, p->value_length);
        found += ret[found] != NULL;
    }
    grpc_auth_context_release(auth);
    return found;
}

static const char *peer_value(struct al_rpc_call *call, const char *property)
{
    const char *v = NULL;
    return peer_values(call, property, &v, 1) ? v : NULL;
}

const char *al_rpc_call_peer_cn(struct al_rpc_call *call)
{
    return peer_value(call, GRPC_X509_CN_PROPERTY_NAME);
}

const char *al_rpc_call_peer_cert(struct al_rpc_call *call)
{
    return peer_value(call, GRPC_X509_PEM_CERT_PROPERTY_NAME);
}

size_t al_rpc_call_peer_uris(struct al_rpc_call *call, const char **ret, size_t n)
{
    return peer_values(call, GRPC_PEER_URI_PROPERTY_NAME, ret, n);
}

static bool is_request_id(struct al_str s)
{
    if (s.n == 0 || s.n > 128)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= 0x20 || s.p[i] > 0x7e)
            return false;
    }
    return true;
}

const char *al_rpc_call_request_id(struct al_rpc_call *call)
{
    if (call->request_id)
        return call->request_id;
    struct al_str given = al_rpc_call_metadata(call, AL_RPC_REQUEST_ID_KEY);
    char made[37];
    if (!is_request_id(given)) {
        al_random_uuid(al_random_system(), al_clock_wall_ms(call->server->opt.clock), made);
        given = al_str_c(made);
    }
    call->request_id = al_arena_strndup(&call->arena, given.p, given.n);
    return call->request_id ? call->request_id : "unknown";
}

size_t al_rpc_call_request_bytes(const struct al_rpc_call *call)
{
    return call->request_bytes;
}

enum al_code al_rpc_call_set_trailing(struct al_rpc_call *call, const char *key,
                                      struct al_str value, struct al_err *err)
{
    if (!al_rpc_metadata_is_legal(al_str_c(key), value))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "trailer '%s': cannot be sent", key);
    if (call->n_trailers == AL_RPC_TRAILERS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "trailer '%s': more than %u", key,
                       AL_RPC_TRAILERS_MAX);
    struct al_str k;
    struct al_str v;
    AL_TRY(al_arena_str(&call->arena, al_str_c(key), &k, err));
    AL_TRY(al_arena_str(&call->arena, value, &v, err));
    call->trailers[call->n_trailers++] = (struct al_rpc_trailer){k.p, v};
    return AL_OK;
}

enum al_code al_rpc_call_set_user(struct al_rpc_call *call, void *user, void (*drop)(void *user),
                                  struct al_err *err)
{
    if (call->user) {
        if (drop)
            drop(user);
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "call: has a user object already");
    }
    if (drop)
        AL_TRY(al_arena_link(&call->arena, drop, user, err));
    call->user = user;
    return AL_OK;
}

void *al_rpc_call_user(const struct al_rpc_call *call)
{
    return call->user;
}
