/* One ingest stream. */
#include "ingest_run.h"

#include <string.h>

#include "json_out.h"

#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define REPLY_BYTES_MAX ((size_t)4 << 20)

void al_cli_ingest_error(struct al_cli_ingest_totals *t, const char *id, uint64_t line,
                         const char *reason, const char *message)
{
    pthread_mutex_lock(&t->mu);
    t->failed++;
    if (json_array_size(t->errors) < AL_INGEST_ERRORS_MAX) {
        json_t *e = json_object();
        if (line)
            al_cli_json_set(e, "line", json_integer((json_int_t)line));
        if (id && id[0])
            al_cli_json_set(e, "id", al_cli_json_text(al_str_c(id)));
        al_cli_json_set(e, "reason", al_cli_json_text(al_str_c(reason)));
        al_cli_json_set(e, "message", al_cli_json_text(al_str_c(message)));
        al_cli_json_add(t->errors, e);
    } else {
        t->errors_left_out++;
    }
    pthread_mutex_unlock(&t->mu);
    al_cli_progress_add(&t->progress, 1, 0);
}

static void count(struct al_cli_ingest_totals *t, const Airlore__V1__IngestResult *m)
{
    pthread_mutex_lock(&t->mu);
    if (m->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_INSERTED)
        t->inserted++;
    else if (m->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_UPDATED)
        t->updated++;
    else if (m->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_SKIPPED)
        t->skipped++;
    t->chunks += m->chunks;
    t->redactions += m->redactions;
    size_t n = strlen(m->token);
    if (n && n < sizeof t->token)
        memcpy(t->token, m->token, n + 1);
    pthread_mutex_unlock(&t->mu);
    al_cli_progress_add(&t->progress, 1, 0);
}

static void count_empty(struct al_cli_ingest_totals *t)
{
    pthread_mutex_lock(&t->mu);
    t->empty++;
    pthread_mutex_unlock(&t->mu);
    al_cli_progress_add(&t->progress, 1, 0);
}

static void on_result(void *u, const Airlore__V1__IngestResult *m)
{
    struct al_cli_ingest_run *r = u;
    if (m->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_DELETED)
        return; /* in the summary */
    if (!r->lines && m->error && strcmp(m->error->reason, "CONTENT_EMPTY") == 0)
        count_empty(r->totals);
    else if (m->outcome == AIRLORE__V1__INGEST_OUTCOME__INGEST_OUTCOME_FAILED || m->error)
        al_cli_ingest_error(r->totals, m->id, r->lines ? m->sequence : 0,
                            m->error ? m->error->reason : "INTERNAL",
                            m->error ? m->error->message : "failed without a reason");
    else
        count(r->totals, m);
}

enum al_code al_cli_ingest_begin(struct al_cli_ingest_run *r, struct al_cli *cli,
                                 struct al_cli_ingest_totals *totals,
                                 const Airlore__V1__IngestOptions *options, struct al_err *err)
{
    memset(r, 0, sizeof *r);
    r->cli = cli;
    r->totals = totals;
    r->options = options;
    al_arena_init(&r->arena, NULL, ARENA_BYTES_MAX);
    struct al_client_ingest_options o = {
        .options = options,
        .on_result = on_result,
        .u = r,
        .timeout_ms = cli->timeout_given ? cli->timeout_ms : 0,
    };
    return al_client_ingest_open(cli->client, &o, &r->stream, err);
}

char *al_cli_ingest_checksum(const struct al_cli_ingest_run *r, struct al_arena *a,
                             const char *checksum)
{
    Airlore__V1__Chunker chunker = r->options->chunker;
    return chunker <= AIRLORE__V1__CHUNKER__CHUNKER_DOCUMENT
               ? (char *)(uintptr_t)checksum
               : al_arena_printf(a, "%s~%d", checksum, (int)chunker);
}

enum al_code al_cli_ingest_put(struct al_cli_ingest_run *r, Airlore__V1__IngestItem *item,
                               size_t n_bytes, struct al_err *err)
{
    item->content_checksum = al_cli_ingest_checksum(r, &r->arena, item->content_checksum);
    if (!item->content_checksum)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    size_t packed = protobuf_c_message_get_packed_size(&item->base);
    if (packed > AL_INGEST_ITEM_BYTES) {
        struct al_err why = {.code = AL_OK};
        AL_FAIL_R(&why, AL_INVALID_ARGUMENT, "TOO_LARGE",
                  "item: %zu bytes as a message, at most %zu", packed, AL_INGEST_ITEM_BYTES);
        return al_cli_ingest_put_failed(r, item->id, r->lines ? item->sequence : 0, &why, err);
    }
    r->items[r->n_items++] = item;
    r->n_bytes += n_bytes;
    if (r->n_items == AL_INGEST_BATCH_ITEMS || r->n_bytes >= AL_INGEST_BATCH_BYTES ||
        al_arena_used(&r->arena) > ARENA_BYTES_MAX / 4)
        return al_cli_ingest_flush(r, err);
    return AL_OK;
}

