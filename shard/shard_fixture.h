/* shard_fixture.h - what the tests of a shard share: options, documents, shorthands that check.
 *
 * Thread: any thread, if each has an arena of its own.
 */
#ifndef AIRLORE_SHARD_FIXTURE_H
#define AIRLORE_SHARD_FIXTURE_H

#include "airlore/shard.h"
#include "airlore/testing.h"
#include "store.h"

#define FX_DIM 8u
#define FX_SPACE 7u

/* Options for a shard in dir: all slots, small sizes, no threads of upkeep, flat index. */
struct al_shard_options fx_options(const char *dir);

/* A document with n_chunks chunks of a few words and vectors made from seed; equal seed and id:
 * equal content. In the arena. */
struct al_doc fx_doc(struct al_arena *a, const char *id, uint32_t seed, size_t n_chunks);

/* Write ids: 16 bytes from a number; 0 for none. */
void fx_write_id(uint64_t n, uint8_t ret[16]);

/* One write of one op; fails the test on an error. */
struct al_write_result fx_write(struct al_shard *s, struct al_arena *a, const struct al_op *op,
                                uint64_t write_id);
enum al_outcome fx_put(struct al_shard *s, struct al_arena *a, const char *id, uint32_t seed,
                       size_t n_chunks);
enum al_outcome fx_delete(struct al_shard *s, struct al_arena *a, const char *id);
enum al_outcome fx_put_row(struct al_shard *s, struct al_arena *a, const char *key,
                           const char *value);

/* Whether the document is there; if so it must be whole: content, vectors, and findable by its
 * vector. */
bool fx_has(struct al_shard *s, const char *id, uint32_t *ret_seed);

/* al_shard_verify must find nothing. */
void fx_verify(struct al_shard *s);

/* Open; fails the test on an error. */
struct al_shard *fx_open(const struct al_shard_options *o);

#endif
