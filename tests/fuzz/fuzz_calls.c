/* A sandboxed program's system calls: any sequence of them, with arguments that are often nearly right, answered over a
 * space without a VM. What lies beside the shown directory stays as it is, and no descriptor is left. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/sandbox/process.h"

#define TEXT      0x400000ull /* where the program's strings and buffers are */
#define TEXT_LEN  (4 * SPACE_PAGE)
#define CALLS_MAX 64u
#define WAIT_NS   100000u /* a call that waits is cut off */
#define FILE_MAX  (1u << 20)

static const char *const paths[] = {
    "/w/a",      "/w/b/c",          "/w/b",           "/r/a",     "/w",     "/", ".",     "..",
    "a",         "/w/../../secret", "/w/link",        "b/../a",   "/w/./a", "",  "//w/a", "/dev/null",
    "/dev/zero", "/dev/fd/4",       "/proc/self/exe", "../secret"};

static char parent[] = "/dev/shm/vireo-fuzz-calls-XXXXXX";
static char tree[64];

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return at->level ? remove(path) : 0;
}

static void remove_place(void)
{
    (void)nftw(parent, drop, 8, FTW_DEPTH | FTW_PHYS);
    (void)rmdir(parent);
}

static void make_place(void)
{
    const struct rlimit small = {FILE_MAX, FILE_MAX};
    char secret[64];
    MUST(setrlimit(RLIMIT_FSIZE, &small) == 0);
    MUST(mkdtemp(parent) && atexit(remove_place) == 0);
    (void)snprintf(tree, sizeof(tree), "%s/tree", parent);
    (void)snprintf(secret, sizeof(secret), "%s/secret", parent);
    MUST(mkdir(tree, 0700) == 0);
    const int fd = open(secret, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, "secret", 6) == 6 && close(fd) == 0);
}

/* The directory beside the tree holds one file, as it was made. */
static void look_outside(void)
{
    struct stat st;
    unsigned n = 0;
    DIR *d = opendir(parent);
    MUST(d);
    while (readdir(d)) n++;
    MUST(closedir(d) == 0 && n == 4);
    MUST(fstatat(AT_FDCWD, parent, &st, 0) == 0 && S_ISDIR(st.st_mode));
    char secret[64];
    (void)snprintf(secret, sizeof(secret), "%s/secret", parent);
    MUST(stat(secret, &st) == 0 && st.st_size == 6 && st.st_nlink == 1 && (st.st_mode & 07777) == 0600);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static uint64_t take_argument(struct script *in)
{
    const uint32_t how = take(in, 1);
    switch (how % 8) {
    case 0: return how >> 4; /* a descriptor, a flag */
    case 1: return (uint64_t)AT_FDCWD;
    case 2:
    case 3: return TEXT + take(in, 1) % 20 * 64;  /* a path */
    case 4: return TEXT + take(in, 2) % TEXT_LEN; /* bytes */
    case 5: return take(in, 2);                   /* a length, flags */
    case 6: return 1ull << take(in, 1) % 64;
    default: return (uint64_t)take(in, 4) << 32 | take(in, 4);
    }
}

static long take_number(struct script *in)
{
    struct call_about about;
    const uint32_t how = take(in, 1);
    return call_about(how, &about) ? about.number : (long)take(in, 2);
}

static int set_tls(void *arg, uint64_t address)
{
    (void)arg;
    (void)address;
    return 0;
}

static uint64_t get_tls(void *arg)
{
    (void)arg;
    return 0;
}

static void run(struct process *p, struct script *in)
{
    for (unsigned i = 0; i < CALLS_MAX && in->left > 0; i++) {
        struct user_signal signal;
        int64_t result;
        struct user_call call = {.number = (uint64_t)take_number(in)};
        for (unsigned k = 0; k < 6; k++) call.arg[k] = take_argument(in);
        process_set_deadline(p, process_clock() + WAIT_NS);
        const enum call_outcome outcome = process_call(p, &call, &result);
        if (outcome == CALL_FORK) process_fork_failed(p);
        while (process_next_signal(p, &signal)) continue;
        if (outcome == CALL_KILLED || outcome == CALL_EXITED) break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_made;
    if (!is_made) make_place();
    is_made = true;
    const unsigned descriptors = open_descriptors();
    struct script in = {data, size};
    struct policy policy;
    struct space *s;
    struct process *p;
    struct err e = {0};
    char text[80];
    policy_init(&policy);
    policy.files_max = 16;
    policy.output_max = 1 << 16;
    (void)snprintf(text, sizeof(text), "%s=/w", tree);
    MUST(policy_add_dir(&policy, text, true, &e) == 0);
    (void)snprintf(text, sizeof(text), "%s=/r", tree);
    MUST(policy_add_dir(&policy, text, false, &e) == 0);
    MUST(symlinkat("../secret", policy.dir[0].fd, "link") == 0);
    MUST(space_create(&s, 2 << 20, &e) == 0);
    MUST(space_map(s, TEXT, TEXT_LEN, USER_READ | USER_WRITE, SPACE_FIXED) > 0);
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        MUST(space_write(s, TEXT + i * 64ull, paths[i], strlen(paths[i]) + 1) == 0);
    const struct process_params params = {
        .space = s, .policy = &policy, .cpu = {.set_tls = set_tls, .tls = get_tls}, .stop_fd = -1, .exe = "/w/x"};
    MUST(process_create(&p, &params, &e) == 0);
    run(p, &in);
    process_destroy(p);
    space_destroy(s);
    policy_fini(&policy);
    MUST(nftw(tree, drop, 8, FTW_DEPTH | FTW_PHYS) == 0);
    MUST(open_descriptors() == descriptors);
    look_outside();
    return 0;
}
