#include "airlore/snippet.h"

#include <string.h>

#define QUERY_TERMS_MAX 64u
#define HITS_MAX 20000u
#define WINDOW_MIN 100u
#define WINDOW_MAX 4000u

/* A token of the text that has a term of the query. */
struct hit {
    uint32_t start;
    uint32_t end;
    uint64_t terms; /* which terms, one bit each */
};

struct collect {
    struct al_arena *a;
    const struct al_str *terms;
    size_t n_terms;
    struct hit *hits;
    size_t n;
    size_t cap;
    bool failed;
};

static void on_term(void *u, const struct al_term *t)
{
    struct collect *c = u;
    uint64_t bits = 0;
    for (size_t i = 0; i < c->n_terms; i++)
        if (al_str_eq(c->terms[i], t->term))
            bits |= (uint64_t)1 << i;
    if (bits == 0 || c->failed || c->n >= HITS_MAX)
        return;
    if (c->n > 0 && c->hits[c->n - 1].start == t->start) {
        c->hits[c->n - 1].terms |= bits;
        return;
    }
    void *p = c->hits;
    if (al_mem_grow(al_arena_mem(c->a), &p, &c->cap, c->n + 1, sizeof(*c->hits)) != AL_OK) {
        c->failed = true;
        return;
    }
    c->hits = p;
    c->hits[c->n++] = (struct hit){t->start, t->end, bits};
}

/* First and last hit of the best window: most distinct terms, then most hits, then the first. */
static void best_window(const struct collect *c, size_t max, size_t *ret_first, size_t *ret_last)
{
    uint32_t count[QUERY_TERMS_MAX] = {0};
    size_t distinct = 0;
    size_t best_distinct = 0;
    size_t best_n = 0;
    size_t first = 0;
    for (size_t last = 0; last < c->n; last++) {
        for (size_t i = 0; i < c->n_terms; i++)
            if (c->hits[last].terms >> i & 1 && count[i]++ == 0)
                distinct++;
        while (first < last && c->hits[last].end - c->hits[first].start > max) {
            for (size_t i = 0; i < c->n_terms; i++)
                if (c->hits[first].terms >> i & 1 && --count[i] == 0)
                    distinct--;
            first++;
        }
        size_t n = last - first + 1;
        if (distinct > best_distinct || (distinct == best_distinct && n > best_n)) {
            best_distinct = distinct;
            best_n = n;
            *ret_first = first;
            *ret_last = last;
        }
    }
}

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* A sentence or a line begins at s[i]. */
static bool begins(struct al_str s, size_t i)
{
    if (i == 0 || s.p[i - 1] == '\n')
        return true;
    return i >= 2 && is_white(s.p[i - 1]) && strchr(".!?", s.p[i - 2]) && s.p[i - 2];
}

/* Where to begin a window so that [hit_start, hit_end) is in it with some text before. */
static size_t window_start(struct al_str s, size_t hit_start, size_t hit_end, size_t max)
{
    size_t spare = hit_end - hit_start < max ? max - (hit_end - hit_start) : 0;
    size_t least = hit_start > spare * 2 / 3 ? hit_start - spare * 2 / 3 : 0;
    if (least == 0)
        return 0;
    for (size_t i = least; i <= hit_start; i++)
        if (begins(s, i) && hit_start - i < spare)
            return i;
    for (size_t i = least; i <= hit_start; i++)
        if (is_white(s.p[i - 1]))
            return i;
    return al_str_utf8_floor(s, hit_start);
}

/* Where to end it. */
static size_t window_end(struct al_str s, size_t start, size_t hit_end, size_t max)
{
    size_t limit = start + max;
    if (limit >= s.n)
        return s.n;
    size_t floor = hit_end > start + max / 2 ? hit_end : start + max / 2;
    for (size_t i = limit; i >= floor && i > start; i--)
        if (begins(s, i))
            return i;
    for (size_t i = limit; i > hit_end && i > start; i--)
        if (is_white(s.p[i]))
            return i;
    return start + al_str_utf8_floor(al_str_sub(s, start, max + 4), max);
}

static struct al_str trimmed(struct al_str s, size_t start, size_t end)
{
    while (start < end && is_white(s.p[start]))
        start++;
    while (end > start && is_white(s.p[end - 1]))
        end--;
    return al_str_sub(s, start, end - start);
}

/* Highlights of the hits inside the window; overlapping tokens become one. */
static enum al_code highlight(const struct collect *c, struct al_snippet *s, struct al_err *err)
{
    uint32_t end = s->offset + (uint32_t)s->text.n;
    s->highlights = al_arena_array(c->a, c->n + 1, sizeof(*s->highlights));
    if (!s->highlights)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "snippet: over the memory limit of the call");
    for (size_t i = 0; i < c->n; i++) {
        const struct hit *h = &c->hits[i];
        if (h->start < s->offset || h->end > end)
            continue;
        struct al_span span = {h->start - s->offset, h->end - s->offset};
        struct al_span *last = s->n_highlights ? &s->highlights[s->n_highlights - 1] : NULL;
        if (last && span.start < last->end)
            last->end = span.end > last->end ? span.end : last->end;
        else
            s->highlights[s->n_highlights++] = span;
    }
    return AL_OK;
}

// NOLINTNEXTLINE(readability-function-size): the text, the query and where to put it
enum al_code al_snippet_make(struct al_analyzer *an, struct al_str text,
                             const struct al_str *query_terms, size_t n_terms, size_t max_bytes,
                             struct al_arena *a, struct al_snippet *ret, struct al_err *err)
{
    struct collect c = {.a = a, .terms = query_terms, .n_terms = n_terms};
    size_t max = max_bytes < WINDOW_MIN ? WINDOW_MIN : max_bytes;
    size_t first = 0;
    size_t last = 0;
    max = max > WINDOW_MAX ? WINDOW_MAX : max;
    c.n_terms = n_terms > QUERY_TERMS_MAX ? QUERY_TERMS_MAX : n_terms;
    al_analyzer_find(an, text, c.terms, c.n_terms, on_term, &c);
    if (c.failed)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "snippet: over the memory limit of the call");
    size_t start = 0;
    size_t hit_end = 0;
    if (c.n > 0) {
        best_window(&c, max, &first, &last);
        hit_end = c.hits[last].end;
        start = window_start(text, c.hits[first].start, hit_end, max);
        hit_end = hit_end > start + max ? start + max : hit_end;
    }
    struct al_snippet s = {0};
    s.text = trimmed(text, start, window_end(text, start, hit_end, max));
    s.offset = s.text.n > 0 ? (uint32_t)(s.text.p - text.p) : 0;
    AL_TRY(highlight(&c, &s, err));
    *ret = s;
    return AL_OK;
}
