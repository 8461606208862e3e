/* Our own HNSW back end of the vector index port. */
#include "index_hnsw.h"
#include "huge.h"

#include <string.h>

static enum al_code hnsw_save(const struct al_index *ix, struct al_buf *ret, struct al_err *err)
{
    const struct al_hnsw *h = (const struct al_hnsw *)ix;
    al_buf_add(ret, h->loaded, h->layout.n_bytes);
    return al_buf_status(ret, err);
}

static uint64_t hnsw_memory_bytes(const struct al_index *ix)
{
    const struct al_hnsw *h = (const struct al_hnsw *)ix;
    uint64_t n = sizeof *h + h->coder.dim * sizeof *h->coder.signs;
    for (size_t i = 0; i < AL_HNSW_SCRATCHES; i++)
        if (atomic_load_explicit(&h->idle[i], memory_order_relaxed))
            n += ix->n_rows;
    bool copied = atomic_load_explicit(&h->at, memory_order_relaxed) != h->loaded;
    return n + (h->built || copied ? h->layout.n_bytes : 0);
}

static uint64_t hnsw_copy(struct al_index *ix, uint64_t max_bytes)
{
    struct al_hnsw *h = (struct al_hnsw *)ix;
    uint8_t *at = NULL;
    if (h->built || h->copy)
        return h->layout.n_bytes;
    if (h->layout.n_bytes > max_bytes || !al_huge_offered())
        return 0;
    h->copy = al_huge_block(h->mem, h->layout.n_bytes, &at);
    if (!h->copy)
        return 0;
    memcpy(at, h->loaded, h->layout.n_bytes);
    atomic_store_explicit(&h->at, at, memory_order_release); /* who reads the old one may go on */
    return h->layout.n_bytes;
}

static void hnsw_destroy(struct al_index *ix)
{
    struct al_hnsw *h = (struct al_hnsw *)ix;
    if (!h)
        return;
    al_hnsw_scratch_fini(h);
    al_coder_fini(&h->coder);
    al_mem_free(h->mem, h->copy);
    al_mem_free(h->mem, h->built);
    al_mem_free(h->mem, h);
}

static const struct al_index_ops hnsw_ops = {
    .search = al_hnsw_search,
    .save = hnsw_save,
    .memory_bytes = hnsw_memory_bytes,
    .copy = hnsw_copy,
    .destroy = hnsw_destroy,
};

static enum al_code create(const struct al_index_source *src, struct al_hnsw **ret,
                           struct al_err *err)
{
    if (src->n_rows == 0 || src->n_rows > AL_HNSW_ROWS_MAX || src->dim == 0 ||
        src->dim > AL_CODE_DIM_MAX)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "index: hnsw: %u rows of %u dimensions",
                       src->n_rows, src->dim);
    struct al_hnsw *h = al_mem_zalloc(src->mem, sizeof *h);
    if (!h)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    h->base = (struct al_index){&hnsw_ops, src->dim, src->n_rows, true};
    h->rows = src->rows;
    h->mem = src->mem;
    h->kernels = al_kernels_best();
    *ret = h;
    return AL_OK;
}

/* Scale and codes. */
static enum al_code encode_rows(struct al_hnsw *h, uint8_t *bytes, struct al_err *err)
{
    uint8_t *at = NULL;
    void *block = al_huge_block(h->mem, h->coder.code_dim * sizeof(float), &at);
    if (!block)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    float *buf = (float *)(void *)at;
    al_coder_fit(&h->coder, h->rows, h->base.n_rows, buf);
    for (uint32_t i = 0; i < h->base.n_rows; i++)
        al_coder_encode(&h->coder, h->rows + (size_t)i * h->base.dim, buf,
                        bytes + h->layout.codes + (size_t)i * h->coder.code_dim);
    al_mem_free(h->mem, block);
    return AL_OK;
}

static enum al_code build_into(struct al_hnsw *h, const struct al_index_source *src,
                               struct al_err *err)
{
    uint8_t *bytes = NULL;
    AL_TRY(al_coder_init(&h->coder, src->dim, 1, src->mem, err));
    h->n_entries = al_hnsw_entries_for(src->n_rows);
    h->layout = al_hnsw_layout_of(src->n_rows, h->coder.code_dim, h->n_entries);
    h->built = al_huge_block(h->mem, h->layout.n_bytes, &bytes);
    if (!h->built)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    h->loaded = bytes;
    AL_TRY(encode_rows(h, bytes, err));
    memset(bytes + h->layout.links, 0xff, h->layout.entries - h->layout.links);
    memset(bytes + h->layout.entries, 0, h->layout.entry_codes - h->layout.entries);
    AL_TRY(al_hnsw_build_links(h, bytes, src, err));
    al_hnsw_put_header(h, bytes);
    atomic_store_explicit(&h->at, bytes, memory_order_release);
    return AL_OK;
}

static enum al_code hnsw_build(const struct al_index_source *src, struct al_index **ret,
                               struct al_err *err)
{
    struct al_hnsw *h = NULL;
    AL_TRY(create(src, &h, err));
    AL_ASSERT(h);
    enum al_code code = build_into(h, src, err);
    if (code == AL_OK)
        *ret = &h->base;
    else
        hnsw_destroy(&h->base);
    return code;
}

static enum al_code hnsw_load(struct al_str bytes, const struct al_index_source *src,
                              struct al_index **ret, struct al_err *err)
{
    struct al_hnsw *h = NULL;
    AL_TRY(create(src, &h, err));
    AL_ASSERT(h);
    enum al_code code = al_hnsw_read(h, bytes, err);
    if (code == AL_OK)
        *ret = &h->base;
    else
        hnsw_destroy(&h->base);
    return code;
}

const struct al_index_factory *al_index_hnsw(void)
{
    static const struct al_index_factory factory = {"hnsw8", hnsw_build, hnsw_load};
    return &factory;
}
