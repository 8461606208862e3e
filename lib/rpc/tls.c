#include "runtime.h"

#include <string.h>

static bool is_pem(const char *s)
{
    return s && strstr(s, "-----BEGIN ");
}

static enum al_code bad(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TLS", "tls: %s", what);
}

static enum al_code check(const struct al_rpc_tls *tls, struct al_err *err)
{
    if (tls->ca_pem && !is_pem(tls->ca_pem))
        return bad(err, "the authority's certificate is not PEM");
    if (!tls->cert_pem != !tls->key_pem)
        return bad(err, "certificate and key go together");
    if (tls->cert_pem && !is_pem(tls->cert_pem))
        return bad(err, "the certificate is not PEM");
    if (tls->key_pem && !is_pem(tls->key_pem))
        return bad(err, "the key is not PEM");
    return AL_OK;
}

/* Never one of the kinds that do not verify: a certificate that a call shows has been checked. */
static grpc_ssl_client_certificate_request_type demand(const struct al_rpc_tls *tls)
{
    if (tls->require_client_cert)
        return GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    if (tls->accept_client_cert)
        return GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
}

enum al_code al_rpc_tls_server(const struct al_rpc_tls *tls, grpc_server_credentials **ret,
                               struct al_err *err)
{
    grpc_server_credentials *creds;
    if (tls) {
        AL_TRY(check(tls, err));
        if (!tls->cert_pem)
            return bad(err, "a server needs a certificate and its key");
        if ((tls->require_client_cert || tls->accept_client_cert) && !tls->ca_pem)
            return bad(err, "client certificates need an authority to check them by");
        grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key_pem,
                                           .cert_chain = tls->cert_pem};
        creds = grpc_ssl_server_credentials_create_ex(tls->ca_pem, &pair, 1, demand(tls), NULL);
    } else {
        creds = grpc_insecure_server_credentials_create();
    }
    if (!creds)
        return bad(err, "certificate or key cannot be used");
    *ret = creds;
    return AL_OK;
}

enum al_code al_rpc_tls_channel(const struct al_rpc_tls *tls, grpc_channel_credentials **ret,
                                struct al_err *err)
{
    grpc_channel_credentials *creds;
    if (tls) {
        AL_TRY(check(tls, err));
        grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key_pem,
                                           .cert_chain = tls->cert_pem};
        creds =
            grpc_ssl_credentials_create_ex(tls->ca_pem, tls->key_pem ? &pair : NULL, NULL, NULL);
    } else {
        creds = grpc_insecure_credentials_create();
    }
    if (!creds)
        return bad(err, "certificate or key cannot be used");
    *ret = creds;
    return AL_OK;
}
