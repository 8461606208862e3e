/* Reading JSON lines. */
#include "jsonl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "airlore/clock.h"

void al_cli_jsonl_init(struct al_cli_jsonl *r, FILE *f)
{
    memset(r, 0, sizeof *r);
    r->f = f;
    al_buf_init(&r->line, NULL, AL_JSONL_LINE_BYTES_MAX + 64);
}

void al_cli_jsonl_fini(struct al_cli_jsonl *r)
{
    al_buf_fini(&r->line);
}

static bool fill(struct al_cli_jsonl *r)
{
    r->part_at = 0;
    r->part_n = fread(r->part, 1, sizeof r->part, r->f);
    r->is_error = ferror(r->f) != 0;
    return r->part_n > 0;
}

/* One line, blank or not; NUL bytes are bytes like others. */
static bool read_line(struct al_cli_jsonl *r, bool *whole)
{
    al_buf_reset(&r->line);
    *whole = true;
    bool any = false;
    while (r->part_at < r->part_n || fill(r)) {
        const char *from = r->part + r->part_at;
        const char *end = memchr(from, '\n', r->part_n - r->part_at);
        size_t n = end ? (size_t)(end - from) : r->part_n - r->part_at;
        any = true;
        r->part_at += n + (end != NULL);
        r->bytes += n + (end != NULL);
        if (r->line.n + n <= AL_JSONL_LINE_BYTES_MAX)
            al_buf_add(&r->line, from, n);
        else
            *whole = false;
        if (end)
            return true;
    }
    return any && !r->is_error;
}

bool al_cli_jsonl_next(struct al_cli_jsonl *r, struct al_str *ret, bool *ret_whole)
{
    while (read_line(r, ret_whole)) {
        r->number++;
        *ret = al_str_trim(al_buf_view(&r->line));
        if (ret->n || !*ret_whole)
            return true;
    }
    return false;
}

enum al_code al_cli_jsonl_object(struct al_str line, json_t **ret, struct al_err *err)
{
    json_error_t why;
    if (line.n == 0 || line.p[0] != '{')
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_JSON", "line: not a JSON object");
    json_t *v = json_loadb(line.p, line.n, 0, &why);
    if (!v)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_JSON", "line: %.120s at byte %d", why.text,
                         why.position);
    *ret = v;
    return AL_OK;
}

enum al_code al_cli_jsonl_text(const json_t *o, const char *name, const char **ret,
                               struct al_err *err)
{
    const json_t *v = json_object_get(o, name);
    if (v && !json_is_null(v) && !json_is_string(v))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "'%s': not a string", name);
    *ret = json_string_value(v); /* NULL for null and absence */
    return AL_OK;
}

const char *al_cli_media_type(struct al_str s)
{
    static const struct {
        struct al_str name;
        const char *type;
    } types[] = {
        {AL_STR_INIT("md"), "text/markdown"},
        {AL_STR_INIT("markdown"), "text/markdown"},
        {AL_STR_INIT("rst"), "text/x-rst"},
        {AL_STR_INIT("html"), "text/html"},
        {AL_STR_INIT("htm"), "text/html"},
        {AL_STR_INIT("txt"), "text/plain"},
        {AL_STR_INIT("text"), "text/plain"},
        {AL_STR_INIT("py"), "text/x-python"},
        {AL_STR_INIT("python"), "text/x-python"},
        {AL_STR_INIT("ipynb"), "application/x-ipynb+json"},
        {AL_STR_INIT("json"), "application/json"},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(types); i++) {
        if (s.n == types[i].name.n && strncasecmp(s.p, types[i].name.p, s.n) == 0)
            return types[i].type;
        if (al_str_is(s, types[i].type))
            return types[i].type;
    }
    return NULL;
}

static char *keep(struct al_arena *a, const char *s)
{
    return s ? al_arena_strndup(a, s, strlen(s)) : NULL;
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "item: out of memory");
}

static enum al_code take_text(const json_t *o, const char *name, struct al_arena *a, char **to,
                              struct al_err *err)
{
    const char *v = NULL;
    AL_TRY(al_cli_jsonl_text(o, name, &v, err));
    if (!v)
        return AL_OK;
    *to = keep(a, v);
    return *to ? AL_OK : no_memory(err);
}

