/* etcd_json.h - bodies of etcd's JSON gateway: what is asked, and what is answered.
 *
 * Requests are built by these functions only: etcd ignores fields that it does not know, so that a
 * misspelt compare would hold. Keys and values are base64, 64-bit numbers are strings, and what is
 * absent is zero. Answers come from the network: anything wrong with them is AL_DATA_LOSS, reason
 * BAD_ANSWER, never an assertion; AL_RESOURCE_EXHAUSTED when the arena is full.
 *
 * Thread: any thread (no shared state).
 */
#ifndef AIRLORE_COORD_ETCD_JSON_H
#define AIRLORE_COORD_ETCD_JSON_H

#include "airlore/arena.h"
#include "airlore/coord.h"

/* Keys that other clients may create in one transaction (etcd's --max-txn-ops). */
#define AL_ETCD_TXN_OPS 128u
/* Values (objects, texts, numbers) in one answer: jansson takes about a hundred bytes for each. */
#define AL_ETCD_VALUES_MAX 1000000u

/* Append the base64 of a followed by b; padded. */
void al_etcd_base64(struct al_buf *ret, struct al_str a, struct al_str b);

/* The bytes of a text in base64 (standard alphabet, padded, no white space) of at most most_bytes,
 * into the arena. */
AL_NODISCARD enum al_code al_etcd_unbase64(struct al_str text, size_t most_bytes,
                                           struct al_arena *a, struct al_str *ret,
                                           struct al_err *err);

/* Append the bodies of requests. Keys have `prefix` put before them. Check al_buf_status. */
void al_etcd_ask_txn(struct al_buf *ret, struct al_str prefix, const struct al_coord_txn *txn);
void al_etcd_ask_grant(struct al_buf *ret, uint64_t lease, uint32_t ttl_s);
void al_etcd_ask_lease(struct al_buf *ret, uint64_t lease); /* keepalive, revoke */
void al_etcd_ask_compact(struct al_buf *ret, int64_t revision);
void al_etcd_ask_auth(struct al_buf *ret, struct al_str user, struct al_str password);
void al_etcd_ask_watch(struct al_buf *ret, struct al_str prefix, int64_t from_revision);

/* The member's own view of one key, which needs no quorum. */
void al_etcd_ask_probe(struct al_buf *ret, struct al_str prefix);

/* What has the prefix, in the order of keys. */
struct al_etcd_page {
    struct al_str prefix;
    struct al_str after; /* keys above this one; empty: from the first */
    int64_t revision;    /* as of then; 0: now */
    uint32_t limit;
};
void al_etcd_ask_page(struct al_buf *ret, const struct al_etcd_page *page);

/* Answers of 200 to each. prefix is taken off keys. */
AL_NODISCARD enum al_code al_etcd_read_txn(struct al_str text, struct al_str prefix,
                                           const struct al_coord_txn *txn, struct al_arena *a,
                                           struct al_coord_result *ret, struct al_err *err);
AL_NODISCARD enum al_code al_etcd_read_page(struct al_str text, struct al_str prefix,
                                            struct al_arena *a, struct al_coord_answer *ret,
                                            int64_t *ret_revision, struct al_err *err);

/* *ret_ttl_s 0: the lease is gone. */
AL_NODISCARD enum al_code al_etcd_read_keepalive(struct al_str text, int64_t *ret_ttl_s,
                                                 struct al_err *err);
AL_NODISCARD enum al_code al_etcd_read_grant(struct al_str text, int64_t *ret_ttl_s,
                                             struct al_err *err);

/* Printable ASCII without spaces, for a header. */
AL_NODISCARD enum al_code al_etcd_read_token(struct al_str text, struct al_arena *a,
                                             struct al_str *ret, struct al_err *err);

/* An answer that is not 200, or the end of a stream: code of gRPC and message. false: not etcd's.
 */
struct al_etcd_fault {
    int64_t code;
    char message[200];
};
bool al_etcd_read_fault(struct al_str text, struct al_etcd_fault *ret);

/* One line of a watch. Events are those of whole revisions, but for the last one when is_fragment.
 */
struct al_etcd_news {
    bool is_created;
    bool is_canceled;
    bool is_fragment;           /* more of the same revision follows in the next line */
    bool is_fault;              /* the stream ends with this */
    int64_t revision;           /* of the store, when it was written */
    int64_t compact_revision;   /* canceled: history from before it is gone */
    struct al_etcd_fault fault; /* is_fault, or why it was canceled */
    struct al_coord_event *events;
    size_t n_events;
};
AL_NODISCARD enum al_code al_etcd_read_news(struct al_str line, struct al_str prefix,
                                            struct al_arena *a, struct al_etcd_news *ret,
                                            struct al_err *err);

#endif
