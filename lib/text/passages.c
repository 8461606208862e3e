#include "airlore/passages.h"

#include <ctype.h>
#include <string.h>

#define LIST_WHOLE_MAX 700u /* a longer list's items may also be cited one by one */
#define HEADING_BYTES_MAX 100u
#define LEAD_BYTES_MAX 400u

struct cut {
    struct al_str s;
    struct al_span *spans; /* sentences */
    size_t n;
    struct al_passage *out;
    size_t n_out;
};

static struct al_str span_text(const struct cut *c, size_t i)
{
    return al_str_sub(c->s, c->spans[i].start, c->spans[i].end - c->spans[i].start);
}

static bool is_code(struct al_str t)
{
    return al_str_starts(t, AL_STR("```")) || al_str_starts(t, AL_STR("~~~"));
}

/* Behind the code that a text begins in the middle of: a fence without a language comes first and
 * none of the later ones closes it. 0 when it begins outside of code. */
static size_t open_code_end(struct al_str s)
{
    size_t n = 0;
    size_t end = 0;
    bool is_bare = false;
    for (size_t i = 0; i < s.n;) {
        const char *nl = memchr(s.p + i, '\n', s.n - i);
        size_t next = nl ? (size_t)(nl - s.p) + 1 : s.n;
        struct al_str line = al_str_trim(al_str_sub(s, i, next - i));
        if (al_str_starts(line, AL_STR("```")) && n++ == 0) {
            is_bare = line.n == 3;
            end = next;
        }
        i = next;
    }
    return n % 2 == 1 && is_bare && end < s.n ? end : 0;
}

/* In a line that is set in by four blanks or more and that no item's text is: code of plain text.
 */
static bool is_set_in(const struct cut *c, size_t i)
{
    size_t start = c->spans[i].start;
    size_t blanks = 0;
    while (start > blanks && c->s.p[start - blanks - 1] == ' ')
        blanks++;
    return blanks >= 4 && (start == blanks || c->s.p[start - blanks - 1] == '\n');
}

static bool is_row(struct al_str t)
{
    return al_str_find(t, AL_STR(" | "), 0) != SIZE_MAX &&
           (t.p[0] == '|' || memchr(t.p, '\n', t.n) == NULL);
}

static bool is_item(struct al_str t)
{
    size_t n = 0;
    if (t.n > 2 && (t.p[0] == '-' || t.p[0] == '*' || t.p[0] == '+'))
        return t.p[1] == ' ';
    while (n < t.n && isdigit((unsigned char)t.p[n]))
        n++;
    return n > 0 && n < 4 && n + 1 < t.n && (t.p[n] == '.' || t.p[n] == ')') && t.p[n + 1] == ' ';
}

