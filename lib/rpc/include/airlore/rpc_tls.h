/* airlore/rpc_tls.h - certificates for servers and channels.
 *
 * Thread: plain data, read during the call it is given to and not kept.
 */
#ifndef AIRLORE_RPC_TLS_H
#define AIRLORE_RPC_TLS_H

#include <stdbool.h>

/* PEM texts, NUL-terminated, borrowed for the call.
 *
 * ca_pem               whom to trust. Server: the authority of client certificates. Client: that of
 *                      the server (NULL: the system's).
 * cert_pem             own certificate chain; needed by a server, for mutual TLS by a client too.
 * key_pem              the key of cert_pem.
 * require_client_cert  server: refuse clients without a certificate signed by ca_pem (mutual TLS).
 * accept_client_cert   server: ask for a certificate; one that ca_pem has not signed is refused,
 * none is not. Implied by require_client_cert. target_name          client: the name that the
 * server's certificate must carry, when it is not the one dialled; NULL: dialled.
 */
struct al_rpc_tls {
    const char *ca_pem;
    const char *cert_pem;
    const char *key_pem;
    bool require_client_cert;
    bool accept_client_cert;
    const char *target_name;
};

#endif
