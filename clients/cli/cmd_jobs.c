/* airlore jobs */
#include <string.h>

#include "jobs.h"
#include "names.h"
#include "pages.h"

struct watch {
    struct al_cli *cli;
    json_t *last;
    bool each_line;
    bool is_drawn;
};

static bool on_change(void *u, const Airlore__V1__Job *job)
{
    struct watch *w = u;
    json_decref(w->last);
    w->last = al_cli_json_of(&job->base);
    if (w->each_line)
        al_cli_json_print(stdout, json_incref(w->last));
    else if (w->cli->term.err_is_tty && !w->cli->json && !w->cli->quiet) {
        char state[32];
        char done[32];
        char total[32];
        fprintf(stderr, "\r%s  %s %s/%s", job->type,
                al_cli_json_at(w->last, "state", state, sizeof state),
                al_cli_json_at(w->last, "progress.done", done, sizeof done),
                al_cli_json_at(w->last, "progress.total", total, sizeof total));
        fputs(" \033[K", stderr);
        w->is_drawn = true;
    }
    fflush(stdout);
    return true;
}

int al_cli_job_watch(struct al_cli *c, const char *name, bool each_line, json_t **ret)
{
    struct watch w = {.cli = c, .each_line = each_line};
    struct al_err err = {.code = AL_OK};
    enum al_code code = al_client_watch_job(c->client, name, c->timeout_given ? c->timeout_ms : 0,
                                            on_change, &w, &err);
    if (w.is_drawn)
        fputs("\r\033[K", stderr);
    if (code == AL_OK && !w.last)
        code = AL_FAIL(&err, AL_INTERNAL, "job '%s': the server said nothing", name);
    if (code != AL_OK) {
        json_decref(w.last);
        return al_cli_fail(c, &err, false);
    }
    *ret = w.last;
    const char *state = json_string_value(json_object_get(w.last, "state"));
    return state && strcmp(state, "succeeded") == 0 ? AL_EXIT_DONE : AL_EXIT_BAD;
}

void al_cli_job_show(const struct al_cli *c, json_t *job)
{
    if (c->json) {
        al_cli_json_print(stdout, job);
        return;
    }
    al_cli_pairs(stdout, job, c->term.out_colour);
    char text[300];
    const char *message = al_cli_json_at(job, "error.message", text, sizeof text);
    if (message[0])
        printf("%s%s%s\n", al_cli_style_on(c->term.out_colour, AL_STYLE_RED), message,
               al_cli_style_on(c->term.out_colour, AL_STYLE_PLAIN));
    json_decref(job);
}

int al_cmd_jobs_list(struct al_cli *c)
{
    static const struct al_cli_column columns[] = {
        {"NAME", "name"},          {"TYPE", "type"},          {"STATE", "state"},
        {"DONE", "progress.done"}, {"OF", "progress.total"},  {"CREATED", "create_time"},
        {"ENDED", "end_time"},     {"ERROR", "error.message"}};
    Airlore__V1__ListJobsRequest r = AIRLORE__V1__LIST_JOBS_REQUEST__INIT;
    if (!al_cli_enum_option(c, AL_OPT_CLASS, &airlore__v1__job_class__descriptor, &r.job_class) ||
        !al_cli_enum_option(c, AL_OPT_STATE, &airlore__v1__job_state__descriptor, &r.state))
        return AL_EXIT_USAGE;
    const char *type = c->args.value[AL_OPT_TYPE];
    r.type = (char *)(uintptr_t)(type ? type : "");
    return al_cli_list_run(c, &(struct al_cli_list){&airlore__v1__admin_service__descriptor,
                                                    "ListJobs", &r.base, "jobs", columns,
                                                    AL_ARRAY_LEN(columns)});
}

/* The JOB argument as a resource name, or NULL after saying what is wrong. */
static char *job_name(struct al_cli *c)
{
    const char *id = al_cli_one(c, "job");
    return id ? al_cli_resource(c, "jobs", id) : NULL;
}

int al_cmd_jobs_show(struct al_cli *c)
{
    Airlore__V1__GetJobRequest r = AIRLORE__V1__GET_JOB_REQUEST__INIT;
    r.name = job_name(c);
    if (!r.name)
        return AL_EXIT_USAGE;
    int rc;
    const void *m = al_cli_call(c, "GetJob", &r.base, false, &rc);
    const Airlore__V1__GetJobResponse *reply = m;
    if (reply && reply->job)
        al_cli_job_show(c, al_cli_json_of(&reply->job->base));
    return rc;
}

int al_cmd_jobs_watch(struct al_cli *c)
{
    char *name = job_name(c);
    if (!name)
        return AL_EXIT_USAGE;
    int rc = al_cli_connect(c);
    if (rc != AL_EXIT_DONE)
        return rc;
    json_t *last = NULL;
    rc = al_cli_job_watch(c, name, c->json, &last);
    if (last && !c->json)
        al_cli_job_show(c, json_incref(last));
    json_decref(last);
    return rc;
}

int al_cmd_jobs_cancel(struct al_cli *c)
{
    Airlore__V1__CancelJobRequest r = AIRLORE__V1__CANCEL_JOB_REQUEST__INIT;
    r.name = job_name(c);
    if (!r.name)
        return AL_EXIT_USAGE;
    int rc;
    const void *m = al_cli_call(c, "CancelJob", &r.base, true, &rc);
    const Airlore__V1__CancelJobResponse *reply = m;
    if (reply && reply->job)
        al_cli_job_show(c, al_cli_json_of(&reply->job->base));
    return rc;
}

/* The CLASS argument; "all" is every class. False after saying what is wrong. */
static bool take_class(struct al_cli *c, Airlore__V1__JobClass *ret)
{
    const char *word = al_cli_one(c, "class, or all,");
    int v = 0;
    if (!word)
        return false;
    if (strcmp(word, "all") != 0 &&
        !al_cli_enum_word(c, "class", word, &airlore__v1__job_class__descriptor, &v))
        return false;
    *ret = (Airlore__V1__JobClass)v;
    return true;
}

int al_cmd_jobs_pause(struct al_cli *c)
{
    Airlore__V1__PauseJobsRequest r = AIRLORE__V1__PAUSE_JOBS_REQUEST__INIT;
    if (!take_class(c, &r.job_class))
        return AL_EXIT_USAGE;
    int rc;
    const ProtobufCMessage *m = al_cli_call(c, "PauseJobs", &r.base, true, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}

int al_cmd_jobs_resume(struct al_cli *c)
{
    Airlore__V1__ResumeJobsRequest r = AIRLORE__V1__RESUME_JOBS_REQUEST__INIT;
    if (!take_class(c, &r.job_class))
        return AL_EXIT_USAGE;
    int rc;
    const ProtobufCMessage *m = al_cli_call(c, "ResumeJobs", &r.base, true, &rc);
    if (m)
        al_cli_show(c, m);
    return rc;
}
