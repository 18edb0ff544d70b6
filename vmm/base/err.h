/* Errors of set-up paths: the first cause, context added on the way up, and a hint.
 *
 * A function that can fail for a reason the user must hear takes a `struct err *e` last, returns 0 or -errno, and
 * leaves in *e one sentence: "disk 0: open images/root.ext4: No such file or directory". Hot paths return a code only.
 * Words of a user or of a file are in it as they were given, but for control characters, which are shown as '?': who
 * prints an error to a terminal need not look. The storage is the caller's; nothing is allocated, so an error can be
 * reported when memory is what is missing. `e` may be NULL everywhere: then only the code is returned. Not shared
 * between threads. */
#ifndef VIREO_BASE_ERR_H
#define VIREO_BASE_ERR_H

#define ERR_TEXT_MAX 768 /* a path of PATH_MAX/8 and its context; longer text is cut, never overrun */
#define ERR_HINT_MAX 256

/* Whose fault it is; decides the exit status of `vireo run`. */
enum err_kind {
    ERR_CONFIG, /* the command line or configuration asks for what can't be had: 125 */
    ERR_HOST,   /* this host can't: no /dev/kvm, no permission, missing capability: 126 */
    ERR_KERNEL, /* kernel or initrd not loadable: 127 */
    ERR_DEVICE, /* a device's host side failed: 122 */
    ERR_VM,     /* KVM could not run the guest: 121 */
};

struct err {
    int code; /* 0: none; else -errno */
    enum err_kind kind;
    char text[ERR_TEXT_MAX];
    char hint[ERR_HINT_MAX]; /* "" or what the user can do about it */
};

/* As {0} is, where an exit or a call would feel the clearing of the whole. */
static inline void err_init(struct err *e)
{
    e->code = 0;
    e->kind = (enum err_kind)0;
    e->text[0] = e->hint[0] = '\0';
}

/* Set text and code (-errno; 0 is turned into -EINVAL); kind becomes ERR_CONFIG, or ERR_HOST when the host is out of
 * memory or descriptors; for descriptors the hint says how to have more. Returns the code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with code -errno, and ": strerror(errno)" appended. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "context: " before the text; rc is returned unchanged (0 does nothing). */
int err_wrap(struct err *e, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Set the hint (the first one stays). No code comes back, as there is none to be had from a NULL e: callers return the
 * one they have. */
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whose fault it is. What the host is out of stays ERR_HOST, whatever was being done: no kernel is bad for it. */
void err_as(struct err *e, enum err_kind kind);
/* *e says that a thread could not be made: that is the host's (ERR_HOST), and the hint says which limits there are.
 * Returns rc. */
int err_thread(struct err *e, int rc);
/* The way out for a code that says the host is out of descriptors; NULL: it says something else. */
const char *err_way_out(int code);

#endif
