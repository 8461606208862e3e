/* The parser of filters: recursive descent, depth bounded, one pass.
 *
 *   expression = sequence { "OR" sequence }
 *   sequence   = factor { "AND" factor }
 *   factor     = ( "NOT" | "-" ) factor | "(" expression ")" | field operator value
 */
#include <string.h>

#include "filter_ast.h"

struct parser {
    struct al_str text;
    size_t at;
    struct al_arena *arena;
    unsigned n_terms;
    unsigned depth;
    struct al_err *err;
};

/* A value as it was read: escapes taken away; star: it ended in an unescaped '*', which is cut off.
 */
struct value {
    struct al_str s;
    bool star;
};

static const struct {
    const char *name;
    enum al_filter_field field;
    const char *key; /* of the metadata */
} fields[] = {
    {"id", AL_FIELD_ID, NULL},
    {"kind", AL_FIELD_KIND, NULL},
    {"title", AL_FIELD_TITLE, NULL},
    {"url", AL_FIELD_URL, NULL},
    {"version", AL_FIELD_VERSION, NULL},
    {"lang", AL_FIELD_LANG, NULL},
    {"language", AL_FIELD_LANG, NULL},
    {"source", AL_FIELD_SOURCE, NULL},
    {"team", AL_FIELD_TEAM, NULL},
    {"deployment", AL_FIELD_DEPLOYMENT, NULL},
    {"scope", AL_FIELD_SCOPE, NULL},
    {"tags", AL_FIELD_TAGS, NULL},
    {"topics", AL_FIELD_TAGS, NULL}, /* what was found in a text is among its tags */
    {"created", AL_FIELD_CREATED, NULL},
    {"create_time", AL_FIELD_CREATED, NULL},
    {"updated", AL_FIELD_UPDATED, NULL},
    {"update_time", AL_FIELD_UPDATED, NULL},
    {"airflow", AL_FIELD_AIRFLOW, NULL},
    {"author", AL_FIELD_META, "author"},
    {"operators", AL_FIELD_META, "operators"},
    {"quality", AL_FIELD_META, "quality"},
};

/* Columns count characters from 1. */
static size_t column_of(const struct parser *p, size_t at)
{
    size_t column = 1;
    for (size_t i = 0; i < at; i++)
        column += ((unsigned char)p->text.p[i] & 0xc0) != 0x80;
    return column;
}

static enum al_code bad(struct parser *p, size_t at, const char *expected)
{
    return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "BAD_FILTER", "filter: column %zu: expected %s",
                     column_of(p, at), expected);
}

