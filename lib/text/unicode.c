#include "unicode.h"

#include <utf8proc.h>

static bool is_tail(unsigned char c)
{
    return (c & 0xC0u) == 0x80u;
}

/* Length of the sequence a lead byte starts, 0 for a byte that starts none. */
static size_t sequence_len(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF)
        return 2;
    if (c >= 0xE0 && c <= 0xEF)
        return 3;
    if (c >= 0xF0 && c <= 0xF4)
        return 4;
    return 0;
}

uint32_t al_cp_next(struct al_str s, size_t *i)
{
    const unsigned char *p = (const unsigned char *)s.p + *i;
    size_t left = s.n - *i;
    size_t n = sequence_len(p[0]);
    if (n == 1) {
        *i += 1;
        return p[0];
    }
    bool ok = n != 0 && n <= left;
    for (size_t k = 1; ok && k < n; k++)
        ok = is_tail(p[k]);
    if (!ok) {
        *i += 1;
        return AL_CP_BAD;
    }
    uint32_t cp = n == 2 ? p[0] & 0x1Fu : n == 3 ? p[0] & 0x0Fu : p[0] & 0x07u;
    for (size_t k = 1; k < n; k++)
        cp = (cp << 6) | (p[k] & 0x3Fu);
    bool overlong = (n == 3 && cp < 0x800) || (n == 4 && (cp < 0x10000 || cp > 0x10FFFF));
    if (overlong || (cp >= 0xD800 && cp <= 0xDFFF)) {
        *i += 1;
        return AL_CP_BAD;
    }
    *i += n;
    return cp;
}

size_t al_cp_put(uint32_t cp, char *out)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out);
}

static bool in(uint32_t cp, uint32_t first, uint32_t last)
{
    return cp >= first && cp <= last;
}

static bool is_hangul(uint32_t cp)
{
    return in(cp, 0xAC00, 0xD7A3) || in(cp, 0x1100, 0x11FF) || in(cp, 0x3131, 0x318E) ||
           in(cp, 0xA960, 0xA97F) || in(cp, 0xD7B0, 0xD7FF);
}

static bool is_han_kana(uint32_t cp)
{
    return in(cp, 0x4E00, 0x9FFF) || in(cp, 0x3041, 0x3096) || in(cp, 0x309D, 0x309F) ||
           in(cp, 0x30A1, 0x30FA) || in(cp, 0x30FC, 0x30FF) || in(cp, 0x3400, 0x4DBF) ||
           in(cp, 0xF900, 0xFAFF) || in(cp, 0x20000, 0x323AF) || in(cp, 0x31F0, 0x31FF) ||
           in(cp, 0xFF66, 0xFF9F) || cp == 0x3005 || cp == 0x3007;
}

static enum al_cp_class class_of_category(utf8proc_category_t category)
{
    switch ((int)category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return AL_CP_UPPER;
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return AL_CP_LOWER;
    case UTF8PROC_CATEGORY_ND:
        return AL_CP_DIGIT;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return AL_CP_MARK;
    default:
        return AL_CP_OTHER;
    }
}

enum al_cp_class al_cp_class(uint32_t cp)
{
    if (cp == AL_CP_BAD)
        return AL_CP_OTHER;
    if (cp == '_')
        return AL_CP_UNDER;
    if (is_hangul(cp))
        return AL_CP_HANGUL;
    if (is_han_kana(cp))
        return AL_CP_HAN;
    return class_of_category(utf8proc_category((utf8proc_int32_t)cp));
}

static size_t decompose(uint32_t cp, utf8proc_option_t options, uint32_t *out, size_t max)
{
    utf8proc_int32_t buf[32];
    int boundclass = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        (utf8proc_int32_t)cp, buf, (utf8proc_ssize_t)AL_ARRAY_LEN(buf), options, &boundclass);
    if (n < 0 || n > (utf8proc_ssize_t)AL_ARRAY_LEN(buf))
        return 0;
    size_t kept = 0;
    for (utf8proc_ssize_t k = 0; k < n && kept < max; k++)
        out[kept++] = (uint32_t)buf[k];
    return kept;
}

size_t al_cp_fold(uint32_t cp, uint32_t *out, size_t max)
{
    size_t n = decompose(cp, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, out, max);
    size_t kept = 0;
    for (size_t k = 0; k < n; k++)
        if (al_cp_class(out[k]) != AL_CP_MARK)
            out[kept++] = out[k];
    return kept;
}

size_t al_cp_nfd_lower(uint32_t cp, uint32_t *out, size_t max)
{
    size_t n = decompose(cp, UTF8PROC_DECOMPOSE, out, max);
    size_t kept = 0;
    for (size_t k = 0; k < n; k++)
        if (utf8proc_category((utf8proc_int32_t)out[k]) != UTF8PROC_CATEGORY_MN)
            out[kept++] = al_cp_lower(out[k]);
    return kept;
}

uint32_t al_cp_lower(uint32_t cp)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

bool al_cp_is_control(uint32_t cp)
{
    switch ((int)utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
        return true;
    default:
        return false;
    }
}

bool al_cp_is_space(uint32_t cp)
{
    return cp == ' ' || in(cp, 0x09, 0x0D) || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           in(cp, 0x2000, 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

bool al_cp_is_punct(uint32_t cp)
{
    if (cp < 0x80)
        return in(cp, 33, 47) || in(cp, 58, 64) || in(cp, 91, 96) || in(cp, 123, 126);
    switch ((int)utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    default:
        return false;
    }
}

/* 0x2B920: extension E begins at 0x2B820, but the reference tokenizer has it so. */
bool al_cp_is_cjk(uint32_t cp)
{
    return in(cp, 0x4E00, 0x9FFF) || in(cp, 0x3400, 0x4DBF) || in(cp, 0x20000, 0x2A6DF) ||
           in(cp, 0x2A700, 0x2B73F) || in(cp, 0x2B740, 0x2B81F) || in(cp, 0x2B920, 0x2CEAF) ||
           in(cp, 0xF900, 0xFAFF) || in(cp, 0x2F800, 0x2FA1F);
}
