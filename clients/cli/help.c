/* Help pages. */
#include "help.h"

#include <string.h>

static void put_option(FILE *f, enum al_cli_opt o)
{
    const struct al_cli_opt_def *d = &al_cli_opt_defs[o];
    char left[64];
    char short_name[8] = "    ";
    if (d->short_name)
        snprintf(short_name, sizeof short_name, "-%c, ", d->short_name);
    bool only_short = d->name[1] == '\0';
    if (only_short)
        snprintf(left, sizeof left, "-%s%s%s", d->name, d->arg ? " " : "", d->arg ? d->arg : "");
    else
        snprintf(left, sizeof left, "%s--%s%s%s", short_name, d->name, d->arg ? " " : "",
                 d->arg ? d->arg : "");
    fprintf(f, "  %-30s %s\n", left, d->help);
}

static void put_globals(FILE *f)
{
    fputs("\nGlobal options, before or after the command:\n", f);
    for (int i = 0; i < AL_OPT_GLOBALS; i++)
        put_option(f, (enum al_cli_opt)i);
}

static void put_command_line(FILE *f, const struct al_cli_command *c)
{
    char left[64];
    snprintf(left, sizeof left, "%s %s", c->words, c->args);
    fprintf(f, "  %-36s %s\n", left, c->brief);
}

void al_cli_help_all(FILE *f)
{
    fputs("airlore - ask and feed an Airlore knowledge server\n\n"
          "Usage: airlore [GLOBAL OPTIONS] COMMAND [OPTIONS] ...\n\nCommands:\n",
          f);
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        if (al_cli_commands[i].run)
            put_command_line(f, &al_cli_commands[i]);
    }
    put_command_line(
        f, &(struct al_cli_command){.words = "help", .args = "[COMMAND]", .brief = "show help"});
    fputs("\nNot there yet:", f);
    size_t column = 14;
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        const struct al_cli_command *c = &al_cli_commands[i];
        if (c->run)
            continue;
        if (column + strlen(c->words) + 2 > 96) {
            fputs("\n  ", f);
            column = 2;
        }
        column += (size_t)fprintf(f, " %s", c->words);
    }
    fputc('\n', f);
    put_globals(f);
    fputs("\nWithout --server and --key the server that this user started on this machine is found "
          "by itself.\n"
          "Exit codes: 0 done, 1 the thing asked about is bad, 2 wrong usage, 3 not checked,\n"
          "4 server unreachable, 5 refused, 6 outcome unknown.\n",
          f);
}

void al_cli_help_command(FILE *f, const struct al_cli_command *c)
{
    fprintf(f, "airlore %s - %s\n\nUsage: airlore %s [OPTIONS] %s\n", c->words, c->brief, c->words,
            c->args);
    if (!c->run)
        fputs("\nThis command is not there yet.\n", f);
    if (c->help)
        fprintf(f, "\n%s\n", c->help);
    if (c->opts[0])
        fputs("\nOptions:\n", f);
    for (size_t i = 0; i < AL_CLI_COMMAND_OPTS && c->opts[i]; i++)
        put_option(f, c->opts[i]);
    put_globals(f);
}

void al_cli_help_family(FILE *f, const char *family)
{
    size_t n = strlen(family);
    fprintf(f, "Usage: airlore %s COMMAND ...\n\nCommands:\n", family);
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        const struct al_cli_command *c = &al_cli_commands[i];
        if (strncmp(c->words, family, n) == 0 && c->words[n] == ' ' && c->run)
            put_command_line(f, c);
    }
    put_globals(f);
}

int al_cli_help_words(char **words, int n)
{
    if (n == 0) {
        al_cli_help_all(stdout);
        return AL_EXIT_DONE;
    }
    char both[80];
    snprintf(both, sizeof both, "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
    const struct al_cli_command *c = al_cli_find(both);
    if (!c)
        c = al_cli_find(words[0]);
    if (c) {
        al_cli_help_command(stdout, c);
        return AL_EXIT_DONE;
    }
    if (al_cli_is_family(words[0])) {
        al_cli_help_family(stdout, words[0]);
        return AL_EXIT_DONE;
    }
    const char *near = al_cli_closest(both);
    fprintf(stderr, "airlore: help: no command '%s'%s%s%s\n", both, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return AL_EXIT_USAGE;
}
