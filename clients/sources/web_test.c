/* Pages and buckets against a scripted HTTP port: rates, retries, caches, redirects, every request
 * failing in turn. */
#include "airlore/source_http.h"

#include <stdlib.h>

#include "airlore/testing.h"
#include "fetch.h"
#include "web_cache.h"

/* ---- a web in memory ---- */

struct page {
    const char *url;
    int status;
    const char *type;
    const char *etag;
    const char *location;
    const char *body;
};

struct fake {
    struct al_web_http http;
    struct al_pause pause;
    struct al_fake_clock clock;
    struct al_seeded_random random;
    const struct page *pages;
    size_t n_pages;
    size_t n_requests;
    size_t fail_at; /* this request fails */
    bool fail_persistent;
    uint64_t slept_ms;
    char last_url[600];
    bool last_denied_private;
    size_t n_conditional;
};

static enum al_code fake_get(struct al_web_http *h, const struct al_web_request *r,
                             struct al_web_reply *ret, struct al_err *err)
{
    struct fake *f = (struct fake *)h;
    struct al_buf *body = ret->body;
    *ret = (struct al_web_reply){.body = body, .status = 404};
    al_buf_reset(body);
    snprintf(f->last_url, sizeof f->last_url, "%s", r->url);
    f->last_denied_private = r->deny_private;
    size_t n = f->n_requests++;
    if (n == f->fail_at || (f->fail_persistent && n > f->fail_at))
        return AL_FAIL(err, AL_UNAVAILABLE, "http: planned");
    for (size_t i = 0; i < f->n_pages; i++) {
        const struct page *p = &f->pages[i];
        if (strcmp(p->url, r->url) != 0)
            continue;
        ret->status = p->status;
        snprintf(ret->content_type, sizeof ret->content_type, "%s",
                 p->type ? p->type : "text/html");
        snprintf(ret->etag, sizeof ret->etag, "%s", p->etag ? p->etag : "");
        snprintf(ret->location, sizeof ret->location, "%s", p->location ? p->location : "");
        al_buf_cstr(body, p->body ? p->body : "");
        char match[300];
        snprintf(match, sizeof match, "If-None-Match: %s", ret->etag);
        if (r->n_headers && strcmp(r->headers[0], match) == 0) {
            ret->status = 304;
            f->n_conditional++;
        }
    }
    return AL_OK;
}

static void fake_sleep(struct al_pause *p, uint64_t ms)
{
    struct fake *f = (struct fake *)(void *)((char *)p - offsetof(struct fake, pause));
    f->slept_ms += ms;
    al_fake_clock_step_ms(&f->clock, ms);
}

static void fake_init(struct fake *f, const struct page *pages, size_t n)
{
    memset(f, 0, sizeof *f);
    f->http.get = fake_get;
    f->pause.ms = fake_sleep;
    al_fake_clock_init(&f->clock, 1700000000000);
    al_seeded_random_init(&f->random, 7);
    f->pages = pages;
    f->n_pages = n;
    f->fail_at = SIZE_MAX;
}

static struct al_source_ports ports_of(struct fake *f)
{
    return (struct al_source_ports){&f->http, &f->clock.clock, &f->random.random, &f->pause};
}

/* All entries of the source, loaded; known: the server has what the cache says. */
struct seen {
    size_t loaded;
    size_t unchanged;
    size_t bad;
    char reason[64];
    char content[200];
};

static enum al_code drain(struct al_source *s, bool known, struct seen *ret, struct al_err *err)
{
    struct al_arena a;
    enum al_code code = AL_OK;
    memset(ret, 0, sizeof *ret);
    al_arena_init(&a, NULL, (size_t)64 << 20);
    while (code == AL_OK) {
        struct al_source_entry e;
        bool end = false;
        code = al_source_next(s, &a, &e, &end, err);
        if (code != AL_OK || end)
            break;
        struct al_err why = e.why;
        e.is_known = known && e.checksum;
        if (why.code == AL_OK && al_source_load(s, &a, &e, 1 << 20, &why) == AL_OK) {
            ret->loaded += !e.is_unchanged;
            ret->unchanged += e.is_unchanged;
            snprintf(ret->content, sizeof ret->content, AL_STR_FMT, AL_STR_ARG(e.content));
        } else {
            ret->bad++;
            snprintf(ret->reason, sizeof ret->reason, "%s", why.reason);
        }
        al_arena_reset(&a);
    }
    al_arena_fini(&a);
    return code;
}

