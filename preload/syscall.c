// syscall(2): programs that make system calls by number (libuv).
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <stdarg.h>
#include <sys/syscall.h>

#define ARGS 6

// An argument as what the call takes.
#define FD(i)      ((int)a[i])
#define INT(i)     ((int)a[i])
#define SIZE(i)    ((size_t)a[i])
#define PTR(i)     ((void *)(uintptr_t)a[i])
#define NAME(i)    ((struct sockaddr *)(uintptr_t)a[i])
#define NAMELEN(i) ((socklen_t)a[i])

// What names a call (number, and what our wrapper makes of its arguments).
// clang-format off
#define SYSTEM_CALLS(X)                                                        \
    X(execve, execve(PTR(0), PTR(1), PTR(2)))                                  \
    X(socket, socket(INT(0), INT(1), INT(2)))                                  \
    X(bind, bind(FD(0), NAME(1), NAMELEN(2)))                                  \
    X(connect, connect(FD(0), NAME(1), NAMELEN(2)))                            \
    X(listen, listen(FD(0), INT(1)))                                           \
    X(accept, accept(FD(0), NAME(1), PTR(2)))                                  \
    X(accept4, accept4(FD(0), NAME(1), PTR(2), INT(3)))                        \
    X(shutdown, shutdown(FD(0), INT(1)))                                       \
    X(getsockname, getsockname(FD(0), NAME(1), PTR(2)))                        \
    X(getpeername, getpeername(FD(0), NAME(1), PTR(2)))                        \
    X(getsockopt, getsockopt(FD(0), INT(1), INT(2), PTR(3), PTR(4)))           \
    X(setsockopt, setsockopt(FD(0), INT(1), INT(2), PTR(3), NAMELEN(4)))       \
    X(sendto, sendto(FD(0), PTR(1), SIZE(2), INT(3), NAME(4), NAMELEN(5)))     \
    X(recvfrom, recvfrom(FD(0), PTR(1), SIZE(2), INT(3), NAME(4), PTR(5)))     \
    X(sendmsg, sendmsg(FD(0), PTR(1), INT(2)))                                 \
    X(recvmsg, recvmsg(FD(0), PTR(1), INT(2)))                                 \
    X(sendmmsg, sendmmsg(FD(0), PTR(1), (unsigned)a[2], INT(3)))               \
    X(recvmmsg, recvmmsg(FD(0), PTR(1), (unsigned)a[2], INT(3), PTR(4)))       \
    X(read, read(FD(0), PTR(1), SIZE(2)))                                      \
    X(write, write(FD(0), PTR(1), SIZE(2)))                                    \
    X(readv, readv(FD(0), PTR(1), INT(2)))                                     \
    X(writev, writev(FD(0), PTR(1), INT(2)))                                   \
    X(sendfile, sendfile(FD(0), FD(1), PTR(2), SIZE(3)))                       \
    X(splice, splice(FD(0), PTR(1), FD(2), PTR(3), SIZE(4), (unsigned)a[5]))   \
    X(close, close(FD(0)))                                                     \
    X(close_range, close_range((unsigned)a[0], (unsigned)a[1], INT(2)))        \
    X(dup, dup(FD(0)))                                                         \
    X(dup3, dup3(FD(0), FD(1), INT(2)))                                        \
    X(fcntl, fcntl(FD(0), INT(1), PTR(2)))                                     \
    X(ioctl, ioctl(FD(0), (unsigned long)a[1], PTR(2)))                        \
    X(ppoll, ppoll(PTR(0), (nfds_t)a[1], PTR(2), PTR(3)))                      \
    X(epoll_ctl, epoll_ctl(FD(0), INT(1), FD(2), PTR(3)))                      \
    X(epoll_pwait, epoll_pwait(FD(0), PTR(1), INT(2), INT(3), PTR(4)))
// Those that only older architectures have.
#define OLD_CALLS(X)                                                           \
    X(dup2, dup2(FD(0), FD(1)))                                                \
    X(poll, poll(PTR(0), (nfds_t)a[1], INT(2)))                                \
    X(select, select(INT(0), PTR(1), PTR(2), PTR(3), PTR(4)))                  \
    X(epoll_wait, epoll_wait(FD(0), PTR(1), INT(2), INT(3)))
// clang-format on

EXPORT long syscall(long number, ...) {
    long a[ARGS];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < ARGS; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    switch (number) {
#define X(name, call)                                                          \
    case SYS_##name:                                                           \
        return call;
        SYSTEM_CALLS(X)
#ifdef SYS_poll
        OLD_CALLS(X)
#endif
#undef X
        default:
            return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}
