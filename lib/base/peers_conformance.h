/* peers_conformance.h - what every back end of the message port must do.
 *
 * A back end's test gives a fixture and runs al_peers_conformance_run; what only its own kind of
 * network can show (loss, delay) it tests itself.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_BASE_PEERS_CONFORMANCE_H
#define AIRLORE_BASE_PEERS_CONFORMANCE_H

#include "airlore/peers.h"

/* create   a network without faults.
 * node     as al_sim_net_node.
 * crash    the node's process ends and is started again, serving nothing.
 * wait     let something happen; false when nothing will.
 * now      the monotonic clock of the deadlines. */
struct al_peers_backend {
    const char *name;
    void *(*create)(void);
    void (*destroy)(void *net);
    struct al_peers *(*node)(void *net, uint32_t node, const struct al_peers_server *server);
    void (*crash)(void *net, uint32_t node);
    bool (*wait)(void *net);
    uint64_t (*now_ns)(void *net);
};

/* Run all of it as a cmocka group; the number of failures. */
int al_peers_conformance_run(const struct al_peers_backend *backend);

#endif