static char dir[300];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

static enum al_code run(struct fake *f, const char *url, bool known, struct seen *seen,
                        struct al_err *err)
{
    struct al_web_options o = {.cache_dir = dir, .requests_per_second = 10, .ports = ports_of(f)};
    struct al_source *s = NULL;
    AL_TRY(al_web_open(url, &o, &s, err));
    enum al_code code = drain(s, known, seen, err);
    if (code == AL_OK)
        code = al_source_finish(s, err);
    al_source_close(s);
    return code;
}

static void test_a_page_and_its_cache(void **state)
{
    (void)state;
    static const struct page pages[] = {
        {"http://h/a", 200, "text/html; charset=ISO-8859-1", "\"1\"", NULL, "caf\xe9"}};
    struct fake f;
    struct seen seen = {.loaded = 0};
    struct al_err err;
    fake_init(&f, pages, 1);
    AL_CHECK_OK(run(&f, "HTTP://H/a#part", false, &seen, &err), err);
    assert_int_equal(seen.loaded, 1);
    assert_string_equal(seen.content, "caf\xc3\xa9");
    AL_CHECK_OK(run(&f, "http://h/a", true, &seen, &err), err);
    assert_int_equal(seen.unchanged, 1);
    assert_int_equal(f.n_conditional, 1);
    AL_CHECK_OK(run(&f, "http://h/a", false, &seen, &err), err);
    assert_int_equal(seen.loaded, 1); /* the server lost it: asked without conditions */
    assert_int_equal(f.n_conditional, 1);
}

static void test_redirects_and_trust(void **state)
{
    (void)state;
    static const struct page pages[] = {
        {"http://h/a", 302, NULL, NULL, "http://h/b", NULL},
        {"http://h/b", 301, NULL, NULL, "http://other/c", NULL},
        {"http://other/c", 200, NULL, NULL, NULL, "there"},
        {"http://h/x", 302, NULL, NULL, "ftp://h/x", NULL},
        {"http://h/u", 302, NULL, NULL, "http://user:pw@h/x", NULL},
        {"http://h/n", 302, NULL, NULL, NULL, NULL},
        {"http://h/l", 307, NULL, NULL, "http://h/l", NULL},
    };
    struct fake f;
    struct seen seen = {.loaded = 0};
    struct al_err err;
    fake_init(&f, pages, AL_ARRAY_LEN(pages));
    AL_CHECK_OK(run(&f, "http://h/b", false, &seen, &err), err);
    assert_true(f.last_denied_private); /* another host than the one that was named */
    AL_CHECK_OK(run(&f, "http://h/a", false, &seen, &err), err);
    assert_string_equal(seen.content, "there");
    AL_CHECK_OK(run(&f, "http://other/c", false, &seen, &err), err);
    assert_false(f.last_denied_private);
    static const struct {
        const char *url;
        const char *reason;
    } bad[] = {{"http://h/x", "BAD_URL"},
               {"http://h/u", "BAD_URL"},
               {"http://h/n", "BAD_REDIRECT"},
               {"http://h/l", "BAD_REDIRECT"},
               {"http://h/gone", "GONE"}};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++) {
        AL_CHECK_OK(run(&f, bad[i].url, false, &seen, &err), err);
        AL_CHECK(bad[i].url, seen.bad == 1 && strcmp(seen.reason, bad[i].reason) == 0);
    }
}

static void test_robots_that_cannot_be_had(void **state)
{
    (void)state;
    static const struct page pages[] = {{"http://h/robots.txt", 500, NULL, NULL, NULL, NULL},
                                        {"http://h/a", 200, NULL, NULL, NULL, "x"}};
    struct fake f;
    struct seen seen = {.loaded = 0};
    struct al_err err;
    fake_init(&f, pages, 2);
    AL_CHECK_OK(run(&f, "http://h/a", false, &seen, &err), err);
    assert_string_equal(seen.reason, "ROBOTS_DENIED");
    assert_int_equal(f.n_requests, AL_FETCH_TRIES);
}

