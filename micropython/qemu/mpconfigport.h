// What this MicroPython has.
// SPDX-License-Identifier: MIT
#ifndef FAR_MPCONFIGPORT_H
#define FAR_MPCONFIGPORT_H

#include <alloca.h>
#include <stdint.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#define MICROPY_HW_BOARD_NAME   "QEMU virt with ivshmem"
#define MICROPY_HW_MCU_NAME     "RISC-V"
#define MICROPY_PY_SYS_PLATFORM "farsock-qemu"

#define MICROPY_ENABLE_GC                      (1)
#define MICROPY_ENABLE_FINALISER               (1)
#define MICROPY_ENABLE_SOURCE_LINE             (1)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_ERROR_REPORTING                (MICROPY_ERROR_REPORTING_DETAILED)
#define MICROPY_USE_INTERNAL_ERRNO             (1)
#define MICROPY_LONGINT_IMPL                   (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_STACK_CHECK                    (1)
#define MICROPY_KBD_EXCEPTION                  (1)
#define MICROPY_ENABLE_SCHEDULER               (1)
#define MICROPY_SCHEDULER_DEPTH                (8)
#define MICROPY_REPL_EVENT_DRIVEN              (0)
#define MICROPY_TRACKED_ALLOC                  (1)
#define MICROPY_PERSISTENT_CODE_LOAD           (1)
#define MICROPY_USE_INTERNAL_PRINTF            (0)
#define MICROPY_MEM_STATS                      (0)
#define MICROPY_MALLOC_USES_ALLOCATED_SIZE     (0)
#if __riscv_xlen == 64
    #define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)
#else
    #define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_FLOAT)
#endif

#define MICROPY_READER_VFS          (1)
#define MICROPY_VFS                 (1)
#define MICROPY_FATFS_ENABLE_LFN    (1)
#define MICROPY_FATFS_LFN_CODE_PAGE 437
#define MICROPY_FATFS_RPATH         (2)
#define MICROPY_FATFS_MAX_SS        (512)

#define MICROPY_EPOCH_IS_1970                      (1)
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME    (1)
#define MICROPY_PY_TIME_TIME_TIME_NS               (1)
#define MICROPY_PY_TIME_INCLUDEFILE                "modtime_port.h"
#define MICROPY_PY_OS_INCLUDEFILE                  "modos_port.h"
#define MICROPY_PY_OS_UNAME                        (1)
#define MICROPY_PY_OS_URANDOM                      (1)
#define MICROPY_PY_OS_SYNC                         (0)
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC           (far_mp_seed())
#define MICROPY_PY_SYS_ARGV                        (1)
#define MICROPY_PY_SYS_EXIT                        (1)
#define MICROPY_PY_SYS_STDFILES                    (1)
#define MICROPY_PY_SYS_STDIO_BUFFER                (1)
#define MICROPY_PY_SELECT                          (1)
#define MICROPY_PY_SELECT_SELECT                   (1)
#define MICROPY_PY_ASYNCIO                         (1)
#define MICROPY_PY_WEBSOCKET                       (1)
#define MICROPY_PY_CRYPTOLIB                       (1)
#define MICROPY_PY_HASHLIB_MD5                     (1)
#define MICROPY_PY_HASHLIB_SHA1                    (1)
#define MICROPY_PY_MACHINE                         (0)
#define MICROPY_PY_IO_BUFFEREDWRITER               (1)
#define MICROPY_PY_SSL_MBEDTLS_NEED_ACTIVE_CONTEXT (1)

typedef intptr_t mp_int_t;
typedef uintptr_t mp_uint_t;
typedef long mp_off_t;
#define MP_SSIZE_MAX INTPTR_MAX

#if __riscv_xlen == 64
    #define UINT_FMT "%lu"
    #define INT_FMT  "%ld"
#else
    #define UINT_FMT "%u"
    #define INT_FMT  "%d"
#endif

#define MP_STATE_PORT MP_STATE_VM

// Ctrl-C is looked for now and then while Python runs, and at every wait.
#define MICROPY_VM_HOOK_COUNT (64)
#define MICROPY_VM_HOOK_INIT                                                   \
    static unsigned vm_hook_left = MICROPY_VM_HOOK_COUNT;
#define MICROPY_VM_HOOK_POLL                                                   \
    if (--vm_hook_left == 0) {                                                 \
        vm_hook_left = MICROPY_VM_HOOK_COUNT;                                  \
        far_mp_look();                                                         \
    }
#define MICROPY_VM_HOOK_LOOP   MICROPY_VM_HOOK_POLL
#define MICROPY_VM_HOOK_RETURN MICROPY_VM_HOOK_POLL
void far_mp_look(void);
unsigned long far_mp_seed(void);

#endif
