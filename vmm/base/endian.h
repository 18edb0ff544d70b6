/* Little-endian numbers as they lie in guest memory. They are struct types, so using one as a number does not compile,
 * and every access says its order. Loads and stores are single copies of the whole number (no tearing when aligned),
 * because the other side may change it at any time: load once, then use the local.
 * The structs are packed: a pointer into guest memory may be unaligned and still be used. */
#ifndef VIREO_BASE_ENDIAN_H
#define VIREO_BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

struct le16 {
    uint16_t raw;
} __attribute__((packed, may_alias));
struct le32 {
    uint32_t raw;
} __attribute__((packed, may_alias));
struct le64 {
    uint64_t raw;
} __attribute__((packed, may_alias));

/* Plain loads and stores, any alignment: for headers that were copied out, tables being written, config space. */
#define ENDIAN_PLAIN(bits)                                                                                             \
    static inline uint##bits##_t le##bits##_get(struct le##bits v)                                                     \
    {                                                                                                                  \
        return le##bits##toh(v.raw);                                                                                   \
    }                                                                                                                  \
    static inline struct le##bits le##bits##_make(uint##bits##_t v)                                                    \
    {                                                                                                                  \
        return (struct le##bits){htole##bits(v)};                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t le##bits##_read(const void *p)                                                        \
    {                                                                                                                  \
        uint##bits##_t raw;                                                                                            \
        memcpy(&raw, p, sizeof(raw));                                                                                  \
        return le##bits##toh(raw);                                                                                     \
    }                                                                                                                  \
    static inline void le##bits##_write(void *p, uint##bits##_t v)                                                     \
    {                                                                                                                  \
        const uint##bits##_t raw = htole##bits(v);                                                                     \
        memcpy(p, &raw, sizeof(raw));                                                                                  \
    }
ENDIAN_PLAIN(16)
ENDIAN_PLAIN(32)
ENDIAN_PLAIN(64)
#undef ENDIAN_PLAIN

/* Loads and stores of memory shared with the guest: naturally aligned, done once, with the order they need. */
#define ENDIAN_SHARED(bits)                                                                                            \
    static inline uint##bits##_t le##bits##_load(const struct le##bits *p)                                             \
    {                                                                                                                  \
        return le##bits##toh(__atomic_load_n((const uint##bits##_t *)(const void *)p, __ATOMIC_RELAXED));              \
    }                                                                                                                  \
    static inline uint##bits##_t le##bits##_load_acquire(const struct le##bits *p)                                     \
    {                                                                                                                  \
        return le##bits##toh(__atomic_load_n((const uint##bits##_t *)(const void *)p, __ATOMIC_ACQUIRE));              \
    }                                                                                                                  \
    static inline void le##bits##_store(struct le##bits *p, uint##bits##_t v)                                          \
    {                                                                                                                  \
        __atomic_store_n((uint##bits##_t *)(void *)p, htole##bits(v), __ATOMIC_RELAXED);                               \
    }                                                                                                                  \
    static inline void le##bits##_store_release(struct le##bits *p, uint##bits##_t v)                                  \
    {                                                                                                                  \
        __atomic_store_n((uint##bits##_t *)(void *)p, htole##bits(v), __ATOMIC_RELEASE);                               \
    }
ENDIAN_SHARED(16)
ENDIAN_SHARED(32)
ENDIAN_SHARED(64)
#undef ENDIAN_SHARED

#endif
