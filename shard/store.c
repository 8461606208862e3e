#include "store.h"

/* The names of RocksDB's column families; its first one is always called "default". */
const char *const al_family_names[AL_FAMILY_COUNT] = {
    [AL_FAMILY_META] = "default",      [AL_FAMILY_LOG] = "log",   [AL_FAMILY_DOC] = "doc",
    [AL_FAMILY_CHUNK] = "chunk",       [AL_FAMILY_DEAD] = "dead", [AL_FAMILY_ROW] = "row",
    [AL_FAMILY_WRITE_ID] = "write_id",
};
