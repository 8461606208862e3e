/* airlore/rpc_server.h - a gRPC server for protobuf-c services.
 *
 * A service is its generated descriptor and a table of handlers, matched by method name. Unary
 * handlers get the decoded request and give back a reply in the call's arena. Streaming handlers
 * (all three kinds) are plain blocking functions that call al_rpc_read and al_rpc_write on a thread
 * of their own; gRPC's flow control is what makes them wait.
 *
 *     static enum al_code get(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
 *                             ProtobufCMessage **ret_reply, struct al_err *err);
 *     static const struct al_rpc_method methods[] = {
 *         {.name = "Get", .where = AL_RPC_POOL, .unary = get},
 *         {.name = "Watch", .stream = watch},
 *     };
 *     ...
 *     al_rpc_server_create(&opt, &s, err);
 *     al_rpc_server_add_service(s, &pkg__thing__descriptor, methods, 2, ctx, err);
 *     al_rpc_server_listen(s, "127.0.0.1:0", NULL, &port, err);
 *     al_rpc_server_start(s, err);
 *
 * The server itself answers: unknown methods and methods without a handler (UNIMPLEMENTED; the
 * latter with the reason NOT_IMPLEMENTED_YET), grpc.health.v1.Health, and reflection v1 and v1alpha
 * over the descriptor set.
 *
 * An error goes to the client as status code and message, with the stable reason in the trailers
 * `airlore-reason` and `grpc-status-details-bin` (google.rpc.Status with google.rpc.ErrorInfo,
 * domain "airlore") and the id in `x-request-id`. Reasons of the server's own: QUEUE_FULL,
 * MEMORY_LIMIT, MESSAGE_TOO_LARGE (RESOURCE_EXHAUSTED), SHUTTING_DOWN (UNAVAILABLE), BAD_UTF8,
 * NUL_BYTE, MESSAGE_TOO_DEEP, TOO_MANY, MESSAGE_MALFORMED (INVALID_ARGUMENT), METHOD_UNKNOWN and
 * NOT_IMPLEMENTED_YET (UNIMPLEMENTED). Compressed messages are not accepted (UNIMPLEMENTED).
 *
 * Thread:    al_rpc_server_*: serialized by the caller; set_health, calls and close from any
 * thread. A call belongs to the thread that runs its handler; al_rpc_call_is_cancelled and
 *            al_rpc_call_wake from any thread while the handler runs; al_rpc_read and al_rpc_write
 *            may be used by two threads at once, one each.
 * Lifecycle: create -> add_service* -> listen+ -> start -> close -> stop -> destroy.
 * Memory:    every call has an arena with a limit; request, reply and all that a handler allocates
 *            for them live there until the call has ended. Nothing outlives the handler by pointing
 *            into it.
 */
#ifndef AIRLORE_RPC_SERVER_H
#define AIRLORE_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>

#include "airlore/arena.h"
#include "airlore/clock.h"
#include "airlore/metrics.h"
#include "airlore/rpc_tls.h"

struct al_rpc_server;
struct al_rpc_call;

enum al_rpc_where {
    AL_RPC_POOL,   /* on the bounded worker pool; a full queue answers RESOURCE_EXHAUSTED, reason
                      QUEUE_FULL */
    AL_RPC_INLINE, /* at once on the poller: only for what takes less than about 200 us and never
                      blocks */
};

/* One method.
 *
 * name    as in the .proto ("Search").
 * where   for unary handlers only; streams have threads of their own.
 * unary   req is valid until the call ends; *ret_reply must be set on AL_OK: a message of the
 * method's output type in the call's arena or static; borrowed. On error fill err (code, reason,
 * message); the reply is ignored. stream  reads and writes as it likes; its return value is the
 * status of the call. A server-streaming method reads its one request with al_rpc_read; a
 * client-streaming one writes its one reply with al_rpc_write.
 */
