#include <stdlib.h>
#include <string.h>

#include "fold.h"
#include "key_text.h"
#include "service.h"

#define HEADINGS_MAX 256u

const struct al_credential *al_call_credential(struct al_rpc_call *call)
{
    const struct al_credential *c = al_rpc_call_user(call);
    AL_ASSERT(c);
    return c;
}

void *al_msg_new(struct al_arena *a, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = al_arena_alloc(a, d->sizeof_message);
    if (m)
        protobuf_c_message_init(d, m);
    return m;
}

void *al_msg_list(struct al_arena *a, size_t n)
{
    return al_arena_array(a, n + 1, sizeof(void *));
}

enum al_code al_msg_no_memory(struct al_err *err)
{
    return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", "request: memory limit reached");
}

char *al_msg_str(struct al_arena *a, struct al_str s)
{
    return al_arena_strndup(a, s.p ? s.p : "", s.n);
}

char *al_msg_words(struct al_arena *a, struct al_str s)
{
    char *out = al_msg_str(a, s);
    for (size_t cut = 0; out && cut < 4 && cut <= s.n; cut++) {
        if (al_str_is_utf8(al_str_sub(s, 0, s.n - cut))) {
            out[s.n - cut] = '\0';
            return out;
        }
    }
    for (size_t i = 0; out && i < s.n; i++) {
        if ((uint8_t)out[i] >= 0x80)
            out[i] = '?';
    }
    return out;
}

Google__Protobuf__Timestamp *al_msg_time(struct al_arena *a, uint64_t ms)
{
    Google__Protobuf__Timestamp *t = al_msg_new(a, &google__protobuf__timestamp__descriptor);
    if (t) {
        t->seconds = (int64_t)(ms / 1000);
        t->nanos = (int32_t)(ms % 1000 * 1000000);
    }
    return t;
}

Airlore__V1__Error *al_msg_error(struct al_arena *a, const struct al_err *e)
{
    Airlore__V1__Error *m = al_msg_new(a, &airlore__v1__error__descriptor);
    if (!m)
        return NULL;
    m->code = (int32_t)e->code;
    m->reason = al_msg_str(a, al_str_c(e->reason));
    m->message = al_msg_words(a, al_str_c(e->msg));
    return m->reason && m->message ? m : NULL;
}

Airlore__V1__Owner *al_msg_owner(struct al_arena *a, const struct al_doc *d)
{
    Airlore__V1__Owner *m = al_msg_new(a, &airlore__v1__owner__descriptor);
    if (!m)
        return NULL;
    char *team = al_msg_str(a, d->team);
    m->deployment = al_msg_str(a, d->deployment);
    if (!team || !m->deployment)
        return NULL;
    if (d->visibility == AL_VIS_COMMUNITY && al_is_pseudonym(d->team))
        m->pseudonym = team;
    else
        m->team = team;
    return m;
}

char **al_msg_headings(struct al_arena *a, struct al_str heading, size_t *ret_n)
{
    size_t max = 1;
    for (size_t i = 0; i + 2 < heading.n; i++)
        max += memcmp(heading.p + i, " > ", 3) == 0;
    char **out = al_msg_list(a, max);
    if (!out)
        return NULL;
    size_t n = 0;
    size_t from = 0;
    while (heading.n && from <= heading.n) {
        size_t at = al_str_find(heading, AL_STR(" > "), from);
        size_t end = at == SIZE_MAX ? heading.n : at;
        out[n] = al_msg_str(a, al_str_sub(heading, from, end - from));
        if (!out[n++])
            return NULL;
        from = end + 3;
    }
    *ret_n = n;
    return out;
}

struct al_str al_doc_find_meta(const struct al_doc *d, const char *key)
{
    for (size_t i = 0; i < d->n_meta; i++) {
        if (al_str_is(d->meta[i].key, key))
            return d->meta[i].value;
    }
    return (struct al_str){"", 0};
}

bool al_meta_is_internal(struct al_str key)
{
    return al_str_is(key, "source_checksum") || al_str_is(key, AL_SKETCH_KEY);
}

