// What near takes for farsockd's welcome.
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/alone.h"
#include "fuzz/fault.h"
#include "fuzz/input.h"
#include "ports/posix/hello.h"

static int usual;

static void send_welcome(int fd, struct input *in) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(16 * sizeof(int))];
    } ctl = {0};
    struct far_welcome w = {
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
    };
    uint8_t packet[sizeof w + 8];
    uint8_t how = take8(in);
    size_t len = how & 0x80 ? take8(in) % sizeof packet : sizeof w;
    memset(packet, 0, sizeof packet);
    memcpy(packet, &w, sizeof w);
    take(in, packet + (how & 0x40 ? 8 : 0), how & 0x20 ? 40 : 0);
    struct iovec iov = {packet, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t fds = how & 15u;
    if (fds) {
        m.msg_control = ctl.buf;
        m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memset(CMSG_DATA(c), 0, fds * sizeof(int));
    }
    sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    int pair[2];
    int fds[3];
    struct far_hello hello = {.magic = FAR_HELLO_MAGIC};
    struct far_welcome w;
    if (usual == 0) {
        usual = fuzz_descriptors();
    }
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    send_welcome(pair[1], &in);
    if (in.left) {
        fault_choose(&in);
    }
    shutdown(pair[1], SHUT_WR);
    fault_within(true);
    int err = far_posix_hello(pair[0], &hello, &w, fds, 3);
    fault_within(false);
    fault_none();
    for (int i = 0; err == FAR_OK && i < 3; i++) {
        close(fds[i]);
    }
    close(pair[0]);
    close(pair[1]);
    if (err > 0 || fuzz_descriptors() != usual) {
        fprintf(stderr, "welcome: result %d, %d descriptors, not %d\n", err,
            fuzz_descriptors(), usual);
        abort();
    }
    return 0;
}
