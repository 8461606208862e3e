/* Repositories, through libgit2. The only file that includes it. */
#include "airlore/source_git.h"

#include <errno.h>
#include <git2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define ADDRESS_BYTES_MAX 2000u
#define FETCH_BYTES_DEFAULT ((uint64_t)4 << 30)
#define DEPTH_MAX AL_SOURCE_PATH_DEPTH_MAX
#define CACHE_BYTES ((ssize_t)64 << 20)
#define WINDOW_BYTES ((size_t)256 << 20)
#define CREDENTIAL_TRIES 3u

/* A folder on the way to where the walk is. */
struct level {
    git_tree *tree;
    size_t at;     /* next entry */
    size_t path_n; /* bytes of the path of this folder, with its slash */
};

struct git_source {
    struct al_source source;
    struct al_mem *mem;
    struct al_git_options opt;
    git_repository *repo;
    git_odb *odb;
    char commit[GIT_OID_HEXSZ + 1];
    int64_t commit_s;
    char web[ADDRESS_BYTES_MAX + 100]; /* where people find a file, up to its path; "" */
    char ref[300];
    struct level levels[DEPTH_MAX];
    size_t n_levels;
    char path[AL_SOURCE_ID_BYTES_MAX + 1];
    uint64_t n_entries; /* looked at, folders included */
    uint64_t fetched_bytes;
    unsigned n_credentials;
    bool is_cancelled;
    bool is_too_large;
};

static enum al_code code_of(int rc, int class)
{
    switch (rc) {
    case GIT_ENOTFOUND:
    case GIT_EINVALIDSPEC:
    case GIT_EUNBORNBRANCH:
        return AL_NOT_FOUND;
    case GIT_EAUTH:
    case GIT_EOWNER:
    case GIT_ECERTIFICATE:
        return AL_PERMISSION_DENIED;
    default:
        return class == GIT_ERROR_NOMEMORY ? AL_RESOURCE_EXHAUSTED
               : class == GIT_ERROR_NET || class == GIT_ERROR_HTTP || class == GIT_ERROR_SSH ||
                       class == GIT_ERROR_SSL
                   ? AL_UNAVAILABLE
                   : AL_INVALID_ARGUMENT;
    }
}

static enum al_code bad(int rc, const char *what, struct al_err *err)
{
    const git_error *e = git_error_last();
    enum al_code code = code_of(rc, e ? e->klass : GIT_ERROR_NONE);
    return AL_FAIL_R(err, code, code == AL_INVALID_ARGUMENT ? "BAD_REPOSITORY" : NULL,
                     "git: %s: %.160s", what, e && e->message ? e->message : "failed");
}

/* ---- addresses ---- */

bool al_git_is_address(const char *address)
{
    return strncmp(address, "git:", 4) == 0 || strncmp(address, "git@", 4) == 0;
}

/* Where the REF of an address begins, or NULL: the last '@' behind the host; the ref itself may
 * have slashes ("release/2.11"). */
static char *find_remote_at(char *where)
{
    char *scheme = strstr(where, "://");
    char *from = scheme ? strchr(scheme + 3, '/') : strchr(where, ':');
    return from ? strrchr(from, '@') : NULL;
}

/* The same for a folder: the last '@' before which there is one. */
static char *find_local_at(char *where)
{
    struct stat st;
    if (stat(where, &st) == 0)
        return NULL;
    char *last = strrchr(where, '@');
    for (size_t n = last ? (size_t)(last - where) : 0; n > 0; n--) {
        if (where[n] != '@')
            continue;
        where[n] = '\0';
        bool is_there = stat(where, &st) == 0;
        where[n] = '@';
        if (is_there)
            return where + n;
    }
    return last;
}

static bool is_remote(const char *where)
{
    return strstr(where, "://") || strncmp(where, "git@", 4) == 0;
}

static enum al_code check_scheme(const char *where, struct al_err *err)
{
    static const char *const schemes[] = {"file://", "http://", "https://", "git://", "ssh://"};
    if (!strstr(where, "://"))
        return AL_OK;
    for (size_t i = 0; i < AL_ARRAY_LEN(schemes); i++) {
        if (strncasecmp(where, schemes[i], strlen(schemes[i])) == 0)
            return AL_OK;
    }
    return AL_FAIL(err, AL_INVALID_ARGUMENT,
                   "git: '%.100s': not one of file, http, https, git, ssh", where);
}

