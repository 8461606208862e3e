/* Folders, files and JSON lines as items. */
#include "ingest_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "airlore/source_archive.h"
#include "airlore/source_git.h"
#include "airlore/source_http.h"
#include "airlore/source_pdf.h"
#include "airlore/source_stackexchange.h"
#include "ingest_source.h"
#include "jsonl.h"

#define FILE_BYTES_MAX ((uint64_t)16 << 20)

/* Versions of what we make of a file or a line: a new number makes everything changed. */
#define CHECKSUM_FILE "f1-"
#define CHECKSUM_LINE "l1-"

static bool is_lines_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcasecmp(dot, ".jsonl") == 0 || strcasecmp(dot, ".ndjson") == 0);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "NAME@HASH of the absolute path": says where from without telling the path to others. */
static enum al_code name_source(struct al_cli_feed *f, bool with_prefix, struct al_err *err)
{
    char *real = realpath(f->path, NULL);
    if (!real)
        return AL_FAIL_ERRNO(err, errno, "'%s'", f->path);
    const char *name = base_name(real);
    if (!al_str_is_utf8(al_str_c(name)) || !name[0])
        name = "folder";
    snprintf(f->source, sizeof f->source, "%s@%016" PRIx64, name,
             (uint64_t)XXH3_64bits(real, strlen(real)));
    if (with_prefix && f->kind == AL_FEED_FOLDER)
        snprintf(f->prefix, sizeof f->prefix, "%s/", name);
    free(real);
    return AL_OK;
}

static enum al_code open_archive(struct al_cli_feed *f, struct al_err *err)
{
    f->kind = AL_FEED_SOURCE;
    AL_TRY(al_archive_open(f->path, NULL, &f->opened, err));
    const char *name = base_name(f->path);
    snprintf(f->prefix, sizeof f->prefix, "%.250s/",
             al_str_is_utf8(al_str_c(name)) ? name : "archive");
    return name_source(f, false, err);
}

static enum al_code open_dump(struct al_cli_feed *f, const struct al_cli_feed_options *o,
                              struct al_err *err)
{
    struct al_stackexchange_options dump = {.tags = o->tags, .n_tags = o->n_tags};
    f->kind = AL_FEED_SOURCE;
    AL_TRY(al_stackexchange_open(f->path, &dump, &f->opened, err));
    return name_source(f, false, err);
}

