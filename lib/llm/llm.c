#include "airlore/llm.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/http_retry.h"
#include "llm_int.h"

#define TIMEOUT_MS_DEFAULT 60000u
#define TIMEOUT_MS_MIN 1000u
#define TIMEOUT_MS_MAX 600000u
#define CALLS_DEFAULT 4u
#define CALLS_MAX 64u
#define MODEL_BYTES_MAX 200u
#define DAY_MS 86400000ull
#define CALL_TOKENS_MAX (1ull << 32) /* what one call can have used; else sums could wrap */
#define ERROR_BYTES_MAX 160u         /* of the endpoint's words in a message */
#define ALERT_SHARE 0.8              /* of the budget: a line in the log, once a day */

/* So much a minute, refilled steadily. */
struct bucket {
    double per_minute; /* 0: no limit */
    double level;
    uint64_t filled_ns;
};

struct al_llm {
    struct al_llm_options opt; /* strings are copies; immutable */
    char *url;
    char *authorization; /* NULL: none */
    char *model;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    uint32_t n_calls; /* guarded by lock; so the next */
    struct bucket requests;
    struct bucket tokens;
    uint64_t day;
    uint64_t tokens_today;
    bool alerted;
    struct al_llm_usage usage;
    struct al_metric *m_requests;
    struct al_metric *m_failures;
    struct al_metric *m_tokens_in;
    struct al_metric *m_tokens_out;
    struct al_metric *m_seconds;
};

/* ---- life ---- */

static enum al_code check_options(const struct al_llm_options *o, struct al_err *err)
{
    size_t model = o->model ? strlen(o->model) : 0;
    if (!o->http || !o->url || !o->name)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "endpoint: url or client missing");
    if (model < 1 || model > MODEL_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "model: not 1 to %u bytes",
                         MODEL_BYTES_MAX);
    if (o->timeout_ms && (o->timeout_ms < TIMEOUT_MS_MIN || o->timeout_ms > TIMEOUT_MS_MAX))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "time-out: not %u to %u ms",
                         TIMEOUT_MS_MIN, TIMEOUT_MS_MAX);
    if (o->calls_max > CALLS_MAX || o->attempts_max > 10)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                         "calls at a time: at most %u; attempts: at most 10", CALLS_MAX);
    if (!(o->price_in >= 0) || !(o->price_out >= 0))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "price: below 0 or no number");
    return AL_OK;
}

static char *join(struct al_mem *mem, const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    char *s = al_mem_alloc(mem, n + m + 1);
    if (s) {
        memcpy(s, a, n);
        memcpy(s + n, b, m + 1);
    }
    return s;
}

static enum al_code register_metrics(struct al_llm *l, struct al_err *err)
{
    struct al_buf b;
    char labels[64];
    al_buf_init(&b, l->opt.mem, sizeof(labels));
    al_metrics_label(&b, "use", al_str_c(l->opt.name));
    enum al_code code = al_buf_status(&b, err);
    if (code == AL_OK)
        memcpy(labels, b.p, b.n + 1);
    al_buf_fini(&b);
    AL_TRY(code);
    struct al_metrics *m = l->opt.metrics;
    AL_TRY(al_metrics_counter(m, "airlore_llm_requests_total", "Calls of a model endpoint.", labels,
                              &l->m_requests, err));
    AL_TRY(al_metrics_counter(m, "airlore_llm_failures_total",
                              "Calls of a model endpoint that gave no answer.", labels,
                              &l->m_failures, err));
    AL_TRY(al_metrics_counter(m, "airlore_llm_tokens_in_total", "Tokens sent to a model endpoint.",
                              labels, &l->m_tokens_in, err));
    AL_TRY(al_metrics_counter(m, "airlore_llm_tokens_out_total", "Tokens a model endpoint wrote.",
                              labels, &l->m_tokens_out, err));
    return al_metrics_histogram(m, "airlore_llm_seconds", "Time of calls of a model endpoint.",
                                labels, &l->m_seconds, err);
}

