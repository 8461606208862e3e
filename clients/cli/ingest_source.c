/* Entries of sources as items of an ingest stream. */
#include "ingest_source.h"

#include <string.h>

#include "airlore/source_pdf.h"

#define ASK_MAX 500u /* entries asked about at once */
#define ASK_BYTES_MAX ((size_t)32 << 20)
#define CONTENT_BYTES_MAX ((uint64_t)16 << 20)

/* Version of what we make of an entry: a new number makes everything changed. */
#define CHECKSUM_ENTRY "e1-"
#define CHECKSUM_PAGE "p1-"

/* Entries that were listed and not yet asked about. */
struct pending {
    struct al_arena arena;
    struct al_source_entry entries[ASK_MAX];
    char *ids[ASK_MAX];
    char *sums[ASK_MAX];
    bool known[ASK_MAX];
    size_t n;
};

struct sender {
    struct al_source *source;
    const char *prefix;
    struct al_cli_ingest_run *run;
    struct pending *pending;
    uint64_t consumed;
};

enum al_code al_cli_check_id(const char *id, struct al_err *err)
{
    size_t n = strlen(id);
    bool is_bad = n == 0 || n > AL_SOURCE_ID_BYTES_MAX || !al_str_is_utf8(al_str_c(id));
    for (size_t i = 0; i < n && !is_bad; i++)
        is_bad = (unsigned char)id[i] < 0x20 || id[i] == 0x7f;
    if (is_bad)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "id: not 1 to %u bytes of UTF-8 without control characters",
                         AL_SOURCE_ID_BYTES_MAX);
    return AL_OK;
}

static enum al_code no_memory(struct al_err *err)
{
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "entry: out of memory");
}

/* ---- an entry as an item ---- */

static char *keep(struct al_arena *a, const char *s, bool *failed)
{
    if (!s || !s[0])
        return (char *)(uintptr_t)protobuf_c_empty_string;
    char *kept = al_arena_strndup(a, s, strlen(s));
    *failed |= !kept;
    return kept;
}

static Google__Protobuf__Timestamp *keep_time(struct al_arena *a, int64_t s, bool *failed)
{
    if (s <= 0)
        return NULL;
    Google__Protobuf__Timestamp *t = al_arena_alloc(a, sizeof *t);
    *failed |= !t;
    if (t) {
        google__protobuf__timestamp__init(t);
        t->seconds = s;
    }
    return t;
}

static bool add_lists(const struct al_source_entry *e, struct al_arena *a,
                      Airlore__V1__IngestItem *item)
{
    bool failed = false;
    item->tags = al_arena_array(a, e->n_tags + 1, sizeof(char *));
    item->metadata = al_arena_array(a, e->n_meta + 1, sizeof(void *));
    if (!item->tags || !item->metadata)
        return false;
    for (size_t i = 0; i < e->n_tags; i++)
        item->tags[item->n_tags++] = keep(a, e->tags[i], &failed);
    for (size_t i = 0; i < e->n_meta; i++) {
        Airlore__V1__IngestItem__MetadataEntry *m = al_arena_alloc(a, sizeof *m);
        if (!m)
            return false;
        airlore__v1__ingest_item__metadata_entry__init(m);
        m->key = keep(a, e->meta[i].key, &failed);
        m->value = keep(a, e->meta[i].value, &failed);
        item->metadata[item->n_metadata++] = m;
    }
    return !failed;
}

