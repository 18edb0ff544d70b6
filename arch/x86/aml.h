/* A small encoder of ACPI Machine Language (ACPI 6.5, 20.2): what a DSDT of plain devices needs. Writes into the
 * caller's buffer; running out is remembered and told once, by aml_is_full. */
#ifndef VIREO_X86_AML_H
#define VIREO_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
    uint8_t *buf;
    size_t size, len;
    bool is_full;
};

void aml_bytes(struct aml *a, const void *bytes, size_t len);
void aml_byte(struct aml *a, uint8_t b);
void aml_integer(struct aml *a, uint32_t value); /* the shortest of Zero, One, Byte, Word, DWord */
void aml_string(struct aml *a, const char *s);

/* Name (SEG, ...): the object follows. seg has four characters. */
void aml_name(struct aml *a, const char *seg);
void aml_name_integer(struct aml *a, const char *seg, uint32_t value);
void aml_name_string(struct aml *a, const char *seg, const char *s);

/* Packages: begin returns what end takes. */
size_t aml_scope_begin(struct aml *a, const char *path); /* "\\_SB_": as it is encoded */
size_t aml_device_begin(struct aml *a, const char *seg);
size_t aml_package_begin(struct aml *a, uint8_t elements);
void aml_end(struct aml *a, size_t begin);

/* A Buffer of resource descriptors (ACPI 6.5, 6.4); end adds the end tag. */
size_t aml_resources_begin(struct aml *a);
void aml_resource_memory32(struct aml *a, uint32_t base, uint32_t size);
void aml_resource_io(struct aml *a, uint16_t port, uint8_t count);
void aml_resource_edge(struct aml *a, uint32_t gsi); /* edge, active high, exclusive */
void aml_resources_end(struct aml *a, size_t begin);

/* "PNP0501" as the integer ACPI compresses it to (ACPI 6.5, 19.3.4, EISAID). */
uint32_t aml_eisa_id(const char *id);

#endif
