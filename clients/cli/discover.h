/* discover.h - find the server that this user started on this machine, and its admin key.
 *
 * A server writes ${XDG_STATE_HOME:-$HOME/.local/state}/airlore/server.json:
 * {"grpc","http","data","pid","started"}, mode 0600 in a folder of mode 0700. It counts only when
 * file and folder belong to this user, nobody else can write them, and the process lives. The key
 * is the one line of DATA/admin.key.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_CLI_DISCOVER_H
#define AIRLORE_CLI_DISCOVER_H

#include "airlore/str.h"

struct al_cli_found {
    char grpc[300]; /* HOST:PORT */
    char key[600];  /* empty: no key could be read; why is in key_problem */
    char key_problem[240];
};

/* Path of the runtime file into buf; AL_NOT_FOUND when neither XDG_STATE_HOME nor HOME is set. */
AL_NODISCARD enum al_code al_cli_runtime_path(char *buf, size_t n, struct al_err *err);

/* Read the runtime file at path and the key. AL_NOT_FOUND: no such file. AL_FAILED_PRECONDITION:
 * there is one, but it is not to be trusted, damaged, or its server is gone; the message says
 * which. */
AL_NODISCARD enum al_code al_cli_discover(const char *path, struct al_cli_found *ret,
                                          struct al_err *err);

#endif
