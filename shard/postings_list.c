/* Reading lists. The bytes may be damaged: what a block says of itself is checked when the segment
 * is loaded (al_blocks_fit), and that its rows end where it says when it is read; as rows of a
 * block can only ascend, all of them are below the limit then. */
#include <string.h>

#include "postings.h"

#define BITS_ASCEND 24u /* 128 gaps of so many bits cannot pass 2^32 */
#define TF_BITS_MAX 31u

bool al_blocks_fit(const struct al_postings_view *v, uint32_t n_rows_limit)
{
    uint32_t n = al_blocks_of(v->n_rows);
    uint32_t n_full = v->n_rows / AL_POSTINGS_BLOCK;
    uint64_t at = 0;
    uint64_t rows_before = 0; /* the last row of the block before, plus one */
    for (uint32_t i = 0; i < n; i++) {
        const struct al_block *b = &v->blocks[i];
        if (b->offset != at || b->last_row < rows_before || b->last_row >= n_rows_limit ||
            b->row_bits > 32 || b->tf_bits > TF_BITS_MAX)
            return false;
        if (i < n_full)
            at += al_pack_bytes(b->row_bits) + al_pack_bytes(b->tf_bits);
        if (at > v->n_bytes)
            return false;
        rows_before = (uint64_t)b->last_row + 1;
    }
    return n > n_full || n == 0 || at == v->n_bytes;
}

static bool take_varint(struct al_list *l, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 42 && l->next < l->end; shift += 7) {
        uint8_t byte = *l->next++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static void stop(struct al_list *l, bool damaged)
{
    l->at = 0;
    l->n = 0;
    l->left = 0;
    l->block = l->n_blocks;
    l->damaged = l->damaged || damaged;
}

/* Read up to 128 varint postings that follow `before`. */
static void read_varints(struct al_list *l, uint32_t before)
{
    uint32_t n = l->left < AL_POSTINGS_BLOCK ? l->left : AL_POSTINGS_BLOCK;
    uint32_t i = 0;
    uint64_t row = before == AL_ROW_NONE ? UINT64_MAX : before;
    for (; i < n; i++) {
        uint64_t delta = 0;
        uint64_t tf = 1;
        bool ok = take_varint(l, &delta);
        if (ok && !(delta & 1))
            ok = take_varint(l, &tf);
        delta >>= 1;
        row += delta;
        if (!ok || delta == 0 || tf == 0 || tf > UINT32_MAX || row >= l->n_rows_limit) {
            l->damaged = !ok || l->is_sealed || delta == 0 || tf == 0 || tf > UINT32_MAX;
            l->left = i;
            break;
        }
        l->rows[i] = (uint32_t)row;
        l->tfs[i] = (uint32_t)tf;
    }
    l->left -= i;
    l->at = 0;
    l->n = i;
    l->has_tfs = true;
}

static bool ascends(const uint32_t *rows)
{
    for (uint32_t i = 1; i < AL_POSTINGS_BLOCK; i++)
        if (rows[i] <= rows[i - 1])
            return false;
    return true;
}

/* Read block i. */
static void read_block(struct al_list *l, uint32_t i)
{
    const struct al_block *b = &l->view.blocks[i];
    uint32_t before = i ? b[-1].last_row : AL_ROW_NONE;
    const uint8_t *p = l->view.p + b->offset;
    l->block = i;
    if (i == l->view.n_rows / AL_POSTINGS_BLOCK) {
        l->left = l->view.n_rows % AL_POSTINGS_BLOCK;
        l->next = p;
        l->end = l->view.p + l->view.n_bytes;
        read_varints(l, before);
        if (l->damaged || l->n == 0 || l->rows[l->n - 1] != b->last_row)
            stop(l, true);
        return;
    }
    al_unpack(p, b->row_bits, l->rows);
    al_unpack_sum(l->rows, before);
    l->at = 0;
    l->n = AL_POSTINGS_BLOCK;
    l->has_tfs = false;
    if (l->rows[AL_POSTINGS_BLOCK - 1] != b->last_row ||
        (b->row_bits > BITS_ASCEND && !ascends(l->rows)))
        stop(l, true);
}

void al_list_init(struct al_list *l, const struct al_postings_view *v, uint32_t n_rows_limit,
                  bool is_sealed)
{
    l->damaged = false;
    l->is_sealed = is_sealed;
    l->n_rows_limit = n_rows_limit;
    l->view = *v;
    l->n_blocks = v->blocks ? al_blocks_of(v->n_rows) : 0;
    l->block = 0;
    if (l->n_blocks) {
        read_block(l, 0);
        return;
    }
    l->left = v->n_rows;
    l->next = v->p;
    l->end = v->p + v->n_bytes;
    read_varints(l, AL_ROW_NONE);
}

void al_list_next_block(struct al_list *l)
{
    if (l->n_blocks) {
        if (l->block + 1 < l->n_blocks)
            read_block(l, l->block + 1);
        else
            stop(l, false);
    } else if (l->left > 0 && l->n > 0) {
        read_varints(l, l->rows[l->n - 1]);
    } else {
        stop(l, false);
    }
}

uint32_t al_list_find_block(const struct al_list *l, uint32_t from, uint32_t row)
{
    const struct al_block *b = l->view.blocks;
    uint32_t low = from;
    uint32_t step = 1;
    uint32_t high = from;
    while (high < l->n_blocks && b[high].last_row < row) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    high = high < l->n_blocks ? high : l->n_blocks;
    while (low < high) { /* the first block that does not end before row */
        uint32_t mid = low + (high - low) / 2;
        if (b[mid].last_row < row)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first posting of the block at or above row; there is one. */
static uint32_t find_in_block(const uint32_t *rows, uint32_t n, uint32_t from, uint32_t row)
{
    uint32_t at = from;
    uint32_t len = n - from;
    while (len > 1) { /* the answer is in [at, at + len) */
        uint32_t half = len / 2;
        at += rows[at + half - 1] < row ? half : 0;
        len -= half;
    }
    return at;
}

uint32_t al_list_seek(struct al_list *l, uint32_t row)
{
    while (l->at < l->n && l->rows[l->at] < row) {
        if (l->rows[l->n - 1] >= row) {
            l->at = find_in_block(l->rows, l->n, l->at + 1, row);
            break;
        }
        if (l->n_blocks) {
            uint32_t i = al_list_find_block(l, l->block + 1, row);
            if (i < l->n_blocks)
                read_block(l, i);
            else
                stop(l, false);
        } else {
            al_list_next_block(l);
        }
    }
    return al_list_row(l);
}

static const uint8_t *packed_tfs(const struct al_list *l)
{
    const struct al_block *b = &l->view.blocks[l->block];
    return l->view.p + b->offset + al_pack_bytes(b->row_bits);
}

const uint32_t *al_list_tfs(struct al_list *l)
{
    if (!l->has_tfs && l->n > 0) {
        al_unpack(packed_tfs(l), l->view.blocks[l->block].tf_bits, l->tfs);
        for (uint32_t i = 0; i < AL_POSTINGS_BLOCK; i++)
            l->tfs[i]++;
    }
    l->has_tfs = true;
    return l->tfs;
}

uint32_t al_list_tf(const struct al_list *l)
{
    if (l->has_tfs)
        return l->tfs[l->at];
    return al_unpack_one(packed_tfs(l), l->view.blocks[l->block].tf_bits, l->at) + 1;
}

uint32_t al_list_rank(struct al_list *l, uint32_t row)
{
    if (al_list_seek(l, row) == AL_ROW_NONE)
        return l->view.n_rows;
    return l->block * AL_POSTINGS_BLOCK + l->at;
}
