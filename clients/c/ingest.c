/* The ingest stream: the caller writes, a thread of ours reads the answers. */
#include <pthread.h>
#include <string.h>

#include "client_int.h"

#define BATCH_ITEMS_MAX 256u
#define BATCH_BYTES_MAX (1u << 20)
#define PRESENT_IDS_MAX 1000u
#define ITEM_BYTES_MAX (16u << 20)

struct al_client_ingest {
    struct al_mem *mem;
    struct al_rpc_stream *stream;
    void (*on_result)(void *u, const Airlore__V1__IngestResult *result);
    void *u;
    uint64_t item_bytes_max;
    pthread_t reader;
    bool has_reader;
    bool is_over; /* the reader has been joined; the next three are set by it */
    bool has_summary;
    enum al_code code;
    struct al_err err;
    struct al_client_ingest_summary summary;
};

static void take_summary(struct al_client_ingest *s, const Airlore__V1__IngestSummary *m)
{
    struct al_client_ingest_summary *to = &s->summary;
    *to = (struct al_client_ingest_summary){.inserted = m->inserted,
                                            .updated = m->updated,
                                            .skipped = m->skipped,
                                            .failed = m->failed,
                                            .deleted = m->deleted,
                                            .chunks = m->chunks,
                                            .bytes = m->bytes,
                                            .took_us = m->took_us};
    size_t n = strlen(m->token);
    if (n < sizeof to->token)
        memcpy(to->token, m->token, n + 1);
    s->has_summary = true;
}

static void take_message(struct al_client_ingest *s, const Airlore__V1__IngestResponse *m)
{
    if (m->message_case == AIRLORE__V1__INGEST_RESPONSE__MESSAGE_RESULT && s->on_result)
        s->on_result(s->u, m->result);
    if (m->message_case == AIRLORE__V1__INGEST_RESPONSE__MESSAGE_RESULTS && s->on_result) {
        for (size_t i = 0; i < m->results->n_results; i++)
            s->on_result(s->u, m->results->results[i]);
    }
    if (m->message_case == AIRLORE__V1__INGEST_RESPONSE__MESSAGE_SUMMARY)
        take_summary(s, m->summary);
}

static void *reader_main(void *u)
{
    struct al_client_ingest *s = u;
    for (;;) {
        ProtobufCMessage *m = NULL;
        s->code = al_rpc_stream_read(s->stream, &m, &s->err);
        if (s->code != AL_OK || !m)
            return NULL;
        take_message(s, (const void *)m);
    }
}

static void join_reader(struct al_client_ingest *s)
{
    if (s->has_reader && !s->is_over) {
        pthread_join(s->reader, NULL);
        s->is_over = true;
    }
}

static enum al_code give_status(const struct al_client_ingest *s, struct al_err *err)
{
    if (s->code != AL_OK && err)
        *err = s->err;
    return s->code;
}

static enum al_code send_message(struct al_client_ingest *s, const Airlore__V1__IngestRequest *m,
                                 struct al_err *err)
{
    if (s->is_over)
        return s->code == AL_OK ? AL_FAIL(err, AL_FAILED_PRECONDITION, "ingest: stream is over")
                                : give_status(s, err);
    struct al_err e = {0};
    enum al_code code = al_rpc_stream_write(s->stream, &m->base, &e);
    if (code == AL_OK)
        return AL_OK;
    al_rpc_stream_cancel(s->stream); /* nothing, when the call is over: the reader got its status */
    join_reader(s);
    if (s->code == AL_OK || s->code == AL_CANCELLED) {
        s->code = code;
        s->err = e;
    }
    return give_status(s, err);
}

static enum al_code agree(struct al_client_ingest *s, const Airlore__V1__IngestOptions *options,
                          struct al_err *err)
{
    Airlore__V1__IngestOptions none = AIRLORE__V1__INGEST_OPTIONS__INIT;
    Airlore__V1__IngestRequest m = AIRLORE__V1__INGEST_REQUEST__INIT;
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_OPTIONS;
    m.options = options ? (Airlore__V1__IngestOptions *)(uintptr_t)options : &none;
    struct al_err ignored;
    if (al_rpc_stream_write(s->stream, &m.base, &ignored) != AL_OK)
        AL_TRY(al_rpc_stream_finish(s->stream, err));
    ProtobufCMessage *got = NULL;
    AL_TRY(al_rpc_stream_read(s->stream, &got, err));
    const Airlore__V1__IngestResponse *r = (const void *)got;
    if (!r || r->message_case != AIRLORE__V1__INGEST_RESPONSE__MESSAGE_STARTED)
        return AL_FAIL_R(err, AL_INTERNAL, "STREAM_ORDER",
                         "ingest: the server did not answer the options first");
    s->item_bytes_max = ITEM_BYTES_MAX;
    if (r->started->max_item_bytes && r->started->max_item_bytes < ITEM_BYTES_MAX)
        s->item_bytes_max = r->started->max_item_bytes;
    return AL_OK;
}

