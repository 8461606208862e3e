/* port_conformance.h - what every back end of the shard port must do with rows: the local one and
 * the fakes of tests, which have nothing but rows.
 *
 * Documents and searches have only one back end yet; shard_test.c tests them through it.
 *
 * Thread: confined to one thread.
 */
#ifndef AIRLORE_SHARD_PORT_CONFORMANCE_H
#define AIRLORE_SHARD_PORT_CONFORMANCE_H

#include "airlore/shard_port.h"

/* Run all of it on an empty shard; fails the test. Rows of `table` in space 0 are used, one
 * operation a write. */
void al_shard_port_conformance(struct al_shard_port *p, uint8_t table);

#endif
