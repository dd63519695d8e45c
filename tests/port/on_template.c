// The checks on the port that is there to be copied.
//
//   usage: port-template PHASES
// SPDX-License-Identifier: MIT
#include "port/check.h"
#include "port/host.h"
#include "ports/template/board.h"
#include "ports/template/template.h"

static _Alignas(max_align_t) uint8_t memory[256 * 1024];

static int up(uint64_t deadline_ns, struct far_link **out) {
    return far_template_up(memory, sizeof memory, deadline_ns, out);
}

int main(int argc, char **argv) {
    struct check_target t = {
        .write = host_write,
        .up = up,
        .restarts = true,
        .cpu_ns = host_cpu_ns,
        .later = host_later,
    };
    far_template_start();
    t.port = far_template_port();
    t.region = board_shared(&t.region_bytes);
    bool good = argc == 2 && check_run(&t, argv[1]);
    host_wait();
    return !good;
}
