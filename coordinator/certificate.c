#include "certificate.h"

#include <stdio.h>
#include <string.h>

#include "airlore/clock.h"

/* ---- PEM ---- */

static enum al_code bad(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT", "certificate: %s", what);
}

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *p = c ? strchr(digits, c) : NULL;
    return p ? (int)(p - digits) : -1;
}

/* Base64 with line ends and padding into out (3/4 of n); SIZE_MAX when it is none. */
static size_t decode_base64(struct al_str s, uint8_t *out)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    unsigned pads = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        if (c == '=') {
            pads++;
            continue;
        }
        int v = digit_of(c);
        if (v < 0 || pads)
            return SIZE_MAX;
        digits++;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    return pads <= 2 && (digits + pads) % 4 == 0 ? n : SIZE_MAX;
}

enum al_code al_certificate_der(struct al_str pem, struct al_arena *a, struct al_str *ret,
                                struct al_err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    static const char end[] = "-----END CERTIFICATE-----";
    if (pem.n > AL_CERTIFICATE_PEM_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "certificate: at most %u bytes",
                         AL_CERTIFICATE_PEM_MAX);
    size_t from = al_str_find(pem, al_str_c(begin), 0);
    if (from == SIZE_MAX)
        return bad(err, "no PEM: '-----BEGIN CERTIFICATE-----' is missing");
    from += sizeof begin - 1;
    size_t to = al_str_find(pem, al_str_c(end), from);
    if (to == SIZE_MAX)
        return bad(err, "no PEM: '-----END CERTIFICATE-----' is missing");
    uint8_t *der = al_arena_alloc(a, (to - from) / 4 * 3 + 4);
    if (!der)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT",
                         "request: memory limit reached");
    size_t n = decode_base64(al_str_sub(pem, from, to - from), der);
    if (n == SIZE_MAX || n == 0)
        return bad(err, "no PEM: what lies between its lines is no base64");
    *ret = (struct al_str){(const char *)der, n};
    return AL_OK;
}

/* ---- DER: tag, length, contents ---- */

enum {
    TAG_INTEGER = 0x02,
    TAG_UTC_TIME = 0x17,
    TAG_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_VERSION = 0xa0
};

/* Take one element off the front of *rest; false when it is not whole. */
static bool take(struct al_str *rest, uint8_t *ret_tag, struct al_str *ret)
{
    const uint8_t *p = (const uint8_t *)rest->p;
    if (rest->n < 2)
        return false;
    size_t head = 2;
    size_t n = p[1];
    if (n > 0x7f) {
        size_t k = n & 0x7f;
        if (k < 1 || k > 4 || rest->n < 2 + k)
            return false;
        n = 0;
        for (size_t i = 0; i < k; i++)
            n = n << 8 | p[2 + i];
        head += k;
    }
    if (rest->n - head < n)
        return false;
    *ret_tag = p[0];
    *ret = al_str_sub(*rest, head, n);
    *rest = al_str_sub(*rest, head + n, SIZE_MAX);
    return true;
}

static bool take_tag(struct al_str *rest, uint8_t tag, struct al_str *ret)
{
    uint8_t have = 0;
    return take(rest, &have, ret) && have == tag;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ (RFC 5280, 4.1.2.5) to milliseconds. */
static bool parse_time(uint8_t tag, struct al_str s, uint64_t *ret_ms)
{
    char text[32];
    const char *century = "";
    if (tag == TAG_UTC_TIME && s.n == 13)
        century = s.p[0] < '5' ? "20" : "19";
    else if (tag != TAG_TIME || s.n != 15)
        return false;
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    if (s.p[s.n - 1] != 'Z')
        return false;
    size_t y = tag == TAG_UTC_TIME ? 2 : 4; /* digits of the year */
    int n = snprintf(text, sizeof text, "%s%.*s-%.2s-%.2sT%.2s:%.2s:%.2sZ", century, (int)y, s.p,
                     s.p + y, s.p + y + 2, s.p + y + 4, s.p + y + 6, s.p + y + 8);
    int year = 0;
    for (int i = 0; i < 4; i++)
        year = year * 10 + (text[i] - '0');
    if (year < 1970) {
        *ret_ms = 0;
        return true;
    }
    return al_clock_parse_rfc3339(text, (size_t)n, ret_ms, NULL) == AL_OK;
}

enum al_code al_certificate_end(struct al_str der, uint64_t *ret_ms, struct al_err *err)
{
    struct al_str outer;
    struct al_str cert;
    struct al_str part;
    struct al_str validity;
    uint8_t tag = 0;
    uint64_t ms = 0;
    bool ok = take_tag(&der, TAG_SEQUENCE, &outer) && take_tag(&outer, TAG_SEQUENCE, &cert);
    /* version (may be absent), serial number, algorithm, issuer, validity */
    ok = ok && take(&cert, &tag, &part);
    if (ok && tag == TAG_VERSION)
        ok = take(&cert, &tag, &part);
    ok = ok && tag == TAG_INTEGER && take_tag(&cert, TAG_SEQUENCE, &part) &&
         take_tag(&cert, TAG_SEQUENCE, &part) && take_tag(&cert, TAG_SEQUENCE, &validity);
    ok = ok && take(&validity, &tag, &part) && take(&validity, &tag, &part) &&
         parse_time(tag, part, &ms);
    if (!ok)
        return bad(err, "no X.509 certificate");
    *ret_ms = ms;
    return AL_OK;
}

enum al_code al_fingerprint_parse(struct al_str text, char ret[65], struct al_err *err)
{
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < text.n; i++) {
        char c = text.p[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (c == ':' && n > 0 && n % 2 == 0 && i + 1 < text.n && text.p[i + 1] != ':')
            continue;
        ok = n < 64 && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
        if (ok)
            ret[n++] = c;
    }
    if (!ok || n != 64)
        return bad(err, "a SHA-256 has 64 hexadecimal digits");
    ret[64] = '\0';
    return AL_OK;
}
