#include "airlore/analyzer.h"

#include <pthread.h>
#include <string.h>

#include <libstemmer.h>

#include "unicode.h"

/* A token with letters outside ASCII is cut here (ASCII tokens need no buffer and have no limit).
 */
#define UNICODE_TOKEN_BYTES_MAX 1024u
#define UNICODE_TOKEN_CPS_MAX 2048u

/* Stems of short words: a direct-mapped cache. */
#define CACHE_WORD_MAX 23u
#define CACHE_SLOTS 4096u

/* Analyzers kept for reuse. */
#define POOL_KEEP_MAX 64u
#define PAIR_WORDS (65536u / 64u)

struct stem_slot {
    uint8_t word_n;
    uint8_t stem_n;
    char word[CACHE_WORD_MAX];
    char stem[CACHE_WORD_MAX];
};

struct al_analyzer {
    struct al_mem *mem;
    struct sb_stemmer *stemmer;
    struct al_analyzer *next; /* pool.idle */
    struct stem_slot cache[CACHE_SLOTS];
    uint32_t cps[UNICODE_TOKEN_CPS_MAX];
};

/* State of one run. */
struct scan {
    struct al_analyzer *a;
    struct al_str text;
    void (*visit)(void *u, const struct al_term *t);
    void *u;
    struct al_term term;
    const uint64_t *wanted; /* bits by the first two bytes of terms; NULL: all are */
};

static struct {
    pthread_mutex_t mu;
    struct al_analyzer *idle; /* guarded by mu */
    uint32_t n_idle;          /* guarded by mu */
} pool = {.mu = PTHREAD_MUTEX_INITIALIZER};

/* Lucene's English stop words, by length. */
static const char *const stop_words[] = {
    "a",   "an",    "and",  "are",   "as",    "at",   "be",   "but", "by",  "for",  "if",
    "in",  "into",  "is",   "it",    "no",    "not",  "of",   "on",  "or",  "such", "that",
    "the", "their", "then", "there", "these", "they", "this", "to",  "was", "will", "with",
};

enum al_code al_analyzer_create(struct al_mem *mem, struct al_analyzer **ret, struct al_err *err)
{
    AL_AUTO(al_analyzer) a = al_mem_zalloc(mem, sizeof(*a));
    if (!a)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "analyzer: out of memory");
    a->mem = mem;
    a->stemmer = sb_stemmer_new("english", "UTF_8");
    if (!a->stemmer)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "analyzer: out of memory for the stemmer");
    *ret = al_take(a);
    return AL_OK;
}

void al_analyzer_destroy(struct al_analyzer *a)
{
    if (!a)
        return;
    if (a->stemmer)
        sb_stemmer_delete(a->stemmer);
    al_mem_free(a->mem, a);
}

enum al_code al_analyzer_acquire(struct al_analyzer **ret, struct al_err *err)
{
    pthread_mutex_lock(&pool.mu);
    struct al_analyzer *a = pool.idle;
    if (a) {
        pool.idle = a->next;
        pool.n_idle--;
    }
    pthread_mutex_unlock(&pool.mu);
    if (!a)
        return al_analyzer_create(NULL, ret, err);
    a->next = NULL;
    *ret = a;
    return AL_OK;
}

void al_analyzer_release(struct al_analyzer *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&pool.mu);
    bool keep = pool.n_idle < POOL_KEEP_MAX;
    if (keep) {
        a->next = pool.idle;
        pool.idle = a;
        pool.n_idle++;
    }
    pthread_mutex_unlock(&pool.mu);
    if (!keep)
        al_analyzer_destroy(a);
}

