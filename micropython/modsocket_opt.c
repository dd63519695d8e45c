// Socket options and timeouts.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include <string.h>

#include "py/mperrno.h"
#include "py/runtime.h"

#define VALUE_MAX     1024 // bytes, as CPython has it
#define MREQ_SIZE     12   // Linux's ip_mreqn
#define OPT_CALLBACK  20   // at SOL_SOCKET, where Linux has SO_RCVTIMEO
#define NS_PER_SECOND 1000000000
#define TIMEOUT_MAX   (INT64_MAX / NS_PER_SECOND - 1) // seconds, 292 years

// --- Values -----------------------------------------------------------------

static int opt_kind(int level, int opt) {
    static const struct {
        uint8_t level;
        uint8_t opt;
        uint8_t kind;
    } known[] = {
#define X(level, lnum, name, num, kind) {lnum, num, FAR_OPT_##kind},
#include "farsock/sockopt.def"
#undef X
    };
    for (size_t i = 0; i < MP_ARRAY_SIZE(known); i++) {
        if (known[i].level == level && known[i].opt == opt) {
            return known[i].kind;
        }
    }
    return FAR_OPT_BYTES;
}

// A value as Python has it (bytes as Linux wants them), in the link's form.
struct value {
    const uint8_t *bytes;
    size_t len;
    uint8_t copy[16];
};

static void put_le(uint8_t *to, uint64_t value, size_t len) {
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

// An ip_mreq, or an interface's bare address where IP_MULTICAST_IF takes one.
static void widen_mreq(struct value *v) {
    if (v->len >= MREQ_SIZE || (v->len != 4 && v->len != 8)) {
        return; // the kernel judges
    }
    uint8_t wide[MREQ_SIZE] = {0};
    memcpy(wide + 8 - v->len, v->bytes, v->len);
    memcpy(v->copy, wide, sizeof(wide));
    v->bytes = v->copy;
    v->len = sizeof(wide);
}

// A struct timeval of a host with 32 bits.
static void widen_timeval(struct value *v) {
    if (v->len != 2 * sizeof(int32_t)) {
        return;
    }
    int32_t parts[2];
    memcpy(parts, v->bytes, sizeof(parts));
    put_le(v->copy, (uint64_t)parts[0], 8);
    put_le(v->copy + 8, (uint64_t)parts[1], 8);
    v->bytes = v->copy;
    v->len = 16;
}

static void get_value(mp_obj_t obj, int kind, struct value *v) {
    mp_buffer_info_t buf;
    if (mp_obj_is_int(obj) || obj == mp_const_true || obj == mp_const_false) {
        uint32_t number = mp_obj_is_int(obj)
                              ? (uint32_t)mp_obj_int_get_truncated(obj)
                              : obj == mp_const_true;
        put_le(v->copy, number, 4);
        v->bytes = v->copy;
        v->len = 4;
    } else if (mp_get_buffer(obj, &buf, MP_BUFFER_READ)) {
        v->bytes = buf.buf;
        v->len = buf.len;
    } else {
        mp_raise_TypeError(MP_ERROR_TEXT("value must be an int or bytes"));
    }
    if (kind == FAR_OPT_MREQ) {
        widen_mreq(v);
    } else if (kind == FAR_OPT_TIMEVAL) {
        widen_timeval(v);
    }
}

// --- setsockopt, getsockopt -------------------------------------------------

// setsockopt(level, option, int or bytes); option 20 also a function, or None
static mp_obj_t setsockopt_method(size_t n_args, const mp_obj_t *args) {
    (void)n_args; // always 4
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    int level = (int)far_mp_get_u32(args[1]);
    int opt = (int)far_mp_get_u32(args[2]);
    if (level == FAR_SOL_SOCKET && opt == OPT_CALLBACK &&
        (args[3] == mp_const_none || mp_obj_is_callable(args[3]))) {
        if (self->number < 0) {
            mp_raise_OSError(MP_EBADF);
        }
        far_mp_watch_set(self,
            args[3] == mp_const_none ? MP_OBJ_NULL : args[3]);
        return mp_const_none;
    }
    struct value v;
    get_value(args[3], opt_kind(level, opt), &v);
    int ret;
    FAR_MP_CALL(ret, self,
        far_setsockopt(near, self->sock, level, opt, v.bytes, v.len));
    far_mp_check(ret);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_setsockopt_obj, 4, 4,
    setsockopt_method);

// getsockopt(level, option[, size]): an int, or bytes as Linux gives them
static mp_obj_t getsockopt_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    int level = (int)far_mp_get_u32(args[1]);
    int opt = (int)far_mp_get_u32(args[2]);
    size_t size = n_args > 3 ? far_mp_get_size(args[3]) : 0;
    if (size > VALUE_MAX) {
        mp_raise_OSError(MP_EINVAL);
    }
    uint8_t bytes[VALUE_MAX] = {0};
    size_t len = size;
    int kind = opt_kind(level, opt);
    if (len < 16 && kind != FAR_OPT_INT) {
        len = 16; // whole, in the link's form; cut below
    } else if (len == 0) {
        len = 4;
    }
    int ret;
    size_t got;
    FAR_MP_CALL(ret, self,
        (got = len, far_getsockopt(near, self->sock, level, opt, bytes, &got)));
    far_mp_check(ret);
    if (kind == FAR_OPT_MREQ && size <= 4 && got >= 8) {
        memmove(bytes, bytes + 4, 4); // Linux says the interface's address
        got = 4;
    }
    if (size > 0) {
        return mp_obj_new_bytes(bytes, MIN(got, size));
    }
    uint32_t number = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
                      (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    return mp_obj_new_int((int32_t)number);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_getsockopt_obj, 3, 4,
    getsockopt_method);

// --- Timeouts ---------------------------------------------------------------

#if MICROPY_PY_BUILTINS_FLOAT
static int64_t get_seconds(mp_obj_t obj) {
    mp_float_t seconds = mp_obj_get_float(obj);
    if (!(seconds >= 0)) { // not a number is no timeout either
        mp_raise_ValueError(MP_ERROR_TEXT("timeout out of range"));
    }
    if (seconds >= (mp_float_t)TIMEOUT_MAX) {
        return TIMEOUT_MAX * NS_PER_SECOND;
    }
    int64_t whole = (int64_t)seconds;
    mp_float_t part = seconds - (mp_float_t)whole;
    int64_t ns = whole * NS_PER_SECOND + (int64_t)(part * NS_PER_SECOND);
    // However short, it is not 0, which would mean non-blocking.
    return ns == 0 && seconds > 0 ? 1 : ns;
}
#else
static int64_t get_seconds(mp_obj_t obj) {
    int64_t seconds = far_mp_get_int(obj, 0, MP_SMALL_INT_MAX);
    return MIN(seconds, TIMEOUT_MAX) * NS_PER_SECOND;
}
#endif

int64_t far_mp_get_timeout(mp_obj_t obj) {
    return obj == mp_const_none ? -1 : get_seconds(obj);
}

static struct far_mp_socket *get_open(mp_obj_t obj) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(obj);
    if (self->number < 0) {
        mp_raise_OSError(MP_EBADF);
    }
    return self;
}

