// Changes of addresses and routes void what near learned about datagrams.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

static struct rig rig;

static bool bring_loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
    close(fd);
    return up;
}

TEST(an_interface_that_comes_up_advances_the_epoch) {
    if (unshare(CLONE_NEWNET) < 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        SKIP("no network namespace of our own");
    }
    rig_up(&rig, (struct rig_options){0});
    const struct far_far_ctl *far = rig_line(&rig, rig.layout.far_at);
    CHECK_EQ(far_load(&far->verdict_epoch), 0);
    CHECK(bring_loopback_up());
    for (int i = 0; i < PATIENCE_MS && !far_load(&far->verdict_epoch); i++) {
        rig_pause();
    }
    CHECK(far_load(&far->verdict_epoch) != 0);
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(an_interface_that_comes_up_advances_the_epoch),
    };
    return RUN_TESTS(cases);
}
