#include "tokenizer.h"

#include <string.h>

#include "unicode.h"

#define WORD_CHARS_MAX 100u
#define WORD_BYTES_MAX (WORD_CHARS_MAX * 4u)
#define FNV_SEED 2166136261u
#define FNV_PRIME 16777619u

static uint32_t fnv_add(uint32_t h, unsigned char c)
{
    return (h ^ c) * FNV_PRIME;
}

/* FNV's low bits are weak for short keys: mix before masking. */
static uint32_t mixed(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    return h ^ (h >> 13);
}

static uint32_t offset_at(const struct al_tokenizer *t, uint32_t i)
{
    unsigned char b[4];
    memcpy(b, t->offsets + (size_t)i * 4, 4);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static struct al_str piece_at(const struct al_tokenizer *t, uint32_t row)
{
    uint32_t from = offset_at(t, row);
    return (struct al_str){t->vocab + from, offset_at(t, row + 1) - from};
}

enum al_code al_tokenizer_init(struct al_tokenizer *t, struct al_mem *mem, const char *offsets,
                               const char *vocab, uint32_t n_pieces, struct al_err *err)
{
    *t =
        (struct al_tokenizer){.mem = mem, .n_pieces = n_pieces, .offsets = offsets, .vocab = vocab};
    uint32_t n_slots = 16;
    while (n_slots < n_pieces * 2u)
        n_slots *= 2;
    t->slots = al_mem_array(mem, n_slots, sizeof(*t->slots));
    if (!t->slots)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "tokenizer: out of memory");
    t->mask = n_slots - 1;
    for (uint32_t row = 0; row < n_pieces; row++) {
        struct al_str piece = piece_at(t, row);
        uint32_t h = FNV_SEED;
        for (size_t i = 0; i < piece.n; i++)
            h = fnv_add(h, (unsigned char)piece.p[i]);
        h = mixed(h);
        uint32_t at = h & t->mask;
        while (t->slots[at].row_plus_1)
            at = (at + 1) & t->mask;
        t->slots[at] = (struct al_tokenizer_slot){h, row + 1};
        if (piece.n > t->piece_bytes_max)
            t->piece_bytes_max = (uint32_t)piece.n;
    }
    return AL_OK;
}

void al_tokenizer_fini(struct al_tokenizer *t)
{
    al_mem_free(t->mem, t->slots);
    *t = (struct al_tokenizer){0};
}

struct word_scan {
    const struct al_tokenizer *t;
    void (*visit)(void *u, uint32_t row);
    void *u;
    uint32_t n_bytes;
    uint32_t n_chars;
    bool too_long;
    char bytes[WORD_BYTES_MAX];
};

/* Row of "##"? + p[0..n), or UINT32_MAX. */
static uint32_t find_piece(const struct al_tokenizer *t, uint32_t hash, struct al_str rest,
                           size_t skip)
{
    for (uint32_t at = hash & t->mask; t->slots[at].row_plus_1; at = (at + 1) & t->mask) {
        if (t->slots[at].hash != hash)
            continue;
        struct al_str piece = piece_at(t, t->slots[at].row_plus_1 - 1);
        if (piece.n == rest.n + skip && memcmp(piece.p, "##", skip) == 0 &&
            memcmp(piece.p + skip, rest.p, rest.n) == 0)
            return t->slots[at].row_plus_1 - 1;
    }
    return UINT32_MAX;
}

/* Longest piece that starts p[0..n): its row, its length in *ret_len. */
static uint32_t longest_piece(const struct al_tokenizer *t, struct al_str word, bool first,
                              size_t *ret_len)
{
    uint32_t hashes[WORD_BYTES_MAX];
    size_t skip = first ? 0 : 2;
    size_t max = word.n + skip > t->piece_bytes_max ? t->piece_bytes_max - skip : word.n;
    uint32_t h = FNV_SEED;
    if (t->piece_bytes_max <= skip)
        return UINT32_MAX;
    if (!first)
        h = fnv_add(fnv_add(h, '#'), '#');
    for (size_t i = 0; i < max; i++) {
        h = fnv_add(h, (unsigned char)word.p[i]);
        hashes[i] = h;
    }
    for (size_t n = max; n > 0; n--) {
        uint32_t row = find_piece(t, mixed(hashes[n - 1]), (struct al_str){word.p, n}, skip);
        if (row != UINT32_MAX) {
            *ret_len = n;
            return row;
        }
    }
    return UINT32_MAX;
}

