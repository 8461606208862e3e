/* embedder_table.h - the table linked into the program. */
#ifndef AL_TEXT_EMBEDDER_TABLE_H
#define AL_TEXT_EMBEDDER_TABLE_H

#include "airlore/str.h"

/* The bytes of data/embedding-256.bin. Shared, never freed. */
struct al_str al_embedder_table_bytes(void);

#endif
