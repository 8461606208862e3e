#include "airlore/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

void al_check_case(const char *name, bool holds, const char *cond, const char *file, int line)
{
    if (holds)
        return;
    print_error("case '%s': %s\n", name, cond);
    _fail(file, line);
}

void al_check_ok(const char *expr, enum al_code code, struct al_err *err, const char *file,
                 int line)
{
    if (code == AL_OK)
        return;
    print_error("%s: %s: %s\n", expr, al_code_name(code), err->msg);
    _fail(file, line);
}

/* One lock for all decorators: tests need no more. */
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static bool should_fail(size_t *count, size_t fail_at, bool persistent, bool *fired)
{
    size_t number = (*count)++;
    bool fails = number == fail_at || (persistent && number > fail_at);
    *fired = *fired || fails;
    return fails;
}

static bool mem_fails(struct al_fault_mem *f)
{
    return should_fail(&f->count, f->fail_at, f->persistent, &f->fired);
}

static void *fault_alloc(struct al_mem *m, size_t n)
{
    struct al_fault_mem *f = (struct al_fault_mem *)(void *)m;
    pthread_mutex_lock(&mu);
    void *p = mem_fails(f) ? NULL : malloc(n);
    f->live += p != NULL;
    pthread_mutex_unlock(&mu);
    return p;
}

static void *fault_resize(struct al_mem *m, void *p, size_t n)
{
    struct al_fault_mem *f = (struct al_fault_mem *)(void *)m;
    pthread_mutex_lock(&mu);
    bool is_new = !p;
    void *q = mem_fails(f) ? NULL : realloc(p, n);
    f->live += is_new && q;
    pthread_mutex_unlock(&mu);
    return q;
}

static void fault_free(struct al_mem *m, void *p)
{
    struct al_fault_mem *f = (struct al_fault_mem *)(void *)m;
    if (!p)
        return;
    pthread_mutex_lock(&mu);
    AL_ASSERT(f->live > 0);
    f->live--;
    pthread_mutex_unlock(&mu);
    free(p);
}

void al_fault_mem_init(struct al_fault_mem *f, size_t fail_at, bool persistent)
{
    *f = (struct al_fault_mem){.mem = {fault_alloc, fault_resize, fault_free},
                               .fail_at = fail_at,
                               .persistent = persistent};
}

static struct al_fault_disk *of_disk(struct al_disk *d)
{
    return (struct al_fault_disk *)(void *)d;
}

enum op_kind {
    OP_TAKES_SPACE, /* fails on a full disk */
    OP_OTHER,       /* works on a full disk: reading, removing, closing */
};

/* Whether this operation fails. A full disk does not stop what needs no space, so such an operation
 * is not counted with ENOSPC and EDQUOT. */
static bool disk_fails(struct al_fault_disk *f, enum op_kind kind)
{
    if (kind == OP_OTHER && (f->errnum == ENOSPC || f->errnum == EDQUOT))
        return false;
    pthread_mutex_lock(&mu);
    bool fails = should_fail(&f->count, f->fail_at, f->persistent, &f->fired);
    pthread_mutex_unlock(&mu);
    return fails;
}

#define FAULT(f_, err_, what_) AL_FAIL_ERRNO((err_), (f_)->errnum, "injected fault: %s", (what_))

static enum al_code fault_open(struct al_disk *d, const char *path, enum al_disk_mode mode,
                               uint32_t perm, struct al_file *ret, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, mode == AL_DISK_READ ? OP_OTHER : OP_TAKES_SPACE))
        return FAULT(f, err, path);
    return f->base->ops->open(f->base, path, mode, perm, ret, err);
}

static enum al_code fault_write(struct al_disk *d, struct al_file *file, const void *p, size_t n,
                                struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_TAKES_SPACE)) {
        struct al_err ignored;
        (void)!f->base->ops->write(f->base, file, p, n / 2, &ignored);
        return FAULT(f, err, "write");
    }
    return f->base->ops->write(f->base, file, p, n, err);
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code fault_read_at(struct al_disk *d, struct al_file *file, uint64_t offset, void *p,
                                  size_t n, size_t *ret_n, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, "read");
    return f->base->ops->read_at(f->base, file, offset, p, n, ret_n, err);
}

static enum al_code fault_sync(struct al_disk *d, struct al_file *file, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_TAKES_SPACE))
        return FAULT(f, err, "sync");
    return f->base->ops->sync(f->base, file, err);
}

static enum al_code fault_close(struct al_disk *d, struct al_file *file, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    bool fails = disk_fails(f, OP_OTHER);
    enum al_code code = f->base->ops->close(f->base, file, err);
    return fails ? FAULT(f, err, "close") : code;
}

static enum al_code fault_size(struct al_disk *d, const char *path, uint64_t *ret,
                               struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, path);
    return f->base->ops->size(f->base, path, ret, err);
}

static enum al_code fault_rename(struct al_disk *d, const char *from, const char *to,
                                 struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_TAKES_SPACE))
        return FAULT(f, err, from);
    return f->base->ops->rename(f->base, from, to, err);
}

static enum al_code fault_remove(struct al_disk *d, const char *path, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, path);
    return f->base->ops->remove(f->base, path, err);
}

static enum al_code fault_mkdir(struct al_disk *d, const char *path, uint32_t perm,
                                struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_TAKES_SPACE))
        return FAULT(f, err, path);
    return f->base->ops->mkdir(f->base, path, perm, err);
}

