#include "airlore/str.h"

#include <stdio.h>
#include <string.h>

struct al_str al_str_c(const char *s)
{
    return (struct al_str){s, s ? strlen(s) : 0};
}

bool al_str_eq(struct al_str a, struct al_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool al_str_is(struct al_str a, const char *b)
{
    return al_str_eq(a, al_str_c(b));
}

int al_str_cmp(struct al_str a, struct al_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool al_str_starts(struct al_str s, struct al_str prefix)
{
    return s.n >= prefix.n && al_str_eq(al_str_sub(s, 0, prefix.n), prefix);
}

bool al_str_ends(struct al_str s, struct al_str suffix)
{
    return s.n >= suffix.n && al_str_eq(al_str_sub(s, s.n - suffix.n, suffix.n), suffix);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct al_str al_str_trim(struct al_str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct al_str al_str_sub(struct al_str s, size_t from, size_t n)
{
    if (from >= s.n)
        return (struct al_str){s.p, 0};
    return (struct al_str){s.p + from, n < s.n - from ? n : s.n - from};
}

size_t al_str_find(struct al_str s, struct al_str needle, size_t from)
{
    if (from > s.n)
        return SIZE_MAX;
    if (needle.n == 0)
        return from;
    const char *hit = s.n - from ? memmem(s.p + from, s.n - from, needle.p, needle.n) : NULL;
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

bool al_str_u64(struct al_str s, uint64_t *ret)
{
    if (!s.n)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

/* Length of the well-formed character at p[0..n), 0 if it is none. Table 3-7 of the Unicode
 * standard. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || n < len)
        return 0;
    uint8_t lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    uint8_t hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool al_str_is_utf8(struct al_str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len(p + i, s.n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

size_t al_str_utf8_floor(struct al_str s, size_t n)
{
    if (n >= s.n)
        return s.n;
    size_t m = n;
    while (m > 0 && n - m < 3 && ((uint8_t)s.p[m] & 0xC0) == 0x80)
        m--;
    return m;
}

#define BUF_LIMIT_DEFAULT ((size_t)1 << 30)

void al_buf_init(struct al_buf *b, struct al_mem *mem, size_t limit_bytes)
{
    *b = (struct al_buf){.mem = mem, .limit = limit_bytes ? limit_bytes : BUF_LIMIT_DEFAULT};
}

void al_buf_fini(struct al_buf *b)
{
    if (b->p)
        al_mem_free(b->mem, b->p);
    *b = (struct al_buf){.mem = b->mem, .limit = b->limit};
}

void al_buf_reset(struct al_buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

static bool reserve(struct al_buf *b, size_t more)
{
    if (b->failed)
        return false;
    size_t limit = b->limit ? b->limit : BUF_LIMIT_DEFAULT;
    if (more > limit || limit - more < b->n || b->n + more == SIZE_MAX) {
        b->failed = true;
        return false;
    }
    void *p = b->p;
    if (al_mem_grow(b->mem, &p, &b->cap, b->n + more + 1, 1) != AL_OK) {
        b->failed = true;
        return false;
    }
    b->p = p;
    return true;
}

void al_buf_add(struct al_buf *b, const void *p, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void al_buf_str(struct al_buf *b, struct al_str s)
{
    al_buf_add(b, s.p, s.n);
}

void al_buf_cstr(struct al_buf *b, const char *s)
{
    al_buf_str(b, al_str_c(s));
}

void al_buf_char(struct al_buf *b, char c)
{
    al_buf_add(b, &c, 1);
}

void al_buf_printf(struct al_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

static void add_le(struct al_buf *b, uint64_t v, unsigned bytes)
{
    uint8_t x[8];
    for (unsigned i = 0; i < bytes; i++)
        x[i] = (uint8_t)(v >> (8 * i));
    al_buf_add(b, x, bytes);
}

static void add_be(struct al_buf *b, uint64_t v, unsigned bytes)
{
    uint8_t x[8];
    for (unsigned i = 0; i < bytes; i++)
        x[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    al_buf_add(b, x, bytes);
}

void al_buf_u32le(struct al_buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void al_buf_u64le(struct al_buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void al_buf_u16be(struct al_buf *b, uint16_t v)
{
    add_be(b, v, 2);
}

void al_buf_u32be(struct al_buf *b, uint32_t v)
{
    add_be(b, v, 4);
}

void al_buf_u64be(struct al_buf *b, uint64_t v)
{
    add_be(b, v, 8);
}

void al_buf_varint(struct al_buf *b, uint64_t v)
{
    uint8_t x[10];
    size_t n = 0;
    do {
        x[n++] = (uint8_t)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
        v >>= 7;
    } while (v);
    al_buf_add(b, x, n);
}

void al_buf_lenstr(struct al_buf *b, struct al_str s)
{
    al_buf_varint(b, s.n);
    al_buf_str(b, s);
}

enum al_code al_buf_status(const struct al_buf *b, struct al_err *err)
{
    if (!b->failed)
        return AL_OK;
    return AL_FAIL(err, AL_RESOURCE_EXHAUSTED,
                   "buffer: out of memory or past its limit of %zu bytes",
                   b->limit ? b->limit : BUF_LIMIT_DEFAULT);
}

struct al_str al_buf_view(const struct al_buf *b)
{
    return (struct al_str){b->p, b->n};
}

struct al_reader al_reader_of(struct al_str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    return (struct al_reader){p, p ? p + s.n : p, false};
}

static const uint8_t *take(struct al_reader *r, size_t n)
{
    if (r->failed || (size_t)(r->end - r->p) < n) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

static uint64_t take_le(struct al_reader *r, unsigned bytes)
{
    const uint8_t *p = take(r, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t take_be(struct al_reader *r, unsigned bytes)
{
    const uint8_t *p = take(r, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t al_reader_u8(struct al_reader *r)
{
    return (uint8_t)take_le(r, 1);
}

uint32_t al_reader_u32le(struct al_reader *r)
{
    return (uint32_t)take_le(r, 4);
}

uint64_t al_reader_u64le(struct al_reader *r)
{
    return take_le(r, 8);
}

uint16_t al_reader_u16be(struct al_reader *r)
{
    return (uint16_t)take_be(r, 2);
}

uint32_t al_reader_u32be(struct al_reader *r)
{
    return (uint32_t)take_be(r, 4);
}

uint64_t al_reader_u64be(struct al_reader *r)
{
    return take_be(r, 8);
}

uint64_t al_reader_varint(struct al_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = take(r, 1);
        if (!p)
            return 0;
        if (shift == 63 && *p > 1)
            break; /* more than 64 bits */
        v |= (uint64_t)(*p & 0x7F) << shift;
        if (!(*p & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

struct al_str al_reader_bytes(struct al_reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    return p ? (struct al_str){(const char *)p, n} : (struct al_str){NULL, 0};
}

struct al_str al_reader_lenstr(struct al_reader *r)
{
    uint64_t n = al_reader_varint(r);
    if (r->failed || n > (uint64_t)(r->end - r->p)) {
        r->failed = true;
        return (struct al_str){NULL, 0};
    }
    return al_reader_bytes(r, (size_t)n);
}

bool al_reader_done(const struct al_reader *r)
{
    return !r->failed && r->p == r->end;
}
