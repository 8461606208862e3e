/* What all sources share. */
#include "airlore/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <xxhash.h>

enum al_code al_source_next(struct al_source *s, struct al_arena *a, struct al_source_entry *ret,
                            bool *ret_end, struct al_err *err)
{
    *ret_end = false;
    memset(ret, 0, sizeof *ret);
    return s->ops->next(s, a, ret, ret_end, err);
}

enum al_code al_source_load(struct al_source *s, struct al_arena *a, struct al_source_entry *e,
                            uint64_t max, struct al_err *err)
{
    if (!s->ops->load)
        return AL_FAIL(err, AL_INTERNAL, "source: an entry without content");
    return s->ops->load(s, a, e, max, err);
}

enum al_code al_source_finish(struct al_source *s, struct al_err *err)
{
    return s->ops->finish ? s->ops->finish(s, err) : AL_OK;
}

void al_source_close(struct al_source *s)
{
    if (s)
        s->ops->close(s);
}

void al_source_say_progress(const struct al_source *s, uint64_t consumed_bytes)
{
    if (s->on_progress)
        s->on_progress(s->u, consumed_bytes);
}

const char *al_source_media_type(const char *name)
{
    static const struct {
        const char *suffix;
        const char *type;
    } types[] = {
        {"md", "text/markdown"},    {"markdown", "text/markdown"},
        {"rst", "text/x-rst"},      {"html", "text/html"},
        {"htm", "text/html"},       {"txt", "text/plain"},
        {"py", "text/x-python"},    {"ipynb", "application/x-ipynb+json"},
        {"pdf", "application/pdf"},
    };
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base)
        return NULL;
    for (size_t i = 0; i < AL_ARRAY_LEN(types); i++) {
        if (strcasecmp(dot + 1, types[i].suffix) == 0)
            return types[i].type;
    }
    return NULL;
}

bool al_source_is_ignored(struct al_str part)
{
    return (part.n && part.p[0] == '.') || al_str_is(part, "node_modules") ||
           al_str_is(part, "__pycache__") || al_str_is(part, "site-packages");
}

bool al_source_is_ignored_path(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (al_source_is_ignored((struct al_str){path, n}))
            return true;
        path += n + (path[n] == '/');
    }
    return false;
}

static enum al_code bad_path(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PATH", "path: %s", what);
}

static enum al_code check_part(struct al_str part, struct al_err *err)
{
    if (part.n == 0)
        return bad_path(err, "absolute, or with an empty part");
    if (al_str_is(part, ".") || al_str_is(part, ".."))
        return bad_path(err, "with a '.' or '..' part");
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (c < 0x20 || c == 0x7f)
            return bad_path(err, "with control characters");
    }
    return AL_OK;
}

enum al_code al_source_check_path(const char *path, const char **ret, struct al_err *err)
{
    if (strncmp(path, "./", 2) == 0)
        path += 2;
    size_t n = strlen(path);
    if (n == 0 || n > AL_SOURCE_ID_BYTES_MAX)
        return bad_path(err, "empty, or longer than 512 bytes");
    if (!al_str_is_utf8((struct al_str){path, n}))
        return bad_path(err, "not UTF-8");
    if (strchr(path, '\\'))
        return bad_path(err, "with a backslash");
    size_t depth = 0;
    for (const char *p = path;; depth++) {
        size_t k = strcspn(p, "/");
        AL_TRY(check_part((struct al_str){p, k}, err));
        if (!p[k])
            break;
        p += k + 1;
    }
    if (depth > AL_SOURCE_PATH_DEPTH_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_DEEP", "path: more than %u folders",
                         AL_SOURCE_PATH_DEPTH_MAX);
    *ret = path;
    return AL_OK;
}

char *al_source_checksum(struct al_arena *a, const char *kind, const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    return al_arena_printf(a, "%s%016" PRIx64 "%016" PRIx64, kind, (uint64_t)h.high64,
                           (uint64_t)h.low64);
}

void al_source_add_meta(struct al_source_entry *e, const char *key, const char *value)
{
    if (value && value[0] && e->n_meta < AL_SOURCE_META_MAX)
        e->meta[e->n_meta++] = (struct al_source_meta){key, value};
}

/* mkdir -p for the parts below the first `from` bytes. */
static enum al_code make_folders(char *path, size_t from, struct al_err *err)
{
    for (char *p = path + from;; p++) {
        if (*p && *p != '/')
            continue;
        char kept = *p;
        *p = '\0';
        int rc = path[0] ? mkdir(path, 0700) : 0;
        int e = errno;
        *p = kept;
        if (rc != 0 && e != EEXIST)
            return AL_FAIL_ERRNO(err, e, "cache '%s'", path);
        if (!kept)
            return AL_OK;
    }
}

enum al_code al_source_cache_dir(const char *kind, char *buf, size_t n, struct al_err *err)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int k = 0;
    if (cache && cache[0] == '/')
        k = snprintf(buf, n, "%s/airlore/%s", cache, kind);
    else if (home && home[0] == '/')
        k = snprintf(buf, n, "%s/.cache/airlore/%s", home, kind);
    else
        return AL_FAIL(err, AL_FAILED_PRECONDITION,
                       "cache: neither XDG_CACHE_HOME nor HOME is set");
    if (k < 0 || (size_t)k >= n)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "cache: path too long");
    return make_folders(buf, 1, err);
}
