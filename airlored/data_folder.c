#include "data_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_BYTES_MAX 4096u
#define FORMAT_VERSION 1u

enum al_code al_data_folder_path(const struct al_data_folder *f, const char *name, char *buf,
                                 size_t n, struct al_err *err)
{
    int len = snprintf(buf, n, "%s/%s", f->path, name);
    if (len < 0 || (size_t)len >= n)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "data folder '%.100s': path too long", f->path);
    return AL_OK;
}

static enum al_code resolve(const char *path, char ret[4096], struct al_err *err)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return AL_FAIL_ERRNO(err, errno, "data folder '%.150s'", path);
    if (strlen(real) > 1024) /* room for what is inside */
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "data folder '%.100s': path too long", path);
    memcpy(ret, real, strlen(real) + 1);
    return AL_OK;
}

/* Who holds the lock, as the holder wrote it; for the message only. */
static void read_holder(int fd, char *buf, size_t n)
{
    ssize_t got = pread(fd, buf, n - 1, 0);
    buf[got > 0 ? got : 0] = '\0';
    buf[strspn(buf, "0123456789")] = '\0';
    if (!buf[0])
        snprintf(buf, n, "unknown");
}

static enum al_code lock(struct al_data_folder *f, struct al_err *err)
{
    char path[4200];
    AL_TRY(al_data_folder_path(f, "LOCK", path, sizeof path, err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "data folder '%.150s': lock", f->path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int why = errno;
        char holder[24];
        read_holder(fd, holder, sizeof holder);
        close(fd);
        if (why != EWOULDBLOCK)
            return AL_FAIL_ERRNO(err, why, "data folder '%.150s': lock", f->path);
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "DATA_IN_USE",
                         "data folder '%.150s': in use by another server (process %s)", f->path,
                         holder);
    }
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        pid[0] = '\0'; /* a full disk: only the message of a second server lacks the number */
    f->lock_fd = fd;
    return AL_OK;
}

static bool is_there(const struct al_data_folder *f, const char *name)
{
    char path[4200];
    struct stat st;
    return al_data_folder_path(f, name, path, sizeof path, NULL) == AL_OK && lstat(path, &st) == 0;
}

static bool take_line(struct al_str *text, const char *name, uint64_t *ret)
{
    size_t end = al_str_find(*text, AL_STR("\n"), 0);
    if (end == SIZE_MAX)
        return false;
    struct al_str line = al_str_sub(*text, 0, end);
    *text = al_str_sub(*text, end + 1, SIZE_MAX);
    struct al_str key = al_str_c(name);
    return al_str_starts(line, key) && al_str_u64(al_str_sub(line, key.n, SIZE_MAX), ret);
}

static enum al_code check_format(const struct al_data_folder *f, struct al_str text,
                                 uint32_t shards, struct al_err *err)
{
    uint64_t version = 0;
    uint64_t there = 0;
    if (!take_line(&text, "airlore-data ", &version))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "DATA_FORMAT",
                         "data folder '%.120s': file 'format' is damaged", f->path);
    if (version != FORMAT_VERSION)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "DATA_FORMAT",
                         "data folder '%.120s': format %llu, this program knows %u", f->path,
                         (unsigned long long)version, FORMAT_VERSION);
    if (!take_line(&text, "shards ", &there))
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "DATA_FORMAT",
                         "data folder '%.120s': file 'format' is damaged", f->path);
    if (there != shards)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "SHARDS_FIXED",
                         "data folder '%.100s': has %llu shards, the configuration says %u; set "
                         "'shards' to %llu",
                         f->path, (unsigned long long)there, shards, (unsigned long long)there);
    return AL_OK;
}

static enum al_code write_format(const struct al_data_folder *f, const char *path, uint32_t shards,
                                 struct al_disk *disk, struct al_err *err)
{
    static const char *const ours[] = {"shards", "system"};
    for (size_t i = 0; i < AL_ARRAY_LEN(ours); i++) {
        if (is_there(f, ours[i]))
            return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "DATA_FORMAT",
                             "data folder '%.120s': has '%s' but no file 'format'", f->path,
                             ours[i]);
    }
    char text[64];
    int n = snprintf(text, sizeof text, "airlore-data %u\nshards %u\n", FORMAT_VERSION, shards);
    return al_disk_write_file(disk, path, (struct al_str){text, (size_t)n}, 0600, err);
}

static enum al_code format(const struct al_data_folder *f, uint32_t shards, struct al_disk *disk,
                           struct al_err *err)
{
    char path[4200];
    AL_TRY(al_data_folder_path(f, "format", path, sizeof path, err));
    if (!is_there(f, "format"))
        return write_format(f, path, shards, disk, err);
    struct al_buf text;
    al_buf_init(&text, NULL, FORMAT_BYTES_MAX);
    enum al_code code = al_disk_read_file(disk, path, &text, err);
    if (code == AL_OK)
        code = check_format(f, al_buf_view(&text), shards, err);
    al_buf_fini(&text);
    return code;
}

enum al_code al_data_folder_open(const char *path, uint32_t shards, struct al_disk *disk,
                                 struct al_data_folder *ret, struct al_err *err)
{
    struct al_data_folder f = {.lock_fd = -1};
    AL_TRY_CTX(err, al_disk_mkdirs(disk, path, 0700, err), "data folder");
    AL_TRY(resolve(path, f.path, err));
    AL_TRY(lock(&f, err));
    enum al_code code = format(&f, shards, disk, err);
    if (code != AL_OK) {
        al_data_folder_close(&f);
        return code;
    }
    *ret = f;
    return AL_OK;
}

void al_data_folder_close(struct al_data_folder *f)
{
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    f->lock_fd = -1;
}
