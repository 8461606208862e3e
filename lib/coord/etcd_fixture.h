/* etcd_fixture.h - a real etcd of the test's own, and a server in front of it that makes the
 * network fail. Both live in a temporary folder and on loopback only.
 *
 * Members talk over Unix sockets, so that a killed one can always come back where it was; clients
 * go through a proxy on a free port each. A test without etcd scripts the proxy's answers.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_COORD_ETCD_FIXTURE_H
#define AIRLORE_COORD_ETCD_FIXTURE_H

#include "airlore/coord_etcd.h"
#include "airlore/testing.h"

#define AL_ETCD_MEMBERS_MAX 3u

struct al_etcd_cluster;

struct al_etcd_cluster_options {
    size_t n; /* members: 0 is 1 */
    /* More arguments of each, NULL-terminated; NULL: none. */
    const char *const *args;
    bool is_slow;        /* etcd's own time-outs (election 1 s) instead of a fifth */
    const char *tls_dir; /* NULL: none. A folder with ca.pem, server.pem, server.key: clients need
                            a certificate */
};

/* The program, or NULL: where it is looked for is in the message of al_etcd_is_missing. */
const char *al_etcd_program(void);

/* Whether the test has to be skipped; says so. */
bool al_etcd_is_missing(void);

/* Start, and wait until it is healthy; fails the test otherwise. */
struct al_etcd_cluster *al_etcd_cluster_create(const struct al_etcd_cluster_options *opt);

/* SIGKILL, SIGSTOP, SIGCONT to a member; a killed one is waited for. */
void al_etcd_cluster_signal(struct al_etcd_cluster *c, size_t member, int signal);

/* Start a killed member again, with its data. */
void al_etcd_cluster_restart(struct al_etcd_cluster *c, size_t member);

/* Path of the socket for clients of a member. Borrowed. */
const char *al_etcd_cluster_socket(const struct al_etcd_cluster *c, size_t member);

/* The member that leads; fails the test when none does. */
size_t al_etcd_cluster_leader(struct al_etcd_cluster *c);

/* End all (SIGKILL). */
void al_etcd_cluster_destroy(struct al_etcd_cluster *c);

/* One POST past every proxy, as another client would; the answer into a buffer. */
void al_etcd_cluster_post(struct al_etcd_cluster *c, size_t member, const char *path,
                          const char *body, struct al_buf *ret);

/* ---- the proxy ---- */

enum al_proxy_fault {
    AL_PROXY_NONE = 0,
    AL_PROXY_LOSE_REQUEST = 1, /* taken, never passed on, connection reset */
    AL_PROXY_LOSE_ANSWER = 2,  /* passed on, the answer dropped, connection reset */
    AL_PROXY_CUT_ANSWER = 3,   /* half of the answer, then the end */
    AL_PROXY_ANSWER = 4,       /* not passed on: `status` and `text` come back */
    AL_PROXY_LATE = 5,         /* passed on after late_ms, also when the client has gone */
    AL_PROXY_TWICE = 6,        /* passed on twice, one after the other */
    AL_PROXY_SILENT = 7,       /* taken, and never answered */
};

/* Which request, and what becomes of it. */
struct al_proxy_rule {
    enum al_proxy_fault fault;
    const char *path; /* literal; NULL: any */
    bool only_writes; /* a transaction that puts or deletes */
    uint32_t n;       /* how many of them; UINT32_MAX: all */
    uint32_t status;  /* ANSWER */
    const char *text; /* ANSWER: literal */
    uint32_t late_ms; /* LATE */
};

struct al_proxy;

/* In front of a Unix socket; NULL: of nothing, all requests need rules. is_raw: bytes are passed on
 * unread (TLS). */
struct al_proxy *al_proxy_create(const char *target, bool is_raw);

/* Its port on 127.0.0.1. */
uint32_t al_proxy_port(const struct al_proxy *p);

/* Replace all rules by one (NULL: none) or add one behind them. The first that fits is used. */
void al_proxy_set_rule(struct al_proxy *p, const struct al_proxy_rule *r);
void al_proxy_add_rule(struct al_proxy *p, const struct al_proxy_rule *r);

/* All connections are reset and none is accepted (refused, as where nobody listens), or again. */
void al_proxy_set_cut_off(struct al_proxy *p, bool cut_off);

/* Requests seen whose path begins so. */
uint32_t al_proxy_count(struct al_proxy *p, const char *path);

/* End; all connections are reset. Accepts NULL. */
void al_proxy_destroy(struct al_proxy *p);

#endif
