/* Secrets out of a text. The one user of pcre2. */
#include "airlore/redact.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "redact_rules.h"

#define RULES_MAX 64u
#define SPANS_MAX (1u << 20)
#define ROUNDS_MAX 8u
#define MATCH_LIMIT_MIN 10000000u
#define JIT_STACK_MAX ((size_t)1 << 20)

struct span {
    size_t start;
    size_t end;
    const char *kind;
};

struct span_list {
    struct al_arena *a;
    struct span *p;
    size_t n;
    size_t cap;
};

/* One compiled rule; group numbers, 0 where the pattern has no such group. */
struct compiled {
    pcre2_code *code;
    uint32_t key;
    uint32_t value;
    uint32_t bare;
    uint32_t quote;
};

static struct compiled compiled[RULES_MAX];
static bool ready;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t group(const pcre2_code *code, const char *name)
{
    int n = pcre2_substring_number_from_name(code, (PCRE2_SPTR)name);
    return n > 0 ? (uint32_t)n : 0;
}

/* Compiled once for the life of the process. */
static void compile_all(void)
{
    AL_ASSERT(al_redact_n_rules <= RULES_MAX);
    for (size_t i = 0; i < al_redact_n_rules; i++) {
        int number = 0;
        PCRE2_SIZE at = 0;
        struct compiled *c = &compiled[i];
        c->code = pcre2_compile((PCRE2_SPTR)al_redact_rules[i].pattern, PCRE2_ZERO_TERMINATED,
                                PCRE2_DOTALL, &number, &at, NULL);
        AL_ASSERT(c->code || number == PCRE2_ERROR_HEAP_FAILED);
        if (!c->code)
            return;
        (void)pcre2_jit_compile(c->code, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
        c->key = group(c->code, "k");
        c->value = group(c->code, "v");
        c->bare = group(c->code, "u");
        c->quote = group(c->code, "q");
    }
    ready = true;
}

/* ---- which rules can match at all ---- */

/* The trigrams of a text without case, as bits of a hash: a text that lacks one of a hint's does
 * not hold the hint. */
#define GRAM_BITS 32768u

struct grams {
    struct al_str text;
    uint64_t bits[GRAM_BITS / 64];
};

static uint32_t lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u + 32u : u;
}

static uint32_t gram_hash(uint32_t gram)
{
    return (gram * 0x9E3779B1u) >> 17; /* 15 bits */
}

static void grams_init(struct grams *g, struct al_str text)
{
    g->text = text;
    memset(g->bits, 0, sizeof(g->bits));
    uint32_t gram = 0;
    for (size_t i = 0; i < text.n; i++) {
        gram = (gram << 8 | lower(text.p[i])) & 0xFFFFFFu;
        uint32_t h = gram_hash(gram);
        g->bits[h / 64] |= (uint64_t)(i >= 2) << (h % 64);
    }
}

static bool may_hold(const struct grams *g, const char *hint)
{
    for (size_t i = 2; hint[i]; i++) {
        uint32_t h = gram_hash(lower(hint[i - 2]) << 16 | lower(hint[i - 1]) << 8 | lower(hint[i]));
        if (!(g->bits[h / 64] >> (h % 64) & 1))
            return false;
    }
    return true;
}

static bool rule_may_match(const struct al_redact_rule *rule, const struct grams *g)
{
    bool held = !rule->hints[0];
    for (size_t i = 0; i < AL_REDACT_HINTS_MAX && rule->hints[i] && !held; i++)
        held = may_hold(g, rule->hints[i]);
    return held && (!rule->may || rule->may(g->text));
}

/* What one call needs of pcre2; made when the first rule is run. */
struct matcher {
    bool every_rule; /* also those that cannot match */
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void matcher_fini(struct matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

static enum al_code matcher_init(struct matcher *m, size_t text_bytes, struct al_err *err)
{
    if (m->data)
        return AL_OK;
    m->data = pcre2_match_data_create(16, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32768, JIT_STACK_MAX, NULL);
    if (!m->data || !m->context || !m->stack) {
        matcher_fini(m);
        m->data = NULL;
        m->context = NULL;
        m->stack = NULL;
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "redaction: out of memory");
    }
    size_t limit = MATCH_LIMIT_MIN + text_bytes * 16;
    pcre2_set_match_limit(m->context, limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit);
    pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return AL_OK;
}

static struct al_str group_text(const struct matcher *m, struct al_str text, uint32_t n)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    if (n == 0 || n >= pcre2_get_ovector_count(m->data) || at[(size_t)2 * n] == PCRE2_UNSET)
        return (struct al_str){NULL, 0};
    return (struct al_str){text.p + at[(size_t)2 * n], at[(size_t)2 * n + 1] - at[(size_t)2 * n]};
}