static enum al_code out_of_memory(struct parser *p)
{
    return AL_FAIL(p->err, AL_RESOURCE_EXHAUSTED, "filter: out of memory");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* What a value may hold without quotes. */
static bool is_bare_char(char c)
{
    return is_name_char(c) || ((unsigned char)c & 0x80) || (c != '\0' && strchr(".-+*/:@~", c));
}

static char peek(struct parser *p)
{
    while (p->at < p->text.n && is_space(p->text.p[p->at]))
        p->at++;
    return p->at < p->text.n ? p->text.p[p->at] : '\0';
}

static bool at_end(struct parser *p)
{
    (void)peek(p);
    return p->at >= p->text.n;
}

/* Take a keyword if it stands here as a whole word. */
static bool take_word(struct parser *p, const char *word)
{
    (void)peek(p);
    struct al_str rest = al_str_sub(p->text, p->at, p->text.n);
    struct al_str w = al_str_c(word);
    if (!al_str_starts(rest, w) || (rest.n > w.n && is_name_char(rest.p[w.n])))
        return false;
    p->at += w.n;
    return true;
}

/* A quoted text from p->at, escapes `\"`, `\'`, `\\`, `\*` taken away. */
static enum al_code take_quoted(struct parser *p, struct value *ret)
{
    size_t start = p->at;
    char quote = p->text.p[p->at++];
    char *out = al_arena_alloc(p->arena, p->text.n - start);
    if (!out)
        return out_of_memory(p);
    size_t n = 0;
    bool star = false;
    for (; p->at < p->text.n && p->text.p[p->at] != quote; p->at++) {
        char c = p->text.p[p->at];
        star = c == '*';
        if (c == '\\') {
            if (++p->at >= p->text.n || !strchr("\"'\\*", p->text.p[p->at]))
                return bad(p, p->at - 1, "one of \\\" \\' \\\\ \\* for '\\'");
            c = p->text.p[p->at];
        }
        if ((unsigned char)c < 0x20)
            return bad(p, p->at, "no control character in a text");
        out[n++] = c;
    }
    if (p->at >= p->text.n)
        return bad(p, start, "the end of this quoted text");
    p->at++;
    *ret = (struct value){{out, n - star}, star};
    return AL_OK;
}

static enum al_code take_value(struct parser *p, struct value *ret)
{
    char c = peek(p);
    if (c == '"' || c == '\'')
        return take_quoted(p, ret);
    size_t start = p->at;
    while (p->at < p->text.n && is_bare_char(p->text.p[p->at]))
        p->at++;
    size_t n = p->at - start;
    if (n == 0)
        return bad(p, start, "a value");
    bool star = p->text.p[p->at - 1] == '*';
    struct al_str s = {p->text.p + start, n - star};
    if (al_str_is(s, "AND") || al_str_is(s, "OR") || al_str_is(s, "NOT"))
        return bad(p, start, "a value (put this word in quotes)");
    ret->star = star;
    if (al_arena_str(p->arena, s, &ret->s, NULL) != AL_OK)
        return out_of_memory(p);
    return AL_OK;
}

static enum al_code take_meta_key(struct parser *p, struct al_str *ret)
{
    size_t start = p->at;
    if (p->at < p->text.n && (p->text.p[p->at] == '"' || p->text.p[p->at] == '\'')) {
        struct value v;
        AL_TRY(take_quoted(p, &v));
        if (v.s.n == 0 || v.star)
            return bad(p, start, "a key of the metadata");
        *ret = v.s;
        return AL_OK;
    }
    while (p->at < p->text.n &&
           (is_name_char(p->text.p[p->at]) || p->text.p[p->at] == '.' || p->text.p[p->at] == '-'))
        p->at++;
    if (p->at == start)
        return bad(p, start, "a key of the metadata");
    if (al_arena_str(p->arena, (struct al_str){p->text.p + start, p->at - start}, ret, NULL) !=
        AL_OK)
        return out_of_memory(p);
    return AL_OK;
}

static enum al_code take_field(struct parser *p, struct al_filter_term *t)
{
    static const char expected[] =
        "a field (id, kind, title, url, version, language, source, team, deployment, scope, tags, "
        "topics, author, operators, quality, create_time, update_time, airflow, metadata.<key>)";
    (void)peek(p);
    size_t start = p->at;
    while (p->at < p->text.n && is_name_char(p->text.p[p->at]))
        p->at++;
    struct al_str name = {p->text.p + start, p->at - start};
    if (al_str_is(name, "metadata") && p->at < p->text.n && p->text.p[p->at] == '.') {
        p->at++;
        t->field = AL_FIELD_META;
        AL_TRY(take_meta_key(p, &t->key));
        if (al_str_is(t->key, "airflow"))
            t->field = AL_FIELD_AIRFLOW;
        return AL_OK;
    }
    for (size_t i = 0; i < AL_ARRAY_LEN(fields); i++) {
        if (al_str_is(name, fields[i].name)) {
            t->field = fields[i].field;
            if (fields[i].key)
                t->key = al_str_c(fields[i].key);
            return AL_OK;
        }
    }
    return bad(p, start, expected);
}

static enum al_code take_operator(struct parser *p, enum al_filter_op *ret)
{
    static const struct {
        const char *text;
        enum al_filter_op op;
    } table[] = {
        {"!=", AL_FILTER_NE}, {"<=", AL_FILTER_LE}, {">=", AL_FILTER_GE}, {"=", AL_FILTER_EQ},
        {"<", AL_FILTER_LT},  {">", AL_FILTER_GT},  {":", AL_FILTER_HAS},
    };
    (void)peek(p);
    struct al_str rest = al_str_sub(p->text, p->at, p->text.n);
    for (size_t i = 0; i < AL_ARRAY_LEN(table); i++) {
        if (al_str_starts(rest, al_str_c(table[i].text))) {
            p->at += strlen(table[i].text);
            *ret = table[i].op;
            return AL_OK;
        }
    }
    return bad(p, p->at, "an operator (= != < <= > >= :)");
}

static enum al_code parse_term(struct parser *p, struct al_filter **ret)
{
    (void)peek(p);
    size_t start = p->at;
    if (++p->n_terms > AL_FILTER_TERMS_MAX)
        return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "BAD_FILTER",
                         "filter: column %zu: expected at most %u comparisons", column_of(p, start),
                         AL_FILTER_TERMS_MAX);
    struct al_filter *f = al_arena_zalloc(p->arena, sizeof *f);
    if (!f)
        return out_of_memory(p);
    f->kind = AL_FILTER_TERM;
    AL_TRY(take_field(p, &f->term));
    AL_TRY(take_operator(p, &f->term.op));
    (void)peek(p);
    size_t value_at = p->at;
    struct value v;
    AL_TRY(take_value(p, &v));
    f->term.value = v.s;
    f->term.is_prefix = v.star && v.s.n > 0;
    f->term.is_present = v.star && v.s.n == 0;
    const char *expected = al_filter_resolve(&f->term, p->arena);
    if (expected == al_filter_no_memory)
        return out_of_memory(p);
    if (expected)
        return bad(p, value_at, expected);
    *ret = f;
    return AL_OK;
}

