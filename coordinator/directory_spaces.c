#include <string.h>

#include "directory_cache.h"

static const char *space_name(struct al_directory *d, uint32_t space, struct al_arena *a)
{
    if (space == AL_SPACE_COMMUNITY)
        return "community";
    for (size_t i = 0; i < d->n_teams; i++) {
        if (d->teams[i].space == space)
            return al_arena_printf(a, "teams/%s", d->teams[i].name);
    }
    for (size_t i = 0; i < d->n_deployments; i++) {
        const struct al_deployment *x = &d->deployments[i];
        if (x->space == space)
            return al_arena_printf(a, "teams/%s/deployments/%s", x->team, x->name);
    }
    return "";
}

const char *al_directory_space_name(struct al_directory *d, uint32_t space, struct al_arena *a)
{
    pthread_rwlock_rdlock(&d->lock);
    const char *name = space_name(d, space, a);
    pthread_rwlock_unlock(&d->lock);
    return name;
}

static bool copy_name(struct al_str s, char out[AL_NAME_BYTES_MAX + 1])
{
    if (s.n < 1 || s.n > AL_NAME_BYTES_MAX || memchr(s.p, '/', s.n) || memchr(s.p, 0, s.n))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* "teams/{team}" or "teams/{team}/deployments/{deployment}" into its parts; the second is "" for a
 * team. */
static bool split_name(struct al_str name, char team[AL_NAME_BYTES_MAX + 1],
                       char deployment[AL_NAME_BYTES_MAX + 1])
{
    static const char middle[] = "/deployments/";
    deployment[0] = '\0';
    if (!al_str_starts(name, AL_STR("teams/")))
        return false;
    struct al_str rest = al_str_sub(name, 6, SIZE_MAX);
    size_t at = al_str_find(rest, al_str_c(middle), 0);
    if (at == SIZE_MAX)
        return copy_name(rest, team);
    return copy_name(al_str_sub(rest, 0, at), team) &&
           copy_name(al_str_sub(rest, at + sizeof middle - 1, SIZE_MAX), deployment);
}

static enum al_code find_space(struct al_directory *d, const char *team, const char *deployment,
                               uint32_t *ret, struct al_err *err)
{
    const struct al_team *t = al_cache_team(d, team);
    if (!t)
        return AL_FAIL_R(err, AL_NOT_FOUND, "TEAM_NOT_FOUND", "team: '%s' does not exist", team);
    *ret = t->space;
    if (!deployment[0])
        return AL_OK;
    const struct al_deployment *x = al_cache_deployment(d, team, deployment);
    if (!x)
        return AL_FAIL_R(err, AL_NOT_FOUND, "DEPLOYMENT_NOT_FOUND",
                         "deployment: '%s' of team '%s' does not exist", deployment, team);
    *ret = x->space;
    return AL_OK;
}

enum al_code al_directory_find_space(struct al_directory *d, struct al_str name, uint32_t *ret,
                                     struct al_err *err)
{
    if (al_str_is(name, "community")) {
        *ret = AL_SPACE_COMMUNITY;
        return AL_OK;
    }
    char team[AL_NAME_BYTES_MAX + 1];
    char deployment[AL_NAME_BYTES_MAX + 1];
    if (!split_name(name, team, deployment))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_FORMAT",
                         "space: '" AL_STR_FMT "' is none: 'community', 'teams/T' or "
                         "'teams/T/deployments/D'",
                         AL_STR_ARG(al_str_sub(name, 0, 100)));
    pthread_rwlock_rdlock(&d->lock);
    enum al_code c = find_space(d, team, deployment, ret, err);
    pthread_rwlock_unlock(&d->lock);
    return c;
}
