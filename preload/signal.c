// Signals: which handlers ran, so that a sleeping call ends as natively.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <ucontext.h>
#include <string.h>

#include "ports/posix/guard.h"

// A call of ours consists of several system calls, so the kernel cannot restart
// it, nor does it tell whether it would have. Every handler of the program runs
// inside of one of ours, which counts it for the thread.

_Thread_local struct signals_run fari_signals
    __attribute__((tls_model("initial-exec")));

static struct sigaction actions[NSIG]; // as the program gave them
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// SIG_DFL and SIG_IGN are none with SA_SIGINFO either.
static bool is_handler(const struct sigaction *a) {
    return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

// Those by which we learn that the program's memory is not there.
static bool is_fault(int sig) {
    return sig == SIGSEGV || sig == SIGBUS;
}

static int set_action(int sig, const struct sigaction *act,
    struct sigaction *old) {
    return real()->sigaction(sig, act, old);
}

static void run_handler(const struct sigaction *a, int sig, siginfo_t *info,
    void *context) {
    struct far_guard *g = far_guard_suspend();
    struct call_state c = call_suspend();
    if (a->sa_flags & SA_SIGINFO) {
        a->sa_sigaction(sig, info, context);
    } else {
        a->sa_handler(sig);
    }
    call_resume(&c);
    far_guard_resume(g);
}

// --- Handlers that wait until the thread holds nothing ---

#define LATE_MAX 4u  // that come at once, before the first blocks the others
#define PLACES   64u // of all threads

struct late {
    int sig;
    struct sigaction action;
    siginfo_t info;
    ucontext_t context; // with the mask that the program wants
};

// late: how many; a handler of ours may run on top.
_Thread_local struct far_held fari_held
    __attribute__((tls_model("initial-exec")));

// Not in the thread: what is a thread's own comes out of its stack, and that
// may have 16 KiB.
static struct place {
    _Atomic bool used;
    struct late late;
} places[PLACES];

static _Thread_local struct {
    sigset_t mask; // the program's
    struct place *late[LATE_MAX];
} waiting __attribute__((tls_model("initial-exec")));

static struct place *take_place(void) {
    for (size_t i = 0; i < PLACES; i++) {
        if (!atomic_load(&places[i].used) &&
            !atomic_exchange(&places[i].used, true)) {
            return &places[i];
        }
    }
    return NULL;
}

// Those that cannot wait: the instruction that they are about would run again,
// or abort() would not.
static bool is_urgent(int sig, const siginfo_t *info) {
    switch (sig) {
        case SIGABRT:
            return true;
        case SIGFPE:
        case SIGILL:
        case SIGSEGV:
        case SIGBUS:
        case SIGSYS:
        case SIGTRAP:
            return info->si_code > 0; // the kernel's
        default:
            return false;
    }
}

static void all_but_urgent(sigset_t *set) {
    static const int urgent[] = {
        SIGABRT, SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS, SIGTRAP};
    sigfillset(set);
    for (size_t i = 0; i < sizeof urgent / sizeof *urgent; i++) {
        sigdelset(set, urgent[i]);
    }
}

// Puts the handler off, and has all others wait in the kernel meanwhile. False:
// it is to run now.
static bool put_off(const struct sigaction *a, int sig, const siginfo_t *info,
    ucontext_t *context) {
    if (fari_held.depth == 0 || is_urgent(sig, info)) {
        return false;
    }
    struct place *p = take_place();
    uint32_t i = p ? atomic_fetch_add(&fari_held.late, 1u) : LATE_MAX;
    if (i >= LATE_MAX) {
        if (p) {
            atomic_fetch_sub(&fari_held.late, 1u);
            atomic_store(&p->used, false);
        }
        return false;
    }
    p->late.sig = sig;
    p->late.action = *a;
    p->late.info = *info;
    p->late.context = *context;
    waiting.late[i] = p;
    // Of handlers on top of each other the one below comes last, and has the
    // mask of what they interrupted.
    waiting.mask = context->uc_sigmask;
    all_but_urgent(&context->uc_sigmask);
    return true;
}

static void run_late(struct late *l, sigset_t *mask) {
    sigset_t inside;
    sigorset(&inside, mask, &l->action.sa_mask);
    if (!(l->action.sa_flags & (int)SA_NODEFER)) {
        sigaddset(&inside, l->sig);
    }
    l->context.uc_sigmask = *mask;
    pthread_sigmask(SIG_SETMASK, &inside, NULL);
    run_handler(&l->action, l->sig, &l->info, &l->context);
    *mask = l->context.uc_sigmask; // which it may have changed
}

// A copy of each, then all handlers in their order: one that leaves by
// siglongjmp() leaves nothing behind.
struct copy {
    struct late late;
    struct copy *next;
};

// NOLINTNEXTLINE(misc-no-recursion): as deep as LATE_MAX
static void copy_and_run(struct place *const *late, uint32_t n,
    struct copy **first, struct copy **end, sigset_t *mask) {
    if (n > 0) {
        struct copy own = {.late = late[0]->late};
        atomic_store(&late[0]->used, false);
        *end = &own;
        copy_and_run(late + 1, n - 1, first, &own.next, mask);
        *end = NULL;
        return;
    }
    for (struct copy *c = *first; c; c = c->next) {
        run_late(&c->late, mask);
    }
}

void hold_let_go(void) {
    struct place *batch[LATE_MAX];
    struct copy *first = NULL;
    int saved = errno;
    uint32_t n = atomic_load(&fari_held.late);
    sigset_t mask = waiting.mask;
    for (uint32_t i = 0; i < n; i++) {
        batch[i] = waiting.late[i];
    }
    atomic_store(&fari_held.late, 0u);
    copy_and_run(batch, n, &first, &first, &mask);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    errno = saved;
}

void hold_forget(void) {
    if (atomic_exchange(&fari_held.late, 0u) != 0) {
        pthread_sigmask(SIG_SETMASK, &waiting.mask, NULL);
    }
    // Also of threads that the child has not.
    for (size_t i = 0; i < PLACES; i++) {
        atomic_store(&places[i].used, false);
    }
}

// --- Our handler, and the program's ---

static void on_signal(int sig, siginfo_t *info, void *context) {
    if (is_fault(sig) && far_guard_fault(info, context)) {
        return;
    }
    struct sigaction a = actions[sig];
    fari_signals.all++;
    if (!(a.sa_flags & SA_RESTART)) {
        fari_signals.ending++;
    }
    bool late = is_handler(&a) && put_off(&a, sig, info, context);
    // At once, as the kernel does for those whose handler is not ours for good.
    if (is_fault(sig) && (a.sa_flags & (int)SA_RESETHAND)) {
        actions[sig] = (struct sigaction){.sa_handler = SIG_DFL};
    }
    call_wake(late);
    if (late) {
        return;
    }
    if (is_handler(&a)) {
        run_handler(&a, sig, info, context);
    } else if (is_fault(sig)) {
        far_guard_default(sig, &a, info, set_action);
    }
}

static bool is_ours(const struct sigaction *a) {
    return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_signal;
}

// What is really set for what the program wants. Our handler stays for faults,
// whatever that is.
static struct sigaction real_action(int sig, const struct sigaction *act) {
    struct sigaction ours = *act;
    if (is_handler(act)) {
        ours.sa_flags |= SA_SIGINFO;
        ours.sa_sigaction = on_signal;
    } else if (is_fault(sig)) {
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ours.sa_sigaction = on_signal;
    }
    if (is_fault(sig)) {
        ours.sa_flags &= (int)~SA_RESETHAND;
    }
    return ours;
}

// Under the lock. The order matters: our handler may run as soon as it is set.
static int replace(int sig, const struct sigaction *act,
    struct sigaction *old) {
    struct sigaction ours = real_action(sig, act);
    struct sigaction before = actions[sig];
    if (is_ours(&ours)) {
        actions[sig] = *act;
        actions[sig].sa_flags |= FAR_GUARD_RESTORER;
    }
    int rc = real()->sigaction(sig, &ours, old);
    if (rc != 0) {
        actions[sig] = before;
    }
    if (old && is_ours(old)) {
        *old = before;
    }
    return rc;
}

EXPORT int sigaction(int sig, const struct sigaction *act,
    struct sigaction *old) {
    if (sig <= 0 || sig >= NSIG) {
        return real()->sigaction(sig, act, old);
    }
    // No signal may come while we hold the lock: its handler may call us.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&lock);
    struct sigaction was = {0};
    int rc;
    if (act) {
        rc = replace(sig, act, &was);
    } else {
        rc = real()->sigaction(sig, NULL, &was);
        if (rc == 0 && is_ours(&was)) {
            was = actions[sig];
        }
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0 && old) {
        *old = was;
    }
    errno = saved;
    return rc;
}

static void guard_memory(int sig) {
    struct sigaction was;
    real()->sigaction(sig, NULL, &was);
    sigaction(sig, &was, NULL);
    actions[sig] = was;
}

__attribute__((constructor)) static void guard_all(void) {
    guard_memory(SIGSEGV);
    guard_memory(SIGBUS);
}

// What siginterrupt() asked for.
static sigset_t interrupting;

static sighandler_t set_simple(int sig, sighandler_t handler, int flags) {
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    struct sigaction old;
    sigemptyset(&a.sa_mask);
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    return sigaction(sig, &a, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT sighandler_t signal(int sig, sighandler_t handler) {
    bool ends = sigismember(&interrupting, sig) == 1;
    return set_simple(sig, handler, ends ? 0 : SA_RESTART);
}

EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler) {
    return set_simple(sig, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

EXPORT int siginterrupt(int sig, int ends) {
    struct sigaction a;
    if (sigaction(sig, NULL, &a) != 0) {
        return -1;
    }
    if (ends) {
        sigaddset(&interrupting, sig);
        a.sa_flags &= ~SA_RESTART;
    } else {
        sigdelset(&interrupting, sig);
        a.sa_flags |= SA_RESTART;
    }
    return sigaction(sig, &a, NULL);
}