enum al_code al_git_parse(const char *address, char *buf, size_t n, const char **ret_ref,
                          struct al_err *err)
{
    if (strncmp(address, "git:", 4) == 0 && strncmp(address, "git://", 6) != 0)
        address += 4;
    size_t k = strlen(address);
    if (k == 0 || k >= n || k > ADDRESS_BYTES_MAX || !al_str_is_utf8((struct al_str){address, k}))
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "git: address empty, too long or not UTF-8");
    memcpy(buf, address, k + 1);
    char *at = is_remote(buf) ? find_remote_at(buf) : find_local_at(buf);
    *ret_ref = "";
    if (at) {
        *at = '\0';
        *ret_ref = at + 1;
        if (!at[1] || at[1] == '-' || !buf[0])
            return AL_FAIL(err, AL_INVALID_ARGUMENT, "git: '%.100s': no ref after '@'", address);
    }
    return check_scheme(buf, err);
}

/* The address without user and password, for names and messages. */
static void without_user(const char *where, char *buf, size_t n)
{
    const char *scheme = strstr(where, "://");
    const char *host = scheme ? scheme + 3 : where;
    size_t host_n = strcspn(host, "/");
    const char *at = NULL;
    for (size_t i = 0; scheme && i < host_n; i++)
        at = host[i] == '@' ? host + i : at;
    if (at)
        snprintf(buf, n, "%.*s%s", (int)(host - where), where, at + 1);
    else
        snprintf(buf, n, "%s", where);
}

static const char *base_name(char *where)
{
    size_t n = strlen(where);
    while (n > 1 && where[n - 1] == '/')
        where[--n] = '\0';
    char *slash = strrchr(where, '/');
    return slash && slash[1] ? slash + 1 : where;
}

static void name_it(struct git_source *s, const char *where, const char *ref)
{
    char clean[ADDRESS_BYTES_MAX + 1];
    without_user(where, clean, sizeof clean);
    if (is_remote(where)) {
        snprintf(s->source.name, sizeof s->source.name, "git:%.300s%s%.90s", clean,
                 ref[0] ? "@" : "", ref);
    } else {
        char *real = realpath(where, NULL);
        const char *p = real ? real : where;
        uint64_t h = XXH3_64bits(p, strlen(p));
        char kept[ADDRESS_BYTES_MAX + 1];
        snprintf(kept, sizeof kept, "%s", p);
        snprintf(s->source.name, sizeof s->source.name, "git:%.200s@%016" PRIx64 "%s%.90s",
                 base_name(kept), h, ref[0] ? "@" : "", ref);
        free(real);
    }
    const char *base = base_name(clean);
    size_t n = strlen(base);
    n = n > 4 && strcmp(base + n - 4, ".git") == 0 ? n - 4 : n;
    snprintf(s->source.label, sizeof s->source.label, "%.*s", (int)(n > 200 ? 200 : n), base);
    if (strcmp(s->source.label, ".") == 0 || strcmp(s->source.label, "..") == 0)
        snprintf(s->source.label, sizeof s->source.label, "repository");
}

/* GitHub and GitLab show a file of a commit under a known address; others have none. */
static void find_web(struct git_source *s, const char *where)
{
    char clean[ADDRESS_BYTES_MAX + 1];
    without_user(where, clean, sizeof clean);
    size_t n = strlen(clean);
    if (n > 4 && strcmp(clean + n - 4, ".git") == 0)
        clean[n - 4] = '\0';
    bool hub = strncmp(clean, "https://github.com/", 19) == 0;
    bool lab = strncmp(clean, "https://gitlab.com/", 19) == 0;
    if (hub || lab)
        snprintf(s->web, sizeof s->web, "%s/%sblob/%s/", clean, lab ? "-/" : "", s->commit);
}

/* ---- fetching ---- */

static int on_credentials(git_credential **out, const char *url, const char *user, unsigned types,
                          void *u)
{
    struct git_source *s = u;
    (void)url;
    if (s->n_credentials++ >= CREDENTIAL_TRIES)
        return GIT_EAUTH; /* asked again: what we have was refused */
    if ((types & GIT_CREDENTIAL_USERPASS_PLAINTEXT) && s->opt.token &&
        strncasecmp(url, "https://", 8) == 0)
        return git_credential_userpass_plaintext_new(out, user ? user : "token", s->opt.token);
    if (types & GIT_CREDENTIAL_SSH_KEY)
        return git_credential_ssh_key_from_agent(out, user ? user : "git");
    return GIT_EAUTH;
}

