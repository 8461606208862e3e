#include "airlore/prepare.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "airlore/analyzer.h"
#include "airlore/redact.h"
#include "airlore/sketch.h"
#include "fold.h"
#include "key_text.h"

#define OWN_VECTOR_BYTES_MAX (64u << 10)
#define TITLE_BYTES_MAX 1024u
#define URL_BYTES_MAX 2048u
#define VERSION_BYTES_MAX 128u
#define CHECKSUM_BYTES_MAX 128u
#define KIND_BYTES_MAX 32u
#define TAG_BYTES_MAX 128u
#define META_KEY_BYTES_MAX 64u
#define META_VALUE_BYTES_MAX 4096u

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "item: memory limit reached");
}

/* ---- content hash ---- */

static void hash_str(crypto_generichash_state *h, struct al_str s)
{
    uint64_t n = s.n;
    crypto_generichash_update(h, (const uint8_t *)&n, sizeof n);
    if (s.n)
        crypto_generichash_update(h, (const uint8_t *)s.p, s.n);
}

static void hash_number(crypto_generichash_state *h, uint64_t v)
{
    crypto_generichash_update(h, (const uint8_t *)&v, sizeof v);
}

void al_item_hash(const struct al_item *it, struct al_str source, const struct al_embedder *e,
                  uint8_t ret[32])
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, 32);
    hash_number(&h, AL_ANALYZER_VERSION);
    hash_number(&h, AL_REDACT_VERSION);
    hash_str(&h, al_str_c(al_embedder_id(e)));
    hash_number(&h, (uint64_t)it->format);
    if (it->chunker) /* the default leaves the hashes of what is stored as they are */
        hash_number(&h, (uint64_t)it->chunker << 8);
    hash_str(&h, source);
    hash_str(&h, it->content);
    hash_str(&h, it->title);
    hash_str(&h, it->kind);
    hash_str(&h, it->url);
    hash_str(&h, it->version);
    hash_str(&h, it->checksum); /* kept with the document: a new one must reach it */
    hash_number(&h, it->n_tags);
    for (size_t i = 0; i < it->n_tags; i++)
        hash_str(&h, it->tags[i]);
    hash_number(&h, it->n_meta);
    for (size_t i = 0; i < it->n_meta; i++) {
        hash_str(&h, it->meta[i].key);
        hash_str(&h, it->meta[i].value);
    }
    hash_str(&h, (struct al_str){(const char *)it->vector, it->n_vector * sizeof(float)});
    crypto_generichash_final(&h, ret, 32);
}

/* ---- checks ---- */

/* A text of a field with its limit in bytes. */
static enum al_code check_size(const char *what, struct al_str s, size_t max, struct al_err *err)
{
    if (s.n <= max)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                     "%s: %zu bytes, at most %zu are allowed", what, s.n, max);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* [a-z][a-z0-9_]{0,31} */
static bool is_kind(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_word_char(s.p[i]))
            return false;
    }
    return s.n >= 1 && s.n <= KIND_BYTES_MAX && s.p[0] >= 'a' && s.p[0] <= 'z';
}

/* [A-Za-z0-9_.-]{1,64} */
static bool is_meta_key(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!is_word_char(c) && !(c >= 'A' && c <= 'Z') && c != '.' && c != '-')
            return false;
    }
    return s.n >= 1 && s.n <= META_KEY_BYTES_MAX;
}

static enum al_code check_id(struct al_str id, struct al_err *err)
{
    if (id.n < 1 || id.n > AL_DOC_ID_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: %zu bytes, 1 to %u are allowed", id.n, AL_DOC_ID_BYTES_MAX);
    for (size_t i = 0; i < id.n; i++) {
        if ((uint8_t)id.p[i] < 0x20 || id.p[i] == 0x7f)
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                             "id: byte %zu is a control character", i);
    }
    return AL_OK;
}

