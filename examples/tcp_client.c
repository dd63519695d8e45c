// Connects over a link, sends a line and prints what comes back.
// SPDX-License-Identifier: MIT
//
//   cc tcp_client.c $(pkg-config --cflags --libs farsock)
//   ./a.out HOST PORT

#include <stdio.h>
#include <string.h>

#include <farsock/farsock.h>
#include <farsock/posix.h>

static int talk(struct far_link *l, const struct far_addr *to) {
    static const char line[] = "hello from the near core\n";
    char buf[1024];
    int s = far_socket(l, to->family, FAR_SOCK_STREAM, 0);
    int n = s < 0 ? s : far_connect(l, s, to, FAR_FOREVER);
    if (n >= 0) {
        n = far_sendto(l, s, line, strlen(line), 0, NULL, FAR_FOREVER);
    }
    if (n >= 0) {
        n = far_shutdown(l, s, FAR_SHUT_WR);
    }
    while (n >= 0) {
        n = far_recvfrom(l, s, buf, sizeof buf, 0, NULL, NULL, FAR_FOREVER);
        if (n <= 0) {
            break;
        }
        fwrite(buf, 1, (size_t)n, stdout);
    }
    far_close(l, s, FAR_FOREVER);
    return n;
}

int main(int argc, char **argv) {
    struct far_posix *p = NULL;
    struct far_posix_options o = {.wait_s = -1};
    struct far_req_getaddrinfo hints = {.type = FAR_SOCK_STREAM};
    struct far_gai_entry found;
    struct far_gai_result result;
    if (argc != 3) {
        fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
        return 2;
    }
    if (far_posix_open(&p, &o) < 0) {
        return 1; // it has said why
    }
    struct far_link *l = far_posix_link(p);
    int err = far_getaddrinfo(l, argv[1], argv[2], &hints, &found, 1, &result,
        NULL, FAR_FOREVER);
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], far_gai_strerror(err));
    } else {
        err = talk(l, &found.addr);
        if (err < 0) {
            fprintf(stderr, "%s: %s\n", argv[1], far_strerror(err));
        }
    }
    far_posix_close(p);
    return err < 0;
}
