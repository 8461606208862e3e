/* The HTTP port over libcurl: one multi handle, HTTP/1.1. The one user of curl here. */
#include <curl/curl.h>

#include <pthread.h>
#include <string.h>

#include "etcd_wire.h"

#define IDLE_MAX 16u
#define TCP_IDLE_S 5L
#define TCP_INTERVAL_S 2L

struct al_wire_exchange {
    struct al_wire_exchange *next; /* curl_http.exchanges or .idle */
    struct curl_http *owner;
    CURL *easy;
    struct curl_slist *headers;
    struct al_wire_request req;
    size_t given; /* bytes of the body that curl took */
    bool is_stopped;
    char why[CURL_ERROR_SIZE];
};

struct curl_http {
    struct al_wire http; /* first */
    CURLM *multi;
    struct al_wire_exchange *exchanges; /* under way */
    struct al_wire_exchange *idle;
    size_t n_idle;
    struct al_wire_options opt;
};

static struct curl_http *of(struct al_wire *h)
{
    return (struct curl_http *)(void *)h;
}

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void global_init(void)
{
    global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_read(char *p, size_t size, size_t n, void *u)
{
    struct al_wire_exchange *x = u;
    size_t left = x->req.body.n - x->given;
    size_t take = size * n < left ? size * n : left;
    if (take)
        memcpy(p, x->req.body.p + x->given, take);
    x->given += take;
    return take;
}

/* curl would send a POST again by itself when a kept connection turns out to be dead after the
 * request was written: the server may have done it already. It asks here before; a body of which
 * nothing was read yet needs no rewinding, and nothing is lost by trying another connection. */
static int on_seek(void *u, curl_off_t offset, int origin)
{
    struct al_wire_exchange *x = u;
    bool is_fresh = x->given == 0 && offset == 0 && origin == SEEK_SET;
    return is_fresh ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static size_t on_write(char *p, size_t size, size_t n, void *u)
{
    struct al_wire_exchange *x = u;
    if (x->is_stopped)
        return 0;
    x->is_stopped = !x->req.on_data(x->req.u, p, size * n);
    return x->is_stopped ? 0 : size * n;
}

/* ---- starting ---- */

/* Options are remembered, so that each call is one line and no failure is missed. */
struct setter {
    CURL *easy;
    CURLcode code;
};

#define SET(s_, option_, value_)                                          \
    do {                                                                  \
        if ((s_)->code == CURLE_OK)                                       \
            (s_)->code = curl_easy_setopt((s_)->easy, option_, (value_)); \
    } while (0)

static void set_tls(struct setter *s, const struct al_wire_options *opt)
{
    SET(s, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (opt->ca_file)
        SET(s, CURLOPT_CAINFO, opt->ca_file);
    if (opt->cert_file) {
        SET(s, CURLOPT_SSLCERT, opt->cert_file);
        SET(s, CURLOPT_SSLKEY, opt->key_file);
    }
}

static void set_connection(struct setter *s, const struct al_wire_options *opt)
{
    SET(s, CURLOPT_NOSIGNAL, 1L);
    SET(s, CURLOPT_NOPROXY, "*");
    SET(s, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(s, CURLOPT_FOLLOWLOCATION, 0L);
    SET(s, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(s, CURLOPT_CONNECTTIMEOUT_MS, (long)opt->connect_timeout_ms);
    SET(s, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(s, CURLOPT_TCP_KEEPIDLE, TCP_IDLE_S);
    SET(s, CURLOPT_TCP_KEEPINTVL, TCP_INTERVAL_S);
}

static CURLcode set_up(struct al_wire_exchange *x)
{
    struct setter s = {x->easy, CURLE_OK};
    set_connection(&s, &x->owner->opt);
    set_tls(&s, &x->owner->opt);
    SET(&s, CURLOPT_PRIVATE, (char *)x);
    SET(&s, CURLOPT_ERRORBUFFER, x->why);
    SET(&s, CURLOPT_URL, x->req.url);
    SET(&s, CURLOPT_HTTPHEADER, x->headers);
    SET(&s, CURLOPT_TIMEOUT_MS, (long)x->req.timeout_ms);
    SET(&s, CURLOPT_POST, 1L);
    SET(&s, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->req.body.n);
    SET(&s, CURLOPT_READFUNCTION, on_read);
    SET(&s, CURLOPT_READDATA, x);
    SET(&s, CURLOPT_SEEKFUNCTION, on_seek);
    SET(&s, CURLOPT_SEEKDATA, x);
    SET(&s, CURLOPT_WRITEFUNCTION, on_write);
    SET(&s, CURLOPT_WRITEDATA, x);
    return s.code;
}

static bool add_header(struct al_wire_exchange *x, const char *line)
{
    struct curl_slist *longer = curl_slist_append(x->headers, line);
    if (longer)
        x->headers = longer;
    return longer != NULL;
}

/* hasleader: calls and watches of a member that has lost the leader fail at once instead of waiting
 * in silence. */
static bool add_headers(struct al_wire_exchange *x)
{
    bool ok = add_header(x, "Content-Type: application/json") && add_header(x, "Expect:") &&
              add_header(x, "Grpc-Metadata-hasleader: true");
    if (!ok || !x->req.token)
        return ok;
    struct al_buf line;
    al_buf_init(&line, x->owner->opt.mem, 0);
    al_buf_cstr(&line, "Authorization: ");
    al_buf_cstr(&line, x->req.token);
    ok = al_buf_status(&line, NULL) == AL_OK && add_header(x, line.p);
    al_buf_fini(&line);
    return ok;
}

static void exchange_free(struct al_wire_exchange *x)
{
    struct curl_http *c = x->owner;
    curl_slist_free_all(x->headers);
    curl_easy_cleanup(x->easy);
    al_mem_free(c->opt.mem, x);
}

/* Out of the multi handle and of the list, ready for the next. */
static void exchange_end(struct al_wire_exchange *x)
{
    struct curl_http *c = x->owner;
    struct al_wire_exchange **at = &c->exchanges;
    while (*at && *at != x)
        at = &(*at)->next;
    if (*at)
        *at = x->next;
    curl_multi_remove_handle(c->multi, x->easy);
    if (c->n_idle >= IDLE_MAX) {
        exchange_free(x);
        return;
    }
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    curl_easy_reset(x->easy);
    x->next = c->idle;
    c->idle = x;
    c->n_idle++;
}

static struct al_wire_exchange *exchange_new(struct curl_http *c)
{
    struct al_wire_exchange *x = c->idle;
    if (x) {
        c->idle = x->next;
        c->n_idle--;
        CURL *easy = x->easy;
        *x = (struct al_wire_exchange){.owner = c, .easy = easy};
        return x;
    }
    x = al_mem_zalloc(c->opt.mem, sizeof *x);
    if (!x)
        return NULL;
    x->owner = c;
    x->easy = curl_easy_init();
    if (x->easy)
        return x;
    exchange_free(x);
    return NULL;
}

static enum al_code curl_start(struct al_wire *h, const struct al_wire_request *req,
                               struct al_wire_exchange **ret, struct al_err *err)
{
    struct curl_http *c = of(h);
    struct al_wire_exchange *x = exchange_new(c);
    if (!x)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: http: out of memory");
    x->req = *req;
    x->next = c->exchanges;
    c->exchanges = x;
    bool ok = add_headers(x);
    CURLcode code = ok ? set_up(x) : CURLE_OUT_OF_MEMORY;
    CURLMcode mcode = code == CURLE_OK ? curl_multi_add_handle(c->multi, x->easy) : CURLM_OK;
    if (code != CURLE_OK || mcode != CURLM_OK) {
        exchange_end(x);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: http: %s",
                       code != CURLE_OK ? curl_easy_strerror(code) : curl_multi_strerror(mcode));
    }
    *ret = x;
    return AL_OK;
}

static void curl_cancel(struct al_wire *h, struct al_wire_exchange *x)
{
    (void)h;
    exchange_end(x);
}

/* ---- running ---- */

static enum al_wire_end end_of(const struct al_wire_exchange *x, CURLcode code)
{
    if (x->is_stopped)
        return AL_WIRE_STOPPED;
    if (code == CURLE_OK)
        return AL_WIRE_ANSWERED;
    return code == CURLE_OPERATION_TIMEDOUT ? AL_WIRE_TIMED_OUT : AL_WIRE_BROKEN;
}

static void finish(struct al_wire_exchange *x, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    const char *why = code == CURLE_OK ? "" : x->why[0] ? x->why : curl_easy_strerror(code);
    struct al_wire_request req = x->req;
    /* Any answer at all means that the server had begun to read. */
    struct al_wire_result r = {.end = end_of(x, code),
                               .status = status > 0 ? (uint32_t)status : 0,
                               .was_sent = x->given == x->req.body.n || status > 0};
    char text[CURL_ERROR_SIZE];
    size_t n = strnlen(why, sizeof text - 1);
    memcpy(text, why, n);
    text[n] = '\0';
    r.why = text;
    exchange_end(x);
    req.on_end(req.u, &r);
}

static void curl_run(struct al_wire *h, uint32_t timeout_ms)
{
    struct curl_http *c = of(h);
    int n_running = 0;
    int n_left = 0;
    curl_multi_poll(c->multi, NULL, 0, (int)timeout_ms, NULL);
    curl_multi_perform(c->multi, &n_running);
    CURLMsg *m;
    while ((m = curl_multi_info_read(c->multi, &n_left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        char *x = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        finish((struct al_wire_exchange *)(void *)x, code);
    }
}

static void curl_wake(struct al_wire *h)
{
    curl_multi_wakeup(of(h)->multi);
}

static void curl_destroy(struct al_wire *h)
{
    struct curl_http *c = of(h);
    while (c->exchanges)
        exchange_end(c->exchanges);
    while (c->idle) {
        struct al_wire_exchange *x = c->idle;
        c->idle = x->next;
        exchange_free(x);
    }
    if (c->multi)
        curl_multi_cleanup(c->multi);
    al_mem_free(c->opt.mem, c);
}

static const struct al_wire_ops curl_ops = {
    .start = curl_start,
    .cancel = curl_cancel,
    .run = curl_run,
    .wake = curl_wake,
    .destroy = curl_destroy,
};

enum al_code al_wire_curl_create(const struct al_wire_options *opt, struct al_wire **ret,
                                 struct al_err *err)
{
    pthread_once(&global_once, global_init);
    if (global_code != CURLE_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: http: %s",
                       curl_easy_strerror(global_code));
    struct curl_http *c = al_mem_zalloc(opt->mem, sizeof *c);
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: http: out of memory");
    c->http.ops = &curl_ops;
    c->opt = *opt;
    c->multi = curl_multi_init();
    long most = (long)opt->connections_max;
    bool ok = c->multi &&
              curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most) == CURLM_OK &&
              curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, most) == CURLM_OK &&
              curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK;
    if (!ok) {
        curl_destroy(&c->http);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: http: out of memory");
    }
    *ret = &c->http;
    return AL_OK;
}
