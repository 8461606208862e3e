/* Buckets: S3-compatible ones and Google's. */
#include "bucket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"

#define PER_SECOND_DEFAULT 50.0
#define TIMEOUT_MS_DEFAULT 60000u
#define PAGES_MAX 1000000u
/* SHA-256 of nothing: what a GET sends. */
#define EMPTY_SHA256         \
    "x-amz-content-sha256: " \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct bucket_source {
    struct al_source source;
    struct al_bucket bucket;
    bool is_gcs;
    char sigv4[100];
    uint32_t timeout_ms;
    struct al_web_http *own_http;
    struct al_fetch fetch;
    struct al_buf body;
    struct al_arena page_arena;
    struct al_bucket_page page;
    size_t at;
    size_t n_pages;
    uint64_t n_entries;
    char *token; /* of the next page, own memory */
    bool is_over;
};

bool al_bucket_is_address(const char *address)
{
    return strncmp(address, "s3://", 5) == 0 || strncmp(address, "gs://", 5) == 0;
}

void al_bucket_encode(struct al_buf *b, const char *s, bool keep_slash)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                        (c >= '0' && c <= '9') || strchr("-_.~", c) || (keep_slash && c == '/');
        if (is_plain)
            al_buf_char(b, (char)c);
        else
            al_buf_printf(b, "%%%02X", c);
    }
}

/* ---- requests ---- */

static enum al_code get(struct bucket_source *s, const char *url, uint64_t max,
                        struct al_web_reply *ret, struct al_err *err)
{
    struct al_web_request r = {.url = url, .max_bytes = max, .timeout_ms = s->timeout_ms};
    if (s->bucket.user_password[0]) {
        r.sigv4 = s->sigv4;
        r.user_password = s->bucket.user_password;
        r.headers[r.n_headers++] = EMPTY_SHA256;
    }
    if (s->bucket.header[0])
        r.headers[r.n_headers++] = s->bucket.header;
    ret->body = &s->body;
    return al_fetch_get(&s->fetch, &r, ret, err);
}

static enum al_code check_status(const struct bucket_source *s, const struct al_web_reply *r,
                                 struct al_err *err)
{
    char message[160] = "";
    if (r->status == 200)
        return AL_OK;
    if (!s->is_gcs)
        al_s3_message(al_buf_view(r->body), message, sizeof message);
    enum al_code code = r->status == 404                       ? AL_NOT_FOUND
                        : r->status == 401 || r->status == 403 ? AL_PERMISSION_DENIED
                        : r->status >= 300 && r->status < 400  ? AL_INVALID_ARGUMENT
                                                               : AL_UNAVAILABLE;
    return AL_FAIL_R(err, code, r->status == 404 ? "GONE" : "HTTP_STATUS",
                     "bucket: answered %d%s%s", r->status, message[0] ? ", " : "", message);
}

/* Queries in the order of their names: the signature is made over what is sent. */
static void list_url(const struct bucket_source *s, struct al_buf *b)
{
    al_buf_cstr(b, s->bucket.base);
    if (s->is_gcs) {
        al_buf_printf(b, "/storage/v1/b/%s/o?maxResults=%u", s->bucket.name, AL_BUCKET_PAGE_MAX);
        if (s->token) {
            al_buf_cstr(b, "&pageToken=");
            al_bucket_encode(b, s->token, false);
        }
    } else {
        al_buf_cstr(b, "/?");
        if (s->token) {
            al_buf_cstr(b, "continuation-token=");
            al_bucket_encode(b, s->token, false);
            al_buf_char(b, '&');
        }
        al_buf_cstr(b, "encoding-type=url&list-type=2&max-keys=1000");
    }
    if (s->bucket.prefix[0]) {
        al_buf_cstr(b, "&prefix=");
        al_bucket_encode(b, s->bucket.prefix, false);
    }
}

static void object_url(const struct bucket_source *s, const char *key, struct al_buf *b)
{
    al_buf_cstr(b, s->bucket.base);
    if (s->is_gcs)
        al_buf_printf(b, "/storage/v1/b/%s/o/", s->bucket.name);
    else
        al_buf_char(b, '/');
    al_bucket_encode(b, key, !s->is_gcs);
    if (s->is_gcs)
        al_buf_cstr(b, "?alt=media");
}

/* ---- the listing ---- */

static enum al_code keep_token(struct bucket_source *s, struct al_err *err)
{
    char *kept = NULL;
    if (s->page.next) {
        if (s->token && strcmp(s->token, s->page.next) == 0)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_XML", "listing: goes in a circle");
        kept = al_mem_strndup(NULL, s->page.next, strlen(s->page.next));
        if (!kept)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "listing: out of memory");
    }
    al_mem_free(NULL, s->token);
    s->token = kept;
    s->is_over = !kept;
    return AL_OK;
}

