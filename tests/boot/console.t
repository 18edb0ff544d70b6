#!/bin/bash
# The console of the program as a user has it: files that fill up or hang, readers that come late or go, what is typed and pasted, a terminal
# that another job has for a while. Runs guests of a few instructions on this machine's /dev/kvm.
# time limit: 240
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
TREE=$PWD
VIREO=$PWD/build/vireo
RUN_LIMIT_S=60          # every command here ends within seconds
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# ---- guests

# say.S      prints 20,000 lines of 10 bytes and ends with status 7; COUNT of them, 0: never ends
# listen.S   says "ready", adds one to each byte it gets and sends it back, ends with status 7 after COUNT of them, else never;
#            -DDEAF: hears nothing
# size.c     waits for a terminal of 80 columns, says "ready", waits until they are others, ends with their number
# mark.c     100 milestones, then a driver of the first device, then status 7
build_guests() {
    cat > say.S << 'END'
.globl _start
_start: mov $COUNT, %ecx
1:      lea line(%rip), %rsi
        mov $10, %ebx
2:      lodsb
        mov $0x3f8, %edx
        out %al, %dx
        dec %ebx
        jnz 2b
        dec %ecx
        jnz 1b
        mov $0xf4, %edx
        mov $7, %eax
        out %al, %dx
3:      jmp 3b
line:   .ascii "123456789\n"
END
    cat > listen.S << 'END'
.globl _start
_start: lea ready(%rip), %rsi
        mov $6, %ebx
        mov $0x3f8, %edx
1:      lodsb
        out %al, %dx
        dec %ebx
        jnz 1b
#ifdef DEAF
        jmp .
#endif
        mov $COUNT, %ecx
2:      mov $0x3fd, %edx
        in %dx, %al
        test $1, %al
        jz 2b
        mov $0x3f8, %edx
        in %dx, %al
#ifdef ECHO
        inc %al
        out %al, %dx
#endif
#ifdef PAUSE
        mov $PAUSE, %ebx
3:      dec %ebx
        jnz 3b
#endif
        dec %ecx
        jnz 2b
        mov $0xf4, %edx
        mov $7, %eax
        out %al, %dx
4:      jmp 4b
ready:  .ascii "ready\n"
END
    cat > mark.c << 'END'
static char rings[3 * 4096] __attribute__((aligned(4096)));
static void out(unsigned short port, unsigned char value)
{
    __asm__ volatile("out %0, %1" : : "a"(value), "d"(port));
}
static void reg(unsigned offset, unsigned long value)
{
    *(volatile unsigned *)(0xd0000000ul + offset) = (unsigned)value;
}
void _start(void)
{
    static const unsigned char status[] = {1, 3, 11};
    for (unsigned i = 0; i < 100; i++) out(0xf5, (unsigned char)i);
    reg(0x70, status[0]);
    reg(0x70, status[1]);
    reg(0x24, 1); /* VIRTIO_F_VERSION_1 */
    reg(0x20, 1);
    reg(0x70, status[2]);
    reg(0x30, 0);
    reg(0x38, 2);
    reg(0x80, (unsigned long)rings);
    reg(0x90, (unsigned long)rings + 4096);
    reg(0xa0, (unsigned long)rings + 8192);
    reg(0x44, 1);
    reg(0x70, 15);
    out(0xf4, 7);
    for (;;) continue;
}
END
    cat > size.c << 'END'
#include <vireo_guest.h>
#define COLS     (*(volatile uint16_t *)((uintptr_t)VIREO_X86_VIRTIO + 0x100)) /* VIRTIO 1.2, 5.3.4 */
void _start(void)
{
    while (COLS != 80) continue;
    for (const char *c = "ready\n"; *c; c++) vireo_guest_out8(VIREO_X86_PORT_SERIAL, (uint8_t)*c);
    while (COLS == 80) continue; /* the interrupt is for drivers that negotiated VIRTIO_CONSOLE_F_SIZE: test_console_size */
    vireo_guest_exit(COLS);
}
END
    cat > hang.c << 'END'
#include <string.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
/* A file system that does not answer, for files called hung. */
static void hang(int fd)
{
    char link[64], path[512];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    while (strstr(path, "/hung")) pause();
}
ssize_t write(int fd, const void *p, size_t len)
{
    hang(fd);
    return syscall(SYS_write, fd, p, len);
}
int ftruncate(int fd, off_t len)
{
    hang(fd);
    return (int)syscall(SYS_ftruncate, fd, len);
}
ssize_t read(int fd, void *p, size_t len)
{
    hang(fd);
    return syscall(SYS_read, fd, p, len);
}
ssize_t __read_chk(int fd, void *p, size_t len, size_t size)
{
    (void)size;
    return read(fd, p, len);
}
END
    # shellcheck disable=SC2054  # the linker's
    local flags=(-nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none)
    gcc "${flags[@]}" -DCOUNT=20000 say.S -o say.elf && gcc "${flags[@]}" -DCOUNT=0 say.S -o chatter.elf &&
        gcc "${flags[@]}" -DCOUNT=0 -DECHO listen.S -o echo.elf && gcc "${flags[@]}" -DCOUNT=2000 -DPAUSE=100 listen.S -o slow.elf &&
        gcc "${flags[@]}" -DCOUNT=10000 listen.S -o paste.elf && gcc "${flags[@]}" -O1 -ffreestanding -fno-stack-protector -mno-sse mark.c -o mark.elf &&
        gcc "${flags[@]}" -O1 -ffreestanding -fno-stack-protector -mno-sse -I"$TREE/include" size.c -o size.elf &&
        gcc "${flags[@]}" -DCOUNT=0 -DDEAF listen.S -o deaf.elf && gcc -shared -fPIC hang.c -o hang.so
}

