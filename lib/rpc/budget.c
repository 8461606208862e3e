#include "budget.h"

#include <string.h>

/* Each block keeps its size in front; 16 bytes keep the alignment. */
#define HEADER_BYTES 16u

static struct al_rpc_budget *of_mem(struct al_mem *m)
{
    return (struct al_rpc_budget *)(void *)((char *)m - offsetof(struct al_rpc_budget, mem));
}

static void *budget_alloc(struct al_mem *m, size_t n)
{
    struct al_rpc_budget *b = of_mem(m);
    if (n > SIZE_MAX - HEADER_BYTES)
        return NULL;
    uint64_t all = n + HEADER_BYTES;
    uint64_t before = atomic_fetch_add_explicit(&b->used_bytes, all, memory_order_relaxed);
    char *p = NULL;
    if (before <= b->max_bytes && all <= b->max_bytes - before)
        p = al_mem_alloc(b->base, n + HEADER_BYTES);
    if (!p) {
        atomic_fetch_sub_explicit(&b->used_bytes, all, memory_order_relaxed);
        return NULL;
    }
    memcpy(p, &all, sizeof all);
    return p + HEADER_BYTES;
}

static void budget_free(struct al_mem *m, void *p)
{
    if (!p)
        return;
    struct al_rpc_budget *b = of_mem(m);
    uint64_t all;
    char *start = (char *)p - HEADER_BYTES;
    memcpy(&all, start, sizeof all);
    atomic_fetch_sub_explicit(&b->used_bytes, all, memory_order_relaxed);
    al_mem_free(b->base, start);
}

static void *budget_resize(struct al_mem *m, void *p, size_t n)
{
    void *q = budget_alloc(m, n);
    if (!q || !p)
        return q;
    uint64_t all;
    memcpy(&all, (char *)p - HEADER_BYTES, sizeof all);
    size_t old = (size_t)all - HEADER_BYTES;
    memcpy(q, p, old < n ? old : n);
    budget_free(m, p);
    return q;
}

void al_rpc_budget_init(struct al_rpc_budget *b, struct al_mem *base, uint64_t max_bytes)
{
    *b = (struct al_rpc_budget){
        .mem = {budget_alloc, budget_resize, budget_free}, .base = base, .max_bytes = max_bytes};
}

uint64_t al_rpc_budget_used(const struct al_rpc_budget *b)
{
    return atomic_load_explicit(&b->used_bytes, memory_order_relaxed);
}
