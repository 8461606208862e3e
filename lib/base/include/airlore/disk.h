/* airlore/disk.h - the disk port: the few file operations that Airlore itself makes.
 *
 * Everything of ours that touches files (segments, keys, runtime files, snapshots) goes through
 * here, so that a full disk, a read error or a lost fsync can be made to happen. RocksDB has its
 * own files behind its adapter.
 *
 * Thread: any thread; one open file is serialized by the caller.
 */
#ifndef AIRLORE_DISK_H
#define AIRLORE_DISK_H

#include "airlore/mem.h"
#include "airlore/str.h"

struct al_disk;

/* How the names of temporary files of al_disk_write_file begin: after a crash they may be removed.
 */
#define AL_DISK_TEMP_PREFIX ".al-tmp-"

struct al_file {
    int fd; /* >= 0 when open */
};

enum al_disk_mode {
    AL_DISK_READ,
    AL_DISK_CREATE,   /* write; fails if it exists; perm whatever the umask is */
    AL_DISK_TRUNCATE, /* write; created or emptied */
    AL_DISK_APPEND,   /* write at the end; created if absent */
};

/* A read-only mapping of a whole file. */
struct al_map {
    const uint8_t *p;
    size_t n;
};

/* One entry of a folder; name is valid during the visit only. */
struct al_disk_entry {
    const char *name;
    bool is_dir;
    bool is_file;
    bool is_link;
};

/* Each function: path borrowed; *ret only on success; codes by errno (AL_FAIL_ERRNO), message names
 * the path.
 *
 * open, map   regular files only for reading: a folder, a pipe or a device is AL_INVALID_ARGUMENT
 * at once. read_at     fills n bytes; less at the end of the file only. close       closes in any
 * case, also when it reports an error. remove      a file, a link (never what it points to) or an
 * empty folder; AL_FAILED_PRECONDITION if not empty. list        "." and ".." are left out; types
 * are those of the entries themselves, links are not followed. An error of visit ends the walk and
 * is passed up. map         an empty file gives {NULL, 0}; unmap accepts it. */
struct al_disk_ops {
    enum al_code (*open)(struct al_disk *d, const char *path, enum al_disk_mode mode, uint32_t perm,
                         struct al_file *ret, struct al_err *err);
    enum al_code (*write)(struct al_disk *d, struct al_file *f, const void *p, size_t n,
                          struct al_err *err);
    enum al_code (*read_at)(struct al_disk *d, struct al_file *f, uint64_t offset, void *p,
                            size_t n, size_t *ret_n, struct al_err *err);
    enum al_code (*sync)(struct al_disk *d, struct al_file *f, struct al_err *err);
    enum al_code (*close)(struct al_disk *d, struct al_file *f, struct al_err *err);
    enum al_code (*size)(struct al_disk *d, const char *path, uint64_t *ret, struct al_err *err);
    enum al_code (*rename)(struct al_disk *d, const char *from, const char *to, struct al_err *err);
    enum al_code (*remove)(struct al_disk *d, const char *path, struct al_err *err);
    enum al_code (*mkdir)(struct al_disk *d, const char *path, uint32_t perm, struct al_err *err);
    enum al_code (*sync_dir)(struct al_disk *d, const char *path, struct al_err *err);
    enum al_code (*list)(struct al_disk *d, const char *path,
                         enum al_code (*visit)(void *u, const struct al_disk_entry *e,
                                               struct al_err *err),
                         void *u, struct al_err *err);
    enum al_code (*map)(struct al_disk *d, const char *path, struct al_map *ret,
                        struct al_err *err);
    void (*unmap)(struct al_disk *d, struct al_map *m);
    enum al_code (*free_bytes)(struct al_disk *d, const char *path, uint64_t *ret,
                               struct al_err *err);
};

struct al_disk {
    const struct al_disk_ops *ops;
};

/* The machine's files. Shared, never freed. */
struct al_disk *al_disk_system(void);

/* A whole file into *ret (appended; its limit bounds the size: AL_RESOURCE_EXHAUSTED beyond it). */
AL_NODISCARD enum al_code al_disk_read_file(struct al_disk *d, const char *path, struct al_buf *ret,
                                            struct al_err *err);

/* Replace a file so that a crash leaves the old or the new content: temporary file, write, sync,
 * rename, sync of the folder. perm e.g. 0600. On error the temporary file is removed. If path is a
 * link, the link is replaced. */
AL_NODISCARD enum al_code al_disk_write_file(struct al_disk *d, const char *path,
                                             struct al_str content, uint32_t perm,
                                             struct al_err *err);

/* mkdir -p, each new folder synced into its parent. AL_INVALID_ARGUMENT if a file is in the place
 * of a folder. */
AL_NODISCARD enum al_code al_disk_mkdirs(struct al_disk *d, const char *path, uint32_t perm,
                                         struct al_err *err);

/* rm -r of a folder of ours; follows no links. Absent is fine. More than 64 levels are
 * AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_disk_remove_tree(struct al_disk *d, const char *path,
                                              struct al_err *err);

#endif