# number KEY: of the object in ./report.
number() { perl -MJSON::PP -0777 -e 'print decode_json(<STDIN>)->{$ARGV[0]} // 0' "$1" < report; }
equal() { [ "$2" = "$3" ] || { echo "$1: $2 is not $3"; return 1; }; }
size_of() { stat -c %s "$1"; }

# ---- output

file_is_bounded() {
    ends 7 run --kernel say.elf --console file=log --console-max 50000 --json=report && equal size "$(size_of log)" 50000 &&
        equal dropped "$(number console_dropped)" 150000 && equal lines "$(grep -c 'log has reached console-max (50000 bytes)' err)" 1 &&
        grep -q '150000 bytes that the guest wrote were dropped' err
}
file_is_bounded_by_default() {
    ends 0 run --help && tr '\n' ' ' < out | grep -q 'console-max SIZE.*default *64M' &&
        ends 7 run --kernel say.elf --console file=log --json=report && equal size "$(size_of log)" 200000 && equal dropped "$(number console_dropped)" 0
}
redirected_file_grows_by_so_much() {
    printf 'what was there\n' > log
    timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel say.elf --console-max 50000 --json=report < /dev/null >> log 2> err
    equal size "$(size_of log)" 50015 && equal dropped "$(number console_dropped)" 150000
}
nonsense_is_no_size() { ends 125 run --console-max lots && grep -q 'console-max lots: not a size' err; }
full_device_is_told_once() {
    ends 7 run --kernel say.elf --console file=/dev/full --json=report && equal lines "$(grep -c 'write /dev/full: No space left' err)" 1 &&
        equal dropped "$(number console_dropped)" 200000 && grep -q '200000 bytes that the guest wrote were dropped' err || return 1
    timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel say.elf < /dev/null > /dev/full 2> err
    equal lines "$(grep -c 'No space left' err)" 1 && grep -q '200000 bytes' err
}
full_file_system_is_told_once() {
    unshare -m sh -c 'mkdir -p full && mount -t tmpfs -o size=64k none full && "$@"; cp full/log full.log' sh \
        "$VIREO" run --kernel say.elf --console file=full/log --json=report > out 2> err < /dev/null
    equal lines "$(grep -c 'write full/log: No space left' err)" 1 && [ "$(number console_dropped)" -gt 0 ] &&
        equal sum $(($(size_of full.log) + $(number console_dropped))) 200000
}
late_reader_is_told_of() {
    timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel say.elf --json=report < /dev/null 2> err | (sleep 4; cat) > got
    equal lines "$(grep -c 'nobody reads' err)" 1 && [ "$(number console_dropped)" -gt 0 ] &&
        equal sum $(($(size_of got) + $(number console_dropped))) 200000 && grep -q "$(number console_dropped) bytes that the guest wrote were dropped" err
}
# The stop takes a second for what is left; ten are for a busy machine.
hung_file_holds_up_no_end() {
    local begin=$SECONDS got=0
    LD_PRELOAD=./hang.so timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel chatter.elf --timeout 2 --console file=hung --json=report > out 2> err < /dev/null || got=$?
    equal status $got 124 && [ $((SECONDS - begin)) -lt 12 ] && [ "$(number console_dropped)" -gt 0 ] && grep -q 'nothing is written any more to hung' err || { cat err; return 1; }
    begin=$SECONDS && got=0
    LD_PRELOAD=./hang.so timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel deaf.elf --timeout 2 --console file=hung > out 2> err < /dev/null || got=$?
    equal status $got 124 && [ $((SECONDS - begin)) -lt 12 ] || return 1 # not even emptied
    LD_PRELOAD=./hang.so timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel chatter.elf --timeout 60 > hung 2> err < /dev/null &
    sleep 2
    begin=$SECONDS
    kill -TERM $!
    wait $!
    [ $((SECONDS - begin)) -lt 12 ] && grep -q 'nothing is written any more' err
}
hung_input_holds_up_no_end() {
    local begin=$SECONDS got=0
    echo typed > hung
    LD_PRELOAD=./hang.so timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel paste.elf --timeout 2 > out 2> err < hung || got=$?
    equal status $got 124 && [ $((SECONDS - begin)) -lt 12 ]
}
statistics_tell_it() {
    "$VIREO" run --kernel chatter.elf --console file=/dev/full --name told --timeout $RUN_LIMIT_S > out 2> err < /dev/null &
    local i pid=$!
    for ((i = 0; i < 200; i++)); do "$VIREO" stat told > page 2> /dev/null && grep -q 'console 0: [0-9]* output_dropped' page && break; sleep 0.1; done
    "$VIREO" stat told --json > page.json 2> /dev/null
    kill $pid
    wait $pid
    grep 'console 0: [0-9]* output_dropped' page && perl -MJSON::PP -0777 -e '
        exit !grep { $_->{kind} eq "device" && $_->{device} eq "console 0" && $_->{name} eq "output_dropped" && $_->{count} > 0 } @{decode_json(<STDIN>)->{rows}}' < page.json
}
guest_pushes_no_mark_out() {
    ends 7 run --kernel mark.elf --console off --rng --boot-times --json=report && perl -MJSON::PP -0777 -e '
        my %seen = map { $_->{name} => 1 } @{decode_json(<STDIN>)->{boot_times}};
        for (qw(created started entered ended), "guest 0", "rng 0") { $seen{$_} or die "no $_\n" }' < report && equal lines "$(grep -c 'marks more than 32' err)" 1
}