static enum al_code span_add(struct span_list *l, struct span s, struct al_err *err)
{
    void *p = l->p;
    if (l->n >= SPANS_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REDACTION_LIMIT",
                         "redaction: more than %u secrets in one text", SPANS_MAX);
    if (al_mem_grow(al_arena_mem(l->a), &p, &l->cap, l->n + 1, sizeof(*l->p)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "redaction: over the memory limit of the call");
    l->p = p;
    l->p[l->n++] = s;
    return AL_OK;
}

/* Look at one match. *ret_next: where to look for the next. */
static enum al_code on_match(const struct matcher *m, size_t rule, struct al_str text,
                             struct span_list *l, size_t *ret_next, struct al_err *err)
{
    const struct compiled *c = &compiled[rule];
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    struct al_redact_match match = {.text = text, .match_start = at[0]};
    match.key = group_text(m, text, c->key);
    match.secret = group_text(m, text, c->value);
    match.quoted = group_text(m, text, c->quote).p != NULL;
    if (!match.secret.p)
        match.secret = group_text(m, text, c->bare);
    *ret_next = at[1] > at[0] ? at[1] : at[0] + 1;
    if (!match.secret.p || match.secret.n == 0)
        return AL_OK;
    match.start = (size_t)(match.secret.p - text.p);
    if (al_redact_rules[rule].check && !al_redact_rules[rule].check(&match)) {
        /* a value may hold the next key: "secret: token=..." */
        *ret_next = match.start > at[0] ? match.start : at[0] + 1;
        return AL_OK;
    }
    struct span s = {match.start, match.start + match.secret.n, al_redact_rules[rule].kind};
    return span_add(l, s, err);
}

static enum al_code run_rule(const struct matcher *m, size_t rule, struct al_str text,
                             struct span_list *l, struct al_err *err)
{
    for (size_t at = 0; at < text.n;) {
        int n = pcre2_match(compiled[rule].code, (PCRE2_SPTR)text.p, text.n, at, 0, m->data,
                            m->context);
        if (n == PCRE2_ERROR_NOMATCH)
            return AL_OK;
        if (n == PCRE2_ERROR_NOMEMORY)
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "redaction: out of memory");
        if (n < 0)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REDACTION_LIMIT",
                             "redaction: the text exceeds a match limit (%s)",
                             al_redact_rules[rule].kind);
        AL_TRY(on_match(m, rule, text, l, &at, err));
    }
    return AL_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

/* Sort, and make overlapping spans one. */
static void merge(struct span_list *l)
{
    size_t n = 0;
    if (l->n == 0)
        return;
    qsort(l->p, l->n, sizeof(*l->p), by_start);
    for (size_t i = 1; i < l->n; i++) {
        if (l->p[i].start < l->p[n].end) {
            if (l->p[i].end > l->p[n].end)
                l->p[n].end = l->p[i].end;
        } else {
            l->p[++n] = l->p[i];
        }
    }
    l->n = n + 1;
}

static enum al_code replace(const struct span_list *l, struct al_str text, struct al_str *ret,
                            struct al_err *err)
{
    struct al_buf b;
    size_t from = 0;
    al_buf_init(&b, al_arena_mem(l->a), 0);
    for (size_t i = 0; i < l->n; i++) {
        al_buf_add(&b, text.p + from, l->p[i].start - from);
        al_buf_cstr(&b, "[redacted:");
        al_buf_cstr(&b, l->p[i].kind);
        al_buf_char(&b, ']');
        from = l->p[i].end;
    }
    al_buf_add(&b, text.p + from, text.n - from);
    AL_TRY(al_buf_status(&b, err));
    *ret = al_buf_view(&b);
    return AL_OK;
}

/* One round: all rules over the text. */
static enum al_code round_run(struct matcher *m, struct al_arena *a, struct al_str *text,
                              size_t *ret_n, struct al_err *err)
{
    struct span_list l = {.a = a};
    struct grams g;
    grams_init(&g, *text);
    for (size_t i = 0; i < al_redact_n_rules; i++) {
        if (!m->every_rule && !rule_may_match(&al_redact_rules[i], &g))
            continue;
        AL_TRY(matcher_init(m, text->n, err));
        AL_TRY(run_rule(m, i, *text, &l, err));
    }
    merge(&l);
    *ret_n = l.n;
    return l.n > 0 ? replace(&l, *text, text, err) : AL_OK;
}

/* What is replaced may uncover a match beside it: again until nothing is found. */
static enum al_code rounds_run(struct matcher *m, struct al_arena *a, struct al_str *text,
                               uint32_t *n_total, struct al_err *err)
{
    for (uint32_t i = 0; i < ROUNDS_MAX; i++) {
        size_t n = 0;
        AL_TRY(round_run(m, a, text, &n, err));
        if (n == 0)
            return AL_OK;
        *n_total += (uint32_t)n;
    }
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REDACTION_LIMIT",
                     "redaction: secrets left after %u rounds", ROUNDS_MAX);
}

enum al_code al_redact_run(struct al_str text, bool every_rule, struct al_arena *a,
                           struct al_str *ret, uint32_t *ret_n, struct al_err *err)
{
    struct matcher m = {.every_rule = every_rule};
    struct al_str result = text;
    uint32_t n = 0;
    (void)pthread_once(&once, compile_all);
    if (!ready)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "redaction: out of memory for the patterns");
    enum al_code code = rounds_run(&m, a, &result, &n, err);
    matcher_fini(&m);
    if (code != AL_OK)
        return code;
    *ret = result;
    *ret_n = n;
    return AL_OK;
}

enum al_code al_redact(struct al_str text, struct al_arena *a, struct al_str *ret, uint32_t *ret_n,
                       struct al_err *err)
{
    return al_redact_run(text, false, a, ret, ret_n, err);
}
