#include "airlore/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES_MIN ((size_t)4096)
#define BLOCK_BYTES_MAX ((size_t)256 * 1024)
#define ALIGN ((size_t)16)

#if defined(__SANITIZE_ADDRESS__)
#define ONE_MALLOC_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_MALLOC_EACH 1
#endif
#endif
#ifndef ONE_MALLOC_EACH
#define ONE_MALLOC_EACH 0
#endif

struct al_arena_block {
    struct al_arena_block *next; /* al_arena.blocks */
    size_t bytes;
};

struct al_arena_link {
    struct al_arena_link *next; /* al_arena.links */
    void (*drop)(void *object);
    void *object;
};

#define HEADER ((sizeof(struct al_arena_block) + ALIGN - 1) / ALIGN * ALIGN)

/* Each allocation keeps its size in front, so that resize knows what to copy. */
#define PREFIX ALIGN

void al_arena_init(struct al_arena *a, struct al_mem *mem, size_t limit_bytes)
{
    AL_ASSERT(limit_bytes > 0);
    *a = (struct al_arena){.mem = mem ? mem : al_mem_std(), .limit_bytes = limit_bytes};
}

static void free_blocks(struct al_arena *a, struct al_arena_block *keep)
{
    struct al_arena_block *b = a->blocks;
    while (b) {
        struct al_arena_block *next = b->next;
        if (b != keep)
            al_mem_free(a->mem, b);
        b = next;
    }
    a->blocks = keep;
    if (keep)
        keep->next = NULL;
}

static void drop_links(struct al_arena *a)
{
    struct al_arena_link *l = a->links;
    a->links = NULL;
    for (; l; l = l->next) /* the links themselves are arena memory, still valid here */
        l->drop(l->object);
}

void al_arena_reset(struct al_arena *a)
{
    drop_links(a);
    struct al_arena_block *keep = ONE_MALLOC_EACH ? NULL : a->blocks;
    if (keep && keep->bytes > BLOCK_BYTES_MAX)
        keep = NULL;
    free_blocks(a, keep);
    a->cur = keep ? (char *)keep + HEADER : NULL;
    a->end = keep ? (char *)keep + HEADER + keep->bytes : NULL;
    a->used_bytes = 0;
}

void al_arena_fini(struct al_arena *a)
{
    if (!a->mem)
        return;
    drop_links(a);
    free_blocks(a, NULL);
    *a = (struct al_arena){0};
}

static bool add_block(struct al_arena *a, size_t need)
{
    size_t bytes = need;
    if (!ONE_MALLOC_EACH) {
        size_t grow = a->blocks ? a->blocks->bytes * 2 : BLOCK_BYTES_MIN;
        grow = grow > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : grow;
        bytes = need > grow ? need : grow;
    }
    struct al_arena_block *b = al_mem_alloc(a->mem, HEADER + bytes);
    if (!b)
        return false;
    b->next = a->blocks;
    b->bytes = bytes;
    a->blocks = b;
    a->cur = (char *)b + HEADER;
    a->end = a->cur + bytes;
    return true;
}

void *al_arena_alloc(struct al_arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t need = PREFIX + (n + ALIGN - 1) / ALIGN * ALIGN;
    if (need > a->limit_bytes || a->limit_bytes - need < a->used_bytes)
        return NULL;
    if (ONE_MALLOC_EACH || (size_t)(a->end - a->cur) < need) {
        if (!add_block(a, need))
            return NULL;
    }
    char *p = a->cur;
    a->cur += need;
    a->used_bytes += need;
    memcpy(p, &n, sizeof n);
    return p + PREFIX;
}

void *al_arena_zalloc(struct al_arena *a, size_t n)
{
    void *p = al_arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *al_arena_array(struct al_arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return al_arena_zalloc(a, n);
}

char *al_arena_strndup(struct al_arena *a, const char *s, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *p = al_arena_alloc(a, n + 1);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

enum al_code al_arena_str(struct al_arena *a, struct al_str s, struct al_str *ret,
                          struct al_err *err)
{
    char *p = al_arena_strndup(a, s.p, s.n);
    if (!p)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    *ret = (struct al_str){p, s.n};
    return AL_OK;
}

char *al_arena_printf(struct al_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *p = al_arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

enum al_code al_arena_link(struct al_arena *a, void (*drop)(void *object), void *object,
                           struct al_err *err)
{
    struct al_arena_link *l = al_arena_alloc(a, sizeof *l);
    if (!l) {
        drop(object);
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    }
    *l = (struct al_arena_link){a->links, drop, object};
    a->links = l;
    return AL_OK;
}

static struct al_arena *of_mem(struct al_mem *m)
{
    return (struct al_arena *)(void *)((char *)m - offsetof(struct al_arena, as_mem));
}

static void *mem_alloc(struct al_mem *m, size_t n)
{
    return al_arena_alloc(of_mem(m), n);
}

static void *mem_resize(struct al_mem *m, void *p, size_t n)
{
    size_t old = 0;
    if (p)
        memcpy(&old, (char *)p - PREFIX, sizeof old);
    if (p && n <= old)
        return p;
    void *q = al_arena_alloc(of_mem(m), n);
    if (q && old)
        memcpy(q, p, old);
    return q;
}

static void mem_free(struct al_mem *m, void *p)
{
    (void)m;
    (void)p;
}

struct al_mem *al_arena_mem(struct al_arena *a)
{
    a->as_mem = (struct al_mem){mem_alloc, mem_resize, mem_free};
    return &a->as_mem;
}

size_t al_arena_used(const struct al_arena *a)
{
    return a->used_bytes;
}
