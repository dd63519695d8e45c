// The server of an ivshmem memory: a process of its own.
// SPDX-License-Identifier: MIT
#include "daemon/ivshmem_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ivshmem_wire.h"
#include "daemon/place.h"
#include "farsock/mem.h"
#include "farsock/wire.h"

struct client {
    int fd; // -1: free
    int bell;
    // Never one that was in use: QEMU 7.2 goes on with freed memory when a peer
    // comes back under its old id.
    int id;
};

struct server {
    struct place place;
    int memfd;
    struct far_part_header *far; // far's half
    struct client clients[IVSHMEM_PEERS];
    int next_id;
    bool served; // somebody was there
};

// --- Clients ---

static void close_client(struct client *c) {
    close(c->fd);
    close(c->bell);
    c->fd = -1;
}

// Far has died: nobody else writes its line now. Near looks at it when rung. It
// runs on the processors that run us: a store and a system call are enough.
static void write_off_far(struct server *s, int id) {
    if (far_load(&s->far->bell) == (uint32_t)id + 1u) {
        far_store(&s->far->ready, 0);
    }
}

static void drop_client(struct server *s, struct client *gone) {
    int id = gone->id;
    close_client(gone);
    write_off_far(s, id);
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        if (s->clients[i].fd >= 0) {
            uint64_t one = 1;
            ivshmem_send(s->clients[i].fd, id, -1);
            ssize_t n = write(s->clients[i].bell, &one, sizeof one);
            (void)n;
        }
    }
}

static bool greet(struct server *s, const struct client *c) {
    bool ok = ivshmem_send(c->fd, IVSHMEM_VERSION, -1) &&
              ivshmem_send(c->fd, c->id, -1) &&
              ivshmem_send(c->fd, IVSHMEM_MEMORY, s->memfd);
    for (int i = 0; ok && i < IVSHMEM_PEERS; i++) {
        const struct client *other = &s->clients[i];
        if (other != c && other->fd >= 0) {
            ok = ivshmem_send(c->fd, other->id, other->bell);
        }
    }
    return ok && ivshmem_send(c->fd, c->id, c->bell);
}

static void introduce(struct server *s, const struct client *c) {
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        if (&s->clients[i] != c && s->clients[i].fd >= 0) {
            ivshmem_send(s->clients[i].fd, c->id, c->bell);
        }
    }
}

static void accept_client(struct server *s) {
    int fd = accept4(s->place.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    int i = 0;
    while (i < IVSHMEM_PEERS && s->clients[i].fd >= 0) {
        i++;
    }
    bool room = i < IVSHMEM_PEERS && s->next_id < IVSHMEM_IDS;
    int bell = room ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (bell < 0) {
        close(fd);
        return;
    }
    struct client *c = &s->clients[i];
    *c = (struct client){fd, bell, s->next_id++};
    s->served = true;
    if (greet(s, c)) {
        introduce(s, c);
    } else {
        close_client(c);
    }
}

// Clients have nothing to say: what they send is thrown away.
static bool is_there(int fd) {
    char buf[256];
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

// --- The process ---

static void serve(struct server *s) {
    struct pollfd fds[IVSHMEM_PEERS + 1];
    for (;;) {
        int clients = 0;
        for (int i = 0; i < IVSHMEM_PEERS; i++) {
            fds[i] = (struct pollfd){s->clients[i].fd, POLLIN, 0};
            clients += s->clients[i].fd >= 0;
        }
        if (s->served && clients == 0) {
            return;
        }
        fds[IVSHMEM_PEERS] = (struct pollfd){s->place.fd, POLLIN, 0};
        // farsockd comes at once; if it died before, nobody ever will.
        int n = poll(fds, IVSHMEM_PEERS + 1, s->served ? -1 : 10000);
        if (n == 0) {
            return;
        }
        for (int i = 0; n > 0 && i < IVSHMEM_PEERS; i++) {
            if (fds[i].revents != 0 && !is_there(fds[i].fd)) {
                drop_client(s, &s->clients[i]);
            }
        }
        if (n > 0 && fds[IVSHMEM_PEERS].revents != 0) {
            accept_client(s);
        }
    }
}

static int make_memory(struct server *s, size_t bytes) {
    s->memfd = memfd_create("farsock-ivshmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->memfd < 0 || ftruncate(s->memfd, (off_t)bytes) < 0 ||
        fcntl(s->memfd, F_ADD_SEALS,
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        return -1;
    }
    s->far = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd,
        (off_t)(bytes / 2));
    return s->far == MAP_FAILED ? -1 : 0;
}

static int prepare(struct server *s, const char *path, uint32_t mode,
    size_t bytes, char *reason, size_t len) {
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        s->clients[i].fd = -1;
    }
    if (make_memory(s, bytes) < 0) {
        snprintf(reason, len, "no memory for %s: %s", path, strerror(errno));
        return -1;
    }
    return place_open(&s->place, path, SOCK_STREAM, mode, reason, len);
}

// Holds on to nothing of farsockd's, so that its end is seen by who waits for
// it, and lives on when its terminal goes.
static void detach(int report) {
    setsid();
    prctl(PR_SET_NAME, "farsock-ivshmem");
    signal(SIGPIPE, SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++) {
        dup2(null, fd);
    }
    if (report > 3) {
        dup3(report, 3, O_CLOEXEC);
    }
    close_range(4, ~0u, 0);
}

static _Noreturn void child(int report, const char *path, uint32_t mode,
    size_t bytes) {
    static struct server s;
    char reason[CONFIG_REASON] = "";
    detach(report);
    int rc = prepare(&s, path, mode, bytes, reason, sizeof reason);
    if (rc < 0) {
        ssize_t n = write(3, reason, strlen(reason));
        (void)n;
        _exit(1);
    }
    close(3); // says that we listen
    serve(&s);
    place_close(&s.place);
    _exit(0);
}

// Twice, so that the server is nobody's child and leaves no zombie.
static void fork_twice(int report, const char *path, uint32_t mode,
    size_t bytes) {
    pid_t pid = fork();
    if (pid == 0) {
        pid_t second = fork();
        if (second == 0) {
            child(report, path, mode, bytes);
        }
        if (second < 0) {
            static const char text[] = "no process for the ivshmem server";
            ssize_t n = write(report, text, sizeof text - 1);
            (void)n;
        }
        _exit(0);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

int ivshmem_server_start(const char *path, uint32_t mode, size_t bytes,
    char *reason, size_t reason_len) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        snprintf(reason, reason_len, "%s: %s", path, strerror(errno));
        return -1;
    }
    fork_twice(report[1], path, mode, bytes);
    close(report[1]);
    ssize_t n = read(report[0], reason, reason_len - 1);
    close(report[0]);
    if (n == 0) {
        return 0;
    }
    reason[n > 0 ? n : 0] = '\0';
    return -1;
}
