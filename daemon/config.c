// What farsockd can be told: one table of keys, their bounds and defaults.
// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "daemon/ivshmem.h"
#include "daemon/log.h"
#include "farsock/wire.h"

enum kind {
    KIND_NUMBER,
    KIND_SIZE,  // bytes; K and M as suffixes
    KIND_OCTAL, // permission bits
    KIND_LEVEL,
    KIND_LINK, // may be given more than once
    KIND_YES,
    KIND_USER,
    KIND_GROUP,
    KIND_USERS, // a struct id_list
    KIND_GROUPS,
};

struct key {
    const char *section;
    const char *name;
    enum kind kind;
    size_t offset; // of an uint32_t in struct config
    uint32_t min;
    uint32_t max;
    uint32_t preset;
};

#define SECTION_MAX 50 // what inih keeps of a section's name

#define AT(field) offsetof(struct config, field)

// clang-format off
static const struct key keys[] = {
    {"daemon", "link",        KIND_LINK,   0,               0, 0, 0},
    {"daemon", "log-level",   KIND_LEVEL,  AT(log_level),   0, 0, FAR_LOG_INFO},
    {"daemon", "mode",        KIND_OCTAL,  AT(mode),        0, 0777, 0660},
    {"daemon", "group",       KIND_GROUP,  AT(group),       0, 0, IDS_NONE},
    {"daemon", "user",        KIND_USER,   AT(user),        0, 0, IDS_NONE},
    {"daemon", "allow-users", KIND_USERS,  AT(allow_users), 0, 0, 0},
    {"daemon", "allow-groups", KIND_GROUPS, AT(allow_groups), 0, 0, 0},
    {"daemon", "seccomp",     KIND_YES,    AT(seccomp),     0, 1, 1},
    {"link",   "sockets",     KIND_NUMBER, AT(sockets),     1, FAR_SOCKETS_MAX, 1024},
    {"link",   "max-sockets", KIND_NUMBER, AT(max_sockets), 1, FAR_SOCKETS_MAX, 16384},
    {"link",   "tags",        KIND_NUMBER, AT(tags),        1, FAR_TAGS_MAX, 64},
    {"link",   "tx-ring",     KIND_SIZE,   AT(tx_ring),     FAR_RING_MIN, FAR_RING_MAX, 256u << 10},
    {"link",   "rx-ring",     KIND_SIZE,   AT(rx_ring),     FAR_RING_MIN, FAR_RING_MAX, 512u << 10},
    {"link",   "max-ring",    KIND_SIZE,   AT(max_ring),    FAR_RING_MIN, FAR_RING_MAX, 4u << 20},
    {"link",   "max-links",   KIND_NUMBER, AT(max_links),   1, 4096, 64},
    {"link",   "lookups",     KIND_NUMBER, AT(lookups),     1, 64, 4},
    {"link",   "open-sockets",   KIND_NUMBER, AT(open_sockets),  0, FAR_SOCKETS_MAX, 0},
    {"link",   "max-tags",       KIND_NUMBER, AT(max_tags),      1, FAR_TAGS_MAX, FAR_TAGS_MAX},
    {"link",   "max-memory",     KIND_NUMBER, AT(max_memory),    0, UINT32_MAX, 0},
    {"link",   "max-lookups",    KIND_NUMBER, AT(max_lookups),   0, FAR_TAGS_MAX, 0},
    {"link",   "max-incoming",   KIND_NUMBER, AT(max_incoming),  0, FAR_SOCKETS_MAX, 0},
    {"link",   "max-orphans",    KIND_SIZE,   AT(max_orphans),   0, 1u << 31, 16u << 20},
    {"link",   "orphans",        KIND_SIZE,   AT(orphans),       0, 1u << 31, 256u << 20},
    {"link",   "orphan-time",    KIND_NUMBER, AT(orphan_time),   1, 1000000, 600},
    {"link",   "links-per-user", KIND_NUMBER, AT(links_per_user), 0, 4096, 0},
    {"link",   "ivshmem-memory",  KIND_SIZE,   AT(ivshmem_memory),  1u << 18, 1u << 30, 16u << 20},
    {"link",   "ivshmem-sockets", KIND_NUMBER, AT(ivshmem_sockets), 1, FAR_SOCKETS_MAX, 64},
    {"link",   "ivshmem-tags",    KIND_NUMBER, AT(ivshmem_tags),    1, FAR_TAGS_MAX, 16},
};
// clang-format on
#define KEYS (sizeof(keys) / sizeof keys[0])

