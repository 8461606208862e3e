/* airlore/peers.h - the message port: a request of bytes to a peer, its answer later.
 *
 * What replication, heartbeats and leases need of a network, and no more: sockets, TLS and streams
 * are gRPC's. A request may be lost, come late or come twice, and so may its answer; a caller is
 * told exactly once what became of its call, but for a crash of its own.
 *
 * Back ends: the simulated network below; one over lib/rpc comes with the cluster. Both pass
 * peers_conformance.c.
 *
 * Thread: of the back end; the simulated one is confined to one thread.
 */
#ifndef AIRLORE_PEERS_H
#define AIRLORE_PEERS_H

#include "airlore/clock.h"
#include "airlore/random.h"
#include "airlore/str.h"

#define AL_PEERS_BYTES_MAX (64u << 20) /* of a request, of an answer */

struct al_peers;

/* Called once for each call that was taken, never from within it.
 * AL_OK                answer is the peer's; borrowed for the call.
 * AL_UNAVAILABLE       nobody serves there: it was not carried out, and never will be.
 * AL_UNKNOWN           the deadline passed or the connection broke: it may have been carried out,
 *                      or may still be. */
struct al_peers_call {
    uint32_t to;
    struct al_str request; /* borrowed until `call` returns; at most AL_PEERS_BYTES_MAX */
    uint64_t deadline_ns;  /* monotonic; AL_DEADLINE_NONE is not taken */
    void (*done)(void *u, enum al_code code, struct al_str answer);
    void *u;
};

/* How this node serves. request: borrowed for the call. ticket: for al_peers_answer, now or later;
 * one that is never answered ends with the caller's deadline. The same request may come twice. */
struct al_peers_server {
    void (*serve)(void *u, uint32_t from, uint64_t ticket, struct al_str request);
    void *u;
};

/* call     AL_INVALID_ARGUMENT (no deadline, too long), AL_RESOURCE_EXHAUSTED (too many under way,
 *          no memory); then done is not called.
 * answer   copied. A ticket that was answered, or whose caller is gone, changes nothing. */
struct al_peers_ops {
    enum al_code (*call)(struct al_peers *p, const struct al_peers_call *c, struct al_err *err);
    enum al_code (*answer)(struct al_peers *p, uint64_t ticket, struct al_str answer,
                           struct al_err *err);
};

struct al_peers {
    const struct al_peers_ops *ops;
};

/* Send a request. Errors as of the operation. */
AL_NODISCARD enum al_code al_peers_call(struct al_peers *p, const struct al_peers_call *c,
                                        struct al_err *err);

/* Answer a request. AL_RESOURCE_EXHAUSTED; AL_INVALID_ARGUMENT when it is too long. */
AL_NODISCARD enum al_code al_peers_answer(struct al_peers *p, uint64_t ticket, struct al_str answer,
                                          struct al_err *err);

/* ---- a network of nodes in one thread, on a clock that only it moves ---- */

#define AL_SIM_NODES_MAX 16u

struct al_sim_net;

/* What the network does to each message, drawn anew from the seed. Percent of messages. */
struct al_sim_net_weather {
    uint32_t lost;
    uint32_t doubled; /* requests that arrived come again, with a delay of their own; and again */
    uint32_t slow;    /* take four times as long, so many of these again, and so on up to slow_ms:
                         they are overtaken */
    uint64_t delay_ms;
    uint64_t slow_ms;
};

struct al_sim_net_options {
    struct al_mem *mem;          /* NULL: al_mem_std */
    struct al_random *random;    /* seeded; borrowed */
    struct al_fake_clock *clock; /* borrowed; al_sim_net_step moves it */
    size_t calls_max;            /* under way at once; 0: 1024 */
};

/* *ret owned: al_sim_net_destroy. */
AL_NODISCARD enum al_code al_sim_net_create(const struct al_sim_net_options *o,
                                            struct al_sim_net **ret, struct al_err *err);

/* Calls under way end without their done. Accepts NULL. */
void al_sim_net_destroy(struct al_sim_net *n);

/* From now on. A fresh network is a perfect one: nothing lost, nothing late. */
void al_sim_net_set_weather(struct al_sim_net *n, const struct al_sim_net_weather *w);

/* The port of a node (0 to AL_SIM_NODES_MAX - 1), which serves from now on; server NULL: it does
 * not, calls to it are AL_UNAVAILABLE. Borrowed. */
struct al_peers *al_sim_net_node(struct al_sim_net *n, uint32_t node,
                                 const struct al_peers_server *server);

/* Whether messages pass between two nodes, in both directions. What is lost on a cut link is lost;
 * what was sent before and arrives while it is cut, too. */
void al_sim_net_set_link(struct al_sim_net *n, uint32_t a, uint32_t b, bool up);

/* The node's process ends: its calls are forgotten (no done), its tickets are void, it serves no
 * more. What it sent still arrives. */
void al_sim_net_crash(struct al_sim_net *n, uint32_t node);

/* Move the clock to the next thing that happens and let it happen; false when nothing will. */
bool al_sim_net_step(struct al_sim_net *n);

/* Let everything happen that does within the next ms; the clock stands at their end. */
void al_sim_net_run_ms(struct al_sim_net *n, uint64_t ms);

/* Messages on their way, deadlines not counted. */
size_t al_sim_net_in_flight(const struct al_sim_net *n);

#endif