static enum al_code next_page(struct bucket_source *s, struct al_err *err)
{
    struct al_buf url;
    struct al_web_reply reply;
    if (++s->n_pages > PAGES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "listing: more than %u pages",
                         PAGES_MAX);
    al_buf_init(&url, NULL, (size_t)64 << 10);
    list_url(s, &url);
    enum al_code code = al_buf_status(&url, err);
    if (code == AL_OK)
        code = get(s, url.p, AL_BUCKET_PAGE_BYTES_MAX, &reply, err);
    al_buf_fini(&url);
    AL_TRY(code);
    AL_TRY_CTX(err, check_status(s, &reply, err), "'%.100s'", s->bucket.name);
    al_arena_reset(&s->page_arena);
    s->at = 0;
    struct al_str body = al_buf_view(&s->body);
    AL_TRY(s->is_gcs ? al_gcs_parse(body, &s->page_arena, &s->page, err)
                     : al_s3_parse(body, &s->page_arena, &s->page, err));
    return keep_token(s, err);
}

static enum al_code give(struct bucket_source *s, const struct al_bucket_object *o,
                         struct al_arena *a, struct al_source_entry *ret, struct al_err *err)
{
    const char *id = NULL;
    if (al_source_check_path(o->key, &id, &ret->why) != AL_OK)
        return AL_OK;
    if (id != o->key) { /* "./x" is a name of its own here */
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "BAD_PATH", "path: with a '.' or '..' part");
        return AL_OK;
    }
    const char *scheme = s->is_gcs ? "gs" : "s3";
    ret->id = al_arena_strndup(a, id, strlen(id));
    ret->url = al_arena_printf(a, "%s://%s/%s", scheme, s->bucket.name, id);
    ret->version = al_arena_printf(a, "%.120s", o->etag);
    if (o->etag[0])
        ret->checksum = al_arena_printf(a, "b1-%.80s-%" PRIu64, o->etag, o->size_bytes);
    if (!ret->id || !ret->url || !ret->version || (o->etag[0] && !ret->checksum))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bucket: out of memory");
    ret->media_type = al_source_media_type(id);
    ret->updated_s = o->modified_s;
    al_source_add_meta(ret, "bucket", s->bucket.name);
    return AL_OK;
}

static enum al_code bucket_next(struct al_source *source, struct al_arena *a,
                                struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    struct bucket_source *s = (struct bucket_source *)source;
    for (;;) {
        while (s->at < s->page.n) {
            const struct al_bucket_object *o = &s->page.objects[s->at++];
            if (++s->n_entries > AL_SOURCE_ENTRIES_MAX)
                return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                                 "bucket: more than %u objects", AL_SOURCE_ENTRIES_MAX);
            const char *id = NULL;
            bool is_bad = al_source_check_path(o->key, &id, NULL) != AL_OK;
            if (al_source_media_type(o->key) && (is_bad || !al_source_is_ignored_path(o->key)))
                return give(s, o, a, ret, err); /* a bad path is named, not passed over */
            s->source.n_left_out++;
        }
        if (s->is_over) {
            *ret_end = true;
            return AL_OK;
        }
        AL_TRY(next_page(s, err));
    }
}

static enum al_code bucket_load(struct al_source *source, struct al_arena *a,
                                struct al_source_entry *e, uint64_t max, struct al_err *err)
{
    struct bucket_source *s = (struct bucket_source *)source;
    struct al_buf url;
    struct al_web_reply reply;
    al_buf_init(&url, NULL, (size_t)64 << 10);
    object_url(s, e->id, &url);
    enum al_code code = al_buf_status(&url, err);
    if (code == AL_OK)
        code = get(s, url.p, max, &reply, err);
    al_buf_fini(&url);
    AL_TRY(code);
    AL_TRY(check_status(s, &reply, err));
    AL_TRY(al_arena_str(a, al_buf_view(&s->body), &e->content, err));
    e->has_content = true;
    return AL_OK;
}

static void bucket_close(struct al_source *source)
{
    struct bucket_source *s = (struct bucket_source *)source;
    al_mem_free(NULL, s->token);
    al_buf_fini(&s->body);
    al_arena_fini(&s->page_arena);
    al_web_curl_close(s->own_http);
    al_mem_free(NULL, s);
}

static const struct al_source_ops ops = {
    .next = bucket_next, .load = bucket_load, .close = bucket_close};

/* ---- opening ---- */

static const char *from(const char *given, const char *const *variables)
{
    for (size_t i = 0; !given && variables[i]; i++) {
        const char *v = getenv(variables[i]);
        given = v && v[0] ? v : NULL;
    }
    return given;
}

static bool is_bucket_name(struct al_str name)
{
    bool ok = name.n >= 3 && name.n <= 222;
    for (size_t i = 0; ok && i < name.n; i++) {
        char c = name.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '-' || c == '_';
    }
    return ok;
}

static enum al_code parse_address(struct bucket_source *s, const char *address, struct al_err *err)
{
    s->is_gcs = address[0] == 'g';
    const char *name = address + 5;
    size_t n = strcspn(name, "/");
    if (!is_bucket_name((struct al_str){name, n}))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "'%.100s': no name of a bucket", address);
    const char *prefix = name[n] ? name + n + 1 : "";
    if (strlen(prefix) > 1024 || !al_str_is_utf8(al_str_c(prefix)))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "'%.100s': prefix too long or not UTF-8", address);
    snprintf(s->bucket.name, sizeof s->bucket.name, "%.*s", (int)n, name);
    snprintf(s->bucket.prefix, sizeof s->bucket.prefix, "%s", prefix);
    snprintf(s->source.name, sizeof s->source.name, "%.390s", address);
    snprintf(s->source.label, sizeof s->source.label, "%s", s->bucket.name);
    return AL_OK;
}

