/* key_text.h - the text of an API key, "al_<id>_<secret>", and the hash that is kept of it.
 *
 * id: 12 characters of base32 (60 bits, public), or [a-z0-9]{4,32} that was chosen; secret: 40
 * characters (200 bits). The secret has
 * full entropy, so that a fast keyed hash (BLAKE2b with a salt for each key) is the right one:
 * there is nothing to guess.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_COORDINATOR_KEY_TEXT_H
#define AIRLORE_COORDINATOR_KEY_TEXT_H

#include "tables.h"

#define AL_KEY_ID_CHARS 12u
#define AL_KEY_SECRET_CHARS 40u

/* Make a new key: whole text into ret_text. id: "" makes one. */
void al_key_text_make(struct al_random *rnd, char id[AL_KEY_ID_MAX + 1],
                      char ret_text[AL_KEY_TEXT_MAX]);

/* Is this an id that may be chosen? */
bool al_key_id_is_valid(const char *id);

/* Split into id and secret (views); false when malformed. */
bool al_key_text_split(struct al_str text, struct al_str *ret_id, struct al_str *ret_secret);

/* Hash of a secret. */
void al_key_hash(struct al_str secret, const uint8_t salt[16], uint8_t ret[AL_KEY_HASH_BYTES]);

/* Equal in constant time. */
bool al_key_hash_equal(const uint8_t a[AL_KEY_HASH_BYTES], const uint8_t b[AL_KEY_HASH_BYTES]);

/* SHA-256 as 64 lower-case hexadecimal digits. */
void al_sha256_hex(struct al_str bytes, char ret[65]);

/* BLAKE2b-256 of bytes, for content hashes and digests. */
void al_digest(struct al_str bytes, uint8_t ret[32]);

#endif
