#!/bin/bash
# A host that is short of descriptors: whatever the limit, a command does its work, or ends with 126 and says what is missing and how to have
# more. Never is the fault somebody else's: the tap's, the kernel's, the command line's or the guest's.
# time limit: 300
set -u
# A network of our own, so that no tap of the machine's is touched.
if [ "${1-}" != alone ] && [ "$(id -u)" = 0 ] && unshare -n true 2> /dev/null; then exec unshare -n bash "$0" alone; fi
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
VIREO=$PWD/build/vireo
TREE=$PWD
RUN_LIMIT_S=60          # every command here ends within a second
LIMITS=$(seq 3 48)      # 3 are open at the start; with all kinds of devices some 35 are needed
work=$(mktemp -d)
mkdir -m 700 "$work/run"
export XDG_RUNTIME_DIR=$work/run
trap 'kill_all; rm -rf "$work"' EXIT
cd "$work" || exit 1

vms=()
kill_all() { [ ${#vms[@]} = 0 ] || kill "${vms[@]}" 2> /dev/null; vms=(); wait; }

# limited N WORD...: with so many descriptors. Its status.
limited() {
    local n=$1
    shift
    # shellcheck disable=SC2016  # the inner shell's
    timeout -k 5 "$RUN_LIMIT_S" bash -c 'ulimit -n "$0" && exec "$@"' "$n" "$VIREO" "$@" > out 2> err < /dev/null
}

# Did it say what is missing? Where the dynamic loader finds no descriptor for our libraries, it says so in its own words before we say any.
says_what_lacks() {
    case $1 in
        126) grep -q '^vireo: .*: Too many open files$' err && grep -q '^vireo: .*(ulimit -n)$' err ;;
        127) grep -q 'error while loading shared libraries: .*: Error 24$' err && ! grep -q '^vireo: ' err ;;
        *) false ;;
    esac
}

# at_every_limit STATUS WORD...: STATUS is that of the command with enough of them. What has worked three times in a row had enough.
at_every_limit() {
    local want=$1 n status lacks=0 good=0
    shift
    for n in $LIMITS; do
        status=0
        [ $good -lt 3 ] || break
        limited "$n" "$@" || status=$?
        good=$((good + 1))
        [ $status = "$want" ] && ! grep -q 'Too many open files' err && continue
        good=0
        says_what_lacks $status || [ $status = "$want" ] || { echo "ulimit -n $n: vireo $*: exit status $status"; cat out err; return 1; }
        lacks=$((lacks + 1))
    done
    [ $good -gt 0 ] || { echo "the highest limit is not enough: $status"; cat err; return 1; }
    [ $lacks -gt 0 ] || { echo "no limit was too low: this tests nothing"; return 1; }
}

