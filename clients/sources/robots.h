/* robots.h - robots.txt as RFC 9309 says it.
 *
 * Thread: confined to one thread. Memory: the rules that are for us, in an arena.
 */
#ifndef AIRLORE_SOURCES_ROBOTS_H
#define AIRLORE_SOURCES_ROBOTS_H

#include "airlore/arena.h"

#define AL_ROBOTS_BYTES_MAX ((size_t)512 << 10) /* what comes after that is not read */
#define AL_ROBOTS_RULES_MAX 10000u

struct al_robots_rule {
    struct al_str pattern;
    bool allow;
};

struct al_robots {
    struct al_robots_rule *rules;
    size_t n;
    uint32_t delay_s; /* Crawl-delay, at most 60; 0: none */
};

/* Read the groups for agent ("airlore"), else those for "*". Never fails on bad text. *ret in a;
 * text borrowed for the call. AL_RESOURCE_EXHAUSTED is the only error. */
AL_NODISCARD enum al_code al_robots_parse(struct al_str text, const char *agent, struct al_arena *a,
                                          struct al_robots *ret, struct al_err *err);

/* Whether path (with its query) may be read: the longest matching rule decides, allow on a tie. */
bool al_robots_allow(const struct al_robots *r, const char *path);

#endif
