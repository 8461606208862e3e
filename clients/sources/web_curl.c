/* HTTP and URLs, through libcurl. The only file of the sources that includes it. */
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web_http.h"

#define REDIRECTS_NONE 0L
#define CONNECT_MS 10000L
#define STALL_S 20L
#define AGENT "airlore/0.1"

struct curl_http {
    struct al_web_http http;
    CURL *easy;
    char message[CURL_ERROR_SIZE];
};

/* One request in flight. */
struct transfer {
    const struct al_web_request *request;
    struct al_web_reply *reply;
    bool is_too_large;
    bool is_private;
    bool out_of_memory;
};

/* ---- addresses that are nobody's on the internet ---- */

static bool is_private_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        uint32_t mask;
    } nets[] = {
        {0x00000000, 0xff000000}, {0x0a000000, 0xff000000}, {0x64400000, 0xffc00000},
        {0x7f000000, 0xff000000}, {0xa9fe0000, 0xffff0000}, {0xac100000, 0xfff00000},
        {0xc0000000, 0xffffff00}, {0xc0a80000, 0xffff0000}, {0xc6120000, 0xfffe0000},
        {0xe0000000, 0xe0000000},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(nets); i++) {
        if ((a & nets[i].mask) == nets[i].net)
            return true;
    }
    return false;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_private_v6(const uint8_t *a)
{
    static const uint8_t zeros[12] = {0};
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, zeros, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return is_private_v4(big_endian(a + 12)); /* ::1 and :: are 0.0.0.x */
    return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) >= 0x80) || a[0] == 0xff;
}

static bool is_private_address(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return is_private_v4(ntohl(in.sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        return is_private_v6(in.sin6_addr.s6_addr);
    }
    return true;
}

/* Looked at here and not at the name, so that a name that changes its address wins nothing. */
static curl_socket_t open_socket(void *u, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = u;
    if (purpose == CURLSOCKTYPE_IPCXN && t->request->deny_private && is_private_address(&a->addr)) {
        t->is_private = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- what comes back ---- */

static size_t on_body(char *p, size_t size, size_t n, void *u)
{
    struct transfer *t = u;
    size_t bytes = size * n;
    if (t->reply->body->n + bytes > t->request->max_bytes) {
        t->is_too_large = true;
        return 0;
    }
    al_buf_add(t->reply->body, p, bytes);
    if (al_buf_status(t->reply->body, NULL) != AL_OK) {
        t->out_of_memory = true;
        return 0;
    }
    return bytes;
}

/* Values with control characters are dropped: they could not be sent back. */
static void take_header(struct al_str line, const char *name, char *to, size_t n)
{
    size_t k = strlen(name);
    if (line.n <= k || strncasecmp(line.p, name, k) != 0 || line.p[k] != ':')
        return;
    struct al_str v = al_str_trim(al_str_sub(line, k + 1, line.n));
    to[0] = '\0';
    if (v.n >= n)
        return;
    for (size_t i = 0; i < v.n; i++) {
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f)
            return;
    }
    memcpy(to, v.p, v.n);
    to[v.n] = '\0';
}

static size_t on_header(char *p, size_t size, size_t n, void *u)
{
    struct transfer *t = u;
    struct al_str line = {p, size * n};
    struct al_web_reply *r = t->reply;
    take_header(line, "etag", r->etag, sizeof r->etag);
    take_header(line, "last-modified", r->last_modified, sizeof r->last_modified);
    take_header(line, "content-type", r->content_type, sizeof r->content_type);
    return line.n;
}

static void take_info(CURL *easy, struct al_web_reply *r)
{
    long status = 0;
    curl_off_t wait = 0;
    const char *location = NULL;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
    r->status = (int)status;
    r->retry_after_s = wait > 0 ? (uint32_t)(wait > 86400 ? 86400 : wait) : 0;
    if (location && strlen(location) < sizeof r->location)
        memcpy(r->location, location, strlen(location) + 1);
}

static enum al_code give_error(struct curl_http *h, const struct transfer *t, CURLcode rc,
                               struct al_err *err)
{
    const char *why = h->message[0] ? h->message : curl_easy_strerror(rc);
    if (t->is_too_large)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "http: more than %llu bytes",
                         (unsigned long long)t->request->max_bytes);
    if (t->is_private)
        return AL_FAIL_R(err, AL_PERMISSION_DENIED, "PRIVATE_ADDRESS",
                         "http: leads to a private address");
    switch ((int)rc) {
    case CURLE_OUT_OF_MEMORY:
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    case CURLE_WRITE_ERROR:
        return t->out_of_memory ? AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory")
                                : AL_FAIL(err, AL_UNAVAILABLE, "http: %.150s", why);
    case CURLE_OPERATION_TIMEDOUT:
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "http: %.150s", why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL", "http: %.150s", why);
    case CURLE_PEER_FAILED_VERIFICATION:
        return AL_FAIL(err, AL_PERMISSION_DENIED, "http: %.150s", why);
    default:
        return AL_FAIL(err, AL_UNAVAILABLE, "http: %.150s", why);
    }
}

static void set_options(struct curl_http *h, struct transfer *t, const struct curl_slist *headers)
{
    const struct al_web_request *r = t->request;
    CURL *e = h->easy;
    curl_easy_reset(e); /* keeps connections and their names */
    curl_easy_setopt(e, CURLOPT_URL, r->url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, AGENT);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, REDIRECTS_NONE);
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->message);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT,
                     r->deny_private ? 1L : 0L); /* no way around the look */
    if (r->sigv4) {
        curl_easy_setopt(e, CURLOPT_AWS_SIGV4, r->sigv4);
        curl_easy_setopt(e, CURLOPT_USERPWD, r->user_password);
    }
}

