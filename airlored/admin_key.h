/* admin_key.h - the key of whoever runs the server: one line in DATA/admin.key, mode 0600.
 *
 * Thread: serialized by the caller.
 */
#ifndef AIRLORE_AIRLORED_ADMIN_KEY_H
#define AIRLORE_AIRLORED_ADMIN_KEY_H

#include "airlore/directory.h"
#include "airlore/disk.h"

#define AL_ADMIN_KEY_NOTE "admin of this server"

enum al_admin_key_state {
    AL_ADMIN_KEY_KEPT = 1, /* the file was there, and its key is good */
    AL_ADMIN_KEY_MADE,     /* there was no file: a new key was made */
    AL_ADMIN_KEY_REFUSED,  /* the file was there, but its key is not valid (any more); it was left
                              alone */
};

struct al_admin_key {
    enum al_admin_key_state state;
    char id[24];       /* public part of a key made now; "" otherwise */
    bool made_private; /* others could read the file: its mode was set to 0600 */
};

/* Make sure that the file at path is there: if not, make an admin key of the team "default" and
 * write it. A server killed between the two has a key in its list that nobody knows; the next start
 * makes another one. Codes of the directory and of the disk; AL_FAILED_PRECONDITION, reason
 * BAD_ADMIN_KEY: what is there is not a small file. */
AL_NODISCARD enum al_code al_admin_key_ensure(const char *path, struct al_directory *directory,
                                              struct al_disk *disk, struct al_admin_key *ret,
                                              struct al_err *err);

#endif
