#include "airlore/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS_MAX (7ull * 24 * 60 * 60 * 1000)

const char *al_code_name(enum al_code code)
{
    switch (code) {
#define AL_CODE_NAME(name_, number_) \
    case AL_##name_:                 \
        return #name_;
        AL_CODE_MAP(AL_CODE_NAME)
#undef AL_CODE_NAME
    }
    return "UNKNOWN";
}

bool al_code_is_retryable(enum al_code code)
{
    return code == AL_UNAVAILABLE || code == AL_RESOURCE_EXHAUSTED || code == AL_ABORTED;
}

enum al_code al_err_set(struct al_err *err, enum al_code code, const char *reason, const char *site,
                        const char *fmt, ...)
{
    AL_ASSERT(code != AL_OK);
    if (!err)
        return code;
    char text[sizeof err->msg]; /* an argument may point into err->msg */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    memcpy(err->msg, text, sizeof text);
    err->code = code;
    err->vendor = 0;
    err->retry_after_ms = 0;
    err->reason = reason ? reason : al_code_name(code);
    err->site = site;
    return code;
}

enum al_code al_err_retry_after(struct al_err *err, uint64_t ms, enum al_code code)
{
    if (err)
        err->retry_after_ms = (uint32_t)(ms > RETRY_MS_MAX ? RETRY_MS_MAX : ms ? ms : 1);
    return code;
}

void al_err_prefix(struct al_err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char text[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 2 >= sizeof text)
        return;
    size_t used = (size_t)n;
    size_t room = sizeof text - used - 3;
    size_t rest = strnlen(err->msg, sizeof err->msg - 1);
    rest = rest < room ? rest : room;
    text[used] = ':';
    text[used + 1] = ' ';
    memcpy(text + used + 2, err->msg, rest);
    text[used + 2 + rest] = '\0';
    memcpy(err->msg, text, used + 3 + rest);
}

static enum al_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return AL_NOT_FOUND;
    case EEXIST:
        return AL_ALREADY_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return AL_PERMISSION_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
        return AL_RESOURCE_EXHAUSTED;
    case EAGAIN:
    case EBUSY:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
        return AL_UNAVAILABLE;
    case ETIMEDOUT:
        return AL_DEADLINE_EXCEEDED;
    case ENOTEMPTY:
        return AL_FAILED_PRECONDITION;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
    case ENOTDIR:
        return AL_INVALID_ARGUMENT;
    default:
        return AL_INTERNAL;
    }
}

enum al_code al_err_errno(struct al_err *err, int errnum, const char *site, const char *fmt, ...)
{
    enum al_code code = code_of_errno(errnum);
    if (!err)
        return code;
    char text[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char why[80];
    const char *what = strerror_r(errnum, why, sizeof why);
    const char *reason = errnum == ENOSPC || errnum == EDQUOT ? "DISK_FULL" : NULL;
    al_err_set(err, code, reason, site, "%s: %s", text, what);
    err->vendor = errnum;
    return code;
}

void al_assert_fail(const char *cond, const char *site)
{
    fprintf(stderr, "airlore: bug at %s: '%s' does not hold\n", site, cond);
    abort();
}