static uint32_t *field(struct config *c, const struct key *k) {
    return (uint32_t *)(void *)((char *)c + k->offset);
}

void config_init(struct config *c) {
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].kind != KIND_LINK) {
            *field(c, &keys[i]) = keys[i].preset; // of a list, its count
        }
    }
}

void config_free(struct config *c) {
    policy_free(&c->policy);
}

// --- Values ---

static uint32_t shift_of(enum kind kind, char suffix) {
    if (kind != KIND_SIZE) {
        return 0;
    }
    return suffix == 'K' ? 10 : suffix == 'M' ? 20 : 0;
}

// -1: no number. Never wraps: what is too large stays so.
static int parse_number(enum kind kind, const char *text, uint64_t *out) {
    int base = kind == KIND_OCTAL ? 8 : 10;
    if (text[0] < '0' || text[0] > '9') { // strtoull takes signs and spaces
        return -1;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    uint32_t shift = shift_of(kind, *end);
    if (errno == ERANGE || value > UINT32_MAX) {
        value = UINT32_MAX + 1ull;
    }
    if (shift > 0) {
        end++;
    }
    *out = (uint64_t)value << shift;
    return *end == '\0' ? 0 : -1;
}

static int set_number(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    uint64_t value;
    bool octal = k->kind == KIND_OCTAL;
    if (parse_number(k->kind, text, &value) < 0) {
        snprintf(reason, reason_len, "%s: \"%s\" is no %s", k->name, text,
            octal ? "octal number" : "number");
        return -1;
    }
    if (value < k->min || value > k->max) {
        snprintf(reason, reason_len,
            octal ? "%s: %s is not within %o to %o"
                  : "%s: %s is not within %u to %u",
            k->name, text, k->min, k->max);
        return -1;
    }
    *field(c, k) = (uint32_t)value;
    return 0;
}

static int set_level(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    int level = far_log_level_parse(text);
    if (level < 0) {
        snprintf(reason, reason_len,
            "%s: \"%s\" is none of error, warn, info, debug", k->name, text);
        return -1;
    }
    *field(c, k) = (uint32_t)level;
    return 0;
}

static const char *wrong_with_path(const struct config *c, const char *path) {
    struct sockaddr_un sun;
    if (path[0] == '\0') {
        return "the path is empty";
    }
    const char *kind = strncmp(path, IVSHMEM_PREFIX, 8) == 0 ? path + 8 : path;
    if (kind[0] == '\0') {
        return "the path is empty";
    }
    if (strlen(kind) >= sizeof(sun.sun_path)) {
        return "the path is too long for a socket (at most 107 bytes)";
    }
    for (uint32_t i = 0; i < c->links; i++) {
        if (strcmp(c->link[i], path) == 0) {
            return "the path is given twice";
        }
    }
    return c->links < CONFIG_LINKS ? NULL : "too many links (at most 16)";
}

int config_add_link(struct config *c, const char *path, char *reason,
    size_t reason_len) {
    const char *wrong = wrong_with_path(c, path);
    if (wrong != NULL) {
        snprintf(reason, reason_len, "link %.*s%s: %s", CONFIG_TEXT, path,
            strlen(path) > CONFIG_TEXT ? "..." : "", wrong);
        return -1;
    }
    memcpy(c->link[c->links++], path, strlen(path) + 1); // it fits: checked
    return 0;
}

static int set_yes(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    bool yes = strcmp(text, "yes") == 0;
    if (!yes && strcmp(text, "no") != 0) {
        snprintf(reason, reason_len, "%s: \"%s\" is neither yes nor no",
            k->name, text);
        return -1;
    }
    *field(c, k) = yes;
    return 0;
}

static int set_id(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    if (k->kind == KIND_USER ? id_of_user(text, field(c, k))
                             : id_of_group(text, field(c, k))) {
        return 0;
    }
    snprintf(reason, reason_len, "%s: there is no \"%s\"", k->name, text);
    return -1;
}

static int set_ids(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    char why[CONFIG_REASON / 2];
    struct id_list *list = (struct id_list *)(void *)field(c, k);
    if (ids_add(list, text, k->kind == KIND_USERS ? id_of_user : id_of_group,
            why, sizeof why) == 0) {
        return 0;
    }
    snprintf(reason, reason_len, "%s: %s", k->name, why);
    return -1;
}

static int set_value(struct config *c, const struct key *k, const char *text,
    char *reason, size_t reason_len) {
    if (k->kind == KIND_LINK) {
        return config_add_link(c, text, reason, reason_len);
    }
    uint64_t bit = UINT64_C(1) << (k - keys);
    if (c->given & bit) {
        snprintf(reason, reason_len, "%s: given twice", k->name);
        return -1;
    }
    c->given |= bit;
    switch (k->kind) {
        case KIND_LEVEL:
            return set_level(c, k, text, reason, reason_len);
        case KIND_YES:
            return set_yes(c, k, text, reason, reason_len);
        case KIND_USER:
        case KIND_GROUP:
            return set_id(c, k, text, reason, reason_len);
        case KIND_USERS:
        case KIND_GROUPS:
            return set_ids(c, k, text, reason, reason_len);
        case KIND_NUMBER:
        case KIND_SIZE:
        case KIND_OCTAL:
        case KIND_LINK:
        default:
            return set_number(c, k, text, reason, reason_len);
    }
}

// --- The file ---

// inih tells the number of the first wrong line, but not to the handler, and
// nothing of a section without keys: so lines are counted where they are read.
struct reading {
    struct config *config;
    FILE *in;
    int line;
    bool is_wrong;
    int wrong_line; // 0: the file as a whole
    char wrong[CONFIG_REASON];
};

__attribute__((format(printf, 2, 3))) static void complain(struct reading *r,
    const char *fmt, ...) {
    if (r->is_wrong) {
        return;
    }
    r->is_wrong = true;
    r->wrong_line = r->line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->wrong, sizeof(r->wrong), fmt, args);
    va_end(args);
}

