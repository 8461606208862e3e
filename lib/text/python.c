/* Python source: cut at top-level definitions, operators and DAG ids found. The one user of
 * tree-sitter.
 *
 * The body is the source itself without a licence comment at its head. */
#include <string.h>

#include <tree_sitter/api.h>

#include "doc.h"

#define PARSE_BYTES_MAX (2u << 20)

/* libtree-sitter 0.20 frees wrong memory when one node gets 65,536 children. */
#define TOKENS_MAX 60000u

#define PARSE_TIMEOUT_US 3000000u
#define NAMES_BYTES_MAX 2048u
#define WALK_DEPTH_MAX 2000u

/* The name is the grammar's. */
const TSLanguage *tree_sitter_python(void); // NOLINT(readability-identifier-naming)

/* A list of unique names, "a, b, c". */
struct names {
    char p[NAMES_BYTES_MAX];
    size_t n;
};

struct py {
    struct al_doc *d;
    struct al_str s; /* the source without its licence */
    struct names operators;
    struct names dag_ids;
    bool in_module; /* the open section is one of loose statements */
};

static struct al_str text_of(const struct py *y, TSNode node)
{
    uint32_t from = ts_node_start_byte(node);
    return al_str_sub(y->s, from, ts_node_end_byte(node) - from);
}

static bool type_is(TSNode node, const char *type)
{
    return !ts_node_is_null(node) && strcmp(ts_node_type(node), type) == 0;
}

static TSNode field(TSNode node, const char *name)
{
    return ts_node_child_by_field_name(node, name, (uint32_t)strlen(name));
}

static bool names_have(const struct names *l, struct al_str name)
{
    struct al_str all = {l->p, l->n};
    for (size_t at = 0; (at = al_str_find(all, name, at)) != SIZE_MAX; at++) {
        size_t end = at + name.n;
        if ((at == 0 || all.p[at - 1] == ' ') && (end == all.n || all.p[end] == ','))
            return true;
    }
    return false;
}

static void names_add(struct names *l, struct al_str name)
{
    if (name.n == 0 || name.n > 200 || memchr(name.p, ',', name.n) || names_have(l, name) ||
        l->n + name.n + 2 > sizeof(l->p))
        return;
    if (l->n > 0) {
        memcpy(l->p + l->n, ", ", 2);
        l->n += 2;
    }
    memcpy(l->p + l->n, name.p, name.n);
    l->n += name.n;
}

/* The content of a string literal; empty for one with a prefix that changes it, or with fields. */
static struct al_str string_value(const struct py *y, TSNode node)
{
    static const char *const quotes[] = {"\"\"\"", "'''", "\"", "'"};
    struct al_str s = text_of(y, node);
    if (s.n > 0 && (s.p[0] == 'r' || s.p[0] == 'R' || s.p[0] == 'u'))
        s = al_str_sub(s, 1, s.n);
    for (size_t i = 0; i < AL_ARRAY_LEN(quotes); i++) {
        struct al_str quote = al_str_c(quotes[i]);
        if (s.n >= 2 * quote.n && al_str_starts(s, quote) && al_str_ends(s, quote))
            return al_str_sub(s, quote.n, s.n - 2 * quote.n);
    }
    return (struct al_str){"", 0};
}

/* "DAG" of "models.DAG(...)". */
static struct al_str last_name(struct al_str s)
{
    size_t from = s.n;
    while (from > 0 && s.p[from - 1] != '.')
        from--;
    return al_str_sub(s, from, s.n - from);
}

/* The argument dag_id, or the first one if it is a string. */
static struct al_str dag_id_of(const struct py *y, TSNode call)
{
    TSNode arguments = field(call, "arguments");
    uint32_t n = ts_node_is_null(arguments) ? 0 : ts_node_named_child_count(arguments);
    for (uint32_t i = 0; i < n && i < 32; i++) {
        TSNode arg = ts_node_named_child(arguments, i);
        if (i == 0 && type_is(arg, "string"))
            return string_value(y, arg);
        if (!type_is(arg, "keyword_argument"))
            continue;
        TSNode name = field(arg, "name");
        TSNode value = field(arg, "value");
        if (!ts_node_is_null(name) && al_str_is(text_of(y, name), "dag_id") &&
            type_is(value, "string"))
            return string_value(y, value);
    }
    return (struct al_str){"", 0};
}

