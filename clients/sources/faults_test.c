/* What reads listings, pages, buckets and repositories, with each allocation failing in turn, once
 * and from then on: the code is AL_RESOURCE_EXHAUSTED, what would be given back is untouched,
 * nothing is leaked; and with nothing left to fail all of it is there.
 *
 * Much here takes the process's memory. So the test puts the failing memory in its place while
 * something runs, also for the libraries that let themselves be told (expat, jansson, curl). */
#include <curl/curl.h>
#include <git2.h>
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>

#include "airlore/source_git.h"
#include "airlore/source_http.h"
#include "airlore/source_pdf.h"
#include "airlore/testing.h"
#include "bucket.h"
#include "fetch.h"
#include "pdf_wire.h"
#include "robots.h"
#include "sitemap.h"
#include "web_cache.h"
#include "xml.h"

/* ---- memory that fails in place of the process's ---- */

static struct al_fault_mem fault;

static void *fault_alloc(struct al_mem *m, size_t n)
{
    (void)m;
    return fault.mem.alloc(&fault.mem, n);
}

static void *fault_resize(struct al_mem *m, void *p, size_t n)
{
    (void)m;
    return fault.mem.resize(&fault.mem, p, n);
}

static void fault_free(struct al_mem *m, void *p)
{
    (void)m;
    fault.mem.free(&fault.mem, p);
}

static void *vendor_alloc(size_t n)
{
    return al_mem_alloc(NULL, n);
}

static void *vendor_array(size_t count, size_t n)
{
    return al_mem_array(NULL, count, n);
}

static void *vendor_resize(void *p, size_t n)
{
    return al_mem_resize(NULL, p, n);
}

static void vendor_free(void *p)
{
    al_mem_free(NULL, p);
}

static char *vendor_copy(const char *s)
{
    return al_mem_strndup(NULL, s, strlen(s));
}

/* One way through something: opened, used, closed; outputs checked on the way. */
typedef enum al_code way(struct al_err *err);

/* also: a reason that is as good as that of memory; NULL: none. Never for the first allocation. */
static bool is_told(enum al_code code, const struct al_err *err, const char *also, size_t n)
{
    bool is_also = also && n > 0 && err->reason && strcmp(err->reason, also) == 0;
    return err->code == code && (code == AL_RESOURCE_EXHAUSTED || is_also);
}

/* least: allocations of the whole way; fewer with arenas that take blocks than with those that do
 * not, so this is that of the former. */
static void fail_each_or(const char *name, way *run, size_t least, const char *also)
{
    struct al_mem standard = *al_mem_std();
    for (int persistent = 0; persistent < 2; persistent++) {
        for (size_t n = 0;; n++) {
            struct al_err err = {.code = AL_OK};
            al_fault_mem_init(&fault, n, persistent);
            *al_mem_std() = (struct al_mem){fault_alloc, fault_resize, fault_free};
            enum al_code code = run(&err);
            *al_mem_std() = standard;
            AL_CHECK(name, fault.live == 0);
            if (!fault.fired) {
                AL_CHECK_OK(code, err);
                AL_CHECK(name, n >= least);
                break;
            }
            if (!is_told(code, &err, also, n))
                print_error("%s: allocation %zu: %s: %s\n", name, n, al_code_name(code), err.msg);
            AL_CHECK(name, is_told(code, &err, also, n));
        }
    }
}

static void fail_each(const char *name, way *run, size_t least)
{
    fail_each_or(name, run, least, NULL);
}

static void arena(struct al_arena *a)
{
    al_arena_init(a, NULL, (size_t)64 << 20);
}

/* ---- listings ---- */