static enum al_code open_path(struct al_cli_feed *f, const struct al_cli_feed_options *o,
                              struct al_err *err)
{
    struct stat st;
    if (stat(f->path, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", f->path);
    f->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (S_ISREG(st.st_mode) && al_stackexchange_is_name(f->path))
        return open_dump(f, o, err);
    if (S_ISREG(st.st_mode) && al_archive_is_name(f->path))
        return open_archive(f, err);
    if (S_ISDIR(st.st_mode))
        f->kind = AL_FEED_FOLDER;
    else if (!is_lines_name(f->path))
        f->kind = AL_FEED_FILE;
    if (f->kind == AL_FEED_FILE &&
        (!S_ISREG(st.st_mode) || !al_source_media_type(base_name(f->path))))
        return AL_FAIL(err, AL_INVALID_ARGUMENT,
                       "'%s': neither a folder, an archive, a dump, nor a .jsonl, md, rst, html, "
                       "txt, py, ipynb or pdf file",
                       f->path);
    f->n_items = f->kind == AL_FEED_FILE ? 1 : 0;
    return name_source(f, o->with_prefix, err);
}

/* A source that names itself: its name, and its label as prefix when there are several. */
static void take_source(struct al_cli_feed *f, bool with_prefix)
{
    f->kind = AL_FEED_SOURCE;
    snprintf(f->source, sizeof f->source, "%s", f->opened->name);
    bool ids_are_urls = f->is_list || strncmp(f->path, "http", 4) == 0;
    if (with_prefix && !ids_are_urls)
        snprintf(f->prefix, sizeof f->prefix, "%s/", f->opened->label);
}

/* A line that says how far a fetch is. */
static bool on_fetch(void *u, uint64_t done, uint64_t all, uint64_t bytes)
{
    (void)u;
    if (done % 500 == 0 || done == all)
        fprintf(stderr, "\r\033[Kfetching: %" PRIu64 " of %" PRIu64 " objects, %.1f MB", done, all,
                (double)bytes / 1e6);
    return true;
}

static enum al_code open_git(struct al_cli_feed *f, const struct al_cli_feed_options *o,
                             struct al_err *err)
{
    struct al_git_options git = {.token = getenv("AIRLORE_GIT_TOKEN"),
                                 .on_fetch = o->show_progress ? on_fetch : NULL};
    enum al_code code = al_git_open(f->path, &git, &f->opened, err);
    if (o->show_progress)
        fputs("\r\033[K", stderr);
    return code;
}

/* An address of any kind. */
static enum al_code open_address(struct al_cli_feed *f, const struct al_cli_feed_options *o,
                                 struct al_err *err)
{
    if (al_git_is_address(f->path))
        return open_git(f, o, err);
    if (al_bucket_is_address(f->path)) {
        struct al_bucket_options bucket = {.endpoint = o->endpoint,
                                           .region = o->region,
                                           .requests_per_second = o->requests_per_second};
        return al_bucket_open(f->path, &bucket, &f->opened, err);
    }
    struct al_web_options web = {.requests_per_second = o->requests_per_second,
                                 .allow_private = o->allow_private};
    if (f->is_list)
        return al_web_open_list(f->path, &web, &f->opened, err);
    if (strncmp(f->path, "http://", 7) == 0 || strncmp(f->path, "https://", 8) == 0)
        return al_web_open(f->path, &web, &f->opened, err);
    return AL_FAIL(err, AL_INVALID_ARGUMENT,
                   "'%.150s': no kind of address that can be read (git:, http, https, s3, gs)",
                   f->path);
}

enum al_code al_cli_feed_open(const char *path, const struct al_cli_feed_options *opt,
                              struct al_cli_feed *ret, struct al_err *err)
{
    struct al_cli_feed f = {.kind = AL_FEED_LINES, .path = path, .is_list = opt->is_list};
    enum al_code code = AL_OK;
    bool is_address = f.is_list || al_git_is_address(path) || strstr(path, "://");
    if (is_address)
        code = open_address(&f, opt, err);
    else if (strcmp(path, "-") != 0)
        code = open_path(&f, opt, err);
    if (code != AL_OK) {
        al_cli_feed_close(&f);
        return code;
    }
    if (is_address)
        take_source(&f, opt->with_prefix);
    *ret = f;
    return AL_OK;
}

struct look {
    struct al_cli_ingest_totals *totals;
    bool bad;
};

static void on_bad(void *u, const char *path, const char *reason, const char *message)
{
    struct look *l = u;
    l->bad = true;
    al_cli_ingest_error(l->totals, path, 0, reason, message);
}

enum al_code al_cli_feed_look(struct al_cli_feed *f, struct al_cli_ingest_totals *t, bool *bad,
                              struct al_err *err)
{
    if (f->kind != AL_FEED_FOLDER)
        return AL_OK;
    struct look l = {.totals = t};
    AL_TRY(al_cli_walk_run(f->path, &f->walk, on_bad, &l, err));
    f->n_items = f->walk.n_files;
    f->size_bytes = f->walk.size_bytes;
    *bad = l.bad;
    return AL_OK;
}

void al_cli_feed_close(struct al_cli_feed *f)
{
    al_cli_walk_fini(&f->walk);
    al_source_close(f->opened);
    f->opened = NULL;
}

static char *checksum(struct al_arena *a, const char *kind, const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    return al_arena_printf(a, "%s%016" PRIx64 "%016" PRIx64, kind, (uint64_t)h.high64,
                           (uint64_t)h.low64);
}

/* A whole file into the arena. */
static enum al_code read_content(int at, const char *path, uint64_t max, struct al_arena *a,
                                 ProtobufCBinaryData *ret, struct al_err *err)
{
    int fd = openat(at, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNREADABLE", "file: %s", strerror(errno));
    struct stat st;
    enum al_code code = AL_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNREADABLE", "file: not a regular file");
    else if ((uint64_t)st.st_size > max)
        code = AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "file: %" PRIu64 " bytes, at most %" PRIu64, (uint64_t)st.st_size, max);
    size_t n = 0;
    size_t want = code == AL_OK ? (size_t)st.st_size : 0;
    ret->data = al_arena_alloc(a, want + 1);
    if (!ret->data && code == AL_OK)
        code = AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "file: out of memory");
    while (code == AL_OK && n < want) {
        ssize_t got = read(fd, ret->data + n, want - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNREADABLE", "file: %s", strerror(errno));
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    ret->len = n;
    return code;
}

static bool is_pdf(const struct al_cli_file *file)
{
    return strcmp(file->media_type, "application/pdf") == 0;
}

static enum al_code make_file_item(struct al_cli_ingest_run *r, int at,
                                   const struct al_cli_file *file, char *id,
                                   Airlore__V1__IngestItem **ret, struct al_err *err)
{
    Airlore__V1__IngestItem *item = al_arena_alloc(&r->arena, sizeof *item);
    Google__Protobuf__Timestamp *t = al_arena_alloc(&r->arena, sizeof *t);
    if (!item || !t)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "file: out of memory");
    airlore__v1__ingest_item__init(item);
    google__protobuf__timestamp__init(t);
    AL_TRY(al_cli_check_id(id, err));
    uint64_t max = al_client_ingest_item_bytes_max(r->stream);
    max = max < FILE_BYTES_MAX ? max : FILE_BYTES_MAX;
    AL_TRY(read_content(at, file->path, is_pdf(file) ? AL_PDF_BYTES_MAX : max, &r->arena,
                        &item->raw, err));
    item->content_case = AIRLORE__V1__INGEST_ITEM__CONTENT_RAW;
    item->id = id;
    item->media_type = (char *)(uintptr_t)file->media_type;
    item->content_checksum = checksum(&r->arena, CHECKSUM_FILE, item->raw.data, item->raw.len);
    t->seconds = file->mtime_s;
    if (file->mtime_s > 0)
        item->update_time = t;
    if (!item->content_checksum)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "file: out of memory");
    *ret = item;
    return AL_OK;
}

/* One file; what is wrong with it alone does not end the run. */
static enum al_code send_file(struct al_cli_feed *f, struct al_cli_ingest_run *r, int at,
                              const struct al_cli_file *file, struct al_err *err)
{
    char id[5000];
    snprintf(id, sizeof id, "%s%s", f->prefix, file->path);
    if (r->n_bytes + file->size_bytes > AL_INGEST_BATCH_BYTES && r->n_items)
        AL_TRY(al_cli_ingest_flush(r, err));
    struct al_err why = {.code = AL_OK};
    char *kept = al_arena_strndup(&r->arena, id, strlen(id));
    Airlore__V1__IngestItem *item = NULL;
    r->source_bytes += file->size_bytes;
    if (!kept)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "file: out of memory");
    if (make_file_item(r, at, file, kept, &item, &why) != AL_OK) {
        r->is_incomplete |= is_pdf(file); /* its pages are not named one by one */
        return al_cli_ingest_put_failed(r, id, 0, &why, err);
    }
    AL_ASSERT(item != NULL);
    if (is_pdf(file)) {
        struct al_source_entry e = {.id = kept,
                                    .media_type = file->media_type,
                                    .content = {(const char *)item->raw.data, item->raw.len},
                                    .updated_s = file->mtime_s};
        return al_cli_source_put(r, "", &e, err);
    }
    return al_cli_ingest_put(r, item, item->raw.len, err);
}

