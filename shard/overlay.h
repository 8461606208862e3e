/* overlay.h - what the entries of a group have changed and the store does not show yet: key ->
 * small state.
 *
 * Thread: confined to one thread. Memory: all in the given arena.
 */
#ifndef AIRLORE_SHARD_OVERLAY_H
#define AIRLORE_SHARD_OVERLAY_H

#include "airlore/arena.h"
#include "keys.h"
#include "store.h"

/* Latest state of one key. Documents: all fields; rows: present and version; write ids: request. */
struct al_overlay_item {
    struct al_overlay_item *next; /* bucket */
    enum al_family family;
    struct al_str key;
    bool present;
    uint64_t version;        /* log index of the last change */
    struct al_doc_head head; /* of the last version, also of one that is deleted */
    uint64_t deleted_by;     /* log index of the entry that deleted it; 0: none of this group */
    const void *request;
};

struct al_overlay {
    struct al_arena *a;
    struct al_overlay_item **buckets;
    size_t n_buckets;
};

/* Empty; n_buckets a power of two. AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_overlay_init(struct al_overlay *o, struct al_arena *a,
                                          size_t n_buckets, struct al_err *err);

/* The item of a key, or NULL. Borrowed from the arena. */
struct al_overlay_item *al_overlay_find(const struct al_overlay *o, enum al_family f,
                                        struct al_str key);

/* Add an item (key copied); it must not be there. NULL when out of memory. */
struct al_overlay_item *al_overlay_add(struct al_overlay *o, enum al_family f, struct al_str key);

#endif
