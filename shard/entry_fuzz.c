/* Any bytes as a log entry, as they are and with the checksum made right: refused, or ops whose
 * parts lie inside. */
#include <stdint.h>
#include <string.h>

#include "entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(struct al_str part, struct al_str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check(struct al_str bytes)
{
    struct al_arena a;
    struct al_entry e;
    al_arena_init(&a, NULL, (size_t)4 << 20);
    if (al_entry_decode(bytes, 1, &a, &e, NULL) == AL_OK) {
        for (size_t i = 0; i < e.n_ops; i++) {
            const struct al_entry_op *op = &e.ops[i];
            AL_ASSERT(lies_in(op->id, bytes) && lies_in(op->value, bytes) &&
                      lies_in(op->vectors, bytes));
            AL_ASSERT(op->vectors.n == (size_t)op->n_chunks * op->dim * sizeof(float));
        }
    }
    al_arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[1 + 8 + AL_WRITE_ID_BYTES + 8] = {1};
    check((struct al_str){(const char *)data, size});
    struct al_buf b; /* number of ops and ops behind a good head, a good checksum behind them */
    al_buf_init(&b, NULL, 0);
    al_buf_add(&b, head, sizeof(head));
    al_buf_add(&b, data, size);
    if (al_entry_seal(&b, 1, 1, 1, NULL) == AL_OK)
        check(al_buf_view(&b));
    al_buf_fini(&b);
    return 0;
}
