/* airlore/llm.h - an endpoint that speaks the OpenAI API: who it is, what it may be asked and
 * spend.
 *
 * One object is one endpoint with one model (embeddings and chat may be two). It keeps to a rate of
 * requests and tokens a minute, to a budget of tokens a day (UTC), and to so many calls at a time;
 * it sends again what may be sent again (http_retry.h) within the deadline. Embeddings:
 * llm_embed.h; chat: llm_chat.h.
 *
 * Errors of every call
 * - those of al_http_send for what could not be had (UPSTREAM_UNAVAILABLE and so on);
 * - AL_UNAVAILABLE, reason UPSTREAM_UNAVAILABLE: it answered with an error that may pass (429, 5xx)
 * until the attempts were used up;
 * - AL_FAILED_PRECONDITION, reason UPSTREAM_REFUSED: it answered that it will not (other 4xx): a
 * wrong key, an unknown model, a text that is too long for it; the message has its words, cut;
 * - AL_RESOURCE_EXHAUSTED, reason RATE_LIMITED: our own rate leaves no room before the deadline;
 * reason BUDGET_EXCEEDED: the day's tokens are spent;
 * - AL_DATA_LOSS, reason BAD_ANSWER: what it answered is not what the API says.
 *
 * Thread:    any thread (internally locked). Calls block on the network: not from a poller.
 * Lifecycle: create -> calls -> destroy, when no call is under way.
 * Secrets:   the key is sent to the endpoint and nowhere else; it is never logged or shown.
 */
#ifndef AIRLORE_LLM_H
#define AIRLORE_LLM_H

#include "airlore/http.h"
#include "airlore/log.h"
#include "airlore/metrics.h"
#include "airlore/random.h"

struct al_llm;

struct al_llm_options {
    const char *name;      /* of this use, for logs and metrics: "embed", "chat"; a literal */
    const char *url;       /* where the API begins: "http://127.0.0.1:11434/v1" */
    const char *key;       /* sent as bearer token; NULL or "": none */
    const char *model;     /* 1 to 200 bytes */
    uint32_t timeout_ms;   /* of one call, all attempts; 1,000 to 600,000; 0: 60,000 */
    uint32_t attempts_max; /* 1 to 10; 0: 4 */
    uint32_t calls_max;    /* at a time, 1 to 64; more wait; 0: 4 */
    uint32_t requests_per_minute; /* 0: no limit */
    uint32_t tokens_per_minute;   /* 0: no limit */
    uint64_t tokens_per_day;      /* budget; 0: none */
    double price_in;              /* of a million tokens, in any currency; 0: free */
    double price_out;
    struct al_http *http; /* all ports borrowed; http must be given, the others may be NULL */
    struct al_clock *clock;
    struct al_random *random;
    struct al_mem *mem;
    struct al_log *log;
    struct al_metrics *metrics;
    bool (*wait)(void *u, uint32_t ms); /* as in al_http_retry; NULL: sleep */
    void *wait_u;
};

/* *ret owned: al_llm_destroy. Strings are copied. AL_INVALID_ARGUMENT, reason BAD_OPTION. */
AL_NODISCARD enum al_code al_llm_create(const struct al_llm_options *opt, struct al_llm **ret,
                                        struct al_err *err);

/* Accepts NULL. */
void al_llm_destroy(struct al_llm *l);

/* Its model. Borrowed. */
const char *al_llm_model(const struct al_llm *l);

/* What was used since the start, and today. cost in the currency of the prices. */
struct al_llm_usage {
    uint64_t requests;
    uint64_t failures;
    uint64_t tokens_in;
    uint64_t tokens_out;
    uint64_t tokens_today;
    double cost;
};
/* A snapshot. */
void al_llm_get_usage(struct al_llm *l, struct al_llm_usage *ret);

AL_DEFINE_AUTO(al_llm);

#endif
