/* The one user of libcurl. A request runs on a handle of its own, driven by a multi handle that
 * keeps the connections of that slot; slots wait in a list. */
#include "airlore/http_curl.h"

#include <pthread.h>
#include <string.h>

#include <curl/curl.h>

#include "http_int.h"

#define CONNECT_TIMEOUT_MS_DEFAULT 5000u
#define CONNECTIONS_DEFAULT 16u
#define CONNECTIONS_MAX 256u
#define POLL_MS 100
#define WAIT_NS 100000000L

struct slot {
    struct slot *next; /* client.idle */
    CURL *easy;
    CURLM *multi;
};

struct client {
    struct al_http http; /* first */
    struct al_mem *mem;
    char *ca_file;
    char *cert_file;
    char *key_file;
    bool no_proxy;
    long connect_timeout_ms;
    uint32_t connections_max;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct slot *idle; /* guarded by lock */
    uint32_t n_slots;  /* guarded by lock */
};

/* One request under way. */
struct call {
    struct client *client;
    const struct al_http_request *req;
    struct al_http_answer answer;
    struct curl_slist *headers;
    CURL *easy;
    char why[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_once(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- slots ---- */

static void slot_destroy(struct client *c, struct slot *s)
{
    if (!s)
        return;
    curl_easy_cleanup(s->easy);
    curl_multi_cleanup(s->multi);
    al_mem_free(c->mem, s);
}

static struct slot *slot_create(struct client *c)
{
    struct slot *s = al_mem_zalloc(c->mem, sizeof(*s));
    if (!s)
        return NULL;
    s->easy = curl_easy_init();
    s->multi = curl_multi_init();
    if (s->easy && s->multi)
        return s;
    slot_destroy(c, s);
    return NULL;
}

/* Sleep a little on `freed`. Under lock. */
static void wait_freed(struct client *c)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += WAIT_NS;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&c->freed, &c->lock, &t);
}

static enum al_code check_waiting(struct client *c, const struct al_http_request *req,
                                  struct al_err *err)
{
    if (req->cancel && req->cancel(req->u))
        return AL_FAIL(err, AL_CANCELLED, "http: cancelled");
    if (al_clock_has_passed(c->http.clock, req->deadline_ns))
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "http: the deadline passed before its turn");
    return AL_OK;
}

/* A slot of one's own; waits while all are taken. */
static enum al_code slot_acquire(struct client *c, const struct al_http_request *req,
                                 struct slot **ret, struct al_err *err)
{
    for (;;) {
        pthread_mutex_lock(&c->lock);
        struct slot *s = c->idle;
        bool may_create = !s && c->n_slots < c->connections_max;
        if (s)
            c->idle = s->next;
        else if (may_create)
            c->n_slots++;
        else
            wait_freed(c);
        pthread_mutex_unlock(&c->lock);
        if (may_create && !(s = slot_create(c))) {
            pthread_mutex_lock(&c->lock);
            c->n_slots--;
            pthread_mutex_unlock(&c->lock);
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
        }
        if (s) {
            *ret = s;
            return AL_OK;
        }
        AL_TRY(check_waiting(c, req, err));
    }
}

static void slot_release(struct client *c, struct slot *s)
{
    curl_easy_reset(s->easy);
    pthread_mutex_lock(&c->lock);
    s->next = c->idle;
    c->idle = s;
    pthread_cond_signal(&c->freed);
    pthread_mutex_unlock(&c->lock);
}

/* ---- what curl calls ---- */

/* "HTTP/1.1 200 OK" begins a head, other lines are "name: value". */
static size_t on_header(char *p, size_t size, size_t n, void *u)
{
    struct call *x = u;
    struct al_str line = al_str_trim((struct al_str){p, size * n});
    if (al_str_starts(line, AL_STR("HTTP/"))) {
        long status = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        al_http_answer_begin(&x->answer, status > 0 ? (uint32_t)status : 0);
        return size * n;
    }
    size_t colon = al_str_find(line, AL_STR(":"), 0);
    if (colon == SIZE_MAX || colon == 0)
        return size * n;
    bool good = al_http_answer_header(&x->answer, al_str_sub(line, 0, colon),
                                      al_str_trim(al_str_sub(line, colon + 1, line.n)));
    return good ? size * n : 0;
}

