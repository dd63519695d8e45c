// Whoever connects to farsockd's socket: packets, descriptors, hang-ups.
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/conn.h"
#include "daemon/hello.h"
#include "fuzz/alone.h"
#include "fuzz/fault.h"
#include "fuzz/input.h"

#define ENDS 4u

static struct config config;
static struct service service;
static int ends[ENDS];
static int usual;

static void say(int fd, struct input *in) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int))];
    } ctl = {0};
    uint8_t packet[160];
    uint8_t how = take8(in);
    struct far_hello hello = {
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
        .kind = how & 3u,
    };
    size_t len = how & 0x80 ? take8(in) % sizeof packet : sizeof hello;
    memcpy(packet, &hello, sizeof hello);
    size_t same = how & 0x40 ? sizeof(uint64_t) : 0; // the beginning is right
    if (len > same) {
        take(in, packet + same, len - same);
    }
    if (how & 0x20) {
        memcpy(packet, &hello, sizeof hello);
    }
    struct iovec iov = {packet, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t fds = how >> 2 & 7u;
    if (fds) {
        m.msg_control = ctl.buf;
        m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memset(CMSG_DATA(c), 0, fds * sizeof(int)); // stdin
    }
    sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Everything that farsockd says, and the descriptors with it.
static void listen_to(int fd) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int))];
    } ctl;
    static char text[65536];
    struct iovec iov = {text, sizeof text};
    ssize_t n;
    do {
        struct msghdr m = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = ctl.buf,
            .msg_controllen = sizeof ctl.buf,
        };
        n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        size_t fds = c ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
        for (size_t i = 0; i < fds; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            close(got);
        }
    } while (n > 0);
}

static void open_end(uint32_t i) {
    int pair[2];
    if (ends[i] >= 0) {
        close(ends[i]);
    }
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    ends[i] = pair[0];
    fault_within(true);
    conn_new(&service, pair[1]);
    fault_within(false);
}

static void end_all(void) {
    for (uint32_t i = 0; i < ENDS; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
        }
        ends[i] = -1;
    }
    for (int i = 0; i < 100 && fuzz_descriptors() > usual; i++) {
        if (i == 50) { // who was told that there is nothing, by a lie
            fault_age();
            service_drop_late(&service);
        }
        engine_turn(service.engine, false);
    }
    if (fuzz_descriptors() > usual || service.links || service.silent ||
        service.readers) {
        fprintf(stderr, "connections are left: %d descriptors, not %d\n",
            fuzz_descriptors(), usual);
        abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    struct engine_config ec = {.resolver_threads = 1};
    (void)argc;
    (void)argv;
    fuzz_alone();
    fault_clock();
    config_init(&config);
    config.sockets = 4;
    config.max_sockets = 8;
    config.tx_ring = config.rx_ring = FAR_RING_MIN;
    config.max_ring = 4096;
    config.max_links = 3;
    config.max_memory = 512; // KiB
    far_log_limit(FAR_LOG_ERROR);
    service.engine = engine_new(&ec);
    service.config = &config;
    service.timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    TAILQ_INIT(&service.conns);
    memset(ends, 0xff, sizeof ends);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    if (usual == 0) {
        usual = fuzz_descriptors();
    }
    while (in.left) {
        uint8_t op = take8(&in);
        uint32_t i = op >> 3 & (ENDS - 1u);
        if (ends[i] < 0 || op % 8u == 0) {
            open_end(i);
        } else if (op % 8u < 4) {
            say(ends[i], &in);
        } else if (op % 8u == 4) {
            listen_to(ends[i]);
        } else if (op % 8u == 5) {
            shutdown(ends[i], op & 0x80 ? SHUT_RD : SHUT_WR);
        } else if ((op & 0x87u) == 0x87u) {
            fault_choose(&in);
        } else if ((op & 0x47u) == 0x47u) {
            fault_time(&in);
        } else {
            engine_turn(service.engine, false);
        }
    }
    fault_none();
    engine_turn(service.engine, false);
    end_all();
    return 0;
}
