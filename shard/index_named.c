/* The back ends that this build has, by the name that segments carry. */
#include <string.h>

#include "vector_index.h"

const struct al_index_factory *al_index_named(const char *name)
{
    const struct al_index_factory *all[] = {
        al_index_hnsw(),
        al_index_flat(),
#ifndef AL_NO_FAISS
        al_index_faiss(),
#endif
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
