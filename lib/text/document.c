#include "airlore/document.h"

#include <string.h>
#include <strings.h>

#include "doc.h"
#include "unicode.h"

#define SNIFF_BYTES 1024u
#define SOURCE_BYTES_MAX (256u << 20)

static const struct {
    const char *name;
    enum al_format format;
} extensions[] =
    {
        {"md", AL_FORMAT_MARKDOWN}, {"markdown", AL_FORMAT_MARKDOWN}, {"mdx", AL_FORMAT_MARKDOWN},
        {"rst", AL_FORMAT_RST},     {"rest", AL_FORMAT_RST},          {"html", AL_FORMAT_HTML},
        {"htm", AL_FORMAT_HTML},    {"xhtml", AL_FORMAT_HTML},        {"py", AL_FORMAT_PYTHON},
        {"pyi", AL_FORMAT_PYTHON},  {"ipynb", AL_FORMAT_NOTEBOOK},    {"txt", AL_FORMAT_TEXT},
        {"text", AL_FORMAT_TEXT},   {"log", AL_FORMAT_TEXT},          {"adoc", AL_FORMAT_TEXT},
        {"sql", AL_FORMAT_TEXT},    {"yaml", AL_FORMAT_TEXT},         {"yml", AL_FORMAT_TEXT},
        {"toml", AL_FORMAT_TEXT},   {"cfg", AL_FORMAT_TEXT},          {"ini", AL_FORMAT_TEXT},
        {"sh", AL_FORMAT_TEXT},     {"csv", AL_FORMAT_TEXT},          {"json", AL_FORMAT_TEXT},
},
  media_types[] = {
      {"text/markdown", AL_FORMAT_MARKDOWN},
      {"text/x-markdown", AL_FORMAT_MARKDOWN},
      {"markdown", AL_FORMAT_MARKDOWN},
      {"md", AL_FORMAT_MARKDOWN},
      {"text/x-rst", AL_FORMAT_RST},
      {"text/prs.fallenstein.rst", AL_FORMAT_RST},
      {"rst", AL_FORMAT_RST},
      {"restructuredtext", AL_FORMAT_RST},
      {"text/html", AL_FORMAT_HTML},
      {"application/xhtml+xml", AL_FORMAT_HTML},
      {"html", AL_FORMAT_HTML},
      {"text/x-python", AL_FORMAT_PYTHON},
      {"application/x-python", AL_FORMAT_PYTHON},
      {"text/x-script.python", AL_FORMAT_PYTHON},
      {"python", AL_FORMAT_PYTHON},
      {"py", AL_FORMAT_PYTHON},
      {"application/x-ipynb+json", AL_FORMAT_NOTEBOOK},
      {"notebook", AL_FORMAT_NOTEBOOK},
      {"ipynb", AL_FORMAT_NOTEBOOK},
      {"text/plain", AL_FORMAT_TEXT},
      {"application/json", AL_FORMAT_TEXT}, /* no reader of its own: as it stands */
      {"json", AL_FORMAT_TEXT},
      {"text", AL_FORMAT_TEXT},
      {"plain", AL_FORMAT_TEXT},
      {"txt", AL_FORMAT_TEXT},
};

static bool equal_nocase(struct al_str s, const char *name)
{
    return strlen(name) == s.n && strncasecmp(s.p, name, s.n) == 0;
}

/* The last component of a path. */
static struct al_str base_name(struct al_str path)
{
    size_t from = path.n;
    while (from > 0 && path.p[from - 1] != '/' && path.p[from - 1] != '\\')
        from--;
    return al_str_sub(path, from, path.n - from);
}

/* Offset of the extension's dot in a file name, n if it has none. */
static size_t extension_dot(struct al_str name)
{
    for (size_t i = name.n; i > 1; i--)
        if (name.p[i - 1] == '.')
            return i - 1;
    return name.n;
}

enum al_format al_format_of_path(struct al_str path)
{
    struct al_str name = base_name(path);
    size_t dot = extension_dot(name);
    if (dot == name.n)
        return AL_FORMAT_UNKNOWN;
    struct al_str ext = al_str_sub(name, dot + 1, name.n - dot - 1);
    for (size_t i = 0; i < AL_ARRAY_LEN(extensions); i++)
        if (equal_nocase(ext, extensions[i].name))
            return extensions[i].format;
    return AL_FORMAT_UNKNOWN;
}

