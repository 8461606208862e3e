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
    l->n_bytes += put_varint(l->p + l->n_bytes, delta << 1 | (tf == 1));
    if (tf != 1)
        l->n_bytes += put_varint(l->p + l->n_bytes, tf);
    l->last = row;
    l->n_rows++;
    return AL_OK;
}

uint32_t al_skips_of(uint32_t n_rows)
{
    return n_rows ? (n_rows - 1) / AL_POSTINGS_BLOCK : 0;
}

static bool take_varint(struct al_cursor *c, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 42 && c->p < c->end; shift += 7) {
        uint8_t byte = *c->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static void stop(struct al_cursor *c, bool damaged)
{
    c->row = AL_ROW_NONE;
    c->left = 0;
    c->damaged = c->damaged || damaged;
}

void al_cursor_next(struct al_cursor *c)
{
    if (c->left == 0) {
        stop(c, false);
        return;
    }
    uint64_t delta = 0;
    uint64_t tf = 1;
    bool ok = take_varint(c, &delta);
    if (ok && !(delta & 1))
        ok = take_varint(c, &tf);
    delta >>= 1;
    uint64_t row = c->row == AL_ROW_NONE ? delta - 1 : c->row + delta; /* -1 before the first */
    if (!ok || delta == 0 || tf == 0 || tf > UINT32_MAX || row >= c->n_rows_limit) {
        stop(c, !ok || c->is_sealed || delta == 0 || tf == 0);
        return;
    }
    c->left--;
    c->row = (uint32_t)row;
    c->tf = (uint32_t)tf;
}

void al_cursor_init(struct al_cursor *c, const struct al_postings_view *v, uint32_t n_rows_limit,
                    bool is_sealed)
{
    *c = (struct al_cursor){
        .row = AL_ROW_NONE,
        .p = v->p,
        .end = v->p + v->n_bytes,
        .left = v->n_rows,
        .n_rows_limit = n_rows_limit,
        .is_sealed = is_sealed,
        .view = *v,
    };
    al_cursor_next(c);
}

/* Jump to the last block that starts at or before `row`, if it lies ahead. */
static void jump(struct al_cursor *c, uint32_t row)
{
    uint32_t low = 0;
    uint32_t high = al_skips_of(c->view.n_rows);
    while (low < high) { /* first skip whose row_before >= row */
        uint32_t mid = low + (high - low) / 2;
        if (c->view.skips[mid].row_before < row)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return;
    uint32_t left = c->view.n_rows - low * AL_POSTINGS_BLOCK;
    if (left >= c->left)
        return; /* the cursor is in this block already, or behind it */
    const struct al_skip *s = &c->view.skips[low - 1];
    if (s->offset > c->view.n_bytes || s->row_before < c->row || s->row_before >= c->n_rows_limit) {
        stop(c, true);
        return;
    }
    c->p = c->view.p + s->offset;
    c->left = left;
    c->row = s->row_before;
    al_cursor_next(c);
}

void al_cursor_seek(struct al_cursor *c, uint32_t row)
{
    if (c->row != AL_ROW_NONE && c->row < row && c->view.skips && c->left > AL_POSTINGS_BLOCK / 4)
        jump(c, row);
    while (c->row != AL_ROW_NONE && c->row < row)
        al_cursor_next(c);
}
