/* Markdown: libcmark-gfm's tree to plain text. The one user of libcmark-gfm.
 *
 * cmark aborts when an allocation fails, so it gets an allocator that jumps out of the parser
 * instead; all its memory is of a scratch arena, dropped at once. Nesting and paragraph size are
 * bounded before it sees the text: both make it quadratic. */
#include <pthread.h>
#include <setjmp.h>
#include <string.h>

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>

#include "doc.h"

#define SCRATCH_BYTES_MIN ((size_t)8 << 20)
#define SCRATCH_PER_BYTE 160u
#define INDENT_MAX 200u
#define BLANK_LINES_MAX 2u
#define PARAGRAPH_BYTES_MAX 16384u

static _Thread_local struct {
    struct al_arena *arena;
    jmp_buf *out;
} scratch;

static void *scratch_check(void *p)
{
    if (!p)
        longjmp(*scratch.out, 1);
    return p;
}

static void *scratch_calloc(size_t n, size_t size)
{
    return scratch_check(al_arena_array(scratch.arena, n, size));
}

static void *scratch_realloc(void *p, size_t n)
{
    struct al_mem *m = al_arena_mem(scratch.arena);
    return scratch_check(m->resize(m, p, n > 0 ? n : 1));
}

static void scratch_free(void *p)
{
    (void)p;
}

static cmark_mem scratch_mem = {scratch_calloc, scratch_realloc, scratch_free};

static pthread_once_t registered = PTHREAD_ONCE_INIT;

/* ---- before the parser ---- */

struct prepare {
    struct al_doc *d;
    struct al_buf out;
    size_t paragraph; /* bytes since the last blank line */
    char fence;       /* '`' or '~' inside a fenced block, else 0 */
    size_t fence_n;
    uint32_t n_blank; /* blank lines just before */
};

/* Length of the list marker or '>' at p[i], 0 if there is none. */
static size_t marker_len(struct al_str line, size_t i)
{
    size_t n = i;
    if (line.p[i] == '>')
        return 1;
    while (n < line.n && n - i < 9 && line.p[n] >= '0' && line.p[n] <= '9')
        n++;
    bool bullet = line.p[i] == '-' || line.p[i] == '*' || line.p[i] == '+';
    bool number = n > i && n < line.n && (line.p[n] == '.' || line.p[n] == ')');
    if (!bullet && !number)
        return 0;
    n++;
    return n == line.n || line.p[n] == ' ' || line.p[n] == '\t' ? n - i : 0;
}

/* How many block markers a line starts with. Nesting by indent is bounded by INDENT_MAX. */
static size_t line_depth(struct al_str line)
{
    size_t depth = 0;
    for (size_t i = 0; i < line.n;) {
        if (line.p[i] == ' ' || line.p[i] == '\t') {
            i++;
            continue;
        }
        size_t n = marker_len(line, i);
        if (n == 0)
            break;
        depth++;
        i += n;
    }
    return depth;
}

/* Follow fenced code, in which paragraphs do not grow. */
static void fence_follow(struct prepare *p, struct al_str line)
{
    struct al_str s = al_str_trim(line);
    if (s.n < 3 || (s.p[0] != '`' && s.p[0] != '~'))
        return;
    size_t n = 0;
    while (n < s.n && s.p[n] == s.p[0])
        n++;
    if (p->fence == 0 && n >= 3) {
        p->fence = s.p[0];
        p->fence_n = n;
    } else if (p->fence == s.p[0] && n >= p->fence_n && n == s.n) {
        p->fence = 0;
    }
}

/* A line too long for one paragraph: cut at a space, or anywhere at a character's border. */
static void add_long_line(struct prepare *p, struct al_str line)
{
    while (line.n > PARAGRAPH_BYTES_MAX) {
        size_t cut = al_str_utf8_floor(line, PARAGRAPH_BYTES_MAX);
        for (size_t i = cut; i > cut - 1024; i--)
            if (line.p[i - 1] == ' ') {
                cut = i;
                break;
            }
        al_buf_add(&p->out, line.p, cut);
        al_buf_cstr(&p->out, "\n\n");
        line = al_str_sub(line, cut, line.n - cut);
    }
    al_buf_str(&p->out, line);
    p->paragraph = line.n;
}

