/* Reading the file: the events of libyaml, which carry the lines that the messages need. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "config_value.h"

#define PATH_BYTES_MAX 256u

/* Lines on which a key was set and on which the section at each depth of its path was opened; 0:
 * not yet. */
struct seen {
    size_t line;
    size_t section_line[AL_CONFIG_DEPTH_MAX];
};

struct section {
    size_t prefix_len; /* of walk.path: its own path with a dot behind */
};

struct walk {
    const struct al_config_table *table;
    const char *name;
    struct al_mem *mem;
    void *out;
    struct seen *seen;         /* one a key */
    char path[PATH_BYTES_MAX]; /* of the innermost open section, with a dot behind */
    struct section sections[AL_CONFIG_DEPTH_MAX];
    unsigned depth;           /* sections open, the root being the first */
    char key[PATH_BYTES_MAX]; /* whole path of the key whose value comes next */
    bool has_key;
    size_t key_line;
};

/* "name:line: text" */
#define FAIL_LINE(w_, err_, line_, fmt_, ...)                                                  \
    AL_FAIL_R((err_), AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s:%zu: " fmt_, (w_)->name, (line_), \
              __VA_ARGS__)

static size_t line_of(const yaml_event_t *e)
{
    return e->start_mark.line + 1;
}

static struct al_str scalar_of(const yaml_event_t *e)
{
    return (struct al_str){(const char *)e->data.scalar.value, e->data.scalar.length};
}

/* The key with this very path, or NULL. */
static const struct al_config_key *find_key(const struct walk *w, const char *path)
{
    for (size_t i = 0; i < w->table->n_keys; i++)
        if (strcmp(w->table->keys[i].path, path) == 0)
            return &w->table->keys[i];
    return NULL;
}

/* The first key below the section, or NULL. */
static const struct al_config_key *find_section(const struct walk *w, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < w->table->n_keys; i++) {
        const char *p = w->table->keys[i].path;
        if (strncmp(p, path, n) == 0 && p[n] == '.')
            return &w->table->keys[i];
    }
    return NULL;
}

static enum al_code unknown_key(const struct walk *w, struct al_str key, size_t line,
                                struct al_err *err)
{
    char shown[80];
    al_config_show(key, shown, sizeof shown);
    return FAIL_LINE(w, err, line, "%.*s%s: unknown key", (int)w->sections[w->depth - 1].prefix_len,
                     w->path, *shown ? shown : "''");
}

static enum al_code take_key(struct walk *w, const yaml_event_t *e, struct al_err *err)
{
    struct al_str s = scalar_of(e);
    size_t prefix = w->sections[w->depth - 1].prefix_len;
    if (s.n == 0 || s.n >= sizeof w->key - prefix || memchr(s.p, '\0', s.n) ||
        memchr(s.p, '.', s.n))
        return unknown_key(w, s, line_of(e), err);
    memcpy(w->key, w->path, prefix);
    memcpy(w->key + prefix, s.p, s.n);
    w->key[prefix + s.n] = '\0';
    w->key_line = line_of(e);
    if (!find_key(w, w->key) && !find_section(w, w->key))
        return unknown_key(w, s, line_of(e), err);
    w->has_key = true;
    return AL_OK;
}

static bool is_null(const yaml_event_t *e)
{
    struct al_str s = scalar_of(e);
    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.n == 0 || al_str_is(s, "~") || al_str_is(s, "null"));
}

/* A section or key may come once. */
static enum al_code check_once(const struct walk *w, size_t *line, struct al_err *err)
{
    if (*line)
        return FAIL_LINE(w, err, w->key_line, "%s: given before, on line %zu", w->key, *line);
    *line = w->key_line;
    return AL_OK;
}

static size_t *section_line(struct walk *w, const struct al_config_key *first)
{
    return &w->seen[first - w->table->keys].section_line[w->depth - 1];
}

static enum al_code take_value(struct walk *w, const yaml_event_t *e, struct al_err *err)
{
    const struct al_config_key *k = find_key(w, w->key);
    w->has_key = false;
    if (!k && is_null(e)) /* a section whose keys are all commented out */
        return check_once(w, section_line(w, find_section(w, w->key)), err);
    if (!k)
        return FAIL_LINE(w, err, line_of(e), "%s: a section with keys of its own, not a value",
                         w->key);
    AL_TRY(check_once(w, &w->seen[k - w->table->keys].line, err));
    struct al_str text = is_null(e) ? (struct al_str){"", 0} : scalar_of(e);
    AL_TRY_CTX(err, al_config_value_set(k, text, w->mem, w->out, err), "%s:%zu", w->name,
               line_of(e));
    return AL_OK;
}

static enum al_code take_scalar(struct walk *w, const yaml_event_t *e, struct al_err *err)
{
    if (e->data.scalar.anchor || e->data.scalar.tag)
        return FAIL_LINE(w, err, line_of(e), "%s", "anchors and tags have no meaning here");
    if (w->depth == 0 && is_null(e))
        return AL_OK; /* an empty document */
    if (w->depth == 0)
        return FAIL_LINE(w, err, line_of(e), "%s", "keys with values expected");
    return w->has_key ? take_value(w, e, err) : take_key(w, e, err);
}

