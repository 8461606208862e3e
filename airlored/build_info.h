/* build_info.h - what this program is made of.
 *
 * Thread: any thread (constants).
 */
#ifndef AIRLORE_AIRLORED_BUILD_INFO_H
#define AIRLORE_AIRLORED_BUILD_INFO_H

#include <stdio.h>

/* "0.1.0" */
const char *al_build_version(void);

/* Commit of the source as `git describe` said it when the build was configured; "unknown" outside a
 * repository. */
const char *al_build_commit(void);

/* What --version prints. */
void al_build_print(FILE *f);

#endif
