#include "http_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int try_listen(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (ok && ai->ai_family == AF_INET6)
        ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    if (ok && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {.v6 = {0}};
    socklen_t n = sizeof sa;
    if (getsockname(fd, &sa.any, &n) != 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
}

enum al_code al_http_socket_listen(const struct al_address *a, int *ret_fd, uint16_t *ret_port,
                                   struct al_err *err)
{
    char shown[AL_ADDRESS_BYTES_MAX];
    char port[8];
    al_address_format(a, a->port, shown);
    snprintf(port, sizeof port, "%u", (unsigned)a->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(a->host, port, &hints, &list);
    if (rc != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ADDRESS", "http: listen '%.80s': %s", shown,
                         gai_strerror(rc));
    int fd = -1;
    int why = EADDRNOTAVAIL;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
        fd = try_listen(ai);
        if (fd < 0)
            why = errno;
    }
    freeaddrinfo(list);
    if (fd < 0 && (why == EADDRINUSE || why == EADDRNOTAVAIL))
        return AL_FAIL_R(err, AL_UNAVAILABLE, "ADDRESS_IN_USE",
                         "http: listen '%.80s': the address is in use or not of this machine",
                         shown);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, why, "http: listen '%.80s'", shown);
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return AL_OK;
}
