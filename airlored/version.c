#include "version.h"

const char *al_version_text(void)
{
    return AL_VERSION;
}

const char *al_version_commit(void)
{
    return AL_COMMIT;
}

void al_version_print(FILE *f)
{
    fprintf(f, "airlored %s\ncommit %s\ncompiler %s\nlibraries %s\n", AL_VERSION, AL_COMMIT,
            AL_COMPILER, AL_LIBRARIES);
}
