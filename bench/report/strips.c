#include "bench/report/strips.h"

#include <math.h>

/* The units of a strip, whatever it is stretched to. */
#define WIDTH  1000.0
#define HEIGHT 100.0

static double place_x(const struct strips *s, double x)
{
    return axis_part(&s->x, x) * WIDTH;
}

static double place_y(const struct strips *s, double y)
{
    return s->bottom - (s->bottom - s->top) * fmin(fmax(y, 0), 1);
}

/* Labels of the axis. The style sheet hides the finer levels where there is no room for them. */
static void put_axis(struct strips *s)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    const unsigned n = axis_ticks(&s->x, tick);
    char text[PLOT_TEXT_MAX];
    html_put(s->page, "<tr class=\"ticks\"><td></td><td>");
    for (unsigned i = 0; i < n; i++)
        html_put(s->page, "<span class=\"t%u\" style=\"left:%.1f%%\">%s</span>", tick[i].level,
                 axis_part(&s->x, tick[i].value) * 100, axis_label(&s->x, tick[i].value, text));
    html_put(s->page, "</td><td></td></tr>\n");
}

void strips_begin(struct strips *s, FILE *page, const char *title, const struct plot_axis *x, unsigned height_px)
{
    *s = (struct strips){.page = page, .x = axis_fit(x), .height_px = height_px};
    html_put(page, "<table class=\"strips\" aria-label=\"%s\"><thead>", title);
    put_axis(s);
    html_put(page, "</thead><tbody>\n");
}

void strips_group(struct strips *s, const char *title)
{
    html_put(s->page, "<tr class=\"group\"><th colspan=\"3\" scope=\"rowgroup\">%s</th></tr>\n", title);
}

void strips_end(struct strips *s)
{
    html_put(s->page, "</tbody><tfoot>");
    put_axis(s);
    html_put(s->page, "</tfoot></table>\n");
}

void strip_begin(struct strips *s, const char *name, unsigned bands)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    const unsigned n = axis_ticks(&s->x, tick);
    s->bands = bands;
    html_put(s->page,
             "<tr><th scope=\"row\">%s</th><td><svg class=\"strip\" style=\"height:%upx\" viewBox=\"0 0 %.0f %.0f\" "
             "preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"grid\" d=\"",
             name, s->height_px * bands, WIDTH, HEIGHT);
    for (unsigned i = 0; i < n; i++)
        if (tick[i].level < 2) html_put(s->page, "M%.1f 0V%.0f", place_x(s, tick[i].value), HEIGHT);
    html_put(s->page, "\"/>");
    strip_band(s, 0);
}

void strip_band(struct strips *s, unsigned band)
{
    s->top = HEIGHT * band / s->bands;
    s->bottom = HEIGHT * (band + 1) / s->bands;
}

static void put_path(struct strips *s, const struct plot_point *at, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        html_put(s->page, "%c%.0f %.0f", i ? 'L' : 'M', place_x(s, at[i].x), place_y(s, at[i].y));
}

void strip_area(struct strips *s, const char *look, const struct plot_point *at, unsigned n)
{
    if (n == 0) return;
    html_put(s->page, "<path class=\"%s\" d=\"", look);
    put_path(s, at, n);
    html_put(s->page, "L%.0f %.0fL%.0f %.0fZ\"/>", place_x(s, at[n - 1].x), s->bottom, place_x(s, at[0].x), s->bottom);
}

void strip_line(struct strips *s, const char *look, const struct plot_point *at, unsigned n)
{
    html_put(s->page, "<path class=\"%s\" d=\"", look);
    put_path(s, at, n);
    html_put(s->page, "\"/>");
}

void strip_dot(struct strips *s, const char *look, struct plot_point at)
{
    html_put(s->page, "<path class=\"%s dot\" d=\"", look);
    put_path(s, &at, 1);
    html_put(s->page, "h0\"/>");
}

static void put_says(struct strips *s, const char *element, const char *says)
{
    if (says)
        html_put(s->page, "><title>%s</title></%s>", says, element);
    else
        html_put(s->page, "/>");
}

void strip_mark(struct strips *s, const char *look, double x, const char *says)
{
    html_put(s->page, "<path class=\"%s\" d=\"M%.1f %.0fV%.0f\"", look, place_x(s, x), s->top, s->bottom);
    put_says(s, "path", says);
}

void strip_bar(struct strips *s, const char *look, double from, double to, const char *says)
{
    const double x = place_x(s, from), margin = (s->bottom - s->top) * 0.15;
    html_put(s->page, "<rect class=\"%s\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\"", look, x,
             s->top + margin, place_x(s, to) - x, s->bottom - s->top - 2 * margin);
    put_says(s, "rect", says);
}

void strip_end(struct strips *s, const char *const *figures)
{
    html_put(s->page, "</svg></td><td>");
    for (unsigned i = 0; i < s->bands; i++)
        html_put(s->page, "<span style=\"height:%upx\">%s</span>", s->height_px, figures[i]);
    html_put(s->page, "</td></tr>\n");
}