static enum al_code robots(struct al_err *err)
{
    struct al_arena a;
    struct al_robots r = {.n = 77};
    arena(&a);
    enum al_code code = al_robots_parse(AL_STR("User-agent: *\nDisallow: /a\nDisallow: /b\n"
                                               "Allow: /a/x\nDisallow: /c\nCrawl-delay: 3\n"),
                                        "airlore", &a, &r, err);
    assert_int_equal(r.n, code == AL_OK ? 4 : 77);
    if (code == AL_OK) {
        assert_false(al_robots_allow(&r, "/c/d"));
        assert_true(al_robots_allow(&r, "/a/x"));
    }
    al_arena_fini(&a);
    return code;
}

static enum al_code sitemap(struct al_err *err)
{
    struct al_arena a;
    struct al_sitemap m = {.n = 77};
    char text[1000] = "<urlset>";
    size_t n = strlen(text);
    for (int i = 0; i < 9; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "<url><loc>http://h/%d</loc><lastmod>2026-01-02</lastmod></url>", i);
    snprintf(text + n, sizeof text - n, "</urlset>");
    arena(&a);
    enum al_code code = al_sitemap_parse(al_str_c(text), &a, &m, err);
    assert_int_equal(m.n, code == AL_OK ? 9 : 77);
    if (code == AL_OK) {
        assert_string_equal(m.urls[8].url, "http://h/8");
        assert_int_equal(m.urls[8].modified_s, 1767312000);
    }
    al_arena_fini(&a);
    return code;
}

static struct al_bucket_page page;

#define S3_PAGE                                                                     \
    "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a.md</Key>"    \
    "<ETag>&quot;e&quot;</ETag><Size>5</Size></Contents><NextContinuationToken>t</" \
    "NextContinuationToken></ListBucketResult>"
#define GCS_PAGE                                                                           \
    "{\"items\":[{\"name\":\"a.md\",\"size\":\"5\",\"md5Hash\":\"e\"}],\"nextPageToken\":" \
    "\"t\"}"

static void check_page(enum al_code code)
{
    if (code != AL_OK)
        return;
    assert_int_equal(page.n, 1);
    assert_string_equal(page.objects[0].key, "a.md");
    assert_string_equal(page.objects[0].etag, "e");
    assert_int_equal(page.objects[0].size_bytes, 5);
    assert_string_equal(page.next, "t");
}

static enum al_code s3_page(struct al_err *err)
{
    struct al_arena a;
    arena(&a);
    enum al_code code = al_s3_parse(AL_STR(S3_PAGE), &a, &page, err);
    check_page(code);
    al_arena_fini(&a);
    return code;
}

static enum al_code gcs_page(struct al_err *err)
{
    struct al_arena a;
    arena(&a);
    enum al_code code = al_gcs_parse(AL_STR(GCS_PAGE), &a, &page, err);
    check_page(code);
    al_arena_fini(&a);
    return code;
}

static enum al_code count_event(void *u, const char *name, const char *const *attributes,
                                struct al_err *err)
{
    (void)err;
    (void)attributes;
    *(size_t *)u += strcmp(name, "b") == 0;
    return AL_OK;
}

static enum al_code xml(struct al_err *err)
{
    size_t seen = 0;
    struct al_xml_events events = {.start = count_event, .u = &seen};
    struct al_xml *x = NULL;
    enum al_code code = al_xml_create(&events, &x, err);
    assert_true((code == AL_OK) == (x != NULL));
    if (code == AL_OK)
        code = al_xml_feed(x, AL_STR("<a><x:b c='d'/>"), false, err);
    if (code == AL_OK)
        code = al_xml_feed(x, AL_STR("<b/></a>"), true, err);
    assert_true(code != AL_OK || seen == 2);
    al_xml_destroy(x);
    return code;
}

static enum al_code url(struct al_err *err)
{
    struct al_url u = {.host = "before"};
    char clean[100] = "before";
    enum al_code code = al_url_parse("HTTP://H:8080/a?b=c#d", &u, err);
    assert_string_equal(u.host, code == AL_OK ? "h:8080" : "before");
    if (code == AL_OK) {
        assert_string_equal(u.path, "/a?b=c");
        code = al_url_clean("HTTP://H:8080/a?b=c#d", clean, sizeof clean, err);
        assert_string_equal(clean, code == AL_OK ? "http://h:8080/a?b=c" : "before");
    }
    return code;
}

