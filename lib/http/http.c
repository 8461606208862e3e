#include "airlore/http.h"

#include <string.h>
#include <strings.h>

#include "http_int.h"

/* ---- checks ---- */

static enum al_code check_url(struct al_str url, struct al_err *err)
{
    size_t scheme = 0;
    if (url.n > 7 && strncasecmp(url.p, "http://", 7) == 0)
        scheme = 7;
    else if (url.n > 8 && strncasecmp(url.p, "https://", 8) == 0)
        scheme = 8;
    if (scheme == 0 || url.n > AL_HTTP_URL_BYTES_MAX || strchr("/?#:", url.p[scheme]))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL",
                         "url: not http:// or https:// and a host, of at most %u bytes",
                         AL_HTTP_URL_BYTES_MAX);
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || (unsigned char)url.p[i] >= 0x7F)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL",
                             "url: byte %zu must be percent-encoded", i);
    return AL_OK;
}

static bool is_token(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7F ||
            strchr("\"(),/:;<=>?@[\\]{}", s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_value(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7F)
            return false;
    return true;
}

static enum al_code check_headers(const struct al_http_request *req, struct al_err *err)
{
    if (req->n_headers > AL_HTTP_HEADERS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_HEADER", "headers: more than %u",
                         AL_HTTP_HEADERS_MAX);
    for (size_t i = 0; i < req->n_headers; i++)
        if (!is_token(req->headers[i].name) || !is_value(req->headers[i].value))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_HEADER",
                             "header %zu: a name or value that no header has", i);
    return AL_OK;
}

enum al_code al_http_send(struct al_http *h, const struct al_http_request *req, struct al_arena *a,
                          struct al_http_response *ret, struct al_err *err)
{
    AL_ASSERT(req->method >= AL_HTTP_GET && req->method <= AL_HTTP_DELETE);
    AL_TRY(check_url(req->url, err));
    AL_TRY(check_headers(req, err));
    if (al_clock_has_passed(h->clock, req->deadline_ns))
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "http: the deadline has passed");
    return h->ops->send(h, req, a, ret, err);
}

void al_http_close(struct al_http *h)
{
    if (h)
        h->ops->close(h);
}

bool al_http_is_safe(enum al_http_method m)
{
    return m == AL_HTTP_GET || m == AL_HTTP_HEAD;
}

const char *al_http_method_name(enum al_http_method m)
{
    static const char *const names[] = {"?", "GET", "HEAD", "POST", "PUT", "DELETE"};
    return (size_t)m < AL_ARRAY_LEN(names) ? names[m] : names[0];
}

struct al_str al_http_find_header(const struct al_http_response *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (al_str_is(r->headers[i].name, name))
            return r->headers[i].value;
    return (struct al_str){"", 0};
}

/* ---- an answer while it comes ---- */

void al_http_answer_init(struct al_http_answer *x, const struct al_http_request *req,
                         struct al_arena *a)
{
    *x = (struct al_http_answer){.req = req, .a = a};
    al_buf_init(&x->body, al_arena_mem(a), 0);
}

void al_http_answer_begin(struct al_http_answer *x, uint32_t status)
{
    x->head = (struct al_http_response){.status = status, .headers = x->head.headers};
    x->header_bytes = 0;
}

static bool no_memory(struct al_http_answer *x)
{
    x->code = AL_FAIL_R(&x->err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                        "http: the answer is over the memory limit of the call");
    return false;
}

bool al_http_answer_header(struct al_http_answer *x, struct al_str name, struct al_str value)
{
    if (x->code != AL_OK)
        return false;
    x->header_bytes += name.n + value.n;
    if (x->head.n_headers == AL_HTTP_HEADERS_MAX || x->header_bytes > AL_HTTP_HEADER_BYTES_MAX) {
        x->code = AL_FAIL_R(&x->err, AL_RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE",
                            "http: the answer has more than %u headers or %u bytes of them",
                            AL_HTTP_HEADERS_MAX, AL_HTTP_HEADER_BYTES_MAX);
        return false;
    }
    void *p = x->head.headers;
    if (al_mem_grow(al_arena_mem(x->a), &p, &x->cap_headers, x->head.n_headers + 1,
                    sizeof(*x->head.headers)) != AL_OK)
        return no_memory(x);
    x->head.headers = p;
    char *lower = al_arena_strndup(x->a, name.p, name.n);
    struct al_str copy = {"", 0};
    if (!lower || al_arena_str(x->a, value, &copy, NULL) != AL_OK)
        return no_memory(x);
    for (size_t i = 0; i < name.n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] + 32);
    x->head.headers[x->head.n_headers++] =
        (struct al_http_header){{lower, name.n}, al_str_trim(copy)};
    return true;
}

bool al_http_answer_body(struct al_http_answer *x, struct al_str part)
{
    size_t max = x->req->response_bytes_max ? x->req->response_bytes_max
                                            : (size_t)AL_HTTP_BODY_BYTES_DEFAULT;
    if (x->code != AL_OK)
        return false;
    if (part.n > max - x->body_bytes) {
        x->code = AL_FAIL_R(&x->err, AL_RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE",
                            "http: the answer has more than %zu bytes", max);
        return false;
    }
    x->body_bytes += part.n;
    if (x->req->on_body) {
        x->code = x->req->on_body(x->req->u, &x->head, part, &x->err);
        return x->code == AL_OK;
    }
    al_buf_str(&x->body, part);
    return al_buf_status(&x->body, NULL) == AL_OK || no_memory(x);
}

enum al_code al_http_answer_end(struct al_http_answer *x, struct al_http_response *ret,
                                struct al_err *err)
{
    if (x->code != AL_OK) {
        if (err)
            *err = x->err;
        return x->code;
    }
    *ret = x->head;
    ret->body = al_buf_view(&x->body);
    return AL_OK;
}

enum al_code al_http_fail_unanswered(const struct al_http_request *req, bool sent, const char *why,
                                     struct al_err *err)
{
    if (sent && !al_http_is_safe(req->method))
        return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN", "http: sent, no answer: %s", why);
    return AL_FAIL_R(err, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE", "http: %s", why);
}
