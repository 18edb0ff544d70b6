/* Settings of a sandbox: one table for the library, the command line and the help text. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/nearest.h"
#include "vmm/base/setting.h"
#include "vmm/config/value.h"
#include "vmm/lib/sandbox_lib.h"

#define MEMORY_DEFAULT (64ull << 20)
#define STACK_DEFAULT  (8ull << 20)

static int bad(const char *key, const char *value, const char *form, struct err *e)
{
    err_set(e, -EINVAL, "%s \"" VALUE_SHOWN "\": give %s", key, value, form);
    err_as(e, ERR_CONFIG);
    return -EINVAL;
}

static int set_size(const char *key, const char *value, uint64_t least, uint64_t most, uint64_t *out, struct err *e)
{
    uint64_t size;
    if (!value_size(value, &size)) return bad(key, value, "a size, such as 64M", e);
    if (size < least || size > most || size % SPACE_PAGE) {
        char low[VALUE_SIZE_MAX], high[VALUE_SIZE_MAX];
        value_show_size(least, low);
        value_show_size(most, high);
        err_set(e, -EINVAL, "%s %s: give whole pages of 4K, from %s to %s", key, value, low, high);
        err_as(e, ERR_CONFIG);
        return -EINVAL;
    }
    *out = size;
    return 0;
}

static int set_memory(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return set_size("memory", value, SPACE_MEMORY_MIN, SPACE_MEMORY_MAX, &c->want.limits.memory, e);
}

static int set_stack(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return set_size("stack", value, 256ull << 10, 1ull << 30, &c->want.limits.stack, e);
}

/* Seconds without a unit, as timeout(1) has them. */
static int set_time(const char *key, const char *value, uint64_t *out, struct err *e)
{
    uint64_t n;
    if (value_u64(value, &n) && n < UINT64_MAX / 1000000000) {
        *out = n * 1000000000;
        return 0;
    }
    return value_time(value, out) ? 0 : bad(key, value, "seconds, or a time with a unit, such as 500ms", e);
}

static int set_timeout(void *of, const char *value, struct err *e)
{
    return set_time("timeout", value, &((struct vireo_sandbox_config *)of)->want.limits.wall_ns, e);
}

static int set_cpu_time(void *of, const char *value, struct err *e)
{
    return set_time("cpu-time", value, &((struct vireo_sandbox_config *)of)->want.limits.cpu_ns, e);
}

static int set_output_max(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return value_size(value, &c->policy.output_max) && c->policy.output_max
               ? 0
               : bad("output-max", value, "a size above 0, such as 1M", e);
}

static int set_write_max(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return value_size(value, &c->policy.write_max) && c->policy.write_max
               ? 0
               : bad("write-max", value, "a size above 0, such as 100M", e);
}

static int set_files_max(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    uint64_t n;
    if (!value_u64(value, &n) || n < 3 || n > POLICY_FILES_MAX)
        return bad("files-max", value, "a number from 3 to 1024", e);
    c->policy.files_max = (unsigned)n;
    return 0;
}

static int add_word(char ***list, unsigned *count, const char *value, struct err *e)
{
    char **longer = realloc(*list, (*count + 2) * sizeof(*longer));
    if (!longer) return err_set(e, -ENOMEM, "a sandbox's configuration: no memory");
    *list = longer;
    longer[*count] = strdup(value);
    longer[*count + 1] = NULL;
    return longer[*count] ? (int)(*count += 1, 0) : err_set(e, -ENOMEM, "a sandbox's configuration: no memory");
}

static int add_read(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return add_word(&c->reads, &c->read_count, value, e);
}

static int add_write(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    return add_word(&c->writes, &c->write_count, value, e);
}

static int add_env(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    if (!strchr(value, '=') || value[0] == '=') return bad("env", value, "NAME=VALUE", e);
    return add_word(&c->envp, &c->env_count, value, e);
}

static int set_cwd(void *of, const char *value, struct err *e)
{
    struct vireo_sandbox_config *c = of;
    char clean[PATH_MAX];
    if (policy_clean_path(value, clean, sizeof(clean)))
        return bad("cwd", value, "an absolute path of the program's", e);
    free(c->cwd);
    c->cwd = strdup(clean);
    return c->cwd ? 0 : err_set(e, -ENOMEM, "a sandbox's configuration: no memory");
}

static int set_switch(const char *key, const char *value, bool *out, struct err *e)
{
    return value_switch(key, value, out, e);
}

static int set_allow_wx(void *of, const char *value, struct err *e)
{
    return set_switch("allow-wx", value, &((struct vireo_sandbox_config *)of)->policy.allow_wx, e);
}

static int set_call(void *of, const char *value, struct err *e)
{
    return set_switch("call", value, &((struct vireo_sandbox_config *)of)->want.is_called, e);
}

static int set_record(void *of, const char *value, struct err *e)
{
    return set_switch("record", value, &((struct vireo_sandbox_config *)of)->want.is_recorded, e);
}

static int set_fixed(void *of, const char *value, struct err *e)
{
    bool is_fixed = false;
    const int rc = set_switch("fixed-addresses", value, &is_fixed, e);
    if (!rc) ((struct vireo_sandbox_config *)of)->want.is_placed_randomly = !is_fixed;
    return rc;
}

