/* airlore/mem.h - the memory port.
 *
 * Long-lived objects take a `struct al_mem *` in their options, so that a test can fail one
 * object's allocations only. There is no global hook. Request memory comes from an arena (arena.h).
 *
 * Thread: the object's own rule; al_mem_std() may be used from any thread.
 */
#ifndef AIRLORE_MEM_H
#define AIRLORE_MEM_H

#include <stddef.h>

#include "airlore/err.h"

/* alloc   n > 0 bytes, aligned for any type, or NULL.
 * resize  like realloc: p may be NULL; NULL on failure leaves p valid.
 * free    p may be NULL. */
struct al_mem {
    void *(*alloc)(struct al_mem *m, size_t n);
    void *(*resize)(struct al_mem *m, void *p, size_t n);
    void (*free)(struct al_mem *m, void *p);
};

/* The process's allocator. Shared, never freed. */
struct al_mem *al_mem_std(void);

/* n bytes, or NULL. m NULL means al_mem_std() in all functions here. Owned by the caller:
 * al_mem_free. */
void *al_mem_alloc(struct al_mem *m, size_t n) AL_NODISCARD;

/* n zeroed bytes, or NULL. */
void *al_mem_zalloc(struct al_mem *m, size_t n) AL_NODISCARD;

/* count * size zeroed bytes; NULL also when the product overflows. */
void *al_mem_array(struct al_mem *m, size_t count, size_t size) AL_NODISCARD;

/* Change the size of p (may be NULL) to n > 0 bytes; NULL leaves p as it was. */
void *al_mem_resize(struct al_mem *m, void *p, size_t n) AL_NODISCARD;

/* Give back; p may be NULL. */
void al_mem_free(struct al_mem *m, void *p);

/* A NUL-terminated copy of n bytes, or NULL. */
char *al_mem_strndup(struct al_mem *m, const char *s, size_t n) AL_NODISCARD;

/* Grow an array so that it holds at least `need` elements of `size` bytes (doubling); *p and *cap
 * change only on success. AL_RESOURCE_EXHAUSTED when out of memory or on overflow. */
AL_NODISCARD enum al_code al_mem_grow(struct al_mem *m, void **p, size_t *cap, size_t need,
                                      size_t size);

#endif
