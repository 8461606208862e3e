/* Pages, lists of pages, sitemaps. */
#include <errno.h>
#include <iconv.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "airlore/source_archive.h"
#include "airlore/source_http.h"
#include "fetch.h"
#include "robots.h"
#include "sitemap.h"
#include "web_cache.h"

#define REDIRECTS_MAX 5u
#define SITEMAPS_MAX 1000u
#define SITEMAP_BYTES_MAX ((uint64_t)52 << 20) /* the protocol's 50 MiB */
#define PER_SECOND_DEFAULT 5.0
#define TIMEOUT_MS_DEFAULT 60000u
#define ROBOTS_ARENA_BYTES ((size_t)4 << 20)
#define ROBOTS_HOSTS 8u /* whose robots.txt is kept at a time */

/* robots.txt of a host. */
struct host_rules {
    char origin[320]; /* scheme and host */
    struct al_arena arena;
    struct al_robots rules;
    bool deny_all;     /* robots.txt could not be had: RFC 9309 says to read nothing */
    struct al_err why; /* nothing of the host may be read at all */
};

struct web_source {
    struct al_source source;
    struct al_web_options opt;
    struct al_web_http *own_http;
    struct al_fetch fetch;
    struct al_buf body;
    struct host_rules robots[ROBOTS_HOSTS];
    size_t robots_at; /* the next one to give up */
    struct al_web_cache cache;
    bool has_cache;
    /* where addresses come from */
    char *page; /* the only one; given once */
    FILE *list; /* lines of a file */
    bool is_stdin;
    char trusted[320]; /* host that may be private, since the caller named it; "" none */
    bool all_trusted;  /* a file of the caller's: each line is an address that the caller gave */
    struct al_arena map_arena; /* the sitemap or list being read */
    struct al_sitemap map;
    size_t at;
    struct al_arena index_arena; /* sitemaps of the index still to be read */
    char *sitemaps[SITEMAPS_MAX];
    size_t n_sitemaps;
    size_t at_sitemap;
    size_t n_maps; /* sitemaps that name pages */
};

/* ---- one request ---- */

static bool is_trusted(const struct web_source *w, const struct al_url *url)
{
    return w->opt.allow_private || w->all_trusted || strcmp(w->trusted, url->host) == 0;
}

/* What to ask for. */
struct ask {
    const char *url;
    const struct al_web_page *seen; /* asked conditionally; NULL: not */
    bool trusted;                   /* may be anywhere */
    uint64_t max_bytes;
};

static enum al_code get(struct web_source *w, const struct ask *q, struct al_web_reply *ret,
                        struct al_err *err)
{
    const struct al_web_page *seen = q->seen;
    char etag[300];
    char since[100];
    struct al_web_request r = {.url = q->url,
                               .max_bytes = q->max_bytes,
                               .timeout_ms = w->opt.timeout_ms,
                               .deny_private = !q->trusted && !w->opt.allow_private};
    if (seen && seen->etag[0]) {
        snprintf(etag, sizeof etag, "If-None-Match: %s", seen->etag);
        r.headers[r.n_headers++] = etag;
    }
    if (seen && seen->last_modified[0]) {
        snprintf(since, sizeof since, "If-Modified-Since: %s", seen->last_modified);
        r.headers[r.n_headers++] = since;
    }
    ret->body = &w->body;
    return al_fetch_get(&w->fetch, &r, ret, err);
}

/* ---- robots.txt ---- */

/* robots.txt behind its redirects. h->why on an error. */
static enum al_code get_robots(struct web_source *w, struct host_rules *h, bool trusted,
                               struct al_web_reply *reply)
{
    char where[AL_URL_BYTES_MAX + 1];
    snprintf(where, sizeof where, "%s/robots.txt", h->origin);
    for (unsigned i = 0;; i++) {
        struct ask q = {where, NULL, trusted, AL_ROBOTS_BYTES_MAX * 4};
        enum al_code code = get(w, &q, reply, &h->why);
        bool is_redirect = code == AL_OK && reply->status >= 300 && reply->status < 400;
        if (!is_redirect || !reply->location[0] || i == REDIRECTS_MAX)
            return code;
        snprintf(where, sizeof where, "%s", reply->location);
        trusted = false;
    }
}

