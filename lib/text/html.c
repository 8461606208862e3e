/* HTML: libgumbo's tree to plain text. The one user of libgumbo.
 *
 * gumbo does not expect allocations to fail, so it gets an allocator that jumps out of the parser;
 * its memory is of a scratch arena, dropped at once (its own destructor recurses). */
#include "html.h"

#include <setjmp.h>
#include <string.h>

#include <gumbo.h>

#define SCRATCH_BYTES_MIN ((size_t)16 << 20)
#define SCRATCH_PER_BYTE 320u
#define WALK_DEPTH_MAX 1000u

struct scratch {
    struct al_arena arena;
    jmp_buf out;
};

static void *scratch_alloc(void *userdata, size_t n)
{
    struct scratch *s = userdata;
    void *p = al_arena_alloc(&s->arena, n);
    if (!p)
        longjmp(s->out, 1);
    return p;
}

static void scratch_free(void *userdata, void *p)
{
    (void)userdata;
    (void)p;
}

/* Where we are in the tree. */
struct walk {
    struct al_doc *d;
    const GumboNode *node;
    struct al_buf text; /* of the open heading or code block */
    bool collect;       /* text goes there */
    uint32_t lists;
    const char *lang; /* class of the open code block */
};

static const char *attribute(const GumboNode *node, const char *name)
{
    const GumboAttribute *a = gumbo_get_attribute(&node->v.element.attributes, name);
    return a ? a->value : "";
}

static bool is_block(GumboTag tag)
{
    switch ((int)tag) {
    case GUMBO_TAG_P:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_HR:
        return true;
    default:
        return false;
    }
}

static bool is_line(GumboTag tag)
{
    switch ((int)tag) {
    case GUMBO_TAG_LI:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_DT:
    case GUMBO_TAG_DD:
    case GUMBO_TAG_BR:
    case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_OPTION:
        return true;
    default:
        return false;
    }
}

/* Parts of a page that are no content. */
static bool is_skipped(GumboTag tag)
{
    switch ((int)tag) {
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
        return true;
    default:
        return false;
    }
}

/* 1 to 6 for a heading, else 0. */
static uint32_t heading_level(GumboTag tag)
{
    switch ((int)tag) {
    case GUMBO_TAG_H1:
        return 1;
    case GUMBO_TAG_H2:
        return 2;
    case GUMBO_TAG_H3:
        return 3;
    case GUMBO_TAG_H4:
        return 4;
    case GUMBO_TAG_H5:
        return 5;
    case GUMBO_TAG_H6:
        return 6;
    default:
        return 0;
    }
}

static void on_text(struct walk *w, const char *text)
{
    if (w->collect)
        al_buf_cstr(&w->text, text);
    else
        al_doc_words(w->d, al_str_c(text));
}

/* All text below a node, for a title. */
static struct al_str text_below(const GumboNode *node)
{
    const GumboVector *children = &node->v.element.children;
    for (unsigned i = 0; i < children->length; i++) {
        const GumboNode *child = children->data[i];
        if (child->type == GUMBO_NODE_TEXT)
            return al_str_trim(al_str_c(child->v.text.text));
    }
    return (struct al_str){"", 0};
}

static void on_title(struct walk *w, const GumboNode *node)
{
    struct al_str title = {"", 0};
    if (w->d->title.n == 0 && al_arena_str(w->d->a, text_below(node), &title, NULL) == AL_OK)
        w->d->title = title;
}

static void on_meta(struct walk *w, const GumboNode *node)
{
    struct al_str name = al_str_c(attribute(node, "name"));
    struct al_str property = al_str_c(attribute(node, "property"));
    struct al_str content = al_str_c(attribute(node, "content"));
    if (al_str_is(name, "author"))
        al_doc_meta(w->d, AL_STR("author"), content);
    else if (al_str_is(name, "date") || al_str_is(property, "article:published_time"))
        al_doc_meta(w->d, AL_STR("date"), content);
    else if (al_str_is(name, "description"))
        al_doc_meta(w->d, AL_STR("summary"), content);
    else if (al_str_is(name, "keywords"))
        for (size_t from = 0; from < content.n;) {
            size_t comma = al_str_find(content, AL_STR(","), from);
            comma = comma == SIZE_MAX ? content.n : comma;
            al_doc_tag(w->d, al_str_sub(content, from, comma - from));
            from = comma + 1;
        }
}

static void on_cell(struct walk *w, const GumboNode *node)
{
    if (node->index_within_parent > 0 && w->d->body.n > 0 && w->d->body.p[w->d->body.n - 1] != '\n')
        al_buf_cstr(&w->d->body, " | ");
}

static void on_item(struct walk *w)
{
    al_doc_line_end(w->d);
    for (uint32_t i = 1; i < w->lists && i < 16; i++)
        al_buf_cstr(&w->d->body, "  ");
    al_buf_cstr(&w->d->body, "- ");
}

static void collect_start(struct walk *w)
{
    w->collect = true;
    al_buf_reset(&w->text);
}

