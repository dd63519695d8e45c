// What an ivshmem server says to farsockd, in its greeting and afterwards, with
// whatever descriptors, beside an honest link.
// SPDX-License-Identifier: MIT
#include "daemon/ivshmem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/core.h"
#include "daemon/ivshmem_wire.h"
#include "daemon/log.h"
#include "fuzz/alone.h"
#include "fuzz/fault.h"
#include "fuzz/input.h"
#include "fuzz/side.h"

#define BYTES    (1u << 18)
#define ID       5 // ours, in a good greeting
#define NEAR_ID  6
#define GONE_MAX 4096u

static struct engine *engine;
static struct config config;
static struct input *in;
static int listener, usual;
static int server = -1; // its end
static bool endless;    // it says more whenever it is asked
static int unread = -1; // of a pipe that is full
static int memory = -1;
static uint8_t *near_half;
static char directory[] = "/tmp/fuzz-ivshmem-XXXXXX";
static char path[sizeof directory + 16];

static void fail(const char *what) {
    fprintf(stderr, "ivshmem: %s\n", what);
    abort();
}

// --- Descriptors ---

static int full_pipe(void) {
    int ends[2];
    static const char bytes[4096];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -1;
    }
    while (write(ends[1], bytes, sizeof bytes) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0); // who writes to it waits
    if (unread >= 0) {
        close(unread);
    }
    unread = ends[0];
    return ends[1];
}

static int some_memory(uint8_t how) {
    static const off_t sizes[] = {BYTES, 1 << 16, (1 << 16) - 1, 0,
        (off_t)INT32_MAX + 1, 1 << 12, BYTES + 4096, BYTES / 2};
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, sizes[how & 7u]) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

// The server looks at its first memory of the usual size, too.
static int shared_memory(uint8_t how) {
    int fd = some_memory(how);
    if (fd >= 0 && memory < 0 && (how & 7u) == 0) {
        memory = dup(fd);
        near_half =
            mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    }
    return fd;
}

static int descriptor(uint8_t how) {
    switch (how >> 4 & 7u) {
        case 0:
            return -1;
        case 1:
        case 2:
            return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        case 3:
            return shared_memory(how);
        case 4:
            return open("/dev/null", O_RDWR | O_CLOEXEC);
        case 5:
            return full_pipe();
        case 6:
            return dup(server);
        default:
            return dup(listener);
    }
}

// --- What the server says ---

