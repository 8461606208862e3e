/* http_int.h - what back ends share: an answer while it comes.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_HTTP_INT_H
#define AIRLORE_HTTP_INT_H

#include "airlore/http.h"

/* The answer to one request, filled head first. */
struct al_http_answer {
    const struct al_http_request *req;
    struct al_arena *a;
    struct al_http_response head;
    struct al_buf body;
    size_t header_bytes;
    size_t cap_headers;
    size_t body_bytes;
    enum al_code code; /* the first error, with err */
    struct al_err err;
};

/* Nothing yet. */
void al_http_answer_init(struct al_http_answer *x, const struct al_http_request *req,
                         struct al_arena *a);

/* A status begins another head: an interim answer or a redirect came before. */
void al_http_answer_begin(struct al_http_answer *x, uint32_t status);

/* One header; the name is made lower case. False and code set: over a limit. */
bool al_http_answer_header(struct al_http_answer *x, struct al_str name, struct al_str value);

/* A part of the body. False and code set: over the limit, or on_body's error. */
bool al_http_answer_body(struct al_http_answer *x, struct al_str part);

/* The whole answer, or the error. */
AL_NODISCARD enum al_code al_http_answer_end(struct al_http_answer *x, struct al_http_response *ret,
                                             struct al_err *err);

/* A request without a whole answer: by whether anything of it was sent, and the method. */
enum al_code al_http_fail_unanswered(const struct al_http_request *req, bool sent, const char *why,
                                     struct al_err *err);

#endif