static size_t on_part(char *p, size_t size, size_t n, void *u)
{
    struct call *x = u;
    return al_http_answer_body(&x->answer, (struct al_str){p, size * n}) ? size * n : 0;
}

/* ---- setting up ---- */

/* curl keeps copies of strings. */
#define SET(opt_, value_) ok = ok && curl_easy_setopt(x->easy, (opt_), (value_)) == CURLE_OK

static bool add_header(struct call *x, const struct al_http_header *h)
{
    /* curl leaves out "Name:" and sends "Name;" as an empty one */
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(x->answer.a), 0);
    al_buf_str(&b, h->name);
    al_buf_cstr(&b, h->value.n ? ": " : ";");
    al_buf_str(&b, h->value);
    if (al_buf_status(&b, NULL) != AL_OK)
        return false;
    struct curl_slist *l = curl_slist_append(x->headers, b.p);
    if (l)
        x->headers = l;
    return l != NULL;
}

static bool set_credential(struct call *x, const struct al_http_credential *c)
{
    bool ok = true;
    struct al_arena *a = x->answer.a;
    if (!c || c->user.n + c->password.n == 0)
        return true;
    const char *user = al_arena_strndup(a, c->user.p, c->user.n);
    const char *password = al_arena_strndup(a, c->password.p, c->password.n);
    const char *sign = al_arena_strndup(a, c->sign_v4.p, c->sign_v4.n);
    if (!user || !password || !sign)
        return false;
    SET(CURLOPT_USERNAME, user);
    SET(CURLOPT_PASSWORD, password);
    if (sign[0])
        SET(CURLOPT_AWS_SIGV4, sign);
    else
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    return ok;
}

static bool set_method(struct call *x)
{
    const struct al_http_request *req = x->req;
    bool ok = true;
    switch (req->method) {
    case AL_HTTP_GET:
        SET(CURLOPT_HTTPGET, 1L);
        break;
    case AL_HTTP_HEAD:
        SET(CURLOPT_NOBODY, 1L);
        break;
    case AL_HTTP_POST:
    case AL_HTTP_PUT:
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.n);
        SET(CURLOPT_POSTFIELDS, req->body.p ? req->body.p : "");
        if (req->method == AL_HTTP_PUT)
            SET(CURLOPT_CUSTOMREQUEST, "PUT");
        break;
    case AL_HTTP_DELETE:
        SET(CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    }
    return ok;
}

static bool set_transport(struct call *x)
{
    const struct client *c = x->client;
    bool ok = true;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_CONNECTTIMEOUT_MS, c->connect_timeout_ms);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_FOLLOWLOCATION, x->req->redirects_max > 0 ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, (long)x->req->redirects_max);
    if (c->no_proxy)
        SET(CURLOPT_NOPROXY, "*");
    if (c->ca_file)
        SET(CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file)
        SET(CURLOPT_SSLCERT, c->cert_file);
    if (c->key_file)
        SET(CURLOPT_SSLKEY, c->key_file);
    return ok;
}

static bool set_up(struct call *x)
{
    const struct al_http_request *req = x->req;
    bool ok = true;
    const char *url = al_arena_strndup(x->answer.a, req->url.p, req->url.n);
    /* no "Expect: 100-continue": it costs a round trip and some servers never answer it */
    x->headers = curl_slist_append(NULL, "Expect:");
    if (!url || !x->headers)
        return false;
    for (size_t i = 0; i < req->n_headers; i++)
        ok = ok && add_header(x, &req->headers[i]);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_HTTPHEADER, x->headers);
    SET(CURLOPT_USERAGENT, "airlore");
    SET(CURLOPT_ERRORBUFFER, x->why);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_part);
    SET(CURLOPT_WRITEDATA, x);
    return ok && set_method(x) && set_transport(x) && set_credential(x, req->credential);
}

/* ---- running ---- */

/* Until curl is done with it: its result. *ret_stop: ended by us, with this code. */
static CURLcode drive(struct call *x, CURLM *multi, enum al_code *ret_stop)
{
    for (;;) {
        int running = 0;
        int left = 0;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
        for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));)
            if (m->msg == CURLMSG_DONE)
                return m->data.result;
        if (x->req->cancel && x->req->cancel(x->req->u)) {
            *ret_stop = AL_CANCELLED;
            return CURLE_OK;
        }
        if (al_clock_has_passed(x->client->http.clock, x->req->deadline_ns)) {
            *ret_stop = AL_DEADLINE_EXCEEDED;
            return CURLE_OK;
        }
        if (curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return CURLE_OUT_OF_MEMORY;
    }
}

