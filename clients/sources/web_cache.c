/* What was seen of pages last time. */
#include "web_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES_MAX ((size_t)512 << 20)
#define HEAD "airlore pages 1\n"

static bool take_field(struct al_str *line, struct al_str *ret)
{
    if (!line->p)
        return false;
    const char *tab = memchr(line->p, '\t', line->n);
    size_t n = tab ? (size_t)(tab - line->p) : line->n;
    *ret = (struct al_str){line->p, n};
    *line = tab ? al_str_sub(*line, n + 1, line->n) : (struct al_str){NULL, 0};
    return memchr(ret->p, '\0', n) == NULL;
}

/* *ret_good: it is a line of a page. */
static enum al_code parse_line(struct al_str line, struct al_arena *a, struct al_web_page *ret,
                               bool *ret_good, struct al_err *err)
{
    *ret_good = false;
    struct al_str f[4];
    for (size_t i = 0; i < AL_ARRAY_LEN(f); i++) {
        if (!take_field(&line, &f[i]))
            return AL_OK;
    }
    if (line.p || !f[0].n || !f[1].n || f[1].n > 128)
        return AL_OK;
    const char **to[4] = {&ret->url, &ret->checksum, &ret->etag, &ret->last_modified};
    for (size_t i = 0; i < AL_ARRAY_LEN(f); i++) {
        *to[i] = al_arena_strndup(a, f[i].p, f[i].n);
        if (!*to[i])
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "cache: out of memory");
    }
    *ret_good = true;
    return AL_OK;
}

static int by_url(const void *a, const void *b)
{
    const struct al_web_page *x = a;
    const struct al_web_page *y = b;
    return strcmp(x->url, y->url);
}

enum al_code al_web_cache_parse(struct al_web_cache *c, struct al_str text, struct al_err *err)
{
    if (!al_str_starts(text, AL_STR(HEAD)))
        return AL_OK;
    text = al_str_sub(text, strlen(HEAD), text.n);
    size_t lines = 1;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    lines = lines > AL_WEB_CACHE_PAGES_MAX ? AL_WEB_CACHE_PAGES_MAX : lines;
    c->pages = al_arena_array(&c->arena, lines, sizeof *c->pages);
    if (!c->pages)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "cache: out of memory");
    while (text.n && c->n < lines) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        bool good = false;
        AL_TRY(parse_line((struct al_str){text.p, n}, &c->arena, &c->pages[c->n], &good, err));
        c->n += good;
        text = al_str_sub(text, n + 1, text.n);
    }
    if (c->n)
        qsort(c->pages, c->n, sizeof *c->pages, by_url);
    return AL_OK;
}

static enum al_code read_file(int fd, struct al_buf *b, struct al_err *err)
{
    char part[65536];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0) {
        al_buf_add(b, part, (size_t)n);
        AL_TRY(al_buf_status(b, err));
    }
    return AL_OK; /* an error of the disk: what was read is advice as well */
}

enum al_code al_web_cache_open(struct al_web_cache *c, const char *path, struct al_err *err)
{
    memset(c, 0, sizeof *c);
    snprintf(c->path, sizeof c->path, "%s", path);
    al_arena_init(&c->arena, NULL, BYTES_MAX);
    al_buf_init(&c->next, NULL, BYTES_MAX);
    al_buf_cstr(&c->next, HEAD);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return AL_OK;
    struct al_buf b;
    al_buf_init(&b, NULL, BYTES_MAX);
    enum al_code code = read_file(fd, &b, err);
    close(fd);
    if (code == AL_OK)
        code = al_web_cache_parse(c, al_buf_view(&b), err);
    al_buf_fini(&b);
    return code;
}

const struct al_web_page *al_web_cache_find(const struct al_web_cache *c, const char *url)
{
    struct al_web_page key = {.url = url};
    return c->n ? bsearch(&key, c->pages, c->n, sizeof key, by_url) : NULL;
}

void al_web_cache_put(struct al_web_cache *c, const struct al_web_page *p)
{
    if (c->n_next++ < AL_WEB_CACHE_PAGES_MAX)
        al_buf_printf(&c->next, "%s\t%s\t%s\t%s\n", p->url, p->checksum, p->etag, p->last_modified);
}

static enum al_code write_all(int fd, struct al_str s, struct al_err *err)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return AL_FAIL_ERRNO(err, errno, "cache");
        if (n > 0)
            s = al_str_sub(s, (size_t)n, s.n);
    }
    return fsync(fd) == 0 ? AL_OK : AL_FAIL_ERRNO(err, errno, "cache");
}

enum al_code al_web_cache_save(struct al_web_cache *c, struct al_err *err)
{
    AL_TRY(al_buf_status(&c->next, err));
    char temporary[3100];
    snprintf(temporary, sizeof temporary, "%s.%ld", c->path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "cache '%s'", temporary);
    enum al_code code = write_all(fd, al_buf_view(&c->next), err);
    close(fd);
    if (code == AL_OK && rename(temporary, c->path) != 0)
        code = AL_FAIL_ERRNO(err, errno, "cache '%s'", c->path);
    if (code != AL_OK)
        unlink(temporary);
    return code;
}

void al_web_cache_close(struct al_web_cache *c)
{
    al_arena_fini(&c->arena);
    al_buf_fini(&c->next);
}
