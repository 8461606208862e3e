/* metrics_process.h - what the operating system knows about this process; private to base.
 *
 * Each function ignores u (it has the shape of a gauge's function) and gives NaN when the system
 * does not say.
 *
 * Thread: any thread.
 */
#ifndef AIRLORE_METRICS_PROCESS_H
#define AIRLORE_METRICS_PROCESS_H

/* CPU time of all threads, seconds. */
double al_process_cpu_s(void *u);

/* Resident memory, bytes. */
double al_process_resident_bytes(void *u);

/* Open file descriptors, without the one this call needs. */
double al_process_open_fds(void *u);

/* Start, seconds since the epoch. */
double al_process_start_s(void *u);

#endif
