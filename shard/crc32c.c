#include "crc32c.h"

#include <pthread.h>

/* Eight tables: eight bytes a step (Kounavis and Berry, "slicing-by-8", 2005). */
static uint32_t tables[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1u ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        tables[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFFu];
    }
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t al_crc32c(uint32_t crc, const void *p, size_t n)
{
    pthread_once(&once, make_tables);
    const uint8_t *at = p;
    uint32_t c = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint32_t lo = load32(at) ^ c;
        uint32_t hi = load32(at + 4);
        c = tables[7][lo & 0xFF] ^ tables[6][(lo >> 8) & 0xFF] ^ tables[5][(lo >> 16) & 0xFF] ^
            tables[4][lo >> 24] ^ tables[3][hi & 0xFF] ^ tables[2][(hi >> 8) & 0xFF] ^
            tables[1][(hi >> 16) & 0xFF] ^ tables[0][hi >> 24];
    }
    for (; n; n--, at++)
        c = (c >> 8) ^ tables[0][(c ^ *at) & 0xFF];
    return ~c;
}
