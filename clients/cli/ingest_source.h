/* ingest_source.h - everything of a source into an ingest stream: asks which entries the server
 * has, reads the others, counts.
 *
 * Thread: confined to the main thread.
 */
#ifndef AIRLORE_CLI_INGEST_SOURCE_H
#define AIRLORE_CLI_INGEST_SOURCE_H

#include "airlore/source.h"
#include "ingest_run.h"

/* Put all of s into the run, ids with prefix. What is wrong with an entry is counted; an error is
 * the source's or the stream's, and nothing may then be deleted as missing. */
AL_NODISCARD enum al_code al_cli_source_send(struct al_source *s, const char *prefix,
                                             struct al_cli_ingest_run *r, struct al_err *err);

/* An id that the server takes: 1 to 512 bytes of UTF-8 without control characters. */
AL_NODISCARD enum al_code al_cli_check_id(const char *id, struct al_err *err);

/* Put one entry with content into the run; what is wrong with it alone is counted. A PDF becomes
 * one item a page. */
AL_NODISCARD enum al_code al_cli_source_put(struct al_cli_ingest_run *r, const char *prefix,
                                            struct al_source_entry *e, struct al_err *err);

#endif
