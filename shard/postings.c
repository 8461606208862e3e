/* Writing lists. */
#include "postings.h"

#include <string.h>

#define POSTING_BYTES_MAX 10u /* 33 bits and 32 bits as varints */
#define CAP_MIN 12u

static uint32_t put_varint(uint8_t *p, uint64_t v)
{
    uint32_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* delta: from the row before. */
static uint32_t put_posting(uint8_t *p, uint64_t delta, uint32_t tf)
{
    uint32_t n = put_varint(p, delta << 1 | (tf == 1));
    return tf == 1 ? n : n + put_varint(p + n, tf);
}

static bool reserve(struct al_postings *l, struct al_mem *mem)
{
    if (l->cap - l->n_bytes >= POSTING_BYTES_MAX)
        return true;
    uint32_t cap = l->cap ? l->cap + l->cap / 2 + POSTING_BYTES_MAX : CAP_MIN;
    if (cap < l->cap)
        return false;
    uint8_t *p = al_mem_resize(mem, l->p, cap);
    if (!p)
        return false;
    l->p = p;
    l->cap = cap;
    return true;
}

enum al_code al_postings_add(struct al_postings *l, struct al_mem *mem, uint32_t row, uint32_t tf)
{
    AL_ASSERT(tf > 0 && row != AL_ROW_NONE && (l->n_rows == 0 || row > l->last));
    if (!reserve(l, mem))
        return AL_RESOURCE_EXHAUSTED;
    uint64_t delta = l->n_rows ? (uint64_t)row - l->last : (uint64_t)row + 1;
    l->n_bytes += put_posting(l->p + l->n_bytes, delta, tf);
    l->last = row;
    l->n_rows++;
    return AL_OK;
}

/* ---- sealing ---- */

uint32_t al_blocks_of(uint32_t n_rows)
{
    return n_rows < AL_POSTINGS_BLOCK ? 0 : (n_rows - 1) / AL_POSTINGS_BLOCK + 1;
}

/* before: row of the posting before, AL_ROW_NONE (which is -1 here) at the start. */
static void seal_varints(const struct al_posting *p, uint32_t n, uint32_t before,
                         struct al_buf *bytes)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t buf[POSTING_BYTES_MAX];
        al_buf_add(bytes, buf, put_posting(buf, (uint32_t)(p[i].row - before), p[i].tf));
        before = p[i].row;
    }
}

static void seal_pack(const struct al_posting *p, uint32_t before, struct al_buf *bytes,
                      struct al_block *b)
{
    uint32_t gaps[AL_PACK_N];
    uint32_t tfs[AL_PACK_N];
    uint8_t out[2 * sizeof gaps];
    for (uint32_t i = 0; i < AL_PACK_N; i++) {
        gaps[i] = p[i].row - before - 1;
        tfs[i] = p[i].tf - 1;
        before = p[i].row;
    }
    b->row_bits = (uint8_t)al_pack_width(gaps);
    b->tf_bits = (uint8_t)al_pack_width(tfs);
    al_pack(gaps, b->row_bits, out);
    al_pack(tfs, b->tf_bits, out + al_pack_bytes(b->row_bits));
    al_buf_add(bytes, out, al_pack_bytes(b->row_bits) + al_pack_bytes(b->tf_bits));
}

static struct al_front front_of(const struct al_posting *p, uint32_t n, const uint8_t *codes)
{
    struct al_impacts m = {0};
    for (uint32_t i = 0; i < n; i++)
        al_impacts_add(&m, p[i].tf, codes[p[i].row]);
    return al_impacts_front(&m);
}

static void put_block(struct al_block *b, const struct al_front *f, struct al_buf *blocks)
{
    for (uint32_t i = 0; i < AL_FRONT_MAX; i++)
        b->front[i] = f->pairs[i < f->n ? i : f->n - 1];
    al_buf_add(blocks, b, sizeof *b);
}

void al_postings_seal(const struct al_posting *p, uint32_t n, const uint8_t *length_codes,
                      struct al_buf *bytes, struct al_buf *blocks, struct al_front *ret_front)
{
    size_t start = bytes->n;
    uint32_t before = AL_ROW_NONE;
    if (al_blocks_of(n) == 0) {
        *ret_front = front_of(p, n, length_codes);
        seal_varints(p, n, before, bytes);
        return;
    }
    struct al_impacts all = {0};
    for (uint32_t i = 0; i < n; i += AL_POSTINGS_BLOCK) {
        uint32_t take = n - i < AL_POSTINGS_BLOCK ? n - i : AL_POSTINGS_BLOCK;
        struct al_front f = front_of(p + i, take, length_codes);
        struct al_block b = {.last_row = p[i + take - 1].row,
                             .offset = (uint32_t)(bytes->n - start)};
        if (take == AL_POSTINGS_BLOCK)
            seal_pack(p + i, before, bytes, &b);
        else
            seal_varints(p + i, take, before, bytes);
        put_block(&b, &f, blocks);
        al_impacts_add_front(&all, &f);
        before = b.last_row;
    }
    *ret_front = al_impacts_front(&all);
}
