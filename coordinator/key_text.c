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

void al_key_text_make(struct al_random *rnd, char ret_id[24], char ret_text[AL_KEY_TEXT_MAX])
{
    char secret[AL_KEY_SECRET_CHARS + 1];
    random_chars(rnd, ret_id, AL_KEY_ID_CHARS);
    random_chars(rnd, secret, AL_KEY_SECRET_CHARS);
    snprintf(ret_text, AL_KEY_TEXT_MAX, "al_%s_%s", ret_id, secret);
    sodium_memzero(secret, sizeof secret);
}

static bool all_in_alphabet(struct al_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!s.p[i] || !strchr(ALPHABET, s.p[i]))
            return false;
    }
    return true;
}

bool al_key_text_split(struct al_str text, struct al_str *ret_id, struct al_str *ret_secret)
{
    if (text.n != 3 + AL_KEY_ID_CHARS + 1 + AL_KEY_SECRET_CHARS ||
        !al_str_starts(text, AL_STR("al_")))
        return false;
    struct al_str id = al_str_sub(text, 3, AL_KEY_ID_CHARS);
    struct al_str secret = al_str_sub(text, 3 + AL_KEY_ID_CHARS + 1, AL_KEY_SECRET_CHARS);
    if (text.p[3 + AL_KEY_ID_CHARS] != '_' || !all_in_alphabet(id) || !all_in_alphabet(secret))
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

void al_digest(struct al_str bytes, uint8_t ret[32])
{
    int rc = crypto_generichash(ret, 32, (const uint8_t *)bytes.p, bytes.n, NULL, 0);
    AL_ASSERT(rc == 0);
}
