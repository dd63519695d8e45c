// Steps with pointers to nothing.
// SPDX-License-Identifier: MIT
#ifndef FAULTS_H
#define FAULTS_H

#include "differential/messages.h"

#include <sys/select.h>
#include <sys/sendfile.h>

// Where there is nothing.
static void *bad_pointer(const char *name) {
    static void *hole;
    if (!hole) {
        hole = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (!strcmp(name, "null")) {
        return NULL;
    }
    uintptr_t at = !strcmp(name, "one") ? 1 : (uintptr_t)-4096;
    return !strcmp(name, "hole") ? hole : (void *)at;
}

// Calls with a bad pointer p for n bytes, and all else as it should be.
static long fault_msg(struct sock *k, const char *call, void *p, size_t n) {
    static uint8_t buf[64];
    struct iovec iov = {buf, sizeof buf};
    struct iovec bad = {p, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    const char *part = strchr(call, '.');
    if (!strcmp(part, ".iov")) {
        m.msg_iov = &bad;
    } else if (!strcmp(part, ".name")) {
        m.msg_name = p;
        m.msg_namelen = (socklen_t)n;
    } else if (!strcmp(part, ".ctl")) {
        m.msg_control = p;
        m.msg_controllen = n;
    } else {
        m.msg_iov = p;
    }
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    long r = call[0] == 's' ? sendmsg(k->handle, &m, flags)
                            : recvmsg(k->handle, &m, flags);
    k->sent += call[0] == 's' && r > 0 ? (uint32_t)r : 0;
    return r;
}

static long fault_option(const struct sock *k, const char *call, void *p) {
    int value = 1;
    socklen_t len = sizeof value;
    if (!strcmp(call, "setsockopt")) {
        return setsockopt(k->handle, SOL_SOCKET, SO_KEEPALIVE, p, len);
    }
    if (!strcmp(call, "getsockopt")) {
        return getsockopt(k->handle, SOL_SOCKET, SO_KEEPALIVE, p, &len);
    }
    if (!strcmp(call, "getsockopt.len")) {
        return getsockopt(k->handle, SOL_SOCKET, SO_KEEPALIVE, &value, p);
    }
    return ioctl(k->handle, FIONREAD, p);
}

static long fault_name(const struct sock *k, const char *call, void *p) {
    struct sockaddr_storage ss;
    struct sockaddr *sa = (struct sockaddr *)&ss;
    socklen_t len = sizeof(struct sockaddr_in6);
    bool peer = call[3] == 'p';
    if (!strcmp(call, "bind")) {
        return bind(k->handle, p, len);
    }
    if (!strcmp(call, "connect")) {
        return connect(k->handle, p, len);
    }
    if (strchr(call, '.')) {
        return peer ? getpeername(k->handle, sa, p)
                    : getsockname(k->handle, sa, p);
    }
    return peer ? getpeername(k->handle, p, &len)
                : getsockname(k->handle, p, &len);
}

static long fault_data(const struct sock *k, const char *call, void *p,
    size_t n) {
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    uint8_t buf[64] = {0};
    socklen_t len = sizeof(struct sockaddr_in6);
    if (!strcmp(call, "send")) {
        return send(k->handle, p, n, flags);
    }
    if (!strcmp(call, "recv")) {
        return recv(k->handle, p, n, flags);
    }
    if (!strcmp(call, "sendto")) {
        return sendto(k->handle, buf, sizeof buf, flags, p, len);
    }
    if (!strcmp(call, "recvfrom")) {
        return recvfrom(k->handle, buf, sizeof buf, flags, p, &len);
    }
    if (!strcmp(call, "recvfrom.len")) {
        struct sockaddr_storage ss;
        return recvfrom(k->handle, buf, sizeof buf, flags,
            (struct sockaddr *)&ss, p);
    }
    return call[0] == 'r' ? read(k->handle, p, n) : write(k->handle, p, n);
}

static long fault_header(const struct sock *k, const char *call, void *p) {
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (!strcmp(call, "msghdr.send")) {
        return sendmsg(k->handle, p, flags);
    }
    if (!strcmp(call, "msghdr.recv")) {
        return recvmsg(k->handle, p, flags);
    }
    if (!strcmp(call, "mmsghdr.send")) {
        return sendmmsg(k->handle, p, 2, flags);
    }
    if (!strcmp(call, "mmsghdr.recv")) {
        return recvmmsg(k->handle, p, 2, flags, NULL);
    }
    if (!strcmp(call, "iov.read")) {
        return readv(k->handle, p, 2);
    }
    if (!strcmp(call, "iov.write")) {
        return writev(k->handle, p, 2);
    }
    if (!strcmp(call, "off.sendfile")) {
        return sendfile(k->handle, STDIN_FILENO, p, 0);
    }
    struct timeval none = {0};
    if (!strcmp(call, "poll.fds")) {
        return poll(p, 1, 0);
    }
    return select(k->handle + 1, p, NULL, NULL, &none);
}

// fault CALL NAME POINTER LENGTH
static void step_fault(struct step *s) {
    static const char *const names[] = {"bind", "connect", "getsockname",
        "getpeername", "getsockname.len", "getpeername.len"};
    struct sock *k = find(word(s, 2));
    const char *call = word(s, 1);
    void *p = bad_pointer(word(s, 3));
    size_t n = (size_t)number(s, 4);
    native_block(k->handle, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(call, names[i])) {
            say_result(s, native_result(fault_name(k, call, p)));
            return;
        }
    }
    bool option = strstr(call, "sockopt") || !strcmp(call, "ioctl");
    bool header = strstr(call, "hdr.") || !strncmp(call, "iov.", 4) ||
                  !strncmp(call, "off.", 4) || !strcmp(call, "poll.fds") ||
                  !strcmp(call, "select.set");
    long r = header                 ? fault_header(k, call, p)
             : option               ? fault_option(k, call, p)
             : strstr(call, "msg.") ? fault_msg(k, call, p, n)
                                    : fault_data(k, call, p, n);
    r = native_result(r);
    k->sent += r > 0 && !strcmp(call, "sendto") ? (uint32_t)r : 0;
    say_result(s, (int)r);
}

#endif
