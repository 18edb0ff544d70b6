#include "bench/report/svg.h"

#include <math.h>

/* The drawing's units, which are pixels where a plot has all the room it wants. */
#define WIDTH        420.0
#define HEIGHT       230.0
#define LEFT         66.0
#define RIGHT        (WIDTH - 24) /* room for half of the last label of the x axis */
#define TOP          10.0
#define BOTTOM       (HEIGHT - 42) /* tick labels and the axis' own */
#define LABEL_ROOM   52.0          /* along the x axis, for "100 ms" and space */
#define LABEL_ROOM_Y 18.0
#define THIN         1.2 /* the least width of a bar */

static double place_x(const struct plot *p, double value)
{
    return LEFT + axis_part(&p->x, value) * (RIGHT - LEFT);
}

static double place_y(const struct plot *p, double value)
{
    return BOTTOM - axis_part(&p->y, value) * (BOTTOM - TOP);
}

static void put_tick(const struct plot *p, bool is_x, double value)
{
    char text[PLOT_TEXT_MAX];
    const double x = place_x(p, value), y = place_y(p, value);
    if (is_x)
        html_put(p->page,
                 "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text class=\"x\" x=\"%.1f\" y=\"%.1f\">%s</text>", x,
                 TOP, BOTTOM, x, BOTTOM + 16, axis_label(&p->x, value, text));
    else
        html_put(p->page,
                 "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"y\" x=\"%.1f\" y=\"%.1f\">%s</text>", LEFT,
                 y, RIGHT, LEFT - 5, y + 4, axis_label(&p->y, value, text));
}

/* As many levels of ticks as there is room for. */
static void put_ticks(const struct plot *p, bool is_x)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    const unsigned n = axis_ticks(is_x ? &p->x : &p->y, tick);
    const double room = is_x ? (RIGHT - LEFT) / LABEL_ROOM : (BOTTOM - TOP) / LABEL_ROOM_Y;
    unsigned upto = 0, count[3] = {0};
    for (unsigned i = 0; i < n; i++)
        for (unsigned level = tick[i].level; level < 3; level++) count[level]++;
    while (upto < 2 && count[upto + 1] <= room) upto++;
    for (unsigned i = 0; i < n; i++)
        if (tick[i].level <= upto) put_tick(p, is_x, tick[i].value);
}

void plot_begin(struct plot *p, FILE *page, const struct plot_frame *f)
{
    *p = (struct plot){.page = page, .x = axis_fit(&f->x), .y = axis_fit(&f->y)};
    html_put(page, "<svg class=\"plot\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">", WIDTH, HEIGHT,
             f->title);
    put_ticks(p, true);
    put_ticks(p, false);
    html_put(page, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>", LEFT, TOP, BOTTOM, RIGHT);
    html_put(page, "<text class=\"x\" x=\"%.1f\" y=\"%.1f\">%s</text>", (LEFT + RIGHT) / 2, HEIGHT - 6, f->x.label);
    html_put(page, "<text class=\"x\" transform=\"translate(16 %.1f) rotate(-90)\">%s</text>", (TOP + BOTTOM) / 2,
             f->y.label);
}

void plot_line(struct plot *p, unsigned series, const struct plot_point *at, unsigned n)
{
    if (n == 0) return;
    html_put(p->page, "<polyline class=\"s%u\" points=\"", series % PLOT_SERIES);
    for (unsigned i = 0; i < n; i++) html_put(p->page, "%.1f,%.1f ", place_x(p, at[i].x), place_y(p, at[i].y));
    html_put(p->page, "\"/>");
}

void plot_bar(struct plot *p, unsigned series, struct plot_point a, struct plot_point b)
{
    const double x0 = place_x(p, fmin(a.x, b.x)), x1 = place_x(p, fmax(a.x, b.x));
    const double y0 = place_y(p, a.y), y1 = place_y(p, b.y);
    html_put(p->page, "<rect class=\"f%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
             series % PLOT_SERIES, x0, fmin(y0, y1), fmax(x1 - x0, THIN), fmax(fabs(y1 - y0), THIN));
}

void plot_end(struct plot *p)
{
    html_put(p->page, "</svg>\n");
}
