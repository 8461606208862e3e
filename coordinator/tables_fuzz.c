#include "airlore/router.h"
#include "key_text.h"
#include "tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The first byte chooses the decoder. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n)
        return 0;
    struct al_arena a;
    struct al_str rest = {(const char *)data + 1, n - 1};
    struct al_team team;
    struct al_deployment deployment;
    struct al_deployment_details details;
    struct al_quota quota;
    struct al_key_row key;
    struct al_token token;
    struct al_str id;
    struct al_str secret;
    const struct al_router router = {.n_shards = 4};
    al_arena_init(&a, NULL, 1 << 20);
    enum al_code c = AL_OK;
    switch (data[0] % 6) {
    case 0:
        c = al_team_decode(rest, &team, NULL);
        break;
    case 1:
        c = al_deployment_decode(rest, &a, &deployment, &details, NULL);
        break;
    case 2:
        c = al_key_decode(rest, &a, &key, NULL);
        break;
    case 3:
        c = al_token_parse(&router, rest, &a, &token, NULL);
        break;
    case 4:
        c = al_quota_decode(rest, &quota, NULL);
        break;
    default:
        if (al_key_text_split(rest, &id, &secret))
            AL_ASSERT(id.n >= AL_KEY_ID_MIN && id.n <= AL_KEY_ID_MAX &&
                      secret.n == AL_KEY_SECRET_CHARS);
        break;
    }
    AL_ASSERT(c == AL_OK || c == AL_DATA_LOSS || c == AL_FAILED_PRECONDITION ||
              c == AL_INVALID_ARGUMENT || c == AL_RESOURCE_EXHAUSTED);
    al_arena_fini(&a);
    return 0;
}