/* Whether the children of the element are visited. */
static bool on_enter(struct walk *w, const GumboNode *node)
{
    GumboTag tag = node->v.element.tag;
    if (tag == GUMBO_TAG_TITLE) {
        on_title(w, node);
        return false;
    }
    if (is_skipped(tag))
        return false;
    if (tag == GUMBO_TAG_META)
        on_meta(w, node);
    else if (tag == GUMBO_TAG_A)
        al_doc_link(w->d, al_str_c(attribute(node, "href")));
    else if (tag == GUMBO_TAG_IMG)
        on_text(w, attribute(node, "alt"));
    if (w->collect)
        return true;
    if (tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL)
        w->lists++;
    if (heading_level(tag) > 0 || tag == GUMBO_TAG_PRE) {
        collect_start(w);
        w->node = node;
        w->lang = attribute(node, "class");
    } else if (tag == GUMBO_TAG_LI) {
        on_item(w);
    } else if (tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
        on_cell(w, node);
    } else if (is_block(tag)) {
        if (w->lists > 1)
            al_doc_line_end(w->d);
        else
            al_doc_block_end(w->d);
    } else if (is_line(tag)) {
        al_doc_line_end(w->d);
    }
    return true;
}

/* "language-python" or "highlight-python": the language in a class. */
static struct al_str class_language(const char *class)
{
    static const char *const marks[] = {"language-", "highlight-", "lang-"};
    struct al_str s = al_str_c(class);
    for (size_t i = 0; i < AL_ARRAY_LEN(marks); i++) {
        size_t at = al_str_find(s, al_str_c(marks[i]), 0);
        if (at != SIZE_MAX)
            return al_str_sub(s, at + strlen(marks[i]), s.n);
    }
    return (struct al_str){"", 0};
}

static void collect_end(struct walk *w, GumboTag tag)
{
    w->collect = false;
    w->node = NULL;
    if (al_buf_status(&w->text, NULL) != AL_OK)
        w->d->failed = true;
    if (tag == GUMBO_TAG_PRE)
        al_doc_code(w->d, class_language(w->lang), al_buf_view(&w->text));
    else
        al_doc_section(w->d, heading_level(tag), al_buf_view(&w->text), true);
}

static void on_leave(struct walk *w, const GumboNode *node)
{
    GumboTag tag = node->v.element.tag;
    if (w->collect) {
        if (w->node == node)
            collect_end(w, tag);
        return;
    }
    if ((tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL) && w->lists > 0)
        w->lists--;
    if (is_block(tag) && w->lists == 0)
        al_doc_block_end(w->d);
    else if (is_block(tag) || (is_line(tag) && tag != GUMBO_TAG_BR))
        al_doc_line_end(w->d);
}

static bool is_element(const GumboNode *node)
{
    return node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE;
}

static void on_leaf(struct walk *w, const GumboNode *node)
{
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA ||
        node->type == GUMBO_NODE_WHITESPACE)
        on_text(w, node->v.text.text);
}

/* Depth first, without recursion: each node knows its parent and its place there. */
static void walk_tree(struct walk *w, const GumboNode *root)
{
    const GumboNode *node = root;
    uint32_t depth = 0;
    while (node) {
        if (is_element(node) && depth < WALK_DEPTH_MAX && on_enter(w, node) &&
            node->v.element.children.length > 0) {
            node = node->v.element.children.data[0];
            depth++;
            continue;
        }
        if (is_element(node))
            on_leave(w, node);
        else
            on_leaf(w, node);
        while (node && node != root) {
            const GumboNode *parent = node->parent;
            size_t next = node->index_within_parent + 1;
            if (next < parent->v.element.children.length) {
                node = parent->v.element.children.data[next];
                break;
            }
            node = parent;
            depth--;
            on_leave(w, node);
        }
        if (node == root)
            return;
    }
}

static void parse(struct al_doc *d, struct scratch *s, struct al_str html)
{
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = scratch_alloc;
    options.deallocator = scratch_free;
    options.userdata = s;
    options.max_errors = 0;
    GumboOutput *out = gumbo_parse_with_options(&options, html.p, html.n);
    struct walk w = {.d = d, .lang = ""};
    al_buf_init(&w.text, al_arena_mem(d->a), 0);
    walk_tree(&w, out->root);
}

static enum al_code parse_guarded(struct al_doc *d, struct scratch *s, struct al_str html,
                                  struct al_err *err)
{
    if (setjmp(s->out) != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                         "document '" AL_STR_FMT "': too much HTML to parse",
                         AL_STR_ARG(d->opt->path));
    parse(d, s, html);
    return AL_OK;
}

enum al_code al_html_read(struct al_doc *d, struct al_str text, struct al_err *err)
{
    struct scratch *s = al_arena_zalloc(d->a, sizeof(*s));
    struct al_buf clean;
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    al_arena_init(&s->arena, NULL, SCRATCH_BYTES_MIN + text.n * SCRATCH_PER_BYTE);
    al_buf_init(&clean, al_arena_mem(&s->arena), 0);
    enum al_code code = al_html_clean(d, text, &clean, err);
    if (code == AL_OK && clean.n > 0)
        code = parse_guarded(d, s, al_buf_view(&clean), err);
    al_arena_fini(&s->arena);
    return code;
}
