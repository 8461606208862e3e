/* robots.txt */
#include "robots.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct parser {
    struct al_arena *a;
    const char *agent;
    struct al_robots mine;
    struct al_robots others; /* of "*" */
    bool any_mine;
    bool in_agents; /* the last line was a user-agent: the next one joins the group */
    bool is_mine;   /* the group being read is for us */
    bool is_star;
};

/* The line without its comment, cut at ':'. */
static bool split_line(struct al_str line, struct al_str *key, struct al_str *value)
{
    const char *hash = memchr(line.p, '#', line.n);
    if (hash)
        line.n = (size_t)(hash - line.p);
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return false;
    *key = al_str_trim((struct al_str){line.p, (size_t)(colon - line.p)});
    *value = al_str_trim(al_str_sub(line, (size_t)(colon - line.p) + 1, line.n));
    return true;
}

static bool is_key(struct al_str key, const char *name)
{
    return key.n == strlen(name) && strncasecmp(key.p, name, key.n) == 0;
}

static void take_agent(struct parser *p, struct al_str value)
{
    if (!p->in_agents)
        p->is_mine = p->is_star = false;
    p->in_agents = true;
    size_t n = 0; /* the product token: "airlore" of "airlore/0.1" */
    while (n < value.n && value.p[n] != '/' && value.p[n] != ' ')
        n++;
    if (n == 1 && value.p[0] == '*')
        p->is_star = true;
    else if (n == strlen(p->agent) && strncasecmp(value.p, p->agent, n) == 0)
        p->is_mine = p->any_mine = true;
}

static enum al_code add_rule(struct parser *p, struct al_robots *to, struct al_str pattern,
                             bool allow, struct al_err *err)
{
    if (pattern.n == 0 || to->n >= AL_ROBOTS_RULES_MAX)
        return AL_OK;
    if ((to->n & (to->n - 1)) == 0) { /* full: 1, 2, 4, ... */
        size_t cap = to->n ? 2 * to->n : 1;
        struct al_robots_rule *more = al_arena_array(p->a, cap, sizeof *more);
        if (!more)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "robots: out of memory");
        if (to->n)
            memcpy(more, to->rules, to->n * sizeof *more);
        to->rules = more;
    }
    struct al_str kept;
    AL_TRY(al_arena_str(p->a, pattern, &kept, err));
    to->rules[to->n++] = (struct al_robots_rule){kept, allow};
    return AL_OK;
}

static void take_delay(struct parser *p, struct al_str value)
{
    uint64_t s = 0;
    const char *dot = memchr(value.p, '.', value.n);
    if (dot)
        value.n = (size_t)(dot - value.p);
    if (!al_str_u64(value, &s))
        return;
    uint32_t delay = (uint32_t)(s > 60 ? 60 : s);
    if (p->is_mine)
        p->mine.delay_s = delay;
    if (p->is_star)
        p->others.delay_s = delay;
}

static enum al_code take_line(struct parser *p, struct al_str line, struct al_err *err)
{
    struct al_str key;
    struct al_str value;
    if (!split_line(line, &key, &value))
        return AL_OK;
    if (is_key(key, "user-agent")) {
        take_agent(p, value);
        return AL_OK;
    }
    p->in_agents = false;
    bool allow = is_key(key, "allow");
    if (is_key(key, "crawl-delay"))
        take_delay(p, value);
    if (!allow && !is_key(key, "disallow"))
        return AL_OK;
    if (p->is_mine)
        AL_TRY(add_rule(p, &p->mine, value, allow, err));
    if (p->is_star)
        AL_TRY(add_rule(p, &p->others, value, allow, err));
    return AL_OK;
}

enum al_code al_robots_parse(struct al_str text, const char *agent, struct al_arena *a,
                             struct al_robots *ret, struct al_err *err)
{
    struct parser p = {.a = a, .agent = agent};
    text.n = text.n > AL_ROBOTS_BYTES_MAX ? AL_ROBOTS_BYTES_MAX : text.n;
    if (al_str_starts(text, AL_STR("\xef\xbb\xbf")))
        text = al_str_sub(text, 3, text.n);
    size_t at = 0;
    while (at < text.n) {
        size_t n = 0;
        while (at + n < text.n && text.p[at + n] != '\n' && text.p[at + n] != '\r')
            n++;
        if (n)
            AL_TRY(take_line(&p, (struct al_str){text.p + at, n}, err));
        at += n + 1;
    }
    *ret = p.any_mine ? p.mine : p.others;
    return AL_OK;
}

/* '*' is any bytes, '$' at the end is the end. Linear but for the stars: the last one is gone back
 * to, earlier ones never. */
static bool matches(struct al_str pattern, const char *path)
{
    bool to_end = pattern.n && pattern.p[pattern.n - 1] == '$';
    size_t n = pattern.n - to_end;
    size_t i = 0;
    size_t star = SIZE_MAX;
    const char *mark = NULL;
    const char *s = path;
    for (;;) {
        if (i < n && pattern.p[i] == '*') {
            star = ++i;
            mark = s;
        } else if (i == n && (!to_end || !*s)) {
            return true;
        } else if (i < n && *s && pattern.p[i] == *s) {
            i++;
            s++;
        } else if (star != SIZE_MAX && *mark) {
            i = star;
            s = ++mark;
        } else {
            return false;
        }
    }
}

bool al_robots_allow(const struct al_robots *r, const char *path)
{
    size_t best = 0;
    bool allow = true;
    for (size_t i = 0; i < r->n; i++) {
        const struct al_robots_rule *rule = &r->rules[i];
        if (rule->pattern.n < best || !matches(rule->pattern, path))
            continue;
        allow = rule->pattern.n > best ? rule->allow : allow || rule->allow;
        best = rule->pattern.n;
    }
    return allow;
}
