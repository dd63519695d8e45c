// SHARE and ADOPT, with descriptors that a near core should not send.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#include <fcntl.h>

#include "daemon/policy.h"

static struct rig rig;

static void send_fds(const int *fds, int count, size_t bytes) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(8 * sizeof(int))];
    } ctl = {0};
    char data[1] = {0};
    struct iovec iov = {data, bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count) {
        size_t len = (size_t)count * sizeof(int);
        m.msg_control = ctl.buf;
        m.msg_controllen = CMSG_SPACE(len);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(c), fds, len);
    }
    sendmsg(rig.near_end, &m, MSG_NOSIGNAL);
}

static int descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static int32_t share(uint32_t slot) {
    return rig_ask(&rig, FAR_OP_SHARE, slot, NULL, 0);
}

static int32_t share_pair(uint32_t slot, int *token) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    send_fds(pair, 2, 1);
    close(pair[1]);
    *token = pair[0];
    return share(slot);
}

static int32_t adopt_in(uint32_t slot, int token, uint32_t family,
    uint32_t type) {
    send_fds(&token, 1, 1);
    rig_place(&rig, slot);
    struct far_req_socket req = {
        .rings = rig.socks[slot].rings,
        .family = family,
        .type = type,
    };
    return rig_ask(&rig, FAR_OP_ADOPT, slot, &req, sizeof req);
}

static int32_t adopt_as(uint32_t slot, int token, uint32_t type) {
    return adopt_in(slot, token, FAR_AF_INET, type);
}

static int32_t adopt(uint32_t slot, int token) {
    return adopt_as(slot, token, FAR_SOCK_DGRAM);
}

TEST(a_token_gives_the_socket_to_whoever_shows_it) {
    int token;
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    CHECK_EQ(share_pair(0, &token), FAR_OK);
    CHECK_EQ(adopt(1, token), FAR_OK);
    close(token);
    rig_down(&rig);
}

// A slot beside a stream that is carried answers questions, and takes no byte.
TEST(a_carried_stream_is_asked_beside_its_bytes) {
    int token;
    char got[4] = {0};
    struct far_req_getsockopt ask = {
        .level = FAR_SOL_SOCKET, .opt = FAR_SO_TYPE, .size = 4};
    rig_up(&rig, (struct rig_options){0});
    int peer = rig_connect(&rig, 0);
    CHECK_EQ(share_pair(0, &token), FAR_OK);
    CHECK_EQ(adopt(1, token), FAR_EINVAL); // it would take datagrams out of it
    CHECK_EQ(adopt_as(1, token, FAR_SOCK_STREAM), FAR_OK);
    uint32_t state = far_load(&rig.socks[1].far->state);
    CHECK_EQ(state & (FAR_ST_CONNECTED | FAR_ST_LISTENING), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(send(peer, "abc", 4, 0), 4);
        CHECK_EQ(rig_ask(&rig, FAR_OP_GETSOCKOPT, 1, &ask, sizeof ask), 4);
        CHECK_EQ(rig_ask(&rig, FAR_OP_GETPEERNAME, 1, NULL, 0), FAR_OK);
        CHECK_EQ(recv(token, got, 4, MSG_WAITALL), 4);
        CHECK_EQ(strcmp(got, "abc"), 0);
    }
    CHECK_EQ(far_load(&rig.socks[1].far->rx_head), 0);
    rig_close(&rig, 1, 0);
    CHECK(rig_state(&rig, 1, FAR_ST_CLOSED, FAR_ST_CLOSED));
    CHECK_EQ(send(token, "end", 4, 0), 4);
    CHECK_EQ(recv(peer, got, 4, MSG_WAITALL), 4);
    close(token);
    CHECK_EQ(recv(peer, got, 4, 0), 0);
    close(peer);
    rig_down(&rig);
}

