/* Any bytes as a time, a number and UTF-8 text. */
#include <stdint.h>
#include <string.h>

#include "airlore/clock.h"
#include "airlore/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_str s = {(const char *)data, size};
    uint64_t ms = 0;
    uint64_t n = 0;
    char text[32];
    if (al_clock_parse_rfc3339(s.p, s.n, &ms, NULL) == AL_OK && ms < 253402300800000u) {
        uint64_t again = 0; /* before the year 10000 what is written is read as the same */
        al_clock_format_rfc3339(ms, text, sizeof text);
        AL_ASSERT(al_clock_parse_rfc3339(text, strlen(text), &again, NULL) == AL_OK);
        AL_ASSERT(again == ms);
    }
    if (al_str_u64(s, &n))
        AL_ASSERT(size > 0); /* leading zeros are digits too */
    (void)al_str_is_utf8(s);
    return 0;
}
