/* address.h - HOST:PORT of a command line or a configuration.
 *
 * Thread: any thread (no state).
 */
#ifndef AIRLORE_AIRLORED_ADDRESS_H
#define AIRLORE_AIRLORED_ADDRESS_H

#include <stdint.h>

#include "airlore/str.h"

#define AL_ADDRESS_BYTES_MAX 272u /* "[host]:65535" and NUL */

struct al_address {
    char host[256]; /* without brackets */
    uint16_t port;  /* 0: a free one */
};

/* Read "127.0.0.1:7700", "localhost:7700" or "[::1]:7700"; the name is not looked up.
 * AL_INVALID_ARGUMENT, reason BAD_ADDRESS. */
AL_NODISCARD enum al_code al_address_parse(const char *text, struct al_address *ret,
                                           struct al_err *err);

/* Write it with another port (brackets where they belong) into buf of AL_ADDRESS_BYTES_MAX; gives
 * buf. */
const char *al_address_format(const struct al_address *a, uint16_t port, char *buf);

/* Only this machine can reach it: 127.0.0.0/8, ::1, "localhost". */
bool al_address_is_loopback(const struct al_address *a);

/* What a client on this machine dials: the same, but loopback where the server listens on all
 * addresses. */
struct al_address al_address_dialled(const struct al_address *a);

#endif