/* An endpoint as "scheme://host", without slashes at its end; http when it names no scheme. */
static enum al_code take_endpoint(const char *endpoint, char *buf, size_t n, struct al_err *err)
{
    struct al_url url;
    int k = snprintf(buf, n, "%s%s", strstr(endpoint, "://") ? "" : "http://", endpoint);
    while (k > 0 && (size_t)k < n && buf[k - 1] == '/')
        buf[--k] = '\0';
    if (k <= 0 || (size_t)k >= n)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "endpoint: empty or too long");
    return al_url_parse(buf, &url, err);
}

static enum al_code set_s3(struct bucket_source *s, const struct al_bucket_options *o,
                           struct al_err *err)
{
    struct al_bucket *b = &s->bucket;
    const char *endpoint =
        from(o->endpoint, (const char *const[]){"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL});
    const char *region =
        from(o->region, (const char *const[]){"AWS_REGION", "AWS_DEFAULT_REGION", NULL});
    const char *key = from(o->access_key, (const char *const[]){"AWS_ACCESS_KEY_ID", NULL});
    const char *secret = from(o->secret_key, (const char *const[]){"AWS_SECRET_ACCESS_KEY", NULL});
    const char *session = from(o->session, (const char *const[]){"AWS_SESSION_TOKEN", NULL});
    region = region ? region : "us-east-1";
    if (strlen(region) > 40 ||
        strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") < strlen(region))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "region: '%.60s'", region);
    if ((key && !secret) || (!key && secret))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "bucket: only one of access key and secret key");
    snprintf(b->region, sizeof b->region, "%s", region);
    snprintf(s->sigv4, sizeof s->sigv4, "aws:amz:%s:s3", region);
    if (key && strlen(key) + strlen(secret) + 2 > sizeof b->user_password)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "bucket: keys too long");
    if (key)
        snprintf(b->user_password, sizeof b->user_password, "%s:%s", key, secret);
    if (key && session)
        snprintf(b->header, sizeof b->header, "x-amz-security-token: %s", session);
    if (endpoint) {
        char base[300];
        AL_TRY(take_endpoint(endpoint, base, sizeof base, err));
        snprintf(b->base, sizeof b->base, "%s/%s", base, b->name);
    } else if (strchr(b->name, '.')) { /* a certificate for *.s3... does not fit it */
        snprintf(b->base, sizeof b->base, "https://s3.%s.amazonaws.com/%s", region, b->name);
    } else {
        snprintf(b->base, sizeof b->base, "https://%s.s3.%s.amazonaws.com", b->name, region);
    }
    return AL_OK;
}

static enum al_code set_gcs(struct bucket_source *s, const struct al_bucket_options *o,
                            struct al_err *err)
{
    const char *endpoint = from(o->endpoint, (const char *const[]){"STORAGE_EMULATOR_HOST", NULL});
    const char *token = from(o->token, (const char *const[]){"GOOGLE_OAUTH_ACCESS_TOKEN", NULL});
    if (token && strlen(token) > 4096)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "bucket: token too long");
    if (token)
        snprintf(s->bucket.header, sizeof s->bucket.header, "Authorization: Bearer %s", token);
    return take_endpoint(endpoint ? endpoint : "https://storage.googleapis.com", s->bucket.base,
                         sizeof s->bucket.base, err);
}

static enum al_code open_it(struct bucket_source *s, const char *address,
                            const struct al_bucket_options *o, struct al_err *err)
{
    al_buf_init(&s->body, NULL, (size_t)64 << 20);
    al_arena_init(&s->page_arena, NULL, (size_t)64 << 20);
    AL_TRY(parse_address(s, address, err));
    AL_TRY(s->is_gcs ? set_gcs(s, o, err) : set_s3(s, o, err));
    s->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT;
    if (!o->ports.http)
        AL_TRY(al_web_curl_open(&s->own_http, err));
    double rate = o->requests_per_second > 0 ? o->requests_per_second : PER_SECOND_DEFAULT;
    al_fetch_init(&s->fetch, o->ports.http ? o->ports.http : s->own_http, &o->ports, rate);
    return AL_OK;
}

enum al_code al_bucket_open(const char *address, const struct al_bucket_options *opt,
                            struct al_source **ret, struct al_err *err)
{
    static const struct al_bucket_options none;
    if (!al_bucket_is_address(address))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "'%.100s': no address of a bucket", address);
    struct bucket_source *s = al_mem_zalloc(NULL, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "bucket: out of memory");
    s->source.ops = &ops;
    enum al_code code = open_it(s, address, opt ? opt : &none, err);
    if (code != AL_OK) {
        al_source_close(&s->source);
        return code;
    }
    *ret = &s->source;
    return AL_OK;
}
