/* Archives, through libarchive. The only file that includes it. */
#include "airlore/source_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)65536)
#define MEMBER_BYTES_DEFAULT ((uint64_t)16 << 20)
#define TOTAL_BYTES_DEFAULT ((uint64_t)8 << 30)
#define MEMBERS_DEFAULT 1000000u

struct archive_source {
    struct al_source source;
    struct al_mem *mem;
    struct archive *archive;
    int fd;
    struct al_archive_options opt;
    uint64_t n_members;
    uint64_t total_bytes;    /* as announced, and what came on top of that */
    uint64_t announced_left; /* of the member that is being read */
};

bool al_archive_is_name(const char *name)
{
    static const char *const suffixes[] = {".tar",     ".tar.gz",  ".tgz",  ".tar.xz",
                                           ".txz",     ".tar.zst", ".tzst", ".tbz2",
                                           ".tar.bz2", ".zip",     ".7z"};
    size_t n = strlen(name);
    for (size_t i = 0; i < AL_ARRAY_LEN(suffixes); i++) {
        size_t k = strlen(suffixes[i]);
        if (n > k && strcasecmp(name + n - k, suffixes[i]) == 0)
            return true;
    }
    return false;
}

static enum al_code bad(struct archive *a, struct al_err *err)
{
    const char *text = archive_error_string(a);
    if (archive_errno(a) == ENOMEM)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ARCHIVE", "archive: %.160s",
                     text ? text : "damaged");
}

static struct archive *make_reader(void)
{
    struct archive *a = archive_read_new();
    if (!a)
        return NULL;
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_zip_seekable(a); /* needs the directory at the end: cut ones fail */
    archive_read_support_format_7zip(a);
    return a;
}

/* The member's path as bytes, or NULL when it has none that can be had. */
static const char *member_path(struct archive_entry *e)
{
    const char *p = archive_entry_pathname_utf8(e);
    return p ? p : archive_entry_pathname(e);
}

/* Skipping a member unpacks it as well, so what is announced counts whether it is read or not. */
static enum al_code count_bytes(struct archive_source *s, uint64_t n, struct al_err *err)
{
    if (n > s->opt.total_bytes_max - s->total_bytes)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "ARCHIVE_BOMB",
                         "archive: unpacks to more than %" PRIu64 " bytes", s->opt.total_bytes_max);
    s->total_bytes += n;
    return AL_OK;
}

/* One more member: counted before a byte of it is read. */
static enum al_code count_member(struct archive_source *s, struct archive_entry *e,
                                 struct al_err *err)
{
    if (++s->n_members > s->opt.members_max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "archive: more than %" PRIu64 " members", s->opt.members_max);
    int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
    s->announced_left = size > 0 ? (uint64_t)size : 0;
    return count_bytes(s, s->announced_left, err);
}

static bool is_plain_file(struct archive_entry *e)
{
    return archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e) &&
           !archive_entry_symlink(e);
}

static enum al_code read_member(struct archive_source *s, struct al_buf *b, struct al_err *why,
                                struct al_err *err)
{
    for (;;) {
        char block[BLOCK_BYTES];
        la_ssize_t n = archive_read_data(s->archive, block, sizeof block);
        if (n == 0)
            return AL_OK;
        if (n == ARCHIVE_RETRY)
            continue;
        if (n < 0 && n != ARCHIVE_FATAL) { /* this member only: a bad checksum, encrypted */
            (void)bad(s->archive, why);
            return AL_OK;
        }
        if (n < 0)
            return bad(s->archive, err);
        uint64_t known = (uint64_t)n < s->announced_left ? (uint64_t)n : s->announced_left;
        s->announced_left -= known;
        AL_TRY(count_bytes(s, (uint64_t)n - known, err)); /* more than the header said */
        if (b->n + (size_t)n > s->opt.member_bytes_max) {
            AL_FAIL_R(why, AL_INVALID_ARGUMENT, "TOO_LARGE", "member: more than %" PRIu64 " bytes",
                      s->opt.member_bytes_max);
            return AL_OK;
        }
        al_buf_add(b, block, (size_t)n);
        AL_TRY(al_buf_status(b, err));
    }
}

