// Users and groups as a configuration names them.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_IDS_H
#define FARSOCKD_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define IDS_MAX  16
#define IDS_NONE UINT32_MAX // no user or group has it

struct id_list {
    uint32_t count; // 0: nobody was named
    uint32_t ids[IDS_MAX];
};

// The number of a user (group) given by name or number. False: there is none.
bool id_of_user(const char *text, uint32_t *id);
bool id_of_group(const char *text, uint32_t *id);

// Adds those of a list with commas or spaces. 0, or -1 and why not.
int ids_add(struct id_list *list, const char *text,
    bool (*find)(const char *text, uint32_t *id), char *reason,
    size_t reason_len);

bool ids_has(const struct id_list *list, uint32_t id);

// "name = 0,1000", or nothing for an empty list. As many as a list may have fit
// in a line of the file.
void ids_print(const char *name, const struct id_list *list, FILE *out);

#endif
