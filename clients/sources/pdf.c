/* The text of a PDF, from a process that may crash. */
#include "airlore/source_pdf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "airlore/clock.h"
#include "pdf_wire.h"

#define TIMEOUT_MS_DEFAULT 60000u
#define ANSWER_BYTES_MAX (AL_PDF_BYTES_MAX + ((size_t)1 << 20))

static enum al_code bad(const char *what, struct al_err *err)
{
    return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PDF", "pdf: %.150s", what);
}

/* ---- what it wrote ---- */

static bool take_page(struct al_reader *r, uint32_t n_all, uint32_t last, struct al_pdf_page *ret)
{
    uint64_t number = al_reader_varint(r);
    ret->heading = al_reader_lenstr(r);
    ret->text = al_reader_lenstr(r);
    ret->number = (uint32_t)number;
    return !r->failed && number > last && number <= n_all && al_str_is_utf8(ret->heading) &&
           al_str_is_utf8(ret->text) && (!ret->text.n || !memchr(ret->text.p, '\0', ret->text.n));
}

enum al_code al_pdf_parse(struct al_str bytes, struct al_arena *a, struct al_pdf *ret,
                          struct al_err *err)
{
    struct al_reader r = al_reader_of(bytes);
    struct al_str magic = al_reader_bytes(&r, strlen(AL_PDF_MAGIC));
    if (r.failed || !al_str_is(magic, AL_PDF_MAGIC))
        return bad("the reader gave no answer", err);
    if (al_reader_u8(&r) == AL_PDF_ERROR) {
        struct al_str why = al_reader_lenstr(&r);
        char text[150];
        size_t n = al_str_is_utf8(why) ? al_str_utf8_floor(why, sizeof text - 1) : 0;
        snprintf(text, sizeof text, "%.*s", (int)n, n ? why.p : "");
        return bad(text, err);
    }
    struct al_pdf pdf = {.title = al_reader_lenstr(&r)};
    uint64_t n_all = al_reader_varint(&r);
    uint64_t n = al_reader_varint(&r);
    if (r.failed || n_all > AL_PDF_PAGES_MAX || n > n_all || !al_str_is_utf8(pdf.title))
        return bad("the reader's answer is damaged", err);
    pdf.n_all = (uint32_t)n_all;
    pdf.pages = al_arena_array(a, n + 1, sizeof *pdf.pages);
    if (!pdf.pages)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "pdf: out of memory");
    uint32_t last = 0;
    for (; pdf.n < n; pdf.n++) {
        if (!take_page(&r, pdf.n_all, last, &pdf.pages[pdf.n]))
            return bad("the reader's answer is damaged", err);
        last = pdf.pages[pdf.n].number;
    }
    if (!al_reader_done(&r))
        return bad("the reader's answer is damaged", err);
    *ret = pdf;
    return AL_OK;
}

/* ---- the process ---- */

struct child {
    pid_t pid;
    int in;  /* it reads the document there */
    int out; /* it writes there */
};

static enum al_code find_program(char *buf, size_t n, struct al_err *err)
{
    ssize_t k = readlink("/proc/self/exe", buf, n - 1);
    if (k <= 0)
        return AL_FAIL_ERRNO(err, errno, "pdf: own program");
    buf[k] = '\0';
    char *slash = strrchr(buf, '/');
    size_t used = slash ? (size_t)(slash - buf) + 1 : 0;
    if (used + sizeof "airlore-pdf" > n)
        return AL_FAIL(err, AL_INVALID_ARGUMENT, "pdf: path too long");
    memcpy(buf + used, "airlore-pdf", sizeof "airlore-pdf");
    return access(buf, X_OK) == 0
               ? AL_OK
               : AL_FAIL(err, AL_NOT_FOUND, "pdf: the reader '%s' is not there", buf);
}