/* ---- items ---- */

static Airlore__V1__Chunk *msg_chunk(struct al_coordinator *c, struct al_arena *a,
                                     const struct al_doc *d, size_t i)
{
    Airlore__V1__Chunk *m = al_msg_new(a, &airlore__v1__chunk__descriptor);
    Airlore__V1__TextRange *range = al_msg_new(a, &airlore__v1__text_range__descriptor);
    if (!m || !range)
        return NULL;
    range->start = d->chunks[i].start;
    range->end = d->chunks[i].end;
    m->index = (uint32_t)i;
    m->range = range;
    m->text = al_msg_str(a, al_str_sub(d->body, range->start, range->end - range->start));
    m->heading_path = al_msg_headings(a, d->chunks[i].heading, &m->n_heading_path);
    if (d->vectors) {
        uint32_t dim = al_embedder_dim(c->opt.embedder);
        m->vector = al_arena_array(a, dim, sizeof(float));
        if (!m->vector)
            return NULL;
        memcpy(m->vector, d->vectors + i * dim, dim * sizeof(float));
        m->n_vector = dim;
    }
    return m->text && m->heading_path ? m : NULL;
}

/* One entry of a map<string, string>: all of them have key and value in the same places. */
static void *msg_pair(struct al_arena *a, const ProtobufCMessageDescriptor *d, struct al_str key,
                      struct al_str value)
{
    AL_ASSERT(d->n_fields == 2);
    char *m = al_msg_new(a, d);
    char *k = al_msg_str(a, key);
    char *v = al_msg_str(a, value);
    if (!m || !k || !v)
        return NULL;
    memcpy(m + d->fields[0].offset, &k, sizeof k);
    memcpy(m + d->fields[1].offset, &v, sizeof v);
    return m;
}

bool al_msg_labels(struct al_arena *a, const struct al_doc *d,
                   const ProtobufCMessageDescriptor *pair, struct al_msg_labels *ret)
{
    struct al_msg_labels l = {.tags = al_msg_list(a, d->n_tags),
                              .metadata = al_msg_list(a, d->n_meta)};
    if (!l.tags || !l.metadata)
        return false;
    for (size_t i = 0; i < d->n_tags; i++) {
        l.tags[i] = al_msg_str(a, d->tags[i]);
        if (!l.tags[l.n_tags++])
            return false;
    }
    void **entries = l.metadata;
    for (size_t i = 0; i < d->n_meta; i++) {
        if (al_meta_is_internal(d->meta[i].key))
            continue;
        entries[l.n_metadata] = msg_pair(a, pair, d->meta[i].key, d->meta[i].value);
        if (!entries[l.n_metadata++])
            return false;
    }
    *ret = l;
    return true;
}

static bool fill_labels(struct al_arena *a, const struct al_doc *d, Airlore__V1__Item *m)
{
    struct al_msg_labels l;
    if (!al_msg_labels(a, d, &airlore__v1__item__metadata_entry__descriptor, &l))
        return false;
    m->tags = l.tags;
    m->n_tags = l.n_tags;
    m->metadata = l.metadata;
    m->n_metadata = l.n_metadata;
    return true;
}

/* "a, b,c" into at most most strings; links are separated by spaces. */
static char **split_list(struct al_arena *a, struct al_str s, char separator, size_t most,
                         size_t *ret_n)
{
    size_t max = 1;
    for (size_t i = 0; i < s.n; i++)
        max += s.p[i] == separator;
    char **out = al_msg_list(a, max);
    if (!out)
        return NULL;
    size_t n = 0;
    size_t from = 0;
    while (s.n && from <= s.n && n < most) {
        size_t at = al_str_find(s, (struct al_str){&separator, 1}, from);
        size_t end = at == SIZE_MAX ? s.n : at;
        struct al_str part = al_str_trim(al_str_sub(s, from, end - from));
        from = end + 1;
        if (!part.n)
            continue;
        out[n] = al_msg_str(a, part);
        if (!out[n++])
            return NULL;
    }
    *ret_n = n;
    return out;
}