static int on_progress(const git_indexer_progress *p, void *u)
{
    struct git_source *s = u;
    uint64_t max = s->opt.fetch_bytes_max ? s->opt.fetch_bytes_max : FETCH_BYTES_DEFAULT;
    s->fetched_bytes = p->received_bytes;
    s->is_too_large = p->received_bytes > max;
    if (s->opt.on_fetch &&
        !s->opt.on_fetch(s->opt.u, p->received_objects, p->total_objects, p->received_bytes))
        s->is_cancelled = true;
    return s->is_too_large || s->is_cancelled ? GIT_EUSER : 0;
}

static void set_callbacks(struct git_source *s, git_remote_callbacks *c)
{
    git_remote_init_callbacks(c, GIT_REMOTE_CALLBACKS_VERSION);
    c->credentials = on_credentials;
    c->transfer_progress = on_progress;
    c->payload = s;
}

static enum al_code fetch_failed(const struct git_source *s, int rc, struct al_err *err)
{
    if (s->is_too_large)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE",
                         "git: more than %" PRIu64 " bytes to fetch",
                         s->opt.fetch_bytes_max ? s->opt.fetch_bytes_max : FETCH_BYTES_DEFAULT);
    if (s->is_cancelled)
        return AL_FAIL(err, AL_CANCELLED, "git: fetch cancelled");
    return bad(rc, "fetch", err);
}

static bool is_commit_id(const char *ref)
{
    return strlen(ref) == GIT_OID_HEXSZ && strspn(ref, "0123456789abcdef") == GIT_OID_HEXSZ;
}

/* What the remote calls the ref: "refs/heads/X", "refs/tags/X" or "HEAD" into full. */
static enum al_code find_remote_ref(git_remote *remote, const char *ref, char *full, size_t n,
                                    struct al_err *err)
{
    const git_remote_head **heads = NULL;
    size_t n_heads = 0;
    int rc = git_remote_ls(&heads, &n_heads, remote);
    if (rc < 0)
        return bad(rc, "list of refs", err);
    static const char *const before[] = {"refs/heads/", "refs/tags/", ""};
    for (size_t f = 0; f < AL_ARRAY_LEN(before); f++) {
        int k = snprintf(full, n, "%s%s", before[f], ref[0] ? ref : "HEAD");
        for (size_t i = 0; k > 0 && (size_t)k < n && i < n_heads; i++) {
            if (strcmp(heads[i]->name, full) == 0)
                return AL_OK;
        }
    }
    return AL_FAIL(err, AL_NOT_FOUND, "git: the repository has no branch or tag '%.100s'",
                   ref[0] ? ref : "HEAD");
}

/* Fetch one ref into refs/airlore/fetched of the cache; a commit id needs all branches. */
static enum al_code fetch_ref(struct git_source *s, git_remote *remote, const char *ref,
                              struct al_err *err)
{
    git_fetch_options o;
    git_fetch_options_init(&o, GIT_FETCH_OPTIONS_VERSION);
    set_callbacks(s, &o.callbacks);
    o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    o.update_fetchhead = 0;
    char full[400];
    char spec[900];
    if (is_commit_id(ref)) {
        snprintf(spec, sizeof spec, "+refs/heads/*:refs/airlore/heads/*");
    } else {
        int rc = git_remote_connect(remote, GIT_DIRECTION_FETCH, &o.callbacks, NULL, NULL);
        if (rc < 0)
            return fetch_failed(s, rc, err);
        AL_TRY(find_remote_ref(remote, ref, full, sizeof full, err));
        snprintf(spec, sizeof spec, "+%s:refs/airlore/fetched", full);
    }
    char *specs[1] = {spec};
    git_strarray list = {specs, 1};
    int rc = git_remote_fetch(remote, &list, &o, NULL);
    git_remote_disconnect(remote);
    return rc < 0 ? fetch_failed(s, rc, err) : AL_OK;
}

static enum al_code open_cache(struct git_source *s, const char *where, struct al_err *err)
{
    char folder[3000];
    char dir[2048];
    if (s->opt.cache_dir)
        snprintf(dir, sizeof dir, "%s", s->opt.cache_dir);
    else
        AL_TRY(al_source_cache_dir("git", dir, sizeof dir, err));
    snprintf(folder, sizeof folder, "%s/%.80s-%016" PRIx64 ".git", dir, s->source.label,
             (uint64_t)XXH3_64bits(where, strlen(where)));
    int rc = git_repository_open_bare(&s->repo, folder);
    if (rc < 0)
        rc = git_repository_init(&s->repo, folder, true);
    return rc < 0 ? bad(rc, "cache", err) : AL_OK;
}

