/* airlore/source_http.h - sources behind HTTP: pages, lists of pages, sitemaps, buckets.
 *
 * Pages: what was seen last time is kept in the cache folder (ETag, Last-Modified, checksum), so
 * that a page is asked for conditionally and an unchanged one costs one small answer. The cache is
 * advice: it counts only when the server still has what it says. robots.txt is followed. Redirects
 * go to http and https only, five at most. An address that the caller gave may lead anywhere; one
 * that came from elsewhere (a redirect to another host, a list from the web) may not lead to
 * loopback, private or link-local addresses, which is checked where the connection is made.
 *
 * Buckets: listed page by page with continuation tokens; an object's ETag is its checksum, so only
 * changed ones are read.
 *
 * Thread: confined to one thread. Memory: one page; one listing; the cache of pages (about 200
 * bytes a page, at most 1,000,000 pages).
 */
#ifndef AIRLORE_SOURCE_HTTP_H
#define AIRLORE_SOURCE_HTTP_H

#include "airlore/clock.h"
#include "airlore/random.h"
#include "airlore/source.h"

struct al_web_http;

/* Waiting, as a port. */
struct al_pause {
    void (*ms)(struct al_pause *p, uint64_t ms);
};

/* What the outside comes in through; NULL: the system's (http: a real one). All borrowed until
 * close. */
struct al_source_ports {
    struct al_web_http *http;
    struct al_clock *clock;
    struct al_random *random;
    struct al_pause *pause;
};

/* 0 and NULL mean the default. */
struct al_web_options {
    const char *cache_dir;      /* default: al_source_cache_dir("http") */
    double requests_per_second; /* for each host, default 5; Crawl-delay of robots.txt if longer */
    uint32_t timeout_ms;        /* of one request, default 60,000 */
    bool allow_private;         /* anything may lead anywhere */
    bool ignore_robots;         /* for the own hosts only */
    struct al_source_ports ports;
};

/* A page, or a sitemap (a path that ends in .xml or .xml.gz; indexes are followed, entries of other
 * hosts are left out). Ids are the URLs. */
AL_NODISCARD enum al_code al_web_open(const char *url, const struct al_web_options *opt,
                                      struct al_source **ret, struct al_err *err);

/* A list of URLs, one a line, '#' begins a comment: a file, "-" (standard input) or a URL. */
AL_NODISCARD enum al_code al_web_open_list(const char *list, const struct al_web_options *opt,
                                           struct al_source **ret, struct al_err *err);

/* Buckets; NULL: from the environment, as said there. */
struct al_bucket_options {
    const char *endpoint;   /* AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; gs: STORAGE_EMULATOR_HOST */
    const char *region;     /* AWS_REGION, AWS_DEFAULT_REGION, else us-east-1 */
    const char *access_key; /* AWS_ACCESS_KEY_ID; none: unsigned requests */
    const char *secret_key; /* AWS_SECRET_ACCESS_KEY */
    const char *session;    /* AWS_SESSION_TOKEN */
    const char *token;      /* gs: GOOGLE_OAUTH_ACCESS_TOKEN; none: no authorization */
    double requests_per_second; /* default 50 */
    uint32_t timeout_ms;
    struct al_source_ports ports;
};

/* "s3://BUCKET[/PREFIX]" or "gs://BUCKET[/PREFIX]". Ids are the names of the objects. */
AL_NODISCARD enum al_code al_bucket_open(const char *address, const struct al_bucket_options *opt,
                                         struct al_source **ret, struct al_err *err);

/* Whether it is an address of a bucket. */
bool al_bucket_is_address(const char *address);

/* The pause that sleeps. Shared, never freed. */
struct al_pause *al_pause_system(void);

#endif
