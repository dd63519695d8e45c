// The caller's memory, which may not be there.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_GUARD_H
#define FAR_POSIX_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Natively a bad pointer is EFAULT, because the kernel makes the copy. Here the
// program makes it, and the fault becomes SIGSEGV or SIGBUS: whoever handles
// those for the process calls far_guard_fault(). No system call is made unless
// there is a fault.

// memcpy(); false if part of either is not there. What was copied before that
// stays.
bool far_guard_copy(void *to, const void *from, size_t n);

// What of n bytes is there, from the beginning.
size_t far_guard_some(void *to, const void *from, size_t n);

// Calls f(arg), which touches n bytes at `at` and may be left in the middle:
// false if they are not all there.
bool far_guard_call(void (*f)(void *arg), void *arg, const void *at, size_t n);

// far_port.copy
bool far_guard_port_copy(void *ctx, void *to, const void *from, uint32_t n);

// As the kernel's first look at a buffer: no program has memory there.
#ifdef __x86_64__
    #define FAR_GUARD_END ((uintptr_t)0x7ffffffff000)
#else
    #define FAR_GUARD_END ((uintptr_t)INTPTR_MAX)
#endif
static inline bool far_guard_range(const void *at, size_t n) {
    return (uintptr_t)at <= FAR_GUARD_END && n <= FAR_GUARD_END - (uintptr_t)at;
}

// far_posix_ioctl() with an argument that may not be there.
struct far_link;
int far_posix_ioctl_at(struct far_link *l, int sock, unsigned long request,
    void *arg);

// [handler of SIGSEGV, SIGBUS] True if the fault is a guarded copy's of this
// thread, which ends with false once the handler has returned; or it does not
// return, for the same reason.
bool far_guard_fault(const siginfo_t *info, void *context);

// [handler] Does what the signal would have done without a handler: act is what
// the program set, SIG_DFL or SIG_IGN; set is sigaction(2).
typedef int far_guard_set(int sig, const struct sigaction *act,
    struct sigaction *old);
void far_guard_default(int sig, const struct sigaction *act, siginfo_t *info,
    far_guard_set *set);

// A flag that the C library adds and sigaction(2) then shows.
#ifdef __x86_64__
    #define FAR_GUARD_RESTORER 0x04000000
#else
    #define FAR_GUARD_RESTORER 0
#endif

// [handler] A program's handler runs within a copy: a fault of its own is not
// the copy's.
struct far_guard *far_guard_suspend(void);
void far_guard_resume(struct far_guard *g);

#endif
