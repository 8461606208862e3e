/* Fuzz entry: any bytes through the checks and the decoder, as every request goes. */
#include <stddef.h>
#include <stdint.h>

#include "prescan.h"
#include "rpc_test.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct al_rpc_limits limits = {AL_RPC_DEPTH_DEFAULT, 100000, 1 << 20};
    struct al_arena arena;
    al_arena_init(&arena, NULL, (size_t)16 << 20);
    ProtobufCMessage *m = NULL;
    struct al_str bytes = {(const char *)data, size};
    if (al_rpc_unpack(&airlore__rpctest__everything__descriptor, bytes, &limits, &arena, &m,
                      NULL) == AL_OK) {
        /* What was decoded can be encoded again, within the arena's memory. */
        size_t n = protobuf_c_message_get_packed_size(m);
        uint8_t *out = al_arena_alloc(&arena, n);
        if (out && protobuf_c_message_pack(m, out) != n)
            __builtin_trap();
    }
    al_arena_fini(&arena);
    return 0;
}
