/* server_options.h - defaults, ranges and what gRPC is told of them.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_RPC_SERVER_OPTIONS_H
#define AIRLORE_RPC_SERVER_OPTIONS_H

#include "airlore/rpc_server.h"
#include "runtime.h"

/* Defaults for what is 0, then the ranges of rpc_server.h. AL_INVALID_ARGUMENT with reason
 * BAD_OPTION. */
AL_NODISCARD enum al_code al_rpc_server_options_fill(struct al_rpc_server_options *o,
                                                     struct al_err *err);

struct al_rpc_server_args {
    grpc_arg v[24];
    size_t n;
    grpc_resource_quota *quota;
};

/* The channel arguments of a server with filled options. */
void al_rpc_server_args_fill(struct al_rpc_server_args *a, const struct al_rpc_server_options *o);

/* Give back what fill made; the server keeps references of its own. */
void al_rpc_server_args_fini(struct al_rpc_server_args *a);

#endif
