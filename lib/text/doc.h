/* doc.h - a document while it is read: body, sections, metadata.
 *
 * Readers append to the body and open sections; al_doc_finish cuts the chunks and gives the
 * document. All memory is of the arena. Appends that fail are remembered in the body's buffer and
 * in `failed`.
 *
 * Thread: serialized by the caller.
 */
#ifndef AL_TEXT_DOC_H
#define AL_TEXT_DOC_H

#include "airlore/document.h"

#define AL_DOC_LEVEL_MAX 8u
#define AL_DOC_SECTIONS_MAX 65536u
#define AL_DOC_LINKS_MAX 50u
#define AL_DOC_TAGS_MAX 50u
#define AL_DOC_META_MAX 64u
#define AL_DOC_VALUE_BYTES_MAX 4096u
#define AL_DOC_DEPTH_MAX 200u

struct al_doc {
    struct al_arena *a;
    const struct al_document_options *opt;
    struct al_str source; /* UTF-8, LF */
    struct al_buf body;
    struct al_section *sections;
    size_t n_sections;
    size_t cap_sections;
    struct al_str stack[AL_DOC_LEVEL_MAX + 1]; /* headings above, by level */
    struct al_str title;                       /* of the front matter or the first heading */
    struct al_str lang;
    struct al_str tags[AL_DOC_TAGS_MAX];
    size_t n_tags;
    struct al_kv meta[AL_DOC_META_MAX];
    size_t n_meta;
    struct al_str links[AL_DOC_LINKS_MAX];
    size_t n_links;
    bool failed; /* out of memory or over a limit */
};

/* Start. Everything borrowed until the document is finished. */
void al_doc_init(struct al_doc *d, const struct al_document_options *opt, struct al_str source,
                 struct al_arena *a);

/* Open a section at the end of the body. heading may be a view of anything; copied. level 1 to 8.
 * line: the heading also becomes a line of the body. The first heading is the title of last resort.
 */
void al_doc_section(struct al_doc *d, uint32_t level, struct al_str heading, bool line);

/* The same at an offset of a body that is written already; offsets ascend. text: offset behind what
 * is the heading there, or start. */
void al_doc_section_at(struct al_doc *d, uint32_t level, struct al_str heading, size_t start,
                       size_t text);

/* End the current line, and leave one blank line before what follows. */
void al_doc_line_end(struct al_doc *d);
void al_doc_block_end(struct al_doc *d);

/* Take the blank line at the end of the body away: what follows belongs to what was before. */
void al_doc_paragraph_join(struct al_doc *d);

/* A block of code, kept byte for byte between fences. lang may be empty. */
void al_doc_code(struct al_doc *d, struct al_str lang, struct al_str code);

/* Text with runs of white space made one space. */
void al_doc_words(struct al_doc *d, struct al_str text);

/* Remember a link's target, a tag, a value of metadata (the first of a key wins); copied; what is
 * empty, said before or over the limits is left out. */
void al_doc_link(struct al_doc *d, struct al_str target);
void al_doc_tag(struct al_doc *d, struct al_str tag);
void al_doc_meta(struct al_doc *d, struct al_str key, struct al_str value);

/* Value of a key, or the empty view. */
struct al_str al_doc_meta_get(const struct al_doc *d, const char *key);

/* AL_OK or AL_RESOURCE_EXHAUSTED. */
AL_NODISCARD enum al_code al_doc_status(const struct al_doc *d, struct al_err *err);

/* Readers. */
AL_NODISCARD enum al_code al_markdown_read(struct al_doc *d, struct al_str text,
                                           struct al_err *err);
AL_NODISCARD enum al_code al_rst_read(struct al_doc *d, struct al_str text, struct al_err *err);
AL_NODISCARD enum al_code al_html_read(struct al_doc *d, struct al_str text, struct al_err *err);
AL_NODISCARD enum al_code al_notebook_read(struct al_doc *d, struct al_str text,
                                           struct al_err *err);
AL_NODISCARD enum al_code al_python_read(struct al_doc *d, struct al_str text, struct al_err *err);

/* Take the YAML block ("---") off the front of *text, if there is one, into title, tags and
 * metadata. */
void al_frontmatter_take(struct al_doc *d, struct al_str *text);

/* Cut the body into chunks. AL_RESOURCE_EXHAUSTED, also with reason TOO_MANY. */
AL_NODISCARD enum al_code al_chunk_cut(struct al_doc *d, struct al_chunk **ret, size_t *ret_n,
                                       struct al_err *err);

/* Language, topics, version hints, quality, links: what is found in the finished body. */
void al_metadata_find(struct al_doc *d);

/* ISO 639-1 code of a text, "" when not sure. Well-formed UTF-8. A literal. */
const char *al_lang_detect(const char *text, size_t n);

#endif
