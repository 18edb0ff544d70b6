#include "bench/report/svg.h"

#include <math.h>
#include <stdio.h>

#define WIDTH      480.0
#define HEIGHT     250.0
#define ROW        17.0 /* height of a listed name */
#define LEFT       58.0
#define LEFT_LIST  150.0
#define RIGHT      26.0 /* room for half of the last label of the x axis */
#define TOP        8.0
#define BOTTOM     38.0 /* tick labels and the axis' own */
#define TICKS      5    /* about so many on a linear axis */
#define DECADES    20   /* the most that a log axis shows: 1e20 ns are 3000 years */
#define LABEL_ROOM 45.0 /* along the x axis, for "100 ms" and space */
#define THIN       1.2  /* the least width of a bar */

const char *plot_text(double value, enum plot_unit unit, char buf[PLOT_TEXT_MAX])
{
    static const struct {
        double from, by;
        const char *name;
    } times[] = {{1e9, 1e9, "s"}, {1e6, 1e6, "ms"}, {1e3, 1e3, "\xc2\xb5s"}, {0, 1, "ns"}};
    unsigned i = 0;
    if (!isfinite(value) || value < 0) {
        (void)snprintf(buf, PLOT_TEXT_MAX, "-");
    } else if (unit == PLOT_NS) {
        while (value < times[i].from * 0.9995) i++; /* 999.6 is 1000 to three digits */
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.3g %s", value / times[i].by, times[i].name);
    } else if (unit == PLOT_PERCENT) {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.3g %%", value * 100);
    } else if (unit == PLOT_TAIL) {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.8g", 100 - 100 / value);
    } else {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.10g", value);
    }
    return buf;
}

/* The greatest power of ten that is not above value, to a rounding error, and between 1e-9 and 1e30. */
static double decade(double value)
{
    return pow(10, fmin(fmax(floor(log10(value) + 1e-9), -9), 30));
}

/* Make an axis that can be drawn: its ends are finite and apart, and those of a log axis are powers of ten. */
static struct plot_axis fitted(const struct plot_axis *a)
{
    struct plot_axis out = *a;
    if (!isfinite(out.low) || !isfinite(out.high)) out.low = out.high = 0;
    if (out.is_log) {
        out.low = decade(out.low);
        out.high = pow(10, ceil(log10(out.high) - 1e-9));
        out.high = fmin(fmax(out.high, out.low * 10), out.low * pow(10, DECADES));
    } else {
        out.low = 0;
        if (!(out.high > 0)) out.high = 1;
    }
    return out;
}

/* Where a value lies between the ends, from 0 to 1. A value outside lies at an end. */
static double part(const struct plot_axis *a, double value)
{
    if (!(value > a->low)) return 0;
    if (value >= a->high) return 1;
    if (a->is_log) return log(value / a->low) / log(a->high / a->low);
    return value / a->high;
}

static double place_x(const struct plot *p, double value)
{
    return p->left + part(&p->x, value) * (p->right - p->left);
}

static double place_y(const struct plot *p, double value)
{
    const double height = part(&p->y, value) * (p->bottom - p->top);
    return p->is_list ? p->top + height : p->bottom - height;
}

static void tick(struct plot *p, bool is_x, double value)
{
    char text[PLOT_TEXT_MAX];
    const double x = place_x(p, value), y = place_y(p, value);
    if (is_x)
        html_put(p->page,
                 "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text class=\"x\" x=\"%.1f\" y=\"%.1f\">%s</text>", x,
                 p->top, p->bottom, x, p->bottom + 14, plot_text(value, p->x.unit, text));
    else
        html_put(p->page,
                 "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"y\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                 p->left, y, p->right, p->left - 5, y + 4, plot_text(value, p->y.unit, text));
}

static void ticks(struct plot *p, bool is_x)
{
    const struct plot_axis *a = is_x ? &p->x : &p->y;
    if (a->is_log) {
        const double room = is_x ? (p->right - p->left) / LABEL_ROOM : DECADES;
        const unsigned step = a->high / a->low > pow(10, (unsigned)room) * 1.5 ? 2 : 1;
        if (a->unit == PLOT_TAIL) tick(p, is_x, 2);
        for (unsigned i = 0; a->low * pow(10, i) <= a->high * (1 + 1e-9); i += step) tick(p, is_x, a->low * pow(10, i));
        return;
    }
    const double rough = a->high / TICKS, ten = decade(rough);
    const double step = ten * (rough <= ten ? 1 : rough <= 2 * ten ? 2 : rough <= 5 * ten ? 5 : 10);
    for (unsigned i = 0; i <= 2 * TICKS && i * step <= a->high * (1 + 1e-9); i++) tick(p, is_x, i * step);
}

static void names(struct plot *p, const struct plot_frame *f)
{
    for (unsigned i = 0; i < f->names_count; i++)
        html_put(p->page,
                 "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"y\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                 p->left, p->top + i * ROW, p->right, p->left - 5, p->top + (i + 0.5) * ROW + 4, f->names[i]);
}

void plot_begin(struct plot *p, FILE *page, const struct plot_frame *f)
{
    const struct plot_axis list = {.high = f->names_count};
    const double height = f->names ? TOP + f->names_count * ROW + BOTTOM : HEIGHT;
    *p = (struct plot){
        .page = page,
        .x = fitted(&f->x),
        .y = f->names ? list : fitted(&f->y),
        .is_list = f->names != NULL,
        .left = f->names ? LEFT_LIST : LEFT,
        .right = WIDTH - RIGHT,
        .top = TOP,
        .bottom = height - BOTTOM,
    };
    html_put(page, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">", WIDTH, height, f->title);
    ticks(p, true);
    if (f->names)
        names(p, f);
    else
        ticks(p, false);
    html_put(page, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>", p->left, p->top, p->bottom, p->right);
    html_put(page, "<text class=\"l\" x=\"%.1f\" y=\"%.1f\">%s</text>", (p->left + p->right) / 2, height - 6,
             f->x.label);
    if (!f->names)
        html_put(page, "<text class=\"l\" transform=\"translate(11 %.1f) rotate(-90)\">%s</text>",
                 (p->top + p->bottom) / 2, f->y.label);
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
             series % PLOT_SERIES, x0, fmin(y0, y1), fmax(x1 - x0, THIN), fmax(fmax(y1 - y0, y0 - y1), THIN));
}

void plot_dot(struct plot *p, unsigned series, struct plot_point at, const char *says)
{
    html_put(p->page, "<circle class=\"f%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%s</title></circle>",
             series % PLOT_SERIES, place_x(p, at.x), place_y(p, at.y), says);
}

void plot_end(struct plot *p)
{
    html_put(p->page, "</svg>\n");
}
