/* airlore/llm_chat.h - text from an endpoint (POST /chat/completions).
 *
 * Thread: as llm.h.
 */
#ifndef AIRLORE_LLM_CHAT_H
#define AIRLORE_LLM_CHAT_H

#include "airlore/llm.h"

#define AL_LLM_ANSWER_BYTES_MAX (1u << 20)

enum al_llm_role { AL_LLM_SYSTEM = 1, AL_LLM_USER = 2, AL_LLM_ASSISTANT = 3 };

struct al_llm_message {
    enum al_llm_role role;
    struct al_str text;
};

struct al_llm_chat {
    const struct al_llm_message *messages;
    size_t n_messages;   /* 1 to 64 */
    uint32_t tokens_max; /* of the answer; 0: 1,024 */
    double temperature;  /* 0 to 2 */
    uint64_t deadline_ns;
    /* The answer as it comes; false ends it (AL_CANCELLED). NULL: all at once. */
    bool (*on_text)(void *u, struct al_str part);
    bool (*cancel)(void *u); /* as in al_http_request; NULL: never */
    void *u;
};

struct al_llm_answer {
    struct al_str text;
    bool cut; /* it ended at tokens_max */
    uint64_t tokens_in;
    uint64_t tokens_out;
    double cost;
};

/* Ask. *ret in the arena. AL_RESOURCE_EXHAUSTED, reason RESPONSE_TOO_LARGE: more than
 * AL_LLM_ANSWER_BYTES_MAX. */
AL_NODISCARD enum al_code al_llm_chat(struct al_llm *l, const struct al_llm_chat *chat,
                                      struct al_arena *a, struct al_llm_answer *ret,
                                      struct al_err *err);

#endif
