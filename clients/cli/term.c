/* The terminal: widths, wrapping, colours. */
#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80
#define WIDTH_MIN 40
#define WIDTH_MAX 120

int al_cli_term_width(int fd)
{
    struct winsize w = {0};
    int n = 0;
    if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0)
        n = w.ws_col;
    if (n <= 0)
        return WIDTH_DEFAULT;
    return n < WIDTH_MIN ? WIDTH_MIN : n > WIDTH_MAX ? WIDTH_MAX : n;
}

void al_cli_term_init(struct al_cli_term *t, bool no_colour)
{
    const char *off = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool colour = !no_colour && !(off && off[0]) && !(term && strcmp(term, "dumb") == 0);
    t->in_is_tty = isatty(STDIN_FILENO) == 1;
    t->out_is_tty = isatty(STDOUT_FILENO) == 1;
    t->err_is_tty = isatty(STDERR_FILENO) == 1;
    t->out_colour = colour && t->out_is_tty;
    t->err_colour = colour && t->err_is_tty;
    t->width = al_cli_term_width(STDOUT_FILENO);
}

const char *al_cli_style_on(bool colour, enum al_cli_style s)
{
    static const char *const codes[] = {
        [AL_STYLE_PLAIN] = "\033[0m", [AL_STYLE_BOLD] = "\033[1m",   [AL_STYLE_DIM] = "\033[2m",
        [AL_STYLE_RED] = "\033[31m",  [AL_STYLE_GREEN] = "\033[32m", [AL_STYLE_YELLOW] = "\033[33m",
        [AL_STYLE_CYAN] = "\033[36m",
    };
    return colour ? codes[s] : "";
}

uint32_t al_cli_next(struct al_str s, size_t *at)
{
    const unsigned char *p = (const unsigned char *)s.p + *at;
    size_t left = s.n - *at;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len > left || !al_str_is_utf8((struct al_str){s.p + *at, len})) {
        *at += 1;
        return 0xfffd;
    }
    *at += len;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

struct range {
    uint32_t first;
    uint32_t last;
};

static bool is_in(uint32_t c, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= r[i].first && c <= r[i].last)
            return true;
    }
    return false;
}

static bool is_control(uint32_t c)
{
    static const struct range hidden[] = {{0, 0x1f},         {0x7f, 0x9f},     {0x200b, 0x200f},
                                          {0x2028, 0x202e},  {0x2060, 0x206f}, {0xfeff, 0xfeff},
                                          {0xe0000, 0xe007f}};
    return is_in(c, hidden, AL_ARRAY_LEN(hidden));
}

static size_t width_of(uint32_t c)
{
    static const struct range none[] = {{0x300, 0x36f},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
                                        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
                                        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
                                        {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                                        {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                        {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (c < 0x300)
        return is_control(c) ? 0 : 1;
    if (is_control(c) || is_in(c, none, AL_ARRAY_LEN(none)))
        return 0;
    return is_in(c, wide, AL_ARRAY_LEN(wide)) ? 2 : 1;
}

size_t al_cli_columns(struct al_str s)
{
    size_t n = 0;
    for (size_t at = 0; at < s.n;)
        n += width_of(al_cli_next(s, &at));
    return n;
}

void al_cli_put(FILE *f, struct al_str s)
{
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        uint32_t c = al_cli_next(s, &at);
        if (c == '\n' || c == '\t')
            fputc(' ', f);
        else if (c == 0xfffd)
            fputs("\xef\xbf\xbd", f);
        else if (!is_control(c))
            fwrite(s.p + from, 1, at - from, f);
    }
}

void al_cli_put_cell(FILE *f, struct al_str s, size_t columns)
{
    size_t all = al_cli_columns(s);
    if (all > columns && columns > 3) {
        size_t used = 0;
        size_t at = 0;
        for (size_t next = 0; next < s.n; at = next) {
            used += width_of(al_cli_next(s, &next));
            if (used > columns - 3)
                break;
        }
        s.n = at;
        al_cli_put(f, s);
        fputs("...", f);
        all = al_cli_columns(s) + 3;
    } else {
        al_cli_put(f, s);
    }
    for (; all < columns; all++)
        fputc(' ', f);
}

bool al_cli_wrap(struct al_str s, size_t columns, size_t *at, struct al_str *ret)
{
    if (*at >= s.n)
        return false;
    size_t start = *at;
    size_t next = start;
    size_t used = 0;
    size_t break_end =
        0; /* end of the line when it is broken at the last good place, 0: none yet */
    size_t break_next = 0;
    while (next < s.n) {
        size_t from = next;
        uint32_t c = al_cli_next(s, &next);
        if (c == '\n') {
            *ret = al_str_sub(s, start, from - start);
            *at = next;
            return true;
        }
        size_t w = width_of(c);
        if ((w == 2 || c == ' ') && from > start) {
            break_end = from;
            break_next = c == ' ' ? next : from;
        }
        if (used + w > columns && from > start) {
            *ret = al_str_sub(s, start, (break_end ? break_end : from) - start);
            *at = break_end ? break_next : from;
            while (*at < s.n && s.p[*at] == ' ')
                ++*at;
            return true;
        }
        used += w;
    }
    *ret = al_str_sub(s, start, s.n - start);
    *at = s.n;
    return true;
}

void al_cli_put_wrapped(FILE *f, struct al_str s, size_t columns, int indent)
{
    struct al_str line;
    for (size_t at = 0; al_cli_wrap(s, columns, &at, &line);) {
        fprintf(f, "%*s", indent, "");
        al_cli_put(f, line);
        fputc('\n', f);
    }
}
