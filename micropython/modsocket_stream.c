// A socket as a MicroPython stream: read, readinto, readline, write, poll.
// SPDX-License-Identifier: MIT
//
// The methods are not those of py/stream.c: there a timeout would begin anew
// with every piece, and readline() would make a call per byte.

#include "modsocket.h"

#include <string.h>

#include "py/mperrno.h"
#include "py/runtime.h"

#define LINE_CHUNK 128u // bytes of a line that are looked at at once
#define ALL_MIN    512u // bytes by which read() grows its result
#define ALL_MAX    0x10000u

// --- The protocol -----------------------------------------------------------

// The socket of an object, a subclass's too: streams are called with the object
// as it is. NULL before a subclass's __init__() has called ours.
static struct far_mp_socket *socket_of(mp_obj_t obj) {
    mp_const_obj_t type = MP_OBJ_FROM_PTR(&far_mp_type_socket);
    mp_obj_t native = mp_obj_cast_to_native_base(obj, type);
    return native != MP_OBJ_NULL && mp_obj_is_type(native, &far_mp_type_socket)
               ? MP_OBJ_TO_PTR(native)
               : NULL;
}

static mp_uint_t no_socket(int *errcode) {
    *errcode = MP_EBADF;
    return MP_STREAM_ERROR;
}

static mp_uint_t finish(int32_t ret, uint64_t deadline_ns, int *errcode) {
    if (ret < 0) {
        *errcode = far_mp_errno(ret, deadline_ns);
        return MP_STREAM_ERROR;
    }
    return (mp_uint_t)ret;
}

static mp_uint_t stream_read(mp_obj_t obj, void *buf, mp_uint_t size,
    int *errcode) {
    struct far_mp_socket *self = socket_of(obj);
    if (self == NULL) {
        return no_socket(errcode);
    }
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    int32_t ret = far_mp_recv(self, buf, size, 0, NULL, deadline_ns);
    return finish(ret, deadline_ns, errcode);
}

static mp_uint_t stream_write(mp_obj_t obj, const void *buf, mp_uint_t size,
    int *errcode) {
    struct far_mp_socket *self = socket_of(obj);
    if (self == NULL) {
        return no_socket(errcode);
    }
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    int32_t ret = far_mp_send(self, buf, size, 0, NULL, deadline_ns);
    return finish(ret, deadline_ns, errcode);
}

static mp_uint_t poll_once(struct far_mp_socket *self, uintptr_t events) {
    far_mp_asked();
    struct far_link *near = far_mp_enter(self);
    uint32_t ready = FAR_POLLNVAL;
    if (near != NULL) {
        ready = far_ready(near, self->sock, (uint32_t)events, true);
    }
    far_mp_leave(self, near);
    return ready;
}

static mp_uint_t stream_ioctl(mp_obj_t obj, mp_uint_t request, uintptr_t arg,
    int *errcode) {
    struct far_mp_socket *self = socket_of(obj);
    if (self == NULL) {
        return no_socket(errcode);
    }
    switch (request) {
        case MP_STREAM_POLL:
            return poll_once(self, arg);
        case MP_STREAM_CLOSE:
            far_mp_socket_close(self);
            return 0;
        default:
            // GET_FILENO too: our number is not the kernel's.
            *errcode = MP_EINVAL;
            return MP_STREAM_ERROR;
    }
}

const mp_stream_p_t far_mp_stream_p = {
    .read = stream_read,
    .write = stream_write,
    .ioctl = stream_ioctl,
};

// --- Reading ----------------------------------------------------------------

// What a method says that moved nothing: None if it would block (vendor's
// scripts: empty), else it raises.
static mp_obj_t nothing(int err, uint64_t deadline_ns, mp_obj_t empty) {
    int code = far_mp_errno(err, deadline_ns);
    if (code != MP_EAGAIN) {
        mp_raise_OSError(code);
    }
    return far_mp_compat_k230() ? empty : mp_const_none;
}

static bool would_block(int err, uint64_t deadline_ns) {
    return far_mp_errno(err, deadline_ns) == MP_EAGAIN;
}

