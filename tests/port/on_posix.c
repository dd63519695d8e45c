// The checks on a link between processes, in whichever way its memory is made:
// ports/posix, ports/noncoherent, ports/faulty.
//
//   usage: port-posix PHASES    with FARSOCK_LINK
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"
#include "near/near.h"
#include "port/check.h"
#include "port/host.h"

static struct far_posix *posix;
static struct check_target t;

// The hooks come with the link, and are its own.
static int up(uint64_t deadline_ns, struct far_link **out) {
    struct far_posix_options o = {
        .name = "port-check",
        .ring = 32768,
        .wait_s = 20,
    };
    (void)deadline_ns;
    host_wait();
    far_posix_close(posix);
    int err = far_posix_open(&posix, &o);
    if (err == FAR_OK) {
        *out = far_posix_link(posix);
        t.port = (*out)->port;
        t.ctx = (*out)->ctx;
    }
    return err;
}

int main(int argc, char **argv) {
    struct far_link *l;
    t = (struct check_target){
        .write = host_write,
        .up = up,
        .restarts = true,
        .cpu_ns = host_cpu_ns,
        .later = host_later,
    };
    int err = up(0, &l);
    if (err != FAR_OK) {
        printf("Bail out! no link: %s\n", far_strerror(err));
        return 1;
    }
    bool good = argc == 2 && check_run(&t, argv[1]);
    host_wait();
    return !good;
}