struct al_rpc_method {
    const char *name;
    enum al_rpc_where where;
    enum al_code (*unary)(void *ctx, struct al_rpc_call *call, const ProtobufCMessage *req,
                          ProtobufCMessage **ret_reply, struct al_err *err);
    enum al_code (*stream)(void *ctx, struct al_rpc_call *call, struct al_err *err);
};

/* Hooks around every call, those of health and reflection and those of methods that are unknown or
 * not there yet included; not around what QUEUE_FULL or SHUTTING_DOWN turned away. admit runs on a
 * poller, on_done on a poller or a handler's thread: both must be cheap and not block.
 *
 * admit: before anything of the request is decoded and before UNIMPLEMENTED. Anything but AL_OK
 * ends the call with that error. NULL: all pass.
 *
 * on_done: last, exactly once for each call that was offered to admit: the status sent (CANCELLED
 * or DEADLINE_EXCEEDED if the client was gone before it) and the time since the call came in. The
 * call's accessors still work.
 */
struct al_rpc_hooks {
    void *ctx;
    enum al_code (*admit)(void *ctx, struct al_rpc_call *call, struct al_err *err);
    void (*on_done)(void *ctx, struct al_rpc_call *call, enum al_code code, uint64_t micros);
};

/* 0 and NULL mean the default. Values out of range are refused by al_rpc_server_create.
 *
 * descriptor_set              a FileDescriptorSet with all imports; borrowed until destroy;
 * required n_pollers                   threads that drive the connections; 1 to 64; default 1
 * pool_threads                for AL_RPC_POOL; 1 to 1,024; default 4
 * pool_queue_max              calls waiting for such a thread; 1 to 1,048,576; default 256
 * streams_max                 streaming calls at once, a thread each; 1 to 1,024; default 64
 * calls_max                   calls at once of all kinds; 1 to 1,048,576; default 4,096
 * streams_per_connection_max  HTTP/2 concurrent streams; 1 to 1,048,576; default 1,024
 * message_bytes_max           one message in either direction; 1 KiB to 1 GiB; default 16 MiB
 * arena_bytes_max             memory of one call; at least 4 KiB; default 64 MiB
 * calls_bytes_max             arenas of all calls together; at least 4 KiB; default 1 GiB
 * transport_bytes_max         what is received and not complete, of all connections; beyond it,
 *                             streams are dropped; 16 MiB to 1 TiB; default 256 MiB
 * depth_max                   nesting of messages; 1 to 1,000; default 64
 * elements_max                fields in one message, nested ones included; default 4,194,304
 * keepalive_ms                ping a connection idle for so long; 1,000 to 3,600,000; default
 * 60,000 keepalive_timeout_ms        drop it without an answer; 100 to 600,000; default 20,000 mem,
 * clock, metrics         borrowed until destroy; NULL: the system's, the system's, none
 */
struct al_rpc_server_options {
    const uint8_t *descriptor_set;
    size_t descriptor_set_bytes;
    uint32_t n_pollers;
    uint32_t pool_threads;
    uint32_t pool_queue_max;
    uint32_t streams_max;
    uint32_t calls_max;
    uint32_t streams_per_connection_max;
    uint32_t message_bytes_max;
    size_t arena_bytes_max;
    uint64_t calls_bytes_max;
    uint64_t transport_bytes_max;
    uint32_t depth_max;
    uint32_t elements_max;
    uint32_t keepalive_ms;
    uint32_t keepalive_timeout_ms;
    struct al_rpc_hooks hooks;
    struct al_mem *mem;
    struct al_clock *clock;
    struct al_metrics *metrics;
};

/* Make a server; nothing listens yet. opt is copied. *ret owned: al_rpc_server_destroy.
 * Errors: AL_INVALID_ARGUMENT (an option, a descriptor set that is none), AL_RESOURCE_EXHAUSTED
 * (memory). */
AL_NODISCARD enum al_code al_rpc_server_create(const struct al_rpc_server_options *opt,
                                               struct al_rpc_server **ret, struct al_err *err);

