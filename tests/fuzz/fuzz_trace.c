/* A tracepoint's format and a table of symbols from anybody's text: what is taken is within its bounds. */
#include "tests/fuzz/fuzz.h"
#include "vmm/cli/put.c"
#include "vmm/cli/text.c"
#include "vmm/cli/trace_format.c"
#include "vmm/cli/trace_symbols.c"

static void check_format(const char *text)
{
    static struct trace_format f;
    static const uint8_t record[64];
    uint64_t value;
    if (!trace_format_read(&f, text)) return;
    MUST(f.fields > 0 && f.fields <= TRACE_FIELDS_MAX && f.names <= TRACE_NAMES_MAX && f.lists <= TRACE_LISTS_MAX);
    for (unsigned i = 0; i < f.fields; i++) {
        MUST(trace_field(&f, f.field[i].name));
        if (trace_value(&f.field[i], record, sizeof(record), &value))
            MUST(f.field[i].offset + f.field[i].size <= sizeof(record));
    }
    for (unsigned i = 0; i < f.names; i++) MUST(f.name[i].list < f.lists && strlen(f.name[i].text) < TRACE_TEXT_MAX);
}

static void check_symbols(const uint8_t *data, size_t size)
{
    struct trace_symbols s;
    uint64_t offset;
    char *copy = text_of(data, size);
    MUST(copy);
    if (!trace_symbols_parse(&s, copy, size)) return;
    for (size_t i = 0; i < s.count; i++) {
        MUST(s.symbol[i].name >= s.file && s.symbol[i].name + strlen(s.symbol[i].name) <= s.file + size);
        MUST(i == 0 || s.symbol[i - 1].address <= s.symbol[i].address);
        const char *name = trace_symbol(&s, s.symbol[i].address, &offset);
        MUST(!name || offset == 0);
    }
    trace_symbols_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    MUST(text);
    check_format(text);
    free(text);
    if (size > 0) check_symbols(data, size);
    return 0;
}
