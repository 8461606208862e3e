/* reStructuredText to plain text. A reader of our own: lines with their indent, blocks by recursion
 * over indents. */
#include "rst.h"

#include <string.h>

#define LINES_MAX (4u << 20)
#define DEPTH_MAX 100u

struct line {
    struct al_str s; /* without indent and end */
    uint32_t indent;
};

struct rst {
    struct al_doc *d;
    struct line *lines;
    size_t n;
    char levels[AL_DOC_LEVEL_MAX][2]; /* adornment of each level: character, overlined */
    uint32_t n_levels;
    uint32_t lists; /* open lists */
};

enum directive_kind {
    DIRECTIVE_TEXT, /* argument and content are text */
    DIRECTIVE_CODE, /* content is code, argument its language */
    DIRECTIVE_DROP,
};

static const struct {
    const char *name;
    enum directive_kind kind;
    const char *label; /* put before the text */
} directives[] = {
    {"code-block", DIRECTIVE_CODE, ""},
    {"code", DIRECTIVE_CODE, ""},
    {"sourcecode", DIRECTIVE_CODE, ""},
    {"parsed-literal", DIRECTIVE_CODE, ""},
    {"prompt", DIRECTIVE_CODE, ""},
    {"ipython", DIRECTIVE_CODE, ""},
    {"mermaid", DIRECTIVE_CODE, ""},
    {"graphviz", DIRECTIVE_CODE, ""},
    {"math", DIRECTIVE_CODE, ""},
    {"note", DIRECTIVE_TEXT, "Note: "},
    {"warning", DIRECTIVE_TEXT, "Warning: "},
    {"tip", DIRECTIVE_TEXT, "Tip: "},
    {"important", DIRECTIVE_TEXT, "Important: "},
    {"caution", DIRECTIVE_TEXT, "Caution: "},
    {"attention", DIRECTIVE_TEXT, "Attention: "},
    {"danger", DIRECTIVE_TEXT, "Danger: "},
    {"error", DIRECTIVE_TEXT, "Error: "},
    {"hint", DIRECTIVE_TEXT, "Hint: "},
    {"seealso", DIRECTIVE_TEXT, "See also: "},
    {"versionadded", DIRECTIVE_TEXT, "Added in version "},
    {"versionchanged", DIRECTIVE_TEXT, "Changed in version "},
    {"versionremoved", DIRECTIVE_TEXT, "Removed in version "},
    {"deprecated", DIRECTIVE_TEXT, "Deprecated since version "},
    {"include", DIRECTIVE_DROP, ""},
    {"literalinclude", DIRECTIVE_DROP, ""},
    {"exampleinclude", DIRECTIVE_DROP, ""},
    {"toctree", DIRECTIVE_DROP, ""},
    {"figure", DIRECTIVE_DROP, ""},
    {"image", DIRECTIVE_DROP, ""},
    {"contents", DIRECTIVE_DROP, ""},
    {"raw", DIRECTIVE_DROP, ""},
    {"highlight", DIRECTIVE_DROP, ""},
    {"meta", DIRECTIVE_DROP, ""},
    {"index", DIRECTIVE_DROP, ""},
    {"default-role", DIRECTIVE_DROP, ""},
    {"role", DIRECTIVE_DROP, ""},
    {"spelling", DIRECTIVE_DROP, ""},
    {"spelling:word-list", DIRECTIVE_DROP, ""},
    {"currentmodule", DIRECTIVE_DROP, ""},
    {"automodule", DIRECTIVE_DROP, ""},
    {"autoclass", DIRECTIVE_DROP, ""},
    {"sectnum", DIRECTIVE_DROP, ""},
    {"unicode", DIRECTIVE_DROP, ""},
    {"jinja", DIRECTIVE_DROP, ""},
    {"comment", DIRECTIVE_DROP, ""},
};

static void blocks(struct rst *r, size_t from, size_t to, uint32_t depth);

static bool blank(const struct line *l)
{
    return l->s.n == 0;
}

/* The character a line repeats at least three times, 0 if it is no adornment. */
static char adornment(const struct line *l)
{
    static const char marks[] = "=-`:'\"~^_*+#<>.!$%&,/;?@|\\()[]{}";
    if (l->s.n < 3 || l->indent > 0 || !memchr(marks, l->s.p[0], sizeof(marks) - 1))
        return 0;
    for (size_t i = 1; i < l->s.n; i++)
        if (l->s.p[i] != l->s.p[0])
            return 0;
    return l->s.p[0];
}

