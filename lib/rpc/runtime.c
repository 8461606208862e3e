#include "runtime.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

static void drop_log(gpr_log_func_args *args)
{
    (void)args;
}

static void start_once(void)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (!getenv("GRPC_VERBOSITY"))
        gpr_set_log_function(drop_log);
    grpc_init();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void al_rpc_runtime_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_once);
}

void al_rpc_runtime_poll(grpc_completion_queue *cq)
{
    for (;;) {
        grpc_event e = grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return;
        if (e.type == GRPC_OP_COMPLETE) {
            struct al_rpc_tag *t = e.tag;
            AL_RPC_TAG_BACK(t);
            t->fn(t, e.success != 0);
        }
    }
}

enum al_code al_rpc_encode(const ProtobufCMessage *m, size_t bytes_max, grpc_byte_buffer **ret,
                           struct al_err *err)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    if (n > bytes_max)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                         "message '%s': %zu bytes, at most %zu can be sent", m->descriptor->name, n,
                         bytes_max);
    grpc_slice s = grpc_slice_malloc(n);
    protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(s));
    *ret = grpc_raw_byte_buffer_create(&s, 1);
    grpc_slice_unref(s); /* the buffer has its own reference */
    return AL_OK;
}

enum al_code al_rpc_decode(const ProtobufCMessageDescriptor *d, grpc_byte_buffer *bb,
                           const struct al_rpc_limits *limits, struct al_arena *a,
                           ProtobufCMessage **ret, struct al_err *err)
{
    if (bb->data.raw.compression != GRPC_COMPRESS_NONE)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "COMPRESSED_MESSAGE",
                         "message '%s': compressed messages are not accepted", d->name);
    size_t n = grpc_byte_buffer_length(bb);
    if (n > limits->bytes_max)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                         "message '%s': %zu bytes, at most %zu are allowed", d->name, n,
                         limits->bytes_max);
    grpc_byte_buffer_reader r;
    if (!grpc_byte_buffer_reader_init(&r, bb))
        return AL_FAIL(err, AL_INTERNAL, "message '%s': buffer cannot be read", d->name);
    enum al_code code;
    grpc_slice *only;
    if (bb->data.raw.slice_buffer.count == 1 && grpc_byte_buffer_reader_peek(&r, &only)) {
        code = al_rpc_unpack(d, al_rpc_slice_view(only), limits, a, ret, err);
    } else {
        grpc_slice s = grpc_byte_buffer_reader_readall(&r); /* a copy in one piece */
        code = al_rpc_unpack(d, al_rpc_slice_view(&s), limits, a, ret, err);
        grpc_slice_unref(s);
    }
    grpc_byte_buffer_reader_destroy(&r);
    return code;
}

grpc_slice al_rpc_slice(struct al_str s)
{
    return grpc_slice_from_copied_buffer(s.n ? s.p : "", s.n);
}

struct al_str al_rpc_slice_view(const grpc_slice *s)
{
    return (struct al_str){(const char *)GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
}

struct al_str al_rpc_metadata_find(const grpc_metadata_array *md, struct al_str key)
{
    for (size_t i = 0; i < md->count; i++) {
        if (al_str_eq(al_rpc_slice_view(&md->metadata[i].key), key))
            return al_rpc_slice_view(&md->metadata[i].value);
    }
    return (struct al_str){0};
}

bool al_rpc_metadata_is_legal(struct al_str key, struct al_str value)
{
    if (key.n == 0 || key.n > 128 || value.n > 4096)
        return false;
    if (al_str_starts(key, AL_STR("grpc-")) || al_str_ends(key, AL_STR("-bin")))
        return false;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < 0x20 || value.p[i] > 0x7e)
            return false;
    }
    return true;
}