/* All of the item lies in the run's arena. */
static enum al_code make_item(struct al_cli_ingest_run *r, const struct al_source_entry *e,
                              const char *id, Airlore__V1__IngestItem **ret, struct al_err *err)
{
    struct al_arena *a = &r->arena;
    bool failed = false;
    Airlore__V1__IngestItem *item = al_arena_alloc(a, sizeof *item);
    if (!item)
        return no_memory(err);
    airlore__v1__ingest_item__init(item);
    AL_TRY(al_cli_check_id(id, err));
    item->id = keep(a, id, &failed);
    item->content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_RAW;
    item->raw.len = e->content.n;
    item->raw.data = (uint8_t *)(uintptr_t)e->content.p;
    item->title = keep(a, e->title, &failed);
    item->kind = keep(a, e->kind, &failed);
    item->url = keep(a, e->url, &failed);
    item->version = keep(a, e->version, &failed);
    item->media_type = keep(a, e->media_type, &failed);
    item->create_time = keep_time(a, e->created_s, &failed);
    item->update_time = keep_time(a, e->updated_s, &failed);
    item->content_checksum =
        e->checksum ? keep(a, e->checksum, &failed)
                    : al_source_checksum(a, CHECKSUM_ENTRY, e->content.p, e->content.n);
    if (failed || !item->content_checksum || !add_lists(e, a, item))
        return no_memory(err);
    *ret = item;
    return AL_OK;
}

/* ---- PDF: an item a page ---- */

static bool is_pdf(const struct al_source_entry *e)
{
    const char *type = e->media_type;
    return type && strcmp(type, "application/pdf") == 0;
}

/* "Title > Concepts > Pools, page 7". */
static char *page_title(struct al_arena *a, const struct al_source_entry *e,
                        const struct al_pdf *pdf, const struct al_pdf_page *page)
{
    const char *slash = strrchr(e->id, '/');
    struct al_str title = al_str_c(e->title ? e->title : slash ? slash + 1 : e->id);
    if (!e->title && pdf->title.n)
        title = pdf->title;
    title.n = title.n > 400 ? al_str_utf8_floor(title, 400) : title.n;
    struct al_str heading = page->heading;
    heading.n = heading.n > 500 ? al_str_utf8_floor(heading, 500) : heading.n;
    return al_arena_printf(a, AL_STR_FMT "%s" AL_STR_FMT ", page %u", AL_STR_ARG(title),
                           heading.n ? " > " : "", AL_STR_ARG(heading), page->number);
}

static enum al_code put_page(struct al_cli_ingest_run *r, const char *prefix,
                             const struct al_source_entry *whole, const struct al_pdf *pdf,
                             const struct al_pdf_page *page, struct al_err *err)
{
    struct al_arena *a = &r->arena;
    struct al_source_entry e = *whole;
    e.media_type = "text/plain";
    e.checksum = NULL;
    e.id = al_arena_printf(a, "%s#page=%u", whole->id, page->number);
    e.url = whole->url ? al_arena_printf(a, "%s#page=%u", whole->url, page->number) : NULL;
    e.title = page_title(a, whole, pdf, page);
    const char *number = al_arena_printf(a, "%u", page->number);
    const char *all = al_arena_printf(a, "%u", pdf->n_all);
    char *section = al_arena_strndup(a, page->heading.p ? page->heading.p : "", page->heading.n);
    if (!e.id || (whole->url && !e.url) || !e.title || !number || !all || !section)
        return no_memory(err);
    al_source_add_meta(&e, "page", number);
    al_source_add_meta(&e, "pages", all);
    al_source_add_meta(&e, "section", section);
    AL_TRY(al_arena_str(a, page->text, &e.content, err));
    e.checksum = al_source_checksum(a, CHECKSUM_PAGE, e.content.p, e.content.n);
    return e.checksum ? al_cli_source_put(r, prefix, &e, err) : no_memory(err);
}

