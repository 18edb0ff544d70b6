/* Does a series of numbers, one a sample, hold a change that chance does not explain? No I/O, no allocation, one
 * thread.
 *
 * Only a rise is looked for: the figures watched here are costs. The last few samples (4 to 8 of them) are held against
 * up to 120 samples before them, the baseline. There is an alarm when all of these are true:
 *
 *   unlikely   Were all these samples alike, every order of them would be equally likely. If the k last ones all lie
 *              above all but j of the n before them, the chance of that is C(j+k,k) / C(n+k,k), whatever the samples'
 *              distribution. It must be below one in a million. So a change must last for 4 samples at least, and one
 *              outlier, however far out, is none.
 *   large      Their median lies above the baseline's median by more than the rule says is worth a word.
 *   far        ... and by more than 4 times the baseline's spread: the median distance from its median (MAD), times
 *              1.4826, which is what makes it the standard deviation where that is normal.
 *
 * It is over when 4 samples running lie below half of that distance. A level that stays for 120 samples is what is
 * usual from then on. The samples of an alarm join the baseline, so what comes back again and again within it becomes
 * usual too.
 *
 * The baseline moves along with a slow drift. So each median of 30 samples goes to a second, slow series of the same
 * kind (docs/anomalies.md). */
#ifndef VIREO_CLI_ANOMALY_H
#define VIREO_CLI_ANOMALY_H

#include <stdbool.h>
#include <stdint.h>

#define ANOMALY_WINDOW     120 /* samples of the baseline: two minutes of seconds */
#define ANOMALY_LEAST      30  /* with fewer there is no baseline yet */
#define ANOMALY_RECENT_MIN 4   /* C(124,4) is nine million */
#define ANOMALY_RECENT_MAX 8   /* C(38,8) is 49 million: enough for the shortest baseline */
#define ANOMALY_SLOW       30  /* samples of one of the slow series */
#define ANOMALY_ODDS       1e6
#define ANOMALY_SPREADS    4
#define ANOMALY_NORMAL     1.4826 /* of a normal distribution: standard deviation / MAD */

/* How much is worth a word: a rise by at least `least`, and by `ratio` times the median. */
struct anomaly_rule {
    double least, ratio;
};

/* The evidence. */
struct anomaly_alarm {
    uint64_t since_ns; /* the first of the samples that are unlike the others */
    double value;      /* their median; the greatest one since, once it is over */
    double median, mad;
    double odds;     /* one in so many, if nothing had changed */
    unsigned before; /* samples of the baseline */
    bool is_slow;    /* of the slow series: each of its samples is the median of 30 */
};

struct anomaly_series {
    double value[ANOMALY_WINDOW + ANOMALY_RECENT_MAX]; /* a ring */
    uint64_t at_ns[ANOMALY_RECENT_MAX];                /* of the last ones; a ring */
    uint64_t count;                                    /* samples so far */
    unsigned back, lasted;                             /* samples, of an alarm that is on */
    bool is_on;
    struct anomaly_alarm alarm; /* on, or the last one */
};

struct anomaly { /* zero to begin with */
    struct anomaly_series fast, slow;
    double batch[ANOMALY_SLOW];
    unsigned batched;
};

enum anomaly_event {
    ANOMALY_NONE,
    ANOMALY_BEGINS,  /* *out is the evidence */
    ANOMALY_ENDS,    /* it is as it was; *out is the alarm that ends */
    ANOMALY_SETTLES, /* it has become usual; *out is the alarm that ends */
};
/* One more sample. t_ns rises; value is finite, from 0 on. */
enum anomaly_event anomaly_feed(struct anomaly *a, const struct anomaly_rule *rule, uint64_t t_ns, double value,
                                struct anomaly_alarm *out);
/* The alarm that is on, or NULL. */
const struct anomaly_alarm *anomaly_now(const struct anomaly *a);
/* Has it enough samples to judge? */
bool anomaly_is_ready(const struct anomaly *a);

#endif
