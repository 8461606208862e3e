/* airlore/source.h - where documents come from, as one port: archives, repositories, buckets, web
 * pages, dumps.
 *
 * A source gives entries one after the other. An entry with content is complete. An entry without
 * is cheap (a listing): the caller asks the server whether it has this id with this checksum, and
 * loads only what it has not; this is what makes every source incremental without any state of its
 * own. What is wrong with one entry is told in the entry and does not end the source; what is wrong
 * with the source itself (a truncated archive, a listing that fails) ends it with an error, so that
 * nothing is taken for missing that merely was not seen.
 *
 *     while (al_source_next(s, &a, &e, &end, err) == AL_OK && !end) {
 *         if (e.why.code != AL_OK) ...                      one bad entry
 *         else if (e.has_content || al_source_load(s, &a, &e, max, err) == AL_OK) ...
 *         al_arena_reset(&a);
 *     }
 *
 * Thread:    confined to one thread.
 * Lifecycle: an opener of the kind -> (next | load)* -> close. After an error of next only close.
 * Memory:    entries lie in the arena given to next; a source keeps O(1) memory but for what its
 *            own header says.
 */
#ifndef AIRLORE_SOURCE_H
#define AIRLORE_SOURCE_H

#include <stdint.h>

#include "airlore/arena.h"
#include "airlore/err.h"

#define AL_SOURCE_ID_BYTES_MAX 512u   /* as the wire contract says */
#define AL_SOURCE_PATH_DEPTH_MAX 128u /* folders in a path, as when walking a folder */
#define AL_SOURCE_ENTRIES_MAX 5000000u
#define AL_SOURCE_META_MAX 8u

/* A fact about an entry that is kept as metadata. */
struct al_source_meta {
    const char *key;
    const char *value;
};

/* One thing of a source. NULL and 0: not known. */
struct al_source_entry {
    const char *id;         /* unique in the source; NULL only with why */
    const char *media_type; /* static */
    const char *checksum;   /* changes when the content does; NULL: take that of the content */
    bool checksum_is_old;   /* it is what was seen last time: load asks whether it still holds */
    bool is_known;          /* set by the caller before load: the server has this checksum */
    bool is_unchanged;      /* set by load: it still holds, there is no content */
    const char *title;
    const char *kind;
    const char *url;
    const char *version;
    const char *const *tags;
    size_t n_tags;
    struct al_source_meta meta[AL_SOURCE_META_MAX];
    size_t n_meta;
    int64_t created_s;
    int64_t updated_s;
    bool has_content;
    struct al_str content;
    uint64_t consumed_bytes; /* of the source so far, for a progress line */
    struct al_err why;       /* code not AL_OK: what is wrong with this entry */
};

struct al_source;

/* What a kind of source does; see the functions below. */
struct al_source_ops {
    enum al_code (*next)(struct al_source *s, struct al_arena *a, struct al_source_entry *ret,
                         bool *ret_end, struct al_err *err);
    enum al_code (*load)(struct al_source *s, struct al_arena *a, struct al_source_entry *e,
                         uint64_t max, struct al_err *err);
    enum al_code (*finish)(struct al_source *s, struct al_err *err);
    void (*close)(struct al_source *s);
};

/* The head of every source. */
struct al_source {
    const struct al_source_ops *ops;
    char name[400];      /* says where from, without secrets; "" when the opener leaves it so */
    char label[256];     /* short name for prefixes of ids, without '/' */
    uint64_t size_bytes; /* what consumed_bytes goes up to; 0: not known */
    void (*on_progress)(void *u, uint64_t consumed_bytes); /* set by the caller; may be NULL */
    void *u;
    uint64_t n_left_out; /* what is no document: other suffixes, links, devices */
};

/* The next entry, in a. *ret_end: there is none. Errors: of the source as a whole. */
AL_NODISCARD enum al_code al_source_next(struct al_source *s, struct al_arena *a,
                                         struct al_source_entry *ret, bool *ret_end,
                                         struct al_err *err);

/* Read the content of an entry into a, at most max bytes (TOO_LARGE). Errors: of this entry. */
AL_NODISCARD enum al_code al_source_load(struct al_source *s, struct al_arena *a,
                                         struct al_source_entry *e, uint64_t max,
                                         struct al_err *err);

/* All of it was taken: keep what makes the next run cheaper. Errors matter for speed only. */
AL_NODISCARD enum al_code al_source_finish(struct al_source *s, struct al_err *err);

/* Give it back. Accepts NULL. */
void al_source_close(struct al_source *s);

/* For sources: tell the caller how far a long step is. */
void al_source_say_progress(const struct al_source *s, uint64_t consumed_bytes);

/* Media type of a document by the suffix of its name; NULL when it is no document. */
const char *al_source_media_type(const char *name);

/* Whether a part of a path is never looked at: hidden, node_modules, __pycache__, site-packages. */
bool al_source_is_ignored(struct al_str part);

/* Whether any folder of the path, or the name itself, is ignored. */
bool al_source_is_ignored_path(const char *path);

/* A path from outside as an id: relative, no "..", no empty or "." parts (a leading "./" is
 * dropped), no control characters, UTF-8, not too deep, not too long. *ret points into path.
 * AL_INVALID_ARGUMENT with reason BAD_PATH or TOO_DEEP. */
AL_NODISCARD enum al_code al_source_check_path(const char *path, const char **ret,
                                               struct al_err *err);

/* Checksum of bytes as text, "KIND" and 32 hexadecimal digits; NULL: out of memory. */
char *al_source_checksum(struct al_arena *a, const char *kind, const void *p, size_t n);

/* Add a fact to an entry; nothing when the value is NULL or empty. */
void al_source_add_meta(struct al_source_entry *e, const char *key, const char *value);

/* A folder for what makes the next run cheaper, made if need be: $XDG_CACHE_HOME/airlore/KIND or
 * ~/.cache/airlore/KIND into buf. AL_FAILED_PRECONDITION: neither is set; or why it cannot be made.
 */
AL_NODISCARD enum al_code al_source_cache_dir(const char *kind, char *buf, size_t n,
                                              struct al_err *err);

#endif