static enum al_code load_robots(struct web_source *w, struct host_rules *h,
                                const struct al_url *url, bool trusted, struct al_err *err)
{
    al_arena_reset(&h->arena);
    h->rules = (struct al_robots){.rules = NULL};
    h->why = (struct al_err){.code = AL_OK};
    h->deny_all = false;
    snprintf(h->origin, sizeof h->origin, "%s://%s", url->scheme, url->host);
    struct al_web_reply reply;
    enum al_code code = get_robots(w, h, trusted, &reply);
    if (code == AL_PERMISSION_DENIED)
        return AL_OK; /* h->why says it of every page */
    if (code == AL_RESOURCE_EXHAUSTED)
        return AL_FAIL(err, code, "http: robots.txt: out of memory"); /* says nothing of the host */
    h->why.code = AL_OK;
    h->deny_all = code == AL_OK ? reply.status >= 500 || reply.status == 429
                                : code != AL_INVALID_ARGUMENT; /* too large: no rules */
    if (code != AL_OK || reply.status != 200)
        return AL_OK;
    AL_TRY(al_robots_parse(al_buf_view(&w->body), "airlore", &h->arena, &h->rules, err));
    if (h->rules.delay_s)
        al_fetch_slow_down(&w->fetch, url->host, h->rules.delay_s * 1000);
    return AL_OK;
}

static enum al_code find_robots(struct web_source *w, const struct al_url *url, bool trusted,
                                const struct host_rules **ret, struct al_err *err)
{
    char origin[320];
    snprintf(origin, sizeof origin, "%s://%s", url->scheme, url->host);
    for (size_t i = 0; i < ROBOTS_HOSTS; i++) {
        *ret = &w->robots[i];
        if (strcmp(origin, w->robots[i].origin) == 0)
            return AL_OK;
    }
    struct host_rules *h = &w->robots[w->robots_at++ % ROBOTS_HOSTS];
    *ret = h;
    enum al_code code = load_robots(w, h, url, trusted, err);
    if (code != AL_OK)
        h->origin[0] = '\0';
    return code;
}

static enum al_code check_robots(struct web_source *w, const struct al_url *url, bool trusted,
                                 struct al_err *err)
{
    const struct host_rules *h = NULL;
    if (w->opt.ignore_robots)
        return AL_OK;
    AL_TRY(find_robots(w, url, trusted, &h, err));
    if (h->why.code != AL_OK) {
        if (err)
            *err = h->why;
        return h->why.code;
    }
    if (h->deny_all)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "ROBOTS_DENIED",
                         "http: robots.txt of '%.100s' cannot be had", url->host);
    if (!al_robots_allow(&h->rules, url->path))
        return AL_FAIL_R(err, AL_PERMISSION_DENIED, "ROBOTS_DENIED",
                         "http: robots.txt of '%.100s' says no", url->host);
    return AL_OK;
}

/* A page with its redirects. seen: asked conditionally, on the first hop. */
static enum al_code get_page(struct web_source *w, const char *url, const struct al_web_page *seen,
                             uint64_t max, struct al_web_reply *ret, struct al_err *err)
{
    char where[AL_URL_BYTES_MAX + 1];
    struct al_url parts;
    AL_TRY(al_url_clean(url, where, sizeof where, err));
    AL_TRY(al_url_parse(where, &parts, err));
    bool trusted = is_trusted(w, &parts);
    char host[300];
    snprintf(host, sizeof host, "%s", parts.host);
    for (unsigned i = 0;; i++) {
        AL_TRY(check_robots(w, &parts, trusted, err));
        struct ask q = {where, seen, trusted, max};
        AL_TRY(get(w, &q, ret, err));
        bool is_redirect = ret->status >= 301 && ret->status <= 308 && ret->status != 304;
        if (!is_redirect)
            return AL_OK;
        if (!ret->location[0] || i == REDIRECTS_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_REDIRECT",
                             "http: redirected nowhere, or more than %u times", REDIRECTS_MAX);
        AL_TRY_CTX(err, al_url_clean(ret->location, where, sizeof where, err), "redirect");
        AL_TRY(al_url_parse(where, &parts, err));
        trusted = trusted && strcmp(parts.host, host) == 0;
    }
}

static enum al_code check_status(const struct al_web_reply *r, struct al_err *err)
{
    if (r->status == 200)
        return AL_OK;
    if (r->status == 404 || r->status == 410)
        return AL_FAIL_R(err, AL_NOT_FOUND, "GONE", "http: %d, not there", r->status);
    if (r->status == 401 || r->status == 403)
        return AL_FAIL(err, AL_PERMISSION_DENIED, "http: %d, refused", r->status);
    return AL_FAIL_R(err, AL_UNAVAILABLE, "HTTP_STATUS", "http: answered %d", r->status);
}