a_machine_with_all() {
    at_every_limit 0 run --config all.json --rng --console pty --json=report --stats stats --name web --cpus 2 --cpu-affinity 0=0 --nice 1=1 \
        --timeout $RUN_LIMIT_S
}
a_machine_with_disks() { at_every_limit 0 run --disk path=a.img --disk path=b.img,readonly --rng; }
a_machine_of_stdio() { at_every_limit 0 run --console stdio --json --stats -; }
a_machine_with_a_console_file() { at_every_limit 0 run --console file=console; }
a_machine_without_record() { at_every_limit 0 run --record off --console off; }
a_kernel_and_an_initrd() { at_every_limit 7 run --kernel status7.elf --initrd a.img --console off; }
a_large_kernel() { at_every_limit 7 run --kernel large.elf --initrd a.img --console off; }
a_machine_on_a_tap() { at_every_limit 0 run --net tap=vt0 --net tap=vt1,mac=52:54:00:12:34:56 --timeout $RUN_LIMIT_S; }
a_machine_on_a_tap_descriptor() {
    # What holds the tap open for the VM; the shell can't TUNSETIFF.
    # shellcheck disable=SC2016  # Perl's
    local wrapper='
        $^F = 255; # what is opened now is for the VM too
        open(my $tap, "+<", "/dev/net/tun") or die $!;
        my $request = pack("a16 s x22", "vt2", 0x5002); # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
        ioctl($tap, 0x400454ca, $request) or die $!;    # TUNSETIFF
        my $vireo = shift; exec $vireo, "run", "--net", "fd=" . fileno($tap), "--timeout", shift;'
    local n status lacks=0
    for n in $LIMITS; do
        [ "$n" -ge 5 ] || continue # Perl's own
        status=0
        # shellcheck disable=SC2016  # the inner shell's
        timeout -k 5 "$RUN_LIMIT_S" bash -c 'ulimit -n "$0" && exec perl -e "$@"' "$n" "$wrapper" "$VIREO" $RUN_LIMIT_S > out 2> err < /dev/null ||
            status=$?
        [ $status = 0 ] && continue
        says_what_lacks $status || { echo "ulimit -n $n: exit status $status"; cat err; return 1; }
        lacks=$((lacks + 1))
    done
    [ $status = 0 ] && [ $lacks -gt 0 ]
}
who_looks_at_others() {
    "$VIREO" run --kernel endless.elf --console off --name web --timeout $RUN_LIMIT_S 2> err-web < /dev/null &
    vms+=($!)
    local i rc=0
    for ((i = 0; i < 600; i++)); do "$VIREO" stat web > /dev/null 2>&1 && break; sleep 0.05; done
    at_every_limit 0 stat && at_every_limit 0 stat --json && at_every_limit 0 stat web && at_every_limit 125 stat wed &&
        at_every_limit 0 top web --count 1 --interval 0.1 || rc=1
    kill_all
    return $rc
}
doctor() {
    local n status
    for n in $LIMITS; do
        status=0
        limited "$n" doctor || status=$?
        [ $status = 0 ] || { [ $status = 126 ] && grep -q 'Too many open files' out && grep -q 'ulimit -n' out; } || says_what_lacks $status ||
            { echo "ulimit -n $n: exit status $status"; cat out err; return 1; }
    done
}
a_bench() { at_every_limit 0 bench exits --list --output list && at_every_limit 0 bench exits --rows cpuid --samples 10 --processes 1; }

build_guests() {
    local status
    # shellcheck disable=SC2016  # $ is the assembler's
    printf '.globl _start\n_start: mov $0xf4, %%edx\nmov $7, %%eax\nout %%al, %%dx\n1: jmp 1b\n' > status7.S
    printf '.globl _start\n_start: jmp _start\n' > endless.S
    for status in status7 endless; do
        gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none $status.S -o $status.elf || return 1
    done
    cp status7.elf large.elf && truncate -s 5M large.elf
}

tests=(
    "a machine with all that needs no file|a_machine_with_all"
    "a machine with disks|a_machine_with_disks"
    "a machine on standard input and output|a_machine_of_stdio"
    "a machine whose console is a file|a_machine_with_a_console_file"
    "a machine without a recorder|a_machine_without_record"
    "a kernel with an initrd|a_kernel_and_an_initrd"
    "a kernel that is loaded beside|a_large_kernel"
    "who looks at other VMs|who_looks_at_others"
    "the doctor|doctor"
    "a bench|a_bench"
)
tap_tests=(
    "a machine on taps|a_machine_on_a_tap"
    "a machine on a tap's descriptor|a_machine_on_a_tap_descriptor"
)
reason=""
tap_reason=""
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then reason="no usable /dev/kvm on this machine"
elif [ "$(uname -m)" != x86_64 ]; then reason="the guests are x86-64 instructions"
elif [ "${1-}" != alone ] || [ ! -e /dev/net/tun ]; then tap_reason="taps take root, a network namespace and /dev/net/tun"
fi
if [ -z "$reason" ]; then
    build_guests > gcc 2>&1 || sed 's/^/# /' gcc # then the tests that need them fail
    echo '{"memory": "16M"}' > all.json
    truncate -s 1M a.img b.img
fi
if [ -z "$reason$tap_reason" ]; then
    for tap in vt0 vt1 vt2; do ip tuntap add $tap mode tap && ip link set $tap up || tap_reason="no tap can be made"; done
fi
for row in "${tests[@]}"; do
    if [ -n "$reason" ]; then skip "short of descriptors: ${row%%|*}" "$reason"; else check "short of descriptors: ${row%%|*}" "${row##*|}"; fi
done
for row in "${tap_tests[@]}"; do
    if [ -n "$reason$tap_reason" ]; then skip "short of descriptors: ${row%%|*}" "$reason$tap_reason"
    else check "short of descriptors: ${row%%|*}" "${row##*|}"; fi
done
tap_done
