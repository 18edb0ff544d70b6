#include "bench/report/axis.h"

#include <math.h>
#include <stdio.h>

#define DECADES   20 /* the most that a log axis shows: 1e20 ns are 3000 years */
#define TICKS     5  /* about so many on a linear axis */
#define FEW_TICKS 4  /* labels that even a narrow screen has room for */
#define ROUNDING  1e-9

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
        const double scaled = value / times[i].by;
        (void)snprintf(buf, PLOT_TEXT_MAX, scaled >= 999.5 && scaled < 1e6 ? "%.0f %s" : "%.3g %s", scaled,
                       times[i].name);
    } else if (unit == PLOT_PERCENT) {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.3g %%", value * 100);
    } else if (unit == PLOT_TAIL) {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.8g", 100 - 100 / value);
    } else {
        (void)snprintf(buf, PLOT_TEXT_MAX, "%.10g", value);
    }
    return buf;
}

const char *axis_label(const struct plot_axis *a, double value, char buf[PLOT_TEXT_MAX])
{
    return value == 0 ? "0" : plot_text(value, a->unit, buf);
}

struct plot_axis axis_fit(const struct plot_axis *a)
{
    struct plot_axis out = *a;
    if (!isfinite(out.low) || !isfinite(out.high)) out.low = out.high = 0;
    if (out.is_log) {
        out.low = fmin(fmax(out.low, 1e-9), 1e30);
        out.high = fmin(fmax(out.high, out.low * 2), out.low * pow(10, DECADES));
    } else {
        out.low = 0;
        if (!(out.high > 0)) out.high = 1;
    }
    return out;
}

double axis_part(const struct plot_axis *a, double value)
{
    if (!(value > a->low)) return 0;
    if (value >= a->high) return 1;
    if (a->is_log) return log(value / a->low) / log(a->high / a->low);
    return value / a->high;
}

static unsigned linear_ticks(const struct plot_axis *a, struct axis_tick out[AXIS_TICKS_MAX])
{
    const double low = a->is_log ? a->low : 0, rough = (a->high - low) / TICKS;
    const double ten = pow(10, floor(log10(rough) + ROUNDING));
    const double step = ten * (rough <= ten ? 1 : rough <= 2 * ten ? 2 : rough <= 5 * ten ? 5 : 10);
    const double first = ceil(low / step - ROUNDING);
    unsigned n = 0;
    for (; n <= 2 * TICKS && (first + n) * step <= a->high * (1 + ROUNDING); n++)
        out[n] = (struct axis_tick){(first + n) * step, n % 2};
    return n;
}

/* A tail has the median beside its decades. Other log axes have 1, 2 and 5 of each decade. */
static bool has_mantissa(const struct plot_axis *a, int power, int mantissa)
{
    return a->unit != PLOT_TAIL || mantissa == 1 || (mantissa == 2 && power == 0);
}

static unsigned log_ticks(const struct plot_axis *a, struct axis_tick out[AXIS_TICKS_MAX])
{
    static const int mantissas[] = {1, 2, 5};
    const int first = (int)floor(log10(a->low) + ROUNDING), last = (int)floor(log10(a->high) + ROUNDING);
    const int stride = (last - first) / FEW_TICKS + 1;
    unsigned n = 0;
    for (int power = first; power <= last; power++) {
        for (unsigned m = 0; m < 3 && n < AXIS_TICKS_MAX; m++) {
            const double value = mantissas[m] * pow(10, power);
            if (value < a->low * (1 - ROUNDING) || value > a->high * (1 + ROUNDING)) continue;
            if (!has_mantissa(a, power, mantissas[m])) continue;
            out[n++] = (struct axis_tick){value, m > 0 ? 2u : (power - first) % stride ? 1u : 0u};
        }
    }
    return n;
}

unsigned axis_ticks(const struct plot_axis *a, struct axis_tick out[AXIS_TICKS_MAX])
{
    const bool has_decades = a->is_log && (a->high > 10 * a->low || a->unit == PLOT_TAIL);
    return has_decades ? log_ticks(a, out) : linear_ticks(a, out);
}