static void on_call(struct py *y, TSNode call)
{
    TSNode function = field(call, "function");
    if (!type_is(function, "identifier") && !type_is(function, "attribute"))
        return;
    struct al_str name = last_name(text_of(y, function));
    if (al_str_is(name, "partial") && type_is(function, "attribute")) {
        TSNode object = field(function, "object");
        if (!ts_node_is_null(object))
            name = last_name(text_of(y, object));
    }
    if (al_str_is(name, "DAG"))
        names_add(&y->dag_ids, dag_id_of(y, call));
    else if (al_str_ends(name, AL_STR("Operator")) || al_str_ends(name, AL_STR("Sensor")) ||
             al_str_ends(name, AL_STR("OperatorAsync")))
        names_add(&y->operators, name);
}

/* "@dag(...)", "@task", "@task.branch(...)". */
static void on_decorator(struct py *y, TSNode node)
{
    TSNode what = ts_node_named_child(node, 0);
    TSNode call = what;
    if (type_is(what, "call"))
        what = field(what, "function");
    if (ts_node_is_null(what))
        return;
    struct al_str name = text_of(y, what);
    if (al_str_is(name, "dag") || al_str_ends(name, AL_STR(".dag"))) {
        struct al_str id = {"", 0};
        if (type_is(call, "call"))
            id = dag_id_of(y, call);
        TSNode definition = field(ts_node_parent(node), "definition");
        if (id.n == 0 && !ts_node_is_null(definition) &&
            !ts_node_is_null(field(definition, "name")))
            id = text_of(y, field(definition, "name"));
        names_add(&y->dag_ids, id);
    } else if (al_str_is(name, "task") || al_str_is(name, "task_group") ||
               al_str_starts(name, AL_STR("task."))) {
        char with_at[80];
        if (name.n + 1 >= sizeof(with_at))
            return;
        with_at[0] = '@';
        memcpy(with_at + 1, name.p, name.n);
        names_add(&y->operators, (struct al_str){with_at, name.n + 1});
    }
}

/* Visit every node, without recursion. */
static void walk(struct py *y, TSNode root)
{
    TSTreeCursor c = ts_tree_cursor_new(root);
    uint32_t depth = 0;
    for (bool more = true; more;) {
        TSNode node = ts_tree_cursor_current_node(&c);
        if (type_is(node, "call"))
            on_call(y, node);
        else if (type_is(node, "decorator"))
            on_decorator(y, node);
        if (depth < WALK_DEPTH_MAX && ts_tree_cursor_goto_first_child(&c)) {
            depth++;
            continue;
        }
        while (!(more = ts_tree_cursor_goto_next_sibling(&c)) && depth > 0) {
            ts_tree_cursor_goto_parent(&c);
            depth--;
        }
        if (depth == 0)
            more = false;
    }
    ts_tree_cursor_delete(&c);
}

/* The class or function of a statement, or the null node. */
static TSNode definition_of(TSNode node)
{
    if (type_is(node, "decorated_definition"))
        node = field(node, "definition");
    if (type_is(node, "class_definition") || type_is(node, "function_definition"))
        return node;
    return (TSNode){0};
}

/* Sections for the methods of a class that is too large for one chunk. */
static void class_sections(struct py *y, TSNode class)
{
    TSNode body = field(class, "body");
    uint32_t max = y->d->opt->chunk_bytes_max ? y->d->opt->chunk_bytes_max : 2000;
    if (ts_node_is_null(body) || ts_node_end_byte(class) - ts_node_start_byte(class) <= max)
        return;
    TSTreeCursor c = ts_tree_cursor_new(body);
    for (bool more = ts_tree_cursor_goto_first_child(&c); more;
         more = ts_tree_cursor_goto_next_sibling(&c)) {
        TSNode node = ts_tree_cursor_current_node(&c);
        TSNode definition = definition_of(node);
        size_t start = ts_node_start_byte(node);
        while (start > 0 && (y->s.p[start - 1] == ' ' || y->s.p[start - 1] == '\t'))
            start--;
        if (!ts_node_is_null(definition) && !ts_node_is_null(field(definition, "name")))
            al_doc_section_at(y->d, 2, text_of(y, field(definition, "name")), start, start);
    }
    ts_tree_cursor_delete(&c);
}

/* The docstring gives the title: its first line. */
static void on_docstring(struct py *y, TSNode statement)
{
    TSNode string = ts_node_named_child(statement, 0);
    if (!type_is(string, "string"))
        return;
    struct al_str s = al_str_trim(string_value(y, string));
    size_t end = al_str_find(s, AL_STR("\n"), 0);
    s = al_str_trim(al_str_sub(s, 0, end == SIZE_MAX ? s.n : end));
    while (s.n > 0 && (s.p[0] == '#' || s.p[0] == ' ' || s.p[0] == '='))
        s = al_str_sub(s, 1, s.n);
    if (s.n > 0 && s.n <= 200 && y->d->title.n == 0)
        y->d->title = s;
    al_doc_meta(y->d, AL_STR("summary"), s);
}