static bool is_lower(unsigned char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(unsigned char c)
{
    return is_lower(c) || is_upper(c) || is_digit(c) || c == '_';
}

static unsigned char lower_of(unsigned char c)
{
    return is_upper(c) ? c + 32 : c;
}

/* Bit of a term that begins with these bytes; a term of one byte stands for all second ones. */
static size_t pair_bit(unsigned char first, unsigned char second)
{
    return (size_t)first << 8 | second;
}

/* May the term of the ASCII text p[0..n), n > 0, be wanted? Stemming keeps the first byte, and the
 * second but for a y that becomes i (dying: die). */
static bool may_be_wanted(const struct scan *s, const char *p, size_t n)
{
    if (!s->wanted)
        return true;
    size_t bit = pair_bit(lower_of((unsigned char)p[0]), n > 1 ? lower_of((unsigned char)p[1]) : 0);
    return s->wanted[bit / 64] >> bit % 64 & 1;
}

static void emit(struct scan *s, const char *p, size_t n)
{
    if (n == 0)
        return;
    s->term.term = (struct al_str){p, n};
    s->visit(s->u, &s->term);
}

static bool is_stop_word(const char *p, size_t n)
{
    if (n > 5)
        return false;
    for (size_t i = 0; i < AL_ARRAY_LEN(stop_words); i++)
        if (stop_words[i][0] == p[0] && strlen(stop_words[i]) == n &&
            memcmp(stop_words[i], p, n) == 0)
            return true;
    return false;
}

/* The stem of word[0..n), ASCII lower case; borrowed until the next call. */
static struct al_str stem_compute(struct al_analyzer *a, const char *word, size_t n)
{
    const sb_symbol *stem = sb_stemmer_stem(a->stemmer, (const sb_symbol *)word, (int)n);
    if (!stem)
        return (struct al_str){word, n}; /* out of memory inside the stemmer: unstemmed */
    int len = sb_stemmer_length(a->stemmer);
    size_t m = len > 0 ? (size_t)len : 0;
    return (struct al_str){(const char *)stem, m > AL_TERM_BYTES_MAX ? AL_TERM_BYTES_MAX : m};
}

static struct al_str stem_of(struct al_analyzer *a, const char *word, size_t n)
{
    if (n > CACHE_WORD_MAX)
        return stem_compute(a, word, n);
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)word[i]) * 16777619u;
    struct stem_slot *slot = &a->cache[(h ^ (h >> 15)) % CACHE_SLOTS];
    if (slot->word_n == n && memcmp(slot->word, word, n) == 0)
        return (struct al_str){slot->stem, slot->stem_n};
    struct al_str stem = stem_compute(a, word, n);
    if (stem.n > CACHE_WORD_MAX)
        return stem;
    slot->word_n = (uint8_t)n;
    slot->stem_n = (uint8_t)stem.n;
    memcpy(slot->word, word, n);
    memcpy(slot->stem, stem.p, stem.n);
    return (struct al_str){slot->stem, slot->stem_n};
}

/* Emit an ASCII lower-case piece: stop words out, stemmed. full: n was not cut. */
static void emit_piece(struct scan *s, const char *p, size_t n, bool full)
{
    if (is_stop_word(p, n))
        return;
    if (!full) {
        emit(s, p, n);
        return;
    }
    struct al_str stem = stem_of(s->a, p, n);
    emit(s, stem.p, stem.n);
}

/* Lower-case copy, cut at the longest term; the length. */
static size_t lower_copy(const char *p, size_t n, char *out)
{
    if (n > AL_TERM_BYTES_MAX)
        n = AL_TERM_BYTES_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        out[i] = (char)(is_upper(c) ? c + 32 : c);
    }
    return n;
}

/* End of the piece that starts at p[i]: [A-Z]+(?=[A-Z][a-z]) | [A-Z]?[a-z]+ | [A-Z]+ | [0-9]+ */
static size_t piece_end(const char *p, size_t i, size_t n)
{
    size_t e = i;
    if (is_digit((unsigned char)p[i])) {
        while (e < n && is_digit((unsigned char)p[e]))
            e++;
        return e;
    }
    while (e < n && is_upper((unsigned char)p[e]))
        e++;
    bool lower_follows = e < n && is_lower((unsigned char)p[e]);
    if (lower_follows && e - i > 1)
        return e - 1;
    while (e < n && is_lower((unsigned char)p[e]))
        e++;
    return e;
}

static size_t skip_under(const char *p, size_t i, size_t n)
{
    while (i < n && p[i] == '_')
        i++;
    return i;
}

/* One dotted part of an ASCII token. */
static void ascii_part(struct scan *s, const char *p, size_t n)
{
    char buf[AL_TERM_BYTES_MAX];
    size_t i = skip_under(p, 0, n);
    if (i == n)
        return;
    size_t e = piece_end(p, i, n);
    if (skip_under(p, e, n) < n && may_be_wanted(s, p, n))
        emit(s, buf, lower_copy(p, n, buf));
    while (i < n) {
        e = piece_end(p, i, n);
        if (may_be_wanted(s, p + i, e - i)) {
            size_t m = lower_copy(p + i, e - i, buf);
            emit_piece(s, buf, m, m == e - i);
        }
        i = skip_under(p, e, n);
    }
}

