// Tells the service manager where we are: the sd_notify(3) protocol.
// SPDX-License-Identifier: MIT
#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"

// 0 if name is no address that the protocol knows.
static socklen_t make_address(struct sockaddr_un *sun, const char *name) {
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof(sun->sun_path)) {
        return 0;
    }
    *sun = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(sun->sun_path, name, len);
    if (name[0] == '@') {
        sun->sun_path[0] = '\0';
    }
    // An abstract name ends where its length says, without a terminator.
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int send_state(const char *name, const char *state) {
    struct sockaddr_un sun;
    socklen_t len = make_address(&sun, name);
    if (len == 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
        (const struct sockaddr *)&sun, len);
    int saved = errno;
    close(fd);
    errno = saved;
    return sent < 0 ? -1 : 0;
}

void notify(const char *state) {
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || name[0] == '\0') {
        return;
    }
    if (send_state(name, state) < 0) {
        far_log(FAR_LOG_WARN, "NOTIFY_SOCKET %s: %s", name, strerror(errno));
    }
}
