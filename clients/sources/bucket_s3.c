/* Listings of S3: XML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "xml.h"

#define VALUE_BYTES_MAX 8192u

struct reader {
    struct al_arena *a;
    struct al_bucket_page *page;
    struct al_bucket_object now;
    struct al_buf text;
    bool in_object;
    bool is_listing;
    bool is_truncated;
    bool is_url_encoded;
};

static enum al_code on_start(void *u, const char *name, const char *const *attributes,
                             struct al_err *err)
{
    struct reader *r = u;
    (void)attributes;
    (void)err;
    al_buf_reset(&r->text);
    if (strcmp(name, "ListBucketResult") == 0)
        r->is_listing = true;
    if (strcmp(name, "Contents") == 0) {
        r->in_object = true;
        r->now = (struct al_bucket_object){.key = NULL};
    }
    return AL_OK;
}

static enum al_code on_text(void *u, struct al_str text, struct al_err *err)
{
    struct reader *r = u;
    if (r->text.n + text.n > VALUE_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "listing: a value of more than %u bytes", VALUE_BYTES_MAX);
    al_buf_str(&r->text, text);
    return al_buf_status(&r->text, err);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %XX and '+' undone in place, when the listing is encoded. */
static void decode(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        int hi = p[0] == '%' ? hex(p[1]) : -1;
        int lo = hi >= 0 ? hex(p[2]) : -1;
        if (lo >= 0 && (hi || lo)) {
            *to++ = (char)(hi << 4 | lo);
            p += 2;
        } else {
            *to++ = *p == '+' ? ' ' : *p;
        }
    }
    *to = '\0';
}

static enum al_code keep(struct reader *r, bool encoded, char **ret, struct al_err *err)
{
    struct al_str s = al_buf_view(&r->text);
    char *kept = al_arena_strndup(r->a, s.p ? s.p : "", s.n);
    if (!kept)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "listing: out of memory");
    if (encoded && r->is_url_encoded)
        decode(kept);
    *ret = kept;
    return AL_OK;
}

static enum al_code end_object(struct reader *r, struct al_err *err)
{
    r->in_object = false;
    if (!r->now.key)
        return AL_OK;
    if (r->page->n == AL_BUCKET_PAGE_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "listing: more than %u objects on a page", AL_BUCKET_PAGE_MAX);
    if (!r->now.etag)
        r->now.etag = (char *)(uintptr_t) "";
    r->page->objects[r->page->n++] = r->now;
    return AL_OK;
}

static int64_t seconds_of(struct al_str s)
{
    uint64_t ms = 0;
    return s.p && al_clock_parse_rfc3339(s.p, s.n, &ms, NULL) == AL_OK ? (int64_t)(ms / 1000) : 0;
}

static void strip_quotes(char *s)
{
    size_t n = strlen(s);
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        memmove(s, s + 1, n - 2);
        s[n - 2] = '\0';
    }
}

static enum al_code object_value(struct reader *r, const char *name, struct al_err *err)
{
    struct al_str s = al_str_trim(al_buf_view(&r->text));
    if (strcmp(name, "Key") == 0)
        return keep(r, true, &r->now.key, err);
    if (strcmp(name, "ETag") == 0) {
        AL_TRY(keep(r, false, &r->now.etag, err));
        strip_quotes(r->now.etag);
    }
    if (strcmp(name, "Size") == 0 && !al_str_u64(s, &r->now.size_bytes))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "listing: a size that is no number");
    if (strcmp(name, "LastModified") == 0)
        r->now.modified_s = seconds_of(s);
    return AL_OK;
}

static enum al_code on_end(void *u, const char *name, struct al_err *err)
{
    struct reader *r = u;
    struct al_str s = al_str_trim(al_buf_view(&r->text));
    enum al_code code = AL_OK;
    if (strcmp(name, "Contents") == 0)
        code = end_object(r, err);
    else if (r->in_object)
        code = object_value(r, name, err);
    else if (strcmp(name, "EncodingType") == 0)
        r->is_url_encoded = al_str_is(s, "url");
    else if (strcmp(name, "IsTruncated") == 0)
        r->is_truncated = al_str_is(s, "true");
    else if (strcmp(name, "NextContinuationToken") == 0)
        code = keep(r, false, &r->page->next, err);
    al_buf_reset(&r->text);
    return code;
}

enum al_code al_s3_parse(struct al_str xml, struct al_arena *a, struct al_bucket_page *ret,
                         struct al_err *err)
{
    ret->n = 0;
    ret->next = NULL;
    struct reader r = {.a = a, .page = ret};
    al_buf_init(&r.text, NULL, VALUE_BYTES_MAX + 64);
    struct al_xml_events events = {.start = on_start, .end = on_end, .text = on_text, .u = &r};
    struct al_xml *x = NULL;
    enum al_code code = al_xml_create(&events, &x, err);
    /* EncodingType may stand behind the keys: look for it first */
    r.is_url_encoded = al_str_find(xml, AL_STR("<EncodingType>url<"), 0) != SIZE_MAX;
    if (code == AL_OK)
        code = al_xml_feed(x, xml, true, err);
    al_xml_destroy(x);
    al_buf_fini(&r.text);
    AL_TRY(code);
    if (!r.is_listing)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "listing: not of a bucket");
    if (!r.is_truncated)
        ret->next = NULL;
    else if (!ret->next || !ret->next[0])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML",
                         "listing: cut without a token to go on");
    return AL_OK;
}

/* ---- errors ---- */

struct message {
    bool in_message;
    char *buf;
    size_t n;
    size_t cap;
};

static enum al_code message_start(void *u, const char *name, const char *const *attributes,
                                  struct al_err *err)
{
    struct message *m = u;
    (void)attributes;
    (void)err;
    m->in_message = strcmp(name, "Message") == 0 || strcmp(name, "Code") == 0;
    if (m->in_message && m->n && m->n + 3 < m->cap) {
        memcpy(m->buf + m->n, ": ", 3);
        m->n += 2;
    }
    return AL_OK;
}

static enum al_code message_text(void *u, struct al_str text, struct al_err *err)
{
    struct message *m = u;
    (void)err;
    if (m->in_message && m->n + text.n < m->cap) {
        memcpy(m->buf + m->n, text.p, text.n);
        m->n += text.n;
        m->buf[m->n] = '\0';
    }
    return AL_OK;
}

static enum al_code message_end(void *u, const char *name, struct al_err *err)
{
    struct message *m = u;
    (void)name;
    (void)err;
    m->in_message = false;
    return AL_OK;
}

void al_s3_message(struct al_str xml, char *buf, size_t n)
{
    buf[0] = '\0';
    struct message m = {.buf = buf, .cap = n};
    struct al_xml_events events = {
        .start = message_start, .text = message_text, .end = message_end, .u = &m};
    struct al_xml *x = NULL;
    if (al_xml_create(&events, &x, NULL) == AL_OK && al_xml_feed(x, xml, true, NULL) != AL_OK)
        buf[0] = '\0';
    al_xml_destroy(x);
}
