#include "store.h"

/* The names of RocksDB's column families; its first one is always called "default". */
const char *const al_family_names[AL_FAMILY_COUNT] = {
    [AL_FAMILY_META] = "default",      [AL_FAMILY_LOG] = "log",   [AL_FAMILY_DOC] = "doc",
    [AL_FAMILY_CHUNK] = "chunk",       [AL_FAMILY_DEAD] = "dead", [AL_FAMILY_ROW] = "row",
    [AL_FAMILY_WRITE_ID] = "write_id",
};

enum al_code al_store_fail_missing(const char *dir, struct al_err *err)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "DATA_CORRUPT",
                     "store is missing or has no file CURRENT, but the shard was in use: restore "
                     "the data folder from a backup: '%.90s'",
                     dir);
}