static void test_the_rate_of_a_host(void **state)
{
    (void)state;
    static const struct page pages[] = {{"http://h/a", 200, NULL, NULL, NULL, "x"}};
    struct fake f;
    fake_init(&f, pages, 1);
    struct al_source_ports ports = ports_of(&f);
    static struct al_fetch fetch;
    al_fetch_init(&fetch, &f.http, &ports, 4);
    struct al_buf body;
    al_buf_init(&body, NULL, 1000);
    struct al_web_reply reply = {.body = &body};
    struct al_err err;
    struct al_web_request r = {.url = "http://h/a", .max_bytes = 100};
    for (int i = 0; i < 5; i++)
        AL_CHECK_OK(al_fetch_get(&fetch, &r, &reply, &err), err);
    assert_int_equal(f.slept_ms, 4 * 250);
    al_fetch_slow_down(&fetch, "h", 2000);
    for (int i = 0; i < 3; i++)
        AL_CHECK_OK(al_fetch_get(&fetch, &r, &reply, &err), err);
    assert_int_equal(f.slept_ms, 4 * 250 + 250 + 2 * 2000);
    char url[40];
    for (int i = 0; i < 300; i++) { /* more hosts than are remembered */
        snprintf(url, sizeof url, "http://h%d/", i);
        r.url = url;
        AL_CHECK_OK(al_fetch_get(&fetch, &r, &reply, &err), err);
    }
    assert_int_equal(f.slept_ms, 4 * 250 + 250 + 2 * 2000);
    al_buf_fini(&body);
}

static void test_retries(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int status;
        size_t requests;
    } cases[] = {{"503", 503, AL_FETCH_TRIES},
                 {"429", 429, AL_FETCH_TRIES},
                 {"404", 404, 1},
                 {"403", 403, 1}};
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct page page = {"http://h/a", cases[i].status, NULL, NULL, NULL, NULL};
        struct fake f;
        fake_init(&f, &page, 1);
        struct al_source_ports ports = ports_of(&f);
        static struct al_fetch fetch;
        al_fetch_init(&fetch, &f.http, &ports, 1000);
        struct al_buf body;
        al_buf_init(&body, NULL, 1000);
        struct al_web_reply reply = {.body = &body};
        struct al_web_request r = {.url = "http://h/a", .max_bytes = 100};
        struct al_err err;
        AL_CHECK_OK(al_fetch_get(&fetch, &r, &reply, &err), err);
        AL_CHECK(cases[i].name, f.n_requests == cases[i].requests);
        uint64_t most = 500 + 1000 + 2000 + 4000;
        AL_CHECK(cases[i].name,
                 cases[i].requests == 1 || (f.slept_ms >= most / 2 && f.slept_ms <= most + 10));
        al_buf_fini(&body);
    }
}

static const struct page site[] = {
    {"http://h/sitemap.xml", 200, "application/xml", NULL, NULL,
     "<sitemapindex><sitemap><loc>http://h/1.xml</loc></sitemap><sitemap><loc>http://h/2.xml</"
     "loc></sitemap>"
     "<sitemap><loc>http://evil/3.xml</loc></sitemap></sitemapindex>"},
    {"http://h/1.xml", 200, "application/xml", NULL, NULL,
     "<urlset><url><loc>http://h/a</loc></url><url><loc>http://evil/b</loc></url></urlset>"},
    {"http://h/2.xml", 200, "application/xml", NULL, NULL,
     "<urlset><url><loc>http://h/b</loc></url></urlset>"},
    {"http://h/a", 200, NULL, "\"a\"", NULL, "A"},
    {"http://h/b", 200, NULL, NULL, NULL, "B"},
};

/* Each request fails in turn, once and for good: once is mended by the retry; for good it is an
 * error of the source or of a page, and nothing leaks. */
static void test_failing_requests(void **state)
{
    (void)state;
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct fake f;
            struct seen seen = {.loaded = 0};
            struct al_err err = {.code = AL_OK};
            fake_init(&f, site, AL_ARRAY_LEN(site));
            f.fail_at = n;
            f.fail_persistent = persistent;
            enum al_code code = run(&f, "http://h/sitemap.xml", false, &seen, &err);
            bool fired = f.n_requests > n;
            if (!persistent || !fired)
                assert_true(code == AL_OK && seen.loaded == 2);
            else
                assert_true(code != AL_OK || seen.bad);
            if (!fired)
                break;
        }
    }
}

