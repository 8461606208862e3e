/* Command line parsing over getopt_long. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

const struct al_cli_opt_def al_cli_opt_defs[AL_OPT_COUNT] = {
#define AL_CLI_OPT_DEF(id_, name_, short_, arg_, help_) {name_, short_, arg_, help_},
    AL_CLI_OPT_MAP(AL_CLI_OPT_DEF)
#undef AL_CLI_OPT_DEF
};

#define GETOPT_BASE 1000 /* getopt's value of an option is this plus its number */

struct getopt_tables {
    struct option longs[AL_OPT_COUNT + 1];
    char shorts[3 + 2 * AL_OPT_COUNT + 1];
};

bool al_cli_takes(const struct al_cli_command *cmd, enum al_cli_opt opt)
{
    if (opt < AL_OPT_GLOBALS)
        return true;
    for (size_t i = 0; cmd && i < AL_CLI_COMMAND_OPTS && cmd->opts[i]; i++) {
        if (cmd->opts[i] == opt)
            return true;
    }
    return false;
}

/* stop: end at the first word that is no option. cmd NULL: global options only. */
static void fill_tables(struct getopt_tables *t, const struct al_cli_command *cmd, bool stop)
{
    size_t n = 0;
    size_t s = 0;
    if (stop)
        t->shorts[s++] = '+';
    t->shorts[s++] = ':';
    for (int i = 0; i < AL_OPT_COUNT; i++) {
        if (!al_cli_takes(cmd, (enum al_cli_opt)i))
            continue;
        const struct al_cli_opt_def *d = &al_cli_opt_defs[i];
        t->longs[n++] = (struct option){.name = d->name,
                                        .has_arg = d->arg ? required_argument : no_argument,
                                        .val = GETOPT_BASE + i};
        if (d->short_name) {
            t->shorts[s++] = d->short_name;
            if (d->arg)
                t->shorts[s++] = ':';
        }
    }
    t->longs[n] = (struct option){.name = NULL};
    t->shorts[s] = '\0';
}

static int opt_of(int value)
{
    if (value >= GETOPT_BASE)
        return value - GETOPT_BASE;
    for (int i = 0; i < AL_OPT_COUNT; i++) {
        if (al_cli_opt_defs[i].short_name && al_cli_opt_defs[i].short_name == value)
            return i;
    }
    return -1;
}

static enum al_code bad_option(int got, char **argv, const struct al_cli_command *cmd,
                               struct al_err *err)
{
    const char *word = argv[optind > 0 ? optind - 1 : 0];
    int o = optopt ? opt_of(optopt) : -1;
    if (got == ':' && o >= 0)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "option '--%s': needs %s", al_cli_opt_defs[o].name,
                       al_cli_opt_defs[o].arg ? al_cli_opt_defs[o].arg : "a value");
    if (o >= 0 && !al_cli_opt_defs[o].arg)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "option '--%s': takes no value",
                       al_cli_opt_defs[o].name);
    char text[80];
    if (optopt > 0 && optopt < 128)
        snprintf(text, sizeof text, "-%c", optopt);
    else
        snprintf(text, sizeof text, "%s", word);
    if (cmd)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "option '%s': '%s' does not take it", text,
                       cmd->words);
    return AL_FAIL(err, AL_INVALID_ARGUMENT, "option '%s': unknown before the command", text);
}

static enum al_code take_options(int argc, char **argv, bool stop, struct al_cli_args *a,
                                 struct al_err *err)
{
    struct getopt_tables t;
    fill_tables(&t, a->command, stop);
    opterr = 0;
    optind = 0; /* starts anew, also inside a permuted argv */
    for (;;) {
        optopt = 0;
        int got = getopt_long(argc, argv, t.shorts, t.longs, NULL);
        if (got == -1)
            return AL_OK;
        int o = got == '?' || got == ':' ? -1 : opt_of(got);
        if (o < 0)
            return bad_option(got, argv, a->command, err);
        if (a->n_given == AL_CLI_GIVEN_MAX)
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "options: more than %u", AL_CLI_GIVEN_MAX);
        a->value[o] = optarg ? optarg : "";
        a->given[a->n_given].opt = (enum al_cli_opt)o;
        a->given[a->n_given++].value = a->value[o];
    }
}

static enum al_code unknown_command(const char *word, const char *family, struct al_err *err)
{
    char words[64];
    snprintf(words, sizeof words, "%s%s%.40s", family, family[0] ? " " : "", word);
    const char *near = al_cli_closest(words);
    if (near)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNKNOWN_COMMAND",
                         "command '%s': unknown; did you mean '%s'?", words, near);
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "UNKNOWN_COMMAND",
                     "command '%s': unknown; 'airlore help' lists them all", words);
}

/* Finds the command's words at argv[optind]; moves *at to its last word. */
static enum al_code find_command(int argc, char **argv, int *at, struct al_cli_args *a,
                                 struct al_err *err)
{
    const char *word = argv[*at];
    a->command = al_cli_find(word);
    if (a->command || !al_cli_is_family(word))
        return a->command ? AL_OK : unknown_command(word, "", err);
    snprintf(a->family, sizeof a->family, "%s", word);
    AL_TRY(take_options(argc - *at, argv + *at, true, a, err));
    int second = *at + optind;
    if (second >= argc)
        return AL_OK;
    char words[64];
    int n = snprintf(words, sizeof words, "%s %s", word, argv[second]);
    if (n > 0 && (size_t)n < sizeof words)
        a->command = al_cli_find(words);
    if (!a->command)
        return unknown_command(argv[second], a->family, err);
    *at = second;
    return AL_OK;
}

enum al_code al_cli_parse(int argc, char **argv, struct al_cli_args *ret, struct al_err *err)
{
    struct al_cli_args a = {.command = NULL};
    AL_TRY(take_options(argc, argv, true, &a, err));
    int at = optind;
    if (at < argc)
        AL_TRY(find_command(argc, argv, &at, &a, err));
    if (a.command) {
        AL_TRY(take_options(argc - at, argv + at, false, &a, err));
        a.pos = argv + at + optind;
        a.n_pos = argc - at - optind;
    }
    *ret = a;
    return AL_OK;
}
