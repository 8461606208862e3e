/* web_http.h - one HTTP request, as a port; its adapter is web_curl.c.
 *
 * Thread: confined to one thread. Memory: the body goes into the caller's buffer.
 */
#ifndef AIRLORE_SOURCES_WEB_HTTP_H
#define AIRLORE_SOURCES_WEB_HTTP_H

#include <stdint.h>

#include "airlore/arena.h"
#include "airlore/err.h"

#define AL_URL_BYTES_MAX 2000u
#define AL_WEB_HEADERS_MAX 8u

/* A GET. All borrowed for the call. */
struct al_web_request {
    const char *url; /* http or https */
    const char *headers[AL_WEB_HEADERS_MAX];
    size_t n_headers;
    const char *sigv4;         /* "aws:amz:REGION:SERVICE": sign with user_password; or NULL */
    const char *user_password; /* "KEY:SECRET", or NULL */
    uint64_t max_bytes;        /* of the body, as it comes out of Content-Encoding */
    uint32_t timeout_ms;       /* of everything */
    bool deny_private;         /* do not connect to loopback, private and link-local addresses */
};

/* What came back. Texts are "" when the header is absent or too long. */
struct al_web_reply {
    int status;
    struct al_buf *body; /* the caller's, emptied before */
    char etag[256];
    char last_modified[64];
    char content_type[128];
    char location[AL_URL_BYTES_MAX + 1]; /* of a redirect, absolute */
    uint32_t retry_after_s;
};

/* get: redirects are not followed. Any status is AL_OK. Errors: AL_UNAVAILABLE (no connection, cut
 * short), AL_DEADLINE_EXCEEDED, AL_PERMISSION_DENIED (PRIVATE_ADDRESS, or a certificate that is not
 * trusted), AL_INVALID_ARGUMENT (TOO_LARGE, a bad URL), AL_RESOURCE_EXHAUSTED. */
struct al_web_http {
    enum al_code (*get)(struct al_web_http *h, const struct al_web_request *r,
                        struct al_web_reply *ret, struct al_err *err);
};

/* The real one. *ret owned: al_web_curl_close. */
AL_NODISCARD enum al_code al_web_curl_open(struct al_web_http **ret, struct al_err *err);

/* Give it back. Accepts NULL. */
void al_web_curl_close(struct al_web_http *h);

/* A URL's parts. host: lower case, with the port when it is not the scheme's own. */
struct al_url {
    char scheme[8];
    char host[300];
    char path[AL_URL_BYTES_MAX + 1]; /* with the query; "/" when empty */
};

/* Cut a URL, http or https only. AL_INVALID_ARGUMENT (BAD_URL), AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_url_parse(const char *url, struct al_url *ret, struct al_err *err);

/* url without its fragment and with scheme and host in lower case, into buf. AL_INVALID_ARGUMENT
 * (BAD_URL): as above, with a user or password in it, or too long. AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_url_clean(const char *url, char *buf, size_t n, struct al_err *err);

/* Seconds since the epoch of an HTTP date, 0 when it is none. */
int64_t al_web_date(const char *text);

#endif