static enum al_code send_folder(struct al_cli_feed *f, struct al_cli_ingest_run *r,
                                struct al_err *err)
{
    int at = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return AL_FAIL_ERRNO(err, errno, "folder '%s'", f->path);
    enum al_code code = AL_OK;
    for (size_t i = 0; code == AL_OK && i < f->walk.n_files; i++)
        code = send_file(f, r, at, &f->walk.files[i], err);
    close(at);
    return code;
}

static enum al_code send_single(struct al_cli_feed *f, struct al_cli_ingest_run *r,
                                struct al_err *err)
{
    struct stat st;
    char *real = realpath(f->path, NULL);
    if (!real || stat(real, &st) != 0) {
        free(real);
        return AL_FAIL_ERRNO(err, errno, "'%s'", f->path);
    }
    char *slash = strrchr(real, '/'); /* there is one: the path is absolute */
    AL_ASSERT(slash != NULL);
    *slash = '\0';
    int at = open(slash == real ? "/" : real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct al_cli_file file = {.path = slash + 1,
                               .media_type = al_source_media_type(base_name(f->path)),
                               .size_bytes = (uint64_t)st.st_size,
                               .mtime_s = st.st_mtim.tv_sec};
    enum al_code code =
        at < 0 ? AL_FAIL_ERRNO(err, errno, "'%s'", f->path) : send_file(f, r, at, &file, err);
    if (at >= 0)
        close(at);
    free(real);
    return code;
}

/* A line as an item; *ret_id is known as soon as it could be read, in the arena. */
static enum al_code make_line_item(struct al_cli_ingest_run *r, struct al_str line,
                                   const char **ret_id, Airlore__V1__IngestItem **ret,
                                   struct al_err *err)
{
    json_t *o = NULL;
    AL_TRY(al_cli_jsonl_object(line, &o, err));
    const char *id = json_string_value(json_object_get(o, "id"));
    if (id)
        *ret_id = al_arena_strndup(&r->arena, id, strlen(id));
    enum al_code code = al_cli_jsonl_item(o, &r->arena, ret, err);
    json_decref(o);
    AL_TRY(code);
    AL_TRY(al_cli_check_id((*ret)->id, err));
    (*ret)->content_checksum = checksum(&r->arena, CHECKSUM_LINE, line.p, line.n);
    if (!(*ret)->content_checksum)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "line: out of memory");
    return AL_OK;
}

