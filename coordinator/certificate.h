/* certificate.h - what the server reads of a client certificate: PEM to DER, its fingerprint, its
 * end.
 *
 * TLS has verified it; nothing here does. Only as much of X.509 is read as is needed to find the
 * end of its validity, with every length checked.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_COORDINATOR_CERTIFICATE_H
#define AIRLORE_COORDINATOR_CERTIFICATE_H

#include "airlore/arena.h"
#include "airlore/str.h"

#define AL_CERTIFICATE_PEM_MAX (64u << 10)

/* The DER bytes of the first certificate of a PEM text, in the arena. AL_INVALID_ARGUMENT, reason
 * BAD_FORMAT: there is none, or it is no base64. */
AL_NODISCARD enum al_code al_certificate_der(struct al_str pem, struct al_arena *a,
                                             struct al_str *ret, struct al_err *err);

/* When it ends, in milliseconds since 1970; 0 when before. AL_INVALID_ARGUMENT, reason BAD_FORMAT:
 * this is no X.509 certificate. */
AL_NODISCARD enum al_code al_certificate_end(struct al_str der, uint64_t *ret_ms,
                                             struct al_err *err);

/* 64 hexadecimal digits, with or without colons between bytes, any case, to 64 lower-case ones.
 * AL_INVALID_ARGUMENT, reason BAD_FORMAT. */
AL_NODISCARD enum al_code al_fingerprint_parse(struct al_str text, char ret[65],
                                               struct al_err *err);

#endif
