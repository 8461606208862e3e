/* Which endpoint is in use. */
#include <string.h>

#include "etcd_client.h"

#define BAD_MIN_MS 50u
#define BAD_MAX_MS 5000u
#define URL_BYTES_MAX 300u

static enum al_code bad_option(struct al_err *err, struct al_str url)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION",
                     "etcd: endpoint '" AL_STR_FMT
                     "': 'http://host:port' or 'https://host:port' is needed",
                     AL_STR_ARG(url));
}

static bool has_host(struct al_str url)
{
    size_t scheme = al_str_starts(url, AL_STR("https://"))  ? 8
                    : al_str_starts(url, AL_STR("http://")) ? 7
                                                            : 0;
    bool ok = scheme > 0 && url.n > scheme && url.n <= URL_BYTES_MAX;
    for (size_t i = scheme; ok && i < url.n; i++) {
        char c = url.p[i];
        /* No user, path or question: nothing that curl would read differently from what it says. */
        ok = c > ' ' && c <= '~' && c != '/' && c != '@' && c != '?' && c != '#';
    }
    return ok;
}

static enum al_code add(struct al_etcd_endpoints *s, struct al_mem *mem, struct al_str url,
                        struct al_err *err)
{
    url = al_str_trim(url);
    if (al_str_ends(url, AL_STR("/")))
        url.n--;
    if (!has_host(url))
        return bad_option(err, url);
    if (s->n == AL_ETCD_ENDPOINTS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "etcd: more than %u endpoints",
                         AL_ETCD_ENDPOINTS_MAX);
    char *copy = al_mem_strndup(mem, url.p, url.n);
    if (!copy)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "etcd: out of memory");
    s->list[s->n++].url = copy;
    return AL_OK;
}

enum al_code al_etcd_endpoints_init(struct al_etcd_endpoints *s, struct al_mem *mem,
                                    const char *text, struct al_err *err)
{
    struct al_str rest = al_str_c(text);
    bool is_last = false;
    while (!is_last) {
        size_t comma = al_str_find(rest, AL_STR(","), 0);
        is_last = comma == SIZE_MAX;
        AL_TRY(add(s, mem, is_last ? rest : al_str_sub(rest, 0, comma), err));
        if (!is_last)
            rest = al_str_sub(rest, comma + 1, rest.n);
    }
    return AL_OK;
}

void al_etcd_endpoints_fini(struct al_etcd_endpoints *s, struct al_mem *mem)
{
    for (size_t i = 0; i < s->n; i++)
        al_mem_free(mem, s->list[i].url);
    s->n = 0;
}

void al_etcd_endpoint_good(struct al_etcd *e, size_t at)
{
    e->endpoints.list[at].n_failures = 0;
    e->endpoints.list[at].bad_until_ns = 0;
}

/* The next one that may be good; else the one that may be soonest. */
static size_t choose(const struct al_etcd_endpoints *s, uint64_t now_ns)
{
    size_t best = s->current;
    uint64_t best_ns = UINT64_MAX;
    for (size_t i = 1; i <= s->n; i++) {
        size_t at = (s->current + i) % s->n;
        uint64_t ns = s->list[at].bad_until_ns <= now_ns ? 0 : s->list[at].bad_until_ns;
        if (ns < best_ns) {
            best = at;
            best_ns = ns;
        }
    }
    return best;
}

void al_etcd_endpoint_bad(struct al_etcd *e, size_t at, const char *why)
{
    struct al_etcd_endpoints *s = &e->endpoints;
    struct al_etcd_endpoint *p = &s->list[at];
    uint64_t now = al_etcd_now(e);
    p->bad_until_ns = now + al_etcd_backoff_ns(e, p->n_failures, BAD_MIN_MS, BAD_MAX_MS);
    p->n_failures++;
    al_metric_add(e->metrics.n_endpoint_failures, 1);
    if (s->current == at)
        s->current = choose(s, now);
    al_log(e->opt.log, AL_LOG_WARN, "coord.etcd.endpoint_failed", AL_S("endpoint", p->url),
           AL_S("why", why), AL_U64("failures", p->n_failures),
           AL_S("using", s->list[s->current].url));
    al_etcd_watches_move(e, at);
}
