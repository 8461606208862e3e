#include "compose.h"

#include <stdlib.h>
#include <string.h>

#include "contradict.h"
#include "fold.h"

#define PASSAGES_A_HIT 96u
#define PROSE_BYTES_MAX 700u
#define BYTES_MIN 30u
#define ANSWER_BYTES_MAX 3500u
#define SOFT_WEIGHT 0.6
#define COSINE_WEIGHT 0.4
#define CONTEXT_SHARE 0.85 /* what a match in the heading counts against one in the passage */
#define KEEP_SHARE 0.6     /* of the best passage's score */
#define HIT_SHARE 0.5      /* of a passage's score that rests on the score of its hit */
#define NEIGHBOUR 0.3      /* weight of the better one of the passages beside it */
#define REPEAT_COSINE 0.9
#define CODE_SHARE 0.7     /* of its score that a block of code or a table keeps */
#define QUESTION_SHARE 0.5 /* of a sentence that asks itself */
#define CONTRADICTS_SHARE 0.7
#define OTHER_VERSION_SHARE 0.75

/* A passage that may be part of the answer. */
struct piece {
    struct al_str text;
    struct al_str lead; /* to come before it when it is an item of a long list, else "" */
    size_t hit;
    double score;
    const float *vector;
};

struct composing {
    const struct al_query_context *ctx;
    struct al_evidence *ev;
    struct al_arena *a;
    struct al_err *err;
    const struct al_query_result *res;
    const struct al_hit_evidence *evidence; /* of all its hits */
    struct al_str question;
    const struct al_filter *version; /* asked for; NULL: none */
    struct piece *pieces;
    size_t n;
    size_t cap;
};

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

/* ---- scores ---- */

/* Rows of tables that stand alone, and scraps of words, are not cited. */
static bool is_citable(enum al_passage_kind kind, struct al_str t)
{
    if (t.n < BYTES_MIN || kind == AL_PASSAGE_HEADING)
        return false;
    if (kind == AL_PASSAGE_PROSE && t.n > PROSE_BYTES_MAX)
        return false;
    if (kind == AL_PASSAGE_PROSE && t.p[t.n - 1] == ':')
        return false; /* it only announces what follows; that brings it along */
    size_t words = 1;
    bool is_ascii = true;
    for (size_t i = 0; i < t.n; i++) {
        words += t.p[i] == ' ';
        is_ascii = is_ascii && (unsigned char)t.p[i] < 0x80;
    }
    return words >= 4 || !is_ascii;
}

static double kind_share(enum al_passage_kind kind, struct al_str t)
{
    if (kind == AL_PASSAGE_CODE || kind == AL_PASSAGE_TABLE)
        return CODE_SHARE;
    return kind == AL_PASSAGE_PROSE && t.p[t.n - 1] == '?' ? QUESTION_SHARE : 1;
}

/* 1, or less when the document is for other versions than the one asked for. */
static double version_share(const struct composing *s, const struct al_doc *d)
{
    return al_version_fits(s->version, d) < 0 ? OTHER_VERSION_SHARE : 1;
}

/* A passage of a lower hit must be better to be taken. */
static double hit_share(const struct composing *s, size_t h)
{
    double best = s->evidence[0].rank;
    double share = best > 0 && s->evidence[h].rank > 0 ? s->evidence[h].rank / best : 1;
    return 1 - HIT_SHARE + HIT_SHARE * (share < 1 ? share : 1);
}

/* What stands above a passage. */
struct context {
    size_t hit;
    double share;   /* of the hit: rank, version */
    float *heading; /* matches of the nearest heading and the title */
    float *match;   /* scratch */
};

