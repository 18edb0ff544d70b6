#include "vmm/cli/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/nearest.h"
#include "vmm/cli/cli.h"

/* Newer than the headers of Debian 12. */
#define MDWE         65 /* PR_SET_MDWE */
#define MDWE_REFUSE  1  /* PR_MDWE_REFUSE_EXEC_GAIN */
#define FS_REFER     (1ull << 13)
#define FS_TRUNCATE  (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define NET_TCP      3ull /* bind and connect */
#define SCOPED       3ull /* abstract Unix sockets and signals */

struct ruleset { /* struct landlock_ruleset_attr of Landlock ABI 6 */
    uint64_t fs, net, scoped;
};

/* Rights that a file which is no directory can have. */
#define OF_FILES                                                                                                       \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE |         \
     FS_IOCTL_DEV)
#define TO_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* All that this ABI can take: what it does not know it would refuse. */
static uint64_t all_of_fs(int abi)
{
    uint64_t all = FS_REFER - 1;
    if (abi >= 2) all |= FS_REFER;
    if (abi >= 3) all |= FS_TRUNCATE;
    if (abi >= 5) all |= FS_IOCTL_DEV;
    return all;
}

static int add_path(int ruleset, const struct confine_path *p, uint64_t all)
{
    struct stat st;
    const int fd = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = p->is_writable ? all : TO_READ};
    int rc = fstat(fd, &st) ? -errno : 0;
    /* Nothing that is written there is ever run. */
    rule.allowed_access &= ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    if (!rc && !S_ISDIR(st.st_mode)) rule.allowed_access &= OF_FILES;
    if (!rc && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u)) rc = -errno;
    (void)close(fd);
    return rc;
}

static int landlock(const struct confine_wish *w)
{
    const int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) return -errno;
    const struct ruleset set = {.fs = all_of_fs(abi), .net = abi >= 4 ? NET_TCP : 0, .scoped = abi >= 6 ? SCOPED : 0};
    const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    const int fd = (int)syscall(SYS_landlock_create_ruleset, &set, size, 0u);
    if (fd < 0) return -errno;
    int rc = 0;
    for (unsigned i = 0; i < w->paths && !rc; i++) rc = add_path(fd, &w->path[i], set.fs);
    if (!rc && syscall(SYS_landlock_restrict_self, fd, 0u)) rc = -errno;
    (void)close(fd);
    return rc;
}

static int no_core(const struct confine_wish *w)
{
    const struct rlimit none = {0, 0};
    (void)w;
    return setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}

static int no_new_privs(const struct confine_wish *w)
{
    (void)w;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static int no_exec_gain(const struct confine_wish *w)
{
    (void)w;
    return prctl(MDWE, MDWE_REFUSE, 0, 0, 0) ? -errno : 0;
}

static int not_dumpable(const struct confine_wish *w)
{
    (void)w;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -errno : 0;
}

static const struct {
    const char *name;
    int (*apply)(const struct confine_wish *w);
    const char *needs;
} layer[CONFINE_LAYERS] = {
    {"core", no_core, "a resource limit that can be lowered"},
    {"no-new-privs", no_new_privs, "Linux 3.5"},
    {"no-exec-gain", no_exec_gain, "Linux 6.3"},
    {"not-dumpable", not_dumpable, "Linux"},
    {"landlock", landlock, "Linux 5.13 with landlock among its security modules (lsm=)"},
};

const char *confine_layer(unsigned index)
{
    return index < CONFINE_LAYERS ? layer[index].name : NULL;
}

static bool is_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

/* Every word is a layer. */
static int check_required(const char *list, struct vireo_error *e)
{
    const char *names[CONFINE_LAYERS + 1] = {NULL};
    char word[32];
    for (unsigned i = 0; i < CONFINE_LAYERS; i++) names[i] = layer[i].name;
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, ","), at);
        bool is_known = strcmp(word, "all") == 0;
        for (unsigned i = 0; i < CONFINE_LAYERS; i++) is_known |= strcmp(word, layer[i].name) == 0;
        if (is_known) continue;
        bad_command(e, "require %.100s: there is no layer \"%s\"", list, word);
        if (!nearest_hint(e->hint, sizeof(e->hint), "", word, WORDS_IN(names)))
            (void)snprintf(e->hint, sizeof(e->hint),
                           "core, no-new-privs, no-exec-gain, not-dumpable, landlock, or all");
        return e->code;
    }
    return 0;
}

int confine(const struct confine_wish *w, unsigned *layers, struct vireo_error *e)
{
    *layers = 0;
    int rc = w->required ? check_required(w->required, e) : 0;
    for (unsigned i = 0; i < CONFINE_LAYERS && !rc; i++) {
        const int error = layer[i].apply(w);
        if (!error) {
            *layers |= 1u << i;
        } else if (w->required && (is_word(w->required, layer[i].name) || is_word(w->required, "all"))) {
            rc = bad_call(e, -error, "require: the layer %s can't be had here", layer[i].name);
            e->exit_status = STATUS_BAD_HOST;
            (void)snprintf(e->hint, sizeof(e->hint), "it takes %s", layer[i].needs);
        }
    }
    return rc;
}