static enum al_code fault_sync_dir(struct al_disk *d, const char *path, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_TAKES_SPACE))
        return FAULT(f, err, path);
    return f->base->ops->sync_dir(f->base, path, err);
}

static enum al_code fault_list(struct al_disk *d, const char *path,
                               enum al_code (*visit)(void *u, const struct al_disk_entry *e,
                                                     struct al_err *err),
                               void *u, struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, path);
    return f->base->ops->list(f->base, path, visit, u, err);
}

static enum al_code fault_map(struct al_disk *d, const char *path, struct al_map *ret,
                              struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, path);
    return f->base->ops->map(f->base, path, ret, err);
}

static void fault_unmap(struct al_disk *d, struct al_map *m)
{
    struct al_fault_disk *f = of_disk(d);
    f->base->ops->unmap(f->base, m);
}

static enum al_code fault_free_bytes(struct al_disk *d, const char *path, uint64_t *ret,
                                     struct al_err *err)
{
    struct al_fault_disk *f = of_disk(d);
    if (disk_fails(f, OP_OTHER))
        return FAULT(f, err, path);
    return f->base->ops->free_bytes(f->base, path, ret, err);
}

void al_fault_disk_init(struct al_fault_disk *f, struct al_disk *base, size_t fail_at,
                        bool persistent, int errnum)
{
    static const struct al_disk_ops ops = {
        .open = fault_open,
        .write = fault_write,
        .read_at = fault_read_at,
        .sync = fault_sync,
        .close = fault_close,
        .size = fault_size,
        .rename = fault_rename,
        .remove = fault_remove,
        .mkdir = fault_mkdir,
        .sync_dir = fault_sync_dir,
        .list = fault_list,
        .map = fault_map,
        .unmap = fault_unmap,
        .free_bytes = fault_free_bytes,
    };
    *f = (struct al_fault_disk){.disk = {&ops},
                                .base = base ? base : al_disk_system(),
                                .fail_at = fail_at,
                                .persistent = persistent,
                                .errnum = errnum};
}

static struct al_fault_net *of_net(struct al_net *n)
{
    return (struct al_fault_net *)(void *)n;
}

static bool net_fails(struct al_fault_net *f)
{
    pthread_mutex_lock(&mu);
    bool fails = should_fail(&f->count, f->fail_at, f->persistent, &f->fired);
    pthread_mutex_unlock(&mu);
    return fails;
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, of the port
static enum al_code fault_resolve(struct al_net *n, const char *host, uint16_t port,
                                  struct al_net_address *ret, size_t cap, size_t *ret_n,
                                  struct al_err *err)
{
    struct al_fault_net *f = of_net(n);
    if (net_fails(f))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ADDRESS", "injected fault: %s", host);
    return f->base->ops->resolve(f->base, host, port, ret, cap, ret_n, err);
}

static enum al_code fault_listen(struct al_net *n, const struct al_net_address *a, int *ret_fd,
                                 uint16_t *ret_port, struct al_err *err)
{
    struct al_fault_net *f = of_net(n);
    if (net_fails(f))
        return FAULT(f, err, "listen");
    enum al_code code = f->base->ops->listen(f->base, a, ret_fd, ret_port, err);
    f->n_open += code == AL_OK;
    return code;
}

static void fault_net_close(struct al_net *n, int fd)
{
    struct al_fault_net *f = of_net(n);
    AL_ASSERT(f->n_open > 0);
    f->n_open--;
    f->base->ops->close(f->base, fd);
}

void al_fault_net_init(struct al_fault_net *f, struct al_net *base, size_t fail_at, bool persistent,
                       int errnum)
{
    static const struct al_net_ops ops = {fault_resolve, fault_listen, fault_net_close};
    *f = (struct al_fault_net){.net = {&ops},
                               .base = base ? base : al_net_system(),
                               .fail_at = fail_at,
                               .persistent = persistent,
                               .errnum = errnum};
}

#define DIRS_MAX 256

static struct {
    char path[256];
    pid_t owner; /* a forked child leaves it alone */
} dirs[DIRS_MAX];
static size_t n_dirs;

static void remove_dirs(void)
{
    for (size_t i = 0; i < n_dirs; i++) {
        struct al_err err;
        if (dirs[i].owner == getpid() &&
            al_disk_remove_tree(al_disk_system(), dirs[i].path, &err) != AL_OK)
            fprintf(stderr, "temporary folder: %s\n", err.msg);
    }
}

const char *al_test_dir(char *buf, size_t n)
{
    pthread_mutex_lock(&mu);
    if (n_dirs == 0)
        atexit(remove_dirs);
    AL_ASSERT(n_dirs < DIRS_MAX);
    const char *base = getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): nobody calls setenv
    char *path = dirs[n_dirs].path;
    int len = snprintf(path, sizeof dirs[0].path, "%s/airlore-test-XXXXXX",
                       base && *base ? base : "/tmp");
    AL_ASSERT(len > 0 && (size_t)len < sizeof dirs[0].path && (size_t)len < n);
    AL_ASSERT(mkdtemp(path) != NULL);
    dirs[n_dirs++].owner = getpid();
    memcpy(buf, path, (size_t)len + 1);
    pthread_mutex_unlock(&mu);
    return buf;
}
