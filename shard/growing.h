/* growing.h - the growing segment: documents in order of arrival, in memory.
 *
 * Adding has two steps, so that the long one (analysis) needs no lock: prepare reads the document,
 * commit puts it in.
 *
 * Thread: prepare confined to one thread, touches no segment; the rest guarded by the set's lock.
 */
#ifndef AIRLORE_SHARD_GROWING_H
#define AIRLORE_SHARD_GROWING_H

#include "segment.h"

struct al_growing {
    struct al_segment seg; /* first */
    atomic_uint refs;
    /* private state */
    size_t cap_docs;
    size_t cap_rows;
    size_t cap_vecs;
    size_t cap_vec_rows;
    size_t cap_blob;
    size_t n_blob;
    struct al_seg_doc *docs;
    struct al_seg_row *rows;
    float *vectors;
    uint32_t *vec_rows;
    char *blob;
    struct al_growing_term *terms;
    size_t n_terms;
    size_t cap_terms;
    char *term_bytes;
    size_t n_term_bytes;
    size_t cap_term_bytes;
    uint32_t *term_slots; /* term + 1, by hash; size a power of two */
    size_t n_term_slots;
    uint32_t *doc_slots; /* document + 1, by docno */
    size_t n_doc_slots;
    uint64_t n_posting_bytes;
};

/* A term of the vocabulary. */
struct al_growing_term {
    uint64_t hash;
    size_t at; /* in term_bytes */
    uint32_t n_bytes;
    struct al_postings postings;
};

/* Empty. *ret owned: one reference. */
AL_NODISCARD enum al_code al_growing_create(uint32_t dim, struct al_mem *mem,
                                            struct al_growing **ret, struct al_err *err);

/* Drop a reference; NULL is fine. */
void al_growing_unref(struct al_growing *g);

/* A document ready to be put in. */
struct al_prepared;

/* Analyse d's chunks and copy what is needed. embedder_id: of the set. *ret owned:
 * al_prepared_destroy. */
AL_NODISCARD enum al_code al_prepare(const struct al_doc *d, uint32_t dim,
                                     struct al_str embedder_id, struct al_mem *mem,
                                     struct al_prepared **ret, struct al_err *err);

/* Accepts NULL. */
void al_prepared_destroy(struct al_prepared *p);

/* Put it in; all or nothing. A docno that is there already: nothing happens. AL_RESOURCE_EXHAUSTED.
 */
AL_NODISCARD enum al_code al_growing_commit(struct al_growing *g, const struct al_prepared *p,
                                            struct al_err *err);

/* The document's number in the segment, or AL_ROW_NONE. */
uint32_t al_growing_find_doc(const struct al_growing *g, uint64_t docno);

/* A copy of the live documents whose log index lies outside (first, last]. */
AL_NODISCARD enum al_code al_growing_copy_outside(const struct al_growing *g, uint64_t first,
                                                  uint64_t last, struct al_growing **ret,
                                                  struct al_err *err);

/* Whether any document's log index lies in (first, last]. */
bool al_growing_has_range(const struct al_growing *g, uint64_t first, uint64_t last);

/* Give the vectors back: they are written already. Only a segment in no set. */
void al_growing_drop_vectors(struct al_growing *g);

/* Bytes held. */
uint64_t al_growing_memory_bytes(const struct al_growing *g);

AL_DEFINE_AUTO(al_prepared);

#endif
