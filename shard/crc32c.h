/* crc32c.h - CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4), the
 * checksum of log entries.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_SHARD_CRC32C_H
#define AIRLORE_SHARD_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of n bytes; go on with the checksum of what came before as crc, 0 to start. */
uint32_t al_crc32c(uint32_t crc, const void *p, size_t n);

#endif
