/* prepare.h - what al_prepare makes of a document.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_SHARD_PREPARE_H
#define AIRLORE_SHARD_PREPARE_H

#include "growing.h"
#include "terms.h"

/* A term of one chunk. */
struct al_prepared_term {
    uint64_t hash;
    size_t at; /* in bytes */
    uint32_t n_bytes;
    uint32_t tf;
};

struct al_prepared_row {
    size_t term_first;
    size_t n_terms;  /* distinct */
    uint32_t length; /* terms with repeats */
    bool has_vector;
};

struct al_prepared {
    struct al_mem *mem;
    uint64_t docno;
    uint32_t space;
    uint16_t flags;
    uint16_t id_bytes;
    uint32_t attr_bytes;
    struct al_buf blob;   /* id, attributes */
    const float *vectors; /* borrowed from the document; NULL: none is used */
    uint32_t n_rows;
    uint32_t n_vecs;
    struct al_prepared_row *rows;
    struct al_prepared_term *terms;
    size_t n_terms;
    size_t cap_terms;
    char *bytes;
    size_t n_bytes;
    size_t cap_bytes;
    uint32_t *slots; /* of the chunk in work: term + 1 */
    size_t n_slots;
    bool failed;
};

#endif
