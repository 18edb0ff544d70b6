#include "vmm/sandbox/page_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS(pages) ((size_t)(pages) / 64 + 1)

int page_set_init(struct page_set *p, uint32_t pages)
{
    *p = (struct page_set){.pages = pages, .bits = calloc(WORDS(pages), sizeof(*p->bits))};
    return p->bits ? 0 : -ENOMEM;
}

void page_set_fini(struct page_set *p)
{
    free(p->bits);
    free(p->list);
    *p = (struct page_set){0};
}

static bool has_bit(const struct page_set *p, uint32_t page)
{
    return p->bits[page / 64] >> page % 64 & 1;
}

bool page_set_has(const struct page_set *p, uint32_t page)
{
    return p->is_all || has_bit(p, page);
}

void page_set_add(struct page_set *p, uint64_t page)
{
    if (page >= p->pages || page_set_has(p, (uint32_t)page)) return;
    if (p->count == p->room) {
        const uint32_t room = p->room ? p->room * 2 : 64;
        uint32_t *list = realloc(p->list, room * sizeof(*list));
        if (!list) {
            p->is_all = true;
            return;
        }
        p->list = list;
        p->room = room;
    }
    p->bits[page / 64] |= 1ull << page % 64;
    p->list[p->count++] = (uint32_t)page;
}

void page_set_remove(struct page_set *p, uint32_t page)
{
    p->bits[page / 64] &= ~(1ull << page % 64);
}

void page_set_clear(struct page_set *p)
{
    for (uint32_t i = 0; i < p->count; i++) p->bits[p->list[i] / 64] = 0;
    p->count = 0;
    p->is_all = false;
}
