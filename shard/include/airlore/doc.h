/* airlore/doc.h - a document as a shard stores it, its attributes and its encoding.
 *
 * Attributes (all but body, chunks and vectors) are what filters see. The encoding carries a format
 * version in its first byte; an unknown newer one is refused with AL_FAILED_PRECONDITION, reason
 * FORMAT_TOO_NEW. Format 1 had neither revision nor media type nor redactions: it reads as revision
 * 1 of an unknown type.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_DOC_H
#define AIRLORE_DOC_H

#include "airlore/arena.h"
#include "airlore/document.h"

#define AL_DOC_ID_BYTES_MAX 512u
#define AL_DOC_BODY_BYTES_MAX (16u << 20)
#define AL_DOC_TAGS_MAX 64u
#define AL_DOC_META_MAX 128u
#define AL_DOC_CHUNKS_MAX 4096u
#define AL_DOC_TEXT_BYTES_MAX 8192u /* title, url, kind and so on, a heading */
#define AL_DOC_TAG_BYTES_MAX 512u
#define AL_DOC_META_KEY_BYTES_MAX 256u
#define AL_DOC_META_VALUE_BYTES_MAX (64u << 10)

enum al_visibility { AL_VIS_DEPLOYMENT = 1, AL_VIS_TEAM = 2, AL_VIS_COMMUNITY = 3 };

/* id: 1 to 512 bytes, any; unique in its space. All views borrow from whoever made the document. */
struct al_doc {
    uint32_t space;
    struct al_str id;
    uint64_t docno; /* number of this version of the document: log index << 20 | op number; set by
                       the shard */
    enum al_visibility visibility;
    struct al_str team;       /* owner's names */
    struct al_str deployment; /* "" if owned by the team as a whole */
    struct al_str kind;
    struct al_str title;
    struct al_str url;
    struct al_str version;
    struct al_str lang;
    struct al_str source;      /* name of the source it was ingested from, "" if none */
    struct al_str media_type;  /* it was read as; "" when not known */
    struct al_str embedder_id; /* of the vectors; "" if there are none */
    uint32_t analyzer_version;
    uint64_t created_ms;      /* kept over updates by the shard; 0: the time of the entry */
    uint64_t updated_ms;      /* 0: the time of the entry */
    uint64_t revision;        /* times it was stored, from 1; set by the shard */
    uint32_t redactions;      /* secrets taken out before it was stored */
    uint8_t content_hash[32]; /* of everything the client gave; equal hash = nothing to do */
    const struct al_str *tags;
    size_t n_tags;
    const struct al_kv *meta; /* keys unique */
    size_t n_meta;
    struct al_str body;
    const struct al_chunk *chunks;
    size_t n_chunks;
    const float *vectors; /* n_chunks * dim, row-major, unit length or all zeros (no vector leg);
                             NULL: none. Stored apart. */
};

/* Append the encoding (without vectors) to b. */
void al_doc_encode(const struct al_doc *d, struct al_buf *b);

/* The same as far as al_doc_decode_attributes reads; n_chunks as it is. */
void al_doc_encode_attributes(const struct al_doc *d, struct al_buf *b);

/* Decode; views borrow from bytes, arrays live in a. AL_DATA_LOSS when malformed. docno, vectors:
 * as encoded / NULL. */
AL_NODISCARD enum al_code al_doc_decode(struct al_str bytes, struct al_arena *a, struct al_doc *ret,
                                        struct al_err *err);

/* The same without body and chunks (cheaper: for filters and lists): body empty, chunks NULL,
 * n_chunks as it is. */
AL_NODISCARD enum al_code al_doc_decode_attributes(struct al_str bytes, struct al_arena *a,
                                                   struct al_doc *ret, struct al_err *err);

/* Check limits and shapes (ids, counts, chunk spans inside the body and at ascending offsets,
 * vectors finite and of unit length within 1 %, or zero). dim: of the shard. AL_INVALID_ARGUMENT
 * with reasons BAD_FORMAT, BAD_ENUM, TOO_LARGE, OUT_OF_RANGE, NOT_FINITE, OUT_OF_RANGE. */
AL_NODISCARD enum al_code al_doc_check(const struct al_doc *d, uint32_t dim, struct al_err *err);

/* The text of a chunk that is analysed and embedded: title, heading and the span, one a line, in
 * the arena. */
AL_NODISCARD enum al_code al_doc_chunk_text(const struct al_doc *d, size_t chunk,
                                            struct al_arena *a, struct al_str *ret,
                                            struct al_err *err);

/* What an update needs to know of the version that is there; at fixed offsets of the encoding. */
struct al_doc_head {
    uint32_t space;
    uint64_t docno;
    uint64_t created_ms;
    uint64_t updated_ms;
    uint8_t content_hash[32];
    uint64_t maker; /* hash of embedder_id and analyzer_version: the same text made by others is not
                       the same */
    uint32_t n_chunks;
    uint64_t revision;
    uint64_t bytes; /* of the whole encoding */
};

/* Read the head of an encoding only. AL_DATA_LOSS, AL_FAILED_PRECONDITION as al_doc_decode. */
AL_NODISCARD enum al_code al_doc_peek(struct al_str bytes, struct al_doc_head *ret,
                                      struct al_err *err);

/* Set docno, revision and times of h in an encoding (that al_doc_peek accepted), in place; one of
 * format 1 has no place for a revision. */
void al_doc_patch(char *bytes, const struct al_doc_head *h);

/* Copy every view and array that the document borrows into the arena, so that it outlives what it
 * was made of. */
AL_NODISCARD enum al_code al_doc_own(struct al_doc *d, struct al_arena *a, struct al_err *err);

/* Index of the log entry that made this version of the document: what AL_IF_VERSION compares. */
uint64_t al_doc_log_index(const struct al_doc *d);

/* Slot of a routing key: 16-bit hash (XXH3) of space and id. */
uint16_t al_doc_slot(uint32_t space, struct al_str id);

#endif
