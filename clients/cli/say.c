/* What the program says when something is wrong, and the numbers it ends with. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int al_cli_exit_code(const struct al_err *err, bool is_write)
{
    switch (err->code) {
    case AL_OK:
        return AL_EXIT_DONE;
    case AL_INVALID_ARGUMENT:
    case AL_OUT_OF_RANGE:
    case AL_UNIMPLEMENTED:
        return AL_EXIT_USAGE;
    case AL_UNAVAILABLE:
        return AL_EXIT_UNREACHABLE;
    case AL_DEADLINE_EXCEEDED:
        return is_write ? AL_EXIT_UNKNOWN : AL_EXIT_UNREACHABLE;
    case AL_UNKNOWN:
        return is_write || (err->reason && strcmp(err->reason, "OUTCOME_UNKNOWN") == 0)
                   ? AL_EXIT_UNKNOWN
                   : AL_EXIT_BAD;
    case AL_UNAUTHENTICATED:
    case AL_PERMISSION_DENIED:
    case AL_RESOURCE_EXHAUSTED:
    case AL_FAILED_PRECONDITION:
        return AL_EXIT_REFUSED;
    case AL_CANCELLED:
    case AL_NOT_FOUND:
    case AL_ALREADY_EXISTS:
    case AL_ABORTED:
    case AL_INTERNAL:
    case AL_DATA_LOSS:
        break;
    }
    return AL_EXIT_BAD;
}

static const char *advice(const struct al_err *err, bool is_write)
{
    static const struct {
        const char *reason;
        const char *text;
    } by_reason[] = {
        {"PREVIEW_STALE", "it has changed since: make a new preview"},
        {"BAD_FILTER", "such as: kind = \"doc\" AND airflow >= \"3.0\" AND tags:\"postgres\""},
        {"RATE_LIMITED", "wait a moment, or have the quota raised: airlore quota set"},
        {"QUOTA_EXCEEDED", "see airlore quota get"},
        {"DISK_FULL", "free space on the server's disk"},
        {"KEY_MISSING", "give one: --key KEY or AIRLORE_KEY"},
        {"KEY_INVALID", "check --key and AIRLORE_KEY; a new key: airlore key create"},
        {"STORE_READ_ONLY", "the store is damaged and serves reads only: airlore cluster verify"},
    };
    for (size_t i = 0; err->reason && i < AL_ARRAY_LEN(by_reason); i++) {
        if (strcmp(err->reason, by_reason[i].reason) == 0)
            return by_reason[i].text;
    }
    if (err->code == AL_UNAVAILABLE)
        return "is the server running? start one: make run, or airlored --data DIR";
    if (err->code == AL_DEADLINE_EXCEEDED && is_write)
        return "it may or may not have happened; the same command again is safe";
    if (err->code == AL_DEADLINE_EXCEEDED)
        return "give it longer: --timeout SECONDS";
    if (err->code == AL_UNIMPLEMENTED)
        return "this server does not serve that yet";
    return NULL;
}

/* The message; of "failed to connect to all addresses; last error: ... : WHY" only what says
 * something. */
static struct al_str said_by_grpc(const struct al_err *err)
{
    struct al_str s = al_str_c(err->msg[0] ? err->msg : al_code_name(err->code));
    size_t at = al_str_find(s, AL_STR("Failed to connect to remote host"), 0);
    return err->code == AL_UNAVAILABLE && at != SIZE_MAX ? al_str_sub(s, at, s.n) : s;
}

int al_cli_fail(const struct al_cli *c, const struct al_err *err, bool is_write)
{
    const char *on = al_cli_style_on(c->term.err_colour, AL_STYLE_RED);
    const char *off = al_cli_style_on(c->term.err_colour, AL_STYLE_PLAIN);
    const char *reason = err->reason ? err->reason : al_code_name(err->code);
    fprintf(stderr, "%sairlore:%s ", on, off);
    if (err->code == AL_UNAVAILABLE && c->server)
        fprintf(stderr, "server '%s': ", c->server);
    al_cli_put(stderr, said_by_grpc(err));
    fprintf(stderr, " (%s)\n", reason);
    const char *text = advice(err, is_write);
    if (text)
        fprintf(stderr, "  %s\n", text);
    return al_cli_exit_code(err, is_write);
}

int al_cli_usage(const struct al_cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("airlore: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (c->args.command)
        fprintf(stderr, "  usage: airlore %s %s\n  more:  airlore help %s\n",
                c->args.command->words, c->args.command->args, c->args.command->words);
    return AL_EXIT_USAGE;
}

void al_cli_note(const struct al_cli *c, const char *fmt, ...)
{
    if (c->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    fputs("airlore: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

bool al_cli_can_ask(const struct al_cli *c)
{
    return !c->json && c->term.in_is_tty && c->term.err_is_tty;
}

bool al_cli_confirm(const struct al_cli *c, const char *question)
{
    (void)c;
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    char line[32];
    if (!fgets(line, sizeof line, stdin))
        return false;
    return line[0] == 'y' || line[0] == 'Y';
}

/* "-" before a name of one letter, "--" before others. */
static const char *dashes(enum al_cli_opt opt)
{
    return al_cli_opt_defs[opt].name[1] ? "--" : "-";
}

bool al_cli_u64(const struct al_cli *c, enum al_cli_opt opt, uint64_t min, uint64_t max,
                uint64_t *inout)
{
    const char *text = c->args.value[opt];
    if (!text)
        return true;
    uint64_t v;
    if (al_str_u64(al_str_c(text), &v) && v >= min && v <= max) {
        *inout = v;
        return true;
    }
    al_cli_usage(c, "%s%s '%.40s': not a whole number from %" PRIu64 " to %" PRIu64, dashes(opt),
                 al_cli_opt_defs[opt].name, text, min, max);
    return false;
}

bool al_cli_double(const struct al_cli *c, enum al_cli_opt opt, double min, double max,
                   double *inout)
{
    const char *text = c->args.value[opt];
    if (!text)
        return true;
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (text[0] && *end == '\0' && errno == 0 && isfinite(v) && v >= min && v <= max) {
        *inout = v;
        return true;
    }
    al_cli_usage(c, "--%s '%.40s': not a number from %g to %g", al_cli_opt_defs[opt].name, text,
                 min, max);
    return false;
}

const char *al_cli_one(const struct al_cli *c, const char *what)
{
    if (c->args.n_pos == 1 && c->args.pos[0][0])
        return c->args.pos[0];
    if (c->args.n_pos > 1)
        al_cli_usage(c, "one %s at a time", what);
    else
        al_cli_usage(c, "%s missing", what);
    return NULL;
}
