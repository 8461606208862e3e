/* airlore/document.h - bytes of a file to a document of plain text, sections, metadata and chunks.
 *
 * Readers: Markdown (libcmark-gfm), reStructuredText, HTML (libgumbo), Jupyter notebooks (jansson),
 * Python (tree-sitter), plain text. A chunk is a span of the body; neighbouring small sections of
 * one page are packed up to max_bytes, larger ones are cut at paragraphs, lines, sentences, words
 * (in this order of preference). Python is cut at top-level definitions. Everything is allocated
 * from the given arena and lives as long as it.
 *
 * Thread: any thread (no shared state but tables made once).
 */
#ifndef AIRLORE_DOCUMENT_H
#define AIRLORE_DOCUMENT_H

#include "airlore/arena.h"
#include "airlore/str.h"

enum al_format {
    AL_FORMAT_UNKNOWN,
    AL_FORMAT_TEXT,
    AL_FORMAT_MARKDOWN,
    AL_FORMAT_RST,
    AL_FORMAT_HTML,
    AL_FORMAT_PYTHON,
    AL_FORMAT_NOTEBOOK,
};

/* How a body is cut; the numbers are kept. */
enum al_chunker {
    AL_CHUNKER_DOCUMENT,  /* along the sections; see above */
    AL_CHUNKER_FIXED,     /* pieces of one size, cut at words */
    AL_CHUNKER_RECURSIVE, /* paragraphs packed; those too large cut into lines, sentences, words */
    AL_CHUNKER_SEMANTIC,  /* where neighbouring sentences are furthest apart; needs an embedder */
};

struct al_embedder;

/* A part of the body under one heading, up to the next section's start. */
struct al_section {
    uint32_t start;
    uint32_t text;  /* where the body of the section begins, behind its heading */
    uint32_t level; /* 1 is the highest; 0: before any heading */
    struct al_str heading;
    struct al_str path; /* "Concepts > Pools" */
};

/* A span of the body with the headings above its start. */
struct al_chunk {
    uint32_t start; /* byte offset in body */
    uint32_t end;
    struct al_str heading; /* "Concepts > Pools", may be empty */
};

struct al_kv {
    struct al_str key;
    struct al_str value;
};

struct al_document {
    struct al_str title;
    struct al_str body; /* UTF-8, what is stored and cited; headings of a page are lines of it */
    struct al_str lang; /* ISO 639-1 ("en", "ko"), "" if unknown */
    struct al_chunk *chunks;
    size_t n_chunks;
    const struct al_section *sections; /* ascending */
    size_t n_sections;
    struct al_str *tags; /* topics found and tags of the front matter */
    size_t n_tags;
    struct al_kv *meta; /* author, date, summary, airflow (version hints), operators, dag_ids ("a,
                           b"), links (separated by spaces), quality ("0.00" to "1.00"), and other
                           front matter */
    size_t n_meta;
};

struct al_document_options {
    enum al_format format;
    struct al_str path;  /* for messages and for a title of last resort; may be empty */
    struct al_str title; /* given by the caller: wins over what is found; may be empty */
    enum al_chunker chunker;
    const struct al_embedder *embedder; /* borrowed for the call; for AL_CHUNKER_SEMANTIC */
    uint32_t chunk_bytes_max;           /* 0: 2,000 */
    uint32_t chunks_max; /* 0: 4,096; beyond it AL_RESOURCE_EXHAUSTED, reason TOO_MANY_CHUNKS */
};

/* Format by file name ("a/b.md"), AL_FORMAT_UNKNOWN for an extension that is not read. */
enum al_format al_format_of_path(struct al_str path);

/* Format by media type ("text/markdown; charset=utf-8") or short name ("markdown");
 * AL_FORMAT_UNKNOWN otherwise. */
enum al_format al_format_of_media_type(struct al_str media_type);

/* The usual media type of a format, "text/markdown"; "" for AL_FORMAT_UNKNOWN. */
struct al_str al_format_media_type(enum al_format f);

/* Format by the first bytes of a content, for what has neither a type nor a telling name: HTML and
 * notebooks say what they are; anything else is plain text. */
enum al_format al_format_of_content(struct al_str bytes);
/* A chunker's name ("semantic") and the chunker of a name; false: none. */
const char *al_chunker_name(enum al_chunker c);
bool al_chunker_of_name(struct al_str name, enum al_chunker *ret);

/* Read a document. bytes borrowed; a byte order mark and CRLF are taken away; UTF-16 with a mark is
 * converted. AL_INVALID_ARGUMENT, reason CONTENT_UNREADABLE: NUL bytes, more than 1 % malformed
 * UTF-8 (fewer become U+FFFD), no JSON of a notebook, nesting deeper than 200 (HTML, Markdown; JSON
 * 2,048; deeper reST is read as plain paragraphs), markup whose tree outgrows its text (Markdown,
 * HTML). AL_RESOURCE_EXHAUSTED: arena limit, too many bytes, lines, values, chunks. Python of more
 * than 60,000 tokens is cut like a text. An empty document has no chunks. */
AL_NODISCARD enum al_code al_document_read(const struct al_document_options *opt,
                                           struct al_str bytes, struct al_arena *a,
                                           struct al_document *ret, struct al_err *err);

#endif