// "policy", or "policy NAME".
static bool is_policy(const char *name) {
    return strncmp(name, "policy", 6) == 0 &&
           (name[6] == '\0' || name[6] == ' ');
}

static bool section_is_known(const char *name, size_t len) {
    for (size_t i = 0; i < KEYS; i++) {
        if (strlen(keys[i].section) == len &&
            strncmp(keys[i].section, name, len) == 0) {
            return true;
        }
    }
    return false;
}

static void check_section(struct reading *r, const char *text) {
    size_t len = strcspn(text + 1, "]\n");
    char name[SECTION_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)len, text + 1);
    if (text[1 + len] != ']') {
        complain(r, "a section without its ]");
    } else if (is_policy(name) && len < SECTION_MAX) {
        char reason[CONFIG_REASON];
        if (policy_section(&r->config->policy, name, reason, sizeof reason) <
            0) {
            complain(r, "%s", reason);
        }
    } else if (!section_is_known(text + 1, len)) {
        complain(r, "unknown section [%.*s]", (int)len, text + 1);
    }
}

// What is too long for inih. Comments may be as long as they like.
static bool is_cut_comment(struct reading *r, const char *text) {
    if (text[0] != '#' && text[0] != ';') {
        return false;
    }
    for (int c = 0; c != '\n' && c != EOF;) {
        c = fgetc(r->in);
    }
    return true;
}

// What inih would skip: so it knows no section that we do not.
static size_t indent_of(const char *text, int line) {
    static const char bom[] = "\xef\xbb\xbf";
    size_t n = 0;
    for (;;) {
        n += strspn(text + n, " \t\v\f\r");
        if (line != 1 || strncmp(text + n, bom, sizeof bom - 1) != 0) {
            return n;
        }
        n += sizeof bom - 1;
    }
}

// An ini_reader. Indentation goes, because inih would take an indented line
// for more of the value before it.
static char *read_line(char *text, int room, void *stream) {
    struct reading *r = stream;
    if (r->is_wrong || fgets(text, room, r->in) == NULL) {
        return NULL;
    }
    r->line++;
    size_t len = strlen(text);
    size_t indent = indent_of(text, r->line);
    bool cut = (int)len == room - 1 && text[len - 1] != '\n';
    memmove(text, text + indent, len - indent + 1);
    if (cut && !is_cut_comment(r, text)) {
        complain(r, "the line is too long");
        return NULL;
    }
    if (text[0] == '[') {
        check_section(r, text);
    }
    return text;
}