static void check_open(struct far_mp_socket *self) {
    if (self->number < 0) {
        mp_raise_OSError(MP_EBADF);
    }
}

// As many as size bytes, unless the stream ends or blocks: < 0 if it blocked or
// failed. Where a timeout or an error comes in the middle, what was there
// before is lost, as in py/stream.c.
static mp_int_t read_exactly(struct far_mp_socket *self, char *buf, size_t size,
    uint64_t deadline_ns) {
    bool waits = deadline_ns != FAR_NOWAIT && self->type == FAR_SOCK_STREAM;
    size_t done = 0;
    while (done < size) {
        int32_t ret = far_mp_recv(self, buf + done, size - done,
            waits ? FAR_MSG_WAITALL : 0u, NULL, deadline_ns);
        if (ret < 0 && (done == 0 || !would_block(ret, deadline_ns))) {
            return ret;
        }
        if (ret <= 0) {
            break;
        }
        done += (size_t)ret;
        if (done < size && far_mp_late(deadline_ns) != FAR_OK) {
            return FAR_ETIMEDOUT;
        }
    }
    return (mp_int_t)done;
}

static mp_obj_t read_all(struct far_mp_socket *self) {
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    vstr_t vstr;
    vstr_init(&vstr, ALL_MIN);
    for (;;) {
        size_t room = MIN(MAX(vstr.len / 4, ALL_MIN), ALL_MAX);
        char *p = vstr_add_len(&vstr, room);
        int32_t ret = far_mp_recv(self, p, room, 0, NULL, deadline_ns);
        vstr_cut_tail_bytes(&vstr, room - (ret > 0 ? (size_t)ret : 0));
        bool blocked = ret < 0 && would_block(ret, deadline_ns);
        if (ret == 0 || (blocked && vstr.len > 0)) {
            return mp_obj_new_bytes_from_vstr(&vstr);
        }
        ret = ret > 0 ? far_mp_late(deadline_ns) : ret;
        if (ret < 0) {
            vstr_clear(&vstr);
            return nothing(ret, deadline_ns, mp_const_empty_bytes);
        }
    }
}

// read([size])
static mp_obj_t read_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    check_open(self);
    if (n_args < 2 || args[1] == mp_const_none ||
        args[1] == MP_OBJ_NEW_SMALL_INT(-1)) {
        return read_all(self);
    }
    size_t size = far_mp_get_size(args[1]);
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    vstr_t vstr;
    vstr_init_len(&vstr, size);
    mp_int_t ret = read_exactly(self, vstr.buf, size, deadline_ns);
    if (ret < 0) {
        vstr_clear(&vstr);
        return nothing((int)ret, deadline_ns, mp_const_empty_bytes);
    }
    vstr.len = (size_t)ret;
    return mp_obj_new_bytes_from_vstr(&vstr);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_read_obj, 1, 2, read_method);

// readinto(buffer[, size])
static mp_obj_t readinto_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    check_open(self);
    mp_buffer_info_t buf;
    mp_get_buffer_raise(args[1], &buf, MP_BUFFER_WRITE);
    size_t size = buf.len;
    if (n_args > 2) {
        size = MIN(size, far_mp_get_size(args[2]));
    }
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    mp_int_t ret = read_exactly(self, buf.buf, size, deadline_ns);
    if (ret < 0) {
        return nothing((int)ret, deadline_ns, MP_OBJ_NEW_SMALL_INT(0));
    }
    return MP_OBJ_NEW_SMALL_INT(ret);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_readinto_obj, 2, 3, readinto_method);