static struct al_str inline_text(struct rst *r, struct al_str s)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(r->d->a), 0);
    al_rst_inline(r->d, &b, s);
    r->d->failed = r->d->failed || al_buf_status(&b, NULL) != AL_OK;
    return al_buf_view(&b);
}

static void heading(struct rst *r, struct al_str text, char mark, char over)
{
    uint32_t level = 0;
    while (level < r->n_levels && !(r->levels[level][0] == mark && r->levels[level][1] == over))
        level++;
    if (level == r->n_levels) {
        if (level == AL_DOC_LEVEL_MAX)
            level--;
        r->levels[level][0] = mark;
        r->levels[level][1] = over;
        r->n_levels = level + 1;
    }
    r->n_levels = level + 1;
    al_doc_section(r->d, level + 1, inline_text(r, text), true);
}

/* A section title at line i: lines taken, 0 if it is none. */
static size_t title(struct rst *r, size_t i, size_t to)
{
    const struct line *l = &r->lines[i];
    char mark = adornment(l);
    if (mark && i + 2 < to && !blank(l + 1) && !adornment(l + 1) && adornment(l + 2) == mark &&
        l[2].s.n + 1 >= l[1].s.n) {
        heading(r, l[1].s, mark, 1);
        return 3;
    }
    if (mark || l->indent > 0 || i + 1 >= to || al_str_starts(l->s, AL_STR("..")))
        return 0;
    mark = adornment(l + 1);
    if (!mark || l[1].s.n + 2 < l->s.n)
        return 0;
    heading(r, l->s, mark, 0);
    return 2;
}

/* End of the lines that are blank or indented by more than `indent`, from i on; without blank lines
 * at its end. */
static size_t indented_end(const struct rst *r, size_t i, size_t to, uint32_t indent)
{
    size_t end = i;
    for (; i < to && (blank(&r->lines[i]) || r->lines[i].indent > indent); i++)
        if (!blank(&r->lines[i]))
            end = i + 1;
    return end;
}

static uint32_t least_indent(const struct rst *r, size_t from, size_t to)
{
    uint32_t least = UINT32_MAX;
    for (size_t i = from; i < to; i++)
        if (!blank(&r->lines[i]) && r->lines[i].indent < least)
            least = r->lines[i].indent;
    return least;
}

/* Lines [from, to) as a block of code. */
static void code_block(struct rst *r, size_t from, size_t to, struct al_str lang)
{
    struct al_buf b;
    uint32_t least = least_indent(r, from, to);
    while (from < to && blank(&r->lines[from]))
        from++;
    if (from >= to)
        return;
    al_buf_init(&b, al_arena_mem(r->d->a), 0);
    for (size_t i = from; i < to; i++) {
        const struct line *l = &r->lines[i];
        for (uint32_t k = least; !blank(l) && k < l->indent; k++)
            al_buf_char(&b, ' ');
        al_buf_str(&b, l->s);
        al_buf_char(&b, '\n');
    }
    r->d->failed = r->d->failed || al_buf_status(&b, NULL) != AL_OK;
    al_doc_code(r->d, lang, al_buf_view(&b));
}

/* Join lines [from, to) into one text; the lines are views of one source, which has the breaks
 * between them. */
static struct al_str joined(const struct rst *r, size_t from, size_t to)
{
    const char *start = r->lines[from].s.p;
    struct al_str last = r->lines[to - 1].s;
    return (struct al_str){start, (size_t)(last.p + last.n - start)};
}

/* Is the line an option of a directive (":name: value")? */
static bool is_option(const struct line *l)
{
    return l->s.n > 2 && l->s.p[0] == ':' && al_str_find(l->s, AL_STR(":"), 2) != SIZE_MAX &&
           l->s.p[1] != '`' && l->s.p[1] != ' ';
}

static size_t skip_options(const struct rst *r, size_t i, size_t to)
{
    while (i < to && !blank(&r->lines[i]) && is_option(&r->lines[i]))
        i++;
    return i;
}

