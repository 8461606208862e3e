/* sealed.h - a sealed segment: an immutable file, mapped.
 *
 * The file, little endian, each section at a multiple of 64 bytes (zeros between), the footer last:
 *
 *   DOCS      struct al_seg_doc each, by space, then docno
 *   ROWS      struct al_seg_row each
 *   SPACES    struct al_seg_space each, by space
 *   BLOB      id and attributes of each document
 *   VEC_ROWS  row of each vector (u32); empty when every row has one
 *   VECTORS   dim floats each
 *   POSTINGS  lists of 128 rows and more (postings.h)
 *   BLOCKS    struct al_block of all these lists
 *   TERMS     dictionary: buckets and entries (terms.h)
 *   TERM_TEXT records of the dictionary, with the shorter lists
 *   GRAPH     the vector index's own bytes; empty: none, scan
 *   footer    1,024 bytes: format, versions, counts, place and XXH3 of each section, XXH3 of itself
 *
 * Thread: immutable once loaded, but for what segment.h marks as guarded.
 */
#ifndef AIRLORE_SHARD_SEALED_H
#define AIRLORE_SHARD_SEALED_H

#include "growing.h"
#include "terms.h"

#define AL_SEG_FORMAT 2u
#define AL_SEG_FOOTER_BYTES 1024u
#define AL_SEG_ALIGN 64u
#define AL_SEG_NAME_BYTES 80u

enum al_seg_section {
    AL_SECTION_DOCS,
    AL_SECTION_ROWS,
    AL_SECTION_SPACES,
    AL_SECTION_BLOB,
    AL_SECTION_VEC_ROWS,
    AL_SECTION_VECTORS,
    AL_SECTION_POSTINGS,
    AL_SECTION_BLOCKS,
    AL_SECTION_TERMS,
    AL_SECTION_TERM_TEXT,
    AL_SECTION_GRAPH,
    AL_SECTION_COUNT,
};

/* The footer, decoded. */
struct al_seg_footer {
    uint32_t format;
    uint32_t analyzer_version;
    uint32_t dim;
    uint32_t n_docs;
    uint32_t n_rows;
    uint32_t n_vecs;
    uint32_t n_spaces;
    uint32_t n_terms;
    uint64_t first; /* log range (first, last] */
    uint64_t last;
    char index_name[16];
    char embedder_id[128];
    struct {
        uint64_t at;
        uint64_t bytes;
        uint64_t hash;
    } sections[AL_SECTION_COUNT];
    uint64_t content_hash; /* of all the above, and so of every byte of the file */
};

/* Append the footer's 1,024 bytes, setting its content_hash. */
void al_seg_footer_encode(struct al_seg_footer *f, struct al_buf *b);

/* Read the footer of a whole file. AL_DATA_LOSS; AL_FAILED_PRECONDITION, reason FORMAT_TOO_NEW. */
AL_NODISCARD enum al_code al_seg_footer_decode(const uint8_t *p, size_t n,
                                               struct al_seg_footer *ret, struct al_err *err);

/* Read a file through the port, in pieces: are all of its sections those of the footer?
 * AL_DATA_LOSS; errors of the disk. */
AL_NODISCARD enum al_code al_sealed_scrub(struct al_disk *d, const char *path,
                                          const struct al_seg_footer *want, struct al_mem *mem,
                                          struct al_err *err);

/* Set all checksums of a file's bytes to what they hold. Tests and fuzzing of malformed content
 * only. */
void al_seg_forge(uint8_t *p, size_t n);

struct al_sealed {
    struct al_segment seg; /* first */
    atomic_uint refs;
    struct al_disk *disk;
    struct al_map map;
    struct al_seg_footer footer;
    struct al_terms terms;
    struct al_index *index;
    char name[AL_SEG_NAME_BYTES]; /* of the file in the folder */
};

struct al_sealed_options {
    const char *dir;
    struct al_str embedder_id;
    uint32_t dim;
    uint32_t scan_rows_max;               /* no graph for so few vectors */
    const struct al_index_factory *index; /* of new files */
    uint32_t index_threads;               /* to build a graph with; 0: 1 */
    struct al_mem *mem;
    struct al_disk *disk;
    bool (*cancel)(void *u); /* of building; may be NULL */
    void *cancel_u;
};

/* A file to write. */
struct al_sealed_file {
    uint64_t first; /* log range (first, last] */
    uint64_t last;
    const char *temp;             /* name while it is written */
    char name[AL_SEG_NAME_BYTES]; /* set by al_sealed_write */
};

/* Write the file of a segment with g's documents; nothing is left behind on error. g's vectors are
 * given back on the way. */
AL_NODISCARD enum al_code al_sealed_write(const struct al_sealed_options *opt, struct al_growing *g,
                                          struct al_sealed_file *file, struct al_err *err);

/* Map a file and check all of it. *ret owned: one reference. AL_DATA_LOSS when it is absent or
 * damaged; reason SEGMENT_STALE when it is of another analyzer. */
AL_NODISCARD enum al_code al_sealed_load(const struct al_sealed_options *opt, const char *name,
                                         struct al_sealed **ret, struct al_err *err);

/* The same from bytes that stay where they are (64-byte aligned), for tests of malformed ones. */
AL_NODISCARD enum al_code al_sealed_load_bytes(const struct al_sealed_options *opt,
                                               const uint8_t *p, size_t n, struct al_sealed **ret,
                                               struct al_err *err);

/* Drop a reference; NULL is fine. */
void al_sealed_unref(struct al_sealed *s);

/* The document's number, or AL_ROW_NONE. */
uint32_t al_sealed_find_doc(const struct al_sealed *s, uint32_t space, uint64_t docno);

/* The checksum of every section again, and the parts that loading trusts them for. */
AL_NODISCARD enum al_code al_sealed_check_sums(const uint8_t *p, const struct al_seg_footer *f,
                                               struct al_err *err);

/* Structure of the tables: bounds and order of everything that a search follows. */
AL_NODISCARD enum al_code al_sealed_check_tables(const struct al_sealed *s, uint64_t blob_bytes,
                                                 struct al_err *err);

/* Decode every list and every document's attributes. */
AL_NODISCARD enum al_code al_sealed_check_deep(const struct al_sealed *s, struct al_err *err);

/* "dir/name" in buf of n bytes; AL_INVALID_ARGUMENT when it does not fit. */
AL_NODISCARD enum al_code al_sealed_path(const char *dir, const char *name, char *buf, size_t n,
                                         struct al_err *err);

#endif
