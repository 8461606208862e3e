/* Sitemaps. */
#include "sitemap.h"

#include <string.h>

#include "airlore/clock.h"
#include "xml.h"

#define TEXT_BYTES_MAX 4000u

struct reader {
    struct al_arena *a;
    struct al_sitemap map;
    size_t cap;
    bool has_root; /* the first element said that it is a sitemap */
    bool in_entry;
    bool in_loc;
    bool in_modified;
    struct al_buf loc;
    struct al_buf modified;
};

static enum al_code on_start(void *u, const char *name, const char *const *attributes,
                             struct al_err *err)
{
    struct reader *r = u;
    (void)attributes;
    bool is_index = strcmp(name, "sitemapindex") == 0;
    if (!r->has_root && !is_index && strcmp(name, "urlset") != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "sitemap: '%.40s' is none", name);
    r->has_root = true;
    r->map.is_index |= is_index;
    if (strcmp(name, "url") == 0 || strcmp(name, "sitemap") == 0) {
        r->in_entry = true;
        al_buf_reset(&r->loc);
        al_buf_reset(&r->modified);
    }
    r->in_loc = r->in_entry && strcmp(name, "loc") == 0;
    r->in_modified = r->in_entry && strcmp(name, "lastmod") == 0;
    return AL_OK;
}

static enum al_code on_text(void *u, struct al_str text, struct al_err *err)
{
    struct reader *r = u;
    if (r->in_loc && r->loc.n + text.n <= TEXT_BYTES_MAX)
        al_buf_str(&r->loc, text);
    if (r->in_modified && r->modified.n + text.n <= 64)
        al_buf_str(&r->modified, text);
    AL_TRY(al_buf_status(&r->loc, err));
    return al_buf_status(&r->modified, err);
}

/* "2026-11-29" or RFC 3339. */
static int64_t seconds_of(struct al_str s)
{
    char text[80];
    uint64_t ms = 0;
    if (s.n == 0 || s.n > 60)
        return 0;
    memcpy(text, s.p, s.n);
    size_t n = s.n;
    if (n == 10) {
        memcpy(text + n, "T00:00:00Z", 10);
        n += 10;
    }
    return al_clock_parse_rfc3339(text, n, &ms, NULL) == AL_OK ? (int64_t)(ms / 1000) : 0;
}

static enum al_code add_url(struct reader *r, struct al_err *err)
{
    struct al_str loc = al_str_trim(al_buf_view(&r->loc));
    if (loc.n == 0)
        return AL_OK;
    if (r->map.n == AL_SITEMAP_URLS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "sitemap: more than %u addresses",
                         AL_SITEMAP_URLS_MAX);
    void *p = r->map.urls;
    AL_TRY(al_mem_grow(al_arena_mem(r->a), &p, &r->cap, r->map.n + 1, sizeof *r->map.urls) == AL_OK
               ? AL_OK
               : AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "sitemap: out of memory"));
    r->map.urls = p;
    char *kept = al_arena_strndup(r->a, loc.p, loc.n);
    if (!kept)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "sitemap: out of memory");
    r->map.urls[r->map.n++] = (struct al_sitemap_url){
        .url = kept, .modified_s = seconds_of(al_str_trim(al_buf_view(&r->modified)))};
    return AL_OK;
}

static enum al_code on_end(void *u, const char *name, struct al_err *err)
{
    struct reader *r = u;
    r->in_loc = r->in_modified = false;
    if (!r->in_entry || (strcmp(name, "url") != 0 && strcmp(name, "sitemap") != 0))
        return AL_OK;
    r->in_entry = false;
    return add_url(r, err);
}

enum al_code al_sitemap_parse(struct al_str xml, struct al_arena *a, struct al_sitemap *ret,
                              struct al_err *err)
{
    struct reader r = {.a = a};
    al_buf_init(&r.loc, NULL, TEXT_BYTES_MAX + 64);
    al_buf_init(&r.modified, NULL, 256);
    struct al_xml_events events = {.start = on_start, .end = on_end, .text = on_text, .u = &r};
    struct al_xml *x = NULL;
    enum al_code code = al_xml_create(&events, &x, err);
    if (code == AL_OK)
        code = al_xml_feed(x, xml, true, err);
    if (code == AL_OK)
        *ret = r.map;
    al_xml_destroy(x);
    al_buf_fini(&r.loc);
    al_buf_fini(&r.modified);
    return code;
}
