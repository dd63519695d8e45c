// A network of its own, with loopback only.
// SPDX-License-Identifier: MIT
#include "fuzz/alone.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 256

void fuzz_alone(void) {
    int flags = CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0);
    struct ifreq r = {.ifr_flags = IFF_UP};
    memcpy(r.ifr_name, "lo", 3);
    int fd = unshare(flags) == 0 ? socket(AF_INET, SOCK_DGRAM, 0) : -1;
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0) {
        perror("no network namespace to fuzz in");
        exit(77);
    }
    // More interfaces than one answer has room for.
    for (int i = 1; i < 12; i++) {
        struct sockaddr_in sa = {.sin_family = AF_INET,
            .sin_addr.s_addr = htonl(0x7f000100u + (uint32_t)i)};
        snprintf(r.ifr_name, sizeof r.ifr_name, "lo:%d", i);
        memcpy(&r.ifr_addr, &sa, sizeof sa);
        ioctl(fd, SIOCSIFADDR, &r);
    }
    close(fd);
    signal(SIGPIPE, SIG_IGN);
}

int fuzz_descriptors(void) {
    struct pollfd fds[DESCRIPTORS];
    int n = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        fds[fd] = (struct pollfd){.fd = fd};
    }
    // One system call says which are none.
    if (poll(fds, DESCRIPTORS, 0) < 0) {
        return -1;
    }
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        struct stat st;
        n += !(fds[fd].revents & POLLNVAL) && fstat(fd, &st) == 0 &&
             !S_ISFIFO(st.st_mode);
    }
    return n;
}