static void prepare_line(struct prepare *p, struct al_str line)
{
    size_t indent = 0;
    while (indent < line.n && (line.p[indent] == ' ' || line.p[indent] == '\t'))
        indent++;
    if (indent > INDENT_MAX) {
        line = al_str_sub(line, indent - INDENT_MAX, line.n);
        indent = INDENT_MAX;
    }
    fence_follow(p, line);
    bool blank = indent >= line.n && p->fence == 0;
    p->n_blank = blank ? p->n_blank + 1 : 0;
    if (p->n_blank > BLANK_LINES_MAX)
        return; /* each costs as much as there are open blocks */
    p->paragraph = indent >= line.n || p->fence != 0 ? 0 : p->paragraph + line.n + 1;
    if (p->paragraph > PARAGRAPH_BYTES_MAX) {
        al_buf_char(&p->out, '\n');
        p->paragraph = line.n;
    }
    if (line.n > PARAGRAPH_BYTES_MAX)
        add_long_line(p, line);
    else
        al_buf_str(&p->out, line);
    al_buf_char(&p->out, '\n');
}

static enum al_code prepare(struct al_doc *d, struct al_str text, struct prepare *p,
                            struct al_err *err)
{
    for (size_t at = 0; at < text.n;) {
        size_t end = al_str_find(text, AL_STR("\n"), at);
        end = end == SIZE_MAX ? text.n : end;
        struct al_str line = al_str_sub(text, at, end - at);
        if (line_depth(line) > AL_DOC_DEPTH_MAX)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                             "document '" AL_STR_FMT "': blocks nested deeper than %u",
                             AL_STR_ARG(d->opt->path), AL_DOC_DEPTH_MAX);
        prepare_line(p, line);
        at = end + 1;
    }
    return al_buf_status(&p->out, err);
}

/* ---- the tree to text ---- */

struct walk {
    struct al_doc *d;
    struct al_buf heading; /* collects while in a heading */
    bool in_heading;
    uint32_t lists;  /* open lists */
    uint32_t quotes; /* open block quotes */
};

static struct al_str literal_of(cmark_node *node)
{
    return al_str_c(cmark_node_get_literal(node));
}

static void put(struct walk *w, struct al_str s)
{
    al_buf_str(w->in_heading ? &w->heading : &w->d->body, s);
}

static bool tag_is(struct al_str s, size_t at, const char *name)
{
    size_t n = strlen(name);
    return at + n <= s.n && strncasecmp(s.p + at, name, n) == 0;
}

/* Behind the tag, comment or script that starts at s[at] ('<'). */
static size_t skip_markup(struct al_str s, size_t at)
{
    static const char *const whole[] = {"script", "style"};
    if (tag_is(s, at, "<!--")) {
        size_t end = al_str_find(s, AL_STR("-->"), at + 2);
        return end == SIZE_MAX ? s.n : end + 3;
    }
    for (size_t k = 0; k < AL_ARRAY_LEN(whole); k++) {
        if (!tag_is(s, at + 1, whole[k]))
            continue;
        for (size_t i = at + 1; i + 2 < s.n; i++)
            if (s.p[i] == '<' && s.p[i + 1] == '/' && tag_is(s, i + 2, whole[k])) {
                at = i;
                break;
            }
    }
    size_t end = al_str_find(s, AL_STR(">"), at);
    return end == SIZE_MAX ? s.n : end + 1;
}

/* An HTML block: its text. */
static void html_text(struct walk *w, struct al_str s)
{
    for (size_t at = 0; at < s.n;) {
        size_t open = al_str_find(s, AL_STR("<"), at);
        open = open == SIZE_MAX ? s.n : open;
        al_doc_words(w->d, al_str_sub(s, at, open - at));
        if (open == s.n)
            break;
        at = skip_markup(s, open);
    }
    al_doc_block_end(w->d);
}

static void item_start(struct walk *w, cmark_node *node)
{
    char number[24];
    cmark_node *list = cmark_node_parent(node);
    al_doc_line_end(w->d);
    for (uint32_t i = 1; i < w->lists && i < 16; i++)
        al_buf_cstr(&w->d->body, "  ");
    if (list && cmark_node_get_list_type(list) == CMARK_ORDERED_LIST) {
        int index = cmark_node_get_list_start(list);
        for (cmark_node *n = cmark_node_previous(node); n && index < 1000000;
             n = cmark_node_previous(n))
            index++;
        (void)snprintf(number, sizeof(number), "%d. ", index);
        al_buf_cstr(&w->d->body, number);
    } else {
        al_buf_cstr(&w->d->body, "- ");
    }
}

static void heading_end(struct walk *w, cmark_node *node)
{
    int level = cmark_node_get_heading_level(node);
    w->in_heading = false;
    if (al_buf_status(&w->heading, NULL) != AL_OK)
        w->d->failed = true;
    al_doc_section(w->d, level < 1 ? 1 : (uint32_t)level, al_buf_view(&w->heading), true);
    al_buf_reset(&w->heading);
}

