/* The list of what is mapped where: a sorted array. Neighbours that are alike are one area. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/sandbox/struct_space.h"

#define AREAS_FIRST 64u
/* Mappings are placed below this, downwards; above lie the stack and its guard. */
#define MAP_TOP 0x7fff00000000ull

unsigned space_find(const struct space *s, uint64_t va)
{
    unsigned low = 0, high = s->now.areas;
    while (low < high) {
        const unsigned mid = (low + high) / 2;
        if (s->now.area[mid].end > va)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static int make_room(struct space *s, unsigned more)
{
    struct space_books *b = &s->now;
    if (b->areas + more <= b->area_room) return 0;
    if (b->areas + more > SPACE_AREAS_MAX) return -ENOMEM;
    const unsigned room = b->area_room ? b->area_room * 2 : AREAS_FIRST;
    struct space_area *area = realloc(b->area, room * sizeof(*area));
    if (!area) return -ENOMEM;
    b->area = area;
    b->area_room = room;
    return 0;
}

static bool are_alike(const struct space_area *a, const struct space_area *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags &&
           !(a->flags & (SPACE_GROWS_DOWN | SPACE_PINNED));
}

static void remove_area(struct space *s, unsigned i)
{
    struct space_area *area = s->now.area;
    memmove(area + i, area + i + 1, (s->now.areas - i - 1) * sizeof(*area));
    s->now.areas--;
}

int space_put_area(struct space *s, const struct space_area *a)
{
    if (make_room(s, 1)) return -ENOMEM;
    struct space_area *area = s->now.area;
    unsigned i = space_find(s, a->start);
    memmove(area + i + 1, area + i, (s->now.areas - i) * sizeof(*area));
    area[i] = *a;
    s->now.areas++;
    s->areas_changed = true;
    if (i + 1 < s->now.areas && are_alike(&area[i], &area[i + 1])) {
        area[i].end = area[i + 1].end;
        remove_area(s, i + 1);
    }
    if (i > 0 && are_alike(&area[i - 1], &area[i])) {
        area[i - 1].end = area[i].end;
        remove_area(s, i);
    }
    return 0;
}

int space_cut_area(struct space *s, uint64_t start, uint64_t end)
{
    unsigned i = space_find(s, start);
    struct space_area *area = s->now.area;
    const bool splits = i < s->now.areas && area[i].start < start && area[i].end > end;
    if (splits) {
        if (make_room(s, 1)) return -ENOMEM;
        area = s->now.area;
        memmove(area + i + 1, area + i, (s->now.areas - i) * sizeof(*area));
        s->now.areas++;
        area[i].end = start;
        area[i + 1].start = end;
        s->areas_changed = true;
        return 0;
    }
    s->areas_changed = true;
    if (i < s->now.areas && area[i].start < start) area[i++].end = start;
    unsigned last = i;
    while (last < s->now.areas && area[last].end <= end) last++;
    memmove(area + i, area + last, (s->now.areas - last) * sizeof(*area));
    s->now.areas -= last - i;
    if (i < s->now.areas && area[i].start < end) area[i].start = end;
    return 0;
}

uint64_t space_find_room(const struct space *s, uint64_t len)
{
    uint64_t top = MAP_TOP;
    for (unsigned i = space_find(s, MAP_TOP); i-- > 0;) {
        const struct space_area *a = &s->now.area[i];
        if (top > a->end && top - a->end >= len) return top - len;
        if (a->start < top) top = a->start;
    }
    return top >= USER_MIN && top - USER_MIN >= len ? top - len : 0;
}

bool space_area(const struct space *s, unsigned index, struct space_area *out)
{
    if (index >= s->now.areas) return false;
    *out = s->now.area[index];
    return true;
}