/* ---- content ---- */

/* "text/html" of "text/html; charset=x" and so on: the reader, or NULL. */
static const char *media_type(const char *content_type, const char *url)
{
    static const char *const types[] = {"text/html",       "text/markdown",
                                        "text/x-rst",      "text/x-python",
                                        "application/pdf", "application/x-ipynb+json"};
    char path[AL_URL_BYTES_MAX + 1];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(url, "?"), url);
    const char *by_name = al_source_media_type(path);
    size_t n = strcspn(content_type, "; \t");
    for (size_t i = 0; i < AL_ARRAY_LEN(types); i++) {
        if (strlen(types[i]) == n && strncasecmp(content_type, types[i], n) == 0)
            return types[i];
    }
    if (n == 21 && strncasecmp(content_type, "application/xhtml+xml", n) == 0)
        return "text/html";
    if (n == 10 && strncasecmp(content_type, "text/plain", n) == 0)
        return by_name ? by_name : "text/plain";
    bool is_vague = n == 0 || strncasecmp(content_type, "application/octet-stream", n) == 0 ||
                    strncasecmp(content_type, "application/json", n) == 0;
    return is_vague ? by_name : NULL;
}

static bool find_charset(const char *content_type, char *buf, size_t n)
{
    const char *p = strcasestr(content_type, "charset=");
    if (!p)
        return false;
    p += 8;
    p += *p == '"';
    size_t k = strcspn(p, "\"; \t");
    if (k == 0 || k >= n ||
        strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.") < k)
        return false;
    snprintf(buf, n, "%.*s", (int)k, p);
    return strcasecmp(buf, "utf-8") != 0 && strcasecmp(buf, "utf8") != 0 &&
           strcasecmp(buf, "us-ascii") != 0;
}

/* To UTF-8; what is no character of the set becomes '?'. false: no such set. Whether it fits out
 * its status says. */
static bool convert(const char *charset, struct al_str in, struct al_buf *out)
{
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1)
        return false;
    char *from = (char *)(uintptr_t)in.p;
    size_t left = in.n;
    while (left) {
        char block[8192];
        char *to = block;
        size_t room = sizeof block;
        size_t rc = iconv(cd, &from, &left, &to, &room);
        int e = errno;
        al_buf_add(out, block, sizeof block - room);
        if (rc == (size_t)-1 && e != E2BIG) {
            al_buf_char(out, '?');
            from++;
            left--;
        }
    }
    iconv_close(cd);
    return true;
}

static enum al_code take_content(struct web_source *w, struct al_arena *a,
                                 const struct al_web_reply *reply, struct al_source_entry *e,
                                 struct al_err *err)
{
    struct al_str content = al_buf_view(&w->body);
    char charset[64];
    struct al_buf converted;
    al_buf_init(&converted, NULL, (size_t)64 << 20);
    bool is_text = strncmp(e->media_type, "text/", 5) == 0;
    if (is_text && find_charset(reply->content_type, charset, sizeof charset) &&
        convert(charset, content, &converted))
        content = al_buf_view(&converted);
    enum al_code code = al_buf_status(&converted, err);
    if (code == AL_OK)
        code = al_arena_str(a, content, &e->content, err);
    al_buf_fini(&converted);
    AL_TRY(code);
    e->checksum = al_source_checksum(a, "u1-", e->content.p, e->content.n);
    if (!e->checksum)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    e->has_content = true;
    return AL_OK;
}

static enum al_code web_load(struct al_source *source, struct al_arena *a,
                             struct al_source_entry *e, uint64_t max, struct al_err *err)
{
    struct web_source *w = (struct web_source *)source;
    const struct al_web_page *seen = e->is_known ? al_web_cache_find(&w->cache, e->url) : NULL;
    struct al_web_reply reply;
    AL_TRY(get_page(w, e->url, seen, max, &reply, err));
    if (reply.status == 304 && seen) {
        e->is_unchanged = true;
        al_web_cache_put(&w->cache, seen);
        return AL_OK;
    }
    AL_TRY(check_status(&reply, err));
    e->media_type = media_type(reply.content_type, e->url);
    if (!e->media_type)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MEDIA_TYPE_UNSUPPORTED",
                         "http: '%.100s' cannot be read", reply.content_type);
    AL_TRY(take_content(w, a, &reply, e, err));
    int64_t modified = al_web_date(reply.last_modified);
    e->updated_s = modified ? modified : e->updated_s;
    struct al_web_page now = {e->url, e->checksum, reply.etag, reply.last_modified};
    if (reply.etag[0] || reply.last_modified[0])
        al_web_cache_put(&w->cache, &now);
    if (e->is_known && seen && strcmp(seen->checksum, e->checksum) == 0) {
        e->is_unchanged = true; /* no validators, or new ones: the bytes are the same */
        e->has_content = false;
    }
    return AL_OK;
}

