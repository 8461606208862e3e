#include "airlore/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int open_retry(const char *path, int flags, mode_t perm)
{
    int fd;
    do {
        fd = open(path, flags, perm);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* A folder or a device opened as a file would fail later and say less; a pipe would block. */
static enum al_code check_regular(const char *path, int fd, struct stat *ret, struct al_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "file '%s'", path);
    if (S_ISDIR(st.st_mode))
        return AL_FAIL_ERRNO(err, EISDIR, "file '%s'", path);
    if (!S_ISREG(st.st_mode))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "file '%s': not a regular file", path);
    *ret = st;
    return AL_OK;
}

static enum al_code open_regular(const char *path, int *ret_fd, struct stat *ret_stat,
                                 struct al_err *err)
{
    int fd = open_retry(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "file '%s': open", path);
    enum al_code code = check_regular(path, fd, ret_stat, err);
    if (code != AL_OK) {
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return AL_OK;
}

static enum al_code system_open(struct al_disk *d, const char *path, enum al_disk_mode mode,
                                uint32_t perm, struct al_file *ret, struct al_err *err)
{
    (void)d;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
    switch (mode) {
    case AL_DISK_READ: {
        struct stat st;
        return open_regular(path, &ret->fd, &st, err);
    }
    case AL_DISK_CREATE:
        flags |= O_EXCL;
        break;
    case AL_DISK_TRUNCATE:
        flags |= O_TRUNC;
        break;
    case AL_DISK_APPEND:
        flags |= O_APPEND;
        break;
    }
    int fd = open_retry(path, flags, (mode_t)perm);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "file '%s': open for writing", path);
    if (mode == AL_DISK_CREATE && fchmod(fd, (mode_t)perm) != 0) { /* whatever the umask is */
        int errnum = errno;
        close(fd);
        unlink(path);
        return AL_FAIL_ERRNO(err, errnum, "file '%s': set permissions", path);
    }
    ret->fd = fd;
    return AL_OK;
}

static enum al_code system_write(struct al_disk *d, struct al_file *f, const void *p, size_t n,
                                 struct al_err *err)
{
    (void)d;
    const char *from = p;
    while (n) {
        ssize_t done = write(f->fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return AL_FAIL_ERRNO(err, done < 0 ? errno : ENOSPC, "file: write");
        from += done;
        n -= (size_t)done;
    }
    return AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code system_read_at(struct al_disk *d, struct al_file *f, uint64_t offset, void *p,
                                   size_t n, size_t *ret_n, struct al_err *err)
{
    (void)d;
    if (offset > INT64_MAX || n > INT64_MAX - offset)
        return AL_FAIL(err, AL_OUT_OF_RANGE, "file: offset %" PRIu64 " too large", offset);
    char *to = p;
    size_t total = 0;
    while (total < n) {
        ssize_t done = pread(f->fd, to + total, n - total, (off_t)(offset + total));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return AL_FAIL_ERRNO(err, errno, "file: read");
        if (done == 0)
            break;
        total += (size_t)done;
    }
    *ret_n = total;
    return AL_OK;
}

static enum al_code system_sync(struct al_disk *d, struct al_file *f, struct al_err *err)
{
    (void)d;
    return fsync(f->fd) == 0 ? AL_OK : AL_FAIL_ERRNO(err, errno, "file: sync");
}

static enum al_code system_close(struct al_disk *d, struct al_file *f, struct al_err *err)
{
    (void)d;
    int fd = f->fd;
    f->fd = -1;
    if (fd < 0 || close(fd) == 0 || errno == EINTR) /* Linux has closed it then too */
        return AL_OK;
    return AL_FAIL_ERRNO(err, errno, "file: close");
}

static enum al_code system_size(struct al_disk *d, const char *path, uint64_t *ret,
                                struct al_err *err)
{
    (void)d;
    struct stat st;
    if (stat(path, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "file '%s': size", path);
    *ret = (uint64_t)st.st_size;
    return AL_OK;
}

static enum al_code system_rename(struct al_disk *d, const char *from, const char *to,
                                  struct al_err *err)
{
    (void)d;
    if (rename(from, to) == 0)
        return AL_OK;
    return AL_FAIL_ERRNO(err, errno, "file '%s': rename to '%s'", from, to);
}

static enum al_code system_remove(struct al_disk *d, const char *path, struct al_err *err)
{
    (void)d;
    if (unlink(path) == 0)
        return AL_OK;
    int errnum = errno;
    if (errnum == EISDIR || errnum == EPERM) {
        if (rmdir(path) == 0)
            return AL_OK;
        errnum = errno == ENOTDIR ? errnum : errno;
    }
    return AL_FAIL_ERRNO(err, errnum, "file '%s': remove", path);
}

static enum al_code system_mkdir(struct al_disk *d, const char *path, uint32_t perm,
                                 struct al_err *err)
{
    (void)d;
    if (mkdir(path, (mode_t)perm) == 0)
        return AL_OK;
    return AL_FAIL_ERRNO(err, errno, "folder '%s': create", path);
}

static enum al_code system_sync_dir(struct al_disk *d, const char *path, struct al_err *err)
{
    (void)d;
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "folder '%s': open", path);
    int errnum = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    if (errnum && errnum != EINVAL) /* EINVAL: this file system keeps folders without being told */
        return AL_FAIL_ERRNO(err, errnum, "folder '%s': sync", path);
    return AL_OK;
}

static enum al_code entry_of(DIR *dir, const struct dirent *e, struct al_disk_entry *ret,
                             bool *ret_is_gone, struct al_err *err)
{
    unsigned type = e->d_type;
    *ret_is_gone = false;
    if (type == DT_UNKNOWN) {
        struct stat st;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            *ret_is_gone = errno == ENOENT;
            if (*ret_is_gone)
                return AL_OK;
            return AL_FAIL_ERRNO(err, errno, "file '%s': type", e->d_name);
        }
        type = IFTODT(st.st_mode);
    }
    *ret = (struct al_disk_entry){e->d_name, type == DT_DIR, type == DT_REG, type == DT_LNK};
    return AL_OK;
}

static enum al_code visit_all(DIR *dir, const char *path,
                              enum al_code (*visit)(void *u, const struct al_disk_entry *e,
                                                    struct al_err *err),
                              void *u, struct al_err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *e =
            readdir(dir); // NOLINT(concurrency-mt-unsafe): one stream, one thread
        if (!e && errno)
            return AL_FAIL_ERRNO(err, errno, "folder '%s': list", path);
        if (!e)
            return AL_OK;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct al_disk_entry entry = {0};
        bool is_gone;
        AL_TRY_CTX(err, entry_of(dir, e, &entry, &is_gone, err), "folder '%s'", path);
        if (!is_gone)
            AL_TRY(visit(u, &entry, err));
    }
}

