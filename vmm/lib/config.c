#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/version.h"
#include "vmm/config/value.h"
#include "vmm/lib/lib.h"

#define OTHERS_MAX 64 /* twice what a machine and a program beside it name */

#define TEXT(n)         #n
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
_Static_assert(__builtin_strcmp(VIREO_VERSION, BUILD_VERSION) == 0, "one version");
_Static_assert(__builtin_strcmp(VIREO_VERSION, DOTTED(VIREO_VERSION_MAJOR, VIREO_VERSION_MINOR, VIREO_VERSION_PATCH)) ==
                   0,
               "its numbers are the same");
_Static_assert(sizeof(((struct vireo_error *)0)->text) == ERR_TEXT_MAX, "a sentence is passed on whole");
_Static_assert(sizeof(((struct vireo_error *)0)->hint) == ERR_HINT_MAX, "and so is its hint");

const char *vireo_version(void)
{
    return VIREO_VERSION;
}

int lib_error(struct vireo_error *out, int rc, const struct err *e)
{
    static const int status[] = {
        [ERR_CONFIG] = 125, [ERR_HOST] = 126, [ERR_KERNEL] = 127, [ERR_DEVICE] = 122, [ERR_VM] = 121,
    };
    if (rc == 0 || !out) return rc;
    out->code = rc;
    out->exit_status = status[e->kind];
    memcpy(out->text, e->text, sizeof(out->text));
    memcpy(out->hint, e->hint, sizeof(out->hint));
    memset(out->reserved, 0, sizeof(out->reserved));
    return rc;
}

int lib_check_reserved(const uint64_t *reserved, unsigned count, const char *name, struct err *e)
{
    for (unsigned i = 0; i < count; i++)
        if (reserved[i] != 0) {
            (void)err_set(e, -EINVAL, "%s: what is reserved in it is not zero", name);
            err_hint(e, "initialise the whole struct, as with = {0}");
            return -EINVAL;
        }
    return 0;
}

struct vireo_config *vireo_config_create(void)
{
    struct vireo_config *c = malloc(sizeof(*c));
    if (!c) return NULL;
    config_init(&c->config, machine_devices);
    c->pool = NULL;
    return c;
}

void vireo_config_destroy(struct vireo_config *c)
{
    if (!c) return;
    config_fini(&c->config);
    free(c);
}

int vireo_config_set(struct vireo_config *c, const char *key, const char *value, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, config_set(&c->config, key, value, &err), &err);
}

static int set_image(struct vireo_config *c, const char *key, const struct config_image *image, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, config_set_image(&c->config, key, image, &err), &err);
}

int vireo_config_set_image(struct vireo_config *c, const char *key, const void *data, size_t size,
                           struct vireo_error *e)
{
    return set_image(c, key, &(struct config_image){.data = data, .size = size}, e);
}

int vireo_config_set_image_fd(struct vireo_config *c, const char *key, int fd, struct vireo_error *e)
{
    return set_image(c, key, &(struct config_image){.fd = fd, .has_fd = true}, e);
}

int vireo_config_load_json(struct vireo_config *c, const char *text, size_t len, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, config_load_json(&c->config, text, len, &err), &err);
}

static int load_file(struct config *c, const char *path, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read(&text, &len, path, CONFIG_JSON_MAX, e);
    if (rc == -EFBIG) rc = err_set(e, rc, "more than %u MiB, which no configuration needs", CONFIG_JSON_MAX >> 20);
    if (!rc) rc = value_path("config", path, &c->source, e);
    if (!rc) rc = config_load_json(c, text, len, e);
    free(text);
    return err_wrap(e, rc, "config %.300s", path);
}

int vireo_config_load_file(struct vireo_config *c, const char *path, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, load_file(&c->config, path, &err), &err);
}

bool vireo_config_file(const struct vireo_config *c, unsigned index, struct vireo_file *out)
{
    struct file_name files[CONFIG_MAX_FILES];
    if (index >= config_files(&c->config, files)) return false;
    *out =
        (struct vireo_file){.what = files[index].what, .path = files[index].path, .is_output = files[index].is_output};
    return true;
}

int vireo_output_open(const char *what, const char *path, const struct vireo_file *others, unsigned count,
                      struct vireo_error *e)
{
    struct err err = {0};
    struct file_name names[OTHERS_MAX];
    if (count > OTHERS_MAX)
        return lib_error(e, err_set(&err, -E2BIG, "%s: beside more than %d files", what, OTHERS_MAX), &err);
    for (unsigned i = 0; i < count; i++) names[i] = (struct file_name){others[i].what, others[i].path, true};
    int fd = -1;
    const struct file_output o = {.what = what, .path = path, .mode = 0666, .others = names, .count = count};
    const int rc = file_open_output(&fd, &o, &err);
    return rc ? lib_error(e, rc, &err) : fd;
}

bool vireo_config_key(unsigned index, struct vireo_key *out)
{
    const struct setting *k = config_key(machine_devices, index);
    if (!k) return false;
    *out =
        (struct vireo_key){.name = k->name, .arg = k->arg, .help = k->help, .is_repeated = k->flags & SETTING_REPEATED};
    return true;
}
