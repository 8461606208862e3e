/* segset.h - the segments of a shard: one growing, any number of sealed ones, and searching them.
 *
 * The growing segment lives in memory (flat vectors, postings) and takes documents as entries are
 * applied. Sealing writes its live rows to an immutable file and swaps it in; merging makes one of
 * several. Segments hold nothing that the store does not: each can be rebuilt. A segment covers the
 * log range (first, last]; the growing one everything after the last sealed.
 *
 * Rows of a segment are ordered by space, then docno, then chunk, so that a space is a row range.
 * Each sealed file carries format, analyzer and embedder versions, a checksum for each section, and
 * its content hash in the manifest.
 *
 * Thread: add, remove and swap are serialized by the shard's applier; searches come from any thread
 * meanwhile and see a consistent set (snapshot + reader lock); build functions run on a background
 * thread.
 */
#ifndef AIRLORE_SHARD_SEGSET_H
#define AIRLORE_SHARD_SEGSET_H

#include "airlore/shard.h"
#include "store.h"
#include "vector_index.h"

struct al_segset;

struct al_segset_options {
    const char *dir; /* of segment files, "<shard dir>/segments" */
    uint32_t dim;
    const char *embedder_id;
    uint32_t scan_rows_max;
    uint32_t index_threads;               /* to build a graph with; 0: 1 */
    const struct al_index_factory *index; /* of new segments; NULL: al_index_hnsw */
    struct al_mem *mem;
    struct al_disk *disk;
    struct al_clock *clock;
    struct al_log *log;
};

/* Empty set. *ret owned. */
AL_NODISCARD enum al_code al_segset_create(const struct al_segset_options *opt,
                                           struct al_segset **ret, struct al_err *err);

/* Accepts NULL; searches must have ended. */
void al_segset_destroy(struct al_segset *g);

/* Load the sealed segment that `entry` (from al_segset_manifest) names. AL_DATA_LOSS when the file
 * is absent or damaged: the caller rebuilds it (al_segset_build_begin over its range). Tombstones
 * are given afterwards by al_segset_remove. */
AL_NODISCARD enum al_code al_segset_load(struct al_segset *g, struct al_str entry,
                                         struct al_err *err);

/* The manifest: an encoding of all sealed segments, to be stored in the META family; split it with
 * al_segset_manifest_split into the entries for al_segset_load. */
AL_NODISCARD enum al_code al_segset_manifest(struct al_segset *g, struct al_buf *ret,
                                             struct al_err *err);
AL_NODISCARD enum al_code al_segset_manifest_split(struct al_str manifest, struct al_arena *a,
                                                   struct al_str **ret, size_t *ret_n,
                                                   struct al_err *err);
/* The log range an entry covers. */
AL_NODISCARD enum al_code al_segset_entry_range(struct al_str entry, uint64_t *ret_first,
                                                uint64_t *ret_last, struct al_err *err);

/* Put a document (with docno and vectors) into the growing segment: analyses its chunks. vectors of
 * another embedder id than the set's are not searched (counted as stale). */
AL_NODISCARD enum al_code al_segset_add(struct al_segset *g, const struct al_doc *d,
                                        struct al_err *err);

/* The document version is dead: its rows leave all searches and statistics at once. Returns whether
 * a sealed segment holds it or one that is being built may hold it (then the shard keeps it in
 * AL_FAMILY_DEAD until a merge drops it). */
bool al_segset_remove(struct al_segset *g, uint32_t space, uint64_t docno);

/* al_segset_add of d and al_segset_remove of old_docno in one step: no search sees both or neither.
 * *ret_sealed: what al_segset_remove would have returned. On error nothing changed. */
AL_NODISCARD enum al_code al_segset_replace(struct al_segset *g, const struct al_doc *d,
                                            uint64_t old_docno, bool *ret_sealed,
                                            struct al_err *err);

/* Live chunks in the growing segment. */
uint64_t al_segset_growing_rows(const struct al_segset *g);

/* A build reads documents through this: calls visit for each live document whose docno lies in log
 * range (first, last], in docno order, with vectors. Provided by the shard. */
struct al_doc_source {
    enum al_code (*each)(void *u, uint64_t first, uint64_t last,
                         enum al_code (*visit)(void *v, const struct al_doc *d, struct al_err *err),
                         void *v, struct al_err *err);
    void *u;
};

/* Build a sealed segment file that covers (first, last] from the source; runs without locks, may
 * take seconds; cancel is polled (may be NULL). *ret is a built but not yet visible segment:
 * al_segset_swap or al_segset_discard it. */
struct al_built;
AL_NODISCARD enum al_code al_segset_build(struct al_segset *g, const struct al_doc_source *src,
                                          uint64_t first, uint64_t last, bool (*cancel)(void *u),
                                          void *u, struct al_built **ret, struct al_err *err);

