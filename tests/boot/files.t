#!/bin/bash
# Files that a user names: pipes and devices among them do not make the program wait for ever, and what is written is never what is read, nor
# what somebody else holds. Only the last part needs KVM.
# time limit: 180
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
RUN_LIMIT_S=60          # a pipe's other end is waited for ten seconds
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# refuses TEXT WORD...: status 125, and the first line of the errors holds TEXT.
refuses() {
    local text=$1
    shift
    ends 125 "$@" || return 1
    head -n 1 err | grep -qF -- "$text" || { echo "vireo $*: no \"$text\" in"; cat err; return 1; }
}
# keeps FILE COMMAND...: FILE is after it what it was.
keeps() {
    local file=$1 before
    shift
    before=$(cksum < "$file")
    "$@" || return 1
    [ "$(cksum < "$file")" = "$before" ] || { echo "$*: $file has changed"; return 1; }
}

# ---- what is read

pipes_are_configurations() {
    refuses "line 2: cpus 0: must be" run --config <(printf '{"memory": "64M",\n"cpus": 0}') &&
        refuses "cpus 0: must be" run --config <(sleep 2; printf '{"cpus":'; sleep 1; printf ' 0}') &&
        refuses "not JSON" run --config <(:) && refuses "more than 1 MiB" run --config <(cat /dev/zero 2> quiet)
}
# Each is waited for, all at once.
waits_not_for_ever() (
    local pids=() pid rc=0
    mkfifo unwritten unread silent
    waits() { local dir=$1; shift; mkdir "$dir" && cd "$dir" && refuses "$@"; }
    sleep 50 > silent &
    local writer=$!
    (waits a "config ../unwritten: nobody has written to it for 10 s" run --config ../unwritten) & pids+=($!)
    (waits b "config ../silent: nobody has written to it for 10 s" run --config ../silent) & pids+=($!)
    (waits c "json ../unread: a pipe that nobody reads" run --json=../unread) & pids+=($!)
    (waits d "stats ../unread: a pipe that nobody reads" run --stats ../unread) & pids+=($!)
    (waits e "not a file" report ../unwritten) & pids+=($!)
    (waits f "not a file" bench --show ../unwritten) & pids+=($!)
    (waits g "output ../unread: a pipe that nobody reads" bench exits --output ../unread) & pids+=($!)
    for pid in "${pids[@]}"; do wait "$pid" || rc=1; done
    kill $writer
    return $rc
)
a_pipes_reader_gets_the_report() {
    mkfifo pipe
    cat pipe > got &
    ends 125 run --json=pipe --cpus 0 && wait $! && grep -q '^{"reason": "error", "status": 125, ' got
}
late_reader_is_in_time() {
    mkfifo late
    (sleep 2; exec cat late > got-late) &
    ends 125 run --json=late --cpus 0 && wait $! && grep -q '^{"reason": "error"' got-late
}

# ---- what is written

