/* jobs.h - following a job. Thread: the main thread. */
#ifndef AIRLORE_CLI_JOBS_H
#define AIRLORE_CLI_JOBS_H

#include "cli.h"

/* Follow a job to its end, with a line of progress on a terminal. *ret is the last state as JSON, a
 * new reference, set when the exit code is AL_EXIT_DONE or AL_EXIT_BAD (it failed or was
 * cancelled). each_line: print every state as JSON. */
int al_cli_job_watch(struct al_cli *c, const char *name, bool each_line, json_t **ret);

/* Show one job: JSON or pairs. Takes the reference. */
void al_cli_job_show(const struct al_cli *c, json_t *job);

#endif
