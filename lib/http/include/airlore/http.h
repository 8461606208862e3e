/* airlore/http.h - HTTP requests to other services: one request, one answer, everything bounded.
 *
 * A client is a port: http_curl.h is the real one, http_fake.h answers from a function (tests).
 * Both pass conformance.h.
 *
 * Outcomes
 * - AL_OK: there is an answer, of whatever status.
 * - AL_UNAVAILABLE, reason UPSTREAM_UNAVAILABLE: no answer, and the request surely had no effect:
 * nothing was sent, or the method is safe (GET, HEAD).
 * - AL_UNKNOWN, reason OUTCOME_UNKNOWN: it was sent, or some of it, and there is no whole answer. A
 * kept connection that turns out dead makes the transport send once more, so that a request that is
 * not idempotent needs an identity of its own.
 * - AL_DEADLINE_EXCEEDED: the deadline had passed before anything was sent, or the method is safe.
 * - AL_RESOURCE_EXHAUSTED, reason RESPONSE_TOO_LARGE: the answer is over a limit; MEMORY_LIMIT.
 * - AL_CANCELLED: cancel said so.
 * - AL_INVALID_ARGUMENT, reason BAD_URL: not http or https, no host, or bytes that no URL has;
 * reason BAD_HEADER: a name or value with control characters.
 * - AL_FAILED_PRECONDITION, reason UPSTREAM_UNTRUSTED: the certificate of the other side is not
 * good.
 *
 * Thread:    any thread. Blocks on the network: not from a poller.
 * Lifecycle: open (of a back end) -> send* -> al_http_close, when no call is under way.
 * Memory:    what goes in is borrowed until return; the answer lives in the caller's arena.
 */
#ifndef AIRLORE_HTTP_H
#define AIRLORE_HTTP_H

#include "airlore/arena.h"
#include "airlore/clock.h"

#define AL_HTTP_URL_BYTES_MAX 8192u
#define AL_HTTP_HEADERS_MAX 128u             /* of a request, and of an answer */
#define AL_HTTP_HEADER_BYTES_MAX (64u << 10) /* of all headers of an answer */
#define AL_HTTP_BODY_BYTES_DEFAULT (16u << 20)

enum al_http_method {
    AL_HTTP_GET = 1,
    AL_HTTP_HEAD = 2,
    AL_HTTP_POST = 3,
    AL_HTTP_PUT = 4,
    AL_HTTP_DELETE = 5,
};

struct al_http_header {
    struct al_str name; /* of an answer: lower case */
    struct al_str value;
};

/* status 100 to 599; of redirects that were followed, the last answer. body: empty when on_body
 * took it. */
struct al_http_response {
    uint32_t status;
    struct al_http_header *headers;
    size_t n_headers;
    struct al_str body;
};

/* Who asks. All empty: nobody. sign_v4 empty: HTTP basic; else "PROVIDER1:PROVIDER2:REGION:SERVICE"
 * ("aws:amz:eu-west-1:s3"), user and password being key id and secret (AWS Signature Version 4). */
struct al_http_credential {
    struct al_str user;
    struct al_str password;
    struct al_str sign_v4;
};

struct al_http_request {
    enum al_http_method method;
    struct al_str url;
    const struct al_http_header *headers;
    size_t n_headers;
    struct al_str body;                          /* POST, PUT */
    const struct al_http_credential *credential; /* NULL: none */
    uint64_t deadline_ns;                        /* of the monotonic clock */
    uint32_t redirects_max;    /* to http and https; 0: a redirect is an answer like others */
    size_t response_bytes_max; /* of the body, decoded; 0: AL_HTTP_BODY_BYTES_DEFAULT */
    /* The body as it comes; head has status and headers. Not called for bodies of redirects. An
     * error ends the request with it. NULL: the body is collected. */
    enum al_code (*on_body)(void *u, const struct al_http_response *head, struct al_str part,
                            struct al_err *err);
    bool (*cancel)(void *u); /* polled at least ten times a second; NULL: never */
    void *u;
};

struct al_http;

struct al_http_ops {
    enum al_code (*send)(struct al_http *h, const struct al_http_request *req, struct al_arena *a,
                         struct al_http_response *ret, struct al_err *err);
    void (*close)(struct al_http *h);
};

/* A back end begins with this. */
struct al_http {
    const struct al_http_ops *ops;
    struct al_clock *clock;
};

/* Send and wait for the whole answer. *ret in the arena, set only on AL_OK. */
AL_NODISCARD enum al_code al_http_send(struct al_http *h, const struct al_http_request *req,
                                       struct al_arena *a, struct al_http_response *ret,
                                       struct al_err *err);

/* End kept connections and free. Accepts NULL. */
void al_http_close(struct al_http *h);

/* A header of an answer by its lower-case name; empty when absent. Borrowed. */
struct al_str al_http_find_header(const struct al_http_response *r, const char *name);

/* GET or HEAD: sending it twice is sending it once. */
bool al_http_is_safe(enum al_http_method m);

/* "GET" and so on. */
const char *al_http_method_name(enum al_http_method m);

#endif
