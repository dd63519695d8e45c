// Links of which the near core has an ivshmem device.
// SPDX-License-Identifier: MIT
#include "daemon/ivshmem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/fixed.h"
#include "daemon/ivshmem_server.h"
#include "daemon/ivshmem_wire.h"
#include "daemon/log.h"
#include "daemon/lost.h"
#include "daemon/place.h"
#include "farsock/errors.h"
#include "farsock/mem.h"

#define GREETING_MS  5000
#define GREETING_MAX 4096 // numbers in it
#define TURN_NUMBERS 64

struct ivshmem {
    struct watch watch;
    struct engine *engine;
    struct fixed *fixed;
    char path[CONFIG_TEXT];
    uint32_t sockets;
    uint32_t tags;
    int lock; // one farsockd for one memory
    int sock; // -1: the server is gone
    int id;   // ours; -1: not yet known
    int bell; // that rings us
    struct peer {
        int id;
        int bell; // rings it; -1: free
    } peers[IVSHMEM_PEERS];
    void *mem;
    size_t bytes;
    struct lost lost;
};

// --- What the server says ---

// Near's half stays read-only for us. What cannot be sealed, a file or
// another's sealed memory, may still be cut: lost_guard() is for that.
static int map_memory(struct ivshmem *v, int fd) {
    struct stat st;
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    if (v->mem != NULL || fstat(fd, &st) < 0 || st.st_size < 1 << 16 ||
        st.st_size > INT32_MAX) {
        return -1;
    }
    v->bytes = (size_t)st.st_size;
    void *mem = mmap(NULL, v->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (mem == MAP_FAILED) {
        return -1;
    }
    v->mem = mem;
    return mprotect((char *)mem + v->bytes / 2, v->bytes / 2,
        PROT_READ | PROT_WRITE);
}

static struct peer *find_peer(struct ivshmem *v, int id) {
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        if (v->peers[i].bell >= 0 && v->peers[i].id == id) {
            return &v->peers[i];
        }
    }
    return NULL;
}

static void forget_peer(struct ivshmem *v, int id) {
    struct peer *gone = find_peer(v, id);
    if (gone == NULL) {
        return;
    }
    close(gone->bell);
    gone->bell = -1;
    const struct far_part_header *near = v->mem;
    if (v->fixed != NULL && far_load(&near->bell) == (uint32_t)id + 1u) {
        far_log(FAR_LOG_INFO, "%s: the near core is gone", v->path);
        fixed_near_gone(v->fixed);
    }
}

// Where a new peer's doorbell goes; NULL if there is no room, or if it has one:
// a client with several vectors has several, of which one will do.
static int *place_for(struct ivshmem *v, int id) {
    if (id == v->id) {
        return v->bell < 0 ? &v->bell : NULL;
    }
    for (int i = 0; i < IVSHMEM_PEERS && find_peer(v, id) == NULL; i++) {
        if (v->peers[i].bell < 0) {
            v->peers[i].id = id;
            return &v->peers[i].bell;
        }
    }
    return NULL;
}

// Takes fd.
static void meet_peer(struct ivshmem *v, int id, int fd) {
    int *place = place_for(v, id);
    if (place == NULL) {
        close(fd);
        return;
    }
    // Whatever it is: ringing it must not make us wait.
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *place = fd;
    if (v->fixed != NULL) {
        fixed_look(v->fixed);
    }
}

// False if that makes no sense.
static bool take(struct ivshmem *v, int64_t number, int fd) {
    if (number == IVSHMEM_MEMORY) {
        bool ok = fd >= 0 && map_memory(v, fd) == 0;
        if (fd >= 0) {
            close(fd);
        }
        return ok;
    }
    if (number < 0 || number >= IVSHMEM_IDS) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    if (fd >= 0) {
        meet_peer(v, (int)number, fd);
    } else {
        forget_peer(v, (int)number);
    }
    return true;
}

static void lose_server(struct ivshmem *v) {
    far_log(FAR_LOG_WARN,
        "%s: the ivshmem server is gone: the near core is served as long as it "
        "lives, a restart of either needs both",
        v->path);
    engine_unwatch(v->engine, &v->watch, v->sock);
    close(v->sock);
    v->sock = -1;
}

static void server_ready(struct watch *w, uint32_t events) {
    struct ivshmem *v = (struct ivshmem *)w;
    (void)events;
    for (int i = 0; i < TURN_NUMBERS; i++) {
        int64_t number;
        int fd;
        int rc = ivshmem_receive(v->sock, &number, &fd);
        if (rc == 0) {
            return;
        }
        if (rc < 0 || !take(v, number, fd)) {
            lose_server(v);
            return;
        }
    }
    // It may say more without end. Watched anew, that is the next turn's.
    engine_rewatch(v->engine, &v->watch, &v->watch, v->sock,
        EPOLLIN | EPOLLRDHUP);
}

// --- The greeting ---

static bool wait_number(struct ivshmem *v, int64_t *number, int *fd) {
    struct pollfd p = {v->sock, POLLIN, 0};
    int rc;
    while ((rc = ivshmem_receive(v->sock, number, fd)) == 0) {
        if (poll(&p, 1, GREETING_MS) == 0) {
            return false;
        }
    }
    return rc > 0;
}

// One without a descriptor.
static bool wait_plain(struct ivshmem *v, int64_t *number) {
    int fd;
    if (!wait_number(v, number, &fd)) {
        return false;
    }
    if (fd >= 0) {
        close(fd);
    }
    return fd < 0;
}

