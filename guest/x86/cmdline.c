/* Devices named on the command line: virtio_mmio.device=SIZE@BASE:IRQ[:ID]. */
#include "machine.h"

#define KEY "virtio_mmio.device="

/* A number as the kernel's command line has it: decimal or 0x..., stops at what isn't a digit. */
static uint64_t take_number(const char **text)
{
    const bool is_hex = (*text)[0] == '0' && ((*text)[1] | 0x20) == 'x';
    const unsigned base = is_hex ? 16 : 10;
    uint64_t value = 0;

    for (*text += is_hex ? 2 : 0;; ++*text) {
        const char c = **text, low = (char)(c | 0x20);
        unsigned digit = base;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        if (low >= 'a' && low <= 'f') digit = (unsigned)(low - 'a') + 10;
        if (digit >= base) return value;
        value = value * base + digit;
    }
}

static void read_word(const char *word, struct guest_machine *m)
{
    const char *at = word;

    while (*at && *at != ' ' && *at != '@') at++; /* the size is what a register window has, whatever it says */
    if (*at++ != '@') fail(GUEST_BAD_TABLE, "the command line's %s lacks the @BASE", KEY);
    const uint64_t base = take_number(&at);
    if (*at++ != ':' || !base) fail(GUEST_BAD_TABLE, "the command line's %s lacks the BASE:IRQ", KEY);
    add_device(m, base, (uint32_t)take_number(&at), true);
}

void cmdline_read(struct guest_machine *m)
{
    for (const char *at = m->cmdline; *at;) {
        const char *value = skip_prefix(at, KEY);
        if (value) read_word(value, m);
        while (*at && *at != ' ') at++;
        while (*at == ' ') at++;
    }
}
