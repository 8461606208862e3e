/* vectors.h - what airlore-vectors measures with: rows, queries, the true neighbours.
 *
 * Thread: confined to one thread unless said otherwise.
 */
#ifndef AIRLORE_BENCH_VECTORS_H
#define AIRLORE_BENCH_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "airlore/err.h"

#define AL_VECTORS_TRUTH 100u /* neighbours kept of each query */

struct al_vectors {
    uint32_t dim;
    uint32_t n;
    uint32_t n_queries;
    float *rows;     /* n * dim, unit length; owned */
    float *queries;  /* n_queries * dim */
    uint32_t *truth; /* n_queries * AL_VECTORS_TRUTH, best first */
};

/* Gaussian clusters (2,000, spectrum of a power law, rotated), the same numbers each time. */
AL_NODISCARD enum al_code al_vectors_synthetic(uint32_t n, uint32_t dim, float spread,
                                               uint32_t n_queries, struct al_vectors *ret,
                                               struct al_err *err);

/* Texts of two JSONL files ({"text"}) by the built-in embedder. */
AL_NODISCARD enum al_code al_vectors_texts(const char *rows, const char *queries,
                                           uint32_t n_queries, struct al_vectors *ret,
                                           struct al_err *err);

/* Find the true neighbours by looking at all rows; only those that `allowed` has (NULL: all). */
AL_NODISCARD enum al_code al_vectors_truth(struct al_vectors *v, const uint8_t *allowed, uint32_t k,
                                           struct al_err *err);

/* Accepts zeroed memory. */
void al_vectors_fini(struct al_vectors *v);

/* CPU time of the calling thread, and of the process, in seconds. */
double al_thread_seconds(void);
double al_process_seconds(void);

/* FAISS's own HNSW32,Flat, as its users have it: through its C API, with its distances. NULL on
 * failure. */
struct al_plain_faiss;
struct al_plain_faiss *al_plain_faiss_build(const struct al_vectors *v);
bool al_plain_faiss_set_ef(struct al_plain_faiss *f, uint32_t ef);
/* k rows into ret, UINT32_MAX where there is none. */
bool al_plain_faiss_search(const struct al_plain_faiss *f, const float *query, uint32_t k,
                           uint32_t *ret);
void al_plain_faiss_destroy(struct al_plain_faiss *f);

#endif
