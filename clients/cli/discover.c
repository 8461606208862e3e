/* Finding the server of this user. */
#include "discover.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536u

enum al_code al_cli_runtime_path(char *buf, size_t n, struct al_err *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int len = -1;
    if (state && state[0] == '/')
        len = snprintf(buf, n, "%s/airlore/server.json", state);
    else if (home && home[0] == '/')
        len = snprintf(buf, n, "%s/.local/state/airlore/server.json", home);
    if (len < 0 || (size_t)len >= n)
        return AL_FAIL(err, AL_NOT_FOUND, "runtime file: neither XDG_STATE_HOME nor HOME is set");
    return AL_OK;
}

static enum al_code check_owner(const char *path, const struct stat *st, struct al_err *err)
{
    if (st->st_uid != geteuid())
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': belongs to another user (uid %u)", path,
                       (unsigned)st->st_uid);
    if (st->st_mode & 022)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': others can write it (mode %03o)", path,
                       (unsigned)st->st_mode & 0777u);
    return AL_OK;
}

static enum al_code check_folder(const char *path, struct al_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n == 0 || n >= sizeof folder)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': no folder", path);
    memcpy(folder, path, n);
    folder[n] = '\0';
    struct stat st;
    if (lstat(folder, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", folder);
    if (!S_ISDIR(st.st_mode))
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': not a folder", folder);
    return check_owner(folder, &st, err);
}

/* A small file of this user into buf, NUL-terminated. private: nobody else may read it. */
static enum al_code read_own(const char *path, bool private, char *buf, size_t n,
                             struct al_err *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", path);
    struct stat st;
    enum al_code code = AL_OK;
    ssize_t got = 0;
    if (fstat(fd, &st) != 0)
        code = AL_FAIL_ERRNO(err, errno, "'%s'", path);
    else if (!S_ISREG(st.st_mode))
        code = AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': not a file", path);
    else
        code = check_owner(path, &st, err);
    if (code == AL_OK && private && (st.st_mode & 077))
        code = AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': others can read it (mode %03o)", path,
                       (unsigned)st.st_mode & 0777u);
    if (code == AL_OK) {
        got = read(fd, buf, n - 1);
        if (got < 0)
            code = AL_FAIL_ERRNO(err, errno, "'%s'", path);
        else if ((size_t)got == n - 1)
            code = AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': too large", path);
    }
    close(fd);
    if (code == AL_OK)
        buf[got] = '\0';
    return code;
}

static enum al_code read_key(const char *data, struct al_cli_found *f, struct al_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/admin.key", data);
    if (n < 0 || (size_t)n >= sizeof path)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': path too long", data);
    char line[sizeof f->key];
    AL_TRY(read_own(path, true, line, sizeof line, err));
    struct al_str key = al_str_trim(al_str_c(line));
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] <= ' ' || key.p[i] > '~')
            return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': not one line with a key", path);
    }
    if (key.n == 0)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': empty", path);
    memcpy(f->key, key.p, key.n);
    f->key[key.n] = '\0';
    return AL_OK;
}

static enum al_code take_fields(const char *path, const json_t *doc, struct al_cli_found *f,
                                struct al_err *err)
{
    const char *grpc = json_string_value(json_object_get(doc, "grpc"));
    const char *data = json_string_value(json_object_get(doc, "data"));
    json_int_t pid = json_integer_value(json_object_get(doc, "pid"));
    if (!grpc || !grpc[0] || strlen(grpc) >= sizeof f->grpc || pid <= 0 || pid > INT32_MAX)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': lacks the server's address or process",
                       path);
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': its server (process %d) is gone", path,
                       (int)pid);
    memcpy(f->grpc, grpc, strlen(grpc) + 1);
    struct al_err why = {.code = AL_OK};
    if (!data || data[0] != '/')
        snprintf(f->key_problem, sizeof f->key_problem, "'%s': lacks the data folder", path);
    else if (read_key(data, f, &why) != AL_OK)
        snprintf(f->key_problem, sizeof f->key_problem, "%s", why.msg);
    return AL_OK;
}

enum al_code al_cli_discover(const char *path, struct al_cli_found *ret, struct al_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return AL_FAIL(err, AL_NOT_FOUND, "'%s': no such file", path);
    AL_TRY(check_folder(path, err));
    char text[FILE_BYTES_MAX];
    enum al_code code = read_own(path, false, text, sizeof text, err);
    if (code != AL_OK) {
        if (err)
            err->code = AL_FAILED_PRECONDITION;
        return AL_FAILED_PRECONDITION;
    }
    json_error_t why;
    json_t *doc = json_loads(text, 0, &why);
    if (!doc)
        return AL_FAIL(err, AL_FAILED_PRECONDITION, "'%s': line %d: %.100s", path, why.line,
                       why.text);
    struct al_cli_found found = {.grpc = ""};
    code = take_fields(path, doc, &found, err);
    json_decref(doc);
    if (code == AL_OK)
        *ret = found;
    return code;
}
