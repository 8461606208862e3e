/* descriptor_set.h - an index over a FileDescriptorSet.
 *
 * protobuf-c's descriptors do not say which methods stream, and reflection needs the files
 * themselves: both come from the descriptor set that protoc wrote (with imports), embedded as
 * bytes.
 *
 * Thread:    immutable after open.
 * Lifecycle: open -> close. close accepts zeroed memory.
 * Memory:    names and files are borrowed from the bytes; full names are owned.
 */
#ifndef AIRLORE_RPC_DESCRIPTOR_SET_H
#define AIRLORE_RPC_DESCRIPTOR_SET_H

#include "airlore/str.h"

enum al_rpc_kind {
    AL_RPC_UNARY = 0,
    AL_RPC_SERVER_STREAM = 1,
    AL_RPC_CLIENT_STREAM = 2,
    AL_RPC_BIDI = 3,
};

struct al_dset_file {
    struct al_str name;  /* "airlore/v1/knowledge.proto" */
    struct al_str bytes; /* the FileDescriptorProto */
};

/* A message, enum, enum value, field, service, method or extension by its full name without leading
 * dot. */
struct al_dset_symbol {
    const char *name; /* owned */
    uint32_t file;
    bool is_service;
    bool is_method;
    enum al_rpc_kind kind; /* of a method */
};

struct al_descriptor_set {
    /* private state */
    struct al_mem *mem;
    struct al_dset_file *files;
    size_t n_files;
    size_t files_cap;
    struct al_dset_symbol *symbols; /* sorted by name */
    size_t n_symbols;
    size_t symbols_cap;
};

/* Index the bytes, borrowed until close. mem NULL: standard. Errors: AL_INVALID_ARGUMENT with
 * reason BAD_DESCRIPTOR_SET, AL_RESOURCE_EXHAUSTED. On error nothing is kept. */
AL_NODISCARD enum al_code al_descriptor_set_open(struct al_descriptor_set *set, struct al_str bytes,
                                                 struct al_mem *mem, struct al_err *err);

/* Free. */
void al_descriptor_set_close(struct al_descriptor_set *set);

/* The file of that name, or NULL. */
const struct al_dset_file *al_descriptor_set_file(const struct al_descriptor_set *set,
                                                  struct al_str name);

/* The symbol of that full name, or NULL. A method is "package.Service.Method". */
const struct al_dset_symbol *al_descriptor_set_symbol(const struct al_descriptor_set *set,
                                                      struct al_str name);

/* The same by service and method name. */
const struct al_dset_symbol *al_descriptor_set_method(const struct al_descriptor_set *set,
                                                      struct al_str service, struct al_str method);

#endif
