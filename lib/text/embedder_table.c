#include "embedder_table.h"

/* AL_EMBEDDING_TABLE: path of the file, from the build. */
__asm__(".section .rodata,\"a\",@progbits\n"
        ".balign 64\n"
        ".global al_embedding_table_start\n"
        ".hidden al_embedding_table_start\n"
        "al_embedding_table_start:\n"
        ".incbin \"" AL_EMBEDDING_TABLE "\"\n"
        ".global al_embedding_table_end\n"
        ".hidden al_embedding_table_end\n"
        "al_embedding_table_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char al_embedding_table_start[] __attribute__((visibility("hidden")));
extern const char al_embedding_table_end[] __attribute__((visibility("hidden")));

struct al_str al_embedder_table_bytes(void)
{
    return (struct al_str){al_embedding_table_start,
                           (size_t)(al_embedding_table_end - al_embedding_table_start)};
}
