// farsock show, farsock dump: asks farsockd for its state and prints it.
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "farsock/posix.h"
#include "tools/tool.h"

#define PATHS_MAX 8
#define PACKET    65536 // bytes, the largest that farsockd sends
#define SILENCE_S 10    // then farsockd hangs

// A descriptor, or -1 with errno. EPROTOTYPE: no farsockd's socket.
static int connect_to(const char *path) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(sun.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    struct timeval limit = {.tv_sec = SILENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

// The first path that answers, or the failures of all in one line.
static int open_any(const char *const *paths, int count, const char **used) {
    char tried[400] = "";
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        int fd = connect_to(paths[i]);
        if (fd >= 0) {
            *used = paths[i];
            return fd;
        }
        if (n < sizeof(tried)) {
            n += (size_t)snprintf(tried + n, sizeof(tried) - n, "%s%.120s: %s",
                i > 0 ? "; " : "", paths[i], strerror(errno));
        }
    }
    tool_fail(TOOL_FAILED, "no farsockd: %s", tried);
    return -1;
}

static int open_link(const struct tool_options *o, const char **used) {
    const char *paths[PATHS_MAX] = {o->link};
    int count = o->link != NULL ? 1 : far_posix_paths(paths, PATHS_MAX);
    return open_any(paths, count, used);
}

static int no_answer(const char *path, ssize_t n) {
    const char *why = n == 0            ? "it hung up"
                      : n > 0           ? "it speaks another protocol"
                      : errno == EAGAIN ? "it says nothing"
                                        : strerror(errno);
    return tool_fail(TOOL_FAILED, "no answer from farsockd at %s: %s", path,
        why);
}

static int say_hello(int fd, const char *path, uint16_t kind) {
    struct far_hello hello = {
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .kind = kind,
        .name = "farsock",
    };
    struct far_welcome w;
    // Even where sending fails an answer may wait: farsockd may have refused
    // us before it read anything.
    send(fd, &hello, sizeof(hello), MSG_NOSIGNAL);
    ssize_t n = recv(fd, &w, sizeof(w), 0);
    if (n != sizeof(w) || w.magic != FAR_HELLO_MAGIC) {
        return no_answer(path, n);
    }
    if (w.status != FAR_OK) {
        w.text[sizeof(w.text) - 1] = '\0';
        return tool_fail(TOOL_FAILED, "refused at %s: %s", path,
            w.text[0] != '\0' ? w.text : far_strerror(w.status));
    }
    return TOOL_OK;
}

static int copy_text(int fd, const char *path) {
    static char packet[PACKET];
    for (;;) {
        ssize_t n = recv(fd, packet, sizeof(packet), 0);
        if (n == 0) {
            return TOOL_OK;
        }
        if (n < 0) {
            return no_answer(path, n);
        }
        if (fwrite(packet, 1, (size_t)n, stdout) != (size_t)n) {
            return TOOL_FAILED; // main() says it
        }
    }
}

static int print_state(const struct tool_options *o, uint16_t kind) {
    const char *path = NULL;
    int fd = open_link(o, &path);
    if (fd < 0) {
        return TOOL_FAILED;
    }
    int status = say_hello(fd, path, kind);
    if (status == TOOL_OK) {
        status = copy_text(fd, path);
    }
    close(fd);
    return status;
}

int tool_show(const struct tool_options *o, int argc, char **argv) {
    int status = tool_no_arguments(argc, argv);
    return status == TOOL_OK ? print_state(o, FAR_HELLO_SHOW) : status;
}

int tool_dump(const struct tool_options *o, int argc, char **argv) {
    int status = tool_no_arguments(argc, argv);
    return status == TOOL_OK ? print_state(o, FAR_HELLO_DUMP) : status;
}
