/* faiss_shim.h - the part of FAISS that index_faiss.c uses, as C: an HNSW graph over rows that stay
 * where they are.
 *
 * FAISS's own C API cannot search with a beam and a bitmap per query, copies the rows, opens a team
 * of threads for each search and cannot build the graph from borrowed rows. No exception leaves
 * this file's functions.
 *
 * Thread: build and load confined to one thread; search from any thread on a finished graph.
 */
#ifndef AIRLORE_SHARD_FAISS_SHIM_H
#define AIRLORE_SHARD_FAISS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AL_SHIM_LINKS 32 /* per vertex and upper level; twice as many on the lowest */
#define AL_SHIM_EF_BUILD 100

enum al_shim_code {
    AL_SHIM_OK = 0,
    AL_SHIM_NO_MEMORY = 1,
    AL_SHIM_FAILED = 2, /* text in msg */
    AL_SHIM_CANCELLED = 3,
    AL_SHIM_MALFORMED = 4, /* text in msg */
};

struct al_shim_graph;

/* What a call says about its failure. */
struct al_shim_msg {
    char text[160];
};

/* Rows of dim floats, borrowed for the life of a graph over them. */
struct al_shim_rows {
    const float *p;
    uint32_t n;
    uint32_t dim;
};

/* Build over n > 0 rows; always the same for the same rows. cancel may be NULL. */
enum al_shim_code al_shim_build(const struct al_shim_rows *rows, bool (*cancel)(void *u), void *u,
                                struct al_shim_graph **ret, struct al_shim_msg *msg);

/* From al_shim_save's bytes, which may be anything: all is checked. */
enum al_shim_code al_shim_load(const uint8_t *bytes, size_t n_bytes,
                               const struct al_shim_rows *rows, struct al_shim_graph **ret,
                               struct al_shim_msg *msg);

/* Give the bytes to put in pieces; put returns false to stop (AL_SHIM_NO_MEMORY). */
enum al_shim_code al_shim_save(const struct al_shim_graph *g,
                               bool (*put)(void *u, const void *p, size_t n), void *u);

struct al_shim_query {
    const float *vector;
    uint32_t k;
    uint32_t ef;
    const uint8_t *allowed; /* NULL: all */
};

/* Rows and inner products, best first, into arrays of k. */
enum al_shim_code al_shim_search(const struct al_shim_graph *g, const struct al_shim_query *q,
                                 uint32_t *ret_rows, float *ret_scores, uint32_t *ret_n,
                                 struct al_shim_msg *msg);

/* Bytes of the graph without the rows. */
uint64_t al_shim_memory_bytes(const struct al_shim_graph *g);

/* Accepts NULL. */
void al_shim_destroy(struct al_shim_graph *g);

#ifdef __cplusplus
}
#endif

#endif
