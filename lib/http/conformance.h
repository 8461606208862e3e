/* conformance.h - what every HTTP client back end must do, as one suite.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_HTTP_CONFORMANCE_H
#define AIRLORE_HTTP_CONFORMANCE_H

#include "airlore/http.h"

/* How the other side answers one request. fails: the connection ends without an answer after the
 * request was read; refuses: nobody listens. */
struct al_http_script {
    uint32_t status;
    const char *const *headers; /* name and value in turn, NULL at the end */
    struct al_str body;
    bool fails;
    bool refuses;
};

/* What came last. */
struct al_http_seen {
    char method[16];
    char path[256];
    char headers[4096]; /* "name: value\\n" each, as sent */
    char body[4096];
    uint32_t count; /* of requests */
};

/* A back end and the other side of it. */
struct al_http_world {
    struct al_http *http;
    struct al_clock *clock;
    void (*set)(struct al_http_world *w, const struct al_http_script *s); /* borrowed until next */
    const char *(*url)(struct al_http_world *w, const char *path, char *buf, size_t n);
    const struct al_http_seen *(*seen)(struct al_http_world *w);
};

/* Run all of it. */
void al_http_conformance(struct al_http_world *w);

#endif
