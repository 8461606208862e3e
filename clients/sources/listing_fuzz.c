/* Any bytes as robots.txt, sitemap, listing of a bucket, cache file, answer of the PDF reader,
 * address of a page or of a repository, dump, archive (the first byte chooses). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "airlore/source_archive.h"
#include "airlore/source_git.h"
#include "airlore/source_pdf.h"
#include "airlore/source_stackexchange.h"
#include "bucket.h"
#include "robots.h"
#include "sitemap.h"
#include "web_cache.h"
#include "web_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_page(const struct al_bucket_page *p)
{
    AL_ASSERT(p->n <= AL_BUCKET_PAGE_MAX);
    for (size_t i = 0; i < p->n; i++)
        AL_ASSERT(p->objects[i].key && p->objects[i].etag);
}

static void robots(struct al_str in, struct al_arena *a)
{
    struct al_robots r;
    if (al_robots_parse(in, "airlore", a, &r, NULL) != AL_OK)
        return;
    AL_ASSERT(r.n <= AL_ROBOTS_RULES_MAX && r.delay_s <= 60);
    al_robots_allow(&r, "/a/b.pdf?c=d*$");
}

static void cache(struct al_str in)
{
    struct al_web_cache c = {.n = 0};
    al_arena_init(&c.arena, NULL, (size_t)64 << 20);
    if (al_web_cache_parse(&c, in, NULL) == AL_OK) {
        for (size_t i = 0; i < c.n; i++)
            AL_ASSERT(al_web_cache_find(&c, c.pages[i].url) != NULL);
    }
    al_web_cache_close(&c);
}

static void pdf(struct al_str in, struct al_arena *a)
{
    struct al_pdf pdf;
    uint32_t last = 0;
    if (al_pdf_parse(in, a, &pdf, NULL) != AL_OK)
        return;
    for (size_t i = 0; i < pdf.n; i++) {
        AL_ASSERT(pdf.pages[i].number > last && pdf.pages[i].number <= pdf.n_all);
        AL_ASSERT(al_str_is_utf8(pdf.pages[i].text) && al_str_is_utf8(pdf.pages[i].heading));
        last = pdf.pages[i].number;
    }
}

/* ---- addresses ---- */

static bool is_clean(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s <= ' ' || *s == 0x7f)
            return false;
    }
    return true;
}

/* What is cut out of a URL goes into requests; cleaning a clean one changes nothing. */
static void url(struct al_str in, struct al_arena *a)
{
    char once[AL_URL_BYTES_MAX + 1];
    char twice[AL_URL_BYTES_MAX + 1];
    struct al_url u;
    const char *text = al_arena_strndup(a, in.p, in.n);
    if (!text || al_url_parse(text, &u, NULL) != AL_OK)
        return;
    AL_ASSERT(strcmp(u.scheme, "http") == 0 || strcmp(u.scheme, "https") == 0);
    AL_ASSERT(u.host[0] && is_clean(u.host) && u.path[0] == '/' && is_clean(u.path));
    if (al_url_clean(text, once, sizeof once, NULL) != AL_OK)
        return;
    AL_ASSERT(al_url_clean(once, twice, sizeof twice, NULL) == AL_OK);
    AL_ASSERT(strcmp(once, twice) == 0);
}

static void repository(struct al_str in, struct al_arena *a)
{
    char where[2100];
    const char *ref = NULL;
    const char *text = al_arena_strndup(a, in.p, in.n);
    if (!text || al_git_parse(text, where, sizeof where, &ref, NULL) != AL_OK)
        return;
    size_t n = strlen(where);
    AL_ASSERT(n > 0 && ref[0] != '-');
    AL_ASSERT(!ref[0] || ref == where + n + 1);
    AL_ASSERT(n + (ref[0] ? 1 + strlen(ref) : 0) <= in.n);
}

/* ---- files ---- */

static void drain(struct al_source *s)
{
    struct al_arena a;
    al_arena_init(&a, NULL, (size_t)16 << 20);
    for (;;) {
        struct al_source_entry e;
        bool end = false;
        if (al_source_next(s, &a, &e, &end, NULL) != AL_OK || end)
            break;
        AL_ASSERT(e.why.code != AL_OK || (e.id && e.has_content && e.media_type));
        AL_ASSERT(!e.id || al_str_is_utf8(al_str_c(e.id)));
        AL_ASSERT(e.n_meta <= AL_SOURCE_META_MAX);
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    al_source_close(s);
}

/* The bytes as a file without a name; -1: there is none to be had. */
static int file_of(struct al_str in, char *path, size_t n)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, in.p, in.n) != (ssize_t)in.n) {
        close(fd);
        return -1;
    }
    snprintf(path, n, "/proc/self/fd/%d", fd);
    return fd;
}

static void dump(struct al_str in)
{
    char path[40];
    struct al_stackexchange_options o = {.threads_max = 100, .spill_bytes_max = 1 << 20};
    struct al_source *s = NULL;
    int fd = file_of(in, path, sizeof path);
    if (fd < 0)
        return;
    if (al_stackexchange_open(path, &o, &s, NULL) == AL_OK)
        drain(s);
    close(fd);
}

static void archive(struct al_str in)
{
    char path[40];
    char part[4096];
    struct al_archive_options o = {
        .member_bytes_max = 1 << 16, .total_bytes_max = 1 << 20, .members_max = 100};
    struct al_source *s = NULL;
    struct al_archive_stream *stream = NULL;
    int fd = file_of(in, path, sizeof path);
    if (fd < 0)
        return;
    if (al_archive_open(path, &o, &s, NULL) == AL_OK)
        drain(s);
    if (al_archive_stream_open(path, NULL, &stream, NULL) == AL_OK) {
        size_t n = 0;
        for (int i = 0; i < 64; i++) {
            if (al_archive_stream_read(stream, part, sizeof part, &n, NULL) != AL_OK || n == 0)
                break;
            AL_ASSERT(n <= sizeof part);
        }
        al_archive_stream_close(stream);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct al_bucket_page page;
    struct al_sitemap map;
    struct al_arena a;
    char message[160];
    if (size == 0)
        return 0;
    struct al_str in = {(const char *)data + 1, size - 1};
    al_arena_init(&a, NULL, (size_t)64 << 20);
    switch (data[0] % 10) {
    case 0:
        robots(in, &a);
        break;
    case 1:
        if (al_sitemap_parse(in, &a, &map, NULL) == AL_OK)
            AL_ASSERT(map.n <= AL_SITEMAP_URLS_MAX);
        break;
    case 2:
        if (al_s3_parse(in, &a, &page, NULL) == AL_OK)
            check_page(&page);
        al_s3_message(in, message, sizeof message);
        break;
    case 3:
        if (al_gcs_parse(in, &a, &page, NULL) == AL_OK)
            check_page(&page);
        break;
    case 4:
        pdf(in, &a);
        break;
    case 5:
        url(in, &a);
        break;
    case 6:
        repository(in, &a);
        break;
    case 7:
        dump(in);
        break;
    case 8:
        archive(in);
        break;
    default:
        cache(in);
        break;
    }
    al_arena_fini(&a);
    return 0;
}
