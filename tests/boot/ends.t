#!/bin/bash
# Nothing takes away the end of `vireo run`: not a reader of its standard error that has stalled or gone, not a signal of any kind and at any
# moment, not a host that keeps one of its threads. With guests of a few instructions on this machine's /dev/kvm.
# time limit: 360
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
RUN_LIMIT_S=40          # a second or two on an idle machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export XDG_RUNTIME_DIR=$work
SOCKET=$work/vireo/web.sock

build_guests() {
    # shellcheck disable=SC2016  # $ is the assembler's
    printf '.globl _start\n_start: mov $0xf4, %%edx\nmov $7, %%eax\nout %%al, %%dx\n1: jmp 1b\n' > status7.S
    printf '.globl _start\n_start: jmp _start\n' > endless.S
    # shellcheck disable=SC2016
    printf '.globl _start\n_start: mov $0xd0000000, %%edi\n1: movl $1, (%%rdi)\njmp 1b\n' > noisy.S # no register of a device: a log line each time
    local name
    for name in status7 endless noisy; do
        gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none $name.S -o $name.elf || return 1
    done
    gcc -shared -fPIC -O1 -o slow.so -xc - << 'END'
/* A host that keeps us: while ./slow-create is there a VM is not created, while ./slow-run is there a vCPU that runs does not come back, while
 * ./slow-io is there the I/O thread does not, while ./slow-destroy is there memory is not given back, and while ./slow-file is there a write to
 * FILE.slow or its truncation does not end, and no handler of a signal runs on that thread, as on a network file system whose server is gone.
 * ./slow says that it has begun. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
static void keep(const char *name)
{
    if (access(name, F_OK) != 0) return;
    close(open("slow", O_CREAT | O_WRONLY, 0666));
    while (access(name, F_OK) == 0) usleep(10000);
}
static void keep_file(int fd)
{
    char link[40], path[512];
    sigset_t all, old;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof(path));
    if (n < 5 || memcmp(path + n - 5, ".slow", 5) != 0) return;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    keep("slow-file");
    sigprocmask(SIG_SETMASK, &old, NULL);
}
ssize_t write(int fd, const void *data, size_t len)
{
    keep_file(fd);
    return syscall(SYS_write, fd, data, len);
}
int ftruncate(int fd, off_t len)
{
    keep_file(fd);
    return (int)syscall(SYS_ftruncate, fd, len);
}
int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (request == 0xae01) keep("slow-create");
    if (request == 0xae80) keep("slow-run");
    return (int)syscall(SYS_ioctl, fd, request, arg);
}
int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    const int n = (int)syscall(SYS_epoll_wait, fd, events, count, timeout_ms);
    if (timeout_ms < 0) keep("slow-io");
    return n;
}
int munmap(void *at, size_t size)
{
    if (size >= 16 << 20) keep("slow-destroy");
    return (int)syscall(SYS_munmap, at, size);
}
END
    # with_stderr full|gone|stopped COMMAND...: what standard error is; the status as a shell has it.
    cat > with_stderr << 'END'
use strict;
use Fcntl;
use POSIX;
my $kind = shift;
pipe(my $reader, my $writer);
if ($kind eq 'full') {
    fcntl($writer, F_SETFL, O_NONBLOCK);
    1 while syswrite($writer, 'x' x 4096);
    1 while syswrite($writer, 'x');
    fcntl($writer, F_SETFL, 0);
} elsif ($kind eq 'gone') {
    close $reader;
} else {                        # a terminal, stopped as by Ctrl-S
    my ($n, $unlocked) = (pack('I', 0), pack('i', 0));
    sysopen($reader, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "ptmx: $!";
    ioctl($reader, 0x40045431, $unlocked) or die "unlock: $!";
    ioctl($reader, 0x80045430, $n) or die "number: $!";
    sysopen($writer, '/dev/pts/' . unpack('I', $n), O_RDWR | O_NOCTTY) or die "pts: $!";
    POSIX::tcflow(fileno($writer), POSIX::TCOOFF()) or die "tcflow: $!";
}
my $pid = fork;
if ($pid == 0) {
    open(STDERR, '>&', $writer);
    exec @ARGV;
}
waitpid($pid, 0);
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
END
}

# with STDERR STATUS OPTION...
with() {
    local kind=$1 want=$2 got=0
    shift 2
    rm -f report
    timeout -k 5 $RUN_LIMIT_S perl with_stderr "$kind" "$VIREO" run --verbose --name web --json=report "$@" < /dev/null > out || got=$?
    [ $got = "$want" ] || { echo "$kind: exit status $got, not $want"; return 1; }
    [ ! -e "$SOCKET" ] || { echo "$kind: the socket is still there"; return 1; }
}
has() { grep -q -- "$1" "${2:-report}" || { echo "no $1 in"; cat "${2:-report}"; return 1; }; }

stalled_reader_of() {
    with "$1" 124 --kernel noisy.elf --timeout 1 --boot-times && has '"reason": "timeout", "status": 124' && has '"lost_lines": [1-9]' &&
        with "$1" 7 --kernel status7.elf && has '"status": 7'
}
stalled_reports() { with full 125 --kernel endless.elf --timeout 1 --stats -; }
gone_reader() { with gone 7 --kernel status7.elf && has '"status": 7' && with gone 124 --kernel noisy.elf --timeout 1 && has '"reason": "timeout"'; }
# The reader goes away once the VM has started.
# gone_for STATUS WORD...
gone_for() {
    local want=$1 got=0
    shift
    timeout -k 5 $RUN_LIMIT_S perl with_stderr gone "$VIREO" "$@" < /dev/null > out || got=$?
    [ $got = "$want" ] || { echo "vireo $*: exit status $got, not $want"; return 1; }
}
mistakes_without_reader() {
    gone_for 125 && gone_for 125 xyzzy && gone_for 125 run --cpus 0 && gone_for 125 stat none && gone_for 125 top none && gone_for 125 bench nothing &&
        gone_for 125 report none && gone_for 127 run --kernel none
}
usr1_after_reader() {
    local got=0 pid
    rm -f gone report
    "$VIREO" run --kernel endless.elf --verbose --name web --json=report < /dev/null > out 2> >(grep -m 1 starting > start; true > gone) &
    pid=$!
    wait_for -e gone && kill -USR1 $pid && sleep 0.5 && kill -USR1 $pid && sleep 0.5 && kill -TERM $pid || return 1
    wait $pid || got=$?
    [ $got = 143 ] && has '"signal": 15' && [ ! -e "$SOCKET" ] || { echo "exit status $got"; return 1; }
}
gone_reader_of_the_report() {
    local got=0
    timeout $RUN_LIMIT_S perl -e 'pipe(R, W); close R; open(STDOUT, ">&", \*W); exec @ARGV' "$VIREO" run --kernel status7.elf --json < /dev/null 2> err || got=$?
    [ $got = 125 ] && has '^vireo: standard output: could not be written: Broken pipe' err || { echo "exit status $got"; return 1; }
}
quiet_in_a_pipe() {
    local status
    timeout $RUN_LIMIT_S perl -e 'pipe(R, W); close R; open(STDOUT, ">&", \*W); exec @ARGV' "$VIREO" --help < /dev/null 2> err
    status=$?
    [ $status = 141 ] && [ ! -s err ] || { echo "exit status $status"; cat err; return 1; }
}

wait_for() {
    local i=0
    until test "$@"; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { echo "never came true: $*"; return 1; }; done
}
# start OPTION...: a VM called web, in $pid, which has started.
start() {
    rm -f report err slow
    "$VIREO" run --verbose --name web --json=report "$@" < /dev/null > out 2> err &
    pid=$!
    local i=0
    until grep -q starting err; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { kill -9 $pid; cat err; return 1; }; done
}
# ended STATUS: $pid, within the limit.
ended() {
    local got=0
    ends_within
    wait $pid || got=$?
    [ $got = "$1" ] || { echo "exit status $got, not $1"; cat err; return 1; }
    [ ! -e "$SOCKET" ] || { echo "the socket is still there"; return 1; }
}
ends_within() {
    local i=0
    while kill -0 $pid 2> /dev/null && [ $i -lt $((RUN_LIMIT_S * 20)) ]; do sleep 0.05; i=$((i + 1)); done
    [ $i -lt $((RUN_LIMIT_S * 20)) ] || { echo "still there after $RUN_LIMIT_S s"; kill -9 $pid; return 1; }
}
every_signal_ends_it() {
    local name pid
    set -m
    for name in TERM INT HUP QUIT XCPU XFSZ USR2 ALRM PIPE VTALRM PROF IO PWR STKFLT RTMIN RTMAX; do
        start --kernel endless.elf || return 1
        [ -e "$SOCKET" ] || { echo "there was no socket"; return 1; }
        kill -$name $pid
        ended $((128 + $(kill -l $name))) && has "\"signal\": $(kill -l $name), " || { echo "SIG$name"; return 1; }
    done
}
faults_leave_no_socket() {
    local name pid
    for name in ABRT SEGV BUS FPE ILL SYS TRAP; do
        (ulimit -c 0; start --kernel endless.elf && kill -$name $pid && ended $((128 + $(kill -l $name))) && has "\"signal\": $(kill -l $name), ") ||
            { echo "SIG$name"; return 1; }
    done
}
ignored_signals_stay_ignored() {
    local pid
    trap '' USR2 XCPU ALRM
    start --kernel endless.elf --timeout 2 || return 1
    trap - USR2 XCPU ALRM
    kill -USR2 $pid && kill -XCPU $pid && kill -ALRM $pid && ended 124
}
limit_of_cpu_time() {
    local pid
    (ulimit -St 1; start --kernel endless.elf && ended 152) && has '"signal": 24'
}
# Then writing fails, and whoever writes says so.
limit_of_file_size() {
    (ulimit -f 0; vireo run --kernel status7.elf --json=report 2>&1; echo "status $?") | cat > said
    has '^vireo: report: could not be written: File too large' said && has '^status 125' said || return 1
    vireo bench exits --rows nop --samples 1000 --processes 1 --format json --output result.json 2> err || { cat err; return 1; }
    (ulimit -f 0; vireo report result.json --output page.html 2>&1; echo "status $?") | cat > said
    has '^vireo: page.html: could not be written' said && has '^status 125' said || return 1
    (ulimit -f 0; vireo bench exits --rows nop --samples 1000 --processes 1 --output result.txt 2>&1; echo "status $?") | cat > said
    has '^vireo: .*File too large' said && has '^status 126' said || return 1
    (ulimit -f 0; vireo run --name web 2>&1; echo "status $?") | cat > said
    has '^vireo: .*File too large' said && has '^status 12[56]' said && [ ! -e "$SOCKET" ]
}
# In a terminal of its own: ./before, ./during and ./after are its settings.
terminal_after() {
    rm -f before during after status err pid
    timeout $RUN_LIMIT_S script -qec "stty -a > before
        (until grep -q starting err 2> /dev/null; do sleep 0.1; done; sleep 0.5; stty -a > during; kill -$1 \$(cat pid)) < /dev/tty &
        sh -c 'echo \$\$ > pid; exec $VIREO run --kernel endless.elf --verbose --timeout 30 2> err'; echo \$? > status; stty -a > after" screen \
        < /dev/null > /dev/null
    [ "$(cat status)" = $((128 + $(kill -l "$1"))) ] && cmp before after && ! cmp -s before during || { echo "SIG$1: $(cat status)"; return 1; }
}
terminal_is_given_back() { terminal_after XCPU && terminal_after USR2 && terminal_after RTMIN && terminal_after TERM; }

# top_after SIGNAL [stopped]: `vireo top` in a terminal of its own, which takes nothing more when the signal comes.
top_after() {
    local pid
    start --kernel endless.elf || return 1
    rm -f before during after status heard
    timeout $RUN_LIMIT_S script -qec "stty -a > before
        (sleep 1.5; stty -a > during; [ -z \"${2-}\" ] || perl -MPOSIX -e 'POSIX::tcflow(0, POSIX::TCOOFF())'; sleep 1; kill -$1 \$(cat pid)
            for i in \$(seq 200); do [ ! -s status ] || { true > heard; break; }; sleep 0.1; done
            perl -MPOSIX -e 'POSIX::tcflow(0, POSIX::TCOON())') < /dev/tty > /dev/null &
        sh -c 'echo \$\$ > pid; exec $VIREO top web --interval 0.2'; echo \$? > status; stty -a > after; wait" screen < /dev/null > /dev/null
    kill $pid
    ended 143 && [ "$(cat status)" = 0 ] && [ -e heard ] && cmp before after && ! cmp -s before during || { echo "SIG$1: $(cat status)"; return 1; }
}
top_gives_it_back() { top_after USR2 && top_after XCPU && top_after TERM stopped; }

# With ./slow.so some threads are kept for as long as a file is there.
second_signal_leaves() {
    local pid
    true > slow-run
    LD_PRELOAD=$PWD/slow.so start --kernel endless.elf && wait_for -e slow && kill -TERM $pid && sleep 0.8 && kill -HUP $pid && ended 129 && has '"signal": 1, '
    local rc=$?
    rm -f slow-run
    return $rc
}
# It depends on who is first, the library, which waits for no thread for ever, or the second signal.
second_signal_after_the_end() {
    local pid rc
    LD_PRELOAD=$PWD/slow.so start --kernel endless.elf --timeout 30 && true > slow-io && kill -TERM $pid && wait_for -e slow && sleep 0.8 &&
        { kill -HUP $pid || true; } && ends_within && [ ! -e "$SOCKET" ] && has '"status": 1'
    rc=$?
    rm -f slow-io
    return $rc
}
signal_while_created() {
    local pid rc
    true > slow-create
    rm -f slow report
    LD_PRELOAD=$PWD/slow.so "$VIREO" run --kernel endless.elf --name web --json=report < /dev/null > out 2> err &
    pid=$!
    wait_for -e slow && kill -TERM $pid && sleep 0.2 && rm slow-create && ended 143 && has '"reason": "stopped", "status": 143' && has '"signal": 15'
    rc=$?
    rm -f slow-create
    return $rc
}
usr1_while_created() {
    local pid rc
    true > slow-create
    rm -f slow report
    LD_PRELOAD=$PWD/slow.so "$VIREO" run --kernel endless.elf --name web --json=report --stats page < /dev/null > out 2> err &
    pid=$!
    wait_for -e slow && kill -USR1 $pid && sleep 0.2 && rm slow-create && wait_for -s page && kill $pid && ended 143
    rc=$?
    rm -f slow-create
    return $rc
}
signal_while_create_hangs() {
    local pid rc
    true > slow-create
    rm -f slow report
    LD_PRELOAD=$PWD/slow.so "$VIREO" run --kernel endless.elf --name web --json=report < /dev/null > out 2> err &
    pid=$!
    wait_for -e slow && kill -TERM $pid && ended 143 && has '"status": 143, .*"signal": 15'
    rc=$?
    rm -f slow-create
    return $rc
}
destroy_that_hangs() {
    local rc
    true > slow-destroy
    (export LD_PRELOAD=$PWD/slow.so; ends 7 run --kernel status7.elf --name web --json=report) && has '"status": 7' && [ -e slow ] && [ ! -e "$SOCKET" ]
    rc=$?
    rm -f slow-destroy slow
    return $rc
}

# in_slow STATUS OPTION...: a VM some of whose files do not answer from ./slow-file on; it has ended with that status.
in_slow() {
    local want=$1 pid rc
    shift
    rm -f report err slow
    true > slow-file
    LD_PRELOAD=$PWD/slow.so "$VIREO" run --name web "$@" < /dev/null > out 2> err &
    pid=$!
    ended "$want"
    rc=$?
    rm -f slow-file
    return $rc
}
slow_files_before_the_start() {
    in_slow 125 --kernel endless.elf --timeout 2 --json=report --stats page.slow && has '^vireo: stats: could not be written' err &&
        has '"status": 125, "name": "web", "detail": "stats: could not be written' && in_slow 125 --kernel endless.elf --timeout 2 --json=report.slow
}
# late_slow FILE STATUS OPTION...: the same, but that it answers until the VM runs.
# shellcheck disable=SC2016
late_slow() {
    local file=$1 want=$2 pid rc
    shift 2
    rm -f report err slow
    : > "$file"
    LD_PRELOAD=$PWD/slow.so start --kernel endless.elf "$@" && true > slow-file && { [ -z "${USR1-}" ] || { sleep 0.3; kill -USR1 $pid; wait_for -e slow; }; } &&
        { [ -z "${END-}" ] || kill -$END $pid; } && ended "$want"
    rc=$?
    rm -f slow-file
    return $rc
}
slow_reports_at_the_end() {
    late_slow page.slow 125 --timeout 2 --stats page.slow && has '"reason": "timeout", "status": 125' && has '^vireo: stats: could not be written' err &&
        late_slow report.slow 125 --timeout 2 --json=report.slow && has '^vireo: json: could not be written' err
}
slow_report_on_usr1() {
    USR1=1 late_slow page.slow 125 --timeout 3 --stats page.slow && has '"reason": "timeout", "status": 125' &&
        USR1=1 END=TERM late_slow page.slow 125 --stats page.slow && has '"status": 125'
}
# The object says what the shell is told.
status_of_the_object() {
    local row
    for row in "--stats /dev/full" "--stats -" "--boot-times"; do
        # shellcheck disable=SC2086  # words
        vireo run --kernel status7.elf --json=report $row < /dev/null 2> /dev/full > out
        echo "$? $(sed -n 's/.*"status": \([0-9]*\).*/\1/p' report)"
    done > statuses
    [ "$(sort -u statuses)" = "$(printf '125 125\n7 7')" ] || { cat statuses; return 1; }
}
# A supervisor may ask by two signals at once, as systemd does with SendSIGHUP.
two_signals_at_once() {
    local pid
    start --kernel endless.elf && kill -STOP $pid && kill -TERM $pid && kill -HUP $pid && kill -CONT $pid && ended 129 && has '"detail": "ended by signal'
}

