#include <stddef.h>

#include "airlore/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct settings {
    uint64_t count;
    double share;
    bool on;
    uint64_t size_bytes;
    uint64_t wait_ms;
    char *name;
    uint64_t mode;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const modes[] = {"slow", "fast", NULL};
    static const struct al_config_key keys[] = {
        {"count", AL_CONFIG_U64, offsetof(struct settings, count), "3", "1", "100", NULL,
         "a number"},
        {"limits.share", AL_CONFIG_F64, offsetof(struct settings, share), "0.5", "0", "1", NULL,
         "a share"},
        {"limits.on", AL_CONFIG_BOOL, offsetof(struct settings, on), "true", NULL, NULL, NULL,
         "a switch"},
        {"limits.size", AL_CONFIG_SIZE, offsetof(struct settings, size_bytes), "1MiB", "1KiB",
         "1GiB", NULL, "a size"},
        {"wait", AL_CONFIG_DURATION, offsetof(struct settings, wait_ms), "10s", "1ms", "24h", NULL,
         "a time"},
        {"name", AL_CONFIG_STRING, offsetof(struct settings, name), "", NULL, NULL, NULL, "a name"},
        {"mode", AL_CONFIG_CHOICE, offsetof(struct settings, mode), "slow", NULL, NULL, modes,
         "a mode"},
    };
    static const struct al_config_table table = {keys, AL_ARRAY_LEN(keys), sizeof(struct settings)};
    struct settings s;
    struct al_err err;
    struct al_str text = {(const char *)data, n};
    if (al_config_parse(&table, text, "fuzz", NULL, &s, &err) == AL_OK) {
        AL_ASSERT(s.count >= 1 && s.count <= 100 && s.mode <= 1);
        al_config_fini(&table, &s, NULL);
    }
    return 0;
}
