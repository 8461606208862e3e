/* help.h - help pages, made from the tables of commands and options. Thread: confined to one
 * thread. */
#ifndef AIRLORE_CLI_HELP_H
#define AIRLORE_CLI_HELP_H

#include "cli.h"

/* The page of all commands. */
void al_cli_help_all(FILE *f);

/* The page of one command. */
void al_cli_help_command(FILE *f, const struct al_cli_command *cmd);

/* The page of a family such as "team". */
void al_cli_help_family(FILE *f, const char *family);

/* `airlore help [COMMAND]`: words NULL-terminated or n words. Gives the exit code. */
int al_cli_help_words(char **words, int n);

#endif
