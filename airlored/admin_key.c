#include "admin_key.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum al_code make(const char *path, struct al_directory *directory, struct al_disk *disk,
                         struct al_admin_key *ret, struct al_err *err)
{
    struct al_key want = {.team = "default", .role = AL_ROLE_ADMIN, .note = AL_ADMIN_KEY_NOTE};
    struct al_key key;
    char text[AL_KEY_TEXT_MAX + 1];
    AL_TRY_CTX(err, al_directory_add_key(directory, &want, text, &key, err), "admin key");
    size_t n = strlen(text);
    text[n] = '\n';
    enum al_code code = al_disk_write_file(disk, path, (struct al_str){text, n + 1}, 0600, err);
    sodium_memzero(text, sizeof text);
    if (code != AL_OK) {
        /* Nobody will ever know its secret. */
        enum al_code revoked = al_directory_drop_key(directory, key.id, NULL);
        (void)revoked;
        al_err_prefix(err, "admin key");
        return code;
    }
    *ret = (struct al_admin_key){.state = AL_ADMIN_KEY_MADE};
    memcpy(ret->id, key.id, sizeof ret->id);
    return AL_OK;
}

static enum al_code check(const char *path, struct al_directory *directory, struct al_disk *disk,
                          enum al_admin_key_state *ret, struct al_err *err)
{
    struct al_buf text;
    al_buf_init(&text, NULL, 4096);
    enum al_code code = al_disk_read_file(disk, path, &text, err);
    if (code == AL_OK) {
        struct al_arena a;
        const struct al_credential *who = NULL;
        al_arena_init(&a, NULL, 1 << 20);
        enum al_code known =
            al_directory_authenticate(directory, al_str_trim(al_buf_view(&text)), &a, &who, NULL);
        *ret = known == AL_OK ? AL_ADMIN_KEY_KEPT : AL_ADMIN_KEY_REFUSED;
        al_arena_fini(&a);
    } else {
        al_err_prefix(err, "admin key");
    }
    if (text.p)
        sodium_memzero(text.p, text.n);
    al_buf_fini(&text);
    return code;
}

enum al_code al_admin_key_ensure(const char *path, struct al_directory *directory,
                                 struct al_disk *disk, struct al_admin_key *ret, struct al_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT)
            return AL_FAIL_ERRNO(err, errno, "admin key: '%.150s'", path);
        return make(path, directory, disk, ret, err);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > 4096)
        return AL_FAIL_R(err, AL_FAILED_PRECONDITION, "BAD_ADMIN_KEY",
                         "admin key: '%.150s' is not a small file", path);
    struct al_admin_key k = {.state = AL_ADMIN_KEY_KEPT};
    if (st.st_mode & 077) {
        if (chmod(path, 0600) != 0)
            return AL_FAIL_ERRNO(err, errno, "admin key: mode of '%.150s'", path);
        k.made_private = true;
    }
    AL_TRY(check(path, directory, disk, &k.state, err));
    *ret = k;
    return AL_OK;
}