static enum al_code check_lists(const struct al_item *it, struct al_err *err)
{
    if (it->n_tags > AL_DOC_TAGS_MAX || it->n_meta > AL_DOC_META_MAX / 2)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "item: at most %u tags and %u metadata entries", AL_DOC_TAGS_MAX,
                         AL_DOC_META_MAX / 2);
    for (size_t i = 0; i < it->n_tags; i++)
        AL_TRY(check_size("tag", it->tags[i], TAG_BYTES_MAX, err));
    for (size_t i = 0; i < it->n_meta; i++) {
        if (!is_meta_key(it->meta[i].key))
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                             "metadata: a key is 1 to %u of A-Z a-z 0-9 _ . -", META_KEY_BYTES_MAX);
        AL_TRY(check_size("metadata value", it->meta[i].value, META_VALUE_BYTES_MAX, err));
    }
    return AL_OK;
}

static enum al_code check_item(const struct al_item *it, struct al_err *err)
{
    AL_TRY(check_id(it->id, err));
    AL_TRY(check_size("content", it->content, AL_DOC_BODY_BYTES_MAX, err));
    AL_TRY(check_size("title", it->title, TITLE_BYTES_MAX, err));
    AL_TRY(check_size("url", it->url, URL_BYTES_MAX, err));
    AL_TRY(check_size("version", it->version, VERSION_BYTES_MAX, err));
    AL_TRY(check_size("checksum", it->checksum, CHECKSUM_BYTES_MAX, err));
    if (it->kind.n && !is_kind(it->kind))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "kind: not a word of 1 to %u of a-z 0-9 _", KIND_BYTES_MAX);
    return check_lists(it, err);
}

/* ---- attributes ---- */

/* What one call of al_item_prepare works on. */
struct prep {
    const struct al_item *it;
    const struct al_embedder *embedder;
    struct al_arena *a;
    struct al_err *err;
    uint32_t redactions;
    struct al_document doc;
    struct al_str *tags;
    size_t n_tags;
    struct al_kv *meta;
    size_t n_meta;
};

static enum al_code redact(struct prep *p, struct al_str in, struct al_str *out)
{
    uint32_t n = 0;
    AL_TRY(al_redact(in, p->a, out, &n, p->err));
    p->redactions += n;
    return AL_OK;
}

static enum al_format format_of(const struct al_item *it)
{
    if (it->format != AL_FORMAT_UNKNOWN)
        return it->format;
    enum al_format f = al_format_of_path(it->id);
    if (f == AL_FORMAT_UNKNOWN && it->url.n)
        f = al_format_of_path(it->url);
    return f == AL_FORMAT_UNKNOWN ? al_format_of_content(it->content) : f;
}

static enum al_code read_content(struct prep *p)
{
    struct al_str content;
    AL_TRY(redact(p, p->it->content, &content));
    /* a file's name is a title of last resort; any other id says nothing that people would search
     * for */
    bool is_file = al_format_of_path(p->it->id) != AL_FORMAT_UNKNOWN;
    struct al_document_options opt = {.format = format_of(p->it),
                                      .path = is_file ? p->it->id : AL_STR(""),
                                      .title = p->it->title,
                                      .chunker = p->it->chunker,
                                      .embedder = p->embedder};
    AL_TRY(al_document_read(&opt, content, p->a, &p->doc, p->err));
    /* the format may have hidden a secret (an entity, an escape): look once more at what it became
     */
    struct al_str clean;
    uint32_t before = p->redactions;
    AL_TRY(redact(p, p->doc.body, &clean));
    if (p->redactions == before)
        return AL_OK;
    opt.format = AL_FORMAT_TEXT;
    opt.title = p->doc.title;
    struct al_document plain;
    AL_TRY(al_document_read(&opt, clean, p->a, &plain, p->err));
    p->doc.body = plain.body;
    p->doc.chunks = plain.chunks;
    p->doc.n_chunks = plain.n_chunks;
    return AL_OK;
}

static bool has_tag(const struct prep *p, struct al_str tag)
{
    for (size_t i = 0; i < p->n_tags; i++) {
        if (al_str_eq(p->tags[i], tag))
            return true;
    }
    return false;
}