static mp_obj_t settimeout_method(mp_obj_t self_obj, mp_obj_t seconds) {
    struct far_mp_socket *self = get_open(self_obj);
    self->timeout_ns = far_mp_get_timeout(seconds);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(far_mp_settimeout_obj, settimeout_method);

static mp_obj_t gettimeout_method(mp_obj_t self_obj) {
    int64_t ns = get_open(self_obj)->timeout_ns;
    if (ns < 0) {
        return mp_const_none;
    }
#if MICROPY_PY_BUILTINS_FLOAT
    return mp_obj_new_float((mp_float_t)ns / NS_PER_SECOND);
#else
    return mp_obj_new_int_from_ll(ns / NS_PER_SECOND);
#endif
}
MP_DEFINE_CONST_FUN_OBJ_1(far_mp_gettimeout_obj, gettimeout_method);

static mp_obj_t setblocking_method(mp_obj_t self_obj, mp_obj_t flag) {
    bool is_blocking = mp_obj_is_true(flag);
    get_open(self_obj)->timeout_ns = is_blocking ? -1 : 0;
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_2(far_mp_setblocking_obj, setblocking_method);

static mp_obj_t getblocking_method(mp_obj_t self_obj) {
    return mp_obj_new_bool(get_open(self_obj)->timeout_ns != 0);
}
MP_DEFINE_CONST_FUN_OBJ_1(far_mp_getblocking_obj, getblocking_method);
