/* airlore/arena.h - memory of one request, given back at once.
 *
 * A bump allocator with a byte limit. One arena lives as long as one call; decoder, engine and
 * reply allocate from it and nobody frees anything. Objects with a life of their own (a shard map,
 * a segment view) are ref'ed and linked: the arena drops the reference when it is reset.
 *
 * Thread:    serialized by the caller.
 * Lifecycle: init -> alloc* -> reset* -> fini. fini accepts zeroed memory.
 * Errors:    allocations give NULL when the limit is reached or memory is out: answer
 * AL_RESOURCE_EXHAUSTED.
 *
 * Under AddressSanitizer each allocation is a malloc of its own, so that use after reset is found.
 */
#ifndef AIRLORE_ARENA_H
#define AIRLORE_ARENA_H

#include <stddef.h>

#include "airlore/mem.h"
#include "airlore/str.h"

struct al_arena_block;
struct al_arena_link;

struct al_arena {
    /* private state */
    struct al_mem *mem;
    struct al_arena_block *blocks;
    struct al_arena_link *links;
    char *cur;
    char *end;
    size_t used_bytes;
    size_t limit_bytes;
    struct al_mem as_mem;
};

/* Start an empty arena; allocates nothing. mem borrowed (NULL: standard); limit_bytes > 0. Against
 * the limit an allocation of n bytes counts as n rounded up to 16, and 16 more: many small ones are
 * bounded too. */
void al_arena_init(struct al_arena *a, struct al_mem *mem, size_t limit_bytes);

/* Drop every allocation and every linked reference; the arena can be used again. */
void al_arena_reset(struct al_arena *a);

/* Reset and give everything back. Accepts zeroed memory. */
void al_arena_fini(struct al_arena *a);

/* n bytes aligned for any type, valid until reset; NULL at the limit. n = 0 gives a valid pointer.
 */
void *al_arena_alloc(struct al_arena *a, size_t n) AL_NODISCARD;

/* The same, zeroed. */
void *al_arena_zalloc(struct al_arena *a, size_t n) AL_NODISCARD;

/* count * size zeroed bytes; NULL also on overflow. */
void *al_arena_array(struct al_arena *a, size_t count, size_t size) AL_NODISCARD;

/* A NUL-terminated copy. */
char *al_arena_strndup(struct al_arena *a, const char *s, size_t n) AL_NODISCARD;

/* A copy of s in the arena; *ret changes only on success. */
AL_NODISCARD enum al_code al_arena_str(struct al_arena *a, struct al_str s, struct al_str *ret,
                                       struct al_err *err);

/* Formatted text, NUL-terminated; NULL at the limit. */
char *al_arena_printf(struct al_arena *a, const char *fmt, ...) AL_PRINTF(2, 3) AL_NODISCARD;

/* Call drop(object) at the next reset. On error the reference is dropped at once (moved in any
 * case). */
AL_NODISCARD enum al_code al_arena_link(struct al_arena *a, void (*drop)(void *object),
                                        void *object, struct al_err *err);

/* The arena as a memory port: free does nothing, resize copies. Borrowed; valid as long as the
 * arena. */
struct al_mem *al_arena_mem(struct al_arena *a);

/* Bytes taken since the last reset, as counted against the limit. */
size_t al_arena_used(const struct al_arena *a);

#endif
