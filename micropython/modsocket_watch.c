// Option 20: a function that is called when a socket becomes readable.
// SPDX-License-Identifier: MIT
//
// MicroPython's other ports offer it to webrepl. A socket that is watched is
// kept, also by the garbage collector, until it is closed or watched no more.

#include "modsocket.h"

#include "py/mphal.h"
#include "py/runtime.h"

MP_REGISTER_ROOT_POINTER(void *far_mp_watched);

// Changed and walked inside MicroPython's atomic section, which a socket on the
// list may be touched in by threads that MicroPython does not know.
static struct far_mp_socket **find(const struct far_mp_socket *self) {
    struct far_mp_socket **at =
        (struct far_mp_socket **)&MP_STATE_VM(far_mp_watched);
    while (*at != NULL && *at != self) {
        at = &(*at)->next_watched;
    }
    return at;
}

void far_mp_watch_set(struct far_mp_socket *self, mp_obj_t callback) {
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    struct far_mp_socket **at = find(self);
    if (*at == self) {
        *at = self->next_watched;
        self->next_watched = NULL;
    }
    self->callback = callback;
    self->told = false;
    if (callback != MP_OBJ_NULL) {
        self->next_watched = MP_STATE_VM(far_mp_watched);
        MP_STATE_VM(far_mp_watched) = self;
    }
    MICROPY_END_ATOMIC_SECTION(state);
    if (callback != MP_OBJ_NULL) {
        far_mp_watch(self->link);
    }
}

void far_mp_watch_again(struct far_mp_socket *self) {
    if (self->told) {
        self->told = false;
        far_mp_watch(self->link);
    }
}

static bool tell(struct far_mp_socket *self) {
    struct far_link *near = far_mp_link_near(self->link);
    if (!self->told && far_ready(near, self->sock, FAR_POLLIN, true) != 0) {
        self->told = mp_sched_schedule(self->callback, MP_OBJ_FROM_PTR(self));
        return self->told;
    }
    return true;
}

enum far_mp_watch far_mp_watch_look(struct far_mp_link *link) {
    enum far_mp_watch ret = FAR_MP_UNWATCHED;
    mp_uint_t state = MICROPY_BEGIN_ATOMIC_SECTION();
    struct far_mp_socket *self = MP_STATE_VM(far_mp_watched);
    for (; self != NULL; self = self->next_watched) {
        if (self->link == link) {
            bool full = !tell(self) || ret == FAR_MP_FULL;
            ret = full ? FAR_MP_FULL : FAR_MP_WATCHED;
        }
    }
    MICROPY_END_ATOMIC_SECTION(state);
    return ret;
}
