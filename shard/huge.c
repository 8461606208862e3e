#include "huge.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define LINE ((size_t)64)

void *al_huge_block(struct al_mem *mem, size_t n, uint8_t **ret_at)
{
    size_t align = n >= HUGE_PAGE ? HUGE_PAGE : LINE;
    if (n > SIZE_MAX - 2 * HUGE_PAGE)
        return NULL;
    n = (n + align - 1) / align * align;
    uint8_t *block = al_mem_alloc(mem, n + align);
    if (!block)
        return NULL;
    *ret_at = block + (align - (uintptr_t)block % align) % align;
    if (align == HUGE_PAGE)
        (void)madvise(*ret_at, n, MADV_HUGEPAGE);
    return block;
}

bool al_huge_offered(void)
{
    char text[64] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (!f)
        return false;
    bool read = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    return read && (strstr(text, "[madvise]") || strstr(text, "[always]"));
}
