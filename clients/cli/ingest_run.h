/* ingest_run.h - one ingest stream with its batches: asks which items are known, sends the rest,
 * counts the answers.
 *
 * Thread:    put, put_failed, end: the main thread; answers come on the stream's thread.
 * Lifecycle: begin -> (put | put_failed)* -> end -> fini.
 */
#ifndef AIRLORE_CLI_INGEST_RUN_H
#define AIRLORE_CLI_INGEST_RUN_H

#include <pthread.h>

#include "cli.h"
#include "progress.h"

#define AL_INGEST_BATCH_ITEMS 1000u
#define AL_INGEST_BATCH_BYTES ((size_t)4 << 20)
#define AL_INGEST_ERRORS_MAX 1000u

/* Largest item as a message: what servers take in one message, less room for the message around it.
 * A larger one would end the stream. */
#define AL_INGEST_ITEM_BYTES (((size_t)16 << 20) - 1024)

/* What a whole command has done, over all its streams. */
struct al_cli_ingest_totals {
    pthread_mutex_t mu;
    uint64_t inserted; /* guarded by mu, like the rest */
    uint64_t updated;
    uint64_t skipped;
    uint64_t empty; /* files without any text: no failure, since every folder has some */
    uint64_t failed;
    uint64_t deleted;
    uint64_t chunks;
    uint64_t redactions;
    json_t *errors; /* array of {"id"|"line","reason","message"}, the first AL_INGEST_ERRORS_MAX */
    uint64_t errors_left_out;
    char token[4096];
    struct al_cli_progress progress;
};

struct al_cli_ingest_run {
    struct al_cli *cli;
    struct al_cli_ingest_totals *totals;
    const Airlore__V1__IngestOptions *options;
    struct al_client_ingest *stream;
    struct al_arena arena; /* items of the batch: the caller builds them here */
    Airlore__V1__IngestItem *items[AL_INGEST_BATCH_ITEMS];
    size_t n_items;
    size_t n_bytes;        /* of content in the batch */
    uint64_t source_bytes; /* read for the batch, for the progress line */
    bool lines;            /* sequences are line numbers */
    bool is_checked;       /* what is put now was asked about already */
    bool
        is_incomplete; /* part of the source could not be read: nothing may be deleted as missing */
};

/* Open the stream. options borrowed until fini. */
AL_NODISCARD enum al_code al_cli_ingest_begin(struct al_cli_ingest_run *r, struct al_cli *cli,
                                              struct al_cli_ingest_totals *totals,
                                              const Airlore__V1__IngestOptions *options,
                                              struct al_err *err);

/* Add an item that lies in r->arena, with id, content_checksum and sequence set; n_bytes of
 * content. Sends when the batch is full, which empties the arena. */
AL_NODISCARD enum al_code al_cli_ingest_put(struct al_cli_ingest_run *r,
                                            Airlore__V1__IngestItem *item, size_t n_bytes,
                                            struct al_err *err);

/* Send the batch. */
AL_NODISCARD enum al_code al_cli_ingest_flush(struct al_cli_ingest_run *r, struct al_err *err);

/* The checksum of a content as it is stored: another chunker makes another one, so that what was
 * cut differently counts as changed. In a, or checksum itself; NULL: out of memory. */
char *al_cli_ingest_checksum(const struct al_cli_ingest_run *r, struct al_arena *a,
                             const char *checksum);

/* Ids with their checksums. */
struct al_cli_sums {
    char **ids;
    char **sums;
    size_t n;
};

/* Ask the server about ids; *ret in a: one state each, NULL: everything is new. */
AL_NODISCARD enum al_code al_cli_ingest_check(struct al_cli_ingest_run *r,
                                              const struct al_cli_sums *sums, struct al_arena *a,
                                              const Airlore__V1__SourceState **ret,
                                              struct al_err *err);

/* Count n items that the server has as they are; nothing of them is sent. */
AL_NODISCARD enum al_code al_cli_ingest_unchanged(struct al_cli_ingest_run *r, char **ids, size_t n,
                                                  struct al_err *err);

/* Count something that failed before it was sent. id NULL or line 0: not known. is_there: the
 * source still has it, under this id, so that it is not deleted as missing. */
AL_NODISCARD enum al_code al_cli_ingest_put_failed(struct al_cli_ingest_run *r, const char *id,
                                                   uint64_t line, const struct al_err *why,
                                                   struct al_err *err);

/* Add to the errors of a command; thread-safe. */
void al_cli_ingest_error(struct al_cli_ingest_totals *t, const char *id, uint64_t line,
                         const char *reason, const char *message);

/* Send what is left and wait for all answers. */
AL_NODISCARD enum al_code al_cli_ingest_end(struct al_cli_ingest_run *r, struct al_err *err);

/* Free; ends the stream if need be. Accepts zeroed memory. */
void al_cli_ingest_fini(struct al_cli_ingest_run *r);

#endif