enum al_code al_client_ingest_open(struct al_client *c, const struct al_client_ingest_options *opt,
                                   struct al_client_ingest **ret, struct al_err *err)
{
    struct al_client_ingest *s = al_mem_zalloc(c->mem, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "ingest: out of memory");
    s->mem = c->mem;
    s->on_result = opt->on_result;
    s->u = opt->u;
    struct al_rpc_request r = {.service = &airlore__v1__knowledge_service__descriptor,
                               .method = "Ingest",
                               .timeout_ms = opt->timeout_ms};
    enum al_code code = al_rpc_stream_open(c->channel, &r, &s->stream, err);
    if (code == AL_OK)
        code = agree(s, opt->options, err);
    if (code == AL_OK) {
        int e = pthread_create(&s->reader, NULL, reader_main, s);
        s->has_reader = e == 0;
        if (e)
            code = AL_FAIL_ERRNO(err, e, "ingest: reader thread");
    }
    if (code != AL_OK) {
        al_client_ingest_close(s);
        return code;
    }
    *ret = s;
    return AL_OK;
}

uint64_t al_client_ingest_item_bytes_max(const struct al_client_ingest *s)
{
    return s->item_bytes_max;
}

static enum al_code send_batch(struct al_client_ingest *s, Airlore__V1__IngestItem **items,
                               size_t n, struct al_err *err)
{
    Airlore__V1__IngestItemBatch batch = AIRLORE__V1__INGEST_ITEM_BATCH__INIT;
    batch.n_items = n;
    batch.items = items;
    Airlore__V1__IngestRequest m = AIRLORE__V1__INGEST_REQUEST__INIT;
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_BATCH;
    m.batch = &batch;
    return send_message(s, &m, err);
}

enum al_code al_client_ingest_add(struct al_client_ingest *s, Airlore__V1__IngestItem **items,
                                  size_t n_items, struct al_err *err)
{
    size_t from = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < n_items; i++) {
        size_t n = protobuf_c_message_get_packed_size(&items[i]->base);
        if (i > from && (i - from >= BATCH_ITEMS_MAX || bytes + n > BATCH_BYTES_MAX)) {
            AL_TRY(send_batch(s, items + from, i - from, err));
            from = i;
            bytes = 0;
        }
        bytes += n;
    }
    return from < n_items ? send_batch(s, items + from, n_items - from, err) : AL_OK;
}

enum al_code al_client_ingest_present(struct al_client_ingest *s, char **ids, size_t n_ids,
                                      struct al_err *err)
{
    for (size_t from = 0; from < n_ids; from += PRESENT_IDS_MAX) {
        Airlore__V1__IngestPresent present = AIRLORE__V1__INGEST_PRESENT__INIT;
        present.n_ids = n_ids - from < PRESENT_IDS_MAX ? n_ids - from : PRESENT_IDS_MAX;
        present.ids = ids + from;
        Airlore__V1__IngestRequest m = AIRLORE__V1__INGEST_REQUEST__INIT;
        m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_PRESENT;
        m.present = &present;
        AL_TRY(send_message(s, &m, err));
    }
    return AL_OK;
}

enum al_code al_client_ingest_finish(struct al_client_ingest *s, bool complete,
                                     struct al_client_ingest_summary *ret, struct al_err *err)
{
    Airlore__V1__IngestFinish finish = AIRLORE__V1__INGEST_FINISH__INIT;
    Airlore__V1__IngestRequest m = AIRLORE__V1__INGEST_REQUEST__INIT;
    m.message_case = AIRLORE__V1__INGEST_REQUEST__MESSAGE_FINISH;
    m.finish = &finish;
    if (complete)
        AL_TRY(send_message(s, &m, err));
    struct al_err ignored;
    if (!s->is_over && al_rpc_stream_writes_done(s->stream, &ignored) != AL_OK)
        al_rpc_stream_cancel(s->stream);
    join_reader(s);
    AL_TRY(give_status(s, err));
    if (!s->has_summary)
        return AL_FAIL_R(err, AL_INTERNAL, "STREAM_ORDER", "ingest: the server sent no summary");
    *ret = s->summary;
    return AL_OK;
}

void al_client_ingest_close(struct al_client_ingest *s)
{
    if (!s)
        return;
    if (s->has_reader && !s->is_over)
        al_rpc_stream_cancel(s->stream);
    join_reader(s);
    al_rpc_stream_destroy(s->stream);
    al_mem_free(s->mem, s);
}
