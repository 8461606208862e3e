/* Listings of Google Cloud Storage: JSON, through jansson. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bucket.h"

static char *keep(struct al_arena *a, const char *s, bool *failed)
{
    char *kept = al_arena_strndup(a, s ? s : "", s ? strlen(s) : 0);
    *failed |= !kept;
    return kept;
}

static enum al_code add_object(const json_t *o, struct al_arena *a, struct al_bucket_page *page,
                               struct al_err *err)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    if (!name || !name[0])
        return AL_OK;
    if (page->n == AL_BUCKET_PAGE_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY",
                         "listing: more than %u objects on a page", AL_BUCKET_PAGE_MAX);
    const char *generation = json_string_value(json_object_get(o, "generation"));
    const char *etag = json_string_value(json_object_get(o, "md5Hash"));
    const char *size = json_string_value(json_object_get(o, "size"));
    const char *updated = json_string_value(json_object_get(o, "updated"));
    struct al_bucket_object *to = &page->objects[page->n];
    bool failed = false;
    uint64_t ms = 0;
    *to = (struct al_bucket_object){.key = keep(a, name, &failed)};
    to->etag = keep(a, etag ? etag : generation, &failed); /* composed objects have no MD5 */
    if (failed)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "listing: out of memory");
    if (size && !al_str_u64(al_str_c(size), &to->size_bytes))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_JSON", "listing: a size that is no number");
    if (updated && al_clock_parse_rfc3339(updated, strlen(updated), &ms, NULL) == AL_OK)
        to->modified_s = (int64_t)(ms / 1000);
    page->n++;
    return AL_OK;
}

static enum al_code read_page(const json_t *root, struct al_arena *a, struct al_bucket_page *page,
                              struct al_err *err)
{
    const json_t *items = json_object_get(root, "items");
    if (!json_is_object(root) || (items && !json_is_array(items)))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_JSON", "listing: not of a bucket");
    for (size_t i = 0; i < json_array_size(items); i++)
        AL_TRY(add_object(json_array_get(items, i), a, page, err));
    const char *next = json_string_value(json_object_get(root, "nextPageToken"));
    bool failed = false;
    if (next && next[0])
        page->next = keep(a, next, &failed);
    return failed ? AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "listing: out of memory") : AL_OK;
}

enum al_code al_gcs_parse(struct al_str json, struct al_arena *a, struct al_bucket_page *ret,
                          struct al_err *err)
{
    ret->n = 0;
    ret->next = NULL;
    json_error_t why = {.text = ""};
    json_t *root = json.n ? json_loadb(json.p, json.n, 0, &why) : NULL;
    if (!root && json.n && !why.text[0]) /* it says nothing when it has no memory */
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "listing: out of memory");
    if (!root)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_JSON", "listing: not JSON");
    enum al_code code = read_page(root, a, ret, err);
    json_decref(root);
    return code;
}
