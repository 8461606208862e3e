/* Stack Exchange dumps. */
#include "airlore/source_stackexchange.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "airlore/clock.h"
#include "airlore/source_archive.h"
#include "xml.h"

#define THREADS_DEFAULT 2000000u
#define SPILL_DEFAULT ((uint64_t)16 << 30)
#define BODY_BYTES_MAX ((size_t)1 << 20) /* of one post; a longer one is cut */
#define TEXT_BYTES_MAX ((size_t)8 << 20)
#define TAGS_MAX 20u
#define PART_BYTES ((size_t)1 << 20)

struct answer {
    uint64_t id;
    uint64_t offset;
    int64_t score;
};

struct thread {
    uint64_t id;
    uint64_t offset; /* of the question in the temporary file */
    uint64_t accepted;
    struct answer answers[AL_STACKEXCHANGE_ANSWERS_MAX]; /* best first */
    size_t n_answers;
};

struct dump {
    struct al_source source;
    struct al_mem *mem;
    struct al_stackexchange_options opt;
    char *path;
    char site[200];
    FILE *spill;
    uint64_t spill_bytes;
    struct thread *threads; /* in the order of ids once the file was read */
    size_t n;
    size_t cap;
    size_t at;
    bool is_sorted;
    bool is_read;
    bool has_posts;
    uint64_t consumed;
    struct al_buf record;
};

/* What is kept of a post: fixed numbers, then texts with their lengths. */
struct post {
    struct al_str title;
    struct al_str tags;
    struct al_str body;
    struct al_str author;
    struct al_str license;
    int64_t created_s;
    int64_t updated_s;
    int64_t score;
};

bool al_stackexchange_is_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strlen(base);
    return strcasecmp(base, "Posts.xml") == 0 ||
           (n > 9 && strcasecmp(base + n - 9, "-Posts.7z") == 0) ||
           (n > 10 && strcasecmp(base + n - 10, "-Posts.zip") == 0);
}

/* ---- the temporary file ---- */

static enum al_code spill(struct dump *d, const struct post *p, uint64_t *ret_offset,
                          struct al_err *err)
{
    struct al_buf *b = &d->record;
    al_buf_reset(b);
    al_buf_u64le(b, (uint64_t)p->created_s);
    al_buf_u64le(b, (uint64_t)p->updated_s);
    al_buf_u64le(b, (uint64_t)p->score);
    const struct al_str texts[] = {p->title, p->tags, p->body, p->author, p->license};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++)
        al_buf_lenstr(b, texts[i]);
    AL_TRY(al_buf_status(b, err));
    uint64_t max = d->opt.spill_bytes_max ? d->opt.spill_bytes_max : SPILL_DEFAULT;
    if (d->spill_bytes + 4 + b->n > max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "dump: more than %" PRIu64 " bytes of posts; choose tags", max);
    uint32_t n = (uint32_t)b->n;
    if (fwrite(&n, sizeof n, 1, d->spill) != 1 || fwrite(b->p, 1, b->n, d->spill) != b->n)
        return AL_FAIL_ERRNO(err, errno, "dump: temporary file");
    *ret_offset = d->spill_bytes;
    d->spill_bytes += 4 + b->n;
    return AL_OK;
}

static enum al_code read_post(struct dump *d, uint64_t offset, struct al_arena *a, struct post *ret,
                              struct al_err *err)
{
    uint32_t n = 0;
    if (fseeko(d->spill, (off_t)offset, SEEK_SET) != 0 || fread(&n, sizeof n, 1, d->spill) != 1)
        return AL_FAIL_ERRNO(err, errno, "dump: temporary file");
    char *bytes = al_arena_alloc(a, n);
    if (!bytes)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    if (fread(bytes, 1, n, d->spill) != n)
        return AL_FAIL_ERRNO(err, errno, "dump: temporary file");
    struct al_reader r = al_reader_of((struct al_str){bytes, n});
    ret->created_s = (int64_t)al_reader_u64le(&r);
    ret->updated_s = (int64_t)al_reader_u64le(&r);
    ret->score = (int64_t)al_reader_u64le(&r);
    struct al_str *texts[] = {&ret->title, &ret->tags, &ret->body, &ret->author, &ret->license};
    for (size_t i = 0; i < AL_ARRAY_LEN(texts); i++)
        *texts[i] = al_reader_lenstr(&r);
    AL_ASSERT(al_reader_done(&r)); /* written by ourselves */
    return AL_OK;
}

/* ---- rows ---- */

static uint64_t number(const char *const *attributes, const char *name)
{
    uint64_t v = 0;
    const char *s = al_xml_attribute(attributes, name);
    return s && al_str_u64(al_str_c(s), &v) ? v : 0;
}