make_files() {
    truncate -s 1M disk.img && echo kernel > kernel && echo initrd > initrd && ln disk.img hard.img && ln -s disk.img soft.img
    printf '{"kernel": "kernel", "initrd": "initrd", "disk": "path=disk.img"}' > run.json
}
# The inputs by other names, too: of another directory, a link of each kind, an open descriptor.
outputs_spare_inputs() {
    local input option
    make_files && exec 9< disk.img || return 1
    for input in disk.img ./disk.img "$PWD/disk.img" hard.img soft.img /proc/self/fd/9 kernel initrd run.json; do
        for option in --json= --stats= --console=file=; do
            keeps "$input" refuses "that is the file of" run --config run.json "$option$input" || return 1
            grep -q ': that is the file of .*, which would be lost; name another file$' err || { cat err; return 1; }
        done
    done
}
outputs_spare_each_other() {
    echo old > old
    local pair
    for pair in "--json=NAME --stats NAME" "--json=NAME --console file=NAME" "--stats NAME --console file=NAME"; do
        # shellcheck disable=SC2086  # words
        keeps old refuses "that is the file of" run --config run.json ${pair//NAME/old} || return 1
        ln -sf "$PWD/old" link
        pair=${pair/NAME/link}
        # shellcheck disable=SC2086  # words
        keeps old refuses "that is the file of" run --config run.json ${pair/NAME/old} || return 1
    done
    refuses "that is the file of" run --config run.json --stats new --console file=./new || return 1
}
outputs_spare_the_shells() {
    local got=0
    echo kept > shell
    "$VIREO" run --kernel kernel --json=shell >> shell 2> err < /dev/null || got=$?
    [ $got = 125 ] && grep -q 'json shell: that is the file of standard output' err && [ "$(cat shell)" = kept ]
}
# A file that is there, by its own name and by the shell's, as each of the three.
console_spares_the_shells() {
    local got name
    for name in shell /dev/stdout; do
        echo kept > shell && got=0
        timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel kernel --console file=$name >> shell 2> err < /dev/null || got=$?
        [ $got = 125 ] && grep -q "console $name: that is the file of standard output" err && [ "$(cat shell)" = kept ] || { cat err; return 1; }
    done
    got=0
    timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel kernel --console file=shell < shell > out 2> err || got=$?
    [ $got = 125 ] && grep -q 'console shell: that is the file of standard input' err && [ "$(cat shell)" = kept ] || return 1
    got=0
    timeout -k 5 $RUN_LIMIT_S "$VIREO" run --kernel kernel --console file=shell < /dev/null > out 2>> shell || got=$?
    [ $got = 125 ] && grep -q '^kept$' shell && grep -q 'console shell: that is the file of standard error' shell
}
# Where the machine is not known, neither is what it reads: only an empty file, or an earlier report, is written.
wrong_configuration_spares_all() {
    keeps disk.img refuses "cpus 0" run --json=disk.img --cpus 0 --disk path=disk.img && grep -q 'holds no earlier report' err &&
        printf '{"disk": "path=disk.img", "cpus": 0}' > wrong.json && keeps disk.img refuses "cpus 0" run --config wrong.json --json=hard.img &&
        keeps kernel refuses "cpus 0" run --json=kernel --cpus 0 && refuses "cpus 0" run --json=fresh --cpus 0 && grep -q 'cpus 0: ' fresh &&
        refuses "memory 1 bytes" run --json=fresh --memory 1 && [ "$(grep -c . fresh)" = 1 ] && grep -q 'memory 1 bytes' fresh
}
result_is_spared() {
    echo '{}' > result.json && ln result.json also.json
    keeps result.json refuses "" report result.json -o also.json && keeps result.json refuses "" bench --show result.json -o also.json
    cp "$VIREO" other-vireo && keeps other-vireo refuses "that is the file of the program that is measured against" \
        bench exits --against ./other-vireo --output other-vireo
}
devices_are_outputs() {
    refuses "cpus 0" run --json=/dev/null --cpus 0 && [ -c /dev/null ] && refuses "cpus 0" run --json=/dev/full --cpus 0 &&
        grep -q '^vireo: /dev/full: could not be written: No space left' err
}

# ---- beside a VM that runs

has_kvm() { [ -r /dev/kvm ] && [ -w /dev/kvm ]; }
# Its disk, which nobody names to the second one but as an output; and its console's file, by any name for it.
locked_files_are_spared() {
    local pid rc=0 option i=0
    rm -f err-first
    make_files 2> /dev/null
    printf '.globl _start\n_start: jmp _start\n' > endless.S
    gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none endless.S -o endless.elf || return 1
    "$VIREO" run --kernel endless.elf --disk path=disk.img --console file=said --timeout 100 --verbose > out-first 2> err-first < /dev/null &
    pid=$!
    until grep -qs starting err-first; do sleep 0.05; i=$((i + 1)); [ $i -lt 600 ] || { kill -9 $pid; cat err-first; return 1; }; done
    for option in --json=disk.img --stats=hard.img --console=file=soft.img; do
        keeps disk.img refuses "has locked that file, as a VM does its disks" run --kernel endless.elf "$option" --timeout 1 || rc=1
    done
    truncate -s 1M said # the guest has said nothing: now it is as long as a disk
    for option in --json=said --console=file=said; do
        refuses "has locked that file" run --kernel endless.elf "$option" --timeout 1 || rc=1
    done
    refuses "said is in use by another VM" run --kernel endless.elf --disk path=said --timeout 1 || rc=1
    kill $pid
    wait $pid
    return $rc
}

flocked_files_are_spared() {
    local option
    echo precious > held
    exec 8<> held
    flock -x 8
    for option in --json=held --stats=held --console=file=held; do
        keeps held refuses "another VM or process has locked that file" run --kernel none "$option" || return 1
    done
    keeps held refuses "has locked that file" bench exits --rows nop --samples 1000 --processes 1 --output held || return 1
    exec 8>&-
    ends 127 run --kernel none --json=held && [ -s held ]
}

check "a pipe is a configuration like any other" pipes_are_configurations
check "a pipe without another end is not waited for for ever" waits_not_for_ever
check "a report goes into a pipe that is read" a_pipes_reader_gets_the_report
check "a pipe's reader may come late" late_reader_is_in_time
check "no output is a file that is read" outputs_spare_inputs
check "no output is another one" outputs_spare_each_other
check "no output is where the shell writes" outputs_spare_the_shells
check "no console is where the shell writes or reads" console_spares_the_shells
check "a refused configuration costs no file" wrong_configuration_spares_all
check "a result and a program are spared too" result_is_spared
check "devices are outputs" devices_are_outputs
check "a file that a script has locked is no output" flocked_files_are_spared
locked="a file that another VM has locked is no output"
if has_kvm && [ "$(uname -m)" = x86_64 ]; then check "$locked" locked_files_are_spared
else skip "$locked" "no usable /dev/kvm on this machine, or no x86-64"; fi
tap_done