static void text_directive(struct rst *r, struct al_str argument, const char *label, size_t from,
                           size_t to, uint32_t depth)
{
    struct al_doc *d = r->d;
    size_t content = from;
    while (content < to && !blank(&r->lines[content]) && !is_option(&r->lines[content]) &&
           argument.n > 0)
        content++; /* the argument goes on */
    al_doc_block_end(d);
    al_buf_cstr(&d->body, label);
    if (argument.n > 0) {
        al_rst_inline(d, &d->body, argument);
        if (content > from) {
            al_buf_char(&d->body, ' ');
            al_rst_inline(d, &d->body, joined(r, from, content));
        }
        al_doc_block_end(d);
    }
    blocks(r, skip_options(r, content, to), to, depth + 1);
    al_doc_block_end(d);
}

/* "name:: argument" behind "..", its indented lines [from, to). False if it is none. */
static bool directive(struct rst *r, struct al_str s, size_t from, size_t to, uint32_t depth)
{
    size_t colons = al_str_find(s, AL_STR("::"), 0);
    if (colons == SIZE_MAX || colons == 0 || colons > 64 || memchr(s.p, ' ', colons) != NULL)
        return false;
    struct al_str name = al_str_sub(s, 0, colons);
    struct al_str argument = al_str_trim(al_str_sub(s, colons + 2, s.n));
    enum directive_kind kind = DIRECTIVE_TEXT;
    const char *label = "";
    for (size_t k = 0; k < AL_ARRAY_LEN(directives); k++)
        if (al_str_is(name, directives[k].name)) {
            kind = directives[k].kind;
            label = directives[k].label;
        }
    if (kind == DIRECTIVE_CODE)
        code_block(r, skip_options(r, from, to), to, argument);
    else if (kind == DIRECTIVE_TEXT)
        text_directive(r, argument, label, from, to, depth);
    return true;
}

/* A hyperlink target "_name: url". */
static void target(struct rst *r, struct al_str s)
{
    size_t colon = al_str_find(s, AL_STR(": "), 0);
    if (colon != SIZE_MAX)
        al_doc_link(r->d, al_str_trim(al_str_sub(s, colon + 2, s.n)));
}

/* A footnote or citation "[label] text". */
static void footnote(struct rst *r, struct al_str s, size_t from, size_t to)
{
    size_t close = al_str_find(s, AL_STR("]"), 0);
    if (close == SIZE_MAX)
        return;
    al_doc_block_end(r->d);
    al_rst_inline(r->d, &r->d->body, al_str_trim(al_str_sub(s, close + 1, s.n)));
    if (to > from) {
        al_buf_char(&r->d->body, ' ');
        al_rst_inline(r->d, &r->d->body, joined(r, from, to));
    }
    al_doc_block_end(r->d);
}

/* Explicit markup (".. ") at line i: the line behind it. */
static size_t explicit_markup(struct rst *r, size_t i, size_t to, uint32_t depth)
{
    struct al_str s = al_str_trim(al_str_sub(r->lines[i].s, 2, r->lines[i].s.n));
    size_t end = indented_end(r, i + 1, to, r->lines[i].indent);
    if (s.n == 0 && i + 1 < to && blank(&r->lines[i + 1]))
        return i + 1; /* an empty comment ends here */
    if (s.n == 0 || s.p[0] == '|')
        return end;
    if (s.p[0] == '_')
        target(r, s);
    else if (s.p[0] == '[')
        footnote(r, s, i + 1, end);
    else
        (void)directive(r, s, i + 1, end, depth); /* else: a comment */
    return end;
}

