/* What a program does with files below the directory that it is given as its argument; it tells what it found, and ends
 * with the line of the first thing that was not as it must be. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MUST(fact)                                                                                                     \
    do {                                                                                                               \
        if (!(fact)) {                                                                                                 \
            printf("line %d: not %s (errno %d: %s)\n", __LINE__, #fact, errno, strerror(errno));                       \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static char path_buffer[4][512];
static const char *in(const char *dir, const char *name)
{
    static unsigned next;
    char *to = path_buffer[next++ % 4];
    snprintf(to, sizeof(path_buffer[0]), "%s/%s", dir, name);
    return to;
}

static void read_and_write(const char *dir)
{
    char got[32] = "";
    FILE *f = fopen(in(dir, "new"), "w");
    MUST(f && fputs("one two three", f) >= 0 && fclose(f) == 0);
    f = fopen(in(dir, "new"), "r+");
    MUST(f && fseek(f, 4, SEEK_SET) == 0 && fread(got, 1, 3, f) == 3 && strcmp(got, "two") == 0);
    MUST(fseek(f, 0, SEEK_END) == 0 && ftell(f) == 13 && fputs("!", f) >= 0 && fclose(f) == 0);
    const int fd = open(in(dir, "new"), O_RDWR | O_APPEND);
    MUST(fd >= 0 && write(fd, "?", 1) == 1 && pread(fd, got, 2, 13) == 2 && memcmp(got, "!?", 2) == 0);
    MUST(pwrite(fd, "O", 1, 0) == 1 && fsync(fd) == 0 && ftruncate(fd, 5) == 0);
    struct stat st;
    MUST(fstat(fd, &st) == 0 && st.st_size == 5 && S_ISREG(st.st_mode) && close(fd) == 0);
    MUST(open(in(dir, "new"), O_CREAT | O_EXCL | O_WRONLY, 0666) < 0 && errno == EEXIST);
}

static void names(const char *dir)
{
    char target[64] = "";
    struct stat st;
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    MUST(mkdir(in(dir, "sub"), 0777) == 0 && mkdir(in(dir, "sub"), 0777) < 0 && errno == EEXIST);
    MUST(rename(in(dir, "new"), in(dir, "sub/moved")) == 0 && stat(in(dir, "new"), &st) < 0 && errno == ENOENT);
    MUST(link(in(dir, "sub/moved"), in(dir, "hard")) == 0 && stat(in(dir, "hard"), &st) == 0 && st.st_nlink == 2);
    MUST(symlink("sub/moved", in(dir, "soft")) == 0 && readlink(in(dir, "soft"), target, sizeof(target)) == 9);
    MUST(lstat(in(dir, "soft"), &st) == 0 && S_ISLNK(st.st_mode) && stat(in(dir, "soft"), &st) == 0 && st.st_size == 5);
    MUST(utimensat(AT_FDCWD, in(dir, "hard"), times, 0) == 0 && stat(in(dir, "sub/moved"), &st) == 0);
    MUST(st.st_mtim.tv_sec == 2000 && st.st_atim.tv_sec == 1000);
    MUST(rmdir(in(dir, "sub")) < 0 && errno == ENOTEMPTY);
    MUST(unlink(in(dir, "sub/moved")) == 0 && unlink(in(dir, "hard")) == 0 && stat(in(dir, "soft"), &st) < 0);
    MUST(unlink(in(dir, "soft")) == 0 && rmdir(in(dir, "sub")) == 0);
}

/* More entries than one buffer holds. */
static void directory(const char *dir)
{
    char name[16];
    unsigned seen = 0, sum = 0;
    struct dirent *d;
    MUST(mkdir(in(dir, "many"), 0777) == 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "many/%d", i);
        const int fd = open(in(dir, name), O_CREAT | O_WRONLY, 0666);
        MUST(fd >= 0 && close(fd) == 0);
    }
    DIR *all = opendir(in(dir, "many"));
    MUST(all);
    while ((d = readdir(all)) != NULL) {
        if (d->d_name[0] == '.') continue;
        MUST(d->d_type == DT_REG);
        seen++;
        sum += (unsigned)atoi(d->d_name);
    }
    MUST(closedir(all) == 0 && seen == 300 && sum == 300 * 299 / 2);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "many/%d", i);
        MUST(unlink(in(dir, name)) == 0);
    }
    MUST(rmdir(in(dir, "many")) == 0);
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    read_and_write(argv[1]);
    names(argv[1]);
    directory(argv[1]);
    puts("files are as they must be");
    return 0;
}