enum al_code al_cli_ingest_check(struct al_cli_ingest_run *r, const struct al_cli_sums *sums,
                                 struct al_arena *a, const Airlore__V1__SourceState **ret,
                                 struct al_err *err)
{
    *ret = NULL;
    if (r->options->force)
        return AL_OK;
    Airlore__V1__CheckSourcesRequest q = AIRLORE__V1__CHECK_SOURCES_REQUEST__INIT;
    q.visibility = r->options->visibility;
    q.deployment = r->options->deployment;
    q.source = r->options->source;
    q.n_sources = sums->n;
    q.sources = al_arena_array(a, sums->n, sizeof(void *));
    Airlore__V1__SourceChecksum *sources = al_arena_array(a, sums->n, sizeof *sources);
    if (!q.sources || !sources)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    for (size_t i = 0; i < sums->n; i++) {
        airlore__v1__source_checksum__init(&sources[i]);
        sources[i].id = sums->ids[i];
        sources[i].content_checksum = sums->sums[i];
        q.sources[i] = &sources[i];
    }
    Airlore__V1__CheckSourcesResponse *reply = NULL;
    enum al_code code = al_client_check_sources(r->cli->client, &q, a, &reply, err);
    if (code == AL_UNIMPLEMENTED)
        return AL_OK; /* then everything is sent, and the server skips what it has */
    if (code == AL_INVALID_ARGUMENT)
        return AL_OK; /* an id among them is no id: the item's own answer will say which */
    if (code != AL_OK)
        return code;
    if (reply->n_states == sums->n)
        *ret = reply->states;
    return AL_OK;
}

/* states[i] for items[i]; all NEW when nothing is to be asked. */
static enum al_code check(struct al_cli_ingest_run *r, struct al_arena *a,
                          const Airlore__V1__SourceState **ret, struct al_err *err)
{
    *ret = NULL;
    if (r->is_checked)
        return AL_OK;
    struct al_cli_sums s = {.n = r->n_items};
    s.ids = al_arena_array(a, s.n, sizeof *s.ids);
    s.sums = al_arena_array(a, s.n, sizeof *s.sums);
    if (!s.ids || !s.sums)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    for (size_t i = 0; i < s.n; i++) {
        s.ids[i] = r->items[i]->id;
        s.sums[i] = r->items[i]->content_checksum;
    }
    return al_cli_ingest_check(r, &s, a, ret, err);
}

enum al_code al_cli_ingest_unchanged(struct al_cli_ingest_run *r, char **ids, size_t n,
                                     struct al_err *err)
{
    if (n && r->options->delete_missing)
        AL_TRY(al_client_ingest_present(r->stream, ids, n, err));
    pthread_mutex_lock(&r->totals->mu);
    r->totals->skipped += n;
    pthread_mutex_unlock(&r->totals->mu);
    al_cli_progress_add(&r->totals->progress, n, 0);
    return AL_OK;
}

/* Moves the unchanged ones to ids[], keeps the others; gives how many are unchanged. */
static size_t split(struct al_cli_ingest_run *r, const Airlore__V1__SourceState *states, char **ids)
{
    size_t kept = 0;
    size_t n_ids = 0;
    for (size_t i = 0; states && i < r->n_items; i++) {
        if (states[i] == AIRLORE__V1__SOURCE_STATE__SOURCE_STATE_UNCHANGED)
            ids[n_ids++] = r->items[i]->id;
        else
            r->items[kept++] = r->items[i];
    }
    if (states)
        r->n_items = kept;
    return n_ids;
}

static enum al_code send_batch(struct al_cli_ingest_run *r, struct al_arena *a, struct al_err *err)
{
    const Airlore__V1__SourceState *states;
    AL_TRY(check(r, a, &states, err));
    char **ids = al_arena_array(a, r->n_items, sizeof *ids);
    if (!ids)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    size_t n_ids = split(r, states, ids);
    AL_TRY(al_cli_ingest_unchanged(r, ids, n_ids, err));
    return r->n_items ? al_client_ingest_add(r->stream, r->items, r->n_items, err) : AL_OK;
}

enum al_code al_cli_ingest_flush(struct al_cli_ingest_run *r, struct al_err *err)
{
    enum al_code code = AL_OK;
    if (r->n_items) {
        struct al_arena a;
        al_arena_init(&a, NULL, REPLY_BYTES_MAX);
        code = send_batch(r, &a, err);
        al_arena_fini(&a);
    }
    al_cli_progress_add(&r->totals->progress, 0, r->source_bytes);
    r->source_bytes = 0;
    r->n_items = 0;
    r->n_bytes = 0;
    al_arena_reset(&r->arena);
    return code;
}

enum al_code al_cli_ingest_put_failed(struct al_cli_ingest_run *r, const char *id, uint64_t line,
                                      const struct al_err *why, struct al_err *err)
{
    al_cli_ingest_error(r->totals, id, line, why->reason ? why->reason : al_code_name(why->code),
                        why->msg);
    if (!r->options->delete_missing)
        return AL_OK;
    if (!id || !id[0] || strlen(id) > 512 || !al_str_is_utf8(al_str_c(id))) {
        r->is_incomplete = true;
        return AL_OK;
    }
    char *ids[1] = {(char *)(uintptr_t)id};
    return al_client_ingest_present(r->stream, ids, 1, err);
}

enum al_code al_cli_ingest_end(struct al_cli_ingest_run *r, struct al_err *err)
{
    AL_TRY(al_cli_ingest_flush(r, err));
    struct al_client_ingest_summary *s = al_mem_zalloc(NULL, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    enum al_code code = al_client_ingest_finish(r->stream, !r->is_incomplete, s, err);
    if (code == AL_OK) {
        pthread_mutex_lock(&r->totals->mu);
        r->totals->deleted += s->deleted;
        if (s->token[0])
            memcpy(r->totals->token, s->token, sizeof s->token);
        pthread_mutex_unlock(&r->totals->mu);
        if (r->is_incomplete && r->options->delete_missing)
            al_cli_note(r->cli, "nothing deleted as missing: not all of the source could be read");
    }
    al_mem_free(NULL, s);
    return code;
}

void al_cli_ingest_fini(struct al_cli_ingest_run *r)
{
    al_client_ingest_close(r->stream);
    r->stream = NULL;
    al_arena_fini(&r->arena);
}
