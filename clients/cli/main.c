/* airlore - the command line. */
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "help.h"

#ifndef AL_CLI_VERSION
#define AL_CLI_VERSION "unknown"
#endif

#define ARENA_BYTES_MAX ((size_t)512 << 20)
#define TIMEOUT_S_MAX 86400.0

static int take_globals(struct al_cli *c)
{
    c->json = c->args.value[AL_OPT_JSON] != NULL;
    c->quiet = c->args.value[AL_OPT_QUIET] != NULL;
    al_cli_term_init(&c->term, c->args.value[AL_OPT_NO_COLOR] != NULL);
    double seconds = 0;
    if (!al_cli_double(c, AL_OPT_TIMEOUT, 0.001, TIMEOUT_S_MAX, &seconds))
        return AL_EXIT_USAGE;
    c->timeout_ms = (uint32_t)ceil(seconds * 1000.0);
    c->timeout_given = c->timeout_ms > 0;
    return AL_EXIT_DONE;
}

static int not_there_yet(const struct al_cli_command *cmd)
{
    fprintf(stderr, "airlore: '%s' is not there yet (UNIMPLEMENTED)\n", cmd->words);
    return AL_EXIT_USAGE;
}

static int run_command(struct al_cli *c)
{
    const struct al_cli_command *cmd = c->args.command;
    if (c->args.value[AL_OPT_HELP]) {
        if (cmd)
            al_cli_help_command(stdout, cmd);
        else if (c->args.family[0])
            al_cli_help_family(stdout, c->args.family);
        else
            al_cli_help_all(stdout);
        return AL_EXIT_DONE;
    }
    if (c->args.value[AL_OPT_VERSION]) {
        puts("airlore " AL_CLI_VERSION);
        return AL_EXIT_DONE;
    }
    if (!cmd) {
        if (c->args.family[0])
            al_cli_help_family(stderr, c->args.family);
        else
            al_cli_help_all(stderr);
        return AL_EXIT_USAGE;
    }
    if (!cmd->run)
        return not_there_yet(cmd);
    return cmd->run(c);
}

/* `airlore help ...`, wherever the global options stand. Gives -1 when it is something else. */
static int try_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        return strcmp(argv[i], "help") == 0 ? al_cli_help_words(argv + i + 1, argc - i - 1) : -1;
    }
    return -1;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    int rc = try_help(argc, argv);
    if (rc >= 0)
        return rc;
    static struct al_cli c;
    struct al_err err = {.code = AL_OK};
    if (al_cli_parse(argc, argv, &c.args, &err) != AL_OK) {
        fprintf(stderr, "airlore: %s\n", err.msg);
        if (!(err.reason && strcmp(err.reason, "UNKNOWN_COMMAND") == 0))
            fputs("  more: airlore help\n", stderr);
        return AL_EXIT_USAGE;
    }
    rc = take_globals(&c);
    if (rc != AL_EXIT_DONE)
        return rc;
    al_arena_init(&c.arena, NULL, ARENA_BYTES_MAX);
    rc = run_command(&c);
    al_client_destroy(c.client);
    al_arena_fini(&c.arena);
    if (fflush(stdout) != 0 || ferror(stdout))
        return rc == AL_EXIT_DONE ? AL_EXIT_BAD : rc;
    return rc;
}
