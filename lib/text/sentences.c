/* Sentences of a text. Code blocks, list items, table rows and headings are one each. */
#include "airlore/snippet.h"

#include <ctype.h>
#include <strings.h>

#include <string.h>

#define SENTENCES_MAX 4096u

struct split {
    struct al_str s;
    struct al_arena *a;
    struct al_span *spans;
    size_t n;
    size_t cap;
    bool failed;
};

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void add(struct split *t, size_t start, size_t end)
{
    while (start < end && is_white(t->s.p[start]))
        start++;
    while (end > start && is_white(t->s.p[end - 1]))
        end--;
    if (start == end || t->n >= SENTENCES_MAX || t->failed)
        return;
    void *p = t->spans;
    if (al_mem_grow(al_arena_mem(t->a), &p, &t->cap, t->n + 1, sizeof(*t->spans)) != AL_OK) {
        t->failed = true;
        return;
    }
    t->spans = p;
    t->spans[t->n++] = (struct al_span){(uint32_t)start, (uint32_t)end};
}

/* The word that ends in front of the dot at s[dot] is one that is written with a dot. */
static bool is_abbreviation(struct al_str s, size_t dot)
{
    static const char *const list[] = {"e.g", "i.e", "etc",    "vs",   "cf",   "mr", "dr",
                                       "fig", "no",  "approx", "resp", "incl", "eq", "sec"};
    size_t from = dot;
    while (from > 0 && (isalpha((unsigned char)s.p[from - 1]) || s.p[from - 1] == '.'))
        from--;
    struct al_str word = al_str_sub(s, from, dot - from);
    if (word.n == 1 && isupper((unsigned char)word.p[0]))
        return true; /* an initial */
    for (size_t i = 0; i < AL_ARRAY_LEN(list); i++)
        if (strlen(list[i]) == word.n && strncasecmp(list[i], word.p, word.n) == 0)
            return true;
    return false;
}

/* Bytes of a full stop of Chinese, Japanese and full-width text at s[i], else 0. */
static size_t wide_stop(struct al_str s, size_t i)
{
    static const char *const list[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F",
                                       "\xEF\xBD\xA1"};
    for (size_t k = 0; k < AL_ARRAY_LEN(list); k++)
        if (i + 3 <= s.n && memcmp(s.p + i, list[k], 3) == 0)
            return 3;
    return 0;
}

/* Behind the sentence end at s[i], 0 if there is none. */
static size_t sentence_end(struct al_str s, size_t i, size_t end)
{
    size_t wide = (unsigned char)s.p[i] >= 0x80 ? wide_stop(s, i) : 0;
    if (wide > 0)
        return i + wide;
    if (s.p[i] != '.' && s.p[i] != '!' && s.p[i] != '?')
        return 0;
    size_t after = i + 1;
    while (after < end && strchr(".!?\"')]*`", s.p[after]) && s.p[after])
        after++;
    if (after < end && !is_white(s.p[after]))
        return 0;
    if (s.p[i] == '.' && is_abbreviation(s, i))
        return 0;
    while (after < end && is_white(s.p[after]))
        after++;
    if (after < end && islower((unsigned char)s.p[after]))
        return 0;
    return after;
}

static void split_paragraph(struct split *t, size_t start, size_t end)
{
    size_t from = start;
    for (size_t i = start; i < end;) {
        size_t after = sentence_end(t->s, i, end);
        if (after == 0) {
            i++;
            continue;
        }
        add(t, from, after);
        from = after;
        i = after;
    }
    add(t, from, end);
}

static size_t line_end(struct al_str s, size_t i)
{
    const char *p = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;
    return p ? (size_t)(p - s.p) + 1 : s.n;
}

/* Backquotes or tildes that open a fence, 0 for none. */
static size_t fence_len(struct al_str line)
{
    line = al_str_trim(line);
    size_t n = 0;
    while (n < line.n && (line.p[0] == '`' || line.p[0] == '~') && line.p[n] == line.p[0])
        n++;
    return n >= 3 ? n : 0;
}

/* Behind the fenced block that opens at s[i]. */
static size_t fenced_end(struct al_str s, size_t i)
{
    size_t open = fence_len(al_str_sub(s, i, line_end(s, i) - i));
    for (i = line_end(s, i); i < s.n;) {
        size_t end = line_end(s, i);
        struct al_str line = al_str_trim(al_str_sub(s, i, end - i));
        i = end;
        if (fence_len(line) >= open && fence_len(line) == line.n)
            return i;
    }
    return s.n;
}

/* A list item, or a row of a table. */
static bool is_item(struct al_str line)
{
    size_t n = 0;
    if (al_str_find(line, AL_STR(" | "), 0) != SIZE_MAX)
        return true;
    line = al_str_trim(line);
    if (line.n > 2 && (line.p[0] == '-' || line.p[0] == '*' || line.p[0] == '+'))
        return line.p[1] == ' ';
    while (n < line.n && isdigit((unsigned char)line.p[n]))
        n++;
    return n > 0 && n < 4 && n + 1 < line.n && (line.p[n] == '.' || line.p[n] == ')') &&
           line.p[n + 1] == ' ';
}

/* An item goes on in lines that are indented. Behind the item at s[i]. */
static size_t item_end(struct al_str s, size_t i)
{
    for (i = line_end(s, i); i < s.n;) {
        size_t end = line_end(s, i);
        struct al_str line = al_str_sub(s, i, end - i);
        if (!is_white(line.p[0]) || al_str_trim(line).n == 0 || is_item(line) ||
            fence_len(line) > 0)
            break;
        i = end;
    }
    return i;
}

/* Behind the paragraph at s[i]. */
static size_t paragraph_end(struct al_str s, size_t i)
{
    for (i = line_end(s, i); i < s.n;) {
        size_t end = line_end(s, i);
        struct al_str line = al_str_sub(s, i, end - i);
        if (al_str_trim(line).n == 0 || is_item(line) || fence_len(line) > 0)
            break;
        i = end;
    }
    return i;
}

enum al_code al_sentences(struct al_str text, struct al_arena *a, struct al_span **ret,
                          size_t *ret_n, struct al_err *err)
{
    struct split t = {.s = text, .a = a};
    for (size_t i = 0; i < text.n && t.n < SENTENCES_MAX;) {
        size_t start = i;
        struct al_str line = al_str_sub(text, i, line_end(text, i) - i);
        if (al_str_trim(line).n == 0) {
            i += line.n;
        } else if (fence_len(line) > 0) {
            i = fenced_end(text, i);
            add(&t, start, i);
        } else if (is_item(line)) {
            i = item_end(text, i);
            add(&t, start, i);
        } else {
            i = paragraph_end(text, i);
            split_paragraph(&t, start, i);
        }
    }
    if (t.failed)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "sentences: over the memory limit of the call");
    *ret = t.spans;
    *ret_n = t.n;
    return AL_OK;
}
