/* html.h - HTML: what its two files share. */
#ifndef AL_TEXT_HTML_H
#define AL_TEXT_HTML_H

#include "doc.h"

/* HTML reduced to tags with the few attributes we read, text and nothing else: no comments,
 * scripts, styles, processing instructions. What the parser sees is what was counted here: nesting
 * deeper than AL_DOC_DEPTH_MAX is refused (AL_INVALID_ARGUMENT, reason CONTENT_UNREADABLE), because
 * it makes the parser quadratic. */
AL_NODISCARD enum al_code al_html_clean(struct al_doc *d, struct al_str text, struct al_buf *out,
                                        struct al_err *err);

#endif
