/* A set of pages by number: add and look in constant time, empty in the time that its members take. */
#ifndef VIREO_SANDBOX_PAGE_SET_H
#define VIREO_SANDBOX_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

struct page_set {
    uint64_t *bits;
    uint32_t *list; /* each member once or more often: a removed one stays here without its bit */
    uint32_t count, room;
    uint32_t pages; /* all are below */
    bool is_all;    /* the list could not grow: every page counts as in it */
};
int page_set_init(struct page_set *p, uint32_t pages); /* -ENOMEM */
void page_set_fini(struct page_set *p);
void page_set_add(struct page_set *p, uint64_t page); /* what is not below `pages` is ignored */
void page_set_remove(struct page_set *p, uint32_t page);
bool page_set_has(const struct page_set *p, uint32_t page);
void page_set_clear(struct page_set *p);

#endif
