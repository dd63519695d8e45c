// Copies that end at memory which is not there, in place of the process.
// SPDX-License-Identifier: MIT
#include "ports/posix/guard.h"
#include "ports/posix/copy.h"

#include <setjmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_MASK_BYTES 8
#define PAGE              4096u // or larger
#define LEAST_DISTANCE    32u   // in a page, of what is moved fast

struct far_guard {
    jmp_buf back;
    struct far_guard *outer;
    struct range {
        uintptr_t at;
        size_t n;
    } to, from;
};

static _Thread_local struct far_guard *volatile current
    __attribute__((tls_model("initial-exec")));

bool far_guard_call(void (*f)(void *arg), void *arg, const void *at, size_t n) {
    struct far_guard g = {
        .outer = current,
        .to = {(uintptr_t)at, n},
    };
    // Not longjmp() over frames of others: only f() lies between.
    if (_setjmp(g.back)) { // NOLINT(cert-err52-cpp)
        return false;
    }
    current = &g;
    f(arg);
    current = g.outer;
    return true;
}

static bool copy_long(void *to, const void *from, size_t n) {
    struct far_guard g; // without zeroes for what setjmp() fills
    g.outer = current;
    g.to = (struct range){(uintptr_t)to, n};
    g.from = (struct range){(uintptr_t)from, n};
    // Not longjmp() over frames of others: only memcpy() lies between.
    if (_setjmp(g.back)) { // NOLINT(cert-err52-cpp)
        return false;
    }
    current = &g;
    memcpy(to, from, n);
    current = g.outer;
    return true;
}

// memcpy() of the C library has the processor move long ones (rep movsb). Some
// (AMD's Zen 3 and 4) go byte by byte, at a twentieth of the speed, if it goes
// to a place in its page that is just behind where it comes from in its. A ring
// begins with a page, and what malloc() takes from the kernel 16 bytes later.
// far_copy_short() and far_copy_wide() have no such places.
static inline bool is_just_behind(const void *to, const void *from) {
    uintptr_t distance = ((uintptr_t)to - (uintptr_t)from) % PAGE;
    return distance - 1u < LEAST_DISTANCE - 1u;
}

static inline bool copy(void *to, const void *from, size_t n) {
    if (n == 0 || !far_guard_range(to, n) || !far_guard_range(from, n)) {
        return n == 0;
    }
    size_t most = far_copy_has_wide() ? FAR_COPY_WIDE : FAR_COPY_MEDIUM;
    if (n > most && !(FAR_COPY_SHORT && is_just_behind(to, from))) {
        return copy_long(to, from, n);
    }
    return n > FAR_COPY_SHORT && far_copy_has_wide()
               ? far_copy_wide(to, from, n)
               : far_copy_short(to, from, n);
}

bool far_guard_copy(void *to, const void *from, size_t n) {
    return copy(to, from, n);
}

size_t far_guard_some(void *to, const void *from, size_t n) {
    size_t done = 0;
    while (done < n) {
        uintptr_t at = (uintptr_t)from + done;
        size_t left = n - done;
        size_t here = PAGE - at % PAGE;
        here = here < left ? here : left;
        if (!far_guard_copy((char *)to + done, (const char *)from + done,
                here)) {
            break;
        }
        done += here;
    }
    return done;
}

bool far_guard_port_copy(void *ctx, void *to, const void *from, uint32_t n) {
    (void)ctx;
    return copy(to, from, n);
}

struct far_guard *far_guard_suspend(void) {
    struct far_guard *g = current;
    current = NULL;
    return g;
}

void far_guard_resume(struct far_guard *g) {
    current = g;
}

static bool is_within(uintptr_t p, const struct range *r) {
    return p - r->at < r->n;
}

// An address that no memory can have is reported as 0 (x86).
static bool is_ours(const struct far_guard *g, const siginfo_t *info) {
    uintptr_t p = (uintptr_t)info->si_addr;
    return info->si_code == SI_KERNEL ||
           (info->si_code > 0 &&
               (is_within(p, &g->to) || is_within(p, &g->from)));
}

bool far_guard_fault(const siginfo_t *info, void *context) {
    const ucontext_t *uc = context;
    struct far_guard *g = current;
    if (info->si_code > 0 && far_copy_fault(context)) {
        return true;
    }
    if (!g || !is_ours(g, info)) {
        return false;
    }
    current = g->outer;
    // As the return from a handler would.
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &uc->uc_sigmask, NULL,
        KERNEL_MASK_BYTES);
    _longjmp(g->back, 1); // NOLINT(cert-err52-cpp)
}

void far_guard_default(int sig, const struct sigaction *act, siginfo_t *info,
    far_guard_set *set) {
    bool sent = info->si_code <= 0;
    if (sent && act->sa_handler == SIG_IGN) {
        return;
    }
    // What faulted does so again, when we have returned, and finds no handler;
    // so does what was sent once more.
    struct sigaction none = {.sa_handler = SIG_DFL};
    set(sig, &none, NULL);
    if (sent) {
        syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig,
            info);
    }
}
