#include "airlore/http_retry.h"

#include <time.h>

#define ATTEMPTS_DEFAULT 4u
#define ATTEMPTS_MAX 10u
#define BASE_MS_DEFAULT 200u
#define MAX_MS_DEFAULT 30000u
#define YEAR_S (86400ull * 365)

/* The caller's on_body behind a gate for answers that are tried again. */
struct gate {
    const struct al_http_request *req;
    bool passed;
};

static enum al_code gate_body(void *u, const struct al_http_response *head, struct al_str part,
                              struct al_err *err)
{
    struct gate *g = u;
    if (head->status >= 300)
        return AL_OK;
    g->passed = true;
    return g->req->on_body(g->req->u, head, part, err);
}

static bool gate_cancel(void *u)
{
    const struct gate *g = u;
    return g->req->cancel && g->req->cancel(g->req->u);
}

static bool status_may_pass(uint32_t status)
{
    static const uint32_t list[] = {408, 425, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < AL_ARRAY_LEN(list); i++)
        if (list[i] == status)
            return true;
    return false;
}

static bool is_final(const struct al_http_request *req, const struct al_http_retry *r,
                     enum al_code code, uint32_t status)
{
    bool repeatable = r->is_idempotent || al_http_is_safe(req->method);
    if (code == AL_UNAVAILABLE)
        return false;
    if (code == AL_UNKNOWN)
        return !repeatable;
    if (code != AL_OK || !status_may_pass(status))
        return true;
    return !repeatable && status != 425 && status != 429;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" to milliseconds since the epoch, 0 if it is none. */
static uint64_t http_date_ms(struct al_str s)
{
    struct tm t = {0};
    char buf[64];
    if (s.n >= sizeof(buf))
        return 0;
    for (size_t i = 0; i < s.n; i++)
        buf[i] = s.p[i];
    buf[s.n] = '\0';
    const char *end = strptime(buf, "%a, %d %b %Y %H:%M:%S GMT", &t);
    time_t at = end && *end == '\0' ? timegm(&t) : 0;
    return at > 0 ? (uint64_t)at * 1000u : 0;
}

uint64_t al_http_retry_after_ms(const struct al_http_response *r, uint64_t now_ms)
{
    struct al_str v = al_http_find_header(r, "retry-after");
    uint64_t seconds = 0;
    if (al_str_u64(v, &seconds))
        return (seconds < YEAR_S ? seconds : YEAR_S) * 1000u;
    uint64_t at = http_date_ms(v);
    return at > now_ms ? at - now_ms : 0;
}

/* *ret_ms: how long to wait before attempt `n` (from 1); false: longer than allowed. */
static bool wait_before(const struct al_http *h, const struct al_http_retry *r, uint32_t n,
                        const struct al_http_response *last, uint32_t *ret_ms)
{
    uint64_t base = r->base_ms ? r->base_ms : BASE_MS_DEFAULT;
    uint64_t max = r->max_ms ? r->max_ms : MAX_MS_DEFAULT;
    uint64_t top = base << (n - 1);
    top = top > max ? max : top;
    uint64_t ms = al_random_below(r->random ? r->random : al_random_system(), top + 1);
    uint64_t asked = last ? al_http_retry_after_ms(last, al_clock_wall_ms(h->clock)) : 0;
    if (asked > max)
        return false;
    *ret_ms = (uint32_t)(asked > ms ? asked : ms);
    return true;
}

static bool wait_ms(const struct al_http_retry *r, uint32_t ms)
{
    if (r->wait)
        return r->wait(r->u, ms);
    struct timespec t = {(time_t)(ms / 1000u), (long)(ms % 1000u) * 1000000L};
    while (nanosleep(&t, &t) != 0) {
    }
    return true;
}

enum al_code al_http_send_retry(struct al_http *h, const struct al_http_request *req,
                                const struct al_http_retry *r, struct al_arena *a,
                                struct al_http_response *ret, struct al_err *err)
{
    uint32_t max = r->attempts_max ? r->attempts_max : ATTEMPTS_DEFAULT;
    max = max > ATTEMPTS_MAX ? ATTEMPTS_MAX : max;
    struct gate g = {req, false};
    struct al_http_request gated = *req;
    if (req->on_body)
        gated.on_body = gate_body;
    gated.cancel = gate_cancel;
    gated.u = &g;
    for (uint32_t n = 1;; n++) {
        struct al_http_response response = {0};
        struct al_err e = {0};
        enum al_code code = al_http_send(h, &gated, a, &response, &e);
        uint32_t ms = 0;
        bool again = n < max && !g.passed && !is_final(req, r, code, response.status) &&
                     wait_before(h, r, n, code == AL_OK ? &response : NULL, &ms);
        again = again && (req->deadline_ns == AL_DEADLINE_NONE ||
                          al_clock_deadline(h->clock, ms) < req->deadline_ns);
        if (again && wait_ms(r, ms))
            continue;
        if (code == AL_OK)
            *ret = response;
        else if (err)
            *err = e;
        return code;
    }
}
