// A board whose near core has an ivshmem device.
// SPDX-License-Identifier: MIT
#include "port/far.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/ivshmem_server.h"
#include "daemon/ivshmem_wire.h"

#define BYTES (4u << 20)

static bool map(struct far_board *b, int fd) {
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return false;
    }
    b->bytes = (size_t)st.st_size;
    b->mem = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return b->mem != MAP_FAILED;
}

static void take(struct far_board *b, int64_t number, int fd) {
    if (fd < 0) {
        return; // a peer that left
    }
    if (number + 1 == (int64_t)b->bell) {
        b->to_far = fd;
    } else {
        b->to_near = fd;
    }
}

static bool greeted(struct far_board *b) {
    struct pollfd p = {.fd = b->ivshmem, .events = POLLIN};
    bool have_version = false;
    int64_t number;
    int fd;
    while (b->to_far < 0) {
        if (poll(&p, 1, 5000) <= 0) {
            return false;
        }
        int rc = ivshmem_receive(b->ivshmem, &number, &fd);
        if (rc < 0) {
            return false;
        }
        if (rc == 0) {
            continue;
        }
        if (number == IVSHMEM_MEMORY) {
            if (!map(b, fd)) {
                return false;
            }
        } else if (!have_version) {
            have_version = true;
        } else if (b->bell == 0) {
            b->bell = (uint32_t)number + 1u;
        } else {
            take(b, number, fd);
        }
    }
    return b->mem != NULL;
}

bool far_ivshmem_board(struct far_board *b, const char *path) {
    char reason[256] = "no ivshmem server answers there";
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    *b = (struct far_board){.to_far = -1, .to_near = -1};
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    b->ivshmem = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ivshmem_server_start(path, 0600, BYTES, reason, sizeof reason) < 0 ||
        connect(b->ivshmem, (struct sockaddr *)&sun, sizeof sun) < 0 ||
        fcntl(b->ivshmem, F_SETFL, O_NONBLOCK) < 0 || !greeted(b)) {
        fprintf(stderr, "port-far: %s: %s\n", path, reason);
        return false;
    }
    return true;
}

void far_ivshmem_peers(struct far_board *b) {
    int64_t number;
    int fd;
    while (b->ivshmem >= 0 && ivshmem_receive(b->ivshmem, &number, &fd) == 1) {
        take(b, number, fd);
    }
}
