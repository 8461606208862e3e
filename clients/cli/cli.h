/* cli.h - what every command of `airlore` gets: options, the terminal, a client, and the exit
 * codes.
 *
 * Thread: confined to the main thread, but for what progress.h says.
 */
#ifndef AIRLORE_CLI_H
#define AIRLORE_CLI_H

#include <jansson.h>

#include "airlore/client.h"
#include "options.h"
#include "term.h"

/* How the program ends; scripts rely on these numbers. */
enum al_cli_exit {
    AL_EXIT_DONE = 0,
    AL_EXIT_BAD = 1, /* the thing asked about is bad: failed items, not found, problems found */
    AL_EXIT_USAGE = 2,
    AL_EXIT_NOT_CHECKED = 3,
    AL_EXIT_UNREACHABLE = 4,
    AL_EXIT_REFUSED = 5, /* key, role, quota, state */
    AL_EXIT_UNKNOWN = 6, /* the write may or may not have happened */
};

struct al_cli {
    struct al_cli_args args;
    struct al_cli_term term;
    bool json;           /* one JSON document on standard output and nothing else */
    bool quiet;          /* no progress, no notes */
    uint32_t timeout_ms; /* 0: the client's default */
    bool timeout_given;
    struct al_client *client; /* made by al_cli_connect */
    const char *server;       /* whom it talks to; for messages */
    struct al_arena arena;    /* replies of the command */
};

/* Make the client from options, environment and the runtime file, once. Says on standard error what
 * is wrong. AL_EXIT_DONE, or the code to exit with. */
int al_cli_connect(struct al_cli *c);

/* A random id for writes and jobs that makes a retry safe: 32 hexadecimal digits in the arena. */
char *al_cli_write_id(struct al_cli *c);

/* Say what failed and what to do next; gives the exit code. is_write: an unknown outcome matters.
 */
int al_cli_fail(const struct al_cli *c, const struct al_err *err, bool is_write);

/* The exit code for an error. */
int al_cli_exit_code(const struct al_err *err, bool is_write);

/* Wrong use of the command line: says so on standard error, gives AL_EXIT_USAGE. */
int al_cli_usage(const struct al_cli *c, const char *fmt, ...) AL_PRINTF(2, 3);

/* A note for people on standard error; nothing with --quiet. */
void al_cli_note(const struct al_cli *c, const char *fmt, ...) AL_PRINTF(2, 3);

/* Ask on the terminal; true for y or yes. */
bool al_cli_confirm(const struct al_cli *c, const char *question);

/* Whether a person can be asked: standard input and error are terminals and --json is not given. */
bool al_cli_can_ask(const struct al_cli *c);

/* A whole number option in [min, max]; the default when it is absent. False after saying what is
 * wrong. */
bool al_cli_u64(const struct al_cli *c, enum al_cli_opt opt, uint64_t min, uint64_t max,
                uint64_t *inout);

/* A number option in [min, max]. False after saying what is wrong. */
bool al_cli_double(const struct al_cli *c, enum al_cli_opt opt, double min, double max,
                   double *inout);

/* The only positional argument, or NULL after saying that it is missing or too many. */
const char *al_cli_one(const struct al_cli *c, const char *what);

/* Whole content of a small file as text, at most max bytes, in the arena; NULL after saying what is
 * wrong. */
char *al_cli_read_file(struct al_cli *c, const char *path, size_t max);

/* The commands, each in the file of its family. */
int al_cmd_ingest(struct al_cli *c);
int al_cmd_search(struct al_cli *c);
int al_cmd_ask(struct al_cli *c);
int al_cmd_get(struct al_cli *c);
int al_cmd_list(struct al_cli *c);
int al_cmd_delete(struct al_cli *c);
int al_cmd_promote(struct al_cli *c);
int al_cmd_withdraw(struct al_cli *c);
int al_cmd_team_create(struct al_cli *c);
int al_cmd_team_list(struct al_cli *c);
int al_cmd_team_update(struct al_cli *c);
int al_cmd_team_delete(struct al_cli *c);
int al_cmd_deployment_create(struct al_cli *c);
int al_cmd_deployment_list(struct al_cli *c);
int al_cmd_deployment_update(struct al_cli *c);
int al_cmd_deployment_delete(struct al_cli *c);
int al_cmd_key_create(struct al_cli *c);
int al_cmd_key_list(struct al_cli *c);
int al_cmd_key_revoke(struct al_cli *c);
int al_cmd_quota_get(struct al_cli *c);
int al_cmd_quota_set(struct al_cli *c);
int al_cmd_jobs_list(struct al_cli *c);
int al_cmd_jobs_show(struct al_cli *c);
int al_cmd_jobs_watch(struct al_cli *c);
int al_cmd_jobs_cancel(struct al_cli *c);
int al_cmd_jobs_pause(struct al_cli *c);
int al_cmd_jobs_resume(struct al_cli *c);
int al_cmd_cluster_status(struct al_cli *c);
int al_cmd_cluster_nodes(struct al_cli *c);
int al_cmd_cluster_shards(struct al_cli *c);
int al_cmd_cluster_verify(struct al_cli *c);
int al_cmd_cluster_compact(struct al_cli *c);
int al_cmd_cluster_reembed(struct al_cli *c);
int al_cmd_whoami(struct al_cli *c);
int al_cmd_info(struct al_cli *c);

#endif