# ---- a terminal

# shell_begins: an interactive shell with job control in a terminal of its own; what it shows is in ./screen.
shell_begins() {
    rm -f keys screen
    mkfifo keys
    timeout -k 5 $RUN_LIMIT_S script -qfec "bash --norc --noprofile --noediting -i" screen < keys > /dev/null 2>&1 &
    shell_pid=$!
    exec 9> keys
    type_in "PS1=': '\n"
}
type_in() { printf '%b' "$1" >&9; }
shell_ends() {
    type_in '\nexit\n'
    exec 9>&-
    wait $shell_pid
}
shows() {
    local i
    for ((i = 0; i < 300; i++)); do [ -f screen ] && tr -d '\r\n' < screen | grep -q -- "$1" && return 0; sleep 0.1; done
    echo "never shown: $1"
    cut -c1-200 screen | cat -v
    return 1
}
# The keys arrive, whenever the terminal has become raw: "HAL" comes back as "IBM" from the guest alone.
guest_answers() {
    local i
    for ((i = 0; i < 60; i++)); do
        type_in HAL
        sleep 0.5
        tr -d '\r\n' < screen | grep -q "$1" && return 0
    done
    echo "the guest got nothing"
    cat -v screen
    return 1
}
job_comes_to_the_front() {
    shell_begins
    type_in "$VIREO run --kernel echo.elf --timeout $RUN_LIMIT_S &\n"
    shows ready && type_in "echo k''ey\n" && shows key && sleep 1 && type_in "stty -a > before\nfg\n" && guest_answers 'IBM' && type_in '\001x' && shows 'from the console' &&
        type_in "stty -a > after; echo do''ne\n" && shows 'done' && cmp before after
    local rc=$?
    shell_ends
    return $rc
}
stopped_job_goes_on() {
    shell_begins
    type_in "stty -a > before; $AS_VM $VIREO run --kernel echo.elf --timeout $RUN_LIMIT_S\n"
    shows ready && guest_answers 'IBM' && vm_gets STOP && shows 'Stopped' && type_in "bg; echo k''ey\n" && shows key && sleep 1 && type_in 'fg\n' &&
        guest_answers 'IBM.*key.*IBM' && vm_gets TSTP && shows 'Stopped.*Stopped' &&
        type_in "\nstty -a > between; fg\n" && guest_answers 'Stopped.*fg.*IBM.*Stopped.*fg.*IBM' && type_in '\001x' && shows 'from the console' &&
        type_in "stty -a > after; echo do''ne\n" && shows 'done' && cmp before between && cmp before after
    local rc=$?
    shell_ends
    return $rc
}
# vm_gets SIGNAL: to the VM that the shell in the terminal was told to run by $AS_VM, which tells its id.
AS_VM="sh -c 'echo \$\$ > vm.pid; exec \"\$@\"' sh"
vm_gets() { kill -"$1" "$(cat vm.pid)"; }
# It ends in the background, with settings that are the shell's: it is not stopped, and leaves them alone.
job_ends_in_the_background() {
    shell_begins
    type_in "stty -a > before; $AS_VM $VIREO run --kernel echo.elf --timeout 15\n"
    shows ready && vm_gets STOP && shows 'Stopped' && type_in 'bg\n' && type_in "wait; stty -a > after; echo do''ne\n" && shows 'done' && shows 'Exit 124' &&
        cmp before after
    local rc=$?
    shell_ends
    return $rc
}

