// The kernel's socket calls, past what takes the C library's place: so peers of
// a preloaded program stay the kernel's.
// SPDX-License-Identifier: MIT
#include <time.h>

#include <sys/syscall.h>

// Before the macros: they must not rename what the headers declare.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef long syscall_function(long number, ...);

// The C library's own: what is preloaded carries syscall() as well.
static syscall_function *kernel(void) {
    static syscall_function *call;
    void *libc = call ? NULL : dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *p = libc ? dlsym(libc, "syscall") : NULL;
    if (!call && !p) {
        abort();
    }
    if (p) {
        memcpy(&call, &p, sizeof call);
    }
    return call;
}

static long kernel_poll(const struct pollfd *p, size_t count, int ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    return kernel()(SYS_ppoll, p, count, ms < 0 ? NULL : &t, NULL, 0);
}

// What follows arg is the macro's, when there is one.
static int kernel_fcntl(int fd, int cmd, long arg, ...) {
    return (int)kernel()(SYS_fcntl, fd, cmd, arg);
}

#define socket(...)      kernel()(SYS_socket, __VA_ARGS__)
#define close(...)       kernel()(SYS_close, __VA_ARGS__)
#define bind(...)        kernel()(SYS_bind, __VA_ARGS__)
#define listen(...)      kernel()(SYS_listen, __VA_ARGS__)
#define connect(...)     kernel()(SYS_connect, __VA_ARGS__)
#define accept(...)      kernel()(SYS_accept, __VA_ARGS__)
#define sendto(...)      kernel()(SYS_sendto, __VA_ARGS__)
#define recvfrom(...)    kernel()(SYS_recvfrom, __VA_ARGS__)
#define sendmsg(...)     kernel()(SYS_sendmsg, __VA_ARGS__)
#define recvmsg(...)     kernel()(SYS_recvmsg, __VA_ARGS__)
#define shutdown(...)    kernel()(SYS_shutdown, __VA_ARGS__)
#define getsockname(...) kernel()(SYS_getsockname, __VA_ARGS__)
#define getpeername(...) kernel()(SYS_getpeername, __VA_ARGS__)
#define setsockopt(...)  kernel()(SYS_setsockopt, __VA_ARGS__)
#define getsockopt(...)  kernel()(SYS_getsockopt, __VA_ARGS__)
#define ioctl(...)       kernel()(SYS_ioctl, __VA_ARGS__)
#define fcntl(fd, ...)   kernel_fcntl(fd, __VA_ARGS__, 0L)
#define poll(...)        kernel_poll(__VA_ARGS__)

#include "system/net_native.h"

extern const struct net *const net_kernel;
const struct net *const net_kernel = &net_native;
