/* The entries of a range of addresses: frames put in, taken out, given other rights, moved. */
#include "vmm/sandbox/struct_space.h"

void pages_fill(struct space *s, uint64_t va, uint64_t end, unsigned prot)
{
    struct leaf leaf;
    struct run run = {0};
    while (tables_next(s, &va, end, &leaf)) {
        tables_changed(s, &leaf);
        for (uint32_t i = 0; i < leaf.count; i++) {
            uint64_t gpa = user_entry_gpa(leaf.entry[i]);
            if (!gpa) {
                if (!run.count) run = frames_take(s, (end - leaf.va) / SPACE_PAGE - i);
                gpa = run.first++ * SPACE_PAGE;
                run.count--;
            }
            leaf.entry[i] = user_page_entry(gpa, prot);
        }
    }
    if (run.count) frames_give(s, run);
}

void pages_drop(struct space *s, uint64_t va, uint64_t end)
{
    struct batch given = {.s = s, .fn = frames_give};
    struct leaf leaf;
    while (tables_next(s, &va, end, &leaf)) {
        tables_changed(s, &leaf);
        for (uint32_t i = 0; i < leaf.count; i++) {
            const uint64_t gpa = user_entry_gpa(leaf.entry[i]);
            leaf.entry[i] = 0;
            if (gpa_is_frame(s, gpa)) batch_add(&given, gpa / SPACE_PAGE);
        }
    }
    batch_end(&given);
}

void pages_protect(struct space *s, uint64_t va, uint64_t end, unsigned prot)
{
    struct batch lost = {.s = s, .fn = frames_unsee};
    struct leaf leaf;
    while (tables_next(s, &va, end, &leaf)) {
        tables_changed(s, &leaf);
        for (uint32_t i = 0; i < leaf.count; i++) {
            const uint64_t old = leaf.entry[i], gpa = user_entry_gpa(old);
            if (!gpa) continue;
            leaf.entry[i] = user_page_entry(gpa, prot);
            if (user_entry_prot(old) & ~user_entry_prot(leaf.entry[i])) batch_add(&lost, gpa / SPACE_PAGE);
        }
    }
    batch_end(&lost);
}

void pages_move(struct space *s, uint64_t from, uint64_t to, uint64_t len)
{
    struct batch lost = {.s = s, .fn = frames_unsee};
    struct leaf old, new;
    uint64_t va = from;
    while (tables_next(s, &va, from + len, &old)) {
        tables_changed(s, &old);
        for (uint32_t i = 0; i < old.count; i++) {
            if (!old.entry[i]) continue;
            uint64_t at = to + (old.va - from) + i * SPACE_PAGE;
            if (!tables_next(s, &at, at + SPACE_PAGE, &new)) continue; /* they are made */
            tables_changed(s, &new);
            *new.entry = old.entry[i];
            old.entry[i] = 0;
            batch_add(&lost, user_entry_gpa(*new.entry) / SPACE_PAGE);
        }
    }
    batch_end(&lost);
}

uint64_t pages_have(const struct space *s, uint64_t va, uint64_t end)
{
    struct leaf leaf;
    uint64_t n = 0;
    while (tables_next(s, &va, end, &leaf))
        for (uint32_t i = 0; i < leaf.count; i++) n += gpa_is_frame(s, user_entry_gpa(leaf.entry[i]));
    return n;
}