/* A generated service and its handlers; several services are fine.
 *
 * desc, methods  borrowed until destroy (they are static tables). ctx is given to each handler;
 * borrowed. Errors: AL_INVALID_ARGUMENT (a handler whose name the service lacks, a unary handler
 * for a streaming method or the other way round, a service that the descriptor set lacks),
 * AL_ALREADY_EXISTS, AL_FAILED_PRECONDITION after start. */
AL_NODISCARD enum al_code al_rpc_server_add_service(struct al_rpc_server *s,
                                                    const ProtobufCServiceDescriptor *desc,
                                                    const struct al_rpc_method *methods,
                                                    size_t n_methods, void *ctx,
                                                    struct al_err *err);

/* Bind an address ("127.0.0.1:7700", "[::]:7700", "0.0.0.0:0", "unix:/run/airlore.sock"); may be
 * repeated before start. tls borrowed, NULL: none. *ret_port (may be NULL): the port bound, also
 * when 0 asked for a free one; 0 for a unix socket. Errors: AL_UNAVAILABLE with reason
 * ADDRESS_IN_USE (or not ours), AL_INVALID_ARGUMENT (certificates, reason BAD_TLS). */
AL_NODISCARD enum al_code al_rpc_server_listen(struct al_rpc_server *s, const char *address,
                                               const struct al_rpc_tls *tls, uint16_t *ret_port,
                                               struct al_err *err);

/* Start the threads and serve. Health answers SERVING from here. The process's soft limit of open
 * files is raised to the hard one: gRPC stops listening for good when it finds no free descriptor,
 * so that limit should be ample. After an error: destroy. */
AL_NODISCARD enum al_code al_rpc_server_start(struct al_rpc_server *s, struct al_err *err);

/* Begin to drain: health says NOT_SERVING, new calls get UNAVAILABLE (reason DRAINING), those in
 * flight go on. Idempotent, does not wait. */
void al_rpc_server_close(struct al_rpc_server *s);

/* close, wait until calls have ended but at most grace_ms, then cancel the rest, and end all
 * threads. A handler that does not look at its cancellation delays this. Gives true if everything
 * ended by itself. Never from a handler. */
bool al_rpc_server_stop(struct al_rpc_server *s, uint32_t grace_ms);

/* Free; stops without grace first if it was not stopped. Accepts NULL. */
void al_rpc_server_destroy(struct al_rpc_server *s);

/* What grpc.health.v1 says of a service; "" stands for the server. Unknown names are added (up to
 * 256). All services are SERVING after start, NOT_SERVING after close (which no set_health undoes).
 * Any thread. */
AL_NODISCARD enum al_code al_rpc_server_set_health(struct al_rpc_server *s, const char *service,
                                                   bool is_serving, struct al_err *err);

/* Calls between arrival and end. Any thread. */
uint32_t al_rpc_server_calls(const struct al_rpc_server *s);

/* Memory of the call, limited by arena_bytes_max; everything in it is valid until the call has
 * ended. */
struct al_arena *al_rpc_call_arena(struct al_rpc_call *call);

/* Memory for the next message of a stream, with the same limit: reset when al_rpc_write returns. */
struct al_arena *al_rpc_call_scratch(struct al_rpc_call *call);

/* When the client stops waiting, on the server's monotonic clock; AL_DEADLINE_NONE if it set no
 * deadline. */
uint64_t al_rpc_call_deadline_ns(const struct al_rpc_call *call);

/* The client has gone, its deadline has passed, or the server is being stopped: the answer reaches
 * nobody. Any thread. */
bool al_rpc_call_is_cancelled(const struct al_rpc_call *call);

/* "/airlore.v1.Knowledge/Search", "unknown" for a method of no registered service; valid until the
 * call ends. */
const char *al_rpc_call_method(const struct al_rpc_call *call);

/* Whether the call is to one of the server's own services (health, reflection): what admit usually
 * lets pass without a credential. */
bool al_rpc_call_is_builtin(const struct al_rpc_call *call);

/* Value of a metadata key (lower case; the first if repeated), p NULL if absent. Borrowed until the
 * call ends. */
