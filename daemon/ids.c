// Users and groups as a configuration names them.
// SPDX-License-Identifier: MIT
#include "daemon/ids.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(const char *text, uint32_t *id) {
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *id = (uint32_t)n;
    return *end == '\0' && errno == 0 && n < IDS_NONE;
}

bool id_of_user(const char *text, uint32_t *id) {
    const struct passwd *p = is_number(text, id) ? NULL : getpwnam(text);
    if (p != NULL) {
        *id = p->pw_uid;
    }
    return p != NULL || is_number(text, id);
}

bool id_of_group(const char *text, uint32_t *id) {
    const struct group *g = is_number(text, id) ? NULL : getgrnam(text);
    if (g != NULL) {
        *id = g->gr_gid;
    }
    return g != NULL || is_number(text, id);
}

int ids_add(struct id_list *list, const char *text,
    bool (*find)(const char *text, uint32_t *id), char *reason,
    size_t reason_len) {
    char word[64];
    for (;;) {
        text += strspn(text, ", \t");
        size_t len = strcspn(text, ", \t");
        if (len == 0) {
            break;
        }
        snprintf(word, sizeof word, "%.*s", (int)len, text);
        text += len;
        if (list->count == IDS_MAX) {
            snprintf(reason, reason_len, "more than %d", IDS_MAX);
            return -1;
        }
        if (len >= sizeof word || !find(word, &list->ids[list->count])) {
            snprintf(reason, reason_len, "there is no \"%s\"", word);
            return -1;
        }
        list->count++;
    }
    if (list->count == 0) {
        snprintf(reason, reason_len, "nobody is named");
        return -1;
    }
    return 0;
}

bool ids_has(const struct id_list *list, uint32_t id) {
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->ids[i] == id) {
            return true;
        }
    }
    return false;
}

void ids_print(const char *name, const struct id_list *list, FILE *out) {
    for (uint32_t i = 0; i < list->count; i++) {
        fprintf(out, i == 0 ? "%s = %u" : "%s%u", i == 0 ? name : ",",
            list->ids[i]);
    }
    if (list->count > 0) {
        fprintf(out, "\n");
    }
}
