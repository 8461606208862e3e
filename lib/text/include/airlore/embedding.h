/* airlore/embedding.h - texts to vectors, wherever they come from.
 *
 * The port through which documents and queries get their vectors: the static table
 * (al_embedding_static), or a model endpoint (coordinator/embedding_llm.h). All vectors of an index
 * come from one embedding; its id is stored with them, and vectors of different ids are never
 * compared.
 *
 * Thread: any thread. An endpoint blocks on the network: not from a poller.
 */
#ifndef AIRLORE_EMBEDDING_H
#define AIRLORE_EMBEDDING_H

#include <stdint.h>

#include "airlore/embedder.h"

struct al_embedding;

/* Texts and where their vectors go. texts: n of any bytes. vecs: n * dim floats, has: n flags, of
 * the caller; has[i] false where a text has no vector (all zeros then). */
struct al_embedding_batch {
    const struct al_str *texts;
    size_t n;
    float *vecs;
    bool *has;
    uint64_t deadline_ns; /* of the monotonic clock */
};

/* embed: vectors of unit length; on error vecs and has are undefined. destroy accepts NULL. */
struct al_embedding_ops {
    enum al_code (*embed)(struct al_embedding *e, const struct al_embedding_batch *b,
                          struct al_err *err);
    void (*destroy)(struct al_embedding *e);
};

/* A back end begins with this. id: 1 to 127 bytes, borrowed as long as it lives. is_local: embed
 * takes no more than microseconds and never fails. */
struct al_embedding {
    const struct al_embedding_ops *ops;
    const char *id;
    uint32_t dim;
    bool is_local;
};

/* The static table; e borrowed until destroy. *ret owned: al_embedding_destroy. */
AL_NODISCARD enum al_code al_embedding_static(const struct al_embedder *e, struct al_mem *mem,
                                              struct al_embedding **ret, struct al_err *err);

/* Accepts NULL. */
void al_embedding_destroy(struct al_embedding *e);

/* embed of the back end. */
AL_NODISCARD enum al_code
al_embedding_embed(struct al_embedding *e, const struct al_embedding_batch *b, struct al_err *err);

AL_DEFINE_AUTO(al_embedding);

#endif
