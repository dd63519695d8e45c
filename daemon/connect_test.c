// connect() that waits: its result is that of the moment the connection stands.
// SPDX-License-Identifier: MIT
#include <sys/syscall.h>

#include "daemon/rig_test.h"

static struct rig rig;
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

// What slot 0 connects to: a listener that takes no further connection at
// first, since its queue is full, and the kernel drops what comes.
static int listener, queued, peer;
static struct far_req_addr to;

static bool full_listener(void) {
    uint16_t port;
    listener = peer_open(SOCK_STREAM, &port);
    struct sockaddr_in sin = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    listen(listener, 0);
    queued = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to = rig_addr(port);
    return connect(queued, (struct sockaddr *)&sin, sizeof sin) == 0;
}

static int32_t connects(void) {
    return rig_ask(&rig, FAR_OP_CONNECT, 0, &to, sizeof to);
}

static int32_t dissolves(void) {
    struct far_req_addr none = {.addr = {.family = FAR_AF_UNSPEC}};
    return rig_ask(&rig, FAR_OP_CONNECT, 0, &none, sizeof none);
}

// Slot 0 is connecting, with these flags from then on.
static bool begin(uint32_t flags) {
    rig_up(&rig, (struct rig_options){0});
    bool full = full_listener();
    to.flags = flags;
    return full && rig_socket(&rig, 0, FAR_SOCK_STREAM) == FAR_OK &&
           connects() == FAR_EINPROGRESS;
}

// The queue has room for the next try, which the peer takes.
static bool is_connected(void) {
    close(accept(listener, NULL, NULL));
    peer = accept(listener, NULL, NULL);
    return rig_state(&rig, 0, FAR_ST_CONNECTED, FAR_ST_CONNECTED);
}

static bool is_reset(void) {
    struct linger rst = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    close(peer);
    peer = -1;
    return rig_state(&rig, 0, FAR_ST_HUP, FAR_ST_HUP);
}

static void end(void) {
    close(peer);
    close(queued);
    close(listener);
    rig_down(&rig);
}

TEST(a_reset_after_the_connection_stood_is_the_next_calls) {
    CHECK(begin(FAR_CONNECT_WAITS));
    CHECK(is_connected());
    CHECK(is_reset());
    CHECK_EQ(connects(), FAR_OK);
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_ECONNRESET);
    // The state says which error it speaks of.
    CHECK_EQ(far_load(&rig.socks[0].far->state) >> FAR_ST_ERR_SHIFT,
        far_load(&rig.socks[0].far->err) >> 16);
    end();
}

// Natively, too: the kernel tells of it whom it has not told of the connection.
TEST(one_that_does_not_wait_hears_of_it) {
    CHECK(begin(0));
    CHECK(is_connected());
    CHECK(is_reset());
    CHECK_EQ(connects(), FAR_ECONNABORTED);
    CHECK_EQ(far_load(&rig.socks[0].far->err) & 0xffffu, -FAR_ECONNRESET);
    end();
}

TEST(the_result_is_given_once) {
    CHECK(begin(FAR_CONNECT_WAITS));
    CHECK_EQ(connects(), FAR_EALREADY);
    CHECK(is_connected());
    CHECK_EQ(connects(), FAR_OK);
    CHECK_EQ(connects(), FAR_EISCONN);
    end();
}

TEST(a_connection_that_is_not_dissolved_stands) {
    CHECK(begin(FAR_CONNECT_WAITS));
    CHECK(is_connected());
    CHECK_EQ(connects(), FAR_OK);
    keeps_connections = true;
    CHECK_EQ(dissolves(), FAR_EACCES);
    keeps_connections = false;
    CHECK_EQ(connects(), FAR_EISCONN);
    CHECK_EQ(dissolves(), FAR_OK);
    CHECK_EQ(connects(), FAR_OK);
    end();
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