static enum al_code fetch(struct git_source *s, const char *where, const char *ref,
                          struct al_err *err)
{
    AL_TRY(open_cache(s, where, err));
    git_remote *remote = NULL;
    int rc = git_remote_create_anonymous(&remote, s->repo, where);
    if (rc < 0)
        return bad(rc, "address", err);
    enum al_code code = fetch_ref(s, remote, ref, err);
    git_remote_free(remote);
    return code;
}

/* ---- the commit ---- */

static enum al_code find_commit(struct git_source *s, const char *spec, struct al_err *err)
{
    git_object *found = NULL;
    git_object *commit = NULL;
    int rc = git_revparse_single(&found, s->repo, spec);
    if (rc == 0)
        rc = git_object_peel(&commit, found, GIT_OBJECT_COMMIT);
    git_object_free(found);
    if (rc < 0)
        return bad(rc, "ref", err);
    git_oid_tostr(s->commit, sizeof s->commit, git_object_id(commit));
    s->commit_s = git_commit_time((git_commit *)commit);
    rc = git_commit_tree(&s->levels[0].tree, (git_commit *)commit);
    git_object_free(commit);
    if (rc < 0)
        return bad(rc, "tree", err);
    s->n_levels = 1;
    rc = git_repository_odb(&s->odb, s->repo);
    return rc < 0 ? bad(rc, "objects", err) : AL_OK;
}

/* ---- the walk ---- */

static void leave(struct git_source *s)
{
    git_tree_free(s->levels[--s->n_levels].tree);
    s->levels[s->n_levels].tree = NULL;
}

/* Into a folder; *ret_given: it could not be entered and ret says so. */
static enum al_code enter(struct git_source *s, const git_tree_entry *e, size_t path_n,
                          struct al_source_entry *ret, bool *ret_given, struct al_err *err)
{
    if (s->n_levels == DEPTH_MAX || path_n + 1 >= sizeof s->path) {
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "TOO_DEEP", "path: folders nested too deeply");
        *ret_given = true;
        return AL_OK;
    }
    git_tree *tree = NULL;
    int rc = git_tree_lookup(&tree, s->repo, git_tree_entry_id(e));
    if (rc < 0)
        return bad(rc, "folder", err);
    s->path[path_n] = '/';
    s->levels[s->n_levels++] = (struct level){.tree = tree, .path_n = path_n + 1};
    return AL_OK;
}

static enum al_code give_file(struct git_source *s, const git_tree_entry *e, const char *path,
                              struct al_arena *a, struct al_source_entry *ret, struct al_err *err)
{
    const char *id = NULL;
    if (al_source_check_path(path, &id, &ret->why) != AL_OK)
        return AL_OK;
    char oid[GIT_OID_HEXSZ + 1];
    git_oid_tostr(oid, sizeof oid, git_tree_entry_id(e));
    ret->id = al_arena_strndup(a, id, strlen(id));
    ret->checksum = al_arena_printf(a, "g1-%s", oid);
    ret->version = s->commit;
    ret->url = s->web[0] ? al_arena_printf(a, "%s%s", s->web, id) : NULL;
    if (!ret->id || !ret->checksum || (s->web[0] && !ret->url))
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "git: out of memory");
    ret->media_type = al_source_media_type(id);
    ret->updated_s = s->commit_s;
    al_source_add_meta(ret, "git_commit", s->commit);
    al_source_add_meta(ret, "git_ref", s->ref);
    return AL_OK;
}