static bool is_number(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_digit((unsigned char)p[i]) && p[i] != '.')
            return false;
    return true;
}

static void ascii_token(struct scan *s, const char *p, size_t n)
{
    const char *dot = memchr(p, '.', n);
    if (dot && !is_number(p, n) && may_be_wanted(s, p, n)) {
        char buf[AL_TERM_BYTES_MAX];
        emit(s, buf, lower_copy(p, n, buf));
    }
    size_t from = 0;
    while (dot) {
        size_t at = (size_t)(dot - p);
        ascii_part(s, p + from, at - from);
        from = at + 1;
        dot = memchr(p + from, '.', n - from);
    }
    ascii_part(s, p + from, n - from);
}

/* cps[0..n) lower case as UTF-8, cut at a character border; the length. *ret_ascii, *ret_full about
 * the result. */
static size_t encode_lower(const uint32_t *cps, size_t n, char *out, bool *ret_ascii,
                           bool *ret_full)
{
    size_t m = 0;
    *ret_ascii = true;
    *ret_full = true;
    for (size_t i = 0; i < n; i++) {
        char one[4];
        uint32_t cp = al_cp_lower(cps[i]);
        size_t len = al_cp_put(cp, one);
        if (m + len > AL_TERM_BYTES_MAX) {
            *ret_full = false;
            break;
        }
        memcpy(out + m, one, len);
        m += len;
        *ret_ascii = *ret_ascii && cp < 0x80;
    }
    return m;
}

static void emit_whole(struct scan *s, const uint32_t *cps, size_t n)
{
    char buf[AL_TERM_BYTES_MAX];
    bool ascii = false;
    bool full = false;
    emit(s, buf, encode_lower(cps, n, buf, &ascii, &full));
}

static bool has_case(uint32_t cp)
{
    return al_cp_class(cp) == AL_CP_UPPER;
}

static bool is_lower_cp(uint32_t cp)
{
    return al_cp_class(cp) == AL_CP_LOWER;
}

/* piece_end for code points. */
static size_t cp_piece_end(const uint32_t *p, size_t i, size_t n)
{
    size_t e = i;
    if (al_cp_class(p[i]) == AL_CP_DIGIT) {
        while (e < n && al_cp_class(p[e]) == AL_CP_DIGIT)
            e++;
        return e;
    }
    while (e < n && has_case(p[e]))
        e++;
    if (e < n && is_lower_cp(p[e]) && e - i > 1)
        return e - 1;
    while (e < n && is_lower_cp(p[e]))
        e++;
    return e > i ? e : i + 1;
}

static size_t cp_skip_under(const uint32_t *p, size_t i, size_t n)
{
    while (i < n && p[i] == '_')
        i++;
    return i;
}

static void cp_part(struct scan *s, const uint32_t *p, size_t n)
{
    char buf[AL_TERM_BYTES_MAX];
    size_t i = cp_skip_under(p, 0, n);
    if (i == n)
        return;
    size_t e = cp_piece_end(p, i, n);
    if (cp_skip_under(p, e, n) < n)
        emit_whole(s, p, n);
    while (i < n) {
        bool ascii = false;
        bool full = false;
        e = cp_piece_end(p, i, n);
        size_t m = encode_lower(p + i, e - i, buf, &ascii, &full);
        if (m > 0)
            emit_piece(s, buf, m, ascii && full);
        i = cp_skip_under(p, e, n);
    }
}

/* Fold text[start, end) into a->cps: without accents, only letters, digits, '_' and '.'. */
static size_t fold_token(struct scan *s, size_t start, size_t end)
{
    size_t n = 0;
    struct al_str token = al_str_sub(s->text, start, end - start);
    for (size_t i = 0; i < token.n;) {
        uint32_t out[8];
        uint32_t cp = al_cp_next(token, &i);
        size_t k = 1;
        out[0] = cp;
        if (cp >= 0x80)
            k = al_cp_fold(cp, out, AL_ARRAY_LEN(out));
        for (size_t j = 0; j < k && n < UNICODE_TOKEN_CPS_MAX; j++)
            if (out[j] == '.' || al_cp_class(out[j]) != AL_CP_OTHER)
                s->a->cps[n++] = out[j];
    }
    return n;
}

