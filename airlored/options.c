#include "options.h"

#include <getopt.h>
#include <string.h>

enum {
    OPTION_CONFIG = 256,
    OPTION_PRINT_CONFIG,
    OPTION_CHECK_CONFIG,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_SET, /* and up: keys of the configuration, by place in `settable` */
};

static const struct {
    const char *name;
    const char *option;
} settable[] = {{"data", "--data"}, {"listen", "--listen"}, {"http", "--http"},
                {"role", "--role"}, {"etcd", "--etcd"},     {"name", "--name"}};

static const struct option options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"print-config", no_argument, NULL, OPTION_PRINT_CONFIG},
    {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {"data", required_argument, NULL, OPTION_SET + 0},
    {"listen", required_argument, NULL, OPTION_SET + 1},
    {"http", required_argument, NULL, OPTION_SET + 2},
    {"role", required_argument, NULL, OPTION_SET + 3},
    {"etcd", required_argument, NULL, OPTION_SET + 4},
    {"name", required_argument, NULL, OPTION_SET + 5},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: airlored [OPTION...]\n"
    "The Airlore knowledge server. Without options: everything in one process, on this machine "
    "only.\n"
    "\n"
    "  --config FILE        configuration in YAML; options on the command line win\n"
    "  --data DIR           folder of all data (default: ~/.local/share/airlore)\n"
    "  --listen HOST:PORT   where gRPC listens (default 127.0.0.1:7700; port 0: a free one)\n"
    "  --http HOST:PORT     where metrics and health listen (default 127.0.0.1:7701)\n"
    "  --role ROLE          standalone (default), node or coordinator\n"
    "  --etcd URL,URL       coordination store of a cluster\n"
    "  --name NAME          name of this server (default: that of the machine)\n"
    "  --print-config       print the whole configuration with explanations, and exit\n"
    "  --check-config       check the configuration, and exit (0: good, 2: not)\n"
    "  --version            print versions, and exit\n"
    "  -h, --help           print this, and exit\n"
    "\n"
    "Prints 'ready grpc=HOST:PORT http=HOST:PORT' once it serves. SIGTERM and SIGINT end it "
    "cleanly; a second one at once.\n"
    "Exit status: 0 ended cleanly, 1 failed, 2 wrong usage or configuration.\n";

static enum al_code add(struct al_options *o, size_t which, const char *value, struct al_err *err)
{
    const struct al_options_set set = {settable[which].option, settable[which].name, value};
    for (size_t i = 0; i < o->n_set; i++) {
        if (strcmp(o->set[i].path, set.path) == 0) {
            o->set[i] = set;
            return AL_OK;
        }
    }
    if (o->n_set == AL_OPTIONS_SET_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_USAGE", "too many options");
    o->set[o->n_set++] = set;
    return AL_OK;
}

static enum al_code take(struct al_options *o, int c, char **argv, struct al_err *err)
{
    switch (c) {
    case OPTION_CONFIG:
        o->config = optarg;
        return AL_OK;
    case OPTION_PRINT_CONFIG:
        o->action = AL_OPTIONS_PRINT_CONFIG;
        return AL_OK;
    case OPTION_CHECK_CONFIG:
        o->action = AL_OPTIONS_CHECK_CONFIG;
        return AL_OK;
    case OPTION_VERSION:
        o->action = AL_OPTIONS_VERSION;
        return AL_OK;
    case OPTION_HELP:
    case 'h':
        o->action = AL_OPTIONS_HELP;
        return AL_OK;
    case ':':
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_USAGE", "option '%.80s': value missing",
                         argv[optind - 1]);
    case '?':
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_USAGE",
                         "option '%.80s': unknown, or used wrongly", argv[optind - 1]);
    default:
        return add(o, (size_t)(c - OPTION_SET), optarg, err);
    }
}

enum al_code al_options_parse(int argc, char **argv, struct al_options *ret, struct al_err *err)
{
    struct al_options o = {.action = AL_OPTIONS_RUN};
    optind = 0; /* start anew, also when called again */
    opterr = 0;
    for (;;) {
        int c = getopt_long(argc, argv, "+:h", options, NULL); // NOLINT(concurrency-mt-unsafe)
        if (c == -1)
            break;
        AL_TRY(take(&o, c, argv, err));
        if (o.action == AL_OPTIONS_HELP || o.action == AL_OPTIONS_VERSION) {
            *ret = o; /* whatever else stands there */
            return AL_OK;
        }
    }
    if (optind < argc)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_USAGE", "argument '%.80s': not expected",
                         argv[optind]);
    *ret = o;
    return AL_OK;
}

void al_options_usage(FILE *f)
{
    fputs(usage, f);
}