static void test_cache_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        size_t n;
    } cases[] = {
        {"empty", "", 0},
        {"no head", "a\tb\tc\td\n", 0},
        {"good", "airlore pages 1\nu\tc\te\tm\nv\tc\t\t\n", 2},
        {"last line cut", "airlore pages 1\nu\tc\te\tm\nv\tc", 1},
        {"too many fields", "airlore pages 1\nu\tc\te\tm\tx\n", 0},
        {"no checksum", "airlore pages 1\nu\t\te\tm\n", 0},
        {"blank lines", "airlore pages 1\n\n\nu\tc\te\tm", 1},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_web_cache c = {.n = 0};
        struct al_err err;
        al_arena_init(&c.arena, NULL, 1 << 20);
        AL_CHECK_OK(al_web_cache_parse(&c, al_str_c(cases[i].text), &err), err);
        AL_CHECK(cases[i].name, c.n == cases[i].n);
        AL_CHECK(cases[i].name, !c.n || al_web_cache_find(&c, "u") != NULL);
        al_web_cache_close(&c);
    }
    struct al_web_cache c = {.n = 0};
    struct al_err err;
    char path[600];
    snprintf(path, sizeof path, "%s/nowhere/x", dir);
    AL_CHECK_OK(al_web_cache_open(&c, path, &err), err);
    assert_int_not_equal(al_web_cache_save(&c, &err), AL_OK);
    al_web_cache_close(&c);
}

static void test_a_bucket(void **state)
{
    (void)state;
    static const struct page pages[] = {
        {"http://s/b/?encoding-type=url&list-type=2&max-keys=1000&prefix=d%2F", 200, NULL, NULL,
         NULL,
         "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</"
         "NextContinuationToken>"
         "<Contents><Key>d/a b.md</Key><ETag>1</ETag><Size>1</Size></Contents>"
         "<Contents><Key>d/../x.md</Key><ETag>1</ETag><Size>1</Size></Contents></"
         "ListBucketResult>"},
        {"http://s/b/?continuation-token=t&encoding-type=url&list-type=2&max-keys=1000&prefix=d%2F",
         200, NULL, NULL, NULL,
         "<ListBucketResult><Contents><Key>d/c.bin</Key><ETag>2</ETag></Contents>"
         "<Contents><Key>d/c.md</Key><ETag>2</ETag></Contents></ListBucketResult>"},
        {"http://s/b/d/a%20b.md", 200, NULL, NULL, NULL, "A"},
        {"http://s/b/d/c.md", 200, NULL, NULL, NULL, "C"},
    };
    for (size_t n = 0;; n++) {
        struct fake f;
        struct seen seen = {.loaded = 0};
        struct al_err err = {.code = AL_OK};
        struct al_source *s = NULL;
        fake_init(&f, pages, AL_ARRAY_LEN(pages));
        f.fail_at = n;
        f.fail_persistent = true;
        struct al_bucket_options o = {.endpoint = "s/", .ports = ports_of(&f)};
        assert_int_equal(al_bucket_open("s3://b", &o, &s, &err),
                         AL_INVALID_ARGUMENT); /* too short */
        AL_CHECK_OK(al_bucket_open("s3://bbb/d/", &o, &s, &err), err);
        struct page renamed[AL_ARRAY_LEN(pages)];
        char urls[AL_ARRAY_LEN(pages)][200];
        for (size_t i = 0; i < AL_ARRAY_LEN(pages); i++) {
            snprintf(urls[i], sizeof urls[i], "http://s/bbb%s",
                     pages[i].url + strlen("http://s/b"));
            renamed[i] = pages[i];
            renamed[i].url = urls[i];
        }
        f.pages = renamed;
        enum al_code code = drain(s, false, &seen, &err);
        al_source_close(s);
        bool fired = f.n_requests > n;
        assert_true(fired ? code != AL_OK || seen.bad > 1
                          : code == AL_OK && seen.loaded == 2 && seen.bad == 1);
        if (!fired)
            return;
    }
}

int main(void)
{
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_and_its_cache),
        cmocka_unit_test(test_redirects_and_trust),
        cmocka_unit_test(test_robots_that_cannot_be_had),
        cmocka_unit_test(test_the_rate_of_a_host),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_failing_requests),
        cmocka_unit_test(test_cache_files),
        cmocka_unit_test(test_a_bucket),
    };
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
