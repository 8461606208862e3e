#include "doc.h"

#include <string.h>

void al_doc_init(struct al_doc *d, const struct al_document_options *opt, struct al_str source,
                 struct al_arena *a)
{
    memset(d, 0, sizeof(*d));
    d->a = a;
    d->opt = opt;
    d->source = source;
    al_buf_init(&d->body, al_arena_mem(a), UINT32_MAX / 2);
}

/* A copy in the arena, or the empty view with `failed` set. */
static struct al_str copy(struct al_doc *d, struct al_str s)
{
    struct al_str ret = {"", 0};
    if (s.n > 0 && al_arena_str(d->a, s, &ret, NULL) != AL_OK) {
        d->failed = true;
        return (struct al_str){"", 0};
    }
    return ret;
}

/* Heading as one line: white space runs become one space, at most 300 bytes. */
static struct al_str one_line(struct al_doc *d, struct al_str s)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(d->a), 0);
    s = al_str_trim(s);
    s.n = al_str_utf8_floor(s, s.n > 300 ? 300 : s.n);
    bool space = false;
    for (size_t i = 0; i < s.n; i++) {
        bool white = s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t';
        if (!white)
            al_buf_char(&b, s.p[i]);
        else if (!space)
            al_buf_char(&b, ' ');
        space = white;
    }
    d->failed = d->failed || al_buf_status(&b, NULL) != AL_OK;
    return al_buf_view(&b);
}

static struct al_str heading_path(struct al_doc *d)
{
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(d->a), 0);
    for (size_t i = 1; i <= AL_DOC_LEVEL_MAX; i++) {
        if (d->stack[i].n == 0)
            continue;
        if (b.n > 0)
            al_buf_cstr(&b, " > ");
        al_buf_str(&b, d->stack[i]);
    }
    d->failed = d->failed || al_buf_status(&b, NULL) != AL_OK;
    return al_buf_view(&b);
}

/* A section that starts at an offset; NULL when out of memory. heading is a line of the arena. */
static struct al_section *push_section(struct al_doc *d, uint32_t level, struct al_str heading,
                                       size_t start)
{
    AL_ASSERT(level >= 1 && level <= AL_DOC_LEVEL_MAX);
    for (size_t i = level; i <= AL_DOC_LEVEL_MAX; i++)
        d->stack[i] = (struct al_str){"", 0};
    d->stack[level] = heading;
    void *p = d->sections;
    if (al_mem_grow(al_arena_mem(d->a), &p, &d->cap_sections, d->n_sections + 1,
                    sizeof(*d->sections)) != AL_OK) {
        d->failed = true;
        return NULL;
    }
    d->sections = p;
    struct al_section *s = &d->sections[d->n_sections++];
    *s = (struct al_section){.start = (uint32_t)start,
                             .text = (uint32_t)start,
                             .level = level,
                             .heading = heading,
                             .path = heading_path(d)};
    return s;
}

void al_doc_section_at(struct al_doc *d, uint32_t level, struct al_str heading, size_t start,
                       size_t text)
{
    heading = one_line(d, heading);
    if (heading.n == 0 || d->n_sections >= AL_DOC_SECTIONS_MAX)
        return;
    struct al_section *s = push_section(d, level, heading, start);
    if (s)
        s->text = (uint32_t)text;
}

void al_doc_section(struct al_doc *d, uint32_t level, struct al_str heading, bool line)
{
    heading = one_line(d, heading);
    if (heading.n == 0)
        return;
    al_doc_block_end(d);
    if (d->title.n == 0)
        d->title = heading;
    struct al_section *s = NULL;
    if (d->n_sections < AL_DOC_SECTIONS_MAX)
        s = push_section(d, level, heading, d->body.n);
    if (line) {
        al_buf_str(&d->body, heading);
        al_doc_block_end(d);
    }
    if (s)
        s->text = (uint32_t)d->body.n;
}

/* Take spaces off the end of the body. */
static void trim_line(struct al_doc *d)
{
    while (d->body.n > 0 && d->body.p[d->body.n - 1] == ' ')
        d->body.p[--d->body.n] = '\0';
}

void al_doc_line_end(struct al_doc *d)
{
    trim_line(d);
    if (d->body.n > 0 && d->body.p[d->body.n - 1] != '\n')
        al_buf_char(&d->body, '\n');
}

void al_doc_block_end(struct al_doc *d)
{
    al_doc_line_end(d);
    if (d->body.n > 1 && d->body.p[d->body.n - 2] != '\n')
        al_buf_char(&d->body, '\n');
}

