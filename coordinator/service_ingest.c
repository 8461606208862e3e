#include <stdio.h>
#include <string.h>

#include "service.h"

#define SOURCE_BYTES_MAX 1024u
#define CHECK_MAX 10000u
#define BATCH_MAX 256u
#define PRESENT_MAX 10000u
#define SUM_PAGE_DEFAULT 1000u

/* One Ingest call. */
struct session {
    struct al_coordinator *c;
    struct al_rpc_call *call;
    struct al_arena *a; /* of the call */
    struct al_ingest *ingest;
    struct al_arena item_arena; /* of the item being converted; the caller's thread */
    uint64_t started_ns;
    bool dry_run;
    enum al_chunker chunker;
    bool finished; /* the client said that nothing is missing by accident */
};

/* ---- results, on the committer's thread ---- */

static Airlore__V1__IngestOutcome outcome_of(const struct al_ingest_result *r)
{
    if (r->error.code != AL_OK)
        return AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_FAILED;
    if (r->outcome == AL_OUTCOME_INSERTED)
        return AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_INSERTED;
    if (r->outcome == AL_OUTCOME_UPDATED)
        return AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_UPDATED;
    return AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_SKIPPED;
}

static Airlore__V1__IngestResult *msg_result(struct al_arena *a, const struct al_ingest_result *r)
{
    Airlore__V1__IngestResult *m = al_msg_new(a, &airlore__v1__ingest_result__descriptor);
    if (!m)
        return NULL;
    m->sequence = r->sequence;
    m->id = al_msg_str(a, r->id);
    m->outcome = outcome_of(r);
    m->chunks = r->chunks;
    m->redactions = r->redactions;
    if (r->error.code != AL_OK) {
        m->error = al_msg_error(a, &r->error);
        if (!m->error)
            return NULL;
    }
    return m->id ? m : NULL;
}

static enum al_code send_results(void *u, const struct al_ingest_result *r, size_t n,
                                 const struct al_token *t, struct al_err *err)
{
    struct session *s = u;
    struct al_arena *a = al_rpc_call_scratch(s->call);
    Airlore__V1__IngestResponse out = AIRLORE__V1__INGEST_RESPONSE__INIT;
    Airlore__V1__IngestResultBatch batch = AIRLORE__V1__INGEST_RESULT_BATCH__INIT;
    batch.results = al_msg_list(a, n);
    if (!batch.results)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        batch.results[i] = msg_result(a, &r[i]);
        if (!batch.results[batch.n_results++])
            return al_msg_no_memory(err);
    }
    if (n)
        AL_TRY(al_token_text(s->c, t, a, &batch.results[n - 1]->token, err));
    out.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_RESULTS;
    out.results = &batch;
    al_metric_add(s->c->ingested, n);
    return al_rpc_write(s->call, &out.base, err);
}

/* ---- items, on the stream's thread ---- */

static uint64_t time_ms(const Google__Protobuf__Timestamp *t)
{
    if (!t || t->seconds <= 0 || t->seconds > 253402300799 || t->nanos < 0 || t->nanos > 999999999)
        return 0;
    return (uint64_t)t->seconds * 1000 + (uint64_t)t->nanos / 1000000;
}