/* ---- addresses ---- */

/* Read a sitemap or a list from the web into w->body. */
static enum al_code get_listing(struct web_source *w, const char *url, struct al_err *err)
{
    struct al_web_reply reply;
    AL_TRY(get_page(w, url, NULL, SITEMAP_BYTES_MAX, &reply, err));
    AL_TRY(check_status(&reply, err));
    struct al_str body = al_buf_view(&w->body);
    if (!al_str_starts(body, AL_STR("\x1f\x8b")))
        return AL_OK;
    struct al_buf plain;
    al_buf_init(&plain, NULL, SITEMAP_BYTES_MAX);
    enum al_code code = al_archive_gunzip(body, &plain, err);
    if (code != AL_OK) {
        al_buf_fini(&plain);
        return code;
    }
    al_buf_fini(&w->body);
    w->body = plain;
    return AL_OK;
}

/* *ret: the URL is one of the host that was named. */
static enum al_code is_host_of(const struct web_source *w, const char *url, bool *ret,
                               struct al_err *err)
{
    struct al_url parts;
    enum al_code code = al_url_parse(url, &parts, NULL);
    if (code == AL_RESOURCE_EXHAUSTED)
        return AL_FAIL(err, code, "http: out of memory");
    *ret = code == AL_OK && strcmp(parts.host, w->trusted) == 0;
    return AL_OK;
}

static bool has_sitemap(const struct web_source *w, const char *url)
{
    for (size_t i = 0; i < w->n_sitemaps; i++) {
        if (strcmp(w->sitemaps[i], url) == 0)
            return true;
    }
    return false;
}

/* The sitemaps of an index, each once. */
static enum al_code take_index(struct web_source *w, struct al_err *err)
{
    for (size_t i = 0; i < w->map.n; i++) {
        const char *url = w->map.urls[i].url;
        bool is_own = false;
        AL_TRY(is_host_of(w, url, &is_own, err));
        if (!is_own || has_sitemap(w, url))
            continue;
        if (w->n_sitemaps == SITEMAPS_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "sitemap: more than %u of them",
                             SITEMAPS_MAX);
        char *kept = al_arena_strndup(&w->index_arena, url, strlen(url));
        if (!kept)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "sitemap: out of memory");
        w->sitemaps[w->n_sitemaps++] = kept;
    }
    w->map.n = 0; /* an index names no pages */
    return AL_OK;
}

static enum al_code next_sitemap(struct web_source *w, struct al_err *err)
{
    const char *url = w->sitemaps[w->at_sitemap++];
    AL_TRY_CTX(err, get_listing(w, url, err), "sitemap '%.100s'", url);
    al_arena_reset(&w->map_arena);
    w->map = (struct al_sitemap){.urls = NULL};
    w->at = 0;
    AL_TRY_CTX(err, al_sitemap_parse(al_buf_view(&w->body), &w->map_arena, &w->map, err),
               "sitemap '%.100s'", url);
    w->n_maps += !w->map.is_index;
    return w->map.is_index ? take_index(w, err) : AL_OK;
}

/* The next address of the sitemaps; NULL at the end. */
static enum al_code next_of_map(struct web_source *w, const struct al_sitemap_url **ret,
                                struct al_err *err)
{
    *ret = NULL;
    for (;;) {
        while (w->at < w->map.n) {
            const struct al_sitemap_url *u = &w->map.urls[w->at++];
            bool is_own = false;
            AL_TRY(is_host_of(w, u->url, &is_own, err));
            if (is_own) {
                *ret = u;
                return AL_OK;
            }
            w->source.n_left_out++;
        }
        if (w->at_sitemap == w->n_sitemaps && (w->n_maps || !w->n_sitemaps))
            return AL_OK;
        if (w->at_sitemap == w->n_sitemaps)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "sitemap: an index of nothing");
        AL_TRY(next_sitemap(w, err));
    }
}

/* The next line of the list that is an address; false at the end. *ret_whole false: it is longer
 * than an address may be, or has NUL bytes. */