static enum al_code take_tags(const json_t *o, struct al_arena *a, Airlore__V1__IngestItem *item,
                              struct al_err *err)
{
    const json_t *tags = json_object_get(o, "tags");
    if (!tags || json_is_null(tags))
        return AL_OK;
    if (!json_is_array(tags))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "'tags': not an array");
    size_t n = json_array_size(tags);
    item->tags = al_arena_array(a, n, sizeof *item->tags);
    if (!item->tags)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (!tag)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "'tags': %zu: not a string",
                             i);
        item->tags[i] = keep(a, tag);
        if (!item->tags[i])
            return no_memory(err);
    }
    item->n_tags = n;
    return AL_OK;
}

/* A metadata value as text: strings as they are, everything else as JSON. */
static char *metadata_text(const json_t *v, struct al_arena *a)
{
    if (json_is_string(v))
        return keep(a, json_string_value(v));
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    char *kept = keep(a, text);
    free(text);
    return kept;
}

static enum al_code take_metadata(const json_t *o, struct al_arena *a,
                                  Airlore__V1__IngestItem *item, struct al_err *err)
{
    json_t *meta = json_object_get(o, "metadata");
    if (!meta || json_is_null(meta))
        return AL_OK;
    if (!json_is_object(meta))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "'metadata': not an object");
    size_t n = json_object_size(meta);
    item->metadata = al_arena_array(a, n, sizeof(void *));
    if (!item->metadata)
        return no_memory(err);
    const char *key;
    json_t *v;
    json_object_foreach(meta, key, v)
    {
        Airlore__V1__IngestItem__MetadataEntry *e = al_arena_alloc(a, sizeof *e);
        if (!e)
            return no_memory(err);
        airlore__v1__ingest_item__metadata_entry__init(e);
        e->key = keep(a, key);
        e->value = metadata_text(v, a);
        if (!e->key || !e->value)
            return no_memory(err);
        item->metadata[item->n_metadata++] = e;
    }
    return AL_OK;
}

static enum al_code take_vector(const json_t *o, struct al_arena *a, Airlore__V1__IngestItem *item,
                                struct al_err *err)
{
    const json_t *v = json_object_get(o, "vector");
    if (!v || json_is_null(v))
        return AL_OK;
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "'vector': not an array of numbers");
    item->vector = al_arena_array(a, n, sizeof *item->vector);
    if (!item->vector)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(v, i);
        double d = json_number_value(x);
        if (!json_is_number(x) || !isfinite(d) || fabs(d) > 3.0e38)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                             "'vector': %zu: not a finite number", i);
        item->vector[i] = (float)d;
    }
    item->n_vector = n;
    return AL_OK;
}

static enum al_code take_time(const json_t *o, const char *name, struct al_arena *a,
                              Google__Protobuf__Timestamp **to, struct al_err *err)
{
    const char *text = NULL;
    AL_TRY(al_cli_jsonl_text(o, name, &text, err));
    if (!text)
        return AL_OK;
    uint64_t ms;
    AL_TRY_CTX(err, al_clock_parse_rfc3339(text, strlen(text), &ms, err), "'%s'", name);
    Google__Protobuf__Timestamp *t = al_arena_alloc(a, sizeof *t);
    if (!t)
        return no_memory(err);
    google__protobuf__timestamp__init(t);
    t->seconds = (int64_t)(ms / 1000);
    t->nanos = (int32_t)(ms % 1000) * 1000000;
    *to = t;
    return AL_OK;
}

static enum al_code take_format(const json_t *o, Airlore__V1__IngestItem *item, struct al_err *err)
{
    const char *format = NULL;
    AL_TRY(al_cli_jsonl_text(o, "format", &format, err));
    if (!format)
        AL_TRY(al_cli_jsonl_text(o, "media_type", &format, err));
    if (!format || !format[0])
        return AL_OK;
    const char *type = al_cli_media_type(al_str_c(format));
    if (!type)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MEDIA_TYPE_UNSUPPORTED",
                         "'format': '%.60s': not one of md, rst, html, txt, py, ipynb, json",
                         format);
    item->media_type = (char *)(uintptr_t)type;
    return AL_OK;
}

static enum al_code take_texts(const json_t *o, struct al_arena *a, Airlore__V1__IngestItem *item,
                               struct al_err *err)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {{"id", &item->id},           {"title", &item->title},
                 {"kind", &item->kind},       {"url", &item->url},
                 {"version", &item->version}, {"embedder_id", &item->embedder_id}};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++)
        AL_TRY(take_text(o, texts[i].name, a, texts[i].to, err));
    char *text = NULL;
    AL_TRY(take_text(o, "text", a, &text, err));
    if (text) {
        item->content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
        item->text = text;
    }
    return AL_OK;
}

