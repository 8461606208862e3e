/* key_text.h - the text of an API key, "al_<id>_<secret>", and the hash that is kept of it.
 *
 * id: 12 characters of base32 (60 bits, public); secret: 40 characters (200 bits). The secret has
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

/* Make a new key: id into ret_id[24], whole text into ret_text. */
void al_key_text_make(struct al_random *rnd, char ret_id[24], char ret_text[AL_KEY_TEXT_MAX]);

/* Split into id and secret (views); false when malformed. */
bool al_key_text_split(struct al_str text, struct al_str *ret_id, struct al_str *ret_secret);

/* Hash of a secret. */
void al_key_hash(struct al_str secret, const uint8_t salt[16], uint8_t ret[AL_KEY_HASH_BYTES]);

/* Equal in constant time. */
bool al_key_hash_equal(const uint8_t a[AL_KEY_HASH_BYTES], const uint8_t b[AL_KEY_HASH_BYTES]);

/* BLAKE2b-256 of bytes, for content hashes and digests. */
void al_digest(struct al_str bytes, uint8_t ret[32]);

#endif
