/* Walking a folder without following links. */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/source.h"

#define PATH_BYTES_MAX 4096u

struct walker {
    struct al_cli_walk *w;
    char path[PATH_BYTES_MAX]; /* relative to the folder, where the walk is */
    size_t n;
    unsigned depth;
    struct al_err *err;
};

static void report(struct walker *k, const char *reason, const char *message)
{
    k->w->n_bad++;
    if (k->w->on_bad)
        k->w->on_bad(k->w->u, k->n ? k->path : ".", reason, message);
}

/* The path goes into one block of texts, as an offset until the walk has ended. */
static enum al_code add_file(struct walker *k, const char *media_type, const struct stat *st)
{
    struct al_cli_walk *w = k->w;
    if (w->n_files >= AL_WALK_FILES_MAX)
        return AL_FAIL_R(k->err, AL_INVALID_ARGUMENT, "TOO_MANY", "folder: more than %u files",
                         AL_WALK_FILES_MAX);
    if (al_mem_grow(NULL, (void **)&w->files, &w->cap, w->n_files + 1, sizeof *w->files) != AL_OK ||
        al_mem_grow(NULL, (void **)&w->texts, &w->texts_cap, w->texts_n + k->n + 1, 1) != AL_OK)
        return AL_FAIL(k->err, AL_RESOURCE_EXHAUSTED, "folder: out of memory");
    memcpy(w->texts + w->texts_n, k->path, k->n + 1);
    w->files[w->n_files++] = (struct al_cli_file){.path = (const char *)(uintptr_t)w->texts_n,
                                                  .media_type = media_type,
                                                  .size_bytes = (uint64_t)st->st_size,
                                                  .mtime_s = st->st_mtim.tv_sec};
    w->texts_n += k->n + 1;
    w->size_bytes += (uint64_t)st->st_size;
    return AL_OK;
}

static enum al_code walk_folder(struct walker *k, int fd);

static enum al_code enter(struct walker *k, int at, const char *name)
{
    if (k->depth >= AL_WALK_DEPTH_MAX) {
        report(k, "TOO_DEEP", "folders nested too deeply");
        return AL_OK;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        report(k, "UNREADABLE", strerror(errno));
        return AL_OK;
    }
    k->depth++;
    enum al_code code = walk_folder(k, fd);
    k->depth--;
    return code;
}

static enum al_code visit(struct walker *k, int at, const char *name)
{
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        report(k, "UNREADABLE", strerror(errno));
        return AL_OK;
    }
    if (S_ISDIR(st.st_mode))
        return enter(k, at, name);
    const char *type = al_source_media_type(name);
    if (S_ISREG(st.st_mode) && type)
        return add_file(k, type, &st);
    k->w->n_left_out++;
    return AL_OK;
}

static enum al_code visit_entry(struct walker *k, int at, const char *name)
{
    if (al_source_is_ignored(al_str_c(name)))
        return AL_OK;
    size_t before = k->n;
    size_t n = strlen(name);
    if (before + 1 + n >= PATH_BYTES_MAX) {
        report(k, "TOO_DEEP", "path too long");
        return AL_OK;
    }
    if (before)
        k->path[k->n++] = '/';
    memcpy(k->path + k->n, name, n + 1);
    k->n += n;
    enum al_code code = visit(k, at, name);
    k->n = before;
    k->path[before] = '\0';
    return code;
}

/* Takes fd over. */
static enum al_code walk_folder(struct walker *k, int fd)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        report(k, "UNREADABLE", strerror(errno));
        close(fd);
        return AL_OK;
    }
    enum al_code code = AL_OK;
    while (code == AL_OK) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e)
            break;
        code = visit_entry(k, dirfd(d), e->d_name);
    }
    if (code == AL_OK && errno)
        report(k, "UNREADABLE", strerror(errno));
    closedir(d);
    return code;
}

static int by_path(const void *a, const void *b)
{
    const struct al_cli_file *x = a;
    const struct al_cli_file *y = b;
    return strcmp(x->path, y->path);
}

enum al_code al_cli_walk_run(const char *folder, struct al_cli_walk *ret,
                             void (*on_bad)(void *u, const char *path, const char *reason,
                                            const char *message),
                             void *u, struct al_err *err)
{
    struct al_cli_walk w = {.on_bad = on_bad, .u = u};
    struct walker *k = al_mem_zalloc(NULL, sizeof *k);
    if (!k)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "folder '%s': out of memory", folder);
    k->w = &w;
    k->err = err;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum al_code code =
        fd < 0 ? AL_FAIL_ERRNO(err, errno, "folder '%s'", folder) : walk_folder(k, fd);
    al_mem_free(NULL, k);
    if (code != AL_OK) {
        al_cli_walk_fini(&w);
        return code;
    }
    for (size_t i = 0; i < w.n_files; i++)
        w.files[i].path = w.texts + (uintptr_t)w.files[i].path;
    if (w.n_files)
        qsort(w.files, w.n_files, sizeof *w.files, by_path);
    *ret = w;
    return AL_OK;
}

void al_cli_walk_fini(struct al_cli_walk *w)
{
    al_mem_free(NULL, w->files);
    al_mem_free(NULL, w->texts);
    *w = (struct al_cli_walk){.files = NULL};
}