static enum al_code parse_expression(struct parser *p, struct al_filter **ret);

static enum al_code parse_factor(struct parser *p, struct al_filter **ret);

static enum al_code parse_not(struct parser *p, struct al_filter **ret)
{
    struct al_filter *f = al_arena_zalloc(p->arena, sizeof *f);
    if (!f)
        return out_of_memory(p);
    f->kind = AL_FILTER_NOT;
    AL_TRY(parse_factor(p, &f->first));
    *ret = f;
    return AL_OK;
}

static enum al_code parse_group(struct parser *p, struct al_filter **ret)
{
    size_t open = p->at++;
    AL_TRY(parse_expression(p, ret));
    if (peek(p) != ')')
        return at_end(p) ? bad(p, open, "a ')' for this '('") : bad(p, p->at, "AND, OR or ')'");
    p->at++;
    return AL_OK;
}

static enum al_code parse_factor(struct parser *p, struct al_filter **ret)
{
    char c = peek(p);
    size_t start = p->at;
    bool is_not = c == '-' || take_word(p, "NOT");
    if (!is_not && c != '(')
        return parse_term(p, ret);
    if (++p->depth > AL_FILTER_DEPTH_MAX)
        return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "BAD_FILTER",
                         "filter: column %zu: expected at most %u levels of '(' and NOT",
                         column_of(p, start), AL_FILTER_DEPTH_MAX);
    p->at += c == '-';
    enum al_code code = is_not ? parse_not(p, ret) : parse_group(p, ret);
    p->depth--;
    return code;
}

/* One or more of `parse` joined by a word; a single one stays as it is. */
static enum al_code parse_joined(struct parser *p, const char *word, enum al_filter_kind kind,
                                 enum al_code (*parse)(struct parser *, struct al_filter **),
                                 struct al_filter **ret)
{
    struct al_filter *first;
    AL_TRY(parse(p, &first));
    struct al_filter *last = first;
    while (take_word(p, word)) {
        AL_TRY(parse(p, &last->next));
        last = last->next;
    }
    if (last == first) {
        *ret = first;
        return AL_OK;
    }
    struct al_filter *f = al_arena_zalloc(p->arena, sizeof *f);
    if (!f)
        return out_of_memory(p);
    f->kind = kind;
    f->first = first;
    *ret = f;
    return AL_OK;
}

static enum al_code parse_sequence(struct parser *p, struct al_filter **ret)
{
    return parse_joined(p, "AND", AL_FILTER_AND, parse_factor, ret);
}

static enum al_code parse_expression(struct parser *p, struct al_filter **ret)
{
    return parse_joined(p, "OR", AL_FILTER_OR, parse_sequence, ret);
}

enum al_code al_filter_compile(struct al_str text, struct al_arena *a, const struct al_filter **ret,
                               struct al_err *err)
{
    struct parser p = {.text = text, .arena = a, .err = err};
    if (text.n > AL_FILTER_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FILTER",
                         "filter: %zu bytes: expected at most %u", text.n, AL_FILTER_BYTES_MAX);
    if (!al_str_is_utf8(text))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FILTER", "filter: expected UTF-8");
    if (at_end(&p)) {
        *ret = NULL;
        return AL_OK;
    }
    struct al_filter *f;
    AL_TRY(parse_expression(&p, &f));
    if (!at_end(&p))
        return bad(&p, p.at, p.text.p[p.at] == ')' ? "no ')' here" : "AND, OR or the end");
    *ret = f;
    return AL_OK;
}
