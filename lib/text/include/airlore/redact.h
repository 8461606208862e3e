/* airlore/redact.h - take secrets out of a text before anything is stored.
 *
 * Known shapes (cloud, source host, chat and model provider keys, JWTs, private key blocks,
 * passwords in URLs and connection strings, Fernet keys, password/token/secret assignments, our own
 * keys) are replaced by "[redacted:<kind>]". Applying it twice changes nothing more. pcre2 with
 * JIT, each pattern with match limits.
 *
 * Thread: al_redact may be called from any thread (patterns are compiled once).
 */
#ifndef AIRLORE_REDACT_H
#define AIRLORE_REDACT_H

#include "airlore/arena.h"
#include "airlore/str.h"

#define AL_REDACT_VERSION 1u

/* *ret is text itself when nothing was found, else a copy in the arena. *ret_n: replacements made.
 * Text that exceeds a match limit is refused (AL_INVALID_ARGUMENT, reason REDACTION_LIMIT):
 * unchecked text is never stored. */
AL_NODISCARD enum al_code al_redact(struct al_str text, struct al_arena *a, struct al_str *ret,
                                    uint32_t *ret_n, struct al_err *err);

#endif
