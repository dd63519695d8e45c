// Arguments, deadlines and errors of the socket module.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include "py/mperrno.h"
#include "py/runtime.h"

// The link's error numbers are Linux's, and so are MicroPython's own: what
// libc says does not matter. A port that numbers them otherwise needs a table.
_Static_assert(MP_EAGAIN == -FAR_EAGAIN, "errno");
_Static_assert(MP_ECONNRESET == -FAR_ECONNRESET, "errno");
_Static_assert(MP_ENOTCONN == -FAR_ENOTCONN, "errno");
_Static_assert(MP_ETIMEDOUT == -FAR_ETIMEDOUT, "errno");
_Static_assert(MP_EINPROGRESS == -FAR_EINPROGRESS, "errno");

// A big integer, which mp_obj_get_int() would answer with an OverflowError.
static bool is_out_of_range(mp_obj_t obj) {
    return mp_obj_is_int(obj) && !mp_obj_is_small_int(obj) &&
           !mp_obj_equal(obj, mp_obj_new_int(mp_obj_int_get_truncated(obj)));
}

mp_int_t far_mp_get_int(mp_obj_t obj, mp_int_t min, mp_int_t max) {
    bool fits = !is_out_of_range(obj);
    mp_int_t value = fits ? mp_obj_get_int(obj) : 0;
    if (!fits || value < min || value > max) {
        mp_raise_ValueError(MP_ERROR_TEXT("number out of range"));
    }
    return value;
}

size_t far_mp_get_size(mp_obj_t obj) {
    // One less than the largest: sizes have a NUL added here and there.
    return (size_t)far_mp_get_int(obj, 0, MP_SMALL_INT_MAX - 1);
}

uint32_t far_mp_get_u32(mp_obj_t obj) {
    if (is_out_of_range(obj)) {
        mp_raise_ValueError(MP_ERROR_TEXT("number out of range"));
    }
    if (!mp_obj_is_int(obj)) {
        return (uint32_t)mp_obj_get_int(obj);
    }
    // Where an int has 32 bits, the upper half of these is a big integer.
    return (uint32_t)mp_obj_int_get_truncated(obj);
}

int far_mp_errno(int err, uint64_t deadline_ns) {
    bool no_more = err == FAR_EAGAIN || err == FAR_EINPROGRESS;
    if (no_more && deadline_ns == FAR_FOREVER) {
        // A blocking call ended by SO_RCVTIMEO or SO_SNDTIMEO.
        return MP_ETIMEDOUT;
    }
    if (err == FAR_ELINKDOWN || err == FAR_ELINKPROTO) {
        return -FAR_ENETDOWN;
    }
    return -err;
}

void far_mp_raise(int err, uint64_t deadline_ns) {
    mp_raise_OSError(far_mp_errno(err, deadline_ns));
}

void far_mp_check(int ret) {
    if (ret < 0) {
        far_mp_raise(ret, FAR_NOWAIT);
    }
}

uint64_t far_mp_deadline(const struct far_mp_socket *self, uint32_t flags) {
    if (self->timeout_ns == 0 || (flags & FAR_MSG_DONTWAIT)) {
        return FAR_NOWAIT;
    }
    if (self->timeout_ns < 0) {
        return FAR_FOREVER;
    }
    uint64_t now = far_mp_now();
    uint64_t span = (uint64_t)self->timeout_ns;
    return span < FAR_FOREVER - 1u - now ? now + span : FAR_FOREVER - 1u;
}

int far_mp_late(uint64_t deadline_ns) {
    bool ends = deadline_ns != FAR_NOWAIT && deadline_ns != FAR_FOREVER;
    return ends && far_mp_now() >= deadline_ns ? FAR_ETIMEDOUT : FAR_OK;
}