/* The headings of the chunks, each once; known where the chunks are. */
static char **list_headings(struct al_arena *a, const struct al_doc *d, size_t *ret_n)
{
    char **out = al_msg_list(a, HEADINGS_MAX);
    if (!out)
        return NULL;
    size_t n = 0;
    struct al_str last = {"", 0};
    for (size_t i = 0; d->chunks && i < d->n_chunks && n < HEADINGS_MAX; i++) {
        struct al_str h = d->chunks[i].heading;
        if (!h.n || al_str_eq(h, last))
            continue;
        last = h;
        out[n] = al_msg_str(a, h);
        if (!out[n++])
            return NULL;
    }
    *ret_n = n;
    return out;
}

static double quality_of(const struct al_doc *d)
{
    char text[32];
    struct al_str q = al_doc_find_meta(d, "quality");
    if (!q.n || q.n >= sizeof text)
        return 0;
    memcpy(text, q.p, q.n);
    text[q.n] = '\0';
    double v = strtod(text, NULL);
    return v >= 0 && v <= 1 ? v : 0;
}

static Airlore__V1__ItemFacts *msg_facts(struct al_arena *a, const struct al_doc *d)
{
    Airlore__V1__ItemFacts *m = al_msg_new(a, &airlore__v1__item_facts__descriptor);
    if (!m)
        return NULL;
    m->language = al_msg_str(a, d->lang);
    m->author = al_msg_str(a, al_doc_find_meta(d, "author"));
    m->airflow = al_msg_str(a, al_doc_find_meta(d, "airflow"));
    m->topics = split_list(a, al_doc_find_meta(d, "topics"), ',', 16, &m->n_topics);
    m->operators = split_list(a, al_doc_find_meta(d, "operators"), ',', 64, &m->n_operators);
    m->links = split_list(a, al_doc_find_meta(d, "links"), ' ', 256, &m->n_links);
    m->headings = list_headings(a, d, &m->n_headings);
    m->quality = quality_of(d);
    bool ok = m->language && m->author && m->airflow && m->topics && m->operators && m->links &&
              m->headings;
    return ok ? m : NULL;
}

static bool fill_texts(struct al_coordinator *c, struct al_arena *a, const struct al_doc *d,
                       Airlore__V1__Item *m)
{
    m->text = al_msg_str(a, d->body);
    m->chunks = al_msg_list(a, d->n_chunks);
    if (!m->text || !m->chunks)
        return false;
    for (size_t i = 0; i < d->n_chunks; i++) {
        m->chunks[i] = msg_chunk(c, a, d, i);
        if (!m->chunks[m->n_chunks++])
            return false;
    }
    return true;
}

Airlore__V1__Item *al_msg_item(struct al_coordinator *c, struct al_arena *a, const struct al_doc *d,
                               Airlore__V1__ItemView view)
{
    Airlore__V1__Item *m = al_msg_new(a, &airlore__v1__item__descriptor);
    if (!m)
        return NULL;
    m->id = al_msg_str(a, d->id);
    const char *space = al_directory_space_name(c->directory, d->space, a);
    m->space = space ? al_msg_str(a, al_str_c(space)) : NULL;
    m->scope = (Airlore__V1__Visibility)d->visibility;
    m->owner = al_msg_owner(a, d);
    m->title = al_msg_str(a, d->title);
    m->kind = al_msg_str(a, d->kind);
    m->url = al_msg_str(a, d->url);
    m->version = al_msg_str(a, d->version);
    m->media_type = al_msg_str(a, d->media_type);
    m->revision = d->revision;
    m->redactions = d->redactions;
    m->source = al_msg_str(a, d->source);
    m->content_checksum = al_msg_str(a, al_doc_find_meta(d, "source_checksum"));
    m->create_time = al_msg_time(a, d->created_ms);
    m->update_time = al_msg_time(a, d->updated_ms);
    m->facts = msg_facts(a, d);
    m->chunk_count = (uint32_t)d->n_chunks;
    bool ok = m->id && m->space && m->owner && m->title && m->kind && m->url && m->version &&
              m->media_type && m->source && m->content_checksum && m->create_time &&
              m->update_time && m->facts && fill_labels(a, d, m);
    if (ok && view != AIRLORE__V1__ITEM_VIEW__ITEM_VIEW_BASIC)
        ok = fill_texts(c, a, d, m);
    return ok ? m : NULL;
}

