/* airlore/net.h - the network port: names looked up, sockets listened on.
 *
 * Only what Airlore itself does with sockets: HTTP listens on one of these; gRPC opens and dials
 * its own. Messages between nodes are another port, peers.h.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_NET_H
#define AIRLORE_NET_H

#include <stddef.h>
#include <stdint.h>

#include "airlore/err.h"

#define AL_NET_ADDRESSES_MAX 16u /* of one name; further ones are not looked at */

/* An address with its port, in the form of the back end. */
struct al_net_address {
    uint8_t bytes[128];
    uint32_t n;
};

struct al_net;

/* resolve  addresses to listen on for a host, a name or a number, in their order; at most cap, at
 *          least one. AL_INVALID_ARGUMENT, reason BAD_ADDRESS.
 * listen   bind and listen, non-blocking, closed on exec; port 0 picks a free one. *ret_fd owned:
 *          close. AL_UNAVAILABLE, reason ADDRESS_IN_USE: in use, or not of this machine; other
 *          codes by errno. */
struct al_net_ops {
    enum al_code (*resolve)(struct al_net *n, const char *host, uint16_t port,
                            struct al_net_address *ret, size_t cap, size_t *ret_n,
                            struct al_err *err);
    enum al_code (*listen)(struct al_net *n, const struct al_net_address *a, int *ret_fd,
                           uint16_t *ret_port, struct al_err *err);
    void (*close)(struct al_net *n, int fd);
};

struct al_net {
    const struct al_net_ops *ops;
};

/* The machine's network. Shared, never freed. */
struct al_net *al_net_system(void);

/* Listen on the first address of the host that works; n NULL: the system's. Errors as of the
 * operations: of several addresses those of the last. */
AL_NODISCARD enum al_code al_net_listen(struct al_net *n, const char *host, uint16_t port,
                                        int *ret_fd, uint16_t *ret_port, struct al_err *err);

/* Close what al_net_listen gave. */
void al_net_close(struct al_net *n, int fd);

#endif