static enum al_code convert_item(struct al_arena *a, const Airlore__V1__IngestItem *m,
                                 struct al_item *ret, struct al_err *err)
{
    struct al_item it = {
        .id = al_str_c(m->id),
        .title = al_str_c(m->title),
        .kind = al_str_c(m->kind),
        .url = al_str_c(m->url),
        .version = al_str_c(m->version),
        .checksum = al_str_c(m->content_checksum),
        .vector = m->n_vector ? m->vector : NULL,
        .n_vector = m->n_vector,
        .created_ms = time_ms(m->create_time),
        .updated_ms = time_ms(m->update_time),
    };
    if (m->content_case == AIRLORE__V1__INGEST_ITEM__CONTENT_TEXT)
        it.content = al_str_c(m->text);
    else if (m->content_case == AIRLORE__V1__INGEST_ITEM__CONTENT_RAW)
        it.content = (struct al_str){(const char *)m->raw.data, m->raw.len};
    it.format =
        m->media_type[0] ? al_format_of_media_type(al_str_c(m->media_type)) : AL_FORMAT_UNKNOWN;
    struct al_str *tags = al_arena_array(a, m->n_tags + 1, sizeof *tags);
    struct al_kv *meta = al_arena_array(a, m->n_metadata + 1, sizeof *meta);
    if (!tags || !meta)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < m->n_tags; i++)
        tags[i] = al_str_c(m->tags[i]);
    for (size_t i = 0; i < m->n_metadata; i++)
        meta[i] = (struct al_kv){al_str_c(m->metadata[i]->key), al_str_c(m->metadata[i]->value)};
    it.tags = tags;
    it.n_tags = m->n_tags;
    it.meta = meta;
    it.n_meta = m->n_metadata;
    *ret = it;
    return AL_OK;
}

/* What is wrong with this item alone, before anything is done with it. */
static enum al_code check_item(struct session *s, const Airlore__V1__IngestItem *m,
                               const struct al_item *it, struct al_err *err)
{
    if (m->media_type[0] && it->format == AL_FORMAT_UNKNOWN)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "MEDIA_TYPE_UNSUPPORTED",
                         "media type: '%.100s' is not one that is read", m->media_type);
    if (m->embedder_id[0] && strcmp(m->embedder_id, al_embedder_id(s->c->opt.embedder)) != 0)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "EMBEDDER_MISMATCH",
                         "vector: made by '%.64s', the index has '%s'", m->embedder_id,
                         al_embedder_id(s->c->opt.embedder));
    if (s->dry_run)
        return AL_OK;
    return al_ratelimit_bytes(s->c->ratelimit, al_call_credential(s->call), it->content.n, err);
}

static enum al_code check_count(const char *what, size_t n, size_t max, struct al_err *err)
{
    if (n >= 1 && n <= max)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "%s: %zu entries, 1 to %zu are allowed",
                     what, n, max);
}

/* A quota of items a second slows the stream down; the client's writes wait, too. */
static enum al_code keep_pace(struct session *s, struct al_err *err)
{
    uint64_t ms = al_ratelimit_item(s->c->ratelimit, al_call_credential(s->call));
    if (!ms || s->dry_run)
        return AL_OK;
    switch (al_rpc_call_wait(s->call, ms)) {
    case AL_RPC_WAIT_CANCELLED:
        return AL_FAIL_R(err, AL_CANCELLED, "CANCELLED", "ingest: the client has gone");
    case AL_RPC_WAIT_DRAINING:
        return AL_FAIL_R(err, AL_UNAVAILABLE, "SHUTTING_DOWN", "ingest: the server is stopping");
    case AL_RPC_WAIT_TIMEOUT:
    case AL_RPC_WAIT_WOKEN:
        break;
    }
    return AL_OK;
}

static enum al_code add_item(struct session *s, const Airlore__V1__IngestItem *m,
                             struct al_err *err)
{
    struct al_item it = {0};
    al_arena_reset(&s->item_arena);
    AL_TRY(convert_item(&s->item_arena, m, &it, err));
    it.chunker = s->chunker;
    struct al_err bad = {0};
    if (check_item(s, m, &it, &bad) != AL_OK)
        return al_ingest_refuse(s->ingest, &it, m->sequence, &bad, err);
    AL_TRY(keep_pace(s, err));
    return al_ingest_add(s->ingest, &it, m->sequence, err);
}

