// Other programs: in this process, and in new ones that are no fork of it.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <stdarg.h>

// A program finds the tokens of what stays open, and its own library reads on
// them what they are (token.c). So farsockd must know them before.

static bool stays_open(int fd) {
    int flags = real()->fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void before_exec(void) {
    int saved = errno;
    share_some(stays_open);
    errno = saved;
}

// --- exec ---

EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
    // A search for the program shall not change its sockets at each miss.
    if (access(path, X_OK) == 0) {
        before_exec();
    }
    return real()->execve(path, argv, envp);
}

EXPORT int execv(const char *path, char *const argv[]) {
    return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
    before_exec();
    return real()->execvpe(file, argv, envp);
}

EXPORT int execvp(const char *file, char *const argv[]) {
    return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
    before_exec();
    return real()->fexecve(fd, argv, envp);
}

EXPORT int execveat(int dir, const char *path, char *const argv[],
    char *const envp[], int flags) {
    before_exec();
    return real()->execveat(dir, path, argv, envp, flags);
}

// How many arguments there are, with the NULL behind them.
static size_t count_args(va_list args) {
    size_t n = 2;
    while (va_arg(args, char *)) {
        n++;
    }
    return n;
}

// On the stack, as allocating is not for a child that may only exec.
#define TAKE_ARGS(argv, first, args)                                           \
    va_list args;                                                              \
    va_start(args, first);                                                     \
    size_t argv##_count = count_args(args);                                    \
    va_end(args);                                                              \
    char *argv[argv##_count];                                                  \
    va_start(args, first);                                                     \
    argv[0] = (char *)(uintptr_t)first;                                        \
    for (size_t argv##_i = 1; argv##_i < argv##_count; argv##_i++) {           \
        argv[argv##_i] = va_arg(args, char *);                                 \
    }

EXPORT int execl(const char *path, const char *first, ...) {
    TAKE_ARGS(argv, first, args)
    va_end(args);
    return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *first, ...) {
    TAKE_ARGS(argv, first, args)
    va_end(args);
    return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *first, ...) {
    TAKE_ARGS(argv, first, args)
    char *const *envp = va_arg(args, char *const *);
    va_end(args);
    return execve(path, argv, envp);
}

// --- Spawning ---

// Ever named as the source of a duplicate in a new process.
static _Atomic bool named[FD_MAX];

EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions,
    int fd, int copy) {
    if (fd >= 0 && fd < FD_MAX) {
        named[fd] = true;
    }
    return real()->posix_spawn_file_actions_adddup2(actions, fd, copy);
}

static bool may_go(int fd) {
    return named[fd] || stays_open(fd);
}

static void before_spawn(void) {
    int saved = errno;
    share_some(may_go);
    errno = saved;
}

EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
    const posix_spawn_file_actions_t *restrict actions,
    const posix_spawnattr_t *restrict attr, char *const argv[restrict],
    char *const envp[restrict]) {
    before_spawn();
    return real()->posix_spawn(pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *restrict pid, const char *restrict file,
    const posix_spawn_file_actions_t *restrict actions,
    const posix_spawnattr_t *restrict attr, char *const argv[restrict],
    char *const envp[restrict]) {
    before_spawn();
    return real()->posix_spawnp(pid, file, actions, attr, argv, envp);
}

// The C library makes these processes past its own posix_spawn().

EXPORT int system(const char *command) {
    before_exec();
    return real()->system(command);
}

EXPORT FILE *popen(const char *command, const char *mode) {
    before_exec();
    return real()->popen(command, mode);
}