static bool was_sent(const struct call *x)
{
    long bytes = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

static enum al_code fail_stopped(const struct call *x, enum al_code stop, struct al_err *err)
{
    if (stop == AL_CANCELLED)
        return AL_FAIL(err, AL_CANCELLED, "http: cancelled");
    if (was_sent(x) && !al_http_is_safe(x->req->method))
        return AL_FAIL_R(err, AL_UNKNOWN, "OUTCOME_UNKNOWN",
                         "http: sent, no answer within the deadline");
    return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "http: no answer within the deadline");
}

static enum al_code fail_curl(const struct call *x, CURLcode result, struct al_err *err)
{
    const char *why = x->why[0] ? x->why : curl_easy_strerror(result);
    switch ((int)result) {
    case CURLE_OUT_OF_MEMORY:
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    case CURLE_URL_MALFORMAT:
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_URL", "url: %s", why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "UPSTREAM_UNTRUSTED", "http: %s", why);
    default:
        return al_http_fail_unanswered(x->req, was_sent(x), why, err);
    }
}

static enum al_code run(struct call *x, CURLM *multi, struct al_http_response *ret,
                        struct al_err *err)
{
    enum al_code stop = AL_OK;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    if (set_up(x) && curl_multi_add_handle(multi, x->easy) == CURLM_OK) {
        result = drive(x, multi, &stop);
        (void)curl_multi_remove_handle(multi, x->easy);
    }
    if (stop != AL_OK)
        return fail_stopped(x, stop, err);
    if (x->answer.code == AL_OK && result != CURLE_OK)
        return fail_curl(x, result, err);
    return al_http_answer_end(&x->answer, ret, err);
}

static enum al_code curl_send(struct al_http *h, const struct al_http_request *req,
                              struct al_arena *a, struct al_http_response *ret, struct al_err *err)
{
    struct client *c = (struct client *)h;
    struct slot *s = NULL;
    AL_TRY(slot_acquire(c, req, &s, err));
    AL_ASSERT(s);
    struct call x = {.client = c, .req = req, .easy = s->easy};
    al_http_answer_init(&x.answer, req, a);
    enum al_code code = run(&x, s->multi, ret, err);
    curl_slist_free_all(x.headers);
    slot_release(c, s);
    return code;
}

/* ---- life ---- */

static void curl_close(struct al_http *h)
{
    struct client *c = (struct client *)h;
    for (struct slot *s = c->idle; s;) {
        struct slot *next = s->next;
        slot_destroy(c, s);
        s = next;
    }
    pthread_cond_destroy(&c->freed);
    pthread_mutex_destroy(&c->lock);
    al_mem_free(c->mem, c->ca_file);
    al_mem_free(c->mem, c->cert_file);
    al_mem_free(c->mem, c->key_file);
    al_mem_free(c->mem, c);
}

static bool copy_path(struct client *c, const char *from, char **ret)
{
    if (from)
        *ret = al_mem_strndup(c->mem, from, strlen(from));
    return !from || *ret;
}

enum al_code al_http_curl_open(const struct al_http_curl_options *opt, struct al_http **ret,
                               struct al_err *err)
{
    static const struct al_http_ops ops = {curl_send, curl_close};
    pthread_condattr_t monotonic;
    if (opt->connections_max > CONNECTIONS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "connections: %u, at most %u",
                         opt->connections_max, CONNECTIONS_MAX);
    (void)pthread_once(&once, init_once);
    struct client *c = al_mem_zalloc(opt->mem, sizeof(*c));
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    c->http = (struct al_http){&ops, opt->clock ? opt->clock : al_clock_system()};
    c->mem = opt->mem;
    c->no_proxy = opt->no_proxy;
    c->connect_timeout_ms =
        opt->connect_timeout_ms ? (long)opt->connect_timeout_ms : CONNECT_TIMEOUT_MS_DEFAULT;
    c->connections_max = opt->connections_max ? opt->connections_max : CONNECTIONS_DEFAULT;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!copy_path(c, opt->ca_file, &c->ca_file) || !copy_path(c, opt->cert_file, &c->cert_file) ||
        !copy_path(c, opt->key_file, &c->key_file)) {
        curl_close(&c->http);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "http: out of memory");
    }
    *ret = &c->http;
    return AL_OK;
}
