/* airlore/source_archive.h - the documents in a tar, zip or 7z archive.
 *
 * Members are read as they come, nothing is unpacked to disk. Links, devices and folders are left
 * out; a member whose path is not a plain relative one is refused by itself. A bomb hits one of the
 * limits: bytes of a member, bytes of all members together (as announced and as unpacked), number
 * of members.
 *
 * Thread: confined to one thread. Memory: one member, and what the decompressor needs.
 */
#ifndef AIRLORE_SOURCE_ARCHIVE_H
#define AIRLORE_SOURCE_ARCHIVE_H

#include "airlore/source.h"

/* 0 means the default. */
struct al_archive_options {
    uint64_t member_bytes_max; /* default 16 MiB; a larger document is an entry with why */
    uint64_t total_bytes_max;  /* default 8 GiB; past it the archive is refused (ARCHIVE_BOMB) */
    uint64_t members_max;      /* default 1,000,000; past it the archive is refused (TOO_MANY) */
    struct al_mem *mem;        /* borrowed until close; NULL: standard */
};

/* Whether the name ends like an archive: tar, tar.gz, tgz, tar.xz, txz, tar.zst, tzst, tar.bz2,
 * zip, 7z. */
bool al_archive_is_name(const char *name);

/* Open an archive file. Entries have content; id: the path inside. Errors: AL_NOT_FOUND and so on
 * (the file), AL_INVALID_ARGUMENT with BAD_ARCHIVE (not an archive, damaged, encrypted),
 * AL_RESOURCE_EXHAUSTED. Truncation comes as BAD_ARCHIVE from next. */
AL_NODISCARD enum al_code al_archive_open(const char *path, const struct al_archive_options *opt,
                                          struct al_source **ret, struct al_err *err);

/* The bytes of one member, without any limit but max, for readers that stream: gives the next part
 * of the member called `name` (or of the only member when NULL). */
struct al_archive_stream;

/* Open the member; AL_NOT_FOUND when there is none of this name. */
AL_NODISCARD enum al_code al_archive_stream_open(const char *path, const char *name,
                                                 struct al_archive_stream **ret,
                                                 struct al_err *err);

/* Up to n bytes into p; *ret_n 0 at the end. */
AL_NODISCARD enum al_code al_archive_stream_read(struct al_archive_stream *s, void *p, size_t n,
                                                 size_t *ret_n, struct al_err *err);

/* Close. Accepts NULL. */
void al_archive_stream_close(struct al_archive_stream *s);

/* Inflate gzip bytes into b, whose limit bounds them. AL_INVALID_ARGUMENT with BAD_ARCHIVE. */
AL_NODISCARD enum al_code al_archive_gunzip(struct al_str in, struct al_buf *b, struct al_err *err);

#endif
