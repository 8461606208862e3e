/* ingest_feed.h - what is stored, from where: folders, single files, JSON lines. Thread: confined
 * to the main thread. */
#ifndef AIRLORE_CLI_INGEST_FEED_H
#define AIRLORE_CLI_INGEST_FEED_H

#include "ingest_run.h"
#include "walk.h"

enum al_cli_feed_kind { AL_FEED_FOLDER, AL_FEED_FILE, AL_FEED_LINES };

struct al_cli_feed {
    enum al_cli_feed_kind kind;
    const char *path;        /* as given */
    char prefix[260];        /* of ids, "" or "NAME/" */
    char source[400];        /* name of where the items come from; "" for standard input */
    struct al_cli_walk walk; /* folders: filled by al_cli_feed_look */
    uint64_t n_items;        /* known after look; 0: not known */
    uint64_t size_bytes;
};

/* See what path is. AL_INVALID_ARGUMENT (no such kind), AL_UNIMPLEMENTED (git: and other
 * addresses), AL_NOT_FOUND and so on (it cannot be read). */
AL_NODISCARD enum al_code al_cli_feed_open(const char *path, bool with_prefix,
                                           struct al_cli_feed *ret, struct al_err *err);

/* Walk the folder, so that the total is known. What cannot be read is added to the errors; *bad
 * says that there was such. */
AL_NODISCARD enum al_code al_cli_feed_look(struct al_cli_feed *f, struct al_cli_ingest_totals *t,
                                           bool *bad, struct al_err *err);

/* Put everything into the run. */
AL_NODISCARD enum al_code al_cli_feed_send(struct al_cli_feed *f, struct al_cli_ingest_run *r,
                                           struct al_err *err);

/* Give memory back. Accepts zeroed memory. */
void al_cli_feed_close(struct al_cli_feed *f);

#endif