static enum al_code score_piece(struct composing *s, const struct context *c,
                                enum al_passage_kind kind, struct piece *p)
{
    size_t n = al_evidence_n_terms(s->ev);
    uint32_t dim = al_embedder_dim(s->ctx->embedder);
    float *vector = al_arena_array(s->a, dim, sizeof *vector);
    if (!vector)
        return no_memory(s->err);
    memset(c->match, 0, n * sizeof *c->match);
    AL_TRY(al_evidence_match(s->ev, p->text, c->match, s->err));
    for (size_t i = 0; i < n; i++) {
        float above = (float)CONTEXT_SHARE * c->heading[i];
        c->match[i] = above > c->match[i] ? above : c->match[i];
    }
    uint32_t n_tokens;
    AL_TRY(al_embedder_embed(s->ctx->embedder, p->text, vector, &n_tokens, s->err));
    double cosine = 0;
    for (uint32_t i = 0; i < dim; i++)
        cosine += (double)vector[i] * (double)al_evidence_vector(s->ev)[i];
    double soft = al_evidence_soft(s->ev, c->match);
    p->score = SOFT_WEIGHT * soft + COSINE_WEIGHT * (cosine > 0 ? cosine : 0);
    p->score *= c->share * kind_share(kind, p->text);
    p->score *= al_contradicts(s->question, p->text) ? CONTRADICTS_SHARE : 1;
    p->vector = vector;
    return AL_OK;
}

static struct al_str view(struct al_str text, struct al_span span)
{
    return al_str_trim(al_str_sub(text, span.start, span.end - span.start));
}

static enum al_code set_heading(struct composing *s, struct context *c, const struct al_hit *hit,
                                struct al_str heading)
{
    memset(c->heading, 0, al_evidence_n_terms(s->ev) * sizeof *c->heading);
    AL_TRY(al_evidence_match(s->ev, hit->doc->title, c->heading, s->err));
    return al_evidence_match(s->ev, heading, c->heading, s->err);
}

/* What stands beside a good passage belongs to it more often than not. */
static void smooth(struct piece *p, size_t n)
{
    double before = 0;
    for (size_t i = 0; i < n; i++) {
        double own = p[i].score;
        double after = i + 1 < n ? p[i + 1].score : 0;
        double beside = before > after ? before : after;
        p[i].score = (own + NEIGHBOUR * (beside > own ? beside : own)) / (1 + NEIGHBOUR);
        before = own;
    }
}

static enum al_code split_hit(struct composing *s, size_t h)
{
    const struct al_hit *hit = &s->res->hits[h];
    struct al_passage *found;
    size_t n;
    AL_TRY(al_passages(hit->answer, s->a, &found, &n, s->err));
    size_t n_terms = al_evidence_n_terms(s->ev) + 1;
    struct context c = {.hit = h,
                        .share = hit_share(s, h) * version_share(s, hit->doc),
                        .heading = al_arena_array(s->a, n_terms, sizeof(float)),
                        .match = al_arena_array(s->a, n_terms, sizeof(float))};
    if (!c.heading || !c.match)
        return no_memory(s->err);
    AL_TRY(set_heading(s, &c, hit, hit->heading));
    size_t first = s->n;
    for (size_t i = 0; i < n && i < PASSAGES_A_HIT && s->n < s->cap; i++) {
        struct piece p = {.text = view(hit->answer, found[i].span), .lead = AL_STR(""), .hit = h};
        if (found[i].kind == AL_PASSAGE_HEADING)
            AL_TRY(set_heading(s, &c, hit, p.text));
        if (!is_citable(found[i].kind, p.text))
            continue;
        if (found[i].kind == AL_PASSAGE_ITEM && found[i].lead.end)
            p.lead = view(hit->answer, found[i].lead);
        AL_TRY(score_piece(s, &c, found[i].kind, &p));
        s->pieces[s->n++] = p;
    }
    smooth(s->pieces + first, s->n - first);
    return AL_OK;
}

/* ---- choice ---- */

static int by_place(const void *x, const void *y)
{
    const struct piece *a = x;
    const struct piece *b = y;
    if (a->hit != b->hit)
        return a->hit < b->hit ? -1 : 1;
    /* of one text: views of the same memory */
    if (a->text.p != b->text.p)
        return a->text.p < b->text.p ? -1 : 1;
    return a->text.n < b->text.n ? -1 : a->text.n > b->text.n;
}

static int by_score(const void *x, const void *y)
{
    const struct piece *a = x;
    const struct piece *b = y;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return by_place(x, y);
}

static bool overlaps(const struct piece *a, struct al_str text)
{
    return a->text.p < text.p + text.n && text.p < a->text.p + a->text.n;
}

