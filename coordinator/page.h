/* page.h - listing documents over all shards, page by page.
 *
 * A page token is opaque to clients: shard number and the key after which to go on, in hexadecimal.
 * A list goes through the shards one after the other; a document that is written meanwhile may or
 * may not be seen, none is seen twice.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_PAGE_H
#define AIRLORE_COORDINATOR_PAGE_H

#include "airlore/coordinator.h"

struct al_page_cursor {
    size_t shard; /* n_shards: the end */
    struct al_str after;
    bool at_end;
    uint64_t request; /* what the pages are of: al_page_request */
    size_t from;      /* shard that the last page came from */
};

/* What a list is of: a hash of the method, the fields that say which rows, and the caller. */
uint64_t al_page_request(const char *const *fields, size_t n);

/* From a token; "" is the beginning. AL_INVALID_ARGUMENT, reason BAD_PAGE_TOKEN: also for a token
 * of another request, or one that is older than 24 hours. */
AL_NODISCARD enum al_code al_page_parse(struct al_coordinator *c, struct al_str token,
                                        uint64_t request, struct al_arena *a,
                                        struct al_page_cursor *ret, struct al_err *err);

/* As a sealed token, good until the process ends; "" at the end. */
AL_NODISCARD enum al_code al_page_format(struct al_coordinator *c, const struct al_page_cursor *p,
                                         struct al_arena *a, char **ret, struct al_err *err);

/* Entries of a page: 0 means the default, more than the most is lowered to it. AL_INVALID_ARGUMENT,
 * reason OUT_OF_RANGE: negative. */
AL_NODISCARD enum al_code al_page_size(int32_t wanted, uint32_t standard, uint32_t most,
                                       uint32_t *ret, struct al_err *err);

/* The next page: q's after is set here; cursor moves on. A page may be short, and is empty only at
 * the end or after much was looked at in vain. */
AL_NODISCARD enum al_code al_list_docs(struct al_coordinator *c, struct al_list_query *q,
                                       struct al_page_cursor *cursor, struct al_arena *a,
                                       struct al_doc_page *ret, struct al_err *err);

#endif
