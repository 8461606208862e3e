/* config_value.h - one value of the configuration: text to field and back; private to base.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_CONFIG_VALUE_H
#define AIRLORE_CONFIG_VALUE_H

#include "airlore/config.h"

#define AL_CONFIG_DEPTH_MAX 8
#define AL_CONFIG_FILE_BYTES_MAX ((size_t)1 << 20)
#define AL_CONFIG_STRING_BYTES_MAX 4096u

/* Set the key's field of cfg from text, checked for type and range; an old string is freed.
 * Messages begin with the key's path. AL_INVALID_ARGUMENT (BAD_CONFIG), AL_RESOURCE_EXHAUSTED; cfg
 * is unchanged then. */
AL_NODISCARD enum al_code al_config_value_set(const struct al_config_key *k, struct al_str text,
                                              struct al_mem *mem, void *cfg, struct al_err *err);

/* Append the key's value as YAML that reads back as the same value. */
void al_config_value_print(const struct al_config_key *k, const void *cfg, struct al_buf *ret);

/* Append what is allowed: "1 to 1000", "one of: a, b"; nothing if there is no limit. */
void al_config_value_range(const struct al_config_key *k, struct al_buf *ret);

/* s for a message: cut at 64 bytes, what is not printable ASCII becomes '?'. buf of at least 72
 * bytes; gives buf. */
const char *al_config_show(struct al_str s, char *buf, size_t n);

#endif
