/* manifest.h - the list of the sealed segments of a set, as the store keeps it.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_SHARD_MANIFEST_H
#define AIRLORE_SHARD_MANIFEST_H

#include "airlore/str.h"

/* What a manifest says of one segment. name borrows from the entry. */
struct al_manifest_entry {
    uint64_t first;
    uint64_t last;
    uint64_t content_hash;
    struct al_str name;
};

/* Append an entry. */
void al_manifest_entry_encode(const struct al_manifest_entry *e, struct al_buf *b);

/* AL_DATA_LOSS when malformed; AL_FAILED_PRECONDITION, reason FORMAT_TOO_NEW. */
AL_NODISCARD enum al_code
al_manifest_entry_decode(struct al_str entry, struct al_manifest_entry *ret, struct al_err *err);

#endif