static int64_t signed_number(const char *const *attributes, const char *name)
{
    const char *s = al_xml_attribute(attributes, name);
    uint64_t v = 0;
    bool is_negative = s && s[0] == '-';
    if (!s || !al_str_u64(al_str_c(s + is_negative), &v) || v > INT32_MAX)
        return 0;
    return is_negative ? -(int64_t)v : (int64_t)v;
}

/* "2020-01-02T03:04:05.678", in UTC without saying so. */
static int64_t seconds(const char *const *attributes, const char *name)
{
    const char *s = al_xml_attribute(attributes, name);
    char text[64];
    uint64_t ms = 0;
    int n = s ? snprintf(text, sizeof text, "%s%s", s, strchr(s, 'Z') ? "" : "Z") : 0;
    if (n <= 0 || (size_t)n >= sizeof text ||
        al_clock_parse_rfc3339(text, (size_t)n, &ms, NULL) != AL_OK)
        return 0;
    return (int64_t)(ms / 1000);
}

static struct al_str text(const char *const *attributes, const char *name, size_t max)
{
    struct al_str s = al_str_c(al_xml_attribute(attributes, name));
    s.n = s.n > max ? al_str_utf8_floor(s, max) : s.n;
    return s;
}

static struct post take_post(const char *const *attributes)
{
    struct post p = {.title = text(attributes, "Title", 900),
                     .tags = text(attributes, "Tags", 1000),
                     .body = text(attributes, "Body", BODY_BYTES_MAX),
                     .author = text(attributes, "OwnerDisplayName", 200),
                     .license = text(attributes, "ContentLicense", 100),
                     .created_s = seconds(attributes, "CreationDate"),
                     .updated_s = seconds(attributes, "LastActivityDate"),
                     .score = signed_number(attributes, "Score")};
    if (p.author.n == 0)
        p.author = text(attributes, "OwnerUserId", 20);
    return p;
}

/* The next tag of "<a><b>" or "|a|b|"; empty at the end. */
static struct al_str next_tag(struct al_str *s)
{
    while (s->n && strchr("<>|", s->p[0]))
        *s = al_str_sub(*s, 1, s->n);
    size_t n = 0;
    while (n < s->n && !strchr("<>|", s->p[n]))
        n++;
    struct al_str tag = {s->p, n};
    *s = al_str_sub(*s, n, s->n);
    return tag;
}

