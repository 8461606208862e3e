/* vector_index.h - the vector index port: rows of unit vectors, inner product, k best under a
 * bitmap.
 *
 * Back ends: index_flat.c (exact, ours; the oracle) and index_faiss.c (HNSW through the FAISS C API
 * and shim). One conformance suite runs on both; the FAISS one is held to a recall bound against
 * the flat one.
 *
 * Thread: build is confined to one thread; a built index is immutable: search from any thread.
 */
#ifndef AIRLORE_SHARD_VECTOR_INDEX_H
#define AIRLORE_SHARD_VECTOR_INDEX_H

#include "airlore/arena.h"
#include "airlore/disk.h"

struct al_index;

struct al_index_query {
    const float *vector; /* dim floats */
    uint32_t k;
    uint32_t ef;            /* 0: default; ignored by exact back ends */
    const uint8_t *allowed; /* bit i: row i may be returned; (n_rows + 7) / 8 bytes; NULL: all */
};

/* rows: n * dim floats, borrowed for the life of the index (they live in the segment). save/load:
 * the back end's own bytes (the segment puts a checksum around them). search: rows and scores best
 * first into arrays of k; *ret_n found; never a row that is not allowed; may find fewer than k (the
 * caller scans then). */
struct al_index_ops {
    enum al_code (*search)(const struct al_index *ix, const struct al_index_query *q,
                           uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                           struct al_err *err);
    enum al_code (*save)(const struct al_index *ix, struct al_buf *ret, struct al_err *err);
    uint64_t (*memory_bytes)(const struct al_index *ix);
    void (*destroy)(struct al_index *ix); /* accepts NULL */
};

struct al_index {
    const struct al_index_ops *ops;
    uint32_t dim;
    uint32_t n_rows;
};

/* What an index is made over. */
struct al_index_source {
    const float *rows; /* n_rows * dim */
    uint32_t n_rows;
    uint32_t dim;
    struct al_mem *mem;
    bool (*cancel)(void *u); /* polled while building; NULL: never */
    void *cancel_u;
};

/* build: AL_CANCELLED when cancel says so. load: from what save gave, which may be anything:
 * AL_DATA_LOSS when malformed; what loads is safe to search. */
struct al_index_factory {
    const char *name;
    enum al_code (*build)(const struct al_index_source *src, struct al_index **ret,
                          struct al_err *err);
    enum al_code (*load)(struct al_str bytes, const struct al_index_source *src,
                         struct al_index **ret, struct al_err *err);
};

/* Exact scan. */
const struct al_index_factory *al_index_flat(void);

/* HNSW, 32 links, efConstruction 100. */
const struct al_index_factory *al_index_faiss(void);

#endif