# With this terminal's own ioctl, as a window does it: the kernel sends SIGWINCH.
resize_reaches_the_guest() {
    rm -f status screen tty
    timeout -k 5 $RUN_LIMIT_S script -qfec "stty cols 80 rows 24; tty > tty; $VIREO run --kernel size.elf --timeout 50; echo \$? > status" screen > /dev/null < /dev/null &
    local pid=$!
    shows ready && sleep 0.2 && stty -F "$(cat tty)" cols 101 rows 33
    wait $pid
    equal status "$(cat status)" 101
}

# pasted COUNT OPTION...: so many bytes typed at once once the guest is there, then ./more.keys; the exit status is in ./status. Whoever types
# stays until the end: script(1) of util-linux 2.38 forgets what it has not read yet when its input is closed.
pasted() {
    local count=$1
    shift
    rm -f status screen
    (while ! grep -q ready screen 2> /dev/null; do sleep 0.1; done; head -c "$count" /dev/zero | tr '\0' a; cat more.keys
        for ((n = 0; n < 10 * RUN_LIMIT_S; n++)); do [ ! -s status ] || break; sleep 0.1; done) |
        timeout -k 5 $RUN_LIMIT_S script -qfec "$VIREO run $*; echo \$? > status" screen > /dev/null
    equal status "$(cat status)" "$WANT"
}
paste_arrives_whole() {
    : > more.keys
    WANT=7 pasted 10000 --kernel paste.elf --timeout 50 && WANT=7 pasted 2000 --kernel slow.elf --timeout 50
}
quits_whatever_was_pasted() {
    printf '\001x' > more.keys
    WANT=0 pasted 100000 --kernel deaf.elf --timeout 50 && WANT=0 pasted 1300000 --kernel deaf.elf --timeout 50 &&
        grep -q 'the guest takes no input' screen
}

tests=(
    "a console's file grows to console-max, and what is beyond it is counted|file_is_bounded"
    "64 MiB are the bound by default|file_is_bounded_by_default"
    "a file that was begun may grow by console-max|redirected_file_grows_by_so_much"
    "console-max is a size|nonsense_is_no_size"
    "a full device is told of once and counted|full_device_is_told_once"
    "a full file system is told of once and counted|full_file_system_is_told_once"
    "what a late reader missed is told and counted|late_reader_is_told_of"
    "a file system that hangs holds up no end|hung_file_holds_up_no_end"
    "an input that hangs holds up no end|hung_input_holds_up_no_end"
    "statistics show what was dropped|statistics_tell_it"
    "a guest's milestones push none of the host's out|guest_pushes_no_mark_out"
    "a VM started in the background listens once it is brought to the front|job_comes_to_the_front"
    "a stopped VM gets its terminal back, however it was stopped|stopped_job_goes_on"
    "a VM that ends in the background leaves the terminal alone|job_ends_in_the_background"
    "a resized terminal is told to the guest|resize_reaches_the_guest"
    "what is pasted arrives whole|paste_arrives_whole"
    "Ctrl-A x quits however much was pasted|quits_whatever_was_pasted"
)
reason=
if ! { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }; then reason="no usable /dev/kvm on this machine"
elif [ "$(uname -m)" != x86_64 ]; then reason="the guests are x86-64 instructions"
else build_guests > gcc 2>&1 || sed 's/^/# /' gcc # then the tests that need them fail
fi
# shellcheck disable=SC2086  # a list of names
for row in "${tests[@]}"; do
    [ -z "${ONLY-}" ] || [[ " $ONLY " == *" ${row##*|} "* ]] || continue
    if [ -n "$reason" ]; then skip "${row%%|*}" "$reason"
    elif [ "${row##*|}" = full_file_system_is_told_once ] && ! unshare -m true 2> /dev/null; then skip "${row%%|*}" "mounting takes root"
    else check "${row%%|*}" ${row##*|}; fi
done
tap_done
