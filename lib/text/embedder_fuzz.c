/* Any bytes as a text, and as a table. */
#include <math.h>
#include <stdint.h>

#include "airlore/embedder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct al_embedder *embedder;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_str text = {(const char *)data, size};
    struct al_embedder *other = NULL;
    float vec[4096];
    uint32_t n = 0;
    if (!embedder && al_embedder_open(al_embedder_builtin(), NULL, &embedder, NULL) != AL_OK)
        return 0;
    AL_ASSERT(al_embedder_embed(embedder, text, vec, &n, NULL) == AL_OK);
    double squares = 0;
    for (uint32_t i = 0; i < al_embedder_dim(embedder); i++)
        squares += (double)vec[i] * (double)vec[i];
    AL_ASSERT(n == 0 ? squares == 0 : fabs(squares - 1) < 1e-3);
    if (al_embedder_open(text, NULL, &other, NULL) == AL_OK)
        AL_ASSERT(al_embedder_dim(other) > 4096 ||
                  al_embedder_embed(other, AL_STR("a text"), vec, &n, NULL) == AL_OK);
    al_embedder_destroy(other);
    return 0;
}
