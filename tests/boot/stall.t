#!/bin/bash
# A host that lets us wait takes nothing away: a disk whose file does not answer, and limits on threads that are reached. With the built-in
# guest on this machine's /dev/kvm.
# time limit: 400
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
TREE=$PWD
VIREO=$PWD/build/vireo
RUN_LIMIT_S=40          # a second or two on an idle machine
DISK_ID=vireo-ramdisk   # the serial number by which the built-in guest knows that it may write (guest/embed.h)
NOBODY=65432            # a user who has no other process
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export XDG_RUNTIME_DIR=$work

# with_worker COMMAND...: io_uring is forbidden, as in many containers, so that a thread of ours writes. Its first write then does not come
# back while ./stall is there; ./stalled says that it has begun.
build_tools() {
    truncate -s 1M disk || return 1
    gcc -O1 -o with_worker -xc - << 'END' || return 1
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter no_ring[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, no_ring};
    if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 99;
    setenv("LD_PRELOAD", "./stall.so", 1);
    execv(argv[1], argv + 1);
    return 99;
}
END
    gcc -shared -fPIC -O1 -o stall.so -xc - << 'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static ssize_t slow_write(int fd, const struct iovec *iov, int count, off_t off)
{
    if (access("stall", F_OK) == 0) close(open("stalled", O_CREAT | O_WRONLY, 0666));
    while (access("stall", F_OK) == 0) usleep(10000);
    return syscall(SYS_pwritev, fd, iov, count, off, 0);
}
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off) { return slow_write(fd, iov, count, off); }
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t off) { return slow_write(fd, iov, count, off); }
END
}

wait_for() {
    local i
    for ((i = 0; i < 1500; i++)); do [ -e "$1" ] && return; sleep 0.02; done
    echo "$1 did not come"
    return 1
}
has() { grep -q -- "$1" "$2" || { echo "no $1 in $2:"; cat "$2"; return 1; }; }


stalled_run() { # STATUS OPTION...: in the background; waits until the write stalls
    rm -f stalled report
    touch stall
    ./with_worker "$VIREO" run --name slow --console off --disk "path=disk,serial=$DISK_ID" --json=report "$@" < /dev/null > out 2> err &
    pid=$!
    wait_for stalled
}
ends_with() { # STATUS WHAT
    local status=0 i
    for ((i = 0; i < RUN_LIMIT_S * 10; i++)); do kill -0 $pid 2> /dev/null || break; sleep 0.1; done
    kill -0 $pid 2> /dev/null && { echo "still there after $RUN_LIMIT_S s"; kill -KILL $pid; rm -f stall; return 1; }
    wait $pid || status=$?
    rm -f stall
    [ $status = "$1" ] && has "$2" report || { echo "exit status $status"; cat err; return 1; }
}
limit_while_a_write_stalls() { stalled_run --timeout 2 && ends_with 124 '"reason": "timeout"'; }
signal_while_a_write_stalls() { stalled_run && kill -TERM $pid && ends_with 143 '"reason": "stopped"'; }
stat_while_a_write_stalls() {
    stalled_run --timeout 60 && timeout $RUN_LIMIT_S "$VIREO" stat slow > stat || return 1
    kill -TERM $pid
    ends_with 143 '"reason": "stopped"' && has 'vCPU' stat
}

# A guest that asks for as much zeroing as its disk's queue holds, again and again (flood.c). On a disk in memory all of it is ours to do.
flood() { # FOLDER NAME OPTION...: a disk there; with the flags of gcc in FLAGS
    local disk=$1/flood-$$.img name=$2
    shift 2
    gcc -O2 -Wall -Wextra -Werror -ffreestanding -fno-stack-protector -mgeneral-regs-only -nostdlib -static -no-pie \
        -Wl,-Ttext=0x200000,--build-id=none -I"$TREE/include" ${FLAGS-} "$TREE/tests/boot/flood.c" -o flood || return 1
    rm -f report
    truncate -s 256M "$disk"
    "$VIREO" run --name "$name" --kernel flood --console off --disk "path=$disk" --json=report --boot-times "$@" < /dev/null > out 2> err &
    pid=$!
}
flooded_limit() { # FOLDER
    flood "$1" flood --timeout "${SOAK_S:-2}" && ends_with 124 '"reason": "timeout"' && has '"guest 1"' report
    local rc=$?
    rm -f "$1/flood-$$.img"
    return $rc
}
flooded_signal_and_stat() {
    flood "$1" flood --timeout 60 || return 1
    local i rc=0
    for ((i = 0; i < 100; i++)); do timeout $RUN_LIMIT_S "$VIREO" stat flood > stat 2> /dev/null && break; sleep 0.1; done
    kill -TERM $pid
    ends_with 143 '"reason": "stopped"' && has 'vCPU' stat || rc=1
    rm -f "$1/flood-$$.img"
    return $rc
}
flooded_resets() { FLAGS=-DRESETS flooded_limit "$1"; }