static enum al_code fill_in(struct al_llm *l, struct al_err *err)
{
    const struct al_llm_options *o = &l->opt;
    size_t n = strlen(o->url);
    while (n > 0 && o->url[n - 1] == '/')
        n--;
    l->url = al_mem_strndup(o->mem, o->url, n);
    l->model = join(o->mem, o->model, "");
    bool has_key = o->key && o->key[0];
    if (has_key)
        l->authorization = join(o->mem, "Bearer ", o->key);
    if (!l->url || !l->model || (has_key && !l->authorization))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "endpoint: out of memory");
    return register_metrics(l, err);
}

static void set_defaults(struct al_llm_options *o)
{
    o->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS_DEFAULT;
    o->calls_max = o->calls_max ? o->calls_max : CALLS_DEFAULT;
    o->clock = o->clock ? o->clock : al_clock_system();
}

static void bucket_init(struct bucket *b, uint32_t per_minute, uint64_t now_ns)
{
    *b = (struct bucket){(double)per_minute, (double)per_minute, now_ns};
}

enum al_code al_llm_create(const struct al_llm_options *opt, struct al_llm **ret,
                           struct al_err *err)
{
    pthread_condattr_t monotonic;
    AL_TRY(check_options(opt, err));
    struct al_llm *l = al_mem_zalloc(opt->mem, sizeof(*l));
    if (!l)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "endpoint: out of memory");
    l->opt = *opt;
    set_defaults(&l->opt);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    uint64_t now = al_clock_mono_ns(l->opt.clock);
    bucket_init(&l->requests, opt->requests_per_minute, now);
    bucket_init(&l->tokens, opt->tokens_per_minute, now);
    enum al_code code = fill_in(l, err);
    l->opt.key = NULL; /* the copies are what is used */
    l->opt.url = l->url;
    l->opt.model = l->model;
    if (code != AL_OK) {
        al_llm_destroy(l);
        return code;
    }
    *ret = l;
    return AL_OK;
}

void al_llm_destroy(struct al_llm *l)
{
    if (!l)
        return;
    pthread_cond_destroy(&l->freed);
    pthread_mutex_destroy(&l->lock);
    al_mem_free(l->opt.mem, l->url);
    al_mem_free(l->opt.mem, l->model);
    al_mem_free(l->opt.mem, l->authorization);
    al_mem_free(l->opt.mem, l);
}

const char *al_llm_model(const struct al_llm *l)
{
    return l->model;
}

/* ---- rate and budget ---- */

/* Milliseconds until n can be taken; takes it when that is 0. Under lock. */
static uint64_t bucket_take(struct bucket *b, double n, uint64_t now_ns)
{
    if (b->per_minute <= 0)
        return 0;
    n = n < b->per_minute ? n : b->per_minute; /* a large one empties it */
    double refill = (double)(now_ns - b->filled_ns) / 60e9 * b->per_minute;
    b->level = b->level + refill < b->per_minute ? b->level + refill : b->per_minute;
    b->filled_ns = now_ns;
    if (b->level >= n) {
        b->level -= n;
        return 0;
    }
    return (uint64_t)ceil((n - b->level) / b->per_minute * 60000.0);
}

/* Under lock. */
static void new_day(struct al_llm *l)
{
    uint64_t day = al_clock_wall_ms(l->opt.clock) / DAY_MS;
    if (day == l->day)
        return;
    l->day = day;
    l->tokens_today = 0;
    l->alerted = false;
}

/* Whether the call may go now, and else when. Under lock. */
static enum al_code admit(struct al_llm *l, uint64_t tokens, uint64_t *ret_wait_ms,
                          struct al_err *err)
{
    new_day(l);
    uint64_t budget = l->opt.tokens_per_day;
    if (budget && (l->tokens_today >= budget || tokens > budget - l->tokens_today))
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED",
                         "endpoint '%s': the day's budget of tokens is spent", l->opt.name);
    uint64_t now = al_clock_mono_ns(l->opt.clock);
    *ret_wait_ms = bucket_take(&l->requests, 1, now);
    if (*ret_wait_ms)
        return AL_OK;
    *ret_wait_ms = bucket_take(&l->tokens, (double)tokens, now);
    if (*ret_wait_ms)
        l->requests.level += l->requests.per_minute > 0; /* given back */
    return AL_OK;
}

static bool wait_ms(struct al_llm *l, uint64_t ms)
{
    if (l->opt.wait)
        return l->opt.wait(l->opt.wait_u, (uint32_t)ms);
    struct timespec t = {(time_t)(ms / 1000u), (long)(ms % 1000u) * 1000000L};
    while (nanosleep(&t, &t) != 0) {
    }
    return true;
}

