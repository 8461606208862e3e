/* tls_files.h - certificates of the server, read from the files that the configuration names.
 *
 * Thread:    confined to one thread.
 * Lifecycle: read -> fini (wipes the key).
 */
#ifndef AIRLORE_AIRLORED_TLS_FILES_H
#define AIRLORE_AIRLORED_TLS_FILES_H

#include "airlore/rpc_tls.h"
#include "settings.h"

struct al_tls_files {
    bool is_set;
    struct al_rpc_tls tls; /* views of the buffers; borrowed until fini */
    struct al_buf cert;
    struct al_buf key;
    struct al_buf ca;
};

/* Read what tls.cert, tls.key and tls.client_ca name; is_set false when they are empty. On error
 * *ret needs no fini. */
AL_NODISCARD enum al_code al_tls_files_read(const struct al_settings *s, struct al_disk *disk,
                                            struct al_tls_files *ret, struct al_err *err);

/* Wipe and free. Accepts zeroed memory. */
void al_tls_files_fini(struct al_tls_files *f);

#endif