# A program whose VM has a stalled write: wait comes back in time, so does destroy, and what was left behind is gone once the write is answered.
build_embedder() {
    gcc -O1 -I"$TREE/include" -o embed -xc - -xnone "$TREE/build/libvireo.so" << 'END'
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vireo.h>
static int count(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}
int main(int argc, char **argv)
{
    struct vireo_error e;
    struct vireo_end end;
    struct vireo_vm *vm;
    const char *disk = argv[1];
    (void)argc;
    struct vireo_config *c = vireo_config_create();
    vireo_config_set(c, "console", "off", &e);
    if (vireo_config_set(c, "disk", disk, &e) || vireo_vm_create(&vm, c, NULL, &e)) return fprintf(stderr, "%s\n", e.text), 1;
    const int fds = count("/proc/self/fd");
    if (vireo_vm_start(vm, &e)) return fprintf(stderr, "%s\n", e.text), 1;
    while (access("stalled", F_OK) != 0) usleep(10000);
    if (vireo_vm_wait(vm, 10, &end) != -ETIMEDOUT) return 2;
    vireo_vm_stop(vm);
    if (vireo_vm_wait(vm, 30000, &end) != 0 || end.reason != VIREO_END_STOPPED) return 3;
    if (vireo_vm_wait(vm, 0, NULL) != 0) return 4;
    vireo_vm_destroy(vm);
    close(open("destroyed", O_CREAT | O_WRONLY, 0666));
    while (access("stall", F_OK) == 0) usleep(10000);
    /* The machine's threads and descriptors go by themselves. */
    for (int i = 0; i < 3000 && (count("/proc/self/task") != 3 || count("/proc/self/fd") >= fds); i++) usleep(10000);
    if (count("/proc/self/task") != 3 || count("/proc/self/fd") >= fds) return 5;
    if (vireo_vm_create(&vm, c, NULL, &e)) return fprintf(stderr, "%s\n", e.text), 6; /* the disk's lock is free again */
    vireo_vm_destroy(vm);
    vireo_config_destroy(c);
    return 0;
}
END
}
embedder_while_a_write_stalls() {
    local pid status=0
    build_embedder || return 1
    rm -f stalled destroyed
    touch stall
    LD_LIBRARY_PATH=$TREE/build timeout -k 5 $RUN_LIMIT_S ./with_worker ./embed "path=disk,serial=$DISK_ID" &
    pid=$!
    wait_for destroyed || status=1
    rm -f stall
    wait $pid || { status=$?; echo "exit status $status"; }
    return $status
}

# as_nobody THREADS OPTION...: a user who may have so many threads, and who may open what root may (setpriv); the status.
as_nobody() {
    local n=$1 status=0
    shift
    timeout -k 5 $RUN_LIMIT_S setpriv --reuid=$NOBODY --clear-groups --inh-caps=+dac_override --ambient-caps=+dac_override prlimit --nproc="$n" \
        "$VIREO" run --console off "$@" < /dev/null > out 2> err || status=$?
    echo $status
}
# From one thread on until there are enough: each time it works, or is refused with the way out. Linux 6.14 and later want one more for KVM.
few_threads() {
    local n status options
    for options in "" "--cpus 2" "--timeout 30" "--cpus 3 --timeout 30"; do
        for n in 1 2 3 4 5 6 7; do
            # shellcheck disable=SC2086  # words
            status=$(as_nobody $n $options)
            [ "$status" = 0 ] && break
            [ "$status" = 126 ] && has 'no more threads' err && has 'ulimit -u' err || { echo "$n threads, $options: status $status"; cat err; return 1; }
        done
        [ "$status" = 0 ] && [ "$n" -gt 1 ] || { echo "$options: status $status with $n threads"; return 1; }
    done
}

# The library is gone from the program, as far as that knows, and the kick's signal comes.
after_dlclose() {
    gcc -O1 -o closes -xc - << 'END' || return 1
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    void *vm = 0, *lib = dlopen(argv[argc - 1], RTLD_NOW);
    void *(*make)(void);
    int (*create)(void **, void *, void *, void *);
    void (*destroy)(void *);
    if (!lib) return puts(dlerror()), 1;
    *(void **)&make = dlsym(lib, "vireo_config_create");
    *(void **)&create = dlsym(lib, "vireo_vm_create");
    *(void **)&destroy = dlsym(lib, "vireo_vm_destroy");
    if (!make || !create || !destroy || create(&vm, make(), 0, 0)) return 2;
    destroy(vm);
    dlclose(lib);
    return raise(SIGURG);
}
END
    ./closes "$TREE/build/libvireo.so" || { echo "exit status $?"; return 1; }
}

usable=yes why=
{ [ -r /dev/kvm ] && [ -w /dev/kvm ]; } || { usable=no why="no usable /dev/kvm on this machine"; }
[ "$(uname -m)" = x86_64 ] || { usable=no why="the tools of this test are x86-64's"; }
check_here() { if [ $usable = yes ]; then check "$@"; else skip "$1" "$why"; fi; }

check "the tools are built" build_tools
check_here "a time limit holds while a write to the disk's file stalls" limit_while_a_write_stalls
check_here "a signal ends the VM while a write to the disk's file stalls" signal_while_a_write_stalls
check_here "vireo stat answers while a write to the disk's file stalls" stat_while_a_write_stalls
for folder in . /dev/shm; do
    kind=$(stat -f -c %T $folder)
    check_here "a time limit holds while a guest floods its disk ($kind)" flooded_limit $folder
    check_here "vireo stat and a signal are answered while a guest floods its disk ($kind)" flooded_signal_and_stat $folder
    check_here "a time limit holds while a guest resets its disk under a flood ($kind)" flooded_resets $folder
done
check_here "a program's wait and destroy come back while a write stalls, and nothing stays behind after it" embedder_while_a_write_stalls
if [ "$(id -u)" = 0 ]; then check_here "too few threads are status 126, with the way out, never a hang" few_threads
else skip "too few threads are status 126, with the way out, never a hang" "root alone can be another user here"; fi
check_here "the kick's signal does no harm after dlclose" after_dlclose
tap_done
