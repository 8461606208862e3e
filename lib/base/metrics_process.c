#include "metrics_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The start of a small file of /proc, NUL-terminated; false if it cannot be read. */
static bool read_proc(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The field number n (from 0) of a line with fields between single blanks; NaN if there is none. */
static double field_of(const char *s, unsigned n)
{
    for (; s && n; n--) {
        s = strchr(s, ' ');
        if (s)
            s++;
    }
    char *end = NULL;
    double v = s ? strtod(s, &end) : NAN;
    return end == s ? NAN : v;
}

double al_process_cpu_s(void *u)
{
    (void)u;
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return NAN;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double al_process_resident_bytes(void *u)
{
    (void)u;
    char buf[256];
    if (!read_proc("/proc/self/statm", buf, sizeof buf))
        return NAN;
    return field_of(buf, 1) * (double)sysconf(_SC_PAGESIZE);
}

double al_process_open_fds(void *u)
{
    (void)u;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return NAN;
    double n = -1; /* the folder's own */
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) // NOLINT(concurrency-mt-unsafe): one stream, one thread
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

double al_process_start_s(void *u)
{
    (void)u;
    char buf[2048];
    if (!read_proc("/proc/self/stat", buf, sizeof buf))
        return NAN;
    const char *after = strrchr(buf, ')'); /* the program's name may hold blanks */
    double ticks = after && after[1] ? field_of(after + 2, 19) : NAN;
    FILE *f = fopen("/proc/stat", "re");
    double boot = NAN;
    while (f && isnan(boot) && fgets(buf, sizeof buf, f))
        if (strncmp(buf, "btime ", 6) == 0)
            boot = field_of(buf, 1);
    if (f)
        fclose(f);
    return boot + ticks / (double)sysconf(_SC_CLK_TCK);
}
