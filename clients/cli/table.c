/* JSON as tables and lists for people. */
#include <inttypes.h>
#include <string.h>

#include "json_out.h"
#include "term.h"

#define COLUMNS_MAX 16u
#define CELL_MAX 60u

static const char *scalar(const json_t *v, char *buf, size_t n)
{
    if (json_is_string(v))
        return json_string_value(v);
    buf[0] = '\0';
    if (json_is_integer(v))
        snprintf(buf, n, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(buf, n, "%.4g", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(buf, n, "%s", json_is_true(v) ? "yes" : "no");
    return buf;
}

/* "a, b, c" of an array of scalars, "k=v, ..." of an object. */
static const char *joined(const json_t *v, char *buf, size_t n)
{
    char cell[128];
    size_t used = 0;
    buf[0] = '\0';
    size_t i;
    const char *key;
    json_t *e;
    if (json_is_array(v)) {
        json_array_foreach(v, i, e)
        {
            int k = snprintf(buf + used, n - used, "%s%s", used ? ", " : "",
                             scalar(e, cell, sizeof cell));
            if (k < 0 || (size_t)k >= n - used)
                break;
            used += (size_t)k;
        }
        return buf;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, e)
    {
        int k = snprintf(buf + used, n - used, "%s%s=%s", used ? ", " : "", key,
                         scalar(e, cell, sizeof cell));
        if (k < 0 || (size_t)k >= n - used)
            break;
        used += (size_t)k;
    }
    return buf;
}

const char *al_cli_json_at(const json_t *doc, const char *path, char *buf, size_t n)
{
    const json_t *v = doc;
    while (*path) {
        size_t len = strcspn(path, ".");
        char name[64];
        if (len >= sizeof name)
            return "";
        memcpy(name, path, len);
        name[len] = '\0';
        v = json_object_get(v, name);
        path += len + (path[len] == '.');
    }
    if (json_is_array(v) || json_is_object(v))
        return joined(v, buf, n);
    return scalar(v, buf, n);
}

/* Columns of the widest value, at most CELL_MAX but for the heading. */
static size_t width_of(const json_t *rows, const struct al_cli_column *column)
{
    size_t width = strlen(column->heading);
    char buf[512];
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *s = al_cli_json_at(json_array_get(rows, i), column->path, buf, sizeof buf);
        size_t w = al_cli_columns(al_str_c(s));
        w = w > CELL_MAX ? CELL_MAX : w;
        width = w > width ? w : width;
    }
    return width;
}

void al_cli_table(FILE *f, const json_t *rows, const struct al_cli_column *columns, size_t n,
                  bool colour)
{
    size_t width[COLUMNS_MAX];
    char buf[512];
    AL_ASSERT(n <= COLUMNS_MAX);
    if (json_array_size(rows) == 0) {
        fputs("none\n", f);
        return;
    }
    for (size_t c = 0; c < n; c++)
        width[c] = width_of(rows, &columns[c]);
    fputs(al_cli_style_on(colour, AL_STYLE_BOLD), f);
    for (size_t c = 0; c < n; c++)
        fprintf(f, "%-*s%s", c + 1 < n ? (int)width[c] : 0, columns[c].heading,
                c + 1 < n ? "  " : "");
    fprintf(f, "%s\n", al_cli_style_on(colour, AL_STYLE_PLAIN));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t c = 0; c < n; c++) {
            struct al_str s =
                al_str_c(al_cli_json_at(json_array_get(rows, i), columns[c].path, buf, sizeof buf));
            if (c + 1 < n)
                al_cli_put_cell(f, s, width[c]);
            else
                al_cli_put(f, s);
            fputs(c + 1 < n ? "  " : "\n", f);
        }
    }
}

void al_cli_pairs(FILE *f, const json_t *object, bool colour)
{
    size_t width = 0;
    char buf[2048];
    const char *key;
    json_t *v;
    json_t *o = (json_t *)(uintptr_t)object;
    json_object_foreach(o, key, v)
    {
        width = strlen(key) > width ? strlen(key) : width;
    }
    json_object_foreach(o, key, v)
    {
        const char *s = json_is_array(v) || json_is_object(v) ? joined(v, buf, sizeof buf)
                                                              : scalar(v, buf, sizeof buf);
        if (!s[0])
            continue;
        fputs(al_cli_style_on(colour, AL_STYLE_DIM), f);
        for (size_t i = 0; i <= width; i++)
            fputc(i >= strlen(key) ? ' ' : key[i] == '_' ? ' ' : key[i], f);
        fputs(al_cli_style_on(colour, AL_STYLE_PLAIN), f);
        fputc(' ', f);
        al_cli_put(f, al_str_c(s));
        fputc('\n', f);
    }
}
