/* airlore/items.h - single documents: get, delete, promote to the community, withdraw.
 *
 * An id is looked up in the spaces a credential may see, nearest first: its deployment, its team,
 * the team's deployments, further readable teams, the community. Writes touch own spaces only.
 *
 * Promotion copies a document to the community after redacting it once more, under the id
 * "<owner>/<id>", where owner is the team's pseudonym unless the team chose to be named. It takes
 * two calls: a preview gives a digest of exactly what would be shared, the confirmation needs that
 * digest. Withdrawing deletes the copy everywhere.
 *
 * Thread: any thread. Blocks on shards.
 */
#ifndef AIRLORE_ITEMS_H
#define AIRLORE_ITEMS_H

#include "airlore/prepare.h"
#include "airlore/router.h"

struct al_items_context {
    struct al_router *router;
    struct al_shard_port *system;
    const struct al_embedder *embedder;
    struct al_clock *clock;
};

/* A document that the credential may see. space 0: look as said above; else only there (must be
 * readable, or it is not found). AL_NOT_FOUND, reason ITEM_NOT_FOUND. */
AL_NODISCARD enum al_code al_items_get(const struct al_items_context *ctx,
                                       const struct al_credential *cred, struct al_str id,
                                       uint32_t space, bool with_vectors, struct al_arena *a,
                                       struct al_doc *ret, struct al_err *err);

/* Delete one of the team's documents (contributor) or, with space AL_SPACE_COMMUNITY, one of the
 * community (reviewer). space 0: the credential's own space, then its team's. *ret_deleted false
 * when there was none. */
AL_NODISCARD enum al_code al_items_delete(const struct al_items_context *ctx,
                                          const struct al_credential *cred, struct al_str id,
                                          uint32_t space, struct al_arena *a, bool *ret_deleted,
                                          struct al_token *ret_token, struct al_err *err);

/* What to share. space 0: where al_items_get finds it. digest "": a preview. */
struct al_promote_request {
    struct al_str id;
    uint32_t space;
    struct al_str digest;
};

struct al_promotion {
    struct al_doc doc;    /* as the community will see it */
    uint32_t redactions;  /* taken out now */
    struct al_str digest; /* 32 hexadecimal digits */
    bool promoted;
    uint32_t source_space; /* where the original lives */
    struct al_token token; /* of what was written */
};

/* digest "": preview. Else it must equal the preview's: AL_FAILED_PRECONDITION, reason
 * PREVIEW_STALE. Needs a contributor. space 0: where al_items_get finds it. A copy under another
 * name of the team is taken back first. */
AL_NODISCARD enum al_code al_items_promote(const struct al_items_context *ctx,
                                           const struct al_credential *cred,
                                           const struct al_promote_request *req, struct al_arena *a,
                                           struct al_promotion *ret, struct al_err *err);

/* Take back what the team has shared; id is the original's or the copy's. AL_FAILED_PRECONDITION,
 * reason ITEM_STATE: it is not shared, or not by this team. */
AL_NODISCARD enum al_code al_items_withdraw(const struct al_items_context *ctx,
                                            const struct al_credential *cred, struct al_str id,
                                            struct al_arena *a, struct al_token *ret_token,
                                            struct al_err *err);

#endif