/* Width of the list marker a line starts with, 0 if it is none. */
static size_t list_marker(struct al_str s)
{
    size_t n = 0;
    if (s.n >= 2 && (s.p[0] == '-' || s.p[0] == '*' || s.p[0] == '+') && s.p[1] == ' ')
        n = 1;
    if (n == 0 && s.n >= 3 && s.p[0] == '#' && s.p[1] == '.')
        n = 2;
    if (n == 0) {
        while (n < s.n && n < 4 && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        if (n == 0 || n + 1 >= s.n || (s.p[n] != '.' && s.p[n] != ')') || s.p[n + 1] != ' ')
            return 0;
        n++;
    }
    while (n < s.n && s.p[n] == ' ')
        n++;
    return n;
}

/* Whether an item of the same list comes next. */
static bool item_follows(const struct rst *r, size_t i, size_t to, uint32_t indent)
{
    while (i < to && blank(&r->lines[i]))
        i++;
    return i < to && r->lines[i].indent == indent && list_marker(r->lines[i].s) > 0;
}

/* A list item at line i: the line behind it. */
static size_t list_item(struct rst *r, size_t i, size_t to, uint32_t depth)
{
    struct al_buf *body = &r->d->body;
    struct line *l = &r->lines[i];
    uint32_t indent = l->indent;
    size_t width = list_marker(l->s);
    size_t end = indented_end(r, i + 1, to, indent);
    end = end > i ? end : i + 1;
    struct al_str number = al_str_trim(al_str_sub(l->s, 0, width));
    bool counted = number.p[0] >= '0' && number.p[0] <= '9';
    al_doc_line_end(r->d);
    for (uint32_t k = 0; k < r->lists && k < 16; k++)
        al_buf_cstr(body, "  ");
    al_buf_str(body, counted ? number : AL_STR("-"));
    al_buf_char(body, ' ');
    l->s = al_str_sub(l->s, width, l->s.n);
    l->indent += (uint32_t)width;
    r->lists++;
    blocks(r, i, end, depth + 1);
    r->lists--;
    if (item_follows(r, end, to, indent))
        al_doc_paragraph_join(r->d);
    return end;
}

/* Between the columns of a simple table are at least two spaces. */
static bool is_simple_border(struct al_str s)
{
    bool gap = false;
    if (s.n < 5 || s.p[0] != '=')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '=' && s.p[i] != ' ')
            return false;
        gap = gap || s.p[i] == ' ';
    }
    return gap;
}

static bool is_grid_border(struct al_str s)
{
    if (s.n < 3 || s.p[0] != '+' || s.p[s.n - 1] != '+')
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] != '-' && s.p[i] != '=' && s.p[i] != '+')
            return false;
    return true;
}

/* One line of a grid table without its outer borders. */
static void grid_row(struct rst *r, struct al_str s)
{
    s = al_str_trim(s);
    if (s.n >= 2 && s.p[0] == '|')
        s = al_str_sub(s, 1, s.n - 1);
    if (s.n >= 1 && s.p[s.n - 1] == '|')
        s.n--;
    if (al_str_trim(s).n == 0)
        return;
    al_doc_line_end(r->d);
    al_rst_inline(r->d, &r->d->body, al_str_trim(s));
    al_doc_line_end(r->d);
}

/* One line of a simple table: columns are two spaces apart or more. */
static void simple_row(struct rst *r, struct al_str s)
{
    al_doc_line_end(r->d);
    for (size_t from = 0; from < s.n;) {
        size_t gap = al_str_find(s, AL_STR("  "), from);
        gap = gap == SIZE_MAX ? s.n : gap;
        al_rst_inline(r->d, &r->d->body, al_str_sub(s, from, gap - from));
        while (gap < s.n && s.p[gap] == ' ')
            gap++;
        if (gap < s.n)
            al_buf_cstr(&r->d->body, " | ");
        from = gap;
    }
    al_doc_line_end(r->d);
}

/* A table at line i: the line behind it, i if it is none. */
static size_t table(struct rst *r, size_t i, size_t to)
{
    bool grid = is_grid_border(r->lines[i].s);
    bool simple = !grid && is_simple_border(r->lines[i].s);
    uint32_t borders = 0;
    if (!grid && !simple)
        return i;
    al_doc_block_end(r->d);
    for (; i < to; i++) {
        struct al_str s = r->lines[i].s;
        if (grid && s.n == 0)
            break;
        if (grid && !is_grid_border(s))
            grid_row(r, s);
        if (grid)
            continue;
        if (is_simple_border(s)) {
            borders++;
            if (borders >= 2 && (i + 1 >= to || blank(&r->lines[i + 1]))) {
                i++;
                break;
            }
        } else if (s.n > 0 && s.p[0] != '-') {
            simple_row(r, s);
        }
    }
    al_doc_block_end(r->d);
    return i;
}

/* Drop the file-wide fields nobody reads (":orphan:"); others are text. */
static bool is_dropped_field(struct al_str s)
{
    return al_str_is(s, ":orphan:") || al_str_starts(s, AL_STR(":tocdepth:")) ||
           al_str_starts(s, AL_STR(":nosearch:"));
}

