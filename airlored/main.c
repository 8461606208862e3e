/* airlored: the Airlore server. */
#include <stdio.h>
#include <string.h>

#include "airlore/log.h"
#include "build_info.h"
#include "options.h"
#include "process.h"
#include "settings.h"
#include "signals.h"
#include "standalone.h"

enum { EXIT_CLEAN = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int complain(const struct al_err *err, int status)
{
    fprintf(stderr, "airlored: %s\n", err->msg);
    return status;
}

static void announce(const struct al_standalone *s, struct al_log *log)
{
    al_log(log, AL_LOG_INFO, "server.ready", AL_S("grpc", al_standalone_grpc(s)),
           AL_S("http", al_standalone_http(s)), AL_S("version", al_build_version()),
           AL_S("commit", al_build_commit()));
    printf("ready grpc=%s http=%s\n", al_standalone_grpc(s), al_standalone_http(s));
    if (fflush(stdout) != 0)
        al_log(log, AL_LOG_WARN, "server.ready_line_lost");
}

static int serve(const struct al_settings *settings, struct al_log *log)
{
    struct al_err err = {.code = AL_OK};
    AL_AUTO(al_standalone) s = NULL;
    enum al_code code = al_signals_start(&err);
    if (code == AL_OK)
        code = al_standalone_start(settings, log, &s, &err);
    if (code != AL_OK) {
        al_log_err(log, AL_LOG_ERROR, "server.not_started", &err);
        return EXIT_FAILED;
    }
    announce(s, log);
    int sig = al_signals_wait();
    al_log(log, AL_LOG_INFO, "server.draining", AL_S("signal", sigabbrev_np(sig)));
    bool all_ended = al_standalone_drain(s);
    al_log(log, AL_LOG_INFO, "server.ended", AL_FLAG("all_calls_ended", all_ended));
    return EXIT_CLEAN;
}

static int run(const struct al_settings *settings)
{
    struct al_err err = {.code = AL_OK};
    if (settings->role != AL_SETTINGS_STANDALONE) {
        fprintf(stderr,
                "airlored: role '%s': UNIMPLEMENTED: clusters are not there yet, only the "
                "role 'standalone' is\n",
                settings->role == AL_SETTINGS_NODE ? "node" : "coordinator");
        return EXIT_USAGE;
    }
    al_signals_init();
    AL_AUTO(al_log) log = NULL;
    const struct al_log_options o = {.fd = 2,
                                     .level = (enum al_log_level)settings->log_level,
                                     .format = (enum al_log_format)settings->log_format};
    if (al_log_create(&o, &log, &err) != AL_OK)
        return complain(&err, EXIT_FAILED);
    return serve(settings, log);
}

static int print_config(const struct al_settings *settings)
{
    struct al_buf text;
    al_buf_init(&text, NULL, 1 << 20);
    al_config_print(al_settings_table(), settings, &text);
    bool good = al_buf_status(&text, NULL) == AL_OK &&
                fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0;
    al_buf_fini(&text);
    return good ? EXIT_CLEAN : EXIT_FAILED;
}

static int with_settings(const struct al_options *o)
{
    struct al_err err = {.code = AL_OK};
    struct al_settings settings;
    if (al_settings_load(o, al_disk_system(), NULL, &settings, &err) != AL_OK)
        return complain(&err, EXIT_USAGE);
    int status = EXIT_CLEAN;
    if (o->action == AL_OPTIONS_PRINT_CONFIG)
        status = print_config(&settings);
    else if (o->action == AL_OPTIONS_CHECK_CONFIG)
        puts("configuration is good");
    else
        status = run(&settings);
    al_settings_fini(&settings, NULL);
    return status;
}

int main(int argc, char **argv)
{
    struct al_options o;
    struct al_err err = {.code = AL_OK};
    al_process_prepare(argv);
    if (al_options_parse(argc, argv, &o, &err) != AL_OK) {
        complain(&err, EXIT_USAGE);
        fputs("try 'airlored --help'\n", stderr);
        return EXIT_USAGE;
    }
    if (o.action == AL_OPTIONS_HELP) {
        al_options_usage(stdout);
        return EXIT_CLEAN;
    }
    if (o.action == AL_OPTIONS_VERSION) {
        al_build_print(stdout);
        return EXIT_CLEAN;
    }
    return with_settings(&o);
}