/* Make it visible in place of everything that lies within its range (sealed segments, and rows of
 * the growing segment); documents removed since the build began are dead in it too. Moved on AL_OK;
 * on error nothing changed and it is still the caller's. In one batch the caller then stores the
 * new manifest, deletes the AL_FAMILY_DEAD keys of the range and puts again those that
 * al_segset_dead lists for it; replaced files are deleted by al_segset_sweep after that batch is
 * durable. Serialized with add and remove. AL_FAILED_PRECONDITION: a sealed segment lies partly in
 * the range. */
AL_NODISCARD enum al_code al_segset_swap(struct al_segset *g, struct al_built *b,
                                         struct al_err *err);
void al_segset_discard(struct al_built *b); /* accepts NULL; deletes its file */

/* A dead document that a sealed segment still holds. */
struct al_dead_doc {
    uint64_t docno;
    uint32_t space;
};
/* All dead documents of sealed segments whose log index lies in (first, last], by docno; in the
 * arena. */
AL_NODISCARD enum al_code al_segset_dead(struct al_segset *g, uint64_t first, uint64_t last,
                                         struct al_arena *a, struct al_dead_doc **ret,
                                         size_t *ret_n, struct al_err *err);

/* Delete files in the folder that the current set does not use. */
AL_NODISCARD enum al_code al_segset_sweep(struct al_segset *g, struct al_err *err);

/* Which sealed segments to merge next (by like size, merge_factor of them, adjacent ranges); false
 * when none. */
bool al_segset_pick_merge(const struct al_segset *g, uint32_t merge_factor, uint64_t *ret_first,
                          uint64_t *ret_last);

/* As al_shard_list_segments. */
AL_NODISCARD enum al_code al_segset_list(struct al_segset *g, struct al_arena *a,
                                         struct al_segment_status **ret, size_t *ret_n,
                                         struct al_err *err);

/* Phases of a search: as in shard.h. */
AL_NODISCARD enum al_code al_segset_stats(struct al_segset *g, const uint32_t *spaces,
                                          size_t n_spaces, const struct al_str *terms,
                                          size_t n_terms, struct al_arena *a,
                                          struct al_term_stats *ret, struct al_err *err);
AL_NODISCARD enum al_code al_segset_legs(struct al_segset *g, const struct al_leg_query *q,
                                         struct al_arena *a, struct al_candidates *ret,
                                         struct al_err *err);
AL_NODISCARD enum al_code al_segset_score(struct al_segset *g, const struct al_leg_query *q,
                                          struct al_candidate *const *cands, size_t n,
                                          struct al_err *err);
AL_NODISCARD enum al_code al_segset_explain(struct al_segset *g, const struct al_leg_query *q,
                                            uint64_t docno, uint32_t chunk, struct al_arena *a,
                                            struct al_term_part **ret, struct al_err *err);

/* Copy graphs to memory with large pages, max_bytes of them at most, the largest segments first.
 * For the background thread. Returns the bytes held so. */
uint64_t al_segset_copy_graphs(struct al_segset *g, uint64_t max_bytes);

struct al_segset_status {
    uint64_t n_docs;
    uint64_t n_chunks;
    uint64_t n_terms;
    uint64_t n_tombstones;
    uint64_t stale_docs;
    uint32_t n_sealed;
    uint64_t growing_rows;
    uint64_t file_bytes;
    uint64_t memory_bytes;
    uint64_t sealed_last; /* log index that the newest sealed segment covers; 0: none */
};
void al_segset_get_status(struct al_segset *g, struct al_segset_status *ret);

/* For verify: call visit for each live row's document (once per document) with its chunk count; and
 * check a document's chunks against postings and vectors. Problems found are appended as lines to
 * *ret. */
AL_NODISCARD enum al_code al_segset_verify_doc(struct al_segset *g, const struct al_doc *d,
                                               struct al_buf *ret_problems, struct al_err *err);
/* Check sums and structure of all sealed files; problems as lines. */
AL_NODISCARD enum al_code al_segset_verify_files(struct al_segset *g, struct al_buf *ret_problems,
                                                 uint64_t *ret_checked, struct al_err *err);

/* The same for the bytes on the disk, read anew through the port; and whether the segment that ends
 * at this log index is damaged in either way. AL_RESOURCE_EXHAUSTED is no damage: too little
 * memory, too many open files. */
AL_NODISCARD enum al_code al_segset_scrub_files(struct al_segset *g, struct al_buf *ret_problems,
                                                uint64_t *ret_checked, struct al_err *err);
bool al_segset_is_damaged(struct al_segset *g, uint64_t last);

AL_DEFINE_AUTO(al_segset);

#endif