static enum al_code take_message(struct session *s, const Airlore__V1__IngestRequest *m,
                                 struct al_err *err)
{
    switch (m->message_case) {
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE_ITEM:
        return add_item(s, m->item, err);
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE_BATCH:
        AL_TRY(check_count("batch", m->batch->n_items, BATCH_MAX, err));
        for (size_t i = 0; i < m->batch->n_items; i++)
            AL_TRY(add_item(s, m->batch->items[i], err));
        return AL_OK;
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE_PRESENT:
        AL_TRY(check_count("present", m->present->n_ids, PRESENT_MAX, err));
        for (size_t i = 0; i < m->present->n_ids; i++)
            AL_TRY(al_ingest_present(s->ingest, al_str_c(m->present->ids[i]), err));
        return AL_OK;
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE_FINISH:
        s->finished = true;
        return AL_OK;
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE_OPTIONS:
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "STREAM_ORDER",
                         "ingest: options come once, as the first message");
    case AIRLORE__V1__INGEST_REQUEST__MESSAGE__NOT_SET:
    case _AIRLORE__V1__INGEST_REQUEST__MESSAGE__CASE_IS_INT_SIZE:
        break;
    }
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "ingest: an empty message");
}

static enum al_code read_items(struct session *s, struct al_err *err)
{
    while (!s->finished) {
        ProtobufCMessage *m = NULL;
        AL_TRY(al_rpc_read(s->call, &m, err));
        if (!m)
            return AL_OK;
        AL_TRY(al_recheck_call(s->c, s->call, err));
        AL_TRY(take_message(s, (const Airlore__V1__IngestRequest *)m, err));
    }
    return AL_OK;
}

/* ---- begin and end ---- */

static enum al_code read_options(struct session *s, struct al_target *ret,
                                 Airlore__V1__IngestOptions *ret_options, struct al_err *err)
{
    ProtobufCMessage *m = NULL;
    AL_TRY(al_rpc_read(s->call, &m, err));
    const Airlore__V1__IngestRequest *first = (const Airlore__V1__IngestRequest *)m;
    if (!first || first->message_case != AIRLORE__V1__INGEST_REQUEST__MESSAGE_OPTIONS ||
        !first->options)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "STREAM_ORDER",
                         "ingest: the first message must be the options");
    const Airlore__V1__IngestOptions *o = first->options;
    if (strlen(o->source) > SOURCE_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "source: at most %u bytes",
                         SOURCE_BYTES_MAX);
    if (strlen(o->write_id_prefix) > 64)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "write id prefix: at most 64 bytes");
    const char *deployment = al_msg_str(s->a, al_str_c(o->deployment));
    if (!deployment)
        return al_msg_no_memory(err);
    AL_TRY(al_resolve_target(s->c, al_call_credential(s->call), o->visibility, deployment, s->a,
                             ret, err));
    AL_TRY(al_arena_str(s->a, al_str_c(o->source), &ret->source, err));
    if (o->chunker > AIRLORE__V1__CHUNKER__CHUNKER_SEMANTIC || o->chunker < 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "chunker: %d is none",
                         (int)o->chunker);
    s->chunker = o->chunker ? (enum al_chunker)(o->chunker - 1) : AL_CHUNKER_DOCUMENT;
    *ret_options = *o;
    return AL_OK;
}

static enum al_code begin(struct session *s, struct al_err *err)
{
    struct al_target target = {0};
    Airlore__V1__IngestOptions o =
        AIRLORE__V1__INGEST_OPTIONS__INIT; /* valid until the next read */
    AL_TRY(read_options(s, &target, &o, err));
    struct al_ingest_options opt = {
        .router = s->c->opt.router,
        .embedder = s->c->opt.embedder,
        .clock = s->c->opt.clock,
        .mem = s->c->opt.mem,
        .target = target,
        .quota = s->c->storage_quota,
        .dry_run = o.dry_run,
        .force = o.force,
        .delete_missing = o.delete_missing,
        .on_results = send_results,
        .u = s,
    };
    s->dry_run = o.dry_run;
    Airlore__V1__IngestStarted started = AIRLORE__V1__INGEST_STARTED__INIT;
    const char *space = al_directory_space_name(s->c->directory, target.space, s->a);
    started.space = space ? al_msg_str(s->a, al_str_c(space)) : NULL;
    started.embedder_id = al_msg_str(s->a, al_str_c(al_embedder_id(s->c->opt.embedder)));
    started.write_id_prefix = al_msg_str(s->a, al_str_c(o.write_id_prefix));
    started.window = AL_INGEST_WINDOW;
    started.max_item_bytes = AL_DOC_BODY_BYTES_MAX;
    started.dimension = al_embedder_dim(s->c->opt.embedder);
    if (!started.space || !started.embedder_id || !started.write_id_prefix)
        return al_msg_no_memory(err);
    Airlore__V1__IngestResponse out = AIRLORE__V1__INGEST_RESPONSE__INIT;
    out.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_STARTED;
    out.started = &started;
    AL_TRY(al_rpc_write(s->call, &out.base, err));
    return al_ingest_start(&opt, &s->ingest, err);
}

