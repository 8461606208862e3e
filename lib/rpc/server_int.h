/* server_int.h - the parts of a server that its files share.
 *
 * A call's life. A call object waits in its method's slot for a request (requested from the
 * completion queue). on_new fills the slot again, starts the batch that tells of the call's end,
 * asks admit, and sends the call to its place: run at once, a worker, or a stream thread. There the
 * handler runs and al_rpc_call_finish starts the batch with the status. The object holds one
 * reference for each batch that has not come back and one for the handler; when the last is
 * dropped, on_done runs and the memory goes.
 */
#ifndef AIRLORE_RPC_SERVER_INT_H
#define AIRLORE_RPC_SERVER_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "airlore/pool.h"
#include "airlore/rpc_server.h"
#include "budget.h"
#include "descriptor_set.h"
#include "runtime.h"

#define AL_RPC_TRAILERS_MAX 16u
#define AL_RPC_RETRY_CALLS_MS 100u /* told to who finds no room */
#define AL_RPC_RETRY_STREAMS_MS 1000u
#define AL_RPC_SYSTEM_THREADS 16u
#define AL_RPC_HEALTH_MAX 256u

struct al_rpc_health_entry {
    char *service; /* owned */
    bool is_serving;
};

/* What a call runs; one for each method of each registered service. */
struct al_rpc_server_method {
    struct al_rpc_server_method *next; /* al_rpc_server.methods */
    struct al_rpc_server *server;
    char *path; /* "/package.Service/Method"; owned */
    const ProtobufCMethodDescriptor *desc;
    const struct al_rpc_method *handler; /* NULL: not there yet */
    void *ctx;
    void *registered; /* gRPC's handle */
    enum al_rpc_kind kind;
    bool is_system; /* health and reflection: served while draining, on threads of their own */
};

struct al_rpc_server {
    struct al_rpc_server_options opt; /* with defaults filled in */
    struct al_rpc_limits limits;
    struct al_descriptor_set set;
    struct al_rpc_budget budget;
    grpc_server *grpc;
    grpc_completion_queue **cqs;
    grpc_completion_queue *stop_cq;
    pthread_t *pollers;
    uint32_t n_pollers; /* threads running */
    struct al_rpc_server_method *methods;
    const ProtobufCServiceDescriptor **services;
    size_t n_services;
    size_t services_cap;
    struct al_pool *pool;
    struct al_pool *stream_pool;
    struct al_pool *system_pool;
    bool is_started;
    bool is_stopped;
    _Atomic bool is_draining;
    _Atomic uint32_t n_active; /* calls between arrival and end */
    _Atomic uint32_t n_streams;
    _Atomic uint32_t n_system_streams;
    pthread_mutex_t mu;
    pthread_cond_t idle;                /* n_objects became 0 */
    size_t n_objects;                   /* guarded by mu; call objects, waiting ones included */
    struct al_rpc_call *streams;        /* guarded by mu; calls whose stream handler runs */
    struct al_rpc_health_entry *health; /* guarded by mu */
    size_t n_health;                    /* guarded by mu */
    size_t health_cap;                  /* guarded by mu */
};

struct al_rpc_trailer {
    const char *key;     /* in the arena */
    struct al_str value; /* in the arena */
};

struct al_rpc_call {
    struct al_rpc_tag new_tag;
    struct al_rpc_tag close_tag;
    struct al_rpc_tag finish_tag;
    struct al_rpc_tag read_tag;
    struct al_rpc_tag write_tag;
    struct al_rpc_server *server;
    struct al_rpc_server_method *method; /* NULL: the catch-all */
    uint32_t poller;
    _Atomic uint32_t refs;
    bool must_repost; /* no memory for a successor: this object goes back to its slot */
    grpc_call *grpc;
    gpr_timespec grpc_deadline;
    grpc_metadata_array metadata;
    grpc_call_details details; /* catch-all only */
    grpc_byte_buffer *payload; /* the request of unary and server-streaming calls */
    grpc_byte_buffer *reply;
    int close_flag;
    size_t request_bytes;
    uint64_t start_ns;
    uint64_t deadline_ns;
    struct al_arena arena;
    struct al_arena message_arena; /* the message read last */
    struct al_arena scratch;
    char *request_id;
    char *peer;
    void *user;
    struct al_rpc_trailer trailers[AL_RPC_TRAILERS_MAX];
    size_t n_trailers;
    enum al_code code; /* what was sent */
    bool is_admitted;  /* admit was asked: on_done is due */
    bool has_sent_metadata;
    _Atomic bool is_cancelled;
    /* streams */
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool read_is_back;  /* guarded by mu */
    bool write_is_back; /* guarded by mu */
    bool write_ok;      /* guarded by mu */
    bool is_woken;      /* guarded by mu */
    bool has_half_closed;
    grpc_byte_buffer *in;
    grpc_byte_buffer *out;
    struct al_rpc_call *next_stream; /* al_rpc_server.streams */
    struct al_rpc_call *prev_stream;
};

/* server_call.c: a call's life. */

/* Put a call object into the slot of method m (NULL: catch-all) on a poller; false without memory.
 */
bool al_rpc_call_post(struct al_rpc_server *s, struct al_rpc_server_method *m, uint32_t poller);

/* Start a batch that gives tag back; takes a reference for it. false (nothing started): the call is
 * cancelled. */
bool al_rpc_call_batch(struct al_rpc_call *c, const grpc_op *ops, size_t n, struct al_rpc_tag *tag);

/* End the call: reply (moved, may be NULL) and OK, or e's status. Drops the handler's reference. */
void al_rpc_call_finish(struct al_rpc_call *c, grpc_byte_buffer *reply, const struct al_err *e);

/* The initial metadata, once: adds an op if it has not been sent. Gives the number of ops added. */
size_t al_rpc_call_initial_op(struct al_rpc_call *c, grpc_op *op);

/* AL_CANCELLED or AL_DEADLINE_EXCEEDED, for a call that is over. */
AL_NODISCARD enum al_code al_rpc_call_over(const struct al_rpc_call *c, struct al_err *err);

/* Drop a reference. */
void al_rpc_call_unref(struct al_rpc_call *c);

/* server_stream.c: streams. */

/* Run the stream handler on a thread of its own, or finish with RESOURCE_EXHAUSTED. */
void al_rpc_stream_start(struct al_rpc_call *c);

/* The tags of reads and writes. */
void al_rpc_stream_on_read(struct al_rpc_tag *t, bool ok);
void al_rpc_stream_on_write(struct al_rpc_tag *t, bool ok);

/* Wake all stream handlers that wait. */
void al_rpc_stream_wake_all(struct al_rpc_server *s);

/* server.c */

/* A service, also one of the server's own. */
AL_NODISCARD enum al_code al_rpc_server_register(struct al_rpc_server *s,
                                                 const ProtobufCServiceDescriptor *desc,
                                                 const struct al_rpc_method *methods,
                                                 size_t n_methods, void *ctx, struct al_err *err);

/* health.c, reflection.c: add the server's own services. */
AL_NODISCARD enum al_code al_rpc_health_add(struct al_rpc_server *s, struct al_err *err);
AL_NODISCARD enum al_code al_rpc_reflection_add(struct al_rpc_server *s, struct al_err *err);

/* Whether a service is one of the server's own. */
bool al_rpc_is_system_service(const char *name);

#endif
