#!/bin/bash
# The command line of the program: what it refuses, how it reports, what it does to a terminal. Needs no KVM but for the last part, which
# runs guests of three instructions on this machine's /dev/kvm.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
TREE=$PWD
RUN_LIMIT_S=20          # every command here ends within a second
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# refuses_as STATUS TEXT OPTION...: nothing on standard output, one or two lines of "vireo: ..." of which the first holds TEXT.
refuses_as() {
    local status=$1 text=$2
    shift 2
    ends "$status" run "$@" || return 1
    [ ! -s out ] || { echo "vireo run $*: wrote to standard output"; return 1; }
    if [ "$(grep -c '^vireo: ' err)" != "$(wc -l < err)" ] || [ "$(wc -l < err)" -gt 2 ] || ! head -n 1 err | grep -qF -- "$text"; then
        echo "vireo run $*: no \"$text\" in"
        cat err
        return 1
    fi
}
refuses() { refuses_as 125 "$@"; }
hints() { tail -n 1 err | grep -qF -- "$1" || { echo "no hint \"$1\" in"; cat err; return 1; }; }

# ---- help, man pages, versions

help_goes_to_stdout() {
    local words
    for words in --help -h help "help run" "run --help" "run -h" "run --cpus 0 --help" "stat --help" "top --help" "wasm --help" "doctor --help" "help doctor" "help help"; do
        # shellcheck disable=SC2086  # words
        ends 0 $words && grep -q '^usage: vireo' out && [ ! -s err ] || return 1
    done
}
nothing_is_a_mistake() { ends 125 && grep -q '^usage: vireo' err && [ ! -s out ]; }
version_is_the_headers() {
    ends 0 --version && [ "$(cat out)" = "vireo $(sed -n 's/.*VIREO_VERSION *"\(.*\)"/\1/p' "$TREE/include/vireo.h")" ]
}
unknown_command_gets_nearest() {
    ends 125 rnu && grep -q 'did you mean "vireo run"' err && ends 125 help docter && grep -q '"vireo doctor"' err &&
        ends 125 xyzzy && grep -q -- '--help' err
}

# The options of a man page as --help writes them, from the mdoc source: `.It Fl -cpus Ar N` is "--cpus N".
man_options() {
    sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' "$1" | awk '
        /^\.It Fl -/ {
            line = ""; glue = 1
            for (i = 2; i <= NF; i++) {
                if ($i == "Fl") { line = line "-"; glue = 1; continue }
                if ($i ~ /^(Cm|Ar)$/) continue
                if ($i == "Ns") { glue = 1; continue }
                if ($i == "Oo" || $i == "Op") { line = line (glue ? "" : " ") "["; glue = 1; open = ($i == "Op"); continue }
                if ($i == "Oc") { line = line "]"; continue }
                line = line (glue ? "" : " ") $i; glue = 0
            }
            print line (open ? "]" : ""); open = 0
        }' | sort
}
# A long syntax goes on in the next line, with a "[".
help_options() { sed ':a; N; $!ba; s/\n \+\[/[/g' out | sed -n 's/^  \(--[a-z][^ ]*\( [^ ]\+\)*\)\(  .*\)\?$/\1/p' | sort; }
man_says_what_help_says() {
    local c
    for c in run exec bench report fairness stat top wasm doctor; do
        ends 0 $c --help || return 1
        man_options "$TREE/docs/man/vireo-$c.1" > from-man
        help_options > from-help
        [ -s from-man ] && diff from-man from-help || return 1
    done
}
every_status_is_in_help_and_man() {
    ends 0 run --help || return 1
    local s
    for s in 0 1-119 120 121 122 124 125 126 127 128+n; do
        grep -qx "\.It $s" "$TREE/docs/man/vireo-run.1" || { echo "$s is not in the man page"; return 1; }
        tr '\n' ' ' < out | grep -qF " $s " || { echo "$s is not in the help"; return 1; }
    done
}

# ---- refusals

