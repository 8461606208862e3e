/* Any bytes as the files that the daemon reads at its start and the words that it is given: the
 * data folder's `format`, a runtime file that is there already, an address, a path over HTTP. The
 * first byte chooses. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "data_folder.h"
#include "http_pages.h"
#include "runtime_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A disk whose every file is the input and that forgets what is written. */
static struct al_str input;

static enum al_code fake_open(struct al_disk *d, const char *path, enum al_disk_mode mode,
                              uint32_t perm, struct al_file *ret, struct al_err *err)
{
    (void)d;
    (void)path;
    (void)mode;
    (void)perm;
    (void)err;
    ret->fd = 1;
    return AL_OK;
}

static enum al_code fake_write(struct al_disk *d, struct al_file *f, const void *p, size_t n,
                               struct al_err *err)
{
    (void)d;
    (void)f;
    (void)p;
    (void)n;
    (void)err;
    return AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code fake_read(struct al_disk *d, struct al_file *f, uint64_t offset, void *p,
                              size_t n, size_t *ret_n, struct al_err *err)
{
    (void)d;
    (void)f;
    (void)err;
    struct al_str rest = al_str_sub(input, (size_t)offset, n);
    if (rest.n)
        memcpy(p, rest.p, rest.n);
    *ret_n = rest.n;
    return AL_OK;
}

static enum al_code fake_file(struct al_disk *d, struct al_file *f, struct al_err *err)
{
    (void)d;
    (void)f;
    (void)err;
    return AL_OK;
}

static enum al_code fake_size(struct al_disk *d, const char *path, uint64_t *ret,
                              struct al_err *err)
{
    (void)d;
    (void)path;
    (void)err;
    *ret = input.n;
    return AL_OK;
}

static enum al_code fake_rename(struct al_disk *d, const char *from, const char *to,
                                struct al_err *err)
{
    (void)d;
    (void)from;
    (void)to;
    (void)err;
    return AL_OK;
}

static enum al_code fake_path(struct al_disk *d, const char *path, struct al_err *err)
{
    (void)d;
    (void)path;
    (void)err;
    return AL_OK;
}

static enum al_code fake_mkdir(struct al_disk *d, const char *path, uint32_t perm,
                               struct al_err *err)
{
    (void)d;
    (void)perm;
    return AL_FAIL(err, AL_ALREADY_EXISTS, "'%s'", path);
}

static const struct al_disk_ops ops = {
    .open = fake_open,
    .write = fake_write,
    .read_at = fake_read,
    .sync = fake_file,
    .close = fake_file,
    .size = fake_size,
    .rename = fake_rename,
    .remove = fake_path,
    .mkdir = fake_mkdir,
    .sync_dir = fake_path,
};
static struct al_disk disk = {&ops};

static char dir[64];

static void clean(void)
{
    static const char *const names[] = {"format", "LOCK"};
    char path[100];
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void setup(void)
{
    char path[100];
    snprintf(dir, sizeof dir, "/tmp/airlore-fuzz-XXXXXX");
    AL_ASSERT(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/format", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* it is there, says lstat */
    AL_ASSERT(fd >= 0);
    close(fd);
    atexit(clean);
}

static void data_folder(void)
{
    struct al_data_folder f = {.lock_fd = -1};
    enum al_code code = al_data_folder_open(dir, 4, &disk, &f, NULL);
    AL_ASSERT(code == AL_OK || code == AL_FAILED_PRECONDITION || code == AL_RESOURCE_EXHAUSTED);
    AL_ASSERT((f.lock_fd >= 0) == (code == AL_OK));
    al_data_folder_close(&f);
}

static void runtime_file(void)
{
    char path[100];
    struct al_runtime_file f = {.path = ""};
    struct al_runtime_info info = {
        .grpc = "127.0.0.1:1", .http = "127.0.0.1:2", .data = "/d", .pid = (uint64_t)getpid()};
    snprintf(path, sizeof path, "%s/server.json", dir);
    AL_ASSERT(al_runtime_file_write(path, &info, &disk, &f, NULL) == AL_OK);
    AL_ASSERT(strnlen(f.previous, sizeof f.previous) < sizeof f.previous);
    al_runtime_file_remove(&f, &disk);
}

static void address(const char *text)
{
    struct al_address a;
    struct al_address again;
    char shown[AL_ADDRESS_BYTES_MAX];
    if (al_address_parse(text, &a, NULL) != AL_OK)
        return;
    al_address_format(&a, a.port, shown);
    AL_ASSERT(al_address_parse(shown, &again, NULL) == AL_OK);
    AL_ASSERT(strcmp(a.host, again.host) == 0 && a.port == again.port);
    (void)al_address_is_loopback(&a);
    (void)al_address_dialled(&a);
}

static void no_metrics(void *u, struct al_buf *ret)
{
    (void)u;
    (void)ret;
}

static bool serving(void *u)
{
    (void)u;
    return true;
}

static bool ready(void *u, char *why, size_t n)
{
    (void)u;
    (void)why;
    (void)n;
    return true;
}

/* "METHOD PATH" */
static void http(char *text)
{
    static const struct al_http_site site = {.metrics = no_metrics,
                                             .is_serving = serving,
                                             .is_ready = ready,
                                             .grpc = "127.0.0.1:1",
                                             .version = "0"};
    char *space = strchr(text, ' ');
    if (!space)
        return;
    *space = '\0';
    struct al_http_request req = {.method = text, .path = space + 1, .has_body = strlen(text) > 4};
    struct al_http_reply reply = {.status = 0};
    al_http_answer(&site, &req, NULL, &reply);
    AL_ASSERT(reply.status >= 200 && reply.status < 600 && reply.type);
    al_buf_fini(&reply.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dir[0])
        setup();
    if (size == 0)
        return 0;
    input = (struct al_str){(const char *)data + 1, size - 1};
    char *text = malloc(size); /* NUL-terminated, exactly as long */
    AL_ASSERT(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 4) {
    case 0:
        data_folder();
        break;
    case 1:
        runtime_file();
        break;
    case 2:
        address(text);
        break;
    default:
        http(text);
        break;
    }
    free(text);
    return 0;
}