static void unicode_token(struct scan *s, size_t start, size_t end)
{
    size_t n = fold_token(s, start, end);
    const uint32_t *cps = s->a->cps;
    size_t from = 0;
    bool dotted = false;
    for (size_t i = 0; i < n; i++)
        dotted = dotted || cps[i] == '.';
    if (dotted)
        emit_whole(s, cps, n);
    for (size_t i = 0; i < n; i++) {
        if (cps[i] != '.')
            continue;
        cp_part(s, cps + from, i - from);
        from = i + 1;
    }
    cp_part(s, cps + from, n - from);
}

static bool is_word_class(enum al_cp_class c)
{
    return c == AL_CP_LOWER || c == AL_CP_UPPER || c == AL_CP_DIGIT || c == AL_CP_MARK;
}

/* Length of the word character at text[i], 0 if there is none. *ret_wide: outside ASCII. */
static size_t word_char(struct al_str text, size_t i, bool *ret_wide)
{
    if (i >= text.n)
        return 0;
    unsigned char c = (unsigned char)text.p[i];
    if (c < 0x80)
        return is_word(c) ? 1 : 0;
    size_t next = i;
    if (!is_word_class(al_cp_class(al_cp_next(text, &next))))
        return 0;
    *ret_wide = true;
    return next - i;
}

/* End of the raw token that starts at `start`. *ret_wide: it has characters outside ASCII. */
static size_t token_end(struct al_str text, size_t start, bool *ret_wide)
{
    size_t i = start;
    for (;;) {
        while (i < text.n && is_word((unsigned char)text.p[i]) &&
               !(*ret_wide && i - start >= UNICODE_TOKEN_BYTES_MAX))
            i++;
        bool wide = *ret_wide;
        size_t dot = i > start && i < text.n && text.p[i] == '.' ? 1 : 0;
        size_t n = word_char(text, i + dot, &wide);
        if (n == 0 || (wide && i + dot + n - start > UNICODE_TOKEN_BYTES_MAX))
            return i;
        *ret_wide = wide;
        i += dot + n;
    }
}

static void latin_token(struct scan *s, size_t *i)
{
    bool wide = false;
    size_t start = *i;
    size_t end = token_end(s->text, start, &wide);
    s->term.start = (uint32_t)start;
    s->term.end = (uint32_t)end;
    if (wide)
        unicode_token(s, start, end);
    else
        ascii_token(s, s->text.p + start, end - start);
    s->term.position++;
    *i = end;
}

/* The Hangul character at text[*i] with its Jamo composed, AL_CP_BAD if there is none. */
static uint32_t next_hangul(struct al_str text, size_t *i)
{
    size_t at = *i;
    if (at >= text.n)
        return AL_CP_BAD;
    uint32_t cp = al_cp_next(text, &at);
    if (al_cp_class(cp) != AL_CP_HANGUL)
        return AL_CP_BAD;
    *i = at;
    size_t next = at;
    if (cp < 0x1100 || cp > 0x1112 || next >= text.n)
        return cp;
    uint32_t vowel = al_cp_next(text, &next);
    if (vowel < 0x1161 || vowel > 0x1175)
        return cp;
    cp = 0xAC00 + ((cp - 0x1100) * 21 + (vowel - 0x1161)) * 28;
    *i = next;
    if (next >= text.n)
        return cp;
    uint32_t tail = al_cp_next(text, &next);
    if (tail < 0x11A8 || tail > 0x11C2)
        return cp;
    *i = next;
    return cp + (tail - 0x11A7);
}

/* A Hangul word: its bigrams, then its whole if it is longer than one. */
static void hangul_word(struct scan *s, size_t *i)
{
    char whole[AL_TERM_BYTES_MAX];
    char pair[8];
    size_t whole_n = 0;
    size_t n_chars = 0;
    size_t last_n = 0;
    size_t start = *i;
    size_t end = start;
    while (next_hangul(s->text, &end) != AL_CP_BAD) {
    }
    s->term.start = (uint32_t)start;
    s->term.end = (uint32_t)end;
    while (*i < end) {
        uint32_t cp = next_hangul(s->text, i);
        size_t n = al_cp_put(cp, pair + last_n);
        if (whole_n + n <= sizeof(whole)) {
            memcpy(whole + whole_n, pair + last_n, n);
            whole_n += n;
        }
        if (n_chars > 0)
            emit(s, pair, last_n + n);
        memmove(pair, pair + last_n, n);
        last_n = n;
        n_chars++;
    }
    if (n_chars != 2)
        emit(s, whole, whole_n);
    s->term.position++;
}

