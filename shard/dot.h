/* dot.h - the inner product that every vector score of a shard comes from.
 *
 * One function for scans, for the graph and for rescoring, so that a score does not depend on how a
 * row was found. The order of the additions is fixed (32 partial sums, then a tree) and products
 * are not fused with sums: the result is the same on every machine.
 *
 * Thread: any thread (pure).
 */
#ifndef AIRLORE_SHARD_DOT_H
#define AIRLORE_SHARD_DOT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Inner product of two rows of dim floats. */
float al_dot(const float *a, const float *b, size_t dim);

#ifdef __cplusplus
}
#endif

#endif
