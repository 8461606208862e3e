/* The HNSW back end of the vector index port: FAISS's graph over the segment's own rows. */
#include "faiss_shim.h"
#include "vector_index.h"

#define EF_DEFAULT 96u
#define EF_MAX 16384u

struct hnsw {
    struct al_index base;
    struct al_shim_graph *graph;
    struct al_mem *mem;
};

static enum al_code code_of(enum al_shim_code code, const struct al_shim_msg *msg,
                            struct al_err *err)
{
    switch (code) {
    case AL_SHIM_OK:
        return AL_OK;
    case AL_SHIM_NO_MEMORY:
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: hnsw: out of memory");
    case AL_SHIM_CANCELLED:
        return AL_FAIL(err, AL_CANCELLED, "index: build cancelled");
    case AL_SHIM_MALFORMED:
        return AL_FAIL(err, AL_DATA_LOSS, "index: hnsw: malformed: %s", msg->text);
    case AL_SHIM_FAILED:
        break;
    }
    return AL_FAIL(err, AL_INTERNAL, "index: hnsw: %s", msg->text);
}

static enum al_code hnsw_search(const struct al_index *ix, const struct al_index_query *q,
                                uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                                struct al_err *err)
{
    const struct hnsw *h = (const struct hnsw *)ix;
    struct al_shim_msg msg = {{0}};
    if (q->k == 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "index: k is 0");
    uint32_t ef = q->ef ? q->ef : EF_DEFAULT;
    ef = ef > EF_MAX ? EF_MAX : ef;
    struct al_shim_query sq = {q->vector, q->k, ef > q->k ? ef : q->k, q->allowed};
    return code_of(al_shim_search(h->graph, &sq, ret_rows, ret_scores, ret_n, &msg), &msg, err);
}

static bool put(void *u, const void *p, size_t n)
{
    struct al_buf *b = u;
    al_buf_add(b, p, n);
    return !b->failed;
}

static enum al_code hnsw_save(const struct al_index *ix, struct al_buf *ret, struct al_err *err)
{
    const struct hnsw *h = (const struct hnsw *)ix;
    (void)!al_shim_save(h->graph, put, ret); /* fails with the buffer only */
    return al_buf_status(ret, err);
}

static uint64_t hnsw_memory_bytes(const struct al_index *ix)
{
    const struct hnsw *h = (const struct hnsw *)ix;
    return sizeof *h + al_shim_memory_bytes(h->graph);
}

static void hnsw_destroy(struct al_index *ix)
{
    struct hnsw *h = (struct hnsw *)ix;
    if (!h)
        return;
    al_shim_destroy(h->graph);
    al_mem_free(h->mem, h);
}

static const struct al_index_ops hnsw_ops = {
    .search = hnsw_search,
    .save = hnsw_save,
    .memory_bytes = hnsw_memory_bytes,
    .destroy = hnsw_destroy,
};

/* Moves the graph. */
static enum al_code wrap(struct al_shim_graph *graph, const struct al_index_source *src,
                         struct al_index **ret, struct al_err *err)
{
    struct hnsw *h = al_mem_zalloc(src->mem, sizeof *h);
    if (!h) {
        al_shim_destroy(graph);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "index: out of memory");
    }
    *h = (struct hnsw){{&hnsw_ops, src->dim, src->n_rows, false}, graph, src->mem};
    *ret = &h->base;
    return AL_OK;
}

static enum al_code hnsw_build(const struct al_index_source *src, struct al_index **ret,
                               struct al_err *err)
{
    struct al_shim_graph *graph = NULL;
    struct al_shim_msg msg = {{0}};
    struct al_shim_rows rows = {src->rows, src->n_rows, src->dim};
    AL_TRY(code_of(al_shim_build(&rows, src->cancel, src->cancel_u, &graph, &msg), &msg, err));
    return wrap(graph, src, ret, err);
}

static enum al_code hnsw_load(struct al_str bytes, const struct al_index_source *src,
                              struct al_index **ret, struct al_err *err)
{
    struct al_shim_graph *graph = NULL;
    struct al_shim_msg msg = {{0}};
    struct al_shim_rows rows = {src->rows, src->n_rows, src->dim};
    const uint8_t *p = (const uint8_t *)bytes.p;
    AL_TRY(code_of(al_shim_load(p, bytes.n, &rows, &graph, &msg), &msg, err));
    return wrap(graph, src, ret, err);
}

const struct al_index_factory *al_index_faiss(void)
{
    static const struct al_index_factory factory = {"hnsw", hnsw_build, hnsw_load};
    return &factory;
}