static enum al_code end(struct session *s, struct al_err *err)
{
    struct al_ingest_summary sum;
    struct al_token t;
    AL_TRY(al_ingest_finish(s->ingest, s->finished, s->a, &sum, &t, err));
    Airlore__V1__IngestSummary m = AIRLORE__V1__INGEST_SUMMARY__INIT;
    m.inserted = sum.inserted;
    m.updated = sum.updated;
    m.skipped = sum.skipped;
    m.failed = sum.failed;
    m.deleted = sum.deleted;
    m.chunks = sum.chunks;
    m.bytes = sum.bytes;
    m.took_us = (al_clock_mono_ns(s->c->opt.clock) - s->started_ns) / 1000;
    AL_TRY(al_token_text(s->c, &t, s->a, &m.token, err));
    Airlore__V1__IngestResponse out = AIRLORE__V1__INGEST_RESPONSE__INIT;
    out.message_case = AIRLORE__V1__INGEST_RESPONSE__MESSAGE_SUMMARY;
    out.summary = &m;
    return al_rpc_write(s->call, &out.base, err);
}

AL_STREAM(al_serve_ingest)
{
    struct al_coordinator *c = ctx;
    struct session s = {.c = c, .call = call, .a = al_rpc_call_arena(call)};
    s.started_ns = al_clock_mono_ns(c->opt.clock);
    al_arena_init(&s.item_arena, c->opt.mem, (size_t)16 << 20);
    enum al_code code = begin(&s, err);
    if (code == AL_OK)
        code = read_items(&s, err);
    if (code == AL_OK)
        code = end(&s, err);
    al_ingest_destroy(s.ingest);
    al_arena_fini(&s.item_arena);
    return code;
}

/* ---- what is there already ---- */

static enum al_code check_one(struct al_coordinator *c, const struct al_target *t,
                              const Airlore__V1__SourceChecksum *want, const char *source,
                              struct al_arena *a, Airlore__V1__SourceState *ret, struct al_err *err)
{
    *ret = AIRLORE__V1__SOURCE_STATE__SOURCE_STATE_NEW;
    struct al_str id = al_str_c(want->id);
    if (id.n < 1 || id.n > AL_DOC_ID_BYTES_MAX)
        return AL_OK; /* sending it will say what is wrong */
    struct al_shard_port *p = c->opt.router->shards[al_router_of_doc(c->opt.router, t->space, id)];
    struct al_doc d;
    enum al_code code = p->ops->get_doc(p, t->space, id, false, a, &d, err);
    if (code == AL_NOT_FOUND)
        return AL_OK;
    if (code != AL_OK)
        return code;
    bool same = want->content_checksum[0] &&
                al_str_is(al_doc_find_meta(&d, "source_checksum"), want->content_checksum) &&
                (!source[0] || al_str_is(d.source, source)) &&
                al_str_is(d.embedder_id, al_embedder_id(c->opt.embedder)) &&
                d.analyzer_version == AL_ANALYZER_VERSION;
    *ret = same ? AIRLORE__V1__SOURCE_STATE__SOURCE_STATE_UNCHANGED
                : AIRLORE__V1__SOURCE_STATE__SOURCE_STATE_CHANGED;
    return AL_OK;
}