static bool is_taken(const struct composing *s, const struct piece *p, size_t n_chosen)
{
    uint32_t dim = al_embedder_dim(s->ctx->embedder);
    for (size_t i = 0; i < n_chosen; i++) {
        const struct piece *x = &s->pieces[i];
        if (overlaps(x, p->text) || al_str_eq(x->text, p->text))
            return true;
        double cosine = 0;
        for (uint32_t j = 0; x->vector && j < dim; j++)
            cosine += (double)p->vector[j] * (double)x->vector[j];
        if (cosine > REPEAT_COSINE)
            return true;
    }
    return false;
}

static bool lead_is_taken(const struct composing *s, struct al_str lead, size_t n_chosen)
{
    for (size_t i = 0; i < n_chosen; i++) {
        if (overlaps(&s->pieces[i], lead))
            return true;
    }
    return false;
}

/* The chosen ones to the front, in the order in which they are read; gives their number. */
static size_t choose(struct composing *s, uint32_t max)
{
    qsort(s->pieces, s->n, sizeof *s->pieces, by_score);
    size_t n = 0;
    size_t bytes = 0;
    double floor = s->n ? s->pieces[0].score * KEEP_SHARE : 0;
    /* a lead goes into a slot of its own: room for it is made by what was looked at before it */
    for (size_t i = 0; i < s->n && n < max && s->pieces[i].score >= floor; i++) {
        struct piece p = s->pieces[i];
        bool needs_lead = p.lead.n && !lead_is_taken(s, p.lead, n);
        size_t more = p.text.n + (needs_lead ? p.lead.n : 0);
        bool fits = n == 0 || bytes + more <= ANSWER_BYTES_MAX;
        if (!fits || is_taken(s, &p, n) || (needs_lead && (n + 2 > max || n + 2 > i + 1)))
            continue;
        if (needs_lead)
            s->pieces[n++] = (struct piece){p.lead, AL_STR(""), p.hit, p.score, NULL};
        s->pieces[n++] = p;
        bytes += more;
    }
    qsort(s->pieces, n, sizeof *s->pieces, by_place);
    return n;
}

/* ---- answer ---- */

static enum al_code write_answer(struct composing *s, size_t n, struct al_answer *ret)
{
    ret->sentences = al_arena_array(s->a, n + 1, sizeof *ret->sentences);
    ret->sources = al_arena_array(s->a, n + 1, sizeof(void *));
    if (!ret->sentences || !ret->sources)
        return no_memory(s->err);
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(s->a), 0);
    size_t last_hit = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct piece *p = &s->pieces[i];
        if (p->hit != last_hit)
            ret->sources[ret->n_sources++] = &s->res->hits[p->hit];
        last_hit = p->hit;
        ret->sentences[ret->n_sentences++] =
            (struct al_answer_sentence){p->text, (uint32_t)ret->n_sources};
        bool is_block = memchr(p->text.p, '\n', p->text.n) != NULL;
        al_buf_printf(&b, "%s", i == 0 ? "" : is_block ? "\n" : " ");
        al_buf_str(&b, p->text);
        al_buf_printf(&b, " [%zu]", ret->n_sources);
    }
    AL_TRY(al_buf_status(&b, s->err));
    ret->text = al_buf_view(&b);
    return AL_OK;
}

enum al_code al_compose(const struct al_query_context *ctx, struct al_evidence *ev,
                        const struct al_ask_options *opt, struct al_arena *a, struct al_answer *ans,
                        struct al_err *err)
{
    struct composing s = {.ctx = ctx,
                          .ev = ev,
                          .a = a,
                          .err = err,
                          .res = &ans->found,
                          .evidence = ans->evidence,
                          .question = opt->query.text};
    s.cap = s.res->n_hits * PASSAGES_A_HIT;
    s.pieces = al_arena_array(a, s.cap + 1, sizeof *s.pieces);
    if (!s.pieces)
        return no_memory(err);
    AL_TRY(al_version_filter(s.question, a, &s.version, err));
    for (size_t h = 0; h < ans->n_evidence; h++)
        AL_TRY(split_hit(&s, h));
    size_t n = choose(&s, opt->sentences_max);
    return n ? write_answer(&s, n, ans) : AL_OK;
}
