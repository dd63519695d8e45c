// Link-up with a farsockd that is none, or sends what it should not.
// SPDX-License-Identifier: MIT
#include "ports/posix/hello.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit.h"

static int descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void send_packet(int conn, const void *data, size_t len, const int *fds,
    int count) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(16 * sizeof(int))];
    } ctl = {0};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count) {
        size_t room = (size_t)count * sizeof(int);
        m.msg_control = ctl.buf;
        m.msg_controllen = CMSG_SPACE(room);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(room);
        memcpy(CMSG_DATA(c), fds, room);
    }
    sendmsg(conn, &m, MSG_NOSIGNAL);
}

static struct far_welcome good_welcome(void) {
    return (struct far_welcome){
        .magic = FAR_HELLO_MAGIC,
        .version = FAR_WIRE_VERSION,
    };
}

// What near makes of a first packet of len bytes with count descriptors.
static int meet(const struct far_welcome *w, size_t len, int count, int *fds) {
    int pair[2];
    int any[16];
    struct far_hello hello = {.magic = FAR_HELLO_MAGIC};
    struct far_welcome got;
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    for (int i = 0; i < count; i++) {
        any[i] = STDERR_FILENO;
    }
    send_packet(pair[1], w, len, any, count);
    int err = far_posix_hello(pair[0], &hello, &got, fds, 3);
    close(pair[0]);
    close(pair[1]);
    return err;
}

TEST(a_welcome_with_its_three_descriptors_is_taken) {
    struct far_welcome w = good_welcome();
    int fds[3];
    CHECK_EQ(meet(&w, sizeof w, 3, fds), FAR_OK);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

TEST(what_comes_with_a_bad_packet_is_closed) {
    struct far_welcome w = good_welcome();
    int fds[3];
    int before = descriptors();
    for (int count = 0; count <= 16; count++) {
        for (size_t len = 0; len < sizeof w; len += 16) {
            CHECK_EQ(meet(&w, len, count, fds), FAR_ENETDOWN);
        }
        w.magic = 0;
        CHECK_EQ(meet(&w, sizeof w, count, fds), FAR_ENETDOWN);
        w = good_welcome();
        w.status = FAR_EBUSY;
        CHECK_EQ(meet(&w, sizeof w, count, fds), FAR_EBUSY);
        w.status = 5; // no error that there is
        CHECK_EQ(meet(&w, sizeof w, count, fds), FAR_EBADMSG);
        w = good_welcome();
        if (count < 3) {
            CHECK_EQ(meet(&w, sizeof w, count, fds), FAR_EBADMSG);
        }
        CHECK_EQ(descriptors(), before);
    }
}

// --- A region that is not what the welcome says ---

struct server {
    int listening;
    int memfd;
    struct far_welcome welcome;
};

static void *serve(void *arg) {
    struct server *s = arg;
    struct far_hello hello;
    int conn = accept(s->listening, NULL, NULL);
    ssize_t n = recv(conn, &hello, sizeof hello, 0);
    (void)n;
    int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int fds[] = {s->memfd, bell, bell};
    send_packet(conn, &s->welcome, sizeof s->welcome, fds, 3);
    n = recv(conn, &hello, sizeof hello, 0); // until it hangs up
    (void)n;
    close(bell);
    close(conn);
    return NULL;
}

// A link to a region of real bytes, where the welcome promises promised.
static int open_region(size_t real, size_t promised, int seals) {
    struct far_layout lay;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct server s = {.welcome = good_welcome()};
    pthread_t thread;
    struct far_posix *p = NULL;
    far_layout_make(&lay, 4, 4, 4096, 4096, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "/tmp/farsock-hello-%d",
        (int)getpid());
    struct far_posix_options o = {.path = un.sun_path, .quiet = true};
    s.memfd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct far_far_ctl far = {
        .hdr = {.magic = FAR_WIRE_MAGIC, .version = FAR_WIRE_VERSION},
        .layout = lay,
    };
    bool made = pwrite(s.memfd, &far, sizeof far,
                    (off_t)lay.far_at * FAR_LINE) == sizeof far &&
                ftruncate(s.memfd,
                    (off_t)(real ? real : far_layout_bytes(&lay))) == 0 &&
                fcntl(s.memfd, F_ADD_SEALS, seals) == 0;
    s.welcome.region_bytes = promised ? promised : far_layout_bytes(&lay);
    s.welcome.far_at = lay.far_at;
    s.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(un.sun_path);
    made &= bind(s.listening, (struct sockaddr *)&un, sizeof un) == 0 &&
            listen(s.listening, 1) == 0;
    pthread_create(&thread, NULL, serve, &s);
    int err = far_posix_open(&p, &o);
    if (err == FAR_OK) {
        far_posix_close(p);
    }
    pthread_join(thread, NULL);
    close(s.listening);
    close(s.memfd);
    unlink(un.sun_path);
    return made ? err : FAR_EIO;
}

TEST(a_sealed_region_is_mapped) {
    CHECK_EQ(open_region(0, 0, F_SEAL_SHRINK | F_SEAL_GROW), FAR_OK);
}

// Its pages could go away, and near would die at the next look.
TEST(a_region_that_can_shrink_is_refused) {
    CHECK_EQ(open_region(0, 0, F_SEAL_GROW), FAR_EBADMSG);
}

TEST(a_region_that_is_shorter_than_promised_is_refused) {
    CHECK_EQ(open_region(8192, 0, F_SEAL_SHRINK), FAR_EBADMSG);
    CHECK_EQ(open_region(0, SIZE_MAX / 4u, F_SEAL_SHRINK), FAR_EBADMSG);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_welcome_with_its_three_descriptors_is_taken),
        CASE(what_comes_with_a_bad_packet_is_closed),
        CASE(a_sealed_region_is_mapped),
        CASE(a_region_that_can_shrink_is_refused),
        CASE(a_region_that_is_shorter_than_promised_is_refused),
    };
    return RUN_TESTS(cases);
}
