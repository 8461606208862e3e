/* airlore/shard.h - one shard: a log, a store, text and vector segments, and searching them.
 *
 * Writes are entries of the log, applied in order to the store and to the segments in memory; an
 * acknowledged write is synced on disk (group commit: many writers share one sync). Rows of a shard
 * are documents (with chunks and vectors) and plain rows of named tables. What is read is always
 * applied data.
 *
 * A search has phases so that a coordinator can merge many shards without the result depending on
 * how documents are spread: statistics of the terms, candidates of each leg, missing scores of
 * candidates, documents of the winners.
 *
 * Thread:    any thread (internally locked) unless said otherwise. Calls block on disk: not from a
 * poller. Lifecycle: open -> ... -> close (refuses new work, idempotent) -> destroy (waits for
 * background work). Errors:    AL_UNAVAILABLE after close; AL_DATA_LOSS, reason STORE_READ_ONLY,
 * for writes on a damaged store (reads of what is readable go on); AL_RESOURCE_EXHAUSTED, reason
 * DISK_FULL, below the free space watermark (reads go on); AL_UNKNOWN, reason OUTCOME_UNKNOWN, when
 * a write may or may not be there (retry with the same write id).
 */
#ifndef AIRLORE_SHARD_H
#define AIRLORE_SHARD_H

#include "airlore/clock.h"
#include "airlore/disk.h"
#include "airlore/doc.h"
#include "airlore/filter.h"
#include "airlore/log.h"
#include "airlore/metrics.h"

struct al_shard;
struct al_store_factory;
struct al_index_factory;

struct al_shard_id {
    uint32_t v;
};

struct al_shard_options {
    struct al_shard_id id;
    const char *dir; /* created if absent; borrowed */
    uint32_t dim;    /* of vectors; must equal the stored one: else AL_FAILED_PRECONDITION, reason
                        EMBEDDER_MISMATCH */
    const char *embedder_id; /* of new vectors; documents of another embedder are left out of the
                                vector leg until re-embedded */
    uint16_t slot_first;     /* the slots that live here, inclusive */
    uint16_t slot_last;
    uint32_t seal_rows;       /* the growing segment is sealed at this many chunks; 0: 10,000 */
    uint32_t merge_factor;    /* so many sealed segments of like size become one; 0: 8 */
    uint32_t scan_rows_max;   /* sealed segments up to this many vectors get no graph: they are
                                 scanned exactly; 0: 2,000 */
    uint32_t index_threads;   /* to build a graph with; 0: 1 */
    uint64_t huge_copy_bytes; /* of graphs copied to memory with large pages; 0: none */
    uint64_t min_free_bytes;  /* writes are refused below; 0: 256 MiB */
    uint64_t write_id_ttl_ms; /* 0: 24 h */
    bool must_exist; /* it was opened before: a missing store is a loss, not a first start */
    bool background; /* seal and merge by own threads; false: only al_shard_compact does (tests) */
    const struct al_store_factory *store; /* NULL: RocksDB */
    const struct al_index_factory *index; /* NULL: al_index_hnsw */
    struct al_mem *mem;                   /* all ports borrowed; NULL: the system's */
    struct al_disk *disk;
    struct al_clock *clock;
    struct al_log *log;
    struct al_metrics *metrics;
};

/* Open or create. Recovers: loads segments, applies the rest of the log. A damaged segment is
 * rebuilt from the store. AL_DATA_LOSS, reason DATA_CORRUPT, when the shard was opened before (its
 * folder says so, or must_exist) and its store is gone. *ret owned: al_shard_destroy. */
AL_NODISCARD enum al_code al_shard_open(const struct al_shard_options *opt, struct al_shard **ret,
                                        struct al_err *err);

/* Refuse new work; what is under way ends with its answer. */
void al_shard_close(struct al_shard *s);

/* close, wait, free; accepts NULL. */
void al_shard_destroy(struct al_shard *s);

/* ---- writing ---- */

enum al_op_kind {
    AL_OP_PUT_DOC = 1,
    AL_OP_DELETE_DOC = 2,
    AL_OP_PUT_ROW = 3,
    AL_OP_DELETE_ROW = 4,
};