static enum al_code wait_for_rate(struct al_llm *l, const struct al_llm_call *call,
                                  uint64_t deadline_ns, struct al_err *err)
{
    for (;;) {
        uint64_t ms = 0;
        pthread_mutex_lock(&l->lock);
        enum al_code code = admit(l, call->tokens_max, &ms, err);
        pthread_mutex_unlock(&l->lock);
        if (code != AL_OK || ms == 0)
            return code;
        if (call->cancel && call->cancel(call->u))
            return AL_FAIL(err, AL_CANCELLED, "endpoint '%s': cancelled", l->opt.name);
        if (al_clock_deadline(l->opt.clock, ms) >= deadline_ns)
            return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RATE_LIMITED",
                             "endpoint '%s': its rate leaves no room for %llu ms", l->opt.name,
                             (unsigned long long)ms);
        if (!wait_ms(l, ms < 1000 ? ms : 1000))
            return AL_FAIL(err, AL_CANCELLED, "endpoint '%s': cancelled", l->opt.name);
    }
}

/* One of the calls at a time; waits for it. */
static enum al_code enter(struct al_llm *l, uint64_t deadline_ns, struct al_err *err)
{
    pthread_mutex_lock(&l->lock);
    while (l->n_calls >= l->opt.calls_max && !al_clock_has_passed(l->opt.clock, deadline_ns)) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += 1;
        pthread_cond_timedwait(&l->freed, &l->lock, &t);
    }
    bool free_now = l->n_calls < l->opt.calls_max;
    l->n_calls += free_now;
    pthread_mutex_unlock(&l->lock);
    if (!free_now)
        return AL_FAIL(err, AL_DEADLINE_EXCEEDED,
                       "endpoint '%s': all calls were taken until the deadline", l->opt.name);
    return AL_OK;
}

static void leave(struct al_llm *l)
{
    pthread_mutex_lock(&l->lock);
    l->n_calls--;
    pthread_cond_signal(&l->freed);
    pthread_mutex_unlock(&l->lock);
}

/* ---- a call ---- */

/* The endpoint's own words: {"error":{"message":"..."}}, or the beginning of what it said. */
static void error_words(struct al_str body, char *out, size_t max)
{
    json_t *v = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const char *message =
        json_string_value(json_object_get(json_object_get(v, "error"), "message"));
    struct al_str s = message ? al_str_c(message) : body.p ? body : (struct al_str){"", 0};
    size_t n = al_str_utf8_floor(s, s.n < max - 1 ? s.n : max - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i];
    out[n] = '\0';
    json_decref(v);
}

static enum al_code fail_status(const struct al_llm *l, const struct al_http_response *r,
                                struct al_err *err)
{
    char words[ERROR_BYTES_MAX];
    error_words(r->body, words, sizeof(words));
    bool may_pass = r->status == 408 || r->status == 425 || r->status == 429 || r->status >= 500;
    if (may_pass)
        return AL_FAIL_R(err, AL_UNAVAILABLE, "UPSTREAM_UNAVAILABLE",
                         "endpoint '%s': status %u: %s", l->opt.name, r->status, words);
    return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "UPSTREAM_REFUSED",
                     "endpoint '%s': status %u: %s", l->opt.name, r->status, words);
}

static enum al_code send_call(struct al_llm *l, const struct al_llm_call *call,
                              uint64_t deadline_ns, struct al_arena *a,
                              struct al_http_response *ret, struct al_err *err)
{
    struct al_http_header headers[] = {
        {AL_STR("Content-Type"), AL_STR("application/json")},
        {AL_STR("Authorization"), al_str_c(l->authorization)},
    };
    const char *url = al_arena_printf(a, "%s%s", l->url, call->path);
    if (!url)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "endpoint: memory limit");
    struct al_http_request req = {.method = AL_HTTP_POST,
                                  .url = al_str_c(url),
                                  .headers = headers,
                                  .n_headers = l->authorization ? 2 : 1,
                                  .body = call->body,
                                  .deadline_ns = deadline_ns,
                                  .response_bytes_max = call->response_bytes_max,
                                  .on_body = call->on_body,
                                  .cancel = call->cancel,
                                  .u = call->u};
    struct al_http_retry retry = {.attempts_max = l->opt.attempts_max,
                                  .is_idempotent = true, /* asking twice changes nothing there */
                                  .random = l->opt.random,
                                  .wait = l->opt.wait,
                                  .u = l->opt.wait_u};
    return al_http_send_retry(l->opt.http, &req, &retry, a, ret, err);
}