static enum al_code take_member(struct archive_source *s, struct archive_entry *e,
                                struct al_arena *a, struct al_source_entry *ret, struct al_err *err)
{
    struct al_buf b;
    al_buf_init(&b, s->mem, 0);
    if (archive_entry_is_encrypted(e))
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "BAD_ARCHIVE", "member: encrypted");
    else if (archive_entry_size_is_set(e) &&
             (uint64_t)archive_entry_size(e) > s->opt.member_bytes_max)
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "TOO_LARGE",
                  "member: %" PRId64 " bytes, at most %" PRIu64, (int64_t)archive_entry_size(e),
                  s->opt.member_bytes_max);
    enum al_code code = AL_OK;
    if (ret->why.code == AL_OK)
        code = read_member(s, &b, &ret->why, err);
    if (code == AL_OK && ret->why.code == AL_OK) {
        code = al_arena_str(a, al_buf_view(&b), &ret->content, err);
        ret->has_content = code == AL_OK;
    }
    al_buf_fini(&b);
    ret->updated_s = archive_entry_mtime_is_set(e) ? archive_entry_mtime(e) : 0;
    return code;
}

/* Whether the member is one to give; then its id or what is wrong with its path is in ret. */
static enum al_code look_at(struct archive_source *s, struct archive_entry *e, struct al_arena *a,
                            struct al_source_entry *ret, bool *ret_take, struct al_err *err)
{
    *ret_take = false;
    const char *path = member_path(e);
    if (!is_plain_file(e) || !path || !al_source_media_type(path)) {
        s->source.n_left_out++;
        return AL_OK;
    }
    const char *id = NULL;
    *ret_take = true;
    if (al_source_check_path(path, &id, &ret->why) != AL_OK)
        return AL_OK;
    if (al_source_is_ignored_path(id)) {
        *ret_take = false;
        return AL_OK;
    }
    ret->media_type = al_source_media_type(id);
    ret->id = al_arena_strndup(a, id, strlen(id));
    return ret->id ? AL_OK : AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
}

/* libarchive takes a plain tar that is cut between two members for a whole one: look for the zeros
 * that end every tar. (A compressed one that is cut is noticed by its filter.) */
