#include "process.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/err.h"

/* A block of this size is given back to the system when it is freed. Left alone, the allocator
 * raises its bound with every large block that is freed, up to 32 MiB, and a few large documents
 * leave hundreds of megabytes behind. */
#define MMAP_BYTES (4 << 20)
#define TRIM_BYTES (1 << 20) /* of each of many arenas */

static const char *const single[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"};

/* True if something had to be changed. */
static bool set_environment(void)
{
    bool changed = false;
    for (size_t i = 0; i < AL_ARRAY_LEN(single); i++) {
        const char *now = getenv(single[i]); // NOLINT(concurrency-mt-unsafe): one thread yet
        if (now && strcmp(now, "1") == 0)
            continue;
        changed = setenv(single[i], "1", 1) == 0 || changed; // NOLINT(concurrency-mt-unsafe)
    }
    return changed;
}

void al_process_prepare(char **argv)
{
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    if (set_environment()) {
        /* Threads made before main() would not have our signals blocked either. */
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n > 0) {
            self[n] = '\0';
            execv(self, argv); /* comes back only when it failed; then we go on as we are */
        }
    }
    umask(077);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            return; /* as many as before */
    }
}
