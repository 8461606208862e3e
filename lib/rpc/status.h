/* status.h - errors on the wire: trailers out, reasons in.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_RPC_STATUS_H
#define AIRLORE_RPC_STATUS_H

#include <grpc/status.h>

#include "airlore/str.h"

#define AL_RPC_REASON_KEY "airlore-reason"
#define AL_RPC_RETRY_KEY "airlore-retry-after-ms"
#define AL_RPC_DETAILS_KEY "grpc-status-details-bin"
#define AL_RPC_REQUEST_ID_KEY "x-request-id"

/* Room for an encoded google.rpc.Status of any struct al_err. */
#define AL_RPC_DETAILS_MAX 768u

/* Encode google.rpc.Status with one google.rpc.ErrorInfo {reason, domain "airlore", metadata
 * retry_after_ms where it is said} into buf; gives its length. */
size_t al_rpc_status_details(const struct al_err *e, char buf[AL_RPC_DETAILS_MAX]);

/* The message of e as valid UTF-8 in buf (cut at a character's border; other bytes become '?');
 * gives buf. */
struct al_str al_rpc_status_message(const struct al_err *e,
                                    char buf[sizeof((struct al_err *)0)->msg]);

/* The code of a status number from the wire; unknown ones are AL_UNKNOWN. */
enum al_code al_rpc_code_of(int status);

/* Milliseconds of the trailer AL_RPC_RETRY_KEY; 0 for anything but a number up to 7 days. */
uint32_t al_rpc_retry_of(struct al_str value);

/* A reason from the wire as a string that lives forever, or NULL when it is not UPPER_SNAKE_CASE of
 * at most 63 characters or the table (256 reasons) is full. */
const char *al_rpc_reason_intern(struct al_str reason);

#endif