static enum al_code check_end(const struct archive_source *s, struct al_err *err)
{
    char block[512];
    bool is_tar = (archive_format(s->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    if (!is_tar || archive_filter_code(s->archive, 0) != ARCHIVE_FILTER_NONE)
        return AL_OK;
    off_t at = (off_t)s->source.size_bytes - (off_t)sizeof block;
    bool ok = at >= 0 && pread(s->fd, block, sizeof block, at) == (ssize_t)sizeof block;
    for (size_t i = 0; ok && i < sizeof block; i++)
        ok = block[i] == 0;
    return ok ? AL_OK
              : AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ARCHIVE",
                          "archive: cut short, no end mark");
}

static enum al_code archive_next(struct al_source *source, struct al_arena *a,
                                 struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    struct archive_source *s = (struct archive_source *)source;
    for (;;) {
        struct archive_entry *e = NULL;
        int rc = archive_read_next_header(s->archive, &e);
        if (rc == ARCHIVE_EOF) {
            *ret_end = true;
            return check_end(s, err);
        }
        if (rc == ARCHIVE_RETRY)
            continue;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return bad(s->archive, err);
        AL_TRY(count_member(s, e, err));
        bool take = false;
        AL_TRY(look_at(s, e, a, ret, &take, err));
        if (take && ret->why.code == AL_OK)
            AL_TRY(take_member(s, e, a, ret, err));
        if (!take)
            continue;
        ret->consumed_bytes = (uint64_t)archive_filter_bytes(s->archive, -1);
        return AL_OK;
    }
}

static void archive_close(struct al_source *source)
{
    struct archive_source *s = (struct archive_source *)source;
    if (s->archive)
        archive_read_free(s->archive);
    if (s->fd >= 0)
        close(s->fd);
    al_mem_free(s->mem, s);
}

static const struct al_source_ops ops = {.next = archive_next, .close = archive_close};

static void take_options(struct archive_source *s, const struct al_archive_options *opt)
{
    if (opt)
        s->opt = *opt;
    if (!s->opt.member_bytes_max)
        s->opt.member_bytes_max = MEMBER_BYTES_DEFAULT;
    if (!s->opt.total_bytes_max)
        s->opt.total_bytes_max = TOTAL_BYTES_DEFAULT;
    if (!s->opt.members_max)
        s->opt.members_max = MEMBERS_DEFAULT;
}

static enum al_code open_file(struct archive_source *s, const char *path, struct al_err *err)
{
    struct stat st;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", path);
    if (!S_ISREG(st.st_mode))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNREADABLE", "'%s': not a regular file", path);
    s->source.size_bytes = (uint64_t)st.st_size;
    s->archive = make_reader();
    if (!s->archive)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
    int rc = archive_read_open_fd(s->archive, s->fd, BLOCK_BYTES);
    return rc == ARCHIVE_OK ? AL_OK : bad(s->archive, err);
}

enum al_code al_archive_open(const char *path, const struct al_archive_options *opt,
                             struct al_source **ret, struct al_err *err)
{
    struct al_mem *mem = opt ? opt->mem : NULL;
    struct archive_source *s = al_mem_zalloc(mem, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
    s->source.ops = &ops;
    s->mem = mem;
    s->fd = -1;
    take_options(s, opt);
    enum al_code code = open_file(s, path, err);
    if (code != AL_OK) {
        al_source_close(&s->source);
        return code;
    }
    *ret = &s->source;
    return AL_OK;
}

/* ---- one member as a stream ---- */

struct al_archive_stream {
    struct archive *archive;
};

static enum al_code find_member(struct archive *a, const char *name, struct al_err *err)
{
    for (unsigned i = 0; i < MEMBERS_DEFAULT; i++) {
        struct archive_entry *e = NULL;
        int rc = archive_read_next_header(a, &e);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return bad(a, err);
        const char *path = member_path(e);
        const char *slash = path ? strrchr(path, '/') : NULL;
        const char *base = slash ? slash + 1 : path;
        if (is_plain_file(e) && base && (!name || strcasecmp(base, name) == 0))
            return AL_OK;
    }
    return AL_FAIL(err, AL_NOT_FOUND, "archive: no '%s' in it", name ? name : "file");
}

enum al_code al_archive_stream_open(const char *path, const char *name,
                                    struct al_archive_stream **ret, struct al_err *err)
{
    struct al_archive_stream *s = al_mem_zalloc(NULL, sizeof *s);
    if (s)
        s->archive = make_reader();
    if (!s || !s->archive) {
        al_mem_free(NULL, s);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
    }
    enum al_code code = AL_OK;
    if (archive_read_open_filename(s->archive, path, BLOCK_BYTES) != ARCHIVE_OK)
        code = bad(s->archive, err);
    if (code == AL_OK)
        code = find_member(s->archive, name, err);
    if (code != AL_OK) {
        al_archive_stream_close(s);
        return code;
    }
    *ret = s;
    return AL_OK;
}

enum al_code al_archive_stream_read(struct al_archive_stream *s, void *p, size_t n, size_t *ret_n,
                                    struct al_err *err)
{
    la_ssize_t got;
    do
        got = archive_read_data(s->archive, p, n);
    while (got == ARCHIVE_RETRY);
    if (got < 0)
        return bad(s->archive, err);
    *ret_n = (size_t)got;
    return AL_OK;
}

void al_archive_stream_close(struct al_archive_stream *s)
{
    if (!s)
        return;
    archive_read_free(s->archive);
    al_mem_free(NULL, s);
}

static enum al_code inflate_all(struct archive *a, struct al_buf *b, struct al_err *err)
{
    struct archive_entry *e = NULL;
    int rc = archive_read_next_header(a, &e);
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        return bad(a, err);
    if (archive_filter_code(a, 0) != ARCHIVE_FILTER_GZIP) /* read as it is */
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ARCHIVE", "archive: not gzip");
    for (;;) {
        char block[BLOCK_BYTES];
        la_ssize_t n = archive_read_data(a, block, sizeof block);
        if (n == 0)
            return AL_OK;
        if (n < 0)
            return bad(a, err);
        al_buf_add(b, block, (size_t)n);
        AL_TRY(al_buf_status(b, err));
    }
}

enum al_code al_archive_gunzip(struct al_str in, struct al_buf *b, struct al_err *err)
{
    struct archive *a = archive_read_new();
    if (!a)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "archive: out of memory");
    archive_read_support_filter_gzip(a);
    archive_read_support_format_raw(a);
    enum al_code code = AL_OK;
    if (archive_read_open_memory(a, in.p, in.n) != ARCHIVE_OK)
        code = bad(a, err);
    if (code == AL_OK)
        code = inflate_all(a, b, err);
    archive_read_free(a);
    return code;
}
