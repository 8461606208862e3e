/* Untrusted HTML to tags and text that a parser takes in linear time. */
#include <string.h>
#include <strings.h>

#include "html.h"

#define NAME_MAX_BYTES 24u

struct clean {
    struct al_doc *d;
    struct al_str s;
    struct al_buf *out;
    char open[AL_DOC_DEPTH_MAX][NAME_MAX_BYTES + 1]; /* names of open elements */
    uint32_t depth;
    bool too_deep;
};

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

/* Elements whose content is dropped up to their end tag. */
static bool is_dropped(const char *name)
{
    static const char *const list[] = {"script",   "style", "iframe",   "noembed",
                                       "noframes", "xmp",   "noscript", "plaintext",
                                       "svg",      "math",  "template", "frameset"};
    return is_one_of(name, list, AL_ARRAY_LEN(list));
}

/* Elements without content, or whose end the next one implies: they do not nest by themselves. */
static bool is_flat(const char *name)
{
    static const char *const list[] = {
        "area",  "base",   "br",    "col",   "embed",    "hr",     "img",  "input", "link", "meta",
        "param", "source", "track", "wbr",   "p",        "li",     "dt",   "dd",    "td",   "th",
        "tr",    "tbody",  "thead", "tfoot", "colgroup", "option", "html", "head",  "body"};
    return is_one_of(name, list, AL_ARRAY_LEN(list));
}

/* Attributes that are read later. */
static bool is_kept(struct al_str name)
{
    static const char *const list[] = {"href",     "alt",   "name", "content",
                                       "property", "class", "lang", "datetime"};
    for (size_t i = 0; i < AL_ARRAY_LEN(list); i++)
        if (strlen(list[i]) == name.n && strncasecmp(list[i], name.p, name.n) == 0)
            return true;
    return false;
}

static void put_escaped(struct al_buf *out, struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '<':
            al_buf_cstr(out, "&lt;");
            break;
        case '>':
            al_buf_cstr(out, "&gt;");
            break;
        case '"':
            al_buf_cstr(out, "&quot;");
            break;
        default:
            al_buf_char(out, s.p[i]);
        }
    }
}

/* The value of an attribute at s[i], behind its '='. */
static size_t attribute_value(struct al_str s, size_t i, struct al_str *ret)
{
    while (i < s.n && is_white(s.p[i]))
        i++;
    if (i < s.n && (s.p[i] == '"' || s.p[i] == '\'')) {
        size_t end = i + 1;
        while (end < s.n && s.p[end] != s.p[i])
            end++;
        *ret = al_str_sub(s, i + 1, end - i - 1);
        return end < s.n ? end + 1 : end;
    }
    size_t from = i;
    while (i < s.n && !is_white(s.p[i]) && s.p[i] != '>')
        i++;
    *ret = al_str_sub(s, from, i - from);
    return i;
}

/* Attributes at s[i] up to the tag's '>': what is kept goes out if `keep`. The offset behind the
 * tag. */
static size_t attributes(struct clean *c, size_t i, bool keep)
{
    struct al_str s = c->s;
    while (i < s.n && s.p[i] != '>') {
        if (is_white(s.p[i]) || s.p[i] == '/') {
            i++;
            continue;
        }
        size_t from = i;
        do
            i++;
        while (i < s.n && !is_white(s.p[i]) && s.p[i] != '>' && s.p[i] != '/' && s.p[i] != '=');
        struct al_str name = al_str_sub(s, from, i - from);
        struct al_str value = {"", 0};
        size_t sign = i;
        while (sign < s.n && is_white(s.p[sign]))
            sign++;
        if (sign < s.n && s.p[sign] == '=')
            i = attribute_value(s, sign + 1, &value);
        if (!keep || !is_kept(name) || value.n > 2048)
            continue;
        al_buf_char(c->out, ' ');
        al_buf_str(c->out, name);
        al_buf_cstr(c->out, "=\"");
        put_escaped(c->out, value);
        al_buf_char(c->out, '"');
    }
    return i < s.n ? i + 1 : i;
}

