/* http_pages.h - what the server says over HTTP: metrics, health and a page that explains itself.
 *
 *   GET /         a page for people
 *   GET /metrics  Prometheus text format 0.0.4
 *   GET /healthz  200 once the process serves, until it ends
 *   GET /readyz   200 while it takes requests of all kinds; else 503 and a line that says why
 *
 * Everything else is 404, other methods than GET and HEAD are 405, a request with a body is 413;
 * these as JSON
 * {"error":{"code","status","message"}}.
 *
 * Thread: any thread; the functions of a site must bear that.
 */
#ifndef AIRLORE_AIRLORED_HTTP_PAGES_H
#define AIRLORE_AIRLORED_HTTP_PAGES_H

#include "airlore/str.h"

/* What the pages show. All borrowed while a server uses it. */
struct al_http_site {
    void *u;
    void (*metrics)(void *u, struct al_buf *ret);
    bool (*is_serving)(void *u); /* from the ready line on, also while draining */
    bool (*is_ready)(void *u, char *why, size_t n); /* why: filled when not */
    const char *grpc;                               /* address, for the page */
    const char *version;
};

struct al_http_request {
    const char *method;
    const char *path;
    bool has_body;
};

struct al_http_reply {
    unsigned status;
    const char *type;  /* content type; static */
    const char *allow; /* value of the header Allow; NULL: none */
    struct al_buf body;
};

/* Fill *ret; its body is owned by the caller: al_buf_fini. When memory is out the body is empty and
 * the status 503. */
void al_http_answer(const struct al_http_site *site, const struct al_http_request *req,
                    struct al_mem *mem, struct al_http_reply *ret);

#endif
