/* huge.h - memory with large pages, where the machine has them.
 *
 * A search jumps about in the bytes of an index; with pages of 4 KiB each jump misses the tables of
 * the processor too.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_SHARD_HUGE_H
#define AIRLORE_SHARD_HUGE_H

#include <stdint.h>

#include "airlore/mem.h"

/* A block of n bytes at least, the first of them in *ret_at: 64-byte aligned, and where that pays
 * on a large page of its own. NULL: out of memory. Owned: al_mem_free(mem, block). Without large
 * pages all works as well, slower. */
void *al_huge_block(struct al_mem *mem, size_t n, uint8_t **ret_at) AL_NODISCARD;

/* Whether the machine gives large pages to who asks (transparent_hugepage: always or madvise). */
bool al_huge_offered(void);

#endif
