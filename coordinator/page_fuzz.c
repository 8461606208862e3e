/* Page tokens: any text, and any content under a good seal (a former version's, say). The first
 * byte chooses. */
#include <sodium.h>
#include <string.h>

#include "page.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEAL_BYTES ((size_t)crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)

/* The content, sealed with the coordinator's key, as text. */
static struct al_str seal(const struct al_coordinator *c, struct al_str plain, struct al_arena *a)
{
    uint8_t *sealed = al_arena_alloc(a, plain.n + SEAL_BYTES);
    size_t n_hex = 2 * (plain.n + SEAL_BYTES) + 1;
    char *hex = al_arena_alloc(a, n_hex);
    if (!sealed || !hex)
        return AL_STR("");
    memset(sealed, 7, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, (const uint8_t *)plain.p, plain.n,
                          sealed, c->page_key);
    return al_str_c(sodium_bin2hex(hex, n_hex, sealed, plain.n + SEAL_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct al_router router = {.n_shards = 4};
    static struct al_coordinator c = {.opt = {.router = &router}, .page_key = {1, 2, 3}};
    if (!n || sodium_init() < 0)
        return 0;
    struct al_arena a;
    struct al_page_cursor cursor;
    struct al_str text = {(const char *)data + 1, n - 1};
    al_arena_init(&a, NULL, 1 << 20);
    c.opt.random = al_random_system();
    c.opt.clock = al_clock_system();
    if (data[0] % 2)
        text = seal(&c, text, &a);
    if (al_page_parse(&c, text, 7, &a, &cursor, NULL) == AL_OK) {
        char *again = NULL;
        AL_ASSERT(cursor.shard < router.n_shards && !cursor.at_end);
        if (al_page_format(&c, &cursor, &a, &again, NULL) == AL_OK && text.n)
            AL_ASSERT(strlen(again) == text.n); /* what was taken can be given out again */
    }
    al_arena_fini(&a);
    return 0;
}
