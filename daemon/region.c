// A posix link's shared memory and doorbells.
// SPDX-License-Identifier: MIT
#include "daemon/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "farsock/errors.h"
#include "ports/posix/map.h"

static int err_from_errno(int number) {
    switch (number) {
        case EMFILE:
            return FAR_EMFILE;
        case ENFILE:
            return FAR_ENFILE;
        case ENOMEM:
        case ENOSPC:
        case EFBIG: // RLIMIT_FSIZE
        case EOVERFLOW:
            return FAR_ENOMEM;
        default:
            return FAR_EIO;
    }
}

// Near could shrink the file under our mapping, and kill us with SIGBUS at the
// next access, were it not sealed.
static int make_memfd(size_t bytes) {
    int fd = memfd_create("farsock", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)far_map_file_bytes(bytes)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static bool map(struct region *r, const struct far_layout *layout) {
    r->memfd = make_memfd(r->bytes);
    if (r->memfd < 0) {
        return false;
    }
    r->mem =
        far_map(r->memfd, r->bytes, (size_t)layout->far_at * FAR_LINE, false);
    return r->mem != NULL;
}

static bool make_bells(struct region *r) {
    r->bell_to_far = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->bell_to_near = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return r->bell_to_far >= 0 && r->bell_to_near >= 0;
}

int region_make(struct region *r, const struct far_layout *layout) {
    *r = (struct region){.memfd = -1, .bell_to_far = -1, .bell_to_near = -1};
    uint64_t bytes = far_layout_bytes(layout);
    if (bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return FAR_ENOMEM;
    }
    r->bytes = (size_t)bytes;
    if (!map(r, layout) || !make_bells(r)) {
        int saved = errno;
        region_free(r);
        errno = saved;
        return err_from_errno(saved);
    }
    return FAR_OK;
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void region_close_memfd(struct region *r) {
    close_fd(&r->memfd);
}

void region_free(struct region *r) {
    if (r->mem != NULL) {
        far_unmap(r->mem, r->bytes);
    }
    r->mem = NULL;
    close_fd(&r->memfd);
    close_fd(&r->bell_to_far);
    close_fd(&r->bell_to_near);
}
