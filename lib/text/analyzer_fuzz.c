/* Any bytes to the analyzer and the snippet maker: terms and spans stay inside the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "airlore/analyzer.h"
#include "airlore/passages.h"
#include "airlore/sketch.h"
#include "airlore/snippet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t size;
    uint32_t position;
};

static void check(void *u, const struct al_term *t)
{
    struct seen *s = u;
    AL_ASSERT(t->term.n > 0 && t->term.n <= AL_TERM_BYTES_MAX);
    AL_ASSERT(t->start < t->end && t->end <= s->size);
    AL_ASSERT(t->position >= s->position);
    AL_ASSERT(al_str_is_utf8(t->term));
    s->position = t->position;
}

#define KEPT 16u

/* The first terms of a text, and what a visit saw of them. */
struct kept {
    char bytes[KEPT][AL_TERM_BYTES_MAX];
    struct al_str v[KEPT];
    size_t n;
    size_t n_seen;
    uint64_t places;
};

static void keep(void *u, const struct al_term *t)
{
    struct kept *k = u;
    if (k->n == KEPT)
        return;
    memcpy(k->bytes[k->n], t->term.p, t->term.n);
    k->v[k->n] = (struct al_str){k->bytes[k->n], t->term.n};
    k->n++;
}

static void look(void *u, const struct al_term *t)
{
    struct kept *k = u;
    for (size_t i = 0; i < k->n; i++) {
        if (!al_str_eq(k->v[i], t->term))
            continue;
        k->n_seen++;
        k->places = k->places * 31 + t->start + t->position;
        return;
    }
}

/* What is looked for is found as a visit of all terms finds it. */
static void check_find(struct al_analyzer *an, struct al_str text)
{
    struct kept all = {.n = 0};
    al_analyzer_run(an, text, keep, &all);
    struct kept some = all;
    for (size_t i = 0; i < some.n; i++)
        some.v[i].p = some.bytes[i];
    al_analyzer_run(an, text, look, &all);
    al_analyzer_find(an, text, some.v, some.n, look, &some);
    AL_ASSERT(some.n_seen == all.n_seen && some.places == all.places);
}

static void check_snippet(struct al_analyzer *an, struct al_str text)
{
    struct al_arena a;
    struct al_str terms[2] = {AL_STR("a"), AL_STR("task")};
    struct al_snippet s;
    struct al_span *spans = NULL;
    size_t n = 0;
    al_arena_init(&a, NULL, (size_t)16 << 20);
    if (al_snippet_make(an, text, terms, 2, 120, &a, &s, NULL) == AL_OK)
        for (size_t i = 0; i < s.n_highlights; i++)
            AL_ASSERT(s.highlights[i].start < s.highlights[i].end &&
                      s.highlights[i].end <= s.text.n);
    if (al_sentences(text, &a, &spans, &n, NULL) == AL_OK)
        for (size_t i = 0; i < n; i++)
            AL_ASSERT(spans[i].start < spans[i].end && spans[i].end <= text.n &&
                      (i == 0 || spans[i].start >= spans[i - 1].end));
    struct al_passage *p = NULL;
    if (al_passages(text, &a, &p, &n, NULL) == AL_OK)
        for (size_t i = 0; i < n; i++)
            AL_ASSERT(p[i].span.start < p[i].span.end && p[i].span.end <= text.n &&
                      p[i].lead.start <= p[i].lead.end && p[i].lead.end <= text.n);
    char sketch[AL_SKETCH_CHARS];
    bool fold = false;
    if (al_sketch_make(text, sketch))
        AL_ASSERT(al_sketch_similarity((struct al_str){sketch, sizeof sketch},
                                       (struct al_str){sketch, sizeof sketch}) > 0.99);
    if (al_texts_fold(text, text, &a, &fold, NULL) == AL_OK && fold)
        AL_ASSERT(text.n > 0);
    al_arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_analyzer *a = NULL;
    struct al_str text = {(const char *)data, size};
    struct seen s = {.size = size};
    if (al_analyzer_acquire(&a, NULL) != AL_OK)
        return 0;
    al_analyzer_run(a, text, check, &s);
    check_find(a, text);
    check_snippet(a, text);
    al_analyzer_release(a);
    return 0;
}
