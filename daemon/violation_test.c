// What near cores do wrong is counted, told in few lines, and costs others
// nothing.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#include "daemon/core.h"

#include <sys/mman.h>

static struct rig rig;

static uint32_t counted(enum violation kind) {
    return engine_violations(rig.engine, kind);
}

// A request for a socket whose rings are elsewhere.
static int32_t misplaced(uint32_t slot) {
    rig_place(&rig, slot);
    struct far_req_socket req = {
        .rings = rig.socks[slot].rings,
        .family = FAR_AF_INET,
        .type = FAR_SOCK_STREAM,
    };
    req.rings.tx_at = 0;
    return rig_ask(&rig, FAR_OP_SOCKET, slot, &req, sizeof req);
}

// Lines that farsockd writes meanwhile.
static int log_fd;
static int real_stderr;

static void log_begin(void) {
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    log_fd = memfd_create("log", MFD_CLOEXEC);
    dup2(log_fd, STDERR_FILENO);
    far_log_limit(FAR_LOG_WARN);
}

static int log_end(char *text, size_t room) {
    int lines = 0;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    far_log_limit(FAR_LOG_ERROR);
    ssize_t n = pread(log_fd, text, room - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    for (const char *p = text; *p; p++) {
        lines += *p == '\n';
    }
    close(log_fd);
    return lines;
}

TEST(each_is_counted_and_the_eighth_ends_the_link) {
    char text[8192];
    rig_up(&rig, (struct rig_options){0});
    log_begin();
    for (uint32_t i = 0; i < VIOLATIONS_MAX - 1u; i++) {
        CHECK_EQ(misplaced(i), FAR_EBADMSG);
        CHECK_EQ(counted(VIOLATION_PLACE), i + 1);
    }
    CHECK(!rig.gone);
    rig_put(&rig, FAR_OP_SOCKET, 2, 9, &(struct far_req_socket){0},
        sizeof(struct far_req_socket));
    CHECK(rig_is_gone(&rig));
    int lines = log_end(text, sizeof text);
    CHECK_EQ(counted(VIOLATION_PLACE), VIOLATIONS_MAX);
    CHECK_EQ(counted(VIOLATION_RING), 0);
    // One a second, and this took no three.
    CHECK(lines >= 1 && lines <= 3);
    CHECK(strstr(text, "rings are outside its pools") != NULL);
    rig_down(&rig);
}

TEST(the_kinds_are_told_apart) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_STREAM), FAR_OK);
    far_store(&rig.socks[0].line->tx_head, 0x40000000u);
    rig_kick(&rig, 0);
    CHECK(rig_state(&rig, 0, FAR_ST_HUP, FAR_ST_HUP));
    CHECK_EQ(counted(VIOLATION_INDEX), 1);
    rig_put(&rig, FAR_OP_KICK, 0, 63, NULL, 0); // no socket: nothing
    rig_put(&rig, FAR_OP_KICK, 0, 64, NULL, 0); // no slot
    CHECK(rig_is_gone(&rig));
    CHECK_EQ(counted(VIOLATION_MESSAGE), 1);
    CHECK_EQ(counted(VIOLATION_RECORD), 0);
    rig_down(&rig);
}

// Else a near core that hangs up with its ring full of the dearest messages
// would have all others wait until they are served.
TEST(what_a_dead_near_core_asked_for_is_served_in_turns) {
    rig_prepare(&rig, (struct rig_options){0});
    const struct far_far_ctl *far = rig_line(&rig, rig.layout.far_at);
    for (int i = 0; i < 1000; i++) {
        rig_put(&rig, FAR_OP_GETIFADDRS, 0, 0, NULL, 0);
    }
    rig_hang_up(&rig);
    uint32_t before = far_load(&far->cmd.tail);
    uint32_t turns = 0;
    for (; turns < 5000 && !rig.gone; turns++) {
        engine_turn(rig.engine, true);
        uint32_t now = far_load(&far->cmd.tail);
        CHECK(now - before <= TURN_MESSAGES * sizeof(struct far_msg));
        before = now;
    }
    CHECK_EQ(before, rig.layout.index_base + 1000u * sizeof(struct far_msg));
    CHECK(rig.gone);
    // A turn's time is over after some: each asks the kernel for a list.
    CHECK(turns > 1000u / (TURN_MESSAGES / 2u));
    rig_start(&rig);
    rig_down(&rig);
}

// And so are its sockets' ends.
TEST(a_dead_near_cores_sockets_close_in_turns) {
    rig_prepare(&rig, (struct rig_options){0});
    for (uint32_t i = 0; i < 60; i++) {
        rig_place(&rig, i);
        struct far_req_socket req = {
            .rings = rig.socks[i].rings,
            .family = FAR_AF_INET,
            .type = FAR_SOCK_STREAM,
        };
        rig_put(&rig, FAR_OP_SOCKET, 0, i, &req, sizeof req);
        engine_turn(rig.engine, true);
    }
    CHECK_EQ(rig.link->sockets, 60);
    rig_hang_up(&rig);
    uint32_t left = 60;
    uint32_t turns = 0;
    while (!rig.gone && turns++ < 1000) {
        engine_turn(rig.engine, true);
        uint32_t now = rig.gone ? 0 : rig.link->sockets;
        CHECK(left - now <= TURN_LINK / TURN_BYTES + 1u);
        left = now;
    }
    CHECK(rig.gone);
    rig_start(&rig);
    rig_down(&rig);
}

TEST(a_doorbell_for_nothing_is_not_heard_for_a_while) {
    rig_up(&rig, (struct rig_options){0});
    for (int i = 0; i < PATIENCE_MS * 10 && !counted(VIOLATION_BELL); i++) {
        for (int k = 0; k < 1000; k++) {
            rig_bell(&rig);
        }
    }
    CHECK(counted(VIOLATION_BELL) > 0);
    // It is heard again: requests are answered, and the link stays.
    CHECK_EQ(rig_socket(&rig, 0, FAR_SOCK_STREAM), FAR_OK);
    CHECK(!rig.gone);
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(each_is_counted_and_the_eighth_ends_the_link),
        CASE(the_kinds_are_told_apart),
        CASE(what_a_dead_near_core_asked_for_is_served_in_turns),
        CASE(a_dead_near_cores_sockets_close_in_turns),
        CASE(a_doorbell_for_nothing_is_not_heard_for_a_while),
    };
    return RUN_TESTS(cases);
}