static void test_listings(void **state)
{
    (void)state;
    fail_each("robots", robots, 1);
    fail_each("sitemap", sitemap, 15);
    fail_each("s3 page", s3_page, 15);
    /* jansson takes a string for which it has no memory for one that is not JSON */
    fail_each_or("gcs page", gcs_page, 15, "BAD_JSON");
    fail_each("xml", xml, 10);
    fail_each("url", url, 15);
}

/* ---- HTTP ---- */

static char dir[300];

static int make_dir(void **state)
{
    (void)state;
    al_test_dir(dir, sizeof dir);
    return 0;
}

static void put_file(char *path, size_t n, const char *name, const char *text)
{
    struct al_err err;
    snprintf(path, n, "%s/%s", dir, name);
    AL_CHECK_OK(al_disk_write_file(al_disk_system(), path, al_str_c(text), 0600, &err), err);
}

static char cache_path[400];

static enum al_code cache(struct al_err *err)
{
    struct al_web_cache c;
    enum al_code code = al_web_cache_open(&c, cache_path, err);
    if (code == AL_OK) {
        assert_int_equal(c.n, 2);
        const struct al_web_page *p = al_web_cache_find(&c, "http://h/b");
        assert_string_equal(p->etag, "e");
        al_web_cache_put(&c, p); /* an error of it comes when it is kept */
        code = al_buf_status(&c.next, err);
    }
    al_web_cache_close(&c);
    return code;
}

static void test_cache(void **state)
{
    (void)state;
    put_file(cache_path, sizeof cache_path, "pages.tsv",
             "airlore pages 1\nhttp://h/b\tc\te\t\na bad line\nhttp://h/a\tc\t\tyesterday\n");
    fail_each("cache", cache, 4);
}

static enum al_code curl(struct al_err *err)
{
    struct al_web_http *h = NULL;
    enum al_code code = al_web_curl_open(&h, err);
    assert_true((code == AL_OK) == (h != NULL));
    al_web_curl_close(h);
    return code;
}

static void test_curl(void **state)
{
    (void)state;
    fail_each("curl", curl, 2);
}

/* A web in memory. */
static enum al_code get(struct al_web_http *h, const struct al_web_request *r,
                        struct al_web_reply *ret, struct al_err *err)
{
    static const struct {
        const char *url;
        const char *type;
        const char *body;
    } pages[] = {
        {"http://h/robots.txt", "text/plain", "User-agent: *\nDisallow: /no\n"},
        {"http://h/map.xml", "text/xml",
         "<urlset><url><loc>http://h/a</loc></url><url><loc>http://h/b</loc></url>"
         "<url><loc>http://other/c</loc></url></urlset>"},
        {"http://h/a", "text/html; charset=ISO-8859-1", "caf\xe9"},
        {"http://h/b", "text/html", "tea"},
        {"https://bucket.s3.us-east-1.amazonaws.com/?encoding-type=url&list-type=2&max-keys=1000",
         "text/xml", S3_PAGE},
        {"https://bucket.s3.us-east-1.amazonaws.com/"
         "?continuation-token=t&encoding-type=url&list-type=2&max-keys=1000",
         "text/xml", "<ListBucketResult/>"},
        {"https://bucket.s3.us-east-1.amazonaws.com/a.md", "text/plain", "hello"},
        {"https://storage.googleapis.com/storage/v1/b/bucket/o?maxResults=1000", "text/plain",
         GCS_PAGE},
        {"https://storage.googleapis.com/storage/v1/b/bucket/o?maxResults=1000&pageToken=t",
         "text/plain", "{}"},
        {"https://storage.googleapis.com/storage/v1/b/bucket/o/a.md?alt=media", "text/plain",
         "hello"},
    };
    (void)h;
    struct al_buf *body = ret->body;
    *ret = (struct al_web_reply){.body = body, .status = 404};
    al_buf_reset(body);
    for (size_t i = 0; i < AL_ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].url, r->url) != 0)
            continue;
        ret->status = 200;
        snprintf(ret->content_type, sizeof ret->content_type, "%s", pages[i].type);
        al_buf_cstr(body, pages[i].body);
    }
    return al_buf_status(body, err);
}

