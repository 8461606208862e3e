/* client_int.h - the parts of a client that its files share.
 *
 * Thread: as in rpc_client.h.
 */
#ifndef AIRLORE_RPC_CLIENT_INT_H
#define AIRLORE_RPC_CLIENT_INT_H

#include <stdatomic.h>

#include "airlore/rpc_client.h"
#include "runtime.h"

#define AL_RPC_HEADERS_MAX 16u

struct al_rpc_channel {
    struct al_mem *mem;
    grpc_channel *grpc;
    grpc_completion_queue *cq;
    pthread_t poller;
    bool has_poller;
    struct al_rpc_limits limits;
    size_t arena_bytes_max;
    struct al_rpc_header headers[AL_RPC_HEADERS_MAX]; /* owned texts */
    size_t n_headers;
    pthread_mutex_t mu;
    pthread_cond_t idle; /* n_calls became 0 */
    size_t n_calls;      /* guarded by mu */
};

/* What unary calls and streams have in common: the gRPC call, its status, and its place in a cancel
 * object. */
struct al_rpc_client_call {
    struct al_rpc_channel *channel;
    grpc_call *grpc;
    const ProtobufCMethodDescriptor *method;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
    struct al_rpc_cancel *cancel;
    struct al_rpc_client_call *next; /* al_rpc_cancel.calls */
    struct al_rpc_client_call *prev;
};

/* Find the method and make the gRPC call; counts it in the channel. On error there is nothing to
 * end. */
AL_NODISCARD enum al_code al_rpc_client_call_init(struct al_rpc_client_call *k,
                                                  struct al_rpc_channel *c,
                                                  const struct al_rpc_request *r,
                                                  struct al_err *err);

/* Give all back; no batch may be outstanding. */
void al_rpc_client_call_fini(struct al_rpc_client_call *k);

/* From now on r->cancel reaches the call (at once, if it was fired before). */
void al_rpc_client_call_watch(struct al_rpc_client_call *k, struct al_rpc_cancel *cancel);

/* The metadata op of a new call; the slices live until al_rpc_client_headers_fini. */
struct al_rpc_client_headers {
    grpc_metadata v[2 * AL_RPC_HEADERS_MAX];
    size_t n;
};
AL_NODISCARD enum al_code al_rpc_client_headers_init(struct al_rpc_client_headers *h,
                                                     const struct al_rpc_channel *c,
                                                     const struct al_rpc_request *r,
                                                     struct al_err *err);

/* Drop the slices. */
void al_rpc_client_headers_fini(struct al_rpc_client_headers *h);

/* Fill the ops of a new call: send initial metadata; receive status. */
void al_rpc_client_op_start(grpc_op *op, struct al_rpc_client_headers *h, bool wait_for_ready);
void al_rpc_client_op_status(grpc_op *op, struct al_rpc_client_call *k);

/* The received status as a code, with message and reason in err. */
AL_NODISCARD enum al_code al_rpc_client_status(const struct al_rpc_client_call *k,
                                               struct al_err *err);

#endif
