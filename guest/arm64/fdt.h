/* A reader for flattened device trees (Devicetree Specification 0.4, chapter 5): one bounded pass, node by node. */
#ifndef VIREO_GUEST_ARM64_FDT_H
#define VIREO_GUEST_ARM64_FDT_H

#include "../common/guest.h"

/* The properties the guest asks for. */
enum fdt_prop {
    FDT_COMPATIBLE,
    FDT_REG,
    FDT_INTERRUPTS,
    FDT_DEVICE_TYPE,
    FDT_METHOD,
    FDT_BOOTARGS,
    FDT_REG_SHIFT,
    FDT_STATUS,
    FDT_PROP_COUNT
};

struct fdt_value {
    const uint8_t *data; /* NULL: the node has no such property */
    uint32_t len;
};

struct fdt_node {
    uint32_t address_cells; /* how this node's reg is written */
    uint32_t size_cells;
    struct fdt_value prop[FDT_PROP_COUNT];
};

/* Call visit for every enabled node, parents first. False: the blob is broken; nodes before that were visited. */
bool fdt_walk(const void *blob, void (*visit)(const struct fdt_node *node, void *arg), void *arg);

bool fdt_is_compatible(const struct fdt_node *node, const char *with);
/* Does the property hold this one text? */
bool fdt_says(const struct fdt_node *node, enum fdt_prop prop, const char *text);
/* Cell `index` of a property; false: it has fewer. */
bool fdt_cell(const struct fdt_node *node, enum fdt_prop prop, uint32_t index, uint32_t *out);
/* Entry `index` of reg; false: there are fewer. */
bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *base, uint64_t *size);

#endif
