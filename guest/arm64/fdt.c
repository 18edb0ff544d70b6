/* The device tree's bytes. Every offset is checked against the part it points into before it is followed. */
#include "fdt.h"

#define MAGIC       0xd00dfeedu
#define HEADER_SIZE 40
#define SIZE_MAX_OK (2u << 20) /* booting.rst: a device tree has at most 2 MiB */
#define DEPTH_MAX   8          /* root, bus, device, a leaf or two below */
#define CELLS_MAX   2          /* numbers of 64 bits */

enum token { BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, END = 9 }; /* 5.4.1 */

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A part of the blob, read from the front. */
struct span {
    const uint8_t *at;
    uint32_t left;
};

struct level {
    struct fdt_node node;
    uint32_t child_address_cells;
    uint32_t child_size_cells;
    bool is_visited;
};

struct walk {
    struct span tokens;
    struct span strings;
    struct level level[DEPTH_MAX];
    unsigned depth; /* levels in use */
    void (*visit)(const struct fdt_node *node, void *arg);
    void *arg;
};

static bool take(struct span *s, uint32_t len, const uint8_t **out)
{
    const uint32_t padded = (len + 3) & ~3u;

    if (len > s->left || padded > s->left) return false;
    *out = s->at;
    s->at += padded;
    s->left -= padded;
    return true;
}

/* The length of a text with its end within `left` bytes; 0: it has none. */
static uint32_t text_size(const uint8_t *at, uint32_t left)
{
    for (uint32_t i = 0; i < left; i++) {
        if (!at[i]) return i + 1;
    }
    return 0;
}

static bool is_text(const uint8_t *at, uint32_t len, const char *text)
{
    while (len && *text && *at == (uint8_t)*text) at++, text++, len--;
    return len && !*at && !*text;
}

static void visit_once(struct walk *w)
{
    if (!w->depth) return;
    struct level *l = &w->level[w->depth - 1];
    if (l->is_visited) return;
    l->is_visited = true;
    if (!l->node.prop[FDT_STATUS].data || fdt_says(&l->node, FDT_STATUS, "okay")) w->visit(&l->node, w->arg);
}

static bool begin_node(struct walk *w)
{
    const uint8_t *name;
    const uint32_t size = text_size(w->tokens.at, w->tokens.left);

    visit_once(w); /* 5.4.2: a node's properties come before its children */
    if (!size || !take(&w->tokens, size, &name) || w->depth == DEPTH_MAX) return false;
    const struct level *up = w->depth ? &w->level[w->depth - 1] : NULL;
    w->level[w->depth++] = (struct level){
        .node.address_cells = up ? up->child_address_cells : 0,
        .node.size_cells = up ? up->child_size_cells : 0,
        .child_address_cells = 2, /* 2.3.5: the defaults */
        .child_size_cells = 1,
    };
    return true;
}

static bool read_prop(struct walk *w)
{
    static const char names[FDT_PROP_COUNT][16] = {
        [FDT_COMPATIBLE] = "compatible",   [FDT_REG] = "reg",       [FDT_INTERRUPTS] = "interrupts",
        [FDT_DEVICE_TYPE] = "device_type", [FDT_METHOD] = "method", [FDT_BOOTARGS] = "bootargs",
        [FDT_REG_SHIFT] = "reg-shift",     [FDT_STATUS] = "status",
    };
    const uint8_t *head, *data;

    if (!w->depth || !take(&w->tokens, 8, &head)) return false;
    const uint32_t len = be32(head), name = be32(head + 4);
    if (!take(&w->tokens, len, &data) || name >= w->strings.left) return false;
    const uint8_t *text = w->strings.at + name;
    const uint32_t left = w->strings.left - name;
    struct level *l = &w->level[w->depth - 1];
    for (unsigned i = 0; i < FDT_PROP_COUNT; i++) {
        if (is_text(text, left, names[i])) l->node.prop[i] = (struct fdt_value){data, len};
    }
    if (len == 4 && is_text(text, left, "#address-cells")) l->child_address_cells = be32(data);
    if (len == 4 && is_text(text, left, "#size-cells")) l->child_size_cells = be32(data);
    return true;
}

static bool open_blob(struct walk *w, const uint8_t *blob)
{
    const uint32_t total = be32(blob + 4), tokens = be32(blob + 8), strings = be32(blob + 12);
    const uint32_t strings_size = be32(blob + 32), tokens_size = be32(blob + 36);

    if (be32(blob) != MAGIC || total < HEADER_SIZE || total > SIZE_MAX_OK) return false;
    if (tokens > total || tokens_size > total - tokens || tokens % 4) return false;
    if (strings > total || strings_size > total - strings) return false;
    w->tokens = (struct span){blob + tokens, tokens_size};
    w->strings = (struct span){blob + strings, strings_size};
    return true;
}

bool fdt_walk(const void *blob, void (*visit)(const struct fdt_node *node, void *arg), void *arg)
{
    struct walk w = {.visit = visit, .arg = arg};
    const uint8_t *token;
    bool is_good = open_blob(&w, blob);

    while (is_good && take(&w.tokens, 4, &token)) {
        switch (be32(token)) {
        case BEGIN_NODE: is_good = begin_node(&w); break;
        case END_NODE:
            visit_once(&w);
            is_good = w.depth-- > 0;
            break;
        case PROP: is_good = read_prop(&w); break;
        case NOP: break;
        case END: return w.depth == 0;
        default: is_good = false;
        }
    }
    return false;
}

bool fdt_is_compatible(const struct fdt_node *node, const char *with)
{
    struct fdt_value v = node->prop[FDT_COMPATIBLE];

    for (uint32_t size; v.data && (size = text_size(v.data, v.len)); v.data += size, v.len -= size) {
        if (is_text(v.data, size, with)) return true;
    }
    return false;
}

bool fdt_says(const struct fdt_node *node, enum fdt_prop prop, const char *text)
{
    return node->prop[prop].data && is_text(node->prop[prop].data, node->prop[prop].len, text);
}

bool fdt_cell(const struct fdt_node *node, enum fdt_prop prop, uint32_t index, uint32_t *out)
{
    const struct fdt_value *v = &node->prop[prop];

    if (!v->data || index >= v->len / 4) return false;
    *out = be32(v->data + 4 * index);
    return true;
}

/* A number of one or two cells from cell `first` on; none at all is 0. */
static bool number(const struct fdt_node *node, uint32_t first, uint32_t cells, uint64_t *out)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < cells; i++) {
        uint32_t cell;
        if (!fdt_cell(node, FDT_REG, first + i, &cell)) return false;
        value = value << 32 | cell;
    }
    *out = value;
    return true;
}

bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *base, uint64_t *size)
{
    const uint32_t a = node->address_cells, s = node->size_cells;

    if (a > CELLS_MAX || s > CELLS_MAX || index > GUEST_MAX_RANGES) return false;
    return number(node, index * (a + s), a, base) && number(node, index * (a + s) + a, s, size);
}