static enum al_code system_list(struct al_disk *d, const char *path,
                                enum al_code (*visit)(void *u, const struct al_disk_entry *e,
                                                      struct al_err *err),
                                void *u, struct al_err *err)
{
    (void)d;
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int errnum = errno;
        if (fd >= 0)
            close(fd);
        return AL_FAIL_ERRNO(err, errnum, "folder '%s': open", path);
    }
    enum al_code code = visit_all(dir, path, visit, u, err);
    closedir(dir);
    return code;
}

static enum al_code system_map(struct al_disk *d, const char *path, struct al_map *ret,
                               struct al_err *err)
{
    (void)d;
    int fd = -1;
    struct stat st = {0};
    AL_TRY(open_regular(path, &fd, &st, err));
    if (st.st_size == 0) {
        close(fd);
        *ret = (struct al_map){NULL, 0};
        return AL_OK;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    int errnum = p == MAP_FAILED ? errno : 0;
    close(fd);
    if (errnum)
        return AL_FAIL_ERRNO(err, errnum, "file '%s': map", path);
    *ret = (struct al_map){p, (size_t)st.st_size};
    return AL_OK;
}

static void system_unmap(struct al_disk *d, struct al_map *m)
{
    (void)d;
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n); // NOLINT(performance-no-int-to-ptr): drops const
    *m = (struct al_map){NULL, 0};
}

static enum al_code system_free_bytes(struct al_disk *d, const char *path, uint64_t *ret,
                                      struct al_err *err)
{
    (void)d;
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "file system of '%s': free space", path);
    *ret = (uint64_t)st.f_bavail * st.f_frsize;
    return AL_OK;
}

struct al_disk *al_disk_system(void)
{
    static const struct al_disk_ops ops = {
        .open = system_open,
        .write = system_write,
        .read_at = system_read_at,
        .sync = system_sync,
        .close = system_close,
        .size = system_size,
        .rename = system_rename,
        .remove = system_remove,
        .mkdir = system_mkdir,
        .sync_dir = system_sync_dir,
        .list = system_list,
        .map = system_map,
        .unmap = system_unmap,
        .free_bytes = system_free_bytes,
    };
    static struct al_disk disk = {&ops};
    return &disk;
}
