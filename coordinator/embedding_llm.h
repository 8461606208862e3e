/* embedding_llm.h - the embedding port over an endpoint that speaks the OpenAI API.
 *
 * The id is "MODEL@DIM", so that vectors of another model or dimension are never compared. Texts
 * that are not UTF-8 are sent with U+FFFD in place of what is not.
 *
 * Thread: as embedding.h.
 */
#ifndef AIRLORE_COORDINATOR_EMBEDDING_LLM_H
#define AIRLORE_COORDINATOR_EMBEDDING_LLM_H

#include "airlore/embedding.h"
#include "airlore/llm_embed.h"

/* llm borrowed until destroy; opt: its deadline is not used. *ret owned: al_embedding_destroy.
 * AL_INVALID_ARGUMENT, reason BAD_OPTION. */
AL_NODISCARD enum al_code al_embedding_llm(struct al_llm *llm,
                                           const struct al_llm_embed_options *opt,
                                           struct al_mem *mem, struct al_embedding **ret,
                                           struct al_err *err);

#endif
