/* What is made of the port's operations: whole files and folders. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "airlore/disk.h"
#include "airlore/random.h"

#define READ_BYTES (32u * 1024u)
#define TREE_DEPTH_MAX 64

static enum al_code read_all(struct al_disk *d, struct al_file *f, struct al_buf *b,
                             struct al_err *err)
{
    char chunk[READ_BYTES];
    for (uint64_t offset = 0;;) {
        size_t n = 0;
        AL_TRY(d->ops->read_at(d, f, offset, chunk, sizeof chunk, &n, err));
        if (n == 0)
            return AL_OK;
        al_buf_add(b, chunk, n);
        AL_TRY(al_buf_status(b, err));
        offset += n;
    }
}

enum al_code al_disk_read_file(struct al_disk *d, const char *path, struct al_buf *ret,
                               struct al_err *err)
{
    struct al_file f = {-1};
    AL_TRY(d->ops->open(d, path, AL_DISK_READ, 0, &f, err));
    size_t before = ret->n;
    enum al_code code = read_all(d, &f, ret, err);
    if (code != AL_OK)
        al_err_prefix(err, "file '%s'", path);
    struct al_err ignored;
    (void)!d->ops->close(d, &f, &ignored); /* nothing was written: all bytes are here already */
    if (code != AL_OK && ret->p) {
        ret->n = before;
        ret->p[before] = '\0';
    }
    return code;
}

/* The folder that holds path, into buf. */
static enum al_code parent_of(const char *path, char *buf, size_t size, struct al_err *err)
{
    size_t n = strlen(path);
    if (n == 0 || n >= size)
        return AL_FAIL_ERRNO(err, n ? ENAMETOOLONG : EINVAL, "path '%.100s'", path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0) {
        snprintf(buf, size, ".");
        return AL_OK;
    }
    memcpy(buf, path, n);
    buf[n] = '\0';
    return AL_OK;
}

static enum al_code write_new(struct al_disk *d, const char *path, struct al_str content,
                              uint32_t perm, struct al_err *err)
{
    struct al_file f = {-1};
    AL_TRY(d->ops->open(d, path, AL_DISK_CREATE, perm, &f, err));
    enum al_code code = d->ops->write(d, &f, content.p, content.n, err);
    if (code == AL_OK)
        code = d->ops->sync(d, &f, err);
    struct al_err ignored;
    enum al_code closed = d->ops->close(d, &f, code == AL_OK ? err : &ignored);
    return code == AL_OK ? closed : code;
}

enum al_code al_disk_write_file(struct al_disk *d, const char *path, struct al_str content,
                                uint32_t perm, struct al_err *err)
{
    char dir[PATH_MAX];
    char temp[PATH_MAX + 32];
    AL_TRY(parent_of(path, dir, sizeof dir, err));
    snprintf(temp, sizeof temp, "%s/" AL_DISK_TEMP_PREFIX "%016" PRIx64, dir,
             al_random_u64(al_random_system()));
    enum al_code code = write_new(d, temp, content, perm, err);
    if (code == AL_OK)
        code = d->ops->rename(d, temp, path, err);
    if (code == AL_OK)
        return d->ops->sync_dir(d, dir, err);
    struct al_err ignored;
    (void)!d->ops->remove(d, temp, &ignored);
    al_err_prefix(err, "write '%s'", path);
    return code;
}

/* One folder, kept by its parent; fine if it is there. */
static enum al_code make_one(struct al_disk *d, const char *path, uint32_t perm, struct al_err *err)
{
    struct al_err e;
    enum al_code code = d->ops->mkdir(d, path, perm, &e);
    if (code == AL_ALREADY_EXISTS)
        return AL_OK;
    if (code != AL_OK) {
        if (err)
            *err = e;
        return code;
    }
    char parent[PATH_MAX];
    AL_TRY(parent_of(path, parent, sizeof parent, err));
    return d->ops->sync_dir(d, parent, err);
}

enum al_code al_disk_mkdirs(struct al_disk *d, const char *path, uint32_t perm, struct al_err *err)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return AL_FAIL_ERRNO(err, n ? ENAMETOOLONG : EINVAL, "folder '%.100s'", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        bool is_end = part[i] == '/' || part[i] == '\0';
        if (!is_end || part[i - 1] == '/')
            continue;
        char end = part[i];
        part[i] = '\0';
        AL_TRY(make_one(d, part, perm, err));
        part[i] = end;
    }
    return d->ops->sync_dir(d, path,
                            err); /* also finds a file that is in the place of the folder */
}

struct remove_walk {
    struct al_disk *disk;
    const char *dir;
    unsigned depth;
};

static enum al_code remove_at(struct al_disk *d, const char *path, unsigned depth,
                              struct al_err *err);

static enum al_code remove_child(void *u, const struct al_disk_entry *e, struct al_err *err)
{
    const struct remove_walk *w = u;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", w->dir, e->name);
    if (n < 0 || (size_t)n >= sizeof path)
        return AL_FAIL_ERRNO(err, ENAMETOOLONG, "folder '%.100s': remove", w->dir);
    return remove_at(w->disk, path, w->depth + 1, err);
}

/* Try to remove; gives AL_OK when it is gone and says whether it is a folder with something in it.
 */
static enum al_code try_remove(struct al_disk *d, const char *path, bool *ret_is_full,
                               struct al_err *err)
{
    struct al_err e;
    enum al_code code = d->ops->remove(d, path, &e);
    *ret_is_full = code == AL_FAILED_PRECONDITION; /* ENOTEMPTY */
    if (code == AL_OK || code == AL_NOT_FOUND || *ret_is_full)
        return AL_OK;
    if (err)
        *err = e;
    return code;
}

/* Links are removed, never entered: removing comes first and works on the link itself. */
static enum al_code remove_at(struct al_disk *d, const char *path, unsigned depth,
                              struct al_err *err)
{
    bool is_full;
    AL_TRY(try_remove(d, path, &is_full, err));
    if (!is_full)
        return AL_OK;
    if (depth >= TREE_DEPTH_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "folder '%.100s': more than %u levels deep",
                       path, TREE_DEPTH_MAX);
    struct remove_walk w = {d, path, depth};
    for (unsigned round = 0; is_full && round < 3; round++) { /* entries made meanwhile */
        AL_TRY(d->ops->list(d, path, remove_child, &w, err));
        AL_TRY(try_remove(d, path, &is_full, err));
    }
    if (is_full)
        return AL_FAIL_ERRNO(err, ENOTEMPTY, "folder '%s': remove", path);
    return AL_OK;
}

enum al_code al_disk_remove_tree(struct al_disk *d, const char *path, struct al_err *err)
{
    return remove_at(d, path, 0, err);
}
