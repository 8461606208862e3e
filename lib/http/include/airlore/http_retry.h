/* airlore/http_retry.h - sending again what may be sent again.
 *
 * Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015): before attempt n a wait uniform in [0, min(max, base * 2^(n-1))], and
 * never less than the answer's Retry-After asks for.
 *
 * Thread: any thread, when random may be used from it.
 */
#ifndef AIRLORE_HTTP_RETRY_H
#define AIRLORE_HTTP_RETRY_H

#include "airlore/http.h"
#include "airlore/random.h"

struct al_http_retry {
    uint32_t attempts_max;    /* 1 to 10; 0: 4 */
    uint32_t base_ms;         /* 0: 200 */
    uint32_t max_ms;          /* of one wait, Retry-After included; a longer one is not waited for;
                                 0: 30,000 */
    bool is_idempotent;       /* a request that may have been done is sent again, too */
    struct al_random *random; /* NULL: the system's */
    /* Wait; NULL: sleep. False: give up (cancelled). */
    bool (*wait)(void *u, uint32_t ms);
    void *u;
};

/* al_http_send until an answer is final: AL_UNAVAILABLE, and the statuses 408, 425, 429, 500, 502,
 * 503, 504 are tried again while attempts and the deadline allow (a POST or PUT that got a 408 or a
 * 5xx only when is_idempotent: it may have been done). The last answer or error otherwise. With
 * on_body parts of a failed attempt may have been handed over: it is called for statuses below 300
 * only, and no attempt follows once it was. */
AL_NODISCARD enum al_code al_http_send_retry(struct al_http *h, const struct al_http_request *req,
                                             const struct al_http_retry *r, struct al_arena *a,
                                             struct al_http_response *ret, struct al_err *err);

/* Milliseconds of a Retry-After header: seconds, or an HTTP date against the wall clock; 0 when
 * absent, past or malformed. */
uint64_t al_http_retry_after_ms(const struct al_http_response *r, uint64_t now_ms);

#endif