/* ---- tokens, targets ---- */

uint64_t al_call_deadline(struct al_coordinator *c, struct al_rpc_call *call)
{
    uint64_t most = al_clock_deadline(c->opt.clock, 60000);
    uint64_t d = al_rpc_call_deadline_ns(call);
    return d < most ? d : most;
}

enum al_code al_wait_token(struct al_coordinator *c, struct al_rpc_call *call, const char *token,
                           struct al_arena *a, struct al_err *err)
{
    if (!token || !token[0])
        return AL_OK;
    struct al_token t;
    AL_TRY(al_token_parse(c->opt.router, al_str_c(token), a, &t, err));
    return al_token_wait(c->opt.router, &t, al_call_deadline(c, call), err);
}

enum al_code al_token_text(struct al_coordinator *c, const struct al_token *t, struct al_arena *a,
                           char **ret, struct al_err *err)
{
    struct al_str s;
    AL_TRY(al_token_format(c->opt.router, t, a, &s, err));
    *ret = al_msg_str(a, s);
    return *ret ? AL_OK : al_msg_no_memory(err);
}

enum al_code al_check_read_level(Airlore__V1__ReadLevel level, struct al_err *err)
{
    if ((unsigned)level <= AIRLORE__V1__READ_LEVEL__READ_LEVEL_PRIMARY)
        return AL_OK;
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "read level: %d is none", (int)level);
}

enum al_code al_once_name_of(struct al_rpc_call *call, const ProtobufCMessage *req,
                             const char *text, struct al_once_name *ret, struct al_err *err)
{
    struct al_arena *a = al_rpc_call_arena(call);
    struct al_buf b;
    uint8_t digest[32];
    *ret = (struct al_once_name){.text = al_str_c(text)};
    if (!ret->text.n)
        return AL_OK;
    size_t n = protobuf_c_message_get_packed_size(req);
    uint8_t *packed = al_arena_alloc(a, n + 1);
    if (!packed)
        return al_msg_no_memory(err);
    protobuf_c_message_pack(req, packed);
    al_buf_init(&b, al_arena_mem(a), 0);
    al_buf_lenstr(&b, al_str_c(al_rpc_call_method(call)));
    al_buf_add(&b, packed, n);
    AL_TRY(al_buf_status(&b, err));
    al_digest(al_buf_view(&b), digest);
    memcpy(ret->request, digest, sizeof ret->request);
    return AL_OK;
}

static bool reads(const struct al_credential *cred, uint32_t space)
{
    for (size_t i = 0; i < cred->n_spaces; i++) {
        if (cred->spaces[i] == space)
            return true;
    }
    return false;
}

enum al_code al_resolve_space(struct al_coordinator *c, const struct al_credential *cred,
                              const char *name, uint32_t *ret, struct al_err *err)
{
    uint32_t space = 0;
    *ret = 0;
    if (!name || !name[0])
        return AL_OK;
    enum al_code code = al_directory_find_space(c->directory, al_str_c(name), &space, err);
    if (code != AL_OK && code != AL_NOT_FOUND)
        return code;
    if (code == AL_NOT_FOUND || !reads(cred, space))
        return AL_FAIL_R(err, AL_PERMISSION_DENIED, "SPACE_FORBIDDEN",
                         "space: this key does not read '%.100s'", name);
    *ret = space;
    return AL_OK;
}

/* ---- who administers what ---- */

bool al_is_server_admin(const struct al_credential *cred)
{
    return cred->key->role == AL_ROLE_ADMIN && strcmp(cred->key->team, AL_TEAM_OF_SERVER) == 0;
}

