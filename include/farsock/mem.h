// Shared memory primitives: barriers, cache maintenance, single loads.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_MEM_H
#define FARSOCK_MEM_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

// A port for memory that is not coherent defines FAR_PORT_MEM_H to a header of
// its own with the same macros. Here: memory is coherent and a doorbell is a
// system call, so C11 fences are enough.
//
// clang-format off
//   FAR_CLEAN(at, p, n)  write back the lines of [p, p + n)
//   FAR_INV(at, p, n)    drop them: the next load sees the peer's stores
//   FAR_SYNC(at)         full barrier: earlier stores and CLEANs are visible to
//                        the peer before later loads
//   FAR_SYNC_ANEW(at)    the same just behind an exchange of this core's own
//                        memory: nothing where that is a full barrier already
//   FAR_WMB(at)          earlier stores and CLEANs before later stores
//   FAR_RMB(at)          earlier loads before later loads, INVs and stores
// clang-format on
//
// at is the place's line in sites.def, so that a test can leave it out; a port
// has no use for it.
//
// It may also define FAR_COHERENT to 1, if it is: a line's next writer fetches
// it from the cache that has it, and near sends fetch lines ahead. And it may
// define how the peer's memory is read: FAR_LOAD(p) for far_load(), and
// FAR_COPY_IN(to, from, n) in place of memcpy(). Nothing else reads it.
enum far_at {
#define X(name, primitive, whose, place, shown, text) FAR_AT_##name,
#include "farsock/sites.def"
#undef X
    FAR_AT_COUNT
};

#ifdef FAR_PORT_MEM_H
    #include FAR_PORT_MEM_H
    #ifndef FAR_COHERENT
        #define FAR_COHERENT 0
    #endif
#else
    #define FAR_COHERENT        1
    #define FAR_CLEAN(at, p, n) ((void)(at), (void)(p), (void)(n))
    #define FAR_INV(at, p, n)   ((void)(at), (void)(p), (void)(n))
    #define FAR_SYNC(at)        atomic_thread_fence(memory_order_seq_cst)
    #define FAR_WMB(at)         atomic_thread_fence(memory_order_release)
    #define FAR_RMB(at)         atomic_thread_fence(memory_order_acquire)
    #if defined(__x86_64__) || defined(__i386__)
        // An exchange is locked: only the compiler is still to be told.
        #define FAR_SYNC_ANEW(at) atomic_signal_fence(memory_order_seq_cst)
    #endif
#endif
#ifndef FAR_SYNC_ANEW
    #define FAR_SYNC_ANEW(at) FAR_SYNC(at)
#endif

// A test build counts every store to shared memory, and can end at any of them
// or in the middle of a copy; see ports/faulty.
#ifndef FAR_STEP
    #define FAR_STEP()                  ((void)0)
    #define FAR_STORE_BYTES(to, src, n) memcpy(to, src, n)
#endif

// ThreadSanitizer does not follow fences, so under it the loads and stores of
// shared words carry the order themselves; the fences stay, for the processor.
#if defined(__SANITIZE_THREAD__)
    #define FAR_TSAN 1
#elif defined(__has_feature)
    #if __has_feature(thread_sanitizer)
        #define FAR_TSAN 1
    #endif
#endif
#ifdef FAR_TSAN
    #define FAR_LOAD_ORDER  memory_order_acquire
    #define FAR_STORE_ORDER memory_order_release
    #if defined(__GNUC__) && !defined(__clang__)
        #pragma GCC diagnostic ignored "-Wtsan"
    #endif
#else
    #define FAR_LOAD_ORDER  memory_order_relaxed
    #define FAR_STORE_ORDER memory_order_relaxed
#endif

// One load or store of a word that the peer writes or reads at the same time:
// never torn, never repeated by the compiler. No order: pair with a barrier.
#ifdef FAR_LOAD
    #define far_load(p) FAR_LOAD(p)
#else
// Less than a call, also where code shall be small.
static inline __attribute__((always_inline)) uint32_t
far_load(const uint32_t *p) {
    return atomic_load_explicit((const _Atomic uint32_t *)(const void *)p,
        FAR_LOAD_ORDER);
}
#endif
#ifndef FAR_COPY_IN
    #define FAR_COPY_IN(to, from, n) memcpy(to, from, n)
#endif
// The store itself. For RISC-V gcc before 14 makes an exchange of it, an AMO,
// which memory between cores need not know of; a volatile one is a plain store.
#if defined(__riscv) && !defined(__clang__) && __GNUC__ < 14
    #define FAR_STORE_WORD(p, v, order) (*(volatile uint32_t *)(p) = (v))
#else
    #define FAR_STORE_WORD(p, v, order)                                        \
        atomic_store_explicit((_Atomic uint32_t *)(void *)(p), v, order)
#endif
static inline void far_store(uint32_t *p, uint32_t v) {
    FAR_STEP();
    FAR_STORE_WORD(p, v, FAR_STORE_ORDER);
}

#endif
