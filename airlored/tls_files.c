#include "tls_files.h"

#include <string.h>

#define PEM_BYTES_MAX (1u << 20)

static enum al_code read_pem(const char *key, const char *path, struct al_disk *disk,
                             struct al_buf *b, struct al_err *err)
{
    al_buf_init(b, NULL, PEM_BYTES_MAX);
    AL_TRY_CTX(err, al_disk_read_file(disk, path, b, err), "%s", key);
    if (b->n == 0 || memchr(b->p, '\0', b->n))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_TLS", "%s: '%.150s' is not a PEM file", key,
                         path);
    return AL_OK;
}

static enum al_code read_all(const struct al_settings *s, struct al_disk *disk,
                             struct al_tls_files *f, struct al_err *err)
{
    AL_TRY(read_pem("tls.cert", s->tls_cert, disk, &f->cert, err));
    AL_TRY(read_pem("tls.key", s->tls_key, disk, &f->key, err));
    f->tls = (struct al_rpc_tls){.cert_pem = f->cert.p, .key_pem = f->key.p};
    if (s->tls_client_ca[0]) {
        AL_TRY(read_pem("tls.client_ca", s->tls_client_ca, disk, &f->ca, err));
        f->tls.ca_pem = f->ca.p;
        f->tls.accept_client_cert = true;
        f->tls.require_client_cert = s->tls_client_certificates == AL_CLIENT_CERTIFICATES_REQUIRED;
    }
    f->is_set = true;
    return AL_OK;
}

enum al_code al_tls_files_read(const struct al_settings *s, struct al_disk *disk,
                               struct al_tls_files *ret, struct al_err *err)
{
    struct al_tls_files f = {.is_set = false};
    if (s->tls_cert[0]) {
        enum al_code code = read_all(s, disk, &f, err);
        if (code != AL_OK) {
            al_tls_files_fini(&f);
            return code;
        }
    }
    *ret = f;
    return AL_OK;
}

void al_tls_files_fini(struct al_tls_files *f)
{
    if (f->key.p)
        explicit_bzero(f->key.p, f->key.n);
    al_buf_fini(&f->cert);
    al_buf_fini(&f->key);
    al_buf_fini(&f->ca);
    *f = (struct al_tls_files){.is_set = false};
}