static enum al_code curl_get(struct al_web_http *http, const struct al_web_request *r,
                             struct al_web_reply *ret, struct al_err *err)
{
    struct curl_http *h = (struct curl_http *)http;
    struct al_buf *body = ret->body;
    *ret = (struct al_web_reply){.body = body};
    al_buf_reset(body);
    struct transfer t = {.request = r, .reply = ret};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < r->n_headers; i++) {
        struct curl_slist *more = curl_slist_append(headers, r->headers[i]);
        if (!more) {
            curl_slist_free_all(headers);
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
        }
        headers = more;
    }
    h->message[0] = '\0';
    set_options(h, &t, headers);
    CURLcode rc = curl_easy_perform(h->easy);
    enum al_code code = AL_OK;
    if (rc == CURLE_OK)
        take_info(h->easy, ret);
    else
        code = give_error(h, &t, rc, err);
    curl_slist_free_all(headers);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    return code;
}

enum al_code al_web_curl_open(struct al_web_http **ret, struct al_err *err)
{
    static bool is_ready;
    if (!is_ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: no libcurl");
    is_ready = true;
    struct curl_http *h = al_mem_zalloc(NULL, sizeof *h);
    if (h)
        h->easy = curl_easy_init();
    if (!h || !h->easy) {
        al_mem_free(NULL, h);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    }
    h->http.get = curl_get;
    *ret = &h->http;
    return AL_OK;
}

void al_web_curl_close(struct al_web_http *http)
{
    struct curl_http *h = (struct curl_http *)http;
    if (!h)
        return;
    curl_easy_cleanup(h->easy);
    al_mem_free(NULL, h);
}

/* ---- URLs ---- */

/* AL_NOT_FOUND: it has no such part. */
static enum al_code get_part(CURLU *u, CURLUPart part, char *to, size_t n)
{
    char *text = NULL;
    CURLUcode rc = curl_url_get(u, part, &text, 0);
    if (rc == CURLUE_OUT_OF_MEMORY)
        return AL_RESOURCE_EXHAUSTED;
    if (rc != CURLUE_OK || !text)
        return AL_NOT_FOUND;
    size_t k = strlen(text);
    bool fits = k < n;
    if (fits)
        memcpy(to, text, k + 1);
    curl_free(text);
    return fits ? AL_OK : AL_INVALID_ARGUMENT;
}

static enum al_code has_part(CURLU *u, CURLUPart part, bool *ret)
{
    char *text = NULL;
    CURLUcode rc = curl_url_get(u, part, &text, 0);
    curl_free(text);
    *ret |= rc == CURLUE_OK;
    return rc == CURLUE_OUT_OF_MEMORY ? AL_RESOURCE_EXHAUSTED : AL_OK;
}

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)tolower((unsigned char)*s);
}

