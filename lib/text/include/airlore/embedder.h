/* airlore/embedder.h - text to a vector by a static table.
 *
 * A text is the sum of the rows of its WordPiece tokens, L2 normalised. The table is the file
 * described in tools/embedding/README.md; the one shipped is linked into the program
 * (al_embedder_builtin).
 *
 * Thread: immutable after open: any thread.
 */
#ifndef AIRLORE_EMBEDDER_H
#define AIRLORE_EMBEDDER_H

#include "airlore/mem.h"
#include "airlore/str.h"

struct al_embedder;

/* Check and use a table. bytes borrowed until destroy (a mapping, or the built-in one); malformed
 * or of a wrong checksum (not looked at for the built-in one): AL_DATA_LOSS. *ret owned:
 * al_embedder_destroy. */
AL_NODISCARD enum al_code al_embedder_open(struct al_str bytes, struct al_mem *mem,
                                           struct al_embedder **ret, struct al_err *err);

/* The table linked into the program. */
struct al_str al_embedder_builtin(void);

/* Accepts NULL. */
void al_embedder_destroy(struct al_embedder *e);

/* Identity of the vector space ("al-static-256-v1"); vectors of different ids are never compared.
 * Borrowed. */
const char *al_embedder_id(const struct al_embedder *e);

/* Number of components of a vector. */
uint32_t al_embedder_dim(const struct al_embedder *e);

/* vec: dim floats of the caller, always written. *ret_tokens: tokens found in the table (unknown
 * ones are skipped); 0 means that vec is all zeros and the vector leg must be left out. Any bytes
 * are a text. Takes no memory and never fails; the code is there for tables that may. */
AL_NODISCARD enum al_code al_embedder_embed(const struct al_embedder *e, struct al_str text,
                                            float *vec, uint32_t *ret_tokens, struct al_err *err);

/* Row numbers of the text's tokens into ids[max]; *ret_n is their full number, also when more than
 * max. For tests. */
AL_NODISCARD enum al_code al_embedder_tokenize(const struct al_embedder *e, struct al_str text,
                                               uint32_t *ids, size_t max, size_t *ret_n,
                                               struct al_err *err);

AL_DEFINE_AUTO(al_embedder);

#endif
