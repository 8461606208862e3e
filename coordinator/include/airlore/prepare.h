/* airlore/prepare.h - from what a client sends to a document as shards store it.
 *
 * In this order: check limits, redact, read the format, cut into chunks, embed. Nothing unredacted
 * leaves this function.
 *
 * Thread: any thread. CPU bound: call from a worker or a stream's own thread.
 */
#ifndef AIRLORE_PREPARE_H
#define AIRLORE_PREPARE_H

#include "airlore/directory.h"
#include "airlore/embedder.h"

/* One item as it came in. All views borrowed. */
struct al_item {
    struct al_str id; /* 1 to 512 bytes: BAD_FORMAT */
    struct al_str
        content; /* text or the bytes of a file; at most AL_DOC_BODY_BYTES_MAX: TOO_LARGE */
    enum al_format
        format; /* AL_FORMAT_UNKNOWN: by the id's or url's file name, else by the content */
    enum al_chunker chunker; /* other than the default: kept as metadata "chunker" */
    struct al_str title;
    struct al_str
        kind; /* "": "dag" for Python that defines one, "code" for other Python, else "doc" */
    struct al_str url;
    struct al_str version;
    const struct al_str *tags;
    size_t n_tags;
    const struct al_kv *meta;
    size_t n_meta;
    struct al_str
        checksum; /* of the source as the client computed it; kept as metadata "source_checksum" */
    const float *vector; /* the client's own, for an item of a single chunk; NULL: embedded here */
    size_t n_vector;
    uint64_t created_ms; /* 0: now */
    uint64_t updated_ms; /* 0: now */
};

/* Where it goes. */
struct al_target {
    uint32_t space;
    enum al_visibility visibility;
    const char *team; /* shown as owner; a pseudonym in the community unless the team is named */
    const char *deployment; /* "" : the team */
    struct al_str source;
};

/* Hash of all that decides what is stored, for the comparison with what is there
 * (al_shard_get_hash). */
void al_item_hash(const struct al_item *it, struct al_str source, const struct al_embedder *e,
                  uint8_t ret[32]);

/* Make the document. Everything in the arena; *ret has vectors. *ret_redactions: secrets taken out.
 * Errors: those of al_redact, al_document_read, al_doc_check; CONTENT_EMPTY when nothing is left to
 * search; FIELDS_CONFLICT. */
AL_NODISCARD enum al_code al_item_prepare(const struct al_item *it, const struct al_target *to,
                                          const struct al_embedder *e, uint64_t now_ms,
                                          struct al_arena *a, struct al_doc *ret,
                                          uint32_t *ret_redactions, struct al_err *err);

/* New vectors for a document that is stored already (another embedder). vectors live in the arena.
 */
AL_NODISCARD enum al_code al_doc_embed(struct al_doc *d, const struct al_embedder *e,
                                       struct al_arena *a, struct al_err *err);

#endif