static void no_pause(struct al_pause *p, uint64_t ms)
{
    (void)p;
    (void)ms;
}

static struct al_source_ports ports(void)
{
    static struct al_web_http http = {get};
    static struct al_pause pause = {no_pause};
    return (struct al_source_ports){.http = &http, .pause = &pause};
}

/* All of a source; texts: what its entries hold, one behind the other. */
static enum al_code drain(struct al_source *s, const char *texts, struct al_err *err)
{
    struct al_arena a;
    char seen[100] = "";
    bool end = false;
    enum al_code code = AL_OK;
    arena(&a);
    while (code == AL_OK && !end) {
        struct al_source_entry e;
        code = al_source_next(s, &a, &e, &end, err);
        if (code == AL_OK && !end && e.why.code != AL_OK) {
            *err = e.why;
            code = e.why.code;
        }
        if (code != AL_OK || end)
            break;
        code = al_source_load(s, &a, &e, 1 << 20, err);
        assert_true(e.has_content == (code == AL_OK));
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), AL_STR_FMT ";",
                 AL_STR_ARG(e.content));
        al_arena_reset(&a);
    }
    if (code == AL_OK)
        assert_string_equal(seen, texts);
    al_arena_fini(&a);
    return code;
}

static enum al_code web(struct al_err *err)
{
    struct al_web_options o = {.cache_dir = dir, .ports = ports()};
    struct al_source *s = NULL;
    enum al_code code = al_web_open("http://h/map.xml", &o, &s, err);
    assert_true((code == AL_OK) == (s != NULL));
    if (code == AL_OK)
        code = drain(s, "caf\xc3\xa9;tea;", err);
    if (code == AL_OK && s) {
        assert_int_equal(s->n_left_out, 1);
        code = al_source_finish(s, err);
    }
    al_source_close(s);
    return code;
}

static enum al_code bucket(const char *address, struct al_err *err)
{
    struct al_bucket_options o = {.region = "us-east-1", .ports = ports()};
    struct al_source *s = NULL;
    enum al_code code = al_bucket_open(address, &o, &s, err);
    assert_true((code == AL_OK) == (s != NULL));
    if (code == AL_OK)
        code = drain(s, "hello;", err);
    al_source_close(s);
    return code;
}

static enum al_code s3(struct al_err *err)
{
    return bucket("s3://bucket", err);
}

static enum al_code gcs(struct al_err *err)
{
    return bucket("gs://bucket", err);
}

static void test_web_and_buckets(void **state)
{
    (void)state;
    fail_each("web", web, 100);
    fail_each("s3", s3, 40);
    fail_each_or("gcs", gcs, 40, "BAD_JSON");
}

/* ---- a reader of PDF that says the same whatever it is given ---- */

static char reader[400];

static enum al_code parse_pdf(struct al_err *err)
{
    static const char answer[] = AL_PDF_MAGIC "\1\1T\3\1\2\1H\5hello";
    struct al_arena a;
    struct al_pdf pdf = {.n = 77};
    arena(&a);
    enum al_code code = al_pdf_parse((struct al_str){answer, sizeof answer - 1}, &a, &pdf, err);
    assert_int_equal(pdf.n, code == AL_OK ? 1 : 77);
    if (code == AL_OK)
        assert_true(al_str_is(pdf.pages[0].text, "hello"));
    al_arena_fini(&a);
    return code;
}

