// A disk in memory, for the file system.
// SPDX-License-Identifier: MIT
#ifndef FAR_DISK_H
#define FAR_DISK_H

#include "py/obj.h"

// A block device as vfs.VfsFat wants it. There is one.
extern const mp_obj_base_t far_disk;

#endif
