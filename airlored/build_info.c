#include "build_info.h"

const char *al_build_version(void)
{
    return AL_VERSION;
}

const char *al_build_commit(void)
{
    return AL_COMMIT;
}

void al_build_print(FILE *f)
{
    fprintf(f, "airlored %s\ncommit %s\ncompiler %s\nlibraries %s\n", AL_VERSION, AL_COMMIT,
            AL_COMPILER, AL_LIBRARIES);
}