/* What must hold when the entry is applied; else the op has no effect and its outcome says so. */
enum al_op_condition {
    AL_IF_ANY = 0,
    AL_IF_ABSENT = 1,  /* no such row or document */
    AL_IF_VERSION = 2, /* its version (log index of its last change) equals `version` */
};

/* One change. Tables: small numbers given by the user of the shard (1 to 255); keys 1 to 512 bytes;
 * values up to 16 MiB. */
struct al_op {
    enum al_op_kind kind;
    enum al_op_condition condition;
    uint64_t version;
    uint32_t space;           /* for rows and deletes; documents carry theirs */
    uint8_t table;            /* rows */
    struct al_str id;         /* document id or row key */
    struct al_str value;      /* rows */
    const struct al_doc *doc; /* AL_OP_PUT_DOC; borrowed until return */
};

enum al_outcome {
    AL_OUTCOME_INSERTED = 1,
    AL_OUTCOME_UPDATED = 2,
    AL_OUTCOME_SKIPPED = 3, /* same content hash */
    AL_OUTCOME_DELETED = 4,
    AL_OUTCOME_ABSENT = 5,    /* nothing to delete */
    AL_OUTCOME_CONDITION = 6, /* condition did not hold */
};

struct al_write_result {
    uint64_t index;            /* log index: read-your-writes token of this shard */
    enum al_outcome *outcomes; /* n_ops, in the arena */
    bool repeated;             /* the write id was seen before; the first answer is given again */
};

/* Write ops as one entry: all or nothing, applied when it returns AL_OK. write_id: 16 bytes that
 * name this write, all zero for none; a repeat within the time to live has no second effect
 * (AL_ALREADY_EXISTS, reason ID_REUSED, if it has another number of ops). A document whose slot is
 * not of this shard is AL_ABORTED, reason EPOCH_STALE. 1 to 1,024 ops, 64 MiB encoded. deadline: of
 * the monotonic clock. A deadline that passes after the entry was handed to the log answers
 * AL_UNKNOWN, reason OUTCOME_UNKNOWN. */
AL_NODISCARD enum al_code al_shard_write(struct al_shard *s, const struct al_op *ops, size_t n_ops,
                                         const uint8_t write_id[16], uint64_t deadline_ns,
                                         struct al_arena *a, struct al_write_result *ret,
                                         struct al_err *err);

/* Wait until index is applied. AL_DEADLINE_EXCEEDED. */
AL_NODISCARD enum al_code al_shard_wait(struct al_shard *s, uint64_t index, uint64_t deadline_ns,
                                        struct al_err *err);

/* ---- reading ---- */

/* A document; *ret in the arena, vectors only when asked. AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_shard_get_doc(struct al_shard *s, uint32_t space, struct al_str id,
                                           bool with_vectors, struct al_arena *a,
                                           struct al_doc *ret, struct al_err *err);

/* Content hash of a document, without reading its body. AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_shard_get_hash(struct al_shard *s, uint32_t space, struct al_str id,
                                            uint8_t ret_hash[32], struct al_err *err);

/* Bytes that a document takes in the store, its vectors not counted. AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_shard_get_bytes(struct al_shard *s, uint32_t space, struct al_str id,
                                             uint64_t *ret, struct al_err *err);

/* What spaces hold: live documents, their chunks, and bytes as of al_shard_get_bytes. The counters
 * are written in the same batch as what they count, so they are exact as of the last applied entry
 * and survive a crash; al_shard_verify counts again. Reads one row a space. */
struct al_space_use {
    uint64_t docs;
    uint64_t chunks;
    uint64_t bytes;
};
/* The sum over the spaces. */
AL_NODISCARD enum al_code al_shard_get_use(struct al_shard *s, const uint32_t *spaces,
                                           size_t n_spaces, struct al_space_use *ret,
                                           struct al_err *err);

/* Documents of the spaces that match, in key order, attributes only. after: key where the last page
 * ended ("" first); *ret_after "" when there are no more. At most limit (1 to 1,000) a page; a page
 * may be short or empty before the end (bounded work: 10,000 documents looked at). */