AL_UNARY(al_serve_check_sources)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__CheckSourcesRequest *m = (const Airlore__V1__CheckSourcesRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_target t;
    if (m->n_sources < 1 || m->n_sources > CHECK_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "sources: %zu entries, 1 to %u are allowed", m->n_sources, CHECK_MAX);
    AL_TRY(
        al_resolve_target(c, al_call_credential(call), m->visibility, m->deployment, a, &t, err));
    Airlore__V1__CheckSourcesResponse *out =
        al_msg_new(a, &airlore__v1__check_sources_response__descriptor);
    Airlore__V1__SourceState *states = al_arena_array(a, m->n_sources, sizeof *states);
    if (!out || !states)
        return al_msg_no_memory(err);
    struct al_arena scratch; /* the documents looked at need not be kept */
    al_arena_init(&scratch, c->opt.mem, (size_t)64 << 20);
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < m->n_sources; i++) {
        if (al_rpc_call_is_cancelled(call))
            code = AL_FAIL(err, AL_CANCELLED, "sources: the client has gone");
        if (code != AL_OK)
            break;
        code = check_one(c, &t, m->sources[i], m->source, &scratch, &states[i], err);
        al_arena_reset(&scratch);
    }
    al_arena_fini(&scratch);
    out->states = states;
    out->n_states = m->n_sources;
    *ret_reply = &out->base;
    return code;
}

static enum al_code list_page(struct al_coordinator *c, const struct al_target *t,
                              const Airlore__V1__ListChecksumsRequest *m, struct al_arena *a,
                              struct al_page_cursor *cursor,
                              Airlore__V1__ListChecksumsResponse *out, struct al_err *err)
{
    uint32_t limit = 0;
    AL_TRY(al_page_size(m->page_size, SUM_PAGE_DEFAULT, SUM_PAGE_DEFAULT, &limit, err));
    struct al_list_query q = {
        .spaces = &t->space, .n_spaces = 1, .source = al_str_c(m->source), .limit = limit};
    struct al_doc_page page;
    AL_TRY(al_list_docs(c, &q, cursor, a, &page, err));
    out->sources = al_msg_list(a, page.n_docs);
    if (!out->sources)
        return al_msg_no_memory(err);
    for (size_t i = 0; i < page.n_docs; i++) {
        Airlore__V1__SourceChecksum *s = al_msg_new(a, &airlore__v1__source_checksum__descriptor);
        if (!s)
            return al_msg_no_memory(err);
        s->id = al_msg_str(a, page.docs[i].id);
        s->content_checksum = al_msg_str(a, al_doc_find_meta(&page.docs[i], "source_checksum"));
        if (!s->id || !s->content_checksum)
            return al_msg_no_memory(err);
        out->sources[out->n_sources++] = s;
    }
    return AL_OK;
}

AL_UNARY(al_serve_list_checksums)
{
    struct al_coordinator *c = ctx;
    const Airlore__V1__ListChecksumsRequest *m = (const Airlore__V1__ListChecksumsRequest *)req;
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_target t;
    if (!m->source[0])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED", "source: which one?");
    AL_TRY(
        al_resolve_target(c, al_call_credential(call), m->visibility, m->deployment, a, &t, err));
    Airlore__V1__ListChecksumsResponse *out =
        al_msg_new(a, &airlore__v1__list_checksums_response__descriptor);
    struct al_page_cursor cursor;
    if (!out)
        return al_msg_no_memory(err);
    char space[16];
    snprintf(space, sizeof space, "%u", t.space);
    const char *const of[] = {"ListChecksums", space, m->source};
    uint64_t request = al_page_request(of, AL_ARRAY_LEN(of));
    AL_TRY(al_page_parse(c, al_str_c(m->page_token), request, a, &cursor, err));
    AL_TRY(list_page(c, &t, m, a, &cursor, out, err));
    AL_TRY(al_page_format(c, &cursor, a, &out->next_page_token, err));
    *ret_reply = &out->base;
    return AL_OK;
}