static const struct setting table[] = {
    {.name = "memory", .arg = "SIZE", .help = "memory of the program: 1M to 32G (default 64M)", .set = set_memory},
    {.name = "stack",
     .arg = "SIZE",
     .help = "what its stack can become, of that memory (default 8M)",
     .set = set_stack},
    {.name = "timeout",
     .arg = "TIME",
     .help = "end it after this long: seconds, or with a unit (500ms)",
     .set = set_timeout},
    {.name = "cpu-time", .arg = "TIME", .help = "end it when it has computed for this long", .set = set_cpu_time},
    {.name = "output-max",
     .arg = "SIZE",
     .help = "end it when it has written more to its output",
     .set = set_output_max},
    {.name = "write-max",
     .arg = "SIZE",
     .help = "bytes it may write below --write; beyond it EDQUOT",
     .set = set_write_max},
    {.name = "files-max", .arg = "N", .help = "files it may have open, 3 to 1024 (default 256)", .set = set_files_max},
    {.name = "read",
     .arg = "DIR[=AS]",
     .help = "let it read this directory, seen as AS",
     .set = add_read,
     .flags = SETTING_REPEATED},
    {.name = "write",
     .arg = "DIR[=AS]",
     .help = "let it read and write this directory",
     .set = add_write,
     .flags = SETTING_REPEATED},
    {.name = "env",
     .arg = "NAME=VALUE",
     .help = "a variable of its environment, which begins empty",
     .set = add_env,
     .flags = SETTING_REPEATED},
    {.name = "cwd", .arg = "DIR", .help = "its current directory, as it sees it (default /)", .set = set_cwd},
    {.name = "allow-wx", .help = "let it have memory that is writable and executable at once", .set = set_allow_wx},
    {.name = "fixed-addresses", .help = "place a position-independent program always alike", .set = set_fixed},
    {.name = "record",
     .arg = "on|off",
     .help = "count its VM exits and how long they took (default on)",
     .set = set_record},
    {.name = "call", .help = "a return from main makes it ready for calls (library)", .set = set_call},
    {.name = NULL},
};

bool vireo_sandbox_config_key(unsigned index, struct vireo_key *out)
{
    if (index >= sizeof(table) / sizeof(table[0]) - 1) return false;
    *out = (struct vireo_key){.name = table[index].name,
                              .arg = table[index].arg,
                              .help = table[index].help,
                              .is_repeated = table[index].flags & SETTING_REPEATED};
    return true;
}

struct vireo_sandbox_config *vireo_sandbox_config_create(void)
{
    struct vireo_sandbox_config *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    policy_init(&c->policy);
    c->want.limits = (struct sandbox_limits){.memory = MEMORY_DEFAULT, .stack = STACK_DEFAULT};
    c->want.is_placed_randomly = c->want.is_recorded = true;
    return c;
}

static void free_words(char **words)
{
    for (unsigned i = 0; words && words[i]; i++) free(words[i]);
    free(words);
}

void vireo_sandbox_config_destroy(struct vireo_sandbox_config *c)
{
    if (!c) return;
    free_words(c->reads);
    free_words(c->writes);
    free_words(c->envp);
    free(c->cwd);
    free(c);
}

int vireo_sandbox_config_set(struct vireo_sandbox_config *c, const char *key, const char *value,
                             struct vireo_error *out)
{
    struct err e = {0};
    for (unsigned i = 0; table[i].name; i++)
        if (strcmp(table[i].name, key) == 0) return lib_error(out, table[i].set(c, value, &e), &e);
    err_set(&e, -EINVAL, "unknown key \"%.100s\" of a sandbox", key);
    err_as(&e, ERR_CONFIG);
    nearest_err_hint(&e, key, WORDS_OF(table, name, sizeof(table) / sizeof(table[0])));
    return lib_error(out, -EINVAL, &e);
}

int vireo_sandbox_config_set_fd(struct vireo_sandbox_config *c, int fd, int host_fd, struct vireo_error *out)
{
    struct err e = {0};
    if (fd < 0 || fd > 2)
        return lib_error(out, err_set(&e, -EINVAL, "a program's descriptor %d: only 0, 1 and 2 can be given", fd), &e);
    c->policy.std[fd] = host_fd;
    return 0;
}

void vireo_sandbox_config_set_output(struct vireo_sandbox_config *c,
                                     int64_t (*fn)(void *arg, int fd, const void *data, size_t size), void *arg)
{
    c->policy.output = fn;
    c->policy.output_arg = arg;
}

void vireo_sandbox_config_set_trace(struct vireo_sandbox_config *c, void (*fn)(void *arg, const char *line), void *arg)
{
    c->policy.trace = fn;
    c->policy.trace_arg = arg;
}

void vireo_sandbox_config_set_log(struct vireo_sandbox_config *c, void (*fn)(void *arg, const char *line), void *arg)
{
    c->want.log = fn;
    c->want.log_arg = arg;
}

void vireo_sandbox_config_time_calls(struct vireo_sandbox_config *c)
{
    c->policy.is_timed = true;
}

int vireo_sandbox_config_add_host(struct vireo_sandbox_config *c, const char *name, vireo_sandbox_host_fn *fn,
                                  void *arg, struct vireo_error *out)
{
    struct err e = {0};
    if (!name[0] || strlen(name) > SANDBOX_NAME_MAX)
        return lib_error(out, err_set(&e, -EINVAL, "a host function's name has 1 to %d bytes", SANDBOX_NAME_MAX), &e);
    for (unsigned i = 0; i < c->want.hosts; i++)
        if (strcmp(c->host[i].name, name) == 0)
            return lib_error(out, err_set(&e, -EEXIST, "host function %s is there already", name), &e);
    if (c->want.hosts == SANDBOX_HOSTS_MAX)
        return lib_error(out, err_set(&e, -ENOSPC, "at most %d host functions", SANDBOX_HOSTS_MAX), &e);
    struct sandbox_host *h = &c->host[c->want.hosts++];
    *h = (struct sandbox_host){.fn = fn, .arg = arg};
    memcpy(h->name, name, strlen(name) + 1);
    return 0;
}