/* What cannot be read counts as one error, and as pages that were not seen. */
static enum al_code put_pdf(struct al_cli_ingest_run *r, const char *prefix,
                            const struct al_source_entry *e, struct al_err *err)
{
    struct al_err why = {.code = AL_OK};
    struct al_arena pages;
    struct al_pdf pdf;
    al_arena_init(&pages, NULL, 2 * AL_PDF_BYTES_MAX);
    enum al_code code = AL_OK;
    struct al_source_entry kept = *e; /* its texts must outlive the batches */
    bool failed = false;
    kept.id = keep(&pages, e->id, &failed);
    kept.url = e->url ? keep(&pages, e->url, &failed) : NULL;
    if (failed || al_pdf_read(e->content, NULL, &pages, &pdf, &why) != AL_OK) {
        char id[AL_SOURCE_ID_BYTES_MAX + 300];
        snprintf(id, sizeof id, "%s%s", prefix, e->id);
        al_cli_ingest_error(r->totals, id, 0, why.reason ? why.reason : al_code_name(why.code),
                            why.msg);
        r->is_incomplete = true;
        pdf.n = 0;
    }
    for (size_t i = 0; code == AL_OK && i < pdf.n; i++)
        code = put_page(r, prefix, &kept, &pdf, &pdf.pages[i], err);
    al_arena_fini(&pages);
    return code;
}

enum al_code al_cli_source_put(struct al_cli_ingest_run *r, const char *prefix,
                               struct al_source_entry *e, struct al_err *err)
{
    if (is_pdf(e))
        return put_pdf(r, prefix, e, err);
    struct al_err why = {.code = AL_OK};
    Airlore__V1__IngestItem *item = NULL;
    char id[AL_SOURCE_ID_BYTES_MAX + 300];
    snprintf(id, sizeof id, "%s%s", prefix, e->id);
    if (make_item(r, e, id, &item, &why) != AL_OK)
        return al_cli_ingest_put_failed(r, id, 0, &why, err);
    return al_cli_ingest_put(r, item, e->content.n, err);
}

/* ---- asking and reading ---- */

static enum al_code put_failed(struct sender *k, const struct al_source_entry *e,
                               const struct al_err *why, struct al_err *err)
{
    bool is_gone = why->reason && strcmp(why->reason, "GONE") == 0;
    char id[AL_SOURCE_ID_BYTES_MAX + 300];
    snprintf(id, sizeof id, "%s%s", k->prefix, e->id ? e->id : "");
    k->run->is_incomplete |= is_pdf(e); /* its pages are not named one by one */
    if (!is_gone)
        return al_cli_ingest_put_failed(k->run, e->id ? id : NULL, 0, why, err);
    al_cli_ingest_error(k->run->totals, id, 0, why->reason, why->msg);
    return AL_OK; /* the source says that it is no longer there: not named as present */
}

/* Read one entry that the server has not, or whose checksum is an old one. */
static enum al_code fetch(struct sender *k, struct al_source_entry *e, struct al_err *err)
{
    struct al_cli_ingest_run *r = k->run;
    struct al_err why = {.code = AL_OK};
    uint64_t max = al_client_ingest_item_bytes_max(r->stream);
    max = max < CONTENT_BYTES_MAX ? max : CONTENT_BYTES_MAX;
    bool looks_like_pdf = is_pdf(e) || (e->id && al_str_ends(al_str_c(e->id), AL_STR(".pdf")));
    max = looks_like_pdf ? AL_PDF_BYTES_MAX : max;
    if (al_source_load(k->source, &r->arena, e, max, &why) != AL_OK)
        return put_failed(k, e, &why, err);
    if (e->is_unchanged) {
        char id[AL_SOURCE_ID_BYTES_MAX + 300];
        snprintf(id, sizeof id, "%s%s", k->prefix, e->id);
        char *ids[1] = {id};
        return al_cli_ingest_unchanged(r, ids, 1, err);
    }
    return al_cli_source_put(r, k->prefix, e, err);
}

