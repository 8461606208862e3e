/* http_socket.h - a listening TCP socket.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_AIRLORED_HTTP_SOCKET_H
#define AIRLORE_AIRLORED_HTTP_SOCKET_H

#include "address.h"

/* Bind and listen, non-blocking; a name is looked up, its first address that works is taken.
 * *ret_fd owned: close. AL_UNAVAILABLE, reason ADDRESS_IN_USE: in use, or not of this machine;
 * AL_INVALID_ARGUMENT, reason BAD_ADDRESS: unknown host. */
AL_NODISCARD enum al_code al_http_socket_listen(const struct al_address *a, int *ret_fd,
                                                uint16_t *ret_port, struct al_err *err);

#endif
