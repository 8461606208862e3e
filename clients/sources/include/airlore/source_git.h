/* airlore/source_git.h - the documents of a git repository at one commit, without a work tree.
 *
 * A local repository is read in place. A remote one is fetched, bare and one ref only, into the
 * cache folder, and the next run fetches only what is new. Entries are listed from the tree; their
 * checksum is the blob's object id, so that only files that have changed since the last ingested
 * commit are read. Links and submodules are left out.
 *
 * Thread: confined to one thread. Memory: the path to where the walk is, and libgit2's caches.
 */
#ifndef AIRLORE_SOURCE_GIT_H
#define AIRLORE_SOURCE_GIT_H

#include "airlore/source.h"

/* 0 and NULL mean the default. */
struct al_git_options {
    const char *cache_dir;    /* default: al_source_cache_dir("git") */
    const char *token;        /* sent as password over https when asked for one */
    uint64_t fetch_bytes_max; /* default 4 GiB; past it a fetch ends (TOO_LARGE) */
    bool (*on_fetch)(void *u, uint64_t done, uint64_t all, uint64_t bytes); /* false: cancel */
    void *u;
    struct al_mem *mem; /* borrowed until close; NULL: standard */
};

/* Whether it names a repository: "git:...", "git@HOST:...". */
bool al_git_is_address(const char *address);

/* Open "git:URL[@REF]", "git:FOLDER[@REF]" or "git@HOST:PATH[@REF]"; fetches. REF: a branch, a tag
 * or a full commit id; default: HEAD. Schemes: file, http, https, git, ssh. Errors:
 * AL_INVALID_ARGUMENT (address), AL_NOT_FOUND (repository, ref), AL_UNAVAILABLE (cannot be
 * fetched), AL_PERMISSION_DENIED. */
AL_NODISCARD enum al_code al_git_open(const char *address, const struct al_git_options *opt,
                                      struct al_source **ret, struct al_err *err);

/* The commit that is read, 40 hexadecimal digits; borrowed until close. */
const char *al_git_commit(const struct al_source *s);

/* An address cut into where and what: both into buf of n bytes; *ret_ref is "" without REF. A local
 * path that exists as a whole has no REF. AL_INVALID_ARGUMENT. */
AL_NODISCARD enum al_code al_git_parse(const char *address, char *buf, size_t n,
                                       const char **ret_ref, struct al_err *err);

#endif
