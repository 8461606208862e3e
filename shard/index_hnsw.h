/* index_hnsw.h - inside of our own HNSW back end of the vector index port.
 *
 * A graph over the rows of a segment, searched by compact codes and rescored from the rows:
 *
 *   codes    a row times signs and a Hadamard matrix, so that no dimension stands out, then eight
 *            bits a dimension with one scale for all rows (index_hnsw_code.c)
 *   keys     constant - integer inner product: what the loop orders by has no floats, and is the
 *            same with every kernel and on every machine (index_hnsw_kernels.c)
 *   graph    one layer: up to 32 links a row, chosen as in HNSW so that they point in different
 *            directions; in place of HNSW's upper layers a flat set of entry rows, whose codes lie
 *            side by side (index_hnsw_build.c)
 *   search   one sorted pool, best first, its first row not yet expanded is expanded next
 *            (index_hnsw_search.c); which way is taken under a filter: index_hnsw_plan.c
 *   scores   al_dot of query and row for the best of the pool: bit for bit those of a scan
 *
 * All that a search reads but the rows is one run of bytes, the same in memory and on disk
 * (index_hnsw_bytes.c), so that a mapped file is served as it lies.
 *
 * Sources: Yu. Malkov, D. Yashunin, "Efficient and robust approximate nearest neighbor search using
 * Hierarchical Navigable Small World graphs", 2016 (the choice of links, algorithm 4; the beam);
 * N. Ailon, B. Chazelle, "The fast Johnson-Lindenstrauss transform", 2009 (signs and Hadamard
 * matrix as a random rotation). The filter's two-hop walk follows the idea of L. Patel et al.,
 * "ACORN", 2024.
 *
 * Thread: as in vector_index.h; a scratch is confined to one thread while it is borrowed.
 */
#ifndef AIRLORE_SHARD_INDEX_HNSW_H
#define AIRLORE_SHARD_INDEX_HNSW_H

#include <stdatomic.h>

#include "index_hnsw_code.h"
#include "index_hnsw_kernels.h"
#include "vector_index.h"

#define AL_HNSW_LINKS 32u /* of a row at most: two cache lines */
#define AL_HNSW_NONE UINT32_MAX
#define AL_HNSW_EF_DEFAULT 128u
#define AL_HNSW_EF_MAX 16384u
#define AL_HNSW_EF_BUILD 128u
#define AL_HNSW_ENTRIES_MAX 4096u
#define AL_HNSW_ENTRIES_KEPT 8u /* of the entry rows, the nearest to start from */
#define AL_HNSW_ROWS_MAX 0x40000000u
#define AL_HNSW_SCRATCHES 16u /* idle ones kept by an index */
#define AL_HNSW_ALIGN 64u

/* Where the parts lie in the bytes of an index. */
struct al_hnsw_layout {
    size_t codes;       /* n_rows * code_dim */
    size_t links;       /* n_rows * AL_HNSW_LINKS u32; AL_HNSW_NONE after the last */
    size_t entries;     /* n_entries u32, ascending */
    size_t entry_codes; /* n_entries * code_dim: copies of their codes */
    size_t n_bytes;
};

/* What a search reads, wherever it lies at the moment. */
struct al_hnsw_view {
    const uint8_t *codes;
    const uint32_t *links;
    const uint32_t *entries;
    const uint8_t *entry_codes;
};

/* What one search writes. */
struct al_hnsw_scratch {
    uint8_t *visited; /* n_rows: epoch of the search that saw the row */
    uint8_t epoch;
    struct al_code_query query;
    float *rotated;  /* code_dim, aligned */
    int8_t *codes;   /* code_dim, aligned: query.v points to it */
    uint64_t *pool;  /* keys, best first: distance << 32 | row << 1 | expanded */
    size_t cap_pool; /* elements */
    uint32_t n_pool;
    uint64_t *heap; /* keys still to expand, of a walk under a filter */
    size_t cap_heap;
    size_t n_heap;
    uint32_t *todo; /* rows whose distances are asked for together */
    uint32_t *distances;
    uint64_t n_distances; /* of this search */
    uint64_t n_hops;
    void *block; /* what all but pool and heap lie in */
};

