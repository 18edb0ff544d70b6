#include "vmm/cli/trace_symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

#define FILE_MAX        (2ull << 30) /* a vmlinux with all of its debugging is under one */
#define SYMBOLS_MAX     (8u << 20)
#define NAME_LENGTH_MAX 511 /* KSYM_NAME_LEN of Linux */

static bool is_within(uint64_t at, uint64_t size, uint64_t end)
{
    return at <= end && size <= end - at;
}

/* Names are shown on a terminal. */
static void add(struct trace_symbols *out, uint64_t address, uint64_t size, const char *name)
{
    size_t n = 0;
    while (name[n] > ' ' && name[n] <= '~') n++;
    if (n == 0 || name[n] || n > NAME_LENGTH_MAX) return;
    out->symbol[out->count++] = (struct trace_symbol){.address = address, .size = size, .name = name};
}

static int by_address(const void *a, const void *b)
{
    const struct trace_symbol *x = a, *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

/* Functions of one table: a section of symbols, and the one of strings that it names. */
static void take_table(struct trace_symbols *out, const Elf64_Shdr *table, const Elf64_Shdr *strings, size_t size)
{
    if (!is_within(table->sh_offset, table->sh_size, size) || !is_within(strings->sh_offset, strings->sh_size, size) ||
        !strings->sh_size || out->file[strings->sh_offset + strings->sh_size - 1])
        return;
    const uint64_t n = table->sh_size / sizeof(Elf64_Sym);
    if (n > SYMBOLS_MAX) return;
    free(out->symbol); /* of a table before, which had no functions */
    out->symbol = calloc(n + 1, sizeof(*out->symbol));
    for (uint64_t i = 0; out->symbol && i < n; i++) {
        Elf64_Sym s;
        memcpy(&s, out->file + table->sh_offset + i * sizeof(s), sizeof(s));
        const unsigned type = ELF64_ST_TYPE(s.st_info);
        if ((type != STT_FUNC && type != STT_NOTYPE) || s.st_shndx == SHN_UNDEF || s.st_shndx == SHN_ABS) continue;
        if (s.st_name >= strings->sh_size) continue;
        add(out, s.st_value, s.st_size, out->file + strings->sh_offset + s.st_name);
    }
}

static void parse_elf(struct trace_symbols *out, size_t size)
{
    Elf64_Ehdr h;
    memcpy(&h, out->file, sizeof(h));
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB) return;
    if (h.e_shentsize != sizeof(Elf64_Shdr) || !is_within(h.e_shoff, (uint64_t)h.e_shnum * sizeof(Elf64_Shdr), size))
        return;
    for (unsigned i = 0; i < h.e_shnum && !out->count; i++) {
        Elf64_Shdr s, strings;
        memcpy(&s, out->file + h.e_shoff + i * sizeof(s), sizeof(s));
        if (s.sh_type != SHT_SYMTAB || s.sh_link >= h.e_shnum) continue;
        memcpy(&strings, out->file + h.e_shoff + s.sh_link * sizeof(s), sizeof(strings));
        take_table(out, &s, &strings, size);
    }
}

/* "ffffffff81000000 T _stext" a line; kallsyms has the module behind a tab. Lines are ended by NULs, in place. */
static void parse_list(struct trace_symbols *out, size_t size)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) lines += out->file[i] == '\n';
    if (lines > SYMBOLS_MAX) return;
    out->symbol = calloc(lines + 2, sizeof(*out->symbol));
    char *line = out->file;
    while (out->symbol && line && *line) {
        char *next = strchr(line, '\n'), *end;
        if (next) *next++ = '\0';
        const uint64_t address = strtoull(line, &end, 16);
        if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || !end[3]) {
            out->count = 0; /* no such list */
            return;
        }
        const char type = end[1];
        end[3 + strcspn(end + 3, " \t\r")] = '\0';
        if (address && strchr("tTwW", type)) add(out, address, 0, end + 3);
        line = next;
    }
}

bool trace_symbols_parse(struct trace_symbols *out, char *file, size_t size)
{
    *out = (struct trace_symbols){.file = file};
    if (size > sizeof(Elf64_Ehdr) && memcmp(file, ELFMAG, SELFMAG) == 0)
        parse_elf(out, size);
    else
        parse_list(out, size);
    if (out->count) {
        qsort(out->symbol, out->count, sizeof(*out->symbol), by_address);
        return true;
    }
    trace_symbols_fini(out);
    return false;
}

static char *read_file(const char *path, size_t *size, int *error)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *text = NULL;
    size_t len = 0;
    *error = fd < 0 || fstat(fd, &st) ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    /* Files of /proc say that they are empty. */
    size_t room = *error ? 0 : st.st_size > 0 ? (size_t)st.st_size + 1 : 16u << 20;
    if (!*error && room > FILE_MAX) *error = EFBIG;
    if (!*error && !(text = malloc(room + 1))) *error = ENOMEM;
    while (!*error && len < room) {
        const ssize_t n = read(fd, text + len, room - len);
        if (n < 0) *error = errno;
        if (n <= 0) break;
        len += (size_t)n;
    }
    if (fd >= 0) (void)close(fd);
    if (*error) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    *size = len;
    return text;
}

int trace_symbols_read(struct trace_symbols *out, const char *path, struct vireo_error *e)
{
    int error;
    size_t size;
    char *file = read_file(path, &size, &error);
    if (!file) return bad_call(e, error, "symbols %.200s", path);
    if (trace_symbols_parse(out, file, size)) return 0;
    bad_command(e, "symbols %.200s: has no symbols of functions", path);
    (void)snprintf(e->hint, sizeof(e->hint),
                   "give a vmlinux that is not stripped, its System.map, or a copy of the guest's /proc/kallsyms");
    return e->code;
}

void trace_symbols_fini(struct trace_symbols *s)
{
    free(s->symbol);
    free(s->file);
    *s = (struct trace_symbols){0};
}

const char *trace_symbol(const struct trace_symbols *s, uint64_t address, uint64_t *offset)
{
    size_t low = 0, high = s->count; /* those before low are at or below it */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->symbol[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    const struct trace_symbol *at = &s->symbol[low - 1];
    *offset = address - at->address;
    /* Behind the last function there is nothing that its list could tell of. */
    if (at->size ? *offset >= at->size : low == s->count && *offset >= 1u << 16) return NULL;
    return at->name;
}
