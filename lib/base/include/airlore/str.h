/* airlore/str.h - byte strings: a borrowed view and a growing buffer.
 *
 * struct al_str is a view: pointer and length, not NUL-terminated, any bytes. Who owns the bytes is
 * said where the view is given. struct al_buf owns its bytes and keeps a NUL behind them.
 *
 * A failed append is remembered: append freely, then check al_buf_status once.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_STR_H
#define AIRLORE_STR_H

#include <stdint.h>

#include "airlore/mem.h"

struct al_str {
    const char *p;
    size_t n;
};

#define AL_STR(literal_) ((struct al_str){"" literal_, sizeof(literal_) - 1})
#define AL_STR_INIT(literal_)             \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    } /* in the initializer of a static table */
#define AL_STR_FMT "%.*s"
#define AL_STR_ARG(s_) ((int)((s_).n > 4096 ? 4096 : (s_).n)), ((s_).p ? (s_).p : "")

/* View of a C string; NULL gives the empty view. */
struct al_str al_str_c(const char *s);

/* Equal bytes. */
bool al_str_eq(struct al_str a, struct al_str b);

/* Equal to a C string. */
bool al_str_is(struct al_str a, const char *b);

/* memcmp order, shorter first on a tie: < 0, 0, > 0. */
int al_str_cmp(struct al_str a, struct al_str b);

/* Prefix and suffix tests. */
bool al_str_starts(struct al_str s, struct al_str prefix);
bool al_str_ends(struct al_str s, struct al_str suffix);

/* Without ASCII white space at both ends. */
struct al_str al_str_trim(struct al_str s);

/* Bytes [from, from + n), cut to what is there. */
struct al_str al_str_sub(struct al_str s, size_t from, size_t n);

/* Offset of the first occurrence at or after `from`, or SIZE_MAX. */
size_t al_str_find(struct al_str s, struct al_str needle, size_t from);

/* Whole string as a decimal number without sign; false if it is not one or does not fit. */
bool al_str_u64(struct al_str s, uint64_t *ret);

/* Well-formed UTF-8 (no surrogates, no overlong forms, up to U+10FFFF); U+0000 allowed. */
bool al_str_is_utf8(struct al_str s);

/* Largest m <= n such that s[0..m) ends at a UTF-8 character border. */
size_t al_str_utf8_floor(struct al_str s, size_t n);

struct al_buf {
    char *p; /* NUL after p[n - 1] once anything was appended */
    size_t n;
    /* private state */
    size_t cap;
    size_t limit;
    struct al_mem *mem;
    bool failed;
};

/* Empty buffer; allocates nothing. mem borrowed (NULL: standard); limit_bytes 0: 1 GiB. */
void al_buf_init(struct al_buf *b, struct al_mem *mem, size_t limit_bytes);

/* Give the bytes back. Accepts zeroed memory. */
void al_buf_fini(struct al_buf *b);

/* Length 0, memory kept, failure forgotten. */
void al_buf_reset(struct al_buf *b);

/* Append; after a failure all appends do nothing. */
void al_buf_add(struct al_buf *b, const void *p, size_t n);
void al_buf_str(struct al_buf *b, struct al_str s);
void al_buf_cstr(struct al_buf *b, const char *s);
void al_buf_char(struct al_buf *b, char c);
void al_buf_printf(struct al_buf *b, const char *fmt, ...) AL_PRINTF(2, 3);

/* Append fixed-width integers: little endian, and big endian (keys that sort). */
void al_buf_u32le(struct al_buf *b, uint32_t v);
void al_buf_u64le(struct al_buf *b, uint64_t v);
void al_buf_u16be(struct al_buf *b, uint16_t v);
void al_buf_u32be(struct al_buf *b, uint32_t v);
void al_buf_u64be(struct al_buf *b, uint64_t v);

/* Append an LEB128 varint, and a length-prefixed string. */
void al_buf_varint(struct al_buf *b, uint64_t v);
void al_buf_lenstr(struct al_buf *b, struct al_str s);

/* AL_OK, or AL_RESOURCE_EXHAUSTED if an append failed (memory or limit). */
AL_NODISCARD enum al_code al_buf_status(const struct al_buf *b, struct al_err *err);

/* The content. Borrowed until the next change. */
struct al_str al_buf_view(const struct al_buf *b);

/* A reader of encoded bytes: every take past the end sets `failed` and gives zeros, so that a
 * decoder checks once. */
struct al_reader {
    const uint8_t *p;
    const uint8_t *end;
    bool failed;
};

/* Read from s, borrowed. */
struct al_reader al_reader_of(struct al_str s);

/* Fixed-width, varint and length-prefixed values; a view borrows from the source. */
uint8_t al_reader_u8(struct al_reader *r);
uint32_t al_reader_u32le(struct al_reader *r);
uint64_t al_reader_u64le(struct al_reader *r);
uint16_t al_reader_u16be(struct al_reader *r);
uint32_t al_reader_u32be(struct al_reader *r);
uint64_t al_reader_u64be(struct al_reader *r);
uint64_t al_reader_varint(struct al_reader *r);
struct al_str al_reader_lenstr(struct al_reader *r);
struct al_str al_reader_bytes(struct al_reader *r, size_t n);

/* All read and nothing failed. */
bool al_reader_done(const struct al_reader *r);

#endif
