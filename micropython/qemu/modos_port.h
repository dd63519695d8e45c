// Random numbers, for MicroPython's os module, which includes this.
// SPDX-License-Identifier: MIT
#include "py/mperrno.h"
#include "py/runtime.h"
#include "virt.h"

static mp_obj_t mp_os_urandom(mp_obj_t count) {
    mp_int_t n = mp_obj_get_int(count);
    vstr_t vstr;
    vstr_init_len(&vstr, (size_t)n);
    if (!virt_random(vstr.buf, (size_t)n)) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&vstr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
