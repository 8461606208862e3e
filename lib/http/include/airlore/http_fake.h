/* airlore/http_fake.h - an HTTP client that asks a function instead of the network, for tests.
 *
 * Thread: as http.h; the function is called by the thread that sends.
 */
#ifndef AIRLORE_HTTP_FAKE_H
#define AIRLORE_HTTP_FAKE_H

#include "airlore/http.h"

/* What the other side does with one request. Strings borrowed until the next call of the function.
 * code other than AL_OK: the network fails, after the request was sent (sent) or before. headers
 * alternate name and value, NULL at the end. */
struct al_http_fake_answer {
    enum al_code code;
    bool sent;
    uint32_t status;
    const char *const *headers;
    struct al_str body;
    size_t part_bytes; /* of the body handed over at a time; 0: all at once */
};

typedef void al_http_fake_fn(void *u, const struct al_http_request *req,
                             struct al_http_fake_answer *ret);

/* *ret owned: al_http_close. u borrowed until then. clock NULL: the system's. */
AL_NODISCARD enum al_code al_http_fake_open(al_http_fake_fn *fn, void *u, struct al_clock *clock,
                                            struct al_mem *mem, struct al_http **ret,
                                            struct al_err *err);

#endif
