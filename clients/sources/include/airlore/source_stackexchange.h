/* airlore/source_stackexchange.h - threads of questions and answers out of a Stack Exchange dump.
 *
 * Posts.xml, plain or inside a 7z or zip archive, is read once from front to back. Questions that
 * have one of the wanted tags, and their answers, go to a temporary file; then each question
 * becomes one entry: its text, then the accepted answer, then the best others by score. An answer
 * that stands before its question (dumps are in the order of ids) is left out.
 *
 * A question without an answer is marked: tag "unanswered", metadata answered = "false", so that it
 * is never taken for an answer.
 *
 * Thread: confined to one thread. Memory: about 100 bytes a thread, one thread's texts, a temporary
 * file in $TMPDIR as large as what was wanted.
 */
#ifndef AIRLORE_SOURCE_STACKEXCHANGE_H
#define AIRLORE_SOURCE_STACKEXCHANGE_H

#include "airlore/source.h"

#define AL_STACKEXCHANGE_ANSWERS_MAX 5u /* of one thread, the accepted one included */

/* 0 and NULL mean the default. */
struct al_stackexchange_options {
    const char *const *tags; /* any of them; none: all questions */
    size_t n_tags;
    const char *site;         /* default: from the name of the file, else stackoverflow.com */
    uint64_t threads_max;     /* default 2,000,000; past it TOO_MANY */
    uint64_t spill_bytes_max; /* of the temporary file, default 16 GiB; past it TOO_LARGE */
    struct al_mem *mem;       /* borrowed until close; NULL: standard */
};

/* Whether the name is that of a dump: Posts.xml, or an archive SITE-Posts.7z. */
bool al_stackexchange_is_name(const char *path);

/* Open a dump. Ids: SITE/questions/ID, which is their URL behind the scheme. Errors: AL_NOT_FOUND
 * and so on (the file), AL_INVALID_ARGUMENT: BAD_ARCHIVE; from next also BAD_XML, BAD_DUMP (not of
 * posts), TOO_MANY, TOO_LARGE. */
AL_NODISCARD enum al_code al_stackexchange_open(const char *path,
                                                const struct al_stackexchange_options *opt,
                                                struct al_source **ret, struct al_err *err);

#endif