/* A run of ideographs and Kana: each bigram is a token of its own, a run of one is itself. */
static void han_run(struct scan *s, size_t *i)
{
    size_t n_chars = 0;
    size_t last = *i;
    size_t at = *i;
    while (at < s->text.n) {
        size_t next = at;
        if (al_cp_class(al_cp_next(s->text, &next)) != AL_CP_HAN)
            break;
        if (n_chars > 0) {
            s->term.start = (uint32_t)last;
            s->term.end = (uint32_t)next;
            emit(s, s->text.p + last, next - last);
            s->term.position++;
        }
        n_chars++;
        last = at;
        at = next;
    }
    if (n_chars == 1) {
        s->term.start = (uint32_t)last;
        s->term.end = (uint32_t)at;
        emit(s, s->text.p + last, at - last);
        s->term.position++;
    }
    *i = at;
}

static void wide_char(struct scan *s, size_t *i)
{
    size_t next = *i;
    switch (al_cp_class(al_cp_next(s->text, &next))) {
    case AL_CP_HANGUL:
        hangul_word(s, i);
        return;
    case AL_CP_HAN:
        han_run(s, i);
        return;
    case AL_CP_LOWER:
    case AL_CP_UPPER:
    case AL_CP_DIGIT:
    case AL_CP_UNDER:
        latin_token(s, i);
        return;
    case AL_CP_OTHER:
    case AL_CP_MARK:
        *i = next;
        return;
    }
    *i = next;
}

/* At text[i], ASCII, nothing that would make the token before it longer. */
static bool ends_token(struct al_str text, size_t i)
{
    if (i < text.n && text.p[i] == '.')
        i++;
    return i >= text.n || ((unsigned char)text.p[i] < 0x80 && !is_word((unsigned char)text.p[i]));
}

/* Most tokens are one plain word: pass over it here if it cannot be wanted. */
static bool pass_over(struct scan *s, size_t *i)
{
    struct al_str text = s->text;
    size_t end = *i + 1;
    if (is_digit((unsigned char)text.p[*i]) || text.p[*i] == '_')
        return false;
    while (end < text.n && is_lower((unsigned char)text.p[end]))
        end++;
    if (!ends_token(text, end) || may_be_wanted(s, text.p + *i, end - *i))
        return false;
    s->term.position++;
    *i = end;
    return true;
}

static void scan_text(struct scan *s)
{
    for (size_t i = 0; i < s->text.n;) {
        unsigned char c = (unsigned char)s->text.p[i];
        if (c >= 0x80)
            wide_char(s, &i);
        else if (!is_word(c))
            i++;
        else if (!s->wanted || !pass_over(s, &i))
            latin_token(s, &i);
    }
}

void al_analyzer_run(struct al_analyzer *a, struct al_str text,
                     void (*visit)(void *u, const struct al_term *t), void *u)
{
    struct scan s = {.a = a, .text = text, .visit = visit, .u = u};
    scan_text(&s);
}

static void want(uint64_t *bits, unsigned char first, unsigned char second)
{
    size_t bit = pair_bit(first, second);
    bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

void al_analyzer_find(struct al_analyzer *a, struct al_str text, const struct al_str *wanted,
                      size_t n_wanted, void (*visit)(void *u, const struct al_term *t), void *u)
{
    uint64_t bits[PAIR_WORDS] = {0};
    struct scan s = {.a = a, .text = text, .visit = visit, .u = u, .wanted = bits};
    for (size_t i = 0; i < n_wanted; i++) {
        if (wanted[i].n == 0)
            continue;
        unsigned char first = (unsigned char)wanted[i].p[0];
        if (wanted[i].n == 1) {
            for (unsigned second = 0; second < 256; second++)
                want(bits, first, (unsigned char)second);
            continue;
        }
        want(bits, first, (unsigned char)wanted[i].p[1]);
        if (wanted[i].p[1] == 'i')
            want(bits, first, 'y');
    }
    scan_text(&s);
}
