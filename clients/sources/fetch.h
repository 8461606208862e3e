/* fetch.h - requests that behave: a rate for each host, retries with jitter, Retry-After.
 *
 * Thread: confined to one thread. Memory: one entry for each of the last AL_FETCH_HOSTS_MAX hosts.
 */
#ifndef AIRLORE_SOURCES_FETCH_H
#define AIRLORE_SOURCES_FETCH_H

#include "airlore/clock.h"
#include "airlore/random.h"
#include "airlore/source_http.h"
#include "web_http.h"

#define AL_FETCH_HOSTS_MAX 256u
#define AL_FETCH_TRIES 5u           /* of one request */
#define AL_FETCH_WAIT_MS_MAX 60000u /* between two tries, whatever the server asks for */

struct al_fetch_host {
    char host[300];
    uint64_t next_ns;  /* when the next request may go out */
    uint64_t used_ns;  /* for eviction */
    uint32_t delay_ms; /* between requests; 0: the rate's */
};

struct al_fetch {
    struct al_web_http *http;
    struct al_clock *clock;
    struct al_random *random;
    struct al_pause *pause;
    uint32_t delay_ms;
    struct al_fetch_host hosts[AL_FETCH_HOSTS_MAX];
    size_t n_hosts;
    uint64_t n_requests; /* tries included */
};

/* All borrowed as long as it is used. per_second > 0. */
void al_fetch_init(struct al_fetch *f, struct al_web_http *http,
                   const struct al_source_ports *ports, double per_second);

/* The request, as often as it takes: again after a connection that failed and after 408, 429, 500,
 * 502, 503 and 504, waiting 0.5 s, 1 s, 2 s, ... each within [half, whole] at random, or as long as
 * Retry-After says. The last answer counts. Errors: as al_web_http.get. */
AL_NODISCARD enum al_code al_fetch_get(struct al_fetch *f, const struct al_web_request *r,
                                       struct al_web_reply *ret, struct al_err *err);

/* Wait this long between requests to the host, when that is longer than the rate's. */
void al_fetch_slow_down(struct al_fetch *f, const char *host, uint32_t delay_ms);

#endif