static enum al_code add_tags(struct prep *p, const struct al_str *tags, size_t n)
{
    for (size_t i = 0; i < n && p->n_tags < AL_DOC_TAGS_MAX; i++) {
        struct al_str t;
        AL_TRY(redact(p, tags[i], &t));
        if (t.n && !has_tag(p, t))
            p->tags[p->n_tags++] = t;
    }
    return AL_OK;
}

static enum al_code add_meta(struct prep *p, struct al_str key, struct al_str value)
{
    if (p->n_meta >= AL_DOC_META_MAX || !key.n)
        return AL_OK;
    for (size_t i = 0; i < p->n_meta; i++) {
        if (al_str_eq(p->meta[i].key, key))
            return AL_OK; /* the first one wins: what the client says comes first */
    }
    struct al_str v;
    AL_TRY(redact(p, value, &v));
    p->meta[p->n_meta++] = (struct al_kv){key, v};
    return AL_OK;
}

/* By which near-duplicates are found; ours whatever the client says under the key. */
static enum al_code add_sketch(struct prep *p)
{
    char *sketch = al_arena_alloc(p->a, AL_SKETCH_CHARS);
    if (!sketch)
        return no_memory(p->err);
    size_t at = 0;
    while (at < p->n_meta && !al_str_is(p->meta[at].key, AL_SKETCH_KEY))
        at++;
    bool made = al_sketch_make(p->doc.body, sketch);
    if (at < p->n_meta)
        p->meta[at].value = made ? (struct al_str){sketch, AL_SKETCH_CHARS} : AL_STR("");
    else if (made && at < AL_DOC_META_MAX)
        p->meta[p->n_meta++] = (struct al_kv){AL_STR(AL_SKETCH_KEY), {sketch, AL_SKETCH_CHARS}};
    return AL_OK;
}

static enum al_code gather_attributes(struct prep *p)
{
    const struct al_item *it = p->it;
    p->tags = al_arena_array(p->a, AL_DOC_TAGS_MAX, sizeof *p->tags);
    p->meta = al_arena_array(p->a, AL_DOC_META_MAX, sizeof *p->meta);
    if (!p->tags || !p->meta)
        return no_memory(p->err);
    AL_TRY(add_tags(p, it->tags, it->n_tags));
    AL_TRY(add_tags(p, p->doc.tags, p->doc.n_tags));
    for (size_t i = 0; i < it->n_meta; i++)
        AL_TRY(add_meta(p, it->meta[i].key, it->meta[i].value));
    if (it->chunker)
        AL_TRY(add_meta(p, AL_STR("chunker"), al_str_c(al_chunker_name(it->chunker))));
    if (it->checksum.n)
        AL_TRY(add_meta(p, AL_STR("source_checksum"), it->checksum));
    for (size_t i = 0; i < p->doc.n_meta; i++)
        AL_TRY(add_meta(p, p->doc.meta[i].key, p->doc.meta[i].value));
    return add_sketch(p);
}

static struct al_str find_meta(const struct prep *p, const char *key)
{
    for (size_t i = 0; i < p->n_meta; i++) {
        if (al_str_is(p->meta[i].key, key))
            return p->meta[i].value;
    }
    return (struct al_str){NULL, 0};
}

static struct al_str kind_of(const struct prep *p)
{
    if (p->it->kind.n)
        return p->it->kind;
    struct al_str kind = find_meta(p, "kind");
    if (is_kind(kind))
        return kind;
    if (format_of(p->it) != AL_FORMAT_PYTHON)
        return AL_STR("doc");
    return find_meta(p, "dag_ids").n ? AL_STR("dag") : AL_STR("code");
}

/* ---- vectors ---- */

/* An item with a vector of its own is one chunk, whatever its length and even without a text. */
static enum al_code one_chunk(const struct prep *p, struct al_doc *d)
{
    if (d->body.n > OWN_VECTOR_BYTES_MAX)
        return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "content: %zu bytes, an item with its own vector may have %u", d->body.n,
                         OWN_VECTOR_BYTES_MAX);
    struct al_chunk *c = al_arena_zalloc(p->a, sizeof *c);
    if (!c)
        return no_memory(p->err);
    c->heading = d->n_chunks ? d->chunks[0].heading : AL_STR("");
    c->end = (uint32_t)d->body.n;
    d->chunks = c;
    d->n_chunks = 1;
    return AL_OK;
}

