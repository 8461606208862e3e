/* version.h - what this program is made of.
 *
 * Thread: any thread (constants).
 */
#ifndef AIRLORE_AIRLORED_VERSION_H
#define AIRLORE_AIRLORED_VERSION_H

#include <stdio.h>

/* "0.1.0" */
const char *al_version_text(void);

/* Commit of the source as `git describe` said it when the build was configured; "unknown" outside a repository. */
const char *al_version_commit(void);

/* What --version prints. */
void al_version_print(FILE *f);

#endif
