/* How a snippet is written down: assembly text in the read-only data of the C file that describes it. */
#ifndef VIREO_GUEST_SNIPPETS_DEFINE_H
#define VIREO_GUEST_SNIPPETS_DEFINE_H

#include "guest/snippets/snippets.h"

#define SNIPPET(id, text)                                                                                              \
    __asm__(".pushsection .rodata\n\t.balign 8\nsnippet_code_" #id ":\n" text "\nsnippet_end_" #id                     \
            ":\n\t.popsection");                                                                                       \
    extern const unsigned char snippet_code_##id[] __attribute__((visibility("hidden")));                              \
    extern const unsigned char snippet_end_##id[] __attribute__((visibility("hidden")));                               \
    const struct snippet snippet_##id = {#id, snippet_code_##id, snippet_end_##id}

#endif
