#include "runtime_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/clock.h"

enum al_code al_runtime_file_path(char *buf, size_t n, struct al_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"); // NOLINT(concurrency-mt-unsafe): read only
    const char *home = getenv("HOME");            // NOLINT(concurrency-mt-unsafe)
    int len = -1;
    if (state && state[0] == '/')
        len = snprintf(buf, n, "%s/airlore/server.json", state);
    else if (home && home[0] == '/')
        len = snprintf(buf, n, "%s/.local/state/airlore/server.json", home);
    if (len < 0 || (size_t)len >= n)
        return AL_FAIL(err, AL_NOT_FOUND, "runtime file: neither XDG_STATE_HOME nor HOME is set");
    return AL_OK;
}

static enum al_code make_folder(const char *path, struct al_disk *disk, struct al_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n == 0 || n >= sizeof folder)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "runtime file '%.150s': no folder", path);
    memcpy(folder, path, n);
    folder[n] = '\0';
    AL_TRY_CTX(err, al_disk_mkdirs(disk, folder, 0700, err), "runtime file");
    struct stat st;
    if (lstat(folder, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "runtime file: '%.150s'", folder);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return AL_FAIL(err, AL_FAILED_PRECONDITION,
                       "runtime file: '%.150s' is not a folder of this user", folder);
    if ((st.st_mode & 0777) != 0700 && chmod(folder, 0700) != 0)
        return AL_FAIL_ERRNO(err, errno, "runtime file: mode of '%.150s'", folder);
    return AL_OK;
}

/* The text of the file and the process that it names; false when there is none that makes sense. */
static bool read_present(const char *path, struct al_disk *disk, char text[4096], uint64_t *ret_pid)
{
    struct al_buf b;
    al_buf_init(&b, NULL, 4095);
    bool good = al_disk_read_file(disk, path, &b, NULL) == AL_OK && b.n > 0;
    json_t *doc = good ? json_loadb(b.p, b.n, 0, NULL) : NULL;
    json_int_t pid = json_integer_value(json_object_get(doc, "pid"));
    good = pid > 0 && pid <= INT32_MAX && !memchr(b.p, '\0', b.n);
    if (good) {
        memcpy(text, b.p, b.n);
        text[b.n] = '\0';
        *ret_pid = (uint64_t)pid;
    }
    json_decref(doc);
    al_buf_fini(&b);
    return good;
}

static bool is_alive(uint64_t pid)
{
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

static enum al_code to_json(const struct al_runtime_info *info, struct al_buf *ret,
                            struct al_err *err)
{
    char started[32];
    al_clock_format_rfc3339(info->started_ms, started, sizeof started);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:I, s:s}", "grpc", info->grpc, "http", info->http,
                            "data", info->data, "pid", (json_int_t)info->pid, "started", started);
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    if (!text)
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "runtime file: data folder '%.100s' cannot be written as JSON", info->data);
    al_buf_cstr(ret, text);
    al_buf_char(ret, '\n');
    free(text);
    return al_buf_status(ret, err);
}

enum al_code al_runtime_file_write(const char *path, const struct al_runtime_info *info,
                                   struct al_disk *disk, struct al_runtime_file *ret,
                                   struct al_err *err)
{
    struct al_runtime_file f = {.pid = info->pid};
    if (strlen(path) >= sizeof f.path)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "runtime file '%.100s': path too long", path);
    AL_TRY(make_folder(path, disk, err));
    uint64_t other = 0;
    if (!read_present(path, disk, f.previous, &other) || other == info->pid || !is_alive(other))
        f.previous[0] = '\0';
    struct al_buf text;
    al_buf_init(&text, NULL, 4095);
    enum al_code code = to_json(info, &text, err);
    if (code == AL_OK)
        code = al_disk_write_file(disk, path, al_buf_view(&text), 0600, err);
    al_buf_fini(&text);
    if (code != AL_OK)
        return code;
    memcpy(f.path, path, strlen(path) + 1);
    *ret = f;
    return AL_OK;
}

void al_runtime_file_remove(struct al_runtime_file *f, struct al_disk *disk)
{
    if (!f->path[0])
        return;
    char text[4096];
    uint64_t pid = 0;
    enum al_code code = AL_OK;
    if (read_present(f->path, disk, text, &pid) && pid == f->pid) {
        uint64_t before = 0;
        bool back = f->previous[0];
        if (back) { /* alive when it was replaced; is it still? */
            json_t *doc = json_loads(f->previous, 0, NULL);
            before = (uint64_t)json_integer_value(json_object_get(doc, "pid"));
            json_decref(doc);
        }
        if (back && is_alive(before))
            code = al_disk_write_file(disk, f->path, al_str_c(f->previous), 0600, NULL);
        else
            code = disk->ops->remove(disk, f->path, NULL);
    }
    (void)code; /* a stale file names a process that is gone: readers see that */
    f->path[0] = '\0';
}
