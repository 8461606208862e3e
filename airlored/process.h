/* process.h - what must be true of the process before anything else happens.
 *
 * Thread: main thread, before any other.
 */
#ifndef AIRLORE_AIRLORED_PROCESS_H
#define AIRLORE_AIRLORED_PROCESS_H

/* Files of ours are for this user only (umask 077); as many open files as the system lets us; large
 * blocks of memory go back to the system; and the libraries for linear algebra start no threads of
 * their own. These read the environment before main() runs: when it does not say so yet, it is set
 * and the program starts itself anew with the same arguments. Returns in the process that goes on.
 */
void al_process_prepare(char **argv);

#endif
