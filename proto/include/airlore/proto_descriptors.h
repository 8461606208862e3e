/* airlore/proto_descriptors.h - the compiled contract, embedded in the binary.
 *
 * A serialized google.protobuf.FileDescriptorSet of all files in proto/ and everything they import,
 * each file after its imports. It serves reflection, the JSON mapping, and the streaming flags that
 * protobuf-c drops. Unpack it with google__protobuf__file_descriptor_set__unpack() of
 * google/protobuf/descriptor.pb-c.h.
 *
 * Thread:    immutable.
 * Lifecycle: as long as the program.
 * Memory:    static; borrowed by every reader.
 * Errors:    none.
 */
#ifndef AIRLORE_PROTO_DESCRIPTORS_H
#define AIRLORE_PROTO_DESCRIPTORS_H

#include <stddef.h>

/* The bytes of the descriptor set. */
extern const unsigned char al_proto_descriptor_set[];

/* Their number. */
extern const size_t al_proto_descriptor_set_size;

#endif
