/* llm_int.h - what the calls of an endpoint share.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_LLM_INT_H
#define AIRLORE_LLM_INT_H

#include <jansson.h>

#include "airlore/llm.h"

/* One call of the API. */
struct al_llm_call {
    const char *path;    /* "/embeddings" */
    struct al_str body;  /* JSON */
    uint64_t tokens_max; /* what it may cost at most, as far as it can be told before */
    size_t response_bytes_max;
    uint64_t deadline_ns;
    /* As in al_http_request, for statuses below 300 only; NULL: the body is collected. */
    enum al_code (*on_body)(void *u, const struct al_http_response *head, struct al_str part,
                            struct al_err *err);
    bool (*cancel)(void *u);
    void *u;
};

/* Wait for its turn, send, check the status. *ret the body. */
AL_NODISCARD enum al_code al_llm_post(struct al_llm *l, const struct al_llm_call *call,
                                      struct al_arena *a, struct al_str *ret, struct al_err *err);

/* Count what a call has used, at most 2^32 each way whatever the answer says; gives its cost. */
double al_llm_count(struct al_llm *l, uint64_t tokens_in, uint64_t tokens_out);

/* About how many tokens a text has: a quarter of its bytes, rounded up. */
uint64_t al_llm_guess_tokens(size_t n_bytes);

/* JSON of bounded depth. AL_DATA_LOSS, reason BAD_ANSWER. *ret: json_decref. */
AL_NODISCARD enum al_code al_llm_parse(struct al_str bytes, json_t **ret, struct al_err *err);

/* A value as text in the arena; moves v. AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_llm_dump(json_t *v, struct al_arena *a, struct al_str *ret,
                                      struct al_err *err);

#endif
