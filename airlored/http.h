/* http.h - the small HTTP server beside gRPC: one thread that sleeps until somebody comes.
 *
 * Headers up to 16 KiB, no bodies, connections limited in number and in silence. When the places
 * are nearly taken the connection that was silent for longest gives way, so that clients that send
 * nothing cannot keep others out.
 *
 * Thread:    serialized by the caller; the site's functions run on the server's own thread.
 * Lifecycle: start -> stop.
 */
#ifndef AIRLORE_AIRLORED_HTTP_H
#define AIRLORE_AIRLORED_HTTP_H

#include "address.h"
#include "airlore/net.h"
#include "http_pages.h"

struct al_http;

struct al_http_options {
    struct al_address address;
    uint32_t connections_max;             /* at least 8 */
    uint32_t connections_per_address_max; /* 0: no limit of its own */
    uint32_t idle_ms;                     /* rounded up to seconds */
    const struct al_http_site *site;      /* borrowed until stop */
    struct al_mem *mem;                   /* borrowed until stop; NULL: standard */
    struct al_net *net;                   /* borrowed until stop; NULL: the system's */
};

/* Bind and serve. *ret owned: al_http_stop. AL_UNAVAILABLE, reason ADDRESS_IN_USE: the address is
 * in use, or not of this machine. */
AL_NODISCARD enum al_code al_http_start(const struct al_http_options *opt, struct al_http **ret,
                                        struct al_err *err);

/* The port that is listened on. */
uint16_t al_http_port(const struct al_http *h);

/* Close all connections, end the thread, free. Accepts NULL. */
void al_http_stop(struct al_http *h);

#endif
