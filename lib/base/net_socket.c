/* The network port on the sockets of the system. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "airlore/net.h"

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code socket_resolve(struct al_net *n, const char *host, uint16_t port,
                                   struct al_net_address *ret, size_t cap, size_t *ret_n,
                                   struct al_err *err)
{
    (void)n;
    char text[8];
    snprintf(text, sizeof text, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, text, &hints, &list);
    /* loopback whatever the machine's files say (RFC 6761, 6.3): a bare root has no /etc/hosts */
    if (rc != 0 && strcmp(host, "localhost") == 0)
        rc = getaddrinfo("127.0.0.1", text, &hints, &list);
    if (rc != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ADDRESS", "address '%.80s:%u': %s", host,
                         (unsigned)port, gai_strerror(rc));
    size_t count = 0;
    for (const struct addrinfo *ai = list; ai && count < cap; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof ret->bytes)
            continue;
        memcpy(ret[count].bytes, ai->ai_addr, ai->ai_addrlen);
        ret[count++].n = ai->ai_addrlen;
    }
    freeaddrinfo(list);
    if (count == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ADDRESS", "address '%.80s:%u': no address",
                         host, (unsigned)port);
    *ret_n = count;
    return AL_OK;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    uint8_t bytes[sizeof((struct al_net_address){0}.bytes)];
};

static uint16_t port_of(int fd)
{
    union any_address a = {.v6 = {0}};
    socklen_t n = sizeof a;
    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static bool try_listen(int fd, const union any_address *a, uint32_t n)
{
    int on = 1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (ok && a->any.sa_family == AF_INET6)
        ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    return ok && bind(fd, &a->any, n) == 0 && listen(fd, SOMAXCONN) == 0;
}

static enum al_code socket_listen(struct al_net *net, const struct al_net_address *address,
                                  int *ret_fd, uint16_t *ret_port, struct al_err *err)
{
    (void)net;
    union any_address a;
    memcpy(a.bytes, address->bytes, sizeof a.bytes);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "listen: socket");
    if (!try_listen(fd, &a, address->n)) {
        int why = errno;
        close(fd);
        if (why == EADDRINUSE || why == EADDRNOTAVAIL)
            return AL_FAIL_R(err, AL_UNAVAILABLE, "ADDRESS_IN_USE",
                             "listen: the address is in use or not of this machine");
        return AL_FAIL_ERRNO(err, why, "listen");
    }
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return AL_OK;
}

static void socket_close(struct al_net *net, int fd)
{
    (void)net;
    close(fd);
}

struct al_net *al_net_system(void)
{
    static const struct al_net_ops ops = {socket_resolve, socket_listen, socket_close};
    static struct al_net net = {&ops};
    return &net;
}
