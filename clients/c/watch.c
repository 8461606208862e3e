/* Following a job. */
#include "client_int.h"

enum al_code al_client_watch_job(struct al_client *c, const char *name, uint64_t timeout_ms,
                                 bool (*fn)(void *u, const Airlore__V1__Job *job), void *u,
                                 struct al_err *err)
{
    Airlore__V1__WatchJobRequest req = AIRLORE__V1__WATCH_JOB_REQUEST__INIT;
    req.name = (char *)(uintptr_t)name;
    struct al_rpc_request r = {.service = &airlore__v1__admin_service__descriptor,
                               .method = "WatchJob",
                               .timeout_ms = timeout_ms};
    AL_AUTO(al_rpc_stream) s = NULL;
    AL_TRY(al_rpc_stream_open(c->channel, &r, &s, err));
    enum al_code code = al_rpc_stream_write(s, &req.base, err);
    if (code == AL_OK)
        code = al_rpc_stream_writes_done(s, err);
    if (code != AL_OK)
        return al_rpc_stream_finish(s, err) == AL_OK ? code : err ? err->code : code;
    for (;;) {
        ProtobufCMessage *m = NULL;
        AL_TRY(al_rpc_stream_read(s, &m, err));
        if (!m)
            return AL_OK;
        const Airlore__V1__WatchJobResponse *w = (const void *)m;
        if (w->job && !fn(u, w->job))
            return AL_FAIL(err, AL_CANCELLED, "job '%s': watch ended", name);
    }
}