struct al_hnsw {
    struct al_index base; /* first */
    const float *rows;
    struct al_mem *mem;
    struct al_coder coder;
    const struct al_kernels *kernels;
    uint32_t n_entries;
    struct al_hnsw_layout layout;
    _Atomic(const uint8_t *) at; /* the bytes: what was loaded, or a copy of it */
    const uint8_t *loaded;       /* what was loaded; borrowed unless built */
    void *built;                 /* block of the bytes when built here */
    void *copy;                  /* block of the copy, or NULL; of the thread that copies */
    _Atomic(struct al_hnsw_scratch *) idle[AL_HNSW_SCRATCHES];
};

static inline struct al_hnsw_view al_hnsw_view_of(const struct al_hnsw *h, const uint8_t *at)
{
    return (struct al_hnsw_view){
        at + h->layout.codes,
        (const uint32_t *)(const void *)(at + h->layout.links),
        (const uint32_t *)(const void *)(at + h->layout.entries),
        at + h->layout.entry_codes,
    };
}

static inline struct al_hnsw_view al_hnsw_view(const struct al_hnsw *h)
{
    return al_hnsw_view_of(h, atomic_load_explicit(&h->at, memory_order_acquire));
}

/* ---- bytes ---- */

/* Entry rows for n rows: about 4.6 * sqrt(n). Fewer are cheaper where rows lie evenly; where they
 * lie in many far clusters, more are what finds the right one. */
uint32_t al_hnsw_entries_for(uint32_t n_rows);

struct al_hnsw_layout al_hnsw_layout_of(uint32_t n_rows, uint32_t code_dim, uint32_t n_entries);

/* Write the header into the first bytes of a run. */
void al_hnsw_put_header(const struct al_hnsw *h, uint8_t *bytes);

/* Check all that a search follows; sets coder, n_entries, layout and bytes of h, whose dim and
 * n_rows are set. AL_DATA_LOSS. */
AL_NODISCARD enum al_code al_hnsw_read(struct al_hnsw *h, struct al_str bytes, struct al_err *err);

/* ---- search ---- */

/* Borrow a scratch whose pool has room for ef; al_hnsw_scratch_reset before each search. */
AL_NODISCARD enum al_code al_hnsw_scratch_acquire(struct al_hnsw *h, uint32_t ef,
                                                  struct al_hnsw_scratch **ret, struct al_err *err);
void al_hnsw_scratch_release(struct al_hnsw *h, struct al_hnsw_scratch *s);

/* Begin a search: nothing visited, pool empty. */
void al_hnsw_scratch_reset(const struct al_hnsw *h, struct al_hnsw_scratch *s);

/* Free the idle ones. */
void al_hnsw_scratch_fini(struct al_hnsw *h);

/* Put the nearest of the first n entry rows into the pool, as visited; it has room for
 * AL_HNSW_ENTRIES_KEPT. */
void al_hnsw_enter(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                   uint32_t n);

/* Expand until the best ef of the pool are. Links may grow meanwhile. */
void al_hnsw_beam(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                  uint32_t ef);

/* The same where only some rows are allowed. Distances are bounded by `budget`; false when it did
 * not suffice. On AL_OK the pool holds allowed rows only.
 *
 * through: walk through all rows, keep the allowed. hop: walk over allowed rows, looking past a row
 * that is not at its links. */
struct al_hnsw_filter {
    const uint8_t *allowed;
    uint32_t ef;
    uint64_t budget;
};
AL_NODISCARD enum al_code al_hnsw_walk_through(const struct al_hnsw *h,
                                               const struct al_hnsw_view *v,
                                               struct al_hnsw_scratch *s,
                                               const struct al_hnsw_filter *f, bool *ret_done,
                                               struct al_err *err);
bool al_hnsw_walk_hop(const struct al_hnsw *h, const struct al_hnsw_view *v,
                      struct al_hnsw_scratch *s, const struct al_hnsw_filter *f);

/* Look at the codes of all allowed rows (NULL: all); the pool holds the best ef. */
void al_hnsw_scan(const struct al_hnsw *h, const struct al_hnsw_view *v, struct al_hnsw_scratch *s,
                  const uint8_t *allowed, uint32_t ef);

/* ---- the port's functions ---- */

AL_NODISCARD enum al_code al_hnsw_search(const struct al_index *ix, const struct al_index_query *q,
                                         uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                                         struct al_err *err);

/* Build the graph into h's bytes, whose codes and entries are set. */
AL_NODISCARD enum al_code al_hnsw_build_links(struct al_hnsw *h, uint8_t *bytes,
                                              const struct al_index_source *src,
                                              struct al_err *err);

#endif
