/* airlore/coord_etcd.h - the coordination store in etcd (3.4 or later), through its JSON gateway.
 *
 * What coord.h promises, with a quorum of etcd behind it. What a time-out, a lost lease and a lost
 * quorum mean to the caller: docs/coordination.md.
 *
 * Each handle has two threads: one drives all connections (calls, keepalives, watches), one calls
 * watch functions, so that a slow function delays no keepalive. A call waits for the first.
 *
 * Endpoints: one is in use until it fails (refuses, is silent for request_timeout_ms, has no
 * leader), then the next; all watches move with it and miss nothing. What surely was not applied,
 * and what only reads, is tried again for retry_ms at most, within the deadline of the call. A
 * write whose answer did not come is never sent again: AL_UNKNOWN.
 *
 * Leases: renewed three times in their life. The local deadline is the time a good keepalive was
 * sent, and the time to live that etcd answered: it passes before etcd's own. When it has passed,
 * the lease is lost for good, also if etcd still knows it.
 *
 * Differences to what etcd offers by itself: a put that keeps the lease of a key that does not
 * exist makes the key (it counts twice towards request_bytes_max); a read of compares only is
 * linearizable; compaction to R keeps every change of R, deletions too.
 *
 * Thread: any thread (internally locked).
 */
#ifndef AIRLORE_COORD_ETCD_H
#define AIRLORE_COORD_ETCD_H

#include "airlore/coord.h"
#include "airlore/metrics.h"
#include "airlore/random.h"

#define AL_ETCD_ENDPOINTS_MAX 16u
#define AL_ETCD_PREFIX_BYTES_MAX 256u

/* All strings are copied. 0 and NULL: the default. The key of the configuration is named first. */
struct al_coord_etcd_options {
    /* etcd.endpoints: 1 to 16 of "http://host:port" or "https://host:port", with commas between.
     * No default. */
    const char *endpoints;
    /* etcd.prefix: stands before every key, so that clusters can share an etcd; "" (default) to 256
     * bytes. */
    const char *prefix;
    /* etcd.ca_file: PEM; whom to trust with https. Default: the system's. */
    const char *ca_file;
    /* etcd.cert_file, etcd.key_file: PEM; the client certificate, both or none. With etcd's own
     * users it must not have a common name (etcd refuses all its calls). */
    const char *cert_file;
    const char *key_file;
    /* etcd.auth_file: its first line is "user:password"; read again at each authentication, so that
     * it can be replaced. Default: none. */
    const char *auth_file;

    uint32_t connect_timeout_ms; /* etcd.connect_timeout: default 1 s, 50 ms to 30 s */
    uint32_t
        request_timeout_ms;    /* etcd.request_timeout, one attempt: default 2 s, 100 ms to 60 s */
    uint32_t retry_ms;         /* etcd.retry: default 3 s, 1 ms to 60 s */
    uint32_t probe_ms;         /* etcd.probe: how often an endpoint with watches is asked whether
                                  it lives: default 1 s, 50 ms to 30 s */
    uint32_t connections_max;  /* etcd.connections, for calls: default 8, 1 to 64 */
    uint32_t calls_max;        /* etcd.calls, under way or waiting: default 1,024, 1 to 65,536 */
    uint32_t watches_max;      /* etcd.watches, a connection each: default 64, 1 to 1,024 */
    uint32_t leases_max;       /* etcd.leases: default 64, 1 to 1,024 */
    size_t response_bytes_max; /* etcd.response_bytes, one answer or message: default 32 MiB,
                                  4 MiB to 256 MiB */
    size_t queue_bytes_max;    /* etcd.queue_bytes, changes that wait for watch functions: default
                                  16 MiB, 64 KiB to 1 GiB. Beyond, watches pause */

    struct al_mem *mem;         /* borrowed; NULL: standard */
    struct al_clock *clock;     /* borrowed; NULL: the system's. Must run as real time does */
    struct al_random *random;   /* borrowed; NULL: the system's */
    struct al_log *log;         /* borrowed; NULL: none */
    struct al_metrics *metrics; /* borrowed; NULL: none */
};

/* A handle. Nothing is sent yet: an etcd that is away is met by the calls. AL_INVALID_ARGUMENT,
 * reason BAD_OPTION; AL_FAILED_PRECONDITION when a file cannot be read. *ret owned: al_coord_close;
 * no call may be under way then. */
AL_NODISCARD enum al_code al_coord_etcd_open(const struct al_coord_etcd_options *opt,
                                             struct al_coord **ret, struct al_err *err);

/* Wait until the watches of c have been told of everything up to the store's present revision;
 * false at the deadline. It relies on frequent progress notifications of etcd
 * (--experimental-watch-progress-notify-interval=100ms). Never from a watch function. Tests only.
 */
bool al_coord_etcd_settle(struct al_coord *c, uint64_t deadline_ns);

#endif
