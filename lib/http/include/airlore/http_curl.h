/* airlore/http_curl.h - the HTTP client over libcurl.
 *
 * Connections are kept for the next request to the same host, at most connections_max handles of
 * them. Proxies of the environment (http_proxy, https_proxy, no_proxy) are used. Compressed bodies
 * are asked for and decoded; limits count decoded bytes.
 *
 * Thread: as http.h.
 */
#ifndef AIRLORE_HTTP_CURL_H
#define AIRLORE_HTTP_CURL_H

#include "airlore/http.h"

struct al_http_curl_options {
    const char *ca_file;         /* PEM; NULL: the system's */
    const char *cert_file;       /* own certificate for mutual TLS, PEM; NULL: none */
    const char *key_file;        /* its key, PEM */
    bool no_proxy;               /* whatever the environment says */
    uint32_t connect_timeout_ms; /* 0: 5,000 */
    uint32_t connections_max;    /* requests at a time, 1 to 256; more wait; 0: 16 */
    struct al_mem *mem;
    struct al_clock *clock; /* NULL: the system's */
};

/* *ret owned: al_http_close. AL_RESOURCE_EXHAUSTED; AL_INVALID_ARGUMENT, reason BAD_OPTION. Strings
 * are copied; files are read when a connection is made. */
AL_NODISCARD enum al_code al_http_curl_open(const struct al_http_curl_options *opt,
                                            struct al_http **ret, struct al_err *err);

#endif