static enum al_code take_port(CURLU *u, bool is_https, struct al_url *ret)
{
    char port[8];
    enum al_code code = get_part(u, CURLUPART_PORT, port, sizeof port);
    if (code != AL_OK)
        return code == AL_NOT_FOUND ? AL_OK : code;
    size_t n = strlen(ret->host);
    if (strcmp(port, is_https ? "443" : "80") != 0)
        snprintf(ret->host + n, sizeof ret->host - n, ":%s", port);
    return AL_OK;
}

static enum al_code take_query(CURLU *u, struct al_url *ret)
{
    char query[AL_URL_BYTES_MAX + 1];
    enum al_code code = get_part(u, CURLUPART_QUERY, query, sizeof query);
    if (code != AL_OK)
        return code == AL_NOT_FOUND ? AL_OK : code;
    size_t n = strlen(ret->path);
    int k = snprintf(ret->path + n, sizeof ret->path - n, "?%s", query);
    return k < 0 || (size_t)k >= sizeof ret->path - n ? AL_INVALID_ARGUMENT : AL_OK;
}

static enum al_code take_parts(CURLU *u, struct al_url *ret)
{
    AL_TRY(get_part(u, CURLUPART_SCHEME, ret->scheme, sizeof ret->scheme));
    AL_TRY(get_part(u, CURLUPART_HOST, ret->host, sizeof ret->host - 8)); /* room for a port */
    AL_TRY(get_part(u, CURLUPART_PATH, ret->path, sizeof ret->path));
    lower(ret->scheme);
    lower(ret->host);
    bool is_https = strcmp(ret->scheme, "https") == 0;
    if (!is_https && strcmp(ret->scheme, "http") != 0)
        return AL_INVALID_ARGUMENT;
    AL_TRY(take_port(u, is_https, ret));
    return take_query(u, ret);
}

/* *ret_user: there is a user or a password in it. */
static enum al_code cut(const char *url, struct al_url *ret, bool *ret_user)
{
    if (strlen(url) > AL_URL_BYTES_MAX)
        return AL_INVALID_ARGUMENT;
    CURLU *u = curl_url();
    if (!u)
        return AL_RESOURCE_EXHAUSTED;
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
    enum al_code code = rc == CURLUE_OK              ? AL_OK
                        : rc == CURLUE_OUT_OF_MEMORY ? AL_RESOURCE_EXHAUSTED
                                                     : AL_INVALID_ARGUMENT;
    if (code == AL_OK)
        code = has_part(u, CURLUPART_USER, ret_user);
    if (code == AL_OK)
        code = has_part(u, CURLUPART_PASSWORD, ret_user);
    if (code == AL_OK)
        code = take_parts(u, ret);
    curl_url_cleanup(u);
    return code;
}

static enum al_code bad_url(enum al_code code, const char *url, struct al_err *err)
{
    if (code == AL_RESOURCE_EXHAUSTED)
        return AL_FAIL(err, code, "url: out of memory");
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL", "url: '%.150s': not one of http or https",
                     url);
}

enum al_code al_url_parse(const char *url, struct al_url *ret, struct al_err *err)
{
    struct al_url parts = {.scheme = ""};
    bool has_user = false;
    enum al_code code = cut(url, &parts, &has_user);
    if (code != AL_OK)
        return bad_url(code, url, err);
    *ret = parts;
    return AL_OK;
}

enum al_code al_url_clean(const char *url, char *buf, size_t n, struct al_err *err)
{
    struct al_url parts = {.scheme = ""};
    bool has_user = false;
    enum al_code code = cut(url, &parts, &has_user);
    if (has_user)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL", "url: with a user or password in it");
    if (code == AL_OK && strlen(parts.scheme) + 3 + strlen(parts.host) + strlen(parts.path) >= n)
        code = AL_INVALID_ARGUMENT;
    if (code != AL_OK)
        return bad_url(code, url, err);
    snprintf(buf, n, "%s://%s%s", parts.scheme, parts.host, parts.path);
    return AL_OK;
}

int64_t al_web_date(const char *text)
{
    time_t t = curl_getdate(text, NULL);
    return t > 0 ? (int64_t)t : 0;
}