tests=(
    "files that do not answer keep no run from ending before its start|slow_files_before_the_start"
    "reports that do not get written keep no run|slow_reports_at_the_end"
    "a report on SIGUSR1 that hangs keeps neither the limit nor a signal|slow_report_on_usr1"
    "the status in the object is the exit status|status_of_the_object"
    "two different signals at once are one request|two_signals_at_once"
    "a full pipe for standard error holds up neither VM nor end|stalled_reader_of full"
    "a terminal in Ctrl-S does neither|stalled_reader_of stopped"
    "a report that a stalled reader does not take ends with 125|stalled_reports"
    "a reader of standard error that has gone costs no status and no report|gone_reader"
    "a mistake has its status without a reader of standard error too|mistakes_without_reader"
    "SIGUSR1 without a reader does not end the VM|usr1_after_reader"
    "a report without a reader ends with 125 and a sentence|gone_reader_of_the_report"
    "the help in a pipe that is closed says nothing|quiet_in_a_pipe"
    "every signal that can end a process ends the VM cleanly|every_signal_ends_it"
    "a fault leaves no socket and no empty report|faults_leave_no_socket"
    "ignored signals stay ignored|ignored_signals_stay_ignored"
    "a limit of CPU time ends it cleanly|limit_of_cpu_time"
    "a limit of file size is an error where it is met|limit_of_file_size"
    "signals of all kinds give the terminal back|terminal_is_given_back"
    "vireo top gives its terminal back, in Ctrl-S too|top_gives_it_back"
    "a second signal leaves at once though a vCPU does not end|second_signal_leaves"
    "a second signal leaves at once though the I/O thread does not end|second_signal_after_the_end"
    "a signal while the VM is made ends it before it starts|signal_while_created"
    "SIGUSR1 while the VM is made is answered once it runs|usr1_while_created"
    "a signal ends it though making the VM hangs|signal_while_create_hangs"
    "a VM that can't be taken apart does not keep its status|destroy_that_hangs"
)
reason=
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then reason="no usable /dev/kvm on this machine"
elif [ "$(uname -m)" != x86_64 ]; then reason="the guests are x86-64 instructions"
else build_guests > gcc 2>&1 || sed 's/^/# /' gcc; fi # then the tests that need them fail
for row in "${tests[@]}"; do
    # shellcheck disable=SC2086  # words
    if [ -n "$reason" ]; then skip "${row%%|*}" "$reason"
    elif [ -n "${ONLY-}" ] && [[ ${row##*|} != "$ONLY"* ]]; then continue
    else check "${row%%|*}" ${row##*|}; fi
done
tap_done