static bool next_line(struct web_source *w, char *buf, size_t n, bool *ret_whole)
{
    int c = 0;
    while (c != EOF) {
        size_t k = 0;
        *ret_whole = true;
        while ((c = getc(w->list)) != EOF && c != '\n') {
            if (k + 1 < n && c != '\0')
                buf[k++] = (char)c;
            else
                *ret_whole = false;
        }
        struct al_str line = al_str_trim((struct al_str){buf, k});
        if (line.n == 0 || line.p[0] == '#')
            continue;
        memmove(buf, line.p, line.n);
        buf[line.n] = '\0';
        return true;
    }
    return false;
}

static enum al_code give(struct web_source *w, const char *url, int64_t modified_s,
                         struct al_arena *a, struct al_source_entry *ret, struct al_err *err)
{
    char clean[AL_URL_BYTES_MAX + 1];
    enum al_code code = al_url_clean(url, clean, sizeof clean, &ret->why);
    if (code == AL_RESOURCE_EXHAUSTED)
        return AL_FAIL(err, code, "http: out of memory");
    if (code != AL_OK)
        return AL_OK;
    ret->id = al_arena_strndup(a, clean, strlen(clean));
    if (!ret->id)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    ret->url = ret->id;
    ret->updated_s = modified_s;
    const struct al_web_page *seen = al_web_cache_find(&w->cache, clean);
    ret->checksum = seen ? seen->checksum : NULL;
    ret->checksum_is_old = true;
    return AL_OK;
}

static enum al_code next_of_list(struct web_source *w, struct al_arena *a,
                                 struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    char line[AL_URL_BYTES_MAX + 2];
    bool whole = true;
    if (!next_line(w, line, sizeof line, &whole)) {
        *ret_end = true;
        return ferror(w->list) ? AL_FAIL_ERRNO(err, errno, "list") : AL_OK;
    }
    if (!whole) {
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "BAD_URL", "list: a line of more than %u bytes",
                  AL_URL_BYTES_MAX);
        return AL_OK;
    }
    return give(w, line, 0, a, ret, err);
}

static enum al_code web_next(struct al_source *source, struct al_arena *a,
                             struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    struct web_source *w = (struct web_source *)source;
    if (w->list)
        return next_of_list(w, a, ret, ret_end, err);
    if (w->page) {
        enum al_code code = give(w, w->page, 0, a, ret, err);
        w->page = NULL;
        return code;
    }
    const struct al_sitemap_url *u = NULL;
    AL_TRY(next_of_map(w, &u, err));
    *ret_end = !u;
    return u ? give(w, u->url, u->modified_s, a, ret, err) : AL_OK;
}

static enum al_code web_finish(struct al_source *source, struct al_err *err)
{
    struct web_source *w = (struct web_source *)source;
    return al_web_cache_save(&w->cache, err);
}

static void web_close(struct al_source *source)
{
    struct web_source *w = (struct web_source *)source;
    if (w->list && !w->is_stdin)
        fclose(w->list);
    if (w->has_cache)
        al_web_cache_close(&w->cache);
    al_buf_fini(&w->body);
    for (size_t i = 0; i < ROBOTS_HOSTS; i++)
        al_arena_fini(&w->robots[i].arena);
    al_arena_fini(&w->map_arena);
    al_arena_fini(&w->index_arena);
    al_web_curl_close(w->own_http);
    al_mem_free(NULL, w);
}

static const struct al_source_ops ops = {
    .next = web_next, .load = web_load, .finish = web_finish, .close = web_close};

/* ---- opening ---- */

static enum al_code open_cache(struct web_source *w, struct al_err *err)
{
    char dir[2048];
    char path[3000];
    if (w->opt.cache_dir)
        snprintf(dir, sizeof dir, "%s", w->opt.cache_dir);
    else
        AL_TRY(al_source_cache_dir("http", dir, sizeof dir, err));
    snprintf(path, sizeof path, "%s/%016" PRIx64 ".tsv", dir,
             (uint64_t)XXH3_64bits(w->source.name, strlen(w->source.name)));
    w->has_cache = true;
    return al_web_cache_open(&w->cache, path, err);
}

