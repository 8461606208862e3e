/* airlore/router.h - which shard has what.
 *
 * Thread: immutable after create (standalone); any thread.
 */
#ifndef AIRLORE_ROUTER_H
#define AIRLORE_ROUTER_H

#include "airlore/shard_port.h"

struct al_router {
    struct al_shard_port *
        *shards;     /* borrowed; shard i has slots [i * 65536 / n, (i + 1) * 65536 / n) */
    size_t n_shards; /* 1 to 256, a power of two */
};

/* Index of the shard that a document lives on. */
size_t al_router_of_doc(const struct al_router *r, uint32_t space, struct al_str id);

/* Slots of shard i of n, inclusive. */
void al_router_slots(size_t i, size_t n, uint16_t *ret_first, uint16_t *ret_last);

/* A read-your-writes token: one log index for each shard that was written ("1:42,3:7"); printable,
 * at most 16 bytes a shard. */
struct al_token {
    uint64_t *index; /* n_shards; 0: not written */
};

/* Fresh zeros in the arena. */
AL_NODISCARD enum al_code al_token_init(const struct al_router *r, struct al_arena *a,
                                        struct al_token *ret, struct al_err *err);

/* As text in the arena. */
AL_NODISCARD enum al_code al_token_format(const struct al_router *r, const struct al_token *t,
                                          struct al_arena *a, struct al_str *ret,
                                          struct al_err *err);

/* From text; AL_INVALID_ARGUMENT, reason BAD_TOKEN. */
AL_NODISCARD enum al_code al_token_parse(const struct al_router *r, struct al_str text,
                                         struct al_arena *a, struct al_token *ret,
                                         struct al_err *err);

/* Wait until every shard has applied what the token says. AL_INVALID_ARGUMENT, reason BAD_TOKEN: it
 * names what is not written. */
AL_NODISCARD enum al_code al_token_wait(const struct al_router *r, const struct al_token *t,
                                        uint64_t deadline_ns, struct al_err *err);

/* The same for one shard. */
AL_NODISCARD enum al_code al_token_wait_shard(const struct al_router *r, const struct al_token *t,
                                              size_t shard, uint64_t deadline_ns,
                                              struct al_err *err);

#endif
