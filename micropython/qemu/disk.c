// A disk in memory, for the file system. It is C because files are closed while
// garbage is collected, where Python code gets no memory.
// SPDX-License-Identifier: MIT
#include <string.h>

#include "extmod/vfs.h"
#include "py/mperrno.h"
#include "py/objarray.h"
#include "py/runtime.h"

#include "disk.h"

#define BLOCK_BYTES 512u
#define BLOCKS      4096u

static uint8_t disk[BLOCKS * BLOCK_BYTES];

// The place of a buffer's bytes, which begin at block n.
static uint8_t *at(mp_obj_t n_in, size_t len) {
    mp_int_t n = mp_obj_get_int(n_in);
    if (n < 0 || (size_t)n > BLOCKS ||
        len > (BLOCKS - (size_t)n) * BLOCK_BYTES) {
        mp_raise_OSError(MP_EINVAL);
    }
    return disk + (size_t)n * BLOCK_BYTES;
}

static mp_obj_t readblocks(mp_obj_t self, mp_obj_t n, mp_obj_t buf) {
    (void)self;
    mp_buffer_info_t b;
    mp_get_buffer_raise(buf, &b, MP_BUFFER_WRITE);
    memcpy(b.buf, at(n, b.len), b.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_3(readblocks_obj, readblocks);

static mp_obj_t writeblocks(mp_obj_t self, mp_obj_t n, mp_obj_t buf) {
    (void)self;
    mp_buffer_info_t b;
    mp_get_buffer_raise(buf, &b, MP_BUFFER_READ);
    memcpy(at(n, b.len), b.buf, b.len);
    return MP_OBJ_NEW_SMALL_INT(0);
}
static MP_DEFINE_CONST_FUN_OBJ_3(writeblocks_obj, writeblocks);

static mp_obj_t control(mp_obj_t self, mp_obj_t op, mp_obj_t arg) {
    (void)self;
    (void)arg;
    switch (mp_obj_get_int(op)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCKS);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_BYTES);
        default:
            return mp_const_none;
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(control_obj, control);

static const mp_rom_map_elem_t locals_table[] = {
    {MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&readblocks_obj)},
    {MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&writeblocks_obj)},
    {MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&control_obj)},
};
static MP_DEFINE_CONST_DICT(locals, locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(disk_type, MP_QSTR_Disk, MP_TYPE_FLAG_NONE,
    locals_dict, &locals);

const mp_obj_base_t far_disk = {&disk_type};