/* The text of one answer: a string, or an object with a text. */
static enum al_code add_answer(const json_t *answer, struct al_buf *b, struct al_err *err)
{
    const json_t *text = json_is_object(answer) ? json_object_get(answer, "text") : answer;
    if (!json_is_string(text))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "'answers': one is neither a text nor an object with a text");
    al_buf_cstr(b, "\n\nAnswer:\n\n");
    al_buf_add(b, json_string_value(text), json_string_length(text));
    return AL_OK;
}

/* A thread of questions and answers becomes one text. */
static enum al_code take_thread(const json_t *o, struct al_arena *a, Airlore__V1__IngestItem *item,
                                struct al_err *err)
{
    const char *question = NULL;
    const char *link = NULL;
    const json_t *answers = json_object_get(o, "answers");
    AL_TRY(al_cli_jsonl_text(o, "question", &question, err));
    AL_TRY(al_cli_jsonl_text(o, "link", &link, err));
    if (!question || !json_is_array(answers))
        return AL_OK;
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), AL_JSONL_LINE_BYTES_MAX);
    al_buf_cstr(&b, question);
    for (size_t i = 0; i < json_array_size(answers); i++)
        AL_TRY(add_answer(json_array_get(answers, i), &b, err));
    AL_TRY(al_buf_status(&b, err));
    char *kind = item->kind[0] ? item->kind : keep(a, "thread");
    char *url = item->url[0] || !link ? item->url : keep(a, link);
    if (!kind || !url)
        return no_memory(err);
    item->kind = kind;
    item->url = url;
    item->text = b.p;
    item->content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT;
    return AL_OK;
}

/* A thread without answers is marked, so that it is never taken for one: tag "unanswered", metadata
 * "answered". */
static enum al_code mark_unanswered(struct al_arena *a, Airlore__V1__IngestItem *item,
                                    struct al_err *err)
{
    char **tags = al_arena_array(a, item->n_tags + 1, sizeof *tags);
    Airlore__V1__IngestItem__MetadataEntry **meta =
        al_arena_array(a, item->n_metadata + 1, sizeof(void *));
    Airlore__V1__IngestItem__MetadataEntry *e = al_arena_alloc(a, sizeof *e);
    if (!tags || !meta || !e)
        return no_memory(err);
    airlore__v1__ingest_item__metadata_entry__init(e);
    e->key = keep(a, "answered");
    e->value = keep(a, "false");
    if (!e->key || !e->value)
        return no_memory(err);
    for (size_t i = 0; i < item->n_tags; i++)
        tags[i] = item->tags[i];
    for (size_t i = 0; i < item->n_metadata; i++)
        meta[i] = item->metadata[i];
    tags[item->n_tags++] = keep(a, "unanswered");
    meta[item->n_metadata++] = e;
    item->tags = tags;
    item->metadata = meta;
    return tags[item->n_tags - 1] ? AL_OK : no_memory(err);
}

static bool is_unanswered(const json_t *o)
{
    const json_t *answers = json_object_get(o, "answers");
    const json_t *answered = json_object_get(json_object_get(o, "metadata"), "answered");
    return json_is_array(answers) && json_array_size(answers) == 0 && !answered;
}

enum al_code al_cli_jsonl_item(const json_t *o, struct al_arena *a, Airlore__V1__IngestItem **ret,
                               struct al_err *err)
{
    Airlore__V1__IngestItem *item = al_arena_alloc(a, sizeof *item);
    if (!item)
        return no_memory(err);
    airlore__v1__ingest_item__init(item);
    AL_TRY(take_texts(o, a, item, err));
    if (!item->id[0])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "'id': missing");
    AL_TRY(take_vector(o, a, item, err));
    bool is_thread = item->content_case == AIRLORE__V1__INGEST_ITEM__CONTENT__NOT_SET;
    if (is_thread)
        AL_TRY(take_thread(o, a, item, err));
    if (item->content_case == AIRLORE__V1__INGEST_ITEM__CONTENT__NOT_SET && item->n_vector == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "'text': missing");
    AL_TRY(take_tags(o, a, item, err));
    AL_TRY(take_metadata(o, a, item, err));
    if (is_thread && is_unanswered(o))
        AL_TRY(mark_unanswered(a, item, err));
    AL_TRY(take_format(o, item, err));
    AL_TRY(take_time(o, "create_time", a, &item->create_time, err));
    AL_TRY(take_time(o, "update_time", a, &item->update_time, err));
    *ret = item;
    return AL_OK;
}
