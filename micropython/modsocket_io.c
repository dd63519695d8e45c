// send() and recv() in all their forms.
// SPDX-License-Identifier: MIT

#include "modsocket.h"

#include "py/mperrno.h"
#include "py/runtime.h"

// recv(n) allocates no more than this whatever n is: all that one call can
// take of a datagram, and as good as more of a stream.
#define RECV_MAX 0x10000u

static size_t clamp(size_t len) {
    return MIN(len, (size_t)INT32_MAX);
}

int32_t far_mp_recv(struct far_mp_socket *self, void *buf, size_t len,
    uint32_t flags, struct far_addr *from, uint64_t deadline_ns) {
    int32_t ret;
    FAR_MP_CALL(ret, self,
        far_recvfrom(near, self->sock, buf, clamp(len), flags, from, NULL,
            deadline_ns));
    if (ret != 0 || self->type != FAR_SOCK_STREAM) {
        // A stream's end stays: once told is enough.
        far_mp_watch_again(self);
    }
    return ret;
}

int32_t far_mp_send(struct far_mp_socket *self, const void *buf, size_t len,
    uint32_t flags, const struct far_addr *to, uint64_t deadline_ns) {
    int32_t ret;
    FAR_MP_CALL(ret, self,
        far_sendto(near, self->sock, buf, clamp(len), flags, to, deadline_ns));
    return ret;
}

// --- recv -------------------------------------------------------------------

// A bytes object made of what arrived, which is written there at once.
static mp_obj_t recv_bytes(struct far_mp_socket *self, mp_obj_t size_obj,
    uint32_t flags, struct far_addr *from) {
    size_t size = far_mp_get_size(size_obj);
    bool all = (flags & FAR_MSG_WAITALL) && self->type == FAR_SOCK_STREAM;
    size = all ? size : MIN(size, RECV_MAX);
    vstr_t vstr;
    vstr_init_len(&vstr, size);
    uint64_t deadline_ns = far_mp_deadline(self, flags);
    int32_t ret = far_mp_recv(self, vstr.buf, size, flags, from, deadline_ns);
    if (ret < 0) {
        vstr_clear(&vstr);
        far_mp_raise(ret, deadline_ns);
    }
    // With MSG_TRUNC a datagram's length, of which less may be here.
    vstr.len = MIN((size_t)ret, size);
    return mp_obj_new_bytes_from_vstr(&vstr);
}

// recv(size[, flags])
static mp_obj_t recv_method(size_t n_args, const mp_obj_t *args) {
    uint32_t flags = n_args > 2 ? far_mp_get_u32(args[2]) : 0;
    return recv_bytes(MP_OBJ_TO_PTR(args[0]), args[1], flags, NULL);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recv_obj, 2, 3, recv_method);

// recvfrom(size[, flags]): (bytes, address); a stream's has None
static mp_obj_t recvfrom_method(size_t n_args, const mp_obj_t *args) {
    uint32_t flags = n_args > 2 ? far_mp_get_u32(args[2]) : 0;
    struct far_addr from = {0};
    mp_obj_t items[2];
    items[0] = recv_bytes(MP_OBJ_TO_PTR(args[0]), args[1], flags, &from);
    items[1] = far_mp_addr_new(&from);
    return mp_obj_new_tuple(2, items);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recvfrom_obj, 2, 3, recvfrom_method);

// buffer[, nbytes[, flags]]; 0 bytes means all of the buffer
static int32_t recv_buffer(size_t n_args, const mp_obj_t *args,
    struct far_addr *from) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    mp_buffer_info_t buf;
    mp_get_buffer_raise(args[1], &buf, MP_BUFFER_WRITE);
    size_t size = n_args > 2 ? far_mp_get_size(args[2]) : 0;
    uint32_t flags = n_args > 3 ? far_mp_get_u32(args[3]) : 0;
    if (size > buf.len) {
        mp_raise_ValueError(MP_ERROR_TEXT("nbytes is more than the buffer"));
    }
    size = size == 0 ? buf.len : size;
    uint64_t deadline_ns = far_mp_deadline(self, flags);
    int32_t ret = far_mp_recv(self, buf.buf, size, flags, from, deadline_ns);
    if (ret < 0) {
        far_mp_raise(ret, deadline_ns);
    }
    return ret;
}

// recv_into(buffer[, nbytes[, flags]])
static mp_obj_t recv_into_method(size_t n_args, const mp_obj_t *args) {
    return MP_OBJ_NEW_SMALL_INT(recv_buffer(n_args, args, NULL));
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recv_into_obj, 2, 4,
    recv_into_method);

// recvfrom_into(buffer[, nbytes[, flags]]): (count, address)
static mp_obj_t recvfrom_into_method(size_t n_args, const mp_obj_t *args) {
    struct far_addr from = {0};
    mp_obj_t items[2];
    items[0] = MP_OBJ_NEW_SMALL_INT(recv_buffer(n_args, args, &from));
    items[1] = far_mp_addr_new(&from);
    return mp_obj_new_tuple(2, items);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_recvfrom_into_obj, 2, 4,
    recvfrom_into_method);

// --- send -------------------------------------------------------------------

static mp_obj_t send_once(struct far_mp_socket *self, mp_obj_t data,
    uint32_t flags, const struct far_addr *to) {
    mp_buffer_info_t buf;
    mp_get_buffer_raise(data, &buf, MP_BUFFER_READ);
    uint64_t deadline_ns = far_mp_deadline(self, flags);
    int32_t ret = far_mp_send(self, buf.buf, buf.len, flags, to, deadline_ns);
    if (ret < 0) {
        far_mp_raise(ret, deadline_ns);
    }
    return MP_OBJ_NEW_SMALL_INT(ret);
}

// send(data[, flags])
static mp_obj_t send_method(size_t n_args, const mp_obj_t *args) {
    uint32_t flags = n_args > 2 ? far_mp_get_u32(args[2]) : 0;
    return send_once(MP_OBJ_TO_PTR(args[0]), args[1], flags, NULL);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_send_obj, 2, 3, send_method);

// sendto(data, address) or sendto(data, flags, address)
static mp_obj_t sendto_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    uint32_t flags = n_args > 3 ? far_mp_get_u32(args[2]) : 0;
    mp_buffer_info_t buf;
    mp_get_buffer_raise(args[1], &buf, MP_BUFFER_READ);
    struct far_addr to;
    far_mp_addr_get(self, args[n_args - 1], &to);
    return send_once(self, args[1], flags, &to);
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_sendto_obj, 3, 4, sendto_method);

// sendall(data[, flags]): nothing is said about what went before an error
static mp_obj_t sendall_method(size_t n_args, const mp_obj_t *args) {
    struct far_mp_socket *self = MP_OBJ_TO_PTR(args[0]);
    uint32_t flags = n_args > 2 ? far_mp_get_u32(args[2]) : 0;
    mp_buffer_info_t buf;
    mp_get_buffer_raise(args[1], &buf, MP_BUFFER_READ);
    uint64_t deadline_ns = far_mp_deadline(self, flags);
    const char *p = buf.buf;
    size_t left = buf.len;
    do { // once at least: an empty datagram is one
        int32_t ret = far_mp_send(self, p, left, flags, NULL, deadline_ns);
        if (ret >= 0) {
            p += ret;
            left -= (size_t)ret;
            ret = left > 0 ? far_mp_late(deadline_ns) : FAR_OK;
        }
        if (ret < 0) {
            far_mp_raise(ret, deadline_ns);
        }
    } while (left > 0);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(far_mp_sendall_obj, 2, 3, sendall_method);
