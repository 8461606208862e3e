/* Any bytes as the runtime file, and as the admin key that a good one leads to (the first byte
 * chooses). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "discover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static char runtime[100];
static char key[100];
static char good[300];

static void clean(void)
{
    unlink(runtime);
    unlink(key);
    rmdir(dir);
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/airlore-fuzz-XXXXXX");
    AL_ASSERT(mkdtemp(dir) != NULL);
    snprintf(runtime, sizeof runtime, "%s/server.json", dir);
    snprintf(key, sizeof key, "%s/admin.key", dir);
    snprintf(good, sizeof good, "{\"grpc\":\"127.0.0.1:1\",\"data\":\"%s\",\"pid\":%ld}", dir,
             (long)getpid());
    atexit(clean);
}

static void put(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    AL_ASSERT(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_cli_found f;
    if (!dir[0])
        setup();
    if (size == 0)
        return 0;
    memset(&f, 'x', sizeof f);
    if (data[0] % 2) {
        put(runtime, data + 1, size - 1);
        unlink(key);
    } else {
        put(runtime, good, strlen(good));
        put(key, data + 1, size - 1);
    }
    if (al_cli_discover(runtime, &f, NULL) != AL_OK)
        return 0;
    AL_ASSERT(strnlen(f.grpc, sizeof f.grpc) < sizeof f.grpc && f.grpc[0]);
    AL_ASSERT(strnlen(f.key, sizeof f.key) < sizeof f.key);
    AL_ASSERT(f.key[0] || f.key_problem[0]);
    for (const char *p = f.key; *p; p++)
        AL_ASSERT(*p > ' ' && *p <= '~'); /* goes into a header */
    return 0;
}
