/* What an answer of etcd, or the lack of one, says about a request: the table of outcomes. */
#include <stdio.h>
#include <string.h>

#include "etcd_client.h"

enum grpc {
    GRPC_INVALID = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_DENIED = 7,
    GRPC_EXHAUSTED = 8,
    GRPC_PRECONDITION = 9,
    GRPC_RANGE = 11,
    GRPC_UNAUTHENTICATED = 16
};

/* etcd's own words, where the code alone does not tell. First match. */
static const struct {
    const char *begins;
    enum al_etcd_verdict verdict;
    enum al_code code;
    const char *reason;
} known[] = {
    /* Said before anything is proposed: of a member that has lost the leader (hasleader). */
    {"etcdserver: no leader", AL_ETCD_NOT_APPLIED, AL_UNAVAILABLE, "COORD_UNAVAILABLE"},
    {"etcdserver: too many requests", AL_ETCD_BUSY, AL_UNAVAILABLE, "COORD_UNAVAILABLE"},
    {"etcdserver: mvcc: database space exceeded", AL_ETCD_REFUSED, AL_RESOURCE_EXHAUSTED,
     "NO_SPACE"},
    {"etcdserver: too many operations in txn request", AL_ETCD_REFUSED, AL_INVALID_ARGUMENT,
     "TXN_TOO_LARGE"},
    {"etcdserver: request is too large", AL_ETCD_REFUSED, AL_INVALID_ARGUMENT, "TXN_TOO_LARGE"},
    {"grpc: received message larger than max", AL_ETCD_REFUSED, AL_INVALID_ARGUMENT,
     "TXN_TOO_LARGE"},
    {"etcdserver: duplicate key given in txn request", AL_ETCD_REFUSED, AL_INVALID_ARGUMENT,
     "DUPLICATE_KEY"},
    {"etcdserver: invalid auth token", AL_ETCD_NO_TOKEN, AL_UNAUTHENTICATED, NULL},
    {"etcdserver: revision of auth store is old", AL_ETCD_NO_TOKEN, AL_UNAUTHENTICATED, NULL},
    {"etcdserver: user name is empty", AL_ETCD_NO_TOKEN, AL_UNAUTHENTICATED, NULL},
    {"etcdserver: authentication failed", AL_ETCD_REFUSED, AL_UNAUTHENTICATED, NULL},
    {"etcdserver: authentication is not enabled", AL_ETCD_REFUSED, AL_FAILED_PRECONDITION, NULL},
};

static void set(struct al_etcd_judgement *j, enum al_etcd_verdict v, enum al_code code,
                const char *reason)
{
    j->verdict = v;
    j->code = code;
    j->reason = reason;
}

static bool judge_text(struct al_etcd_judgement *j)
{
    for (size_t i = 0; i < AL_ARRAY_LEN(known); i++) {
        if (al_str_starts(al_str_c(j->fault.message), al_str_c(known[i].begins))) {
            set(j, known[i].verdict, known[i].code, known[i].reason);
            return true;
        }
    }
    return false;
}

/* etcd answered with a status below 500 and a code. */
static void judge_code(struct al_etcd_judgement *j)
{
    switch (j->fault.code) {
    case GRPC_INVALID:
        set(j, AL_ETCD_REFUSED, AL_INVALID_ARGUMENT, "BAD_TXN");
        break;
    case GRPC_NOT_FOUND:
        set(j, AL_ETCD_REFUSED, AL_FAILED_PRECONDITION, "LEASE_LOST");
        break;
    case GRPC_DENIED:
        set(j, AL_ETCD_REFUSED, AL_PERMISSION_DENIED, NULL);
        break;
    case GRPC_EXHAUSTED:
        set(j, AL_ETCD_REFUSED, AL_RESOURCE_EXHAUSTED, NULL);
        break;
    case GRPC_PRECONDITION:
        set(j, AL_ETCD_REFUSED, AL_FAILED_PRECONDITION, NULL);
        break;
    case GRPC_RANGE:
        set(j, AL_ETCD_REFUSED, AL_OUT_OF_RANGE, NULL);
        break;
    case GRPC_UNAUTHENTICATED:
        set(j, AL_ETCD_NO_TOKEN, AL_UNAUTHENTICATED, NULL);
        break;
    default: /* CANCELLED (etcd ends), and whatever a later etcd may say */
        set(j, AL_ETCD_UNSURE, AL_UNKNOWN, NULL);
        break;
    }
}

static void note_text(struct al_etcd_judgement *j, uint32_t status, struct al_str body)
{
    struct al_str line = al_str_sub(body, 0, sizeof j->fault.message - 20);
    size_t end = al_str_find(line, AL_STR("\n"), 0);
    snprintf(j->fault.message, sizeof j->fault.message, "HTTP %u: " AL_STR_FMT, status,
             AL_STR_ARG(al_str_sub(line, 0, end)));
}

/* Not etcd's JSON: another server, or what the gateway says before etcd is asked. */
static void judge_foreign(struct al_etcd_judgement *j, uint32_t status, struct al_str body)
{
    note_text(j, status, body);
    bool is_name = al_str_find(body, AL_STR("CommonName"), 0) != SIZE_MAX;
    if (status == 400 && is_name) /* etcd with users refuses certificates that have one */
        set(j, AL_ETCD_REFUSED, AL_UNAUTHENTICATED, NULL);
    else if (status == 404 || status == 405)
        set(j, AL_ETCD_NOT_APPLIED, AL_UNAVAILABLE, "COORD_UNAVAILABLE");
    else
        set(j, AL_ETCD_UNSURE, AL_UNKNOWN, NULL);
}

static void judge_answer(struct al_etcd_judgement *j, uint32_t status, struct al_str body)
{
    if (status == 200)
        set(j, AL_ETCD_GOOD, AL_OK, NULL);
    else if (!al_etcd_read_fault(body, &j->fault))
        judge_foreign(j, status, body);
    else if (judge_text(j))
        return;
    else if (status >= 400 && status < 500)
        judge_code(j);
    else
        set(j, AL_ETCD_UNSURE, AL_UNKNOWN, NULL);
}

void al_etcd_judge(const struct al_wire_result *r, struct al_str body,
                   struct al_etcd_judgement *ret)
{
    *ret = (struct al_etcd_judgement){.verdict = AL_ETCD_UNSURE, .code = AL_UNKNOWN};
    if (r->end == AL_WIRE_ANSWERED) {
        judge_answer(ret, r->status, body);
        return;
    }
    snprintf(ret->fault.message, sizeof ret->fault.message, "%s",
             r->end == AL_WIRE_STOPPED ? "the answer is too large" : r->why);
    if (!r->was_sent)
        set(ret, AL_ETCD_NOT_APPLIED, AL_UNAVAILABLE, "COORD_UNAVAILABLE");
}
