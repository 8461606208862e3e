/* airlore/config.h - the configuration file: YAML, described by a table.
 *
 * One table says for each key its type, default, range and meaning; from it come parsing, errors
 * with line numbers, the reference page of the docs and `airlored --print-config`. An unknown key,
 * a value of the wrong type or out of range is an error that names file, line, key and what is
 * allowed; nothing is silently ignored.
 *
 * Limits: file 1 MiB, 8 levels, text 4 KiB unless the key says otherwise. One document of sections,
 * keys and values: lists, anchors, aliases, tags and dotted names are errors, and so is a key or
 * section given twice. A key without value is the empty text for AL_CONFIG_STRING, an error
 * otherwise. min and max of an AL_CONFIG_STRING are bytes.
 *
 * Keys are dotted paths ("limits.query_k_max"). Sizes accept 64KiB, 16MiB, 2GiB; durations 500ms,
 * 10s, 5m, 24h.
 *
 * Thread: a loaded configuration is immutable after start.
 */
#ifndef AIRLORE_CONFIG_H
#define AIRLORE_CONFIG_H

#include "airlore/disk.h"

enum al_config_type {
    AL_CONFIG_U64,
    AL_CONFIG_F64,
    AL_CONFIG_BOOL,
    AL_CONFIG_SIZE,     /* bytes, uint64_t */
    AL_CONFIG_DURATION, /* milliseconds, uint64_t */
    AL_CONFIG_STRING,   /* char *, owned by the configuration */
    AL_CONFIG_CHOICE,   /* index into `choices`, uint64_t */
};

/* One key. offset is that of the field in the caller's struct: uint64_t for U64, SIZE, DURATION and
 * CHOICE; double; bool; char *. */
struct al_config_key {
    const char *path;
    enum al_config_type type;
    size_t offset;
    const char *def; /* in the file's own syntax */
    const char *min; /* NULL: none */
    const char *max;
    const char *const *choices; /* NULL-terminated, for CHOICE */
    const char *help;
};

struct al_config_table {
    const struct al_config_key *keys;
    size_t n_keys;
    size_t struct_bytes;
};

/* Fill *out (struct_bytes, zeroed by us) with the defaults. Strings are allocated from mem:
 * al_config_fini. */
AL_NODISCARD enum al_code al_config_defaults(const struct al_config_table *t, struct al_mem *mem,
                                             void *out, struct al_err *err);

/* Defaults, then the file at path. AL_INVALID_ARGUMENT with reason BAD_CONFIG: "airlore.yaml:12:
 * limits.foo: unknown key". On error *out needs no al_config_fini. */
AL_NODISCARD enum al_code al_config_load(const struct al_config_table *t, struct al_disk *disk,
                                         const char *path, struct al_mem *mem, void *out,
                                         struct al_err *err);

/* The same from text; name is used in messages. */
AL_NODISCARD enum al_code al_config_parse(const struct al_config_table *t, struct al_str text,
                                          const char *name, struct al_mem *mem, void *out,
                                          struct al_err *err);

/* Override one key (a command line option): the same checks; name is used in messages. */
AL_NODISCARD enum al_code al_config_set(const struct al_config_table *t, void *out,
                                        const char *path, const char *value, struct al_mem *mem,
                                        struct al_err *err);

/* Free the strings. */
void al_config_fini(const struct al_config_table *t, void *out, struct al_mem *mem);

/* The configuration as YAML with comments (meaning, default, range). */
void al_config_print(const struct al_config_table *t, const void *cfg, struct al_buf *ret);

#endif