static enum al_code own_vector(const struct prep *p, struct al_doc *d, uint32_t dim)
{
    const struct al_item *it = p->it;
    if (it->n_vector != dim)
        return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "DIMENSION_MISMATCH",
                         "vector: %zu components, the index has %u", it->n_vector, dim);
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++)
        norm += (double)it->vector[i] * (double)it->vector[i];
    if (!isfinite(norm) || norm == 0)
        return AL_FAIL_R(p->err, AL_INVALID_ARGUMENT, "NOT_FINITE",
                         "vector: not finite, or of length zero");
    float *v = al_arena_array(p->a, dim, sizeof *v);
    if (!v)
        return no_memory(p->err);
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)((double)it->vector[i] / sqrt(norm));
    d->vectors = v;
    return AL_OK;
}

enum al_code al_doc_embed(struct al_doc *d, const struct al_embedder *e, struct al_arena *a,
                          struct al_err *err)
{
    uint32_t dim = al_embedder_dim(e);
    float *v = al_arena_array(a, d->n_chunks ? d->n_chunks * dim : 1, sizeof *v);
    if (!v)
        return no_memory(err);
    for (size_t i = 0; i < d->n_chunks; i++) {
        struct al_str text;
        uint32_t n_tokens;
        AL_TRY(al_doc_chunk_text(d, i, a, &text, err));
        AL_TRY(al_embedder_embed(e, text, v + i * dim, &n_tokens, err));
    }
    d->vectors = v;
    d->embedder_id = al_str_c(al_embedder_id(e));
    return AL_OK;
}

/* ---- all of it ---- */

static struct al_doc make_doc(const struct prep *p, const struct al_target *to, uint64_t now_ms)
{
    return (struct al_doc){
        .space = to->space,
        .id = p->it->id,
        .visibility = to->visibility,
        .team = al_str_c(to->team),
        .deployment = al_str_c(to->deployment),
        .kind = kind_of(p),
        .title = p->doc.title,
        .version = p->it->version,
        .lang = p->doc.lang,
        .source = to->source,
        .media_type = al_format_media_type(format_of(p->it)),
        .analyzer_version = AL_ANALYZER_VERSION,
        .created_ms = p->it->created_ms ? p->it->created_ms : now_ms,
        .updated_ms = p->it->updated_ms ? p->it->updated_ms : now_ms,
        .tags = p->tags,
        .n_tags = p->n_tags,
        .meta = p->meta,
        .n_meta = p->n_meta,
        .body = p->doc.body,
        .chunks = p->doc.chunks,
        .n_chunks = p->doc.n_chunks,
    };
}

enum al_code al_item_prepare(const struct al_item *it, const struct al_target *to,
                             const struct al_embedder *e, uint64_t now_ms, struct al_arena *a,
                             struct al_doc *ret, uint32_t *ret_redactions, struct al_err *err)
{
    AL_TRY(check_item(it, err));
    struct prep p = {.it = it, .embedder = e, .a = a, .err = err};
    AL_TRY(read_content(&p));
    AL_TRY(redact(&p, p.doc.title, &p.doc.title));
    AL_TRY(gather_attributes(&p));
    struct al_doc d = make_doc(&p, to, now_ms);
    AL_TRY(redact(&p, it->url, &d.url));
    if (it->vector)
        AL_TRY(one_chunk(&p, &d));
    if (d.n_chunks == 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "CONTENT_EMPTY",
                         "content: no text to search in it");
    if (it->vector) {
        AL_TRY(own_vector(&p, &d, al_embedder_dim(e)));
        d.embedder_id = al_str_c(al_embedder_id(e));
    } else {
        AL_TRY(al_doc_embed(&d, e, a, err));
    }
    d.redactions = p.redactions;
    al_item_hash(it, to->source, e, d.content_hash);
    AL_TRY(al_doc_check(&d, al_embedder_dim(e), err));
    *ret = d;
    *ret_redactions = p.redactions;
    return AL_OK;
}