struct al_str al_rpc_call_metadata(const struct al_rpc_call *call, const char *key);

/* "ipv4:10.0.0.7:51322"; never NULL. In the call's arena. */
const char *al_rpc_call_peer(struct al_rpc_call *call);

/* Common name of the client's certificate (mutual TLS), or NULL. In the call's arena. */
const char *al_rpc_call_peer_cn(struct al_rpc_call *call);

/* The client's certificate as PEM, or NULL: there is none. TLS has verified it against the
 * authority of the address (al_rpc_tls.ca_pem) when the connection was made; whether it has expired
 * since is for the caller to look at. In the call's arena; NULL also when that is full. */
const char *al_rpc_call_peer_cert(struct al_rpc_call *call);

/* Its URI names (subject alternative names), at most n of them; gives how many. In the call's
 * arena.
 */
size_t al_rpc_call_peer_uris(struct al_rpc_call *call, const char **ret, size_t n);

/* x-request-id of the client if it is 1 to 128 printable characters without spaces, else a UUID
 * made here. Never NULL. */
const char *al_rpc_call_request_id(struct al_rpc_call *call);

/* Bytes of the request as received; 0 for a client stream. */
size_t al_rpc_call_request_bytes(const struct al_rpc_call *call);

/* Add a trailer, sent with the status: at most 16, key lower case, value printable ASCII up to 4
 * KiB; both are copied. Errors: AL_INVALID_ARGUMENT, AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_rpc_call_set_trailing(struct al_rpc_call *call, const char *key,
                                                   struct al_str value, struct al_err *err);

/* Hang an object of the caller (the credential found by admit) on the call. drop(user) runs when
 * the call has ended; NULL: nothing. user is moved, also on error. Once per call. */
AL_NODISCARD enum al_code al_rpc_call_set_user(struct al_rpc_call *call, void *user,
                                               void (*drop)(void *user), struct al_err *err);

/* What set_user gave, or NULL. */
void *al_rpc_call_user(const struct al_rpc_call *call);

/* Next message of the client's stream: *ret_msg is valid until the next al_rpc_read, NULL when the
 * client has half-closed. Blocks until there is one. Errors: AL_CANCELLED or AL_DEADLINE_EXCEEDED
 * (the call is over), AL_INVALID_ARGUMENT (undecodable; reasons as for requests),
 * AL_RESOURCE_EXHAUSTED (memory). Return it: nothing more can be read. */
AL_NODISCARD enum al_code al_rpc_read(struct al_rpc_call *call, ProtobufCMessage **ret_msg,
                                      struct al_err *err);

/* Send a message of the method's output type; msg borrowed until return. Blocks while the client
 * reads too slowly. Errors: AL_CANCELLED or AL_DEADLINE_EXCEEDED (the call is over),
 * AL_RESOURCE_EXHAUSTED (larger than message_bytes_max). */
AL_NODISCARD enum al_code al_rpc_write(struct al_rpc_call *call, const ProtobufCMessage *msg,
                                       struct al_err *err);

/* Why al_rpc_call_wait returned. */
enum al_rpc_wait {
    AL_RPC_WAIT_TIMEOUT,
    AL_RPC_WAIT_WOKEN,     /* al_rpc_call_wake since the last wait */
    AL_RPC_WAIT_CANCELLED, /* the call is over: return */
    AL_RPC_WAIT_DRAINING,  /* the server is going down: end with AL_UNAVAILABLE, else it costs the
                              whole grace */
};

/* For streaming handlers that have nothing to send just now: sleep until woken, at most timeout_ms
 * (up to a day). A wake that came before is not lost. */
enum al_rpc_wait al_rpc_call_wait(struct al_rpc_call *call, uint64_t timeout_ms);

/* Wake the handler in al_rpc_call_wait. Any thread, while the handler runs (it unhooks itself
 * before it returns). */
void al_rpc_call_wake(struct al_rpc_call *call);

AL_DEFINE_AUTO(al_rpc_server);

#endif
