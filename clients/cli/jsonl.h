/* jsonl.h - JSON lines: a reader that no file can hurt, and lines as items.
 *
 * Thread: confined to one thread. Memory: a line is valid until the next; items lie in the arena
 * given.
 */
#ifndef AIRLORE_CLI_JSONL_H
#define AIRLORE_CLI_JSONL_H

#include <jansson.h>
#include <stdio.h>

#include "airlore/arena.h"
#include "airlore/v1/knowledge.pb-c.h"

#define AL_JSONL_LINE_BYTES_MAX ((size_t)16 << 20)

struct al_cli_jsonl {
    FILE *f;
    char part[65536]; /* read ahead */
    size_t part_n;
    size_t part_at;
    struct al_buf line;
    uint64_t number; /* of the line read last, from 1 */
    uint64_t bytes;  /* read so far */
    bool is_error;   /* reading failed; errno says why */
};

/* Read from f, borrowed until fini. */
void al_cli_jsonl_init(struct al_cli_jsonl *r, FILE *f);

/* Give memory back; closes nothing. */
void al_cli_jsonl_fini(struct al_cli_jsonl *r);

/* The next line that is not blank, without its end. *ret_whole false: it was longer than 16 MiB and
 * is cut. False at the end or on an error. */
bool al_cli_jsonl_next(struct al_cli_jsonl *r, struct al_str *ret, bool *ret_whole);

/* A line as a JSON object; a new reference. AL_INVALID_ARGUMENT with reason BAD_JSON otherwise: not
 * JSON, not an object, nested too deeply, two values. */
AL_NODISCARD enum al_code al_cli_jsonl_object(struct al_str line, json_t **ret, struct al_err *err);

/* A text member: NULL when absent or null. AL_INVALID_ARGUMENT (BAD_FORMAT) when it is no string.
 * Borrowed from o. */
AL_NODISCARD enum al_code al_cli_jsonl_text(const json_t *o, const char *name, const char **ret,
                                            struct al_err *err);

/* A line's object as an item, all of it in arena a. Members: id, text, title, kind, url, tags,
 * metadata, format or media_type, version, vector, embedder_id, create_time, update_time; or, in
 * place of text, a thread: question, answers (texts, or objects with a text) and link.
 * AL_INVALID_ARGUMENT: REQUIRED (id; text or vector), BAD_FORMAT; AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_cli_jsonl_item(const json_t *o, struct al_arena *a,
                                            Airlore__V1__IngestItem **ret, struct al_err *err);

/* Media type of a file name or of a format's name ("md", "text/markdown"), or NULL. */
const char *al_cli_media_type(struct al_str name_or_format);

#endif
