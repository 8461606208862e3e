/* json_out.h - messages of the contract as JSON, and JSON as tables.
 *
 * Field names are those of the contract; enum values are lower case without their prefix ("team",
 * "succeeded"); times are RFC 3339; maps are objects; an absent message or optional field is left
 * out.
 *
 * Thread: confined to one thread. Memory: what gives a json_t * gives a new reference.
 */
#ifndef AIRLORE_CLI_JSON_OUT_H
#define AIRLORE_CLI_JSON_OUT_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "airlore/str.h"

/* A message as an object; never NULL (aborts when memory is out, like the rest of this file). */
json_t *al_cli_json_of(const ProtobufCMessage *m);

/* Text as a JSON string; broken UTF-8 is replaced, NUL bytes too. */
json_t *al_cli_json_text(struct al_str s);

/* Set a member, taking the reference. */
void al_cli_json_set(json_t *object, const char *name, json_t *value);

/* Append to an array, taking the reference. */
void al_cli_json_add(json_t *array, json_t *value);

/* Print one document on one line and drop it. */
void al_cli_json_print(FILE *f, json_t *doc);

/* Text at a path of member names such as "job.state"; numbers and booleans as text; "" when absent.
 * In buf or the value. */
const char *al_cli_json_at(const json_t *doc, const char *path, char *buf, size_t n);

/* One column of a table: heading, and the path of the value in a row. */
struct al_cli_column {
    const char *heading;
    const char *path;
};

/* Print rows (an array of objects) as a table; says "none" when it is empty. */
void al_cli_table(FILE *f, const json_t *rows, const struct al_cli_column *columns, size_t n,
                  bool colour);

/* Print the members of an object, one a line, names aligned; empty ones are left out. */
void al_cli_pairs(FILE *f, const json_t *object, bool colour);

/* Lower-case word of the contract ("contributor") to the value of an enum; false when it is none of
 * it. */
bool al_cli_enum(const ProtobufCEnumDescriptor *e, const char *word, int *ret);

/* "reader, contributor, reviewer, admin": the words of an enum, for messages. */
void al_cli_enum_words(const ProtobufCEnumDescriptor *e, char *buf, size_t n);

#endif