static int take_key(void *user, const char *section, const char *name,
    const char *value) {
    struct reading *r = user;
    char reason[CONFIG_REASON];
    if (is_policy(section)) {
        if (policy_set_key(&r->config->policy, name, value, (uint32_t)r->line,
                reason, sizeof reason) < 0) {
            complain(r, "%s", reason);
        }
        return !r->is_wrong;
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(section, keys[i].section) == 0 &&
            strcmp(name, keys[i].name) == 0) {
            if (set_value(r->config, &keys[i], value, reason, sizeof(reason))) {
                complain(r, "%s", reason);
            }
            return !r->is_wrong;
        }
    }
    if (section[0] == '\0') {
        complain(r, "%s stands before any section", name);
    } else {
        complain(r, "unknown key %s in [%s]", name, section);
    }
    return 0;
}

// Defaults follow a maximum that was lowered; two given values that contradict
// each other are a mistake.
static void reconcile(struct reading *r, const char *name, const char *max) {
    const struct key *k = keys;
    const struct key *m = keys;
    while (strcmp(k->name, name) != 0) {
        k++;
    }
    while (strcmp(m->name, max) != 0) {
        m++;
    }
    uint32_t *value = field(r->config, k);
    uint32_t bound = *field(r->config, m);
    if (*value <= bound) {
        return;
    }
    if (r->config->given & (UINT64_C(1) << (k - keys))) {
        complain(r, "%s is above %s", name, max);
    }
    *value = bound;
}

static void read_all(struct reading *r) {
    int line = ini_parse_stream(read_line, r, take_key, r);
    if (ferror(r->in)) {
        complain(r, "cannot be read: %s", strerror(errno));
    }
    if (line != 0 && !r->is_wrong) {
        r->line = line < 0 ? r->line : line;
        complain(r,
            line < 0 ? "out of memory" : "neither [section] nor key = value");
    }
    reconcile(r, "sockets", "max-sockets");
    reconcile(r, "tags", "max-tags");
    reconcile(r, "tx-ring", "max-ring");
    reconcile(r, "rx-ring", "max-ring");
    if (r->config->ivshmem_memory & (r->config->ivshmem_memory - 1u)) {
        complain(r, "ivshmem-memory is no power of two");
    }
}

int config_read(struct config *c, const char *file, char *reason,
    size_t reason_len) {
    struct reading r = {.config = c, .in = fopen(file, "re")};
    if (r.in == NULL) {
        snprintf(reason, reason_len, "%s: %s", file, strerror(errno));
        return -1;
    }
    read_all(&r);
    fclose(r.in);
    if (!r.is_wrong) {
        return 0;
    }
    if (r.wrong_line == 0) {
        snprintf(reason, reason_len, "%s: %s", file, r.wrong);
    } else {
        snprintf(reason, reason_len, "%s:%d: %s", file, r.wrong_line, r.wrong);
    }
    return -1;
}

// --- What was understood ---

static void print_value(const struct config *c, const struct key *k,
    FILE *out) {
    uint32_t value =
        *(const uint32_t *)(const void *)((const char *)c + k->offset);
    const void *list = (const char *)c + k->offset;
    if (k->kind == KIND_USERS || k->kind == KIND_GROUPS) {
        ids_print(k->name, list, out);
    } else if (k->kind == KIND_USER || k->kind == KIND_GROUP) {
        if (value != IDS_NONE) {
            fprintf(out, "%s = %u\n", k->name, value);
        }
    } else if (k->kind == KIND_YES) {
        fprintf(out, "%s = %s\n", k->name, value ? "yes" : "no");
    } else if (k->kind == KIND_LEVEL) {
        fprintf(out, "%s = %s\n", k->name, far_log_level_name(value));
    } else if (k->kind == KIND_OCTAL) {
        fprintf(out, "%s = %04o\n", k->name, value);
    } else if (k->kind == KIND_SIZE && value % 1024 == 0) {
        fprintf(out, "%s = %uK\n", k->name, value / 1024);
    } else {
        fprintf(out, "%s = %u\n", k->name, value);
    }
}

void config_print(const struct config *c, FILE *out) {
    const char *section = "";
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(section, keys[i].section) != 0) {
            fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", keys[i].section);
            section = keys[i].section;
        }
        if (keys[i].kind != KIND_LINK) {
            print_value(c, &keys[i], out);
            continue;
        }
        for (uint32_t n = 0; n < c->links; n++) {
            fprintf(out, "link = %s\n", c->link[n]);
        }
    }
    policy_print(&c->policy, out);
}
