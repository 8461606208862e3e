#include "key_text.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char ALPHABET[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32, none looks like another */

static void random_chars(struct al_random *rnd, char *out, size_t n)
{
    uint8_t raw[64];
    AL_ASSERT(n <= sizeof raw);
    al_random_fill(rnd, raw, n);
    for (size_t i = 0; i < n; i++)
        out[i] = ALPHABET[raw[i] & 31];
    out[n] = '\0';
    sodium_memzero(raw, sizeof raw);
}

void al_key_text_make(struct al_random *rnd, char id[AL_KEY_ID_MAX + 1],
                      char ret_text[AL_KEY_TEXT_MAX])
{
    char secret[AL_KEY_SECRET_CHARS + 1];
    if (!id[0])
        random_chars(rnd, id, AL_KEY_ID_CHARS);
    random_chars(rnd, secret, AL_KEY_SECRET_CHARS);
    snprintf(ret_text, AL_KEY_TEXT_MAX, "al_%s_%s", id, secret);
    sodium_memzero(secret, sizeof secret);
}

static bool all_of(struct al_str s, const char *alphabet)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!s.p[i] || !strchr(alphabet, s.p[i]))
            return false;
    }
    return true;
}

static bool is_id(struct al_str id)
{
    return id.n >= AL_KEY_ID_MIN && id.n <= AL_KEY_ID_MAX &&
           all_of(id, "abcdefghijklmnopqrstuvwxyz0123456789");
}

bool al_key_id_is_valid(const char *id)
{
    return is_id(al_str_c(id));
}

bool al_key_text_split(struct al_str text, struct al_str *ret_id, struct al_str *ret_secret)
{
    if (text.n < 3 + AL_KEY_ID_MIN + 1 + AL_KEY_SECRET_CHARS ||
        text.n > 3 + AL_KEY_ID_MAX + 1 + AL_KEY_SECRET_CHARS || !al_str_starts(text, AL_STR("al_")))
        return false;
    size_t n = text.n - 3 - 1 - AL_KEY_SECRET_CHARS;
    struct al_str id = al_str_sub(text, 3, n);
    struct al_str secret = al_str_sub(text, 3 + n + 1, AL_KEY_SECRET_CHARS);
    if (text.p[3 + n] != '_' || !is_id(id) || !all_of(secret, ALPHABET))
        return false;
    *ret_id = id;
    *ret_secret = secret;
    return true;
}

void al_key_hash(struct al_str secret, const uint8_t salt[16], uint8_t ret[AL_KEY_HASH_BYTES])
{
    int rc =
        crypto_generichash(ret, AL_KEY_HASH_BYTES, (const uint8_t *)secret.p, secret.n, salt, 16);
    AL_ASSERT(rc == 0);
}

bool al_key_hash_equal(const uint8_t a[AL_KEY_HASH_BYTES], const uint8_t b[AL_KEY_HASH_BYTES])
{
    return sodium_memcmp(a, b, AL_KEY_HASH_BYTES) == 0;
}

void al_sha256_hex(struct al_str bytes, char ret[65])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    int rc = crypto_hash_sha256(hash, (const uint8_t *)bytes.p, bytes.n);
    AL_ASSERT(rc == 0);
    sodium_bin2hex(ret, 65, hash, sizeof hash);
}

void al_digest(struct al_str bytes, uint8_t ret[32])
{
    int rc = crypto_generichash(ret, 32, (const uint8_t *)bytes.p, bytes.n, NULL, 0);
    AL_ASSERT(rc == 0);
}