static bool take_greeting(struct ivshmem *v) {
    int64_t number;
    int fd;
    if (!wait_plain(v, &number) || number != IVSHMEM_VERSION ||
        !wait_plain(v, &number) || number < 0 || number >= IVSHMEM_IDS) {
        return false;
    }
    v->id = (int)number;
    for (int i = 0; v->bell < 0 || v->mem == NULL; i++) {
        if (i == GREETING_MAX || !wait_number(v, &number, &fd) ||
            !take(v, number, fd)) {
            return false;
        }
    }
    return true;
}

static bool connect_server(struct ivshmem *v) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(v->path);
    if (len >= sizeof sun.sun_path) {
        return false; // config_add_link() made sure that it is not
    }
    memcpy(sun.sun_path, v->path, len + 1);
    v->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v->sock < 0) {
        return false;
    }
    if (connect(v->sock, (struct sockaddr *)&sun, sizeof sun) < 0) {
        close(v->sock);
        v->sock = -1;
        return false;
    }
    return fcntl(v->sock, F_SETFL, O_NONBLOCK) == 0;
}

// --- Life ---

static struct ivshmem *new_ivshmem(const char *path, const struct config *c) {
    struct ivshmem *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return NULL;
    }
    v->watch.ready = server_ready;
    v->lock = v->sock = v->id = v->bell = -1;
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        v->peers[i].bell = -1;
    }
    v->sockets = c->ivshmem_sockets;
    v->tags = c->ivshmem_tags;
    snprintf(v->path, sizeof v->path, "%s", path);
    return v;
}

// The socket's own lock is the server's, which may be another's.
static void lock_name(const struct ivshmem *v, char *out, size_t len) {
    snprintf(out, len, "%s.far", v->path);
}

static int open_server(struct ivshmem *v, const struct config *c, char *reason,
    size_t len) {
    char name[CONFIG_TEXT + 8];
    lock_name(v, name, sizeof name);
    v->lock = place_lock(name, reason, len);
    if (v->lock < 0) {
        return -1;
    }
    if (!connect_server(v) && ivshmem_server_start(v->path, c->mode,
                                  c->ivshmem_memory, reason, len) < 0) {
        return -1;
    }
    if (v->sock < 0 && !connect_server(v)) {
        snprintf(reason, len, "%s: %s", v->path, strerror(errno));
        return -1;
    }
    if (!take_greeting(v)) {
        snprintf(reason, len, "%s: no ivshmem server answers there", v->path);
        return -1;
    }
    struct far_layout l;
    if (far_layout_fit(&l, v->bytes, v->sockets, v->tags, 0) != FAR_OK) {
        snprintf(reason, len,
            "%s: %u sockets do not fit %zu KiB (ivshmem-memory)", v->path,
            v->sockets, v->bytes >> 10);
        return -1;
    }
    return 0;
}

struct ivshmem *ivshmem_open(const char *path, const struct config *c,
    char *reason, size_t reason_len) {
    struct ivshmem *v = new_ivshmem(path + strlen(IVSHMEM_PREFIX), c);
    if (v == NULL) {
        snprintf(reason, reason_len, "out of memory");
        return NULL;
    }
    if (open_server(v, c, reason, reason_len) < 0) {
        ivshmem_close(v);
        return NULL;
    }
    return v;
}

const char *ivshmem_path(const struct ivshmem *v) {
    return v->path;
}

static int bell_of(void *arg, uint32_t bell) {
    struct ivshmem *v = arg;
    const struct peer *p = bell >= 1 && bell <= IVSHMEM_IDS
                               ? find_peer(v, (int)(bell - 1u))
                               : NULL;
    return p != NULL ? p->bell : -1;
}

static void memory_lost(void *arg) {
    struct ivshmem *v = arg;
    far_log(FAR_LOG_ERROR,
        "%s: its memory was cut: it is served no more, a restart of farsockd "
        "and of the near core mends that",
        v->path);
    fixed_lost(v->fixed, "its memory was cut");
}

int ivshmem_start(struct ivshmem *v, struct engine *e) {
    struct fixed_spec spec = {
        .engine = e,
        .region = v->mem,
        .bytes = v->bytes,
        .sockets = v->sockets,
        .tags = v->tags,
        .bell = (uint32_t)v->id + 1u,
        .bell_from_near = v->bell,
        .bell_to_near = bell_of,
        .arg = v,
    };
    const char *name = strrchr(v->path, '/');
    snprintf(spec.name, sizeof spec.name, "ivshmem:%.50s",
        name != NULL ? name + 1 : v->path);
    v->engine = e;
    v->lost.mem = v->mem;
    v->lost.bytes = v->bytes;
    v->lost.told = memory_lost;
    v->lost.arg = v;
    if (lost_guard(&v->lost, e) < 0) {
        return -1;
    }
    v->fixed = fixed_new(&spec);
    if (v->fixed == NULL) {
        return -1;
    }
    return engine_watch(e, &v->watch, v->sock, EPOLLIN | EPOLLRDHUP);
}

void ivshmem_stop(struct ivshmem *v) {
    if (v->fixed != NULL) {
        fixed_stop(v->fixed);
    }
    if (v->engine != NULL && v->sock >= 0) {
        engine_unwatch(v->engine, &v->watch, v->sock);
    }
}

void ivshmem_close(struct ivshmem *v) {
    if (v->fixed != NULL) {
        fixed_free(v->fixed);
    }
    for (int i = 0; i < IVSHMEM_PEERS; i++) {
        if (v->peers[i].bell >= 0) {
            close(v->peers[i].bell);
        }
    }
    if (v->bell >= 0) {
        close(v->bell);
    }
    if (v->sock >= 0) {
        close(v->sock);
    }
    lost_forget(&v->lost);
    if (v->mem != NULL) {
        munmap(v->mem, v->bytes);
    }
    if (v->lock >= 0) {
        char name[CONFIG_TEXT + 8];
        lock_name(v, name, sizeof name);
        place_unlock(name, v->lock);
    }
    free(v);
}