static enum al_code create(const struct al_web_options *opt, struct web_source **ret,
                           struct al_err *err)
{
    struct web_source *w = al_mem_zalloc(NULL, sizeof *w);
    if (!w)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    w->source.ops = &ops;
    if (opt)
        w->opt = *opt;
    if (!w->opt.timeout_ms)
        w->opt.timeout_ms = TIMEOUT_MS_DEFAULT;
    if (!(w->opt.requests_per_second > 0))
        w->opt.requests_per_second = PER_SECOND_DEFAULT;
    al_buf_init(&w->body, NULL, SITEMAP_BYTES_MAX);
    for (size_t i = 0; i < ROBOTS_HOSTS; i++)
        al_arena_init(&w->robots[i].arena, NULL, ROBOTS_ARENA_BYTES);
    al_arena_init(&w->map_arena, NULL, (size_t)64 << 20);
    al_arena_init(&w->index_arena, NULL, (size_t)8 << 20);
    struct al_web_http *http = w->opt.ports.http;
    if (!http) {
        enum al_code code = al_web_curl_open(&w->own_http, err);
        if (code != AL_OK) {
            al_source_close(&w->source);
            return code;
        }
        http = w->own_http;
    }
    al_fetch_init(&w->fetch, http, &w->opt.ports, w->opt.requests_per_second);
    *ret = w;
    return AL_OK;
}

static bool is_sitemap_path(const char *path)
{
    size_t n = strcspn(path, "?");
    return (n > 4 && strncasecmp(path + n - 4, ".xml", 4) == 0) ||
           (n > 7 && strncasecmp(path + n - 7, ".xml.gz", 7) == 0);
}

static enum al_code open_url(struct web_source *w, const char *url, struct al_err *err)
{
    char clean[AL_URL_BYTES_MAX + 1];
    struct al_url parts;
    AL_TRY(al_url_clean(url, clean, sizeof clean, err));
    AL_TRY(al_url_parse(clean, &parts, err));
    snprintf(w->trusted, sizeof w->trusted, "%s", parts.host);
    snprintf(w->source.name, sizeof w->source.name, "%.390s", clean);
    snprintf(w->source.label, sizeof w->source.label, "%.250s", parts.host);
    char *kept = al_arena_strndup(&w->index_arena, clean, strlen(clean));
    if (!kept)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    if (is_sitemap_path(parts.path))
        w->sitemaps[w->n_sitemaps++] = kept;
    else
        w->page = kept;
    return open_cache(w, err);
}

static enum al_code give_source(struct web_source *w, enum al_code code, struct al_source **ret)
{
    if (code != AL_OK)
        al_source_close(&w->source);
    else
        *ret = &w->source;
    return code;
}

enum al_code al_web_open(const char *url, const struct al_web_options *opt, struct al_source **ret,
                         struct al_err *err)
{
    struct web_source *w = NULL;
    AL_TRY(create(opt, &w, err));
    AL_ASSERT(w != NULL);
    return give_source(w, open_url(w, url, err), ret);
}

/* A list from the web: kept in memory, read like a file. Its lines are not the caller's words. */
static enum al_code open_list_url(struct web_source *w, const char *url, struct al_err *err)
{
    AL_TRY(open_url(w, url, err));
    char *kept = w->page ? w->page : w->sitemaps[0];
    w->page = NULL;
    w->n_sitemaps = 0;
    AL_TRY(get_listing(w, kept, err));
    w->list = tmpfile();
    if (!w->list)
        return AL_FAIL_ERRNO(err, errno, "list");
    if (fwrite(w->body.p ? w->body.p : "", 1, w->body.n, w->list) != w->body.n ||
        fseek(w->list, 0, SEEK_SET) != 0)
        return AL_FAIL_ERRNO(err, errno, "list");
    return AL_OK;
}

static enum al_code open_list_file(struct web_source *w, const char *path, struct al_err *err)
{
    w->all_trusted = true;
    w->is_stdin = strcmp(path, "-") == 0;
    w->list = w->is_stdin ? stdin : fopen(path, "re");
    if (!w->list)
        return AL_FAIL_ERRNO(err, errno, "list '%s'", path);
    char *real = w->is_stdin ? NULL : realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    if (real)
        snprintf(w->source.name, sizeof w->source.name, "%.300s@%016" PRIx64,
                 slash ? slash + 1 : path, (uint64_t)XXH3_64bits(real, strlen(real)));
    free(real);
    snprintf(w->source.label, sizeof w->source.label, "list");
    return open_cache(w, err);
}

enum al_code al_web_open_list(const char *list, const struct al_web_options *opt,
                              struct al_source **ret, struct al_err *err)
{
    struct web_source *w = NULL;
    AL_TRY(create(opt, &w, err));
    AL_ASSERT(w != NULL);
    enum al_code code =
        strstr(list, "://") ? open_list_url(w, list, err) : open_list_file(w, list, err);
    return give_source(w, code, ret);
}
