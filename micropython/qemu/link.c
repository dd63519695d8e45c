// The socket module on this core: one link, one thread.
// SPDX-License-Identifier: MIT
#include "modsocket_link.h"

#include <string.h>

#include "py/mphal.h"
#include "py/runtime.h"

#include "ivshmem.h"
#include "link.h"
#include "virt.h"

#define LINK_BYTES   (512u * 1024u) // private memory of a link
#define UP_NS        UINT64_C(3000000000)
#define NUMBERS      1024
#define FIRST_NUMBER 3

// The one that is up, or was last; its memory is used again for the next, so
// that sockets of an earlier life must not be asked any more.
struct far_mp_link {
    struct far_link *near; // NULL: none was ever up
    unsigned refs;         // sockets, and calls under way
    bool again;            // its memory waits for the last of them
};

static struct far_mp_link the_link;
static _Alignas(16) uint8_t memory[LINK_BYTES];

// --- Interruption ---

static bool is_interrupted(void) {
    far_mp_look();
    return MP_STATE_THREAD(mp_pending_exception) != MP_OBJ_NULL ||
           MP_STATE_VM(sched_state) == MP_SCHED_PENDING;
}

// --- The link ---

struct far_mp_link *far_mp_link_current(void) {
    return the_link.near != NULL && far_link_is_up(the_link.near) ? &the_link
                                                                  : NULL;
}

int far_mp_link_open(struct far_mp_link **out) {
    struct far_mp_link *l = &the_link;
    if (far_mp_link_current() == NULL) {
        // A dead link's sockets still read what had arrived: they go first.
        if (l->refs > 0) {
            return FAR_ENETDOWN;
        }
        far_ivshmem_interrupted = is_interrupted;
        int err = far_ivshmem_up(memory, sizeof memory, virt_now_ns() + UP_NS,
            &l->near);
        if (err != FAR_OK) {
            l->near = NULL;
            return err == FAR_EINTR ? err : FAR_ENETDOWN;
        }
    }
    l->refs++;
    *out = l;
    return FAR_OK;
}

bool far_mp_link_ref(struct far_mp_link *link) {
    link->refs++;
    return true;
}

void far_mp_link_unref(struct far_mp_link *link) {
    link->refs--;
}

struct far_link *far_mp_link_near(struct far_mp_link *link) {
    return link->near;
}

// --- Numbers ---

static struct numbered {
    struct far_mp_link *link;
    int sock;
} numbers[NUMBERS];

int far_mp_number_new(struct far_mp_link *link, int sock) {
    for (int i = FIRST_NUMBER; i < NUMBERS; i++) {
        if (numbers[i].link == NULL) {
            numbers[i] = (struct numbered){link, sock};
            return i;
        }
    }
    return -1;
}

bool far_mp_number_find(int number, struct far_mp_link **link, int *sock) {
    if (number < 0 || number >= NUMBERS || numbers[number].link == NULL) {
        return false;
    }
    *link = numbers[number].link;
    *sock = numbers[number].sock;
    return true;
}

bool far_mp_number_drop(int number, struct far_mp_link *link, int sock) {
    if (number < 0 || number >= NUMBERS || numbers[number].link != link ||
        numbers[number].sock != sock) {
        return false;
    }
    numbers[number].link = NULL;
    return true;
}

// --- Time and surroundings ---

uint64_t far_mp_now(void) {
    return virt_now_ns();
}

void far_mp_asked(void) {
}

bool far_mp_compat_k230(void) {
#if FARSOCK_COMPAT_K230
    return true;
#else
    return false;
#endif
}

// Without threads nobody looks by itself: what waits does.
void far_mp_watch(struct far_mp_link *link) {
    (void)link;
}
