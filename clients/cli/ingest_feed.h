/* ingest_feed.h - what is stored, from where: folders, single files, JSON
 * lines, and the sources of clients/sources. Thread: confined
 * to the main thread. */
#ifndef AIRLORE_CLI_INGEST_FEED_H
#define AIRLORE_CLI_INGEST_FEED_H

#include "airlore/source.h"
#include "ingest_run.h"
#include "walk.h"

enum al_cli_feed_kind { AL_FEED_FOLDER, AL_FEED_FILE, AL_FEED_LINES, AL_FEED_SOURCE };

/* How to open; zero and NULL: the default. */
struct al_cli_feed_options {
    bool with_prefix;   /* there are several: ids begin with a name of each */
    bool is_list;       /* the path is a list of URLs */
    bool show_progress; /* of fetches, on standard error */
    const char *endpoint;
    const char *region;
    double requests_per_second;
    bool allow_private;
    const char *const *tags; /* of dumps: questions with any of them */
    size_t n_tags;
};

struct al_cli_feed {
    enum al_cli_feed_kind kind;
    const char *path; /* as given */
    bool is_list;
    char prefix[260];         /* of ids, "" or "NAME/" */
    char source[400];         /* name of where the items come from; "" for standard input */
    struct al_cli_walk walk;  /* folders: filled by al_cli_feed_look */
    struct al_source *opened; /* AL_FEED_SOURCE; owned */
    uint64_t n_items;         /* known after look; 0: not known */
    uint64_t size_bytes;
};

/* See what path is. Addresses are opened, which may take a fetch. AL_INVALID_ARGUMENT (no
 * such kind), AL_NOT_FOUND and so on (it cannot be read), and those of the source. */
AL_NODISCARD enum al_code al_cli_feed_open(const char *path, const struct al_cli_feed_options *opt,
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
