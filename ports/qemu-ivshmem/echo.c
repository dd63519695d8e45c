// An echo client on a core without operating system or C library: connects to
// 127.0.0.1:7777 of the far core, sends a line a hundred times and checks what
// comes back.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "ivshmem.h"
#include "virt.h"

#define PORT   7777
#define ROUNDS 100

static _Alignas(max_align_t) uint8_t link_memory[64 * 1024];

static void say(const char *text) {
    virt_write(text, strlen(text));
}

static int fail(const char *what, int err) {
    say(what);
    say(": ");
    say(far_strerror(err));
    say("\n");
    return 1;
}

static int echo(struct far_link *l, int s) {
    static const char line[] = "hello, far core\n";
    for (int i = 0; i < ROUNDS; i++) {
        char back[sizeof line - 1];
        int n = far_send(l, s, line, sizeof back, 0, FAR_FOREVER);
        if (n >= 0) {
            n = far_recv(l, s, back, sizeof back, FAR_MSG_WAITALL,
                virt_now_ns() + 5000000000u);
        }
        if (n < 0) {
            return fail("echo", n);
        }
        if (n != (int)sizeof back || memcmp(line, back, sizeof back) != 0) {
            return fail("other bytes came back", FAR_EBADMSG);
        }
    }
    say("100 lines came back\n");
    return 0;
}

int main(void) {
    struct far_link *l;
    int err = far_ivshmem_up(link_memory, sizeof link_memory,
        virt_now_ns() + 10000000000u, &l);
    if (err != FAR_OK) {
        return fail("no farsockd", err);
    }
    struct far_addr to = {
        .family = FAR_AF_INET, .port = PORT, .ip = {127, 0, 0, 1}};
    int s = far_socket(l, FAR_AF_INET, FAR_SOCK_STREAM, 0);
    err = s < 0 ? s : far_connect(l, s, &to, FAR_FOREVER);
    if (err < 0) {
        return fail("connect", err);
    }
    int status = echo(l, s);
    far_close(l, s, FAR_FOREVER);
    return status;
}