static void note_call(struct al_llm *l, uint64_t start_ns, bool failed)
{
    al_metric_add(l->m_requests, 1);
    al_metric_add(l->m_failures, failed);
    al_metric_observe(l->m_seconds, (double)(al_clock_mono_ns(l->opt.clock) - start_ns) / 1e9);
    pthread_mutex_lock(&l->lock);
    l->usage.requests++;
    l->usage.failures += failed;
    pthread_mutex_unlock(&l->lock);
}

enum al_code al_llm_post(struct al_llm *l, const struct al_llm_call *call, struct al_arena *a,
                         struct al_str *ret, struct al_err *err)
{
    uint64_t deadline_ns = al_clock_deadline(l->opt.clock, l->opt.timeout_ms);
    deadline_ns = call->deadline_ns < deadline_ns ? call->deadline_ns : deadline_ns;
    struct al_http_response r = {0};
    AL_TRY(wait_for_rate(l, call, deadline_ns, err));
    AL_TRY(enter(l, deadline_ns, err));
    uint64_t start = al_clock_mono_ns(l->opt.clock);
    enum al_code code = send_call(l, call, deadline_ns, a, &r, err);
    leave(l);
    if (code == AL_OK && r.status >= 300)
        code = fail_status(l, &r, err);
    note_call(l, start, code != AL_OK);
    if (code == AL_OK)
        *ret = r.body;
    return code;
}

double al_llm_count(struct al_llm *l, uint64_t tokens_in, uint64_t tokens_out)
{
    tokens_in = tokens_in < CALL_TOKENS_MAX ? tokens_in : CALL_TOKENS_MAX;
    tokens_out = tokens_out < CALL_TOKENS_MAX ? tokens_out : CALL_TOKENS_MAX;
    double cost =
        ((double)tokens_in * l->opt.price_in + (double)tokens_out * l->opt.price_out) / 1e6;
    al_metric_add(l->m_tokens_in, tokens_in);
    al_metric_add(l->m_tokens_out, tokens_out);
    pthread_mutex_lock(&l->lock);
    new_day(l);
    l->usage.tokens_in += tokens_in;
    l->usage.tokens_out += tokens_out;
    l->usage.cost += cost;
    l->tokens_today += tokens_in + tokens_out;
    bool alert = l->opt.tokens_per_day && !l->alerted &&
                 (double)l->tokens_today >= ALERT_SHARE * (double)l->opt.tokens_per_day;
    l->alerted = l->alerted || alert;
    uint64_t today = l->tokens_today;
    pthread_mutex_unlock(&l->lock);
    if (alert)
        al_log(l->opt.log, AL_LOG_WARN, "llm.budget.near", AL_S("use", l->opt.name),
               AL_U64("tokens_today", today), AL_U64("tokens_per_day", l->opt.tokens_per_day));
    return cost;
}

void al_llm_get_usage(struct al_llm *l, struct al_llm_usage *ret)
{
    pthread_mutex_lock(&l->lock);
    new_day(l);
    *ret = l->usage;
    ret->tokens_today = l->tokens_today;
    pthread_mutex_unlock(&l->lock);
}

/* ---- JSON ---- */

uint64_t al_llm_guess_tokens(size_t n_bytes)
{
    return ((uint64_t)n_bytes + 3) / 4;
}

enum al_code al_llm_parse(struct al_str bytes, json_t **ret, struct al_err *err)
{
    json_error_t e;
    json_t *v = json_loadb(bytes.p ? bytes.p : "", bytes.n, 0, &e); /* at most 2,048 deep */
    if (!v)
        return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER", "endpoint: no JSON: %s", e.text);
    *ret = v;
    return AL_OK;
}

enum al_code al_llm_dump(json_t *v, struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    if (!text)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "endpoint: out of memory");
    enum al_code code = al_arena_str(a, al_str_c(text), ret, err);
    free(text); /* jansson's: the standard allocator */
    return code;
}
