// Descriptors that go from process to process in messages (SCM_RIGHTS).
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <limits.h>
#include <string.h>

// As at a fork: the sender's tokens become known to farsockd, and the receiver
// reads on them what they are.

#define CONTROL_MAX 2048u // the most descriptors of a message, and credentials

// A message's control data as it is now in the program's memory.
struct control {
    struct msghdr m;
    _Alignas(struct cmsghdr) char bytes[CONTROL_MAX];
};

static bool take(struct control *c, const struct msghdr *user) {
    struct msghdr m;
    if (user_copy(&m, user, sizeof m) < 0 || !m.msg_control ||
        m.msg_controllen < CMSG_LEN(sizeof(int))) {
        return false;
    }
    size_t n = m.msg_controllen < CONTROL_MAX ? m.msg_controllen : CONTROL_MAX;
    c->m = (struct msghdr){
        .msg_control = c->bytes,
        .msg_controllen = n,
    };
    return user_copy(c->bytes, m.msg_control, n) == 0;
}

typedef int each_call(int fd); // FAR_OK, or the far_err that ends it

static int each_of(const struct control *c, const struct cmsghdr *h,
    each_call *call) {
    const char *end = c->bytes + c->m.msg_controllen;
    const char *data = (const char *)CMSG_DATA(h);
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
        h->cmsg_len < CMSG_LEN(0) ||
        h->cmsg_len > (size_t)(end - (const char *)h)) {
        return FAR_OK;
    }
    int err = FAR_OK;
    size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n && err >= 0; i++) {
        int fd;
        memcpy(&fd, data + i * sizeof fd, sizeof fd);
        err = call(fd);
    }
    return err;
}

static int each(struct control *c, each_call *call) {
    int err = FAR_OK;
    struct cmsghdr *h = CMSG_FIRSTHDR(&c->m);
    while (h && err >= 0) {
        err = each_of(c, h, call);
        h = CMSG_NXTHDR(&c->m, h);
    }
    return err;
}

bool rights_share(const struct msghdr *user) {
    struct control c;
    // What is wrong with it the kernel says.
    return !take(&c, user) || far_done(each(&c, share_fd)) == 0;
}

static int take_up(int fd) {
    token_take(fd);
    return FAR_OK;
}

void rights_take(const struct msghdr *user) {
    struct control c;
    if (take(&c, user)) {
        each(&c, take_up);
    }
}

bool rights_share_all(const struct mmsghdr *all, unsigned count) {
    for (unsigned i = 0; i < count && i < IOV_MAX; i++) {
        if (!rights_share(&all[i].msg_hdr)) {
            return false;
        }
    }
    return true;
}

void rights_take_all(const struct mmsghdr *all, int count) {
    for (int i = 0; i < count; i++) {
        rights_take(&all[i].msg_hdr);
    }
}
