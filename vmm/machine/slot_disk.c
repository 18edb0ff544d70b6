/* The disk's row: --disk path=FILE,... */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/embed.h"
#include "vmm/config/value.h"
#include "vmm/machine/slots.h"
#include "vmm/machine/state.h"

#define RAM_DISK_BYTES (1024 * 1024) /* what the embedded guest writes and reads back */

/* ---- its settings ---- */

static int set_path(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    return value_path("path", value, &s->path, e);
}

static int set_readonly(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    if (value_bool(value, &s->is_readonly)) return 0;
    return err_set(e, -EINVAL, "readonly=" VALUE_SHOWN ": must be true or false", value);
}

static int set_serial(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    const size_t len = strlen(value);
    bool is_good = len >= 1 && len < sizeof(s->serial);
    for (size_t i = 0; is_good && i < len; i++) is_good = value[i] > ' ' && value[i] < 0x7f;
    if (!is_good)
        return err_set(e, -EINVAL, "serial \"" VALUE_SHOWN "\": must be 1 to %zu printable characters without blanks",
                       value, sizeof(s->serial) - 1);
    memcpy(s->serial, value, len + 1);
    return 0;
}

/* Disks are made with sectors of these two sizes. */
static int set_block_size(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    uint64_t n;
    if (!value_u64(value, &n) || (n != 512 && n != 4096))
        return err_set(e, -EINVAL, "block-size=" VALUE_SHOWN ": must be 512 or 4096 bytes", value);
    s->block_size = (uint16_t)n;
    return 0;
}

static int set_lock(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    const bool is_on = strcmp(value, "on") == 0;
    if (!is_on && strcmp(value, "off") != 0)
        return err_set(e, -EINVAL, "lock=" VALUE_SHOWN ": must be on or off", value);
    s->is_unlocked = !is_on;
    return 0;
}

static int set_format(void *of, const char *value, struct err *e)
{
    struct config_device *d = of;
    struct disk_settings *s = d->settings;
    if (strcmp(value, "raw") != 0) {
        err_set(e, -EINVAL, "format=" VALUE_SHOWN ": a disk is a raw image or block device", value);
        err_hint(e, "convert it with: qemu-img convert -O raw IMAGE NEW");
        return -EINVAL;
    }
    s->is_raw = true;
    return 0;
}

static void fini(void *settings)
{
    struct disk_settings *s = settings;
    free(s->path);
}

static int is_whole(const struct config_device *d, struct err *e)
{
    const struct disk_settings *s = d->settings;
    return s->path ? 0 : err_set(e, -EINVAL, "no path given; write path=FILE");
}

static const char *file(const struct config_device *d)
{
    const struct disk_settings *s = d->settings;
    return s->path;
}

/* Two readers may share an image; a writer may not share it with anyone. Two different names of one file are not
 * found out here. The lock finds them when the disk is opened. */
static int check_pair(const struct config_device *first, const struct config_device *second, struct err *e)
{
    const struct disk_settings *a = first->settings, *b = second->settings;
    if (strcmp(a->path, b->path) != 0 || (a->is_readonly && b->is_readonly)) return 0;
    return err_set(e, -EEXIST,
                   "%s: " VALUE_SHOWN " is %s already, and one of them writes; make both readonly or use a copy",
                   second->label, b->path, first->label);
}

/* ---- from settings to a device ---- */

static bool is_ram_disk_wanted(const struct config *cfg)
{
    return !config_has_kernel(cfg) && !config_device(cfg, &slot_disk.device, 0);
}

static void on_thread(void *arg, bool begins)
{
    struct disk_thread *t = arg;
    if (begins)
        threads_disk_here(t);
    else
        usage_io_gone(t->machine, &t->tid);
}

static int open_disk(struct machine *m, const struct config_device *d, struct disk **out, struct err *e)
{
    const struct disk_settings *s = d->settings;
    struct disk_thread *thread = &m->disk_thread[d->index];
    *thread = (struct disk_thread){.machine = m, .disk = d->index};
    const struct disk_params p = {
        .path = s->path,
        .is_readonly = s->is_readonly,
        .is_raw = s->is_raw,
        .is_unlocked = s->is_unlocked,
        .block_size = s->block_size,
        .log = m->log,
        .on_thread = on_thread,
        .arg = thread,
    };
    return disk_open(out, &p, e);
}

static int make(struct machine *m, const struct config_device *d, struct virtio_dev **out, struct err *e)
{
    struct disk *disk = NULL;
    const char *serial = GUEST_SCRATCH_DISK_ID; /* what tells the guest that it may write */
    int rc;
    if (d) {
        const struct disk_settings *s = d->settings;
        serial = s->serial[0] ? s->serial : NULL;
        rc = open_disk(m, d, &disk, e);
    } else {
        rc = disk_open_ram(&disk, RAM_DISK_BYTES, e);
    }
    if (!rc) rc = virtio_blk_create(out, disk, serial, e);
    if (rc) disk_close(disk);
    return rc;
}

static const char *id(const struct config_device *d)
{
    return d ? d->id : "ram";
}

const struct slot_kind slot_disk = {
    .device =
        {
            .name = "disk",
            .key = {{"disk", "path=FILE[,readonly][,id=ID][,serial=TEXT][,block-size=N][,lock=off][,format=raw]",
                     "add a disk; FILE is a raw image or block device", .flags = SETTING_REPEATED}},
            .most = MACHINE_MAX_DISKS,
            .settings_size = sizeof(struct disk_settings),
            .setting = {{"path", "FILE", NULL, .set = set_path},
                        {"readonly", NULL, NULL, .set = set_readonly},
                        {"id", "ID", NULL, .set = device_set_id},
                        {"serial", "TEXT", NULL, .set = set_serial},
                        {"block-size", "N", NULL, .set = set_block_size, .flags = SETTING_NUMBER},
                        {"lock", "off", NULL, .set = set_lock},
                        {"format", "raw", NULL, .set = set_format}},
            .fini = fini,
            .is_whole = is_whole,
            .check_pair = check_pair,
            .file = file,
        },
    .is_implied = is_ram_disk_wanted,
    .make = make,
    .id = id,
};