// Each way that leaves farsockd with descriptors of which it knows nothing
// would let one near core use them up.
TEST(a_packet_with_other_descriptors_leaves_none_behind) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = dup(STDERR_FILENO);
    }
    int before = descriptors();
    for (int count = 0; count <= 8; count++) {
        for (size_t bytes = 0; bytes <= 1; bytes++) {
            send_fds(fds, count, bytes);
            CHECK_EQ(share(0), FAR_EINVAL);
            CHECK_EQ(descriptors(), before);
        }
    }
    for (int i = 0; i < 8; i++) {
        close(fds[i]);
    }
    rig_down(&rig);
}

TEST(what_is_no_socket_is_no_token) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int before = descriptors();
    send_fds((int[]){pair[0], file}, 2, 1);
    CHECK_EQ(share(0), FAR_EINVAL);
    send_fds((int[]){file, pair[0]}, 2, 1);
    CHECK_EQ(share(0), FAR_EINVAL);
    int dgram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    send_fds((int[]){pair[0], dgram}, 2, 1);
    CHECK_EQ(share(0), FAR_EINVAL);
    CHECK_EQ(descriptors(), before + 1);
    close(dgram);
    close(file);
    close(pair[0]);
    close(pair[1]);
    rig_down(&rig);
}

// Else a file with the number of somebody's token would do.
TEST(what_is_no_socket_is_not_adopted) {
    rig_up(&rig, (struct rig_options){0});
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(adopt(1, file), FAR_EINVAL);
    close(file);
    rig_down(&rig);
}

// What the kernel takes an address without a family for depends on the socket.
TEST(an_adopted_socket_has_the_family_that_it_has) {
    struct policy_set set = {.first = NULL};
    char why[POLICY_SAY];
    int token;
    rig_prepare(&rig, (struct rig_options){0});
    CHECK_EQ(policy_section(&set, "policy", why, sizeof why), 0);
    CHECK_EQ(policy_set_key(&set, "default", "allow", 1, why, sizeof why), 0);
    CHECK_EQ(policy_set_key(&set, "rule", "deny connect udp 127.0.0.1", 2, why,
                 sizeof why),
        0);
    engine_set_policy(rig.engine, &set);
    rig_start(&rig);
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    CHECK_EQ(share_pair(0, &token), FAR_OK);
    CHECK_EQ(adopt_in(1, token, FAR_AF_INET6, FAR_SOCK_DGRAM), FAR_OK);
    struct {
        struct far_dgram head;
        struct far_addr to;
        uint8_t data[8];
    } record = {
        .head = {.len = 8, .flags = FAR_DGRAM_ADDR | FAR_DGRAM_SYNC},
        .to = rig_addr(5001).addr,
    };
    record.to.family = FAR_AF_UNSPEC;
    CHECK(rig_write(&rig, 1, &record, sizeof record));
    struct far_req_flush req = {.pos = rig.socks[1].tx_head};
    CHECK_EQ(rig_ask(&rig, FAR_OP_FLUSH, 1, &req, sizeof req), FAR_EACCES);
    close(token);
    rig_down(&rig);
    policy_free(&set);
}

TEST(a_users_tokens_are_counted) {
    int tokens[4];
    rig_up(&rig, (struct rig_options){.user_tokens = 3});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_DGRAM), FAR_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(share_pair(0, &tokens[i]), FAR_OK);
    }
    int before = descriptors();
    CHECK_EQ(share_pair(0, &tokens[3]), FAR_EMFILE);
    close(tokens[3]);
    CHECK_EQ(descriptors(), before);
    for (int i = 0; i < 3; i++) {
        close(tokens[i]);
    }
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(a_token_gives_the_socket_to_whoever_shows_it),
        CASE(a_carried_stream_is_asked_beside_its_bytes),
        CASE(a_packet_with_other_descriptors_leaves_none_behind),
        CASE(what_is_no_socket_is_no_token),
        CASE(what_is_no_socket_is_not_adopted),
        CASE(an_adopted_socket_has_the_family_that_it_has),
        CASE(a_users_tokens_are_counted),
    };
    return RUN_TESTS(cases);
}
