#include "sitemap.h"

#include "airlore/testing.h"
#include "bucket.h"
#include "xml.h"

static enum al_code parse(const char *xml, struct al_arena *a, struct al_sitemap *m,
                          struct al_err *err)
{
    al_arena_init(a, NULL, (size_t)64 << 20);
    return al_sitemap_parse(al_str_c(xml), a, m, err);
}

static void test_a_sitemap(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_sitemap m;
    struct al_err err;
    AL_CHECK_OK(parse("<?xml version='1.0'?><s:urlset xmlns:s='http://x'>"
                      "<s:url><s:loc> http://h/a?b=1&amp;c=2 "
                      "</s:loc><s:lastmod>2026-01-02</s:lastmod></s:url>"
                      "<s:url><s:loc>http://h/b</s:loc><s:lastmod>never</s:lastmod></s:url>"
                      "<s:url><s:changefreq>daily</s:changefreq></s:url></s:urlset>",
                      &a, &m, &err),
                err);
    assert_int_equal(m.n, 2);
    assert_false(m.is_index);
    assert_string_equal(m.urls[0].url, "http://h/a?b=1&c=2");
    assert_int_equal(m.urls[0].modified_s, 1767312000);
    assert_int_equal(m.urls[1].modified_s, 0);
    al_arena_fini(&a);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *xml;
        const char *reason;
    } cases[] = {
        {"empty", "", "BAD_XML"},
        {"no XML", "hello", "BAD_XML"},
        {"another kind", "<html><url><loc>x</loc></url></html>", "BAD_XML"},
        {"cut", "<urlset><url>", "BAD_XML"},
        {"document type", "<!DOCTYPE urlset><urlset/>", "BAD_XML"},
        {"entity",
         "<!DOCTYPE a [<!ENTITY e SYSTEM "
         "'file:///etc/passwd'>]><urlset><url><loc>&e;</loc></url></urlset>",
         "BAD_XML"},
        {"unknown entity", "<urlset>&nbsp;</urlset>", "BAD_XML"},
        {"not UTF-8", "<urlset>\xff</urlset>", "BAD_XML"},
        {"unknown encoding", "<?xml version='1.0' encoding='x-y'?><urlset/>", "BAD_XML"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        struct al_arena a;
        struct al_sitemap m = {.n = 77};
        struct al_err err = {.reason = ""};
        enum al_code code = parse(cases[i].xml, &a, &m, &err);
        AL_CHECK(cases[i].name, code == AL_INVALID_ARGUMENT && m.n == 77);
        AL_CHECK(cases[i].name, strcmp(err.reason, cases[i].reason) == 0);
        al_arena_fini(&a);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_sitemap m;
    struct al_err err;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_buf_cstr(&b, "<urlset>");
    for (unsigned i = 0; i < AL_SITEMAP_URLS_MAX; i++)
        al_buf_cstr(&b, "<url><loc>u</loc></url>");
    size_t n = b.n;
    al_buf_cstr(&b, "</urlset>");
    AL_CHECK_OK(parse(b.p, &a, &m, &err), err);
    assert_int_equal(m.n, AL_SITEMAP_URLS_MAX);
    al_arena_fini(&a);
    b.n = n;
    al_buf_cstr(&b, "<url><loc>u</loc></url></urlset>");
    assert_int_equal(parse(b.p, &a, &m, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_MANY");
    al_arena_fini(&a);
    al_buf_reset(&b);
    al_buf_cstr(&b, "<urlset a='");
    for (size_t i = 0; i < AL_XML_EVENT_BYTES_MAX + 10; i++)
        al_buf_char(&b, 'x');
    assert_int_equal(parse(b.p, &a, &m, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_LARGE");
    al_arena_fini(&a);
    al_buf_reset(&b);
    al_buf_cstr(&b, "<urlset>");
    for (unsigned i = 0; i < 200; i++)
        al_buf_cstr(&b, "<a>");
    assert_int_equal(parse(b.p, &a, &m, &err), AL_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "TOO_DEEP");
    al_arena_fini(&a);
    al_buf_fini(&b);
}

/* ---- listings of buckets ---- */

static struct al_bucket_page page;

static void test_s3_listing(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_err err;
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(
        al_s3_parse(
            AL_STR("<ListBucketResult xmlns='x'><Name>b</Name><IsTruncated>true</IsTruncated>"
                   "<Contents><Key>a%20b%2Fc%2B.md</Key><ETag>&quot;e1&quot;</ETag><Size>12</Size>"
                   "<LastModified>2026-01-02T00:00:00.000Z</LastModified></Contents>"
                   "<NextContinuationToken>t/+=</NextContinuationToken>"
                   "<EncodingType>url</EncodingType></ListBucketResult>"),
            &a, &page, &err),
        err);
    assert_int_equal(page.n, 1);
    assert_string_equal(page.objects[0].key, "a b/c+.md");
    assert_string_equal(page.objects[0].etag, "e1");
    assert_int_equal(page.objects[0].size_bytes, 12);
    assert_int_equal(page.objects[0].modified_s, 1767312000);
    assert_string_equal(page.next, "t/+=");
    assert_int_equal(
        al_s3_parse(AL_STR("<Error><Code>NoSuchBucket</Code></Error>"), &a, &page, &err),
        AL_INVALID_ARGUMENT);
    assert_int_equal(
        al_s3_parse(AL_STR("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
                    &a, &page, &err),
        AL_INVALID_ARGUMENT);
    assert_int_equal(al_s3_parse(AL_STR("<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></"
                                        "Contents></ListBucketResult>"),
                                 &a, &page, &err),
                     AL_INVALID_ARGUMENT);
    char message[100];
    al_s3_message(AL_STR("<Error><Code>NoSuchBucket</Code><Message>not there</Message></Error>"),
                  message, sizeof message);
    assert_string_equal(message, "NoSuchBucket: not there");
    al_s3_message(AL_STR("<html>"), message, sizeof message);
    assert_string_equal(message, "");
    al_arena_fini(&a);
}

static void test_gcs_listing(void **state)
{
    (void)state;
    struct al_arena a;
    struct al_err err;
    al_arena_init(&a, NULL, 1 << 20);
    AL_CHECK_OK(
        al_gcs_parse(
            AL_STR("{\"items\":[{\"name\":\"a/b.md\",\"size\":\"3\",\"md5Hash\":\"m\","
                   "\"updated\":\"2026-01-02T00:00:00Z\"},{\"name\":\"c.md\",\"generation\":\"9\"},"
                   "{\"x\":1}],\"nextPageToken\":\"t\"}"),
            &a, &page, &err),
        err);
    assert_int_equal(page.n, 2);
    assert_string_equal(page.objects[0].etag, "m");
    assert_string_equal(page.objects[1].etag, "9");
    assert_string_equal(page.next, "t");
    AL_CHECK_OK(al_gcs_parse(AL_STR("{\"kind\":\"storage#objects\"}"), &a, &page, &err), err);
    assert_int_equal(page.n, 0);
    static const char *const bad[] = {"", "[]", "{\"items\":3}",
                                      "{\"items\":[{\"name\":\"a\",\"size\":\"x\"}]}", "nope"};
    for (size_t i = 0; i < AL_ARRAY_LEN(bad); i++)
        AL_CHECK(bad[i], al_gcs_parse(al_str_c(bad[i]), &a, &page, NULL) == AL_INVALID_ARGUMENT);
    al_arena_fini(&a);
}

static void test_encoding(void **state)
{
    (void)state;
    struct al_buf b;
    al_buf_init(&b, NULL, 0);
    al_bucket_encode(&b, "a b/\xec\x95\xbd~+", true);
    assert_string_equal(b.p, "a%20b/%EC%95%BD~%2B");
    al_buf_reset(&b);
    al_bucket_encode(&b, "a/b", false);
    assert_string_equal(b.p, "a%2Fb");
    al_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sitemap),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_s3_listing),
        cmocka_unit_test(test_gcs_listing), cmocka_unit_test(test_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
