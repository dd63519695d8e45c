// Copies that end at memory which is not there.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_COPY_H
#define FAR_POSIX_COPY_H

#include <stdbool.h>
#include <stddef.h>

// Where it is known which instructions may fault, a fault is told by its
// address, and nothing need be prepared: setjmp() costs more than copying some
// hundred bytes. A sanitizer shall see the accesses.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    #define FAR_COPY_SANITIZED 1
#elif defined(__has_feature)
    #if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
        __has_feature(memory_sanitizer)
        #define FAR_COPY_SANITIZED 1
    #endif
#endif
#if defined(__x86_64__) && defined(__LP64__) && !defined(FAR_COPY_SANITIZED)
    #define FAR_COPY_SHORT  256u
    #define FAR_COPY_MEDIUM 512u
    #define FAR_COPY_WIDE   2048u
#else
    #define FAR_COPY_SHORT  0u
    #define FAR_COPY_MEDIUM 0u
    #define FAR_COPY_WIDE   0u
#endif

// memcpy() of n bytes, at least 1; false if part of either is not there. Beyond
// FAR_COPY_SHORT far_copy_wide() is faster, where it can be called, and beyond
// FAR_COPY_MEDIUM memcpy(), by more than what has to be prepared.
__attribute__((visibility("hidden"))) bool far_copy_short(void *to,
    const void *from, size_t n);

// The same, with 32 bytes at a time, for n > FAR_COPY_SHORT, if
// far_copy_has_wide(). Beyond FAR_COPY_WIDE memcpy() fetches what another
// processor wrote sooner.
__attribute__((visibility("hidden"))) bool far_copy_wide(void *to,
    const void *from, size_t n);

// Cost: a load.
static inline bool far_copy_has_wide(void) {
#if FAR_COPY_SHORT
    return __builtin_cpu_supports("avx") != 0;
#else
    return false;
#endif
}

// [handler of SIGSEGV, SIGBUS] True if the fault was in it: the context is now
// such that it returns false.
bool far_copy_fault(void *context);

#endif