/* Name of the tag at s[i], lower case; names that are too long or odd become "span". */
static size_t tag_name(struct al_str s, size_t i, char *name)
{
    size_t n = 0;
    bool odd = false;
    while (i < s.n && !is_white(s.p[i]) && s.p[i] != '>' && s.p[i] != '/') {
        char ch = s.p[i++];
        bool good = is_alpha(ch) || (ch >= '0' && ch <= '9') || ch == '-';
        odd = odd || !good || n >= NAME_MAX_BYTES;
        if (!odd)
            name[n++] = (char)(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
    }
    name[odd ? 0 : n] = '\0';
    if (odd)
        memcpy(name, "span", 5);
    return i;
}

/* Offset of the end tag of a dropped element, or the end. */
static size_t skip_content(struct al_str s, size_t i, const char *name)
{
    size_t n = strlen(name);
    for (; (i = al_str_find(s, AL_STR("</"), i)) != SIZE_MAX; i += 2)
        if (i + 2 + n <= s.n && strncasecmp(s.p + i + 2, name, n) == 0)
            return i;
    return s.n;
}

static void open_element(struct clean *c, const char *name)
{
    if (is_flat(name))
        return;
    if (c->depth == AL_DOC_DEPTH_MAX) {
        c->too_deep = true;
        return;
    }
    memcpy(c->open[c->depth++], name, strlen(name) + 1);
}

static void put_end_tag(struct clean *c, const char *name)
{
    al_buf_cstr(c->out, "</");
    al_buf_cstr(c->out, name);
    al_buf_char(c->out, '>');
}

/* Close an element and all that are open inside it, so that none is open across its end (the parser
 * would open it again and again). An end tag without its start is dropped. */
static void close_element(struct clean *c, const char *name)
{
    uint32_t i = c->depth;
    while (i > 0 && strcmp(c->open[i - 1], name) != 0)
        i--;
    if (i == 0)
        return;
    while (c->depth >= i)
        put_end_tag(c, c->open[--c->depth]);
}

static size_t start_tag(struct clean *c, size_t i)
{
    char name[NAME_MAX_BYTES + 1];
    size_t after = tag_name(c->s, i + 1, name);
    if (is_dropped(name)) {
        after = attributes(c, after, false);
        /* its end tag closes nothing: skip it too */
        size_t end = skip_content(c->s, after, name);
        return end < c->s.n ? attributes(c, end, false) : end;
    }
    al_buf_char(c->out, '<');
    al_buf_cstr(c->out, name);
    after = attributes(c, after, true);
    al_buf_char(c->out, '>');
    open_element(c, name);
    return after;
}

static size_t end_tag(struct clean *c, size_t i)
{
    char name[NAME_MAX_BYTES + 1];
    size_t after = attributes(c, tag_name(c->s, i + 2, name), false);
    if (is_dropped(name))
        return after;
    if (is_flat(name))
        put_end_tag(c, name);
    else
        close_element(c, name);
    return after;
}

/* "<!-- -->", "<!DOCTYPE>", "<?xml?>" at s[i]: the offset behind it. */
static size_t skip_declaration(struct al_str s, size_t i)
{
    const char *mark = al_str_starts(al_str_sub(s, i, 4), AL_STR("<!--")) ? "-->" : ">";
    size_t end = al_str_find(s, al_str_c(mark), i + 2);
    return end == SIZE_MAX ? s.n : end + strlen(mark);
}

static size_t markup(struct clean *c, size_t i)
{
    char next = ' ';
    if (i + 1 < c->s.n)
        next = c->s.p[i + 1];
    if (is_alpha(next))
        return start_tag(c, i);
    if (next == '/' && i + 2 < c->s.n && is_alpha(c->s.p[i + 2]))
        return end_tag(c, i);
    if (next == '!' || next == '?')
        return skip_declaration(c->s, i);
    al_buf_cstr(c->out, "&lt;");
    return i + 1;
}

enum al_code al_html_clean(struct al_doc *d, struct al_str text, struct al_buf *out,
                           struct al_err *err)
{
    struct clean *c = al_arena_zalloc(d->a, sizeof(*c));
    if (!c)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    c->d = d;
    c->s = text;
    c->out = out;
    for (size_t i = 0; i < text.n && !c->too_deep;) {
        size_t open = al_str_find(text, AL_STR("<"), i);
        open = open == SIZE_MAX ? text.n : open;
        al_buf_add(out, text.p + i, open - i);
        i = open < text.n ? markup(c, open) : open;
    }
    if (c->too_deep)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                         "document '" AL_STR_FMT "': elements nested deeper than %u",
                         AL_STR_ARG(d->opt->path), AL_DOC_DEPTH_MAX);
    return al_buf_status(out, err);
}
