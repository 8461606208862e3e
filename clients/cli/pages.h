/* pages.h - lists of the contract that come in pages, as one table. Thread: the main thread. */
#ifndef AIRLORE_CLI_PAGES_H
#define AIRLORE_CLI_PAGES_H

#include "cli.h"
#include "json_out.h"

/* One kind of list. The request has the members page_size and page_token, the response
 * next_page_token and the rows; all are found by their names in the descriptors. */
struct al_cli_list {
    const ProtobufCServiceDescriptor *service;
    const char *method;
    ProtobufCMessage *request; /* page_size and page_token are set here */
    const char *rows;          /* member of the response, and of the JSON document */
    const struct al_cli_column *columns;
    size_t n_columns;
};

/* Read at most --limit rows (default 50, 0: all) into a new array. AL_EXIT_DONE, or the code to
 * exit with. */
int al_cli_list_read(struct al_cli *c, const struct al_cli_list *l, json_t **ret);

/* Read and print: {"<rows>":[..]} or a table. */
int al_cli_list_run(struct al_cli *c, const struct al_cli_list *l);

/* Call one method and give the reply; NULL after saying what is wrong, *ret_exit then. */
const ProtobufCMessage *al_cli_call(struct al_cli *c, const char *method,
                                    const ProtobufCMessage *request, bool is_write, int *ret_exit);

/* Print an object of the contract: JSON, or pairs. */
void al_cli_show(const struct al_cli *c, const ProtobufCMessage *m);

#endif
