/* prescan.h - look at untrusted protobuf bytes before the decoder does.
 *
 * protobuf-c 1.4.1 recurses without a limit, checks no UTF-8 and cuts strings at an embedded NUL.
 * This walk over the bytes, guided by the descriptor, refuses what the decoder would take badly,
 * and bounds what it may cost.
 *
 * One legal encoding is refused: a singular message field given twice (to be merged), when its type
 * has a oneof. protobuf-c cannot merge those; no encoder writes them.
 *
 * Thread: any thread (no shared state). The recursion is at most depth_max deep.
 */
#ifndef AIRLORE_RPC_PRESCAN_H
#define AIRLORE_RPC_PRESCAN_H

#include <protobuf-c/protobuf-c.h>

#include "airlore/arena.h"

struct al_rpc_limits {
    uint32_t depth_max;    /* nesting of messages; the outermost is 1 */
    uint32_t elements_max; /* fields and packed elements of one message, nested ones included */
    size_t bytes_max;      /* size of one message */
};

#define AL_RPC_DEPTH_DEFAULT 64u
#define AL_RPC_ELEMENTS_DEFAULT 4194304u
#define AL_RPC_MESSAGE_BYTES_DEFAULT (16u << 20)

/* Check bytes as a message of type d. AL_INVALID_ARGUMENT names message and field, with reason
 * BAD_UTF8, NUL_BYTE (text fields), MESSAGE_TOO_DEEP, TOO_MANY (the limits) or MESSAGE_MALFORMED
 * (all else); AL_RESOURCE_EXHAUSTED with reason MESSAGE_TOO_LARGE when bytes_max is
 * exceeded. */
AL_NODISCARD enum al_code al_rpc_prescan(const ProtobufCMessageDescriptor *d, struct al_str bytes,
                                         const struct al_rpc_limits *limits, struct al_err *err);

/* Check, then decode into the arena (not to be freed). Besides the above: AL_RESOURCE_EXHAUSTED
 * with reason MEMORY_LIMIT at the arena's limit. *ret only on success. */
AL_NODISCARD enum al_code al_rpc_unpack(const ProtobufCMessageDescriptor *d, struct al_str bytes,
                                        const struct al_rpc_limits *limits, struct al_arena *a,
                                        ProtobufCMessage **ret, struct al_err *err);

#endif