/* One entry of a folder; *ret_given: ret is to be given. */
static enum al_code visit(struct git_source *s, struct level *l, struct al_arena *a,
                          struct al_source_entry *ret, bool *ret_given, struct al_err *err)
{
    const git_tree_entry *e = git_tree_entry_byindex(l->tree, l->at++);
    size_t folder_n = l->path_n;
    const char *name = git_tree_entry_name(e);
    size_t n = strlen(name);
    if (++s->n_entries > AL_SOURCE_ENTRIES_MAX) /* equal subtrees make trees without end */
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_MANY", "git: more than %u entries",
                         AL_SOURCE_ENTRIES_MAX);
    if (al_source_is_ignored((struct al_str){name, n}))
        return AL_OK;
    git_filemode_t mode = git_tree_entry_filemode(e);
    bool is_file = mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
    if (mode != GIT_FILEMODE_TREE && !(is_file && al_source_media_type(name))) {
        s->source.n_left_out++;
        return AL_OK;
    }
    if (folder_n + n >= sizeof s->path) {
        AL_FAIL_R(&ret->why, AL_INVALID_ARGUMENT, "BAD_PATH", "path: longer than 512 bytes");
        *ret_given = true;
        return AL_OK;
    }
    memcpy(s->path + folder_n, name, n + 1);
    if (mode == GIT_FILEMODE_TREE)
        return enter(s, e, folder_n + n, ret, ret_given, err);
    *ret_given = true;
    return give_file(s, e, s->path, a, ret, err);
}

static enum al_code git_next(struct al_source *source, struct al_arena *a,
                             struct al_source_entry *ret, bool *ret_end, struct al_err *err)
{
    struct git_source *s = (struct git_source *)source;
    while (s->n_levels) {
        struct level *l = &s->levels[s->n_levels - 1];
        if (l->at >= git_tree_entrycount(l->tree)) {
            leave(s);
            continue;
        }
        bool given = false;
        AL_TRY(visit(s, l, a, ret, &given, err));
        if (given)
            return AL_OK;
    }
    *ret_end = true;
    return AL_OK;
}

static enum al_code git_load(struct al_source *source, struct al_arena *a,
                             struct al_source_entry *e, uint64_t max, struct al_err *err)
{
    struct git_source *s = (struct git_source *)source;
    git_oid oid;
    size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    int rc = git_oid_fromstr(&oid, e->checksum + 3);
    if (rc == 0)
        rc = git_odb_read_header(&size, &type, s->odb, &oid);
    if (rc < 0)
        return bad(rc, "object", err);
    if (size > max)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "file: %zu bytes, at most %" PRIu64,
                         size, max);
    git_blob *blob = NULL;
    rc = git_blob_lookup(&blob, s->repo, &oid);
    if (rc < 0)
        return bad(rc, "object", err);
    struct al_str content = {git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)};
    enum al_code code = al_arena_str(a, content, &e->content, err);
    e->has_content = code == AL_OK;
    git_blob_free(blob);
    return code;
}

static void git_close(struct al_source *source)
{
    struct git_source *s = (struct git_source *)source;
    while (s->n_levels)
        leave(s);
    git_odb_free(s->odb);
    git_repository_free(s->repo);
    al_mem_free(s->mem, s);
    git_libgit2_shutdown();
}

static const struct al_source_ops ops = {.next = git_next, .load = git_load, .close = git_close};

static enum al_code open_it(struct git_source *s, const char *where, const char *ref,
                            struct al_err *err)
{
    name_it(s, where, ref);
    snprintf(s->ref, sizeof s->ref, "%s", ref);
    if (is_remote(where)) {
        AL_TRY(fetch(s, where, ref, err));
        AL_TRY(find_commit(s, is_commit_id(ref) ? ref : "refs/airlore/fetched", err));
    } else {
        int rc = git_repository_open_ext(&s->repo, where, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
        if (rc < 0)
            return bad(rc, "repository", err);
        AL_TRY(find_commit(s, ref[0] ? ref : "HEAD", err));
    }
    find_web(s, where);
    return AL_OK;
}

enum al_code al_git_open(const char *address, const struct al_git_options *opt,
                         struct al_source **ret, struct al_err *err)
{
    char where[ADDRESS_BYTES_MAX + 8];
    const char *ref = "";
    AL_TRY(al_git_parse(address, where, sizeof where, &ref, err));
    if (strlen(ref) > 250)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "git: ref longer than 250 bytes");
    struct al_mem *mem = opt ? opt->mem : NULL;
    struct git_source *s = al_mem_zalloc(mem, sizeof *s);
    if (!s)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "git: out of memory");
    s->source.ops = &ops;
    s->mem = mem;
    if (opt)
        s->opt = *opt;
    git_libgit2_init();
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, CACHE_BYTES);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, WINDOW_BYTES);
    enum al_code code = open_it(s, where, ref, err);
    if (code != AL_OK) {
        al_source_close(&s->source);
        return code;
    }
    *ret = &s->source;
    return AL_OK;
}

const char *al_git_commit(const struct al_source *s)
{
    return ((const struct git_source *)s)->commit;
}
