/* airlore/rpc_client.h - calls to a gRPC server with protobuf-c messages.
 *
 * A channel is one connection (made when first needed, remade when lost) and one thread that drives
 * it. Unary calls block, or end in a callback; streams of all kinds block with a deadline.
 *
 * An error comes back as the status code of the call, its message and the reason that the server
 * put into the trailer `airlore-reason` (else the code's name); a connection that cannot be made is
 * AL_UNAVAILABLE.
 *
 * Thread:    a channel: any thread. A stream: one reader and one writer at once; cancel from any
 *            thread; finish and destroy when both are done. A cancel object: any thread.
 * Lifecycle: al_rpc_channel_create -> calls -> al_rpc_channel_destroy, when no call is left.
 */
#ifndef AIRLORE_RPC_CLIENT_H
#define AIRLORE_RPC_CLIENT_H

#include <pthread.h>

#include <protobuf-c/protobuf-c.h>

#include "airlore/arena.h"
#include "airlore/rpc_tls.h"

struct al_rpc_channel;
struct al_rpc_stream;
struct al_rpc_client_call;

/* One metadata entry: key lower case, value printable ASCII. */
struct al_rpc_header {
    const char *key;
    const char *value;
};

/* 0 and NULL mean the default.
 *
 * target             "127.0.0.1:7700", "dns:///host:7700", "unix:/run/airlore.sock"; required
 * tls                borrowed for the call; NULL: plain text
 * headers            sent with every call (authorization); copied; at most 16
 * message_bytes_max  one message in either direction; up to 1 GiB; default 16 MiB
 * arena_bytes_max    memory of one reply of a stream or an asynchronous call; default 256 MiB
 * keepalive_ms       ping while calls are open; 0: none; not below 20,000 unless the server allows
 * it mem                borrowed until destroy; NULL: the system's
 */
struct al_rpc_channel_options {
    const char *target;
    const struct al_rpc_tls *tls;
    const struct al_rpc_header *headers;
    size_t n_headers;
    uint32_t message_bytes_max;
    size_t arena_bytes_max;
    uint32_t keepalive_ms;
    struct al_mem *mem;
};

/* Make a channel; connects at the first call. *ret owned: al_rpc_channel_destroy.
 * Errors: AL_INVALID_ARGUMENT (target, headers, certificates), AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_rpc_channel_create(const struct al_rpc_channel_options *opt,
                                                struct al_rpc_channel **ret, struct al_err *err);

/* End it; waits for calls still running. Never from a callback. Accepts NULL. */
void al_rpc_channel_destroy(struct al_rpc_channel *c);

/* Something that can cancel calls from outside: give it to any number of calls. In the caller's
 * memory. */
struct al_rpc_cancel {
    /* private state */
    pthread_mutex_t mu;
    bool fired;                       /* guarded by mu */
    struct al_rpc_client_call *calls; /* guarded by mu */
};

/* Start unfired. */
void al_rpc_cancel_init(struct al_rpc_cancel *c);

/* Cancel all its calls, those running and those to come. Any thread, also a signal-handling thread
 * (not a handler). */
void al_rpc_cancel_fire(struct al_rpc_cancel *c);

/* End it, when no call uses it. */
void al_rpc_cancel_fini(struct al_rpc_cancel *c);

/* What to call. Borrowed: until return for blocking calls; until the callback has returned for
 * asynchronous ones (message and headers: until return); until destroy for streams (headers: until
 * return of open).
 *
 * method          as in the .proto ("Search")
 * message         of unary calls; ignored by al_rpc_stream_open
 * timeout_ms      from now, for the whole call; 0: none
 * headers         besides the channel's; at most 16
 * wait_for_ready  wait for the server to come up instead of failing at once with AL_UNAVAILABLE
 * cancel          NULL: none
 */
struct al_rpc_request {
    const ProtobufCServiceDescriptor *service;
    const char *method;
    const ProtobufCMessage *message;
    uint64_t timeout_ms;
    const struct al_rpc_header *headers;
    size_t n_headers;
    bool wait_for_ready;
    struct al_rpc_cancel *cancel;
};

/* A unary call; blocks. *ret is in arena a, borrowed from it; its bytes count against a's limit.
 * Errors: those of the server; AL_DEADLINE_EXCEEDED, AL_CANCELLED, AL_UNAVAILABLE,
 * AL_RESOURCE_EXHAUSTED, AL_INTERNAL (undecodable reply, reasons as for requests);
 * AL_INVALID_ARGUMENT (no such method in the descriptor). */
AL_NODISCARD enum al_code al_rpc_unary(struct al_rpc_channel *c, const struct al_rpc_request *r,
                                       struct al_arena *a, ProtobufCMessage **ret,
                                       struct al_err *err);

/* End of an asynchronous call: reply valid during the callback, NULL on error; err filled on error.
 * Runs on the channel's thread: must not block, must not destroy the channel; may start further
 * calls. */
struct al_rpc_callback {
    void (*fn)(void *u, enum al_code code, const ProtobufCMessage *reply, const struct al_err *err);
    void *u;
};

/* Start a unary call. On AL_OK the callback runs exactly once; on error never. */
AL_NODISCARD enum al_code al_rpc_unary_async(struct al_rpc_channel *c,
                                             const struct al_rpc_request *r,
                                             struct al_rpc_callback done, struct al_err *err);

/* Open a stream of any kind. Does not wait for the server. *ret owned: al_rpc_stream_destroy. */
AL_NODISCARD enum al_code al_rpc_stream_open(struct al_rpc_channel *c,
                                             const struct al_rpc_request *r,
                                             struct al_rpc_stream **ret, struct al_err *err);

/* Send a message; borrowed until return. Blocks while the server reads too slowly. If the call is
 * over: its status (an OK status as AL_FAILED_PRECONDITION with reason STREAM_ENDED). */
AL_NODISCARD enum al_code al_rpc_stream_write(struct al_rpc_stream *s, const ProtobufCMessage *msg,
                                              struct al_err *err);

/* Half-close: no more writes. Does not wait for the server. Idempotent. */
AL_NODISCARD enum al_code al_rpc_stream_writes_done(struct al_rpc_stream *s, struct al_err *err);

/* Next message, valid until the next read; NULL with AL_OK when the server has ended with OK; else
 * its status. */
AL_NODISCARD enum al_code al_rpc_stream_read(struct al_rpc_stream *s, ProtobufCMessage **ret,
                                             struct al_err *err);

/* Half-close if needed, drop what was not read, wait for the end and give the status of the call.
 * May be repeated. */
AL_NODISCARD enum al_code al_rpc_stream_finish(struct al_rpc_stream *s, struct al_err *err);

/* Cancel: reads and writes end with AL_CANCELLED. Any thread. */
void al_rpc_stream_cancel(struct al_rpc_stream *s);

/* Free; cancels first if the call is not over. Accepts NULL. */
void al_rpc_stream_destroy(struct al_rpc_stream *s);

AL_DEFINE_AUTO(al_rpc_channel);
AL_DEFINE_AUTO(al_rpc_stream);

#endif
