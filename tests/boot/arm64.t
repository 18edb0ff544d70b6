#!/bin/sh
# Debian's stock arm64 kernel, and the guest that is built in, in the emulated ARM host: with a GICv3, then with a GICv2.
# time limit: 1800
#
# What disk.t, net.t and idle.t try beyond this is the same neutral code on either machine, so the AMD-V host, where a boot takes less time, has
# it alone; cli.t's guests of a few instructions are x86's, their arm64 siblings are tests/kvm/test_arm64_machine.c.
# The host's shell is busybox, so this is plain sh; there (--here) each function named in TESTS is one test, and its name what it promises.
cd "$(dirname "$0")/../.." || exit 1
HOST_LIMIT_S=800
BOTH_GICS="four_vcpus_and_a_disk_work_and_the_guest_powers_off the_built_in_guest_starts_eight_vcpus"
GICV3="the_built_in_guest_starts_sixteen_vcpus a_network_card_carries_data_both_ways a_reboot_ends_with_status_0
    a_crash_told_to_the_panic_device_ends_with_120 a_status_told_to_debug_exit_is_the_exit_status
    a_commands_status_and_the_guests_milestone_come_back a_gzip_compressed_kernel_boots
    an_efi_zboot_kernel_boots a_guest_that_hangs_meets_its_time_limit the_dumped_device_tree_is_one what_is_no_arm64_kernel_is_refused
    what_does_not_fit_is_refused a_vm_is_watched_while_it_runs"
GICV2="a_ninth_vcpu_is_refused"

if [ "${1-}" != --here ]; then
    count_of() { echo "$1" | wc -w; }
    if ! { said=$(make --no-print-directory ARCH=arm64 all 2>&1) && said=$(ARCH=arm64 scripts/images 2>&1); }; then
        echo "$said" | sed 's/^/# /'
        echo "Bail out! nothing to run on arm64"
        exit 1
    fi
    echo "1..$(count_of "$BOTH_GICS $GICV3 $BOTH_GICS $GICV2")"
    scripts/lab arm64 --gic 3 --timeout $HOST_LIMIT_S -- sh "$0" --here 3 0 < /dev/null
    scripts/lab arm64 --gic 2 --timeout $HOST_LIMIT_S -- sh "$0" --here 2 "$(count_of "$BOTH_GICS $GICV3")" < /dev/null
    exit
fi

# ---- in the host
VIREO=$PWD/build/arm64/vireo
IMAGES=$PWD/build/images/arm64
GUEST_LIMIT_S=200
DEBUG_EXIT=0x9020000    # arch/arm64/layout.h
PVPANIC=0x9030000
. tests/boot/watched.sh
mkdir /tmp/work
cd /tmp/work || exit 1

# run STATUS OPTION...: `vireo run` ends with this status; its console is in ./console, its own words in ./errors.
run() {
    want=$1
    shift
    "$VIREO" run --timeout $GUEST_LIMIT_S "$@" > console 2> errors < /dev/null
    got=$?
    [ $got = "$want" ] || { echo "exit status $got, not $want"; cat errors; tail -n 20 console; return 1; }
}
# linux STATUS COMMAND OPTION...: the stock kernel runs COMMAND.
linux() {
    status=$1 command=$2
    shift 2
    run "$status" --kernel "${KERNEL-$IMAGES/vmlinuz}" --initrd "$IMAGES/initramfs" \
        --cmdline "console=ttyS0 quiet panic=-1 ${WORDS-} vireo.run=\"$command\"" "$@"
}
said() { tr -d '\r' < console | grep -qF -- "$1" || { echo "the guest did not say: $1"; tail -n 20 console; return 1; }; }
complains() { grep -qF -- "$1" errors || { echo "not the sentence: $1"; cat errors; return 1; }; }
sum() { md5sum < "$1" | cut -d ' ' -f 1; }

