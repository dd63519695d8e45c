// What farsockd gives up before it serves anybody: system calls.
// SPDX-License-Identifier: MIT
#include "daemon/sandbox.h"

#include <errno.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    #define SANITIZED 1 // their run times make other calls
#elif defined __has_feature
    #if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
        #define SANITIZED 1
    #endif
#endif

#if defined HAVE_SECCOMP && !defined SANITIZED

    #include <fcntl.h>
    #include <seccomp.h>
    #include <stddef.h>
    #include <sys/socket.h>

// No fork, no exec, no file written. What the C library's resolver needs is
// among them, with its modules.
static const int allowed[] = {
    // Waiting.
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(eventfd2),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),
    SCMP_SYS(futex_time64),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(timerfd_settime64),
    // Descriptors.
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(fcntl64),
    SCMP_SYS(dup),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(stat),
    SCMP_SYS(stat64),
    SCMP_SYS(lstat),
    SCMP_SYS(lstat64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatat64),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(ioctl),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    SCMP_SYS(ftruncate64),
    SCMP_SYS(flock),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    // Sockets; which ones is below.
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmmsg_time64),
    SCMP_SYS(shutdown),
    SCMP_SYS(send),
    SCMP_SYS(recv),
    // Memory.
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(mmap2),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(getrandom),
    SCMP_SYS(membarrier),
    SCMP_SYS(rseq),
    // The process.
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getuid32),
    SCMP_SYS(geteuid32),
    SCMP_SYS(getgid32),
    SCMP_SYS(getegid32),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getattr),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd4),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(tgkill),
    SCMP_SYS(kill),
};

static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};

// Those that this machine does not have are no error.
static int allow_all(scmp_filter_ctx f) {
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        int err = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
        if (err < 0 && err != -EDOM && err != -EFAULT) {
            return err;
        }
    }
    return 0;
}

// Files are read only, and of all threads it changes its own slices only.
static int allow_some(scmp_filter_ctx f) {
    const scmp_datum_t writes = O_ACCMODE | O_CREAT | O_TRUNC;
    int err = 0;
    for (size_t i = 0; i < sizeof families / sizeof families[0] && !err; i++) {
        err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
    }
    if (!err) {
        err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, writes, O_RDONLY));
    }
    if (!err) {
        err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, writes, O_RDONLY));
        err = err == -EDOM || err == -EFAULT ? 0 : err; // not everywhere
    }
    if (!err) {
        err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sched_setattr), 1,
            SCMP_A0(SCMP_CMP_EQ, 0, 0));
    }
    return err;
}

int sandbox_filter(void) {
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (f == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int err = allow_all(f);
    err = err ? err : allow_some(f);
    err = err ? err : seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!err) {
        // A tree, not a list, and no slower processor for it. Older libraries
        // and kernels lack these.
        seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
        err = seccomp_load(f);
    }
    seccomp_release(f);
    errno = -err;
    return err ? -1 : 0;
}

#else

int sandbox_filter(void) {
    return 1;
}

#endif