struct al_doc_page {
    struct al_doc *docs;
    size_t n_docs;
    struct al_str after;
};
struct al_list_query {
    const uint32_t *spaces; /* ascending, unique */
    size_t n_spaces;
    const struct al_filter *filter;
    struct al_str source; /* only this source; "" for all */
    struct al_str after;
    uint32_t limit;
};
/* One page of q. AL_INVALID_ARGUMENT for a limit out of its range. */
AL_NODISCARD enum al_code al_shard_list_docs(struct al_shard *s, const struct al_list_query *q,
                                             struct al_arena *a, struct al_doc_page *ret,
                                             struct al_err *err);

/* A row's value and version (log index of its last change). AL_NOT_FOUND. */
AL_NODISCARD enum al_code al_shard_get_row(struct al_shard *s, uint8_t table, uint32_t space,
                                           struct al_str key, struct al_arena *a,
                                           struct al_str *ret, uint64_t *ret_version,
                                           struct al_err *err);

struct al_row {
    uint32_t space;
    struct al_str key;
    struct al_str value;
    uint64_t version;
};
/* Rows of a table in a space with a key prefix, by key, after `after` (exclusive, "" first), at
 * most limit. In the arena. */
AL_NODISCARD enum al_code al_shard_scan_rows(struct al_shard *s, uint8_t table, uint32_t space,
                                             struct al_str prefix, struct al_str after,
                                             uint32_t limit, struct al_arena *a,
                                             struct al_row **ret, size_t *ret_n,
                                             struct al_err *err);

/* ---- searching ---- */

/* Statistics over the live chunks of the spaces. */
struct al_term_stats {
    uint64_t n_chunks;
    uint64_t n_terms;       /* sum of chunk lengths in terms */
    uint64_t *df;           /* chunks that hold the term; one for each term asked */
    uint64_t applied_index; /* what is counted here covers at least the log up to it */
};
/* Spaces ascending and unique. *ret in the arena. */
AL_NODISCARD enum al_code al_shard_stats(struct al_shard *s, const uint32_t *spaces,
                                         size_t n_spaces, const struct al_str *terms,
                                         size_t n_terms, struct al_arena *a,
                                         struct al_term_stats *ret, struct al_err *err);

/* One candidate chunk. Scores: inner product of unit vectors in [-1, 1]; BM25 >= 0. Order
 * everywhere: score descending, then id bytes, space, chunk ascending: independent of shards and
 * segments. */
struct al_candidate {
    uint64_t docno;
    uint32_t chunk;
    uint32_t space;
    struct al_str id; /* in the arena */
    float vector_score;
    float text_score;
    bool has_vector; /* vector_score is known (a chunk without a vector has a known 0) */
    bool has_text;
};

struct al_leg_query {
    const uint32_t *spaces; /* ascending, unique */
    size_t n_spaces;
    const struct al_filter *filter;
    const float *vector;        /* NULL: no vector leg */
    const struct al_str *terms; /* distinct; n_terms 0: no text leg */
    const float *term_weights;  /* idf times count in the query */
    size_t n_terms;
    float avg_terms; /* mean chunk length over all shards */
    float k1;        /* BM25; 0.9 */
    float b;         /* 0.4 */
    uint32_t depth;  /* candidates of each leg, 1 to 10,000 */
    uint32_t ef;     /* HNSW beam; 0: default */
    bool exact;      /* scan all vectors */
    uint64_t deadline_ns;
};

/* The best chunks of each leg: always `depth` of them when so many match. Scores that the other leg
 * did not give are missing. The text leg gives chunks with at least one term. AL_DEADLINE_EXCEEDED
 * is checked between segments. */
struct al_candidates {
    struct al_candidate *vector; /* best first */
    size_t n_vector;
    struct al_candidate *text;
    size_t n_text;
};
/* Candidates of both legs of q. */
AL_NODISCARD enum al_code al_shard_legs(struct al_shard *s, const struct al_leg_query *q,
                                        struct al_arena *a, struct al_candidates *ret,
                                        struct al_err *err);

/* Fill both scores of the given candidates (docno and chunk say which; a chunk that is gone keeps
 * has_* false). */
