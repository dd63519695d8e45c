// stdio on far sockets.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// The C library's streams make their system calls themselves, past our
// wrappers. So a connection that becomes one is carried by farsockd over its
// token from then on, where the kernel's calls find it.
EXPORT FILE *fdopen(int fd, const char *mode) {
    psock_carry(fd);
    return real()->fdopen(fd, mode);
}

// --- dprintf: a stream for one call, for which write() does as well ---

static int write_all(int fd, const char *text, int len) {
    int done = 0;
    while (done < len) {
        ssize_t n = write(fd, text + done, (size_t)(len - done));
        if (n < 0) {
            return -1;
        }
        done += (int)n;
    }
    return done;
}

EXPORT int vdprintf(int fd, const char *restrict format, va_list args) {
    char *text;
    int len = vasprintf(&text, format, args);
    if (len >= 0) {
        len = write_all(fd, text, len);
        free(text);
    }
    return len;
}

EXPORT int dprintf(int fd, const char *restrict format, ...) {
    va_list args;
    va_start(args, format);
    int len = vdprintf(fd, format, args);
    va_end(args);
    return len;
}

// The fortify forms.

EXPORT int __vdprintf_chk(int fd, int flag, const char *restrict format,
    va_list args);
EXPORT int __dprintf_chk(int fd, int flag, const char *restrict format, ...);

EXPORT int __vdprintf_chk(int fd, int flag, const char *restrict format,
    va_list args) {
    (void)flag;
    return vdprintf(fd, format, args);
}

EXPORT int __dprintf_chk(int fd, int flag, const char *restrict format, ...) {
    (void)flag;
    va_list args;
    va_start(args, format);
    int len = vdprintf(fd, format, args);
    va_end(args);
    return len;
}
