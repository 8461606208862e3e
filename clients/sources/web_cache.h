/* web_cache.h - what was seen of pages last time: validators and checksums, in one file a source.
 *
 * A file that is missing or damaged is an empty cache: it is advice only.
 *
 * Thread: confined to one thread. Memory: at most AL_WEB_CACHE_PAGES_MAX pages, 512 MiB.
 */
#ifndef AIRLORE_SOURCES_WEB_CACHE_H
#define AIRLORE_SOURCES_WEB_CACHE_H

#include "airlore/arena.h"

#define AL_WEB_CACHE_PAGES_MAX 1000000u

struct al_web_page {
    const char *url;
    const char *checksum;
    const char *etag;          /* "" when there was none */
    const char *last_modified; /* the same */
};

struct al_web_cache {
    char path[3000];
    struct al_arena arena;
    struct al_web_page *pages; /* sorted by URL */
    size_t n;
    struct al_buf next; /* the file to be */
    size_t n_next;
};

/* Load path, borrowed for the call. AL_RESOURCE_EXHAUSTED is the only error. */
AL_NODISCARD enum al_code al_web_cache_open(struct al_web_cache *c, const char *path,
                                            struct al_err *err);

/* From the text of a file (for tests and the fuzzer, too). Bad lines are left out. */
AL_NODISCARD enum al_code al_web_cache_parse(struct al_web_cache *c, struct al_str text,
                                             struct al_err *err);

/* What is known about the URL, or NULL. */
const struct al_web_page *al_web_cache_find(const struct al_web_cache *c, const char *url);

/* Remember for the next run; nothing when it is full. */
void al_web_cache_put(struct al_web_cache *c, const struct al_web_page *p);

/* Write the file: a new one beside it, synced, put in its place. */
AL_NODISCARD enum al_code al_web_cache_save(struct al_web_cache *c, struct al_err *err);

/* Give memory back. Accepts zeroed memory. */
void al_web_cache_close(struct al_web_cache *c);

#endif
