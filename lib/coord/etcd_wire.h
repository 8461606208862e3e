/* etcd_wire.h - the port through which coord_etcd*.c speaks HTTP: many exchanges driven by one
 * thread, answers given in pieces. Back end: coord_etcd_curl.c.
 *
 * Thread: confined to one thread, but for wake: any thread.
 */
#ifndef AIRLORE_COORD_ETCD_WIRE_H
#define AIRLORE_COORD_ETCD_WIRE_H

#include "airlore/mem.h"
#include "airlore/str.h"

struct al_wire;
struct al_wire_exchange;

enum al_wire_end {
    AL_WIRE_ANSWERED = 1, /* a whole answer, whatever its status */
    AL_WIRE_TIMED_OUT = 2,
    AL_WIRE_BROKEN = 3, /* no connection, or it ended too early */
    AL_WIRE_STOPPED = 4 /* on_data gave false */
};

struct al_wire_result {
    enum al_wire_end end;
    uint32_t status; /* of HTTP, 0: none came */
    bool was_sent;   /* all of the body was given to the connection: it may have arrived. false: it
                        surely has not */
    const char *why; /* borrowed until return; for people */
};

/* One POST of a JSON body. All borrowed until it ends, but for token: until start returns. on_data
 * may start and cancel nothing; on_end may. */
struct al_wire_request {
    const char *url;
    struct al_str body;
    const char *token;   /* for the header Authorization; NULL: none */
    uint32_t timeout_ms; /* of all of it; 0: none */
    bool (*on_data)(void *u, const char *p, size_t n); /* of a 2xx or any other answer alike */
    void (*on_end)(void *u, const struct al_wire_result *r); /* last; not after cancel */
    void *u;
};

/* start   on_end is called from run only, also for what fails at once. A request is sent once:
 * never again by itself on another connection, once its body was begun. cancel  ends it, without
 * on_end. run     drives all exchanges; returns after timeout_ms, after wake, or when something
 * happened. */
struct al_wire_ops {
    enum al_code (*start)(struct al_wire *h, const struct al_wire_request *req,
                          struct al_wire_exchange **ret, struct al_err *err);
    void (*cancel)(struct al_wire *h, struct al_wire_exchange *x);
    void (*run)(struct al_wire *h, uint32_t timeout_ms);
    void (*wake)(struct al_wire *h);
    void (*destroy)(struct al_wire *h); /* all exchanges have ended */
};

struct al_wire {
    const struct al_wire_ops *ops;
};

struct al_wire_options {
    const char *ca_file; /* borrowed as long as the client, like the others; NULL: none */
    const char *cert_file;
    const char *key_file;
    uint32_t connect_timeout_ms;
    uint32_t connections_max; /* of all kinds; what is beyond waits */
    struct al_mem *mem;
};

/* A client over libcurl. *ret owned: ops->destroy. */
AL_NODISCARD enum al_code al_wire_curl_create(const struct al_wire_options *opt,
                                              struct al_wire **ret, struct al_err *err);

#endif
