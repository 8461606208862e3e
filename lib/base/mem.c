#include "airlore/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *std_alloc(struct al_mem *m, size_t n)
{
    (void)m;
    return malloc(n);
}

static void *std_resize(struct al_mem *m, void *p, size_t n)
{
    (void)m;
    return realloc(p, n);
}

static void std_free(struct al_mem *m, void *p)
{
    (void)m;
    free(p);
}

struct al_mem *al_mem_std(void)
{
    static struct al_mem std = {std_alloc, std_resize, std_free};
    return &std;
}

static struct al_mem *or_std(struct al_mem *m)
{
    return m ? m : al_mem_std();
}

void *al_mem_alloc(struct al_mem *m, size_t n)
{
    m = or_std(m);
    return m->alloc(m, n ? n : 1);
}

void *al_mem_zalloc(struct al_mem *m, size_t n)
{
    void *p = al_mem_alloc(m, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *al_mem_array(struct al_mem *m, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return al_mem_zalloc(m, n);
}

void *al_mem_resize(struct al_mem *m, void *p, size_t n)
{
    m = or_std(m);
    return m->resize(m, p, n ? n : 1);
}

void al_mem_free(struct al_mem *m, void *p)
{
    m = or_std(m);
    m->free(m, p);
}

char *al_mem_strndup(struct al_mem *m, const char *s, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *p = al_mem_alloc(m, n + 1);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

enum al_code al_mem_grow(struct al_mem *m, void **p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return AL_OK;
    size_t want = *cap < 8 ? 8 : *cap;
    while (want < need) {
        if (want > SIZE_MAX / 2)
            return AL_RESOURCE_EXHAUSTED;
        want *= 2;
    }
    size_t bytes;
    if (__builtin_mul_overflow(want, size, &bytes))
        return AL_RESOURCE_EXHAUSTED;
    void *q = al_mem_resize(m, *p, bytes);
    if (!q)
        return AL_RESOURCE_EXHAUSTED;
    *p = q;
    *cap = want;
    return AL_OK;
}
