#include "certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A PEM text, a DER certificate and a fingerprint: any bytes may be any of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct al_arena a;
    struct al_str in = {(const char *)data, n};
    struct al_str der;
    uint64_t end = 0;
    char hex[65];
    al_arena_init(&a, NULL, 1 << 20);
    if (al_certificate_der(in, &a, &der, NULL) == AL_OK)
        AL_ASSERT(der.n > 0 && der.n < n);
    (void)!al_certificate_end(in, &end, NULL);
    if (al_fingerprint_parse(in, hex, NULL) == AL_OK)
        AL_ASSERT(hex[64] == '\0');
    al_arena_fini(&a);
    return 0;
}
