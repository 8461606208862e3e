/* budget.h - memory of all calls together, bounded.
 *
 * Thread:    any thread.
 * Lifecycle: init; nothing to end. The base allocator must outlive it.
 */
#ifndef AIRLORE_RPC_BUDGET_H
#define AIRLORE_RPC_BUDGET_H

#include <stdatomic.h>
#include <stdint.h>

#include "airlore/mem.h"

struct al_rpc_budget {
    struct al_mem mem; /* give this to arenas: NULL when the budget is used up */
    /* private state */
    struct al_mem *base;
    uint64_t max_bytes;
    _Atomic uint64_t used_bytes;
};

/* Start with nothing used. */
void al_rpc_budget_init(struct al_rpc_budget *b, struct al_mem *base, uint64_t max_bytes);

/* Bytes in use, headers included. */
uint64_t al_rpc_budget_used(const struct al_rpc_budget *b);

#endif