bad_numbers() {
    refuses "cpus 0: must be" --cpus 0 && refuses "cpus 1000: must be" --cpus 1000 && refuses "memory 0: too small" --memory 0 &&
        refuses "memory 128 bytes: too small; the least a machine can have is 2M" --memory 128 && hints "write 128M" &&
        refuses "not a size" --memory lots && refuses "not a multiple of 4096" --memory 5000001 &&
        refuses "huge-pages 4M: must be off, advise, 2M or 1G" --huge-pages 4M &&
        refuses "memory 3M: huge-pages 2M makes it of whole pages" --huge-pages 2M --memory 3M &&
        refuses "this host has" --memory 900T && refuses "whole seconds" --timeout -1 && refuses "1500ms" --timeout 1h
}
bad_devices() {
    refuses "no path given" --disk readonly && refuses "disk 1: a.img is disk 0 already" --disk path=a.img --disk path=a.img &&
        refuses "id x: given to two" --disk path=a,id=x --disk path=b,id=x && refuses "both tap= and fd=" --net tap=a,fd=1 &&
        refuses "file descriptor 77 is not open" --net fd=77 && refuses "six pairs" --net tap=a,mac=1
}
# The one that lacks its value is named, not the one that follows; and what is a value is no call for help.
values_that_are_missing() {
    refuses "--cpus: no value given; write --cpus N" --cpus --memory 1G && hints "--cpus=--memory" &&
        refuses "--kernel: no value given" --kernel --json=x && [ ! -e x ] && refuses "cpus 0" --cmdline -h --cpus 0 &&
        refuses "cpus 0" --cmdline=--help --cpus 0 && ends 0 run --cmdline --help && grep -q '^usage: vireo run' out
}
names_that_are_none() {
    local name
    for name in . .. -x --json .hidden; do
        refuses "and not begin with" "--name=$name" && refuses "and not begin with" --disk "path=a,id=$name" || return 1
    done
}
typos() {
    refuses "unknown option --memroy" --memroy 1G && hints '"--memory"?' && refuses 'unknown word "reedonly"' --disk path=a,reedonly &&
        hints '"readonly"' && refuses "unknown option --xyzzy" --xyzzy && hints "vireo run --help" &&
        refuses '"vmlinuz" is not an option' vmlinuz && refuses "no value given" --cpus
}
bad_schedules() {
    refuses "whole number from -20 to 19" --nice 20 && refuses "names vCPU 2, but this machine has vCPUs 0 to 1" --cpus 2 --nice 2=1 &&
        refuses "CPU 1023 is not online" --cpu-affinity 0=1023 && refuses "write VCPU=CPUS" --cpu-affinity 3 &&
        refuses "whole number from 1 to 10000" --cgroup-weight heavy && refuses "there is no cgroup" --cgroup-weight 100 &&
        refuses "cgroup /nowhere: No such file" --cgroup /nowhere && hints mkdir && refuses "not a cgroup directory" --cgroup /
}
lone_initrd() { refuses "initrd x: there is no kernel" --initrd x; }
bad_files() {
    printf '{"cpus": 1,\n "memroy": 1}' > typo.json
    printf '{"cpus": 1,\n "cpus": 2}' > twice.json
    printf '{"cpus": 1,\n' > cut.json
    printf '{"disk": [{"path": "a"}, {"id": "b"}]}' > disk.json
    printf '{"name": "\\u001b[2J"}' > escape.json
    printf '{"memroy": false}' > typed.json
    printf '{"kernel": 7}' > seven.json
    printf '{"kernel": false}' > false.json
    printf '{"kernel": null, "disk": null,\n"cpus": 0}' > null.json
    refuses "typo.json: line 2: unknown key" --config typo.json && hints '"memory"' &&
        refuses 'typed.json: line 1: unknown key "memroy"' --config typed.json && refuses "kernel: must be a string" --config seven.json &&
        refuses "kernel: must be a string" --config false.json && refuses "line 2: cpus 0" --config null.json &&
        refuses "duplicate" --config twice.json && refuses "line 2" --config cut.json &&
        refuses "disk 1: no path given" --config disk.json && refuses "No such file" --config none.json &&
        refuses "Is a directory" --config . && refuses 'name "?[2J"' --config escape.json &&
        refuses "more than 1 MiB" --config /dev/zero
}
report_on_standard_output() {
    ends 125 run --json=- --cpus 0 && grep -q '^{"reason": "error", "status": 125, ' out && [ ! -e - ]
}
empty_paths() {
    local option
    for option in --json --stats --config; do refuses "$option=: the path is empty; name a file" $option= || return 1; done
}
sizes_as_people_write_them() { refuses "memory 2048T: this host has" --memory 2048T && refuses "memory 1000T: this host has" --memory 1000T; }
bad_report() { refuses "json /nowhere/report: No such file" --json=/nowhere/report --kernel x; }