static enum al_code spawn(const char *program, const int in[2], const int out[2], pid_t *ret,
                          struct al_err *err)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    char *envp[] = {(char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
    if (posix_spawn_file_actions_init(&actions) != 0)
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "pdf: out of memory");
    int rc = posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn(ret, program, &actions, NULL, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? AL_OK : AL_FAIL_ERRNO(err, rc, "pdf: '%s'", program);
}

static enum al_code start(const char *program, struct child *ret, struct al_err *err)
{
    int in[2];
    int out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return AL_FAIL_ERRNO(err, errno, "pdf: pipe");
    if (pipe2(out, O_CLOEXEC) != 0) {
        int e = errno;
        close(in[0]);
        close(in[1]);
        return AL_FAIL_ERRNO(err, e, "pdf: pipe");
    }
    pid_t pid = 0;
    enum al_code code = spawn(program, in, out, &pid, err);
    close(in[0]);
    close(out[1]);
    if (code != AL_OK) {
        close(in[1]);
        close(out[0]);
        return code;
    }
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    *ret = (struct child){pid, in[1], out[0]};
    return AL_OK;
}

static void close_in(struct child *c)
{
    if (c->in >= 0)
        close(c->in);
    c->in = -1;
}

/* Some more of the document; a reader that no longer listens is no error: its answer says why. */
static void write_some(struct child *c, struct al_str *bytes)
{
    ssize_t n = bytes->n ? write(c->in, bytes->p, bytes->n) : 0;
    if (n > 0)
        *bytes = al_str_sub(*bytes, (size_t)n, bytes->n);
    if (bytes->n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_in(c);
}

static enum al_code read_some(const struct child *c, struct al_buf *b, bool *end,
                              struct al_err *err)
{
    char part[65536];
    ssize_t n = read(c->out, part, sizeof part);
    if (n < 0 && errno == EINTR)
        return AL_OK;
    if (n <= 0) {
        *end = true;
        return AL_OK;
    }
    if (b->n + (size_t)n > ANSWER_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "pdf: too much text");
    al_buf_add(b, part, (size_t)n);
    return al_buf_status(b, err);
}

/* Both directions at once until it has said all. */
static enum al_code talk(struct child *c, struct al_str bytes, uint32_t timeout_ms,
                         struct al_buf *b, struct al_err *err)
{
    struct al_clock *clock = al_clock_system();
    uint64_t deadline = al_clock_deadline(clock, timeout_ms);
    bool end = false;
    while (!end) {
        struct pollfd fds[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->in, .events = POLLOUT}};
        uint64_t now = al_clock_mono_ns(clock);
        if (now >= deadline)
            return AL_FAIL(err, AL_DEADLINE_EXCEEDED, "pdf: not read within %u ms", timeout_ms);
        int ms = (int)((deadline - now) / 1000000) + 1;
        if (poll(fds, c->in >= 0 ? 2 : 1, ms) < 0 && errno != EINTR)
            return AL_FAIL_ERRNO(err, errno, "pdf: poll");
        if (c->in >= 0 && fds[1].revents)
            write_some(c, &bytes);
        if (fds[0].revents)
            AL_TRY(read_some(c, b, &end, err));
    }
    return AL_OK;
}

/* End the process whatever it does; whether it ended by itself and well. */
static enum al_code reap(struct child *c, enum al_code code, struct al_err *err)
{
    int status = 0;
    close_in(c);
    close(c->out);
    if (code != AL_OK)
        kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (code != AL_OK)
        return code;
    if (WIFSIGNALED(status))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_PDF", "pdf: the reader ended by signal %d",
                         WTERMSIG(status));
    return AL_OK;
}

enum al_code al_pdf_read(struct al_str bytes, const struct al_pdf_options *opt, struct al_arena *a,
                         struct al_pdf *ret, struct al_err *err)
{
    char own[4096];
    const char *program = opt ? opt->program : NULL;
    uint32_t timeout_ms = opt && opt->timeout_ms ? opt->timeout_ms : TIMEOUT_MS_DEFAULT;
    struct child c = {.in = -1, .out = -1};
    if (bytes.n > AL_PDF_BYTES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "TOO_LARGE", "pdf: %zu bytes, at most %zu",
                         bytes.n, AL_PDF_BYTES_MAX);
    if (!program) {
        AL_TRY(find_program(own, sizeof own, err));
        program = own;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    sigaction(SIGPIPE, &ignore, &before); /* a reader that ends before it has read everything */
    struct al_buf b;
    al_buf_init(&b, NULL, ANSWER_BYTES_MAX + 1);
    enum al_code code = start(program, &c, err);
    if (code == AL_OK)
        code = reap(&c, talk(&c, bytes, timeout_ms, &b, err), err);
    sigaction(SIGPIPE, &before, NULL);
    struct al_str kept;
    if (code == AL_OK)
        code = al_arena_str(a, al_buf_view(&b), &kept, err);
    al_buf_fini(&b);
    return code == AL_OK ? al_pdf_parse(kept, a, ret, err) : code;
}
