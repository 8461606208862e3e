/* Any bytes as robots.txt, sitemap, listing of a bucket, cache file, answer of the PDF reader (the
 * first byte chooses). */
#include <stdint.h>

#include "airlore/source_pdf.h"
#include "bucket.h"
#include "robots.h"
#include "sitemap.h"
#include "web_cache.h"

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
    switch (data[0] % 6) {
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
    default:
        cache(in);
        break;
    }
    al_arena_fini(&a);
    return 0;
}
