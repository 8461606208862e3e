#include "options.h"

#include "airlore/testing.h"

#define ARGS_MAX 24

/* Splits at spaces into a fresh argv; words live in buf. */
static int split(const char *line, char *buf, size_t n, char *argv[ARGS_MAX])
{
    int argc = 0;
    snprintf(buf, n, "%s", line);
    for (char *p = buf; *p && argc < ARGS_MAX - 1;) {
        argv[argc++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    argv[argc] = NULL;
    return argc;
}

static enum al_code parse(const char *line, char *buf, size_t n, struct al_options *ret,
                          struct al_err *err)
{
    char *argv[ARGS_MAX];
    int argc = split(line, buf, n, argv);
    return al_options_parse(argc, argv, ret, err);
}

static void test_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum al_options_action action;
        const char *config;
        const char *set; /* "path=value" of all, with spaces */
    } cases[] = {
        {"airlored", AL_OPTIONS_RUN, NULL, ""},
        {"airlored --data /d --listen h:1 --http h:2", AL_OPTIONS_RUN, NULL,
         "data=/d listen=h:1 http=h:2"},
        {"airlored --data=/d --config=/c.yaml", AL_OPTIONS_RUN, "/c.yaml", "data=/d"},
        {"airlored --data /a --data /b", AL_OPTIONS_RUN, NULL, "data=/b"},
        {"airlored --role node --etcd a,b --name n", AL_OPTIONS_RUN, NULL,
         "role=node etcd=a,b name=n"},
        {"airlored --print-config --name n", AL_OPTIONS_PRINT_CONFIG, NULL, "name=n"},
        {"airlored --check-config", AL_OPTIONS_CHECK_CONFIG, NULL, ""},
        {"airlored --version", AL_OPTIONS_VERSION, NULL, ""},
        {"airlored --help superfluous", AL_OPTIONS_HELP, NULL, ""},
        {"airlored -h", AL_OPTIONS_HELP, NULL, ""},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char buf[256];
        struct al_options o;
        struct al_err err;
        AL_CHECK_OK(parse(cases[i].line, buf, sizeof buf, &o, &err), err);
        AL_CHECK(cases[i].line, o.action == cases[i].action);
        AL_CHECK(cases[i].line, (o.config == NULL) == (cases[i].config == NULL));
        AL_CHECK(cases[i].line, !o.config || strcmp(o.config, cases[i].config) == 0);
        char set[256] = "";
        for (size_t k = 0; k < o.n_set; k++) {
            size_t n = strlen(set);
            snprintf(set + n, sizeof set - n, "%s%s=%s", k ? " " : "", o.set[k].path,
                     o.set[k].value);
            AL_CHECK(cases[i].line, strcmp(o.set[k].option + 2, o.set[k].path) == 0);
        }
        AL_CHECK(cases[i].line, strcmp(set, cases[i].set) == 0);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *said;
    } cases[] = {
        {"airlored --nonsense", "--nonsense"},
        {"airlored --data", "value missing"},
        {"airlored data", "'data'"},
        {"airlored --data /d more", "'more'"},
        {"airlored -x", "'-x'"},
        {"airlored --version=3", "--version=3"},
        {"airlored --", NULL},
    };
    for (size_t i = 0; i < AL_ARRAY_LEN(cases); i++) {
        char buf[256];
        struct al_options o = {.n_set = 77};
        struct al_err err = {.code = AL_OK};
        enum al_code code = parse(cases[i].line, buf, sizeof buf, &o, &err);
        if (!cases[i].said) {
            AL_CHECK(cases[i].line, code == AL_OK);
            continue;
        }
        AL_CHECK(cases[i].line, code == AL_INVALID_ARGUMENT && o.n_set == 77);
        AL_CHECK(cases[i].line, strcmp(err.reason, "BAD_USAGE") == 0);
        AL_CHECK(cases[i].line, strstr(err.msg, cases[i].said) != NULL);
    }
}

static void test_usage_names_every_option(void **state)
{
    (void)state;
    static const char *const names[] = {"--config",       "--data",    "--listen", "--http",
                                        "--role",         "--etcd",    "--name",   "--print-config",
                                        "--check-config", "--version", "--help"};
    char text[8192];
    FILE *f = fmemopen(text, sizeof text, "w");
    assert_non_null(f);
    al_options_usage(f);
    fclose(f);
    for (size_t i = 0; i < AL_ARRAY_LEN(names); i++)
        AL_CHECK(names[i], strstr(text, names[i]) != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_usage_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
