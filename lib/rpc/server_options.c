#include "server_options.h"

#include <string.h>

#define ARENA_BYTES_MIN 4096u
#define TRANSPORT_BYTES_MIN ((uint64_t)16 << 20)
#define TRANSPORT_BYTES_MAX ((uint64_t)1 << 40)

struct range {
    const char *name;
    size_t offset; /* of a uint32_t */
    uint32_t def;
    uint32_t min;
    uint32_t max;
};

#define RANGE(field_, def_, min_, max_)                                                 \
    {                                                                                   \
#field_, offsetof(struct al_rpc_server_options, field_), (def_), (min_), (max_) \
    }

static const struct range ranges[] = {
    RANGE(n_pollers, 1, 1, 64),
    RANGE(pool_threads, 4, 1, 1024),
    RANGE(pool_queue_max, 256, 1, 1048576),
    RANGE(streams_max, 64, 1, 1024),
    RANGE(calls_max, 4096, 1, 1048576),
    RANGE(streams_per_connection_max, 1024, 1, 1048576),
    RANGE(message_bytes_max, AL_RPC_MESSAGE_BYTES_DEFAULT, 1024, 1u << 30),
    RANGE(depth_max, AL_RPC_DEPTH_DEFAULT, 1, 1000),
    RANGE(elements_max, AL_RPC_ELEMENTS_DEFAULT, 1, UINT32_MAX),
    RANGE(keepalive_ms, 60000, 1000, 3600000),
    RANGE(keepalive_timeout_ms, 20000, 100, 600000),
};

static enum al_code bad(struct al_err *err, const char *name, uint64_t v, uint64_t min,
                        uint64_t max)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                     "rpc server: option '%s' is %llu, must be %llu to %llu", name,
                     (unsigned long long)v, (unsigned long long)min, (unsigned long long)max);
}

enum al_code al_rpc_server_options_fill(struct al_rpc_server_options *o, struct al_err *err)
{
    if (!o->descriptor_set || o->descriptor_set_bytes == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                         "rpc server: option 'descriptor_set' is missing");
    for (size_t i = 0; i < AL_ARRAY_LEN(ranges); i++) {
        const struct range *r = &ranges[i];
        uint32_t v;
        memcpy(&v, (char *)o + r->offset, sizeof v);
        v = v ? v : r->def;
        if (v < r->min || v > r->max)
            return bad(err, r->name, v, r->min, r->max);
        memcpy((char *)o + r->offset, &v, sizeof v);
    }
    o->arena_bytes_max = o->arena_bytes_max ? o->arena_bytes_max : (size_t)64 << 20;
    if (o->arena_bytes_max < ARENA_BYTES_MIN)
        return bad(err, "arena_bytes_max", o->arena_bytes_max, ARENA_BYTES_MIN, UINT64_MAX);
    o->calls_bytes_max = o->calls_bytes_max ? o->calls_bytes_max : (uint64_t)1 << 30;
    if (o->calls_bytes_max < ARENA_BYTES_MIN)
        return bad(err, "calls_bytes_max", o->calls_bytes_max, ARENA_BYTES_MIN, UINT64_MAX);
    o->transport_bytes_max = o->transport_bytes_max ? o->transport_bytes_max : (uint64_t)256 << 20;
    if (o->transport_bytes_max < TRANSPORT_BYTES_MIN ||
        o->transport_bytes_max > TRANSPORT_BYTES_MAX)
        return bad(err, "transport_bytes_max", o->transport_bytes_max, TRANSPORT_BYTES_MIN,
                   TRANSPORT_BYTES_MAX);
    if (!o->clock)
        o->clock = al_clock_system();
    return AL_OK;
}

static void add_int(struct al_rpc_server_args *a, const char *key, uint32_t value)
{
    AL_ASSERT(a->n < AL_ARRAY_LEN(a->v));
    grpc_arg *arg = &a->v[a->n++];
    arg->type = GRPC_ARG_INTEGER;
    arg->key = (char *)key;
    arg->value.integer = (int)value;
}

void al_rpc_server_args_fill(struct al_rpc_server_args *a, const struct al_rpc_server_options *o)
{
    a->n = 0;
    add_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, o->message_bytes_max);
    add_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, o->message_bytes_max);
    add_int(a, GRPC_ARG_MAX_CONCURRENT_STREAMS, o->streams_per_connection_max);
    add_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, o->keepalive_ms);
    add_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, o->keepalive_timeout_ms);
    add_int(a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    add_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    /* Clients may ping every 5 s, with or without calls; only a flood of pings costs the
     * connection. */
    add_int(a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    add_int(a, GRPC_ARG_HTTP2_MAX_PING_STRIKES, 10);
    add_int(a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
    add_int(a, GRPC_ARG_ALLOW_REUSEPORT, 0); /* a port in use is an error, not shared */
    /* No compression: a small message could become a huge one before any limit sees it. */
    add_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    add_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    add_int(a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    add_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    /* Bounds what clients can make gRPC hold of messages that are not complete: beyond it, it drops
     * streams. */
    a->quota = grpc_resource_quota_create("airlore");
    grpc_resource_quota_resize(a->quota, (size_t)o->transport_bytes_max);
    grpc_arg *arg = &a->v[a->n++];
    arg->type = GRPC_ARG_POINTER;
    arg->key = (char *)GRPC_ARG_RESOURCE_QUOTA;
    arg->value.pointer.p = a->quota;
    arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
}

void al_rpc_server_args_fini(struct al_rpc_server_args *a)
{
    grpc_resource_quota_unref(a->quota);
}
