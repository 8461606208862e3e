#include <stdlib.h>
#include <string.h>

#include "fold.h"
#include "service.h"

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
    m->message = al_msg_str(a, al_str_c(e->msg));
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

static bool fill_lists(struct al_arena *a, const struct al_doc *d, Airlore__V1__Item *m)
{
    m->tags = al_msg_list(a, d->n_tags);
    m->metadata = al_msg_list(a, d->n_meta);
    if (!m->tags || !m->metadata)
        return false;
    for (size_t i = 0; i < d->n_tags; i++) {
        m->tags[i] = al_msg_str(a, d->tags[i]);
        if (!m->tags[m->n_tags++])
            return false;
    }
    for (size_t i = 0; i < d->n_meta; i++) {
        if (al_meta_is_internal(d->meta[i].key))
            continue;
        Airlore__V1__Item__MetadataEntry *e =
            al_msg_new(a, &airlore__v1__item__metadata_entry__descriptor);
        if (!e)
            return false;
        e->key = al_msg_str(a, d->meta[i].key);
        e->value = al_msg_str(a, d->meta[i].value);
        if (!e->key || !e->value)
            return false;
        m->metadata[m->n_metadata++] = e;
    }
    return true;
}

/* "a, b,c" into strings. */
static char **split_list(struct al_arena *a, struct al_str s, size_t *ret_n)
{
    size_t max = 1;
    for (size_t i = 0; i < s.n; i++)
        max += s.p[i] == ',';
    char **out = al_msg_list(a, max);
    if (!out)
        return NULL;
    size_t n = 0;
    size_t from = 0;
    while (s.n && from <= s.n) {
        size_t at = al_str_find(s, AL_STR(","), from);
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
    m->topics = split_list(a, al_doc_find_meta(d, "topics"), &m->n_topics);
    m->operators = split_list(a, al_doc_find_meta(d, "operators"), &m->n_operators);
    m->links = split_list(a, al_doc_find_meta(d, "links"), &m->n_links);
    m->quality = quality_of(d);
    return m->language && m->author && m->airflow && m->topics && m->operators && m->links ? m
                                                                                           : NULL;
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
    m->source = al_msg_str(a, d->source);
    m->content_checksum = al_msg_str(a, al_doc_find_meta(d, "source_checksum"));
    m->create_time = al_msg_time(a, d->created_ms);
    m->update_time = al_msg_time(a, d->updated_ms);
    m->facts = msg_facts(a, d);
    m->chunk_count = (uint32_t)d->n_chunks;
    bool ok = m->id && m->space && m->owner && m->title && m->kind && m->url && m->version &&
              m->source && m->content_checksum && m->create_time && m->update_time && m->facts &&
              fill_lists(a, d, m);
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

/* An admin key of a team may write for its deployments; another key only for its own. */
static enum al_code resolve_deployment(struct al_coordinator *c, const struct al_credential *cred,
                                       const char *name, struct al_arena *a, struct al_target *ret,
                                       struct al_err *err)
{
    uint32_t space;
    char *prefix = al_arena_printf(a, "teams/%s/deployments/", cred->key->team);
    if (!prefix)
        return al_msg_no_memory(err);
    struct al_str full = al_str_c(name);
    if (!al_str_starts(full, al_str_c(prefix)))
        return forbidden(err);
    AL_TRY(al_directory_find_space(c->directory, full, &space, err));
    bool own = cred->key->deployment[0] && space == cred->own_space;
    if (!own && cred->key->role < AL_ROLE_ADMIN)
        return forbidden(err);
    ret->space = space;
    ret->visibility = AL_VIS_DEPLOYMENT;
    ret->deployment = name + strlen(prefix);
    return AL_OK;
}

static enum al_code resolve_own_deployment(const struct al_credential *cred, struct al_target *ret,
                                           struct al_err *err)
{
    if (!cred->key->deployment[0])
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "REQUIRED",
                         "deployment: this key speaks for its whole team; say which deployment");
    ret->space = cred->own_space;
    ret->visibility = AL_VIS_DEPLOYMENT;
    ret->deployment = cred->key->deployment;
    return AL_OK;
}

enum al_code al_resolve_target(struct al_coordinator *c, const struct al_credential *cred,
                               Airlore__V1__Visibility visibility, const char *deployment,
                               struct al_arena *a, struct al_target *ret, struct al_err *err)
{
    AL_TRY(al_credential_require(cred, AL_ROLE_CONTRIBUTOR, err));
    *ret = (struct al_target){.team = cred->key->team, .deployment = ""};
    bool unsaid = visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_UNSPECIFIED;
    bool has_name = deployment && deployment[0];
    if (has_name && (unsaid || visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT))
        return resolve_deployment(c, cred, deployment, a, ret, err);
    if (has_name)
        return AL_FAIL_R(err, AL_UNIMPLEMENTED, "NOT_IMPLEMENTED_YET",
                         "deployment: naming one for items of a wider visibility is not there yet");
    if (visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_DEPLOYMENT ||
        (unsaid && cred->key->deployment[0]))
        return resolve_own_deployment(cred, ret, err);
    if (visibility == AIRLORE__V1__VISIBILITY__VISIBILITY_COMMUNITY) {
        AL_TRY(al_credential_require(cred, AL_ROLE_REVIEWER, err));
        ret->space = AL_SPACE_COMMUNITY;
        ret->visibility = AL_VIS_COMMUNITY;
        ret->team = cred->team_named ? cred->key->team : cred->pseudonym;
        return AL_OK;
    }
    if (!unsaid && visibility != AIRLORE__V1__VISIBILITY__VISIBILITY_TEAM)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_ENUM", "visibility: %d is none",
                         (int)visibility);
    ret->space = cred->team_space;
    ret->visibility = AL_VIS_TEAM;
    return AL_OK;
}
