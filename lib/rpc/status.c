#include "status.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS_MAX (7ull * 24 * 60 * 60 * 1000)

#define AL_RPC_ASSERT_CODE(name_, number_) \
    _Static_assert((int)AL_##name_ == (int)GRPC_STATUS_##name_, "codes are those of gRPC");
AL_CODE_MAP(AL_RPC_ASSERT_CODE)
#undef AL_RPC_ASSERT_CODE

/* A protobuf writer into a fixed buffer; the sizes below make overflow impossible, and it is
 * checked all the same. */
struct out {
    char *p;
    size_t n;
    size_t cap;
};

static void put_bytes(struct out *o, const char *p, size_t n)
{
    if (n > o->cap - o->n)
        return;
    if (n)
        memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void put_varint(struct out *o, uint64_t v)
{
    char b[10];
    size_t n = 0;
    do {
        uint8_t low = (uint8_t)(v & 0x7f);
        v >>= 7;
        b[n++] = (char)(low | (v ? 0x80 : 0));
    } while (v);
    put_bytes(o, b, n);
}

static void put_field(struct out *o, unsigned number, struct al_str s)
{
    put_varint(o, (uint64_t)number << 3 | 2);
    put_varint(o, s.n);
    put_bytes(o, s.p, s.n);
}

struct al_str al_rpc_status_message(const struct al_err *e,
                                    char buf[sizeof((struct al_err *)0)->msg])
{
    struct al_str s = {buf, strnlen(e->msg, sizeof e->msg - 1)};
    memcpy(buf, e->msg, s.n);
    buf[s.n] = '\0';
    for (size_t cut = 0; cut < 4 && cut <= s.n; cut++) { /* the last character may be cut off */
        struct al_str whole = al_str_sub(s, 0, s.n - cut);
        if (al_str_is_utf8(whole))
            return whole;
    }
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)buf[i] >= 0x80)
            buf[i] = '?';
    }
    return s;
}

/* An entry of ErrorInfo.metadata. */
static void put_fact(struct out *info, const char *key, uint32_t value)
{
    char text[12];
    char entry_buf[64];
    struct out entry = {entry_buf, 0, sizeof entry_buf};
    snprintf(text, sizeof text, "%" PRIu32, value);
    put_field(&entry, 1, al_str_c(key));
    put_field(&entry, 2, al_str_c(text));
    put_field(info, 3, (struct al_str){entry.p, entry.n});
}

size_t al_rpc_status_details(const struct al_err *e, char buf[AL_RPC_DETAILS_MAX])
{
    char info_buf[160];
    char any_buf[256];
    char msg_buf[sizeof e->msg];
    struct al_str reason = al_str_c(e->reason ? e->reason : al_code_name(e->code));
    struct out info = {info_buf, 0, sizeof info_buf};
    put_field(&info, 1, al_str_sub(reason, 0, 63));
    put_field(&info, 2, AL_STR("airlore"));
    if (e->retry_after_ms)
        put_fact(&info, "retry_after_ms", e->retry_after_ms);
    struct out any = {any_buf, 0, sizeof any_buf};
    put_field(&any, 1, AL_STR("type.googleapis.com/google.rpc.ErrorInfo"));
    put_field(&any, 2, (struct al_str){info.p, info.n});
    struct out status = {buf, 0, AL_RPC_DETAILS_MAX};
    put_varint(&status, 1 << 3);
    put_varint(&status, (uint64_t)e->code);
    put_field(&status, 2, al_rpc_status_message(e, msg_buf));
    put_field(&status, 3, (struct al_str){any.p, any.n});
    return status.n;
}

enum al_code al_rpc_code_of(int status)
{
    return status >= AL_OK && status <= AL_UNAUTHENTICATED ? (enum al_code)status : AL_UNKNOWN;
}

uint32_t al_rpc_retry_of(struct al_str value)
{
    uint64_t ms = 0;
    return value.p && al_str_u64(value, &ms) && ms <= RETRY_MS_MAX ? (uint32_t)ms : 0;
}

#define REASONS_MAX 256u
#define REASON_BYTES 64u

static pthread_mutex_t reasons_mu = PTHREAD_MUTEX_INITIALIZER;
static char reasons[REASONS_MAX][REASON_BYTES]; /* guarded by reasons_mu; an entry never changes */
static size_t n_reasons;                        /* guarded by reasons_mu */

static bool is_reason(struct al_str s)
{
    if (s.n == 0 || s.n >= REASON_BYTES)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

const char *al_rpc_reason_intern(struct al_str reason)
{
    if (!is_reason(reason))
        return NULL;
    const char *found = NULL;
    pthread_mutex_lock(&reasons_mu);
    for (size_t i = 0; i < n_reasons && !found; i++) {
        if (al_str_is(reason, reasons[i]))
            found = reasons[i];
    }
    if (!found && n_reasons < REASONS_MAX) {
        memcpy(reasons[n_reasons], reason.p, reason.n); /* zeroed: NUL-terminated */
        found = reasons[n_reasons++];
    }
    pthread_mutex_unlock(&reasons_mu);
    return found;
}
