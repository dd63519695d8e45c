// Signals under their plain names: those by which a bad pointer shows have a
// handler of ours before the program's.
// SPDX-License-Identifier: MIT
#define FARSOCK_BSD_NO_NAMES
#include "farsock/bsd.h"
#include "ports/posix/bsd.h"
#include "ports/posix/guard.h"

#include <pthread.h>

static struct sigaction actions[NSIG]; // as the program gave them
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool guarded; // under the lock

static bool is_handler(const struct sigaction *a) {
    return (a->sa_flags & SA_SIGINFO) ||
           (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    if (far_guard_fault(info, context)) {
        return;
    }
    struct sigaction a = actions[sig];
    if (!is_handler(&a)) {
        far_guard_default(sig, &a, info, sigaction);
        return;
    }
    if (a.sa_flags & (int)SA_RESETHAND) {
        actions[sig] = (struct sigaction){.sa_handler = SIG_DFL};
    }
    struct far_guard *g = far_guard_suspend();
    if (a.sa_flags & SA_SIGINFO) {
        a.sa_sigaction(sig, info, context);
    } else {
        a.sa_handler(sig);
    }
    far_guard_resume(g);
}

// Under the lock: as the program wants it, with our handler before its own.
static int set_fault(int sig, const struct sigaction *act) {
    struct sigaction ours = *act;
    if (!is_handler(act)) {
        ours.sa_flags = SA_ONSTACK;
    }
    ours.sa_sigaction = on_fault;
    ours.sa_flags |= SA_SIGINFO;
    ours.sa_flags &= (int)~SA_RESETHAND;
    return sigaction(sig, &ours, NULL);
}

void bsd_guard_memory(void) {
    static const int faults[] = {SIGSEGV, SIGBUS};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < 2; i++) {
        sigaction(faults[i], NULL, &actions[faults[i]]);
        set_fault(faults[i], &actions[faults[i]]);
    }
    guarded = true;
    pthread_mutex_unlock(&lock);
}

static int change(int sig, const struct sigaction *act, struct sigaction *old) {
    struct sigaction was = actions[sig];
    int rc = act ? set_fault(sig, act) : 0;
    if (act && rc == 0) {
        actions[sig] = *act;
        actions[sig].sa_flags |= FAR_GUARD_RESTORER;
    }
    if (old && rc == 0) {
        *old = was;
    }
    return rc;
}

int far_bsd_sigaction(int sig, const struct sigaction *act,
    struct sigaction *old) {
    sigset_t all;
    sigset_t before;
    // A handler may call us.
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&lock);
    bool ours = guarded && (sig == SIGSEGV || sig == SIGBUS);
    int rc = ours ? change(sig, act, old) : sigaction(sig, act, old);
    pthread_mutex_unlock(&lock);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return rc;
}

sighandler_t far_bsd_signal(int sig, sighandler_t handler) {
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct sigaction old;
    if (sig != SIGSEGV && sig != SIGBUS) {
        return signal(sig, handler);
    }
    sigemptyset(&a.sa_mask);
    sigaddset(&a.sa_mask, sig);
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    return far_bsd_sigaction(sig, &a, &old) == 0 ? old.sa_handler : SIG_ERR;
}
