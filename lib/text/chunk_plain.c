/* Chunkers that look at the text alone: pieces of one size, and paragraphs packed. */
#include "chunk.h"

/* The end of a piece: the last word border in the window's last eighth, else the last character
 * that fits. */
static uint32_t fixed_end(const struct al_cutter *c, uint32_t start)
{
    uint32_t last = start + c->max;
    if (last >= c->body.n)
        return (uint32_t)c->body.n;
    for (uint32_t i = last; i > last - c->max / 8; i--) {
        if (al_cutter_is_border(c->body, i, 3))
            return i;
    }
    return start + (uint32_t)al_str_utf8_floor(al_str_sub(c->body, start, c->max + 4), c->max);
}

enum al_code al_cut_fixed(struct al_cutter *c, struct al_err *err)
{
    for (uint32_t start = 0; start < c->body.n;) {
        uint32_t end = fixed_end(c, start);
        AL_TRY(al_cutter_add(c, start, end, al_cutter_heading(c, start), err));
        start = end;
    }
    return AL_OK;
}

/* Pieces of [start, end) between borders of a rank, packed; one that is too large goes a rank down,
 * and below words it is cut at characters by the packer. */
static enum al_code split(struct al_cutter *c, uint32_t start, uint32_t end, int rank,
                          struct al_err *err)
{
    while (start < end) {
        uint32_t stop = start + 1;
        while (stop < end && !al_cutter_is_border(c->body, stop, rank))
            stop++;
        if (stop - start > c->max && rank < 3)
            AL_TRY(split(c, start, stop, rank + 1, err));
        else
            AL_TRY(al_cutter_pack(c, start, stop, al_cutter_heading(c, start), err));
        start = stop;
    }
    return AL_OK;
}

enum al_code al_cut_recursive(struct al_cutter *c, struct al_err *err)
{
    AL_TRY(split(c, 0, (uint32_t)c->body.n, 0, err));
    return al_cutter_flush(c, err);
}
