/* Any bytes to the redaction: applying it twice changes nothing more, and leaving out the rules
 * that cannot match changes nothing at all. */
#include <stdint.h>

#include "airlore/redact.h"
#include "redact_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_arena a;
    struct al_str text = {(const char *)data, size};
    struct al_str once = {NULL, 0};
    struct al_str twice = {NULL, 0};
    struct al_str full = {NULL, 0};
    uint32_t n = 0;
    uint32_t n_full = 0;
    al_arena_init(&a, NULL, (size_t)64 << 20);
    if (al_redact(text, &a, &once, &n, NULL) == AL_OK) {
        AL_ASSERT(n > 0 || once.p == text.p);
        if (al_redact_run(text, true, &a, &full, &n_full, NULL) == AL_OK)
            AL_ASSERT(n == n_full && al_str_eq(once, full));
        enum al_code code = al_redact(once, &a, &twice, &n, NULL);
        AL_ASSERT(code == AL_RESOURCE_EXHAUSTED || (code == AL_OK && n == 0));
    }
    al_arena_fini(&a);
    return 0;
}
