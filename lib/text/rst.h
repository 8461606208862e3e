/* rst.h - reStructuredText: what its two files share. */
#ifndef AL_TEXT_RST_H
#define AL_TEXT_RST_H

#include "doc.h"

/* Append text to the buffer with inline markup taken away: roles, emphasis, literals, references,
 * escapes. Targets of links are remembered in the document. */
void al_rst_inline(struct al_doc *d, struct al_buf *out, struct al_str text);

#endif