static void tell(int64_t number, int fd) {
    if (server >= 0) {
        ivshmem_send(server, number, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
}

// Some bytes of a number with two descriptors.
static void tell_odd(uint32_t n) {
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * sizeof(int))];
    } ctl = {0};
    char bytes[8] = {0};
    struct iovec iov = {bytes, n + 1u};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ctl.buf,
        .msg_controllen = CMSG_SPACE(2 * sizeof(int)),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    const int fds[2] = {listener, listener};
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    if (server >= 0) {
        sendmsg(server, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void say(void) {
    uint8_t how = take8(in);
    uint8_t number = take8(in);
    int64_t n = number < 0xf0    ? number % 24
                : number == 0xff ? -1
                : number == 0xfe ? -2
                : number == 0xfd ? IVSHMEM_IDS
                : number == 0xfc ? INT64_MIN
                                 : (int64_t)take32(in) << (number & 3u) * 10u;
    char bytes[8] = {0};
    endless |= number == 0xfb;
    if ((how & 0x88) == 0x88) {
        tell_odd(how & 7u);
        return;
    }
    if (how & 0x80) { // not whole
        if (server >= 0) {
            send(server, bytes, how & 7u, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        return;
    }
    tell(n, descriptor(how));
}

// As it should be, to the memory's last word.
static void greet(void) {
    tell(IVSHMEM_VERSION, -1);
    tell(ID, -1);
    tell(IVSHMEM_MEMORY, shared_memory(0));
    tell(NEAR_ID, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    tell(ID, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void hang_up(void) {
    if (server >= 0) {
        close(server);
        server = -1;
    }
}

// False: nothing comes within the time.
static bool go_on(void) {
    if (server < 0) {
        server = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (take8(in) & 1) {
            greet();
            return true;
        }
    }
    for (int i = 0; endless && i < 100; i++) {
        tell(NEAR_ID + 1, -1);
    }
    if (endless) {
        return true;
    }
    if (in->left == 0) {
        hang_up();
        return true;
    }
    if (in->left % 16u == 3u) {
        return false;
    }
    say();
    return true;
}

// Somebody waits for the server: it says more, or hangs up.
static bool waited_for(void) {
    fault_within(false);
    bool comes = go_on();
    fault_within(true);
    return comes;
}

// --- Near ---

static void near_word(void) {
    size_t at = take8(in) * 4u;
    uint32_t v = take_number(in);
    if (near_half) {
        memcpy(near_half + at % (BYTES / 2u - 4u), &v, sizeof v);
    }
}

static void near_links_up(void) {
    uint8_t how = take8(in);
    if (!near_half) {
        return;
    }
    const struct far_part_header *far = (const void *)(near_half + BYTES / 2u);
    struct far_part_header h = {
        .magic = FAR_WIRE_MAGIC,
        .version = FAR_WIRE_VERSION,
        .epoch = 1u + how % 3u,
        .seen = far->epoch,
        .ready = far->seen,
        .bell = how == 0xff  ? UINT32_MAX
                : how & 0x80 ? how
                             : NEAR_ID + 1u,
    };
    memcpy(near_half, &h, sizeof h);
}

// --- One input ---

static struct link *its_link(void) {
    for (struct link *l = engine_link_next(engine, NULL); l;
         l = engine_link_next(engine, l)) {
        if (strncmp(l->spec.name, "ivshmem:", 8) == 0) {
            return l;
        }
    }
    return NULL;
}

static void step(void) {
    uint8_t op = take8(in);
    switch (op % 8u) {
        case 0:
        case 1:
            say();
            break;
        case 2:
            near_word();
            break;
        case 3:
            near_links_up();
            break;
        case 4:
            if (op & 0x80) {
                hang_up();
            } else if (op & 0x40) {
                fault_choose(in);
            }
            break;
        case 5:
            if ((op & 0x80) && memory >= 0 && ftruncate(memory, 0) < 0) {
                tell(NEAR_ID, -1); // it is sealed
            }
            break;
        default:
            honest_turn();
            break;
    }
}

static void end(struct ivshmem *v) {
    struct link *l;
    fault_none();
    ivshmem_stop(v);
    for (uint32_t i = 0; i < GONE_MAX && (l = its_link()); i++) {
        engine_link_abort(l, "it is time");
        honest_turn();
    }
    if (its_link()) {
        fail("its link does not end");
    }
    ivshmem_close(v);
}

static void forget(void) {
    hang_up();
    if (memory >= 0) {
        munmap(near_half, BYTES);
        close(memory);
    }
    memory = -1;
    endless = false;
    near_half = NULL;
    if (unread >= 0) {
        close(unread);
    }
    unread = -1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(fd);
    }
}

static void leave(void) {
    unlink(path);
    rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    struct engine_config ec = {.resolver_threads = 1};
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    (void)argc;
    (void)argv;
    fuzz_alone();
    far_log_limit(FAR_LOG_ERROR);
    config_init(&config);
    config.ivshmem_sockets = config.ivshmem_tags = 4;
    engine = engine_new(&ec);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char *made = mkdtemp(directory);
    snprintf(path, sizeof path, "%s/server", directory);
    memcpy(sun.sun_path, path, sizeof path);
    if (!made || bind(listener, (struct sockaddr *)&sun, sizeof sun) < 0) {
        fail("no place for its socket");
    }
    atexit(leave);
    listen(listener, 4);
    honest_begin(engine);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    char why[256] = "";
    in = &input;
    if (usual == 0) {
        usual = fuzz_descriptors();
    }
    uint8_t how = take8(in);
    config.ivshmem_sockets = how & 0x01 ? 60000 : 4;
    fault_waits = waited_for;
    if (how & 0x02) {
        fault_choose(in);
    }
    fault_within(true);
    char name[sizeof path + 16];
    snprintf(name, sizeof name, IVSHMEM_PREFIX "%s", path);
    struct ivshmem *v = ivshmem_open(name, &config, why, sizeof why);
    int err = v ? ivshmem_start(v, engine) : 0;
    fault_within(false);
    fault_waits = NULL;
    while (v && err == 0 && in->left > 0) {
        step();
    }
    if (v) {
        end(v);
    }
    fault_none();
    forget();
    honest_finish();
    if (fuzz_descriptors() > usual) {
        fail("descriptors are left");
    }
    return 0;
}
