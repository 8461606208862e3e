/* Inline markup of reStructuredText: one pass, no recursion. */
#include "rst.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '+' || c == ':';
}

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* Markup may start behind white space, the start, or an opening mark. */
static bool may_start(struct al_str s, size_t i)
{
    if (i == 0)
        return true;
    char c = s.p[i - 1];
    return !is_alnum(c) && c != '`' && c != '*' && c != '\\' && c != '_';
}

/* Offset of the closing mark at or after `from`, SIZE_MAX if there is none in reach. */
static size_t closing(struct al_str s, size_t from, struct al_str mark)
{
    const size_t reach = 2000;
    struct al_str window = al_str_sub(s, 0, from + reach);
    for (size_t at = from; (at = al_str_find(window, mark, at)) != SIZE_MAX; at++) {
        bool empty = at == from;
        if (!empty && !is_white(s.p[at - 1]))
            return at;
    }
    return SIZE_MAX;
}

/* Text with white space runs made one space and escapes taken away. */
static void put_plain(struct al_buf *out, struct al_str s)
{
    bool white = false;
    for (size_t i = 0; i < s.n; i++) {
        if (is_white(s.p[i])) {
            if (!white)
                al_buf_char(out, ' ');
            white = true;
            continue;
        }
        white = false;
        if (s.p[i] == '\\' && i + 1 < s.n) {
            i++;
            if (is_white(s.p[i]))
                continue;
        }
        al_buf_char(out, s.p[i]);
    }
}

/* "text <target>" or "text". is_link: the target is an address. */
static void put_reference(struct al_doc *d, struct al_buf *out, struct al_str s, bool is_link)
{
    size_t open = SIZE_MAX;
    if (s.n > 2 && s.p[s.n - 1] == '>')
        for (size_t i = s.n - 1; i > 0; i--)
            if (s.p[i] == '<') {
                open = i;
                break;
            }
    if (open != SIZE_MAX) {
        if (is_link)
            al_doc_link(d, al_str_sub(s, open + 1, s.n - open - 2));
        s = al_str_trim(al_str_sub(s, 0, open));
    }
    if (s.n > 1 && (s.p[0] == '~' || s.p[0] == '!'))
        s = al_str_sub(s, 1, s.n - 1);
    put_plain(out, s);
}

/* ":role:`text <x>`" at s[i]: bytes taken, 0 if it is none. */
static size_t role(struct al_doc *d, struct al_buf *out, struct al_str s, size_t i)
{
    size_t n = i + 1;
    while (n < s.n && n - i < 64 && is_name(s.p[n]))
        n++;
    if (n >= s.n || s.p[n] != '`' || s.p[n - 1] != ':' || n - i < 3)
        return 0;
    size_t end = closing(s, n + 1, AL_STR("`"));
    if (end == SIZE_MAX)
        return 0;
    put_reference(d, out, al_str_sub(s, n + 1, end - n - 1), false);
    return end + 1 - i;
}

static size_t literal(struct al_buf *out, struct al_str s, size_t i)
{
    size_t end = closing(s, i + 2, AL_STR("``"));
    if (end == SIZE_MAX)
        return 0;
    while (end + 2 < s.n && s.p[end + 2] == '`')
        end++;
    struct al_str text = al_str_sub(s, i + 2, end - i - 2);
    for (size_t k = 0; k < text.n; k++) {
        if (text.p[k] == '\n')
            al_buf_char(out, ' ');
        else
            al_buf_char(out, text.p[k]);
    }
    return end + 2 - i;
}

/* "`text <x>`_", "`text`__", "`text`:role:" at s[i]. */
static size_t interpreted(struct al_doc *d, struct al_buf *out, struct al_str s, size_t i)
{
    size_t end = closing(s, i + 1, AL_STR("`"));
    if (end == SIZE_MAX)
        return 0;
    put_reference(d, out, al_str_sub(s, i + 1, end - i - 1), true);
    end++;
    while (end < s.n && s.p[end] == '_')
        end++;
    return end - i;
}

static size_t emphasis(struct al_buf *out, struct al_str s, size_t i)
{
    bool strong = i + 1 < s.n && s.p[i + 1] == '*';
    size_t from = i + (strong ? 2 : 1);
    if (from >= s.n || is_white(s.p[from]))
        return 0;
    size_t end = closing(s, from, strong ? AL_STR("**") : AL_STR("*"));
    if (end == SIZE_MAX)
        return 0;
    put_plain(out, al_str_sub(s, from, end - from));
    return end + (strong ? 2 : 1) - i;
}

/* Bytes of markup at s[i] that were taken, 0 if there is none. */
static size_t markup(struct al_doc *d, struct al_buf *out, struct al_str s, size_t i)
{
    if (!may_start(s, i))
        return 0;
    switch (s.p[i]) {
    case ':':
        return role(d, out, s, i);
    case '`':
        return i + 1 < s.n && s.p[i + 1] == '`' ? literal(out, s, i) : interpreted(d, out, s, i);
    case '*':
        return emphasis(out, s, i);
    default:
        return 0;
    }
}

/* A text with more markup that does not close than this is no markup; the search for its ends would
 * be quadratic. */
#define FAILURES_MAX 500u

void al_rst_inline(struct al_doc *d, struct al_buf *out, struct al_str text)
{
    size_t from = 0;
    uint32_t n_failures = 0;
    for (size_t i = 0; i < text.n && n_failures < FAILURES_MAX;) {
        char c = text.p[i];
        if (c != ':' && c != '`' && c != '*') {
            i += c == '\\' && i + 1 < text.n ? 2 : 1;
            continue;
        }
        put_plain(out, al_str_sub(text, from, i - from));
        from = i;
        size_t taken = markup(d, out, text, i);
        if (taken == 0) {
            n_failures += c != ':';
            i++;
            continue;
        }
        i += taken;
        from = i;
    }
    put_plain(out, al_str_sub(text, from, text.n - from));
}
