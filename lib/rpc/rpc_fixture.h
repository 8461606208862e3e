/* rpc_fixture.h - what the end-to-end tests share: a server with the echo service, and a channel to
 * it.
 *
 * Thread: confined to one thread; the helpers that take a channel, any thread.
 */
#ifndef AIRLORE_RPC_FIXTURE_H
#define AIRLORE_RPC_FIXTURE_H

#include <stdatomic.h>

#include "airlore/rpc_client.h"
#include "airlore/rpc_server.h"
#include "airlore/testing.h"
#include "rpc_test.pb-c.h"

struct fixture {
    struct al_rpc_server *server;
    struct al_rpc_channel *channel;
    uint16_t port;
    char target[64];
    /* what the hooks and handlers saw */
    _Atomic unsigned n_admitted;
    _Atomic unsigned n_done;
    _Atomic unsigned n_done_ok;
    _Atomic unsigned n_users;     /* live objects hung on calls */
    _Atomic unsigned n_waiting;   /* handlers of Wait, Endless and Both that run */
    _Atomic unsigned n_cancelled; /* of those, how many saw their cancellation */
    _Atomic int last_code;
    _Atomic bool is_open; /* Wait returns */
};

/* Bytes of the test's descriptor set; loaded once. */
struct al_str fixture_set(void);

/* A server on a free port of 127.0.0.1, and a channel. opt may be NULL; descriptor set and hooks
 * are filled in. */
void fixture_start(struct fixture *f, const struct al_rpc_server_options *opt);

/* The same with certificates. */
void fixture_start_tls(struct fixture *f, const struct al_rpc_server_options *opt,
                       const struct al_rpc_tls *server_tls, const struct al_rpc_tls *channel_tls);

/* End both; checks that nothing of the calls is left. */
void fixture_stop(struct fixture *f);

/* Wait up to 10 s until *counter >= want; fails the test otherwise. */
void fixture_wait(_Atomic unsigned *counter, unsigned want);

/* One unary call: in and what came out. */
struct echo {
    const char *method;
    const char *text;
    uint32_t count;
    uint32_t size;
    uint64_t timeout_ms;
    const struct al_rpc_header *headers;
    size_t n_headers;
    struct al_rpc_cancel *cancel;
    /* out */
    enum al_code code;
    struct al_err err;
    char reply_text[256];
    uint32_t reply_count;
    size_t reply_bytes;
};

/* Make it; gives e->code. */
enum al_code echo_call(struct al_rpc_channel *c, struct echo *e);

/* Open a stream of the echo service. */
struct al_rpc_stream *echo_open(struct al_rpc_channel *c, const char *method, uint64_t timeout_ms);

/* Send one request. */
enum al_code echo_write(struct al_rpc_stream *s, const char *text, uint32_t count, uint32_t size,
                        struct al_err *err);

/* A plain TCP connection to the server; gives the descriptor. */
int raw_connect(uint16_t port);

#endif
