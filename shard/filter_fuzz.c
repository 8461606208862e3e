/* Any text to the filter compiler; what compiles is evaluated on documents made of the same bytes.
 */
#include "airlore/filter.h"
#include "version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Order of versions and meeting of ranges have no favourite side. */
static void check_versions(struct al_str x, struct al_str y)
{
    struct al_version_range a;
    struct al_version_range b;
    int c = al_version_cmp(x, y);
    AL_ASSERT(c == -al_version_cmp(y, x));
    AL_ASSERT(al_version_cmp(x, x) == 0);
    if (!al_version_range_parse(x, &a) || !al_version_range_parse(y, &b))
        return;
    AL_ASSERT(al_version_range_meets(&a, &b) == al_version_range_meets(&b, &a));
    AL_ASSERT(al_version_range_within(&a, &a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct al_arena a;
    struct al_err err = {0};
    const struct al_filter *f = NULL;
    struct al_str all = {(const char *)data, size};
    size_t cut = size ? data[0] % (size + 1) : 0;
    struct al_str head = al_str_sub(all, 0, cut);
    struct al_str tail = al_str_sub(all, cut, size);
    al_arena_init(&a, NULL, 1u << 20);
    const struct al_kv meta[] = {{AL_STR("airflow"), tail}, {AL_STR("n"), head}, {tail, head}};
    const struct al_doc docs[] = {
        {.id = AL_STR("x"), .visibility = AL_VIS_TEAM},
        {.id = tail,
         .kind = head,
         .title = all,
         .version = tail,
         .tags = &head,
         .n_tags = 1,
         .meta = meta,
         .n_meta = 3,
         .created_ms = size,
         .visibility = AL_VIS_COMMUNITY},
    };
    enum al_code code = al_filter_compile(tail, &a, &f, &err);
    AL_ASSERT(code == AL_OK || code == AL_INVALID_ARGUMENT || code == AL_RESOURCE_EXHAUSTED);
    AL_ASSERT(code == AL_OK || err.msg[0]);
    for (size_t i = 0; code == AL_OK && i < AL_ARRAY_LEN(docs); i++)
        (void)al_filter_match(f, &docs[i]);
    if (size <= 256)
        check_versions(head, tail);
    al_arena_fini(&a);
    return 0;
}