void al_doc_paragraph_join(struct al_doc *d)
{
    if (d->body.n > 1 && d->body.p[d->body.n - 1] == '\n' && d->body.p[d->body.n - 2] == '\n')
        d->body.p[--d->body.n] = '\0';
}

/* Longest run of backquotes in a code block; a fence must be longer. */
static size_t longest_backquotes(struct al_str code)
{
    size_t best = 0;
    size_t run = 0;
    for (size_t i = 0; i < code.n; i++) {
        run = code.p[i] == '`' ? run + 1 : 0;
        best = run > best ? run : best;
    }
    return best;
}

static void fence(struct al_doc *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        al_buf_char(&d->body, '`');
}

void al_doc_code(struct al_doc *d, struct al_str lang, struct al_str code)
{
    while (code.n > 0 && (code.p[code.n - 1] == '\n' || code.p[code.n - 1] == ' '))
        code.n--;
    if (code.n == 0)
        return;
    size_t n = longest_backquotes(code) + 1;
    n = n < 3 ? 3 : n;
    al_doc_block_end(d);
    fence(d, n);
    for (size_t i = 0; i < lang.n && i < 32 && lang.p[i] > ' ' && lang.p[i] != '`'; i++)
        al_buf_char(&d->body, lang.p[i]);
    al_buf_char(&d->body, '\n');
    al_buf_str(&d->body, code);
    al_buf_char(&d->body, '\n');
    fence(d, n);
    al_doc_block_end(d);
}

void al_doc_words(struct al_doc *d, struct al_str text)
{
    size_t from = 0;
    for (size_t i = 0; i <= text.n; i++) {
        bool white = i == text.n || text.p[i] == ' ' || text.p[i] == '\n' || text.p[i] == '\t' ||
                     text.p[i] == '\f' || text.p[i] == '\v' || text.p[i] == '\r';
        if (!white)
            continue;
        if (i > from)
            al_buf_add(&d->body, text.p + from, i - from);
        from = i + 1;
        bool fresh =
            d->body.n == 0 || d->body.p[d->body.n - 1] == ' ' || d->body.p[d->body.n - 1] == '\n';
        if (i < text.n && !fresh)
            al_buf_char(&d->body, ' ');
    }
}

static bool has(const struct al_str *list, size_t n, struct al_str s)
{
    for (size_t i = 0; i < n; i++)
        if (al_str_eq(list[i], s))
            return true;
    return false;
}

void al_doc_link(struct al_doc *d, struct al_str target)
{
    target = al_str_trim(target);
    if (target.n == 0 || target.n > 1024 || target.p[0] == '#' || d->n_links >= AL_DOC_LINKS_MAX ||
        has(d->links, d->n_links, target))
        return;
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= ' ')
            return;
    target = copy(d, target);
    if (target.n > 0)
        d->links[d->n_links++] = target;
}

void al_doc_tag(struct al_doc *d, struct al_str tag)
{
    tag = al_str_trim(tag);
    if (tag.n == 0 || tag.n > 64 || d->n_tags >= AL_DOC_TAGS_MAX || has(d->tags, d->n_tags, tag))
        return;
    tag = copy(d, tag);
    if (tag.n > 0)
        d->tags[d->n_tags++] = tag;
}

void al_doc_meta(struct al_doc *d, struct al_str key, struct al_str value)
{
    key = al_str_trim(key);
    value = al_str_trim(value);
    value.n = al_str_utf8_floor(value, value.n > AL_DOC_VALUE_BYTES_MAX ? AL_DOC_VALUE_BYTES_MAX
                                                                        : value.n);
    if (key.n == 0 || key.n > 64 || value.n == 0 || d->n_meta >= AL_DOC_META_MAX)
        return;
    for (size_t i = 0; i < d->n_meta; i++)
        if (al_str_eq(d->meta[i].key, key))
            return;
    struct al_kv kv = {copy(d, key), copy(d, value)};
    if (kv.key.n > 0 && kv.value.n > 0)
        d->meta[d->n_meta++] = kv;
}

struct al_str al_doc_meta_get(const struct al_doc *d, const char *key)
{
    for (size_t i = 0; i < d->n_meta; i++)
        if (al_str_is(d->meta[i].key, key))
            return d->meta[i].value;
    return (struct al_str){"", 0};
}

enum al_code al_doc_status(const struct al_doc *d, struct al_err *err)
{
    if (d->failed)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    return al_buf_status(&d->body, err);
}
