/* Jupyter notebooks: Markdown cells are read as Markdown, code cells kept as blocks of code,
 * outputs dropped. The one user of jansson. */
#include <jansson.h>

#include "doc.h"

#define VALUES_MAX (1u << 20)
#define CELLS_MAX 20000u

static enum al_code bad(struct al_doc *d, const char *why, struct al_err *err)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                     "notebook '" AL_STR_FMT "': %s", AL_STR_ARG(d->opt->path), why);
}

/* Values a text can hold at most: jansson takes about a hundred bytes for each. */
static size_t count_values(struct al_str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',' || text.p[i] == '[' || text.p[i] == '{';
    return n;
}

static struct al_str string_of(const json_t *v)
{
    if (!json_is_string(v))
        return (struct al_str){"", 0};
    return (struct al_str){json_string_value(v), json_string_length(v)};
}

/* A cell's source: one string, or a list of lines. */
static struct al_str source_of(struct al_doc *d, const json_t *cell)
{
    const json_t *source = json_object_get(cell, "source");
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(d->a), 0);
    al_buf_str(&b, string_of(source));
    for (size_t i = 0; i < json_array_size(source); i++)
        al_buf_str(&b, string_of(json_array_get(source, i)));
    d->failed = d->failed || al_buf_status(&b, NULL) != AL_OK;
    return al_buf_view(&b);
}

static struct al_str language_of(const json_t *root)
{
    const json_t *metadata = json_object_get(root, "metadata");
    struct al_str s =
        string_of(json_object_get(json_object_get(metadata, "kernelspec"), "language"));
    if (s.n == 0)
        s = string_of(json_object_get(json_object_get(metadata, "language_info"), "name"));
    return s.n > 0 ? s : AL_STR("python");
}

static enum al_code cell_read(struct al_doc *d, const json_t *cell, struct al_str lang,
                              struct al_err *err)
{
    struct al_str type = string_of(json_object_get(cell, "cell_type"));
    struct al_str source = source_of(d, cell);
    if (source.n == 0)
        return AL_OK;
    if (al_str_is(type, "markdown"))
        return al_markdown_read(d, source, err);
    if (al_str_is(type, "code")) {
        al_doc_code(d, lang, source);
        return AL_OK;
    }
    al_buf_str(&d->body, source);
    al_doc_block_end(d);
    return AL_OK;
}

static enum al_code cells_read(struct al_doc *d, const json_t *root, struct al_err *err)
{
    const json_t *cells = json_object_get(root, "cells");
    struct al_str lang = language_of(root);
    if (!json_is_array(cells))
        return bad(d, "it has no list of cells", err);
    if (json_array_size(cells) > CELLS_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "notebook '" AL_STR_FMT "': more than %u cells",
                       AL_STR_ARG(d->opt->path), CELLS_MAX);
    const json_t *title = json_object_get(json_object_get(root, "metadata"), "title");
    if (d->title.n == 0 && string_of(title).n > 0)
        AL_TRY(al_arena_str(d->a, string_of(title), &d->title, err));
    for (size_t i = 0; i < json_array_size(cells); i++)
        AL_TRY(cell_read(d, json_array_get(cells, i), lang, err));
    return AL_OK;
}

enum al_code al_notebook_read(struct al_doc *d, struct al_str text, struct al_err *err)
{
    json_error_t problem;
    if (al_str_trim(text).n == 0)
        return AL_OK;
    if (count_values(text) > VALUES_MAX)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "notebook '" AL_STR_FMT "': more than %u values",
                       AL_STR_ARG(d->opt->path), VALUES_MAX);
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &problem);
    if (!root && json_error_code(&problem) == json_error_out_of_memory)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "notebook: out of memory");
    if (!root && json_error_code(&problem) == json_error_stack_overflow)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                         "notebook '" AL_STR_FMT "': JSON nested too deep",
                         AL_STR_ARG(d->opt->path));
    if (!root)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_UNREADABLE",
                         "notebook '" AL_STR_FMT "': line %d: %s", AL_STR_ARG(d->opt->path),
                         problem.line, problem.text);
    enum al_code code = cells_read(d, root, err);
    json_decref(root);
    return code;
}