four_vcpus_and_a_disk_work_and_the_guest_powers_off() {
    dd if=/dev/urandom of=disk bs=1M count=20 2> /dev/null
    before=$(sum disk)
    linux 0 "nproc; md5sum /dev/vda; dd if=/dev/urandom of=/dev/vda bs=1M count=20 conv=fsync 2> /dev/null; md5sum /dev/vda" \
        --cpus 4 --disk path=disk || return 1
    said "$before  /dev/vda" && said "$(sum disk)  /dev/vda" && [ "$before" != "$(sum disk)" ] && grep -q '^4' console
}
the_built_in_guest_starts_eight_vcpus() { run 0 --cpus 8 && said "all well: 8 vCPUs"; }
the_built_in_guest_starts_sixteen_vcpus() { run 0 --cpus 16 && said "all well: 16 vCPUs"; }
a_network_card_carries_data_both_ways() {
    tunctl -t tap0 > /dev/null && ip addr add 192.168.77.1/24 dev tap0 && ip link set tap0 up || return 1
    dd if=/dev/urandom of=data bs=1M count=4 2> /dev/null
    timeout $GUEST_LIMIT_S nc -l -p 5000 -e cat data &
    timeout $GUEST_LIMIT_S nc -l -p 5001 -e sh -c 'cat > back' &
    transfer="nc 192.168.77.1 5000 < /dev/null > /tmp/data; md5sum /tmp/data; nc 192.168.77.1 5001 < /tmp/data > /dev/null"
    WORDS="vireo.ip=192.168.77.2/24" linux 0 "ping -c 2 192.168.77.1; $transfer" --net tap=tap0 || return 1
    wait
    ip link set tap0 down
    said "2 packets received" && said "$(sum data)  /tmp/data" && [ "$(sum data)" = "$(sum back)" ]
}
a_reboot_ends_with_status_0() { linux 0 "reboot -f" --json=report && grep -q '"reason": "reset"' report; }
a_crash_told_to_the_panic_device_ends_with_120() { linux 120 "devmem $PVPANIC 8 1" && complains "panicked"; }
a_status_told_to_debug_exit_is_the_exit_status() { linux 42 "devmem $DEBUG_EXIT 32 42"; }
a_commands_status_and_the_guests_milestone_come_back() {
    linux 17 "exit 17" --json=report --boot-times && grep -q '"reason": "guest-status"' report &&
        grep -q '"name": "guest 1"' report
}
a_gzip_compressed_kernel_boots() {
    gzip -1 < "$IMAGES/vmlinuz" > kernel.gz
    KERNEL=kernel.gz linux 0 "echo it runs" && said "it runs"
}
le32() { printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24)))"; }
an_efi_zboot_kernel_boots() {   # the header as Linux lays it out (drivers/firmware/efi/libstub/zboot-header.S), without its PE part
    gzip -1 < "$IMAGES/vmlinuz" > kernel.gz
    { printf 'MZ\0\0zimg' && le32 64 && le32 "$(wc -c < kernel.gz)" && printf '\0\0\0\0\0\0\0\0gzip' && head -c 36 /dev/zero &&
        cat kernel.gz; } > zboot
    KERNEL=zboot linux 0 "echo it runs" && said "it runs"
}
a_guest_that_hangs_meets_its_time_limit() { linux 124 "sleep 1000" --timeout 20; }
the_dumped_device_tree_is_one() {
    run 0 --dump-dtb dtb && [ "$(od -An -tx1 -N4 dtb | tr -d ' ')" = d00dfeed ] && grep -q vireo,debug-exit dtb
}
what_is_no_arm64_kernel_is_refused() {
    head -c 5000000 "$IMAGES/vmlinuz" > short
    run 127 --kernel short && complains "kernel short: is cut short" &&
        run 127 --kernel /etc/passwd && complains "is a text file" &&
        run 127 --kernel "$VIREO" && complains "is an ELF file" &&
        run 127 --kernel "$IMAGES" && complains "is a directory" &&
        run 127 --kernel missing && complains "kernel missing: open: No such file or directory"
}
what_does_not_fit_is_refused() {
    run 127 --kernel "$IMAGES/vmlinuz" --memory 16M && complains "does not fit into 15 MiB; use --memory" &&
        run 127 --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/root.ext4" && complains "256 MiB do not fit beside the kernel" &&
        run 125 --cpus 65 && complains "cpus 65"
}
a_vm_is_watched_while_it_runs() {
    # The kernel answers for starting a vCPU, so one that drives no device need not come to the monitor at all: each writes to the console.
    is_watched --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" \
        --cmdline "console=ttyS0 quiet vireo.run=\"for cpu in 1 2; do taskset \$cpu sh -c 'while sleep 1; do echo; done' & done; wait\""
}
a_ninth_vcpu_is_refused() { run 125 --cpus 9 && complains "is a GICv2, which serves at most 8"; }

gic=$2 count=$3
case $gic in
3) tests="$BOTH_GICS $GICV3" ;;
2) tests="$BOTH_GICS $GICV2" ;;
esac
for test in $tests; do
    count=$((count + 1))
    if $test > why 2>&1; then
        echo "ok $count - $test, GICv$gic"
    else
        sed 's/^/# /' why
        echo "not ok $count - $test, GICv$gic"
    fi
done
