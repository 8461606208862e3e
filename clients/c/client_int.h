/* client_int.h - what the files of the client share. Thread: as in client.h. */
#ifndef AIRLORE_CLIENT_INT_H
#define AIRLORE_CLIENT_INT_H

#include "airlore/client.h"
#include "airlore/rpc_client.h"

struct al_client {
    struct al_mem *mem;
    struct al_rpc_channel *channel;
    uint32_t timeout_ms;
    uint32_t retry_ms;
};

#endif
