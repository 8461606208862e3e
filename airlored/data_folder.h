/* data_folder.h - the folder of all data: made, locked, and of a format that this program knows.
 *
 *   LOCK        held while a server runs (advisory lock of the kernel: it goes with the process)
 *   format      "airlore-data 1" and the number of shards
 *   created     left once all shards were opened; from then on none is made anew (shard_set.c)
 *   admin.key   see admin_key.h
 *   shards/0000 and so on, system
 *
 * Thread:    serialized by the caller.
 * Lifecycle: open -> close. close accepts zeroed memory that was given lock_fd = -1.
 */
#ifndef AIRLORE_AIRLORED_DATA_FOLDER_H
#define AIRLORE_AIRLORED_DATA_FOLDER_H

#include "airlore/disk.h"

struct al_data_folder {
    char path[4096]; /* absolute, links resolved */
    int lock_fd;     /* -1: not open */
};

/* Make the folder (mode 0700) if it is not there, take its lock, check or write `format`.
 * AL_FAILED_PRECONDITION, reasons DATA_IN_USE (another server has it), DATA_FORMAT (of another
 * version, or no data folder), SHARDS_FIXED (another number of shards); codes of the disk. */
AL_NODISCARD enum al_code al_data_folder_open(const char *path, uint32_t shards,
                                              struct al_disk *disk, struct al_data_folder *ret,
                                              struct al_err *err);

/* Let the lock go. */
void al_data_folder_close(struct al_data_folder *f);

/* A path inside it into buf; AL_INVALID_ARGUMENT when it does not fit. */
AL_NODISCARD enum al_code al_data_folder_path(const struct al_data_folder *f, const char *name,
                                              char *buf, size_t n, struct al_err *err);

#endif
