/* runtime.h - what servers and channels share: the library's start, event tags, byte buffers,
 * certificates.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_RPC_RUNTIME_H
#define AIRLORE_RPC_RUNTIME_H

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "airlore/rpc_tls.h"
#include "prescan.h"

/* What a completion queue gives back: the address of one of these. */
struct al_rpc_tag {
    void (*fn)(struct al_rpc_tag *t, bool ok);
};

/* The struct that holds a tag. */
#define AL_RPC_OF_TAG(tag_, type_, field_) \
    ((struct type_ *)(void *)((char *)(tag_)-offsetof(struct type_, field_)))

/* Call before the tag goes into gRPC: what was written until here is seen by whom the tag comes
 * back to. gRPC sees to that itself; the thread sanitizer, which does not look into it, has to be
 * told. */
#if defined(__SANITIZE_THREAD__)
void __tsan_release(void *addr);
void __tsan_acquire(void *addr);
#define AL_RPC_TAG_OUT(tag_) __tsan_release(tag_)
#define AL_RPC_TAG_BACK(tag_) __tsan_acquire(tag_)
#else
#define AL_RPC_TAG_OUT(tag_) ((void)(tag_))
#define AL_RPC_TAG_BACK(tag_) ((void)(tag_))
#endif

/* Start gRPC once per process, with signals blocked in its threads; its own log goes nowhere unless
 * GRPC_VERBOSITY is set. Never shut down: its threads are idle and its memory small. */
void al_rpc_runtime_start(void);

/* Run the tags of a completion queue until it is shut down. */
void al_rpc_runtime_poll(grpc_completion_queue *cq);

/* Message to bytes in one slice. *ret owned: grpc_byte_buffer_destroy.
 * AL_RESOURCE_EXHAUSTED with reason MESSAGE_TOO_LARGE above bytes_max. */
AL_NODISCARD enum al_code al_rpc_encode(const ProtobufCMessage *m, size_t bytes_max,
                                        grpc_byte_buffer **ret, struct al_err *err);

/* Bytes to message in the arena, checked as untrusted. bb borrowed. */
AL_NODISCARD enum al_code al_rpc_decode(const ProtobufCMessageDescriptor *d, grpc_byte_buffer *bb,
                                        const struct al_rpc_limits *limits, struct al_arena *a,
                                        ProtobufCMessage **ret, struct al_err *err);

/* A copy of s as a slice, to be unref'ed. */
grpc_slice al_rpc_slice(struct al_str s);

/* The bytes of a slice, borrowed from it. */
struct al_str al_rpc_slice_view(const grpc_slice *s);

/* First value of a metadata key, or {NULL, 0}. Borrowed from md. */
struct al_str al_rpc_metadata_find(const grpc_metadata_array *md, struct al_str key);

/* Whether key and value may be sent as metadata: key lower case without "grpc-" and "-bin", value
 * printable ASCII. */
bool al_rpc_metadata_is_legal(struct al_str key, struct al_str value);

/* Server credentials; tls NULL: plain text. *ret owned: grpc_server_credentials_release.
 * AL_INVALID_ARGUMENT with reason BAD_TLS. */
AL_NODISCARD enum al_code al_rpc_tls_server(const struct al_rpc_tls *tls,
                                            grpc_server_credentials **ret, struct al_err *err);

/* The same for a channel: grpc_channel_credentials_release. */
AL_NODISCARD enum al_code al_rpc_tls_channel(const struct al_rpc_tls *tls,
                                             grpc_channel_credentials **ret, struct al_err *err);

#endif