static enum al_code open_section(struct walk *w, const yaml_event_t *e, struct al_err *err)
{
    if (e->data.mapping_start.anchor || e->data.mapping_start.tag)
        return FAIL_LINE(w, err, line_of(e), "%s", "anchors and tags have no meaning here");
    if (w->depth == 0) {
        w->sections[w->depth++] = (struct section){0};
        return AL_OK;
    }
    if (!w->has_key)
        return FAIL_LINE(w, err, line_of(e), "%s", "a key must be a name");
    if (find_key(w, w->key))
        return FAIL_LINE(w, err, line_of(e), "%s: a value expected, not a section", w->key);
    if (w->depth >= AL_CONFIG_DEPTH_MAX)
        return FAIL_LINE(w, err, line_of(e), "%s: more than %u levels deep", w->key,
                         AL_CONFIG_DEPTH_MAX);
    AL_TRY(check_once(w, section_line(w, find_section(w, w->key)), err));
    size_t n = strlen(w->key);
    memcpy(w->path, w->key, n);
    w->path[n] = '.'; /* the key of the section fitted with one more byte: its keys are longer */
    w->sections[w->depth++] = (struct section){n + 1};
    w->has_key = false;
    return AL_OK;
}

static enum al_code take_event(struct walk *w, const yaml_event_t *e, struct al_err *err)
{
    switch ((unsigned)e->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(w, e, err);
    case YAML_MAPPING_START_EVENT:
        return open_section(w, e, err);
    case YAML_MAPPING_END_EVENT:
        w->depth--;
        return AL_OK;
    case YAML_SEQUENCE_START_EVENT:
        return FAIL_LINE(w, err, line_of(e), "%s%slists have no meaning here",
                         w->has_key ? w->key : "", w->has_key ? ": " : "");
    case YAML_ALIAS_EVENT:
        return FAIL_LINE(w, err, line_of(e), "%s", "aliases have no meaning here");
    default:
        return AL_OK;
    }
}

static enum al_code parser_failed(const struct walk *w, const yaml_parser_t *p, struct al_err *err)
{
    if (p->error == YAML_MEMORY_ERROR)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "%s: out of memory", w->name);
    return FAIL_LINE(w, err, p->problem_mark.line + 1, "not YAML: %s",
                     p->problem ? p->problem : "malformed");
}

static enum al_code walk_events(struct walk *w, yaml_parser_t *p, struct al_err *err)
{
    unsigned documents = 0;
    for (bool at_end = false; !at_end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e))
            return parser_failed(w, p, err);
        at_end = e.type == YAML_STREAM_END_EVENT;
        documents += e.type == YAML_DOCUMENT_START_EVENT;
        enum al_code code = documents > 1 ? FAIL_LINE(w, err, line_of(&e), "%s",
                                                      "a second document has no meaning here")
                                          : take_event(w, &e, err);
        yaml_event_delete(&e);
        AL_TRY(code);
    }
    return AL_OK;
}

static enum al_code check_text(struct al_str text, const char *name, struct al_err *err)
{
    if (text.n > AL_CONFIG_FILE_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: larger than %zu bytes", name,
                         AL_CONFIG_FILE_BYTES_MAX);
    if (!al_str_is_utf8(text))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: not UTF-8", name);
    return AL_OK;
}

static enum al_code parse_with(struct walk *w, struct al_str text, struct al_err *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "%s: out of memory", w->name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    enum al_code code = walk_events(w, &parser, err);
    yaml_parser_delete(&parser);
    return code;
}

enum al_code al_config_parse(const struct al_config_table *t, struct al_str text, const char *name,
                             struct al_mem *mem, void *out, struct al_err *err)
{
    AL_TRY(check_text(text, name, err));
    AL_TRY(al_config_defaults(t, mem, out, err));
    struct walk w = {.table = t, .name = name, .mem = mem, .out = out};
    w.seen = al_mem_array(mem, t->n_keys ? t->n_keys : 1, sizeof *w.seen);
    enum al_code code = w.seen ? parse_with(&w, text, err)
                               : AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "%s: out of memory", name);
    al_mem_free(mem, w.seen);
    if (code != AL_OK)
        al_config_fini(t, out, mem);
    return code;
}

enum al_code al_config_load(const struct al_config_table *t, struct al_disk *disk, const char *path,
                            struct al_mem *mem, void *out, struct al_err *err)
{
    struct al_buf text;
    al_buf_init(&text, mem, AL_CONFIG_FILE_BYTES_MAX);
    enum al_code code = al_disk_read_file(disk, path, &text, err);
    if (code == AL_OK)
        code = al_config_parse(t, al_buf_view(&text), path, mem, out, err);
    else
        al_err_prefix(err, "configuration");
    al_buf_fini(&text);
    return code;
}
