/* The YAML block at the front of a page. libyaml's events, so that nothing recurses. What is not a
 * scalar or a list of scalars is left out; malformed YAML leaves the block in the page. */
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "doc.h"

#define BLOCK_BYTES_MAX 16384u
#define EVENTS_MAX 4096u
#define LIST_BYTES_MAX 2048u

/* Where we are in the top mapping. */
struct front {
    struct al_doc *d;
    uint32_t depth; /* 1: in the top mapping; 2: in a list of it */
    bool in_list;
    bool failed;
    char key[65];
    char list[LIST_BYTES_MAX];
    size_t list_n;
};

static struct al_str scalar_of(const yaml_event_t *e)
{
    return (struct al_str){(const char *)e->data.scalar.value, e->data.scalar.length};
}

static bool key_is(const struct front *f, const char *a, const char *b)
{
    return strcasecmp(f->key, a) == 0 || strcasecmp(f->key, b) == 0;
}

static void one_value(struct front *f, struct al_str value)
{
    struct al_doc *d = f->d;
    if (key_is(f, "title", "name")) {
        struct al_str copy = {"", 0};
        if (d->title.n == 0 && al_arena_str(d->a, al_str_trim(value), &copy, NULL) == AL_OK)
            d->title = copy;
    } else if (key_is(f, "tags", "topics") || key_is(f, "keywords", "tag")) {
        al_doc_tag(d, value);
    } else if (key_is(f, "language", "lang")) {
        struct al_str copy = {"", 0};
        value.n = value.n > 2 && (value.p[2] == '-' || value.p[2] == '_') ? 2 : value.n;
        if (value.n == 2 && al_arena_str(d->a, value, &copy, NULL) == AL_OK)
            d->lang = copy;
    } else if (key_is(f, "airflow", "airflow_version") || key_is(f, "airflow-version", "airflow")) {
        al_doc_meta(d, AL_STR("airflow"), value);
    } else if (key_is(f, "date", "created") || key_is(f, "updated", "last_modified")) {
        al_doc_meta(d, AL_STR("date"), value);
    } else if (key_is(f, "author", "authors")) {
        al_doc_meta(d, AL_STR("author"), value);
    } else {
        al_doc_meta(d, al_str_c(f->key), value);
    }
}

/* "a, b, c" for the keys that hold several. */
static void split_values(struct front *f, struct al_str value)
{
    size_t from = 0;
    while (from <= value.n) {
        size_t comma = al_str_find(value, AL_STR(","), from);
        comma = comma == SIZE_MAX ? value.n : comma;
        one_value(f, al_str_sub(value, from, comma - from));
        from = comma + 1;
    }
}

static bool holds_tags(const struct front *f)
{
    return key_is(f, "tags", "topics") || key_is(f, "keywords", "tag");
}

static void on_scalar(struct front *f, struct al_str value)
{
    if (f->depth == 1 && f->key[0] == '\0') {
        size_t n = value.n < sizeof(f->key) ? value.n : 0;
        memcpy(f->key, value.p, n);
        f->key[n] = '\0';
        if (n == 0)
            memcpy(f->key, "?", 2);
        return;
    }
    if (f->depth == 1) {
        if (holds_tags(f))
            split_values(f, value);
        else if (f->key[0] != '?')
            one_value(f, value);
        f->key[0] = '\0';
        return;
    }
    if (f->depth != 2 || !f->in_list)
        return;
    if (holds_tags(f)) {
        one_value(f, value);
    } else if (f->list_n + value.n + 2 < sizeof(f->list)) {
        if (f->list_n > 0) {
            memcpy(f->list + f->list_n, ", ", 2);
            f->list_n += 2;
        }
        memcpy(f->list + f->list_n, value.p, value.n);
        f->list_n += value.n;
    }
}

static void on_open(struct front *f, bool list)
{
    f->depth++;
    if (f->depth == 2) {
        f->in_list = list;
        f->list_n = 0;
        if (f->key[0] == '\0')
            memcpy(f->key, "?", 2); /* a key that is no scalar */
    }
}

static void on_close(struct front *f)
{
    if (f->depth == 2) {
        if (f->in_list && f->list_n > 0 && f->key[0] != '?')
            one_value(f, (struct al_str){f->list, f->list_n});
        f->key[0] = '\0';
    }
    if (f->depth > 0)
        f->depth--;
}

static void on_event(struct front *f, const yaml_event_t *e)
{
    switch ((int)e->type) {
    case YAML_SCALAR_EVENT:
        on_scalar(f, scalar_of(e));
        break;
    case YAML_ALIAS_EVENT:
        on_scalar(f, AL_STR(""));
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(f, false);
        break;
    case YAML_SEQUENCE_START_EVENT:
        f->failed = f->failed || f->depth == 0;
        on_open(f, true);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(f);
        break;
    default:
        break;
    }
}

/* The block as events; d NULL: only check that it is a mapping of YAML. */
static bool block_run(struct al_doc *d, struct al_str block)
{
    yaml_parser_t parser;
    struct front f = {.d = d};
    bool more = true;
    bool mapping = false;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)block.p, block.n);
    for (size_t n = 0; more && !f.failed; n++) {
        yaml_event_t e;
        if (n >= EVENTS_MAX || !yaml_parser_parse(&parser, &e)) {
            f.failed = true;
            break;
        }
        more = e.type != YAML_STREAM_END_EVENT;
        mapping = mapping || e.type == YAML_MAPPING_START_EVENT;
        if (d)
            on_event(&f, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return mapping && !f.failed;
}

/* Offset behind the line that closes the block, 0 if there is none. *ret_n: bytes of the block. */
static size_t block_end(struct al_str text, size_t from, size_t *ret_n)
{
    for (size_t at = from; at < text.n && at - from < BLOCK_BYTES_MAX;) {
        size_t end = al_str_find(text, AL_STR("\n"), at);
        size_t stop = end == SIZE_MAX ? text.n : end;
        struct al_str line = al_str_trim(al_str_sub(text, at, stop - at));
        if (al_str_is(line, "---") || al_str_is(line, "...")) {
            *ret_n = at - from;
            return end == SIZE_MAX ? text.n : end + 1;
        }
        at = stop + 1;
    }
    return 0;
}

void al_frontmatter_take(struct al_doc *d, struct al_str *text)
{
    size_t n = 0;
    if (!al_str_starts(*text, AL_STR("---")))
        return;
    size_t first = al_str_find(*text, AL_STR("\n"), 0);
    if (first == SIZE_MAX || al_str_trim(al_str_sub(*text, 0, first)).n != 3)
        return;
    size_t end = block_end(*text, first + 1, &n);
    if (end == 0)
        return;
    struct al_str block = al_str_sub(*text, first + 1, n);
    if (!block_run(NULL, block))
        return;
    (void)block_run(d, block);
    *text = al_str_sub(*text, end, text->n - end);
}
