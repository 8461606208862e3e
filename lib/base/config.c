#include "airlore/config.h"

#include <string.h>

#include "config_value.h"

void al_config_fini(const struct al_config_table *t, void *out, struct al_mem *mem)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct al_config_key *k = &t->keys[i];
        if (k->type != AL_CONFIG_STRING)
            continue;
        char **field = (char **)(void *)((char *)out + k->offset);
        al_mem_free(mem, *field);
        *field = NULL;
    }
}

enum al_code al_config_defaults(const struct al_config_table *t, struct al_mem *mem, void *out,
                                struct al_err *err)
{
    memset(out, 0, t->struct_bytes);
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct al_config_key *k = &t->keys[i];
        if (!k->def && k->type != AL_CONFIG_STRING)
            continue;
        enum al_code code = al_config_value_set(k, al_str_c(k->def), mem, out, err);
        if (code != AL_OK) {
            al_err_prefix(err, "default");
            al_config_fini(t, out, mem);
            return code;
        }
    }
    return AL_OK;
}

enum al_code al_config_set(const struct al_config_table *t, void *out, const char *path,
                           const char *value, struct al_mem *mem, struct al_err *err)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (strcmp(t->keys[i].path, path) == 0)
            return al_config_value_set(&t->keys[i], al_str_c(value), mem, out, err);
    char shown[80];
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_CONFIG", "%s: unknown key",
                     al_config_show(al_str_c(path), shown, sizeof shown));
}

static void indent(unsigned depth, struct al_buf *ret)
{
    for (unsigned i = 0; i < depth; i++)
        al_buf_cstr(ret, "  ");
}

static void print_key(const struct al_config_key *k, const char *name, const void *cfg,
                      unsigned depth, struct al_buf *ret)
{
    indent(depth, ret);
    al_buf_printf(ret, "# %s\n", k->help ? k->help : "");
    indent(depth, ret);
    al_buf_printf(ret, "# default: %s", k->def && *k->def ? k->def : "none");
    if (k->type == AL_CONFIG_CHOICE || k->min || k->max) {
        al_buf_cstr(ret, "; allowed: ");
        al_config_value_range(k, ret);
    }
    al_buf_char(ret, '\n');
    indent(depth, ret);
    al_buf_printf(ret, "%s: ", name);
    al_config_value_print(k, cfg, ret);
    al_buf_char(ret, '\n');
}

static bool is_first_of(const struct al_config_table *t, size_t i, size_t prefix_len)
{
    for (size_t j = 0; j < i; j++)
        if (strncmp(t->keys[j].path, t->keys[i].path, prefix_len) == 0)
            return false;
    return true;
}

/* Everything whose path begins with the first prefix_len bytes of `prefix`: each section once,
 * whatever the order of the table, so that the text can be loaded again. */
// NOLINTNEXTLINE(misc-no-recursion): as deep as the table's own paths, at most AL_CONFIG_DEPTH_MAX
static void print_section(const struct al_config_table *t, const void *cfg, const char *prefix,
                          size_t prefix_len, unsigned depth, struct al_buf *ret)
{
    AL_ASSERT(depth < AL_CONFIG_DEPTH_MAX);
    for (size_t i = 0; i < t->n_keys; i++) {
        const char *path = t->keys[i].path;
        if (strncmp(path, prefix, prefix_len) != 0)
            continue;
        const char *name = path + prefix_len;
        const char *dot = strchr(name, '.');
        if (!dot) {
            print_key(&t->keys[i], name, cfg, depth, ret);
            continue;
        }
        size_t section_len = (size_t)(dot - path) + 1;
        if (!is_first_of(t, i, section_len))
            continue;
        indent(depth, ret);
        al_buf_printf(ret, "%.*s:\n", (int)(dot - name), name);
        print_section(t, cfg, path, section_len, depth + 1, ret);
    }
}

void al_config_print(const struct al_config_table *t, const void *cfg, struct al_buf *ret)
{
    print_section(t, cfg, "", 0, 0, ret);
}
