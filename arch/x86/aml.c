#include "arch/x86/aml.h"

#include <string.h>

#include "vmm/base/endian.h"

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_EXT = 0x5b,
    OP_EXT_DEVICE = 0x82,
};

#define SEG 4 /* characters of a name segment */
/* Package lengths (20.2.4) and buffer sizes are always written in one width, so that they can be filled in at the end:
 * three bytes hold 20 bits, a word 16. */
#define PKG_BYTES     3
#define BUFFER_PREFIX (PKG_BYTES + 3) /* the size's opcode and word follow the package length */

void aml_bytes(struct aml *a, const void *bytes, size_t len)
{
    if (len > a->size - a->len) a->is_full = true;
    if (a->is_full) return;
    memcpy(a->buf + a->len, bytes, len);
    a->len += len;
}

void aml_byte(struct aml *a, uint8_t b)
{
    aml_bytes(a, &b, 1);
}

void aml_integer(struct aml *a, uint32_t value)
{
    uint8_t le[4];
    le32_write(le, value);
    if (value <= 1) {
        aml_byte(a, value ? OP_ONE : OP_ZERO);
        return;
    }
    const size_t width = value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;
    aml_byte(a, width == 1 ? OP_BYTE : width == 2 ? OP_WORD : OP_DWORD);
    aml_bytes(a, le, width);
}

void aml_string(struct aml *a, const char *s)
{
    aml_byte(a, OP_STRING);
    aml_bytes(a, s, strlen(s) + 1);
}

void aml_name(struct aml *a, const char *seg)
{
    aml_byte(a, OP_NAME);
    aml_bytes(a, seg, SEG);
}

void aml_name_integer(struct aml *a, const char *seg, uint32_t value)
{
    aml_name(a, seg);
    aml_integer(a, value);
}

void aml_name_string(struct aml *a, const char *seg, const char *s)
{
    aml_name(a, seg);
    aml_string(a, s);
}

static size_t pkg_begin(struct aml *a)
{
    static const uint8_t room[PKG_BYTES];
    const size_t begin = a->len;
    aml_bytes(a, room, sizeof(room));
    return begin;
}

size_t aml_scope_begin(struct aml *a, const char *path)
{
    aml_byte(a, OP_SCOPE);
    const size_t begin = pkg_begin(a);
    aml_bytes(a, path, strlen(path));
    return begin;
}

size_t aml_device_begin(struct aml *a, const char *seg)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_EXT_DEVICE);
    const size_t begin = pkg_begin(a);
    aml_bytes(a, seg, SEG);
    return begin;
}

size_t aml_package_begin(struct aml *a, uint8_t elements)
{
    aml_byte(a, OP_PACKAGE);
    const size_t begin = pkg_begin(a);
    aml_byte(a, elements);
    return begin;
}

/* The length counts its own bytes: low nibble in the lead byte, whose top bits say how many bytes follow. */
void aml_end(struct aml *a, size_t begin)
{
    if (a->is_full) return;
    const size_t len = a->len - begin;
    a->buf[begin] = (uint8_t)((PKG_BYTES - 1) << 6 | (len & 0xf));
    a->buf[begin + 1] = (uint8_t)(len >> 4);
    a->buf[begin + 2] = (uint8_t)(len >> 12);
}

size_t aml_resources_begin(struct aml *a)
{
    static const uint8_t size[] = {OP_WORD, 0, 0};
    aml_name(a, "_CRS");
    aml_byte(a, OP_BUFFER);
    const size_t begin = pkg_begin(a);
    aml_bytes(a, size, sizeof(size));
    return begin;
}

void aml_resources_end(struct aml *a, size_t begin)
{
    static const uint8_t end_tag[] = {0x79, 0}; /* checksum 0: not kept (6.4.2.9) */
    aml_bytes(a, end_tag, sizeof(end_tag));
    if (a->is_full) return;
    le16_write(a->buf + begin + PKG_BYTES + 1, (uint16_t)(a->len - begin - BUFFER_PREFIX));
    aml_end(a, begin);
}

void aml_resource_memory32(struct aml *a, uint32_t base, uint32_t size)
{
    uint8_t d[12] = {0x86, 9, 0, 1}; /* 6.4.3.4: fixed, writable */
    le32_write(d + 4, base);
    le32_write(d + 8, size);
    aml_bytes(a, d, sizeof(d));
}

void aml_resource_io(struct aml *a, uint16_t port, uint8_t count)
{
    uint8_t d[8] = {0x47, 1}; /* 6.4.2.5: 16-bit decode; least and greatest base, alignment, length */
    le16_write(d + 2, port);
    le16_write(d + 4, port);
    d[6] = 1;
    d[7] = count;
    aml_bytes(a, d, sizeof(d));
}

void aml_resource_edge(struct aml *a, uint32_t gsi)
{
    uint8_t d[9] = {0x89, 6, 0, 0x03, 1}; /* 6.4.3.6: consumer, edge, active high, exclusive; one interrupt */
    le32_write(d + 5, gsi);
    aml_bytes(a, d, sizeof(d));
}

static uint32_t hex(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

uint32_t aml_eisa_id(const char *id)
{
    const uint32_t big = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 | (uint32_t)(id[2] - '@') << 16 |
                         hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
    return __builtin_bswap32(big);
}