enum al_format al_format_of_media_type(struct al_str media_type)
{
    size_t semicolon = al_str_find(media_type, AL_STR(";"), 0);
    if (semicolon != SIZE_MAX)
        media_type.n = semicolon;
    media_type = al_str_trim(media_type);
    for (size_t i = 0; i < AL_ARRAY_LEN(media_types); i++)
        if (equal_nocase(media_type, media_types[i].name))
            return media_types[i].format;
    return AL_FORMAT_UNKNOWN;
}

struct al_str al_format_media_type(enum al_format f)
{
    for (size_t i = 0; i < AL_ARRAY_LEN(media_types); i++) {
        if (media_types[i].format == f) /* the first one of a format is the usual one */
            return al_str_c(media_types[i].name);
    }
    return (struct al_str){"", 0};
}

static bool starts_nocase(struct al_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && strncasecmp(s.p, prefix, n) == 0;
}

enum al_format al_format_of_content(struct al_str bytes)
{
    struct al_str head = al_str_sub(bytes, 0, SNIFF_BYTES);
    if (al_str_starts(head, AL_STR("\xef\xbb\xbf")))
        head = al_str_sub(head, 3, head.n);
    head = al_str_trim(head);
    if (starts_nocase(head, "<!doctype html") || starts_nocase(head, "<html"))
        return AL_FORMAT_HTML;
    bool is_object = head.n && head.p[0] == '{';
    if (is_object && al_str_find(bytes, AL_STR("\"nbformat\""), 0) != SIZE_MAX &&
        al_str_find(bytes, AL_STR("\"cells\""), 0) != SIZE_MAX)
        return AL_FORMAT_NOTEBOOK;
    return AL_FORMAT_TEXT;
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
}

static uint32_t utf16_unit(const unsigned char *p, bool big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

/* UTF-16 behind its mark to UTF-8; lone surrogates and a last odd byte become U+FFFD. */
static enum al_code utf16_read(struct al_str bytes, bool big, struct al_arena *a,
                               struct al_str *ret, struct al_err *err)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    char *out = al_arena_alloc(a, bytes.n / 2 * 3 + 4);
    size_t n = 0;
    if (!out)
        return no_memory(err);
    for (size_t i = 2; i < bytes.n; i += 2) {
        uint32_t cp = i + 1 < bytes.n ? utf16_unit(p + i, big) : 0xFFFD;
        if (cp >= 0xD800 && cp < 0xDC00 && i + 3 < bytes.n) {
            uint32_t low = utf16_unit(p + i + 2, big);
            if (low >= 0xDC00 && low < 0xE000) {
                cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
                i += 2;
            }
        }
        n += al_cp_put(cp >= 0xD800 && cp < 0xE000 ? 0xFFFD : cp, out + n);
    }
    *ret = (struct al_str){out, n};
    return AL_OK;
}

static enum al_code not_text(const struct al_document_options *opt, const char *why,
                             struct al_err *err)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                     "document '" AL_STR_FMT "': %s", AL_STR_ARG(opt->path), why);
}

static enum al_code text_check(const struct al_document_options *opt, struct al_str s,
                               size_t *ret_bad, struct al_err *err)
{
    *ret_bad = 0;
    if (s.n > 0 && memchr(s.p, '\0', s.n))
        return not_text(opt, "no text: it has NUL bytes", err);
    if (al_str_is_utf8(s))
        return AL_OK;
    for (size_t i = 0; i < s.n;)
        if (al_cp_next(s, &i) == AL_CP_BAD)
            ++*ret_bad;
    if (*ret_bad > 1 && *ret_bad > s.n / 100)
        return not_text(opt, "no text: more than 1 % of it is no UTF-8", err);
    return AL_OK;
}

/* UTF-8 with LF: CRLF and CR become LF, malformed bytes U+FFFD. */
static enum al_code normalize(struct al_str s, size_t n_bad, struct al_arena *a, struct al_str *ret,
                              struct al_err *err)
{
    bool has_cr = s.n > 0 && memchr(s.p, '\r', s.n);
    *ret = s;
    if (n_bad == 0 && !has_cr)
        return AL_OK;
    char *out = al_arena_alloc(a, s.n + n_bad * 2 + 1);
    size_t n = 0;
    if (!out)
        return no_memory(err);
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        uint32_t cp = al_cp_next(s, &i);
        if (cp == '\r') {
            if (i >= s.n || s.p[i] != '\n')
                out[n++] = '\n';
        } else if (cp == AL_CP_BAD) {
            n += al_cp_put(0xFFFD, out + n);
        } else {
            memcpy(out + n, s.p + from, i - from);
            n += i - from;
        }
    }
    *ret = (struct al_str){out, n};
    return AL_OK;
}

