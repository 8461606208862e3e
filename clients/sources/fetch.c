/* Requests that behave. */
#include "fetch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIRST_WAIT_MS 500u

static void sleep_ms(struct al_pause *p, uint64_t ms)
{
    (void)p;
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

struct al_pause *al_pause_system(void)
{
    static struct al_pause pause = {sleep_ms};
    return &pause;
}

void al_fetch_init(struct al_fetch *f, struct al_web_http *http,
                   const struct al_source_ports *ports, double per_second)
{
    memset(f, 0, sizeof *f);
    f->http = http;
    f->clock = ports->clock ? ports->clock : al_clock_system();
    f->random = ports->random ? ports->random : al_random_system();
    f->pause = ports->pause ? ports->pause : al_pause_system();
    double ms = 1000.0 / per_second;
    f->delay_ms = ms > AL_FETCH_WAIT_MS_MAX ? AL_FETCH_WAIT_MS_MAX : (uint32_t)ms;
}

/* The host's entry; the one that was used longest ago makes room. */
static struct al_fetch_host *find_host(struct al_fetch *f, const char *host)
{
    struct al_fetch_host *oldest = &f->hosts[0];
    for (size_t i = 0; i < f->n_hosts; i++) {
        if (strcmp(f->hosts[i].host, host) == 0)
            return &f->hosts[i];
        if (f->hosts[i].used_ns < oldest->used_ns)
            oldest = &f->hosts[i];
    }
    struct al_fetch_host *h = f->n_hosts < AL_FETCH_HOSTS_MAX ? &f->hosts[f->n_hosts++] : oldest;
    memset(h, 0, sizeof *h);
    snprintf(h->host, sizeof h->host, "%s", host);
    return h;
}

void al_fetch_slow_down(struct al_fetch *f, const char *host, uint32_t delay_ms)
{
    struct al_fetch_host *h = find_host(f, host);
    h->delay_ms = delay_ms > f->delay_ms ? delay_ms : 0;
}

/* Wait for the host's turn. */
static void take_turn(struct al_fetch *f, const char *host)
{
    struct al_fetch_host *h = find_host(f, host);
    uint64_t now = al_clock_mono_ns(f->clock);
    if (h->next_ns > now) {
        f->pause->ms(f->pause, (h->next_ns - now + 999999) / 1000000);
        now = h->next_ns;
    }
    uint64_t delay = h->delay_ms ? h->delay_ms : f->delay_ms;
    h->next_ns = now + delay * 1000000;
    h->used_ns = now;
}

static bool is_worth_a_retry(enum al_code code, const struct al_web_reply *r)
{
    if (code != AL_OK)
        return code == AL_UNAVAILABLE || code == AL_DEADLINE_EXCEEDED;
    return r->status == 408 || r->status == 429 || r->status == 500 || r->status == 502 ||
           r->status == 503 || r->status == 504;
}

static void wait_before_retry(struct al_fetch *f, unsigned try, uint32_t retry_after_s)
{
    uint64_t whole = (uint64_t)FIRST_WAIT_MS << try;
    uint64_t ms = whole / 2 + al_random_below(f->random, whole / 2 + 1);
    if ((uint64_t)retry_after_s * 1000 > ms)
        ms = (uint64_t)retry_after_s * 1000;
    f->pause->ms(f->pause, ms > AL_FETCH_WAIT_MS_MAX ? AL_FETCH_WAIT_MS_MAX : ms);
}

enum al_code al_fetch_get(struct al_fetch *f, const struct al_web_request *r,
                          struct al_web_reply *ret, struct al_err *err)
{
    struct al_url url;
    AL_TRY(al_url_parse(r->url, &url, err));
    for (unsigned try = 0;; try++) {
        take_turn(f, url.host);
        f->n_requests++;
        enum al_code code = f->http->get(f->http, r, ret, err);
        if (!is_worth_a_retry(code, ret) || try + 1 == AL_FETCH_TRIES)
            return code;
        wait_before_retry(f, try, code == AL_OK ? ret->retry_after_s : 0);
    }
}