/* A line by itself that ends like no sentence does. */
static bool is_heading(const struct cut *c, size_t i)
{
    struct al_str t = span_text(c, i);
    size_t end = c->spans[i].end;
    static const char *const wide[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F"};
    if (t.n > HEADING_BYTES_MAX || memchr(t.p, '\n', t.n) || strchr(".:;,!?`\"')", t.p[t.n - 1]))
        return false;
    for (size_t k = 0; k < AL_ARRAY_LEN(wide); k++) {
        if (al_str_ends(t, al_str_c(wide[k])))
            return false;
    }
    size_t start = c->spans[i].start;
    bool is_line = start == 0 || c->s.p[start - 1] == '\n';
    return is_line && (end == c->s.n || c->s.p[end] == '\n');
}

static enum al_passage_kind kind_of(const struct cut *c, size_t i)
{
    struct al_str t = span_text(c, i);
    return is_code(t) || is_set_in(c, i) ? AL_PASSAGE_CODE
           : is_row(t)                   ? AL_PASSAGE_TABLE
           : is_item(t)                  ? AL_PASSAGE_ITEM
           : is_heading(c, i)            ? AL_PASSAGE_HEADING
                                         : AL_PASSAGE_PROSE;
}

/* The sentence before i announces what follows. */
static bool announces(const struct cut *c, size_t i)
{
    static const char *const words[] = {"following", "causes", "reasons",
                                        "steps",     "these",  "below"};
    if (kind_of(c, i) != AL_PASSAGE_PROSE)
        return false;
    struct al_str t = span_text(c, i);
    if (t.n > LEAD_BYTES_MAX)
        return false;
    if (t.p[t.n - 1] == ':')
        return true;
    for (size_t k = 0; k < AL_ARRAY_LEN(words); k++) {
        if (al_str_find(t, al_str_c(words[k]), 0) != SIZE_MAX)
            return true;
    }
    return false;
}

static void put(struct cut *c, enum al_passage_kind kind, struct al_span span, struct al_span lead)
{
    if (span.end - span.start <= AL_PASSAGE_BYTES_MAX)
        c->out[c->n_out++] = (struct al_passage){kind, span, lead};
}

/* The run of sentences from i that are of the same kind: a list, a table. Gives the index behind
 * it. */
static size_t put_run(struct cut *c, size_t i, enum al_passage_kind kind)
{
    size_t end = i;
    while (end < c->n && kind_of(c, end) == kind)
        end++;
    struct al_span lead = {0, 0};
    if (i > 0 && announces(c, i - 1))
        lead = c->spans[i - 1];
    uint32_t start = lead.end ? lead.start : c->spans[i].start;
    size_t last = i;
    while (last + 1 < end && c->spans[last + 1].end - start <= AL_PASSAGE_BYTES_MAX)
        last++;
    bool is_list = kind == AL_PASSAGE_ITEM;
    put(c, is_list ? AL_PASSAGE_LIST : kind, (struct al_span){start, c->spans[last].end}, lead);
    if (is_list && c->spans[end - 1].end - start > LIST_WHOLE_MAX) {
        for (size_t k = i; k < end; k++)
            put(c, AL_PASSAGE_ITEM, c->spans[k], lead);
    }
    return end;
}

/* A block between fences, or lines that are set in, as far as they follow each other. */
static size_t put_code(struct cut *c, size_t i)
{
    size_t end = i + 1;
    if (!is_code(span_text(c, i))) {
        while (end < c->n && is_set_in(c, end))
            end++;
    }
    struct al_span lead = {0, 0};
    if (i > 0 && kind_of(c, i - 1) == AL_PASSAGE_PROSE)
        lead = c->spans[i - 1];
    put(c, AL_PASSAGE_CODE,
        (struct al_span){lead.end ? lead.start : c->spans[i].start, c->spans[end - 1].end}, lead);
    return end;
}

enum al_code al_passages(struct al_str text, struct al_arena *a, struct al_passage **ret,
                         size_t *ret_n, struct al_err *err)
{
    struct cut c = {.s = text};
    size_t skip = open_code_end(text);
    AL_TRY(al_sentences(al_str_sub(text, skip, text.n - skip), a, &c.spans, &c.n, err));
    for (size_t i = 0; i < c.n; i++) {
        c.spans[i].start += (uint32_t)skip;
        c.spans[i].end += (uint32_t)skip;
    }
    /* at most one for each sentence and one for each run of several */
    c.out = al_arena_array(a, 2 * c.n + 1, sizeof *c.out);
    if (!c.out)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "passages: over the memory limit of the call");
    for (size_t i = 0; i < c.n;) {
        enum al_passage_kind kind = kind_of(&c, i);
        if (kind == AL_PASSAGE_ITEM || kind == AL_PASSAGE_TABLE) {
            i = put_run(&c, i, kind);
        } else if (kind == AL_PASSAGE_CODE) {
            i = put_code(&c, i);
        } else {
            put(&c, kind, c.spans[i], (struct al_span){0, 0});
            i++;
        }
    }
    *ret = c.out;
    *ret_n = c.n_out;
    return AL_OK;
}
