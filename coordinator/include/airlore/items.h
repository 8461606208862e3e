/* airlore/items.h - single documents: get, delete, promote, withdraw.
 *
 * An id is looked up in the spaces a credential may see, nearest first: its deployment, its team,
 * the team's deployments, further readable teams, the community. Writes touch own spaces only.
 *
 * Promotion copies a document after redacting it once more: to the community under the id
 * "<owner>/<id>", where owner is the team's pseudonym unless the team (or the request) names it; or
 * from a deployment to its team, under "<deployment>/<id>". It takes two calls: a preview gives a
 * digest of exactly what would be shared, the confirmation needs that digest. Withdrawing deletes
 * the copies.
 *
 * Writes that are named (once.h) give the first answer when they are asked for again.
 *
 * Thread: any thread. Blocks on shards.
 */
#ifndef AIRLORE_ITEMS_H
#define AIRLORE_ITEMS_H

#include "airlore/once.h"
#include "airlore/prepare.h"
#include "airlore/router.h"

struct al_items_context {
    struct al_router *router;
    struct al_shard_port *system;
    const struct al_embedder *embedder;
    struct al_clock *clock;
    struct al_directory *directory;
    struct al_once_book *once;
};

/* A document that the credential may see. space 0: look as said above; else only there (must be
 * readable, or it is not found). AL_NOT_FOUND, reason ITEM_NOT_FOUND. */
AL_NODISCARD enum al_code al_items_get(const struct al_items_context *ctx,
                                       const struct al_credential *cred, struct al_str id,
                                       uint32_t space, bool with_vectors, struct al_arena *a,
                                       struct al_doc *ret, struct al_err *err);

/* What to delete. space 0: the credential's own space, then its team's. */
struct al_delete_request {
    struct al_str id;
    uint32_t space;
    struct al_once_name name;
};

struct al_deletion {
    bool deleted; /* false: there was none */
    struct al_token token;
};

/* Delete one of the team's documents (contributor) or, with space AL_SPACE_COMMUNITY, one of the
 * community (reviewer). */
AL_NODISCARD enum al_code al_items_delete(const struct al_items_context *ctx,
                                          const struct al_credential *cred,
                                          const struct al_delete_request *req, struct al_arena *a,
                                          struct al_deletion *ret, struct al_err *err);

/* What to share. space 0: where al_items_get finds it. digest "": a preview, which no name makes
 * sense for. target 0: the community. */
struct al_promote_request {
    struct al_str id;
    uint32_t space;
    struct al_str digest;
    enum al_visibility target; /* AL_VIS_TEAM or AL_VIS_COMMUNITY */
    bool has_named;            /* named says whether the team is named, whatever it chose */
    bool named;
    struct al_once_name name;
};

struct al_promotion {
    struct al_doc doc;    /* as others will see it, or see it now */
    uint32_t redactions;  /* taken out now */
    struct al_str digest; /* 32 hexadecimal digits; "" once it is promoted */
    bool promoted;
    uint32_t source_space; /* where the original lives */
    struct al_token token; /* of what was written */
};

/* digest "": preview. Else it must equal the preview's: AL_FAILED_PRECONDITION, reason
 * PREVIEW_STALE. Needs a contributor of the owning team, or a reviewer that reads that team. To the
 * team: only what a deployment has, else reason ITEM_STATE. A copy under another name of the team
 * is taken back first. */
AL_NODISCARD enum al_code al_items_promote(const struct al_items_context *ctx,
                                           const struct al_credential *cred,
                                           const struct al_promote_request *req, struct al_arena *a,
                                           struct al_promotion *ret, struct al_err *err);

/* What to take back: id is the original's or a copy's. space 0: wherever it was promoted to. */
struct al_withdraw_request {
    struct al_str id;
    uint32_t space;
    struct al_once_name name;
};

struct al_withdrawal {
    uint32_t n_copies;
    struct al_token token;
};

/* Take back what the team has shared, or with a reviewer's key any readable team.
 * AL_FAILED_PRECONDITION, reason ITEM_STATE: it is not shared, or not by this team. */
AL_NODISCARD enum al_code al_items_withdraw(const struct al_items_context *ctx,
                                            const struct al_credential *cred,
                                            const struct al_withdraw_request *req,
                                            struct al_arena *a, struct al_withdrawal *ret,
                                            struct al_err *err);

/* Id of the copy in the community, else in the team, that was promoted of this document; "" when
 * none was, or when it is another team's and the key no reviewer's (it would tell a pseudonym). In
 * the arena. */
AL_NODISCARD enum al_code al_items_promoted_id(const struct al_items_context *ctx,
                                               const struct al_credential *cred,
                                               const struct al_doc *d, struct al_arena *a,
                                               struct al_str *ret, struct al_err *err);

#endif