static enum al_code source_read(const struct al_document_options *opt, struct al_str bytes,
                                struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    size_t n_bad = 0;
    if (bytes.n > SOURCE_BYTES_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: %zu bytes, at most %u are read",
                       bytes.n, SOURCE_BYTES_MAX);
    if (al_str_starts(bytes, AL_STR("\xFF\xFE")))
        AL_TRY(utf16_read(bytes, false, a, &bytes, err));
    else if (al_str_starts(bytes, AL_STR("\xFE\xFF")))
        AL_TRY(utf16_read(bytes, true, a, &bytes, err));
    else if (al_str_starts(bytes, AL_STR("\xEF\xBB\xBF")))
        bytes = al_str_sub(bytes, 3, bytes.n - 3);
    AL_TRY(text_check(opt, bytes, &n_bad, err));
    return normalize(bytes, n_bad, a, ret, err);
}

static enum al_code text_read(struct al_doc *d, struct al_str text)
{
    al_frontmatter_take(d, &text);
    al_buf_str(&d->body, text);
    return AL_OK;
}

static enum al_code body_read(struct al_doc *d, struct al_err *err)
{
    switch (d->opt->format) {
    case AL_FORMAT_MARKDOWN:
        return al_markdown_read(d, d->source, err);
    case AL_FORMAT_RST:
        return al_rst_read(d, d->source, err);
    case AL_FORMAT_HTML:
        return al_html_read(d, d->source, err);
    case AL_FORMAT_PYTHON:
        return al_python_read(d, d->source, err);
    case AL_FORMAT_NOTEBOOK:
        return al_notebook_read(d, d->source, err);
    case AL_FORMAT_TEXT:
    case AL_FORMAT_UNKNOWN:
        break;
    }
    return text_read(d, d->source);
}

static struct al_str first_line(struct al_str body)
{
    body = al_str_trim(body);
    size_t end = al_str_find(body, AL_STR("\n"), 0);
    struct al_str line = al_str_trim(al_str_sub(body, 0, end == SIZE_MAX ? body.n : end));
    return line.n <= 120 ? line : (struct al_str){"", 0};
}

/* The caller's, the page's own, the first line of a text, the file's name: the first there is. */
static struct al_str title_of(const struct al_doc *d)
{
    if (d->opt->title.n > 0)
        return d->opt->title;
    if (d->title.n > 0)
        return d->title;
    struct al_str name = base_name(d->opt->path);
    name.n = extension_dot(name);
    return name.n > 0 ? name : first_line(al_buf_view(&d->body));
}

static enum al_code copy_out(const struct al_doc *d, struct al_document *ret, struct al_err *err)
{
    struct al_document doc = {.body = al_buf_view(&d->body), .lang = d->lang};
    struct al_str title = title_of(d);
    title.n = al_str_utf8_floor(title, title.n > 1024 ? 1024 : title.n);
    AL_TRY(al_arena_str(d->a, title, &doc.title, err));
    doc.tags = al_arena_array(d->a, d->n_tags + 1, sizeof(*doc.tags));
    doc.meta = al_arena_array(d->a, d->n_meta + 1, sizeof(*doc.meta));
    if (!doc.tags || !doc.meta)
        return no_memory(err);
    memcpy(doc.tags, d->tags, d->n_tags * sizeof(*doc.tags));
    memcpy(doc.meta, d->meta, d->n_meta * sizeof(*doc.meta));
    doc.n_tags = d->n_tags;
    doc.n_meta = d->n_meta;
    doc.sections = d->sections;
    doc.n_sections = d->n_sections;
    *ret = doc;
    return AL_OK;
}

enum al_code al_document_read(const struct al_document_options *opt, struct al_str bytes,
                              struct al_arena *a, struct al_document *ret, struct al_err *err)
{
    struct al_str source = {"", 0};
    struct al_document doc;
    AL_TRY(source_read(opt, bytes, a, &source, err));
    struct al_doc *d = al_arena_alloc(a, sizeof(*d));
    if (!d)
        return no_memory(err);
    al_doc_init(d, opt, source, a);
    AL_TRY(body_read(d, err));
    AL_TRY(al_doc_status(d, err));
    al_metadata_find(d);
    AL_TRY(al_doc_status(d, err));
    AL_TRY(copy_out(d, &doc, err));
    AL_TRY(al_chunk_cut(d, &doc.chunks, &doc.n_chunks, err));
    *ret = doc;
    return AL_OK;
}
