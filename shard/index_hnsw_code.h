/* index_hnsw_code.h - a row as one byte a dimension.
 *
 * The row is rotated first (signs, then a Hadamard matrix in blocks), so that every dimension
 * carries about the same: embeddings have a few large ones, and clipping those would lose most of
 * their neighbours. Dimensions are padded to a multiple of 64 and dealt out to the blocks in turn.
 * All rows share one scale; a query has its own.
 *
 * Thread: immutable after al_coder_fit or al_coder_init with a scale.
 */
#ifndef AIRLORE_SHARD_INDEX_HNSW_CODE_H
#define AIRLORE_SHARD_INDEX_HNSW_CODE_H

#include <stdint.h>

#include "airlore/mem.h"

#define AL_CODE_DIM_MAX 65536u
#define AL_CODE_ALIGN 64u

struct al_coder {
    uint32_t dim;
    uint32_t code_dim; /* a multiple of 64 */
    uint32_t block;    /* of the Hadamard matrix; a power of two that divides code_dim */
    float scale;       /* of rows: code = round(scale * rotated) */
    uint32_t *signs;   /* dim: the sign bit to flip */
    struct al_mem *mem;
};

/* Bytes of a code of dim dimensions. */
uint32_t al_code_dim_of(uint32_t dim);

/* dim in [1, AL_CODE_DIM_MAX]. AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_coder_init(struct al_coder *c, uint32_t dim, float scale,
                                        struct al_mem *mem, struct al_err *err);

/* Accepts zeroed memory. */
void al_coder_fini(struct al_coder *c);

/* Set the scale by a sample of the rows: about one value in 2^17 is clipped. buf: code_dim floats,
 * aligned. */
void al_coder_fit(struct al_coder *c, const float *rows, uint32_t n_rows, float *buf);

/* Rotate dim floats into code_dim aligned ones. */
void al_coder_rotate(const struct al_coder *c, const float *row, float *ret);

/* The code of a row: 128 + a value in [-127, 127]. What is not a number becomes -127. buf as
 * above. */
void al_coder_encode(const struct al_coder *c, const float *row, float *buf, uint8_t *ret);

/* The code of a query: values in [-127, 127], scaled by its own largest. Returns their sum. */
int32_t al_coder_encode_query(const struct al_coder *c, const float *query, float *buf,
                              int8_t *ret);

#endif
