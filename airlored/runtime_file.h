/* runtime_file.h - how a command of the same user on this machine finds the server.
 *
 * ${XDG_STATE_HOME:-$HOME/.local/state}/airlore/server.json, mode 0600 in a folder of mode 0700:
 * {"grpc","http","data","pid","started"}. The last server started is the one found; when it ends,
 * the one that it replaced is found again if it still runs. Nothing depends on it: a failure is a
 * warning.
 *
 * Thread: serialized by the caller.
 */
#ifndef AIRLORE_AIRLORED_RUNTIME_FILE_H
#define AIRLORE_AIRLORED_RUNTIME_FILE_H

#include "airlore/disk.h"

struct al_runtime_info {
    const char *grpc; /* HOST:PORT to dial */
    const char *http;
    const char *data; /* absolute */
    uint64_t pid;
    uint64_t started_ms; /* wall clock */
};

struct al_runtime_file {
    char path[4096];     /* "" : not written */
    uint64_t pid;        /* ours */
    char previous[4096]; /* what stood there, of a server that was running; "" : nothing */
};

/* Path of the file into buf; AL_NOT_FOUND when neither XDG_STATE_HOME nor HOME is an absolute path.
 */
AL_NODISCARD enum al_code al_runtime_file_path(char *buf, size_t n, struct al_err *err);

/* Write it to path; *ret is for al_runtime_file_remove. AL_FAILED_PRECONDITION when the folder
 * belongs to another user. */
AL_NODISCARD enum al_code al_runtime_file_write(const char *path,
                                                const struct al_runtime_info *info,
                                                struct al_disk *disk, struct al_runtime_file *ret,
                                                struct al_err *err);

/* Remove it if it is still ours, or put back what it replaced; accepts zeroed memory. */
void al_runtime_file_remove(struct al_runtime_file *f, struct al_disk *disk);

#endif