static bool is_wanted(const struct dump *d, struct al_str tags)
{
    if (d->opt.n_tags == 0)
        return true;
    for (struct al_str tag = next_tag(&tags); tag.n; tag = next_tag(&tags)) {
        for (size_t i = 0; i < d->opt.n_tags; i++) {
            if (strlen(d->opt.tags[i]) == tag.n && strncasecmp(d->opt.tags[i], tag.p, tag.n) == 0)
                return true;
        }
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    const struct thread *x = a;
    const struct thread *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static struct thread *find_thread(struct dump *d, uint64_t id)
{
    struct thread key = {.id = id};
    if (!d->is_sorted && d->n) {
        qsort(d->threads, d->n, sizeof *d->threads, by_id);
        d->is_sorted = true;
    }
    return d->n ? bsearch(&key, d->threads, d->n, sizeof key, by_id) : NULL;
}

static enum al_code add_question(struct dump *d, uint64_t id, const char *const *attributes,
                                 struct al_err *err)
{
    struct post p = take_post(attributes);
    uint64_t max = d->opt.threads_max ? d->opt.threads_max : THREADS_DEFAULT;
    if (!is_wanted(d, p.tags))
        return AL_OK;
    if (d->n == max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "dump: more than %" PRIu64 " questions; choose tags", max);
    void *grown = d->threads;
    if (al_mem_grow(d->mem, &grown, &d->cap, d->n + 1, sizeof *d->threads) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    d->threads = grown;
    struct thread t = {.id = id, .accepted = number(attributes, "AcceptedAnswerId")};
    AL_TRY(spill(d, &p, &t.offset, err));
    d->is_sorted = d->n == 0 || (d->is_sorted && d->threads[d->n - 1].id < id);
    d->threads[d->n++] = t;
    return AL_OK;
}

static bool is_better(const struct thread *t, const struct answer *x, const struct answer *y)
{
    if ((x->id == t->accepted) != (y->id == t->accepted))
        return x->id == t->accepted;
    return x->score != y->score ? x->score > y->score : x->id < y->id;
}

static enum al_code add_answer(struct dump *d, uint64_t id, const char *const *attributes,
                               struct al_err *err)
{
    struct thread *t = find_thread(d, number(attributes, "ParentId"));
    struct answer a = {.id = id, .score = signed_number(attributes, "Score")};
    if (!t)
        return AL_OK;
    size_t at = t->n_answers;
    while (at > 0 && is_better(t, &a, &t->answers[at - 1]))
        at--;
    if (at == AL_STACKEXCHANGE_ANSWERS_MAX)
        return AL_OK;
    struct post p = take_post(attributes);
    AL_TRY(spill(d, &p, &a.offset, err));
    if (t->n_answers < AL_STACKEXCHANGE_ANSWERS_MAX)
        t->n_answers++;
    memmove(&t->answers[at + 1], &t->answers[at], (t->n_answers - at - 1) * sizeof a);
    t->answers[at] = a;
    return AL_OK;
}

static enum al_code on_start(void *u, const char *name, const char *const *attributes,
                             struct al_err *err)
{
    struct dump *d = u;
    if (!d->has_posts && strcmp(name, "posts") != 0)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_DUMP", "dump: '%.40s' and not posts", name);
    d->has_posts = true;
    uint64_t id = number(attributes, "Id");
    uint64_t type = number(attributes, "PostTypeId");
    if (strcmp(name, "row") != 0 || id == 0)
        return AL_OK;
    if (type == 1)
        return add_question(d, id, attributes, err);
    return type == 2 ? add_answer(d, id, attributes, err) : AL_OK;
}

/* ---- reading the file ---- */

static enum al_code feed_archive(struct dump *d, struct al_xml *x, char *part, struct al_err *err)
{
    struct al_archive_stream *s = NULL;
    AL_TRY(al_archive_stream_open(d->path, "Posts.xml", &s, err));
    enum al_code code = AL_OK;
    size_t n = 1;
    while (code == AL_OK && n > 0) {
        code = al_archive_stream_read(s, part, PART_BYTES, &n, err);
        if (code == AL_OK)
            code = al_xml_feed(x, (struct al_str){part, n}, n == 0, err);
        al_source_say_progress(&d->source, d->consumed += n);
    }
    al_archive_stream_close(s);
    return code;
}

static enum al_code feed_file(struct dump *d, struct al_xml *x, char *part, struct al_err *err)
{
    int fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", d->path);
    enum al_code code = AL_OK;
    ssize_t n = 1;
    while (code == AL_OK && n > 0) {
        n = read(fd, part, PART_BYTES);
        if (n < 0)
            code = AL_FAIL_ERRNO(err, errno, "'%s'", d->path);
        else
            code = al_xml_feed(x, (struct al_str){part, (size_t)n}, n == 0, err);
        if (n > 0)
            al_source_say_progress(&d->source, d->consumed += (uint64_t)n);
    }
    close(fd);
    return code;
}

static enum al_code read_all(struct dump *d, struct al_err *err)
{
    struct al_xml_events events = {.start = on_start, .u = d};
    struct al_xml *x = NULL;
    char *part = al_mem_alloc(d->mem, PART_BYTES);
    if (!part)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    d->spill = tmpfile();
    enum al_code code = d->spill ? al_xml_create(&events, &x, err)
                                 : AL_FAIL_ERRNO(err, errno, "dump: temporary file");
    if (code == AL_OK)
        code = al_archive_is_name(d->path) ? feed_archive(d, x, part, err)
                                           : feed_file(d, x, part, err);
    al_xml_destroy(x);
    al_mem_free(d->mem, part);
    AL_TRY(code);
    (void)find_thread(d, 0); /* sorts */
    d->is_read = true;
    return fflush(d->spill) == 0 ? AL_OK : AL_FAIL_ERRNO(err, errno, "dump: temporary file");
}

/* ---- threads as entries ---- */

static void put_escaped(struct al_buf *b, struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char *as = s.p[i] == '<'   ? "&lt;"
                         : s.p[i] == '>' ? "&gt;"
                         : s.p[i] == '&' ? "&amp;"
                                         : NULL;
        if (as)
            al_buf_cstr(b, as);
        else
            al_buf_char(b, s.p[i]);
    }
}

static enum al_code put_thread(struct dump *d, const struct thread *t, const struct post *q,
                               struct al_arena *a, struct al_buf *b, struct al_err *err)
{
    al_buf_cstr(b, "<h1>");
    put_escaped(b, q->title);
    al_buf_cstr(b, "</h1>\n");
    al_buf_str(b, q->body);
    for (size_t i = 0; i < t->n_answers; i++) {
        struct post p = {.created_s = 0};
        AL_TRY(read_post(d, t->answers[i].offset, a, &p, err));
        bool accepted = t->answers[i].id == t->accepted;
        al_buf_printf(b, "\n<h2>%s, score %" PRId64 "</h2>\n",
                      accepted ? "Accepted answer" : "Answer", p.score);
        al_buf_str(b, p.body);
    }
    return al_buf_status(b, err);
}

static enum al_code put_tags(const struct thread *t, struct al_str tags, struct al_arena *a,
                             struct al_source_entry *ret, struct al_err *err)
{
    const char **list = al_arena_array(a, TAGS_MAX + 1, sizeof *list);
    if (!list)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    size_t n = 0;
    if (t->n_answers == 0)
        list[n++] = "unanswered";
    for (struct al_str tag = next_tag(&tags); tag.n && n < TAGS_MAX; tag = next_tag(&tags)) {
        if (tag.n > 120)
            continue;
        list[n] = al_arena_strndup(a, tag.p, tag.n);
        if (!list[n++])
            return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    }
    ret->tags = list;
    ret->n_tags = n;
    return AL_OK;
}

static enum al_code give(struct dump *d, const struct thread *t, struct al_arena *a,
                         struct al_source_entry *ret, struct al_err *err)
{
    struct post q = {.created_s = 0};
    AL_TRY(read_post(d, t->offset, a, &q, err));
    struct al_buf b;
    al_buf_init(&b, al_arena_mem(a), TEXT_BYTES_MAX);
    AL_TRY(put_thread(d, t, &q, a, &b, err));
    ret->content = al_buf_view(&b);
    ret->has_content = true;
    ret->media_type = "text/html";
    ret->kind = "thread";
    ret->id = al_arena_printf(a, "%s/questions/%" PRIu64, d->site, t->id);
    ret->url = al_arena_printf(a, "https://%s/questions/%" PRIu64, d->site, t->id);
    ret->title = al_arena_strndup(a, q.title.p ? q.title.p : "", q.title.n);
    char *author = al_arena_strndup(a, q.author.p ? q.author.p : "", q.author.n);
    char *license = al_arena_strndup(a, q.license.p ? q.license.p : "", q.license.n);
    char *score = al_arena_printf(a, "%" PRId64, q.score);
    if (!ret->id || !ret->url || !ret->title || !author || !license || !score)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    AL_TRY(put_tags(t, q.tags, a, ret, err));
    bool accepted = t->n_answers && t->answers[0].id == t->accepted;
    al_source_add_meta(ret, "answered", t->n_answers ? "true" : "false");
    al_source_add_meta(ret, "accepted", accepted ? "true" : "false");
    al_source_add_meta(ret, "score", score);
    al_source_add_meta(ret, "author", author);
    al_source_add_meta(ret, "license", license);
    ret->created_s = q.created_s;
    ret->updated_s = q.updated_s;
    return AL_OK;
}

static enum al_code dump_next(struct al_source *source, struct al_arena *a,
                              struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    struct dump *d = (struct dump *)source;
    if (!d->is_read)
        AL_TRY(read_all(d, err));
    ret->consumed_bytes = d->consumed;
    *ret_end = d->at == d->n;
    return *ret_end ? AL_OK : give(d, &d->threads[d->at++], a, ret, err);
}

static void dump_close(struct al_source *source)
{
    struct dump *d = (struct dump *)source;
    if (d->spill)
        fclose(d->spill);
    al_buf_fini(&d->record);
    al_mem_free(d->mem, d->threads);
    al_mem_free(d->mem, d->path);
    al_mem_free(d->mem, d);
}

static const struct al_source_ops ops = {.next = dump_next, .close = dump_close};

/* "airflow.example.com" of "x/airflow.example.com-Posts.7z". */
static void name_site(struct dump *d, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dash = strrchr(base, '-');
    size_t n = dash ? (size_t)(dash - base) : 0;
    bool is_host = n > 3 && n < 150 && memchr(base, '.', n);
    for (size_t i = 0; is_host && i < n; i++) {
        char c = base[i];
        is_host = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    }
    if (d->opt.site)
        snprintf(d->site, sizeof d->site, "%.190s", d->opt.site);
    else if (is_host)
        snprintf(d->site, sizeof d->site, "%.*s", (int)n, base);
    else
        snprintf(d->site, sizeof d->site, "stackoverflow.com");
}

enum al_code al_stackexchange_open(const char *path, const struct al_stackexchange_options *opt,
                                   struct al_source **ret, struct al_err *err)
{
    struct stat st;
    struct al_mem *mem = opt ? opt->mem : NULL;
    if (stat(path, &st) != 0)
        return AL_FAIL_ERRNO(err, errno, "'%s'", path);
    if (!S_ISREG(st.st_mode))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNREADABLE", "'%s': not a regular file", path);
    struct dump *d = al_mem_zalloc(mem, sizeof *d);
    if (!d)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    d->source.ops = &ops;
    d->source.size_bytes = (uint64_t)st.st_size;
    d->mem = mem;
    if (opt)
        d->opt = *opt;
    d->path = al_mem_strndup(mem, path, strlen(path));
    al_buf_init(&d->record, mem, 2 * BODY_BYTES_MAX);
    if (!d->path) {
        dump_close(&d->source);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "dump: out of memory");
    }
    name_site(d, path);
    *ret = &d->source;
    return AL_OK;
}
