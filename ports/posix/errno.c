// The host's errno and the link's errors.
// SPDX-License-Identifier: MIT
#include "farsock/posix.h"

#include <errno.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

// The numbers below LINKDOWN are errnos; the others exist on links only.
static const struct {
    int host;
    int far;
} errnos[] = {
#define ELINKDOWN          (-1)
#define ELINKPROTO         (-1)
#define X(name, num, text) {E##name, FAR_E##name},
    FAR_ERRORS(X)
#undef X
};

int far_posix_error(int host) {
    if (host == EWOULDBLOCK) {
        host = EAGAIN;
    }
    if (host == ENOTSUP) {
        host = EOPNOTSUPP;
    }
    for (size_t i = 0; i < COUNT(errnos); i++) {
        if (errnos[i].host == host) {
            return errnos[i].far;
        }
    }
    return host == 0 ? FAR_OK : FAR_EIO;
}

int far_posix_errno(int err) {
    for (size_t i = 0; i < COUNT(errnos); i++) {
        if (errnos[i].far == err && errnos[i].host > 0) {
            return errnos[i].host;
        }
    }
    return err == FAR_OK ? 0 : err == FAR_ELINKDOWN ? ENETDOWN : EIO;
}