enum al_code al_require_server_admin(const struct al_credential *cred, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_ADMIN, err));
    if (al_is_server_admin(cred))
        return AL_OK;
    return AL_FAIL_R(err, AL_PERMISSION_DENIED, "ROLE_MISSING",
                     "key: it administers its own team; this needs an admin key of the team '%s'",
                     AL_TEAM_OF_SERVER);
}

enum al_code al_require_team_admin(const struct al_credential *cred, const char *team,
                                   struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_ADMIN, err));
    return strcmp(cred->key->team, team) == 0 ? AL_OK : al_require_server_admin(cred, err);
}

bool al_may_see_team(const struct al_credential *cred, struct al_str team)
{
    if (al_is_server_admin(cred) || al_str_is(team, cred->key->team))
        return true;
    for (size_t i = 0; i < cred->key->n_readable; i++) {
        if (al_str_is(team, cred->key->readable[i]))
            return true;
    }
    return false;
}

static enum al_code forbidden(struct al_err *err)
{
    return AL_FAIL_R(err, AL_PERMISSION_DENIED, "SPACE_FORBIDDEN",
                     "space: this key does not write there");
}

enum al_code al_require_team_space(struct al_coordinator *c, const struct al_credential *cred,
                                   uint32_t space, struct al_arena *a, struct al_err *err)
{
    if (space == cred->own_space || space == cred->team_space)
        return AL_OK;
    const char *name = al_directory_space_name(c->directory, space, a);
    char *prefix = al_arena_printf(a, "teams/%s/deployments/", cred->key->team);
    if (!name || !prefix)
        return al_msg_no_memory(err);
    bool is_own = !cred->key->deployment[0] && al_str_starts(al_str_c(name), al_str_c(prefix));
    return is_own ? AL_OK : forbidden(err);
}

/* An admin key of a team may write for its deployments; another key only for its own. */
static enum al_code find_deployment(struct al_coordinator *c, const struct al_credential *cred,
                                    const char *name, struct al_arena *a, struct al_target *inout,
                                    struct al_err *err)
{
    char *prefix = al_arena_printf(a, "teams/%s/deployments/", cred->key->team);
    if (!prefix)
        return al_msg_no_memory(err);
    struct al_str full = al_str_c(name);
    if (!al_str_starts(full, al_str_c(prefix)))
        return forbidden(err);
    AL_TRY(al_directory_find_space(c->directory, full, &inout->space, err));
    bool own = cred->key->deployment[0] && inout->space == cred->own_space;
    if (!own && cred->key->role < AL_ROLE_ADMIN)
        return forbidden(err);
    inout->deployment = name + strlen(prefix);
    return AL_OK;
}

enum al_code al_resolve_target(struct al_coordinator *c, const struct al_credential *cred,
                               Airlore__V1__Visibility visibility, const char *deployment,
                               struct al_arena *a, struct al_target *ret, struct al_err *err)
{
    if ((unsigned)visibility > AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "visibility: %d is none",
                         (int)visibility);
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    struct al_target t = {.space = cred->own_space, /* of the deployment that owns, if one does */
                          .team = cred->key->team,
                          .deployment = cred->key->deployment};
    if (deployment && deployment[0])
        AL_TRY(find_deployment(c, cred, deployment, a, &t, err));
    bool unsaid = visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_UNSPECIFIED;
    if (visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT ||
        (unsaid && t.deployment[0])) {
        if (!t.deployment[0])
            return AL_FAIL_R(
                err, AL_INVALID_ARGUMENT, "REQUIRED",
                "deployment: this key speaks for its whole team; say which deployment");
        t.visibility = AL_VIS_DEPLOYMENT;
    } else if (visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY) {
        AL_TRY(al_credential_require(cred, AL_ROLE_REVIEWER, err));
        t.space = AL_SPACE_COMMUNITY;
        t.visibility = AL_VIS_COMMUNITY;
        t.team = cred->team_named ? cred->key->team : cred->pseudonym;
        t.deployment = cred->team_named ? t.deployment : ""; /* it would tell the team */
    } else {
        t.space = cred->team_space;
        t.visibility = AL_VIS_TEAM;
    }
    *ret = t;
    return AL_OK;
}