// Appends the next piece of a line: its bytes, 0 at the end, or a far_err. On
// anything but a stream each byte is a datagram's first, as py/stream.c has it.
static int32_t read_piece(struct far_mp_socket *self, vstr_t *vstr, size_t room,
    uint64_t deadline_ns) {
    bool peeks = self->type == FAR_SOCK_STREAM;
    for (;;) {
        char chunk[LINE_CHUNK];
        size_t take = 1;
        if (peeks) {
            int32_t seen = far_mp_recv(self, chunk, MIN(room, sizeof(chunk)),
                FAR_MSG_PEEK, NULL, deadline_ns);
            if (seen <= 0) {
                return seen;
            }
            const char *end = memchr(chunk, '\n', (size_t)seen);
            take = end != NULL ? (size_t)(end - chunk) + 1u : (size_t)seen;
        }
        // Room first: what is taken must not be lost for want of memory.
        char *p = vstr_add_len(vstr, take);
        int32_t ret = far_mp_recv(self, p, take, 0, NULL,
            peeks ? FAR_NOWAIT : deadline_ns);
        vstr_cut_tail_bytes(vstr, take - (ret > 0 ? (size_t)ret : 0));
        if (!peeks || ret != FAR_EAGAIN) {
            return ret;
        }
        // Another thread was faster.
    }
}

static mp_obj_t read_line(struct far_mp_socket *self, size_t max) {
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    vstr_t vstr;
    vstr_init(&vstr, 16);
    while (vstr.len < max) {
        int32_t ret = read_piece(self, &vstr, max - vstr.len, deadline_ns);
        bool blocked = ret < 0 && would_block(ret, deadline_ns);
        if (ret < 0 && (!blocked || vstr.len == 0)) {
            vstr_clear(&vstr);
            return nothing(ret, deadline_ns, mp_const_empty_bytes);
        }
        if (ret <= 0 || vstr.buf[vstr.len - 1] == '\n') {
            break;
        }
        if (vstr.len < max && far_mp_late(deadline_ns) != FAR_OK) {
            mp_raise_OSError(MP_ETIMEDOUT);
        }
    }
    return mp_obj_new_bytes_from_vstr(&vstr);
}

// readline([size])
static mp_obj_t readline_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    check_open(self);
    if (n_args < 2 || args[1] == mp_const_none ||
        args[1] == MP_OBJ_NEW_SMALL_INT(-1)) {
        return read_line(self, SIZE_MAX);
    }
    return read_line(self, far_mp_get_size(args[1]));
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_readline_obj, 1, 2, readline_method);

static mp_obj_t readlines_method(mp_obj_t self) {
    check_open(MP_OBJ_TO_PTR(self));
    mp_obj_t lines = mp_obj_new_list(0, NULL);
    mp_obj_t line;
    while (mp_obj_is_true(line = read_line(MP_OBJ_TO_PTR(self), SIZE_MAX))) {
        mp_obj_list_append(lines, line);
    }
    return lines;
}
MP_DEFINE_CONST_FUN_OBJ_1(far_mp_readlines_obj, readlines_method);

// --- Writing ----------------------------------------------------------------

// The part of a buffer that write(buf, len) and write(buf, offset, len) mean.
static void get_part(mp_buffer_info_t *buf, size_t n_args,
    const mp_obj_t *args) {
    mp_get_buffer_raise(args[1], buf, MP_BUFFER_READ);
    if (n_args > 3) {
        size_t offset = MIN(far_mp_get_size(args[2]), buf->len);
        buf->buf = (char *)buf->buf + offset;
        buf->len -= offset;
    }
    if (n_args > 2) {
        buf->len = MIN(buf->len, far_mp_get_size(args[n_args - 1]));
    }
}

// write(data), write(data, size), write(data, offset, size)
static mp_obj_t write_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    check_open(self);
    mp_buffer_info_t buf;
    get_part(&buf, n_args, args);
    uint64_t deadline_ns = far_mp_deadline(self, 0);
    size_t done = 0;
    while (done < buf.len) {
        int32_t ret = far_mp_send(self, (const char *)buf.buf + done,
            buf.len - done, 0, NULL, deadline_ns);
        if (ret < 0 && would_block(ret, deadline_ns)) {
            return done > 0 ? MP_OBJ_NEW_SMALL_INT(done) : mp_const_none;
        }
        done += ret > 0 ? (size_t)ret : 0;
        ret = ret >= 0 && done < buf.len ? far_mp_late(deadline_ns) : ret;
        if (ret < 0) {
            far_mp_raise(ret, deadline_ns);
        }
    }
    return MP_OBJ_NEW_SMALL_INT(done);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_write_obj, 2, 4, write_method);
