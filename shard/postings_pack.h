/* postings_pack.h - 128 numbers in as many bits each as the largest needs.
 *
 * Vertical layout (Lemire and Boytsov, "Decoding billions of integers per second through
 * vectorization", 2015): number i lies in 32-bit lane i % 4 as the (i / 4)-th number of that lane,
 * so that four are unpacked by one shift and one mask. 128 numbers of b bits take 16 * b bytes. The
 * same source is compiled for this machine's vector instructions and for any machine; the bytes and
 * the numbers are the same.
 *
 * Thread: functions of their input.
 */
#ifndef AIRLORE_SHARD_POSTINGS_PACK_H
#define AIRLORE_SHARD_POSTINGS_PACK_H

#include <stdint.h>

#define AL_PACK_N 128u

/* Bytes of a pack of numbers of `bits` bits. */
static inline uint32_t al_pack_bytes(unsigned bits)
{
    return 16u * bits;
}

/* Bits that the largest of v needs, 0 to 32. */
unsigned al_pack_width(const uint32_t v[AL_PACK_N]);

/* Write al_pack_bytes(bits) bytes. */
void al_pack(const uint32_t v[AL_PACK_N], unsigned bits, uint8_t *out);

/* Read al_pack_bytes(bits) bytes; bits 0 to 32. */
void al_unpack(const uint8_t *in, unsigned bits, uint32_t out[AL_PACK_N]);

/* Number i of a pack. */
uint32_t al_unpack_one(const uint8_t *in, unsigned bits, unsigned i);

/* Gaps to rows: rows[i] = before + the sum over gaps 0 to i of (gap + 1), modulo 2^32; in place. */
void al_unpack_sum(uint32_t rows[AL_PACK_N], uint32_t before);

#endif
