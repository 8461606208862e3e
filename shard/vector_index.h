/* vector_index.h - the vector index port: rows of unit vectors, inner product, k best under a
 * bitmap.
 *
 * Back ends: index_hnsw.c (a graph over compact codes; the one that the server uses), index_flat.c
 * (exact; the oracle) and index_faiss.c (HNSW through the FAISS C API and shim; an oracle, and for
 * segments that it wrote). One conformance suite runs on all; those with a graph are held to a
 * recall bound against the flat one.
 *
 * Thread: build is called from one thread and may use more until it returns; a built index is
 * immutable: search from any thread.
 */
#ifndef AIRLORE_SHARD_VECTOR_INDEX_H
#define AIRLORE_SHARD_VECTOR_INDEX_H

#include "airlore/arena.h"
#include "airlore/disk.h"

struct al_index;

/* How a search went about it. */
enum al_index_plan {
    AL_PLAN_SCAN,    /* looked at all allowed rows */
    AL_PLAN_GRAPH,   /* followed links; all rows allowed */
    AL_PLAN_THROUGH, /* followed links through all rows, kept the allowed */
    AL_PLAN_HOP,     /* followed links over allowed rows */
    AL_PLAN_RESCUED, /* a walk took too long or found too few: then a scan */
};

struct al_index_work {
    enum al_index_plan plan;
    uint64_t n_distances;
    uint64_t n_hops; /* rows whose links were followed */
};

struct al_index_query {
    const float *vector; /* dim floats */
    uint32_t k;
    uint32_t ef;            /* 0: default; ignored by exact back ends */
    const uint8_t *allowed; /* bit i: row i may be returned; (n_rows + 7) / 8 bytes; NULL: all */
    uint64_t n_allowed;     /* bits set in allowed; 0: not counted yet */
    struct al_index_work *ret_work; /* NULL: not asked for; only index_hnsw fills it */
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
    /* Take what a search reads besides the rows into memory with large pages, if the machine has
     * them and that is max_bytes at most; searches go on meanwhile. From one thread at a time.
     * Returns the bytes held so, 0: none. May be NULL. */
    uint64_t (*copy)(struct al_index *ix, uint64_t max_bytes);
    void (*destroy)(struct al_index *ix); /* accepts NULL */
};

struct al_index {
    const struct al_index_ops *ops;
    uint32_t dim;
    uint32_t n_rows;
    bool plans; /* finds min(k, allowed) rows always, at a fair price however few are allowed */
};

/* What an index is made over. */
struct al_index_source {
    const float *rows; /* n_rows * dim */
    uint32_t n_rows;
    uint32_t dim;
    struct al_mem *mem;
    bool (*cancel)(void *u); /* polled while building, on the calling thread; NULL: never */
    void *cancel_u;
    uint32_t n_threads; /* to build with; 0: 1, and then the same rows give the same bytes */
};

/* build: AL_CANCELLED when cancel says so. load: from what save gave, which may be anything:
 * AL_DATA_LOSS when malformed; what loads is safe to search. bytes: borrowed for the life of the
 * index, 4-byte aligned (64 is faster). */
struct al_index_factory {
    const char *name;
    enum al_code (*build)(const struct al_index_source *src, struct al_index **ret,
                          struct al_err *err);
    enum al_code (*load)(struct al_str bytes, const struct al_index_source *src,
                         struct al_index **ret, struct al_err *err);
};

/* Exact scan. */
const struct al_index_factory *al_index_flat(void);

/* HNSW of our own: codes of eight bits, scores from the rows. */
const struct al_index_factory *al_index_hnsw(void);

/* The back end of that name, whichever wrote a segment; NULL: not in this build. */
const struct al_index_factory *al_index_named(const char *name);

/* FAISS's HNSW, 32 links, efConstruction 100. */
const struct al_index_factory *al_index_faiss(void);

#endif
