/* airlore/llm_embed.h - vectors of texts from an endpoint (POST /embeddings).
 *
 * Thread: as llm.h.
 */
#ifndef AIRLORE_LLM_EMBED_H
#define AIRLORE_LLM_EMBED_H

#include "airlore/llm.h"

#define AL_LLM_DIM_MAX 4096u

struct al_llm_embed_options {
    uint32_t dim;            /* what every vector must have, 1 to AL_LLM_DIM_MAX */
    bool send_dim;           /* ask for it ("dimensions"); for models that can be asked */
    uint32_t batch_texts;    /* in one request, 1 to 2,048; 0: 64 */
    uint32_t batch_bytes;    /* in one request, from 1 KiB; 0: 256 KiB */
    uint32_t text_bytes_max; /* a longer text is cut at a character; 0: 8,192 */
    uint64_t deadline_ns;
};

struct al_llm_texts {
    const struct al_str *texts;
    size_t n;
};

/* Vectors of unit length: n * dim floats of the caller, written on AL_OK. has: n flags; false for a
 * text without anything but white space (not sent) and for a vector of length 0 (all zeros then).
 * AL_FAILED_PRECONDITION, reason EMBEDDER_MISMATCH: a vector of another
 * dimension. */
AL_NODISCARD enum al_code al_llm_embed(struct al_llm *l, const struct al_llm_embed_options *opt,
                                       const struct al_llm_texts *texts, float *vecs, bool *has,
                                       struct al_err *err);

#endif