# leaves_alone FUNCTION: what lies in ./bad and which interfaces there are is the same after it.
inventory() { stat -c '%n %s %Y %i' bad/* && ls bad && ls /sys/class/net; }
leaves_alone() {
    inventory > before-it
    "$1" || return 1
    inventory | diff before-it - || { echo "something was made or changed"; return 1; }
}
make_bad_files() {
    mkdir -p bad && cd bad || return 1
    mkdir dir && mkfifo fifo && : > empty && echo text > text && gzip -c text > text.gz && truncate -s 1000 odd.img && truncate -s 1M good.img &&
        truncate -s 300M big && head -c 100 ../status7.elf > cut.elf && echo old > log
    cd ..
}
bad_kernels() {
    refuses_as 127 "kernel bad/none: open: No such file" --kernel bad/none && hints "check the path" &&
        refuses_as 127 "kernel bad/dir: is a directory; give a" --kernel bad/dir &&
        refuses_as 127 "kernel bad/fifo: is no regular file; give a" --kernel bad/fifo &&
        refuses_as 127 "kernel bad/empty: is empty; give a" --kernel bad/empty &&
        refuses_as 127 "kernel bad/text: is no kernel we know; give a bzImage" --kernel bad/text &&
        refuses_as 127 "kernel bad/text.gz: is gzip-compressed; unpack it" --kernel bad/text.gz &&
        refuses_as 127 "kernel bad/cut.elf: is cut short:" --kernel bad/cut.elf && hints "get a whole copy"
}
bad_initrds() {
    refuses_as 127 "initrd bad/none: open: No such file" --kernel status7.elf --initrd bad/none && hints "check the path" &&
        refuses_as 127 "initrd bad/empty: is empty; give a" --kernel status7.elf --initrd bad/empty &&
        refuses_as 127 "initrd bad/big: 300 MiB do not fit beside the kernel into 64 MiB; use --memory" \
            --kernel status7.elf --initrd bad/big --memory 64M &&
        refuses_as 127 "does not fit into 8 MiB; use --memory 16M or more" --kernel status7.elf --memory 8M
}
bad_disks() {
    refuses "disk 0: open bad/none.img: No such file" --disk path=bad/none.img && hints "truncate -s" &&
        refuses "disk 0: bad/dir is a directory" --disk path=bad/dir && hints "name a file" &&
        refuses "disk 0: bad/odd.img has 1000 bytes, and a disk needs at least 4096" --disk path=bad/odd.img,block-size=4096 && hints "give it a size" &&
        refuses "disk 0 (a): bad/empty is empty" --disk path=bad/empty,id=a && hints "give it a size" &&
        refuses "disk 0: bad/fifo is neither a file nor a block device" --disk path=bad/fifo && hints "disk image" &&
        refuses "disk 1: ./bad/good.img is in use" --disk path=bad/good.img --disk path=./bad/good.img && hints "use a copy"
}
# Refused for what comes after the console: the last run's log is still there, and no new one.
refused_consoles() {
    refuses "No such file" --console file=bad/log --disk path=bad/none.img && refuses "No such file" --console file=bad/new --disk path=bad/none.img &&
        refuses "console: open bad/dir: Is a directory" --console file=bad/dir && hints "name a file" &&
        refuses "console: open bad/fifo: No such device" --console file=bad/fifo && hints "start its reader" &&
        refuses "console: open bad/none/log: No such file" --console file=bad/none/log && hints "make the directory"
}
bad_taps() {
    refuses "tap vireo-none: there is no such interface" --net tap=vireo-none && hints "ip tuntap add" &&
        refuses "tap lo: the interface is not a tap" --net tap=lo && refuses "fd 0: not a tap" --net fd=0 && hints "/dev/net/tun"
}
# Another VM holds the image: a second writer is refused, and so is a reader beside a writer.
locked_disk() {
    local pid status=0
    rm -f err-first
    "$VIREO" run --kernel endless.elf --disk path=bad/good.img --timeout $RUN_LIMIT_S --verbose > out-first 2> err-first < /dev/null &
    pid=$!
    wait_for_line starting err-first $pid || return 1
    refuses "disk 0: bad/good.img is in use" --disk path=bad/good.img && hints "use a copy" &&
        refuses "that writes to it" --disk path=bad/good.img,readonly && hints "use a copy" || status=1
    kill $pid && wait $pid
    return $status
}
# A tap that was made for another user, asked for without CAP_NET_ADMIN: in a network namespace of its own.
foreign_tap() {
    local got=0
    unshare -n sh -c 'ip tuntap add vireo-its mode tap user 65534 && exec setpriv --bounding-set -net_admin --inh-caps -net_admin "$@"' sh \
        "$VIREO" run --net tap=vireo-its > out 2> err < /dev/null || got=$?
    [ $got = 126 ] && grep '^vireo: net 0 (vireo-its): tap vireo-its: attach: Operation not permitted' err && hints "belongs to another user"
}
# The kernel takes any byte that is no blank, '/' or ':' in an interface's name.
odd_tap() {
    local got=0
    unshare -n sh -c 'ip tuntap add "$1" mode tap && shift && exec "$@"' sh $'t\xc3\xa4\xff' \
        "$VIREO" run --kernel status7.elf --net tap=$'t\xc3\xa4\xff' > out 2> err < /dev/null || got=$?
    [ $got = 7 ] || { cat err; return 1; }
}
refusal_is_an_object() {
    ends 125 run --json --cpus 0 && grep -q '^{"reason": "error", "status": 125, ' out && [ "$(wc -l < out)" = 1 ] && [ -s err ] &&
        ends 125 run --json=report --memroy 1 && [ ! -s out ] &&
        ends 125 run --json --cpus $'\xe9\xc3\xa9\xed\xa0\x80"' && json_of detail < out > detail && grep -qF 'cpus ?é???\"' out
}
full_output() {
    local got=0
    timeout $RUN_LIMIT_S "$VIREO" --help > /dev/full 2> err || got=$?
    [ $got = 125 ] && grep -q 'standard output: .*No space left' err
}

# ---- the host

# json_of KEY < OBJECT: Perl's own parser is the judge. A list is told by its length.
json_of() { perl -MJSON::PP -0777 -e '$v = decode_json(<STDIN>)->{$ARGV[0]}; print ref $v eq "ARRAY" ? scalar @$v : $v' "$1"; }
doctor_speaks_json() {
    vireo doctor --json > out
    [ "$(json_of version < out)" = "$(vireo --version | cut -d ' ' -f 2)" ] && [ "$(json_of facts < out)" -ge 10 ] || return 1
    if [ "$(json_of linux < out)" = 1 ]; then [ -z "$(json_of reason < out)" ]; else [ -n "$(json_of reason < out)" ]; fi
}
# without_kvm CALL...: in a mount namespace whose /dev is empty.
without_kvm() { unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"' sh "$@"; }
# on_a_host FLAGS CALL...: one without KVM too, whose processor has these flags.
on_a_host() {
    echo "flags		: fpu $1 sse" > cpuinfo
    shift
    without_kvm sh -c 'mount -t tmpfs none /sys && mount --bind cpuinfo /proc/cpuinfo && exec "$@"' sh "$@"
}
may_hide() { without_kvm true 2> /dev/null && on_a_host "" true 2> /dev/null; }
no_kvm_is_126() {
    local got=0
    without_kvm "$VIREO" run > out 2> err || got=$?
    [ $got = 126 ] && grep '^vireo: open /dev/kvm: No such file' err || return 1
    if [ -e /sys/class/misc/kvm ]; then hints "hand" && ! grep -q "firmware" err || return 1; fi
    got=0
    without_kvm "$VIREO" doctor --json > out || got=$?
    [ $got = 126 ] && [ "$(json_of vm < out)" = 0 ] && [ "$(json_of linux < out)" = 0 ] || return 1
    ! [ -e /sys/class/misc/kvm ] || ! grep firmware out
}
something_else_at_kvm() {
    local make got
    for make in 'mknod -m 666 /dev/kvm c 1 3' ': > /dev/kvm'; do
        got=0
        unshare -m sh -c "mount -t tmpfs -o dev none /dev && mknod -m 666 /dev/null c 1 3 && $make"' && exec "$@"' sh "$VIREO" run > out 2> err || got=$?
        [ $got = 126 ] && grep '^vireo: /dev/kvm: not a KVM device' err || return 1
        if [ -e /sys/class/misc/kvm ]; then hints "mknod /dev/kvm c 10 232" || return 1; fi
    done
}
advice_fits_the_processor() {
    local row
    for row in "vmx hypervisor|modprobe kvm_intel" "svm|modprobe kvm_amd" "hypervisor|hypervisor above" "svm_lock|in the firmware"; do
        ! on_a_host "${row%|*}" "$VIREO" run 2> err && hints "${row#*|}" || { echo "flags ${row%|*}"; return 1; }
    done
    on_a_host hypervisor "$VIREO" doctor > out
    grep -q 'hypervisor above' out && ! grep -q 'in the firmware' out || { cat out; return 1; }
    without_kvm sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$VIREO" doctor > out
    grep -q '^ok  *memory  *[0-9]* MiB, how much is available is not known$' out || { cat out; return 1; }
}
# with_kvm_of MODE GROUP MOUNT-OPTIONS WORD...: the program as nobody, where /dev/kvm is so.
with_kvm_of() {
    unshare -m sh -c 'mount -t tmpfs -o "$3" none /dev && mknod -m 666 /dev/null c 1 3 && mknod /dev/kvm c 10 232 && chgrp "$2" /dev/kvm &&
        chmod "$1" /dev/kvm && shift 3 && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$@"
}
no_permission_is_126() {
    local got row mode group options hint
    cp "$VIREO" ./vireo && chmod 755 . vireo || return 1
    for row in "660|disk|dev|usermod -aG disk" "600|root|dev|chgrp kvm /dev/kvm" "660|root|dev|chgrp kvm /dev/kvm" "666|root|nodev|something else refuses"; do
        IFS='|' read -r mode group options hint <<< "$row"
        got=0
        with_kvm_of "$mode" "$group" "$options" ./vireo run > out 2> err < /dev/null || got=$?
        [ $got = 126 ] && grep '^vireo: open /dev/kvm: Permission denied' err && hints "$hint" || { echo "$row"; return 1; }
    done
    got=0
    with_kvm_of 660 disk dev ./vireo doctor > out || got=$?
    [ $got = 126 ] && grep -q '^MISSING .*Permission denied' out && grep -q 'usermod -aG disk' out
}

# ---- guests of a few instructions

# wait_for_line TEXT FILE PID: until FILE has it; PID is ended if it does not come.
wait_for_line() {
    local i=0
    until grep -qs "$1" "$2"; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { kill -9 "$3"; cat "$2"; return 1; }; done
}
has_kvm() { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }
build_guests() {
    # shellcheck disable=SC2016  # $ is the assembler's
    printf '.globl _start\n_start: mov $0xf4, %%edx\nmov $STATUS, %%eax\nout %%al, %%dx\n1: jmp 1b\n' > status.S
    printf '.globl _start\n_start: jmp _start\n' > endless.S
    printf '.globl _start\n_start: lidt zero(%%rip)\nud2\nzero: .quad 0, 0\n' > crash.S
    # shellcheck disable=SC2054  # the linker's
    local flags=(-nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none)
    local n
    for n in 0 7 200; do gcc "${flags[@]}" -DSTATUS=$n status.S -o status$n.elf || return 1; done
    gcc "${flags[@]}" endless.S -o endless.elf && gcc "${flags[@]}" crash.S -o crash.elf
}

quiet_when_all_is_well() { ends 0 run --kernel status0.elf && [ ! -s out ] && [ ! -s err ]; }
status_is_passed_on() {
    ends 7 run --kernel status7.elf --json --name web && [ "$(json_of value < out)" = 7 ] && [ "$(wc -l < err)" = 1 ] && grep -q '^vireo: web: .*status 7$' err &&
        tail -n 1 out | grep -q '^{"reason": "guest-status", "status": 7, "name": "web", "value": 7, .*}$'
}
large_status_is_119() { ends 119 run --kernel status200.elf --json && tail -n 1 out | grep -q '"status": 119, "value": 200'; }
crash_is_120() { ends 120 run --kernel crash.elf --json && tail -n 1 out | grep -q '"reason": "crash", "status": 120'; }
time_limit_is_124() { ends 124 run --kernel endless.elf --timeout 1 --json && tail -n 1 out | grep -q '"reason": "timeout"'; }
time_limit_has_units() {
    printf '{"kernel": "endless.elf", "timeout": "250ms"}' > run.json
    ends 124 run --kernel endless.elf --timeout 300ms && grep -qF 'the time limit of 300 ms has passed' err &&
        ends 124 run --config run.json && grep -qF ' 250 ms ' err
}
config_is_overridden() {
    printf '{"kernel": "none", "name": "file", "timeout": 9}' > run.json
    ends 7 run --kernel status7.elf --config run.json --json=report && grep -q '"name": "file"' report &&
        ends 7 run --name flag --kernel status7.elf --config=run.json --json=report && grep -q '"name": "flag"' report && [ ! -s out ]
}
# Else /dev/kvm would become one of them, and the guest's console be written to it.
closed_files_are_replaced() {
    local got=0
    timeout $RUN_LIMIT_S "$VIREO" run --json=report <&- >&- 2>&- || got=$?
    [ $got = 0 ] && grep -q '"status": 0' report
}
# Before a command: in a mount namespace whose /dev has nothing but /dev/kvm.
without_null=(unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/kvm c 10 232 && exec "$@"' sh)
# Nothing of ours is where standard files are; the guest's text goes nowhere, and SIGTERM is heard.
closed_files_without_null() {
    local pid i=0 got=0
    "${without_null[@]}" "$VIREO" run --kernel endless.elf --timeout $RUN_LIMIT_S --json=report <&- >&- 2>&- &
    pid=$!
    until [ "$(cat /proc/$pid/comm)" = vireo ] && grep -q :vcpu0 /proc/$pid/task/*/comm; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { kill -9 $pid; return 1; }; done
    for i in 0 1 2; do [ "$(readlink /proc/$pid/fd/$i)" = / ] || { ls -l /proc/$pid/fd; got=1; }; done
    kill $pid
    wait $pid || [ $? = 143 ] || got=1
    [ $got = 0 ] && grep -q '"signal": 15' report || return 1
    "${without_null[@]}" "$VIREO" run --kernel status7.elf --json=report <&- >&- 2>&- || got=$?
    [ $got = 7 ] && grep -q '"status": 7' report
}
# holds PID: it has one of these files open.
holds() { readlink "/proc/$1"/fd/* | grep -qE '/(lock|endless.elf)$'; }
# 7 is nobody's business, nor is 1500 where one may have that; 8 is the kernel, 9 the report.
inherited_files_are_closed() {
    local pid got=0
    : > lock
    rm -f err-first
    (
        if ulimit -n 2048; then exec 1500< lock; fi 2> /dev/null
        exec "$VIREO" run --kernel /dev/fd/8 --timeout $RUN_LIMIT_S --verbose --json=/dev/fd/9 7< lock 8< endless.elf 9> report
    ) > out-first 2> err-first < /dev/null &
    pid=$!
    wait_for_line starting err-first $pid || return 1
    local i=0
    while holds $pid; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { ls -l /proc/$pid/fd; got=1; break; }; done
    kill $pid
    wait $pid || [ $? = 143 ] || got=1
    [ $got = 0 ] && grep -q '"signal": 15' report || { cat report err-first; return 1; }
}
# Version 1: a group of the test's own below a hierarchy's root.
quota_is_told() {
    local group=/sys/fs/cgroup/cpu/test-$$ got=0
    mkdir $group
    ends 124 run --kernel endless.elf --timeout 2 --cgroup $group --cgroup-max 10% --stats text &&
        ends 124 run --kernel endless.elf --timeout 2 --cgroup $group --cgroup-max 10% --stats object --json || got=1
    rmdir $group
    [ $got = 0 ] && grep -qE '^throttled by the CPU quota of a cgroup [0-9]+ times, [1-9][0-9.]* ms' text || { cat text; return 1; }
    [ "$(json_of throttled < object)" -gt 2 ] && [ "$(json_of throttled_ns < object)" -gt 100000000 ] || { cat object; return 1; }
    ends 124 run --kernel endless.elf --timeout 1 --stats text && ! grep throttled text
}
bench_tells_of_a_quota() {
    local group=/sys/fs/cgroup/cpu/test-$$ got=0
    mkdir $group
    echo 10000 > $group/cpu.cfs_quota_us
    # shellcheck disable=SC2016  # the inner shell's
    timeout 60 sh -c 'echo $$ > '$group'/cgroup.procs && exec "$@"' sh "$VIREO" bench exits --rows nop --samples 2000 > out 2> err < /dev/null || got=$?
    rmdir $group
    [ $got = 0 ] && grep -qE 'the CPU quota of a cgroup stopped this process [1-9][0-9]* times' out || { cat out err; return 1; }
}
memory_group_is_warned_of() {
    local group=/sys/fs/cgroup/memory/test-$$ got=0
    mkdir $group
    echo $((64 << 20)) > $group/memory.limit_in_bytes
    # shellcheck disable=SC2016  # the inner shell's
    timeout $RUN_LIMIT_S sh -c 'echo $$ > '$group'/cgroup.procs && exec "$@"' sh "$VIREO" run --kernel status0.elf --memory 128M > out 2> err < /dev/null || got=$?
    rmdir $group
    [ $got = 0 ] && grep -q '^vireo: memory 128M: a memory cgroup of this process allows 64M in all' err && [ "$(wc -l < err)" = 1 ]
}
boot_times_are_in_order() {
    ends 0 run --kernel status0.elf --boot-times --json || return 1
    local words name
    [ "$(json_of boot_times < out)" -ge 5 ] || return 1
    words=$(tail -n 1 out | grep -o '"name": "[^"]*"' | cut -d '"' -f 4 | tr '\n' ' ')
    for name in configured created started entered ended; do
        case $words in *"$name "*) words=${words#*"$name "} ;; *) echo "no $name in order"; cat out; return 1 ;; esac
    done
    ends 0 run --boot-times && grep -A 9 ' entered$' err | grep -q ' console$' || { cat err; return 1; }
    ends 0 run --kernel status0.elf --boot-times && grep -q '^vireo: boot times' err && grep -q ' entered$' err && [ ! -s out ]
}

# Where KVM emulates kernel code, who starts what looks like Linux is told; elsewhere nobody is.
warned_of_emulation() {
    cp status7.elf large.elf && truncate -s 5M large.elf && ends 7 run --kernel large.elf || return 1
    vireo doctor --json > doctor
    if [ "$(json_of linux < doctor)" = 1 ]; then ! grep emulates err; else grep -q 'kernel large.elf: .* emulates .*use a host with VT-x or AMD-V' err; fi
}
# Its three instructions are one exit, to debug exit, and the kick that ends it.
stats_count_the_exits() {
    ends 0 run --kernel status0.elf --stats - && [ ! -s out ] && grep -q '^vireo: where the time went$' err &&
        grep -q '^vCPU 0: 2 exits, ' err && grep -q '^  port out  *1 ' err && grep -q '^    debug-exit +0x0  *1 ' err &&
        grep -q '^time from .* recording an exit takes [0-9]* ns' err || { cat err; return 1; }
}
stats_are_json() {
    ends 0 run --kernel status0.elf --cpus 2 --stats stats --json && [ ! -s err ] && [ "$(json_of schema < stats)" = vireo-stats-1 ] &&
        [ "$(json_of vcpus < stats)" = 2 ] && [ "$(json_of rows < stats)" -ge 6 ] && [ "$(json_of status < out)" = 0 ] || { cat stats; return 1; }
}
stats_without_record() {
    refuses "stats -: there are none with record off" --stats - --record off &&
        refuses "stats no/such: No such file" --kernel status0.elf --stats no/such && ends 125 run --kernel status0.elf --stats /dev/full &&
        grep -q '^vireo: /dev/full: could not be written' err
}
# The second report takes the place of the first, and the VM goes on until it is ended.
usr1_reports_while_it_runs() {
    local got=0 pid
    "$VIREO" run --kernel endless.elf --timeout $RUN_LIMIT_S --verbose --stats live > out 2> err < /dev/null &
    pid=$!
    wait_for_line ' starting' err $pid && kill -USR1 $pid && wait_for_line '^time from' live $pid && cp live first || return 1
    true > live
    kill -USR1 $pid && wait_for_line '^time from' live $pid && cp live second && kill $pid || return 1
    wait $pid || got=$?
    [ $got = 143 ] && grep -q '^time from' first && grep -q '^time from' second && [ "$(grep -c '^vireo: where' live)" = 1 ] &&
        grep -q '^  kick  *[1-9]' live || { echo "exit status $got"; cat first second live; return 1; }
}

# signal NAME NUMBER: a VM that would never end does, and the process says by which signal.
signal() {
    local got=0 pid
    "$VIREO" run --kernel endless.elf --boot-times --verbose --json=report > out 2> err < /dev/null &
    pid=$!
    wait_for_line starting err $pid || return 1
    sleep 0.2
    kill -"$1" $pid
    wait $pid || got=$?
    [ $got = $((128 + $2)) ] || { echo "SIG$1: exit status $got"; return 1; }
    grep -q "\"reason\": \"stopped\", \"status\": $got, .*\"signal\": $2" report || { cat report; return 1; }
}
signals_end_it() { set -m; signal TERM 15 && signal HUP 1 && signal QUIT 3 && signal INT 2; }
ignored_hangup_does_not() {
    local got=0
    (trap '' HUP; exec "$VIREO" run --kernel endless.elf --timeout 2) > out 2> err < /dev/null &
    sleep 1
    kill -HUP $!
    wait $! || got=$?
    [ $got = 124 ] && grep -q 'time limit' err
}

# in_terminal INPUT OPTION...: vireo run in a terminal of its own; ./before and ./after are the terminal's settings, ./screen what it showed,
# ./status the exit status.
in_terminal() {
    local input=$1
    shift
    rm -f before after status
    (sleep 1; printf '%b' "$input"; sleep 1) |
        timeout $RUN_LIMIT_S script -qec "stty -a > before; $VIREO run $*; echo \$? > status; stty -a > after" screen > /dev/null
    cmp before after || return 1
}
ctrl_a_x_quits() { in_terminal '\001x' --kernel endless.elf --timeout 15 && [ "$(cat status)" = 0 ] && grep -q 'from the console' screen; }
raw_keys_reach_no_signal() { in_terminal '\003' --kernel endless.elf --timeout 3 && [ "$(cat status)" = 124 ]; }
terminal_survives_a_crash() { in_terminal '' --kernel crash.elf && [ "$(cat status)" = 120 ]; }

check "help goes to standard output, by every name" help_goes_to_stdout
check "no command at all is a mistake" nothing_is_a_mistake
check "the version is the header's" version_is_the_headers
check "an unknown command is answered with the nearest" unknown_command_gets_nearest
check "man pages and help name the same options" man_says_what_help_says
check "every exit status is in help and man page" every_status_is_in_help_and_man
check "numbers out of range are refused" bad_numbers
check "devices that make no sense are refused" bad_devices
check "an option is no value of the one before it" values_that_are_missing
check "names that are paths or options are refused" names_that_are_none
check "typos are answered with the nearest word" typos
check "what can not be scheduled so is refused" bad_schedules
check "an initrd without a kernel is refused" lone_initrd
check "a bad configuration file is refused with its line" bad_files
check "a refusal is an object too with --json" refusal_is_an_object
check "--json=- is standard output" report_on_standard_output
check "an empty path is called that" empty_paths
check "too much memory is told in the unit it was asked in" sizes_as_people_write_them
check "output that can't be written is an error" full_output
check "a report that can't be written is refused before anything runs" bad_report

check "doctor --json is JSON, with a reason when Linux can't run" doctor_speaks_json
host_tests=(
    "a host without /dev/kvm ends with 126|no_kvm_is_126"
    "something else at /dev/kvm is called that|something_else_at_kvm"
    "how KVM is to be had depends on the processor|advice_fits_the_processor"
    "a user without permission gets the way out|no_permission_is_126"
)
for row in "${host_tests[@]}"; do
    if may_hide; then check "${row%%|*}" "${row##*|}"
    else skip "${row%%|*}" "this user may not hide a device here: unshare -m and mount are refused"; fi
done

kvm_tests=(
    "what is no kernel, or not all of one, ends with 127|leaves_alone bad_kernels"
    "an initrd that isn't there or does not fit ends with 127|leaves_alone bad_initrds"
    "what can't be a disk ends with 125|leaves_alone bad_disks"
    "a console file is left alone when the run is refused|leaves_alone refused_consoles"
    "a tap that isn't there is refused, and none is made|leaves_alone bad_taps"
    "a disk that another VM writes to is refused|leaves_alone locked_disk"
    "Linux is warned of where KVM emulates kernel code|warned_of_emulation"
    "a guest that ends well ends without a word|quiet_when_all_is_well"
    "a guest's status is passed on, with one line|status_is_passed_on"
    "a guest's status above 119 is 119|large_status_is_119"
    "a crash ends with 120|crash_is_120"
    "the time limit ends with 124|time_limit_is_124"
    "a time limit has units|time_limit_has_units"
    "options override the file, wherever they stand|config_is_overridden"
    "closed standard files are replaced|closed_files_are_replaced"
    "descriptors that the program inherits are closed, but for those named|inherited_files_are_closed"
    "boot times come in order|boot_times_are_in_order"
    "statistics count every exit by its register|stats_count_the_exits"
    "statistics are JSON with --json|stats_are_json"
    "statistics that can't be had or written are an error|stats_without_record"
    "SIGUSR1 reports while the VM runs|usr1_reports_while_it_runs"
    "SIGTERM, SIGHUP, SIGQUIT and SIGINT end the VM cleanly|signals_end_it"
    "an ignored SIGHUP stays ignored|ignored_hangup_does_not"
    "Ctrl-A x quits and gives the terminal back|ctrl_a_x_quits"
    "Ctrl-C goes to the guest|raw_keys_reach_no_signal"
    "a crash gives the terminal back|terminal_survives_a_crash"
)
reason=
if ! has_kvm; then reason="no usable /dev/kvm on this machine"
elif [ "$(uname -m)" != x86_64 ]; then reason="the guests are x86-64 instructions"
else
    build_guests > gcc 2>&1 || sed 's/^/# /' gcc # then the tests that need them fail
    make_bad_files
fi
for row in "${kvm_tests[@]}"; do
    # shellcheck disable=SC2086  # words
    if [ -n "$reason" ]; then skip "${row%%|*}" "$reason"; else check "${row%%|*}" ${row##*|}; fi
done
tap_tests=(
    "a tap that belongs to another user ends with 126|foreign_tap"
    "a tap's name may have any bytes|odd_tap"
)
for row in "${tap_tests[@]}"; do
    if [ -n "$reason" ]; then skip "${row%%|*}" "$reason"
    elif [ "$(id -u)" != 0 ] || ! unshare -n true 2> /dev/null || [ ! -e /dev/net/tun ]; then skip "${row%%|*}" "making such a tap takes root and /dev/net/tun"
    else check "${row%%|*}" "${row##*|}"; fi
done
# group CONTROLLER TEXT TEST: where version 1 has it and a group can be made there.
group() {
    if [ -n "$reason" ]; then skip "$2" "$reason"
    elif ! mkdir "/sys/fs/cgroup/$1/test-$$" 2> /dev/null; then skip "$2" "no version 1 $1 controller to make a group in"
    else rmdir "/sys/fs/cgroup/$1/test-$$" && check "$2" "$3"; fi
}
group cpu "statistics tell that a quota throttled the VM" quota_is_told
group cpu "a bench tells that a quota throttled it" bench_tells_of_a_quota
group memory "a memory cgroup smaller than the VM is warned of" memory_group_is_warned_of
null="closed standard files are replaced where there is no /dev/null"
if [ -n "$reason" ]; then skip "$null" "$reason"
elif ! unshare -m true; then skip "$null" "hiding /dev/null takes root"
else check "$null" closed_files_without_null; fi
tap_done
