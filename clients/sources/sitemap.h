/* sitemap.h - the addresses of a sitemap or of an index of sitemaps (sitemaps.org).
 *
 * Thread: confined to one thread. Memory: the addresses, in an arena.
 */
#ifndef AIRLORE_SOURCES_SITEMAP_H
#define AIRLORE_SOURCES_SITEMAP_H

#include "airlore/arena.h"

#define AL_SITEMAP_URLS_MAX 50000u /* as the protocol says */

struct al_sitemap_url {
    char *url;
    int64_t modified_s; /* 0: not said */
};

struct al_sitemap {
    struct al_sitemap_url *urls;
    size_t n;
    bool is_index;
};

/* Read XML; *ret in a. AL_INVALID_ARGUMENT: BAD_XML (also: XML of another
 * kind), TOO_DEEP, TOO_LARGE, TOO_MANY. */
AL_NODISCARD enum al_code al_sitemap_parse(struct al_str xml, struct al_arena *a,
                                           struct al_sitemap *ret, struct al_err *err);

#endif