/* Blocks of the core. */
static void on_block(struct walk *w, cmark_node *node, bool enter)
{
    struct al_doc *d = w->d;
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HEADING) {
        w->in_heading = enter;
        if (!enter)
            heading_end(w, node);
    } else if (type == CMARK_NODE_LIST) {
        w->lists += enter ? 1u : (uint32_t)-1;
        if (!enter && w->lists == 0)
            al_doc_block_end(d);
    } else if (type == CMARK_NODE_ITEM) {
        if (enter)
            item_start(w, node);
        else
            al_doc_line_end(d);
    } else if (type == CMARK_NODE_PARAGRAPH && !enter) {
        cmark_node *parent = cmark_node_parent(node);
        bool item = parent && cmark_node_get_type(parent) == CMARK_NODE_ITEM;
        if (item)
            al_doc_line_end(d);
        else
            al_doc_block_end(d);
    } else if (type == CMARK_NODE_CODE_BLOCK && enter) {
        al_doc_code(d, al_str_c(cmark_node_get_fence_info(node)), literal_of(node));
    } else if (type == CMARK_NODE_HTML_BLOCK && enter) {
        html_text(w, literal_of(node));
    }
}

static void on_inline(struct walk *w, cmark_node *node, bool enter)
{
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE)
        put(w, literal_of(node));
    else if (type == CMARK_NODE_SOFTBREAK)
        put(w, AL_STR(" "));
    else if (type == CMARK_NODE_LINEBREAK)
        put(w, w->in_heading ? AL_STR(" ") : AL_STR("\n"));
    else if (type == CMARK_NODE_LINK && enter)
        al_doc_link(w->d, al_str_c(cmark_node_get_url(node)));
}

/* Tables come from an extension: their types have numbers of its own. True if the node was one of
 * it. */
static bool on_table(struct walk *w, cmark_node *node, bool enter)
{
    const char *type = cmark_node_get_type_string(node);
    if (strncmp(type, "table", 5) != 0)
        return false;
    if (strcmp(type, "table_cell") == 0) {
        if (!enter && cmark_node_next(node))
            put(w, AL_STR(" | "));
    } else if (strcmp(type, "table") == 0) {
        al_doc_block_end(w->d);
    } else if (!enter) {
        al_doc_line_end(w->d);
    }
    return true;
}

static void walk_tree(struct walk *w, cmark_node *root)
{
    cmark_iter *it = cmark_iter_new(root);
    for (cmark_event_type e = cmark_iter_next(it); e != CMARK_EVENT_DONE; e = cmark_iter_next(it)) {
        cmark_node *node = cmark_iter_get_node(it);
        bool enter = e == CMARK_EVENT_ENTER;
        if (on_table(w, node, enter))
            continue;
        if (cmark_node_get_type(node) & CMARK_NODE_TYPE_PRESENT &&
            (cmark_node_get_type(node) & CMARK_NODE_TYPE_MASK) == CMARK_NODE_TYPE_BLOCK)
            on_block(w, node, enter);
        else
            on_inline(w, node, enter);
    }
}

static void parse(struct al_doc *d, struct al_str text)
{
    cmark_parser *parser = cmark_parser_new_with_mem(CMARK_OPT_DEFAULT, &scratch_mem);
    cmark_syntax_extension *table = cmark_find_syntax_extension("table");
    if (table)
        cmark_parser_attach_syntax_extension(parser, table);
    cmark_parser_feed(parser, text.p, text.n);
    struct walk w = {.d = d};
    al_buf_init(&w.heading, al_arena_mem(scratch.arena), 65536);
    walk_tree(&w, cmark_parser_finish(parser));
}

/* parse(), stopping when the scratch arena is full. */
static enum al_code parse_guarded(struct al_doc *d, struct al_str text, struct al_err *err)
{
    jmp_buf out;
    scratch.out = &out;
    if (setjmp(out) != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                         "document '" AL_STR_FMT "': too much Markdown to parse",
                         AL_STR_ARG(d->opt->path));
    parse(d, text);
    return AL_OK;
}

enum al_code al_markdown_read(struct al_doc *d, struct al_str text, struct al_err *err)
{
    struct al_arena arena;
    struct prepare p = {.d = d};
    if (pthread_once(&registered, cmark_gfm_core_extensions_ensure_registered) != 0)
        return AL_FAIL(err, AL_INTERNAL, "markdown: extensions cannot be registered");
    al_frontmatter_take(d, &text);
    al_arena_init(&arena, NULL, SCRATCH_BYTES_MIN + text.n * SCRATCH_PER_BYTE);
    al_buf_init(&p.out, al_arena_mem(&arena), 0);
    enum al_code code = prepare(d, text, &p, err);
    if (code == AL_OK) {
        scratch.arena = &arena;
        code = parse_guarded(d, al_buf_view(&p.out), err);
        scratch.arena = NULL;
        scratch.out = NULL;
    }
    al_arena_fini(&arena);
    return code;
}