static bool ends_paragraph(const struct rst *r, size_t i, uint32_t indent)
{
    const struct line *l = &r->lines[i];
    return blank(l) || l->indent != indent || is_grid_border(l->s);
}

/* A paragraph at line i, with the literal block it announces: the line behind. */
static size_t paragraph(struct rst *r, size_t i, size_t to)
{
    struct al_doc *d = r->d;
    uint32_t indent = r->lines[i].indent;
    size_t end = i + 1;
    while (end < to && !ends_paragraph(r, end, indent))
        end++;
    struct al_str text = joined(r, i, end);
    bool literal = al_str_ends(text, AL_STR("::"));
    if (literal)
        text.n -= text.n > 2 ? 1 : 2;
    if (literal && text.n > 1 && text.p[text.n - 2] == ' ')
        text.n -= 2;
    al_rst_inline(d, &d->body, text);
    if (literal) {
        al_doc_block_end(d);
        size_t last = indented_end(r, end, to, indent);
        code_block(r, end, last, (struct al_str){"", 0});
        return last;
    }
    if (end < to && !blank(&r->lines[end]))
        al_doc_line_end(d);
    else
        al_doc_block_end(d);
    return end;
}

static size_t block(struct rst *r, size_t i, size_t to, uint32_t depth)
{
    struct line *l = &r->lines[i];
    size_t n = depth == 0 ? title(r, i, to) : 0;
    if (n > 0)
        return i + n;
    if (al_str_starts(l->s, AL_STR(".. ")) || al_str_is(l->s, ".."))
        return explicit_markup(r, i, to, depth);
    if (al_str_starts(l->s, AL_STR("__ ")) || is_dropped_field(l->s))
        return i + 1;
    if (adornment(l) && l->s.n >= 4)
        return i + 1; /* a transition */
    n = table(r, i, to);
    if (n > i)
        return n;
    if (al_str_starts(l->s, AL_STR("| "))) {
        grid_row(r, l->s);
        return i + 1;
    }
    if (al_str_starts(l->s, AL_STR(">>> "))) {
        while (n < to && !blank(&r->lines[n]))
            n++;
        code_block(r, i, n, AL_STR("pycon"));
        return n;
    }
    return list_marker(l->s) > 0 ? list_item(r, i, to, depth) : paragraph(r, i, to);
}

/* Lines [from, to) as blocks. Deeper than the limit they are plain paragraphs. */
static void blocks(struct rst *r, size_t from, size_t to, uint32_t depth)
{
    uint32_t base = from < to ? least_indent(r, from, to) : 0;
    for (size_t i = from; i < to && !r->d->failed;) {
        const struct line *l = &r->lines[i];
        if (blank(l)) {
            i++;
        } else if (depth >= DEPTH_MAX) {
            i = paragraph(r, i, to);
        } else if (l->indent > base) {
            size_t end = indented_end(r, i, to, base);
            blocks(r, i, end, depth + 1);
            i = end;
        } else {
            i = block(r, i, to, depth);
        }
    }
}

static void add_line(struct rst *r, struct al_str s)
{
    struct line *l = &r->lines[r->n++];
    size_t i = 0;
    l->indent = 0;
    for (; i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'); i++)
        l->indent = s.p[i] == '\t' ? (l->indent / 8 + 1) * 8 : l->indent + 1;
    while (s.n > i && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    l->s = al_str_sub(s, i, s.n - i);
}

static enum al_code lines_read(struct rst *r, struct al_str text, struct al_err *err)
{
    size_t count = 1;
    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    if (count > LINES_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document '" AL_STR_FMT "': %zu lines",
                       AL_STR_ARG(r->d->opt->path), count);
    r->lines = al_arena_array(r->d->a, count, sizeof(*r->lines));
    if (!r->lines)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    for (size_t at = 0; at <= text.n;) {
        size_t end = al_str_find(text, AL_STR("\n"), at);
        end = end == SIZE_MAX ? text.n : end;
        add_line(r, al_str_sub(text, at, end - at));
        at = end + 1;
    }
    return AL_OK;
}

enum al_code al_rst_read(struct al_doc *d, struct al_str text, struct al_err *err)
{
    struct rst r = {.d = d};
    al_frontmatter_take(d, &text);
    AL_TRY(lines_read(&r, text, err));
    blocks(&r, 0, r.n, 0);
    return AL_OK;
}
