/* Chunks of a body: neighbouring small sections packed, large ones cut at the best border. */
#include "chunk.h"

#include <string.h>

#define CHUNK_BYTES_DEFAULT 2000u
#define CHUNK_BYTES_MIN 64u
#define CHUNKS_DEFAULT 4096u

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\v';
}

/* Add [start, end) without the white space at its ends, if anything is left. */
enum al_code al_cutter_add(struct al_cutter *c, uint32_t start, uint32_t end, struct al_str heading,
                           struct al_err *err)
{
    uint32_t line = start;
    while (start < end && is_space(c->body.p[start])) {
        if (c->body.p[start] == '\n')
            line = start + 1;
        start++;
    }
    while (end > start && is_space(c->body.p[end - 1]))
        end--;
    if (start == end)
        return AL_OK;
    start = line; /* keep the indent of the first line */
    if (c->n >= c->n_max)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "TOO_MANY_CHUNKS",
                         "document '" AL_STR_FMT "': more than %zu chunks",
                         AL_STR_ARG(c->d->opt->path), c->n_max);
    void *p = c->chunks;
    if (al_mem_grow(al_arena_mem(c->d->a), &p, &c->cap, c->n + 1, sizeof(*c->chunks)) != AL_OK)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "document: over the memory limit of the call");
    c->chunks = p;
    c->chunks[c->n++] = (struct al_chunk){start, end, heading};
    return AL_OK;
}

enum al_code al_cutter_flush(struct al_cutter *c, struct al_err *err)
{
    if (!c->open)
        return AL_OK;
    c->open = false;
    return al_cutter_add(c, c->start, c->end, c->heading, err);
}

/* Whether a piece may end in front of body[i]. rank 0: a blank line, 1: a line, 2: a sentence, 3: a
 * word. */
bool al_cutter_is_border(struct al_str body, uint32_t i, int rank)
{
    char before = body.p[i - 1];
    switch (rank) {
    case 0:
        return before == '\n' && i >= 2 && body.p[i - 2] == '\n';
    case 1:
        return before == '\n';
    case 2:
        return is_space(before) && i >= 2 &&
               (body.p[i - 2] == '.' || body.p[i - 2] == '!' || body.p[i - 2] == '?');
    default:
        return is_space(before);
    }
}

/* Where to end a piece that starts at `start` and may have c->max bytes: the last border of the
 * best kind in the window's last two thirds. */
uint32_t al_cutter_best_cut(const struct al_cutter *c, uint32_t start)
{
    uint32_t last = start + c->max;
    uint32_t first = start + c->max / 3;
    for (int rank = 0; rank < 4; rank++)
        for (uint32_t i = last; i > first; i--)
            if (al_cutter_is_border(c->body, i, rank))
                return i;
    struct al_str window = al_str_sub(c->body, start, c->max + 4);
    return start + (uint32_t)al_str_utf8_floor(window, c->max);
}

/* A unit that is larger than a chunk: cut it; its last piece stays open for neighbours. */
static enum al_code cut_large(struct al_cutter *c, uint32_t start, uint32_t end,
                              struct al_str heading, struct al_err *err)
{
    AL_TRY(al_cutter_flush(c, err));
    while (end - start > c->max) {
        uint32_t cut = al_cutter_best_cut(c, start);
        AL_TRY(al_cutter_add(c, start, cut, heading, err));
        start = cut;
    }
    c->open = true;
    c->start = start;
    c->end = end;
    c->heading = heading;
    return AL_OK;
}

enum al_code al_cutter_pack(struct al_cutter *c, uint32_t start, uint32_t end,
                            struct al_str heading, struct al_err *err)
{
    if (c->open && end - c->start <= c->max) {
        c->end = end;
        return AL_OK;
    }
    if (end - start > c->max)
        return cut_large(c, start, end, heading, err);
    AL_TRY(al_cutter_flush(c, err));
    c->open = true;
    c->start = start;
    c->end = end;
    c->heading = heading;
    return AL_OK;
}

static bool is_blank(struct al_str body, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        if (!is_space(body.p[i]))
            return false;
    return true;
}

/* Sections in order; one that is a heading only belongs to the next. */
static enum al_code pack_sections(struct al_cutter *c, struct al_err *err)
{
    const struct al_doc *d = c->d;
    uint32_t body_end = (uint32_t)c->body.n;
    uint32_t start = d->n_sections > 0 ? d->sections[0].start : body_end;
    if (start > 0)
        AL_TRY(al_cutter_pack(c, 0, start, (struct al_str){"", 0}, err));
    for (size_t i = 0; i < d->n_sections; i++) {
        const struct al_section *s = &d->sections[i];
        bool last = i + 1 == d->n_sections;
        uint32_t end = last ? body_end : d->sections[i + 1].start;
        bool deeper = !last && d->sections[i + 1].level > s->level;
        if (deeper && is_blank(c->body, s->text, end) && end - start < c->max / 2)
            continue;
        AL_TRY(al_cutter_pack(c, start, end, s->path, err));
        start = end;
    }
    return al_cutter_flush(c, err);
}

struct al_str al_cutter_heading(struct al_cutter *c, uint32_t at)
{
    const struct al_doc *d = c->d;
    while (c->section < d->n_sections && d->sections[c->section].start <= at)
        c->section++;
    return c->section ? d->sections[c->section - 1].path : (struct al_str){"", 0};
}

static const char *const names[] = {"document", "fixed", "recursive", "semantic"};

const char *al_chunker_name(enum al_chunker c)
{
    return names[c];
}

bool al_chunker_of_name(struct al_str name, enum al_chunker *ret)
{
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++) {
        if (al_str_is(name, names[i])) {
            *ret = (enum al_chunker)i;
            return true;
        }
    }
    return false;
}

static enum al_code cut_by(struct al_cutter *c, struct al_err *err)
{
    switch (c->d->opt->chunker) {
    case AL_CHUNKER_FIXED:
        return al_cut_fixed(c, err);
    case AL_CHUNKER_RECURSIVE:
        return al_cut_recursive(c, err);
    case AL_CHUNKER_SEMANTIC:
        return al_cut_semantic(c, err);
    case AL_CHUNKER_DOCUMENT:
        break;
    }
    return pack_sections(c, err);
}

enum al_code al_chunk_cut(struct al_doc *d, struct al_chunk **ret, size_t *ret_n,
                          struct al_err *err)
{
    struct al_cutter c = {.d = d, .body = al_buf_view(&d->body)};
    c.max = d->opt->chunk_bytes_max ? d->opt->chunk_bytes_max : CHUNK_BYTES_DEFAULT;
    c.max = c.max < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : c.max;
    c.n_max = d->opt->chunks_max ? d->opt->chunks_max : CHUNKS_DEFAULT;
    AL_TRY(cut_by(&c, err));
    *ret = c.chunks;
    *ret_n = c.n;
    return AL_OK;
}
