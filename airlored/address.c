#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool is_host_name(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
        if (!ok)
            return false;
    }
    return s.n > 0;
}

static bool is_ipv6(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET6, host, &a) == 1;
}

static enum al_code bad(const char *text, const char *why, struct al_err *err)
{
    return AL_FAIL_R(
        err, AL_INVALID_ARGUMENT, "BAD_ADDRESS",
        "address '%.80s': %s; expected HOST:PORT, such as 127.0.0.1:7700 or [::1]:7700", text, why);
}

enum al_code al_address_parse(const char *text, struct al_address *ret, struct al_err *err)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return bad(text, "no port", err);
    struct al_str host = {text, (size_t)(colon - text)};
    bool bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = al_str_sub(host, 1, host.n - 2);
    struct al_address a = {.port = 0};
    if (host.n == 0)
        return bad(text, "no host", err);
    if (host.n >= sizeof a.host)
        return bad(text, "host too long", err);
    memcpy(a.host, host.p, host.n);
    if (bracketed ? !is_ipv6(a.host) : !is_host_name(host))
        return bad(text, "host is neither a name nor an address", err);
    uint64_t port;
    if (!al_str_u64(al_str_c(colon + 1), &port) || port > UINT16_MAX)
        return bad(text, "port is not a number from 0 to 65535", err);
    a.port = (uint16_t)port;
    *ret = a;
    return AL_OK;
}

const char *al_address_format(const struct al_address *a, uint16_t port, char *buf)
{
    bool v6 = strchr(a->host, ':') != NULL;
    snprintf(buf, AL_ADDRESS_BYTES_MAX, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
             (unsigned)port);
    return buf;
}

bool al_address_is_loopback(const struct al_address *a)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, a->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, a->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(a->host, "localhost") == 0;
}

struct al_address al_address_dialled(const struct al_address *a)
{
    struct al_address d = *a;
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, a->host, &v4) == 1 && v4.s_addr == htonl(INADDR_ANY))
        snprintf(d.host, sizeof d.host, "127.0.0.1");
    else if (inet_pton(AF_INET6, a->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6))
        snprintf(d.host, sizeof d.host, "::1");
    return d;
}
