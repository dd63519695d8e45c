// connect() that waits: its result is that of the moment the connection stands.
// SPDX-License-Identifier: MIT
#include <sys/syscall.h>

#include "daemon/rig_test.h"

static struct rig rig;
static uint16_t port;
static bool keeps_connections; // as a security module may

int connect_or_not(int fd, const struct sockaddr *sa,
    socklen_t len) __asm__("connect"); // in place of the C library's
int connect_or_not(int fd, const struct sockaddr *sa, socklen_t len) {
    if (keeps_connections && sa->sa_family == AF_UNSPEC) {
        errno = EACCES;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, sa, len);
}

// A listener that takes no further connection now: its queue is full, and the
// kernel drops what comes.
static int full_listener(int *queued) {
    int listener = peer_open(SOCK_STREAM, &port);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    listen(listener, 0);
    *queued = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = connect(*queued, (struct sockaddr *)&to, sizeof to);
    return err == 0 ? listener : -1;
}

// Slot 0 is connecting, is connected, and then reset. What its second CONNECT
// gives.
static int32_t connect_and_reset(uint32_t flags) {
    int queued;
    int listener = full_listener(&queued);
    struct far_req_addr to = rig_addr(port);
    to.flags = flags;
    int32_t r = NO_REPLY;
    if (rig_socket(&rig, 0, FAR_SOCK_STREAM) == FAR_OK &&
        rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to) == FAR_EINPROGRESS) {
        close(accept(listener, NULL, NULL)); // room for the next try
        int fd = accept(listener, NULL, NULL);
        bool stands = rig_state(&rig, 0, FAR_ST_CONNECTED, FAR_ST_CONNECTED);
        struct linger rst = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
        close(fd);
        if (stands && rig_state(&rig, 0, FAR_ST_HUP, FAR_ST_HUP)) {
            r = rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to);
        }
    }
    close(queued);
    close(listener);
    return r;
}

TEST(a_reset_after_the_connection_stood_is_the_next_calls) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(connect_and_reset(FAR_CONNECT_WAITS), FAR_OK);
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_ECONNRESET);
    // The state says which error it speaks of.
    CHECK_EQ(far_load(&rig.socks[0].far->state) >> FAR_ST_ERR_SHIFT,
        far_load(&rig.socks[0].far->err) >> 16);
    rig_down(&rig);
}

// Natively, too: the kernel tells of it whom it has not told of the connection.
TEST(one_that_does_not_wait_hears_of_it) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(connect_and_reset(0), FAR_ECONNABORTED);
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_ECONNRESET);
    rig_down(&rig);
}

TEST(the_result_is_given_once) {
    int queued;
    rig_up(&rig, (struct rig_options){0});
    int listener = full_listener(&queued);
    struct far_req_addr to = rig_addr(port);
    to.flags = FAR_CONNECT_WAITS;
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_STREAM), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_EINPROGRESS);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_EALREADY);
    close(accept(listener, NULL, NULL));
    int fd = accept(listener, NULL, NULL);
    CHECK(rig_state(&rig, 0, FAR_ST_CONNECTED, FAR_ST_CONNECTED));
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_EISCONN);
    close(fd);
    close(queued);
    close(listener);
    rig_down(&rig);
}

TEST(a_connection_that_is_not_dissolved_stands) {
    int queued;
    rig_up(&rig, (struct rig_options){0});
    int listener = full_listener(&queued);
    struct far_req_addr to = rig_addr(port);
    struct far_req_addr none = {.addr = {.family = FAR_AF_UNSPEC}};
    to.flags = FAR_CONNECT_WAITS;
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_STREAM), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_EINPROGRESS);
    close(accept(listener, NULL, NULL));
    int fd = accept(listener, NULL, NULL);
    CHECK(rig_state(&rig, 0, FAR_ST_CONNECTED, FAR_ST_CONNECTED));
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_OK);
    keeps_connections = true;
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &none, sizeof none), FAR_EACCES);
    keeps_connections = false;
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_EISCONN);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &none, sizeof none), FAR_OK);
    CHECK_EQ(rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to), FAR_OK);
    close(fd);
    close(queued);
    close(listener);
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_reset_after_the_connection_stood_is_the_next_calls),
        CASE(one_that_does_not_wait_hears_of_it),
        CASE(the_result_is_given_once),
        CASE(a_connection_that_is_not_dissolved_stands),
    };
    return RUN_TESTS(cases);
}
