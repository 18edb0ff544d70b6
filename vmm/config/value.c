#include "vmm/config/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/checked.h"
#include "vmm/config/config.h"

static const char *digits(const char *s, uint64_t *out)
{
    uint64_t n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++)
        if (!checked_mul(n, 10, &n) || !checked_add(n, (uint64_t)(*p - '0'), &n)) return NULL;
    if (p == s) return NULL;
    *out = n;
    return p;
}

bool value_u64(const char *s, uint64_t *out)
{
    uint64_t n;
    const char *end = digits(s, &n);
    if (!end || *end != '\0') return false;
    *out = n;
    return true;
}

bool value_size(const char *s, uint64_t *out)
{
    static const char units[] = "KkMmGgTt"; /* the position tells the power of 1024 */
    uint64_t n;
    const char *end = digits(s, &n);
    if (!end) return false;
    if (*end != '\0') {
        const char *unit = strchr(units, *end);
        if (!unit || end[1] != '\0') return false;
        const unsigned shift = 10 * (1 + (unsigned)(unit - units) / 2);
        if (!checked_mul(n, 1ULL << shift, &n)) return false;
    }
    *out = n;
    return true;
}

void value_show_size(uint64_t bytes, char out[VALUE_SIZE_MAX])
{
    static const char units[] = "TGMK";
    for (unsigned i = 0; units[i] && bytes > 0; i++) {
        const unsigned shift = 10 * (4 - i);
        if (bytes % (1ULL << shift) != 0) continue;
        (void)snprintf(out, VALUE_SIZE_MAX, "%llu%c", (unsigned long long)(bytes >> shift), units[i]);
        return;
    }
    (void)snprintf(out, VALUE_SIZE_MAX, bytes ? "%llu bytes" : "%llu", (unsigned long long)bytes);
}

bool value_time(const char *s, uint64_t *out)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000}};
    uint64_t n;
    const char *end = digits(s, &n);
    if (!end) return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].name) == 0) return checked_mul(n, units[i].ns, out);
    if (*end != '\0' || n != 0) return false;
    *out = 0;
    return true;
}

/* "3" or "0-3" at the start of s: where it ends, or NULL. */
static const char *cpu_range(const char *s, uint64_t *first, uint64_t *last)
{
    const char *end = digits(s, first);
    if (!end) return NULL;
    *last = *first;
    if (*end == '-') end = digits(end + 1, last);
    return end && *first <= *last && *last < CPU_SETSIZE ? end : NULL;
}

bool value_cpus(const char *s, cpu_set_t *out)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (;; s++) {
        uint64_t first, last;
        s = cpu_range(s, &first, &last);
        if (!s) return false;
        for (; first <= last; first++) CPU_SET(first, &set);
        if (*s != ',') break;
    }
    if (*s != '\0') return false;
    *out = set;
    return true;
}

bool value_bool(const char *s, bool *out)
{
    const bool is_true = strcmp(s, "true") == 0;
    if (!is_true && strcmp(s, "false") != 0) return false;
    *out = is_true;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool value_mac(const char *s, uint8_t out[6])
{
    uint8_t mac[6];
    if (strlen(s) != 17) return false;
    for (unsigned i = 0; i < 6; i++) {
        const char *p = s + 3 * (size_t)i;
        const int hi = hex_digit(p[0]), lo = hex_digit(p[1]);
        if (hi < 0 || lo < 0 || p[2] != (i < 5 ? ':' : '\0')) return false;
        mac[i] = (uint8_t)(hi << 4 | lo);
    }
    memcpy(out, mac, sizeof(mac));
    return true;
}

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.", c));
}

int value_switch(const char *what, const char *s, bool *out, struct err *e)
{
    if (value_bool(s, out)) return 0;
    return err_set(e, -EINVAL, "%s " VALUE_SHOWN ": must be true or false", what, s);
}

int value_id(const char *what, const char *s, char *out, struct err *e)
{
    const size_t len = strlen(s);
    bool is_good = len >= 1 && len <= CONFIG_ID_MAX && *s != '-' && *s != '.';
    for (size_t i = 0; is_good && i < len; i++) is_good = is_id_char(s[i]);
    if (!is_good)
        return err_set(e, -EINVAL,
                       "%s \"" VALUE_SHOWN
                       "\": must be 1 to %d letters, digits, '-', '_' or '.', and not begin with '-' or '.'",
                       what, s, CONFIG_ID_MAX);
    memcpy(out, s, len + 1);
    return 0;
}

int value_path(const char *what, const char *s, char **out, struct err *e)
{
    if (*s == '\0') return err_set(e, -EINVAL, "%s: the path is empty; name a file", what);
    if (strlen(s) >= PATH_MAX)
        return err_set(e, -ENAMETOOLONG, "%s \"%.40s...\": longer than the %d bytes a path may have", what, s,
                       PATH_MAX - 1);
    char *copy = strdup(s);
    if (!copy) return err_set(e, -ENOMEM, "%s: out of memory", what);
    free(*out);
    *out = copy;
    return 0;
}