static enum al_code read_pdf(struct al_err *err)
{
    struct al_pdf_options o = {.program = reader};
    struct al_arena a;
    struct al_pdf pdf = {.n = 77};
    arena(&a);
    enum al_code code = al_pdf_read(AL_STR("%PDF"), &o, &a, &pdf, err);
    assert_int_equal(pdf.n, code == AL_OK ? 1 : 77);
    if (code == AL_OK)
        assert_true(al_str_is(pdf.title, "T") && al_str_is(pdf.pages[0].text, "hello"));
    al_arena_fini(&a);
    return code;
}

static void test_pdf(void **state)
{
    (void)state;
    put_file(reader, sizeof reader, "reader",
             "#!/bin/sh\nprintf 'airlore-pdf 1\\n\\001\\001T\\003\\001\\002\\001H\\005hello'\n");
    assert_int_equal(chmod(reader, 0700), 0);
    fail_each("pdf answer", parse_pdf, 1);
    fail_each("pdf", read_pdf, 2);
}

/* However it ends, what the caller does about SIGPIPE is as it was. */
static void test_pdf_leaves_the_signal_alone(void **state)
{
    (void)state;
    struct al_pdf_options o = {.program = "/nonexistent/reader"};
    struct sigaction now;
    struct al_arena a;
    struct al_pdf pdf;
    struct al_err err;
    arena(&a);
    assert_int_not_equal(al_pdf_read(AL_STR("%PDF"), &o, &a, &pdf, &err), AL_OK);
    al_arena_fini(&a);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
}

/* ---- a repository ---- */

static char repository[400];

static enum al_code git(struct al_err *err)
{
    struct al_source *s = NULL;
    enum al_code code = al_git_open(repository, NULL, &s, err);
    assert_true((code == AL_OK) == (s != NULL));
    if (code == AL_OK)
        code = drain(s, "hello;", err);
    al_source_close(s);
    return code;
}

static void make_repository(void)
{
    git_repository *repo;
    git_treebuilder *builder;
    git_tree *tree;
    git_signature *who;
    git_oid blob;
    git_oid tree_id;
    git_oid commit;
    char folder[350];
    snprintf(folder, sizeof folder, "%s/repo", dir);
    snprintf(repository, sizeof repository, "git:%s", folder);
    assert_int_equal(git_repository_init(&repo, folder, 1), 0);
    assert_int_equal(git_blob_create_from_buffer(&blob, repo, "hello", 5), 0);
    assert_int_equal(git_treebuilder_new(&builder, repo, NULL), 0);
    assert_int_equal(git_treebuilder_insert(NULL, builder, "a.md", &blob, GIT_FILEMODE_BLOB), 0);
    assert_int_equal(git_treebuilder_write(&tree_id, builder), 0);
    assert_int_equal(git_tree_lookup(&tree, repo, &tree_id), 0);
    assert_int_equal(git_signature_new(&who, "a", "a@b", 1700000000, 0), 0);
    assert_int_equal(git_commit_create(&commit, repo, "HEAD", who, who, NULL, "x", tree, 0, NULL),
                     0);
    git_signature_free(who);
    git_tree_free(tree);
    git_treebuilder_free(builder);
    git_repository_free(repo);
}

static void test_git(void **state)
{
    (void)state;
    git_libgit2_init();
    make_repository();
    fail_each("git", git, 2);
    git_libgit2_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listings), cmocka_unit_test(test_cache),
        cmocka_unit_test(test_curl),     cmocka_unit_test(test_web_and_buckets),
        cmocka_unit_test(test_pdf),      cmocka_unit_test(test_pdf_leaves_the_signal_alone),
        cmocka_unit_test(test_git),
    };
    json_set_alloc_funcs(vendor_alloc, vendor_free);
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, vendor_alloc, vendor_free, vendor_resize,
                             vendor_copy, vendor_array) != CURLE_OK)
        return 1;
    return cmocka_run_group_tests(tests, make_dir, NULL);
}
