/* The exact back end of the vector index port: scans all allowed rows. */
#include "dot.h"
#include "vector_index.h"

#define FORMAT_VERSION 1u

struct flat {
    struct al_index base;
    const float *rows;
    struct al_mem *mem;
};

struct best {
    uint32_t *rows; /* best first; ties by row */
    float *scores;
    uint32_t n;
    uint32_t k;
};

static void offer(struct best *b, uint32_t row, float score)
{
    if (b->n == b->k && !(score > b->scores[b->n - 1]))
        return; /* rows come in ascending order: a tie with the last loses */
    uint32_t at = b->n < b->k ? b->n++ : b->n - 1;
    for (; at > 0 && b->scores[at - 1] < score; at--) {
        b->scores[at] = b->scores[at - 1];
        b->rows[at] = b->rows[at - 1];
    }
    b->scores[at] = score;
    b->rows[at] = row;
}

static enum al_code flat_search(const struct al_index *ix, const struct al_index_query *q,
                                uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                                struct al_err *err)
{
    const struct flat *f = (const struct flat *)ix;
    struct best b = {ret_rows, ret_scores, 0, q->k};
    if (q->k == 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "index: k is 0");
    for (uint32_t i = 0; i < ix->n_rows; i++) {
        if (q->allowed && !(q->allowed[i / 8] >> (i % 8) & 1))
            continue;
        float score = al_dot(q->vector, f->rows + (size_t)i * ix->dim, ix->dim);
        offer(&b, i, score == score ? score : -1.0f);
    }
    *ret_n = b.n;
    return AL_OK;
}

static enum al_code flat_save(const struct al_index *ix, struct al_buf *ret, struct al_err *err)
{
    al_buf_char(ret, FORMAT_VERSION);
    al_buf_u32le(ret, ix->n_rows);
    al_buf_u32le(ret, ix->dim);
    return al_buf_status(ret, err);
}

static uint64_t flat_memory_bytes(const struct al_index *ix)
{
    (void)ix;
    return sizeof(struct flat);
}

static void flat_destroy(struct al_index *ix)
{
    struct flat *f = (struct flat *)ix;
    if (f)
        al_mem_free(f->mem, f);
}

static const struct al_index_ops flat_ops = {
    .search = flat_search,
    .save = flat_save,
    .memory_bytes = flat_memory_bytes,
    .destroy = flat_destroy,
};

static enum al_code flat_build(const struct al_index_source *src, struct al_index **ret,
                               struct al_err *err)
{
    if (src->cancel && src->cancel(src->cancel_u))
        return AL_FAIL(err, AL_CANCELLED, "index: build cancelled");
    struct flat *f = al_mem_zalloc(src->mem, sizeof *f);
    if (!f)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    *f = (struct flat){{&flat_ops, src->dim, src->n_rows, true}, src->rows, src->mem};
    *ret = &f->base;
    return AL_OK;
}

static enum al_code flat_load(struct al_str bytes, const struct al_index_source *src,
                              struct al_index **ret, struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    uint8_t version = al_reader_u8(&r);
    uint32_t stored_n = al_reader_u32le(&r);
    uint32_t stored_dim = al_reader_u32le(&r);
    if (!al_reader_done(&r) || version != FORMAT_VERSION || stored_n != src->n_rows ||
        stored_dim != src->dim)
        return AL_FAIL(err, AL_DATA_LOSS, "index: flat: malformed");
    return flat_build(src, ret, err);
}

const struct al_index_factory *al_index_flat(void)
{
    static const struct al_index_factory factory = {"flat", flat_build, flat_load};
    return &factory;
}