/* Which of the pending ones the server has: known[i]. */
static enum al_code ask(struct sender *k, struct al_err *err)
{
    struct pending *p = k->pending;
    const Airlore__V1__SourceState *states = NULL;
    for (size_t i = 0; i < p->n; i++) {
        p->ids[i] = al_arena_printf(&p->arena, "%s%s", k->prefix, p->entries[i].id);
        const char *sum = p->entries[i].checksum;
        p->sums[i] =
            al_cli_ingest_checksum(k->run, &p->arena, sum ? sum : "-"); /* none is refused */
        if (!p->ids[i] || !p->sums[i])
            return no_memory(err);
    }
    struct al_cli_sums sums = {p->ids, p->sums, p->n};
    AL_TRY(al_cli_ingest_check(k->run, &sums, &p->arena, &states, err));
    for (size_t i = 0; i < p->n; i++)
        p->known[i] = states && p->entries[i].checksum &&
                      states[i] == AIRLORE__V1__SOURCE_STATE__SOURCE_STATE_UNCHANGED;
    return AL_OK;
}

/* Read what the server has not. */
static enum al_code settle(struct sender *k, struct al_err *err)
{
    struct pending *p = k->pending;
    if (p->n == 0)
        return AL_OK;
    AL_TRY(ask(k, err));
    k->run->is_checked = true; /* no second question about what is read now */
    for (size_t i = 0; i < p->n; i++) {
        struct al_source_entry *e = &p->entries[i];
        e->is_known = p->known[i];
        if (p->known[i] && !e->checksum_is_old)
            AL_TRY(al_cli_ingest_unchanged(k->run, &p->ids[i], 1, err));
        else
            AL_TRY(fetch(k, e, err));
    }
    AL_TRY(al_cli_ingest_flush(k->run, err));
    k->run->is_checked = false;
    p->n = 0;
    al_arena_reset(&p->arena);
    return AL_OK;
}

static void on_progress(void *u, uint64_t consumed)
{
    struct sender *k = u;
    if (consumed > k->consumed) {
        al_cli_progress_add(&k->run->totals->progress, 0, consumed - k->consumed);
        k->consumed = consumed;
    }
}

static enum al_code send_all(struct sender *k, struct al_err *err)
{
    struct pending *p = k->pending;
    for (;;) {
        bool end = false;
        struct al_source_entry *e = &p->entries[p->n];
        AL_TRY(al_source_next(k->source, &p->arena, e, &end, err));
        if (end)
            return settle(k, err);
        on_progress(k, e->consumed_bytes);
        if (e->why.code != AL_OK) {
            AL_TRY(put_failed(k, e, &e->why, err));
        } else if (e->has_content) {
            AL_TRY(al_arena_str(&k->run->arena, e->content, &e->content, err));
            AL_TRY(al_cli_source_put(k->run, k->prefix, e, err));
        } else {
            p->n++;
        }
        if (p->n == ASK_MAX || al_arena_used(&p->arena) > ASK_BYTES_MAX)
            AL_TRY(settle(k, err));
        else if (p->n == 0)
            al_arena_reset(&p->arena);
    }
}

enum al_code al_cli_source_send(struct al_source *s, const char *prefix,
                                struct al_cli_ingest_run *r, struct al_err *err)
{
    struct sender k = {.source = s, .prefix = prefix, .run = r};
    k.pending = al_mem_zalloc(NULL, sizeof *k.pending);
    if (!k.pending)
        return no_memory(err);
    al_arena_init(&k.pending->arena, NULL, 4 * ASK_BYTES_MAX);
    s->on_progress = on_progress;
    s->u = &k;
    enum al_code code = al_cli_ingest_flush(r, err);
    if (code == AL_OK)
        code = send_all(&k, err);
    r->is_checked = false;
    if (code == AL_OK) {
        struct al_err why = {.code = AL_OK};
        code = al_cli_ingest_flush(r, err);
        if (code == AL_OK && al_source_finish(s, &why) != AL_OK)
            al_cli_note(r->cli, "the next run will be slower: %s", why.msg);
    }
    s->on_progress = NULL;
    al_arena_fini(&k.pending->arena);
    al_mem_free(NULL, k.pending);
    return code;
}
