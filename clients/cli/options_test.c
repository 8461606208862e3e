#include "options.h"

#include <stdio.h>

#include "airlore/testing.h"

#define ARGS_MAX 12

/* Splits at blanks; the text is written to. */
static int split(char *text, char **argv)
{
    int n = 0;
    for (char *at = text; at && n < ARGS_MAX; n++) {
        argv[n] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    argv[n] = NULL;
    return n;
}

static const struct {
    const char *line;
    const char *command; /* NULL: none; "!": refused */
    enum al_cli_opt opt;
    const char *value; /* of opt; NULL: not given */
    int n_pos;
} cases[] = {
    {"airlore search a", "search", AL_OPT_JSON, NULL, 1},
    {"airlore --json search a", "search", AL_OPT_JSON, "", 1},
    {"airlore search a --json", "search", AL_OPT_JSON, "", 1},
    {"airlore search --server h:1 a", "search", AL_OPT_SERVER, "h:1", 1},
    {"airlore --server=h:1 search a", "search", AL_OPT_SERVER, "h:1", 1},
    {"airlore search a -k 3 b", "search", AL_OPT_K, "3", 2},
    {"airlore search -k3 a", "search", AL_OPT_K, "3", 1},
    {"airlore search --k 3 a", "search", AL_OPT_K, "3", 1},
    {"airlore search -k 3 -k 4 a", "search", AL_OPT_K, "4", 1},
    {"airlore search -- --json", "search", AL_OPT_JSON, NULL, 1},
    {"airlore search - a", "search", AL_OPT_JSON, NULL, 2},
    {"airlore team create t", "team create", AL_OPT_NAMED, NULL, 1},
    {"airlore team --json create t --named", "team create", AL_OPT_JSON, "", 1},
    {"airlore -q team create t --named", "team create", AL_OPT_NAMED, "", 1},
    {"airlore cluster verify --shard 1 --shard 2", "cluster verify", AL_OPT_SHARD, "2", 0},
    {"airlore server", "info", AL_OPT_JSON, NULL, 0},
    {"airlore", NULL, AL_OPT_JSON, NULL, 0},
    {"airlore --help", NULL, AL_OPT_HELP, "", 0},
    {"airlore team", NULL, AL_OPT_JSON, NULL, 0},
    {"airlore team --help", NULL, AL_OPT_HELP, "", 0},
    {"airlore judge --help", "judge", AL_OPT_HELP, "", 0},
    {"airlore nonsense", "!", AL_OPT_JSON, NULL, 0},
    {"airlore team nonsense", "!", AL_OPT_JSON, NULL, 0},
    {"airlore search a --nonsense", "!", AL_OPT_JSON, NULL, 0},
    {"airlore search a --role reader", "!", AL_OPT_JSON, NULL, 0},
    {"airlore -k 3 search a", "!", AL_OPT_JSON, NULL, 0},
    {"airlore search a -k", "!", AL_OPT_JSON, NULL, 0},
    {"airlore --json=yes search a", "!", AL_OPT_JSON, NULL, 0},
    {"airlore --timeout", "!", AL_OPT_JSON, NULL, 0},
};

/* Equal texts, or both NULL. */
static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_command_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        const char *name = cases[i].line;
        char line[200];
        char *argv[ARGS_MAX + 1];
        snprintf(line, sizeof line, "%s", name);
        int argc = split(line, argv);
        static struct al_cli_args a;
        struct al_err err = {.code = AL_OK};
        enum al_code code = al_cli_parse(argc, argv, &a, &err);
        bool refused = cases[i].command && cases[i].command[0] == '!';
        AL_CHECK(name, code == (refused ? AL_INVALID_ARGUMENT : AL_OK));
        AL_CHECK(name, !refused || err.msg[0]);
        if (refused)
            continue;
        AL_CHECK(name, same(a.command ? a.command->words : NULL, cases[i].command));
        AL_CHECK(name, same(a.value[cases[i].opt], cases[i].value));
        AL_CHECK(name, a.n_pos == cases[i].n_pos);
    }
}

static void test_repeated_options_keep_their_order(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"airlore"}, (char[]){"key"},    (char[]){"create"}, (char[]){"--role"},
                    (char[]){"reader"},  (char[]){"--role"}, (char[]){"admin"},  NULL};
    static struct al_cli_args a;
    assert_int_equal(al_cli_parse(7, argv, &a, NULL), AL_OK);
    assert_int_equal(a.n_given, 2);
    assert_string_equal(a.given[0].value, "reader");
    assert_string_equal(a.given[1].value, "admin");
}

static void test_too_many_options_are_refused(void **state)
{
    (void)state;
    static char *argv[AL_CLI_GIVEN_MAX + 10];
    int argc = 0;
    argv[argc++] = (char[]){"airlore"};
    argv[argc++] = (char[]){"search"};
    while (argc < (int)AL_CLI_GIVEN_MAX + 4)
        argv[argc++] = (char[]){"--json"};
    static struct al_cli_args a;
    assert_int_equal(al_cli_parse(argc, argv, &a, NULL), AL_INVALID_ARGUMENT);
}

static void test_closest(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *want;
    } words[] = {{"serach", "search"},
                 {"ingst", "ingest"},
                 {"team crate", "team create"},
                 {"xyzzyplugh", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < AL_ARRAY_LEN(words); i++) {
        AL_CHECK(words[i].word, same(al_cli_closest(words[i].word), words[i].want));
    }
}

/* What the parser and the help rely on. */
static void test_the_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < al_cli_n_commands; i++) {
        const struct al_cli_command *c = &al_cli_commands[i];
        AL_CHECK(c->words, al_cli_find(c->words) == c);
        AL_CHECK(c->words, c->brief && c->brief[0] && c->args);
        AL_CHECK(c->words, c->opts[AL_CLI_COMMAND_OPTS - 1] == 0);
        for (size_t o = 0; c->opts[o]; o++)
            AL_CHECK(c->words, c->opts[o] >= AL_OPT_GLOBALS);
    }
    for (int i = 0; i < AL_OPT_COUNT; i++) {
        for (int j = 0; j < i; j++) {
            const struct al_cli_opt_def *a = &al_cli_opt_defs[i];
            const struct al_cli_opt_def *b = &al_cli_opt_defs[j];
            AL_CHECK(a->name, strcmp(a->name, b->name) != 0);
            AL_CHECK(a->name, !a->short_name || a->short_name != b->short_name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_repeated_options_keep_their_order),
        cmocka_unit_test(test_too_many_options_are_refused),
        cmocka_unit_test(test_closest),
        cmocka_unit_test(test_the_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