/* One statement of the module. start: its comments belong to it. */
static void on_statement(struct py *y, TSNode node, size_t start, bool first)
{
    TSNode definition = definition_of(node);
    if (first && type_is(node, "expression_statement"))
        on_docstring(y, node);
    if (!ts_node_is_null(definition) && !ts_node_is_null(field(definition, "name"))) {
        TSNode body = field(definition, "body");
        bool class = type_is(definition, "class_definition") && !ts_node_is_null(body);
        al_doc_section_at(y->d, 1, text_of(y, field(definition, "name")), start,
                          class ? ts_node_start_byte(body) : start);
        y->in_module = false;
        if (class)
            class_sections(y, definition);
        return;
    }
    bool with = type_is(node, "with_statement");
    if (with || (!y->in_module && y->d->n_sections > 0)) {
        al_doc_section_at(y->d, 1, with ? AL_STR("with") : AL_STR("module"), start, start);
        y->in_module = true;
    }
}

static void module_sections(struct py *y, TSNode root)
{
    bool first = true;
    size_t comments = SIZE_MAX; /* start of the comments in front of a statement */
    TSTreeCursor c = ts_tree_cursor_new(root);
    for (bool more = ts_tree_cursor_goto_first_child(&c); more;
         more = ts_tree_cursor_goto_next_sibling(&c)) {
        TSNode node = ts_tree_cursor_current_node(&c);
        size_t start = ts_node_start_byte(node);
        if (type_is(node, "comment")) {
            bool line = start == 0 || y->s.p[start - 1] == '\n';
            comments = comments == SIZE_MAX && line ? start : comments;
            continue;
        }
        on_statement(y, node, comments == SIZE_MAX ? start : comments, first);
        comments = SIZE_MAX;
        first = false;
    }
    ts_tree_cursor_delete(&c);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* At least as many tokens as the source has: words, other characters, and ends of lines and blocks.
 */
static size_t count_tokens(struct al_str s)
{
    size_t n = 16;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n')
            n += 3;
        else if (is_word(c))
            n += i == 0 || !is_word(s.p[i - 1]);
        else if (c != ' ' && c != '\t')
            n++;
    }
    return n;
}

/* The source without the comment block at its head if that is a licence. */
static struct al_str without_license(struct al_str s)
{
    size_t at = 0;
    while (at < s.n && (s.p[at] == '#' || s.p[at] == '\n')) {
        size_t end = al_str_find(s, AL_STR("\n"), at);
        if (end == SIZE_MAX)
            return s;
        at = end + 1;
    }
    struct al_str head = al_str_sub(s, 0, at);
    if (al_str_find(head, AL_STR("Licensed to the Apache"), 0) == SIZE_MAX &&
        al_str_find(head, AL_STR("Licensed under the Apache"), 0) == SIZE_MAX &&
        al_str_find(head, AL_STR("SPDX-License-Identifier"), 0) == SIZE_MAX)
        return s;
    return al_str_sub(s, at, s.n - at);
}

static void finish(struct py *y)
{
    al_doc_meta(y->d, AL_STR("operators"), (struct al_str){y->operators.p, y->operators.n});
    al_doc_meta(y->d, AL_STR("dag_ids"), (struct al_str){y->dag_ids.p, y->dag_ids.n});
}

enum al_code al_python_read(struct al_doc *d, struct al_str text, struct al_err *err)
{
    struct py *y = al_arena_zalloc(d->a, sizeof(*y));
    if (!y)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    y->d = d;
    y->s = without_license(text);
    al_buf_str(&d->body, y->s);
    if (y->s.n == 0 || y->s.n > PARSE_BYTES_MAX || count_tokens(y->s) > TOKENS_MAX)
        return AL_OK; /* a text like any other */
    TSParser *parser = ts_parser_new();
    TSTree *tree = NULL;
    ts_parser_set_timeout_micros(parser, PARSE_TIMEOUT_US);
    if (ts_parser_set_language(parser, tree_sitter_python()))
        tree = ts_parser_parse_string(parser, NULL, y->s.p, (uint32_t)y->s.n);
    if (tree) {
        module_sections(y, ts_tree_root_node(tree));
        walk(y, ts_tree_root_node(tree));
        finish(y);
    }
    ts_tree_delete(tree);
    ts_parser_delete(parser);
    return AL_OK;
}