static enum al_code send_line(struct al_cli_ingest_run *r, struct al_str line, bool whole,
                              uint64_t number, struct al_err *err)
{
    struct al_err why = {.code = AL_OK};
    if (!whole) {
        AL_FAIL_R(&why, AL_INVALID_ARGUMENT, "TOO_LARGE", "line: longer than %zu bytes",
                  AL_JSONL_LINE_BYTES_MAX);
        return al_cli_ingest_put_failed(r, NULL, number, &why, err);
    }
    if (r->n_items && r->n_bytes + line.n > AL_INGEST_BATCH_BYTES)
        AL_TRY(al_cli_ingest_flush(r, err));
    Airlore__V1__IngestItem *item = NULL;
    const char *id = NULL;
    if (make_line_item(r, line, &id, &item, &why) != AL_OK)
        return al_cli_ingest_put_failed(r, id, number, &why, err);
    item->sequence = number;
    return al_cli_ingest_put(r, item, line.n, err);
}

static enum al_code send_lines(struct al_cli_feed *f, struct al_cli_ingest_run *r,
                               struct al_err *err)
{
    bool is_stdin = strcmp(f->path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(f->path, "re");
    if (!file)
        return AL_FAIL_ERRNO(err, errno, "'%s'", f->path);
    struct al_cli_jsonl *lines = al_mem_alloc(NULL, sizeof *lines);
    AL_ASSERT(lines != NULL);
    al_cli_jsonl_init(lines, file);
    r->lines = true;
    enum al_code code = AL_OK;
    struct al_str line;
    bool whole;
    uint64_t counted = 0;
    while (code == AL_OK && al_cli_jsonl_next(lines, &line, &whole)) {
        code = send_line(r, line, whole, lines->number, err);
        r->source_bytes += lines->bytes - counted;
        counted = lines->bytes;
    }
    if (code == AL_OK && lines->is_error)
        code = AL_FAIL_ERRNO(err, errno, "'%s'", f->path);
    al_cli_jsonl_fini(lines);
    al_mem_free(NULL, lines);
    if (!is_stdin)
        fclose(file);
    return code;
}

enum al_code al_cli_feed_send(struct al_cli_feed *f, struct al_cli_ingest_run *r,
                              struct al_err *err)
{
    r->lines = false;
    if (f->kind == AL_FEED_SOURCE)
        return al_cli_source_send(f->opened, f->prefix, r, err);
    if (f->kind == AL_FEED_FOLDER)
        return send_folder(f, r, err);
    return f->kind == AL_FEED_FILE ? send_single(f, r, err) : send_lines(f, r, err);
}
