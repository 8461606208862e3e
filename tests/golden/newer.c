/* newer - makes a store look as if a newer version had written it.
 *
 * usage: newer STORE_DIR doc|log|chunk     the first byte of each value of the family is its
 * format: a hundred more than it was. Prints how many there were; none is an error. */
#include <stdio.h>
#include <string.h>

#include "store.h"

static enum al_code bump(struct al_store *s, enum al_family f, size_t *ret_n, struct al_err *err)
{
    struct al_store_iter *it = NULL;
    struct al_store_batch *b = NULL;
    AL_TRY(s->ops->batch_create(s, &b, err));
    enum al_code code = s->ops->iter_create(s, f, &it, err);
    if (code != AL_OK) {
        s->ops->batch_destroy(b);
        return code;
    }
    struct al_buf value;
    al_buf_init(&value, NULL, 1u << 26);
    for (s->ops->iter_seek(it, AL_STR("")); s->ops->iter_valid(it); s->ops->iter_next(it)) {
        value.n = 0;
        al_buf_str(&value, s->ops->iter_value(it));
        if (value.n == 0 || al_buf_status(&value, err) != AL_OK)
            continue;
        value.p[0] = (char)(value.p[0] + 100); /* beyond what any build to come will write */
        s->ops->batch_put(b, f, s->ops->iter_key(it), al_buf_view(&value));
        ++*ret_n;
    }
    code = s->ops->iter_status(it, err);
    s->ops->iter_destroy(it);
    if (code == AL_OK)
        code = s->ops->write(s, b, true, err);
    s->ops->batch_destroy(b);
    al_buf_fini(&value);
    return code;
}

int main(int argc, char **argv)
{
    enum al_family f = AL_FAMILY_COUNT;
    for (int i = 0; argc == 3 && i < AL_FAMILY_COUNT; i++) {
        if (strcmp(argv[2], al_family_names[i]) == 0)
            f = (enum al_family)i;
    }
    if (f == AL_FAMILY_COUNT) {
        fprintf(stderr, "usage: newer STORE_DIR doc|log|chunk\n");
        return 2;
    }
    struct al_store *s = NULL;
    struct al_err err = {.code = AL_OK};
    struct al_store_options opt = {.dir = argv[1], .must_exist = true};
    enum al_code code = al_store_rocksdb()->open(&opt, &s, &err);
    size_t n = 0;
    if (code == AL_OK)
        code = bump(s, f, &n, &err);
    if (s)
        s->ops->destroy(s);
    if (code != AL_OK || n == 0) {
        fprintf(stderr, "newer: %zu values: %s\n", n, err.msg);
        return 1;
    }
    printf("%zu values of a newer format\n", n);
    return 0;
}
