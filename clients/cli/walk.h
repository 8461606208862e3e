/* walk.h - the documents of a folder.
 *
 * Links are not followed, so loops and files outside do not matter; devices, pipes and sockets are
 * left out; hidden entries, node_modules, __pycache__ and the like are not looked at. What cannot
 * be read is reported and not fatal.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_CLI_WALK_H
#define AIRLORE_CLI_WALK_H

#include "airlore/str.h"

#define AL_WALK_FILES_MAX 5000000u
#define AL_WALK_DEPTH_MAX 128u

/* One document. path is relative to the folder, with '/'; strings live as long as the list. */
struct al_cli_file {
    const char *path;
    const char *media_type; /* static */
    uint64_t size_bytes;
    int64_t mtime_s;
};

struct al_cli_walk {
    struct al_cli_file *files; /* sorted by path */
    size_t n_files;
    uint64_t size_bytes; /* all together */
    uint64_t n_left_out; /* files of other kinds, links, devices */
    uint64_t n_bad;      /* what could not be read */
    /* private state */
    size_t cap;
    char *texts;
    size_t texts_n;
    size_t texts_cap;
    void (*on_bad)(void *u, const char *path, const char *reason, const char *message);
    void *u;
};

/* Walk the folder. on_bad is called for what cannot be read: path relative to the folder, a stable
 * reason, and a message. AL_NOT_FOUND, AL_PERMISSION_DENIED, AL_INVALID_ARGUMENT: the folder itself
 * cannot be read. */
AL_NODISCARD enum al_code al_cli_walk_run(const char *folder, struct al_cli_walk *ret,
                                          void (*on_bad)(void *u, const char *path,
                                                         const char *reason, const char *message),
                                          void *u, struct al_err *err);

/* Give the list back. Accepts zeroed memory. */
void al_cli_walk_fini(struct al_cli_walk *w);

#endif
