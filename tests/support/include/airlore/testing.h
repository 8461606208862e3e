/* airlore/testing.h - what every test shares: cmocka, named cases, failing memory, failing disk,
 * temporary folders.
 *
 * Thread: confined to one thread unless said otherwise.
 */
#ifndef AIRLORE_TESTING_H
#define AIRLORE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "airlore/disk.h"
#include "airlore/mem.h"
#include "airlore/net.h"

/* Fail with the name of a table's case. */
#define AL_CHECK(name_, cond_) \
    al_check_case((name_), (cond_) ? true : false, #cond_, __FILE__, __LINE__)

/* A call must succeed; prints its error otherwise. err_ is a struct al_err lvalue. */
#define AL_CHECK_OK(expr_, err_) al_check_ok(#expr_, (expr_), &(err_), __FILE__, __LINE__)

/* What AL_CHECK calls: ends the test unless holds. */
void al_check_case(const char *name, bool holds, const char *cond, const char *file, int line);

/* What AL_CHECK_OK calls: ends the test unless code is AL_OK; err is read then only. */
void al_check_ok(const char *expr, enum al_code code, struct al_err *err, const char *file,
                 int line);

/* Memory whose allocation number `fail_at` (from 0) fails, once or from then on. Internally locked.
 */
struct al_fault_mem {
    struct al_mem mem;
    size_t fail_at;
    bool persistent;
    size_t count; /* allocations asked for */
    size_t live;  /* blocks not yet freed */
    bool fired;
};

/* fail_at SIZE_MAX: never fails, only counts. */
void al_fault_mem_init(struct al_fault_mem *f, size_t fail_at, bool persistent);

/* A disk whose operation number `fail_at` fails with errnum (ENOSPC, EIO), once or from then on;
 * the rest goes to `base`. Half of the bytes are written before a failing write; a failing close
 * closes. With ENOSPC and EDQUOT only what needs space fails and counts (open for writing, write,
 * sync, rename, mkdir, sync_dir); removing, closing and reading work as they do on a full disk.
 * Internally locked. */
struct al_fault_disk {
    struct al_disk disk;
    struct al_disk *base;
    size_t fail_at;
    bool persistent;
    int errnum;
    size_t count;
    bool fired;
};

/* fail_at SIZE_MAX: never fails, only counts. base NULL: the system's. */
void al_fault_disk_init(struct al_fault_disk *f, struct al_disk *base, size_t fail_at,
                        bool persistent, int errnum);

/* A network whose operation number `fail_at` (resolve, listen) fails, once or from then on: a name
 * is not known, a socket answers errnum. The rest goes to `base`. n_open: sockets not closed yet.
 */
struct al_fault_net {
    struct al_net net;
    struct al_net *base;
    size_t fail_at;
    bool persistent;
    int errnum;
    size_t count;
    size_t n_open;
    bool fired;
};

/* fail_at SIZE_MAX: never fails, only counts. base NULL: the system's. */
void al_fault_net_init(struct al_fault_net *f, struct al_net *base, size_t fail_at, bool persistent,
                       int errnum);

/* A fresh folder under $TMPDIR (or /tmp); path into buf[n]. Removed at exit of the test program. */
const char *al_test_dir(char *buf, size_t n);

#endif