static void word_end(struct word_scan *w)
{
    uint32_t rows[WORD_CHARS_MAX];
    size_t n_rows = 0;
    size_t at = 0;
    bool known = !w->too_long && w->n_bytes > 0;
    while (known && at < w->n_bytes) {
        size_t len = 0;
        struct al_str rest = {w->bytes + at, w->n_bytes - at};
        uint32_t row = longest_piece(w->t, rest, at == 0, &len);
        known = row != UINT32_MAX && n_rows < WORD_CHARS_MAX;
        if (known)
            rows[n_rows++] = row;
        at += len;
    }
    for (size_t i = 0; known && i < n_rows; i++)
        w->visit(w->u, rows[i]);
    w->n_bytes = 0;
    w->n_chars = 0;
    w->too_long = false;
}

static void word_add(struct word_scan *w, uint32_t cp)
{
    if (w->n_chars >= WORD_CHARS_MAX) {
        w->too_long = true;
        return;
    }
    w->n_chars++;
    if (cp < 0x80)
        w->bytes[w->n_bytes++] = (char)cp;
    else
        w->n_bytes += (uint32_t)al_cp_put(cp, w->bytes + w->n_bytes);
}

static void normalized(struct word_scan *w, uint32_t cp)
{
    if (al_cp_is_space(cp)) {
        word_end(w);
        return;
    }
    if (!al_cp_is_punct(cp)) {
        word_add(w, cp);
        return;
    }
    word_end(w);
    word_add(w, cp);
    word_end(w);
}

static void add_other(struct word_scan *w, uint32_t cp)
{
    uint32_t out[32];
    if (cp == AL_CP_BAD || cp == 0xFFFD || al_cp_is_control(cp))
        return;
    if (al_cp_is_space(cp)) {
        word_end(w);
        return;
    }
    bool cjk = al_cp_is_cjk(cp);
    if (cjk)
        word_end(w);
    size_t n = al_cp_nfd_lower(cp, out, AL_ARRAY_LEN(out));
    for (size_t i = 0; i < n; i++)
        normalized(w, out[i]);
    if (cjk)
        word_end(w);
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(unsigned char c)
{
    return c >= 'a' && c <= 'z';
}

/* A CamelCase border in front of s[i], an upper-case letter. */
static bool camel_border(struct al_str s, size_t i)
{
    if (i == 0)
        return false;
    unsigned char before = (unsigned char)s.p[i - 1];
    if (is_lower(before) || (before >= '0' && before <= '9'))
        return true;
    return is_upper(before) && i + 1 < s.n && is_lower((unsigned char)s.p[i + 1]);
}

static void add_ascii(struct word_scan *w, struct al_str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    if (is_lower(c) || (c >= '0' && c <= '9')) {
        word_add(w, c);
    } else if (is_upper(c)) {
        if (camel_border(s, i))
            word_end(w);
        word_add(w, c + 32u);
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        word_end(w);
    } else if (c > ' ' && c < 127) {
        word_end(w);
        word_add(w, c);
        word_end(w);
    }
}

void al_tokenizer_run(const struct al_tokenizer *t, struct al_str text,
                      void (*visit)(void *u, uint32_t row), void *u)
{
    struct word_scan w;
    w.t = t;
    w.visit = visit;
    w.u = u;
    w.n_bytes = 0;
    w.n_chars = 0;
    w.too_long = false;
    for (size_t i = 0; i < text.n;) {
        if ((unsigned char)text.p[i] < 0x80) {
            add_ascii(&w, text, i);
            i++;
        } else {
            add_other(&w, al_cp_next(text, &i));
        }
    }
    word_end(&w);
}
