#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "airlore/pool.h"

static sigset_t taken;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int first; /* guarded by mu */

static void take_unless_ignored(int sig)
{
    struct sigaction now;
    if (sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
        return;
    sigaddset(&taken, sig);
}

void al_signals_init(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    take_unless_ignored(SIGINT); /* as of a job in the background of a shell */
    take_unless_ignored(SIGHUP); /* nohup */
    pthread_sigmask(SIG_BLOCK, &taken, NULL);
}

static void *take(void *u)
{
    (void)u;
    for (;;) {
        int sig = 0;
        if (sigwait(&taken, &sig) != 0)
            continue;
        pthread_mutex_lock(&mu);
        bool again = first != 0;
        first = again ? first : sig;
        pthread_cond_broadcast(&came);
        pthread_mutex_unlock(&mu);
        if (again) {
            static const char text[] = "airlored: second signal, ending at once\n";
            ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
            (void)n;
            _exit(1);
        }
    }
    return NULL;
}

enum al_code al_signals_start(struct al_err *err)
{
    unsigned long thread;
    AL_TRY(al_thread_start("al-signal", take, NULL, &thread, err));
    pthread_detach(thread);
    return AL_OK;
}

int al_signals_wait(void)
{
    pthread_mutex_lock(&mu);
    while (first == 0)
        pthread_cond_wait(&came, &mu);
    int sig = first;
    pthread_mutex_unlock(&mu);
    return sig;
}