AL_NODISCARD enum al_code al_shard_score(struct al_shard *s, const struct al_leg_query *q,
                                         struct al_candidate *const *cands, size_t n,
                                         struct al_err *err);

/* For explain: per term of q the count in the chunk and its part of the BM25 score; arrays of
 * n_terms in the arena. AL_NOT_FOUND when the chunk is gone. */
struct al_term_part {
    uint32_t tf;
    float score;
};
/* Parts of the text score of one chunk; *ret n_terms of q, in the arena. */
AL_NODISCARD enum al_code al_shard_explain(struct al_shard *s, const struct al_leg_query *q,
                                           uint64_t docno, uint32_t chunk, struct al_arena *a,
                                           struct al_term_part **ret, struct al_err *err);

/* ---- upkeep ---- */

struct al_shard_status {
    uint64_t n_docs;
    uint64_t n_chunks;     /* live */
    uint64_t n_tombstones; /* dead rows still in segments */
    uint64_t applied_index;
    uint64_t commit_index;
    uint64_t epoch;
    uint32_t n_segments; /* sealed */
    uint64_t growing_rows;
    uint64_t store_bytes;
    uint64_t segment_bytes;
    uint64_t memory_bytes; /* held by segments in memory */
    uint64_t stale_docs;   /* vectors of another embedder */
    bool read_only;
    char why[200]; /* of read_only */
};
/* A snapshot; never fails, never waits for long. */
void al_shard_get_status(struct al_shard *s, struct al_shard_status *ret);

/* A segment, for people. */
struct al_segment_status {
    uint64_t id;    /* index of the last log entry it covers; 0 for the growing one */
    uint64_t first; /* it covers what comes after this index */
    bool is_sealed;
    bool has_community;
    uint64_t rows; /* dead ones included */
    uint64_t dead_rows;
    uint64_t disk_bytes;
    struct al_str embedder_id;
    uint32_t analyzer_version;
};
/* The segments as they are now, the growing one last; in the arena. */
AL_NODISCARD enum al_code al_shard_list_segments(struct al_shard *s, struct al_arena *a,
                                                 struct al_segment_status **ret, size_t *ret_n,
                                                 struct al_err *err);

/* Seal the growing segment and merge what pays; waits. full: everything into one segment,
 * tombstones gone. Progress 0..1 through the callback (may be NULL; called without locks; returns
 * false to cancel: AL_CANCELLED). */
AL_NODISCARD enum al_code al_shard_compact(struct al_shard *s, bool full,
                                           bool (*progress)(void *u, double done), void *u,
                                           struct al_err *err);

/* Check that log, store, vectors, postings and counters agree, online. Problems as lines in the
 * arena (at most 100). AL_OK also when problems were found: n_problems says. */
struct al_verify_report {
    uint64_t docs_checked;
    uint64_t chunks_checked;
    uint64_t log_checked;
    uint64_t segments_checked;
    struct al_str *problems;
    size_t n_problems;
};
/* Runs while the shard serves. progress as in al_shard_compact. */
AL_NODISCARD enum al_code al_shard_verify(struct al_shard *s, struct al_arena *a,
                                          bool (*progress)(void *u, double done), void *u,
                                          struct al_verify_report *ret, struct al_err *err);

/* Read every byte anew: all rows of the store, whose blocks carry checksums (those that its cache
 * of 16 MiB holds come from there), and every section of every segment file, through the disk port
 * and not from the mapping. Problems as of al_shard_verify. */
AL_NODISCARD enum al_code al_shard_scrub(struct al_shard *s, struct al_arena *a,
                                         bool (*progress)(void *u, double done), void *u,
                                         struct al_verify_report *ret, struct al_err *err);

/* Build sealed segments anew from the store while searches go on with the old ones; the growing one
 * is sealed first when all are asked for. all: every one; else those whose file is damaged.
 * *ret_rebuilt: how many. AL_DATA_LOSS when the store lacks what they need: nothing is lost by
 * trying. */
AL_NODISCARD enum al_code al_shard_rebuild(struct al_shard *s, bool all,
                                           bool (*progress)(void *u, double done), void *u,
                                           uint64_t *ret_rebuilt, struct al_err *err);

AL_DEFINE_AUTO(al_shard);

#endif
